/**
 * Trace pages of a guest: cut into segments, and their books. The kernel's counters (STATS) are of one moment with the pages
 * in front of them, so per CPU
 *
 *   read by the kernel's count = base (not meant for us) + received + missing
 *
 * `missing` is what a forwarder took out of the ring and never handed on, because it was killed, or what somebody else took.
 * All of it is kept in the position of each segment, so that it goes on over a restart of the collector.
 */
import type { Gap, GapReason } from '../model/gap.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { SourcePosition, SourceRecord, StreamCounts } from '../model/pipeline.ts';
import { hashFormatSet, type FormatSet, type SegmentChunk } from '../model/segment.ts';
import { isClockDomain, type ClockDomain } from '../model/time.ts';
import type { GuestCpuStats, GuestFrame, GuestHello, GuestTrace } from '../parsers/guest-payloads.ts';
import type { SpanRule } from '../correlate/span-rules.ts';
import type { GuestClock } from './guest-clock.ts';
import { countEvents, readPageLayout, type PageLayout } from './page-count.ts';
import { PageSpans } from './page-spans.ts';

/** Pages held beyond this are cut into a segment: a quarter of what a forwarder keeps until it is acknowledged. */
const SEGMENT_BYTES = 256 << 10;
/** Pages that wait for their formats; beyond it they are lost. */
const MAX_HELD_BYTES = 4 << 20;
const MAX_FORMATS = 8192;
const MAX_FORMAT_CHARS = 16 << 20;
const MAX_COMMS = 65_536;

interface CpuBooks {
  /** Events in pages that came. */
  received: number;
  /** Events that the kernel counts as read and that were never meant for us. */
  base: number;
  missing: number;
  /** Of instances of this boot that are gone. */
  earlier: { written: number; read: number; lost: number };
  stats: GuestCpuStats | undefined;
}

interface HeldPages {
  readonly chunk: SegmentChunk;
  readonly events: number;
  readonly pages: Uint8Array;
}

type PagesFrame = Extract<GuestFrame, { kind: 'pages' }>;
type FormatFrame = Extract<GuestFrame, { kind: 'format' }>;

export interface GuestPagesOptions {
  readonly identity: KernelIdentity;
  readonly clock: GuestClock;
  readonly trace: GuestTrace;
  readonly endian: GuestHello['endian'];
  readonly resume: SourcePosition | undefined;
  readonly spanRules: readonly SpanRule[];
}

export class GuestPages {
  readonly stream: string;
  readonly #options: GuestPagesOptions;
  readonly #clockDomain: ClockDomain;
  readonly #cpus = new Map<number, CpuBooks>();
  #generation: number;
  #session = 0;
  /** Last frame of the session that is in a segment. */
  #frame = 0;
  #nextSegment = 0;
  /** Counts what was handed on, so that positions are in order. */
  #handedOn = 0;
  #restarted = false;
  #formats = new Map<number, { readonly system: string; readonly text: string }>();
  #formatChars = 0;
  #hash = '';
  #layout: PageLayout | undefined;
  #spans: PageSpans | undefined;
  #comms: Record<string, string> = {};
  #commCount = 0;
  #held: HeldPages[] = [];
  #heldBytes = 0;
  #heldFrames: number[] = [];

