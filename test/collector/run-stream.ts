/** A collector that only reads a guest's stream, for tests that kill it: run-stream.ts RECEIVER SPOOL SOCKET */
import { startCollector } from '../../collector/collector.ts';

const [endpoint = '', spoolDir = '', path = ''] = process.argv.slice(2);
await startCollector({
  to: { endpoint, timeoutMs: 2000 },
  spoolDir,
  sources: {},
  streams: [{ name: 'guest', from: `unix-listen:${path}` }],
  version: 'test',
});
process.stdout.write('ready\n');
