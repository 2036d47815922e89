/**
 * The agent of one kernel, and of the guests that are too small for one: sources → feed → receiver, a feed per kernel. What
 * cannot be read is said, with what to do about it, and the rest goes on.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { OperationalError, errnoOf, isOperational, messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { HOST_KERNEL_ID, KMSG_STREAM, type KernelIdentity } from '../model/identity.ts';
import type { Source, SourcePosition, SourceStatus, StreamCounts } from '../model/pipeline.ts';
import { SPAN_RULES, type SpanRule } from '../correlate/span-rules.ts';
import { CollectorClock } from './collector-clock.ts';
import { HubClock } from './hub-clock.ts';
import { FormatStore } from './format-store.ts';
import { discoverIdentity } from './identity.ts';
import { createMatcher } from '../correlate/match-messages.ts';
import { hasInstances } from './instances.ts';
import { KernelFeed, type FeedStatus, type KernelReader, type ReadKernel, type SharedParts } from './kernel-feed.ts';
import { readKnownBoots, writeKnownBoot, type KnownBoot } from './known-boots.ts';
import { openLinks, type Links } from './links.ts';
import { DEFAULT_RECORDER_BYTES, DEFAULT_SPOOL_BYTES, type CollectorOptions, type StreamOptions } from './options.ts';
import { readPackedSymbols } from './kernel-symbols.ts';
import { Peer, type PeerKind } from './peer.ts';
import type { SenderStatus } from './sender.ts';
import { SOURCES } from './sources/index.ts';
import { GuestConsoleSource } from './sources/guest-console.ts';
import { InstanceConsoles, MAX_CONSOLES } from './sources/instance-consoles.ts';
import { NetconsoleSource } from './sources/netconsole.ts';
import { PstoreSource } from './sources/pstore.ts';
import { StreamSource } from './sources/stream.ts';
import { TracefsSource } from './sources/tracefs.ts';
import { openTelemetry, type OwnTelemetry } from './telemetry.ts';
import { findTracefs } from './tracefs.ts';
import { toPrintkNs, type UnixNs } from '../model/time.ts';

const BOOKS_INTERVAL_MS = 1000;
const HEALTH_INTERVAL_MS = 60_000;
/** How long `close` goes on sending what is in the spool. */
const CLOSE_GRACE_MS = 3000;

/** Of earlier boots of this kernel, beside the spool. */
const KNOWN_BOOTS = 'boots.json';
/** Crash records are small: their spool gets this part of what another kernel's gets. */
const PSTORE_SHARE = 16;

const log = createLogger('collector');

/** A source that does not run, in words. */
export interface SourceProblem {
  readonly source: string;
  readonly code: string;
  readonly message: string;
  /** The command or setting that mends it. */
  readonly hint: string;
}

export interface GuestStatus extends FeedStatus {
  readonly name: string;
  /** Undefined until it has said who it is. */
  readonly identity: KernelIdentity | undefined;
}

