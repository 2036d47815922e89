/** `mkscope import DIR`: a recorded session into a hub that runs, or into a folder that none holds. */
import { resolve } from 'node:path';

import { OperationalError } from '../base/errors.ts';
import type { ReplayedGuest } from '../collector/replay.ts';
import type { Health } from '../model/api.ts';
import type { Config } from './config.ts';
import { openHubClient } from './hub-flags.ts';
import type { ProgressBar } from './progress-bar.ts';
import { openSession, replaySession } from './session.ts';
import { toHubOptions } from './settings.ts';
import type { Paint } from './terminal.ts';
import { escapeLine } from './terminal.ts';
import { formatCount, formatErrorNs } from './units.ts';

export interface SessionTarget {
  /** A hub of our own on this data folder. */
  readonly config: Config | undefined;
  readonly hub: Parameters<typeof openHubClient>[0];
  readonly machine: string | undefined;
}

export async function importSession(dir: string, target: SessionTarget, bar: ProgressBar): Promise<ReplayedGuest[]> {
  const session = openSession(dir);
  let sentBytes = 0;
  const onProgress = (bytes: number): void => bar.update(`${dir}: replaying`, (sentBytes += bytes), 0);
  const { machine, config } = target;
  if (config !== undefined) return withOwnHub(config, (endpoint) => replaySession(session, { to: { endpoint }, machine, onProgress }));
  const client = await openHubClient(target.hub);
  const { listening } = await client.getJson<Health>('/api/health', {}, 5000);
  // A hub on another machine names its own loopback address, or all of its addresses.
  const endpoint = new URL(listening.otlp);
  endpoint.hostname = new URL(client.url).hostname;
  return replaySession(session, { to: { endpoint: endpoint.href.replace(/\/$/, ''), headers: client.headers }, machine, onProgress });
}

async function withOwnHub<Value>(config: Config, use: (endpoint: string) => Promise<Value>): Promise<Value> {
  const { startHub } = await import('../hub/hub.ts');
  const address = { host: '127.0.0.1', port: 0 };
  const dataDir = resolve(config.get('data'));
  const hub = await startHub({ ...toHubOptions(config), dataDir, page: address, otlp: address, clickhouse: address, tokens: [] });
  try {
    return await use(hub.addresses.otlp);
  } finally {
    await hub.close();
  }
}

export function formatSession(dir: string, guests: readonly ReplayedGuest[], paint: Paint): string {
  const refused = guests.reduce((total, guest) => total + guest.refused, 0);
  if (refused > 0) throw new OperationalError('E_HUB_REFUSED', `${dir}: the receiver refused ${refused} batches`, 'its log says why');
  const lines = guests.map(({ name, identities, logs, events, gaps, malformed, clockErrorNs }) => {
    const boots = identities.map(({ kernelId, release }) => `kernel ${kernelId}, Linux ${release}`).join('; ');
    const counts = `${formatCount(logs)} log records, ${formatCount(events)} trace events`;
    const losses = `${gaps === 0 ? '' : `, ${gaps} ${gaps === 1 ? 'gap' : 'gaps'}`}${malformed === 0 ? '' : `, ${malformed} unreadable frames`}`;
    const clock = logs === 0 ? '' : `, clock ${formatErrorNs(clockErrorNs)}`;
    return `  ${paint('bold', escapeLine(name))} (${escapeLine(boots)}): ${counts}${losses}${clock}`;
  });
  return `${dir}: a session of ${guests.length} kernels\n${lines.join('\n')}\n`;
}
