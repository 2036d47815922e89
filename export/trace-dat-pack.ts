/**
 * A copy of tracefs as trace.dat of version 6 (trace-dat-v6.ts draws it): so that it is read, sent and imported as what
 * `trace-cmd extract` would have made of the same buffer. Nothing is changed: pages stand in it as they are.
 */
import { ByteWriter, encodeUtf8 } from '../base/bytes.ts';
import type { ByteSource } from '../model/event-file.ts';
import type { FolderSource, TracefsCopy } from '../parsers/tracefs-copy.ts';
import { OPTION } from '../parsers/trace-dat-options.ts';

interface Extent {
  readonly path: string;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Numbers in the byte order of the traced kernel, as the pages are. */
class DatWriter {
  readonly bytes = new ByteWriter();
  readonly #little: boolean;

  constructor(little: boolean) {
    this.#little = little;
  }

  putNumber(value: number, sizeBytes: 1 | 2 | 4 | 8): void {
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, BigInt(value), this.#little);
    const at = this.#little ? 0 : 8 - sizeBytes;
    this.bytes.writeBytes(new Uint8Array(view.buffer, at, sizeBytes));
  }

  putName(text: string): void {
    this.bytes.writeBytes(toLatin1(`${text}\0`));
  }

  putText(text: string, lengthBytes: 4 | 8): void {
    this.putNumber(text.length, lengthBytes);
    this.bytes.writeBytes(toLatin1(text));
  }

  putOption(id: number, text: string): void {
    this.putNumber(id, 2);
    this.putText(text, 4);
  }
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
  const out = new DatWriter(isLittle);
  out.bytes.writeBytes(Uint8Array.of(0x17, 0x08, 0x44));
  out.bytes.writeBytes(encodeUtf8('tracing6\0'));
  out.putNumber(isLittle ? 0 : 1, 1);
  out.putNumber(/commit;\s*offset:\d+;\s*size:4;/.test(formats.headerPage) ? 4 : 8, 1);
  out.putNumber(pageSizeBytes, 4);
  for (const [name, text] of [
    ['header_page', formats.headerPage],
    ['header_event', readText('events/header_event') ?? ''],
  ] as const) {
    out.putName(name);
    out.putText(text, 8);
  }
  writeFormats(out, formats.events);
  out.putText(readText('kallsyms') ?? '', 4);
  out.putText(formats.printkFormats, 4);
  out.putText([...settings.comms].map(([pid, comm]) => `${pid} ${comm}\n`).join(''), 8);
  const cpuCount = Math.max(settings.possibleCpus, ...cpus.map(({ cpu }) => cpu + 1));
  out.putNumber(cpuCount, 4);
  out.bytes.writeBytes(encodeUtf8('options  \0'));
  writeOptions(out, readText, settings.clock, cpuCount);
  out.bytes.writeBytes(encodeUtf8('flyrecord\0'));
  for (let cpu = 0; cpu < cpuCount; cpu++) {
    const extent = extents[cpus.findIndex((one) => one.cpu === cpu)];
    out.putNumber(extent?.offset ?? 0, 8);
    out.putNumber(extent?.sizeBytes ?? 0, 8);
  }
  out.putText(`[${settings.clock}]`, 8);
  return out.bytes.view().slice();
}

function writeFormats(out: DatWriter, events: TracefsCopy['formats']['events']): void {
  const bySystem = new Map<string, string[]>();
  for (const { system, format } of events) bySystem.set(system, [...(bySystem.get(system) ?? []), format]);
  const ftrace = bySystem.get('ftrace') ?? [];
  bySystem.delete('ftrace');
  out.putNumber(ftrace.length, 4);
  for (const format of ftrace) out.putText(format, 8);
  out.putNumber(bySystem.size, 4);
  for (const [system, formats] of bySystem) {
    out.putName(system);
    out.putNumber(formats.length, 4);
    for (const format of formats) out.putText(format, 8);
  }
}

function writeOptions(out: DatWriter, readText: TracefsCopy['readText'], clock: string, cpuCount: number): void {
  const uname = (readText('uname') ?? '').trim();
  if (uname !== '') out.putOption(OPTION.uname, `${uname}\0`);
  out.putOption(OPTION.traceClock, `[${clock}]\0`);
  out.putNumber(OPTION.cpuCount, 2);
  out.putNumber(4, 4);
  out.putNumber(cpuCount, 4);
  out.putNumber(OPTION.done, 2);
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

function toLatin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
