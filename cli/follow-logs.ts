/**
 * `logs -f`: first what is stored, then what comes, with no hole and no line twice in between. The live stream is opened before
 * the stored rows are asked for; rows in both are recognised by their uid. After a lost connection the same steps run again
 * from the last time that was shown.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { errnoOf, isOperational, messageOf } from '../base/errors.ts';
import type { LogQuery, LogRow } from '../model/api.ts';
import type { ServerEvent } from './event-stream.ts';
import type { HubClient } from './hub-client.ts';
import { showRange } from './log-range.ts';
import type { ShowRows } from './log-range.ts';

const REMEMBERED_UIDS = 8192;
const RETRY_MS = { first: 250, most: 5000 };
/** Rows of different kernels arrive out of order: after a reconnect this much is asked for again. */
const OVERLAP_NS = 5_000_000_000n;

export interface FollowOptions {
  /** `from` of the stored rows that come first. */
  readonly range: LogQuery;
  readonly most: number;
  readonly show: ShowRows;
  /** A word to the person, beside the log. */
  readonly notice: (text: string) => void;
}

/** Runs until SIGINT or SIGTERM; throws when the hub cannot be reached at the start. */
export async function followLogs(client: HubClient, query: LogQuery, options: FollowOptions): Promise<number> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const shown = new ShownRows();
  const show: ShowRows = (rows) => {
    const fresh = rows.filter((row) => shown.add(row));
    return fresh.length === 0 ? Promise.resolve() : options.show(fresh);
  };
  let stored: { range: LogQuery; most: number } = options;
  let waitMs = RETRY_MS.first;
  for (let isFirst = true; ; isFirst = false) {
    try {
      const live = await client.live('/api/logs/live', { ...query }, stop.signal);
      if (!isFirst) options.notice('connected again');
      await showRange(client, { ...query, ...stored.range }, stored.most, show);
      waitMs = RETRY_MS.first;
      for await (const event of live) await showEvent(event, show, options.notice);
      options.notice(`the hub at ${client.url} ended the stream, waiting for it`);
    } catch (error) {
      if (stop.signal.aborted) return 0;
      // A wrong query stays wrong, and a hub that was never there is not waited for.
      if (isFirst || (isOperational(error) && error.code !== 'E_HUB_UNREACHABLE')) throw error;
      if (!isOperational(error) && !isConnectionLoss(error)) throw error;
      if (waitMs === RETRY_MS.first) options.notice(`lost the hub at ${client.url} (${messageOf(error)}), waiting for it`);
    }
    if (stop.signal.aborted) return 0;
    await sleep(waitMs, undefined, { signal: stop.signal }).catch(() => undefined);
    if (stop.signal.aborted) return 0;
    waitMs = Math.min(waitMs * 2, RETRY_MS.most);
    if (shown.newestNs > 0n) stored = { range: { from: (shown.newestNs - OVERLAP_NS).toString() }, most: Infinity };
  }
}

async function showEvent(event: ServerEvent, show: ShowRows, notice: (text: string) => void): Promise<void> {
  if (event.name === 'log') await show([JSON.parse(event.data) as LogRow]);
  if (event.name === 'lost') {
    const { count } = JSON.parse(event.data) as { count: number };
    notice(`${count} lines came faster than they could be shown; they are stored: mkscope logs --since 1m`);
  }
}

/** fetch reports a connection that broke in the middle of a body as a TypeError with the socket's error as cause. */
function isConnectionLoss(error: unknown): boolean {
  return error instanceof TypeError || errnoOf(error) !== undefined;
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
