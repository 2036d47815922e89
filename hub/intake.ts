/**
 * Takes decoded requests over: checks who may say what, completes times and gaps, appends to the store, and tells those who
 * watch (live tail, presence, books). Everything after the append is in memory and cannot fail.
 */
import { decodeUtf8 } from '../base/bytes.ts';
import { OperationalError } from '../base/errors.ts';
import type { MessageMatcher } from '../correlate/match-messages.ts';
import { MessageRecogniser } from '../correlate/recognise-messages.ts';
import { ATTR, COLLECTOR_STOPPED_METRIC } from '../model/attributes.ts';
import type { Gap } from '../model/gap.ts';
import { toResource, toScope, type KernelIdentity, type Resource } from '../model/identity.ts';
import type { LogBatch } from '../model/log-batch.ts';
import type { MetricBatch } from '../model/metric-batch.ts';
import type { Segment, SegmentHeader } from '../model/segment.ts';
import type { DecodedLogs, DecodedMetrics, DecodedSpans } from '../otlp/decode.ts';
import { readGaps, toGapLogs } from '../otlp/gap.ts';
import type { KernelSighting, Store, StoreBatch } from '../store/store.ts';
import { checkIdentity, type AccessToken } from './access.ts';
import type { BootJoins } from './boot-joins.ts';
import type { Books } from './books.ts';
import type { ClockWatch } from './clock-watch.ts';
import type { HubCounters, Signal } from './counters.ts';
import type { FormatSets } from './format-sets.ts';
import type { IdentityWatch } from './identity-watch.ts';
import type { LifeWatch } from './life-watch.ts';
import type { AcrossWatch } from './across-watch.ts';
import type { IkcWatch } from './ikc-watch.ts';
import type { IncidentWatch } from './incident-watch.ts';
import type { LiveFeed } from './live.ts';
import { clockErrorOf } from './log-row.ts';
import type { Presence, PresenceTable } from './presence.ts';
import type { NoticedBatch, ReportWatch } from './report-watch.ts';
import type { Sender } from './receive.ts';
import { readEvents } from './segments.ts';
import type { TaskNames } from './task-names.ts';
import { NOTABLE_AHEAD_NS, type TimeGuard } from './time-guard.ts';

/** A live kernel's row in the store is renewed this often. */
const SIGHTING_INTERVAL_MS = 5_000;
/** Streams whose messages are followed at a time; of the one that was silent longest, what came before is forgotten. */
const MAX_RECOGNISERS = 4_096;
/** A time without a bound decides nothing. */
const UNKNOWN_BOUND_NS = 1e15;
/** `ffffffff81000000 T _text` */
const SYMBOL_LINE = /^[0-9a-f]+ [A-Za-z] \S/;

export interface IntakeParts {
  readonly store: Store;
  readonly version: string;
  readonly formats: FormatSets;
  readonly names: TaskNames;
  readonly presence: PresenceTable;
  readonly identities: IdentityWatch;
  readonly times: TimeGuard;
  readonly books: Books;
  readonly live: LiveFeed;
  readonly counters: HubCounters;
  readonly reports: ReportWatch;
  readonly lives: LifeWatch;
  readonly incidents: IncidentWatch;
  readonly across: AcrossWatch;
  /** Told of metrics that are stored. */
  readonly onMetrics: (parts: readonly DecodedMetrics[]) => void;
  readonly messages: MessageMatcher;
  readonly boots: BootJoins;
  readonly clocks: ClockWatch;
  readonly ikc: IkcWatch;
}

