/**
 * Records into ring-buffer pages, as ring-buffer.ts draws them: one CPU's, in order of time. Used where pages are made anew
 * from events; a recording's own pages are copied as they are.
 */
import type { PageLayout } from '../parsers/page-header.ts';

const TYPE_TIME_EXTEND = 30;
const DELTA_BITS = 27n;
const MAX_DELTA = 1n << DELTA_BITS;
/** The longest payload of the short form: 28 words. */
const MAX_SHORT_BYTES = 112;

export class PageEncoder {
  readonly #layout: PageLayout;
  readonly #little: boolean;
  readonly #pages: Uint8Array<ArrayBuffer>[] = [];
  #view = new DataView(new ArrayBuffer(0));
  #at = 0;
  #time = 0n;

  constructor(layout: PageLayout, little: boolean) {
    this.#layout = layout;
    this.#little = little;
  }

  /** Adds a record; times do not go back. False where the payload is longer than a page. */
  add(time: bigint, payload: Uint8Array): boolean {
    const padded = (payload.length + 3) & ~3;
    const isShort = padded > 0 && padded <= MAX_SHORT_BYTES;
    const bytes = padded + (isShort ? 4 : 8);
    if (bytes > this.#layout.pageSizeBytes - this.#layout.dataOffset) return false;
    const isFar = time - this.#time >= MAX_DELTA;
    if (this.#at + bytes + (isFar ? 8 : 0) > this.#view.byteLength) this.#openPage(time);
    let delta = time - this.#time;
    if (delta >= MAX_DELTA) {
      this.#word(TYPE_TIME_EXTEND, Number(delta & (MAX_DELTA - 1n)));
      this.#u32(Number(BigInt.asUintN(32, delta >> DELTA_BITS)));
      delta = 0n;
    }
    if (isShort) this.#word(padded / 4, Number(delta));
    else {
      this.#word(0, Number(delta));
      this.#u32(padded + 4);
    }
    new Uint8Array(this.#view.buffer).set(payload, this.#at);
    this.#at += padded;
    this.#time = time;
    return true;
  }

  /** All pages; the encoder takes no more. */
  finish(): readonly Uint8Array<ArrayBuffer>[] {
    this.#closePage();
    return this.#pages;
  }

  #openPage(time: bigint): void {
    this.#closePage();
    const { pageSizeBytes, timestampOffset, dataOffset } = this.#layout;
    const page = new Uint8Array(pageSizeBytes);
    this.#pages.push(page);
    this.#view = new DataView(page.buffer);
    this.#view.setBigUint64(timestampOffset, BigInt.asUintN(64, time), this.#little);
    this.#at = dataOffset;
    this.#time = time;
  }

  #closePage(): void {
    if (this.#pages.length === 0) return;
    const { commitOffset, longBytes, dataOffset } = this.#layout;
    const committed = this.#at - dataOffset;
    if (longBytes === 8) this.#view.setBigUint64(commitOffset, BigInt(committed), this.#little);
    else this.#view.setUint32(commitOffset, committed, this.#little);
  }

  #word(type: number, delta: number): void {
    this.#u32(this.#little ? ((delta << 5) | type) >>> 0 : ((type << 27) | delta) >>> 0);
  }

  #u32(value: number): void {
    this.#view.setUint32(this.#at, value, this.#little);
    this.#at += 4;
  }
}
