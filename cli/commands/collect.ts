import { startCollector } from '../../collector/collector.ts';
import { defineCommand } from '../command.ts';
import { formatSources, toStartReport } from '../collector-report.ts';
import { loadConfig } from '../config.ts';
import type { Config } from '../config.ts';
import { CONFIG_FLAG, SOURCE_FLAGS, toFlagValues } from '../config-flags.ts';
import { toCollectorOptions } from '../settings.ts';
import { watchStopSignals } from '../stop-signal.ts';
import { createPaint } from '../terminal.ts';

export const command = defineCommand({
  name: 'collect',
  usage: '[options]',
  about:
    'read this kernel’s log, trace events, consoles and state, and send them as OTLP to a hub or to any other OTLP/HTTP backend (trace events to a hub only). Needs no hub to be there: what cannot be sent waits on disk.',
  options: {
    to: { type: 'string', value: 'URL', help: 'where to send (default OTEL_EXPORTER_OTLP_ENDPOINT, else http://127.0.0.1:4318)' },
    root: { type: 'string', value: 'DIR', help: 'folder that stands for / in finding kernels and consoles: a lab has one' },
    header: { type: 'string', multiple: true, value: 'NAME=VALUE', help: 'header of each request (repeatable)' },
    ...SOURCE_FLAGS,
    ...CONFIG_FLAG,
  },
  examples: [
    ['mkscope collect --to http://hub.example:4318', 'to a hub on another machine'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT=https://otlp.example mkscope collect', 'to any OTLP backend; headers and TLS from OTEL_EXPORTER_OTLP_*'],
    ['mkscope collect --no-tracefs --console spawn1=/dev/ttyS1', 'the kernel log, and the console of another kernel'],
  ],
  service: true,
  async run(flags) {
    const config = loadConfig({ path: flags.config, flags: toFlagValues(flags), env: process.env });
    const stop = watchStopSignals();
    // The parent is gone, killed perhaps: nobody would stop this process any more.
    process.once('disconnect', () => stop.ask('the parent is gone'));
    const collector = await startCollector(toCollectorOptions(config));
    const report = toStartReport(collector.status(), describeSources(config));
    if (process.send === undefined) {
      const paint = createPaint(process.stderr);
      const lines = [...formatSources(report, paint), `  to ${report.receiver}`];
      process.stderr.write(`${lines.join('\n')}\n`);
    } else if (process.connected) process.send(report);
    await stop.asked;
    await collector.close();
    if (process.connected) process.disconnect?.();
    return 0;
  },
});

function describeSources(config: Config): Record<string, string> {
  const events = config.get('collector.tracefs.events');
  return {
    kmsg: 'the kernel log',
    tracefs: `${events.length} trace events (${events.slice(0, 3).join(', ')}${events.length > 3 ? ' …' : ''}), clock ${config.get('collector.tracefs.clock')}`,
    system: `CPU, memory, pressure and interrupts, every ${config.get('collector.system.interval') / 1000} s`,
  };
}
