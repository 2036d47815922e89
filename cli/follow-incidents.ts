/** `incidents -f`: first what is stored, then what is new or has changed; after a lost connection what was missed. */
import type { IncidentRow } from '../model/api.ts';
import { followHub } from './follow-hub.ts';
import type { HubClient } from './hub-client.ts';

/** Asked for after a reconnect. */
const MISSED = 1_000;

export type ShowIncidents = (rows: readonly IncidentRow[]) => Promise<void>;

/** Runs until SIGINT or SIGTERM; throws when the hub cannot be reached at the start. */
export function followIncidents(client: HubClient, query: Record<string, string>, most: number, show: ShowIncidents): Promise<number> {
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
  return followHub(client.url, async ({ signal, isFirst, connected }) => {
    const live = await client.live('/api/incidents/live', {}, signal);
    if (most > 0 || !isFirst) await showNew(await ask(isFirst ? most : MISSED));
    connected();
    // The filters are the hub's: what has come is asked for with them.
    for await (const { name, data } of live) {
      if (name !== 'incident') continue;
      const { id } = JSON.parse(data) as IncidentRow;
      await showNew((await ask(MISSED)).filter((row) => row.id === id));
    }
  });
}
