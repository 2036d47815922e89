/**
 * A character device read and written without ever waiting: Node polls no devices, and a blocked read would hold one of its few
 * threads. Asked each POLL_MS; what the device does not take now is kept, up to a bound.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { Duplex } from 'node:stream';
import { isatty } from 'node:tty';
import { errnoOf } from '../base/errors.ts';

const POLL_MS = 10;
const READ_BYTES = 64 << 10;

export class DeviceStream extends Duplex {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(READ_BYTES);
  #timer: NodeJS.Timeout | undefined;
  #wanted = false;
  readonly #endsEmpty: boolean;

  /**
   * `greeting` is written first. A device that is greeted (mktty) ends when it reads as empty, so that it is opened and greeted
   * again; another one waits for somebody at its other end. Throws the system's error where it cannot be opened.
   */
  constructor(path: string, greeting = '') {
    super({ allowHalfOpen: false });
    this.#endsEmpty = greeting !== '';
    this.#fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOCTTY);
    // A terminal line would echo, and translate line ends.
    if (isatty(this.#fd)) execFileSync('stty', ['-F', path, 'raw', '-echo', 'clocal']);
    if (greeting !== '') this.write(greeting);
  }

  override _read(): void {
    this.#wanted = true;
    this.#poll();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#writeRest(chunk, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#timer);
    closeSync(this.#fd);
    done(error);
  }

  #poll(): void {
    clearTimeout(this.#timer);
    while (this.#wanted && !this.destroyed) {
      try {
        const count = readSync(this.#fd, this.#buffer, 0, READ_BYTES, null);
        if (count === 0) {
          if (this.#endsEmpty) this.destroy();
          break;
        }
        this.#wanted = this.push(Buffer.from(this.#buffer.subarray(0, count)));
      } catch (error) {
        if (errnoOf(error) !== 'EAGAIN') this.destroy(error as Error);
        break;
      }
    }
    if (!this.destroyed) this.#timer = setTimeout(() => this.#poll(), POLL_MS);
  }

  #writeRest(chunk: Uint8Array, done: (error?: Error | null) => void): void {
    if (this.destroyed) return;
    let taken = 0;
    try {
      taken = writeSync(this.#fd, chunk);
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN') {
        done(error as Error);
        return;
      }
    }
    if (taken === chunk.length) done();
    else setTimeout(() => this.#writeRest(chunk.subarray(taken), done), POLL_MS);
  }
}
