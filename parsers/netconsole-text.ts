/**
 * Extended netconsole as a file: packets one after the other, as `nc -u -l 6666 > file` or socat write them.
 *
 *   6.12.117,12,378,19447356,-;rig: a line\n role=storage node\n6.12.117,12,379,19487897,-,ncfrag=0/2058;rig: \xc3…
 *                                                              ^ a piece ends without a line end: where the next begins …
 *   6.12.117,12,379,19487897,-,ncfrag=941/2058;\xc3\xa9…       … with the same number, or where the body must end
 *
 * The header is drawn in netconsole.ts, the record in kmsg.ts. Without release and pieces such a file is a dump of /dev/kmsg. Legacy
 * packets in a file are console text. Not handled: packets that came out of order (the file's order is kept, but pieces are put
 * together over up to 64 records), packets of several kernels in one file.
 */
import type { LogBatch } from '../model/log-batch.ts';
import { LOG_FLAG } from '../model/log-batch.ts';
import { countMalformed, createCounts, type InputLoss, type LogParser, type ParserSession } from '../model/parser.ts';
import { openKmsg } from './kmsg.ts';
import { readNetconsoleHeader, sniffNetconsole, type NetconsoleHeader, type NetconsoleRecord } from './netconsole.ts';
import { NetconsoleFragments } from './netconsole-fragments.ts';

const NEWLINE = 10;
const SPACE = 32;
/** As netconsole.ts looks for it. */
const MAX_HEADER_BYTES = 320;
const MAX_RECORD_BYTES = 64 << 10;
/** What the kernel puts into one packet (MAX_PRINT_CHUNK). */
const MAX_PACKET_BYTES = 1000;
/** Records that may come between the pieces of one. */
const PATIENCE_RECORDS = 64;
const UNFINISHED = -1;
/** Why a record, whole or put together, gave no row: what is shown of it is the piece that ended it. */
const NO_RECORD = 'no record of /dev/kmsg';

export const netconsole: LogParser = {
  id: 'netconsole',
  title: 'extended netconsole packets',
  yields: 'logs',
  sniff: sniffNetconsole,
  open: () => new Session(),
};

class Session implements ParserSession<LogBatch> {
  readonly counts = createCounts();
  readonly #kmsg = openKmsg();
  readonly #fragments = new NetconsoleFragments();
  /** Records and pieces met, which pieces wait by. */
  #met = 0;
  /** Records that were shown as far as their start tells. */
  #torn = 0;

  parse(bytes: Uint8Array, batch: LogBatch): number {
    return this.#read(bytes, batch, false);
  }

  finish(bytes: Uint8Array, batch: LogBatch): number {
    const at = this.#read(bytes, batch, true);
    this.#addStale(Infinity, batch);
    return at;
  }

  takeLosses(): InputLoss[] {
    return this.#kmsg.takeLosses();
  }

