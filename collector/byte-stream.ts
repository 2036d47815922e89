/**
 * Consoles that are streams: standard input, a FIFO, a unix or TCP socket, multikernel's /dev/mktty. `split2` cuts them into
 * lines; a stream that ends is opened again, less often the longer it stays away. mktty wants the number of an instance before
 * it says anything, and ends (or fails) when the instance does: the next opening is that of its next run.
 */
import { createReadStream } from 'node:fs';
import { connect } from 'node:net';
import { Transform, type Readable } from 'node:stream';
import split2 from 'split2';
import { messageOf } from '../base/errors.ts';
import { DeviceStream } from './device-stream.ts';

const FIRST_RETRY_MS = 250;
const MAX_RETRY_MS = 10_000;
/** A longer line is cut, so that a stream without line ends cannot take all memory. */
const MAX_LINE_BYTES = 16 << 10;
const NEWLINE = 10;

export interface StreamListener {
  line(text: string): void;
  state(state: 'running' | 'waiting', detail: string): void;
}

export type StreamAddress =
  | { readonly kind: 'stdin' }
  | { readonly kind: 'fifo'; readonly path: string }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** `greeting` is written first. */
  | { readonly kind: 'device' | 'greeted-socket'; readonly path: string; readonly greeting: string };

export class ByteStream {
  readonly #address: StreamAddress;
  readonly #listener: StreamListener;
  #input: Readable | undefined;
  #timer: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #stopped = false;

  constructor(address: StreamAddress, listener: StreamListener) {
    this.#address = address;
    this.#listener = listener;
  }

  start(): void {
    let input: Readable;
    try {
      input = openStream(this.#address);
    } catch (error) {
      // A device may not be there yet.
      this.#retry(messageOf(error));
      return;
    }
    this.#input = input;
    const lines = input.pipe(cutLongLines()).pipe(split2());
    let why = 'ended';
    input.once('data', () => {
      this.#retryMs = FIRST_RETRY_MS;
      this.#listener.state('running', '');
    });
    input.once('error', (error) => {
      why = error.message;
      // `pipe` does not end its target on an error: the last line would be held for ever.
      lines.end();
    });
    lines.on('data', (line: string) => this.#listener.line(line));
    input.once('close', () => this.#retry(why));
  }

  /** Open, or about to be; else it waits for its next try. */
  get isOpen(): boolean {
    return this.#input?.destroyed === false;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#input?.destroy();
  }

  #retry(why: string): void {
    if (this.#stopped) return;
    if (this.#address.kind === 'stdin') {
      this.#listener.state('waiting', 'standard input has ended');
      return;
    }
    this.#listener.state('waiting', `${describe(this.#address)}: ${why}; trying again in ${this.#retryMs} ms`);
    this.#timer = setTimeout(() => this.start(), this.#retryMs * (0.75 + Math.random() / 2));
    this.#retryMs = Math.min(MAX_RETRY_MS, this.#retryMs * 2);
  }
}

export function describe(address: StreamAddress): string {
  switch (address.kind) {
    case 'stdin':
      return 'standard input';
    case 'tcp':
      return `${address.host}:${address.port}`;
    default:
      return address.path;
  }
}

function openStream(address: StreamAddress): Readable {
  switch (address.kind) {
    case 'stdin':
      return process.stdin;
    case 'fifo':
      return createReadStream(address.path);
    case 'unix':
      return connect({ path: address.path });
    case 'tcp':
      return connect({ host: address.host, port: address.port });
    case 'device':
      return new DeviceStream(address.path, address.greeting);
    case 'greeted-socket': {
      const socket = connect({ path: address.path });
      socket.write(address.greeting);
      return socket;
    }
  }
}

/** Puts a line end behind each MAX_LINE_BYTES that have none. */
function cutLongLines(): Transform {
  let run = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      let from = 0;
      for (;;) {
        const end = chunk.indexOf(NEWLINE, from);
        const length = (end < 0 ? chunk.length : end) - from;
        if (run + length > MAX_LINE_BYTES) {
          const cut = from + MAX_LINE_BYTES - run;
          this.push(chunk.subarray(from, cut));
          this.push('\n');
          from = cut;
          run = 0;
          continue;
        }
        this.push(chunk.subarray(from, end < 0 ? chunk.length : end + 1));
        run = end < 0 ? run + length : 0;
        if (end < 0) break;
        from = end + 1;
      }
      done();
    },
  });
}
