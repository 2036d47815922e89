/** The connection to a guest's forwarder: opened again for ever, less often the longer it stays away. */
import { createReadStream, createWriteStream, existsSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { errnoOf, messageOf } from '../base/errors.ts';
import { DeviceStream } from './device-stream.ts';
import { describeGuestAddress, type GuestAddress } from './guest-address.ts';

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5000;
/** What a guest that does not read has not taken; beyond it nothing more is said to it. */
const MAX_UNSENT_BYTES = 64 << 10;

export interface GuestLinkListener {
  connected(): void;
  bytes(bytes: Uint8Array): void;
  /** The connection is lost, or could not be made. */
  lost(why: string): void;
}

export type LiveGuestAddress = Exclude<GuestAddress, { kind: 'file' }>;

interface Connection {
  readonly input: Readable;
  readonly output: Writable;
}

export class GuestLink {
  readonly #address: LiveGuestAddress;
  readonly #listener: GuestLinkListener;
  #connection: Connection | undefined;
  #server: Server | undefined;
  #timer: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #stopped = false;

  constructor(address: LiveGuestAddress, listener: GuestLinkListener) {
    this.#address = address;
    this.#listener = listener;
  }

  start(): void {
    if (this.#address.kind === 'unix-listen' || this.#address.kind === 'tcp-listen') this.#listen();
    else this.#open();
  }

  /** Says it to the guest, if it is there and listens. */
  send(bytes: Uint8Array): void {
    const output = this.#connection?.output;
    if (output !== undefined && output.writableLength < MAX_UNSENT_BYTES) output.write(bytes);
  }

  pause(): void {
    this.#connection?.input.pause();
  }

  resume(): void {
    this.#connection?.input.resume();
  }

  get isConnected(): boolean {
    return this.#connection !== undefined;
  }

  /** Gives the connection up, to try again not before `delayMs`. */
  drop(why: string, delayMs: number): void {
    this.#retryMs = delayMs;
    const connection = this.#connection;
    this.#lose(why);
    connection?.input.destroy();
    connection?.output.destroy();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#connection?.input.destroy();
    this.#connection?.output.destroy();
    this.#connection = undefined;
    this.#server?.close();
    if (this.#address.kind === 'unix-listen') rmSync(this.#address.path, { force: true });
  }

  #open(): void {
    try {
      const { input, output, ready } = openConnection(this.#address);
      this.#adopt({ input, output }, ready);
    } catch (error) {
      this.#listener.lost(messageOf(error));
      this.#retry();
    }
  }

  #listen(): void {
    const address = this.#address;
    // A socket file whose server is gone stands in the way of the next one.
    if (address.kind === 'unix-listen' && existsSync(address.path)) rmSync(address.path);
    const server = createServer((socket) => {
      const earlier = this.#connection;
      this.#connection = undefined;
      earlier?.input.destroy();
      this.#adopt({ input: socket, output: socket }, undefined);
    });
    server.on('error', (error) => {
      this.#listener.lost(errnoOf(error) === 'EADDRINUSE' ? `${describeGuestAddress(address)} is taken by another process` : error.message);
      this.#timer = setTimeout(() => this.#listen(), MAX_RETRY_MS);
    });
    if (address.kind === 'unix-listen') server.listen(address.path);
    else if (address.kind === 'tcp-listen') server.listen(address.port, address.host);
    this.#server = server;
  }

  /** `ready`: the event after which it is a connection; undefined = at once. */
  #adopt(connection: Connection, ready: string | undefined): void {
    const { input, output } = connection;
    let why = 'ended';
    this.#connection = connection;
    const begin = (): void => {
      if (this.#connection !== connection) return;
      if (this.#address.kind === 'greeted-socket') output.write(this.#address.greeting);
      this.#listener.connected();
    };
    input.on('data', (bytes: Buffer) => {
      if (this.#connection !== connection) return;
      this.#retryMs = FIRST_RETRY_MS;
      this.#listener.bytes(bytes);
    });
    for (const side of new Set<Readable | Writable>([input, output])) {
      side.on('error', (error: Error) => {
        why = error.message;
      });
      side.once('close', () => {
        if (this.#connection !== connection) return;
        this.#lose(why);
        input.destroy();
        output.destroy();
      });
    }
    if (ready === undefined) begin();
    else input.once(ready, begin);
  }

  #lose(why: string): void {
    if (this.#connection === undefined) return;
    this.#connection = undefined;
    if (this.#stopped) return;
    this.#listener.lost(why);
    this.#retry();
  }

  #retry(): void {
    if (this.#stopped || this.#server !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), this.#retryMs * (0.75 + Math.random() / 2));
    this.#retryMs = Math.min(MAX_RETRY_MS, this.#retryMs * 2);
  }
}

function openConnection(address: LiveGuestAddress): Connection & { readonly ready: string | undefined } {
  const ofSocket = (socket: Socket): Connection & { readonly ready: string } => ({
    input: socket.setNoDelay(true),
    output: socket,
    ready: 'connect',
  });
  switch (address.kind) {
    case 'unix':
    case 'greeted-socket':
      return ofSocket(connect({ path: address.path }));
    case 'tcp':
      return ofSocket(connect({ host: address.host, port: address.port }));
    case 'device': {
      const device = new DeviceStream(address.path, address.greeting);
      return { input: device, output: device, ready: undefined };
    }
    case 'pipes':
      return { input: createReadStream(address.input), output: createWriteStream(address.output, { flags: 'r+' }), ready: 'open' };
    case 'unix-listen':
    case 'tcp-listen':
      throw new Error('a listening address is not opened');
  }
}
