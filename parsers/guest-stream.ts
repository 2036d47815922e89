/**
 * The byte stream of a guest forwarder (deploy/guest): frames over a pipe that may cut, lose and add bytes. Little-endian.
 *
 *   4d 4b 47 46 | 03 | 01 | 00 00 | 2a 00 00 00 00 00 00 00 | 41 00 00 00 | 5e 1c 90 d3 | 07 c2 44 1b | payload …
 *   +-- "MKGF"    |    |    |       +-- sequence number        |             |             +-- CRC-32 of header and payload
 *                 |    |    +-- 0       in its session, from 1 |             +-- CRC-32 of the 20 bytes in front of it
 *                 |    +-- bit 0: numbered, kept until         +-- payload bytes, at most 128 KiB
 *                 +-- type        acknowledged
 *
 * The header has a check of its own, so that a false or torn one is known at once and never makes the reader wait for its
 * payload. What is no frame (console text, noise, the rest of a cut frame) is skipped to the next magic and counted.
 * The payloads are in parsers/guest-payloads.ts, the conversation in docs/formats/guest_stream.md.
 */
import { crc32 } from 'node:zlib';
import { TWO_POW_32 } from '../base/int64.ts';
import { encodeUtf8 } from '../base/bytes.ts';

export const GUEST_FRAME = {
  hello: 1,
  formats: 2,
  kmsg: 3,
  kmsgLost: 4,
  pages: 5,
  stats: 6,
  comms: 7,
  clock: 8,
  pong: 9,
  note: 10,
  bye: 11,
  system: 12,
  open: 64,
  acknowledge: 65,
  ping: 66,
} as const;

export const FRAME_HEADER_BYTES = 28;
export const MAX_FRAME_PAYLOAD_BYTES = 128 << 10;
const CHECKED_BYTES = 20;
const MAGIC = encodeUtf8('MKGF');
const NUMBERED = 1;

export interface RawFrame {
  readonly type: number;
  /** 0 = not numbered. */
  readonly sequence: number;
  /** A view of the bytes that were handed in. */
  readonly payload: Uint8Array;
}

/** What became of the bytes: those of frames, and those of none by reason. */
export interface FrameCounts {
  frames: number;
  frameBytes: number;
  garbageBytes: number;
  /** Headers that were right and whose frames were not: `payload_check`, `abandoned`. */
  readonly broken: Map<string, number>;
}

export class GuestStreamDecoder {
  readonly counts: FrameCounts = { frames: 0, frameBytes: 0, garbageBytes: 0, broken: new Map() };
  #tail: Uint8Array = new Uint8Array(0);

  /** Takes bytes as they come and returns the frames that are whole now. Never throws; holds at most one frame. */
  add(bytes: Uint8Array): RawFrame[] {
    const input = this.#tail.length === 0 ? bytes : concat(this.#tail, bytes);
    return this.#read(input, 0);
  }

  /** True while a frame has begun and not ended. */
  get isWaiting(): boolean {
    return this.#tail.length >= FRAME_HEADER_BYTES;
  }

  /** Gives up the frame that is being waited for (its rest was lost on the way) and looks for others in what is held. */
  abandon(): RawFrame[] {
    if (!this.isWaiting) return [];
    this.#countBroken('abandoned');
    this.counts.garbageBytes++;
    return this.#read(this.#tail, 1);
  }

  #read(input: Uint8Array, from: number): RawFrame[] {
    const frames: RawFrame[] = [];
    const view = new DataView(input.buffer, input.byteOffset, input.length);
    let at = from;
    for (;;) {
      const start = findMagic(input, at);
      this.counts.garbageBytes += start - at;
      at = start;
      if (input.length - at < FRAME_HEADER_BYTES) break;
      const headCheck = crc32(input.subarray(at, at + CHECKED_BYTES));
      const length = view.getUint32(at + 16, true);
      if (headCheck !== view.getUint32(at + 20, true) || length > MAX_FRAME_PAYLOAD_BYTES) {
        this.counts.garbageBytes++;
        at++;
        continue;
      }
      const payloadAt = at + FRAME_HEADER_BYTES;
      if (input.length - payloadAt < length) break;
      const payload = input.subarray(payloadAt, payloadAt + length);
      if (crc32(payload, headCheck) !== view.getUint32(at + 24, true)) {
        this.#countBroken('payload_check');
        this.counts.garbageBytes++;
        at++;
        continue;
      }
      const sequence = view.getUint32(at + 12, true) * TWO_POW_32 + view.getUint32(at + 8, true);
      frames.push({ type: input[at + 4] as number, sequence: (input[at + 5] as number) & NUMBERED ? sequence : 0, payload });
      this.counts.frames++;
      this.counts.frameBytes += FRAME_HEADER_BYTES + length;
      at = payloadAt + length;
    }
    // Copied: a small rest must not keep a large chunk alive.
    this.#tail = input.slice(at);
    return frames;
  }

  #countBroken(reason: string): void {
    this.counts.broken.set(reason, (this.counts.broken.get(reason) ?? 0) + 1);
  }
}

/** Where the magic, or a beginning of it at the end, stands next. */
function findMagic(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    at = bytes.indexOf(MAGIC[0] as number, at);
    if (at < 0) return bytes.length;
    let matched = 1;
    while (matched < MAGIC.length && at + matched < bytes.length && bytes[at + matched] === MAGIC[matched]) matched++;
    if (matched === MAGIC.length || at + matched === bytes.length) return at;
    at++;
  }
}

function concat(first: Uint8Array, second: Uint8Array): Uint8Array {
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

export function encodeFrame(type: number, payload: Uint8Array, sequence = 0): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  const view = new DataView(frame.buffer);
  frame.set(MAGIC);
  frame[4] = type;
  frame[5] = sequence > 0 ? NUMBERED : 0;
  view.setUint32(8, sequence % TWO_POW_32, true);
  view.setUint32(12, Math.floor(sequence / TWO_POW_32), true);
  view.setUint32(16, payload.length, true);
  const headCheck = crc32(frame.subarray(0, CHECKED_BYTES));
  view.setUint32(20, headCheck, true);
  view.setUint32(24, crc32(payload, headCheck), true);
  frame.set(payload, FRAME_HEADER_BYTES);
  return frame;
}
