/** The store as the hub sees it: durable appends of whole batches, and queries that see everything acknowledged. */
import type { EventBatch } from '../model/event-batch.ts';
import type { Gap } from '../model/gap.ts';
import type { KernelIdentity, Resource, Scope } from '../model/identity.ts';
import type { LogBatch } from '../model/log-batch.ts';
import type { MetricBatch } from '../model/metric-batch.ts';
import type { FormatSet } from '../model/segment.ts';
import type { SpanBatch } from '../model/span-batch.ts';
import type { ClockFitRow } from './clock-rows.ts';
import type { ExchangeRows, MessageRows } from './ikc-rows.ts';
import type { IncidentRevision } from './incident-rows.ts';
import type { Recording, RecordingTexts } from './recording-rows.ts';

/** The sender's own number of a batch: (stream, seq) is stored once, however often it is sent. */
export interface BatchOrigin {
  readonly stream: string;
  readonly sequence: number;
}

/** All rows of one request. Times are aligned (`unixTime` filled). */
export interface StoreBatch {
  readonly origin?: BatchOrigin;
  readonly logs?: readonly { readonly resource: Resource; readonly scope: Scope; readonly batch: LogBatch }[];
  readonly spans?: readonly { readonly resource: Resource; readonly scope: Scope; readonly batch: SpanBatch }[];
  readonly metrics?: readonly { readonly resource: Resource; readonly scope: Scope; readonly batch: MetricBatch }[];
  readonly events?: readonly {
    readonly identity: KernelIdentity;
    readonly stream: string;
    readonly clockErrorNs: number;
    readonly batch: EventBatch;
    /** What the batch was read with; undefined for text. */
    readonly formats?: FormatSet;
  }[];
  readonly gaps?: readonly { readonly identity: KernelIdentity; readonly gaps: readonly Gap[] }[];
  /** Messages between kernels, and requests with their answers. */
  readonly messages?: readonly MessageRows[];
  readonly exchanges?: readonly ExchangeRows[];
  /** Recordings that others may lean on. */
  readonly recordings?: readonly Recording[];
  readonly recordingTexts?: readonly RecordingTexts[];
  /** Lines of clocks, new or drawn anew. */
  readonly clockFits?: readonly { readonly identity: KernelIdentity; readonly rows: readonly ClockFitRow[] }[];
  readonly incidents?: readonly IncidentRevision[];
  /** Incarnations seen, with what is known of them. */
  readonly kernels?: readonly KernelSighting[];
}

export interface KernelSighting {
  readonly identity: KernelIdentity;
  readonly seenUnixNs: bigint;
  /** `live` = from a collector, `imported` = from a file. */
  readonly origin: 'live' | 'imported';
}

export interface QueryOptions {
  /** Named parameters, `{name:Type}` in the SQL. */
  readonly params?: Readonly<Record<string, unknown>>;
  /** Stricter limits than the store's own. */
  readonly maxSeconds?: number;
  readonly maxResultRows?: number;
  /** Skip loading what is acknowledged but not yet loaded (health checks). */
  readonly stale?: boolean;
  /** See just what was acknowledged when the query was made, and nothing that came since: loads wait until it has its answer. */
  readonly exact?: boolean;
}

/** The answer of a raw query in a ClickHouse output format, for the read-only ClickHouse endpoint. */
export interface RawResult {
  readonly bytes: Uint8Array;
  readonly rowsRead: number;
  readonly bytesRead: number;
  readonly elapsedSeconds: number;
}

export interface StoreHealth {
  readonly engine: string;
  readonly path: string;
  readonly rows: number;
  readonly bytesOnDisk: number;
  readonly pendingBytes: number;
  readonly pendingFiles: number;
  readonly oldestPendingMs: number;
  /** Last load or write error, empty when none. */
  readonly lastError: string;
}

export interface Store {
  /**
   * Takes all rows of a batch or none. Resolves when they are in the spool on disk (safe against a killed process);
   * `duplicate` = this origin was taken before. Throws OperationalError E_STORE_BUSY when the spool is at its bound and
   * E_DISK_FULL when the disk is.
   */
  append(batch: StoreBatch): Promise<'stored' | 'duplicate'>;
  /** Whether a batch of this origin would be a duplicate. */
  holds(origin: BatchOrigin): boolean;
  /** Loads everything acknowledged so far into ClickHouse. */
  flush(): Promise<void>;
  /** Rows as objects; 64-bit integers come as strings. Flushes first. */
  query<Row>(sql: string, options?: QueryOptions): Promise<Row[]>;
  /** A user's query, read-only and limited, in any ClickHouse output format. Flushes first. */
  queryRaw(sql: string, format: string, options?: QueryOptions): Promise<RawResult>;
  /** Gives the rows of a boot whose id was made up the id and the names of the incarnation that it is. Flushes first. */
  renameBoot(from: string, to: KernelIdentity): Promise<void>;
  health(): Promise<StoreHealth>;
  /** Loads what is pending and closes. */
  close(): Promise<void>;
}
