/**
 * One generation of the spool: a folder that takes appends until it is sealed, is then loaded into ClickHouse, and goes.
 *
 *   spool/1795430000123-9f3c21aa-000017/
 *     otel_logs.native     Native blocks; what lies beyond the length in the journal was never acknowledged
 *     events.native
 *     journal              base/record-log.ts; the first record {"stored":"1795…","marks":{…}}: the load's stamp, all origins taken before
 *                          each further one {"files":{"events":81234},"origin":{"stream":"…","sequence":7}}: one append
 *
 * An append writes its blocks, then one journal record with each file's new length: only that record commits. So a killed
 * process leaves whole appends only. Against a power cut nothing is forced to the disk; a file that came out shorter than
 * the journal says takes the journal back to the last append that is whole.
 */
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readdirSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs';
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { decodeUtf8, encodeUtf8 } from '../base/bytes.ts';
import { RecordLog } from '../base/record-log.ts';
import type { OriginMarks, Origins } from './origins.ts';
import type { BatchOrigin } from './store.ts';

const JOURNAL = 'journal';
const SUFFIX = '.native';

interface JournalRecord {
  /** Unix ns in decimal. */
  readonly stored?: string;
  readonly marks?: OriginMarks;
  readonly files?: Readonly<Record<string, number>>;
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

/** The system's clock may be set back: readers that follow the stamps must not miss what comes then. */
function nextStamp(): bigint {
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
  append(blocks: ReadonlyMap<string, Uint8Array>, origin: BatchOrigin | undefined): void {
    try {
      const lengths: Record<string, number> = {};
      for (const [table, file] of this.#files) lengths[table] = file.length;
      for (const [table, bytes] of blocks) lengths[table] = this.#write(table, bytes);
      this.#journal.append(encodeUtf8(JSON.stringify({ files: lengths, ...(origin === undefined ? {} : { origin }) })));
      for (const [table, length] of Object.entries(lengths)) (this.#files.get(table) as { length: number }).length = length;
    } catch (error) {
      for (const { fd, length } of this.#files.values()) ftruncateSync(fd, length);
      throw error;
    }
    for (const bytes of blocks.values()) this.sizeBytes += bytes.length;
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

  seal(): SealedGeneration {
    this.#journal.close();
    for (const { fd } of this.#files.values()) closeSync(fd);
    const { id, folder, sizeBytes } = this;
    return { id, folder, sizeBytes, sealedMs: Date.now(), cutBytes: 0, storedNs: this.#storedNs, isRecovered: false };
  }
}

/** Tables of a sealed generation that are still to be loaded. */
export function listTables(folder: string): { readonly table: string; readonly file: string }[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(SUFFIX))
    .sort()
    .map((name) => ({ table: name.slice(0, -SUFFIX.length), file: join(folder, name) }));
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
  for (const position of journal.recovered) {
    const record = JSON.parse(decodeUtf8(journal.read(position))) as JournalRecord;
    if (record.marks !== undefined) origins.load(record.marks);
    if (record.stored !== undefined) storedNs = BigInt(record.stored);
    if (record.files !== undefined) {
      if (!isWhole(folder, record.files)) break;
      lengths = record.files;
    }
    if (record.origin !== undefined) origins.add(record.origin, Date.now());
  }
  journal.close();
  let sizeBytes = 0;
  for (const { table, file } of listTables(folder)) {
    const length = lengths[table] ?? 0;
    const excess = statSync(file).size - length;
    cutBytes += excess;
    sizeBytes += length;
    if (length === 0) rmSync(file);
    else if (excess > 0) truncateSync(file, length);
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
