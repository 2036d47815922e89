/**
 * A segment: ring-buffer pages of one kernel exactly as the kernel wrote them, with what is needed to read them anywhere.
 * It is the body of `POST /v1/mkscope/segments` (usually zstd-compressed), a record of a collector's spool, and a file.
 *
 *   4d 4b 53 45 47 30 31 0a | 5c 01 00 00 | {"identity":…} | pages of chunk 0 | pages of chunk 1 | …
 *   +-- "MKSEG01\n"           +-- u32 LE     +-- UTF-8 JSON   +-- chunks[0].pages × pageSizeBytes
 *                                 JSON bytes
 *
 * Pages keep the byte order and word size of the traced kernel; the format set (by hash) says which.
 */
import { createHash } from 'node:crypto';
import { ByteWriter, decodeUtf8, encodeUtf8 } from '../base/bytes.ts';
import type { KernelIdentity } from './identity.ts';
import { isClockDomain, type ClockDomain } from './time.ts';

export const SEGMENT_CONTENT_TYPE = 'application/vnd.mkscope.segment';
export const FORMAT_SET_CONTENT_TYPE = 'application/vnd.mkscope.format-set+json';
export const SEGMENT_PATH = '/v1/mkscope/segments';
export const FORMAT_SET_PATH = '/v1/mkscope/formats';
/** `PUT <path>/<boot id>`: that kernel's `/proc/kallsyms`. */
export const SYMBOLS_PATH = '/v1/mkscope/symbols';
export const SYMBOLS_CONTENT_TYPE = 'application/vnd.mkscope.kallsyms';
/** What the hub's clock shows: `{ process, atNs }`. */
export const HUB_CLOCK_PATH = '/v1/mkscope/clock';
/** Names the batch in its sender's spool; a receiver that has seen (stream, seq) answers 200 and stores nothing again. */
export const BATCH_STREAM_HEADER = 'x-mkscope-batch-stream';
export const BATCH_SEQUENCE_HEADER = 'x-mkscope-batch-seq';

const MAGIC = encodeUtf8('MKSEG01\n');
const MAX_HEADER_BYTES = 4 << 20;
/** The kernel's largest sub-buffer order. */
const MAX_PAGE_BYTES = 4 << 20;
const MAX_LINKS = 8;
const MAX_CPUS = 0x1_0000;
/** Of an attribute-like string (names, ids) in a header. */
const MAX_TEXT_CHARS = 1024;
/** A tick is at most one jiffy of the slowest kernel (100 Hz). */
const MAX_NS_PER_TICK = 1e7;

export interface SegmentChunk {
  readonly cpu: number;
  readonly pages: number;
}

/** `unixNs = baseUnixNs + (raw - baseRaw) * nsPerTick`, ± errorNs. bigints travel as decimal strings. */
export interface ClockFitFields {
  readonly baseRaw: string;
  readonly baseUnixNs: string;
  readonly nsPerTick: number;
  readonly errorNs: number;
}

/** The line from another clock of the same kernel to the segment's, which takes the place of Unix time in the fit. */
export interface ClockLink {
  readonly clock: ClockDomain;
  readonly fit: ClockFitFields;
}

/** The line from the Unix time of a fit to the monotonic clock of a hub, which takes the place of Unix time. */
export interface HubLink {
  /** The process whose clock it is. */
  readonly process: string;
  readonly fit: ClockFitFields;
}

export interface SegmentHeader {
  readonly identity: KernelIdentity;
  /** `tracefs:<instance>`. */
  readonly stream: string;
  /** Counts the segments of the stream in this boot, from 0. */
  readonly sequence: number;
  readonly clock: ClockDomain;
  readonly fit: ClockFitFields;
  /** Whose Unix time the fit tells: that of the host kernel of the machine, or that of this kernel, which nobody compared with it. */
  readonly wall?: 'host' | 'own';
  readonly links?: readonly ClockLink[];
  readonly hub?: HubLink;
  readonly pageSizeBytes: number;
  readonly formatSet: string;
  readonly chunks: readonly SegmentChunk[];
  /** Task names by pid, those that changed since the stream's last segment. */
  readonly comms: Readonly<Record<string, string>>;
}