export interface CollectorStatus {
  readonly identity: KernelIdentity;
  readonly sources: readonly (SourceStatus & { readonly id: string })[];
  /** The kernels that are read through streams; their books are with the sources. */
  readonly guests: readonly GuestStatus[];
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
  const rules = toRules(options);
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

/** Rules of the user come with ours; those that go over kernels are the hub's. */
function toRules({ spans: names, spanRules = [] }: CollectorOptions): readonly SpanRule[] {
  const known = [...SPAN_RULES, ...spanRules].filter(({ across }) => across !== true);
  if (names === undefined) return known;
  return names.map((name) => {
    const rule = known.find((one) => one.name === name);
    if (rule !== undefined) return rule;
    throw new OperationalError(
      'E_CONFIG_VALUE',
      `there is no span rule ${name}`,
      `choose from: ${known.map((one) => one.name).join(', ')}`,
    );
  });
}

/** What the system refuses is a problem of the one source; anything else is a bug and goes up. */
function toOperational(error: unknown, source: string): OperationalError {
  if (isOperational(error)) return error;
  if (errnoOf(error) === undefined) throw error;
  return new OperationalError('E_SOURCE_OPEN', `${source}: ${messageOf(error)}`, 'mkscope doctor says what this machine allows', error);
}

function toNamedStatus(source: Source): SourceStatus & { readonly id: string } {
  return { id: source.id, ...source.status() };
}

/** A guest and what its records go through. */
interface Guest {
  readonly name: string;
  readonly feed: KernelFeed;
  readonly source: StreamSource;
  readonly console: GuestConsoleSource | undefined;
}

function toGuestStatus({ name, identity, feed }: ReadKernel): GuestStatus {
  return { name, identity, ...feed.status() };
}

/** Ids of the kernels whose console, or whose whole stream, the configuration names. */
function kernelsReadOtherwise({ streams = [], sources }: CollectorOptions): Set<number> {
  const addresses = [...(sources.console ?? []).map(({ from }) => from), ...streams.flatMap(({ from, console }) => [from, console ?? ''])];
  const named = addresses.flatMap((address) => /^mktty:(\d{1,9})(?:@|$)/.exec(address)?.[1] ?? []).map(Number);
  return new Set([...named, ...streams.flatMap(({ kernel }) => (typeof kernel === 'number' ? [kernel] : []))]);
}

class RunningCollector implements Collector {
  readonly #options: CollectorOptions;
  readonly #identity: KernelIdentity;
  readonly #links: Links;
  readonly #clock: CollectorClock;
  readonly #peer: Peer;
  readonly #hubClock: HubClock;
  readonly #shared: SharedParts;
  /** The same for kernels whose trace pages are read. */
  readonly #recording: SharedParts;
  readonly #feed: KernelFeed;
  readonly #guests: Guest[] = [];
  readonly #readers: KernelReader[] = [];
  #telemetry: OwnTelemetry | undefined;
  #sources: Source[] = [];
  readonly #problems: SourceProblem[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  #closing: Promise<void> | undefined;

