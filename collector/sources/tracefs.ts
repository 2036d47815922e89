/**
 * Trace events through an instance of our own: pages as the kernel wrote them, cut into segments. Instances that a killed
 * collector left behind are emptied first (they went on recording meanwhile) and then removed.
 *
 *   every ~100 ms: pages of each CPU ──► every 200 ms or 1 MiB: a segment ──► sink
 *                                   └──► span rules, where configured
 *   `settle`, every second: the kernel's `stats` for the books
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { OperationalError, messageOf } from '../../base/errors.ts';
import { createLogger } from '../../base/log.ts';
import type { Gap } from '../../model/gap.ts';
import type { KernelIdentity } from '../../model/identity.ts';
import type { Sink, Source, SourcePosition, SourceStatus, StreamCounts } from '../../model/pipeline.ts';
import type { ClockDomain } from '../../model/time.ts';
import type { KernelClock } from '../kernel-clock.ts';
import { readFormatSet, type NamedFormatSet } from '../format-set.ts';
import { joinEventFilters } from '../../correlate/event-filter.ts';
import { KprobeSet } from '../kprobes.ts';
import { PageSpans } from '../page-spans.ts';
import { TaskNames } from '../task-names.ts';
import { TraceReader, type PageChunk } from '../trace-reader.ts';
import { INSTANCE_PREFIX, TraceInstance, findOrphans, findTracefs, resolveEvents, type CpuStats } from '../tracefs.ts';
import type { IkcEvent } from '../../correlate/ikc-pack.ts';
import type { SpanRule } from '../../correlate/span-rules.ts';

const BUSY_TICK_MS = 25;
const TICK_MS = 100;
const SEGMENT_DELAY_MS = 200;
/** The list has up to 6,500 lines: 3 ms. */
const NAMES_INTERVAL_MS = 4000;
/** Ring memory of all CPUs together where nothing is configured; at least MIN_BUFFER_KB each. */
const DEFAULT_BUFFERS_KB = 64 << 10;
const MAX_BUFFER_KB = 4096;
const MIN_BUFFER_KB = 512;

const log = createLogger('tracefs');

export interface TracefsOptions {
  readonly identity: KernelIdentity;
  readonly events: readonly string[];
  readonly clockDomain: ClockDomain;
  readonly bufferSizeKb: number | undefined;
  readonly root: string | undefined;
  readonly clock: KernelClock;
  /** Where the streams of earlier collectors of this boot stopped, by stream. */
  readonly resume: ReadonlyMap<string, SourcePosition>;
  readonly spanRules: readonly SpanRule[];
  /** Events of IKC packs: probes that are made, and events that the kernel has. */
  readonly probes: readonly IkcEvent[];
  /** Hand on the pages; false = they are only read for the span rules. */
  readonly ship: () => boolean;
}

export class TracefsSource implements Source {
  readonly id = 'tracefs';
  readonly #options: TracefsOptions;
  #sink: Sink | undefined;
  #reader: TraceReader | undefined;
  #formats: NamedFormatSet | undefined;
  #names: TaskNames | undefined;
  #spans: PageSpans | undefined;
  #probes: KprobeSet | undefined;
  #sequence = 0;
  #comms: Record<string, string> = {};
  #timer: NodeJS.Timeout | undefined;
  #state: SourceStatus['state'] = 'stopped';
  #detail = '';
  #errors = 0;
  #segmentSinceMs = 0;
  #namesAtMs = 0;
  #orphanCounts: StreamCounts[] = [];

  constructor(options: TracefsOptions) {
    this.#options = options;
  }

