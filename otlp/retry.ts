/** When a sender tries again (OTLP's rules): only after 429, 502, 503, 504 and lost connections, and not sooner than asked. */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);
const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 30_000;
/** A Retry-After beyond this is not honoured to the letter: a receiver's wrong clock must not silence a sender for a day. */
const MAX_RETRY_AFTER_MS = 10 * 60_000;

export function isRetryable(status: number): boolean {
  return RETRYABLE.has(status);
}

/**
 * Delay before attempt `attempt` (1 = the first retry): doubles from 0.5 s to 30 s, and is then drawn from its upper half, so
 * that senders that failed together do not come back together. `random` is in [0, 1).
 */
export function nextDelayMs(attempt: number, random: number): number {
  const delayMs = Math.min(FIRST_DELAY_MS * 2 ** Math.min(Math.max(attempt - 1, 0), 16), MAX_DELAY_MS);
  return Math.round((delayMs / 2) * (1 + random));
}

/** Retry-After: seconds, or an HTTP date seen from `nowMs` (Unix ms). Undefined when there is none or it makes no sense. */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  const text = value?.trim() ?? '';
  if (text === '') return undefined;
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1000, MAX_RETRY_AFTER_MS);
  // An HTTP date starts with the name of a day; Date.parse alone would also take `-5` or `2`.
  const dateMs = /^[A-Z][a-z]{2}/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(dateMs) ? undefined : Math.min(Math.max(dateMs - nowMs, 0), MAX_RETRY_AFTER_MS);
}
