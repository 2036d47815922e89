/**
 * Writes trace.dat files of version 7 from their documented layout (trace-cmd.dat.v7(5)), for what this machine's trace-cmd
 * does not record: other byte orders, zlib, options of hosts and guests, sections that nobody knows, and damage.
 */
import { constants, deflateSync, zstdCompressSync } from 'node:zlib';
import { ByteWriter } from '../../base/bytes.ts';
import type { FormatSet } from '../../model/segment.ts';

export interface DatOption {
  readonly id: number;
  readonly bytes: Uint8Array;
}

export interface DatContent {
  readonly formats: FormatSet;
  readonly compression?: 'none' | 'zlib' | 'zstd';
  readonly comms?: string;
  readonly kallsyms?: string;
  readonly options?: readonly DatOption[];
  readonly buffers: readonly {
    readonly instance: string;
    readonly clock: string;
    readonly pageSizeBytes: number;
    readonly cpus: readonly { readonly cpu: number; readonly pages: Uint8Array }[];
  }[];
}

/** As trace-cmd does. */
const PAGES_PER_CHUNK = 10;

/** Numbers of one byte order, one behind the other. */
export class DatNumbers {
  readonly #little: boolean;
  readonly #parts: Uint8Array[] = [];

  constructor(little = true) {
    this.#little = little;
  }

  u16(value: number): this {
    return this.#add(2, (view) => view.setUint16(0, value, this.#little));
  }

  u32(value: number): this {
    return this.#add(4, (view) => view.setUint32(0, value, this.#little));
  }

  u64(value: bigint | number): this {
    return this.#add(8, (view) => view.setBigUint64(0, BigInt.asUintN(64, BigInt(value)), this.#little));
  }

  text(value: string): this {
    return this.bytes(new TextEncoder().encode(`${value}\0`));
  }

  bytes(value: Uint8Array): this {
    this.#parts.push(value);
    return this;
  }

  finish(): Uint8Array<ArrayBuffer> {
    const writer = new ByteWriter(64);
    for (const part of this.#parts) writer.writeBytes(part);
    return writer.view().slice();
  }

  #add(size: number, set: (view: DataView) => void): this {
    const part = new Uint8Array(size);
    set(new DataView(part.buffer));
    return this.bytes(part);
  }
}

export interface ShiftSample {
  readonly time: bigint;
  readonly offset: bigint;
  readonly scaling: bigint;
  readonly fractionBits: number;
}

/** The TIME_SHIFT option as trace-cmd writes it into the file of a guest; `fractions` false is how old versions do. */
export function timeShiftOption(peer: bigint, flags: number, cpus: readonly (readonly ShiftSample[])[], fractions = true): DatOption {
  const numbers = new DatNumbers().u64(peer).u32(flags).u32(cpus.length);
  for (const samples of cpus) {
    numbers.u32(samples.length);
    for (const { time } of samples) numbers.u64(time);
    for (const { offset } of samples) numbers.u64(offset);
    for (const { scaling } of samples) numbers.u64(scaling);
  }
  if (fractions) for (const samples of cpus) for (const { fractionBits } of samples) numbers.u64(fractionBits);
  return { id: 12, bytes: numbers.finish() };
}

export function textOption(id: number, text: string): DatOption {
  return { id, bytes: new DatNumbers().text(text).finish() };
}

export function traceIdOption(traceId: bigint, little = true): DatOption {
  return { id: 11, bytes: new DatNumbers(little).u64(traceId).finish() };
}

export function tscToNsOption(mult: number, shift: number, offset: bigint): DatOption {
  return { id: 14, bytes: new DatNumbers().u32(mult).u32(shift).u64(offset).finish() };
}

export function writeTraceDat(content: DatContent): Uint8Array<ArrayBuffer> {
  return new DatFile(content).write();
}

class DatFile {
  readonly #content: DatContent;
  readonly #little: boolean;
  readonly #compression: 'none' | 'zlib' | 'zstd';
  #bytes = new Uint8Array(1 << 16);
  #length = 0;

  constructor(content: DatContent) {
    this.#content = content;
    this.#little = content.formats.endian === 'little';
    this.#compression = content.compression ?? 'none';
  }

