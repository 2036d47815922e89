/**
 * What a receiver of OTLP/HTTP answers, as pure functions from the parts of a request to the parts of a response. The hub
 * wires them to its server:
 *
 *   path          /v1/logs, /v1/traces, /v1/metrics; anything else 404
 *   method        POST; anything else 405 with Allow
 *   content type  application/x-protobuf or application/json; else 415. The response has the request's type.
 *   encoding      none, gzip, zstd; else 415
 *   size          64 MiB after decompression; else 413
 *   body          malformed → 400, never to be retried; empty → success
 *   load          429 and 503 carry Retry-After in seconds
 *   success       200, partial_success only where records were rejected
 */
import { CONTENT_TYPES, encodeStatus, encodeSuccess, toEncoding, type Encoding, type PartialSuccess } from './answer.ts';
import { MAX_BODY_BYTES, toCompression, unpack, type Compression } from './compression.ts';
import type { DecodeFailure } from './proto-reader.ts';
import type { Signal } from './schema.ts';

export interface RequestParts {
  readonly method: string;
  readonly path: string;
  /** Header values as received. */
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly contentLength: string | undefined;
}

export interface ResponseParts {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** What the head of an acceptable request says. */
export interface RequestHead {
  readonly signal: Signal;
  readonly encoding: Encoding;
  readonly compression: Compression;
}

export type Judged<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly response: ResponseParts };

const SIGNAL_PATHS: Readonly<Record<string, Signal>> = { '/v1/logs': 'logs', '/v1/traces': 'traces', '/v1/metrics': 'metrics' };

/** gRPC code of an HTTP status, for google.rpc.Status. */
const RPC_CODES: Readonly<Record<number, number>> = {
  400: 3,
  401: 16,
  403: 7,
  404: 5,
  405: 12,
  413: 8,
  415: 3,
  429: 8,
  500: 13,
  503: 14,
};
const RPC_UNKNOWN = 2;

/** The signal that a path takes; undefined for every other path. */
export function toSignal(path: string): Signal | undefined {
  return Object.hasOwn(SIGNAL_PATHS, path) ? SIGNAL_PATHS[path] : undefined;
}

/** Judges a request by its head, before a byte of its body is read. */
export function judgeHead(parts: RequestParts, limitBytes = MAX_BODY_BYTES): Judged<RequestHead> {
  const encoding = toEncoding(parts.contentType);
  // Where the request names no encoding of ours, an answer that people can read is the best there is.
  const answerIn = encoding ?? 'json';
  const signal = toSignal(parts.path);
  if (signal === undefined) return refuse(answerIn, 404, `nothing takes OTLP under ${parts.path}`);
  if (parts.method !== 'POST') return refuse(answerIn, 405, `${parts.method} is not supported, use POST`, { allow: 'POST' });
  if (encoding === undefined) {
    return refuse(
      answerIn,
      415,
      `content type ${parts.contentType ?? '(none)'} is not supported, use ${Object.values(CONTENT_TYPES).join(' or ')}`,
    );
  }
  const compression = toCompression(parts.contentEncoding);
  if (compression === undefined) {
    return refuse(answerIn, 415, `content encoding ${parts.contentEncoding} is not supported, use gzip, zstd or none`, {
      'accept-encoding': 'gzip, zstd',
    });
  }
  if (Number(parts.contentLength ?? 0) > limitBytes) return refuse(answerIn, 413, `the body is over ${limitBytes} bytes`);
  return { ok: true, value: { signal, encoding, compression } };
}

/** Unpacks a whole body: 413 when it is too large, 400 when it is not what its encoding says. */
export async function judgeBody(head: RequestHead, body: Uint8Array, limitBytes = MAX_BODY_BYTES): Promise<Judged<Uint8Array>> {
  const unpacked = await unpack(body, head.compression, limitBytes);
  if (unpacked.ok) return { ok: true, value: unpacked.bytes };
  return refuse(head.encoding, unpacked.tooLarge ? 413 : 400, unpacked.message);
}

function refuse(encoding: Encoding, status: number, message: string, headers: Readonly<Record<string, string>> = {}): Judged<never> {
  const response = toFailure(encoding, status, message);
  return { ok: false, response: { ...response, headers: { ...response.headers, ...headers } } };
}

/** 200: all taken, or all but `partial.rejected`. */
export function toSuccess(signal: Signal, encoding: Encoding, partial?: PartialSuccess): ResponseParts {
  return { status: 200, headers: { 'content-type': CONTENT_TYPES[encoding] }, body: encodeSuccess(signal, encoding, partial) };
}

/** An error with a google.rpc.Status as its body; `retryAfterSeconds` belongs to 429 and 503. */
export function toFailure(encoding: Encoding, status: number, message: string, retryAfterSeconds?: number): ResponseParts {
  const headers: Record<string, string> = { 'content-type': CONTENT_TYPES[encoding] };
  if (retryAfterSeconds !== undefined) headers['retry-after'] = String(Math.max(1, Math.ceil(retryAfterSeconds)));
  return { status, headers, body: encodeStatus(encoding, RPC_CODES[status] ?? RPC_UNKNOWN, message) };
}

/** The answer to a body that the decoder refused: 413 when it would take too much memory, else 400. */
export function toDecodeFailure(encoding: Encoding, failure: DecodeFailure): ResponseParts {
  const message = failure.offset > 0 ? `${failure.message} (at byte ${failure.offset})` : failure.message;
  return toFailure(encoding, failure.tooLarge ? 413 : 400, message);
}
