/**
 * One byte stream of a guest: QEMU at one end, at most one reader at the other (the latest wins), and a tap for recordings.
 *
 *   QEMU ──► relay ──► reader          hold: without a reader nothing is read, so the guest waits
 *              └────► tap              drop: at most BACKLOG_BYTES wait for a reader, what comes then is lost, as in mktty
 */
import type { Socket } from 'node:net';

/** The kernel's mktty buffer. */
const BACKLOG_BYTES = 16_384;

/** Of a console, between us and a reader that does not keep up. */
const MAX_BEHIND_BYTES = 1 << 20;

export type Tap = (bytes: Uint8Array) => void;

export class Relay {
  readonly #whenAlone: 'hold' | 'drop';
  #guest: Socket | undefined;
  #reader: Socket | undefined;
  #backlog: Buffer[] = [];
  #backlogBytes = 0;
  /** Sees every byte that comes from the guest. */
  readonly taps = new Set<Tap>();
  /** Bytes from the guest that nobody took. */
  droppedBytes = 0;

  constructor(whenAlone: 'hold' | 'drop') {
    this.#whenAlone = whenAlone;
  }

  get hasReader(): boolean {
    return this.#reader !== undefined;
  }

  connectGuest(socket: Socket): void {
    this.#guest = socket;
    socket.on('data', (bytes: Buffer) => this.#fromGuest(bytes));
    socket.on('drain', () => this.#reader?.resume());
    // A guest that was ended resets the connection: its end is seen by its process.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#guest === socket) this.#guest = undefined;
    });
    this.#settle();
  }

  attach(socket: Socket): void {
    this.#reader?.destroy();
    this.#reader = socket;
    socket.on('data', (bytes) => {
      if (this.#guest?.write(bytes) === false) socket.pause();
    });
    socket.on('drain', () => this.#guest?.resume());
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#reader !== socket) return;
      this.#reader = undefined;
      this.#settle();
    });
    for (const bytes of this.#backlog) socket.write(bytes);
    this.#backlog = [];
    this.#backlogBytes = 0;
    this.#settle();
  }

  /** Ends the reader's connection; it comes back by itself. */
  detach(): void {
    this.#reader?.destroy();
  }

  #settle(): void {
    if (this.#whenAlone === 'hold' && this.#reader === undefined) this.#guest?.pause();
    else this.#guest?.resume();
  }

  #fromGuest(bytes: Buffer): void {
    for (const tap of this.taps) tap(bytes);
    const reader = this.#reader;
    if (reader !== undefined) {
      // A reader that stands still: a stream waits for it, a console loses what it does not take.
      if (this.#whenAlone === 'drop' && reader.writableLength > MAX_BEHIND_BYTES) this.droppedBytes += bytes.length;
      else if (!reader.write(bytes) && this.#whenAlone === 'hold') this.#guest?.pause();
      return;
    }
    if (this.#whenAlone === 'drop' && this.#backlogBytes + bytes.length > BACKLOG_BYTES) {
      this.droppedBytes += bytes.length;
      return;
    }
    this.#backlog.push(bytes);
    this.#backlogBytes += bytes.length;
  }
}
