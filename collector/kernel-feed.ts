/**
 * What one kernel's records go through on their way out: pipeline, spool, checkpoint, sender, and its books. A collector has
 * one for its own kernel and one for each guest that it reads, each with its own folder and bounds: a guest that floods or
 * whose spool runs over costs the others nothing. Receiver, formats and telemetry are shared.
 *
 *   sources ──► pipeline (identity, clock of the incarnation) ──► spool ──► sender ──► receiver
 *                └─ ledger ─► books                               └─ checkpoint ◄─┘
 */
import { ensureDefined } from '../base/assert.ts';
import type { MessageMatcher } from '../correlate/match-messages.ts';
import { toResource, type KernelIdentity } from '../model/identity.ts';
import { COLLECTOR_STOPPED_METRIC } from '../model/attributes.ts';
import { MetricBatch, type MetricDefinition } from '../model/metric-batch.ts';
import type { Sink, Source, SourcePosition, SourceRecord, StreamCounts } from '../model/pipeline.ts';
import { readResourceAttributes } from '../otlp/endpoint.ts';
import { Checkpoint } from './checkpoint.ts';
import type { FormatStore } from './format-store.ts';
import type { KernelClock } from './kernel-clock.ts';
import { Ledger } from './ledger.ts';
import type { Links } from './links.ts';
import type { Peer } from './peer.ts';
import { Pipeline } from './pipeline.ts';
import { Sender, type SenderStatus } from './sender.ts';
import { LANES, Spool } from './spool.ts';
import type { OwnTelemetry } from './telemetry.ts';

/** What all feeds of a collector have in common. */
export interface SharedParts {
  readonly links: Links;
  readonly peer: Peer;
  readonly formats: FormatStore;
  readonly messages: MessageMatcher;
  readonly version: string;
}

export interface FeedStatus {
  readonly sender: SenderStatus;
  readonly spool: { readonly bytes: number; readonly maxBytes: number };
  /** Records that mkscope itself dropped. */
  readonly dropped: number;
}

/** A kernel that a source reads for, with a feed of its own. */
export interface ReadKernel {
  readonly name: string;
  /** Undefined until it is known. */
  readonly identity: KernelIdentity | undefined;
  readonly feed: KernelFeed;
}

/** A source whose records are other kernels'. */
export interface KernelReader extends Source {
  kernels(): readonly ReadKernel[];
}

interface Incarnation {
  readonly identity: KernelIdentity;
  readonly clock: KernelClock;
  readonly ledger: Ledger;
  readonly pipeline: Pipeline;
  readonly startNs: bigint;
}

const STOPPED: MetricDefinition = {
  name: COLLECTOR_STOPPED_METRIC,
  description: 'The collector of this kernel was told to stop.',
  unit: '1',
  type: 'gauge',
  integer: true,
};
const NEVER_SENT: SenderStatus = { awaySinceMs: undefined, lastError: '', sent: 0, retries: 0, refused: 0 };

export class KernelFeed implements Sink {
  readonly #shared: SharedParts;
  readonly #spool: Spool;
  readonly #checkpoint: Checkpoint;
  #sender: Sender | undefined;
  #incarnation: Incarnation | undefined;
  /** By incarnations that have ended. */
  #droppedBefore = 0;

  /** Throws OperationalError E_SPOOL where the folder cannot be used. */
  constructor(folder: string, maxBytes: number, shared: SharedParts) {
    this.#shared = shared;
    this.#spool = Spool.open(folder, maxBytes);
    this.#checkpoint = new Checkpoint(this.#spool);
  }

  /** Where the streams of earlier runs stopped, of whatever boot: asked before anything is written. */
  resumePositions(identity?: KernelIdentity): Map<string, SourcePosition> {
    if (identity !== undefined) this.#checkpoint.enterBoot(identity.bootId);
    return this.#checkpoint.resumePositions(this.#spool);
  }

  startSender(telemetry: OwnTelemetry): void {
    const { links, peer } = this.#shared;
    this.#sender = new Sender({
      spool: this.#spool,
      checkpoint: this.#checkpoint,
      peer,
      otherForm: { encoding: links.encoding, compression: links.compression },
      deliver: (outgoing) => links.deliver(outgoing),
      onRefused: (lane, header) => this.#incarnation?.pipeline.reportRefused(lane, header),
      telemetry,
    });
  }

  /** Sends what an earlier run left, though its kernel may be gone. */
  sendLeftOver(): void {
    for (const lane of LANES) this.#sender?.wake(lane);
  }

  /** From now on the records are of this incarnation. */
  begin(identity: KernelIdentity, clock: KernelClock): void {
    this.flush();
    this.#droppedBefore += this.#incarnation?.ledger.dropped ?? 0;
    this.#checkpoint.enterBoot(identity.bootId);
    const { links, peer, formats, messages, version } = this.#shared;
    const ledger = new Ledger();
    const pipeline = new Pipeline({
      resource: toResource(identity, readResourceAttributes()),
      version,
      clock,
      spool: this.#spool,
      checkpoint: this.#checkpoint,
      formats,
      messages,
      ledger,
      peer,
      compression: links.compression,
      wake: (lane) => this.#sender?.wake(lane),
    });
    this.#incarnation = { identity, clock, ledger, pipeline, startNs: BigInt(Date.now()) * 1_000_000n };
  }

  write(record: SourceRecord): Promise<boolean> {
    return this.#current().pipeline.write(record);
  }

  get ledger(): Ledger {
    return this.#current().ledger;
  }

  /** Puts everything that is held in memory into the spool. */
  flush(): void {
    this.#incarnation?.pipeline.flush();
  }

  /** The books of each stream go with the stream's own lane, as of one moment. */
  writeBooks(streams: readonly StreamCounts[]): void {
    if (this.#incarnation === undefined) return;
    const { pipeline, clock, ledger, startNs } = this.#incarnation;
    pipeline.flush();
    const timeNs = clock.nowUnixNs();
    const bulk = new MetricBatch(64);
    const logs = new MetricBatch(64);
    const isBulk = (stream: string): boolean => stream.startsWith('tracefs:');
    ledger.addMetrics(bulk, streams, isBulk, startNs, timeNs);
    ledger.addMetrics(logs, streams, (stream) => !isBulk(stream), startNs, timeNs);
    clock.addMetrics(logs, startNs, timeNs);
    pipeline.writeBooks('bulk', bulk);
    pipeline.writeBooks('logs', logs);
  }

  status(): FeedStatus {
    return {
      sender: this.#sender?.status() ?? NEVER_SENT,
      spool: { bytes: this.#spool.sizeBytes, maxBytes: this.#spool.maxBytes },
      dropped: this.#droppedBefore + (this.#incarnation?.ledger.dropped ?? 0),
    };
  }

  /** Sends for at most `graceMs` what waits; the rest stays on disk. */
  async close(graceMs: number): Promise<void> {
    this.#sayGoodbye();
    this.flush();
    await this.#sender?.stop(graceMs);
    this.#checkpoint.save();
    this.#spool.close();
  }

  /** Whoever receives it need not wonder why nothing more comes. */
  #sayGoodbye(): void {
    if (this.#incarnation === undefined) return;
    const { pipeline, clock, startNs } = this.#incarnation;
    const batch = new MetricBatch(1);
    batch.add(STOPPED, startNs, clock.nowUnixNs(), 1, {});
    pipeline.writeBooks('logs', batch);
  }

  #current(): Incarnation {
    return ensureDefined(this.#incarnation, 'the incarnation that a feed is written for');
  }
}
