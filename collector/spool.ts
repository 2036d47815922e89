/**
 * The disk spool: what was read and is not yet acknowledged. Each lane (a queue with its own order) is a folder of record
 * logs; a file goes when all its records are acknowledged, or, oldest first, when the spool is at its bound.
 *
 *   <spool>/id                      names this spool for ever; `<id>-<lane>` is the stream of the batch headers
 *   <spool>/logs/000000000000.log   named for the first sequence number in it
 *   record payload: a SpoolHeader and its body (collector/headed-record.ts)
 *
 * After a crash the files are read back: whole records are sent again under the same (stream, seq), so that the receiver can
 * tell them from new ones; a torn tail was never promised to anybody. Not handled: loss of power before the page cache is
 * written (`fsync` costs 20 ms a batch here; the source still holds what is younger than its ring).
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { RecordLog, type RecordPosition } from '../base/record-log.ts';
import { ByteWriter } from '../base/bytes.ts';
import { OperationalError, errnoOf, isOperational, messageOf } from '../base/errors.ts';
import type { SourcePosition } from '../model/pipeline.ts';
import { splitHeaded, writeHeaded } from './headed-record.ts';

/** Lanes in the order in which they are given up when the spool is full: the severe records last. */
export const LANES = ['bulk', 'metrics', 'spans', 'logs', 'severe'] as const;
export type Lane = (typeof LANES)[number];

const MAX_FILE_BYTES = 16 << 20;
const MIN_FILE_BYTES = 64 << 10;

/** How much of which stream a record holds: for the books when it has to be dropped. */
export interface SpooledRows {
  readonly stream: string;
  readonly cpu: number;
  readonly count: number;
}

export interface SpoolHeader {
  readonly seq: number;
  readonly path: string;
  readonly contentType: string;
  readonly encoding: 'identity' | 'gzip' | 'zstd';
  readonly rows: readonly SpooledRows[];
  /** Window of the rows, Unix ns, as decimal text; equal ends where only one is known. */
  readonly fromUnixNs: string;
  readonly toUnixNs: string;
  /** Where each stream's source resumes once this record is safe. */
  readonly positions: Readonly<Record<string, SourcePosition>>;
  /** Hash of the format set that the pages of a segment need. */
  readonly formatSet?: string;
  /** Where it was kept before it was asked for (collector/recorder.ts). */
  readonly kept?: KeptPlace;
}

/** A record of a flight recorder. */
export interface KeptPlace {
  readonly recorder: string;
  readonly number: number;
}

interface SpoolFile {
  readonly log: RecordLog;
  /** Not acknowledged, oldest first. */
  readonly pending: { readonly seq: number; readonly position: RecordPosition }[];
}

export interface SpooledRecord {
  readonly lane: Lane;
  readonly header: SpoolHeader;
  readonly body: Uint8Array<ArrayBuffer>;
}

export interface SpoolDrop {
  readonly lane: Lane;
  readonly headers: readonly SpoolHeader[];
}

export class Spool {
  readonly id: string;
  readonly folder: string;
  readonly maxBytes: number;
  /** Bytes cut from torn files when the spool was opened. */
  readonly cutBytes: number;
  readonly #fileBytes: number;
  readonly #files = new Map<Lane, SpoolFile[]>();
  readonly #nextSeq = new Map<Lane, number>();
  readonly #lockPath: string;
  /** Reused for each record. */
  readonly #payload = new ByteWriter(64 << 10);
  #beforeRemove: () => void = () => {};

  private constructor(folder: string, maxBytes: number, id: string, lockPath: string) {
    this.folder = folder;
    this.maxBytes = maxBytes;
    this.id = id;
    this.#lockPath = lockPath;
    this.#fileBytes = Math.min(MAX_FILE_BYTES, Math.max(MIN_FILE_BYTES, Math.floor(maxBytes / 16)));
    let cutBytes = 0;
    for (const lane of LANES) cutBytes += this.#recover(lane);
    this.cutBytes = cutBytes;
  }

