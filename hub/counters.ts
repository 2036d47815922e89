/** What the hub did since it started: `received = stored + duplicate + refused + empty` in batches, rows by signal. */
import type { ErrorCode } from '../base/errors.ts';

export const SIGNALS = ['logs', 'spans', 'metrics', 'events', 'gaps'] as const;
export type Signal = (typeof SIGNALS)[number];
export type RowCounts = Record<Signal, number>;

export class HubCounters {
  readonly startedMs = Date.now();
  /** Requests to the ingest listener, and their bytes after decompression. */
  batchesReceived = 0;
  bytesReceived = 0;
  batchesStored = 0;
  batchesDuplicate = 0;
  /** Requests that carry no rows: OTLP's empty request, format sets. */
  batchesEmpty = 0;
  readonly batchesRefused = new Map<ErrorCode, number>();
  readonly rowsStored: RowCounts = { logs: 0, spans: 0, metrics: 0, events: 0, gaps: 0 };
  /** Times of rows that cannot be, and were replaced by that of their arrival. */
  timesReplaced = 0;
  /** Kernel reports found in the lines. */
  reportsStored = 0;
  /** Incidents that began, by kind. */
  readonly incidents = new Map<string, number>();
  /** Rows that could not be read out of an accepted batch, by reason. */
  readonly rowsDropped = new Map<string, number>();
  /** Errors of the API, by code. */
  readonly apiErrors = new Map<ErrorCode, number>();

  countRefused(code: ErrorCode): void {
    this.batchesRefused.set(code, (this.batchesRefused.get(code) ?? 0) + 1);
  }

  countDropped(reason: string, rows: number): void {
    if (rows > 0) this.rowsDropped.set(reason, (this.rowsDropped.get(reason) ?? 0) + rows);
  }

  countIncident(kind: string): void {
    this.incidents.set(kind, (this.incidents.get(kind) ?? 0) + 1);
  }

  countApiError(code: ErrorCode): void {
    this.apiErrors.set(code, (this.apiErrors.get(code) ?? 0) + 1);
  }
}
