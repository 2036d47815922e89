/**
 * What is at the other end: a hub (takes segments and format sets, zstd) or any OTLP backend (spans, metrics and logs only).
 * Asked with `GET /v1/mkscope/hello` until there is an answer; asked again when the other end was away, since it may be another
 * one when it comes back.
 */
import { createLogger } from '../base/log.ts';
import { FORMAT_SET_CONTENT_TYPE, FORMAT_SET_PATH } from '../model/segment.ts';
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
) => Promise<Answer>;

export class Peer {
  readonly #exchange: Exchange;
  readonly #formats: FormatStore;
  readonly #held = new Set<string>();
  #kind: PeerKind = 'unknown';
  #saidOtlp = false;
  version = '';

  constructor(exchange: Exchange, formats: FormatStore) {
    this.#exchange = exchange;
    this.#formats = formats;
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
