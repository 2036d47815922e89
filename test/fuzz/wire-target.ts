/** Targets for what travels between our own programs, which the other end need not have written: frames, segments, records. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { encodeUtf8 } from '../../base/bytes.ts';
import { RecordLog } from '../../base/record-log.ts';
import { encodeSegment, splitSegment, toFormatSet, toSegmentHeader } from '../../model/segment.ts';
import { parseGuestFrame } from '../../parsers/guest-payloads.ts';
import { encodeFrame, FRAME_HEADER_BYTES, GUEST_FRAME, GuestStreamDecoder, type RawFrame } from '../../parsers/guest-stream.ts';
import { systemPayload } from '../support/guest-system.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { countOutcome, Violation, type Target } from './target.ts';

const MAX_FRAME_TEXT = 128 << 10;
const MAX_PAGES_BYTES = 1 << 20;
const MAGIC = 0x46474b4d;
const RECORD_MAGIC = 0x31524b4d;
const RECORD_HEADER_BYTES = 12;
/** A folder in memory: each run writes a file. */
const MEMORY = '/dev/shm';

/** One frame of each type, as the forwarder sends it. */
function frames(): [number, Uint8Array][] {
  const u32 = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);
  const record = encodeUtf8('6,341,1804081078,-;usb 1-1: new device\n');
  const hello =
    'version=1\nsession=1987\nkernel_id=3\nkernel_name=spawn-3\nboot_id=0d9b7c52-36e5\nrelease=6.18\nendian=little\nword_bytes=8\nkmsg=open\n';
  return [
    [GUEST_FRAME.hello, encodeUtf8(`${hello}instance=mk\nclock=mono\npage_bytes=256\ncpu=0 base=0\nproblem=/dev/kmsg: denied\n`)],
    [GUEST_FRAME.formats, Uint8Array.of(1, 0, 2, 0, 10, 0, ...encodeUtf8('sched:wakename: wake\nID: 3\n'))],
    [GUEST_FRAME.kmsg, Uint8Array.of(...u32(record.length), ...record, ...u32(record.length), ...record)],
    [GUEST_FRAME.kmsgLost, new Uint8Array(0)],
    [GUEST_FRAME.pages, Uint8Array.of(1, 0, 2, 0, ...u32(3, 256, 4, 1, 0, 9, 9))],
    [
      GUEST_FRAME.stats,
      encodeUtf8('cpu=0 entries=12 overrun=0 commit_overrun=0 dropped=0 read=4711\nkmsg=611 queue_bytes=0 cpu_us=1240\n'),
    ],
    [GUEST_FRAME.comms, encodeUtf8('1 init\n42 kworker/0:1\n')],
    [
      GUEST_FRAME.clock,
      encodeUtf8('mono0=1\nreal=2\nraw=3\nboot=4\ntsc=5\nmono1=6\nperf0=1\nperf=2\nperf1=3\ntrace0=1\ntrace=2\ntrace1=3\n'),
    ],
    [GUEST_FRAME.pong, new Uint8Array(40).fill(7)],
    [GUEST_FRAME.system, systemPayload(1987, 55n, { stat: 'cpu0 1 2 3\n', 'pressure/cpu': 'some avg10=0.25\n' })],
    [GUEST_FRAME.note, encodeUtf8('a note')],
    [GUEST_FRAME.bye, encodeUtf8('bye')],
  ];
}

/** Sets both checksums of each frame that seems to be there. */
function repairFrames(input: Uint8Array): void {
  const view = new DataView(input.buffer, input.byteOffset, input.length);
  for (let at = 0; at + FRAME_HEADER_BYTES <= input.length;) {
    if (view.getUint32(at, true) !== MAGIC) {
      at++;
      continue;
    }
    const payloadAt = at + FRAME_HEADER_BYTES;
    const length = Math.min(view.getUint32(at + 16, true), input.length - payloadAt);
    view.setUint32(at + 16, length, true);
    const headCheck = crc32(input.subarray(at, at + 20));
    view.setUint32(at + 20, headCheck, true);
    view.setUint32(at + 24, crc32(input.subarray(payloadAt, payloadAt + length), headCheck), true);
    at = payloadAt + length;
  }
}

const guestStream: Target = {
  id: 'guest_stream',
  seeds: () =>
    frames().map(
      ([type, payload], index) =>
        new Uint8Array(Buffer.concat([encodeFrame(type, payload, index), encodeFrame(GUEST_FRAME.note, encodeUtf8('x'), index + 1)])),
    ),
  repair: repairFrames,
  open: () => ({
    outcomes: new Map(),
    run(input, deep) {
      const whole = decodeFrames(input, input.length);
      for (const frame of whole) {
        const { kind } = checkFrame(frame);
        countOutcome(this.outcomes, kind);
      }
      if (!deep) return;
      const pieces = decodeFrames(input, 1 + (input.length % 13));
      const same =
        pieces.length === whole.length &&
        pieces.every(({ sequence, payload }, i) => sequence === whole[i]?.sequence && payload.length === whole[i]?.payload.length);
      if (!same) throw new Violation(`pieces: ${pieces.length} frames instead of ${whole.length}`);
    },
  }),
};

