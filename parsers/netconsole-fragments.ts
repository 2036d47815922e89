/**
 * Records of extended netconsole that came in pieces (`ncfrag=`), put together again. Bounded in bytes, in number and in time: a
 * record whose pieces do not all come is given as far as it goes from its start, flagged torn, or not at all.
 *
 *   ncfrag=0/2406 ──┐
 *   ncfrag=968/2406 ├─► bytes that have come: [0, 968) [968, 1934) [1934, 2406) ─► whole
 *   ncfrag=1934/2406┘
 */
import type { NetconsoleHeader, NetconsoleRecord } from './netconsole.ts';

/** The kernel's own bound is 8 KiB, and userdata and sysdata behind it. */
const MAX_BODY_BYTES = 64 << 10;
const MAX_OPEN = 64;

interface OpenRecord {
  readonly header: NetconsoleHeader;
  readonly body: Uint8Array;
  /** Pieces by offset: their ends. */
  readonly pieces: Map<number, number>;
  receivedBytes: number;
  readonly sinceMs: number;
  readonly arrivedNs: bigint;
}

export class NetconsoleFragments {
  readonly #open = new Map<string, OpenRecord>();
  /** Records given up, whole or in part. */
  incomplete = 0;

  get size(): number {
    return this.#open.size;
  }

  /** The record that this piece completes, or is; `'duplicate'` when the piece was there, `'malformed'` when it cannot be one. */
  add(
    header: NetconsoleHeader,
    piece: Uint8Array,
    nowMs: number,
    arrivedNs: bigint,
  ): NetconsoleRecord | 'open' | 'duplicate' | 'malformed' {
    if (header.fragment === undefined) return toRecord(header, piece, arrivedNs, false);
    const { offset, totalBytes } = header.fragment;
    const end = offset + piece.length;
    if (totalBytes > MAX_BODY_BYTES || end > totalBytes || piece.length === 0) return 'malformed';
    const key = `${header.sequence} ${header.micros}`;
    let open = this.#open.get(key);
    if (open === undefined) {
      open = { header, body: new Uint8Array(totalBytes), pieces: new Map(), receivedBytes: 0, sinceMs: nowMs, arrivedNs };
      this.#open.set(key, open);
      this.#dropOldest();
    }
    if (open.body.length !== totalBytes) return 'malformed';
    if (open.pieces.has(offset)) return 'duplicate';
    open.body.set(piece, offset);
    open.pieces.set(offset, end);
    open.receivedBytes += piece.length;
    if (open.receivedBytes < totalBytes) return 'open';
    this.#open.delete(key);
    return toRecord(header, open.body, open.arrivedNs, false);
  }

  /** What has waited since before `beforeMs` for pieces, as far as it goes from the start. */
  takeStale(beforeMs: number): NetconsoleRecord[] {
    const records: NetconsoleRecord[] = [];
    for (const [key, open] of this.#open) {
      if (open.sinceMs > beforeMs) continue;
      this.#open.delete(key);
      this.incomplete++;
      let end = 0;
      for (let next = open.pieces.get(0); next !== undefined && next > end; next = open.pieces.get(end)) end = next;
      if (end > 0) records.push(toRecord(open.header, open.body.subarray(0, end), open.arrivedNs, true));
    }
    return records;
  }

  #dropOldest(): void {
    if (this.#open.size <= MAX_OPEN) return;
    this.#open.delete(this.#open.keys().next().value as string);
    this.incomplete++;
  }
}

function toRecord(header: NetconsoleHeader, body: Uint8Array, arrivedNs: bigint, isTorn: boolean): NetconsoleRecord {
  const bytes = Buffer.concat([Buffer.from(header.kmsg, 'latin1'), body]);
  return { sequence: header.sequence, micros: header.micros, bytes, isTorn, arrivedNs };
}
