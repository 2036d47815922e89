/**
 * trace.dat version 7: sections in any order, found through options.
 *
 *   compression name\0 | its version\0 | u64 offset of the first section of options
 *
 *   10 00 | 01 00 | 00 00 00 00 | 05 01 00 00 00 00 00 00 | fd 00 00 00 | c3 01 00 00 | 28 b5 2f fd …
 *   |       |       |             +-- u64 bytes behind it    +-- compressed: u32 bytes, u32 bytes unpacked, data
 *   |       |       +-- description: offset in the strings (section 15), not needed to read
 *   |       +-- 1: compressed
 *   +-- 16 header_page, 17 and 18 formats, 19 kallsyms, 20 printk formats, 21 saved_cmdlines, 3 pages, 22 text, 0 options
 *
 *   Options (trace-dat-options.ts) name the offsets of the sections. A section of them ends with DONE: u64 offset of the next
 *   one, 0 = last. BUFFER: u64 offset of its section, instance\0, clock\0, u32 page bytes, u32 CPUs × ( u32 cpu, u64 offset,
 *   u64 bytes ); the pages at an offset are compressed where the section says so (trace-dat-pages.ts).
 *
 * A file that is cut has lost the options at its end: its sections are then found one behind the other from the front, and
 * the pages of the cut one as far as they go.
 */
import type { ByteSource } from '../model/event-file.ts';
import { parseHeaderPage } from './page-header.ts';
import { COMMIT_BYTES_MASK } from './page-records.ts';
import { unpack } from './trace-dat-unpack.ts';
import { DatCursor, toSource, toTextSource } from './trace-dat-cursor.ts';
import { readCmdlines, readEventFormats, readFtraceFormats, readHeaderInfo, readPrintkFormats } from './trace-dat-formats.ts';
import { OPTION, readOption } from './trace-dat-options.ts';
import {
  addProblem,
  MAX_BUFFERS,
  MAX_CPUS,
  MAX_NAME_BYTES,
  MAX_OPTION_BYTES,
  MAX_SECTION_BYTES,
  type CpuExtent,
  type CpuStat,
  type DatParts,
} from './trace-dat-parts.ts';

const SECTION_HEADER_BYTES = 16;
const COUNT_BYTES = 4;
const FLAG_COMPRESSED = 1;
/** A recording has one section of options per buffer and one more. */
const MAX_OPTION_SECTIONS = 4096;

type SectionReader = (cursor: DatCursor, parts: DatParts) => void;

const TEXT_SECTIONS = new Map<number, SectionReader>([
  [OPTION.headerInfo, readHeaderInfo],
  [OPTION.ftraceEvents, readFtraceFormats],
  [OPTION.eventFormats, readEventFormats],
  [OPTION.printk, readPrintkFormats],
  [OPTION.cmdlines, readCmdlines],
]);

interface SectionHeader {
  readonly id: number;
  readonly compressed: boolean;
  readonly sizeBytes: number;
}

export function readV7(source: ByteSource, cursor: DatCursor, parts: DatParts): void {
  parts.compression = cursor.readString(MAX_NAME_BYTES);
  cursor.readString(MAX_NAME_BYTES);
  const first = cursor.readSize();
  if (cursor.failed) return addProblem(parts, 'the file is cut in its head', cursor.at);
  const sections = new Map<number, number>();
  const whole = readOptionSections(source, parts, first, sections);
  const pages = whole ? [] : findSections(source, parts, cursor.at, sections);
  for (const [id, read] of TEXT_SECTIONS) {
    const offset = sections.get(id);
    const content = offset === undefined ? undefined : readSection(source, parts, offset, id);
    if (content === undefined) continue;
    parts.where = ` of section ${id}, which is at byte ${offset}`;
    read(new DatCursor(toTextSource(content), parts.little, 0), parts);
    parts.where = '';
  }
  for (const section of pages) findPages(source, parts, section);
  const kallsyms = sections.get(OPTION.kallsyms);
  if (kallsyms !== undefined) parts.readKallsyms = () => readKallsyms(source, parts, kallsyms);
}