  async start(sink: Sink): Promise<void> {
    this.#sink = sink;
    const { root, clockDomain } = this.#options;
    const tracefs = findTracefs(root);
    const patterns = [...this.#options.events, ...this.#installProbes(tracefs)];
    const { events, unknown } = resolveEvents(tracefs, patterns);
    if (events.length === 0) {
      throw new OperationalError(
        'E_SOURCE_OPEN',
        `none of the events ${patterns.join(', ')} exists on this kernel`,
        `see what there is: ls ${tracefs}/events`,
      );
    }
    if (unknown.length > 0) this.#tell(`not on this kernel: ${unknown.join(', ')}`);
    const formats = readFormatSet(tracefs, events);
    this.#formats = formats;
    await sink.write({ kind: 'formats', hash: formats.hash, set: formats.set });
    this.#names = new TaskNames(tracefs);
    await this.#adoptOrphans(tracefs);
    if (this.#probes !== undefined) this.#removeOldProbes(this.#probes, events);

    const instance = new TraceInstance(tracefs, `${INSTANCE_PREFIX}${process.pid}`);
    instance.create(clockDomain, this.#options.bufferSizeKb ?? defaultBufferKb(tracefs));
    try {
      this.#reader = new TraceReader(tracefs, instance);
      this.#filter(instance, tracefs, events);
      this.#enable(instance, events);
    } catch (error) {
      this.#reader?.close();
      this.#reader = undefined;
      instance.remove();
      throw error;
    }
    if (this.#options.spanRules.length > 0) this.#spans = new PageSpans(formats.set, this.#options.spanRules, this.#options.identity);
    this.#state = 'running';
    this.#schedule(0);
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    const reader = this.#reader;
    if (reader === undefined) return;
    this.#state = 'stopped';
    reader.instance.write('tracing_on', '0');
    await this.#drain(reader, this.#formats, this.#options.clockDomain);
    reader.readStats();
    this.#orphanCounts.push(...countsOf(reader));
    reader.close();
    this.#reader = undefined;
    reader.instance.remove();
    for (const { event, reason } of this.#probes?.remove() ?? []) log.warn('a probe cannot be removed', { event, reason });
  }

  status(): SourceStatus {
    return {
      state: this.#state,
      detail: this.#detail,
      streams: [...this.#orphanCounts, ...(this.#reader === undefined ? [] : countsOf(this.#reader))],
      errors: this.#errors,
    };
  }

  /** Hands on what was read and brings the kernel's counters up to date, so that both are of one moment: for the books. */
  async settle(): Promise<void> {
    const reader = this.#reader;
    if (reader === undefined || this.#state !== 'running') return;
    try {
      await this.#cutSegment(reader, this.#formats, this.#options.clockDomain);
      reader.readStats();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Somebody removed the instance, or the kernel refuses to read on: said, and the other sources go on. */
  #fail(error: unknown): void {
    this.#errors++;
    this.#state = 'failed';
    this.#detail = `reading stopped: ${messageOf(error)}`;
    log.error('reading stopped', { error: messageOf(error) });
    clearTimeout(this.#timer);
    this.#reader?.close();
    this.#reader = undefined;
  }

  #tell(detail: string): void {
    this.#detail = this.#detail === '' ? detail : `${this.#detail}; ${detail}`;
  }

  /** Returns the events to record. */
  #installProbes(tracefs: string): string[] {
    const { probes, identity } = this.#options;
    if (probes.length === 0) return [];
    this.#probes = new KprobeSet(tracefs);
    const { installed, skipped } = this.#probes.install(probes, identity.arch);
    for (const { event, reason } of skipped) log.debug('probe skipped', { event, reason });
    // A kernel without any of a pack's functions does not speak that protocol: nothing is missing there.
    if (installed.length > 0) {
      const reasons = [...new Set(skipped.map(({ reason }) => reason))].join(', ');
      log.info('probes for messages between kernels', { installed: installed.length, skipped: skipped.length, reasons });
      if (skipped.length > 0) this.#tell(`${installed.length} probes, ${skipped.length} left out: ${reasons}`);
    }
    return [...installed, ...probes.filter(({ probe }) => probe === undefined).map(({ event }) => event)];
  }

  /** Of a collector that was killed, whose instance is gone by now; a probe that is to be recorded is in our own hands. */
  #removeOldProbes(probes: KprobeSet, events: readonly string[]): void {
    const removed = probes.removeLeftOver(events);
    if (removed.length > 0) log.info('removed the probes of a collector that was killed', { probes: removed.join(' ') });
  }

  /** Of events that are recorded for packs alone; the hub applies the filters again, so one that is refused costs room only. */
  #filter(instance: TraceInstance, tracefs: string, events: readonly string[]): void {
    const { probes, events: patterns } = this.#options;
    const whole = new Set(resolveEvents(tracefs, patterns).events);
    for (const event of events) {
      const entries = probes.filter((one) => one.event === event);
      if (whole.has(event) || entries.every(({ filter }) => filter === undefined)) continue;
      const filter = joinEventFilters(entries.map((one) => one.filter));
      if (filter === undefined) continue;
      try {
        instance.filterEvent(event, filter);
      } catch (error) {
        log.warn('the kernel refuses a filter: the event is recorded whole', { event, filter, error: messageOf(error) });
      }
    }
  }

  #enable(instance: TraceInstance, events: readonly string[]): void {
    const refused: string[] = [];
    for (const event of events) {
      try {
        instance.enableEvent(event);
      } catch (error) {
        refused.push(event);
        log.debug('event refused', { event, error: messageOf(error) });
      }
    }
    if (refused.length === events.length) {
      throw new OperationalError(
        'E_SOURCE_OPEN',
        `the kernel refuses all of the events ${events.join(', ')}`,
        'is the kernel locked down?',
      );
    }
    if (refused.length > 0) this.#detail = [this.#detail, `refused by the kernel: ${refused.join(', ')}`].filter(Boolean).join('; ');
  }

  #schedule(delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.#tick()
        .then((nextMs) => {
          if (this.#state === 'running') this.#schedule(nextMs);
        })
        .catch((error: unknown) => this.#fail(error));
    }, delayMs);
  }

  async #tick(): Promise<number> {
    const reader = this.#reader;
    if (reader === undefined) return TICK_MS;
    const nowMs = performance.now();
    if (reader.heldBytes === 0) this.#segmentSinceMs = nowMs;
    const more = reader.read();
    if (nowMs - this.#namesAtMs >= NAMES_INTERVAL_MS) {
      this.#namesAtMs = nowMs;
      Object.assign(this.#comms, this.#names?.readChanges());
    }
    if (more || nowMs - this.#segmentSinceMs >= SEGMENT_DELAY_MS - TICK_MS / 2) {
      await this.#cutSegment(reader, this.#formats, this.#options.clockDomain);
    }
    return more ? BUSY_TICK_MS : TICK_MS;
  }

  async #cutSegment(reader: TraceReader, formats: NamedFormatSet | undefined, clockDomain: ClockDomain): Promise<void> {
    if (reader.heldBytes === 0 || formats === undefined) return;
    const { pages, chunks } = reader.take();
    const fit = this.#options.clock.traceFit();
    if (this.#spans !== undefined) {
      const { spans, histograms } = this.#spans.read(pages, reader.pageSizeBytes, chunks, fit, this.#options.clock.nowUnixNs());
      if (spans !== undefined) void this.#sink?.write({ kind: 'spans', batch: spans });
      if (histograms !== undefined) void this.#sink?.write({ kind: 'metrics', batch: histograms });
    }
    if (!this.#options.ship()) return;
    const stream = `tracefs:${reader.instance.name}`;
    const sequence = this.#sequence++;
    const comms = this.#comms;
    this.#comms = {};
    await this.#sink?.write({
      kind: 'segment',
      segment: {
        header: {
          identity: this.#options.identity,
          stream,
          sequence,
          clock: clockDomain,
          fit,
          ...this.#options.clock.traceLinks(),
          pageSizeBytes: reader.pageSizeBytes,
          formatSet: formats.hash,
          chunks: chunks.map(({ cpu, pages: count }) => ({ cpu, pages: count })),
          comms,
        },
        pages,
      },
      events: mergeEvents(chunks),
      position: { bootId: this.#options.identity.bootId, sequence, counts: readCounts(reader) },
    });
  }

  /** Reads a stopped instance until nothing comes any more: a short page may hide a whole one behind it. */
  async #drain(reader: TraceReader, formats: NamedFormatSet | undefined, clockDomain: ClockDomain): Promise<void> {
    do {
      reader.read(true);
      if (reader.heldBytes === 0) return;
      await this.#cutSegment(reader, formats, clockDomain);
    } while (reader.readStats().some(({ stats }) => stats.entries > 0));
  }

  /**
   * An instance without a living owner went on recording after its collector was killed: its pages are read as the end of its
   * own stream. What the dead collector had read and not brought to its spool is lost, and said so.
   */
  async #adoptOrphans(tracefs: string): Promise<void> {
    for (const name of findOrphans(tracefs, 'events')) {
      const instance = new TraceInstance(tracefs, name);
      try {
        await this.#drainOrphan(tracefs, instance);
        instance.remove();
        log.info('removed the trace instance of a collector that was killed', { instance: name });
      } catch (error) {
        this.#errors++;
        log.warn('a left-over trace instance cannot be removed', { instance: name, error: messageOf(error) });
      }
    }
  }

