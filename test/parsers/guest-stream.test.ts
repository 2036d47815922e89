import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeUtf8 } from '../../base/bytes.ts';
import { parseGuestFrame } from '../../parsers/guest-payloads.ts';
import {
  FRAME_HEADER_BYTES,
  GUEST_FRAME,
  GuestStreamDecoder,
  MAX_FRAME_PAYLOAD_BYTES,
  encodeFrame,
  type RawFrame,
} from '../../parsers/guest-stream.ts';
import { systemPayload } from '../support/guest-system.ts';

interface Part {
  readonly type: number;
  readonly sequence: number;
  readonly payload: Uint8Array;
}

const part = fc.record({
  type: fc.constantFrom(...Object.values(GUEST_FRAME)),
  sequence: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  payload: fc.uint8Array({ maxLength: 300 }),
});
const encode = ({ type, sequence, payload }: Part): Uint8Array => encodeFrame(type, payload, sequence);
const plain = ({ type, sequence, payload }: Part | RawFrame): unknown => ({ type, sequence, payload: [...payload] });
const join = (parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

function decodeSplit(bytes: Uint8Array, cuts: readonly number[]): { frames: RawFrame[]; decoder: GuestStreamDecoder } {
  const decoder = new GuestStreamDecoder();
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  const frames = at.slice(1).flatMap((end, i) => decoder.add(bytes.slice(at[i], end)));
  return { frames, decoder };
}

test('guest_stream: the drawing’s sample is a frame', () => {
  const frame = encodeFrame(GUEST_FRAME.note, encodeUtf8('hello'), 42);
  assert.deepEqual([...frame.subarray(0, 20)], [0x4d, 0x4b, 0x47, 0x46, 10, 1, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0]);
  const [found] = new GuestStreamDecoder().add(frame);
  assert.deepEqual(parseGuestFrame(found as RawFrame), { sequence: 42, kind: 'note', text: 'hello' });
});

test('guest_stream: frames come out as they went in, wherever the bytes are split', () => {
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 12 }), (parts, cuts) => {
      const { frames, decoder } = decodeSplit(join(parts.map(encode)), cuts);
      assert.deepEqual(frames.map(plain), parts.map(plain));
      assert.equal(decoder.counts.garbageBytes, 0);
      assert.equal(decoder.isWaiting, false);
    }),
  );
});

test('guest_stream: noise between frames costs no frame and is counted', () => {
  const noise = fc.uint8Array({ maxLength: 60 }).filter((bytes) => !bytes.includes(0x4d));
  fc.assert(
    fc.property(fc.array(fc.tuple(noise, part), { maxLength: 6 }), noise, fc.array(fc.nat(), { maxLength: 8 }), (mixed, rest, cuts) => {
      const bytes = join([...mixed.flatMap(([before, of]) => [before, encode(of)]), rest]);
      const { frames, decoder } = decodeSplit(bytes, cuts);
      assert.deepEqual(
        frames.map(plain),
        mixed.map(([, of]) => plain(of)),
      );
      assert.equal(
        decoder.counts.garbageBytes,
        mixed.reduce((sum, [before]) => sum + before.length, rest.length),
      );
    }),
  );
});

test('guest_stream: a damaged frame is not taken, and the one behind it is', () => {
  fc.assert(
    fc.property(part, part, fc.nat(), fc.integer({ min: 1, max: 255 }), (first, second, where, flip) => {
      const bytes = encode(first);
      bytes[where % bytes.length] = (bytes[where % bytes.length] as number) ^ flip;
      const decoder = new GuestStreamDecoder();
      const frames = [...decoder.add(join([bytes, encode(second)])), ...decoder.abandon()];
      assert.deepEqual(frames.map(plain), [plain(second)]);
    }),
  );
});

test('guest_stream: a frame that was cut is given up on demand, and what came behind it is found', () => {
  const whole = encodeFrame(GUEST_FRAME.comms, new Uint8Array(5000).fill(65), 7);
  const next = encodeFrame(GUEST_FRAME.note, encodeUtf8('after'), 8);
  const decoder = new GuestStreamDecoder();
  assert.deepEqual(decoder.add(join([whole.subarray(0, 1000), next])), []);
  assert.equal(decoder.isWaiting, true);
  assert.equal(decoder.abandon().length, 1);
  assert.equal(decoder.counts.garbageBytes, 1000);
  assert.equal(decoder.counts.broken.get('abandoned'), 1);
});

