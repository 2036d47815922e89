/**
 * `logs -f`: first what is stored, then what comes, with no hole and no line twice in between. The live stream is opened before
 * the stored rows are asked for; rows in both are recognised by their uid. After a lost connection the same steps run again
 * from the last time that was shown.
 */
import type { LogQuery, LogRow } from '../model/api.ts';
import type { ServerEvent } from './event-stream.ts';
import { followHub } from './follow-hub.ts';
import type { HubClient } from './hub-client.ts';
import { showRange } from './log-range.ts';
import type { ShowRows } from './log-range.ts';
import { printNotice } from './terminal.ts';

const REMEMBERED_UIDS = 8192;
/** Rows of different kernels arrive out of order: after a reconnect this much is asked for again. */
const OVERLAP_NS = 5_000_000_000n;

export interface FollowOptions {
  /** `from` of the stored rows that come first. */
  readonly range: LogQuery;
  readonly most: number;
  readonly show: ShowRows;
}

/** Runs until SIGINT or SIGTERM; throws when the hub cannot be reached at the start. */
export function followLogs(client: HubClient, query: LogQuery, options: FollowOptions): Promise<number> {
  const shown = new ShownRows();
  const show: ShowRows = (rows) => {
    const fresh = rows.filter((row) => shown.add(row));
    return fresh.length === 0 ? Promise.resolve() : options.show(fresh);
  };
  return followHub(client.url, async ({ signal, isFirst, connected }) => {
    const live = await client.live('/api/logs/live', { ...query }, signal);
    const isMissed = !isFirst && shown.newestNs > 0n;
    const range = isMissed ? { from: (shown.newestNs - OVERLAP_NS).toString() } : options.range;
    await showRange(client, { ...query, ...range }, isMissed ? Infinity : options.most, show);
    connected();
    for await (const event of live) await showEvent(event, show);
  });
}

async function showEvent(event: ServerEvent, show: ShowRows): Promise<void> {
  if (event.name === 'log') await show([JSON.parse(event.data) as LogRow]);
  if (event.name === 'lost') {
    const { count } = JSON.parse(event.data) as { count: number };
    printNotice(`${count} lines came faster than they could be shown; they are stored: mkscope logs --since 1m`);
  }
}

/** The uids shown last, bounded; the oldest are forgotten first. */
class ShownRows {
  newestNs = 0n;
  readonly #uids = new Set<string>();

  /** True when the row was not shown yet. */
  add(row: LogRow): boolean {
    if (this.#uids.has(row.uid)) return false;
    this.#uids.add(row.uid);
    if (this.#uids.size > REMEMBERED_UIDS) this.#uids.delete(this.#uids.values().next().value as string);
    const unixNs = BigInt(row.unixNs);
    if (unixNs > this.newestNs) this.newestNs = unixNs;
    return true;
  }
}
