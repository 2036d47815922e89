/**
 * The kernel log through /dev/kmsg. One read() is one record; EAGAIN is the end for now; EPIPE says that the ring was
 * overwritten under us, and the next record's SEQ says by how much (the layout of a record is drawn in parsers/kmsg.ts).
 *
 *   read() ──► KmsgQueue (bounded) ──► parser ──► sink
 *   │ each tick, never waits            │ while the sink has room
 *
 * The books are kept over restarts within a boot: written = last SEQ + 1 - origin, where origin is the first SEQ that any run
 * of the collector was asked to take; lost counts what was overwritten.
 */
import { KMSG_STREAM } from '../../model/identity.ts';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { OperationalError, errnoOf, messageOf } from '../../base/errors.ts';
import type { Gap, GapReason } from '../../model/gap.ts';
import { LogBatch } from '../../model/log-batch.ts';
import type { Sink, Source, SourcePosition, SourceStatus } from '../../model/pipeline.ts';
import { toMonotonicNs, toPrintkNs } from '../../model/time.ts';
import { openKmsg } from '../../parsers/kmsg.ts';
import type { CollectorClock } from '../collector-clock.ts';
import { readKmsgHeader, type KmsgHeader } from '../kmsg-header.ts';
import { KmsgQueue, type QueuedRecord } from '../kmsg-queue.ts';
import type { Ledger } from '../ledger.ts';

export type KmsgFrom = 'start' | 'checkpoint' | 'now';

/** The kernel refuses (EINVAL) a buffer smaller than the record; its own bound is 8 KiB (PRINTK_MESSAGE_MAX with escapes). */
const READ_BYTES = 16 << 10;
/** Tick while records come, and when none came for a while. */
const BUSY_TICK_MS = 5;
const IDLE_TICK_MS = 20;
const MAX_READS_PER_TICK = 2048;
const MAX_ROWS_PER_BATCH = 1024;
const MAX_QUEUE_BYTES = 4 << 20;

export interface KmsgOptions {
  readonly path?: string;
  readonly from: KmsgFrom;
  readonly bootId: string;
  readonly resume: SourcePosition | undefined;
  readonly clock: CollectorClock;
  readonly ledger: Ledger;
}

export class KmsgSource implements Source {
  readonly id = 'kmsg';
  readonly #options: KmsgOptions;
  readonly #queue = new KmsgQueue(MAX_QUEUE_BYTES);
  readonly #parser = openKmsg();
  readonly #buffer = new Uint8Array(READ_BYTES);
  readonly #header: KmsgHeader = { level: 0, sequence: 0, micros: 0 };
  #sink: Sink | undefined;
  #fd = -1;
  #timer: NodeJS.Timeout | undefined;
  #state: SourceStatus['state'] = 'stopped';
  #detail = '';
  #errors = 0;
  /** First SEQ that was to be taken in this boot; -1 until a record was seen. */
  #origin = -1;
  #lastSequence = -1;
  #lastMicros = -1;
  #handedOn = 0;
  #lost = 0;
  #overwritten = false;
  #resumed = false;
  /** Unix ms from which on the books run. */
  #sinceMs = Date.now();
  #skipThrough = -1;
  #skipAll = false;
  /** Monotonic time at which the ring was last seen empty. */
  #emptyAt = toMonotonicNs(0n);
  #draining: Promise<void> | undefined;

  constructor(options: KmsgOptions) {
    this.#options = options;
  }

