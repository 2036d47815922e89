/**
 * Log records of one stream of one kernel, struct of arrays. A parser copies its input once into `text` and lets rows point
 * into it; escapes are decoded in place, since a decoded text is never longer.
 */
import { Int64Array } from '../base/int64.ts';
import { Interner } from '../base/interner.ts';
import { decodeUtf8, encodeUtf8 } from '../base/bytes.ts';
import { AttributeColumns } from './attribute-columns.ts';
import { LEVEL_UNKNOWN } from './severity.ts';
import { NO_RAW_TIME, type ClockDomain } from './time.ts';

/** Bits of `flags`. */
export const LOG_FLAG = {
  /** kmsg flag `c`: a fragment that continues the previous record. */
  continuation: 1,
  /** `Linux version …`: first record of a boot. */
  bootMark: 2,
  /** Before `sched_clock: Marking stable`, or no stamp of its own: keep the order, doubt the time. */
  timeUncertain: 4,
  /** Cut or interleaved on its way (console only). */
  torn: 8,
  /** The level was guessed from text, not read. */
  levelGuessed: 16,
  /** Written by user space (facility > 0). */
  userSpace: 32,
  /** A loss notice of the kernel itself (`** 123 printk messages dropped **`). */
  lossNotice: 64,
} as const;

/** NO_RAW_TIME. */
const NO_RAW_LOW = Number(BigInt.asUintN(32, NO_RAW_TIME));
const NO_RAW_HIGH = Number(BigInt.asUintN(32, NO_RAW_TIME >> 32n));

export class LogBatch {
  length = 0;
  capacity: number;
  /** Clock of `rawTime`. */
  clock: ClockDomain = 'printk';
  /** Stamp of the record on `clock`, ns; NO_RAW_TIME where it has none. */
  rawTime: Int64Array;
  /** Aligned Unix ns; 0 until `clock/` has filled it. */
  unixTime: Int64Array;
  /** When a collector saw the record, Unix ns; 0 where unknown. */
  observedTime: Int64Array;
  /** Position in the stream as the writer counts it. */
  sequence: Float64Array;
  /** Kernel level 0 … 7, LEVEL_UNKNOWN. */
  level: Uint8Array;
  /** OTLP severity number as received from a foreign sender; 0 = derive it from `level`. */
  severityNumber: Uint8Array;
  /** Dictionary id of the severity text as received from a foreign sender; 0 = derive it from `level`. */
  severityText: Uint32Array;
  facility: Uint16Array;
  flags: Uint16Array;
  /** Logical CPU, -1 where unknown. */
  cpu: Int32Array;
  /** Thread id of the caller, -1 where unknown. */
  pid: Int32Array;
  textStart: Uint32Array;
  textEnd: Uint32Array;
  /** Dictionary id; 0 = no event name. */
  eventName: Uint32Array;
  /** 16 bytes per row, all zero = none. Allocated by `ensureTraceIds`. */
  traceId: Uint8Array | undefined;
  /** 8 bytes per row, all zero = none. */
  spanId: Uint8Array | undefined;
  /** W3C trace flags; allocated with the ids. */
  traceFlags: Uint8Array | undefined;

  readonly strings = new Interner();
  readonly attributes = new AttributeColumns(this.strings);
  /** Arena that textStart and textEnd point into. */
  text = new Uint8Array(0);
  textLength = 0;

  constructor(capacity = 1024) {
    this.capacity = capacity;
    this.rawTime = new Int64Array(capacity);
    this.unixTime = new Int64Array(capacity);
    this.observedTime = new Int64Array(capacity);
    this.sequence = new Float64Array(capacity);
    this.level = new Uint8Array(capacity);
    this.severityNumber = new Uint8Array(capacity);
    this.severityText = new Uint32Array(capacity);
    this.facility = new Uint16Array(capacity);
    this.flags = new Uint16Array(capacity);
    this.cpu = new Int32Array(capacity);
    this.pid = new Int32Array(capacity);
    this.textStart = new Uint32Array(capacity);
    this.textEnd = new Uint32Array(capacity);
    this.eventName = new Uint32Array(capacity);
  }

