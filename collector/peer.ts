/**
 * What is at the other end: a hub (takes segments and format sets, zstd) or any OTLP backend (spans, metrics and logs only).
 * Asked with `GET /v1/mkscope/hello` until there is an answer; asked again when the other end was away, since it may be another
 * one when it comes back.
 */
import { messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { FORMAT_SET_CONTENT_TYPE, FORMAT_SET_PATH, SYMBOLS_CONTENT_TYPE, SYMBOLS_PATH } from '../model/segment.ts';
import type { FormatStore } from './format-store.ts';

export const HELLO_PATH = '/v1/mkscope/hello';

const log = createLogger('peer');

export type PeerKind = 'unknown' | 'hub' | 'otlp';

/** One exchange with the other end; `status` 0 = there was no answer. */
export interface Answer {
  readonly status: number;
  readonly body: Uint8Array;
  readonly error: string;
}

export type Exchange = (
  method: 'GET' | 'PUT' | 'POST',
  path: string,
  contentType?: string,
  body?: Uint8Array<ArrayBuffer>,
  encoding?: 'zstd',
) => Promise<Answer>;

/** Symbols of the kernel that this collector runs on. */
export interface OwnSymbols {
  readonly bootId: string;
  /** Packed with zstd; undefined where the kernel does not show its addresses. */
  read(): Promise<Uint8Array<ArrayBuffer> | undefined>;
}

/** Modules come and go, and the hub forgets what is older than its events. */
const SYMBOLS_EVERY_MS = 24 * 3600_000;
const SYMBOLS_RETRY_MS = 15_000;

export class Peer {
  readonly #exchange: Exchange;
  readonly #formats: FormatStore;
  readonly #symbols: OwnSymbols | undefined;
  readonly #held = new Set<string>();
  #symbolsDueMs = 0;
  #kind: PeerKind = 'unknown';
  #saidOtlp = false;
  version = '';

  constructor(exchange: Exchange, formats: FormatStore, symbols?: OwnSymbols) {
    this.#exchange = exchange;
    this.#formats = formats;
    this.#symbols = symbols;
  }

  get kind(): PeerKind {
    return this.#kind;
  }

  /** Finds out who is there; returns false when nobody answers. */
  async meet(): Promise<boolean> {
    const answer = await this.#exchange('GET', HELLO_PATH);
    // One that does not let us in may be a hub: what it is shows once somebody has mended that.
    if (answer.status === 0 || answer.status >= 500 || [401, 403, 429].includes(answer.status)) return false;
    const hello = answer.status === 200 ? parseHello(answer.body) : undefined;
    this.#held.clear();
    this.#symbolsDueMs = 0;
    if (hello === undefined) {
      this.#kind = 'otlp';
      if (!this.#saidOtlp) log.info('the receiver is not an mkscope hub: trace events are not sent, spans, metrics and logs are');
      this.#saidOtlp = true;
      return true;
    }
    this.#kind = 'hub';
    this.version = hello.version;
    for (const hash of hello.formats) this.#held.add(hash);
    return true;
  }

  /** The other end was away: it may have another store, or be something else, when it answers again. */
  forget(): void {
    this.#held.clear();
  }

  /** The hub says that it lacks a set that we took it to hold. */
  forgetFormats(hash: string): void {
    this.#held.delete(hash);
  }

  /** Makes sure the hub can read a segment; `lost` = nobody has the set any more. */
  async offerFormats(hash: string): Promise<'held' | 'failed' | 'lost'> {
    if (this.#held.has(hash)) return 'held';
    const set = this.#formats.get(hash);
    if (set === undefined) return 'lost';
    const answer = await this.#exchange('PUT', `${FORMAT_SET_PATH}/${hash}`, FORMAT_SET_CONTENT_TYPE, set);
    if (answer.status < 200 || answer.status > 299) {
      log.warn('the hub did not take the event formats', { status: answer.status, error: answer.error });
      return 'failed';
    }
    this.#held.add(hash);
    return 'held';
  }

  /** Gives a hub that has events of this kernel its symbols, once a day; events do not wait for them. */
  async offerSymbols(nowMs: number): Promise<void> {
    if (this.#symbols === undefined || this.#kind !== 'hub' || nowMs < this.#symbolsDueMs) return;
    this.#symbolsDueMs = nowMs + SYMBOLS_EVERY_MS;
    try {
      const packed = await this.#symbols.read();
      if (packed === undefined) return;
      const path = `${SYMBOLS_PATH}/${encodeURIComponent(this.#symbols.bootId)}`;
      const { status, error } = await this.#exchange('PUT', path, SYMBOLS_CONTENT_TYPE, packed, 'zstd');
      // An older hub has no such path.
      if ((status >= 200 && status <= 299) || status === 404) return;
      throw new Error(error === '' ? `status ${status}` : error);
    } catch (error) {
      this.#symbolsDueMs = nowMs + SYMBOLS_RETRY_MS;
      log.debug('the hub has not got the kernel symbols yet', { error: messageOf(error) });
    }
  }
}

function parseHello(body: Uint8Array): { readonly version: string; readonly formats: readonly string[] } | undefined {
  try {
    const hello = JSON.parse(Buffer.from(body).toString('utf8')) as { mkscope?: unknown; formats?: unknown };
    if (typeof hello.mkscope !== 'string') return undefined;
    const formats = Array.isArray(hello.formats) ? hello.formats.filter((hash): hash is string => typeof hash === 'string') : [];
    return { version: hello.mkscope, formats };
  } catch {
    return undefined;
  }
}
