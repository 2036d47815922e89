/**
 * The sending side of OTLP/HTTP: one POST per call over kept-alive connections. It never throws and never retries by itself:
 * the outcome says what the caller's queue should do.
 */
import type { Agent, IncomingHttpHeaders, IncomingMessage, request } from 'node:http';
import { errnoOf, messageOf } from '../base/errors.ts';
import { decodeStatus, decodeSuccess } from './answer.ts';
import { pack, toContentEncoding, type Compression } from './compression.ts';
import { isRetryable, parseRetryAfter } from './retry.ts';

/** OTLP: a client reads at most this much of a response. */
const MAX_RESPONSE_BYTES = 4 << 20;
const IDLE_CONNECTIONS = 4;

export interface TlsOptions {
  /** PEM texts. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface OtlpClientOptions {
  /** Scheme, host and port; a path in it is put before the path of each request. */
  readonly baseUrl: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly compression?: Compression;
  /** For the whole exchange. */
  readonly timeoutMs?: number;
  readonly tls?: TlsOptions;
}

/** What became of a request. */
export type Outcome =
  | { readonly kind: 'ok' }
  /** Taken but for `rejected` records (0 = a warning): not to be sent again. */
  | { readonly kind: 'partial'; readonly rejected: number; readonly message: string }
  /** To be sent again, after `afterMs` where the receiver said so. `status` is undefined when no answer came. */
  | { readonly kind: 'retry'; readonly afterMs: number | undefined; readonly status: number | undefined; readonly reason: string }
  /** Not to be sent again: it would be refused again. */
  | { readonly kind: 'refused'; readonly status: number; readonly message: string };

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
}

export class OtlpClient {
  readonly #baseUrl: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #compression: Compression;
  readonly #timeoutMs: number;
  readonly #agent: Agent;
  readonly #request: typeof request;

  constructor(options: OtlpClientOptions) {
    this.#baseUrl = new URL(options.baseUrl);
    this.#headers = options.headers ?? {};
    this.#compression = options.compression ?? 'gzip';
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    const pool = { keepAlive: true, maxFreeSockets: IDLE_CONNECTIONS };
    // An `import` of node:http evaluates all its exports, the lazy ones too, and loads undici: 15 MB of a collector's 90.
    if (this.#baseUrl.protocol === 'https:') {
      const https = process.getBuiltinModule('node:https');
      this.#agent = new https.Agent({ ...pool, ...options.tls });
      this.#request = https.request;
    } else {
      const http = process.getBuiltinModule('node:http');
      this.#agent = new http.Agent(pool);
      this.#request = http.request;
    }
  }

  /** Compresses and posts `body` to `path` under the base URL: `/v1/logs`, …; empty when the base URL is the whole address. */
  async send(path: string, contentType: string, body: Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<Outcome> {
    const packed = await pack(body, this.#compression);
    const encoding = toContentEncoding(this.#compression);
    return this.sendPacked(path, contentType, packed, encoding === undefined ? headers : { ...headers, 'content-encoding': encoding });
  }

  /** Posts a body that is compressed already: `headers` must name its content-encoding. */
  async sendPacked(path: string, contentType: string, body: Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<Outcome> {
    const answer = await this.exchange('POST', path, { ...headers, 'content-type': contentType }, body);
    if (answer instanceof Error) return { kind: 'retry', afterMs: undefined, status: undefined, reason: describe(answer) };
    return toOutcome(answer, Date.now());
  }

  /** One exchange of any kind; resolves to an Error when no whole answer came. */
  exchange(method: string, path: string, headers: Readonly<Record<string, string>>, body?: Uint8Array): Promise<Answer | Error> {
    return new Promise((resolve) => {
      const url = new URL(this.#baseUrl);
      url.pathname = this.#baseUrl.pathname.replace(/\/$/, '') + path;
      const length = String(body?.length ?? 0);
      const signal = AbortSignal.timeout(this.#timeoutMs);
      const all = { ...this.#headers, ...headers, 'content-length': length };
      const attempt = (): void => {
        const request = this.#request(url, { method, agent: this.#agent, signal, headers: all }, (response) => {
          readAll(response).then(resolve, (error: unknown) => resolve(toError(error)));
        });
        request.once('error', (error) => {
          if (signal.aborted) resolve(new Error(`no answer within ${this.#timeoutMs} ms`));
          // The receiver closed an idle connection in the moment in which it was taken: that says nothing of the receiver.
          else if (request.reusedSocket && errnoOf(error) === 'ECONNRESET') attempt();
          else resolve(error);
        });
        request.end(body);
      };
      attempt();
    });
  }

  /** Closes the idle connections; requests under way end on their own. */
  close(): void {
    this.#agent.destroy();
  }
}

async function readAll(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_RESPONSE_BYTES) {
      response.destroy();
      throw new Error(`the answer is over ${MAX_RESPONSE_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) };
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** A connection to several addresses (localhost) fails with an AggregateError that has no message of its own. */
function describe(error: Error): string {
  return error.message === '' ? (errnoOf(error) ?? error.name) : messageOf(error);
}

/** OTLP's rules on status codes; `nowMs` is the time that an HTTP date in Retry-After is seen from. */
export function toOutcome({ status, headers, body }: Answer, nowMs: number): Outcome {
  const contentType = headers['content-type'];
  if (status >= 200 && status < 300) {
    const partial = decodeSuccess(contentType, body);
    return partial === undefined ? { kind: 'ok' } : { kind: 'partial', ...partial };
  }
  const message = decodeStatus(contentType, body) || `HTTP status ${status}`;
  if (!isRetryable(status)) return { kind: 'refused', status, message };
  return { kind: 'retry', afterMs: parseRetryAfter(headers['retry-after'], nowMs), status, reason: message };
}
