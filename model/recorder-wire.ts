/** What a collector's flight recorder and the hub say to each other: `POST /v1/mkscope/recorder`. Times are Unix ns in decimal. */
import { decodeUtf8 } from '../base/bytes.ts';
import type { KernelIdentity } from './identity.ts';
import { toKernelIdentity } from './segment.ts';

export const RECORDER_PATH = '/v1/mkscope/recorder';

/** Pages of this window are wanted. */
export interface RecorderRequest {
  readonly id: string;
  readonly fromUnixNs: string;
  readonly toUnixNs: string;
}

/** What became of a request, at one recorder. */
export interface RequestReport {
  readonly id: string;
  /** In the window, and of those what the hub has taken. */
  readonly segments: number;
  readonly sentSegments: number;
  readonly events: number;
  readonly sentEvents: number;
  /** No more comes of it. */
  readonly isComplete: boolean;
}

export interface RecorderReport {
  readonly identity: KernelIdentity;
  /** From when on everything is there; empty = nothing is. */
  readonly sinceUnixNs: string;
  readonly keptBytes: number;
  readonly maxBytes: number;
  /** Not sent. */
  readonly keptEvents: number;
  readonly requests: readonly RequestReport[];
}

/** Requests that a recorder is told of at a time. */
export const MAX_REQUESTS_TOLD = 64;

/** What a hub answered; a string says what is wrong with it. */
export function toRecorderAnswer(body: Uint8Array): RecorderRequest[] | string {
  const answer = parseJson(body);
  const requests = isRecord(answer) ? answer['requests'] : undefined;
  if (!Array.isArray(requests) || requests.length > MAX_REQUESTS_TOLD) return 'requests are not a list';
  const found: RecorderRequest[] = [];
  for (const request of requests as unknown[]) {
    if (!isRecord(request)) return 'a request is no object';
    const { id, fromUnixNs, toUnixNs } = request;
    if (typeof id !== 'string' || !isTime(fromUnixNs) || !isTime(toUnixNs)) return 'a request lacks its id or a time';
    found.push({ id, fromUnixNs, toUnixNs });
  }
  return found;
}

/** What a collector said, checked field by field; a string says what is wrong with it. */
export function toRecorderReport(body: Uint8Array): RecorderReport | string {
  const report = parseJson(body);
  if (!isRecord(report)) return 'the report is no JSON object';
  const identity = toKernelIdentity(report['identity']);
  if (typeof identity === 'string') return identity;
  const { sinceUnixNs, keptBytes, maxBytes, keptEvents, requests } = report;
  if (sinceUnixNs !== '' && !isTime(sinceUnixNs)) return 'sinceUnixNs is no time';
  if (!isCount(keptBytes) || !isCount(maxBytes) || !isCount(keptEvents)) return 'a size is no whole number';
  if (!Array.isArray(requests) || requests.length > MAX_REQUESTS_TOLD || !requests.every(isRequestReport)) {
    return 'requests are not a list of reports';
  }
  return { identity, sinceUnixNs, keptBytes, maxBytes, keptEvents, requests };
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(decodeUtf8(body)) as unknown;
  } catch {
    return undefined;
  }
}

function isRequestReport(value: unknown): value is RequestReport {
  if (!isRecord(value)) return false;
  const { id, segments, sentSegments, events, sentEvents, isComplete } = value;
  const counts = [segments, sentSegments, events, sentEvents];
  return typeof id === 'string' && id.length <= 64 && counts.every(isCount) && typeof isComplete === 'boolean';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** 1970 to 2262. */
function isTime(value: unknown): value is string {
  return typeof value === 'string' && /^\d{1,19}$/.test(value) && BigInt(value) < 1n << 63n;
}
