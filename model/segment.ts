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
import { decodeUtf8, encodeUtf8 } from '../base/bytes.ts';
import type { KernelIdentity } from './identity.ts';
import type { ClockDomain } from './time.ts';

export const SEGMENT_CONTENT_TYPE = 'application/vnd.mkscope.segment';
export const FORMAT_SET_CONTENT_TYPE = 'application/vnd.mkscope.format-set+json';
export const SEGMENT_PATH = '/v1/mkscope/segments';
export const FORMAT_SET_PATH = '/v1/mkscope/formats';
/** Names the batch in its sender's spool; a receiver that has seen (stream, seq) answers 200 and stores nothing again. */
export const BATCH_STREAM_HEADER = 'x-mkscope-batch-stream';
export const BATCH_SEQUENCE_HEADER = 'x-mkscope-batch-seq';

const MAGIC = encodeUtf8('MKSEG01\n');
const MAX_HEADER_BYTES = 4 << 20;

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

export interface SegmentHeader {
  readonly identity: KernelIdentity;
  /** `tracefs:<instance>`. */
  readonly stream: string;
  /** Counts the segments of the stream in this boot, from 0. */
  readonly sequence: number;
  readonly clock: ClockDomain;
  readonly fit: ClockFitFields;
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
  const header = encodeUtf8(JSON.stringify(segment.header));
  const bytes = new Uint8Array(MAGIC.length + 4 + header.length + segment.pages.length);
  bytes.set(MAGIC);
  new DataView(bytes.buffer).setUint32(MAGIC.length, header.length, true);
  bytes.set(header, MAGIC.length + 4);
  bytes.set(segment.pages, MAGIC.length + 4 + header.length);
  return bytes;
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
  /** `printk_formats` and kallsyms are sent when they are needed (print formats), else empty. */
  readonly printkFormats: string;
}

/** Names a format set by its content. */
export function hashFormatSet(set: FormatSet): string {
  return createHash('sha256').update(JSON.stringify(set)).digest('hex').slice(0, 32);
}
