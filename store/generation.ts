/**
 * One generation of the spool: a folder that takes appends until it is sealed, is then loaded into ClickHouse, and goes.
 *
 *   spool/1795430000123-9f3c21aa-000017/
 *     otel_logs.native     Native blocks; what lies beyond the length in the journal was never acknowledged
 *     events.native
 *     events.20261126.1795….part/  rows in the form of the store's own files, with a stamp of their own (part-writer.ts)
 *     journal              base/record-log.ts; the first record {"stored":"1795…","marks":{…}}: the load's stamp, all origins taken before
 *                          each further one {"files":{"events":81234},"parts":{"events.20261126.1795….part":41234},"origin":{"stream":"…","sequence":7}}:
 *                          one append; bytes of all the files so far, and of its own parts
 *
 * An append writes its blocks, then one journal record with each file's new length: only that record commits. So a killed
 * process leaves whole appends only. Against a power cut nothing is forced to the disk; a file that came out shorter than
 * the journal says takes the journal back to the last append that is whole.
 */
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { randomInt } from 'node:crypto';
import { basename, join } from 'node:path';
import { decodeUtf8, encodeUtf8 } from '../base/bytes.ts';
import { RecordLog } from '../base/record-log.ts';
import type { OriginMarks, Origins } from './origins.ts';
import type { BatchOrigin } from './store.ts';

const JOURNAL = 'journal';
const SUFFIX = '.native';
/** Table, partition, stamp. */
const PART_FOLDER = /^(\w+)\.(\w+)\.(\d+)\.part$/;

interface JournalRecord {
  /** Unix ns in decimal. */
  readonly stored?: string;
  readonly marks?: OriginMarks;
  readonly files?: Readonly<Record<string, number>>;
  readonly parts?: Readonly<Record<string, number>>;
  readonly origin?: BatchOrigin;
}

/** A generation that takes no more appends. */
export interface SealedGeneration {
  readonly id: string;
  readonly folder: string;
  readonly sizeBytes: number;
  readonly sealedMs: number;
  /** Bytes that a crash had left behind the last whole append. */
  readonly cutBytes: number;
  /** Stamp of all its rows, Unix ns; unlike any other's. */
  readonly storedNs: bigint;
  /** An earlier process may have loaded some of it. */
  readonly isRecovered: boolean;
}

let lastStamp = 0n;

/** Rows as a part of their table: its files by name. */
export interface SpoolPart {
  readonly table: string;
  /** Id of the partition that all its rows are of. */
  readonly partition: string;
  /** Stamp of its rows (`nextStamp`). */
  readonly storedNs: bigint;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** The system's clock may be set back: readers that follow the stamps must not miss what comes then. */
export function nextStamp(): bigint {
  const now = BigInt(Date.now()) * 1_000_000n + BigInt(randomInt(1_000_000));
  lastStamp = now > lastStamp ? now : lastStamp + 1_000_000n;
  return lastStamp;
}

export class OpenGeneration {
  readonly id: string;
  readonly folder: string;
  sizeBytes = 0;
  /** When the first append came, Unix ms; 0 = none yet. */
  firstAppendMs = 0;
  /** The time of its start, and below the millisecond a random number: no two generations share it, and later ones have later stamps. */
  readonly #storedNs = nextStamp();
  readonly #journal: RecordLog;
  readonly #files = new Map<string, { readonly fd: number; length: number }>();

  constructor(root: string, id: string, marks: OriginMarks) {
    this.id = id;
    this.folder = join(root, id);
    mkdirSync(this.folder, { recursive: true });
    this.#journal = RecordLog.open(join(this.folder, JOURNAL));
    this.#journal.append(encodeUtf8(JSON.stringify({ stored: String(this.#storedNs), marks } satisfies JournalRecord)));
  }

