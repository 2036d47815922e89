/** The hub's API from the command line: JSON, server-sent events, and errors that say what to do. */
import { ERROR_CODES, messageOf, OperationalError } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { Problem } from '../model/api.ts';
import { readEventStream } from './event-stream.ts';
import type { ServerEvent } from './event-stream.ts';

export type Query = Readonly<Record<string, string | number | undefined>>;

/** Of one answer at most, as the hub allows (docs/api.md). */
export const MAX_ROWS = 5_000;
/** Long enough for a query at the hub's own limit; a hub that accepts and then hangs ends here. */
const TIMEOUT_MS = 60_000;

export class HubClient {
  /** Without a slash at the end. */
  readonly url: string;
  /** The credential, where one is needed. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(url: string, token?: string) {
    this.url = url.replace(/\/+$/, '');
    this.headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  async getJson<T>(path: string, query: Query = {}, timeoutMs = TIMEOUT_MS): Promise<T> {
    const response = await this.#fetch(path, query, { signal: AbortSignal.timeout(timeoutMs) });
    return this.#readJson<T>(response);
  }

  async postJson<T>(path: string, body: unknown): Promise<T> {
    const response = await this.#fetch(
      path,
      {},
      {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      },
    );
    return this.#readJson<T>(response);
  }

  /** The bytes of any answer, as they come; a connection that breaks is E_HUB_UNREACHABLE. */
  async *request(path: string, query: Query, init: RequestInit): AsyncGenerator<Uint8Array> {
    const response = await this.#checkStatus(await this.#fetch(path, query, init));
    try {
      for await (const chunk of response.body ?? []) yield chunk;
    } catch (error) {
      throw unreachable(this.url, error);
    }
  }

  async requestText(path: string, query: Query, init: RequestInit): Promise<string> {
    return Buffer.concat(await Array.fromAsync(this.request(path, query, init))).toString();
  }

  /** Server-sent events until the hub or `signal` ends the stream; a connection that breaks is E_HUB_UNREACHABLE, as one that fails. */
  async live(path: string, query: Query, signal: AbortSignal): Promise<AsyncIterable<ServerEvent>> {
    const response = await this.#checkStatus(await this.#fetch(path, query, { headers: { accept: 'text/event-stream' }, signal }));
    if (response.body === null) throw refused(this.url, 'the event stream has no body');
    return this.#readEvents(response.body);
  }

  async *#readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
    try {
      yield* readEventStream(body);
    } catch (error) {
      throw unreachable(this.url, error);
    }
  }

  toUrl(path: string, query: Query): URL {
    const target = new URL(`${this.url}${path}`);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) target.searchParams.set(name, String(value));
    return target;
  }

  async #fetch(path: string, query: Query, init: RequestInit): Promise<Response> {
    try {
      return await fetch(this.toUrl(path, query), {
        ...init,
        headers: { ...this.headers, ...(init.headers as Record<string, string> | undefined) },
      });
    } catch (error) {
      throw unreachable(this.url, error);
    }
  }

  async #readJson<T>(response: Response): Promise<T> {
    await this.#checkStatus(response);
    const type = response.headers.get('content-type') ?? '';
    if (!type.includes('json'))
      throw refused(this.url, `it answers with ${type || 'no content type'}, which is not what a mkscope hub does`);
    try {
      return (await response.json()) as T;
    } catch (error) {
      throw unreachable(this.url, error);
    }
  }

  async #checkStatus(response: Response): Promise<Response> {
    if (response.ok) return response;
    const text = await response.text().catch(messageOf);
    throw toOperational(this.url, response.status, parseProblem(text), text);
  }
}

/** What the hub says that is wrong, with its own code and hint; `text` is the answer of something that is no hub. */
export function toOperational(url: string, status: number, problem: Problem | undefined, text: string): OperationalError {
  if (problem === undefined) return refused(url, `HTTP ${status} ${text.slice(0, 200)}`.trim());
  const code = problem.code in ERROR_CODES ? (problem.code as ErrorCode) : 'E_HUB_REFUSED';
  return new OperationalError(code, problem.detail || problem.title, problem.hint ?? '');
}

export function parseProblem(text: string): Problem | undefined {
  try {
    const parsed = JSON.parse(text) as Partial<Problem> | null;
    return typeof parsed?.code === 'string' && typeof parsed.title === 'string' ? (parsed as Problem) : undefined;
  } catch {
    return undefined;
  }
}

/** The code that explains a failed fetch sits in a cause of a cause. */
export function unreachable(url: string, error: unknown): OperationalError {
  const timedOut = error instanceof Error && error.name === 'TimeoutError';
  return new OperationalError(
    'E_HUB_UNREACHABLE',
    `no hub answers at ${url} (${timedOut ? 'timed out' : reasonOf(error)})`,
    'start one with `mkscope up`, or name another with --hub URL or MKSCOPE_HUB',
    error,
  );
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof AggregateError && cause.errors.length > 0) return messageOf(cause.errors[0]);
  return cause === undefined ? messageOf(error) : messageOf(cause) || messageOf(error);
}

function refused(url: string, reason: string): OperationalError {
  return new OperationalError('E_HUB_REFUSED', `${url}: ${reason}`, 'check that --hub names the page address of a mkscope hub');
}
