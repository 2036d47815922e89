import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { OperationalError } from '../../base/errors.ts';
import { hasEndpoint, parseList, readResourceAttributes, resolveEndpoint, type Environment } from '../../otlp/endpoint.ts';
import { nextDelayMs, parseRetryAfter } from '../../otlp/retry.ts';

test('endpoint: defaults', () => {
  assert.deepEqual(resolveEndpoint('logs', {}, {}), {
    url: 'http://127.0.0.1:4318/v1/logs',
    encoding: 'protobuf',
    headers: {},
    timeoutMs: 10_000,
    compression: 'gzip',
    tls: {},
  });
  assert.equal(hasEndpoint('logs', {}), false);
});

test('endpoint: v1/<signal> is appended to the common one, the own one is used as it is', () => {
  const url = (signal: 'logs' | 'traces' | 'metrics', environment: Environment, endpoint?: string): string =>
    resolveEndpoint(signal, endpoint === undefined ? {} : { endpoint }, environment).url;
  assert.equal(url('traces', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }), 'http://c:4318/v1/traces');
  assert.equal(url('traces', { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://c/base/?k=1' }), 'https://c/base/v1/traces?k=1');
  const both = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: 'http://l/in' };
  assert.deepEqual([url('logs', both), url('metrics', both)], ['http://l/in', 'http://c/v1/metrics']);
  assert.equal(url('logs', both, 'http://o:1/'), 'http://o:1/v1/logs');
  assert.equal(url('logs', { OTEL_EXPORTER_OTLP_ENDPOINT: ' ' }), 'http://127.0.0.1:4318/v1/logs');
  assert.equal(hasEndpoint('logs', both), true);
});

test('endpoint: headers are percent-decoded, the own ones and the options win', () => {
  const environment = {
    OTEL_EXPORTER_OTLP_HEADERS: 'api-key=a%20b%3D, x=1,broken,=no,y=2',
    OTEL_EXPORTER_OTLP_LOGS_HEADERS: 'x=own',
  };
  assert.deepEqual(resolveEndpoint('logs', { headers: { y: 'option' } }, environment).headers, {
    'api-key': 'a b=',
    x: 'own',
    y: 'option',
  });
  assert.deepEqual(resolveEndpoint('traces', {}, environment).headers, { 'api-key': 'a b=', x: '1', y: '2' });
  assert.deepEqual(parseList('a=100%,b=x=y'), { a: '100%', b: 'x=y' });
});

test('endpoint: timeout, compression and protocol', () => {
  const environment = {
    OTEL_EXPORTER_OTLP_TIMEOUT: '2500',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'zstd',
    OTEL_EXPORTER_OTLP_METRICS_COMPRESSION: 'none',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
  };
  const { timeoutMs, compression, encoding } = resolveEndpoint('logs', {}, environment);
  assert.deepEqual([timeoutMs, compression, encoding], [2500, 'zstd', 'json']);
  assert.equal(resolveEndpoint('metrics', {}, environment).compression, 'none');
  const options = { timeoutMs: 1, compression: 'gzip', encoding: 'protobuf' } as const;
  assert.partialDeepStrictEqual(resolveEndpoint('logs', options, environment), options);
});

test('endpoint: what cannot be honoured is an error that names the variable and the way out', () => {
  const wrong: [Environment, RegExp][] = [
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, /OTEL_EXPORTER_OTLP_PROTOCOL: .*gRPC/],
    [{ OTEL_EXPORTER_OTLP_LOGS_PROTOCOL: 'tcp' }, /OTEL_EXPORTER_OTLP_LOGS_PROTOCOL: unknown protocol tcp/],
    [{ OTEL_EXPORTER_OTLP_TIMEOUT: '-1' }, /TIMEOUT: -1/],
    [{ OTEL_EXPORTER_OTLP_TIMEOUT: '1s' }, /TIMEOUT: 1s/],
    [{ OTEL_EXPORTER_OTLP_COMPRESSION: 'br' }, /COMPRESSION: .*br/],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }, /ENDPOINT: collector:4318 is not/],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'ftp://c' }, /ENDPOINT: ftp:/],
    [{ OTEL_EXPORTER_OTLP_CERTIFICATE: '/nonexistent/ca.pem' }, /CERTIFICATE: \/nonexistent\/ca.pem cannot be read/],
  ];
  for (const [environment, message] of wrong) {
    assert.throws(
      () => resolveEndpoint('logs', {}, environment),
      (error) => error instanceof OperationalError && error.code === 'E_CONFIG_VALUE' && message.test(error.message) && error.hint !== '',
    );
  }
});

test('endpoint: PEM files are read, options before variables', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-endpoint-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const name of ['ca', 'cert', 'key', 'other']) writeFileSync(join(folder, name), `pem of ${name}`);
  const environment = {
    OTEL_EXPORTER_OTLP_CERTIFICATE: join(folder, 'ca'),
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: join(folder, 'cert'),
    OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY: join(folder, 'key'),
  };
  assert.deepEqual(resolveEndpoint('logs', {}, environment).tls, { ca: 'pem of ca', cert: 'pem of cert', key: 'pem of key' });
  assert.deepEqual(resolveEndpoint('traces', { caFile: join(folder, 'other') }, environment).tls, {
    ca: 'pem of other',
    cert: 'pem of cert',
  });
});

test('endpoint: resource attributes of the environment', () => {
  const environment = { OTEL_RESOURCE_ATTRIBUTES: 'service.name=a,rack=r%2C1', OTEL_SERVICE_NAME: 'b' };
  assert.deepEqual(readResourceAttributes(environment), { 'service.name': 'b', rack: 'r,1' });
  assert.deepEqual(readResourceAttributes({ ...environment, OTEL_SERVICE_NAME: '' }), { 'service.name': 'a', rack: 'r,1' });
  assert.deepEqual(readResourceAttributes({}), {});
});

test('retry: delays double to a bound, within their upper half', () => {
  assert.deepEqual(
    [1, 2, 3, 7, 8, 1000].map((attempt) => nextDelayMs(attempt, 0)),
    [250, 500, 1000, 15_000, 15_000, 15_000],
  );
  assert.deepEqual(
    [1, 2, 3, 7, 8, 1000].map((attempt) => nextDelayMs(attempt, 0.999_999)),
    [500, 1000, 2000, 30_000, 30_000, 30_000],
  );
  assert.equal(nextDelayMs(0, 0), 250);
});

test('retry: Retry-After in its two forms, bounded, nonsense ignored', () => {
  const now = Date.UTC(2026, 0, 1);
  const parse = (value: string | undefined): number | undefined => parseRetryAfter(value, now);
  assert.deepEqual(['0', '120', ' 3 ', '99999999'].map(parse), [0, 120_000, 3000, 600_000]);
  assert.equal(parse('Thu, 01 Jan 2026 00:00:30 GMT'), 30_000);
  assert.equal(parse('Thu, 01 Jan 2015 00:00:30 GMT'), 0);
  assert.equal(parse('Sat, 01 Jan 2050 00:00:00 GMT'), 600_000);
  assert.deepEqual([undefined, '', '-5', '1.5', 'soon', 'Mon, nonsense'].map(parse), [
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});
