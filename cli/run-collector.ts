/** A collector as this process. */
import { startCollector } from '../collector/collector.ts';
import { formatSources, toStartReport } from './collector-report.ts';
import { loadConfig } from './config.ts';
import type { Config } from './config.ts';
import { toFlagValues } from './config-flags.ts';
import { toCollectorOptions } from './settings.ts';
import { watchStopSignals } from './stop-signal.ts';
import { createPaint } from './terminal.ts';
import type { CollectFlags } from './commands/collect.ts';

export async function runCollector(flags: CollectFlags): Promise<number> {
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
}

function describeSources(config: Config): Record<string, string> {
  const events = config.get('collector.tracefs.events');
  return {
    kmsg: 'the kernel log',
    tracefs: `${events.length} trace events (${events.slice(0, 3).join(', ')}${events.length > 3 ? ' …' : ''}), clock ${config.get('collector.tracefs.clock')}`,
    system: `CPU, memory, pressure and interrupts, every ${config.get('collector.system.interval') / 1000} s`,
  };
}
