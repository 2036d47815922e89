/**
 * What one kernel's records go through on their way out: pipeline, spool, checkpoint, sender, and its books. A collector has
 * one for its own kernel and one for each guest that it reads, each with its own folder and bounds: a guest that floods or
 * whose spool runs over costs the others nothing. Receiver, formats and telemetry are shared.
 *
 *   sources ──► pipeline (identity, clock of the incarnation) ──► spool ──► sender ──► receiver
 *                │  └─ ledger ─► books                            ▲ └─ checkpoint ◄─┘
 *                └─► flight recorder, where pages are kept ───────┘ what the hub asks for
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ensureDefined } from '../base/assert.ts';
import { ByteWriter } from '../base/bytes.ts';
import type { MessageMatcher } from '../correlate/match-messages.ts';
import { SCHEMA_URL, toResource, type KernelIdentity, type Scope } from '../model/identity.ts';
import { COLLECTOR_STOPPED_METRIC } from '../model/attributes.ts';
import { MetricBatch, type MetricDefinition } from '../model/metric-batch.ts';
import type { Sink, Source, SourcePosition, SourceRecord, StreamCounts } from '../model/pipeline.ts';
import { encodeMetrics } from '../otlp/encode-metrics.ts';
import { readResourceAttributes } from '../otlp/endpoint.ts';
import { Checkpoint } from './checkpoint.ts';
import type { FormatStore } from './format-store.ts';
import type { KernelClock } from './kernel-clock.ts';
import { addKeptMetrics, Ledger } from './ledger.ts';
import type { Links } from './links.ts';
import { PageKeeper } from './page-keeper.ts';
import type { Peer } from './peer.ts';
import { Pipeline } from './pipeline.ts';
import { Recorder, type KeptCounts } from './recorder.ts';
import { RecorderLink } from './recorder-link.ts';
import { Sender, type SenderStatus } from './sender.ts';
import { LANES, Spool, isDiskFull } from './spool.ts';
import type { OwnTelemetry } from './telemetry.ts';
import { compress } from './wire-form.ts';

/** What all feeds of a collector have in common. */
export interface SharedParts {
  readonly links: Links;
  readonly peer: Peer;
  readonly formats: FormatStore;
  readonly messages: MessageMatcher;
  /** Trace pages are kept, this many bytes of each kernel; undefined = they are sent. */
  readonly recorderBytes: number | undefined;
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
/** Books come each second; of a kernel that is read they come with its own counters. */
const BOOKS_STALE_MS = 3_000;
const NEVER_SENT: SenderStatus = { awaySinceMs: undefined, lastError: '', sent: 0, retries: 0, refused: 0 };

export class KernelFeed implements Sink {
  readonly #shared: SharedParts;
  readonly #spool: Spool;
  readonly #checkpoint: Checkpoint;
  readonly #recorder: Recorder | undefined;
  readonly #recorderLink: RecorderLink | undefined;
  /** What was last told of kept records, by boot. */
  readonly #told = new Map<string, string>();
  #booksMs = -Infinity;
  #sender: Sender | undefined;
  #incarnation: Incarnation | undefined;
  /** By incarnations that have ended. */
  #droppedBefore = 0;

  /** Throws OperationalError E_SPOOL where the folder cannot be used. */
  constructor(folder: string, maxBytes: number, shared: SharedParts) {
    this.#shared = shared;
    this.#spool = Spool.open(folder, maxBytes);
    this.#checkpoint = new Checkpoint(this.#spool);
    const recorderFolder = join(folder, 'recorder');
    const { recorderBytes, links, peer } = shared;
    // What was kept before it was switched off may still be asked for.
    if (recorderBytes === undefined && !existsSync(recorderFolder)) return;
    const recorder = Recorder.open(recorderFolder, recorderBytes ?? 0);
    this.#recorder = recorder;
    this.#recorderLink = new RecorderLink({
      recorder,
      spool: this.#spool,
      exchange: links.exchange,
      isHub: () => peer.kind === 'hub',
      wake: () => this.#sender?.wake('bulk'),
      onTurn: () => this.#tellKept(recorder),
    });
  }

  /** Where the streams of earlier runs stopped, of whatever boot: asked before anything is written. */
  resumePositions(identity?: KernelIdentity): Map<string, SourcePosition> {
    if (identity !== undefined) this.#checkpoint.enterBoot(identity.bootId);
    return this.#checkpoint.resumePositions(this.#spool, this.#recorder?.positions);
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
    this.#recorderLink?.start();
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
      keeper: this.#recorder === undefined || this.#shared.recorderBytes === undefined ? undefined : new PageKeeper(this.#recorder),
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
    const { identity, pipeline, clock, ledger, startNs } = this.#incarnation;
    pipeline.flush();
    const timeNs = clock.nowUnixNs();
    const bulk = new MetricBatch(64);
    const logs = new MetricBatch(64);
    const isBulk = (stream: string): boolean => stream.startsWith('tracefs:');
    ledger.addMetrics(bulk, streams, isBulk, startNs, timeNs);
    const kept = [...(this.#recorder?.counts ?? [])].filter((one) => one.identity.bootId === identity.bootId);
    addKeptMetrics(bulk, kept, timeNs);
    this.#told.set(identity.bootId, toText(kept));
    this.#booksMs = performance.now();
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

  /** What is kept of boots whose books do not come any more: of earlier ones, and of a guest that is silent. */
  #tellKept(recorder: Recorder): void {
    const current = performance.now() - this.#booksMs < BOOKS_STALE_MS ? this.#incarnation?.identity.bootId : undefined;
    for (const [bootId, counts] of Map.groupBy(recorder.counts, (one) => one.identity.bootId)) {
      const [first] = counts;
      const text = toText(counts);
      if (first === undefined || bootId === current || this.#told.get(bootId) === text) continue;
      const timeNs = BigInt(Date.now()) * 1_000_000n;
      const batch = new MetricBatch(8);
      addKeptMetrics(batch, counts, timeNs);
      if (this.#spoolBooks(first.identity, batch, String(timeNs))) this.#told.set(bootId, text);
    }
  }

  /** Past the pipeline, which is of one incarnation; false = the disk has no room. */
  #spoolBooks(identity: KernelIdentity, batch: MetricBatch, timeNs: string): boolean {
    const writer = new ByteWriter(1 << 10);
    const scope: Scope = { name: 'mkscope', version: this.#shared.version, attributes: {}, schemaUrl: SCHEMA_URL };
    encodeMetrics(toResource(identity, readResourceAttributes()), scope, batch, writer);
    const { encoding, body } = compress(writer.view(), 'zstd');
    const type = { path: '/v1/metrics', contentType: 'application/x-protobuf', encoding };
    try {
      this.#spool.append('bulk', { ...type, rows: [], fromUnixNs: timeNs, toUnixNs: timeNs, positions: {} }, body);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      return false;
    }
    this.#sender?.wake('bulk');
    return true;
  }

  /** Sends for at most `graceMs` what waits; the rest stays on disk. */
  async close(graceMs: number): Promise<void> {
    this.#sayGoodbye();
    this.flush();
    await this.#recorderLink?.stop();
    await this.#sender?.stop(graceMs);
    this.#checkpoint.save();
    this.#spool.close();
    this.#recorder?.close();
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

function toText(counts: readonly KeptCounts[]): string {
  return counts.map(({ kept, overwritten }) => `${kept} ${overwritten}`).join();
}
