/**
 * Follows one file by name. `tail` watches it and brings what is appended; what it does not do is done here, from the file's
 * inode and size: rotation (another file under the name: the old one is read to its end, the new one from its start),
 * truncation (from the start again), a name that vanishes and comes back, and going on where an earlier run stopped.
 *
 *   console.log  inode 7 ───── 4096 bytes ─────┤ renamed      inode 9 ──── …
 *                                    taken ─┘   └─ read from our own descriptor of inode 7, then `tail` on inode 9
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { Tail } from 'tail';
import { errnoOf, messageOf } from '../base/errors.ts';

const CHECK_MS = 200;
const READ_BYTES = 64 << 10;

export interface FileProgress {
  /** Names the file behind the name: device and inode. */
  readonly file: string;
  /** Bytes taken. */
  readonly offset: number;
}

export interface FileListener {
  bytes(bytes: Uint8Array): void;
  /** The file was cut; `unread` = bytes known to have been in it and never read, 0 where there were none. */
  truncated(unread: number): void;
  /** Another file stands under the name. */
  rotated(): void;
  failed(message: string): void;
}

/** `tail` keeps its cursor in a public field that its types do not mention. */
type TailWithCursor = Tail & { readonly currentCursorPos: number };

export class FollowedFile {
  readonly #path: string;
  readonly #listener: FileListener;
  #tail: TailWithCursor | undefined;
  #fd = -1;
  #file = '';
  #offset = 0;
  #lastSize = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(path: string, listener: FileListener) {
    this.#path = path;
    this.#listener = listener;
  }

  /** True while there is a file under the name. */
  get isOpen(): boolean {
    return this.#fd >= 0;
  }

  get progress(): FileProgress {
    return { file: this.#file, offset: this.#offset };
  }

  /** Starts following; the file need not be there yet. Throws the system's error where it may not be read. */
  start(resume: FileProgress | undefined): void {
    this.#open(resume);
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
  }

  /** Takes what is in the file now, and stops. */
  stop(): void {
    clearInterval(this.#timer);
    this.#readRest();
    this.#closeFile();
  }

  #open(resume: FileProgress | undefined): void {
    try {
      this.#fd = openSync(this.#path, 'r');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return;
      throw error;
    }
    const { dev, ino, size } = fstatSync(this.#fd);
    this.#file = `${dev}:${ino}`;
    this.#offset = resume?.file === this.#file && resume.offset <= size ? resume.offset : 0;
    this.#lastSize = size;
    // `tail` starts at the end of the file; what is before its cursor is read here.
    this.#watch();
    this.#readThrough(this.#tail?.currentCursorPos ?? size);
  }

  #watch(): void {
    // `separator: null` gives the bytes as they are, latin1 keeps each of them.
    const tail = new Tail(this.#path, { separator: null, encoding: 'latin1', follow: false, flushAtEOF: false }) as TailWithCursor;
    tail.on('line', (text: string) => {
      // A watcher that was replaced may still bring what was under way: it has been read otherwise.
      if (this.#tail !== tail) return;
      this.#offset += text.length;
      this.#listener.bytes(Buffer.from(text, 'latin1'));
    });
    // A rename is an error to `tail`; #check sees what became of the file.
    tail.on('error', () => this.#check());
    this.#tail = tail;
  }

  #check(): void {
    if (this.#fd < 0) {
      try {
        this.#open(undefined);
        if (this.isOpen) this.#listener.rotated();
      } catch (error) {
        this.#listener.failed(messageOf(error));
      }
      return;
    }
    const now = statOf(this.#path);
    if (now === undefined || now.file !== this.#file) {
      this.#readRest();
      this.#closeFile();
      if (now !== undefined) this.#check();
      return;
    }
    if (now.size < this.#offset) {
      this.#listener.truncated(Math.max(0, this.#lastSize - this.#offset));
      this.#closeFile();
      this.#open(undefined);
      return;
    }
    // The watcher may have missed a change (no inotify on some file systems): one check later it is read here.
    if (now.size > this.#offset && now.size === this.#lastSize) this.#readRest();
    this.#lastSize = now.size;
  }

  /** Reads to the end of the file that is open, whatever it is called by now; then `tail` is set up anew if it goes on. */
  #readRest(): void {
    if (this.#fd < 0) return;
    const { size } = fstatSync(this.#fd);
    if (size <= this.#offset) return;
    this.#tail?.unwatch();
    this.#tail = undefined;
    this.#readThrough(size);
    if (statOf(this.#path)?.file !== this.#file) return;
    this.#watch();
    this.#readThrough((this.#tail as TailWithCursor | undefined)?.currentCursorPos ?? size);
  }

  #readThrough(end: number): void {
    const buffer = new Uint8Array(READ_BYTES);
    while (this.#offset < end) {
      const count = readSync(this.#fd, buffer, 0, Math.min(READ_BYTES, end - this.#offset), this.#offset);
      if (count === 0) return;
      this.#offset += count;
      this.#listener.bytes(buffer.slice(0, count));
    }
  }

  #closeFile(): void {
    this.#tail?.unwatch();
    this.#tail = undefined;
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#offset = 0;
  }
}

function statOf(path: string): { readonly file: string; readonly size: number } | undefined {
  try {
    const { dev, ino, size } = statSync(path);
    return { file: `${dev}:${ino}`, size };
  } catch {
    return undefined;
  }
}
