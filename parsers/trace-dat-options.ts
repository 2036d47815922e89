/**
 * The options of a trace.dat file: u16 id, u32 bytes, data. Numbers are the file's; texts end by NUL. Unknown ids are skipped.
 *
 *    1 DATE        "0x6611fd2845066"                     Unix µs − trace clock µs
 *    2 CPUSTAT     "CPU: 0\nentries: 0\noverrun: 674\n…"  per_cpu/cpuN/stats; "Buffer: NAME" before those of an instance
 *    4 TRACECLOCK  "[local] global counter …"            trace_clock
 *    5 UNAME       "Linux vm 6.18.44 x86_64"
 *    7 OFFSET      "-1000"                               ns to add
 *   12 TIME_SHIFT  u64 trace id of the peer, u32 flags (1: interpolate), u32 CPUs × ( u32 n, n × u64 times, n × s64 offsets,
 *                  n × u64 scalings ), then, missing in old files and in the manual, CPUs × ( n × u64 fraction bits )
 *   13 GUEST       name\0, u64 trace id, u32 CPUs × ( u32 cpu, u32 host pid )
 *   14 TSC2NSEC    u32 mult, u32 shift, u64 offset       ns = (ticks × mult >> shift) + offset
 */
import type { TimeShift, TimeShiftSample } from '../model/event-file.ts';
import type { DatCursor } from './trace-dat-cursor.ts';
import { MAX_CPUS, MAX_NAME_BYTES, MAX_OPTION_BYTES, type CpuStat, type DatOptions } from './trace-dat-parts.ts';

export const OPTION = {
  done: 0,
  date: 1,
  cpuStat: 2,
  buffer: 3,
  traceClock: 4,
  uname: 5,
  hook: 6,
  offset: 7,
  cpuCount: 8,
  version: 9,
  procMaps: 10,
  traceId: 11,
  timeShift: 12,
  guest: 13,
  tscToNs: 14,
  strings: 15,
  headerInfo: 16,
  ftraceEvents: 17,
  eventFormats: 18,
  kallsyms: 19,
  printk: 20,
  cmdlines: 21,
  bufferText: 22,
} as const;

/** Samples of one CPU: trace-cmd takes one in some seconds. */
const MAX_SAMPLES = 1 << 20;
const MAX_LIST = 4096;
/** A CPUSTAT for each CPU of each instance, and some more. */
const MAX_RAW = 0x1_0000;
/** Every fraction and shift that a 64-bit product can take. */
const MAX_SHIFT = 63;
const FLAG_INTERPOLATE = 1;

/** Reads one option that stands alone; `cursor` ends with its data. False where its data make no sense. */
export function readOption(id: number, cursor: DatCursor, options: DatOptions): boolean {
  // What nobody knows may be an offset in the file.
  if (id <= OPTION.tscToNs && options.raw.length < MAX_RAW) options.raw.push({ id, bytes: cursor.peekBytes() });
  return readKnown(id, cursor, options);
}

function readKnown(id: number, cursor: DatCursor, options: DatOptions): boolean {
  switch (id) {
    case OPTION.date: {
      const us = parseInteger(readText(cursor));
      options.dateOffsetNs = us === undefined ? undefined : us * 1000n;
      return us !== undefined;
    }
    case OPTION.offset: {
      const ns = parseInteger(readText(cursor));
      options.offsetNs += ns ?? 0n;
      return ns !== undefined;
    }
    case OPTION.cpuStat:
      return readCpuStat(readText(cursor), options);
    case OPTION.traceClock:
      options.clock = /\[([\w-]+)\]/.exec(readText(cursor))?.[1] ?? '';
      return options.clock !== '';
    case OPTION.uname:
      options.uname = readText(cursor).trim();
      return true;
    case OPTION.version:
      options.writer = readText(cursor).trim();
      return true;
    case OPTION.hook:
      return addBounded(options.hooks, readText(cursor));
    case OPTION.procMaps:
      return addBounded(options.procMaps, readText(cursor));
    case OPTION.cpuCount:
      options.cpuCount = cursor.readU32();
      return !cursor.failed && options.cpuCount <= MAX_CPUS;
    case OPTION.traceId:
      options.traceId = cursor.readU64();
      return !cursor.failed;
    case OPTION.timeShift:
      options.timeShift = readTimeShift(cursor);
      return options.timeShift !== undefined;
    case OPTION.guest:
      return readGuest(cursor, options);
    case OPTION.tscToNs:
      return readTscToNs(cursor, options);
    default:
      return true;
  }
}

function readText(cursor: DatCursor): string {
  const text = cursor.readText(cursor.left, MAX_OPTION_BYTES);
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}

function addBounded(list: string[], text: string): boolean {
  if (list.length < MAX_LIST) list.push(text);
  return list.length < MAX_LIST;
}