  /** Opens or makes the folder, for this process alone. */
  static open(folder: string, maxBytes: number): Spool {
    const lockPath = join(folder, 'lock');
    try {
      mkdirSync(folder, { recursive: true, mode: 0o750 });
      lock(lockPath);
      for (const lane of LANES) mkdirSync(join(folder, lane), { recursive: true, mode: 0o750 });
      const path = join(folder, 'id');
      if (!existsSync(path)) writeFileSync(path, randomUUID());
      return new Spool(folder, maxBytes, readFileSync(path, 'utf8').trim(), lockPath);
    } catch (error) {
      if (isOperational(error)) throw error;
      throw new OperationalError(
        'E_SPOOL',
        `the spool folder ${folder} cannot be used: ${messageOf(error)}`,
        'choose a writable folder for it, or fix its owner',
        error,
      );
    }
  }

  /** Called before a file of acknowledged records goes: their positions must be on disk elsewhere by then. */
  set beforeRemove(save: () => void) {
    this.#beforeRemove = save;
  }

  /** Never use a number below `seq` again. */
  reserveSeq(lane: Lane, seq: number): void {
    this.#nextSeq.set(lane, Math.max(this.nextSeq(lane), seq));
  }

  nextSeq(lane: Lane): number {
    return this.#nextSeq.get(lane) ?? 0;
  }

  streamOf(lane: Lane): string {
    return `${this.id}-${lane}`;
  }

