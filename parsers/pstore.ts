/**
 * Records of a pstore, several in one input: the crash logs of kernels that died. As `mkscope import DIR` packs them, as
 * `tail -n +1 dmesg-*` and `cat dmesg-*` print them, or one alone.
 *
 *   ==> dmesg-erst-7712267718803587073 1795652257.000000000 17737 <==
 *   |       +-- name of the file               |              +-- its bytes: what they hold is not looked at for the next frame
 *   |                                          +-- its time, Unix seconds     (`tail` writes the name alone)
 *   Oops#1 Part1                                                              (`cat` leaves this, without a frame)
 *   <6>[    0.184617] NR_IRQS: 524544 …
 *
 * The order of the records does not matter (pstore-boots.ts), so all rows come at the end of the input. A row that begins another
 * boot is flagged as a boot mark. A single file of /sys/fs/pstore is drawn in pstore-record.ts.
 * Not handled: EFI variables as efivarfs shows them (dump-type0-…), records of more than 16 MiB in all.
 */
import { encodeUtf8 } from '../base/bytes.ts';
import { LOG_FLAG, type LogBatch } from '../model/log-batch.ts';
import { countMalformed, createCounts, type InputLoss, type InputMoment, type LogParser, type ParserSession } from '../model/parser.ts';
import { openConsole } from './console.ts';
import { LossList } from './losses.ts';
import { toPstoreBoots, type PstoreBoot } from './pstore-boots.ts';
import { readPstoreFrame, sniffPstore } from './pstore-frame.ts';
import { lineEnd, readPstoreHeader, readPstoreRecord, type PstoreFile, type PstoreRecord } from './pstore-record.ts';

/** The largest stores are some MiB of flash or RAM. */
const MAX_INPUT_BYTES = 16 << 20;
const MAX_RECORDS = 4096;

export const pstore: LogParser = {
  id: 'pstore',
  title: 'pstore crash records',
  yields: 'logs',
  sniff: sniffPstore,
  open: () => new Session(),
};

/** The files of one pstore as one input. */
export function packPstore(files: readonly PstoreFile[]): Uint8Array {
  const parts = files.flatMap(({ name, bytes, modifiedUnixNs }) => {
    const time = modifiedUnixNs ?? 0n;
    const stamp = `${time / 1_000_000_000n}.${String(time % 1_000_000_000n).padStart(9, '0')}`;
    return [encodeUtf8(`==> ${name} ${stamp} ${bytes.length} <==\n`), bytes, encodeUtf8('\n')];
  });
  return Buffer.concat(parts);
}

interface Piece extends PstoreFile {
  readonly from: number;
  readonly to: number;
}

class Session implements ParserSession<LogBatch> {
  readonly counts = createCounts();
  readonly #losses = new LossList();
  #moments: InputMoment[] = [];
  #kept: Uint8Array[] = [];
  #keptBytes = 0;

  /** Keeps all that comes: the oldest text may stand last. */
  parse(bytes: Uint8Array, _batch: LogBatch): number {
    const room = Math.min(bytes.length, MAX_INPUT_BYTES - this.#keptBytes);
    this.#kept.push(bytes.slice(0, room));
    this.#keptBytes += room;
    this.counts.parsedBytes += room;
    if (room < bytes.length) countMalformed(this.counts, 'more than a pstore can hold', bytes, room, bytes.length);
    return bytes.length;
  }

  finish(bytes: Uint8Array, batch: LogBatch): number {
    this.parse(bytes, batch);
    const all = Buffer.concat(this.#kept);
    this.#kept = [];
    const records = this.#readPieces(all);
    toPstoreBoots(records).forEach((boot, index) => this.#addBoot(boot, index, batch));
    return bytes.length;
  }

  takeLosses(): InputLoss[] {
    return this.#losses.take();
  }

  takeMoments(): InputMoment[] {
    const taken = this.#moments;
    this.#moments = [];
    return taken;
  }

  #readPieces(all: Uint8Array): PstoreRecord[] {
    const records: PstoreRecord[] = [];
    for (const piece of cutPieces(all)) {
      const read = records.length < MAX_RECORDS ? readPstoreRecord(piece) : 'more records than a pstore can hold';
      if (typeof read === 'string') {
        this.#refuse(read, all, piece);
        continue;
      }
      // Without a name the order of the input is the only number a record has.
      records.push(read.backend === '' ? { ...read, id: BigInt(records.length) } : read);
      if (read.damagedBlocks > 0) {
        const noted = this.counts.malformed.get('blocks that ECC could not repair') ?? 0;
        this.counts.malformed.set('blocks that ECC could not repair', noted + read.damagedBlocks);
      }
    }
    return records;
  }

  /** Its bytes were counted as parsed when they came. */
  #refuse(reason: string, all: Uint8Array, { from, to }: Piece): void {
    this.counts.parsedBytes -= to - from;
    countMalformed(this.counts, reason, all, from, to, from);
  }

  #addBoot(boot: PstoreBoot, index: number, batch: LogBatch): void {
    const firstRow = batch.length;
    readPstoreBoot(boot, batch, firstRow);
    this.counts.records += batch.length - firstRow;
    if (index > 0 && batch.length > firstRow) {
      batch.flags[firstRow] = (batch.flags[firstRow] as number) | LOG_FLAG.bootMark;
    }
    for (const loss of boot.losses) {
      this.counts.lostUnknown++;
      this.#losses.add({ ...loss, boot: index });
    }
    if (boot.moment !== undefined) this.#moments.push({ boot: index, ...boot.moment });
  }
}

/** Adds the rows of one boot, numbered from `firstSequence`. */
export function readPstoreBoot({ text }: PstoreBoot, batch: LogBatch, firstSequence: number): void {
  openConsole({ firstSequence }).finish(text, batch);
}

/** Where a frame or a header stands, there begins a record; what is before the first one is one, too, and will be refused. */
function* cutPieces(all: Uint8Array): Generator<Piece> {
  let at = 0;
  while (at < all.length) {
    const frame = readPstoreFrame(all, at);
    if (frame === undefined) {
      const end = findNext(all, at);
      yield { name: '', bytes: all.subarray(at, end), modifiedUnixNs: undefined, from: at, to: end };
      at = end;
      continue;
    }
    const end = frame.sizeBytes === undefined ? findNext(all, frame.end, true) : Math.min(all.length, frame.end + frame.sizeBytes);
    yield { name: frame.name, bytes: all.subarray(frame.end, end), modifiedUnixNs: frame.modifiedUnixNs, from: frame.end, to: end };
    // packPstore and `tail` put an empty line between.
    at = all[end] === 10 ? end + 1 : end;
  }
}

/** The next line behind `from`'s first one that begins a record, or the end; inside a frame a header is the record's own. */
function findNext(all: Uint8Array, from: number, isFramed = false): number {
  for (let at = lineEnd(all, from) + 1; at < all.length; at = lineEnd(all, at) + 1) {
    if (all[at] === 0x3d ? readPstoreFrame(all, at) !== undefined : !isFramed && readPstoreHeader(all, at) !== undefined) return at;
  }
  return all.length;
}