  constructor(options: GuestPagesOptions) {
    this.#options = options;
    const { trace, resume, identity } = options;
    this.stream = `tracefs:${trace.instance}`;
    this.#clockDomain = isClockDomain(trace.clock) ? trace.clock : 'mono';
    const counts = resume?.bootId === identity.bootId ? resume.counts : undefined;
    this.#generation = counts?.['generation'] ?? trace.generation;
    this.#session = counts?.['session'] ?? 0;
    this.#frame = counts?.['frame'] ?? 0;
    this.#nextSegment = counts?.['segment'] ?? 0;
    this.#handedOn = counts === undefined ? 0 : (resume?.sequence ?? -1) + 1;
    for (const { cpu, base } of trace.cpus) {
      const of = (name: string, otherwise: number): number => counts?.[`${name}${cpu}`] ?? otherwise;
      this.#cpus.set(cpu, {
        received: of('read', 0),
        base: of('base', counts === undefined ? base : 0),
        missing: of('missing', 0),
        earlier: { written: of('oldWritten', 0), read: of('oldRead', 0), lost: of('oldLost', 0) },
        stats: undefined,
      });
    }
  }

  /** A forwarder says hello again, or another one does. Returns what is known to be lost by then. */
  begin(session: number, trace: GuestTrace): SourceRecord[] {
    const lost: Gap[] = [];
    if (session !== this.#session) {
      this.#restarted = this.#session !== 0;
      this.#session = session;
      this.#frame = 0;
    }
    if (trace.generation !== this.#generation) {
      this.#generation = trace.generation;
      for (const [cpu, books] of this.#cpus) {
        // What the instance still held went with it.
        const held = books.stats?.entries ?? 0;
        if (held > 0) lost.push(this.#gap(cpu, held, 'collector_restart'));
        const { written, read, lost: gone } = toCounts(books);
        books.earlier = { written, read, lost: gone + Math.max(0, written - read - gone) };
        books.received = books.missing = 0;
        books.stats = undefined;
        books.base = trace.cpus.find((of) => of.cpu === cpu)?.base ?? 0;
      }
    }
    return this.#toGaps(lost);
  }

  /** True once segments can be read by whoever gets them. */
  get hasFormats(): boolean {
    return this.#hash !== '';
  }

  /** Takes a FORMATS frame; returns the set once it is whole. */
  takeFormat({ index, total, name, text }: FormatFrame): SourceRecord | undefined {
    if (total > MAX_FORMATS || this.#formatChars > MAX_FORMAT_CHARS) return undefined;
    if (index === 0) {
      this.#formats.clear();
      this.#formatChars = 0;
    }
    this.#formats.set(index, { system: index === 0 ? '' : name, text });
    this.#formatChars += text.length;
    if (this.#formats.size < total || index !== total - 1) return undefined;
    const events = [...this.#formats.values()]
      .filter(({ system, text: format }) => system !== '' && format !== '')
      .sort((a, b) => (a.system < b.system ? -1 : 1))
      .map(({ system, text: format }) => ({ system: system.slice(0, system.indexOf(':')), format }));
    const headerPage = this.#formats.get(0)?.text ?? '';
    const set: FormatSet = { headerPage, endian: this.#options.endian, events, printkFormats: '' };
    const hash = hashFormatSet(set);
    const layout = readPageLayout(headerPage);
    if (hash === this.#hash || !isWithin(layout, this.#options.trace.pageBytes)) return undefined;
    this.#hash = hash;
    this.#layout = layout;
    const { spanRules, identity } = this.#options;
    this.#spans = spanRules.length === 0 ? undefined : new PageSpans(set, spanRules, identity);
    return { kind: 'formats', hash, set };
  }

  takeComms(comms: Readonly<Record<string, string>>): void {
    for (const [pid, name] of Object.entries(comms)) {
      if (this.#commCount >= MAX_COMMS) return;
      this.#commCount++;
      this.#comms[pid] = name;
    }
  }

  /** Holds the pages of a frame; false when they were taken before, or no such CPU was announced. */
  takePages(frame: PagesFrame): boolean {
    const books = this.#cpus.get(frame.cpu);
    if (books === undefined || frame.pageBytes !== this.#options.trace.pageBytes || frame.sequence <= this.#frame) return false;
    const events = this.#countEvents(frame.pages, frame.pageBytes);
    books.received += events;
    this.#held.push({ chunk: { cpu: frame.cpu, pages: frame.pages.length / frame.pageBytes }, events, pages: frame.pages });
    this.#heldBytes += frame.pages.length;
    this.#heldFrames.push(frame.sequence);
    return true;
  }

  get isFull(): boolean {
    return this.#heldBytes >= SEGMENT_BYTES;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Cuts what is held into a segment, with the frames that are safe once its records are. */
  cut(): { readonly records: readonly SourceRecord[]; readonly frames: readonly number[] } {
    const held = this.#held;
    if (held.length === 0 || (!this.hasFormats && this.#heldBytes < MAX_HELD_BYTES)) return { records: [], frames: [] };
    const frames = this.#heldFrames;
    const pages = join(held, this.#heldBytes);
    this.#held = [];
    this.#heldFrames = [];
    this.#heldBytes = 0;
    this.#frame = frames.at(-1) ?? this.#frame;
    if (!this.hasFormats) return { records: this.#loseUnreadable(held), frames };
    const chunks = held.map(({ chunk, events }) => ({ ...chunk, events }));
    const { identity, clock, trace } = this.#options;
    const fit = clock.traceFit();
    const found = this.#spans?.read(pages, trace.pageBytes, chunks, fit, clock.nowUnixNs());
    const comms = this.#comms;
    this.#comms = {};
    this.#commCount = 0;
    const segment: SourceRecord = {
      kind: 'segment',
      segment: {
        header: {
          identity,
          stream: this.stream,
          sequence: this.#nextSegment++,
          clock: this.#clockDomain,
          fit,
          ...clock.traceLinks(),
          pageSizeBytes: trace.pageBytes,
          formatSet: this.#hash,
          chunks: held.map(({ chunk }) => chunk),
          comms,
        },
        pages,
      },
      events: mergeEvents(held),
      position: this.#position(),
    };
    const records: SourceRecord[] = [segment];
    if (found?.spans !== undefined) records.unshift({ kind: 'spans', batch: found.spans });
    if (found?.histograms !== undefined) records.push({ kind: 'metrics', batch: found.histograms });
    return { records, frames };
  }

  /** The kernel's counters, of one moment with all pages that came before: call it behind `cut`. */
  takeStats(stats: readonly GuestCpuStats[]): SourceRecord[] {
    const gaps: Gap[] = [];
    for (const of of stats) {
      const books = this.#cpus.get(of.cpu);
      if (books === undefined) continue;
      books.stats = of;
      const missing = of.read - books.base - books.received;
      if (missing <= books.missing) continue;
      gaps.push(this.#gap(of.cpu, missing - books.missing, this.#restarted ? 'collector_restart' : 'resized_or_stolen'));
      books.missing = missing;
    }
    this.#restarted = false;
    return this.#toGaps(gaps);
  }

  counts(): StreamCounts[] {
    return Array.from(this.#cpus, ([cpu, books]) => {
      const { written, read, lost } = toCounts(books);
      return { stream: this.stream, cpu, written, read, lost };
    });
  }

  #countEvents(pages: Uint8Array, pageBytes: number): number {
    const layout = this.#layout ?? readPageLayout('');
    const view = new DataView(pages.buffer, pages.byteOffset, pages.length);
    const little = this.#options.endian === 'little';
    let events = 0;
    for (let at = 0; at < pages.length; at += pageBytes) events += countEvents(view, at, pageBytes, layout, little);
    return events;
  }

  #loseUnreadable(held: readonly HeldPages[]): SourceRecord[] {
    const gaps = mergeEvents(held).map(({ cpu, count }) => {
      const books = this.#cpus.get(cpu) as CpuBooks;
      books.received -= count;
      books.missing += count;
      return this.#gap(cpu, count, 'parse_error');
    });
    return this.#toGaps(gaps);
  }

  #gap(cpu: number, count: number, reason: GapReason): Gap {
    const nowNs = this.#options.clock.nowUnixNs();
    return { stream: this.stream, cpu, fromUnixNs: nowNs, toUnixNs: nowNs, count, reason };
  }

  #toGaps(gaps: readonly Gap[]): SourceRecord[] {
    return gaps.length === 0 ? [] : [{ kind: 'gaps', gaps, stream: this.stream, position: this.#position() }];
  }

  #position(): SourcePosition {
    const counts: Record<string, number> = {
      generation: this.#generation,
      session: this.#session,
      frame: this.#frame,
      segment: this.#nextSegment,
    };
    for (const [cpu, { received, base, missing, earlier }] of this.#cpus) {
      counts[`read${cpu}`] = received;
      counts[`base${cpu}`] = base;
      if (missing > 0) counts[`missing${cpu}`] = missing;
      if (earlier.written > 0) {
        counts[`oldWritten${cpu}`] = earlier.written;
        counts[`oldRead${cpu}`] = earlier.read;
        counts[`oldLost${cpu}`] = earlier.lost;
      }
    }
    return { bootId: this.#options.identity.bootId, sequence: this.#handedOn++, counts };
  }
}

function toCounts({ received, base, missing, earlier, stats }: CpuBooks): { written: number; read: number; lost: number } {
  const ringLost = stats === undefined ? 0 : stats.overrun + stats.commitOverrun + stats.dropped;
  const known = stats === undefined ? 0 : stats.entries + stats.read - base;
  return {
    written: earlier.written + Math.max(known, received + missing) + ringLost,
    read: earlier.read + received,
    lost: earlier.lost + missing + ringLost,
  };
}

/** A guest's word is not taken for where its page's fields lie. */
function isWithin({ commitOffset, commitBytes, dataOffset }: PageLayout, pageBytes: number): boolean {
  return (commitBytes === 4 || commitBytes === 8) && commitOffset + commitBytes <= dataOffset && dataOffset < pageBytes;
}

function join(held: readonly HeldPages[], sizeBytes: number): Uint8Array {
  const pages = new Uint8Array(sizeBytes);
  let at = 0;
  for (const { pages: part } of held) {
    pages.set(part, at);
    at += part.length;
  }
  return pages;
}

function mergeEvents(held: readonly HeldPages[]): { cpu: number; count: number }[] {
  const byCpu = new Map<number, number>();
  for (const { chunk, events } of held) byCpu.set(chunk.cpu, (byCpu.get(chunk.cpu) ?? 0) + events);
  return [...byCpu].map(([cpu, count]) => ({ cpu, count }));
}
