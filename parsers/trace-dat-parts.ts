/** What the readers of both versions of trace.dat fill, and the bounds that hold for both. */
import type { EventFileInfo, RawOption, TimeShift, TracedGuest, TscToNs } from '../model/event-file.ts';
import type { FormatSet } from '../model/segment.ts';

/** No format file here is longer than 12 KB, and no option than a process map of some MB. */
export const MAX_FORMAT_BYTES = 1 << 20;
export const MAX_OPTION_BYTES = 16 << 20;
/** Formats of a kernel: 5 MB here. */
export const MAX_FORMATS_BYTES = 64 << 20;
/** One section in memory; kallsyms of a kernel with all its modules is 20 MB. */
export const MAX_SECTION_BYTES = 64 << 20;
export const MAX_NAME_BYTES = 4096;
/** `common_type` has 16 bits. */
export const MAX_EVENTS = 0x1_0000;
export const MAX_CPUS = 0x1_0000;
export const MAX_BUFFERS = 1024;
/** Problems that are told one by one. */
const MAX_PROBLEMS = 32;

/** Pages of one CPU: where they lie in the file. */
export interface CpuExtent {
  readonly cpu: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

export interface DatBuffer {
  readonly instance: string;
  /** As the file writes it; empty = the file's own. */
  readonly clock: string;
  readonly pageSizeBytes: number;
  readonly compressed: boolean;
  readonly cpus: readonly CpuExtent[];
}

/** The counters of a CPU's buffer when the recording ended. */
export interface CpuStat {
  readonly instance: string;
  readonly cpu: number;
  readonly overrun: number;
  readonly dropped: number;
  /** Read from the buffer, and left in it. */
  readonly read: number;
  readonly left: number;
  /** When what was left in it began, in the clock's unit, as precise as it was printed. */
  readonly oldest?: { readonly time: bigint; readonly doubt: bigint } | undefined;
}

export interface DatOptions {
  clock: string;
  uname: string;
  writer: string;
  cpuCount: number | undefined;
  dateOffsetNs: bigint | undefined;
  offsetNs: bigint;
  tscToNs: TscToNs | undefined;
  traceId: bigint | undefined;
  timeShift: TimeShift | undefined;
  readonly guests: TracedGuest[];
  readonly hooks: string[];
  readonly procMaps: string[];
  readonly stats: CpuStat[];
  /** Those that stand alone, as they are. */
  readonly raw: RawOption[];
}

/** A file as far as it was read, without its pages. */
export interface DatParts {
  readonly version: number;
  readonly little: boolean;
  readonly longBytes: number;
  readonly pageSizeBytes: number;
  compression: string;
  headerPage: string;
  readonly events: FormatSet['events'][number][];
  formatBytes: number;
  printkFormats: string;
  comms: Record<string, string>;
  readKallsyms: EventFileInfo['readKallsyms'];
  readonly options: DatOptions;
  readonly buffers: DatBuffer[];
  /** Said behind an offset that does not count from the start of the file: ` of section 18`. */
  where: string;
  readonly problems: string[];
  /** Of its pages: while they are read, and in the look at each end before. */
  readonly damage: { readonly read: Damage; readonly surveyed: Damage };
}

/** Chunks that could not be unpacked, counted over all CPUs and buffers. */
export interface Damage {
  chunks: number;
}

export function createParts(version: number, little: boolean, longBytes: number, pageSizeBytes: number): DatParts {
  return {
    version,
    little,
    longBytes,
    pageSizeBytes,
    compression: 'none',
    headerPage: '',
    events: [],
    formatBytes: 0,
    printkFormats: '',
    comms: {},
    readKallsyms: () => new Uint8Array(0),
    options: {
      clock: '',
      uname: '',
      writer: '',
      cpuCount: undefined,
      dateOffsetNs: undefined,
      offsetNs: 0n,
      tscToNs: undefined,
      traceId: undefined,
      timeShift: undefined,
      guests: [],
      hooks: [],
      procMaps: [],
      stats: [],
      raw: [],
    },
    buffers: [],
    where: '',
    problems: [],
    damage: { read: { chunks: 0 }, surveyed: { chunks: 0 } },
  };
}

/** Notes what is wrong and where, if it has one place; the file is read on. */
export function addProblem(parts: Pick<DatParts, 'problems' | 'where'>, what: string, offset: number | undefined): void {
  const { problems, where } = parts;
  if (problems.length < MAX_PROBLEMS) problems.push(offset === undefined ? what : `${what} at byte ${offset}${where}`);
  else if (problems.length === MAX_PROBLEMS) problems.push('further problems of the file');
}
