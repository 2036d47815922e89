/** The client against a real server on the loopback: each rule of OTLP's sending side. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { encodeStatus, encodeSuccess } from '../../otlp/answer.ts';
import { OtlpClient, type Outcome, type OtlpClientOptions } from '../../otlp/transport.ts';

const OPENSSL = 'openssl';
const PROTOBUF = 'application/x-protobuf';
const BODY = Buffer.from('request '.repeat(100));

async function withServer(server: Server, use: (port: number) => Promise<void>): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await use((server.address() as AddressInfo).port);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Sends BODY to a server that answers with `answer`. */
async function outcomeOf(answer: (response: ServerResponse) => void, options: Partial<OtlpClientOptions> = {}): Promise<Outcome> {
  let outcome: Outcome | undefined;
  const listener: RequestListener = (request, response) => {
    void readBody(request).then(() => answer(response));
  };
  await withServer(createServer(listener), async (port) => {
    const client = new OtlpClient({ baseUrl: `http://127.0.0.1:${port}`, compression: 'none', ...options });
    outcome = await client.send('/v1/logs', PROTOBUF, BODY);
    client.close();
  });
  return outcome as Outcome;
}

const reply =
  (status: number, headers: Readonly<Record<string, string>> = {}, body: Uint8Array | string = '') =>
  (response: ServerResponse): void => {
    response.writeHead(status, headers).end(body);
  };

test('transport: posts the body as asked, compressed, over one kept connection', async () => {
  const seen: { url: string | undefined; headers: IncomingMessage['headers']; body: Buffer; port: number | undefined }[] = [];
  const server = createServer((request, response) => {
    void readBody(request).then((body) => {
      seen.push({ url: request.url, headers: request.headers, body, port: request.socket.remotePort });
      response.end();
    });
  });
  await withServer(server, async (port) => {
    for (const compression of ['none', 'gzip', 'zstd'] as const) {
      const client = new OtlpClient({
        baseUrl: `http://127.0.0.1:${port}/base/?key=1`,
        headers: { authorization: 'Bearer t' },
        compression,
      });
      assert.deepEqual(await client.send('/v1/logs', PROTOBUF, BODY, { 'x-extra': 'e' }), { kind: 'ok' });
      assert.deepEqual(await client.send('/v1/logs', PROTOBUF, BODY), { kind: 'ok' });
      client.close();
    }
  });
  assert.equal(seen.length, 6);
  const [plain, , gzip, , zstd] = seen;
  assert.equal(plain?.url, '/base/v1/logs?key=1');
  assert.deepEqual(
    [plain?.headers['content-type'], plain?.headers['authorization'], plain?.headers['x-extra'], plain?.headers['content-encoding']],
    [PROTOBUF, 'Bearer t', 'e', undefined],
  );
  assert.equal(plain?.headers['content-length'], String(BODY.length));
  assert.deepEqual(plain?.body, BODY);
  assert.equal(gzip?.headers['content-encoding'], 'gzip');
  assert.deepEqual(gunzipSync(gzip?.body as Buffer), BODY);
  assert.equal(zstd?.headers['content-encoding'], 'zstd');
  assert.deepEqual(zstdDecompressSync(zstd?.body as Buffer), BODY);
  assert.equal(seen[0]?.port, seen[1]?.port, 'the connection is used again');
});

test('transport: a kept connection that the receiver closes as it is taken is no failure: the request goes over a new one', async () => {
  const served = new Map<unknown, number>();
  const server = createServer((request, response) => {
    const count = (served.get(request.socket) ?? 0) + 1;
    served.set(request.socket, count);
    if (count > 1) request.socket.resetAndDestroy();
    else void readBody(request).then(() => response.end());
  });
  await withServer(server, async (port) => {
    const client = new OtlpClient({ baseUrl: `http://127.0.0.1:${port}`, compression: 'none' });
    for (let at = 0; at < 3; at++) assert.deepEqual(await client.send('/v1/logs', PROTOBUF, BODY), { kind: 'ok' });
    client.close();
  });
  assert.deepEqual([...served.values()], [2, 2, 1]);
});

test('transport: an empty path posts to the base URL as it is', async () => {
  let url: string | undefined;
  const server = createServer((request, response) => {
    url = request.url;
    request.resume();
    response.end();
  });
  await withServer(server, async (port) => {
    const client = new OtlpClient({ baseUrl: `http://127.0.0.1:${port}/custom/logs` });
    assert.deepEqual(await client.send('', PROTOBUF, BODY), { kind: 'ok' });
    client.close();
  });
  assert.equal(url, '/custom/logs');
});

