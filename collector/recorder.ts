/**
 * The flight recorder: trace segments that are kept on disk, and sent only when somebody asks for their time. A ring of files,
 * bounded in bytes; the oldest file goes. It outlives its process, killed or not, and the boot that it recorded.
 *
 *   <spool>/recorder/id                  names it for ever
 *   <spool>/recorder/000000000042.log    records 42, 43, …: a KeptHeader and the segment, compressed (collector/headed-record.ts)
 *   <spool>/recorder/000000000042.sent   which of them were handed to the spool: u32 LE each, counted from the file's first
 *   <spool>/recorder/overwritten.json    {"before":42,"counts":[…]}: what fell out unsent; files below `before` are counted
 *
 * A record is sent once, whoever asks for it how often. Its window begins with the first event of its pages and ends when it was
 * cut, so it may be wider than its events, never narrower. Not handled: loss of power before the page cache is written.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ByteWriter } from '../base/bytes.ts';
import { OperationalError, messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { SourcePosition } from '../model/pipeline.ts';
import { splitHeaded, writeHeaded, type HeadedRecord } from './headed-record.ts';
import { KeptFile } from './kept-file.ts';
import { isDiskFull, type SpoolHeader } from './spool.ts';

const MAX_FILE_BYTES = 16 << 20;
const MIN_FILE_BYTES = 64 << 10;
/** Streams and CPUs, of all boots, whose books are kept: those without a record go first. */
const MAX_COUNTS = 4_096;
const NS_PER_MS = 1_000_000n;

const log = createLogger('recorder');

/** What the spool's record will be, and whose it is. */
export type KeptHeader = Omit<SpoolHeader, 'seq' | 'kept'> & { readonly identity: KernelIdentity };

/** Books of one stream and CPU of one boot. */
export interface KeptCounts {
  readonly identity: KernelIdentity;
  readonly stream: string;
  readonly cpu: number;
  /** Events that are here and were not sent. */
  kept: number;
  /** Events that fell out unsent, ever. */
  overwritten: number;
}

/** A record, while its file is there. */
export interface KeptRef {
  readonly number: number;
  readonly file: KeptFile;
  readonly index: number;
}

interface OverwrittenFile {
  readonly before: number;
  readonly counts: readonly KeptCounts[];
}

export class Recorder {
  readonly id: string;
  readonly maxBytes: number;
  readonly #folder: string;
  readonly #fileBytes: number;
  readonly #files: KeptFile[] = [];
  readonly #counts = new Map<string, KeptCounts>();
  readonly #positions = new Map<string, SourcePosition>();
  readonly #payload = new ByteWriter(64 << 10);
  #next = 0;
  /** Files below are counted as overwritten. */
  #before = 0;
  #identity: KernelIdentity | undefined;

  private constructor(folder: string, maxBytes: number, id: string) {
    this.#folder = folder;
    this.maxBytes = maxBytes;
    this.id = id;
    this.#fileBytes = Math.min(MAX_FILE_BYTES, Math.max(MIN_FILE_BYTES, Math.floor(maxBytes / 16)));
    this.#recoverCounts();
    this.#recoverFiles();
  }

