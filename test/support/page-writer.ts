/** Writes ring-buffer pages of any kernel, for what this machine's kernel does not produce: other widths, orders and forms. */
export interface PageForm {
  readonly little: boolean;
  readonly longBytes: 4 | 8;
  readonly sizeBytes: number;
}

export const THIS_KERNEL: PageForm = { little: true, longBytes: 8, sizeBytes: 4096 };

/** `events/header_page` of such a kernel. */
export function headerPageOf({ longBytes, sizeBytes }: PageForm): string {
  const head = 8 + longBytes;
  return [
    '\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;',
    `\tfield: local_t commit;\toffset:8;\tsize:${longBytes};\tsigned:1;`,
    '\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;',
    `\tfield: char data;\toffset:${head};\tsize:${sizeBytes - head};\tsigned:0;`,
    '',
  ].join('\n');
}

export class PageWriter {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  readonly #form: PageForm;
  readonly #head: number;
  #at: number;

  constructor(timeNs: bigint, form: PageForm = THIS_KERNEL) {
    this.#form = form;
    this.bytes = new Uint8Array(form.sizeBytes);
    this.view = new DataView(this.bytes.buffer);
    this.view.setBigUint64(0, timeNs, form.little);
    this.#head = 8 + form.longBytes;
    this.#at = this.#head;
  }

  /** A record's first word. */
  word(type: number, delta: number): this {
    return this.u32(this.#form.little ? ((delta << 5) | type) >>> 0 : ((type << 27) | delta) >>> 0);
  }

  u32(value: number): this {
    this.view.setUint32(this.#at, value, this.#form.little);
    this.#at += 4;
    return this;
  }

  /** An event in the short form, or in the long one where it must be. */
  event(delta: number, payload: Uint8Array, long = payload.length > 112 || payload.length === 0): this {
    const padded = (payload.length + 3) & ~3;
    if (long) this.word(0, delta).u32(payload.length + 4);
    else this.word(padded / 4, delta);
    this.bytes.set(payload, this.#at);
    this.#at += padded;
    return this;
  }

  extend(deltaNs: bigint): this {
    return this.word(30, Number(deltaNs & 0x7ff_ffffn)).u32(Number(deltaNs >> 27n));
  }

  absolute(timeNs: bigint): this {
    const kept = BigInt.asUintN(59, timeNs);
    return this.word(31, Number(kept & 0x7ff_ffffn)).u32(Number(kept >> 27n));
  }

  discarded(delta: number, payloadBytes: number): this {
    this.word(29, delta).u32(payloadBytes + 4);
    this.#at += payloadBytes;
    return this;
  }

  /** Ends the page: the commit word, sign-extended as 64-bit kernels leave it, and the loss count behind the data. */
  finish(lost?: number | 'unknown'): Uint8Array<ArrayBuffer> {
    const { little, longBytes } = this.#form;
    const flags = lost === undefined ? 0 : lost === 'unknown' ? 0x8000_0000 : 0xc000_0000;
    const commit = (flags | (this.#at - this.#head)) >>> 0;
    if (longBytes === 8) this.view.setBigInt64(8, BigInt(commit | 0), little);
    else this.view.setUint32(8, commit, little);
    if (typeof lost === 'number') {
      if (longBytes === 8) this.view.setBigUint64(this.#at, BigInt(lost), little);
      else this.view.setUint32(this.#at, lost, little);
    }
    return this.bytes;
  }
}

/** `common_type`, flags, preempt count, pid, then the fields that `fill` writes. */
export function payloadOf(
  id: number,
  pid: number,
  sizeBytes: number,
  little: boolean,
  fill: (view: DataView) => void = () => {},
): Uint8Array {
  const view = new DataView(new ArrayBuffer(sizeBytes));
  view.setUint16(0, id, little);
  if (sizeBytes >= 8) view.setInt32(4, pid, little);
  fill(view);
  return new Uint8Array(view.buffer);
}
