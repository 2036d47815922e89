/** A collector in a process of its own, for the tests that kill it: `node run-collector.ts URL SPOOL CONSOLE_FILE`. */
import { startCollector } from '../../collector/collector.ts';

const [endpoint = '', spoolDir = '', consoleFile = ''] = process.argv.slice(2);
const collector = await startCollector({
  to: { endpoint, compression: 'gzip' },
  spoolDir,
  sources: { console: [{ name: 'spawn1', from: consoleFile }] },
  events: 'off',
  version: 'test',
});
process.stdout.write('ready\n');
process.once('SIGTERM', () => {
  void collector.close().then(() => process.exit(0));
});