  /** Opens or makes the folder, which lies in a locked spool. Throws OperationalError E_SPOOL. */
  static open(folder: string, maxBytes: number): Recorder {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o750 });
      const path = join(folder, 'id');
      if (!existsSync(path)) writeFileSync(path, randomUUID());
      return new Recorder(folder, maxBytes, readFileSync(path, 'utf8').trim());
    } catch (error) {
      throw new OperationalError(
        'E_SPOOL',
        `the flight recorder ${folder} cannot be used: ${messageOf(error)}`,
        'fix its owner, or remove the folder to begin anew',
        error,
      );
    }
  }

  get sizeBytes(): number {
    return this.#files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  /** Unix ms of the earliest event that may be here; undefined = it is empty. */
  get sinceMs(): number | undefined {
    const [oldest] = this.#files;
    if (oldest === undefined || oldest.length === 0) return undefined;
    // Pages of a quiet CPU reach back: the first record of the oldest file need not begin first, but all after it is here.
    return oldest.toMs(0);
  }

  /** Whose records it has: of the newest. */
  get identity(): KernelIdentity | undefined {
    return this.#identity;
  }

  get counts(): Iterable<KeptCounts> {
    return this.#counts.values();
  }

  /** Where the source of each stream goes on, as of its newest record. */
  get positions(): ReadonlyMap<string, SourcePosition> {
    return this.#positions;
  }

  /** Keeps a record; false = the disk has no room for it, whatever falls out. */
  keep(header: KeptHeader, body: Uint8Array): boolean {
    const payload = this.#payload;
    payload.reset();
    writeHeaded(header, body, payload);
    while (this.#files.length > 1 && this.sizeBytes + payload.length > this.maxBytes) this.#overwriteOldest();
    for (;;) {
      try {
        const file = this.#fileFor(payload.length);
        file.note(...toEntry(header), file.log.append(payload.view()));
        this.#next++;
        this.#noteHeader(header);
        for (const { stream, cpu, count } of header.rows) this.#countsOf(header.identity, stream, cpu).kept += count;
        return true;
      } catch (error) {
        if (!isDiskFull(error)) throw error;
        if (this.#files.length <= 1) return false;
        this.#overwriteOldest();
      }
    }
  }

  /** Records whose window touches that one, oldest first. */
  *window(fromMs: number, toMs: number): Generator<KeptRef> {
    for (const file of this.#files) {
      for (let index = 0; index < file.length; index++) {
        if (file.fromMs(index) <= toMs && file.toMs(index) >= fromMs) yield { number: file.first + index, file, index };
      }
    }
  }

  read({ file, index }: KeptRef): HeadedRecord<KeptHeader> {
    return splitHeaded<KeptHeader>(file.read(index));
  }

  isSent({ file, index }: KeptRef): boolean {
    return file.isSent(index);
  }

  /** It lies in the spool, and is never sent from here again. */
  markSent({ file, index }: KeptRef, { identity, rows }: KeptHeader): void {
    if (file.isSent(index)) return;
    file.mark(index);
    for (const { stream, cpu, count } of rows) this.#countsOf(identity, stream, cpu).kept -= count;
  }

  /** The record of that number; undefined when it is not here any more. */
  find(number: number): KeptRef | undefined {
    const file = this.#files.findLast(({ first }) => first <= number);
    const index = number - (file?.first ?? 0);
    return file === undefined || index >= file.length ? undefined : { number, file, index };
  }

  close(): void {
    for (const file of this.#files.splice(0)) file.close();
  }

  #fileFor(payloadBytes: number): KeptFile {
    const last = this.#files.at(-1);
    if (last !== undefined && last.log.sizeBytes + payloadBytes <= this.#fileBytes) return last;
    const file = KeptFile.open(join(this.#folder, `${String(this.#next).padStart(12, '0')}.log`), this.#next);
    this.#files.push(file);
    return file;
  }

  /** Counted on disk before the file goes: a process that is killed in between counts it once. */
  #overwriteOldest(): void {
    const [file, second] = this.#files;
    if (file === undefined || second === undefined) return;
    for (let index = 0; index < file.length; index++) {
      if (file.isSent(index)) continue;
      const { header } = splitHeaded<KeptHeader>(file.read(index));
      for (const { stream, cpu, count } of header.rows) {
        const counts = this.#countsOf(header.identity, stream, cpu);
        counts.kept -= count;
        counts.overwritten += count;
      }
    }
    this.#before = second.first;
    this.#saveCounts();
    this.#files.shift();
    file.remove();
  }

  #countsOf(identity: KernelIdentity, stream: string, cpu: number): KeptCounts {
    const key = `${identity.bootId}\n${stream}\n${cpu}`;
    const known = this.#counts.get(key);
    if (known !== undefined) return known;
    const made: KeptCounts = { identity, stream, cpu, kept: 0, overwritten: 0 };
    this.#counts.set(key, made);
    if (this.#counts.size > MAX_COUNTS) {
      for (const [other, { kept }] of this.#counts) {
        if (kept > 0 || other === key) continue;
        this.#counts.delete(other);
        break;
      }
    }
    return made;
  }

  #noteHeader({ identity, positions }: KeptHeader): void {
    this.#identity = identity;
    for (const [stream, position] of Object.entries(positions)) this.#positions.set(stream, position);
  }

  #saveCounts(): void {
    const path = join(this.#folder, 'overwritten.json');
    const content: OverwrittenFile = { before: this.#before, counts: [...this.#counts.values()].filter((one) => one.overwritten > 0) };
    try {
      writeFileSync(`${path}.new`, JSON.stringify(content), { mode: 0o640 });
      renameSync(`${path}.new`, path);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      // Room is about to be made: the next file that goes is counted with this one.
      log.warn('what fell out of the flight recorder is not written down yet', { path, error: messageOf(error) });
    }
  }

  #recoverCounts(): void {
    const path = join(this.#folder, 'overwritten.json');
    if (!existsSync(path)) return;
    try {
      const { before, counts } = JSON.parse(readFileSync(path, 'utf8')) as OverwrittenFile;
      for (const { identity, stream, cpu, overwritten } of counts) this.#countsOf(identity, stream, cpu).overwritten = overwritten;
      this.#before = before;
    } catch (error) {
      // A power cut can leave it empty. The ledger shows what is not counted any more as missing.
      log.warn('what fell out of the flight recorder is not known any more', { path, error: messageOf(error) });
    }
  }

  #recoverFiles(): void {
    const names = readdirSync(this.#folder).filter((name) => /^\d{12}\.log$/.test(name));
    for (const name of names.sort()) {
      const file = KeptFile.open(join(this.#folder, name), Number(name.slice(0, -4)));
      if (file.first < this.#before) {
        file.remove();
        continue;
      }
      const headers = file.log.recovered.map((position) => {
        const { header } = splitHeaded<KeptHeader>(file.log.read(position));
        file.note(...toEntry(header), position);
        this.#noteHeader(header);
        return header;
      });
      file.recoverMarks();
      for (const [index, { identity, rows }] of headers.entries()) {
        if (file.isSent(index)) continue;
        for (const { stream, cpu, count } of rows) this.#countsOf(identity, stream, cpu).kept += count;
      }
      this.#files.push(file);
      this.#next = file.first + file.length;
    }
    this.#next = Math.max(this.#next, this.#before);
  }
}

function toEntry({ fromUnixNs, toUnixNs, rows }: KeptHeader): [fromMs: number, toMs: number, events: number] {
  const events = rows.reduce((sum, { count }) => sum + count, 0);
  return [Number(BigInt(fromUnixNs) / NS_PER_MS), Number(BigInt(toUnixNs) / NS_PER_MS) + 1, events];
}
