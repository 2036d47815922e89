/**
 * The console of a kernel that is read through a stream: it belongs to that kernel's feed, and only adds what its kernel log did
 * not bring (collector/guest-console.ts). The stream tells it when an incarnation begins and what its log brought.
 */
import { OperationalError } from '../../base/errors.ts';
import type { LogBatch } from '../../model/log-batch.ts';
import type { Source, SourceStatus, StreamCounts } from '../../model/pipeline.ts';
import { ByteStream, describe, type StreamListener } from '../byte-stream.ts';
import { toConsoleAddress } from '../console-address.ts';
import { GuestConsole } from '../guest-console.ts';
import type { HostTimeline, KernelClock } from '../kernel-clock.ts';
import type { KernelFeed } from '../kernel-feed.ts';

const TICK_MS = 250;
/** Handed on and not yet safe: beyond it what comes is dropped, since a console's writer cannot be held up. */
const MAX_UNDERWAY_BYTES = 4 << 20;

export interface GuestConsoleOptions {
  /** Of the stream whose kernel it is. */
  readonly name: string;
  readonly from: string;
  /** Folder that stands for `/`. */
  readonly root: string;
  readonly timeline: HostTimeline;
  readonly feed: KernelFeed;
}

export class GuestConsoleSource implements Source {
  readonly id: string;
  readonly #options: GuestConsoleOptions;
  readonly #console: GuestConsole;
  readonly #underway = new Set<Promise<unknown>>();
  #underwayBytes = 0;
  #bytes: ByteStream | undefined;
  #timer: NodeJS.Timeout | undefined;
  #hasIncarnation = false;
  #state: SourceStatus['state'] = 'stopped';
  #detail = '';

  constructor(options: GuestConsoleOptions) {
    this.#options = options;
    this.id = `console:${options.name}`;
    this.#console = new GuestConsole(this.id);
  }

  start(): Promise<void> {
    const address = toConsoleAddress(this.#options.from, this.#options.root);
    if (typeof address === 'string') {
      return Promise.reject(
        new OperationalError(
          'E_CONFIG_VALUE',
          `${address} is a file, and the console beside a stream is read live`,
          'name a socket, a FIFO, a device or mktty:ID; a console that is a file goes under collector.console',
        ),
      );
    }
    this.#state = 'waiting';
    this.#detail = `reading ${describe(address)}`;
    const listener: StreamListener = {
      line: (text) => this.#add(Buffer.from(`${text}\n`)),
      state: (state, detail) => {
        this.#state = state;
        this.#detail = detail;
      },
    };
    this.#bytes = new ByteStream(address, listener);
    this.#bytes.start();
    this.#timer = setInterval(() => this.#handOn(false), TICK_MS);
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    if (this.#state === 'stopped') return;
    clearInterval(this.#timer);
    this.#bytes?.stop();
    this.#state = 'stopped';
    this.#add(new Uint8Array(0), true);
    this.#handOn(true);
    await Promise.all(this.#underway);
  }

  status(): SourceStatus {
    return { state: this.#state, detail: this.#detail, streams: this.counts(), errors: 0 };
  }

  /** For the books of the kernel's feed: a console does not say how much was written to it. */
  counts(): StreamCounts[] {
    const { records, lost } = this.#console;
    return [{ stream: this.id, cpu: -1, written: undefined, read: records, lost }];
  }

  /** The incarnation at hand ends: what still waits is its own. Called before the feed begins another. */
  endIncarnation(): void {
    if (this.#hasIncarnation) this.#handOn(true);
  }

  beginIncarnation(clock: KernelClock): void {
    this.#hasIncarnation = true;
    this.#console.begin(clock, clock.nowUnixNs());
  }

  /** Rows of the kernel log, as they came through the forwarder. */
  noteLog(batch: LogBatch): void {
    this.#console.noteLog(batch, this.#nowUnixNs());
  }

  #add(bytes: Uint8Array, atEnd = false): void {
    const gaps = this.#console.add(bytes, this.#nowUnixNs(), atEnd);
    if (gaps.length > 0 && this.#hasIncarnation) void this.#options.feed.write({ kind: 'gaps', gaps });
  }

  #handOn(all: boolean): void {
    const { feed } = this.#options;
    const record = this.#console.take(this.#nowUnixNs(), all);
    if (record === undefined) return;
    const sizeBytes = record.batch.sizeBytes;
    if (this.#underwayBytes > MAX_UNDERWAY_BYTES) {
      const nowNs = this.#nowUnixNs();
      feed.ledger.countDropped(this.id, -1, record.batch.length, 'queue_full');
      const gap = {
        stream: this.id,
        cpu: -1,
        fromUnixNs: nowNs,
        toUnixNs: nowNs,
        count: record.batch.length,
        reason: 'queue_full',
      } as const;
      void feed.write({ kind: 'gaps', gaps: [gap] });
      return;
    }
    this.#underwayBytes += sizeBytes;
    const written = feed.write({ kind: 'logs', stream: this.id, ...record }).finally(() => {
      this.#underwayBytes -= sizeBytes;
      this.#underway.delete(written);
    });
    this.#underway.add(written);
  }

  #nowUnixNs(): bigint {
    const { timeline } = this.#options;
    const nowNs = timeline.nowNs();
    const { low, high } = timeline.unixOffset(nowNs);
    return nowNs + (low + high) / 2n;
  }
}
