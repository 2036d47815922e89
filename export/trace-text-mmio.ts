/**
 * Lines of the tracer mmiotrace, which prints nothing but its own records and markers, without columns:
 *
 *   R 4 12.345678 1 0xfebf1000 0x1f 0xffffffffc0123456 0        read: width, time, map, physical address, value, code address, 0
 *   W 2 12.345679 1 0xfebf1004 0x3 0xffffffffc0123460 0         write
 *   UNKNOWN 12.345680 1 0xfebf1004 8b,44,24 0xffffffffc0123470 0
 *   MAP 12.345000 1 0xfebf1000 0xffffc90000123000 0x1000 0x0 0  where it was mapped, and its length
 *   UNMAP 12.345999 1 0x0 0
 *   MARK 12.346001 text
 *
 * Kernel: kernel/trace/trace_mmiotrace.c, include/linux/mmiotrace.h.
 */
import type { EventFormat } from '../parsers/event-format.ts';
import { readField, type Arithmetic, type EventRecord } from './print-fmt-numbers.ts';
import { toMicroseconds } from './trace-text-context.ts';
import type { TracedCpu } from './trace-text-merge.ts';
import type { TextOut } from './text-out.ts';

const READ = 1;
const WRITE = 2;
const PROBE = 3;
const UNPROBE = 4;
const UNKNOWN = 5;

export type MmioLine = (at: TracedCpu, out: TextOut) => void;

/** Does the tracer print a line of each of its records? */
export function isMmioEvent({ system, event }: EventFormat): boolean {
  return system === 'ftrace' && (event === 'mmiotrace_rw' || event === 'mmiotrace_map');
}

/** The line of a record of this format; undefined where the tracer prints none, or the format has not its fields. */
export function compileMmio(format: EventFormat, of: Arithmetic): MmioLine | undefined {
  if (format.system !== 'ftrace') return undefined;
  switch (format.event) {
    case 'mmiotrace_rw':
      return compileAccess(of);
    case 'mmiotrace_map':
      return compileMap(of);
    case 'print':
      return compileMark(format);
    default:
      return undefined;
  }
}

type ReadBig = (record: EventRecord) => bigint;

/** Of each field; undefined where one is not there, or is no number. */
function readersOf<Name extends string>(of: Arithmetic, ...names: readonly Name[]): Readonly<Record<Name, ReadBig>> | undefined {
  const readers = names.map((name): [Name, ReadBig | undefined] => [name, reader(name, of)]);
  if (readers.some(([, read]) => read === undefined)) return undefined;
  return Object.fromEntries(readers) as Record<Name, ReadBig>;
}

function reader(name: string, of: Arithmetic): ReadBig | undefined {
  const read = readField(name, of);
  if (read === undefined) return undefined;
  return (record) => {
    const low = read(record);
    return (BigInt(record.high >>> 0) << 32n) | BigInt(low >>> 0);
  };
}

function compileAccess(of: Arithmetic): MmioLine | undefined {
  const readers = readersOf(of, 'phys', 'value', 'pc', 'map_id', 'opcode', 'width');
  if (readers === undefined) return undefined;
  const { phys: physical, value, pc: code, map_id: map, opcode, width } = readers;
  const hex = (number: bigint): string => number.toString(16);
  return (at, out) => {
    const { record } = at;
    const kind = Number(opcode(record) & 0xffn);
    const place = `${BigInt.asIntN(32, map(record))} 0x${hex(physical(record))}`;
    if (kind === READ || kind === WRITE) {
      out.putText(`${kind === READ ? 'R' : 'W'} ${width(record) & 0xffn} ${toTime(at)} ${place} 0x${hex(value(record))}`);
    } else if (kind === UNKNOWN) {
      const bytes = [16n, 8n, 0n].map((shift) => hex((value(record) >> shift) & 0xffn).padStart(2, '0'));
      out.putText(`UNKNOWN ${toTime(at)} ${place} ${bytes.join(',')}`);
    } else {
      out.putText('rw what?\n');
      return;
    }
    out.putText(` 0x${hex(code(record))} 0\n`);
  };
}

function compileMap(of: Arithmetic): MmioLine | undefined {
  const readers = readersOf(of, 'phys', 'virt', 'len', 'map_id', 'opcode');
  if (readers === undefined) return undefined;
  const { phys: physical, virt: virtual, len: length, map_id: map, opcode } = readers;
  return (at, out) => {
    const { record } = at;
    const kind = Number(opcode(record) & 0xffn);
    const head = `${toTime(at)} ${BigInt.asIntN(32, map(record))}`;
    const numbers = [physical, virtual, length].map((read) => `0x${read(record).toString(16)}`);
    if (kind === PROBE) out.putText(`MAP ${head} ${numbers.join(' ')} 0x0 0\n`);
    else if (kind === UNPROBE) out.putText(`UNMAP ${head} 0x0 0\n`);
    else out.putText('map what?\n');
  };
}

function compileMark({ fields }: EventFormat): MmioLine | undefined {
  const offset = fields.find(({ name }) => name === 'buf')?.offsetBytes;
  if (offset === undefined) return undefined;
  return (at, out) => {
    const { bytes, start, end } = at.record;
    out.putText(`MARK ${toTime(at)} `);
    out.putString(bytes, start + offset, end);
  };
}

function toTime({ low, high }: TracedCpu): string {
  const us = toMicroseconds(low, high);
  return `${Math.floor(us / 1e6)}.${String(us % 1e6).padStart(6, '0')}`;
}