/** All frames, in pieces of so many bytes; every byte is of a frame, of none, or waits. */
function decodeFrames(input: Uint8Array, step: number): RawFrame[] {
  const decoder = new GuestStreamDecoder();
  const found: RawFrame[] = [];
  for (let at = 0; at < input.length; at += step) found.push(...decoder.add(input.subarray(at, Math.min(input.length, at + step))));
  for (let tries = 0; decoder.isWaiting; tries++) {
    if (tries > input.length) throw new Violation('waiting: a frame that was given up is waited for');
    found.push(...decoder.abandon());
  }
  const { frameBytes, garbageBytes, frames: count } = decoder.counts;
  const rest = input.length - frameBytes - garbageBytes;
  if (rest < 0 || rest >= FRAME_HEADER_BYTES) throw new Violation(`bytes: ${rest} of ${input.length} are not accounted for`);
  if (count !== found.length) throw new Violation(`frames: ${count} counted, ${found.length} came out`);
  return found;
}

function checkFrame(frame: RawFrame): ReturnType<typeof parseGuestFrame> {
  const parsed = parseGuestFrame(frame);
  if (parsed.kind === 'pages' && parsed.pages.length > MAX_PAGES_BYTES) throw new Violation(`pages: ${parsed.pages.length} bytes`);
  if (parsed.kind === 'kmsg' && parsed.records.length > frame.payload.length / 5) throw new Violation(`records: ${parsed.records.length}`);
  if ((parsed.kind === 'note' || parsed.kind === 'bye') && parsed.text.length > MAX_FRAME_TEXT)
    throw new Violation(`text: ${parsed.text.length}`);
  return parsed;
}

/** First byte: type of the frame; the rest its payload, with no checksum around it. */
const guestPayload: Target = {
  id: 'guest_payload',
  seeds: () => frames().map(([type, payload]) => Uint8Array.of(type, ...payload)),
  open: () => ({
    outcomes: new Map(),
    run(input) {
      const parsed = checkFrame({ type: input[0] ?? 0, sequence: 1, payload: input.subarray(1) });
      countOutcome(this.outcomes, parsed.kind === 'malformed' ? parsed.reason : parsed.kind);
    },
  }),
};

const segment: Target = {
  id: 'segment',
  maxBytes: 1024,
  seeds: () => {
    const { segment: recorded, set } = readRingFixture();
    const small = encodeSegment({ header: { ...recorded.header, comms: { 1: 'init' } }, pages: recorded.pages.subarray(0, 64) });
    return [small, encodeUtf8(JSON.stringify({ ...set, events: [{ system: 'a', format: 'name: b' }] }))];
  },
  // The header's length is the one thing that must be right.
  repair(input) {
    const end = input.lastIndexOf(0x7d) + 1;
    if (input.length >= 12 && end > 12) new DataView(input.buffer, input.byteOffset).setUint32(8, end - 12, true);
  },
  open: () => ({
    outcomes: new Map(),
    run(input) {
      const split = splitSegment(input);
      if (typeof split !== 'string') {
        const header = toSegmentHeader(split.header);
        countOutcome(this.outcomes, typeof header === 'string' ? header : 'segment');
        if (split.pages.length > input.length) throw new Violation(`pages: ${split.pages.length} bytes`);
      }
      const set = toFormatSet(typeof split === 'string' ? readJson(input) : split.header);
      countOutcome(this.outcomes, typeof set === 'string' ? set : 'format set');
    },
  }),
};

function readJson(input: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(input));
  } catch {
    return undefined;
  }
}

/** A spool's file as a crash leaves it: what is whole in front stays, the rest is cut, and it can be written on. */
const recordLog: Target = {
  id: 'record_log',
  seeds: () =>
    [['one', 'two, which is longer', ''], ['x'.repeat(100)]].map(
      (payloads) => new Uint8Array(Buffer.concat(payloads.map((payload) => encodeRecord(encodeUtf8(payload))))),
    ),
  repair(input) {
    const view = new DataView(input.buffer, input.byteOffset, input.length);
    for (let at = 0; at + RECORD_HEADER_BYTES <= input.length && view.getUint32(at, true) === RECORD_MAGIC;) {
      const end = at + RECORD_HEADER_BYTES + view.getUint32(at + 4, true);
      if (end > input.length) return;
      view.setUint32(at + 8, crc32(input.subarray(at + RECORD_HEADER_BYTES, end)), true);
      at = end;
    }
  },
  open: () => {
    const folder = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'mkscope-fuzz-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    const path = join(folder, 'log');
    return {
      outcomes: new Map(),
      run(input) {
        writeFileSync(path, input);
        const log = RecordLog.open(path);
        try {
          const { recovered, sizeBytes, cutBytes } = log;
          const recordBytes = recovered.reduce((sum, { length }) => sum + RECORD_HEADER_BYTES + length, 0);
          if (sizeBytes !== recordBytes || sizeBytes + cutBytes !== input.length)
            throw new Violation(`bytes: ${sizeBytes} + ${cutBytes} of ${input.length}`);
          const position = log.append(encodeUtf8('next'));
          if (new TextDecoder().decode(log.read(position)) !== 'next') throw new Violation('append: what was written does not come back');
          countOutcome(this.outcomes, cutBytes > 0 ? 'cut' : 'whole');
        } finally {
          log.close();
        }
      },
    };
  },
};

function encodeRecord(payload: Uint8Array): Uint8Array {
  const head = Buffer.alloc(RECORD_HEADER_BYTES);
  head.writeUInt32LE(RECORD_MAGIC, 0);
  head.writeUInt32LE(payload.length, 4);
  head.writeUInt32LE(crc32(payload), 8);
  return new Uint8Array(Buffer.concat([head, payload]));
}

export const WIRE_TARGETS: readonly Target[] = [guestStream, guestPayload, segment, recordLog];