  #read(input: Uint8Array, batch: LogBatch, atEnd: boolean): number {
    const bytes = Buffer.from(input.buffer, input.byteOffset, input.length);
    let at = 0;
    while (at < bytes.length) {
      const next = this.#readRecord(bytes, at, batch, atEnd);
      if (next === UNFINISHED) break;
      at = next;
    }
    return at;
  }

  #readRecord(bytes: Buffer, at: number, batch: LogBatch, atEnd: boolean): number {
    // A header that may still grow is not judged.
    if (!atEnd && bytes.length - at < MAX_HEADER_BYTES && bytes.indexOf(NEWLINE, at) < 0) return UNFINISHED;
    const header = readNetconsoleHeader(bytes.subarray(at));
    if (header === undefined) return this.#refuse(bytes, at, atEnd);
    const bodyAt = at + header.bodyAt;
    const end = header.fragment === undefined ? recordEnd(bytes, bodyAt, atEnd) : this.#pieceEnd(bytes, at, header, atEnd);
    if (end === UNFINISHED) return UNFINISHED;
    this.#met++;
    const record = this.#fragments.add(header, bytes.subarray(bodyAt, end), this.#met, 0n);
    if (record === 'malformed') countMalformed(this.counts, 'a piece that its record cannot have', bytes, at, end);
    else if (typeof record === 'string' || this.#addRow(record, batch)) this.counts.parsedBytes += end - at;
    else countMalformed(this.counts, NO_RECORD, bytes, at, end);
    this.#addStale(this.#met - PATIENCE_RECORDS, batch);
    return end;
  }

  /** What has waited for pieces since before that; of some there is nothing to show. */
  #addStale(beforeMet: number, batch: LogBatch): void {
    for (const stale of this.#fragments.takeStale(beforeMet)) {
      this.#torn++;
      if (!this.#addRow(stale, batch)) this.counts.malformed.set(NO_RECORD, (this.counts.malformed.get(NO_RECORD) ?? 0) + 1);
    }
    const startless = this.#fragments.incomplete - this.#torn;
    if (startless > 0) this.counts.malformed.set('pieces of a record without its start', startless);
  }

  /** Where the next piece of the same record begins, else where its body must end. */
  #pieceEnd(bytes: Buffer, at: number, { bodyAt, fragment }: NetconsoleHeader, atEnd: boolean): number {
    const { offset, totalBytes } = fragment ?? { offset: 0, totalBytes: 0 };
    const from = at + bodyAt;
    // No piece of any record: its line is given up.
    if (offset >= totalBytes || totalBytes > MAX_RECORD_BYTES) return recordEnd(bytes, from, atEnd);
    const most = from + Math.min(totalBytes - offset, MAX_PACKET_BYTES - bodyAt);
    const mark = bytes.indexOf(',ncfrag=', at);
    const same = bytes.subarray(at, mark + ',ncfrag='.length);
    const next = bytes.indexOf(same, from);
    if (next >= 0 && next < most) return next;
    if (bytes.length < most + same.length && !atEnd) return UNFINISHED;
    return Math.min(most, bytes.length);
  }

  /** False where it is no record of /dev/kmsg. */
  #addRow(record: NetconsoleRecord, batch: LogBatch): boolean {
    const row = batch.length;
    this.#kmsg.finish(record.bytes, batch);
    this.counts.records += batch.length - row;
    this.counts.lost = this.#kmsg.counts.lost;
    if (batch.length === row) return false;
    if (record.isTorn) batch.flags[row] = (batch.flags[row] as number) | LOG_FLAG.torn;
    return true;
  }

  #refuse(bytes: Buffer, at: number, atEnd: boolean): number {
    const newline = bytes.indexOf(NEWLINE, at);
    if (newline < 0 && !atEnd && bytes.length - at < MAX_RECORD_BYTES) return UNFINISHED;
    const end = newline < 0 || newline - at >= MAX_RECORD_BYTES ? Math.min(bytes.length, at + MAX_RECORD_BYTES) : newline + 1;
    if (end - at === 1) this.counts.parsedBytes++;
    else countMalformed(this.counts, 'no netconsole header', bytes, at, end);
    return end;
  }
}

/** Behind the first line and the dictionary lines that follow it. */
function recordEnd(bytes: Buffer, bodyAt: number, atEnd: boolean): number {
  let at = bodyAt;
  for (;;) {
    const newline = bytes.indexOf(NEWLINE, at);
    if (newline < 0) return atEnd ? bytes.length : bytes.length - bodyAt > MAX_RECORD_BYTES ? bodyAt + MAX_RECORD_BYTES : UNFINISHED;
    if (newline - bodyAt > MAX_RECORD_BYTES) return bodyAt + MAX_RECORD_BYTES;
    at = newline + 1;
    if (at >= bytes.length) return atEnd ? at : UNFINISHED;
    if (bytes[at] !== SPACE) return at;
  }
}
