/** A console: a log file that is followed, or a stream (standard input, FIFO, socket, mktty). One source per console. */
import { statSync } from 'node:fs';
import { OperationalError, errnoOf, messageOf } from '../../base/errors.ts';
import type { GapReason } from '../../model/gap.ts';
import type { Sink, Source, SourcePosition, SourceStatus } from '../../model/pipeline.ts';
import { ByteStream, describe } from '../byte-stream.ts';
import type { KernelClock } from '../kernel-clock.ts';
import { toConsoleAddress } from '../console-address.ts';
import { CONSOLE_DOUBT_NS, ConsoleLines } from '../console-lines.ts';
import { FollowedFile } from '../followed-file.ts';
import type { Ledger } from '../ledger.ts';

/** Bytes handed on and not yet safe: beyond it what comes is dropped, since a console's writer cannot be held up. */
const MAX_UNDERWAY_BYTES = 8 << 20;

export interface ConsoleOptions {
  readonly name: string;
  /** File path, FIFO path, `unix:PATH`, `tcp:HOST:PORT`, `mktty:ID`, `mktty:ID@PATH`, or `-`. */
  readonly from: string;
  /** Folder that stands for `/`. */
  readonly root: string;
  readonly clock: KernelClock;
  readonly ledger: Ledger;
  readonly resume: SourcePosition | undefined;
}

export class ConsoleSource implements Source {
  readonly id: string;
  readonly #options: ConsoleOptions;
  readonly #stream: string;
  readonly #lines: ConsoleLines;
  #sink: Sink | undefined;
  #file: FollowedFile | undefined;
  #bytes: ByteStream | undefined;
  #state: SourceStatus['state'] = 'stopped';
  #detail = '';
  #errors = 0;
  #underwayBytes = 0;
  #underway = new Set<Promise<unknown>>();
  readonly #sinceMs: number;

  constructor(options: ConsoleOptions) {
    this.#options = options;
    this.id = this.#stream = `console:${options.name}`;
    this.#lines = new ConsoleLines(this.#stream, options.resume?.counts?.['records'] ?? 0);
    this.#sinceMs = options.resume?.counts?.['sinceMs'] ?? Date.now();
  }

  start(sink: Sink): Promise<void> {
    this.#sink = sink;
    const address = toConsoleAddress(this.#options.from, this.#options.root);
    this.#state = 'running';
    if (typeof address !== 'string') {
      this.#bytes = new ByteStream(address, {
        line: (text) => this.#take(Buffer.from(`${text}\n`), this.#options.clock.nowUnixNs()),
        state: (state, detail) => {
          this.#state = state;
          this.#detail = detail;
        },
      });
      if (address.kind !== 'stdin') this.#detail = `reading ${describe(address)}`;
      this.#bytes.start();
      return Promise.resolve();
    }
    return this.#follow(address);
  }

  async stop(): Promise<void> {
    if (this.#state === 'stopped') return;
    this.#file?.stop();
    this.#bytes?.stop();
    this.#state = 'stopped';
    this.#take(new Uint8Array(0), this.#options.clock.nowUnixNs(), true);
    await Promise.all(this.#underway);
  }

  status(): SourceStatus {
    const { records, lost } = this.#lines;
    const waits = this.#state === 'running' && this.#file !== undefined && !this.#file.isOpen;
    return {
      state: waits ? 'waiting' : this.#state,
      detail: waits ? `${this.#options.from} is not there yet` : this.#detail,
      // A console does not say how much was written to it.
      streams: [
        { stream: this.#stream, cpu: -1, written: undefined, read: records, lost, sinceUnixNs: BigInt(this.#sinceMs) * 1_000_000n },
      ],
      errors: this.#errors,
    };
  }

  #follow(path: string): Promise<void> {
    const { resume, clock } = this.#options;
    const file = new FollowedFile(path, {
      bytes: (bytes) => this.#take(bytes, seenAt(path, clock)),
      truncated: (unread) => {
        this.#take(new Uint8Array(0), clock.nowUnixNs(), true);
        if (unread > 0) this.#writeGap('file_truncated');
      },
      rotated: () => this.#take(new Uint8Array(0), clock.nowUnixNs(), true),
      failed: (message) => {
        this.#errors++;
        this.#detail = message;
      },
    });
    this.#file = file;
    try {
      file.start(resume === undefined ? undefined : { file: resume.bootId, offset: resume.sequence });
    } catch (error) {
      this.#state = 'failed';
      const hint = errnoOf(error) === 'EACCES' ? `give the collector read access: sudo setfacl -m u:$(id -un):r ${path}` : 'check the path';
      return Promise.reject(new OperationalError('E_SOURCE_OPEN', `${path} cannot be followed: ${messageOf(error)}`, hint, error));
    }
    return Promise.resolve();
  }

  #take(bytes: Uint8Array, seenNs: bigint, atEnd = false): void {
    const { batch, gaps } = this.#lines.add(bytes, seenNs, atEnd);
    if (gaps.length > 0) void this.#sink?.write({ kind: 'gaps', gaps });
    if (batch.length === 0) return;
    if (this.#underwayBytes > MAX_UNDERWAY_BYTES) {
      this.#options.ledger.countDropped(this.#stream, -1, batch.length, 'queue_full');
      this.#writeGap('queue_full', batch.length);
      return;
    }
    this.#handOn(batch);
  }

  #handOn(batch: ReturnType<ConsoleLines['add']>['batch']): void {
    const size = batch.sizeBytes;
    this.#underwayBytes += size;
    const progress = this.#file?.progress;
    const written = this.#sink?.write({
      kind: 'logs',
      stream: this.#stream,
      batch,
      clockErrorNs: CONSOLE_DOUBT_NS,
      ...(progress === undefined
        ? {}
        : {
            position: {
              bootId: progress.file,
              // What is held back for its line end is read again.
              sequence: Math.max(0, progress.offset - this.#lines.heldBytes),
              counts: { records: this.#lines.records, sinceMs: this.#sinceMs },
            },
          }),
    });
    if (written === undefined) return;
    const done = written.finally(() => {
      this.#underwayBytes -= size;
      this.#underway.delete(done);
    });
    this.#underway.add(done);
  }

  #writeGap(reason: GapReason, count?: number): void {
    const nowNs = this.#options.clock.nowUnixNs();
    void this.#sink?.write({ kind: 'gaps', gaps: [{ stream: this.#stream, cpu: -1, fromUnixNs: nowNs, toUnixNs: nowNs, count, reason }] });
  }
}

/** A file that has not grown for a while was not written now: its last write bounds the time of its last line. */
function seenAt(path: string, clock: KernelClock): bigint {
  const now = clock.nowUnixNs();
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat !== undefined && stat.mtimeNs < now ? stat.mtimeNs : now;
}
