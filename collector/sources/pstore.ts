/**
 * Crash records of earlier boots of this kernel, from /sys/fs/pstore and from where systemd-pstore moves them. Each is handed on
 * once, as the log of the boot that died: of one in which a collector ran, under its own boot id and without what was
 * collected of it while it lived.
 *
 *   dmesg-* ──► boots ──┬─ a known one: what its kernel log did not bring ──► its incarnation
 *                       ├─ this one (an oops it survived): its kernel log has it
 *                       └─ any other ──► an incarnation named by the content of its oldest record
 *
 * Which crashes are done stands in the position of the stream, so it reaches the disk with the rows themselves.
 */
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { errnoOf, messageOf } from '../../base/errors.ts';
import { createLogger } from '../../base/log.ts';
import type { Gap } from '../../model/gap.ts';
import type { KernelIdentity } from '../../model/identity.ts';
import { LogBatch } from '../../model/log-batch.ts';
import type { Source, SourcePosition, SourceStatus } from '../../model/pipeline.ts';
import { NO_RAW_TIME, toPrintkNs, type UnixNs } from '../../model/time.ts';
import { readPstoreBoot } from '../../parsers/pstore.ts';
import { textBeyond, toPstoreBoots, type PstoreBoot, type PstoreCrash } from '../../parsers/pstore-boots.ts';
import { readPstoreRecord, type PstoreRecord } from '../../parsers/pstore-record.ts';
import type { KernelFeed, ReadKernel } from '../kernel-feed.ts';
import { findKnownBoot, type KnownBoot } from '../known-boots.ts';
import { listPstoreFiles, readPstoreFile, type FoundPstoreFile } from '../pstore-folder.ts';
import { SeenClock } from '../seen-clock.ts';

const STREAM = 'pstore';
/** Something may be mounted, moved or (pstore.update_ms) added while we run. */
const LOOK_MS = 60_000;
/** A record without a time of its own was there when we looked: its boot ended at some time before. */
const UNKNOWN_ERROR_NS = 30 * 86_400 * 1_000_000_000;
/** Names of crashes kept in the position, the newest. */
const MAX_DONE = 4096;
const NS_PER_MS = 1_000_000n;

const log = createLogger(STREAM);

export interface PstoreSourceOptions {
  readonly folders: readonly string[];
  /** Delete a crash's files once its rows are on our disk. */
  readonly remove: boolean;
  readonly identity: KernelIdentity;
  readonly knownBoots: readonly KnownBoot[];
  /** What was collected of a boot's kernel log: its last stamp, µs; undefined where nobody knows. */
  readonly collectedMicros: (bootId: string) => number | undefined;
  readonly now: () => UnixNs;
  /** Called when there is something to send for the first time. */
  readonly openFeed: () => KernelFeed;
}

interface Found {
  readonly record: PstoreRecord;
  readonly path: string;
}

export class PstoreSource implements Source {
  readonly id = STREAM;
  readonly #options: PstoreSourceOptions;
  #feed: KernelFeed | undefined;
  #identity: KernelIdentity | undefined;
  /** Crashes that were handed on, by the hash of their content. */
  readonly #done = new Set<string>();
  #rows = 0;
  #crashes = 0;
  #errors = 0;
  readonly #skipped = new Map<string, string>();
  #unreadable = '';
  #listing = '';
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #state: SourceStatus['state'] = 'stopped';

  constructor(options: PstoreSourceOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#state = 'running';
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
    await this.#look();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#state = 'stopped';
    await this.#looking;
  }

