/**
 * Where to send OTLP, and how: options first, then the environment variables of the OpenTelemetry specification. What holds for
 * one signal (`OTEL_EXPORTER_OTLP_LOGS_…`) wins over what holds for all (`OTEL_EXPORTER_OTLP_…`).
 *
 *   OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318/base    → http://collector:4318/base/v1/logs
 *   OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://logs:4318/in      → http://logs:4318/in, as it is
 */
import { readFileSync } from 'node:fs';
import { messageOf, OperationalError } from '../base/errors.ts';
import type { Attributes } from '../model/identity.ts';
import type { Encoding } from './answer.ts';
import type { Compression } from './compression.ts';
import type { Signal } from './schema.ts';
import type { TlsOptions } from './transport.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Given on the command line or in the configuration; each wins over the environment. */
export interface EndpointOptions {
  /** Base URL: `v1/<signal>` is appended. */
  readonly endpoint?: string;
  readonly encoding?: Encoding;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly compression?: Compression;
  /** Paths of PEM files. */
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
}

export interface Endpoint {
  readonly url: string;
  readonly encoding: Encoding;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly compression: Compression;
  readonly tls: TlsOptions;
}

const DEFAULT_ENDPOINT = 'http://127.0.0.1:4318';
const DEFAULT_TIMEOUT_MS = 10_000;

/** Where a signal goes. Throws OperationalError E_CONFIG_VALUE on a value that cannot be honoured. */
export function resolveEndpoint(signal: Signal, options: EndpointOptions = {}, environment: Environment = process.env): Endpoint {
  const read = (name: string): Setting => readSetting(environment, signal, name);
  return {
    url: resolveUrl(signal, options, environment),
    encoding: options.encoding ?? toProtocol(read('PROTOCOL')),
    headers: { ...parseList(environment['OTEL_EXPORTER_OTLP_HEADERS']), ...parseList(read('HEADERS').value), ...options.headers },
    timeoutMs: options.timeoutMs ?? toTimeout(read('TIMEOUT')),
    compression: options.compression ?? toCompressionSetting(read('COMPRESSION')),
    tls: readTls(options, read),
  };
}

/** True when the environment names a place to send to, so that nothing is sent by default. */
export function hasEndpoint(signal: Signal, environment: Environment = process.env): boolean {
  return readSetting(environment, signal, 'ENDPOINT').value !== undefined;
}

/** The resource that OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME describe; the latter wins. */
export function readResourceAttributes(environment: Environment = process.env): Attributes {
  const attributes = parseList(environment['OTEL_RESOURCE_ATTRIBUTES']);
  const name = environment['OTEL_SERVICE_NAME'];
  return name === undefined || name === '' ? attributes : { ...attributes, 'service.name': name };
}

interface Setting {
  /** The variable that the value is from, for messages. */
  readonly name: string;
  /** Undefined when it is unset or empty, which the specification treats alike. */
  readonly value: string | undefined;
}

function readSetting(environment: Environment, signal: Signal, name: string): Setting {
  const own = `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_${name}`;
  const common = `OTEL_EXPORTER_OTLP_${name}`;
  const value = environment[own]?.trim();
  if (value !== undefined && value !== '') return { name: own, value };
  return { name: common, value: environment[common]?.trim() || undefined };
}

function resolveUrl(signal: Signal, options: EndpointOptions, environment: Environment): string {
  if (options.endpoint !== undefined) return appendSignal(checkUrl(options.endpoint, 'endpoint'), signal);
  const own = `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`;
  const { name, value } = readSetting(environment, signal, 'ENDPOINT');
  if (value === undefined) return appendSignal(new URL(DEFAULT_ENDPOINT), signal);
  const url = checkUrl(value, name);
  return name === own ? url.href : appendSignal(url, signal);
}

function checkUrl(text: string, name: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw new OperationalError('E_CONFIG_VALUE', `${name}: ${text} is not an http or https URL`, 'write it like http://127.0.0.1:4318');
}

function appendSignal(url: URL, signal: Signal): string {
  const joined = new URL(url);
  joined.pathname = `${url.pathname.replace(/\/$/, '')}/v1/${signal}`;
  return joined.href;
}

function toProtocol({ name, value }: Setting): Encoding {
  switch (value) {
    case undefined:
    case 'http/protobuf':
      return 'protobuf';
    case 'http/json':
      return 'json';
    case 'grpc':
      throw new OperationalError(
        'E_CONFIG_VALUE',
        `${name}: mkscope does not speak OTLP over gRPC`,
        'set it to http/protobuf and use the HTTP port of the receiver, usually 4318 where gRPC has 4317',
      );
    default:
      throw new OperationalError('E_CONFIG_VALUE', `${name}: unknown protocol ${value}`, 'use http/protobuf or http/json');
  }
}

function toTimeout({ name, value }: Setting): number {
  if (value === undefined) return DEFAULT_TIMEOUT_MS;
  const timeoutMs = Number(value);
  if (Number.isInteger(timeoutMs) && timeoutMs > 0 && timeoutMs <= 0x7fff_ffff) return timeoutMs;
  throw new OperationalError('E_CONFIG_VALUE', `${name}: ${value} is not a time in ms`, 'write whole milliseconds above 0, like 10000');
}

function toCompressionSetting({ name, value }: Setting): Compression {
  switch (value) {
    case undefined:
    case 'gzip':
      return 'gzip';
    case 'none':
    case 'zstd':
      return value;
    default:
      throw new OperationalError('E_CONFIG_VALUE', `${name}: unknown compression ${value}`, 'use gzip, zstd or none');
  }
}

/** `key=value,key=value` with percent-encoded values, as in W3C Baggage; entries without a key or `=` are left out. */
export function parseList(text: string | undefined): Record<string, string> {
  const entries: [string, string][] = [];
  for (const entry of (text ?? '').split(',')) {
    const at = entry.indexOf('=');
    const key = decodePercent(entry.slice(0, Math.max(at, 0)).trim());
    if (key !== '') entries.push([key, decodePercent(entry.slice(at + 1).trim())]);
  }
  return Object.fromEntries(entries);
}

function decodePercent(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A lone % is what it is.
    return text;
  }
}

function readTls(options: EndpointOptions, read: (name: string) => Setting): TlsOptions {
  const ca = readPem(options.caFile, 'caFile', read('CERTIFICATE'));
  const cert = readPem(options.certFile, 'certFile', read('CLIENT_CERTIFICATE'));
  const key = readPem(options.keyFile, 'keyFile', read('CLIENT_KEY'));
  return { ...(ca === undefined ? {} : { ca }), ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) };
}

function readPem(option: string | undefined, optionName: string, { name, value }: Setting): string | undefined {
  const path = option ?? value;
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const from = option === undefined ? name : optionName;
    throw new OperationalError('E_CONFIG_VALUE', `${from}: ${path} cannot be read: ${messageOf(error)}`, 'name a readable PEM file', error);
  }
}