export interface Segment {
  readonly header: SegmentHeader;
  /** All chunks' pages, one after the other. */
  readonly pages: Uint8Array;
}

export function encodeSegment(segment: Segment): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(segment.pages.length + 4096);
  writeSegment(segment, writer);
  return writer.view();
}

/** Appends a segment's bytes: for a sender that keeps one buffer for all of them. */
export function writeSegment(segment: Segment, writer: ByteWriter): void {
  const header = encodeUtf8(JSON.stringify(segment.header));
  writer.writeBytes(MAGIC);
  writer.writeU32(header.length);
  writer.writeBytes(header);
  writer.writeBytes(segment.pages);
}

/** Splits a segment into header text and pages; a string says what is wrong with it. The header is not validated here. */
export function splitSegment(bytes: Uint8Array): { readonly header: unknown; readonly pages: Uint8Array } | string {
  if (bytes.length < MAGIC.length + 4) return `segment of ${bytes.length} bytes is shorter than its fixed part`;
  for (let i = 0; i < MAGIC.length; i++) if (bytes[i] !== MAGIC[i]) return 'segment does not start with MKSEG01';
  const headerBytes = new DataView(bytes.buffer, bytes.byteOffset).getUint32(MAGIC.length, true);
  const pagesAt = MAGIC.length + 4 + headerBytes;
  if (headerBytes > MAX_HEADER_BYTES || pagesAt > bytes.length)
    return `segment header of ${headerBytes} bytes does not fit in ${bytes.length}`;
  try {
    return { header: JSON.parse(decodeUtf8(bytes, MAGIC.length + 4, pagesAt)), pages: bytes.subarray(pagesAt) };
  } catch {
    return 'segment header is not JSON';
  }
}

/** The `format` files of a kernel: what its pages are read with. Ids are per kernel and per boot. */
export interface FormatSet {
  /** `events/header_page`, verbatim. */
  readonly headerPage: string;
  /** `'little' | 'big'`: byte order of the traced kernel. */
  readonly endian: 'little' | 'big';
  readonly events: readonly { readonly system: string; readonly format: string }[];
  /** `printk_formats`, verbatim: the texts that records have only the addresses of. Empty where there is none. */
  readonly printkFormats: string;
}

/** Names a format set by its content. */
export function hashFormatSet(set: FormatSet): string {
  return createHash('sha256').update(JSON.stringify(set)).digest('hex').slice(0, 32);
}

/**
 * A header that was received, checked field by field; a string says what is wrong. Unknown members are dropped, so that newer
 * collectors can say more.
 */
export function toSegmentHeader(value: unknown): SegmentHeader | string {
  if (!isRecord(value)) return 'segment header is not an object';
  const identity = toKernelIdentity(value['identity']);
  if (typeof identity === 'string') return identity;
  const { stream, sequence, clock, pageSizeBytes, formatSet, chunks, comms } = value;
  if (!isText(stream) || stream === '') return 'stream is missing';
  if (!isCount(sequence, Number.MAX_SAFE_INTEGER)) return 'sequence is not a whole number';
  if (typeof clock !== 'string' || !isClockDomain(clock)) return 'clock is not one that the kernel has';
  const fit = toFitFields(value['fit']);
  if (typeof fit === 'string') return fit;
  const links = toLinks(value['links'] ?? []);
  if (typeof links === 'string') return links;
  const hub = toHubLink(value['hub']);
  if (typeof hub === 'string') return hub;
  const wall = value['wall'] ?? 'host';
  if (wall !== 'host' && wall !== 'own') return 'wall is neither host nor own';
  if (!isCount(pageSizeBytes, MAX_PAGE_BYTES) || pageSizeBytes < 64) return `pageSizeBytes is not in 64 … ${MAX_PAGE_BYTES}`;
  if (!isText(formatSet) || formatSet === '') return 'formatSet is missing';
  if (!Array.isArray(chunks) || !chunks.every(isChunk)) return 'chunks are not a list of { cpu, pages }';
  if (!isRecord(comms) || !Object.entries(comms).every(([pid, name]) => /^\d{1,10}$/.test(pid) && isText(name))) {
    return 'comms do not map a pid to a name';
  }
  return {
    identity,
    stream,
    sequence,
    clock,
    fit,
    wall,
    links,
    ...(hub === undefined ? {} : { hub }),
    pageSizeBytes,
    formatSet,
    chunks: chunks.map(({ cpu, pages }) => ({ cpu, pages })),
    comms: comms as Readonly<Record<string, string>>,
  };
}

