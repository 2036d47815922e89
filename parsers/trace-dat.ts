/**
 * trace.dat, what `trace-cmd record` and `extract` write: ring-buffer pages of a kernel with all that is needed to read them.
 *
 *   17 08 44 74 72 61 63 69 6e 67 | 37 00 | 00 | 08 | 00 10 00 00 | …
 *   +-- magic, "tracing"            |       |    |    +-- u32 page bytes
 *                                   |       |    +-- bytes of a long of the writer's user space (the kernel's: header_page)
 *                                   |       +-- byte order of all numbers: 0 little, 1 big
 *                                   +-- version\0
 *
 *   version 6   one part after the other                        trace-dat-v6.ts
 *   version 7   sections, found through options, compressed     trace-dat-v7.ts
 *   both        format files, symbols, task names               trace-dat-formats.ts
 *               options                                         trace-dat-options.ts
 *               pages of a CPU (ring-buffer.ts reads them)      trace-dat-pages.ts
 *
 * Nothing in the file is trusted: a part that is cut or damaged is a problem with its offset, and the others are read.
 *
 * Not handled: versions before 6; text of the latency tracers (told as a problem); BTF, modules and what else is unknown is
 * skipped by its size. Format: trace-cmd.dat.v6(5), trace-cmd.dat.v7(5); lib/trace-cmd/trace-input.c.
 */
import { EventBatch } from '../model/event-batch.ts';
import type { ByteSource, CpuSpan, EventFile, EventFileInfo, EventFileParser, EventFileStream } from '../model/event-file.ts';
import { createCounts, type InputLoss, type ParseCounts } from '../model/parser.ts';
import type { FormatSet } from '../model/segment.ts';
import { isClockDomain, NO_RAW_TIME, type ClockDomain } from '../model/time.ts';
import { parseHeaderPage, type PageLayout } from './page-header.ts';
import { openPageReader, type PageReader } from './ring-buffer.ts';
import { DatCursor } from './trace-dat-cursor.ts';
import { CpuPages, type PageFile } from './trace-dat-pages.ts';
import { addProblem, createParts, type CpuExtent, type DatBuffer, type DatParts } from './trace-dat-parts.ts';
import { readV6 } from './trace-dat-v6.ts';
import { readV7 } from './trace-dat-v7.ts';

const MAGIC = [0x17, 0x08, 0x44, 0x74, 0x72, 0x61, 0x63, 0x69, 0x6e, 0x67];
const MAX_VERSION_BYTES = 16;
const MIN_PAGE_BYTES = 64;
/** The kernel's largest sub-buffer order. */
const MAX_PAGE_BYTES = 4 << 20;
/** Pages of one CPU that are read before another's: what keeps the reader's loop long. */
const LEAST_TURN_BYTES = 256 << 10;
const MOST_TURN_BYTES = 1 << 20;

export const traceDat: EventFileParser = {
  id: 'trace_dat',
  title: 'trace.dat of trace-cmd (versions 6 and 7)',
  yields: 'event_file',
  sniff: (head) => head.length > MAGIC.length && MAGIC.every((byte, i) => head[i] === byte),
  open: (source) => new TraceDat(source),
};

class TraceDat implements EventFile {
  readonly info: EventFileInfo;
  readonly formats: FormatSet;
  readonly streams: readonly DatStream[];
  readonly #parts: DatParts;
  #hasFormatProblems = false;

  constructor(source: ByteSource) {
    const parts = readParts(source);
    this.#parts = parts;
    this.formats = {
      headerPage: parts.headerPage,
      endian: parts.little ? 'little' : 'big',
      events: parts.events,
      printkFormats: parts.printkFormats,
    };
    const layout = parseHeaderPage(parts.headerPage);
    if (typeof layout === 'string') addProblem(parts, layout, undefined);
    this.info = toInfo(parts);
    const buffers = fitBuffers(parts, source, typeof layout === 'string' ? undefined : layout);
    this.streams = buffers.map((buffer) => new DatStream(source, parts, buffer, this.formats, this.info.clock));
  }

  /** Formats are parsed for it: some 0.1 s, which whoever prints records has no need to wait for. */
  get counts(): ParseCounts {
    const sum = createCounts();
    this.#addFormatProblems();
    for (const [problem, count] of this.problems) sum.malformed.set(problem, count);
    for (const { counts } of this.streams) {
      sum.records += counts.records;
      sum.parsedBytes += counts.parsedBytes;
      sum.malformedBytes += counts.malformedBytes;
      sum.lost += counts.lost;
      sum.lostUnknown += counts.lostUnknown;
      for (const [reason, count] of counts.malformed) sum.malformed.set(reason, (sum.malformed.get(reason) ?? 0) + count);
      sum.samples.push(...counts.samples);
    }
    return sum;
  }

