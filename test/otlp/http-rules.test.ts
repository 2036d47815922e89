/** Every rule of OTLP/HTTP that a receiver keeps; bodies are read by the oracle. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { decodeUtf8 } from '../../base/bytes.ts';
import { decodeStatus, decodeSuccess, encodeStatus, encodeSuccess } from '../../otlp/answer.ts';
import { pack, unpack } from '../../otlp/compression.ts';
import {
  judgeBody,
  judgeHead,
  toDecodeFailure,
  toFailure,
  toSuccess,
  type RequestParts,
  type ResponseParts,
} from '../../otlp/http-rules.ts';
import { oracleDecode } from './oracle.ts';
import { createRandom, randomBytes } from '../support/random.ts';

const POST: RequestParts = {
  method: 'POST',
  path: '/v1/logs',
  contentType: 'application/x-protobuf',
  contentEncoding: undefined,
  contentLength: '10',
};

function refused(parts: Partial<RequestParts>): ResponseParts {
  const judged = judgeHead({ ...POST, ...parts });
  assert.ok(!judged.ok);
  return judged.response;
}
const statusOf = ({ headers, body }: ResponseParts): unknown =>
  headers['content-type'] === 'application/json' ? JSON.parse(decodeUtf8(body)) : oracleDecode('RpcStatus', body);

test('http rules: an acceptable head names signal, encoding and compression', () => {
  const head = (parts: Partial<RequestParts>): unknown => {
    const judged = judgeHead({ ...POST, ...parts });
    return judged.ok ? judged.value : judged.response.status;
  };
  assert.deepEqual(head({}), { signal: 'logs', encoding: 'protobuf', compression: 'none' });
  assert.deepEqual(head({ path: '/v1/traces', contentType: 'Application/JSON; charset=utf-8', contentEncoding: 'GZIP' }), {
    signal: 'traces',
    encoding: 'json',
    compression: 'gzip',
  });
  assert.deepEqual(head({ path: '/v1/metrics', contentEncoding: 'zstd', contentLength: undefined }), {
    signal: 'metrics',
    encoding: 'protobuf',
    compression: 'zstd',
  });
});

test('http rules: 404, 405, 415 and 413 with a google.rpc.Status in the encoding of the request', () => {
  const notFound = refused({ path: '/v1/profiles' });
  assert.equal(notFound.status, 404);
  assert.deepEqual(statusOf(notFound), { code: 5, message: 'nothing takes OTLP under /v1/profiles' });
  const get = refused({ method: 'GET' });
  assert.deepEqual([get.status, get.headers['allow']], [405, 'POST']);
  for (const contentType of [undefined, 'text/plain', 'application/x-protobufx', 'application/grpc']) {
    const wrongType = refused({ contentType });
    assert.equal(wrongType.status, 415);
    assert.equal(wrongType.headers['content-type'], 'application/json');
  }
  const encoding = refused({ contentEncoding: 'br', contentType: 'application/json' });
  assert.deepEqual([encoding.status, encoding.headers['accept-encoding']], [415, 'gzip, zstd']);
  assert.equal((statusOf(encoding) as { code: number }).code, 3);
  const large = refused({ contentLength: String((64 << 20) + 1) });
  assert.deepEqual([large.status, (statusOf(large) as { code: number }).code], [413, 8]);
  assert.equal(refused({ path: 'toString' }).status, 404);
});

test('http rules: bodies are unpacked up to the limit, and no further', async () => {
  const body = randomBytes(createRandom(1), 5000);
  const limit = 10_000;
  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    const head = { signal: 'logs', encoding: 'protobuf', compression } as const;
    const packed = await pack(body, compression);
    const judged = await judgeBody(head, packed, limit);
    assert.ok(judged.ok);
    assert.deepEqual(Buffer.from(judged.value), Buffer.from(body));
    const tooLarge = await judgeBody(head, packed, 4999);
    assert.ok(!tooLarge.ok);
    assert.equal(tooLarge.response.status, 413);
    if (compression === 'none') continue;
    for (const broken of [packed.subarray(0, packed.length - 9), body]) {
      const bad = await judgeBody(head, broken, limit);
      assert.ok(!bad.ok);
      assert.equal(bad.response.status, 400);
      assert.match((statusOf(bad.response) as { message: string }).message, new RegExp(`not valid ${compression}`));
    }
  }
});

test('http rules: bombs stop at the limit', async () => {
  const zeros = new Uint8Array(256 << 20);
  for (const [compression, bomb] of [
    ['gzip', gzipSync(zeros)],
    ['zstd', zstdCompressSync(zeros)],
  ] as const) {
    assert.ok(bomb.length < 1 << 20, `${bomb.length} bytes`);
    const before = process.memoryUsage.rss();
    const unpacked = await unpack(bomb, compression, 1 << 20);
    assert.ok(!unpacked.ok && unpacked.tooLarge);
    assert.ok(process.memoryUsage.rss() - before < 64 << 20, `${compression} took ${(process.memoryUsage.rss() - before) >> 20} MiB`);
  }
});

test('http rules: success has an empty body, or says what was rejected', () => {
  const plain = toSuccess('logs', 'protobuf');
  assert.deepEqual([plain.status, plain.headers['content-type'], plain.body.length], [200, 'application/x-protobuf', 0]);
  const json = toSuccess('logs', 'json');
  assert.deepEqual([json.headers['content-type'], decodeUtf8(json.body)], ['application/json', '{}']);
  const partial = { rejected: 2 ** 40, message: 'bad ids' };
  const expected: Readonly<Record<string, string>> = { logs: 'rejectedLogRecords', traces: 'rejectedSpans', metrics: 'rejectedDataPoints' };
  for (const signal of ['logs', 'traces', 'metrics'] as const) {
    const type = `Export${{ logs: 'Logs', traces: 'Trace', metrics: 'Metrics' }[signal]}ServiceResponse`;
    const object = { partialSuccess: { [expected[signal] as string]: String(2 ** 40), errorMessage: 'bad ids' } };
    assert.deepEqual(oracleDecode(type, toSuccess(signal, 'protobuf', partial).body), object);
    assert.deepEqual(JSON.parse(decodeUtf8(toSuccess(signal, 'json', partial).body)), object);
    for (const encoding of ['protobuf', 'json'] as const) {
      const contentType = { protobuf: 'application/x-protobuf', json: 'application/json' }[encoding];
      assert.deepEqual(decodeSuccess(contentType, encodeSuccess(signal, encoding, partial)), partial);
      assert.equal(decodeSuccess(contentType, encodeSuccess(signal, encoding)), undefined);
      assert.deepEqual(decodeSuccess(contentType, encodeSuccess(signal, encoding, { rejected: 0, message: 'a warning' })), {
        rejected: 0,
        message: 'a warning',
      });
    }
  }
});

test('http rules: load answers carry Retry-After, decode failures are 400 or 413', () => {
  const busy = toFailure('json', 503, 'the store is behind', 1.2);
  assert.deepEqual([busy.status, busy.headers['retry-after']], [503, '2']);
  assert.deepEqual(statusOf(busy), { code: 14, message: 'the store is behind' });
  assert.equal(toFailure('protobuf', 429, 'slow down', 0).headers['retry-after'], '1');
  assert.equal(toFailure('protobuf', 500, 'x').headers['retry-after'], undefined);
  const malformed = toDecodeFailure('protobuf', { message: 'varint is cut', offset: 9, tooLarge: false });
  assert.equal(malformed.status, 400);
  assert.deepEqual(statusOf(malformed), { code: 3, message: 'varint is cut (at byte 9)' });
  assert.equal(toDecodeFailure('json', { message: 'm', offset: 0, tooLarge: true }).status, 413);
});

test("http rules: a peer's error text is read from Status or from plain text, without control characters", () => {
  for (const encoding of ['protobuf', 'json'] as const) {
    const contentType = { protobuf: 'application/x-protobuf', json: 'application/json' }[encoding];
    assert.equal(decodeStatus(contentType, encodeStatus(encoding, 3, 'no\u001b[31m way\n')), 'no [31m way');
  }
  assert.equal(decodeStatus('text/html', Buffer.from('<h1>Bad\r\nGateway</h1>')), '<h1>Bad Gateway</h1>');
  assert.equal(decodeStatus(undefined, Buffer.alloc(1 << 20, 'x')).length, 500);
  assert.equal(decodeStatus('application/json', Buffer.from('{broken')), '{broken');
  assert.equal(decodeStatus('application/x-protobuf', Uint8Array.of(0x12, 0xff)), '');
});
