/**
 * Stretches of clocks that were drawn anew after rows were stored, and how a query reads such rows with them. Rows keep the time
 * they were stored with (docs/decisions/011-realignment.md).
 */
import type { ClockFitRow } from '../clock-rows.ts';
import type { Store } from '../store.ts';

/** Of a stretch in a query's text each costs some ns per row. */
export const MAX_REVISIONS = 1_024;
/** Lines of an earlier process are worth something to the next one for so long. */
const RECALL_SECONDS = 600;

export interface Revision {
  readonly bootId: string;
  readonly clock: string;
  readonly fromRaw: bigint;
  readonly toRaw: bigint;
  readonly baseUnixNs: bigint;
  readonly nsPerTick: number;
  readonly errorNs: number;
  /** Stored times of its rows lie between these, Unix ns. */
  readonly fromNs: bigint;
  readonly toNs: bigint;
  readonly shiftNs: bigint;
}

export function toRevision(bootId: string, row: ClockFitRow): Revision {
  const { clock, fromRaw, toRaw, baseUnixNs, nsPerTick, errorNs } = row;
  const shiftNs = BigInt(row.shiftNs);
  const endNs = baseUnixNs + BigInt(Math.ceil(Number(toRaw - fromRaw) * nsPerTick));
  return { bootId, clock, fromRaw, toRaw, baseUnixNs, nsPerTick, errorNs, fromNs: baseUnixNs - shiftNs, toNs: endNs + shiftNs, shiftNs };
}

interface StoredFit {
  readonly bootId: string;
  readonly clock: string;
  readonly fromRaw: string;
  readonly toRaw: string;
  readonly baseUnixNs: string;
  readonly nsPerTick: number;
  readonly errorNs: string;
  readonly evidence: string;
  readonly segment: number;
  readonly revision: number;
  readonly shiftNs: string;
}

const COLUMNS = `BootId AS bootId, ClockDomain AS clock, FromRaw AS fromRaw, ToRaw AS toRaw, BaseUnixNs AS baseUnixNs,
  NsPerTick AS nsPerTick, ErrorNs AS errorNs, Evidence AS evidence, Segment AS segment, Revision AS revision, ShiftNs AS shiftNs`;

/** The newest ones, the newest last. */
export async function queryRevisions(store: Store): Promise<Revision[]> {
  const rows = await store.query<StoredFit>(
    `SELECT ${COLUMNS} FROM clock_fits FINAL WHERE Revision > 0 ORDER BY StoredAt DESC, FromRaw LIMIT ${MAX_REVISIONS}`,
  );
  return rows.reverse().map((row) => toRevision(row.bootId, toFitRow(row)));
}

/** The last line of each clock that went on until lately. */
export async function queryLastFits(store: Store): Promise<(ClockFitRow & { readonly bootId: string })[]> {
  const rows = await store.query<StoredFit>(
    `SELECT ${COLUMNS} FROM clock_fits FINAL WHERE StoredAt > now64(9) - INTERVAL ${RECALL_SECONDS} SECOND
     ORDER BY BootId, ClockDomain, FromRaw DESC LIMIT 1 BY BootId, ClockDomain`,
  );
  return rows.map((row) => Object.assign(toFitRow(row), { bootId: row.bootId }));
}

function toFitRow(row: StoredFit): ClockFitRow {
  return {
    clock: row.clock,
    fromRaw: BigInt(row.fromRaw),
    toRaw: BigInt(row.toRaw),
    baseUnixNs: BigInt(row.baseUnixNs),
    nsPerTick: row.nsPerTick,
    errorNs: Number(row.errorNs),
    evidence: row.evidence,
    segment: row.segment,
    revision: row.revision,
    shiftNs: Number(row.shiftNs),
  };
}
