/**
 * ftrace text as Android's systrace and atrace wrap it. A page, with one or several pieces of text:
 *
 *   <!DOCTYPE html> …                          script and style of the viewer
 *   <!-- BEGIN TRACE -->
 *   <script class="trace-data" type="application/text">
 *   # tracer: nop                              ftrace-text.ts
 *   …
 *   </script>
 *   <!-- END TRACE -->
 *
 * and what atrace prints, as it is or compressed (`-z`, zlib):
 *
 *   capturing trace... done
 *   TRACE:
 *   # tracer: nop …      or      78 9c …
 *
 * Compressed text is kept until the input ends and is then read in one piece, up to bounds that no trace reaches: node:zlib has no
 * synchronous way to go on with a stream. Other pieces of a page, as its list of processes, are no events: their lines are counted.
 */
import { constants, inflateSync, type Inflate } from 'node:zlib';
import { decodeUtf8, encodeUtf8 } from '../base/bytes.ts';
import { errnoOf, messageOf } from '../base/errors.ts';
import type { EventBatch } from '../model/event-batch.ts';
import { countMalformed, type EventTextParser, type InputLoss, type ParseCounts, type ParserSession } from '../model/parser.ts';
import { FtraceSession } from './ftrace-text.ts';

const NEWLINE = 10;

const SCRIPT = /<script class="trace-data" type="application\/text">[ \t\r]*\n?/;
const SCRIPT_START = encodeUtf8('<script class="trace-data"');
const SCRIPT_END = encodeUtf8('</script>');
const TRACE = /(?:^|\n)TRACE:\r?\n/;
const PAGE = /^\s*(?:<!DOCTYPE html|<html)/i;
const LONGEST_TAG = 256;
/** How far `TRACE:` is looked for. */
const MAX_PREAMBLE = 4096;
/** Ftrace text shrinks to a tenth or twentieth. */
const MOST_GROWTH = 200;
const FREE_BYTES = 16 << 20;
const MAX_TEXT_BYTES = 256 << 20;
const MAX_PACKED_BYTES = 32 << 20;
/** In node's own pieces of 16 KB it takes twice as long. */
const UNPACKED_PIECE_BYTES = 1 << 20;

const STATE = { start: 0, page: 1, script: 2, text: 3, zlib: 4 } as const;

export const systrace: EventTextParser = {
  id: 'systrace',
  title: 'systrace and atrace (HTML, text, compressed)',
  yields: 'events',
  sniff,
  open: () => new Session(),
};

function sniff(head: Uint8Array): boolean {
  const text = decodeUtf8(head, 0, Math.min(head.length, MAX_PREAMBLE));
  if (PAGE.test(text)) {
    const whole = decodeUtf8(head, 0, head.length);
    return SCRIPT.test(whole) || /<!-- BEGIN TRACE -->|systrace|catapult|Android System Trace/i.test(whole);
  }
  const trace = TRACE.exec(text);
  return trace !== null && (trace.index === 0 || text.startsWith('capturing trace'));
}

class Session implements ParserSession<EventBatch> {
  readonly #inner = new FtraceSession();
  #state: (typeof STATE)[keyof typeof STATE] = STATE.start;
  /** Compressed input so far. */
  readonly #packed: Uint8Array[] = [];
  #packedBytes = 0;

  get counts(): ParseCounts {
    return this.#inner.counts;
  }

  takeLosses(): InputLoss[] {
    return this.#inner.takeLosses();
  }

  parse(bytes: Uint8Array, batch: EventBatch): number {
    return this.#read(bytes, batch, false);
  }

  finish(bytes: Uint8Array, batch: EventBatch): number {
    const at = this.#read(bytes, batch, true);
    if (this.#state === STATE.zlib) this.#readPacked(batch);
    return at;
  }

  #read(bytes: Uint8Array, batch: EventBatch, atEnd: boolean): number {
    let at = 0;
    while (at < bytes.length) {
      const next = this.#readPart(bytes, at, batch, atEnd);
      if (next === at) break;
      at = next;
    }
    return at;
  }

  /** Takes what it can of the part at hand; returns `at` when more bytes are needed. */
  #readPart(bytes: Uint8Array, at: number, batch: EventBatch, atEnd: boolean): number {
    switch (this.#state) {
      case STATE.start:
        return this.#readStart(bytes, at, batch, atEnd);
      case STATE.page:
        return this.#skipPage(bytes, at, atEnd);
      case STATE.script:
        return this.#readScript(bytes, at, batch, atEnd);
      case STATE.text: {
        const rest = bytes.subarray(at);
        return at + (atEnd ? this.#inner.finish(rest, batch) : this.#inner.parse(rest, batch));
      }
      case STATE.zlib:
        return this.#keepPacked(bytes, at);
    }
  }

