/**
 * Writes trace.dat version 7, the layout that trace-dat-v7.ts draws: head, sections of text, options, and for each buffer its
 * pages and a section of options that names them. Pages are taken as they come, so a file of any size is written in the memory
 * of one chunk; sizes and offsets that stand before what they count are filled in afterwards.
 *
 *   head | 16 17 18 19 20 21 texts | options → | 3 pages | options (BUFFER) → | 3 pages | options (BUFFER) → 0
 *
 * Not written: the table of section names (15), BTF, modules, text of latency tracers.
 */
import { constants, deflateSync, zstdCompressSync } from 'node:zlib';
import { ByteWriter } from '../base/bytes.ts';
import type { FormatSet } from '../model/segment.ts';
import type { RawOption } from '../model/event-file.ts';
import { OPTION } from '../parsers/trace-dat-options.ts';
import { toBytes } from './text-out.ts';

export const DAT_COMPRESSIONS = ['none', 'zlib', 'zstd'] as const;
export type DatCompression = (typeof DAT_COMPRESSIONS)[number];

/** Where a file is written: at any place. */
export interface ByteSink {
  write(bytes: Uint8Array, offset: number): void;
}

export interface DatHead {
  readonly formats: FormatSet;
  readonly compression: DatCompression;
  /** Bytes of a `long` of the recorder's user space. */
  readonly longBytes: number;
  readonly pageSizeBytes: number;
  /** saved_cmdlines: `pid name` lines, a byte a character. */
  readonly comms: string;
  readonly kallsyms: string;
  readonly options: readonly RawOption[];
}

export interface DatBufferHead {
  readonly instance: string;
  readonly clock: string;
  readonly pageSizeBytes: number;
}

const MAGIC = Uint8Array.of(0x17, 0x08, 0x44, 0x74, 0x72, 0x61, 0x63, 0x69, 0x6e, 0x67);
/** Pages packed together, as trace-cmd does: more pack no smaller, and a reader unpacks them whole. */
const CHUNK_BYTES = 128 << 10;
const SECTION_HEAD_BYTES = 16;
const COUNT_BYTES = 4;
/** A reader keeps the window in memory; no chunk is longer. */
const WINDOW_LOG = 17;

/** Numbers of one byte order, one behind the other. */
export class DatNumbers {
  readonly #little: boolean;
  readonly #out = new ByteWriter(64);

  constructor(little = true) {
    this.#little = little;
  }

  u8(value: number): this {
    this.#out.writeU8(value);
    return this;
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

  /** UTF-8 and a NUL. */
  text(value: string): this {
    this.#out.writeUtf8(value);
    return this.u8(0);
  }

  bytes(value: Uint8Array): this {
    this.#out.writeBytes(value);
    return this;
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#out.toBytes();
  }

  #add(sizeBytes: number, set: (view: DataView) => void): this {
    const view = new DataView(new ArrayBuffer(sizeBytes));
    set(view);
    return this.bytes(new Uint8Array(view.buffer));
  }
}

export class TraceDatWriter {
  readonly #sink: ByteSink;
  readonly #little: boolean;
  readonly #compression: DatCompression;
  #length = 0;
  /** Where the offset of the next section of options goes. */
  #nextOptionsAt: number;

