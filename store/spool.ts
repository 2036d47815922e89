/**
 * The disk between the hub and ClickHouse: appends go to the open generation, sealed ones are loaded in order, each exactly
 * once: all rows of a generation carry a stamp that no other has (docs/decisions/003-exactly-once.md).
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { errnoOf, messageOf, OperationalError } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { listEntries, OpenGeneration, recoverGenerations, type SealedGeneration, type SpoolEntry, type SpoolPart } from './generation.ts';
import { Origins } from './origins.ts';
import type { BatchOrigin } from './store.ts';

export interface SpoolOptions {
  readonly folder: string;
  /** Appends are refused while more than this waits to be loaded. */
  readonly maxBytes: number;
  /** An idle loader takes the open generation at this age … */
  readonly sealAfterMs: number;
  /** … or size. */
  readonly sealAtBytes: number;
}

/** What is to be loaded into a table. */
export interface SpoolLoad extends Pick<SpoolEntry, 'table' | 'file'> {
  /** Id of the partition of a part; undefined for a file of Native blocks. */
  readonly partition: string | undefined;
  /** Unlike any other's, and the same on every try. */
  readonly name: string;
  /** Stamp of the rows, Unix ns. */
  readonly storedNs: bigint;
  /** An earlier try may have loaded some of it. */
  readonly again: boolean;
}

export type LoadTable = (load: SpoolLoad) => Promise<void>;

interface Waiter {
  /** Number of the last generation that has to be loaded. */
  readonly upTo: number;
  /** Nothing after that is loaded until it lets go. */
  readonly holds: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 15_000;
/** Tries of a file that ClickHouse calls malformed, before it is set aside. */
const MALFORMED_TRIES = 3;
/** ClickHouse error codes that say the file is wrong, not the world: trying again can't help. */
const MALFORMED_CODES = new Set(['6', '10', '16', '27', '32', '33', '50', '53', '70', '117', '128', '131', '349']);
const log = createLogger('spool');

export class Spool {
  readonly #options: SpoolOptions;
  readonly #load: LoadTable;
  readonly #origins = new Origins();
  readonly #id: string;
  #count = 0;
  #open: OpenGeneration;
  readonly #sealed: { readonly number: number; readonly generation: SealedGeneration }[] = [];
  #sealedBytes = 0;
  /** Generations that were ever queued. */
  #queued = 0;
  #loading: Promise<void> | undefined;
  #waiters: Waiter[] = [];
  #wake: (() => void) | undefined;
  #holders = 0;
  #letGo: (() => void) | undefined;
  #closed = false;
  #tries = 0;
  readonly #timer: NodeJS.Timeout;
  /** Last error of a load or write; empty while all is well. */
  lastError = '';
  /** Bytes behind the last whole append that a crash had left. */
  readonly cutBytes: number;
  /** Bytes of files that ClickHouse could not read, kept in `rejected/`. */
  rejectedBytes = 0;