  status(): SourceStatus {
    const told = [this.#listing === '' ? 'no crash records of earlier boots' : `${this.#crashes} crash records handed on`];
    if (this.#unreadable !== '') told.push(this.#unreadable);
    for (const [path, reason] of [...this.#skipped].slice(0, 4)) told.push(`${path}: ${reason}`);
    return { state: this.#state, detail: told.join('; '), streams: [], errors: this.#errors };
  }

  kernels(): readonly ReadKernel[] {
    return this.#feed === undefined ? [] : [{ name: STREAM, identity: this.#identity, feed: this.#feed }];
  }

  /** Opens the feed though there may be nothing new: an earlier run may have left something to send. */
  openFeed(): void {
    if (this.#feed !== undefined) return;
    this.#feed = this.#options.openFeed();
    const position = this.#feed.resumePositions().get(STREAM);
    this.#rows = position?.sequence ?? 0;
    for (const key of Object.keys(position?.counts ?? {})) this.#done.add(key);
  }

  #look(): Promise<void> {
    this.#looking ??= this.#takeAll().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #takeAll(): Promise<void> {
    const paths = this.#options.folders.flatMap((folder) => this.#list(folder));
    const listing = paths.join('\n');
    if (listing === this.#listing) return;
    this.#listing = listing;
    const found = this.#read(paths);
    if (found.length === 0) return;
    this.openFeed();
    for (const boot of toPstoreBoots(found.map(({ record }) => record))) await this.#takeBoot(boot, found);
  }

  #list(folder: string): string[] {
    try {
      return listPstoreFiles(folder);
    } catch (error) {
      // No pstore and no systemd-pstore: most machines have one of them at most.
      if (errnoOf(error) !== 'ENOENT') this.#unreadable = `${folder} cannot be read (${errnoOf(error) ?? messageOf(error)})`;
      return [];
    }
  }

  /** Each record once, though it may lie in two folders. */
  #read(paths: readonly string[]): Found[] {
    const found = new Map<string, Found>();
    for (const path of paths) {
      const file = readPstoreFile(path);
      const record = typeof file === 'string' ? file : readPstoreRecord(file);
      if (typeof record === 'string') this.#noteSkipped(path, record);
      else found.set(hashOf([record.name, (file as FoundPstoreFile).bytes]), { record, path });
    }
    return [...found.values()];
  }

  #noteSkipped(path: string, reason: string): void {
    if (this.#skipped.has(path)) return;
    this.#skipped.set(path, reason);
    log.info('passed over', { path, reason });
  }

  async #takeBoot(boot: PstoreBoot, found: readonly Found[]): Promise<void> {
    const keys = new Map(boot.crashes.map((crash) => [crash, keyOf(crash)]));
    const isDone = (crash: PstoreCrash): boolean => this.#done.has(keys.get(crash) as string);
    const fresh = boot.crashes.filter((crash) => !isDone(crash));
    if (fresh.length === 0) return;
    const known = this.#findBoot(boot);
    const { identity, collectedMicros } = this.#options;
    if (known?.bootId === identity.bootId) return;
    const batch = new LogBatch();
    readPstoreBoot(
      { ...boot, text: textBeyond(boot, isDone, BigInt(collectedMicros(known?.bootId ?? '') ?? -1) * 1000n) },
      batch,
      this.#rows,
    );
    for (const crash of fresh) this.#done.add(keys.get(crash) as string);
    const isSafe = batch.length === 0 || (await this.#write(boot, batch, known, boot.crashes.some(isDone) ? [] : boot.losses));
    if (!isSafe) {
      this.#errors++;
      for (const crash of fresh) this.#done.delete(keys.get(crash) as string);
      return;
    }
    this.#crashes += fresh.length;
    if (this.#options.remove) this.#remove(fresh, found);
  }

  /** The boot of ours that it was, by when its clock began. */
  #findBoot({ moment, crashes }: PstoreBoot): KnownBoot | undefined {
    if (moment === undefined) return undefined;
    const zeroNs = (moment.unixLow + moment.unixHigh) / 2n - moment.raw;
    const runMs = Number((crashes.at(-1)?.lastRaw ?? 0n) / NS_PER_MS);
    return findKnownBoot(this.#options.knownBoots, Number(zeroNs / NS_PER_MS), runMs);
  }

  async #write(boot: PstoreBoot, batch: LogBatch, known: KnownBoot | undefined, losses: PstoreBoot['losses']): Promise<boolean> {
    const feed = this.#feed as KernelFeed;
    const nowNs = this.#options.now();
    const { moment } = boot;
    const lastRaw = boot.crashes.at(-1)?.lastRaw ?? 0n;
    const clockErrorNs = moment === undefined ? UNKNOWN_ERROR_NS : Number((moment.unixHigh - moment.unixLow) / 2n);
    const clock = new SeenClock(this.#options.now, clockErrorNs);
    // A clock that began at the middle of what is known, or so that it ended now.
    if (moment === undefined) clock.see(lastRaw, nowNs);
    else clock.see(moment.raw, (moment.unixLow + moment.unixHigh) / 2n);
    for (let row = 0; row < batch.length; row++) batch.observedTime.setBigint(row, nowNs);
    clock.alignLogs(batch);
    this.#identity = this.#toIdentity(boot, batch, known);
    feed.begin(this.#identity, clock);
    const toUnix = (raw: bigint): bigint => clock.toUnixNs(toPrintkNs(raw === NO_RAW_TIME ? lastRaw : raw));
    const gaps = losses.map(({ fromRaw, toRaw, reason }): Gap => ({
      stream: STREAM,
      cpu: -1,
      fromUnixNs: toUnix(fromRaw),
      toUnixNs: toUnix(toRaw),
      count: undefined,
      reason,
    }));
    if (gaps.length > 0) void feed.write({ kind: 'gaps', gaps });
    const rows = this.#rows + batch.length;
    const position: SourcePosition = { bootId: STREAM, sequence: rows, counts: this.#doneCounts() };
    const isSafe = await feed.write({ kind: 'logs', stream: STREAM, batch, clockErrorNs, position });
    if (!isSafe) return false;
    this.#rows = rows;
    feed.writeBooks([{ stream: STREAM, cpu: -1, written: undefined, read: batch.length, lost: 0 }]);
    log.info('the log of a boot that died', {
      boot: this.#identity.bootId,
      crashes: boot.crashes.map(({ reason, count }) => `${reason}#${count}`).join(' '),
      lines: batch.length,
    });
    return true;
  }

  #doneCounts(): Record<string, number> {
    return Object.fromEntries([...this.#done].slice(-MAX_DONE).map((key) => [key, 1]));
  }

  #toIdentity({ crashes }: PstoreBoot, batch: LogBatch, known: KnownBoot | undefined): KernelIdentity {
    const { identity } = this.#options;
    if (known !== undefined) return { ...identity, bootId: known.bootId, release: known.release };
    const key = hashOf([identity.machineId, String(identity.kernelId), ...crashes.slice(0, 1).map(keyOf)]);
    const bootId = `${key.slice(0, 8)}-${key.slice(8, 12)}-8${key.slice(13, 16)}-8${key.slice(17, 20)}-${key.slice(20, 32)}`;
    return { ...identity, bootId, release: releaseOf(batch) };
  }

  #remove(crashes: readonly PstoreCrash[], found: readonly Found[]): void {
    const records = new Set(crashes.flatMap(({ parts }) => parts));
    for (const { record, path } of found) {
      if (!records.has(record)) continue;
      try {
        rmSync(path);
      } catch (error) {
        this.#errors++;
        this.#unreadable = `${path} cannot be removed (${errnoOf(error) ?? messageOf(error)})`;
      }
    }
  }
}

function keyOf({ reason, count, parts }: PstoreCrash): string {
  return hashOf([reason, String(count), ...parts.map(({ text }) => text)]).slice(0, 24);
}

function hashOf(parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest('hex');
}

/** Of `Linux version`, where the record reaches back that far; else of the line that each oops and panic has. */
function releaseOf(batch: LogBatch): string {
  const patterns = [/^Linux version (\S{1,128})/, /^CPU: .* (\d+\.\d+\.\d\S{0,100}) #\d/];
  for (const pattern of patterns) {
    for (let row = 0; row < batch.length; row++) {
      const release = pattern.exec(batch.textOf(row))?.[1];
      if (release !== undefined) return release;
    }
  }
  return '';
}