  /** Writes the blocks of all tables and commits them; on failure (disk full) nothing of them stays, and the error is thrown. */
  append(blocks: ReadonlyMap<string, Uint8Array>, origin: BatchOrigin | undefined, parts: readonly SpoolPart[] = []): void {
    const partBytes: Record<string, number> = {};
    try {
      const lengths: Record<string, number> = {};
      for (const [table, file] of this.#files) lengths[table] = file.length;
      for (const [table, bytes] of blocks) lengths[table] = this.#write(table, bytes);
      for (const part of parts) partBytes[nameOf(part)] = this.#writePart(part);
      const record: JournalRecord = {
        files: lengths,
        ...(parts.length === 0 ? {} : { parts: partBytes }),
        ...(origin === undefined ? {} : { origin }),
      };
      this.#journal.append(encodeUtf8(JSON.stringify(record)));
      for (const [table, length] of Object.entries(lengths)) (this.#files.get(table) as { length: number }).length = length;
    } catch (error) {
      for (const { fd, length } of this.#files.values()) ftruncateSync(fd, length);
      for (const part of parts) rmSync(join(this.folder, nameOf(part)), { recursive: true, force: true });
      throw error;
    }
    for (const bytes of blocks.values()) this.sizeBytes += bytes.length;
    for (const bytes of Object.values(partBytes)) this.sizeBytes += bytes;
    if (this.firstAppendMs === 0) this.firstAppendMs = Date.now();
  }

  #write(table: string, bytes: Uint8Array): number {
    let file = this.#files.get(table);
    if (file === undefined) {
      file = { fd: openSync(join(this.folder, table + SUFFIX), 'w', 0o640), length: 0 };
      this.#files.set(table, file);
    }
    let done = 0;
    while (done < bytes.length) done += writeSync(file.fd, bytes, done, bytes.length - done, file.length + done);
    return file.length + bytes.length;
  }

  /** Bytes of its files. */
  #writePart(part: SpoolPart): number {
    const folder = join(this.folder, nameOf(part));
    mkdirSync(folder);
    let sizeBytes = 0;
    for (const [name, bytes] of part.files) {
      writeFileSync(join(folder, name), bytes, { mode: 0o640 });
      sizeBytes += bytes.length;
    }
    return sizeBytes;
  }

  seal(): SealedGeneration {
    this.#journal.close();
    for (const { fd } of this.#files.values()) closeSync(fd);
    const { id, folder, sizeBytes } = this;
    return { id, folder, sizeBytes, sealedMs: Date.now(), cutBytes: 0, storedNs: this.#storedNs, isRecovered: false };
  }
}

function nameOf({ table, partition, storedNs }: SpoolPart): string {
  return `${table}.${partition}.${storedNs}.part`;
}

/** A file of Native blocks, or the folder of a part. */
export interface SpoolEntry {
  readonly table: string;
  readonly file: string;
  readonly part: { readonly partition: string; readonly storedNs: bigint } | undefined;
}

/** What of a sealed generation is still to be loaded. */
export function listEntries(folder: string): SpoolEntry[] {
  return readdirSync(folder)
    .sort()
    .flatMap((name): SpoolEntry[] => {
      const file = join(folder, name);
      if (name.endsWith(SUFFIX)) return [{ table: name.slice(0, -SUFFIX.length), file, part: undefined }];
      const [, table, partition, stamp] = PART_FOLDER.exec(name) ?? [];
      if (table === undefined || partition === undefined || stamp === undefined) return [];
      return [{ table, file, part: { partition, storedNs: BigInt(stamp) } }];
    });
}

/** The generations that an earlier process left, oldest first, cut back to what was committed; their origins are taken over. */
export function recoverGenerations(root: string, origins: Origins): SealedGeneration[] {
  const names = readdirSync(root)
    .filter((name) => /^\d{13}-[0-9a-f]{8}-\d{6,}$/.test(name))
    .sort();
  return names.map((name) => recover(root, name, origins));
}

function recover(root: string, id: string, origins: Origins): SealedGeneration {
  const folder = join(root, id);
  const journal = RecordLog.open(join(folder, JOURNAL));
  let cutBytes = journal.cutBytes;
  let storedNs = 0n;
  let lengths: Readonly<Record<string, number>> = {};
  const parts: Record<string, number> = {};
  for (const position of journal.recovered) {
    const record = JSON.parse(decodeUtf8(journal.read(position))) as JournalRecord;
    if (record.marks !== undefined) origins.load(record.marks);
    if (record.stored !== undefined) storedNs = BigInt(record.stored);
    if (record.files !== undefined) {
      if (!isWhole(folder, record.files) || !hasParts(folder, record.parts ?? {})) break;
      lengths = record.files;
      Object.assign(parts, record.parts);
    }
    if (record.origin !== undefined) origins.add(record.origin, Date.now());
  }
  journal.close();
  let sizeBytes = 0;
  for (const { table, file, part } of listEntries(folder)) {
    const length = (part === undefined ? lengths[table] : parts[basename(file)]) ?? 0;
    const excess = (part === undefined ? statSync(file).size : bytesIn(file)) - length;
    cutBytes += excess;
    sizeBytes += length;
    if (length === 0) rmSync(file, { recursive: true });
    else if (excess > 0 && part === undefined) truncateSync(file, length);
  }
  return { id, folder, sizeBytes, sealedMs: Date.now(), cutBytes, storedNs, isRecovered: true };
}

/** A file that is missing has been loaded already; one that is too short lost its end in a power cut. */
function isWhole(folder: string, files: Readonly<Record<string, number>>): boolean {
  return Object.entries(files).every(([table, length]) => {
    const file = join(folder, table + SUFFIX);
    return !existsSync(file) || statSync(file).size >= length;
  });
}

/** A part that is missing has been attached already; of one that is too short a power cut took the end. */
function hasParts(folder: string, parts: Readonly<Record<string, number>>): boolean {
  return Object.entries(parts).every(([name, bytes]) => {
    const part = join(folder, name);
    return !existsSync(part) || bytesIn(part) >= bytes;
  });
}

function bytesIn(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}
