/**
 * A copy of tracefs as trace.dat of version 6 (trace-dat-v6.ts draws it): so that it is read, sent and imported as what
 * `trace-cmd extract` would have made of the same buffer. Nothing is changed: pages stand in it as they are.
 */
import type { ByteSource } from '../model/event-file.ts';
import type { FolderSource, TracefsCopy } from '../parsers/tracefs-copy.ts';
import { OPTION } from '../parsers/trace-dat-options.ts';
import { toBytes } from './text-out.ts';
import { DatNumbers } from './trace-dat-writer.ts';

interface Extent {
  readonly path: string;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** The file, whose pages are read from the folder when they are asked for. */
export function packTraceDat(copy: TracefsCopy, folder: FolderSource): ByteSource {
  const extents: Extent[] = [];
  // The offsets stand in front of what they point to, and are as long whatever they are.
  let head = writeHead(copy, extents);
  const align = (offset: number): number => Math.ceil(offset / copy.pageSizeBytes) * copy.pageSizeBytes;
  let offset = align(head.length);
  for (const { path, sizeBytes } of copy.cpus) {
    extents.push({ path, offset, sizeBytes });
    offset = align(offset + sizeBytes);
  }
  head = writeHead(copy, extents);
  const last = extents.at(-1);
  return new PackedSource(head, extents, folder, last === undefined ? head.length : last.offset + last.sizeBytes);
}

function writeHead({ formats, settings, pageSizeBytes, cpus, readText }: TracefsCopy, extents: readonly Extent[]): Uint8Array {
  const isLittle = formats.endian === 'little';
  const out = new DatNumbers(isLittle);
  out.bytes(Uint8Array.of(0x17, 0x08, 0x44)).text('tracing6');
  out.u8(isLittle ? 0 : 1).u8(/commit;\s*offset:\d+;\s*size:4;/.test(formats.headerPage) ? 4 : 8);
  out.u32(pageSizeBytes);
  for (const [name, text] of [
    ['header_page', formats.headerPage],
    ['header_event', readText('events/header_event') ?? ''],
  ] as const) {
    putLongText(out.text(name), text);
  }
  writeFormats(out, formats.events);
  putText(out, readText('kallsyms') ?? '');
  putText(out, formats.printkFormats);
  putLongText(out, [...settings.comms].map(([pid, comm]) => `${pid} ${comm}\n`).join(''));
  const cpuCount = Math.max(settings.possibleCpus, ...cpus.map(({ cpu }) => cpu + 1));
  out.u32(cpuCount).text('options  ');
  writeOptions(out, readText, settings.clock, cpuCount);
  out.text('flyrecord');
  for (let cpu = 0; cpu < cpuCount; cpu++) {
    const extent = extents[cpus.findIndex((one) => one.cpu === cpu)];
    out.u64(extent?.offset ?? 0).u64(extent?.sizeBytes ?? 0);
  }
  putLongText(out, `[${settings.clock}]`);
  return out.finish();
}

function writeFormats(out: DatNumbers, events: TracefsCopy['formats']['events']): void {
  const bySystem = new Map<string, string[]>();
  for (const { system, format } of events) bySystem.set(system, [...(bySystem.get(system) ?? []), format]);
  const ftrace = bySystem.get('ftrace') ?? [];
  bySystem.delete('ftrace');
  out.u32(ftrace.length);
  for (const format of ftrace) putLongText(out, format);
  out.u32(bySystem.size);
  for (const [system, formats] of bySystem) {
    out.text(system).u32(formats.length);
    for (const format of formats) putLongText(out, format);
  }
}

function writeOptions(out: DatNumbers, readText: TracefsCopy['readText'], clock: string, cpuCount: number): void {
  const uname = (readText('uname') ?? toUname(readText('version') ?? '')).trim();
  if (uname !== '') putText(out.u16(OPTION.uname), `${uname}\0`);
  putText(out.u16(OPTION.traceClock), `[${clock}]\0`);
  out.u16(OPTION.cpuCount).u32(4).u32(cpuCount);
  out.u16(OPTION.done);
}

/** /proc/version in the order of `uname -a`, which calls `unknown` what it does not know: here the machine. */
function toUname(version: string): string {
  const [, release, build = ''] = /^Linux version (\S+)(?: [^#]*(#.*))?/.exec(version) ?? [];
  return release === undefined ? '' : `Linux (none) ${release} ${build} unknown`;
}

/** Behind its length in 32 bits. */
function putText(out: DatNumbers, text: string): void {
  out.u32(text.length).bytes(toBytes(text));
}

/** Behind its length in 64 bits. */
function putLongText(out: DatNumbers, text: string): void {
  out.u64(text.length).bytes(toBytes(text));
}

class PackedSource implements ByteSource {
  readonly sizeBytes: number;
  readonly #head: Uint8Array;
  readonly #extents: readonly Extent[];
  readonly #folder: FolderSource;

  constructor(head: Uint8Array, extents: readonly Extent[], folder: FolderSource, sizeBytes: number) {
    this.#head = head;
    this.#extents = extents;
    this.#folder = folder;
    this.sizeBytes = sizeBytes;
  }

  read(offset: number, length: number): Uint8Array {
    const to = Math.min(this.sizeBytes, offset + length);
    if (to <= this.#head.length) return this.#head.subarray(Math.min(offset, to), to);
    const bytes = new Uint8Array(Math.max(0, to - offset));
    if (offset < this.#head.length) bytes.set(this.#head.subarray(offset));
    for (const extent of this.#extents) {
      const from = Math.max(offset, extent.offset);
      const end = Math.min(to, extent.offset + extent.sizeBytes);
      if (from < end) bytes.set(this.#folder.read(extent.path, from - extent.offset, end - from), from - offset);
    }
    return bytes;
  }
}
