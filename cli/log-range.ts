/** A range of the log, read through the hub's pages and shown oldest first. */
import type { LogPage, LogQuery, LogRow } from '../model/api.ts';
import type { HubClient } from './hub-client.ts';

export type ShowRows = (rows: readonly LogRow[]) => Promise<void>;

/** Rows per request. */
const PAGE_ROWS = 2000;
/** Rows kept on the way back to the oldest page; beyond it a page is asked for twice. */
const MAX_HELD_ROWS = 50_000;

/**
 * The last `most` rows of the range, oldest first. The hub hands pages out newest first, so the way goes back to the start,
 * and forward again: the pages that do not fit in memory are remembered by their cursor.
 */
export async function showRange(client: HubClient, query: LogQuery, most: number, show: ShowRows): Promise<void> {
  const pages: { query: LogQuery; rows: readonly LogRow[] | undefined }[] = [];
  let held = 0;
  let next: LogQuery | undefined = query;
  for (let left = most; left > 0 && next !== undefined;) {
    const asked: LogQuery = { ...next, limit: Math.min(left, PAGE_ROWS) };
    const page: LogPage = await client.getJson<LogPage>('/api/logs', { ...asked });
    const fits = held + page.rows.length <= MAX_HELD_ROWS;
    pages.push({ query: asked, rows: fits || asked.cursor === undefined ? page.rows : undefined });
    if (fits) held += page.rows.length;
    left -= page.rows.length;
    next = page.older === undefined || page.rows.length === 0 ? undefined : { ...query, cursor: page.older };
  }
  for (const page of pages.reverse()) {
    await show(page.rows ?? (await client.getJson<LogPage>('/api/logs', { ...page.query })).rows);
  }
}