/** A format set that was received, or what is wrong with it. */
export function toFormatSet(value: unknown): FormatSet | string {
  if (!isRecord(value)) return 'format set is not an object';
  const { headerPage, endian, events, printkFormats } = value;
  if (typeof headerPage !== 'string') return 'headerPage is missing';
  if (endian !== 'little' && endian !== 'big') return 'endian is neither little nor big';
  if (!Array.isArray(events) || !events.every(isEventText)) return 'events are not a list of { system, format }';
  if (typeof printkFormats !== 'string') return 'printkFormats is missing';
  return { headerPage, endian, events: events.map(({ system, format }) => ({ system, format })), printkFormats };
}

/** An identity that was received; a string says what is wrong with it. */
export function toKernelIdentity(value: unknown): KernelIdentity | string {
  if (!isRecord(value)) return 'identity is missing';
  const { machineId, machineName, kernelId, kernelName, bootId, release, arch } = value;
  if (!isCount(kernelId, 0x7fff_ffff)) return 'identity.kernelId is not a whole number';
  if (!isText(machineId) || !isText(machineName) || !isText(kernelName) || !isText(bootId) || !isText(release) || !isText(arch)) {
    return 'identity lacks a name';
  }
  if (bootId === '') return 'identity.bootId is empty';
  return { machineId, machineName, kernelId, kernelName, bootId, release, arch };
}

function toFitFields(value: unknown): ClockFitFields | string {
  if (!isRecord(value)) return 'fit is missing';
  const { baseRaw, baseUnixNs, nsPerTick, errorNs } = value;
  if (!isInt64Text(baseRaw) || !isInt64Text(baseUnixNs)) return 'fit: a base is not a 64-bit integer in decimal';
  if (typeof nsPerTick !== 'number' || !(nsPerTick > 0) || nsPerTick > MAX_NS_PER_TICK) return 'fit.nsPerTick is out of range';
  if (typeof errorNs !== 'number' || !Number.isFinite(errorNs) || errorNs < 0) return 'fit.errorNs is out of range';
  return { baseRaw, baseUnixNs, nsPerTick, errorNs };
}

function toLinks(value: unknown): ClockLink[] | string {
  if (!Array.isArray(value) || value.length > MAX_LINKS) return `links are not a list of at most ${MAX_LINKS}`;
  const links: ClockLink[] = [];
  for (const link of value as unknown[]) {
    if (!isRecord(link)) return 'a link is not an object';
    const { clock } = link;
    if (typeof clock !== 'string' || !isClockDomain(clock)) return 'the clock of a link is not one that the kernel has';
    const fit = toFitFields(link['fit']);
    if (typeof fit === 'string') return fit;
    links.push({ clock, fit });
  }
  return links;
}

/** A HubLink out of the text of an attribute; undefined where it is none. */
export function parseHubLink(text: string): HubLink | undefined {
  try {
    const link = toHubLink(JSON.parse(text));
    return typeof link === 'string' ? undefined : link;
  } catch {
    return undefined;
  }
}

function toHubLink(value: unknown): HubLink | string | undefined {
  if (value === undefined) return undefined;
  if (!isRecord(value)) return 'hub is not an object';
  const { process } = value;
  if (!isText(process) || process === '') return 'hub.process is missing';
  const fit = toFitFields(value['fit']);
  return typeof fit === 'string' ? fit : { process, fit };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_TEXT_CHARS;
}

function isCount(value: unknown, most: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most;
}

function isInt64Text(value: unknown): value is string {
  return typeof value === 'string' && /^-?\d{1,19}$/.test(value) && BigInt.asIntN(64, BigInt(value)) === BigInt(value);
}

function isChunk(value: unknown): value is SegmentChunk {
  return isRecord(value) && isCount(value['cpu'], MAX_CPUS - 1) && isCount(value['pages'], 0x7fff_ffff);
}

function isEventText(value: unknown): value is FormatSet['events'][number] {
  return isRecord(value) && isText(value['system']) && typeof value['format'] === 'string';
}