  get problems(): ReadonlyMap<string, number> {
    const problems = new Map<string, number>();
    for (const problem of this.#parts.problems) problems.set(problem, (problems.get(problem) ?? 0) + 1);
    return problems;
  }

  #addFormatProblems(): void {
    if (this.#hasFormatProblems) return;
    this.#hasFormatProblems = true;
    for (const [i, problem] of (this.streams[0]?.reader.problems ?? []).entries())
      if (i < 8) addProblem(this.#parts, problem.slice(0, 200), undefined);
  }
}

function readParts(source: ByteSource): DatParts {
  const head = source.read(0, MAGIC.length + MAX_VERSION_BYTES).slice();
  const zero = head.indexOf(0, MAGIC.length);
  const version = Number(new TextDecoder('latin1').decode(head.subarray(MAGIC.length, Math.max(zero, MAGIC.length))));
  const little = head[zero + 1] !== 1;
  const cursor = new DatCursor(source, little, Math.max(0, zero + 2));
  const longBytes = cursor.readU8();
  const parts = createParts(version, little, longBytes, cursor.readU32());
  if (!traceDat.sniff(head)) addProblem(parts, 'no trace.dat', 0);
  else if (zero < 0 || cursor.failed) addProblem(parts, 'the file is cut in its head', 0);
  else if (version === 6) readV6(source, cursor, parts);
  else if (version === 7) readV7(source, cursor, parts);
  else addProblem(parts, `version ${version} of trace.dat is not known`, MAGIC.length);
  return parts;
}

function toInfo(parts: DatParts): EventFileInfo {
  const { options, compression, version, longBytes, pageSizeBytes, comms } = parts;
  const { uname, writer, dateOffsetNs, offsetNs, tscToNs, traceId, timeShift, guests, hooks, procMaps, raw } = options;
  const cpuCount =
    options.cpuCount ?? parts.buffers.reduce((most, { cpus }) => cpus.reduce((above, { cpu }) => Math.max(above, cpu + 1), most), 0);
  const clock = toClock(parts, options.clock || (parts.buffers[0]?.clock ?? ''));
  return {
    version,
    uname,
    longBytes,
    pageSizeBytes,
    compression,
    writer,
    cpuCount,
    clock,
    dateOffsetNs,
    offsetNs,
    tscToNs,
    traceId,
    timeShift,
    guests,
    hooks,
    procMaps,
    options: raw,
    comms,
    readKallsyms: () => parts.readKallsyms(),
  };
}

function toClock(parts: DatParts, name: string): ClockDomain {
  if (isClockDomain(name)) return name;
  // trace-cmd's own name for x86-tsc with a conversion beside it.
  if (name === 'tsc2nsec') return 'x86-tsc';
  if (name !== '') addProblem(parts, `clock ${JSON.stringify(name.slice(0, 32))} is read as local, which it is not`, undefined);
  return 'local';
}

/** Buffers whose pages can be told apart: sane page sizes, and no byte of the file claimed more than once. */
function fitBuffers(parts: DatParts, source: ByteSource, layout: PageLayout | undefined): DatBuffer[] {
  const fitting: DatBuffer[] = [];
  let claimed = 0;
  for (const buffer of parts.buffers) {
    const size = buffer.pageSizeBytes;
    const sane = size >= MIN_PAGE_BYTES && size <= MAX_PAGE_BYTES;
    if (!sane) addProblem(parts, `pages of ${size} bytes`, buffer.cpus[0]?.offset ?? 0);
    const pageSizeBytes = sane ? size : layout?.pageSizeBytes;
    if (pageSizeBytes === undefined || pageSizeBytes < MIN_PAGE_BYTES || pageSizeBytes > MAX_PAGE_BYTES) continue;
    const cpus: CpuExtent[] = [];
    for (const extent of buffer.cpus) {
      claimed += Math.max(0, Math.min(extent.sizeBytes, source.sizeBytes - extent.offset));
      if (claimed <= source.sizeBytes) cpus.push(extent);
      else addProblem(parts, `pages of CPU ${extent.cpu} lie over others`, extent.offset);
    }
    fitting.push({ ...buffer, pageSizeBytes, cpus });
  }
  return fitting;
}

/** What the pages of one CPU held. */
interface CpuBooks {
  events: number;
  lost: number;
  /** Some of its losses have no count. */
  unknown: boolean;
}

class DatStream implements EventFileStream {
  readonly instance: string;
  readonly clock: ClockDomain;
  readonly sizeBytes: number;
  #reader: PageReader | undefined;
  readonly #parts: DatParts;
  readonly #file: PageFile;
  readonly #buffer: DatBuffer;
  readonly #formats: FormatSet;
  readonly #books = new Map<number, CpuBooks>();
  #cpus: CpuPages[] | undefined;
  #spans: readonly CpuSpan[] | undefined;
  #losses: InputLoss[] = [];
  #isAtEnd = false;

  constructor(source: ByteSource, parts: DatParts, buffer: DatBuffer, formats: FormatSet, clock: ClockDomain) {
    this.#parts = parts;
    this.#buffer = buffer;
    this.#formats = formats;
    const layout = parseHeaderPage(formats.headerPage);
    this.#file = {
      source,
      little: parts.little,
      compression: parts.compression,
      timestampOffset: typeof layout === 'string' ? 0 : layout.timestampOffset,
      damage: parts.damage.read,
      onProblem: (cpu, what, offset, isCut) => {
        if (what !== undefined) addProblem(parts, what, offset);
        this.#addHole(cpu, isCut ? 'file_truncated' : 'parse_error');
      },
    };
    this.instance = buffer.instance;
    this.clock = buffer.clock === '' ? clock : toClock(parts, buffer.clock);
    this.sizeBytes = buffer.cpus.reduce((sum, cpu) => sum + cpu.sizeBytes, 0);
  }

  get reader(): PageReader {
    return (this.#reader ??= openPageReader(this.#formats));
  }

  get counts(): ParseCounts {
    return this.reader.counts;
  }

  get clockName(): string {
    return this.#buffer.clock;
  }

  get readBytes(): number {
    return this.#cpus?.reduce((sum, cpu) => sum + cpu.readBytes, 0) ?? 0;
  }

  survey(): readonly CpuSpan[] {
    return (this.#spans ??= this.#findSpans());
  }

  #findSpans(): readonly CpuSpan[] {
    const reader = openPageReader(this.#formats);
    return this.#buffer.cpus.map((extent) => {
      // What is wrong is told when the pages are read.
      const file = { ...this.#file, damage: this.#parts.damage.surveyed, onProblem: () => undefined };
      const { pageSizeBytes } = this.#buffer;
      const firstPages = new CpuPages(file, this.#buffer, extent);
      const first = findSpan(firstPages, reader, pageSizeBytes, false);
      // Most CPUs of a short recording: their few pages would be unpacked twice.
      if (firstPages.isAtEnd) return { cpu: extent.cpu, ...first };
      const pages = new CpuPages(file, this.#buffer, extent);
      pages.seekLast();
      const last = findSpan(pages, reader, pageSizeBytes, true);
      return { cpu: extent.cpu, firstRaw: first.firstRaw, lastRaw: last.lastRaw === NO_RAW_TIME ? first.lastRaw : last.lastRaw };
    });
  }

  pages(): CpuPages[] {
    return this.#buffer.cpus.map((extent) => new CpuPages(this.#file, this.#buffer, extent));
  }

  get pageSizeBytes(): number {
    return this.#buffer.pageSizeBytes;
  }

  read(budgetBytes: number, batch: EventBatch): boolean {
    const cpus = this.#openCpus(batch);
    for (let left = budgetBytes; left > 0;) {
      const readBytes = this.#readNext(cpus, left, batch);
      if (readBytes === 0) return false;
      left -= readBytes;
    }
    return true;
  }

  async readAhead(budgetBytes: number, batch: EventBatch): Promise<boolean> {
    const cpus = this.#openCpus(batch);
    for (let left = budgetBytes; left > 0;) {
      const waits = cpus.map((cpu) => cpu.ready()).filter((wait) => wait !== undefined);
      if (waits.length > 0) await Promise.all(waits);
      const readBytes = this.#readNext(cpus, left, batch);
      if (readBytes === 0) return false;
      left -= readBytes;
    }
    return true;
  }

  #openCpus(batch: EventBatch): readonly CpuPages[] {
    batch.clock = this.clock;
    return (this.#cpus ??= this.#buffer.cpus.map((extent) => new CpuPages(this.#file, this.#buffer, extent, true)));
  }

  /** Appends the events of some pages of one CPU; returns their bytes, 0 at the end. */
  #readNext(cpus: readonly CpuPages[], mostBytes: number, batch: EventBatch): number {
    const turn = this.#nextTurn(cpus);
    if (turn !== undefined) return this.#readTurn(turn.pages, turn.until, Math.min(mostBytes, MOST_TURN_BYTES), batch);
    if (!this.#isAtEnd) this.#addCounterLosses();
    this.#isAtEnd = true;
    return 0;
  }

  takeLosses(): InputLoss[] {
    const losses = this.#losses;
    this.#losses = [];
    return losses;
  }

  /** The CPU with the earliest page, and the time of the next other CPU's. */
  #nextTurn(cpus: readonly CpuPages[]): { readonly pages: CpuPages; readonly until: number } | undefined {
    let earliest: CpuPages | undefined;
    let time = Number.POSITIVE_INFINITY;
    let until = Number.POSITIVE_INFINITY;
    for (const pages of cpus) {
      const next = pages.peekTime();
      if (next === undefined) continue;
      if (earliest === undefined || next < time) {
        until = time;
        earliest = pages;
        time = next;
      } else if (next < until) until = next;
    }
    return earliest === undefined ? undefined : { pages: earliest, until };
  }

  #readTurn(cpu: CpuPages, until: number, mostBytes: number, batch: EventBatch): number {
    const malformedBefore = countUnread(this.reader.counts);
    const books = this.#booksOf(cpu.cpu);
    const eventsBefore = this.reader.counts.records;
    let bytes = 0;
    do {
      const pages = cpu.take(LEAST_TURN_BYTES);
      bytes += pages.length;
      this.reader.read(pages, this.#buffer.pageSizeBytes, cpu.cpu, batch);
      // To the end of its run at most, behind which the next one may still have to be waited for.
    } while (bytes < mostBytes && cpu.hasRun && isBefore(cpu.peekTime(), until));
    books.events += this.reader.counts.records - eventsBefore;
    for (const { fromRaw, toRaw, count } of this.reader.takeLosses()) {
      books.lost += count ?? 0;
      books.unknown ||= count === undefined;
      this.#losses.push({ cpu: cpu.cpu, count, fromRaw, toRaw, reason: 'ring_lost' });
    }
    if (countUnread(this.reader.counts) > malformedBefore) this.#addHole(cpu.cpu, 'parse_error');
    return Math.max(1, bytes);
  }

  /** Events that nobody can read: at most one row per CPU and reason, until the rows are taken. */
  #addHole(cpu: number, reason: InputLoss['reason']): void {
    if (this.#losses.some((loss) => loss.cpu === cpu && loss.reason === reason)) return;
    this.#losses.push({ cpu, count: undefined, fromRaw: NO_RAW_TIME, toRaw: NO_RAW_TIME, reason });
  }

  #booksOf(cpu: number): CpuBooks {
    const books = this.#books.get(cpu) ?? { events: 0, lost: 0, unknown: false };
    this.#books.set(cpu, books);
    return books;
  }

  /** What the kernel's counters say beyond the pages: nobody knows when it was. */
  #addCounterLosses(): void {
    const stats = this.#parts.options.stats.filter(({ instance, cpu }) => instance === this.instance && cpu >= 0);
    if (stats.every(({ overrun, dropped, left }) => overrun + dropped + left === 0)) return;
    const spans = new Map(this.survey().map((span) => [span.cpu, span]));
    for (const { cpu, overrun, dropped, read, left } of stats) {
      const { events, lost, unknown } = this.#booksOf(cpu);
      const { firstRaw, lastRaw } = spans.get(cpu) ?? { firstRaw: NO_RAW_TIME, lastRaw: NO_RAW_TIME };
      const beyond = overrun + dropped - lost;
      const reason = dropped >= beyond ? 'ring_dropped' : 'ring_overrun';
      if (!unknown && beyond > 0) this.#addCounted({ cpu, count: beyond, fromRaw: firstRaw, toRaw: lastRaw, reason });
      // `record` counts when it has ended, and leaves in the buffer what came too late; `extract` counts before it reads.
      if (left > 0 && events === read)
        this.#addCounted({ cpu, count: left, fromRaw: lastRaw, toRaw: lastRaw, reason: 'resized_or_stolen' });
    }
  }

  #addCounted(loss: InputLoss & { readonly count: number }): void {
    this.reader.counts.lost += loss.count;
    this.#losses.push(loss);
  }
}

