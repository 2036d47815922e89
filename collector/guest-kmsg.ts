/** The kernel log of a guest, from the frames of its forwarder: rows, losses and books, as sources/kmsg.ts has them for this kernel. */
import { KMSG_STREAM } from '../model/identity.ts';
import type { Gap, GapReason } from '../model/gap.ts';
import { LogBatch } from '../model/log-batch.ts';
import type { SourcePosition, SourceRecord, StreamCounts } from '../model/pipeline.ts';
import { toPrintkNs } from '../model/time.ts';
import { openKmsg } from '../parsers/kmsg.ts';
import type { GuestClock } from './guest-clock.ts';
import { readKmsgHeader, type KmsgHeader } from './kmsg-header.ts';

export class GuestKmsg {
  readonly #bootId: string;
  readonly #clock: GuestClock;
  readonly #parser = openKmsg();
  readonly #header: KmsgHeader = { level: 0, sequence: 0, micros: 0 };
  /** Last SEQ taken; where nothing was, the one before the first that is ours to take. */
  #lastSequence = -1;
  /** SEQ with which the books begin: the boot's first record, or that with which a recording begins. Undefined: it is to come. */
  #origin: number | undefined = 0;
  #lastMicros = 0;
  #lost = 0;
  #sinceMs = Date.now();
  /** Why the next jump of SEQ happened, if there is one. */
  #jumpReason: GapReason = 'kmsg_before_start';
  /** Records that are none. */
  malformed = 0;

  /** `beginsAnywhere`: the first boot of a recording, which may begin in its middle: what came before was not lost. */
  constructor(bootId: string, clock: GuestClock, resume: SourcePosition | undefined, beginsAnywhere: boolean) {
    this.#bootId = bootId;
    this.#clock = clock;
    if (beginsAnywhere) this.#origin = undefined;
    if (resume?.bootId !== bootId) return;
    this.#lastSequence = resume.sequence;
    this.#origin = resume.counts?.['origin'] ?? 0;
    this.#lost = resume.counts?.['lost'] ?? 0;
    this.#sinceMs = resume.counts?.['sinceMs'] ?? this.#sinceMs;
    this.#jumpReason = 'collector_restart';
  }

  /** SEQ through which the log was taken, -1 = nothing. */
  get lastSequence(): number {
    return this.#lastSequence;
  }

  /** The forwarder found the ring overwritten (EPIPE). */
  noteOverwritten(): void {
    if (this.#lastSequence >= 0) this.#jumpReason = 'kmsg_overwritten';
  }

  /** Another run of the forwarder: what is missing from here was overwritten while there was none. */
  noteRestart(): void {
    if (this.#lastSequence >= 0) this.#jumpReason = 'collector_restart';
  }

  /** The rows of a frame, without those that were taken before, and the losses in front of them. */
  take(records: readonly Uint8Array[], seenNs: bigint): SourceRecord[] {
    const batch = new LogBatch(Math.max(16, records.length));
    batch.clock = 'printk';
    const gaps: Gap[] = [];
    for (const record of records) {
      const header = this.#header;
      if (!readKmsgHeader(record, record.length, header)) {
        this.malformed++;
        continue;
      }
      if (this.#origin === undefined) {
        this.#origin = header.sequence;
        this.#lastSequence = header.sequence - 1;
      }
      if (header.sequence <= this.#lastSequence) continue;
      this.#noteJump(header, gaps);
      this.#lastSequence = header.sequence;
      this.#lastMicros = header.micros;
      this.#parser.finish(record, batch);
    }
    this.#parser.takeLosses();
    const found: SourceRecord[] = gaps.length === 0 ? [] : [{ kind: 'gaps', gaps }];
    if (batch.length === 0) return found;
    for (let row = 0; row < batch.length; row++) batch.observedTime.setBigint(row, seenNs);
    const clockErrorNs = this.#clock.alignLogs(batch);
    return [...found, { kind: 'logs', stream: KMSG_STREAM, batch, clockErrorNs, position: this.#position() }];
  }

  counts(): StreamCounts {
    const written = this.#lastSequence + 1 - (this.#origin ?? 0);
    const sinceUnixNs = BigInt(this.#sinceMs) * 1_000_000n;
    return { stream: KMSG_STREAM, cpu: -1, written, read: written - this.#lost, lost: this.#lost, sinceUnixNs };
  }

  #position(): SourcePosition {
    return {
      bootId: this.#bootId,
      sequence: this.#lastSequence,
      counts: { origin: this.#origin ?? 0, lost: this.#lost, sinceMs: this.#sinceMs },
    };
  }

  #noteJump({ sequence, micros }: KmsgHeader, gaps: Gap[]): void {
    const count = sequence - this.#lastSequence - 1;
    const reason = this.#jumpReason;
    this.#jumpReason = 'kmsg_sequence';
    if (count <= 0) return;
    this.#lost += count;
    const toUnix = (us: number): bigint => this.#clock.toUnixNs(toPrintkNs(BigInt(us) * 1000n));
    gaps.push({ stream: KMSG_STREAM, cpu: -1, fromUnixNs: toUnix(this.#lastMicros), toUnixNs: toUnix(micros), count, reason });
  }
}