export class Intake {
  readonly #parts: IntakeParts;
  /** By boot and stream, the one that was used last at the end. */
  readonly #recognisers = new Map<string, MessageRecogniser>();

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  async takeLogs(received: readonly DecodedLogs[], sender: Sender): Promise<void> {
    const gaps: { identity: KernelIdentity; gaps: Gap[] }[] = [];
    for (const { resource } of received) this.#admit(resource.identity, sender);
    for (const { resource, stream, batch } of received) {
      if (resource.identity !== undefined) this.#parts.boots.notice(resource.identity, stream, batch);
    }
    const parts = received.map((part) => this.#align(this.#settle(part)));
    for (const { resource, stream, batch } of parts) {
      // A collector has done it; others' rows get their names here.
      if (resource.identity !== undefined && stream !== '') this.#recogniserOf(resource.identity.bootId, stream).take(batch);
      const found = resource.identity === undefined ? [] : readGaps(batch, stream);
      if (resource.identity !== undefined && found.length > 0) gaps.push({ identity: resource.identity, gaps: found });
    }
    // Gap lines come without a stream, and are not the kernel's.
    const { reports } = this.#parts;
    const noticed: NoticedBatch[] = [];
    const identities = parts.map((part) => part.resource.identity);
    try {
      for (const { resource, stream, batch } of parts) {
        const one = resource.identity === undefined || stream === '' ? undefined : reports.notice(resource.identity, batch);
        if (one !== undefined) noticed.push(one);
        if (resource.identity !== undefined && stream !== '') this.#parts.incidents.notice(resource.identity.machineId, batch);
      }
      this.#markGaps(gaps);
      if (!(await this.#append({ logs: parts, gaps }, identities, sender))) return;
    } finally {
      for (const one of noticed) reports.settle(one);
    }
    const { counters, live, lives, ikc } = this.#parts;
    for (const { resource, scope, stream, batch } of parts) {
      counters.rowsStored.logs += batch.length;
      if (resource.identity !== undefined) {
        this.#noteLogs(resource.identity, clockErrorOf(scope), stream, batch);
        if (stream !== '') {
          lives.notice(resource.identity, batch);
          ikc.takeLogs(resource.identity, stream, batch, clockErrorOf(scope));
        }
      }
      live.publish(resource, scope, batch);
    }
    for (const { identity, gaps: found } of gaps) {
      counters.rowsStored.gaps += found.length;
      ikc.takeGaps(identity, found);
    }
  }

  async takeSpans(parts: readonly DecodedSpans[], sender: Sender): Promise<void> {
    const nowNs = BigInt(Date.now()) * 1_000_000n;
    for (const { resource, batch } of parts) {
      this.#admit(resource.identity, sender);
      this.#parts.times.checkSpans(batch, nowNs);
    }
    const identities = parts.map((part) => part.resource.identity);
    if (!(await this.#append({ spans: parts }, identities, sender))) return;
    this.#countRows('spans', parts);
    for (const identity of identities) if (identity !== undefined) this.#parts.presence.see(identity);
  }

  async takeMetrics(received: readonly DecodedMetrics[], sender: Sender): Promise<void> {
    const nowNs = BigInt(Date.now()) * 1_000_000n;
    for (const { resource, batch } of received) {
      this.#admit(resource.identity, sender);
      this.#parts.times.fillMetrics(resource.identity, batch, nowNs);
    }
    const parts = received.map((part) => this.#settle(part));
    const identities = parts.map((part) => part.resource.identity);
    if (!(await this.#append({ metrics: parts }, identities, sender))) return;
    this.#countRows('metrics', parts);
    this.#parts.onMetrics(parts);
    for (const [at, { resource, batch }] of parts.entries()) {
      if (resource.identity === undefined) continue;
      // Books of who hears a kernel from outside go on when the kernel does not: its own collector's tell that it lives.
      if (resource !== received[at]?.resource) {
        this.#parts.books.observe(resource.identity.bootId, batch);
        continue;
      }
      const seen = this.#parts.presence.see(resource.identity);
      seen.books++;
      noteStop(seen, batch);
      this.#parts.books.observe(resource.identity.bootId, batch);
    }
  }

  async takeSegment(segment: Segment, sender: Sender): Promise<void> {
    const { identity, stream, clock, formatSet } = segment.header;
    this.#admit(identity, sender);
    if (segment.header.chunks.length === 0) return this.#takeOutline(segment.header, sender);
    const { formats, names, counters, books, presence, live, version, clocks, ikc, times } = this.#parts;
    const reader = formats.readerOf(formatSet, identity.bootId, stream);
    const read = readEvents(segment, reader, names, (...of) => clocks.openSegment(...of));
    const { batch, gaps, counts, frontNs, malformed, errorNs } = read;
    if (read.brokenNs !== undefined)
      times.say(identity, 'trace events', { count: batch.length, sample: read.brokenNs }, BigInt(Date.now()) * 1_000_000n);
    const gapLogs = { resource: toResource(identity), scope: toScope('mkscope', version), batch: toGapLogs(gaps) };
    const rows: StoreBatch = {
      events: [{ identity, stream, clockErrorNs: errorNs, batch, formats: reader.formats }],
      ...(gaps.length > 0 ? { gaps: [{ identity, gaps }], logs: [gapLogs] } : {}),
    };
    ikc.notice(batch);
    this.#markGaps([{ identity, gaps }]);
    if (!(await this.#append(rows, [identity], sender))) return;
    const boundNs = errorNs < 0 ? UNKNOWN_BOUND_NS : errorNs;
    ikc.takeEvents(identity, batch, reader.formats, boundNs, frontNs);
    this.#parts.across.takeEvents(identity, batch, boundNs);
    ikc.takeGaps(identity, gaps);
    const events = batch.length;
    counters.rowsStored.events += events;
    counters.rowsStored.gaps += gaps.length;
    for (const [reason, count] of malformed) counters.countDropped(reason, count);
    for (const [cpu, count] of counts) books.accept({ bootId: identity.bootId, stream, cpu }, count, frontNs);
    const seen = presence.see(identity);
    seen.events.add(events, Date.now());
    seen.clock ||= clock;
    if (seen.clockErrorNs < 0) seen.clockErrorNs = errorNs;
    if (gaps.length > 0) live.publish(gapLogs.resource, gapLogs.scope, gapLogs.batch);
  }

  /** Kallsyms of a kernel that sends here. Throws E_REQUEST when it is none, or not of one. */
  async takeSymbols(bootId: string, kallsyms: Uint8Array, token: AccessToken | undefined): Promise<void> {
    const known = this.#parts.presence.find(bootId);
    if (known === undefined) throw new OperationalError('E_REQUEST', `nothing came of boot ${bootId} yet`, 'send what it says first');
    checkIdentity(token, known.identity);
    if (!SYMBOL_LINE.test(decodeUtf8(kallsyms, 0, Math.min(kallsyms.length, 200))))
      throw new OperationalError('E_REQUEST', 'the body does not begin like /proc/kallsyms', 'send the file as it is');
    await this.#parts.store.append({ recordingTexts: [{ bootId, stream: '', texts: { kallsyms: decodeUtf8(kallsyms) } }] });
    this.#parts.counters.batchesStored++;
  }

  /** The head of a segment whose pages stay in a flight recorder: clocks and names. */
  async #takeOutline(header: SegmentHeader, sender: Sender): Promise<void> {
    const { names, presence, clocks, ikc } = this.#parts;
    const { identity, clock, fit, comms } = header;
    if (!(await this.#append({}, [identity], sender))) return;
    names.learn(identity.bootId, comms);
    ikc.noteKept(identity.bootId);
    const raw = BigInt(fit.baseRaw);
    const { errorNs } = clocks.openSegment(header, raw, raw).fit;
    const seen = presence.see(identity);
    seen.clock ||= clock;
    if (seen.clockErrorNs < 0) seen.clockErrorNs = errorNs;
  }

  /** What comes under a boot id that was made up belongs to the incarnation that it turned out to be. */
  #settle<Part extends { readonly resource: Resource }>(part: Part): Part {
    const identity = this.#parts.boots.find(part.resource.identity);
    if (identity === undefined) return part;
    const { [ATTR.bootHeard]: _, ...own } = part.resource.attributes;
    return { ...part, resource: toResource(identity, own) };
  }

  /** Times by all that is known of the machine's clocks; the bound that goes with them stands in the scope. */
  #align(part: DecodedLogs): DecodedLogs {
    const { resource, scope, stream, batch } = part;
    const { times, clocks } = this.#parts;
    const { [ATTR.clockHub]: hubLink, ...attributes } = scope.attributes;
    const { identity } = resource;
    // Before a wall clock that stands in another year is found broken: the hub's clock tells what it is off by.
    const wallErrorNs =
      identity === undefined || hubLink === undefined ? undefined : clocks.alignWall(identity, batch, clockErrorOf(scope), hubLink);
    const broken = times.fillLogs(identity, batch, BigInt(Date.now()) * 1_000_000n);
    const senderErrorNs = broken > 0 ? -1 : (wallErrorNs ?? clockErrorOf(scope));
    const isAlignable = identity !== undefined && stream !== '';
    const errorNs = isAlignable ? clocks.alignLogs(identity, batch, senderErrorNs) : undefined;
    if (errorNs === undefined && broken === 0 && wallErrorNs === undefined) return part;
    return { ...part, scope: { ...scope, attributes: { ...attributes, [ATTR.clockError]: String(Math.ceil(errorNs ?? senderErrorNs)) } } };
  }

  /** Throws E_FORBIDDEN, E_IDENTITY_TAKEN, E_REQUEST. */
  #admit(identity: KernelIdentity | undefined, { token }: Sender): void {
    checkIdentity(token, identity);
    if (identity !== undefined) this.#parts.identities.admit(identity);
  }

  /** Losses may be a burst. */
  #markGaps(gaps: readonly { readonly identity: KernelIdentity; readonly gaps: readonly Gap[] }[]): void {
    for (const { identity, gaps: own } of gaps) {
      const first = own.reduce<bigint | undefined>(
        (least, { toUnixNs }) => (least === undefined || toUnixNs < least ? toUnixNs : least),
        undefined,
      );
      if (first !== undefined) this.#parts.incidents.mark(identity.machineId, first);
    }
  }

  #recogniserOf(bootId: string, stream: string): MessageRecogniser {
    const key = `${bootId}\n${stream}`;
    const recogniser = this.#recognisers.get(key) ?? new MessageRecogniser(this.#parts.messages);
    this.#recognisers.delete(key);
    this.#recognisers.set(key, recogniser);
    if (this.#recognisers.size > MAX_RECOGNISERS) {
      const [oldest] = this.#recognisers.keys();
      this.#recognisers.delete(oldest as string);
    }
    return recogniser;
  }

  /** False for a batch that was taken before. */
  async #append(rows: StoreBatch, identities: readonly (KernelIdentity | undefined)[], { origin }: Sender): Promise<boolean> {
    const { store, counters } = this.#parts;
    const kernels = this.#sightings(identities);
    const outcome = await store.append({ ...rows, kernels, ...(origin === undefined ? {} : { origin }) });
    if (outcome === 'duplicate') {
      counters.batchesDuplicate++;
      return false;
    }
    counters.batchesStored++;
    for (const { identity } of kernels) this.#parts.presence.see(identity).sightedMs = Date.now();
    return true;
  }

  #sightings(identities: readonly (KernelIdentity | undefined)[]): KernelSighting[] {
    const nowMs = Date.now();
    const due = new Map<string, KernelSighting>();
    for (const identity of identities) {
      if (identity === undefined || due.has(identity.bootId)) continue;
      const known = this.#parts.presence.find(identity.bootId);
      if (known !== undefined && nowMs - known.sightedMs < SIGHTING_INTERVAL_MS) continue;
      due.set(identity.bootId, { identity, seenUnixNs: BigInt(nowMs) * 1_000_000n, origin: 'live' });
    }
    return [...due.values()];
  }

  #noteLogs(identity: KernelIdentity, clockErrorNs: number, stream: string, batch: LogBatch): void {
    const { presence, books } = this.#parts;
    const seen = presence.see(identity);
    const last = batch.length - 1;
    if (last < 0) return;
    const frontNs = batch.unixTime.getBigint(last);
    // Gap lines come without a stream: they are ours, not the kernel's.
    if (stream === '') return;
    seen.logs.add(batch.length, Date.now());
    books.accept({ bootId: identity.bootId, stream, cpu: -1 }, batch.length, frontNs);
    if (clockErrorNs >= 0) {
      seen.clock = batch.clock;
      seen.clockErrorNs = clockErrorNs;
    }
    const nowNs = BigInt(Date.now()) * 1_000_000n;
    seen.aheadNs = frontNs - nowNs > NOTABLE_AHEAD_NS ? frontNs - nowNs : 0n;
    // A line from the future would be the last one until then.
    if (frontNs >= seen.lastLineNs || seen.lastLineNs > nowNs + NOTABLE_AHEAD_NS) {
      seen.lastLineNs = frontNs;
      seen.lastLine = batch.textOf(last);
    }
  }

  #countRows(signal: Signal, parts: readonly { readonly batch: { readonly length: number } }[]): void {
    for (const { batch } of parts) this.#parts.counters.rowsStored[signal] += batch.length;
  }
}

/** Lanes overtake each other: books from before it said so change nothing. */
function noteStop(seen: Presence, batch: MetricBatch): void {
  for (let row = 0; row < batch.length; row++) {
    const atNs = batch.time.getBigint(row);
    if (batch.strings.get(batch.name[row] as number) === COLLECTOR_STOPPED_METRIC) seen.stoppedNs = atNs;
    else if (atNs > seen.stoppedNs) seen.stoppedNs = 0n;
  }
}
