/**
 * The agent of one kernel: sources → pipeline → spool → sender. What cannot be read is said, with what to do about it, and the
 * rest goes on.
 */
import { OperationalError, errnoOf, isOperational, messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { toResource, type KernelIdentity } from '../model/identity.ts';
import { MetricBatch } from '../model/metric-batch.ts';
import type { Source, SourceStatus, StreamCounts } from '../model/pipeline.ts';
import { readResourceAttributes } from '../otlp/endpoint.ts';
import { SPAN_RULES, findSpanRule, type SpanRule } from '../correlate/span-rules.ts';
import { Checkpoint } from './checkpoint.ts';
import { CollectorClock } from './collector-clock.ts';
import { FormatStore } from './format-store.ts';
import { discoverIdentity } from './identity.ts';
import { Ledger } from './ledger.ts';
import { openLinks, type Links } from './links.ts';
import { DEFAULT_SPOOL_BYTES, type CollectorOptions } from './options.ts';
import { Peer, type PeerKind } from './peer.ts';
import { Pipeline } from './pipeline.ts';
import { Sender, type SenderStatus } from './sender.ts';
import { SOURCES } from './sources/index.ts';
import { TracefsSource } from './sources/tracefs.ts';
import { Spool } from './spool.ts';
import { openTelemetry, type OwnTelemetry } from './telemetry.ts';
import { findTracefs } from './tracefs.ts';

const BOOKS_INTERVAL_MS = 1000;
const HEALTH_INTERVAL_MS = 60_000;
/** How long `close` goes on sending what is in the spool. */
const CLOSE_GRACE_MS = 3000;

const log = createLogger('collector');

/** A source that does not run, in words. */
export interface SourceProblem {
  readonly source: string;
  readonly code: string;
  readonly message: string;
  /** The command or setting that mends it. */
  readonly hint: string;
}

export interface CollectorStatus {
  readonly identity: KernelIdentity;
  readonly sources: readonly (SourceStatus & { readonly id: string })[];
  readonly problems: readonly SourceProblem[];
  readonly sender: SenderStatus;
  readonly receiver: { readonly address: string; readonly kind: PeerKind };
  readonly spool: { readonly bytes: number; readonly maxBytes: number };
  /** Records that mkscope itself dropped. */
  readonly dropped: number;
}

export interface Collector {
  status(): CollectorStatus;
  /** One line on how it goes, as it is logged every minute. */
  healthLine(): string;
  /** Stops the sources, spools what they still had, sends for a moment, and releases everything held in the kernel. */
  close(): Promise<void>;
}

/** Throws OperationalError where nothing can be collected at all: a wrong address, a spool that cannot be used. */
export async function startCollector(options: CollectorOptions): Promise<Collector> {
  const rules = toRules(options.spans);
  const links = openLinks(options.to);
  const running = new RunningCollector(options, links);
  try {
    await running.start(rules);
  } catch (error) {
    await running.close();
    throw error;
  }
  return running;
}

function toRules(names: readonly string[] | undefined): readonly SpanRule[] {
  if (names === undefined) return SPAN_RULES;
  return names.map((name) => {
    const rule = findSpanRule(name);
    if (rule !== undefined) return rule;
    throw new OperationalError(
      'E_CONFIG_VALUE',
      `there is no span rule ${name}`,
      `choose from: ${SPAN_RULES.map((known) => known.name).join(', ')}`,
    );
  });
}

/** What the system refuses is a problem of the one source; anything else is a bug and goes up. */
function toOperational(error: unknown, source: string): OperationalError {
  if (isOperational(error)) return error;
  if (errnoOf(error) === undefined) throw error;
  return new OperationalError('E_SOURCE_OPEN', `${source}: ${messageOf(error)}`, 'mkscope doctor says what this machine allows', error);
}

class RunningCollector implements Collector {
  readonly #options: CollectorOptions;
  readonly #identity: KernelIdentity;
  readonly #links: Links;
  readonly #clock: CollectorClock;
  readonly #spool: Spool;
  readonly #checkpoint: Checkpoint;
  readonly #ledger = new Ledger();
  readonly #peer: Peer;
  readonly #formats: FormatStore;
  readonly #startNs: bigint;
  #telemetry: OwnTelemetry | undefined;
  #pipeline: Pipeline | undefined;
  #sender: Sender | undefined;
  #sources: Source[] = [];
  readonly #problems: SourceProblem[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  #closing: Promise<void> | undefined;

  constructor(options: CollectorOptions, links: Links) {
    this.#options = options;
    this.#links = links;
    this.#identity = discoverIdentity(options.identity === undefined ? {} : { overrides: options.identity });
    this.#clock = new CollectorClock(options.sources.tracefs?.clock ?? 'mono');
    this.#spool = Spool.open(options.spoolDir, options.spoolMaxBytes ?? DEFAULT_SPOOL_BYTES);
    this.#checkpoint = new Checkpoint(this.#spool, this.#identity.bootId);
    this.#formats = new FormatStore(options.spoolDir);
    this.#peer = new Peer(links.exchange, this.#formats);
    this.#startNs = BigInt(Date.now()) * 1_000_000n;
  }

  async start(rules: readonly SpanRule[]): Promise<void> {
    const { version, telemetry } = this.#options;
    this.#clock.start(this.#findTracefs());
    this.#telemetry = await openTelemetry({ endpoint: telemetry?.endpoint, version, identity: this.#identity });
    this.#sender = new Sender({
      spool: this.#spool,
      checkpoint: this.#checkpoint,
      peer: this.#peer,
      otherForm: { encoding: this.#links.encoding, compression: this.#links.compression },
      deliver: (outgoing) => this.#links.deliver(outgoing),
      onRefused: (lane, header) => this.#pipeline?.reportRefused(lane, header),
      telemetry: this.#telemetry,
    });
    this.#pipeline = new Pipeline({
      resource: toResource(this.#identity, readResourceAttributes()),
      version,
      clock: this.#clock,
      spool: this.#spool,
      checkpoint: this.#checkpoint,
      formats: this.#formats,
      ledger: this.#ledger,
      peer: this.#peer,
      compression: this.#links.compression,
      wake: (lane) => this.#sender?.wake(lane),
    });
    // Known at once where the receiver is there: then nothing is spooled in a form that has to be changed later.
    await this.#peer.meet();
    await this.#startSources(rules);
    this.#timers.push(setInterval(() => void this.#writeBooks(), BOOKS_INTERVAL_MS));
    this.#timers.push(setInterval(() => log.info(this.healthLine()), HEALTH_INTERVAL_MS).unref());
  }

  status(): CollectorStatus {
    return {
      identity: this.#identity,
      sources: this.#sources.map((source) => ({ id: source.id, ...source.status() })),
      problems: this.#problems,
      sender: this.#sender?.status() ?? { awaySinceMs: undefined, lastError: '', sent: 0, retries: 0, refused: 0 },
      receiver: { address: this.#links.address, kind: this.#peer.kind },
      spool: { bytes: this.#spool.sizeBytes, maxBytes: this.#spool.maxBytes },
      dropped: this.#ledger.dropped,
    };
  }

  healthLine(): string {
    const { sources, problems, sender, receiver, spool, dropped } = this.status();
    const streams = sources.flatMap((source) => source.streams);
    const sum = (pick: (of: StreamCounts) => number): number => streams.reduce((total, of) => total + pick(of), 0);
    const trouble = [
      ...problems.map((problem) => `${problem.source} not read (${problem.message})`),
      ...sources.filter(({ state }) => state === 'failed').map(({ id, detail }) => `${id} failed (${detail})`),
      ...(sender.awaySinceMs === undefined
        ? []
        : [`${receiver.address} away for ${Math.round((Date.now() - sender.awaySinceMs) / 1000)} s (${sender.lastError})`]),
    ];
    const books = `${sum((of) => of.read)} records read, ${sum((of) => of.lost)} lost, ${dropped} dropped`;
    const queue = `${sender.sent} batches sent, ${Math.round((spool.bytes / spool.maxBytes) * 100)} % of the spool used`;
    return `${trouble.length === 0 ? 'well' : trouble.join('; ')}: ${books}, ${queue}`;
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    const pipeline = this.#pipeline;
    // A source that waits for its batch to be spooled must not wait for the timer of the batch.
    const flushing = setInterval(() => pipeline?.flush(), 2);
    for (const source of this.#sources) {
      try {
        await source.stop();
      } catch (error) {
        log.error('a source did not stop cleanly', { source: source.id, error: String(error) });
      }
    }
    clearInterval(flushing);
    if (pipeline !== undefined) await this.#writeBooks();
    pipeline?.flush();
    await this.#sender?.stop(CLOSE_GRACE_MS);
    this.#checkpoint.save();
    this.#clock.stop();
    this.#spool.close();
    this.#links.close();
    await this.#telemetry?.close();
  }

  async #startSources(rules: readonly SpanRule[]): Promise<void> {
    const isHubOrUnknown = (): boolean => this.#options.events !== 'off' && this.#peer.kind !== 'otlp';
    const context = {
      identity: this.#identity,
      clock: this.#clock,
      ledger: this.#ledger,
      resume: this.#checkpoint.resumePositions(this.#spool),
      spanRules: rules,
      ship: isHubOrUnknown,
    };
    const sources = Object.values(SOURCES).flatMap((make) => make(this.#options.sources, context));
    for (const source of sources) {
      try {
        await source.start(this.#pipeline as Pipeline);
        this.#sources.push(source);
      } catch (error) {
        const { code, message, hint } = toOperational(error, source.id);
        this.#problems.push({ source: source.id, code, message, hint });
        log.warn(`${source.id} is not read: ${message}`, { code, hint });
      }
    }
  }

  #findTracefs(): string | undefined {
    try {
      return findTracefs(this.#options.sources.tracefs?.root);
    } catch (error) {
      if (isOperational(error)) return undefined;
      throw error;
    }
  }

  /** The books of each stream go with the stream's own lane, as of one moment. */
  async #writeBooks(): Promise<void> {
    const pipeline = this.#pipeline;
    if (pipeline === undefined) return;
    for (const source of this.#sources) if (source instanceof TracefsSource) await source.settle();
    pipeline.flush();
    const timeNs = this.#clock.nowUnixNs();
    const bulk = new MetricBatch(64);
    const logs = new MetricBatch(64);
    const streams = this.#sources.flatMap((source) => source.status().streams);
    const isBulk = (stream: string): boolean => stream.startsWith('tracefs:');
    this.#ledger.addMetrics(bulk, streams, isBulk, this.#startNs, timeNs);
    this.#ledger.addMetrics(logs, streams, (stream) => !isBulk(stream), this.#startNs, timeNs);
    this.#clock.addMetrics(logs, this.#startNs, timeNs);
    pipeline.writeBooks('bulk', bulk);
    pipeline.writeBooks('logs', logs);
  }
}
