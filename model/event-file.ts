/** A file of recorded ring-buffer pages with its own formats, read at any place: its parts refer to each other by offset. */
import type { EventBatch } from './event-batch.ts';
import type { InputLoss, ParseCounts } from './parser.ts';
import type { FormatSet } from './segment.ts';
import type { ClockDomain } from './time.ts';

export interface ByteSource {
  readonly sizeBytes: number;
  /** Bytes at `offset`; fewer than `length` only at the end of the file. Valid until the next call. */
  read(offset: number, length: number): Uint8Array;
  /** All of it as a string of one character per byte, where it is in memory and mostly text. */
  readonly latin1?: string;
  /** What was read stays as it is: others may hand out the same memory again. */
  readonly isLasting?: boolean;
}

export interface EventFileParser {
  readonly id: string;
  readonly title: string;
  readonly yields: 'event_file';
  sniff(head: Uint8Array): boolean;
  /** Never throws for what the file holds: what is wrong with it is counted. */
  open(source: ByteSource): EventFile;
}

export interface EventFile {
  readonly info: EventFileInfo;
  readonly formats: FormatSet;
  readonly streams: readonly EventFileStream[];
  /** Bytes are those of the streams' pages; problems of the file itself are reasons without bytes. */
  readonly counts: ParseCounts;
  /** Those of the file alone, and how often: whoever only takes its pages tells what is wrong with records, and formats of them. */
  readonly problems: ReadonlyMap<string, number>;
}

/** What the file says of the kernel it was recorded on. */
export interface EventFileInfo {
  readonly version: number;
  /** `uname`: system, node, release, machine. */
  readonly uname: string;
  readonly longBytes: number;
  readonly pageSizeBytes: number;
  readonly compression: string;
  readonly writer: string;
  readonly cpuCount: number;
  readonly clock: ClockDomain;
  /** Unix ns − trace clock ns, in steps of a microsecond. */
  readonly dateOffsetNs: bigint | undefined;
  /** Given by the user at recording: ns to add. */
  readonly offsetNs: bigint;
  readonly tscToNs: TscToNs | undefined;
  readonly traceId: bigint | undefined;
  readonly timeShift: TimeShift | undefined;
  readonly guests: readonly TracedGuest[];
  readonly hooks: readonly string[];
  readonly procMaps: readonly string[];
  /** All of these and others as the file holds them, in its byte order; without those that point to places in the file. */
  readonly options: readonly RawOption[];
  /** Task names by pid, a byte a character: a task may call itself anything, and its name is cut at 15 bytes. */
  readonly comms: Readonly<Record<string, string>>;
  /** Reads the kernel's symbols when they are needed: megabytes of text, as bytes. */
  readonly readKallsyms: () => Uint8Array;
}

export interface RawOption {
  readonly id: number;
  readonly bytes: Uint8Array;
}

/** ns = (ticks × mult >> shift) + offsetNs, the product with all its 96 bits. */
export interface TscToNs {
  readonly mult: number;
  readonly shift: number;
  readonly offsetNs: bigint;
}

/** Raw times of this file → raw times of its peer (a guest's → its host's), by CPU. */
export interface TimeShift {
  readonly peerTraceId: bigint;
  readonly interpolate: boolean;
  /** Empty for a CPU without samples; sorted by time. */
  readonly cpus: readonly (readonly TimeShiftSample[])[];
}

/** At raw time `time`: peer = (raw × scaling >> fractionBits) + offset. */
export interface TimeShiftSample {
  readonly time: bigint;
  readonly offset: bigint;
  readonly scaling: bigint;
  readonly fractionBits: number;
}

export interface TracedGuest {
  readonly name: string;
  readonly traceId: bigint;
  /** Host thread that runs each CPU of the guest. */
  readonly cpus: readonly { readonly cpu: number; readonly hostPid: number }[];
}

export interface CpuSpan {
  readonly cpu: number;
  /** Raw times of the first page and of the last event; NO_RAW_TIME where there is none. */
  readonly firstRaw: bigint;
  readonly lastRaw: bigint;
}

/** Whole pages of one CPU, oldest first. */
export interface PageSequence {
  readonly cpu: number;
  /** About so many bytes of the next pages, which stay valid; none at the end. */
  take(bytes: number): Uint8Array;
  /** Told of pages that are not looked at any more, and none before them: their memory may go. */
  release?(pages: Uint8Array): void;
}

/** The pages of one tracefs instance. */
export interface EventFileStream {
  /** Empty for the top-level buffer. */
  readonly instance: string;
  readonly clock: ClockDomain;
  /** As the file writes the clock's name; empty where it does not. */
  readonly clockName: string;
  /** Bytes in the file. */
  readonly sizeBytes: number;
  /** Where each CPU's pages begin and end in time, from its first and last pages alone. */
  survey(): readonly CpuSpan[];
  /** The pages of each CPU from their beginning, for who walks their records. */
  pages(): PageSequence[];
  readonly pageSizeBytes: number;
  /** Appends the events of about so many bytes of pages, of all CPUs in turn of their pages' times; false at the end. */
  read(budgetBytes: number, batch: EventBatch): boolean;
  /** As `read`, with the same events in the same pieces; what is compressed is unpacked by other threads meanwhile. */
  readAhead(budgetBytes: number, batch: EventBatch): Promise<boolean>;
  /** Losses met since the last call; after the last `read` also what only the kernel's own counters tell. */
  takeLosses(): InputLoss[];
  /** Bytes of the file that `read` has come through. */
  readonly readBytes: number;
}
