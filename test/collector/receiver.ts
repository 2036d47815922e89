/**
 * A small OTLP receiver and hub on loopback that can be told to fail, delay and die: what a collector meets in the field. It
 * keeps a batch once per (stream, seq), as the hub does, and counts repeats.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { decodeLogs } from '../../otlp/decode-logs.ts';
import { decodeMetrics } from '../../otlp/decode-metrics.ts';
import { decodeSpans } from '../../otlp/decode-spans.ts';
import {
  BATCH_SEQUENCE_HEADER,
  BATCH_STREAM_HEADER,
  FORMAT_SET_PATH,
  SYMBOLS_PATH,
  splitSegment,
  type FormatSet,
  type SegmentHeader,
} from '../../model/segment.ts';

export interface ReceivedBatch {
  readonly path: string;
  readonly stream: string;
  readonly seq: number;
  readonly contentType: string;
  readonly encoding: string;
  readonly body: Uint8Array;
}

export class Receiver {
  /** Once per (stream, seq), in order of arrival. */
  readonly batches: ReceivedBatch[] = [];
  readonly formats = new Map<string, FormatSet>();
  /** The text of kallsyms by the id of its boot: like a set of formats it is put, not numbered. */
  readonly symbols = new Map<string, string>();
  repeats = 0;
  /** Decides on each POST before it is taken: a status to answer instead, 0 = cut the connection, undefined = take it. */
  refuse: (path: string) => number | undefined = () => undefined;
  /** Take the batch, then cut the connection before the answer: the worst moment. */
  cutAfterTaking = false;
  readonly #isHub: boolean;
  readonly #seen = new Set<string>();
  #server: Server | undefined;
  port = 0;

  constructor(isHub = true) {
    this.#isHub = isHub;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async open(): Promise<this> {
    const server = createServer((request, response) => void this.#answer(request, response));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve));
    this.port = (server.address() as AddressInfo).port;
    return this;
  }

  /** Dies: connections are cut, the port is free. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    server?.closeAllConnections();
    await new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
  }

  logs(): {
    text: string;
    sequence: number;
    stream: string;
    eventName: string;
    unixNs: bigint;
    errorNs: number;
    attributes: Record<string, string>;
  }[] {
    return this.#bodies('/v1/logs').flatMap((body) => {
      const decoded = decodeLogs(body);
      if (!decoded.ok) throw new Error(decoded.failure.message);
      return decoded.parts.flatMap(({ batch, scope }) =>
        Array.from({ length: batch.length }, (_, row) => ({
          text: batch.textOf(row),
          sequence: batch.sequence[row] as number,
          stream: scope.attributes['mk.stream'] ?? '',
          eventName: batch.strings.get(batch.eventName[row] as number),
          unixNs: batch.unixTime.getBigint(row),
          errorNs: Number(scope.attributes['mk.clock.error_ns'] ?? 0),
          attributes: batch.attributes.rowOf(row),
        })),
      );
    });
  }

  metrics(): { name: string; value: number; attributes: Record<string, string>; timeNs: bigint; kernelName: string | undefined }[] {
    return this.#bodies('/v1/metrics').flatMap((body) => {
      const decoded = decodeMetrics(body);
      if (!decoded.ok) throw new Error(decoded.failure.message);
      return decoded.parts.flatMap(({ resource, batch }) =>
        Array.from({ length: batch.length }, (_, row) => ({
          kernelName: resource.identity?.kernelName,
          name: batch.strings.get(batch.name[row] as number),
          value: batch.value[row] as number,
          attributes: batch.attributes.rowOf(row),
          timeNs: batch.time.getBigint(row),
        })),
      );
    });
  }

  spanNames(): string[] {
    return this.#bodies('/v1/traces').flatMap((body) => {
      const decoded = decodeSpans(body);
      if (!decoded.ok) throw new Error(decoded.failure.message);
      return decoded.parts.flatMap(({ batch }) =>
        Array.from({ length: batch.length }, (_, row) => batch.strings.get(batch.name[row] as number)),
      );
    });
  }

  segments(): { header: SegmentHeader; pages: Uint8Array }[] {
    return this.#bodies('/v1/mkscope/segments').map((body) => {
      const split = splitSegment(body);
      if (typeof split === 'string') throw new Error(split);
      return { header: split.header as SegmentHeader, pages: split.pages };
    });
  }

  #bodies(path: string): Uint8Array[] {
    return this.batches.filter((batch) => batch.path === path).map((batch) => batch.body);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    } catch {
      // The sender was killed in the middle of its request: there is nobody to answer.
      return;
    }
    const path = request.url ?? '';
    const body = decompress(Buffer.concat(chunks), request.headers['content-encoding'] ?? '');
    if (request.method === 'GET') {
      if (!this.#isHub) response.writeHead(404).end();
      else response.end(JSON.stringify({ mkscope: 'test', formats: [...this.formats.keys()] }));
      return;
    }
    const refused = this.refuse(path);
    if (refused !== undefined) {
      if (refused === 0) request.socket.destroy();
      else response.writeHead(refused).end();
      return;
    }
    if (path.startsWith(FORMAT_SET_PATH))
      this.formats.set(path.slice(FORMAT_SET_PATH.length + 1), JSON.parse(body.toString()) as FormatSet);
    else if (path.startsWith(SYMBOLS_PATH))
      this.symbols.set(decodeURIComponent(path.slice(SYMBOLS_PATH.length + 1)), body.toString('latin1'));
    else this.#take(request, path, body);
    if (this.cutAfterTaking) request.socket.destroy();
    else response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
  }

  #take(request: IncomingMessage, path: string, body: Uint8Array): void {
    const stream = String(request.headers[BATCH_STREAM_HEADER] ?? '');
    const seq = Number(request.headers[BATCH_SEQUENCE_HEADER] ?? -1);
    // Other senders than a collector number nothing.
    if (stream !== '' && this.#seen.has(`${stream}/${seq}`)) {
      this.repeats++;
      return;
    }
    this.#seen.add(`${stream}/${seq}`);
    const contentType = request.headers['content-type'] ?? '';
    this.batches.push({ path, stream, seq, contentType, encoding: request.headers['content-encoding'] ?? 'identity', body });
  }
}

function decompress(body: Buffer, encoding: string): Buffer {
  if (encoding === 'gzip') return gunzipSync(body);
  if (encoding === 'zstd') return zstdDecompressSync(body);
  return body;
}

/** Waits until `probe` gives something, or fails after `timeoutMs`. */
export async function until<T>(what: string, probe: () => T | undefined | false, timeoutMs = 10_000): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const found = probe();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}
