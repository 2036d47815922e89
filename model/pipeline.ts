/** The contracts between the stages of a collector: source → sink, with backpressure as a return value. */
import type { Gap } from './gap.ts';
import type { LogBatch } from './log-batch.ts';
import type { MetricBatch } from './metric-batch.ts';
import type { FormatSet, Segment } from './segment.ts';
import type { SpanBatch } from './span-batch.ts';

/** What a source hands on. `position` is where the source resumes once the record is safe (kmsg: boot id and SEQ). */
export type SourceRecord =
  | {
      readonly kind: 'logs';
      readonly stream: string;
      readonly batch: LogBatch;
      readonly position?: SourcePosition;
      /** Set where the source has aligned the times itself (`unixTime` is filled): half-width of their error. */
      readonly clockErrorNs?: number;
    }
  | { readonly kind: 'metrics'; readonly batch: MetricBatch }
  | { readonly kind: 'spans'; readonly batch: SpanBatch }
  | { readonly kind: 'gaps'; readonly gaps: readonly Gap[]; readonly stream?: string; readonly position?: SourcePosition }
  | { readonly kind: 'formats'; readonly hash: string; readonly set: FormatSet }
  | {
      readonly kind: 'segment';
      readonly segment: Segment;
      /** Events in the pages, by CPU: for the books, should the segment have to be dropped. */
      readonly events: readonly { readonly cpu: number; readonly count: number }[];
      readonly position?: SourcePosition;
    };

export interface SourcePosition {
  readonly bootId: string;
  /** Last position taken: kmsg SEQ, file offset, number of a segment. */
  readonly sequence: number;
  /** The stream's books at this position, so that they go on over a restart; names are the source's own. */
  readonly counts?: Readonly<Record<string, number>>;
}

export interface Sink {
  /**
   * Takes a record over. Resolves when it is safe (on disk or stored); resolves to false when it had to be dropped, which the
   * sink has counted and reported as a gap. A source awaits it before it reads on, or names what it does instead.
   */
  write(record: SourceRecord): Promise<boolean>;
}

export interface Source {
  /** `kmsg`, `tracefs`, `console:<name>`, `system`. */
  readonly id: string;
  /** Starts reading; resolves when the source runs. Throws OperationalError when it cannot (the others go on). */
  start(sink: Sink): Promise<void>;
  /** Stops, hands over what is left, and releases everything it holds in the kernel. */
  stop(): Promise<void>;
  /** Counters for the ledger and the health line; cheap. */
  status(): SourceStatus;
}

/** The books of one stream (and CPU): written = read + lost + still in the kernel. Records, cumulative since start. */
export interface StreamCounts {
  readonly stream: string;
  /** Logical CPU, -1 for streams that have none. */
  readonly cpu: number;
  /** As the kernel counts; undefined where it does not. */
  readonly written: number | undefined;
  readonly read: number;
  readonly lost: number;
  /** Since when the counts are cumulative, where not since the collector's start: they go on over its restarts. */
  readonly sinceUnixNs?: bigint;
}

export interface SourceStatus {
  /** `idle` = nothing of its kind is on this machine: not worth a word. */
  readonly state: 'running' | 'idle' | 'waiting' | 'failed' | 'stopped';
  /** Why it is not running, or what it cannot see. */
  readonly detail: string;
  readonly streams: readonly StreamCounts[];
  readonly errors: number;
}
