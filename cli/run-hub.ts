/** A hub as this process. */
import type { Hub } from '../hub/hub.ts';
import { loadConfig } from './config.ts';
import { toFlagValues } from './config-flags.ts';
import { toHubOptions } from './settings.ts';
import { watchStopSignals } from './stop-signal.ts';
import { printLine } from './terminal.ts';
import type { HubFlags } from './commands/hub.ts';

/** What a hub that runs as a child tells its parent. */
export interface HubReport {
  readonly kind: 'hub-started';
  readonly addresses: Hub['addresses'];
}

export function isHubReport(report: unknown): report is HubReport {
  return typeof report === 'object' && report !== null && 'kind' in report && report.kind === 'hub-started';
}

export async function runHub(flags: HubFlags): Promise<number> {
  const config = loadConfig({ path: flags.config, flags: toFlagValues(flags), env: process.env });
  const stop = watchStopSignals();
  // The database is loaded here and nowhere earlier: a collector never does.
  const { startHub } = await import('../hub/hub.ts');
  const hub = await startHub(toHubOptions(config));
  const { page, otlp, clickhouse } = hub.addresses;
  process.send?.({ kind: 'hub-started', addresses: hub.addresses } satisfies HubReport);
  await printLine(`mkscope hub: page ${page}, OTLP ${otlp}, ClickHouse ${clickhouse}, data in ${config.get('data')}`);
  // The parent is gone, killed perhaps: nobody would stop this process any more.
  process.once('disconnect', () => stop.ask('the parent is gone'));
  const reason = await stop.asked;
  await printLine(`mkscope hub: ${reason}, storing what is acknowledged`);
  await hub.close();
  if (process.connected) process.disconnect?.();
  return 0;
}