/** What strtoll with base 0 takes: decimal or 0x…, signed. */
function parseInteger(text: string): bigint | undefined {
  const match = /^\s*(-?)(0[xX][0-9a-fA-F]{1,16}|\d{1,19})/.exec(text);
  if (match === null) return undefined;
  const value = BigInt(match[2] as string);
  return match[1] === '-' ? -value : value;
}

function readCpuStat(text: string, options: DatOptions): boolean {
  const { stats } = options;
  const buffer = /^\s*Buffer: (.*)$/m.exec(text)?.[1];
  const counter = (name: string): number => Number(new RegExp(`^${name}: (\\d{1,15})`, 'm').exec(text)?.[1] ?? 0);
  const cpu = Number(/^CPU: (\d{1,6})/m.exec(text)?.[1] ?? Number.NaN);
  // A text of its own names the instance of the texts behind it; a marker row of CPU -1 carries it on.
  const instance = buffer ?? stats.at(-1)?.instance ?? '';
  if (!(cpu < MAX_CPUS)) {
    if (buffer !== undefined && stats.length < MAX_CPUS) stats.push({ instance, cpu: -1, overrun: 0, dropped: 0, read: 0, left: 0 });
    return buffer !== undefined;
  }
  if (stats.length >= MAX_CPUS) return false;
  stats.push({
    instance,
    cpu,
    overrun: counter('overrun') + counter('commit overrun'),
    dropped: counter('dropped events'),
    read: counter('read events'),
    left: counter('entries'),
    oldest: readOldest(text),
  });
  return true;
}

/** `oldest event ts:  5432.123457`, which is rounded to µs, or the number that the clock counts. */
function readOldest(text: string): CpuStat['oldest'] {
  const [, whole, micros] = /^oldest event ts: {1,5}(\d{1,19})(?:\.(\d{6}))?$/m.exec(text) ?? [];
  if (whole === undefined) return undefined;
  return micros === undefined ? { time: BigInt(whole), doubt: 0n } : { time: BigInt(`${whole}${micros}000`), doubt: 500n };
}

function readTimeShift(cursor: DatCursor): TimeShift | undefined {
  const peerTraceId = cursor.readU64();
  const flags = cursor.readU32();
  const cpuCount = cursor.readU32();
  if (cursor.failed || cpuCount > MAX_CPUS) return undefined;
  const columns: { times: bigint[]; offsets: bigint[]; scalings: bigint[] }[] = [];
  for (let cpu = 0; cpu < cpuCount; cpu++) {
    const samples = cursor.readU32();
    if (cursor.failed || samples > MAX_SAMPLES || samples * 24 > cursor.left) return undefined;
    const readMany = (): bigint[] => Array.from({ length: samples }, () => cursor.readU64());
    columns.push({ times: readMany(), offsets: readMany().map((offset) => BigInt.asIntN(64, offset)), scalings: readMany() });
  }
  const hasFractions = cursor.left > 0;
  const cpus = columns.map(({ times, offsets, scalings }) => {
    const bits = times.map(() => (hasFractions ? Number(cursor.readU64()) : 0));
    return toSamples(times, offsets, scalings, bits);
  });
  const sane = cpus.every((samples) => samples.every(({ fractionBits }) => fractionBits <= MAX_SHIFT));
  return cursor.failed || !sane ? undefined : { peerTraceId, interpolate: (flags & FLAG_INTERPOLATE) !== 0, cpus };
}

/** In order of time, one for each; a scaling of 0 was never measured. */
function toSamples(times: bigint[], offsets: bigint[], scalings: bigint[], bits: number[]): TimeShiftSample[] {
  const samples = times.map((time, i) => {
    const scaling = scalings[i] as bigint;
    return {
      time,
      offset: offsets[i] as bigint,
      scaling: scaling === 0n ? 1n : scaling,
      fractionBits: scaling === 0n ? 0 : (bits[i] as number),
    };
  });
  samples.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
  return samples.filter((sample, i) => i === 0 || sample.time !== (samples[i - 1] as TimeShiftSample).time);
}

function readGuest(cursor: DatCursor, options: DatOptions): boolean {
  const name = cursor.readString(MAX_NAME_BYTES);
  const traceId = cursor.readU64();
  const count = cursor.readU32();
  if (cursor.failed || count * 8 > cursor.left || options.guests.length >= MAX_LIST) return false;
  options.guests.push({ name, traceId, cpus: Array.from({ length: count }, () => ({ cpu: cursor.readU32(), hostPid: cursor.readU32() })) });
  return true;
}

function readTscToNs(cursor: DatCursor, options: DatOptions): boolean {
  const mult = cursor.readU32();
  const shift = cursor.readU32();
  const offsetNs = BigInt.asIntN(64, cursor.readU64());
  if (cursor.failed || mult === 0 || shift > MAX_SHIFT) return false;
  options.tscToNs = { mult, shift, offsetNs };
  return true;
}
