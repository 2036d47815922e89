/** Errors as the page and the CLI get them: RFC 9457 problem details with our code and hint. */
import { errnoOf, isOperational, messageOf, OperationalError, ERROR_CODES, type ErrorCode } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import type { Problem } from '../model/api.ts';

const log = createLogger('hub');

/** Codes that are not here are the server's own trouble: 500. */
const STATUS_OF: Partial<Record<ErrorCode, number>> = {
  E_REQUEST: 400,
  E_STORE_QUERY: 400,
  E_QUERY_READONLY: 403,
  E_QUERY_LIMIT: 422,
  E_INPUT_FORMAT: 422,
  E_INPUT_READ: 400,
  E_UNAUTHENTICATED: 401,
  E_FORBIDDEN: 403,
  E_NOT_FOUND: 404,
  E_BODY_TOO_LARGE: 413,
  E_MEDIA_TYPE: 415,
  E_FORMAT_SET_UNKNOWN: 424,
  E_STORE_BUSY: 503,
  E_DISK_FULL: 503,
  // Tried again: a sender that was configured anew is taken once the identity of before is silent.
  E_IDENTITY_TAKEN: 503,
};

export const PROBLEM_CONTENT_TYPE = 'application/problem+json';

/** HTTP status of an error; anything that is not operational is a bug, 500. */
export function toStatus(error: unknown): number {
  return isOperational(error) ? (STATUS_OF[error.code] ?? 500) : 500;
}

/** An operational error as it is; anything else as E_INTERNAL, with its stack in the log and not in the answer. */
export function toOperational(error: unknown): OperationalError {
  if (isOperational(error)) return error;
  if (errnoOf(error) === 'ECONNRESET' || errnoOf(error) === 'ABORT_ERR') {
    return new OperationalError('E_REQUEST', 'the client closed the connection', 'send the request again', error);
  }
  log.error('bug while answering a request', { error: error instanceof Error ? error.stack : messageOf(error) });
  return new OperationalError('E_INTERNAL', 'the hub met a bug of its own', "see the hub's log, and report it with the stack", error);
}

export function toProblem(error: unknown): Problem {
  const operational = toOperational(error);
  return {
    type: `urn:mkscope:error:${operational.code}`,
    title: ERROR_CODES[operational.code],
    status: toStatus(error),
    detail: operational.message,
    code: operational.code,
    hint: operational.hint,
  };
}

/** Seconds after which a refused sender may try again. */
export const RETRY_AFTER_SECONDS = 1;

export function toProblemResponse(error: unknown): Response {
  const problem = toProblem(error);
  const headers: Record<string, string> = { 'content-type': PROBLEM_CONTENT_TYPE, 'cache-control': 'no-store' };
  if (problem.status === 503) headers['retry-after'] = String(RETRY_AFTER_SECONDS);
  if (problem.status === 401) headers['www-authenticate'] = 'Basic realm="mkscope", charset="UTF-8"';
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
}
