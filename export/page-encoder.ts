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
/** In the page's commit word: events were lost before the page; how many stands behind its last record. */
const LOST = 0x8000_0000;
const LOST_COUNTED = 0x4000_0000;

export class PageEncoder {
  readonly #layout: PageLayout;
  readonly #little: boolean;
  readonly #pages: Uint8Array<ArrayBuffer>[] = [];
  #view = new DataView(new ArrayBuffer(0));
  #at = 0;
  #time = 0n;
  /** Bytes that the open page's records may take. */
  #limit = 0;
  /** Lost before the next record, and before the open page; -1 = nobody knows how many, 0 = none. */
  #losing = 0;
  #lost = 0;

  constructor(layout: PageLayout, little: boolean) {
    this.#layout = layout;
    this.#little = little;
  }

  /** Events were lost before the record that comes next; undefined = nobody knows how many. */
  lose(count: number | undefined): void {
    if (count !== 0) this.#losing = count === undefined || this.#losing < 0 ? -1 : this.#losing + count;
  }

  /** Adds a record; times do not go back. False where the payload is longer than a page. */
  add(time: bigint, payload: Uint8Array): boolean {
    const padded = (payload.length + 3) & ~3;
    const isShort = padded > 0 && padded <= MAX_SHORT_BYTES;
    const bytes = padded + (isShort ? 4 : 8);
    if (bytes > this.#layout.pageSizeBytes - this.#layout.dataOffset) return false;
    const isFar = time - this.#time >= MAX_DELTA;
    if (this.#losing !== 0 || this.#at + bytes + (isFar ? 8 : 0) > this.#limit) this.#openPage(time, bytes);
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

  #openPage(time: bigint, firstBytes: number): void {
    this.#closePage();
    const { pageSizeBytes, timestampOffset, dataOffset, longBytes } = this.#layout;
    // A record that fills the page leaves no room for the number.
    const hasRoom = dataOffset + firstBytes + longBytes <= pageSizeBytes;
    this.#lost = this.#losing > 0 && !hasRoom ? -1 : this.#losing;
    this.#losing = 0;
    this.#limit = pageSizeBytes - (this.#lost > 0 ? longBytes : 0);
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
    const committed = this.#at - dataOffset + (this.#lost === 0 ? 0 : LOST + (this.#lost > 0 ? LOST_COUNTED : 0));
    this.#long(commitOffset, committed, longBytes);
    if (this.#lost > 0) this.#long(this.#at, this.#lost, longBytes);
  }

  #long(at: number, value: number, longBytes: 4 | 8): void {
    if (longBytes === 8) this.#view.setBigUint64(at, BigInt(value), this.#little);
    else this.#view.setUint32(at, value, this.#little);
  }

  #word(type: number, delta: number): void {
    this.#u32(this.#little ? ((delta << 5) | type) >>> 0 : ((type << 27) | delta) >>> 0);
  }

  #u32(value: number): void {
    this.#view.setUint32(this.#at, value, this.#little);
    this.#at += 4;
  }
}