/** Follows the sections of options; false where their chain is broken. Offsets of other sections go to `sections`. */
function readOptionSections(source: ByteSource, parts: DatParts, first: number, sections: Map<number, number>): boolean {
  const seen = new Set<number>();
  let offset = first;
  while (offset !== 0) {
    if (seen.has(offset) || seen.size >= MAX_OPTION_SECTIONS) {
      addProblem(parts, 'the options point back at themselves', offset);
      return false;
    }
    seen.add(offset);
    const content = readSection(source, parts, offset, OPTION.done);
    const next = content === undefined ? undefined : readOptions(source, content, offset, parts, sections);
    if (next === undefined) return false;
    offset = next;
  }
  return true;
}

/** Reads one section of options and returns the offset of the next one, 0 = none; undefined where it is damaged. */
function readOptions(
  source: ByteSource,
  content: Uint8Array,
  offset: number,
  parts: DatParts,
  sections: Map<number, number>,
): number | undefined {
  const memory = toSource(content);
  const cursor = new DatCursor(memory, parts.little, 0);
  while (cursor.left > 0) {
    const id = cursor.readU16();
    const sizeBytes = cursor.readU32();
    const inside = new DatCursor(memory, parts.little, cursor.at, cursor.at + sizeBytes);
    if (!cursor.skip(sizeBytes)) break;
    if (id === OPTION.done) return inside.readSize();
    if (id === OPTION.buffer || id === OPTION.bufferText) readBuffer(source, inside, parts, id);
    else if (id >= OPTION.headerInfo && id <= OPTION.cmdlines) sections.set(id, inside.readSize());
    else if (sizeBytes > MAX_OPTION_BYTES || !readOption(id, inside, parts.options)) {
      addProblem(parts, `option ${id} is not understood`, offset);
    }
  }
  addProblem(parts, 'the options are cut', offset);
  return undefined;
}

function readBuffer(source: ByteSource, cursor: DatCursor, parts: DatParts, id: number): void {
  const sectionAt = cursor.readSize();
  const instance = cursor.readString(MAX_NAME_BYTES);
  const clock = cursor.readString(MAX_NAME_BYTES);
  const section = readSectionHeader(source, parts, sectionAt);
  if (id === OPTION.bufferText) return addProblem(parts, `text of a latency tracer is not imported`, sectionAt);
  const pageSizeBytes = cursor.readU32();
  const count = cursor.readU32();
  if (cursor.failed || section === undefined || count > MAX_CPUS || parts.buffers.length >= MAX_BUFFERS) {
    return addProblem(parts, `buffer ${JSON.stringify(instance.slice(0, 64))} is not understood`, sectionAt);
  }
  const cpus: CpuExtent[] = [];
  for (let i = 0; i < count; i++) {
    const cpu = cursor.readU32();
    const offset = cursor.readSize();
    const sizeBytes = cursor.readSize();
    if (cursor.failed || cpu >= MAX_CPUS) return addProblem(parts, 'the CPUs of a buffer are cut', sectionAt);
    if (sizeBytes > 0) cpus.push({ cpu, offset, sizeBytes });
  }
  parts.buffers.push({ instance, clock, pageSizeBytes, compressed: section.compressed, cpus });
}

function readSectionHeader(source: ByteSource, parts: DatParts, offset: number): SectionHeader | undefined {
  const cursor = new DatCursor(source, parts.little, offset, offset + SECTION_HEADER_BYTES);
  const id = cursor.readU16();
  const compressed = (cursor.readU16() & FLAG_COMPRESSED) !== 0;
  cursor.readU32();
  const sizeBytes = cursor.readSize();
  return cursor.failed ? undefined : { id, compressed, sizeBytes };
}

/** The content of a section that fits into memory, unpacked. */
function readSection(source: ByteSource, parts: DatParts, offset: number, id: number): Uint8Array | undefined {
  const header = readSectionHeader(source, parts, offset);
  if (header === undefined || header.id !== id) return refuse(parts, `no section ${id}`, offset);
  const start = offset + SECTION_HEADER_BYTES;
  if (start + header.sizeBytes > source.sizeBytes) return refuse(parts, `section ${id} is cut`, offset);
  if (header.sizeBytes > MAX_SECTION_BYTES) return refuse(parts, `section ${id} of ${header.sizeBytes} bytes is too large`, offset);
  // A copy: a source may hand out the same memory again.
  if (!header.compressed) return source.read(start, header.sizeBytes).slice();
  const cursor = new DatCursor(source, parts.little, start);
  const packedBytes = cursor.readU32();
  const unpackedBytes = cursor.readU32();
  if (cursor.failed || packedBytes + 8 > header.sizeBytes || unpackedBytes > MAX_SECTION_BYTES) {
    return refuse(parts, `section ${id} has sizes that do not fit`, offset);
  }
  const content = unpack(parts.compression, source.read(start + 8, packedBytes), unpackedBytes);
  return typeof content === 'string' ? refuse(parts, `section ${id} cannot be unpacked (${content})`, offset) : content;
}

