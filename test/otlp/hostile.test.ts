/** Requests that are cut, mutated, absurd or malicious: a typed failure or a result, in bounded time and memory, never a throw. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter, encodeUtf8 } from '../../base/bytes.ts';
import {
  decodeLogs,
  decodeLogsJson,
  decodeMetrics,
  decodeMetricsJson,
  decodeSpans,
  decodeSpansJson,
  type Decoded,
} from '../../otlp/decode.ts';
import { encodeLogs, encodeMetrics, encodeSpans, toRequestJson } from '../../otlp/encode.ts';
import type { Signal } from '../../otlp/schema.ts';
import { createRandom, randomBytes } from '../support/random.ts';
import { oracleEncode, type Plain } from './oracle.ts';
import { RESOURCE, sampleLogs, sampleMetrics, sampleSpans, SCOPE } from './samples.ts';

type Decode = (bytes: Uint8Array) => Decoded<{ readonly batch: { readonly length: number } }>;

function samples(): [Signal, Uint8Array, Decode, Decode][] {
  const write = (encode: (writer: ByteWriter) => void): Uint8Array => {
    const writer = new ByteWriter();
    encode(writer);
    return writer.toBytes();
  };
  return [
    ['logs', write((writer) => encodeLogs(RESOURCE, SCOPE, sampleLogs(60), writer, { stream: 'kmsg' })), decodeLogs, decodeLogsJson],
    ['traces', write((writer) => encodeSpans(RESOURCE, SCOPE, sampleSpans(60), writer)), decodeSpans, decodeSpansJson],
    ['metrics', write((writer) => encodeMetrics(RESOURCE, SCOPE, sampleMetrics(130), writer)), decodeMetrics, decodeMetricsJson],
  ];
}

/** Runs a decoder and checks the shape of what it says. */
function check(decode: Decode, bytes: Uint8Array): boolean {
  const decoded = decode(bytes);
  if (decoded.ok) return true;
  const { message, offset } = decoded.failure;
  assert.ok(message.length > 0 && message.length < 500, message);
  assert.ok(offset >= 0 && offset <= bytes.length, `${offset} of ${bytes.length}`);
  return false;
}

test('hostile: a request that is cut anywhere fails, but for the empty one', () => {
  for (const [signal, bytes, decode] of samples()) {
    for (let length = 0; length < bytes.length; length++) {
      assert.equal(check(decode, bytes.subarray(0, length)), length === 0, `${signal} cut at ${length}`);
    }
  }
});

test('hostile: mutated requests never throw', () => {
  const random = createRandom(11);
  for (const [, bytes, decode] of samples()) {
    for (let round = 0; round < 4000; round++) {
      const mutated = bytes.slice();
      for (let i = 1 + Math.floor(random() * 4); i > 0; i--) mutated[Math.floor(random() * mutated.length)] = Math.floor(random() * 256);
      check(decode, mutated);
    }
  }
});

test('hostile: random bytes never throw', () => {
  const random = createRandom(12);
  for (const [, , decode, decodeJson] of samples()) {
    for (let round = 0; round < 2000; round++) {
      const bytes = randomBytes(random, Math.floor(random() * 200));
      check(decode, bytes);
      check(decodeJson, bytes);
    }
  }
});

test('hostile: cut and mutated JSON never throws', () => {
  const random = createRandom(13);
  for (const [signal, bytes, , decodeJson] of samples()) {
    const json = encodeUtf8(toRequestJson(signal, bytes));
    assert.ok(check(decodeJson, json));
    for (let round = 0; round < 300; round++) {
      assert.equal(check(decodeJson, json.subarray(0, Math.floor(random() * json.length))), false);
      const mutated = json.slice();
      mutated[Math.floor(random() * mutated.length)] = 0x20 + Math.floor(random() * 95);
      check(decodeJson, mutated);
    }
  }
});

test('hostile: a length beyond the end, a group, field number 0 and an endless varint are refused where they stand', () => {
  const refused: [number[], RegExp, number][] = [
    [[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], /4294967295 bytes does not fit/, 6],
    [[0x0b], /wire type 3/, 1],
    [[0x00, 0x01], /field number 0/, 1],
    [[...new Uint8Array(11).fill(0xff)], /longer than ten bytes/, 0],
    [[0x0a, 0x02, 0x12, 0x05], /5 bytes does not fit/, 4],
    [[0x0a, 0x01, 0x09], /is cut|does not fit|runs over/, 3],
  ];
  for (const [bytes, message, offset] of refused) {
    const decoded = decodeLogs(Uint8Array.from(bytes));
    assert.ok(!decoded.ok);
    assert.match(decoded.failure.message, message);
    assert.equal(decoded.failure.offset, offset);
    assert.equal(decoded.failure.tooLarge, false);
  }
});

/** `depth` lists around a string. */
function nested(depth: number): Plain {
  let value: Plain = { stringValue: 'core' };
  for (let i = 0; i < depth; i++)
    value = i % 2 === 0 ? { arrayValue: { values: [value] } } : { kvlistValue: { values: [{ key: 'k', value }] } };
  return value;
}