  /** Doubles the room for rows; re-read hoisted columns afterwards. */
  grow(): void {
    const capacity = this.capacity * 2;
    this.rawTime = this.rawTime.grow(capacity);
    this.unixTime = this.unixTime.grow(capacity);
    this.observedTime = this.observedTime.grow(capacity);
    this.sequence = copyInto(new Float64Array(capacity), this.sequence);
    this.level = copyInto(new Uint8Array(capacity), this.level);
    this.severityNumber = copyInto(new Uint8Array(capacity), this.severityNumber);
    this.severityText = copyInto(new Uint32Array(capacity), this.severityText);
    this.facility = copyInto(new Uint16Array(capacity), this.facility);
    this.flags = copyInto(new Uint16Array(capacity), this.flags);
    this.cpu = copyInto(new Int32Array(capacity), this.cpu);
    this.pid = copyInto(new Int32Array(capacity), this.pid);
    this.textStart = copyInto(new Uint32Array(capacity), this.textStart);
    this.textEnd = copyInto(new Uint32Array(capacity), this.textEnd);
    this.eventName = copyInto(new Uint32Array(capacity), this.eventName);
    if (this.traceId !== undefined) this.traceId = copyInto(new Uint8Array(capacity * 16), this.traceId);
    if (this.spanId !== undefined) this.spanId = copyInto(new Uint8Array(capacity * 8), this.spanId);
    if (this.traceFlags !== undefined) this.traceFlags = copyInto(new Uint8Array(capacity), this.traceFlags);
    this.capacity = capacity;
  }

  /** Forgets the rows and keeps the memory: for whoever reads a long input batch by batch and has no use for the rows of the one before. */
  clear(): void {
    const { length } = this;
    this.unixTime.words.fill(0, 0, length * 2);
    this.observedTime.words.fill(0, 0, length * 2);
    this.sequence.fill(0, 0, length);
    this.severityNumber.fill(0, 0, length);
    this.severityText.fill(0, 0, length);
    this.facility.fill(0, 0, length);
    this.flags.fill(0, 0, length);
    this.textStart.fill(0, 0, length);
    this.textEnd.fill(0, 0, length);
    this.eventName.fill(0, 0, length);
    this.traceId = this.spanId = this.traceFlags = undefined;
    this.clock = 'printk';
    this.length = this.textLength = 0;
    this.strings.clear();
    this.attributes.clear();
  }

  ensureTraceIds(): void {
    this.traceId ??= new Uint8Array(this.capacity * 16);
    this.spanId ??= new Uint8Array(this.capacity * 8);
    this.traceFlags ??= new Uint8Array(this.capacity);
  }

  /** Copies bytes to the arena and returns the offset they start at. */
  appendText(bytes: Uint8Array, start = 0, end = bytes.length): number {
    const at = this.textLength;
    const needed = at + end - start;
    if (needed > this.text.length) {
      const grown = new Uint8Array(Math.max(needed, this.text.length * 2, 4096));
      grown.set(this.text.subarray(0, at));
      this.text = grown;
    }
    this.text.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), at);
    this.textLength = needed;
    return at;
  }

  /** Starts a row with neutral values and returns its index. The caller adds attributes, then calls `closeRow`. */
  openRow(): number {
    const row = this.length++;
    if (row === this.capacity) this.grow();
    this.rawTime.setWords(row, NO_RAW_LOW, NO_RAW_HIGH);
    this.level[row] = LEVEL_UNKNOWN;
    this.cpu[row] = -1;
    this.pid[row] = -1;
    return row;
  }

  closeRow(): void {
    this.attributes.closeRow();
  }

  /** For rare rows: a whole record from a string. */
  addText(text: string, level: number): number {
    const row = this.openRow();
    const bytes = encodeUtf8(text);
    this.textStart[row] = this.appendText(bytes);
    this.textEnd[row] = this.textLength;
    this.level[row] = level;
    this.closeRow();
    return row;
  }

  textOf(row: number): string {
    return decodeUtf8(this.text, this.textStart[row], this.textEnd[row]);
  }

  /** Bytes of memory that grow with the rows, for queue bounds. */
  get sizeBytes(): number {
    return this.textLength + this.length * 64 + this.attributes.pairs * 25;
  }
}

/** Copies a typed array into a longer one of its kind. */
export function copyInto<T extends { set(source: ArrayLike<number>): void }>(target: T, source: ArrayLike<number>): T {
  target.set(source);
  return target;
}