/** Malformed inputs that hide events; a value that is left empty hides none. */
function countUnread({ malformed }: ParseCounts): number {
  let sum = 0;
  for (const [reason, count] of malformed) if (reason !== 'value_outside_record') sum += count;
  return sum;
}

function isBefore(time: number | undefined, until: number): boolean {
  return time !== undefined && time <= until;
}

/** First and last time of the events in the next pages: in some of them, or in all that are left. */
function findSpan(pages: CpuPages, reader: PageReader, pageSizeBytes: number, all: boolean): { firstRaw: bigint; lastRaw: bigint } {
  const batch = new EventBatch();
  while (pages.peekTime() !== undefined) {
    reader.read(pages.take(LEAST_TURN_BYTES), pageSizeBytes, pages.cpu, batch);
    if (!all) break;
  }
  let firstRaw = NO_RAW_TIME;
  let lastRaw = NO_RAW_TIME;
  for (const table of batch.tables) {
    for (let row = 0; row < table.length; row++) {
      const raw = table.rawTime.getBigint(row);
      if (firstRaw === NO_RAW_TIME || raw < firstRaw) firstRaw = raw;
      if (lastRaw === NO_RAW_TIME || raw > lastRaw) lastRaw = raw;
    }
  }
  return { firstRaw, lastRaw };
}