test('guest_stream: any bytes are accounted for, nothing throws, and little is held', () => {
  const hostile = fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    part.map(encode),
    part.map((of) => encode(of).subarray(0, FRAME_HEADER_BYTES + 3)),
    fc.constant(encodeUtf8('MKGFMKGF')),
  );
  fc.assert(
    fc.property(fc.array(hostile, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 12 }), (parts, cuts) => {
      const bytes = join(parts);
      const { frames, decoder } = decodeSplit(bytes, cuts);
      while (decoder.isWaiting) frames.push(...decoder.abandon());
      for (const frame of frames) parseGuestFrame(frame);
      const { frameBytes, garbageBytes } = decoder.counts;
      assert.ok(bytes.length - frameBytes - garbageBytes < FRAME_HEADER_BYTES, 'what is neither is less than a header');
    }),
  );
});

const fileName = fc.constantFrom('stat', 'meminfo', 'vmstat', 'uptime', 'loadavg', 'pressure/cpu', 'pressure/memory', 'pressure/io');
const files = fc.dictionary(fileName, fc.string({ maxLength: 80 }));
const session = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });

test('guest_stream: a sample of the system comes back as it was, and a damaged one is malformed or shorter', () => {
  fc.assert(
    fc.property(session, fc.bigInt({ min: 0n, max: 2n ** 62n }), files, fc.nat(), (of, momentNs, texts, cut) => {
      const payload = systemPayload(of, momentNs, texts);
      const frame = parseGuestFrame({ type: GUEST_FRAME.system, sequence: 0, payload });
      assert.deepEqual(frame, { sequence: 0, kind: 'system', session: of, momentNs, files: new Map(Object.entries(texts)) });
      const torn = parseGuestFrame({ type: GUEST_FRAME.system, sequence: 0, payload: payload.subarray(0, cut % payload.length) });
      assert.ok(torn.kind === 'malformed' || (torn.kind === 'system' && torn.files.size < Object.keys(texts).length));
    }),
  );
  for (const name of ['../etc/passwd', 'a\n', '', 'x'.repeat(33)])
    assert.deepEqual(parseGuestFrame({ type: GUEST_FRAME.system, sequence: 0, payload: systemPayload(1, 1n, { [name]: 'text' }) }), {
      sequence: 0,
      kind: 'malformed',
      reason: 'system_name',
    });
});

test('guest_stream: a frame of a type that is not known is whole, and counted as such', () => {
  const known = new Set<number>(Object.values(GUEST_FRAME));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 255 }), part, (type, next) => {
      fc.pre(!known.has(type));
      const frames = new GuestStreamDecoder().add(join([encodeFrame(type, encodeUtf8('from a newer forwarder'), 9), encode(next)]));
      assert.deepEqual(frames.slice(1).map(plain), [plain(next)]);
      assert.deepEqual(parseGuestFrame(frames[0] as RawFrame), { sequence: 9, kind: 'malformed', reason: 'unknown_type' });
    }),
  );
});

test('guest_stream: no payload makes its parser throw', () => {
  const types = Object.values(GUEST_FRAME);
  const system = fc
    .tuple(session, fc.dictionary(fc.oneof(fileName, fc.string()), fc.string()))
    .map(([of, texts]) => systemPayload(of, 5n, texts));
  const text = fc
    .array(fc.tuple(fc.constantFrom('cpu', 'session', 'boot_id', 'version', 'page_bytes', 'mono0', 'perf', 'problem', ''), fc.string()))
    .map((pairs) => encodeUtf8(pairs.map(([key, value]) => `${key}=${value}\n`).join('')));
  fc.assert(
    fc.property(fc.constantFrom(...types), fc.oneof(fc.uint8Array({ maxLength: 200 }), text, system), (type, payload) => {
      const frame = parseGuestFrame({ type, sequence: 1, payload });
      if (frame.kind === 'pages') assert.ok(frame.pages.length <= 1 << 20);
    }),
    { numRuns: 500 },
  );
});

test('guest_stream: a length beyond the bound is no frame', () => {
  const frame = encodeFrame(GUEST_FRAME.pages, new Uint8Array(MAX_FRAME_PAYLOAD_BYTES + 1), 1);
  const decoder = new GuestStreamDecoder();
  assert.deepEqual(decoder.add(frame), []);
  assert.equal(decoder.isWaiting, false);
});

test('guest_stream: pages come back with the zeros that were left out', () => {
  const payload = new Uint8Array(12 + 4 + 3 + 4);
  const view = new DataView(payload.buffer);
  view.setUint16(0, 1, true);
  view.setUint16(2, 2, true);
  view.setUint32(8, 64, true);
  view.setUint32(12, 3, true);
  payload.set([7, 8, 9], 16);
  const frame = parseGuestFrame({ type: GUEST_FRAME.pages, sequence: 5, payload });
  assert.equal(frame.kind, 'pages');
  assert.deepEqual(frame.kind === 'pages' && [frame.cpu, frame.pages.length, ...frame.pages.subarray(0, 4)], [1, 128, 7, 8, 9, 0]);
});