  write(): Uint8Array<ArrayBuffer> {
    const { formats, buffers, options = [], comms = '', kallsyms = '' } = this.#content;
    const head = this.#numbers()
      .bytes(Uint8Array.of(0x17, 0x08, 0x44))
      .bytes(new TextEncoder().encode('tracing'))
      .text('7');
    head.bytes(Uint8Array.of(this.#little ? 0 : 1, 8)).u32(buffers[0]?.pageSizeBytes ?? 4096);
    this.#append(head.text(this.#compression).text('1.0').finish());
    const firstAt = this.#append(this.#numbers().u64(0).finish());
    const offsets = [
      this.#section(16, this.#headerInfo()),
      this.#section(17, this.#formats(formats.events.filter(({ system }) => system === 'ftrace').map(({ format }) => format))),
      this.#section(18, this.#events()),
      this.#section(19, this.#sized32(kallsyms)),
      this.#section(20, this.#sized32(formats.printkFormats)),
      this.#section(21, this.#numbers().u64(comms.length).bytes(new TextEncoder().encode(comms)).finish()),
    ];
    const list = options.map(({ id, bytes }) => ({ id, bytes }));
    for (const [i, offset] of offsets.entries()) list.push({ id: 16 + i, bytes: this.#numbers().u64(offset).finish() });
    let nextAt = this.#options(list, firstAt);
    for (const buffer of buffers) nextAt = this.#options([this.#buffer(buffer)], nextAt);
    return this.#bytes.slice(0, this.#length);
  }

  #numbers(): DatNumbers {
    return new DatNumbers(this.#little);
  }

  #append(bytes: Uint8Array): number {
    const at = this.#length;
    if (at + bytes.length > this.#bytes.length) {
      const grown = new Uint8Array((at + bytes.length) * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, at);
    this.#length = at + bytes.length;
    return at;
  }

  #compress(bytes: Uint8Array): Uint8Array {
    if (this.#compression === 'zlib') return deflateSync(bytes);
    return this.#compression === 'zstd' ? zstdCompressSync(bytes, { params: { [constants.ZSTD_c_windowLog]: 17 } }) : bytes;
  }

  #section(id: number, content: Uint8Array, mayCompress = true): number {
    const compressed = mayCompress && this.#compression !== 'none';
    const packed = compressed ? this.#compress(content) : content;
    const body = compressed ? this.#numbers().u32(packed.length).u32(content.length).bytes(packed).finish() : content;
    return this.#append(
      this.#numbers()
        .u16(id)
        .u16(compressed ? 1 : 0)
        .u32(0)
        .u64(body.length)
        .bytes(body)
        .finish(),
    );
  }

  /** Writes a section of options, and its offset where the one before it left room; returns where the next one's goes. */
  #options(options: readonly DatOption[], offsetAt: number): number {
    const numbers = this.#numbers();
    for (const { id, bytes } of options) numbers.u16(id).u32(bytes.length).bytes(bytes);
    const at = this.#section(0, numbers.u16(0).u32(8).u64(0).finish(), false);
    new DataView(this.#bytes.buffer).setBigUint64(offsetAt, BigInt(at), this.#little);
    return this.#length - 8;
  }

  #headerInfo(): Uint8Array {
    const page = new TextEncoder().encode(this.#content.formats.headerPage);
    return this.#numbers().text('header_page').u64(page.length).bytes(page).text('header_event').u64(0).finish();
  }

  #formats(formats: readonly string[]): Uint8Array {
    const numbers = this.#numbers().u32(formats.length);
    for (const format of formats) {
      const bytes = new TextEncoder().encode(format);
      numbers.u64(bytes.length).bytes(bytes);
    }
    return numbers.finish();
  }

  #events(): Uint8Array {
    const { events } = this.#content.formats;
    const systems = [...new Set(events.map(({ system }) => system))].filter((system) => system !== 'ftrace');
    const numbers = this.#numbers().u32(systems.length);
    for (const name of systems) {
      numbers.text(name).bytes(this.#formats(events.filter(({ system }) => system === name).map(({ format }) => format)));
    }
    return numbers.finish();
  }

  #sized32(text: string): Uint8Array {
    return this.#numbers().u32(text.length).bytes(new TextEncoder().encode(text)).finish();
  }

  #buffer({ instance, clock, pageSizeBytes, cpus }: DatContent['buffers'][number]): DatOption {
    const compressed = this.#compression !== 'none';
    const at = this.#append(
      this.#numbers()
        .u16(3)
        .u16(compressed ? 1 : 0)
        .u32(0)
        .u64(0)
        .finish(),
    );
    const numbers = this.#numbers().u64(at).text(instance).text(clock).u32(pageSizeBytes).u32(cpus.length);
    for (const { cpu, pages } of cpus) {
      this.#append(new Uint8Array((pageSizeBytes - (this.#length % pageSizeBytes)) % pageSizeBytes));
      const offset = this.#append(compressed ? this.#chunks(pages, pageSizeBytes * PAGES_PER_CHUNK) : pages);
      numbers
        .u32(cpu)
        .u64(offset)
        .u64(this.#length - offset - (compressed ? 4 : 0));
    }
    new DataView(this.#bytes.buffer).setBigUint64(at + 8, BigInt(this.#length - at - 16), this.#little);
    return { id: 3, bytes: numbers.finish() };
  }

  #chunks(pages: Uint8Array, chunkBytes: number): Uint8Array {
    const count = Math.ceil(pages.length / chunkBytes);
    const numbers = this.#numbers().u32(count);
    for (let i = 0; i < count; i++) {
      const chunk = pages.subarray(i * chunkBytes, (i + 1) * chunkBytes);
      const packed = this.#compress(chunk);
      numbers.u32(packed.length).u32(chunk.length).bytes(packed);
    }
    return numbers.finish();
  }
}