  constructor(sink: ByteSink, head: DatHead) {
    const { formats, compression, longBytes, pageSizeBytes, options } = head;
    this.#sink = sink;
    this.#little = formats.endian === 'little';
    this.#compression = compression;
    const start = this.#numbers()
      .bytes(MAGIC)
      .text('7')
      .u8(this.#little ? 0 : 1)
      .u8(longBytes)
      .u32(pageSizeBytes);
    this.#append(start.text(compression).text('1.0').finish());
    this.#nextOptionsAt = this.#append(this.#numbers().u64(0).finish());
    const places = this.#textSections(head).map(({ id, content }) => ({
      id,
      bytes: this.#numbers().u64(this.#section(id, content)).finish(),
    }));
    this.#optionSection([...options, ...places]);
  }

  /** Appends a buffer. `cpus` gives each CPU's pages, whole and in order, in runs that are used before the next one is asked for. */
  addBuffer(
    { instance, clock, pageSizeBytes }: DatBufferHead,
    cpus: Iterable<{ readonly cpu: number; readonly runs: Iterable<Uint8Array> }>,
  ): void {
    const isPacked = this.#compression !== 'none';
    const start = this.#numbers()
      .u16(OPTION.buffer)
      .u16(isPacked ? 1 : 0)
      .u32(0)
      .u64(0);
    const at = this.#append(start.finish());
    const table = this.#numbers();
    let count = 0;
    for (const { cpu, runs } of cpus) {
      this.#append(new Uint8Array((pageSizeBytes - (this.#length % pageSizeBytes)) % pageSizeBytes));
      const offset = this.#length;
      if (isPacked) this.#packRuns(runs, pageSizeBytes);
      else for (const run of runs) this.#append(run);
      table
        .u32(cpu)
        .u64(offset)
        .u64(this.#length - offset - (isPacked ? COUNT_BYTES : 0));
      count++;
    }
    this.#sink.write(
      this.#numbers()
        .u64(this.#length - at - SECTION_HEAD_BYTES)
        .finish(),
      at + 8,
    );
    const option = this.#numbers().u64(at).text(instance).text(clock).u32(pageSizeBytes).u32(count).bytes(table.finish());
    this.#optionSection([{ id: OPTION.buffer, bytes: option.finish() }]);
  }

  #numbers(): DatNumbers {
    return new DatNumbers(this.#little);
  }

  /** Writes at the end; returns where. */
  #append(bytes: Uint8Array): number {
    const at = this.#length;
    this.#sink.write(bytes, at);
    this.#length += bytes.length;
    return at;
  }

  #textSections({ formats, kallsyms, comms }: DatHead): { readonly id: number; readonly content: Uint8Array }[] {
    const sized32 = (text: string): Uint8Array => {
      const bytes = new TextEncoder().encode(text);
      return this.#numbers().u32(bytes.length).bytes(bytes).finish();
    };
    const names = toBytes(comms);
    return [
      { id: OPTION.headerInfo, content: this.#headerInfo(formats.headerPage) },
      { id: OPTION.ftraceEvents, content: this.#formats(formats, 'ftrace') },
      { id: OPTION.eventFormats, content: this.#eventFormats(formats) },
      { id: OPTION.kallsyms, content: sized32(kallsyms) },
      { id: OPTION.printk, content: sized32(formats.printkFormats) },
      { id: OPTION.cmdlines, content: this.#numbers().u64(names.length).bytes(names).finish() },
    ];
  }

  #headerInfo(headerPage: string): Uint8Array {
    const page = new TextEncoder().encode(headerPage);
    return this.#numbers().text('header_page').u64(page.length).bytes(page).text('header_event').u64(0).finish();
  }

  #eventFormats(formats: FormatSet): Uint8Array {
    const systems = [...new Set(formats.events.map(({ system }) => system))].filter((system) => system !== 'ftrace');
    const numbers = this.#numbers().u32(systems.length);
    for (const system of systems) numbers.text(system).bytes(this.#formats(formats, system));
    return numbers.finish();
  }

  #formats({ events }: FormatSet, system: string): Uint8Array {
    const own = events.filter((event) => event.system === system);
    const numbers = this.#numbers().u32(own.length);
    for (const { format } of own) {
      const bytes = new TextEncoder().encode(format);
      numbers.u64(bytes.length).bytes(bytes);
    }
    return numbers.finish();
  }

  #section(id: number, content: Uint8Array, mayPack = true): number {
    const isPacked = mayPack && this.#compression !== 'none';
    const packed = isPacked ? this.#pack(content) : content;
    const body = isPacked ? this.#numbers().u32(packed.length).u32(content.length).bytes(packed).finish() : content;
    const start = this.#numbers()
      .u16(id)
      .u16(isPacked ? 1 : 0)
      .u32(0)
      .u64(body.length);
    return this.#append(start.bytes(body).finish());
  }

  /** Writes a section of options, and its offset where the one before it left room. */
  #optionSection(options: readonly RawOption[]): void {
    const numbers = this.#numbers();
    for (const { id, bytes } of options) numbers.u16(id).u32(bytes.length).bytes(bytes);
    const at = this.#section(OPTION.done, numbers.u16(OPTION.done).u32(8).u64(0).finish(), false);
    this.#sink.write(this.#numbers().u64(at).finish(), this.#nextOptionsAt);
    this.#nextOptionsAt = this.#length - 8;
  }

  #packRuns(runs: Iterable<Uint8Array>, pageSizeBytes: number): void {
    const countAt = this.#append(this.#numbers().u32(0).finish());
    const chunkBytes = Math.max(1, Math.floor(CHUNK_BYTES / pageSizeBytes)) * pageSizeBytes;
    let count = 0;
    for (const run of runs) {
      for (let at = 0; at < run.length; at += chunkBytes) {
        const chunk = run.subarray(at, at + chunkBytes);
        const packed = this.#pack(chunk);
        this.#append(this.#numbers().u32(packed.length).u32(chunk.length).bytes(packed).finish());
        count++;
      }
    }
    this.#sink.write(this.#numbers().u32(count).finish(), countAt);
  }

  #pack(bytes: Uint8Array): Uint8Array {
    if (this.#compression === 'zlib') return deflateSync(bytes);
    return zstdCompressSync(bytes, { params: { [constants.ZSTD_c_windowLog]: WINDOW_LOG } });
  }
}