  async #drainOrphan(tracefs: string, instance: TraceInstance): Promise<void> {
    instance.write('tracing_on', '0');
    const stream = `tracefs:${instance.name}`;
    const resume = this.#options.resume.get(stream);
    const known = resume?.bootId === this.#options.identity.bootId ? resume : undefined;
    const clockName = /\[(\S+)\]/.exec(instance.read('trace_clock'))?.[1];
    const enabled = instance.read('set_event').split('\n').filter(Boolean);
    const formats = readFormatSet(tracefs, enabled);
    await this.#sink?.write({ kind: 'formats', hash: formats.hash, set: formats.set });
    const reader = new TraceReader(tracefs, instance);
    const before = new Map(reader.readStats().map(({ cpu, stats }) => [cpu, stats.readEvents]));
    this.#sequence = (known?.sequence ?? -1) + 1;
    const spans = this.#spans;
    this.#spans = undefined;
    if (clockName === this.#options.clockDomain) {
      await this.#drain(reader, formats, this.#options.clockDomain);
    }
    this.#spans = spans;
    this.#sequence = 0;
    const gaps: Gap[] = [];
    const nowNs = this.#options.clock.nowUnixNs();
    for (const { cpu, stats, eventsRead } of reader.readStats()) {
      const readBefore = before.get(cpu) ?? 0;
      // Of a collector with another spool nobody here knows what it handed on: its part is left out of the books.
      const spooled = known === undefined ? readBefore : (known.counts?.[`read${cpu}`] ?? 0);
      const unspooled = readBefore - spooled;
      const lost = lostOf(stats) + stats.entries + unspooled;
      const written = stats.entries + stats.readEvents + lostOf(stats);
      this.#orphanCounts.push({ stream, cpu, written, read: spooled + eventsRead, lost });
      if (unspooled > 0) gaps.push({ stream, cpu, fromUnixNs: nowNs, toUnixNs: nowNs, count: unspooled, reason: 'collector_restart' });
      if (stats.entries > 0)
        gaps.push({ stream, cpu, fromUnixNs: nowNs, toUnixNs: nowNs, count: stats.entries, reason: 'resized_or_stolen' });
    }
    reader.close();
    await this.#sink?.write({ kind: 'gaps', gaps });
  }
}

