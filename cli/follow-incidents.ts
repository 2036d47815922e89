/** `incidents -f`: first what is stored, then what is new or has changed; after a lost connection what was missed. */
import { setTimeout as sleep } from 'node:timers/promises';

import { errnoOf, isOperational } from '../base/errors.ts';
import type { IncidentRow } from '../model/api.ts';
import type { HubClient } from './hub-client.ts';

const RETRY_MS = { first: 250, most: 5000 };
/** Asked for after a reconnect. */
const MISSED = 1_000;

export type ShowIncidents = (rows: readonly IncidentRow[]) => Promise<void>;

/** Runs until SIGINT or SIGTERM; throws when the hub cannot be reached at the start. */
export async function followIncidents(
  client: HubClient,
  query: Record<string, string>,
  most: number,
  show: ShowIncidents,
): Promise<number> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const shown = new Map<string, string>();
  const showNew = async (rows: readonly IncidentRow[]): Promise<void> => {
    const fresh = rows.filter((row) => shown.get(row.id) !== JSON.stringify(row));
    for (const row of fresh) shown.set(row.id, JSON.stringify(row));
    if (fresh.length > 0) await show(fresh);
  };
  const ask = async (limit: number): Promise<IncidentRow[]> => {
    const { incidents } = await client.getJson<{ incidents: IncidentRow[] }>('/api/incidents', { ...query, limit });
    return incidents.reverse();
  };
  let waitMs = RETRY_MS.first;
  for (let isFirst = true; ; isFirst = false) {
    try {
      const live = await client.live('/api/incidents/live', {}, stop.signal);
      if (most > 0 || !isFirst) await showNew(await ask(isFirst ? most : MISSED));
      waitMs = RETRY_MS.first;
      // The filters are the hub's: what has come is asked for with them.
      for await (const { name, data } of live) {
        if (name !== 'incident') continue;
        const { id } = JSON.parse(data) as IncidentRow;
        await showNew((await ask(MISSED)).filter((row) => row.id === id));
      }
    } catch (error) {
      if (stop.signal.aborted) return 0;
      if (isFirst || (isOperational(error) && error.code !== 'E_HUB_UNREACHABLE')) throw error;
      if (!isOperational(error) && !(error instanceof TypeError) && errnoOf(error) === undefined) throw error;
    }
    if (stop.signal.aborted) return 0;
    await sleep(waitMs, undefined, { signal: stop.signal }).catch(() => undefined);
    if (stop.signal.aborted) return 0;
    waitMs = Math.min(waitMs * 2, RETRY_MS.most);
  }
}