  get sizeBytes(): number {
    let total = 0;
    for (const files of this.#files.values()) for (const file of files) total += file.log.sizeBytes;
    return total;
  }

  pendingRecords(lane: Lane): number {
    return this.#filesOf(lane).reduce((sum, file) => sum + file.pending.length, 0);
  }

  /** Number of the oldest record that waits; where none does, the next one's. */
  firstPending(lane: Lane): number {
    return this.#filesOf(lane).find(({ pending }) => pending.length > 0)?.pending[0]?.seq ?? this.nextSeq(lane);
  }

  /** Makes room for `count` bytes; what had to go is returned, for the books. */
  makeRoom(count: number): SpoolDrop[] {
    const drops: SpoolDrop[] = [];
    for (const lane of LANES) {
      while (this.sizeBytes + count > this.maxBytes && this.#filesOf(lane).length > 0) drops.push(this.#dropOldest(lane));
    }
    return drops;
  }

  /** Drops the oldest file of the least important lane that has one: what to do when the disk is full. */
  dropOldest(): SpoolDrop | undefined {
    const lane = LANES.find((name) => this.#filesOf(name).length > 0);
    return lane === undefined ? undefined : this.#dropOldest(lane);
  }

  /** Appends a record under the lane's next number; throws the system's error where the disk refuses. */
  append(lane: Lane, header: Omit<SpoolHeader, 'seq'>, body: Uint8Array): SpoolHeader {
    const full: SpoolHeader = { ...header, seq: this.nextSeq(lane) };
    const payload = this.#payload;
    payload.reset();
    writeHeaded(full, body, payload);
    const file = this.#fileFor(lane, full.seq, payload.length);
    const position = file.log.append(payload.view());
    file.pending.push({ seq: full.seq, position });
    this.#nextSeq.set(lane, full.seq + 1);
    return full;
  }

  /** The oldest record that is not acknowledged. */
  peek(lane: Lane): SpooledRecord | undefined {
    for (const file of this.#filesOf(lane)) {
      const first = file.pending[0];
      if (first !== undefined) return { lane, ...splitHeaded<SpoolHeader>(file.log.read(first.position)) };
    }
    return undefined;
  }

  /** Forgets a record that the receiver has; returns false when it was already dropped. */
  acknowledge(lane: Lane, seq: number): boolean {
    const files = this.#filesOf(lane);
    const file = files.find((candidate) => candidate.pending[0]?.seq === seq);
    if (file === undefined) return false;
    file.pending.shift();
    // The newest file stays open for appending until it is full.
    if (file.pending.length === 0 && (files.length > 1 || file.log.sizeBytes >= this.#fileBytes / 4)) {
      this.#beforeRemove();
      this.#remove(lane, file);
    }
    return true;
  }

  /** Forgets what the checkpoint of an earlier run says is acknowledged. */
  acknowledgeThrough(lane: Lane, seq: number): void {
    for (const file of this.#filesOf(lane).slice()) {
      while (file.pending[0] !== undefined && file.pending[0].seq <= seq) file.pending.shift();
      if (file.pending.length === 0) this.#remove(lane, file);
    }
    this.reserveSeq(lane, seq + 1);
  }

  /** Headers of all records that wait, oldest first per lane. */
  *headers(): Generator<SpoolHeader> {
    for (const lane of LANES) {
      for (const file of this.#filesOf(lane)) {
        for (const { position } of file.pending) yield splitHeaded<SpoolHeader>(file.log.read(position)).header;
      }
    }
  }

  close(): void {
    for (const lane of LANES) {
      for (const file of this.#filesOf(lane).slice()) {
        if (file.pending.length === 0) this.#remove(lane, file);
        else file.log.close();
      }
    }
    this.#files.clear();
    rmSync(this.#lockPath, { force: true });
  }

  #filesOf(lane: Lane): SpoolFile[] {
    const known = this.#files.get(lane);
    if (known !== undefined) return known;
    const files: SpoolFile[] = [];
    this.#files.set(lane, files);
    return files;
  }

  #fileFor(lane: Lane, seq: number, payloadBytes: number): SpoolFile {
    const files = this.#filesOf(lane);
    const last = files.at(-1);
    if (last !== undefined && last.log.sizeBytes + payloadBytes <= this.#fileBytes) return last;
    const file: SpoolFile = { log: RecordLog.open(join(this.folder, lane, `${String(seq).padStart(12, '0')}.log`)), pending: [] };
    files.push(file);
    if (last !== undefined && last.pending.length === 0) {
      this.#beforeRemove();
      this.#remove(lane, last);
    }
    return file;
  }

  #dropOldest(lane: Lane): SpoolDrop {
    const file = this.#filesOf(lane)[0] as SpoolFile;
    const headers = file.pending.map(({ position }) => splitHeaded<SpoolHeader>(file.log.read(position)).header);
    this.#remove(lane, file);
    return { lane, headers };
  }

  #remove(lane: Lane, file: SpoolFile): void {
    const files = this.#filesOf(lane);
    files.splice(files.indexOf(file), 1);
    file.log.close();
    // Somebody may have emptied the folder under us: then it is gone as it should be.
    rmSync(file.log.path, { force: true });
  }

  /** Reads a lane back; returns the bytes that a crash had torn. */
  #recover(lane: Lane): number {
    const folder = join(this.folder, lane);
    let cutBytes = 0;
    for (const name of readdirSync(folder)
      .filter((file) => file.endsWith('.log'))
      .sort()) {
      const path = join(folder, name);
      if (!statSync(path).isFile()) continue;
      const log = RecordLog.open(path);
      cutBytes += log.cutBytes;
      const file: SpoolFile = { log, pending: [] };
      let next = Number(name.slice(0, -4));
      for (const position of log.recovered) {
        const { header } = splitHeaded<SpoolHeader>(log.read(position));
        file.pending.push({ seq: header.seq, position });
        next = header.seq + 1;
      }
      this.reserveSeq(lane, next);
      this.#filesOf(lane).push(file);
    }
    return cutBytes;
  }
}

/** One process per spool: a lock file with the owner's pid and start time, so that neither a crash nor a reused pid keeps it. */
function lock(path: string): void {
  const owner = existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
  const [pid = '', started = ''] = owner.split(' ');
  if (pid !== '' && pid !== String(process.pid) && startOf(pid) === started) {
    throw new OperationalError(
      'E_SPOOL',
      `the spool ${path} belongs to the running process ${pid}`,
      'stop that collector, or choose another spool folder',
    );
  }
  writeFileSync(path, `${process.pid} ${startOf(String(process.pid))}`);
}

/** Start time of a process in clock ticks since boot; `gone` where there is none. */
function startOf(pid: string): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The command may hold spaces and brackets: fields count from the last bracket on.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? 'gone';
  } catch {
    return 'gone';
  }
}

/** True for the system errors that mean the disk has no room. */
export function isDiskFull(error: unknown): boolean {
  return errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT';
}
