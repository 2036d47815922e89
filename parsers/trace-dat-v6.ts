/**
 * trace.dat version 6: one part after the other, nothing compressed.
 *
 *   header_page … saved_cmdlines (trace-dat-formats.ts) | u32 CPUs
 *   "options  \0" ( u16 id, u32 bytes, data )* u16 0           BUFFER here: u64 offset of what follows the next line, name\0
 *   "flyrecord\0" | CPUs × ( u64 offset, u64 bytes ) | u64 bytes, "[local] global …" | … pages, aligned
 *   "latency  \0" | text to the end of the file
 */
import type { ByteSource } from '../model/event-file.ts';
import { DatCursor } from './trace-dat-cursor.ts';
import { readCmdlines, readEventFormats, readFtraceFormats, readHeaderInfo, readPrintkFormats } from './trace-dat-formats.ts';
import { OPTION, readOption } from './trace-dat-options.ts';
import {
  addProblem,
  MAX_BUFFERS,
  MAX_CPUS,
  MAX_NAME_BYTES,
  MAX_OPTION_BYTES,
  MAX_SECTION_BYTES,
  type CpuExtent,
  type DatParts,
} from './trace-dat-parts.ts';

const TAG_BYTES = 10;

export function readV6(source: ByteSource, cursor: DatCursor, parts: DatParts): void {
  readHeaderInfo(cursor, parts);
  readFtraceFormats(cursor, parts);
  readEventFormats(cursor, parts);
  readKallsyms(source, cursor, parts);
  readPrintkFormats(cursor, parts);
  readCmdlines(cursor, parts);
  const cpuCount = cursor.readU32();
  const instances: { readonly name: string; readonly offset: number }[] = [];
  let tag = cursor.readText(TAG_BYTES, TAG_BYTES);
  if (tag.startsWith('options')) {
    readOptions(source, cursor, parts, instances);
    tag = cursor.readText(TAG_BYTES, TAG_BYTES);
  }
  if (cursor.failed) return addProblem(parts, 'the file is cut before its table of CPUs', cursor.at);
  readBuffer(cursor, parts, tag, '', parts.options.cpuCount ?? cpuCount);
  for (const { name, offset } of instances) {
    const there = new DatCursor(source, parts.little, offset);
    readBuffer(there, parts, there.readText(TAG_BYTES, TAG_BYTES), name, parts.options.cpuCount ?? cpuCount);
  }
}

function readKallsyms(source: ByteSource, cursor: DatCursor, parts: DatParts): void {
  const sizeBytes = cursor.readU32();
  const start = cursor.at;
  if (!cursor.skip(sizeBytes)) return addProblem(parts, 'kallsyms are cut', start);
  parts.readKallsyms = () => new DatCursor(source, parts.little, start).readBytes(sizeBytes, MAX_SECTION_BYTES);
}

function readOptions(source: ByteSource, cursor: DatCursor, parts: DatParts, instances: { name: string; offset: number }[]): void {
  for (;;) {
    const start = cursor.at;
    const id = cursor.readU16();
    if (cursor.failed) return addProblem(parts, 'the options are cut', start);
    if (id === OPTION.done) return;
    const sizeBytes = cursor.readU32();
    const inside = new DatCursor(source, parts.little, cursor.at, cursor.at + sizeBytes);
    if (!cursor.skip(sizeBytes)) return addProblem(parts, `option ${id} is cut`, start);
    if (id === OPTION.buffer) {
      const offset = inside.readSize();
      const name = inside.readString(MAX_NAME_BYTES);
      if (inside.failed || instances.length >= MAX_BUFFERS) addProblem(parts, 'an instance is not understood', start);
      else instances.push({ name, offset });
    } else if (sizeBytes > MAX_OPTION_BYTES || !readOption(id, inside, parts.options)) {
      addProblem(parts, `option ${id} is not understood`, start);
    }
  }
}

/** What stands behind the tag of a buffer; the cursor is there. */
function readBuffer(cursor: DatCursor, parts: DatParts, tag: string, instance: string, cpuCount: number): void {
  const start = cursor.at;
  if (tag.startsWith('latency')) return addProblem(parts, `text of a latency tracer (${cursor.left} bytes) is not imported`, start);
  if (!tag.startsWith('flyrecord') || cpuCount > MAX_CPUS) return addProblem(parts, 'no table of CPUs', start);
  const cpus: CpuExtent[] = [];
  for (let cpu = 0; cpu < cpuCount; cpu++) {
    const offset = cursor.readSize();
    const sizeBytes = cursor.readSize();
    if (cursor.failed) break;
    if (sizeBytes > 0) cpus.push({ cpu, offset, sizeBytes });
  }
  if (cursor.failed) addProblem(parts, 'the table of CPUs is cut', start);
  // Files of old writers end their table here, and name their clock nowhere or in an option.
  const clockBytes = cursor.readSize();
  const clock = clockBytes <= MAX_NAME_BYTES ? cursor.readText(clockBytes, MAX_NAME_BYTES) : '';
  if (parts.buffers.length >= MAX_BUFFERS) return;
  const { pageSizeBytes } = parts;
  parts.buffers.push({ instance, clock: /\[([\w-]+)\]/.exec(clock)?.[1] ?? '', pageSizeBytes, compressed: false, cpus });
}
