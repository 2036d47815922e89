/** Fills a LogBuffer: the newest page and its live tail, or the rows around a moment; older and newer pages on demand. */
import type { LogPage, LogRow } from '../../model/api.ts';
import { type ApiError, getJson, isAborted, toApiError, toApiPath } from '../api/client.ts';
import { Store } from '../state/store.ts';
import { LogBuffer, MAX_ROWS } from './log-buffer.ts';

export interface FeedQuery {
  /** Filter parameters of /api/logs. */
  readonly filter: Readonly<Record<string, string>>;
  /** Bounds as decimal Unix ns. */
  readonly from?: string;
  readonly to?: string;
  /** Moment to open at; without it the feed opens at the newest row. */
  readonly at?: string;
  /**
   * The row that the moment is of. It is opened where it is now: its time may have been drawn anew along a better clock. The live
   * tail shows lines that are not stored yet, so one that is not there is waited for.
   */
  readonly uid?: string;
  /** Follow the tail: only without an upper bound and a moment. */
  readonly live: boolean;
}

export interface FeedState {
  /** Counts up when the rows are others. */
  readonly opens: number;
  /** Counts up with each change of the rows. */
  readonly version: number;
  readonly loading: 'first' | 'older' | 'newer' | undefined;
  readonly error: ApiError | undefined;
  readonly hasOlder: boolean;
  readonly hasNewer: boolean;
  readonly tail: 'off' | 'connecting' | 'live' | 'lost';
  /** Live rows since `clearUnseen`. */
  readonly unseen: number;
  /** Live rows that the hub or this page left out because they came too fast to show. */
  readonly skipped: number;
  /** Rows put before and cut from the start, cumulative: the view moves its scroll position by the difference. */
  readonly shift: number;
  readonly tookMs: number;
}

const PAGE_ROWS = 500;
/** A moment this far before the first rows is not looked for any further: about three years. */
const MAX_REACH_NS = 10n ** 17n;
/** The hub stores a line within seconds; one that this long after its moment is not there will not come by waiting. */
const STORED_WITHIN_MS = 60_000;
const RETRY_MS = 400;
/** A line is looked for this far around the time that it was shown with: no clock that is told at all moves further. */
const MAX_MOVE_NS = 86_400_000_000_000n;
/** After a longer silence than these hold, the list starts again at the newest rows. */
const MAX_CATCH_UP_PAGES = 20;
/** Live rows are handed to the view this often. */
const BATCH_MS = 80;

const EMPTY: FeedState = {
  opens: 0,
  version: 0,
  loading: undefined,
  error: undefined,
  hasOlder: false,
  hasNewer: false,
  tail: 'off',
  unseen: 0,
  skipped: 0,
  shift: 0,
  tookMs: 0,
};

export class LogFeed {
  readonly buffer = new LogBuffer();
  readonly state = new Store<FeedState>(EMPTY);
  /** While false (the reader has scrolled up) rows are only cut by refusing new ones, so that nothing moves. */
  following = true;
  #query: FeedQuery = { filter: {}, live: false };
  #older: string | undefined;
  #newer: string | undefined;
  #source: EventSource | undefined;
  #waiting: LogRow[] = [];
  #timer: number | undefined;
  #abort = new AbortController();

  /** Drops everything and loads anew. */
  async open(query: FeedQuery): Promise<void> {
    this.close();
    this.#abort = new AbortController();
    this.#query = query;
    this.buffer.clear();
    const { opens, version } = this.state.get();
    this.state.set({ ...EMPTY, opens: opens + 1, version: version + 1, loading: 'first' });
    if (query.at !== undefined) return this.#openAround(BigInt(query.at), query.uid);
    const page = await this.#load({ to: query.to, limit: PAGE_ROWS }, 'first');
    if (page === undefined) return;
    this.#older = page.older;
    this.#take(page);
    if (query.live) this.#follow();
  }

