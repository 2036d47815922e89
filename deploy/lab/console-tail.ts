/** The last lines of a console, bounded: for a person who asks why a kernel is gone, and for errors. */
const MAX_CHARS = 64 << 10;

export class ConsoleTail {
  #text = '';
  /** Bytes may end in the middle of a character. */
  readonly #decoder = new TextDecoder();

  add(bytes: Uint8Array): void {
    this.#text = (this.#text + this.#decoder.decode(bytes, { stream: true })).slice(-MAX_CHARS);
  }

  /** The last `count` lines that are not empty, without their line ends. */
  lines(count: number): string[] {
    return this.#text
      .split(/\r?\n/)
      .filter((line) => line.trim() !== '')
      .slice(-count);
  }

  clear(): void {
    this.#text = '';
  }
}