test('transport: partial success is told, whatever the encoding', async () => {
  const partial = { rejected: 3, message: 'three were bad' };
  for (const [encoding, type] of [
    ['protobuf', PROTOBUF],
    ['json', 'application/json'],
  ] as const) {
    const outcome = await outcomeOf(reply(200, { 'content-type': type }, encodeSuccess('traces', encoding, partial)));
    assert.deepEqual(outcome, { kind: 'partial', ...partial });
  }
  assert.deepEqual(await outcomeOf(reply(200, { 'content-type': PROTOBUF }, Uint8Array.of(0xff))), { kind: 'ok' });
});

test('transport: 429, 502, 503 and 504 are retried, all else is refused', async () => {
  for (const status of [429, 502, 503, 504]) {
    const outcome = await outcomeOf(reply(status, { 'content-type': PROTOBUF }, encodeStatus('protobuf', 14, 'busy')));
    assert.deepEqual(outcome, { kind: 'retry', afterMs: undefined, status, reason: 'busy' });
  }
  for (const status of [301, 400, 401, 404, 413, 500, 501]) {
    assert.deepEqual(await outcomeOf(reply(status)), { kind: 'refused', status, message: `HTTP status ${status}` });
  }
});

test('transport: Retry-After in seconds and as a date', async () => {
  const seconds = await outcomeOf(reply(503, { 'retry-after': '7' }));
  assert.equal(seconds.kind === 'retry' && seconds.afterMs, 7000);
  const date = await outcomeOf(reply(429, { 'retry-after': new Date(Date.now() + 90_000).toUTCString() }));
  assert.ok(date.kind === 'retry' && date.afterMs !== undefined && date.afterMs > 60_000 && date.afterMs <= 90_000, JSON.stringify(date));
});

test('transport: no answer is a retry: refused, reset, too slow, cut, too large', async () => {
  const expectRetry = (outcome: Outcome, reason: RegExp): void => {
    assert.ok(outcome.kind === 'retry' && outcome.status === undefined, JSON.stringify(outcome));
    assert.match(outcome.reason, reason);
  };
  const client = new OtlpClient({ baseUrl: 'http://127.0.0.1:1' });
  expectRetry(await client.send('/v1/logs', PROTOBUF, BODY), /ECONNREFUSED/);
  client.close();
  expectRetry(await outcomeOf((response) => response.destroy()), /socket hang up|ECONNRESET/);
  expectRetry(await outcomeOf(() => undefined, { timeoutMs: 50 }), /no answer within 50 ms/);
  const cut = (response: ServerResponse): void => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('half');
    setTimeout(() => response.destroy(), 10);
  };
  expectRetry(await outcomeOf(cut), /aborted|hang up|ECONNRESET/);
  expectRetry(await outcomeOf(reply(200, {}, Buffer.alloc(5 << 20))), /over 4194304 bytes/);
  const slowBody = (response: ServerResponse): void => void response.writeHead(200, { 'content-length': '100' }).write('half');
  expectRetry(await outcomeOf(slowBody, { timeoutMs: 80 }), /no answer within 80 ms|aborted/);
});

test('transport: TLS with a CA of its own and a client certificate', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-tls-'));
  t.after(() => rmSync(folder, { recursive: true }));
  try {
    const path = (name: string): string => join(folder, name);
    execFileSync(
      OPENSSL,
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1'],
        ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', path('key.pem'), '-out', path('cert.pem')],
      ],
      { stdio: 'pipe' },
    );
  } catch {
    t.skip('openssl is not installed: no certificate to test with');
    return;
  }
  const key = readFileSync(join(folder, 'key.pem'), 'utf8');
  const cert = readFileSync(join(folder, 'cert.pem'), 'utf8');
  const server = createTlsServer({ key, cert, ca: cert, requestCert: true, rejectUnauthorized: true }, (request, response) => {
    request.resume();
    response.end();
  });
  await withServer(server, async (port) => {
    const send = async (tls: OtlpClientOptions['tls']): Promise<Outcome> => {
      const client = new OtlpClient({ baseUrl: `https://127.0.0.1:${port}`, ...(tls === undefined ? {} : { tls }) });
      const outcome = await client.send('/v1/logs', PROTOBUF, BODY);
      client.close();
      return outcome;
    };
    assert.deepEqual(await send({ ca: cert, cert, key }), { kind: 'ok' });
    assert.equal((await send({ ca: cert })).kind, 'retry', 'without a client certificate');
    const untrusted = await send(undefined);
    assert.match(untrusted.kind === 'retry' ? untrusted.reason : '', /self-signed/);
  });
});