function countsOf(reader: TraceReader): StreamCounts[] {
  return reader.cpus.map(({ cpu, stats, eventsRead }) => ({
    stream: `tracefs:${reader.instance.name}`,
    cpu,
    written: Math.max(stats.entries + stats.readEvents, eventsRead) + lostOf(stats),
    read: eventsRead,
    lost: lostOf(stats),
  }));
}

/** Events that the ring gave up, by overwriting or by refusing. */
function lostOf(stats: CpuStats): number {
  return stats.overrun + stats.commitOverrun + stats.droppedEvents;
}

function readCounts(reader: TraceReader): Record<string, number> {
  return Object.fromEntries(reader.cpus.map(({ cpu, eventsRead }) => [`read${cpu}`, eventsRead]));
}

function mergeEvents(chunks: readonly PageChunk[]): { cpu: number; count: number }[] {
  const byCpu = new Map<number, number>();
  for (const { cpu, events } of chunks) byCpu.set(cpu, (byCpu.get(cpu) ?? 0) + events);
  return [...byCpu].map(([cpu, count]) => ({ cpu, count }));
}

function defaultBufferKb(tracefs: string): number {
  const cpus = readdirSync(join(tracefs, 'per_cpu')).length;
  return Math.max(MIN_BUFFER_KB, Math.min(MAX_BUFFER_KB, Math.floor(DEFAULT_BUFFERS_KB / Math.max(1, cpus))));
}