function refuse(parts: DatParts, what: string, offset: number): undefined {
  addProblem(parts, what, offset);
  return undefined;
}

function readKallsyms(source: ByteSource, parts: DatParts, offset: number): Uint8Array {
  const content = readSection(source, parts, offset, OPTION.kallsyms);
  if (content === undefined) return new Uint8Array(0);
  // What is unpacked is nobody else's: a copy of 5 MB took 13 ms.
  const cursor = new DatCursor(toSource(content), parts.little, 0);
  const sizeBytes = cursor.readU32();
  return sizeBytes <= cursor.left ? content.subarray(cursor.at, cursor.at + sizeBytes) : new Uint8Array(0);
}

/** Pages that no option tells of, the so-manieth of the file. */
interface PageSection extends SectionHeader {
  readonly at: number;
  readonly index: number;
}

/** Walks the sections of a file with broken options, from `offset` on, as far as their sizes lead. */
function findSections(source: ByteSource, parts: DatParts, offset: number, sections: Map<number, number>): PageSection[] {
  const known = [...parts.buffers];
  const pages: PageSection[] = [];
  let at = offset;
  let buffers = 0;
  for (let count = 0; count < MAX_OPTION_SECTIONS; count++) {
    const header = readSectionHeader(source, parts, at);
    if (header === undefined || header.id > OPTION.bufferText) break;
    const next = at + SECTION_HEADER_BYTES + header.sizeBytes;
    if (header.id === OPTION.buffer) {
      const isKnown = known.some(({ cpus }) => cpus.some((cpu) => cpu.offset > at && cpu.offset < next));
      if (!isKnown) pages.push({ ...header, at, index: buffers });
      buffers++;
    } else if (!sections.has(header.id)) sections.set(header.id, at);
    if (next > source.sizeBytes) break;
    at = next;
  }
  return pages;
}

/**
 * The pages of a section whose BUFFER option is lost: those of each CPU begin at a multiple of the page size. Compressed ones are
 * told apart by their counts of chunks, others by their times; whose they are, the counters of the kernel tell, which stand in front.
 */
function findPages(source: ByteSource, parts: DatParts, section: PageSection): void {
  const { pageSizeBytes, options } = parts;
  const { at: sectionAt, index } = section;
  if (section.sizeBytes === 0 || parts.buffers.length >= MAX_BUFFERS) return;
  if (pageSizeBytes < 64) return addProblem(parts, 'pages without their table of CPUs', sectionAt);
  const instance = ['', ...new Set(options.stats.map((stat) => stat.instance).filter((name) => name !== ''))][index] ?? '';
  const stats = options.stats.filter((stat) => stat.instance === instance && stat.cpu >= 0);
  const counted = stats.filter(({ read, left }) => read + left > 0);
  const end = Math.min(source.sizeBytes, sectionAt + SECTION_HEADER_BYTES + section.sizeBytes);
  const from = Math.ceil((sectionAt + SECTION_HEADER_BYTES) / pageSizeBytes) * pageSizeBytes;
  const extents = section.compressed
    ? findPackedExtents(source, parts, from, end)
    : findPlainExtents(source, parts, from, end, counted.length || MAX_CPUS);
  const cpus = nameExtents(extents, counted);
  if (cpus.length === 0) return addProblem(parts, 'pages without their table of CPUs', sectionAt);
  addProblem(
    parts,
    `the table of CPUs is lost: ${counted.length === 0 ? 'they are numbered from 0' : 'they are told by counters'}`,
    sectionAt,
  );
  parts.buffers.push({ instance, clock: '', pageSizeBytes, compressed: section.compressed, cpus });
}

interface Extent {
  readonly offset: number;
  readonly sizeBytes: number;
  /** Of its first page. */
  readonly firstTime: bigint | undefined;
}

/**
 * Whose pages they are, in the order of the CPUs that have counted events. Where some of those have no pages, as when the recorder left
 * what it had not read yet, those are skipped whose events began at another time.
 */