  constructor(options: SpoolOptions, load: LoadTable) {
    this.#options = options;
    this.#load = load;
    this.#id = `${String(Date.now()).padStart(13, '0')}-${randomBytes(4).toString('hex')}`;
    mkdirSync(options.folder, { recursive: true });
    const left = recoverGenerations(options.folder, this.#origins);
    this.cutBytes = left.reduce((sum, generation) => sum + generation.cutBytes, 0);
    if (this.cutBytes > 0) log.warn('cut an append that was never acknowledged', { bytes: this.cutBytes });
    // The new journal holds what the old ones knew before any of them goes.
    this.#open = this.#create();
    for (const generation of left) this.#enqueue(generation);
    this.#timer = setInterval(() => this.#sealWhenDue(), Math.max(20, options.sealAfterMs / 4));
    this.#timer.unref();
  }

  get pendingBytes(): number {
    return this.#sealedBytes + this.#open.sizeBytes;
  }

  get pendingFiles(): number {
    return this.#sealed.length + (this.#open.sizeBytes > 0 ? 1 : 0);
  }

  get oldestPendingMs(): number {
    const first = this.#sealed[0]?.generation.sealedMs ?? this.#open.firstAppendMs;
    return first === 0 ? 0 : Date.now() - first;
  }

  get isFailing(): boolean {
    return this.#tries > 0;
  }

  /** True when a batch of this origin was taken before. */
  has(origin: BatchOrigin): boolean {
    return this.#origins.has(origin);
  }

  /** Takes the blocks of a batch, all or none; they survive a killed process from here on. */
  append(blocks: ReadonlyMap<string, Uint8Array>, origin: BatchOrigin | undefined, parts: readonly SpoolPart[] = []): void {
    if (this.pendingBytes > this.#options.maxBytes) {
      throw new OperationalError(
        'E_STORE_BUSY',
        `${this.pendingBytes} bytes wait to be loaded, over the bound of ${this.#options.maxBytes}${this.lastError && `: ${this.lastError}`}`,
        'send it again later; the sender keeps it',
      );
    }
    try {
      this.#open.append(blocks, origin, parts);
    } catch (error) {
      throw toWriteError(this.#options.folder, error);
    }
    if (origin !== undefined) this.#origins.add(origin, Date.now());
    if (this.#open.sizeBytes >= this.#options.sealAtBytes) this.#sealWhenDue();
  }

  /** Loads all that was appended up to now; throws when a load fails (the data stays, and is tried again). */
  async flush(): Promise<void> {
    await this.#loadUpToNow(false);
  }

  /** As `flush`, and loads nothing that is appended after the call until the returned function is called, once. */
  async flushAndHold(): Promise<() => void> {
    await this.#loadUpToNow(true);
    return () => {
      this.#holders--;
      if (this.#holders === 0) this.#letGo?.();
    };
  }

  async #loadUpToNow(holds: boolean): Promise<void> {
    if (this.#open.sizeBytes > 0) this.#seal();
    const last = this.#sealed.at(-1);
    if (last === undefined) {
      if (holds) this.#holders++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      this.#waiters.push({ upTo: last.number, holds, resolve, reject });
      this.#wake?.();
    });
  }

  /** Loads what it can and stops. What could not be loaded stays on the disk for the next start. */
  async close(): Promise<void> {
    if (this.#closed) return;
    clearInterval(this.#timer);
    try {
      await this.flush();
    } catch (error) {
      log.warn('some of the spool could not be loaded and waits for the next start', { error: messageOf(error) });
    }
    this.#closed = true;
    this.#wake?.();
    await this.#loading;
    this.#open.seal();
  }

  #create(): OpenGeneration {
    const id = `${this.#id}-${String(this.#count++).padStart(6, '0')}`;
    try {
      return new OpenGeneration(this.#options.folder, id, this.#origins.toMarks(Date.now()));
    } catch (error) {
      throw toWriteError(this.#options.folder, error);
    }
  }

  #sealWhenDue(): void {
    const { sizeBytes, firstAppendMs } = this.#open;
    if (sizeBytes === 0 || this.#loading !== undefined) return;
    if (sizeBytes < this.#options.sealAtBytes && Date.now() - firstAppendMs < this.#options.sealAfterMs) return;
    try {
      this.#seal();
    } catch (error) {
      // No room for a new generation: the open one goes on as long as it can.
      this.lastError = messageOf(error);
    }
  }

  #seal(): void {
    const next = this.#create();
    const generation = this.#open.seal();
    this.#open = next;
    this.#enqueue(generation);
  }

  #enqueue(generation: SealedGeneration): void {
    this.#sealed.push({ number: ++this.#queued, generation });
    this.#sealedBytes += generation.sizeBytes;
    this.#loading ??= this.#loadAll();
  }

  async #loadAll(): Promise<void> {
    // Let the caller finish its append first: the constructor's caller has no engine to load into before it returns.
    await Promise.resolve();
    for (let head = this.#sealed[0]; head !== undefined && !this.#closed; head = this.#sealed[0]) {
      while (this.#holders > 0) await new Promise<void>((resolve) => (this.#letGo = resolve));
      try {
        await this.#loadGeneration(head.generation);
      } catch (error) {
        await this.#failed(error);
        continue;
      }
      this.#sealed.shift();
      this.#sealedBytes -= head.generation.sizeBytes;
      this.#succeeded(head.number);
    }
    // In one step with the last look at the queue: who enqueues next starts a new run.
    this.#loading = undefined;
  }

  #succeeded(number: number): void {
    this.#tries = 0;
    this.lastError = '';
    for (const { upTo, holds, resolve } of this.#waiters) {
      if (upTo > number) continue;
      if (holds) this.#holders++;
      resolve();
    }
    this.#waiters = this.#waiters.filter((waiter) => waiter.upTo > number);
  }

  async #loadGeneration(generation: SealedGeneration): Promise<void> {
    if (!existsSync(generation.folder)) {
      log.error('a folder of the spool was removed before it was loaded', { folder: generation.folder, bytes: generation.sizeBytes });
      return;
    }
    const { id, storedNs } = generation;
    const again = generation.isRecovered || this.#tries > 0;
    for (const { table, file, part } of listEntries(generation.folder)) {
      const stamp = part?.storedNs ?? storedNs;
      try {
        await this.#load({
          table,
          file,
          partition: part?.partition,
          name: `${id}/${part === undefined ? table : basename(file)}`,
          storedNs: stamp,
          again,
        });
      } catch (error) {
        if (this.#tries + 1 < MALFORMED_TRIES || !MALFORMED_CODES.has(errnoOf(error) ?? '')) throw error;
        this.#setAside(generation, file, error);
        continue;
      }
      rmSync(file, { recursive: true });
    }
    rmSync(generation.folder, { recursive: true });
  }

  #setAside(generation: SealedGeneration, file: string, error: unknown): void {
    const folder = join(this.#options.folder, 'rejected');
    mkdirSync(folder, { recursive: true });
    const kept = join(folder, `${generation.id}-${basename(file)}`);
    renameSync(file, kept);
    this.rejectedBytes += generation.sizeBytes;
    log.error('ClickHouse cannot read a spool file; it is set aside', { file: kept, error: messageOf(error) });
  }

  /** Tells those who wait, then pauses, longer each time; a flush or the close ends the pause. */
  async #failed(error: unknown): Promise<void> {
    this.#tries++;
    this.lastError = messageOf(error);
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(error);
    const delayMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#tries - 1, 10)) * (0.75 + Math.random() / 2);
    log.warn('load failed, trying again', { error: this.lastError, tries: this.#tries, delayMs: Math.round(delayMs) });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }
}

function toWriteError(folder: string, error: unknown): unknown {
  const errno = errnoOf(error);
  if (errno === 'ENOSPC' || errno === 'EDQUOT') {
    return new OperationalError('E_DISK_FULL', `no room left under ${folder}`, 'free some space; nothing acknowledged is lost', error);
  }
  if (errno === 'EACCES' || errno === 'EROFS' || errno === 'EPERM') {
    return new OperationalError('E_DATA_DIR', `${folder} cannot be written`, 'check its owner and mode', error);
  }
  return error;
}
