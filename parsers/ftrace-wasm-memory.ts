/**
 * Where things lie in the memory in which WebAssembly walks over ftrace text (ftrace-walk.ts):
 *
 *   0        registers, spans of texts of the line at hand, powers of ten, masks
 *   FLAGS    what each flag column means, by the number of columns in the line
 *   CPUS     of each CPU its last time, its last event, and whether a loss waits for its next one
 *   NAMES    slots → records of names                SLOTS    of repeated texts      TEXTS   their bytes
 *   SLICES   places of the bodies of a walk          WINDOW   whole lines            PARTS   names, events, templates, lanes
 *
 *   name      u32 bytes | u32 kind | u32 event | u32 chunks | … mask, bytes | mask, bytes …        as a label
 *   event     u32 number | u32 templates | u32 lane of free text | u32 lane of a plugin's text, u32 it is a switch | templates, in order
 *   template  u32 lane | … step | step | … | step with form END
 *   step      u32 bytes of the label | u32 form | u32 column | u32 chunks | u32 first byte | u32 next step | … mask, bytes | …
 *                +-- stands in front of the value        +-- address        +-- 16 bytes each
 *   lane      u32 rows | u32 is open | … columns of LANE_ROWS rows, those of the fields last
 */
import type { OwnWasmMemory } from '../base/wasm-runtime.ts';

export const REGISTER = {
  nextId: 0,
  /** What is added to an address of the window for its place in the dictionary's bytes. */
  sliceBase: 4,
  firstId: 8,
  epoch: 12,
  /** A bit for each kind of time that is taken as it is. */
  times: 16,
  hasTgid: 20,
  reason: 24,
  rows: 28,
  lastAt: 32,
  lastEnd: 36,
  lastLane: 40,
  lastCpu: 104,
  /** From this id on there is no room for those of another line. */
  endId: 108,
  /** What a stop is about: address and bytes of a name, or an event. */
  stop: 44,
  stopBytes: 48,
  stopKind: 52,
  spansEnd: 56,
  textsEnd: 60,
  touched: 64,
  raw: 72,
  cpu: 80,
  pid: 84,
  bits: 88,
  tgid: 92,
  commAt: 96,
  commBytes: 100,
} as const;
/** Start, end and column of each text of a line. */
export const SPANS = 256;
export const SPAN_BYTES = 12;
/** u64 each. */
export const POWERS = 2048;
/** The first `n` bytes of 16, and those moved to the end. */
export const FIRST_MASKS = 2304;
export const ALIGNMENTS = 2688;
/** CPUs that had a row. */
export const TOUCHED = 0x1000;
export const FLAGS = 0x5000;
export const MOST_FLAGS = 8;
export const FLAG_TABLE_BYTES = 512;
export const CPUS = 0x1_0000;
export const MOST_CPUS = 4096;
export const CPU_BYTES = 32;
export const CPU = { time: 0, seconds: 8, nanos: 12, event: 16, isTouched: 20, waits: 24 } as const;
export const NAMES = 0x3_0000;
export const NAME_SLOTS = 1 << 14;
export const MOST_NAMES = NAME_SLOTS / 2;
export const SLOTS = 0x4_0000;
export const SLOT_COUNT = 1 << 13;
export const SLOT = { hash: 0, bytes: 8, id: 12, text: 16, epoch: 20 } as const;
export const SLOT_BYTES = 32;
export const SLOT_TRIES = 4;
export const TEXTS = 0x8_0000;
export const TEXTS_END = 0x10_0000;
/** Longer ones are asked for each time. */
export const MOST_TEXT_BYTES = 256;
export const SLICES = 0x10_0000;
export const MOST_SLICES = 1 << 14;
/** Ids that one line may take: its body and its texts. */
export const LINE_IDS = 80;
/** A line of an event has more than these. */
export const LEAST_LINE_BYTES = 16;
export const WINDOW = 0x12_0000;
export const WINDOW_BYTES = 1 << 17;
/** Readable behind the last line. */
export const WINDOW_MARGIN_BYTES = 1 << 10;
export const PARTS = 0x15_0000;

export const PAGE_BYTES = 1 << 16;
export const FIRST_PAGES = 48;
export const MOST_PAGES = 384;
/** By which it grows: each time takes some 50 µs. */
export const MORE_PAGES = 32;

export const NAME = { bytes: 0, kind: 4, event: 8, chunks: 12 } as const;
export const NAME_HEAD_BYTES = 16;
export const EVENT = { number: 0, templates: 4, text: 8, plugin: 12, isSwitch: 16 } as const;
export const EVENT_HEAD_BYTES = 20;
/** Of an event. */
export const MOST_TEMPLATES = 8;
export const TEMPLATE = { lane: 0 } as const;
export const TEMPLATE_HEAD_BYTES = 16;
export const STEP = { bytes: 0, form: 4, column: 8, chunks: 12, first: 16, next: 20 } as const;
export const STEP_HEAD_BYTES = 32;
export const CHUNK_BYTES = 32;
/** Behind the forms of ftrace-template.ts. */
export const FORM_END = 5;

export const LANE_ROWS = 256;
export const LANE = {
  rows: 0,
  isOpen: 4,
  rawTime: 64,
  comm: 64 + LANE_ROWS * 8,
  body: 64 + LANE_ROWS * 12,
  pid: 64 + LANE_ROWS * 16,
  tgid: 64 + LANE_ROWS * 20,
  cpu: 64 + LANE_ROWS * 24,
  flags: 64 + LANE_ROWS * 26,
  preempt: 64 + LANE_ROWS * 27,
  fields: 64 + LANE_ROWS * 28,
} as const;

/** Why a walk ended. */
export const REASON = { end: 0, prefix: 1, name: 2, shape: 3, closed: 4, room: 5 } as const;

/** Views on all of the memory. */
export class MemoryViews {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly words: Uint32Array<ArrayBuffer>;
  readonly halves: Uint16Array<ArrayBuffer>;

  constructor(memory: OwnWasmMemory) {
    this.bytes = new Uint8Array(memory.buffer);
    this.words = new Uint32Array(memory.buffer);
    this.halves = new Uint16Array(memory.buffer);
  }
}