  constructor(options: CollectorOptions, links: Links) {
    this.#options = options;
    this.#links = links;
    const { root = '/', identity: overrides = {} } = options;
    this.#identity = discoverIdentity({ root, overrides });
    this.#clock = new CollectorClock(options.sources.tracefs?.clock ?? 'mono', this.#identity.kernelId === HOST_KERNEL_ID);
    const formats = new FormatStore(options.spoolDir);
    const symbols = { bootId: this.#identity.bootId, read: () => readPackedSymbols(root) };
    this.#peer = new Peer(links.exchange, formats, options.sources.tracefs === undefined ? undefined : symbols);
    this.#hubClock = new HubClock({ exchange: links.exchange, isHub: () => this.#peer.kind === 'hub' });
    this.#clock.hub = this.#hubClock;
    const { events, recorderMaxBytes = DEFAULT_RECORDER_BYTES, streams = [], sources, version } = options;
    const recorders = streams.length + (sources.tracefs === undefined ? 0 : 1);
    const recorderBytes = events === 'keep' ? Math.floor(recorderMaxBytes / Math.max(1, recorders)) : undefined;
    const messages = createMatcher(options.messages);
    this.#shared = { links, peer: this.#peer, formats, messages, recorderBytes: undefined, version };
    this.#recording = { ...this.#shared, recorderBytes };
    this.#feed = new KernelFeed(options.spoolDir, this.#spoolBytes(), sources.tracefs === undefined ? this.#shared : this.#recording);
  }

  async start(rules: readonly SpanRule[]): Promise<void> {
    const { version, telemetry } = this.#options;
    const resume = this.#feed.resumePositions(this.#identity);
    this.#clock.start(this.#findTracefs());
    this.#telemetry = await openTelemetry({ endpoint: telemetry?.endpoint, version, identity: this.#identity });
    this.#feed.startSender(this.#telemetry);
    this.#feed.begin(this.#identity, this.#clock);
    for (const stream of this.#options.streams ?? []) this.#guests.push(this.#openGuest(stream, rules, this.#telemetry));
    this.#openReaders(this.#telemetry, resume);
    // Known at once where the receiver is there: then nothing is spooled in a form that has to be changed later.
    await this.#peer.meet();
    // The first records are the whole log since boot: their times want its answer, too.
    await this.#hubClock.start();
    for (const { feed } of this.#otherKernels()) feed.sendLeftOver();
    await this.#startSources(rules, resume);
    this.#timers.push(setInterval(() => void this.#writeBooks(), BOOKS_INTERVAL_MS));
    this.#timers.push(setInterval(() => this.#everyMinute(), HEALTH_INTERVAL_MS).unref());
  }

  status(): CollectorStatus {
    const { sender, spool } = this.#feed.status();
    const guests = this.#otherKernels().map(toGuestStatus);
    return {
      identity: this.#identity,
      sources: this.#running().map(toNamedStatus),
      guests,
      problems: this.#problems,
      sender,
      receiver: { address: this.#links.address, kind: this.#peer.kind },
      spool,
      dropped: guests.reduce((sum, guest) => sum + guest.dropped, this.#feed.status().dropped),
    };
  }

  healthLine(): string {
    const { sources, guests, problems, sender, receiver, spool, dropped } = this.status();
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
    const sent = guests.reduce((total, guest) => total + guest.sender.sent, sender.sent);
    const usedBytes = guests.reduce((total, guest) => total + guest.spool.bytes, spool.bytes);
    const maxBytes = guests.reduce((total, guest) => total + guest.spool.maxBytes, spool.maxBytes);
    const queue = `${sent} batches sent, ${Math.round((usedBytes / maxBytes) * 100)} % of the spool used`;
    return `${trouble.length === 0 ? 'well' : trouble.join('; ')}: ${books}, ${queue}`;
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    const feeds = [this.#feed, ...this.#otherKernels().map(({ feed }) => feed)];
    // A source that waits for its batch to be spooled must not wait for the timer of the batch.
    const flushing = setInterval(() => {
      for (const feed of feeds) feed.flush();
    }, 2);
    for (const source of this.#running()) {
      try {
        await source.stop();
      } catch (error) {
        log.error('a source did not stop cleanly', { source: source.id, error: String(error) });
      }
    }
    clearInterval(flushing);
    await this.#writeBooks();
    await Promise.all(feeds.map((feed) => feed.close(CLOSE_GRACE_MS)));
    this.#hubClock.stop();
    this.#clock.stop();
    this.#links.close();
    await this.#telemetry?.close();
  }

  /** This kernel's sources and those of the guests. */
  #running(): Source[] {
    // A console after its stream: what the log brings last is then known.
    const guests = this.#guests.flatMap(({ source, console }) => (console === undefined ? [source] : [source, console]));
    return [...this.#sources, ...guests, ...this.#readers];
  }

  /** Those that are read for others, each with a feed of its own. */
  #otherKernels(): ReadKernel[] {
    const guests = this.#guests.map(({ name, feed, source }) => ({ name, feed, identity: source.identity }));
    return [...guests, ...this.#readers.flatMap((reader) => reader.kernels())];
  }

  /** The bound of the configuration holds for all feeds together. */
  #spoolBytes(): number {
    const { spoolMaxBytes = DEFAULT_SPOOL_BYTES, streams = [], netconsole, pstore, root = '/' } = this.#options;
    const senders = (netconsole?.kernels.length ?? 0) + (netconsole?.others === 'accept' ? 1 : 0);
    const consoles = this.#readsInstanceConsoles() && hasInstances(root) ? 1 : 0;
    return Math.floor(spoolMaxBytes / (1 + streams.length + senders + consoles + (pstore === undefined ? 0 : 1 / PSTORE_SHARE)));
  }

  /** A spawned kernel has no consoles of others. */
  #readsInstanceConsoles(): boolean {
    return this.#options.instanceConsoles !== undefined && this.#identity.kernelId === HOST_KERNEL_ID;
  }

  #ships(): boolean {
    return this.#options.events !== 'off' && this.#peer.kind !== 'otlp';
  }

  #openGuest({ name, from, kernel, console: consoleFrom }: StreamOptions, rules: readonly SpanRule[], telemetry: OwnTelemetry): Guest {
    const feed = new KernelFeed(join(this.#options.spoolDir, 'streams', name), this.#spoolBytes(), this.#recording);
    feed.startSender(telemetry);
    const console =
      consoleFrom === undefined
        ? undefined
        : new GuestConsoleSource({ name, from: consoleFrom, root: this.#options.root ?? '/', timeline: this.#clock, feed });
    const source = new StreamSource({
      name,
      from,
      kernel,
      machine: this.#identity,
      timeline: this.#clock,
      feed,
      resume: feed.resumePositions(),
      spanRules: rules,
      console,
      ship: () => this.#ships(),
    });
    return { name, feed, source, console };
  }

  #openReaders(telemetry: OwnTelemetry, resume: ReadonlyMap<string, SourcePosition>): void {
    const { netconsole, spoolDir } = this.#options;
    const openFeed = (folder: string, sharedBy: number): KernelFeed => {
      const feed = new KernelFeed(join(spoolDir, folder), Math.floor(this.#spoolBytes() / sharedBy), this.#shared);
      feed.startSender(telemetry);
      return feed;
    };
    if (netconsole !== undefined) {
      const now = (): UnixNs => this.#clock.nowUnixNs();
      const open = (name: string, sharedBy: number): KernelFeed => openFeed(join('netconsole', name), sharedBy);
      this.#readers.push(new NetconsoleSource({ ...netconsole, machine: this.#identity, now, openFeed: open }));
    }
    if (this.#readsInstanceConsoles()) {
      const source = new InstanceConsoles({
        root: this.#options.root ?? '/',
        all: this.#options.instanceConsoles === 'all',
        others: kernelsReadOtherwise(this.#options),
        machine: this.#identity,
        now: () => this.#clock.nowUnixNs(),
        openFeed: (name) => openFeed(join('mktty', name), MAX_CONSOLES),
      });
      this.#readers.push(source);
    }
    this.#openPstore(resume.get(KMSG_STREAM), () => openFeed('pstore', PSTORE_SHARE));
  }

  #openPstore(kmsg: SourcePosition | undefined, openFeed: () => KernelFeed): void {
    const { pstore, spoolDir } = this.#options;
    if (pstore === undefined) return;
    const source = new PstoreSource({
      folders: pstore.folders,
      remove: pstore.remove === true,
      identity: this.#identity,
      knownBoots: [...readKnownBoots(join(spoolDir, KNOWN_BOOTS)), this.#knownBoot()],
      collectedMicros: (bootId) => (kmsg?.bootId === bootId ? kmsg.counts?.['micros'] : undefined),
      now: () => this.#clock.nowUnixNs(),
      openFeed,
    });
    if (existsSync(join(spoolDir, 'pstore'))) source.openFeed();
    this.#readers.push(source);
    this.#noteBoot();
  }

  #knownBoot(): KnownBoot {
    const { bootId, release } = this.#identity;
    return { bootId, release, zeroMs: Number(this.#clock.toUnixNs(toPrintkNs(0n)) / 1_000_000n) };
  }

  /** Each minute: the clock of a kernel that is suspended begins later each time. */
  #noteBoot(): void {
    if (this.#options.pstore !== undefined) writeKnownBoot(join(this.#options.spoolDir, KNOWN_BOOTS), this.#knownBoot());
  }

  #everyMinute(): void {
    log.info(this.healthLine());
    this.#noteBoot();
  }

  async #startSources(rules: readonly SpanRule[], resume: ReadonlyMap<string, SourcePosition>): Promise<void> {
    const context = {
      identity: this.#identity,
      root: this.#options.root ?? '/',
      clock: this.#clock,
      ledger: this.#feed.ledger,
      resume,
      spanRules: rules,
      ship: (): boolean => this.#ships(),
    };
    for (const source of Object.values(SOURCES).flatMap((make) => make(this.#options.sources, context))) {
      if (await this.#startSource(source)) this.#sources.push(source);
    }
    for (const { source, console } of this.#guests) {
      if (console !== undefined) await this.#startSource(console);
      await this.#startSource(source);
    }
    for (const reader of this.#readers) await this.#startSource(reader);
  }

  async #startSource(source: Source): Promise<boolean> {
    try {
      await source.start(this.#feed);
      return true;
    } catch (error) {
      const { code, message, hint } = toOperational(error, source.id);
      this.#problems.push({ source: source.id, code, message, hint });
      log.warn(`${source.id} is not read: ${message}`, { code, hint });
      return false;
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

  /** Of this kernel's streams; a guest's are written when its own counters come. */
  async #writeBooks(): Promise<void> {
    for (const source of this.#sources) if (source instanceof TracefsSource) await source.settle();
    // A collector that only reads guests says nothing of the kernel it happens to run on.
    if (this.#sources.length === 0) return;
    this.#feed.writeBooks(this.#sources.flatMap((source) => source.status().streams));
  }
}