  start(sink: Sink): Promise<void> {
    this.#sink = sink;
    const path = this.#options.path ?? '/dev/kmsg';
    try {
      this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      return Promise.reject(toOpenError(path, error));
    }
    const { from, resume, bootId } = this.#options;
    if (from === 'checkpoint' && resume?.bootId === bootId) this.#resume(resume);
    this.#skipAll = from === 'now';
    // `now` is the moment of the start, however much the ring holds: one tick does not get through a large one.
    while (this.#skipAll && this.#read() >= MAX_READS_PER_TICK);
    this.#state = 'running';
    this.#tick();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    if (this.#fd < 0) return;
    clearTimeout(this.#timer);
    this.#read();
    while (this.#queue.length > 0 || this.#draining !== undefined) {
      this.#drain();
      await this.#draining;
    }
    closeSync(this.#fd);
    this.#fd = -1;
    this.#state = 'stopped';
  }

  status(): SourceStatus {
    const written = this.#origin < 0 ? 0 : this.#lastSequence + 1 - this.#origin;
    return {
      state: this.#state,
      detail: this.#detail,
      streams: [
        { stream: KMSG_STREAM, cpu: -1, written, read: this.#handedOn, lost: this.#lost, sinceUnixNs: BigInt(this.#sinceMs) * 1_000_000n },
      ],
      errors: this.#errors,
    };
  }

  #resume(position: SourcePosition): void {
    this.#skipThrough = this.#lastSequence = position.sequence;
    this.#origin = position.counts?.['origin'] ?? position.sequence + 1;
    this.#lost = position.counts?.['lost'] ?? 0;
    this.#handedOn = position.sequence + 1 - this.#origin - this.#lost;
    this.#resumed = true;
    this.#sinceMs = position.counts?.['sinceMs'] ?? this.#sinceMs;
    const dropped = position.counts?.['dropped'] ?? 0;
    if (dropped > 0) this.#options.ledger.countDropped(KMSG_STREAM, -1, dropped, 'queue_full');
  }

  #tick(): void {
    const count = this.#read();
    this.#drain();
    if (this.#state !== 'running') return;
    const delayMs = count >= MAX_READS_PER_TICK ? 0 : count > 0 ? BUSY_TICK_MS : IDLE_TICK_MS;
    this.#timer = setTimeout(() => this.#tick(), delayMs);
  }

  /** Reads what the ring has, up to the tick's budget; returns the number of records. */
  #read(): number {
    let count = 0;
    while (count < MAX_READS_PER_TICK) {
      let length: number;
      try {
        length = readSync(this.#fd, this.#buffer, 0, READ_BYTES, null);
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === 'EAGAIN') {
          this.#skipAll = false;
          this.#emptyAt = toMonotonicNs(process.hrtime.bigint());
          break;
        }
        if (errno === 'EPIPE') {
          this.#overwritten = true;
          count++;
          continue;
        }
        if (!this.#survives(errno, error)) break;
        count++;
        continue;
      }
      if (length === 0) break;
      count++;
      this.#take(length);
    }
    return count;
  }

  /** EINVAL: the record is larger than any kernel makes them; the kernel has stepped over nothing, so give up on it by counting. */
  #survives(errno: string | undefined, error: unknown): boolean {
    this.#errors++;
    if (errno === 'EINTR') return true;
    this.#state = 'failed';
    this.#detail = `/dev/kmsg cannot be read any more: ${messageOf(error)}`;
    return false;
  }

  #take(length: number): void {
    const header = this.#header;
    if (!readKmsgHeader(this.#buffer, length, header)) {
      this.#errors++;
      return;
    }
    const { sequence, level, micros } = header;
    if (sequence <= this.#skipThrough) return;
    if (this.#skipAll) {
      this.#lastSequence = sequence;
      this.#origin = sequence + 1;
      return;
    }
    this.#noteJump(sequence, micros);
    this.#options.clock.addLiveRead(toPrintkNs(BigInt(micros) * 1000n), this.#emptyAt, toMonotonicNs(process.hrtime.bigint()));
    this.#lastSequence = sequence;
    this.#lastMicros = micros;
    this.#queue.push({ bytes: this.#buffer.slice(0, length), sequence, level, micros });
  }

  /** Records between the last one and this one are lost: said once, with the window. */
  #noteJump(sequence: number, micros: number): void {
    // From the start of the ring the origin is the boot's first record: what was overwritten before us is a loss too.
    if (this.#origin < 0) this.#origin = 0;
    const count = sequence - Math.max(this.#lastSequence + 1, this.#origin);
    if (count > 0) {
      const reason: GapReason = this.#resumed
        ? 'collector_restart'
        : this.#lastMicros < 0
          ? 'kmsg_before_start'
          : this.#overwritten
            ? 'kmsg_overwritten'
            : 'kmsg_sequence';
      this.#lost += count;
      this.#writeGap(count, Math.max(this.#lastMicros, 0), micros, reason);
    }
    this.#overwritten = this.#resumed = false;
  }

  #writeGap(count: number, fromMicros: number, toMicros: number, reason: GapReason): void {
    const { clock } = this.#options;
    const gap: Gap = {
      stream: KMSG_STREAM,
      cpu: -1,
      fromUnixNs: clock.toUnixNs(toPrintkNs(BigInt(fromMicros) * 1000n)),
      toUnixNs: clock.toUnixNs(toPrintkNs(BigInt(toMicros) * 1000n)),
      count,
      reason,
    };
    void this.#sink?.write({ kind: 'gaps', gaps: [gap] });
  }

  /** Hands the queue on as long as the sink takes it; one batch is under way at a time. */
  #drain(): void {
    const drop = this.#queue.takeDrop();
    if (drop !== undefined) {
      this.#handedOn += drop.count;
      this.#options.ledger.countDropped(KMSG_STREAM, -1, drop.count, 'queue_full');
      this.#writeGap(drop.count, drop.fromMicros, drop.toMicros, 'queue_full');
    }
    if (this.#draining !== undefined || this.#queue.length === 0) return;
    this.#draining = this.#drainQueue().finally(() => {
      this.#draining = undefined;
    });
  }

  async #drainQueue(): Promise<void> {
    while (this.#queue.length > 0) {
      const records = this.#queue.take(MAX_ROWS_PER_BATCH);
      const last = records.at(-1) as QueuedRecord;
      const batch = this.#parse(records);
      this.#handedOn += records.length;
      const position: SourcePosition = {
        bootId: this.#options.bootId,
        sequence: last.sequence,
        counts: {
          origin: this.#origin,
          lost: this.#lost,
          dropped: this.#options.ledger.droppedOf(KMSG_STREAM),
          sinceMs: this.#sinceMs,
          micros: last.micros,
        },
      };
      await this.#sink?.write({ kind: 'logs', stream: KMSG_STREAM, batch, position });
    }
  }

  #parse(records: readonly QueuedRecord[]): LogBatch {
    const batch = new LogBatch(Math.max(16, records.length));
    batch.clock = 'printk';
    for (const { bytes } of records) this.#parser.finish(bytes, batch);
    this.#parser.takeLosses();
    const seen = this.#options.clock.nowUnixNs();
    for (let row = 0; row < batch.length; row++) batch.observedTime.setBigint(row, seen);
    return batch;
  }
}

function toOpenError(path: string, error: unknown): OperationalError {
  const errno = errnoOf(error);
  if (errno === 'EACCES' || errno === 'EPERM') {
    return new OperationalError(
      'E_KMSG_PERMISSION',
      `no permission to read ${path}`,
      'run as root or with CAP_SYSLOG (sudo setcap cap_syslog+ep "$(command -v node)"), or allow it: sudo sysctl kernel.dmesg_restrict=0',
      error,
    );
  }
  return new OperationalError(
    'E_KMSG_OPEN',
    `${path} cannot be opened: ${messageOf(error)}`,
    'in a container, pass the device in: --device /dev/kmsg',
    error,
  );
}
