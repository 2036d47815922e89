/** When what an OTLP receiver did not take is sent again. */

const MAX_RETRY_MS = 60_000;
/** A wrong token or address is mended by an operator, not by dropping what waits. */
const MENDED_BY_OPERATOR: ReadonlySet<number> = new Set([401, 403, 404]);

export function isMendedByOperator(status: number): boolean {
  return MENDED_BY_OPERATOR.has(status);
}

/** After so many failures in a row; `afterMs` is what the receiver asks for. */
export function retryDelayMs(failures: number, firstMs: number, afterMs = 0): number {
  const growingMs = Math.min(MAX_RETRY_MS, firstMs * 2 ** Math.min(failures - 1, 10));
  return Math.max(afterMs, growingMs * (0.75 + Math.random() / 2));
}