  #readStart(bytes: Uint8Array, at: number, batch: EventBatch, atEnd: boolean): number {
    const text = decodeUtf8(bytes, at, Math.min(bytes.length, at + MAX_PREAMBLE));
    if (PAGE.test(text)) {
      this.#state = STATE.page;
      return this.#skipPage(bytes, at, atEnd);
    }
    const trace = TRACE.exec(text);
    const end = trace === null ? -1 : at + trace.index + trace[0].length;
    if (end < 0 || (end + 2 > bytes.length && !atEnd)) {
      if (!atEnd && bytes.length - at < MAX_PREAMBLE) return at;
      // Without its mark all of it is text.
      this.#state = STATE.text;
      return this.#readPart(bytes, at, batch, atEnd);
    }
    const isZlib = ((bytes[end] as number) & 0x0f) === 8 && (((bytes[end] as number) << 8) | (bytes[end + 1] as number)) % 31 === 0;
    this.#state = isZlib ? STATE.zlib : STATE.text;
    this.#note(end - at);
    return end;
  }

  /** Bytes of the wrapping are understood. */
  #note(sizeBytes: number): void {
    this.counts.parsedBytes += sizeBytes;
  }

  /** To the next piece of text. */
  #skipPage(bytes: Uint8Array, at: number, atEnd: boolean): number {
    const found = indexOf(bytes, SCRIPT_START, at);
    if (found >= 0) {
      const tag = SCRIPT.exec(decodeUtf8(bytes, found, Math.min(bytes.length, found + LONGEST_TAG)));
      const tagEnd = tag === null || tag.index !== 0 ? -1 : found + tag[0].length;
      // The line end behind the tag may be in the next piece.
      if (tagEnd >= 0 && (tagEnd < bytes.length || atEnd)) {
        this.#state = STATE.script;
        this.#note(tagEnd - at);
        return tagEnd;
      }
      if (atEnd || bytes.length - found > LONGEST_TAG) {
        this.#note(found + SCRIPT_START.length - at);
        return found + SCRIPT_START.length;
      }
      this.#note(found - at);
      return found;
    }
    const end = atEnd ? bytes.length : Math.max(at, bytes.length - SCRIPT_START.length + 1);
    this.#note(end - at);
    return end;
  }

  #readScript(bytes: Uint8Array, at: number, batch: EventBatch, atEnd: boolean): number {
    const end = indexOf(bytes, SCRIPT_END, at);
    if (end >= 0) {
      this.#inner.finish(bytes.subarray(at, end), batch);
      this.#state = STATE.page;
      this.#note(SCRIPT_END.length);
      return end + SCRIPT_END.length;
    }
    if (atEnd) return at + this.#inner.finish(bytes.subarray(at), batch);
    // A piece of the closing tag may be at the end: whole lines only.
    const lineEnd = bytes.lastIndexOf(NEWLINE) + 1;
    return lineEnd <= at ? at : at + this.#inner.parse(bytes.subarray(at, lineEnd), batch);
  }

  #keepPacked(bytes: Uint8Array, at: number): number {
    const end = Math.min(bytes.length, at + MAX_PACKED_BYTES - this.#packedBytes);
    if (end > at) this.#packed.push(bytes.slice(at, end));
    this.#packedBytes += end - at;
    this.#note(end - at);
    if (end < bytes.length) countMalformed(this.counts, 'more compressed data than is read', bytes, end, bytes.length);
    return bytes.length;
  }

  #readPacked(batch: EventBatch): void {
    const packed = Buffer.concat(this.#packed);
    const { text, usedBytes, reason } = unpack(packed);
    this.#note(usedBytes - packed.length);
    if (reason !== undefined) countMalformed(this.counts, reason, packed, usedBytes, packed.length);
    // The text is no part of the input's bytes, and places in it are its own.
    const { parsedBytes, malformedBytes } = this.counts;
    this.counts.parsedBytes = this.counts.malformedBytes = 0;
    this.#inner.finish(text, batch);
    this.counts.parsedBytes = parsedBytes;
    this.counts.malformedBytes = malformedBytes;
  }
}

interface Unpacked {
  readonly text: Uint8Array;
  /** Of the input. */
  readonly usedBytes: number;
  /** Why this is not all of the input. */
  readonly reason: string | undefined;
}

/** What zlib packed: all of it or, where its end is missing, what there is. Damaged data is none. */
function unpack(packed: Uint8Array): Unpacked {
  const maxOutputLength = Math.min(MAX_TEXT_BYTES, Math.max(FREE_BYTES, packed.length * MOST_GROWTH));
  try {
    return inflate(packed, maxOutputLength, constants.Z_FINISH);
  } catch (error) {
    if (errnoOf(error) !== 'Z_BUF_ERROR') return { text: new Uint8Array(0), usedBytes: 0, reason: toReason(error) };
  }
  return { ...inflate(packed, maxOutputLength, constants.Z_SYNC_FLUSH), reason: 'compressed data ends early' };
}

function inflate(packed: Uint8Array, maxOutputLength: number, finishFlush: number): Unpacked {
  const options = { maxOutputLength, finishFlush, chunkSize: UNPACKED_PIECE_BYTES, info: true };
  // Node's types know the option, and not what it gives.
  const { buffer, engine } = inflateSync(packed, options) as unknown as { readonly buffer: Buffer; readonly engine: Inflate };
  const usedBytes = engine.bytesWritten;
  return { text: buffer, usedBytes, reason: usedBytes < packed.length ? 'bytes behind the compressed trace' : undefined };
}

function toReason(error: unknown): string {
  if (errnoOf(error) === 'ERR_BUFFER_TOO_LARGE') return 'compressed data grows too much';
  return `compressed data is damaged: ${messageOf(error)}`;
}

function indexOf(bytes: Uint8Array, wanted: Uint8Array, from: number): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(wanted, from);
}
