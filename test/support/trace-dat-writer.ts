/**
 * trace.dat files of version 7 in memory, for what this machine's trace-cmd does not record: other byte orders, zlib, options
 * of hosts and guests, sections that nobody knows, and damage.
 */
import type { RawOption } from '../../model/event-file.ts';
import type { FormatSet } from '../../model/segment.ts';
import { DatNumbers, TraceDatWriter, type DatCompression } from '../../export/trace-dat-writer.ts';

export interface DatContent {
  readonly formats: FormatSet;
  readonly compression?: DatCompression;
  readonly comms?: string;
  readonly kallsyms?: string;
  readonly options?: readonly RawOption[];
  readonly buffers: readonly {
    readonly instance: string;
    readonly clock: string;
    readonly pageSizeBytes: number;
    readonly cpus: readonly { readonly cpu: number; readonly pages: Uint8Array }[];
  }[];
}

export interface ShiftSample {
  readonly time: bigint;
  readonly offset: bigint;
  readonly scaling: bigint;
  readonly fractionBits: number;
}

/** The TIME_SHIFT option as trace-cmd writes it into the file of a guest; `fractions` false is how old versions do. */
export function timeShiftOption(peer: bigint, flags: number, cpus: readonly (readonly ShiftSample[])[], fractions = true): RawOption {
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

export function textOption(id: number, text: string): RawOption {
  return { id, bytes: new DatNumbers().text(text).finish() };
}

export function traceIdOption(traceId: bigint, little = true): RawOption {
  return { id: 11, bytes: new DatNumbers(little).u64(traceId).finish() };
}

/** What a host's file says of a guest: its trace id, and the host's thread of each of its CPUs. */
export function guestOption(name: string, traceId: bigint, hostPids: readonly number[]): RawOption {
  const numbers = new DatNumbers().text(name).u64(traceId).u32(hostPids.length);
  for (const [cpu, hostPid] of hostPids.entries()) numbers.u32(cpu).u32(hostPid);
  return { id: 13, bytes: numbers.finish() };
}

export function tscToNsOption(mult: number, shift: number, offset: bigint): RawOption {
  return { id: 14, bytes: new DatNumbers().u32(mult).u32(shift).u64(offset).finish() };
}

/** Grows to what is written into it. */
export class MemorySink {
  #bytes = new Uint8Array(1 << 16);
  #length = 0;

  write(bytes: Uint8Array, offset: number): void {
    const end = offset + bytes.length;
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(end * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, offset);
    this.#length = Math.max(this.#length, end);
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }
}

export function writeTraceDat({
  formats,
  compression = 'none',
  comms = '',
  kallsyms = '',
  options = [],
  buffers,
}: DatContent): Uint8Array<ArrayBuffer> {
  const sink = new MemorySink();
  const pageSizeBytes = buffers[0]?.pageSizeBytes ?? 4096;
  const writer = new TraceDatWriter(sink, { formats, compression, longBytes: 8, pageSizeBytes, comms, kallsyms, options });
  for (const buffer of buffers) {
    writer.addBuffer(
      buffer,
      buffer.cpus.map(({ cpu, pages }) => ({ cpu, runs: [pages] })),
    );
  }
  return sink.toBytes();
}
