/**
 * What becomes of segments where pages are kept and not sent: the flight recorder gets them, and once a second the hub gets the
 * newest one's head without pages. So it knows clocks and task names by the time it asks for pages.
 */
import type { SourceRecord } from '../model/pipeline.ts';
import type { FormatSet, Segment } from '../model/segment.ts';
import { windowOf } from './page-window.ts';
import type { Recorder } from './recorder.ts';
import type { SpoolHeader } from './spool.ts';

const OUTLINE_INTERVAL_MS = 1_000;
const NO_PAGES = new Uint8Array(0);

type SegmentRecord = Extract<SourceRecord, { kind: 'segment' }>;

export class PageKeeper {
  readonly #recorder: Recorder;
  readonly #endian = new Map<string, FormatSet['endian']>();
  #outlinedMs = -Infinity;
  /** Names that no outline has told yet. */
  #comms: Record<string, string> = {};

  constructor(recorder: Recorder) {
    this.#recorder = recorder;
  }

  noteFormats(hash: string, { endian }: FormatSet): void {
    this.#endian.set(hash, endian);
  }

  /** `packed` is the segment as it would be sent; false = the disk has no room for it. */
  keep({ segment, position }: SegmentRecord, header: Omit<SpoolHeader, 'seq'>, packed: Uint8Array, nowNs: bigint): boolean {
    const { identity, stream, formatSet } = segment.header;
    const { fromUnixNs, toUnixNs } = windowOf(segment, this.#endian.get(formatSet) ?? 'little', nowNs);
    const window = { fromUnixNs: String(fromUnixNs), toUnixNs: String(toUnixNs) };
    return this.#recorder.keep({ ...header, ...window, identity, positions: position === undefined ? {} : { [stream]: position } }, packed);
  }

  /** The head of the segment, when it is time for one. */
  outlineOf({ header }: Segment, nowMs: number): Segment | undefined {
    Object.assign(this.#comms, header.comms);
    if (nowMs - this.#outlinedMs < OUTLINE_INTERVAL_MS) return undefined;
    this.#outlinedMs = nowMs;
    const comms = this.#comms;
    this.#comms = {};
    return { header: { ...header, chunks: [], comms }, pages: NO_PAGES };
  }
}