function nameExtents(extents: readonly Extent[], counted: readonly CpuStat[]): CpuExtent[] {
  let next = 0;
  return extents.map(({ offset, sizeBytes, firstTime }, i) => {
    while (counted.length - next > extents.length - i && beginsElsewhere(counted[next] as CpuStat, firstTime)) next++;
    return { cpu: counted[next++]?.cpu ?? i, offset, sizeBytes };
  });
}

/** Only of a CPU of which nothing was read is known when its events began. */
function beginsElsewhere({ read, oldest }: CpuStat, firstTime: bigint | undefined): boolean {
  if (read > 0 || oldest === undefined || firstTime === undefined) return false;
  return firstTime < oldest.time - oldest.doubt || firstTime > oldest.time + oldest.doubt;
}

function findPackedExtents(source: ByteSource, parts: DatParts, from: number, end: number): Extent[] {
  const { pageSizeBytes } = parts;
  const extents: Extent[] = [];
  const layout = parseHeaderPage(parts.headerPage);
  for (let at = from; at + COUNT_BYTES < end && extents.length < MAX_CPUS;) {
    const sizeBytes = measureChunks(source, parts, at, end);
    if (sizeBytes === 0) break;
    const firstTime = typeof layout === 'string' ? undefined : readFirstTime(source, parts, at + COUNT_BYTES, layout.timestampOffset);
    extents.push({ offset: at, sizeBytes: sizeBytes - COUNT_BYTES, firstTime });
    at = Math.ceil((at + sizeBytes) / pageSizeBytes) * pageSizeBytes;
  }
  return extents;
}

/** The time of the first page in a chunk. */
function readFirstTime(source: ByteSource, { compression, little }: DatParts, chunkAt: number, offset: number): bigint | undefined {
  const cursor = new DatCursor(source, little, chunkAt);
  const packedBytes = cursor.readU32();
  const sizeBytes = cursor.readU32();
  if (cursor.failed || packedBytes > MAX_SECTION_BYTES || sizeBytes > MAX_SECTION_BYTES) return undefined;
  const chunk = unpack(compression, source.read(cursor.at, packedBytes), sizeBytes);
  if (typeof chunk === 'string' || chunk.length < offset + 8) return undefined;
  return new DataView(chunk.buffer, chunk.byteOffset).getBigUint64(offset, little);
}

/** Pages that lie there as they are: a CPU's are in the order of their times, so where those go back the next CPU's begin. */
function findPlainExtents(source: ByteSource, parts: DatParts, from: number, end: number, most: number): Extent[] {
  const { pageSizeBytes, little } = parts;
  const layout = parseHeaderPage(parts.headerPage);
  if (typeof layout === 'string') return [];
  const starts: { readonly offset: number; readonly firstTime: bigint }[] = [];
  let last = 0n;
  for (let at = from; at + layout.dataOffset <= end; at += pageSizeBytes) {
    const { buffer, byteOffset, length } = source.read(at, layout.dataOffset);
    if (length < layout.dataOffset) break;
    const view = new DataView(buffer, byteOffset, length);
    const commitAt = layout.commitOffset + (little || layout.longBytes === 4 ? 0 : 4);
    const isPage = (view.getUint32(commitAt, little) & COMMIT_BYTES_MASK) <= pageSizeBytes - layout.dataOffset;
    const time = view.getBigUint64(layout.timestampOffset, little);
    if (starts.length === 0 || (isPage && time < last && starts.length < most)) starts.push({ offset: at, firstTime: time });
    if (isPage) last = time;
  }
  return starts.map(({ offset, firstTime }, i) => ({ offset, firstTime, sizeBytes: (starts[i + 1]?.offset ?? end) - offset }));
}

/** Bytes of a CPU's chunks, up to `end`; 0 where there are none. */
function measureChunks(source: ByteSource, parts: DatParts, offset: number, end: number): number {
  const cursor = new DatCursor(source, parts.little, offset, end);
  const count = cursor.readU32();
  for (let i = 0; i < count; i++) {
    const packedBytes = cursor.readU32();
    const unpackedBytes = cursor.readU32();
    if (cursor.failed || packedBytes === 0 || unpackedBytes % parts.pageSizeBytes !== 0) return i === 0 ? 0 : end - offset;
    if (!cursor.skip(packedBytes)) return end - offset;
  }
  return cursor.at - offset > COUNT_BYTES ? cursor.at - offset : 0;
}
