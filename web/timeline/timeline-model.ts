/** What the timeline shows of one incarnation: the view, the loaded picture, and when to ask the hub again. */
import type { KernelRow, Timeline } from '../../model/api.ts';
import { type ApiError, getJson, isAborted, toApiError } from '../api/client.ts';
import { parseUnixNs } from '../format/time.ts';
import { Store } from '../state/store.ts';
import { type Picture, toPicture } from './picture.ts';
import { keepNear, needsFetch, toFetchSpan, type View } from './viewport.ts';

export interface Selection {
  readonly from: number;
  readonly to: number;
  /** CPUs of the lanes that the area touches. */
  readonly cpus: ReadonlySet<number>;
}

export interface TimelineState {
  readonly picture: Picture | undefined;
  /** Everything stored for the incarnation, relative to the origin. */
  readonly stored: View | undefined;
  readonly loading: boolean;
  readonly error: ApiError | undefined;
  readonly selection: Selection | undefined;
  readonly follow: boolean;
  /** Counts up when the view has come to rest or the picture has changed: time to count shares anew. */
  readonly settled: number;
}

const FETCH_DELAY_MS = 120;
const SETTLE_MS = 180;
const FOLLOW_FETCH_MS = 700;
/** The present is shown this far behind the clock, so that what is on its way has arrived. */
const FOLLOW_LAG_NS = 1.5e9;
const FIRST_SPAN_NS = 2e9;
/** Room right of the last record, so that its mark is not cut. */
const EDGE_SHARE = 0.01;
const MAX_WIDTH_PX = 8000;

const EMPTY: TimelineState = {
  picture: undefined,
  stored: undefined,
  loading: false,
  error: undefined,
  selection: undefined,
  follow: false,
  settled: 0,
};

export class TimelineModel {
  readonly state = new Store<TimelineState>(EMPTY);
  /** Unix ns of relative time 0. */
  origin = 0n;
  view: View = { from: 0, to: FIRST_SPAN_NS };
  widthPx = 1200;
  /** The canvas draws in the next frame. */
  dirty = true;
  #bootId = '';
  #loadedScreenNs = 0;
  #fetchTimer: number | undefined;
  #settleTimer: number | undefined;
  #followTimer: number | undefined;
  #abort = new AbortController();

  /** Shows an incarnation: at given bounds, else at its newest records. */
  open(kernel: KernelRow, from: bigint | undefined, to: bigint | undefined): void {
    this.close();
    this.#abort = new AbortController();
    this.#bootId = kernel.bootId;
    const last = parseUnixNs(kernel.lastSeenUnixNs) ?? BigInt(Date.now()) * 1_000_000n;
    const end = to ?? (from === undefined ? last : from + BigInt(FIRST_SPAN_NS));
    this.origin = from ?? end - BigInt(FIRST_SPAN_NS);
    this.view = { from: 0, to: Number(end - this.origin) };
    this.#loadedScreenNs = 0;
    this.state.set({ ...EMPTY, loading: true });
    void this.#fetch(from === undefined && to === undefined);
  }

  close(): void {
    this.#abort.abort();
    for (const timer of [this.#fetchTimer, this.#settleTimer, this.#followTimer]) window.clearTimeout(timer);
    this.#fetchTimer = undefined;
  }

  /** Moves the view by hand: ends following. */
  setView(view: View): void {
    if (this.state.get().follow) this.setFollow(false);
    const { stored } = this.state.get();
    this.view = stored === undefined ? view : keepNear(view, stored);
    this.#changed();
  }

  fit(): void {
    const { selection, stored } = this.state.get();
    const target = selection ?? stored;
    if (target === undefined || target.to <= target.from) return;
    const margin = selection === undefined ? (target.to - target.from) * EDGE_SHARE : 0;
    this.setView({ from: target.from - margin, to: target.to + margin });
  }

  select(selection: Selection | undefined): void {
    this.state.set({ selection, settled: this.state.get().settled + 1 });
    this.dirty = true;
  }

  setFollow(follow: boolean): void {
    window.clearTimeout(this.#followTimer);
    this.state.set({ follow });
    if (follow) this.#followTick();
  }

  /** Puts the right edge at the present; called for each frame while following. */
  advance(nowMs: number): void {
    const span = this.view.to - this.view.from;
    const to = Number(BigInt(Math.round(nowMs * 1000)) * 1000n - this.origin) - FOLLOW_LAG_NS;
    this.view = { from: to - span, to };
    this.dirty = true;
  }

  toUnixNs(timeNs: number): bigint {
    return this.origin + BigInt(Math.round(timeNs));
  }

  #followTick(): void {
    void this.#fetch(false).then(() => {
      if (this.state.get().follow) this.#followTimer = window.setTimeout(() => this.#followTick(), FOLLOW_FETCH_MS);
    });
  }

  #changed(): void {
    this.dirty = true;
    window.clearTimeout(this.#settleTimer);
    this.#settleTimer = window.setTimeout(() => this.state.set({ settled: this.state.get().settled + 1 }), SETTLE_MS);
    if (!needsFetch(this.view, this.state.get().picture?.loaded, this.#loadedScreenNs)) return;
    window.clearTimeout(this.#fetchTimer);
    this.#fetchTimer = window.setTimeout(() => void this.#fetch(false), FETCH_DELAY_MS);
  }

  async #fetch(moveToData: boolean): Promise<void> {
    this.#abort.abort();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    const screenNs = this.view.to - this.view.from;
    const span = toFetchSpan(this.view);
    this.state.set({ loading: true });
    try {
      const timeline = await getJson<Timeline>(
        '/api/timeline',
        {
          boot: this.#bootId,
          from: this.toUnixNs(span.from).toString(),
          to: this.toUnixNs(span.to).toString(),
          width: Math.min(MAX_WIDTH_PX, Math.round(this.widthPx * 3)),
        },
        signal,
      );
      if (signal.aborted) return;
      this.#loadedScreenNs = screenNs;
      this.#take(timeline, moveToData);
    } catch (error) {
      if (!isAborted(error) && !signal.aborted) this.state.set({ loading: false, error: toApiError(error) });
    }
  }

  #take(timeline: Timeline, moveToData: boolean): void {
    const picture = toPicture(timeline, this.origin);
    const from = parseUnixNs(timeline.storedFrom);
    const to = parseUnixNs(timeline.storedTo);
    const stored = from === undefined || to === undefined ? undefined : { from: Number(from - this.origin), to: Number(to - this.origin) };
    this.state.set({ picture, stored, loading: false, error: undefined, settled: this.state.get().settled + 1 });
    this.dirty = true;
    if (!moveToData || stored === undefined) return;
    // The last record of any kind is not the last trace event: show the end of what there is, and of a log all of it.
    const all = Math.max(1e6, stored.to - stored.from);
    const span = picture.lanes.length === 0 ? all : Math.min(FIRST_SPAN_NS, all);
    this.view = { from: stored.to - span, to: stored.to + span * EDGE_SHARE };
    this.#changed();
  }
}