  async #openAround(atNs: bigint, uid: string | undefined): Promise<void> {
    const { signal } = this.#abort;
    if (uid === undefined) return this.#loadAround(atNs);
    const untilMs = Number(atNs / 1_000_000n) + STORED_WITHIN_MS;
    const row = await this.#find(uid, atNs);
    if (this.#isOver(signal)) return;
    await this.#loadAround(row === undefined ? atNs : BigInt(row.unixNs));
    for (let found = row; found === undefined && Date.now() < untilMs && !this.#isOver(signal);) {
      await new Promise((resolve) => {
        window.setTimeout(resolve, RETRY_MS);
      });
      found = this.#isOver(signal) ? undefined : await this.#find(uid, atNs);
      if (found !== undefined) await this.#loadAround(BigInt(found.unixNs));
    }
  }

  #isOver(signal: AbortSignal): boolean {
    return signal.aborted || this.state.get().error !== undefined;
  }

  /** The row of that name as it is now. */
  async #find(uid: string, atNs: bigint): Promise<LogRow | undefined> {
    const { signal } = this.#abort;
    try {
      const near = { from: (atNs < MAX_MOVE_NS ? 0n : atNs - MAX_MOVE_NS).toString(), to: (atNs + MAX_MOVE_NS).toString() };
      const { rows } = await getJson<LogPage>('/api/logs', { ...this.#query.filter, ...near, uid }, signal);
      return signal.aborted ? undefined : rows[0];
    } catch (error) {
      if (!isAborted(error) && !signal.aborted) this.state.set({ loading: undefined, error: toApiError(error) });
      return undefined;
    }
  }

  /**
   * Rows on both sides of a moment. Pages are handed out newest first and only a page that was reached by a cursor leads to
   * newer rows, so: the row at the moment, the page before it, and from that page forwards. Where the moment is before the
   * second row of all, it reaches further until there are two.
   */
  async #loadAround(atNs: bigint): Promise<void> {
    const { signal } = this.#abort;
    for (let reachNs = 0n; !signal.aborted; reachNs = reachNs === 0n ? 1_000_000n : reachNs * 10n) {
      const edge = await this.#load({ to: (atNs + reachNs).toString(), limit: 1 }, 'first');
      if (edge === undefined) return;
      if (edge.older === undefined) {
        if (reachNs < MAX_REACH_NS) continue;
        return this.#show(edge, undefined);
      }
      const before = await this.#load({ cursor: edge.older, limit: PAGE_ROWS / 2 }, 'first');
      if (before === undefined) return;
      const after = before.newer === undefined ? edge : await this.#load({ cursor: before.newer, limit: PAGE_ROWS / 2 }, 'first');
      if (after === undefined) return;
      return this.#show({ ...after, rows: [...before.rows, ...after.rows] }, before.older);
    }
  }

  /** This instead of what is shown: the view goes to the moment again. */
  #show(page: LogPage, older: string | undefined): void {
    this.buffer.clear();
    this.#older = older;
    this.#newer = page.newer;
    this.#take(page, this.state.get().opens + 1);
  }

  async loadOlder(): Promise<void> {
    if (this.#older === undefined || this.state.get().loading !== undefined || this.buffer.length >= MAX_ROWS) return;
    const page = await this.#load({ cursor: this.#older, limit: PAGE_ROWS }, 'older');
    if (page === undefined) return;
    this.#older = page.older;
    this.#take(page);
  }

  async loadNewer(): Promise<void> {
    if (this.#newer === undefined || this.state.get().loading !== undefined || this.buffer.length >= MAX_ROWS) return;
    const page = await this.#load({ to: this.#query.to, cursor: this.#newer, limit: PAGE_ROWS }, 'newer');
    if (page === undefined) return;
    this.#newer = page.rows.length === 0 ? undefined : page.newer;
    this.#take(page);
  }

  clearUnseen(): void {
    if (this.state.get().unseen > 0) this.state.set({ unseen: 0 });
  }

  close(): void {
    this.#abort.abort();
    this.#source?.close();
    this.#source = undefined;
    window.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting = [];
  }

  async #load(
    page: { cursor?: string; to?: string | undefined; limit: number },
    why: 'first' | 'older' | 'newer',
  ): Promise<LogPage | undefined> {
    const { signal } = this.#abort;
    this.state.set({ loading: why, error: undefined });
    try {
      const found = await getJson<LogPage>('/api/logs', { ...this.#query.filter, from: this.#query.from, ...page }, signal);
      // A body that was read when the query changed belongs to the query before.
      return signal.aborted ? undefined : found;
    } catch (error) {
      if (!isAborted(error) && !signal.aborted) this.state.set({ loading: undefined, error: toApiError(error) });
      return undefined;
    }
  }

  #take(page: LogPage, opens = this.state.get().opens): void {
    const { before } = this.buffer.insert(page.rows);
    const { shift, version } = this.state.get();
    this.state.set({
      opens,
      version: version + 1,
      loading: undefined,
      hasOlder: this.#older !== undefined && this.buffer.length < MAX_ROWS,
      hasNewer: this.#newer !== undefined && this.buffer.length < MAX_ROWS,
      shift: shift + before,
      tookMs: page.tookMs,
    });
  }

  #follow(): void {
    const source = new EventSource(toApiPath('/api/logs/live', this.#query.filter));
    this.#source = source;
    this.state.set({ tail: 'connecting' });
    source.addEventListener('open', () => {
      this.state.set({ tail: 'live' });
      void this.#catchUp();
    });
    source.addEventListener('error', () => {
      this.state.set({ tail: 'lost' });
      // The browser retries a broken connection by itself, but gives up on a refused one.
      if (source.readyState === EventSource.CLOSED && this.#source === source) {
        window.setTimeout(() => this.#source === source && this.#follow(), 2000);
      }
    });
    source.addEventListener('log', (event) => this.#queue(JSON.parse((event as MessageEvent<string>).data) as LogRow));
    source.addEventListener('lost', (event) => {
      const { count } = JSON.parse((event as MessageEvent<string>).data) as { count: number };
      this.state.set({ skipped: this.state.get().skipped + count });
    });
  }

  /** Rows stored between the first page, or the last live row, and the connection: all of them, or everything anew. */
  async #catchUp(): Promise<void> {
    const { signal } = this.#abort;
    const from = this.buffer.rows[this.buffer.length - 1]?.unixNs ?? this.#query.from;
    let cursor: string | undefined;
    try {
      for (let pages = 0; pages < MAX_CATCH_UP_PAGES; pages++) {
        const page = await getJson<LogPage>('/api/logs', { ...this.#query.filter, from, cursor, limit: PAGE_ROWS }, signal);
        if (signal.aborted) return;
        for (const row of page.rows) this.#queue(row);
        cursor = page.older;
        if (cursor === undefined || from === undefined) return;
      }
      await this.open(this.#query);
    } catch (error) {
      if (!isAborted(error)) this.state.set({ tail: 'lost' });
    }
  }

  #queue(row: LogRow): void {
    this.#waiting.push(row);
    this.#timer ??= window.setTimeout(() => this.#flush(), BATCH_MS);
  }

  #flush(): void {
    this.#timer = undefined;
    const waiting = this.#waiting;
    this.#waiting = [];
    const state = this.state.get();
    if (!this.following && this.buffer.length + waiting.length > MAX_ROWS) {
      this.state.set({ skipped: state.skipped + waiting.length, unseen: state.unseen + waiting.length });
      return;
    }
    const { added, before } = this.buffer.insert(waiting);
    if (added === 0) return;
    const cut = this.following ? this.buffer.trimStart() : 0;
    this.state.set({
      version: state.version + 1,
      unseen: this.following ? 0 : state.unseen + added,
      shift: state.shift + before - cut,
      // What was cut is fetched again by time, not by the cursor, which is older than that.
      hasOlder: state.hasOlder && cut === 0,
    });
  }
}
