/**
 * OTLP requests → batches, one per resource and scope. Protobuf is read by decode-logs.ts, decode-spans.ts and
 * decode-metrics.ts; JSON becomes protobuf first (json.ts), so both have one meaning.
 */
import { decodeUtf8 } from '../base/bytes.ts';
import { decodeLogs, type DecodedLogs } from './decode-logs.ts';
import { decodeMetrics, type DecodedMetrics } from './decode-metrics.ts';
import { decodeSpans, type DecodedSpans } from './decode-spans.ts';
import type { Decoded } from './envelope.ts';
import { toProtobuf } from './json.ts';
import { REQUESTS, type Signal } from './schema.ts';

export { decodeLogs, decodeMetrics, decodeSpans };
export type { Decoded, DecodedLogs, DecodedMetrics, DecodedSpans };

export function decodeLogsJson(bytes: Uint8Array): Decoded<DecodedLogs> {
  return decodeJson('logs', bytes, decodeLogs);
}

export function decodeSpansJson(bytes: Uint8Array): Decoded<DecodedSpans> {
  return decodeJson('traces', bytes, decodeSpans);
}

export function decodeMetricsJson(bytes: Uint8Array): Decoded<DecodedMetrics> {
  return decodeJson('metrics', bytes, decodeMetrics);
}

/** JSON takes up to forty bytes of memory per value, however short it is: this many is what 64 MiB of real telemetry hold. */
const MAX_JSON_VALUES = 8_000_000;

function decodeJson<Part>(signal: Signal, bytes: Uint8Array, decode: (request: Uint8Array) => Decoded<Part>): Decoded<Part> {
  const values = countJsonValues(bytes);
  if (values > MAX_JSON_VALUES) {
    return { ok: false, failure: { message: `request holds ${values} JSON values, more than one request may`, offset: 0, tooLarge: true } };
  }
  const request = toProtobuf(REQUESTS[signal], decodeUtf8(bytes));
  return request instanceof Uint8Array ? decode(request) : { ok: false, failure: request };
}

/** An upper bound that needs no parsing: commas and opening brackets, those inside strings too. */
function countJsonValues(bytes: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === 0x2c || byte === 0x5b || byte === 0x7b) count++;
  }
  return count;
}