test('hostile: nesting is bounded, in attributes, bodies and JSON', () => {
  const request = (record: Plain): Plain => ({ resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }] });
  const decode = (record: Plain): Decoded<unknown> => decodeLogs(oracleEncode('ExportLogsServiceRequest', request(record)));
  assert.ok(decode({ body: nested(32) }).ok);
  for (const record of [{ body: nested(33) }, { attributes: [{ key: 'a', value: nested(33) }] }]) {
    const decoded = decode(record);
    assert.ok(!decoded.ok);
    assert.match(decoded.failure.message, /deeper than 32 levels/);
    const json = decodeLogsJson(encodeUtf8(JSON.stringify(request(record))));
    assert.ok(!json.ok);
    assert.match(json.failure.message, /deeper than 32 levels/);
  }
  // Far more than a call stack holds, built by hand.
  const depth = 200_000;
  const deep = `${'{"arrayValue":{"values":['.repeat(depth)}${']}}'.repeat(depth)}`;
  assert.equal(decodeLogsJson(encodeUtf8(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":${deep}}]}]}]}`)).ok, false);
  assert.equal(decodeLogsJson(encodeUtf8('['.repeat(1_000_000))).ok, false);
});

/** `count` times `item` as field `tag`, inside the two messages that stand around records. */
function flood(item: readonly number[], count: number): Uint8Array {
  const writer = new ByteWriter();
  const body = new Uint8Array(item.length * count);
  for (let i = 0; i < count; i++) body.set(item, i * item.length);
  const inner = new ByteWriter();
  inner.writeU8(0x12);
  inner.writeVarint(body.length);
  inner.writeBytes(body);
  writer.writeU8(0x0a);
  writer.writeVarint(inner.length);
  writer.writeBytes(inner.view());
  return writer.toBytes();
}

test('hostile: small inputs that would take much memory are refused as too large', () => {
  const refused = [
    // 8 M empty records of two bytes
    decodeLogs(flood([0x12, 0x00], 8_000_000)),
    decodeSpans(flood([0x12, 0x00], 8_000_000)),
    // one record with 12 M empty attributes
    decodeLogs(flood([0x12, 0x02, 0x32, 0x00], 12_000_000)),
  ];
  for (const decoded of refused) {
    assert.ok(!decoded.ok);
    assert.equal(decoded.failure.tooLarge, true);
  }
  // 100,000 scopes of one empty record: a batch each
  const scopes = new Uint8Array(100_000 * 6);
  for (let i = 0; i < scopes.length; i += 6) scopes.set([0x0a, 0x04, 0x12, 0x02, 0x12, 0x00], i);
  const decoded = decodeLogs(scopes);
  assert.ok(!decoded.ok && decoded.failure.tooLarge);
  const json = decodeLogsJson(encodeUtf8(`{"resourceLogs":[${'{},'.repeat(4_500_000)}{}]}`));
  assert.ok(!json.ok && json.failure.tooLarge);
});

const FNV_PRIME = 0x01000193;
const fnv = (hash: number, text: string): number => {
  let mixed = hash;
  for (let i = 0; i < text.length; i++) mixed = Math.imul(mixed ^ text.charCodeAt(i), FNV_PRIME);
  return mixed >>> 0;
};

/** 2^steps strings of one FNV-1a hash: pairs of blocks that collide from the state at hand, chained (Joux's multicollision). */
function collidingStrings(steps: number): string[] {
  const random = createRandom(14);
  let state = 0x811c9dc5;
  let strings = [''];
  for (let step = 0; step < steps; step++) {
    const seen = new Map<number, string>();
    for (;;) {
      const block = String.fromCharCode(...Array.from({ length: 5 }, () => 33 + Math.floor(random() * 90)));
      const hash = fnv(state, block);
      const other = seen.get(hash);
      if (other !== undefined && other !== block) {
        strings = strings.flatMap((text) => [text + block, text + other]);
        state = hash;
        break;
      }
      seen.set(hash, block);
    }
  }
  return strings;
}

test('hostile: keys made to collide in the dictionary do not slow it down', () => {
  const keys = collidingStrings(13);
  assert.equal(new Set(keys.map((key) => fnv(0x811c9dc5, key))).size, 1, 'the attack itself');
  const request = (names: readonly string[]): Uint8Array =>
    oracleEncode('ExportLogsServiceRequest', {
      resourceLogs: [{ scopeLogs: [{ logRecords: [{ attributes: names.map((key) => ({ key, value: { intValue: 1 } })) }] }] }],
    });
  const fastest = (bytes: Uint8Array): number => {
    let best = Infinity;
    for (let i = 0; i < 3; i++) {
      const start = performance.now();
      assert.ok(decodeLogs(bytes).ok);
      best = Math.min(best, performance.now() - start);
    }
    return best;
  };
  const plain = fastest(request(keys.map((key, i) => key.slice(0, -5) + String(i).padStart(5, '0'))));
  const attacked = fastest(request(keys));
  assert.ok(attacked < plain * 10 + 5, `${attacked.toFixed(1)} ms with colliding keys, ${plain.toFixed(1)} ms with others`);
});
