/**
 * The module that walks over ftrace text (ftrace-wasm-walk.ts) and the memory that it does it in, of which a part is given to each name,
 * template and table (ftrace-wasm-memory.ts). One is kept when an input ends, for the next one: to make it takes a millisecond.
 */
import { encodeModule, I32 } from '../base/wasm-assembler.ts';
import {
  hasWasm,
  Instance,
  Memory,
  Module,
  validate,
  type OwnWasmMemory,
  type WasmInstance,
  type WasmModule,
} from '../base/wasm-runtime.ts';
import { flagBits } from './ftrace-prefix.ts';
import { LINE_FUNCTIONS } from './ftrace-wasm-lines.ts';
import * as M from './ftrace-wasm-memory.ts';
import { MemoryViews } from './ftrace-wasm-memory.ts';
import { PLUGIN_FUNCTIONS } from './ftrace-wasm-plugin.ts';
import { WALK_FUNCTIONS } from './ftrace-wasm-walk.ts';

const CHUNK = 16;
/** One that has grown further is not kept. */
const MOST_KEPT_PAGES = 128;

/** What the module asks for. */
interface RoomOwner {
  readonly internNew: (at: number, bytes: number) => number;
  readonly flush: (lane: number) => void;
}

let module: WasmModule | undefined;
let spare: WalkRoom | undefined;

/** Undefined where this engine cannot run it. */
function compile(): WasmModule | undefined {
  if (module !== undefined || !hasWasm) return module;
  const imports = [
    { name: 'internNew', params: [I32, I32], results: [I32] },
    { name: 'flush', params: [I32], results: [] },
  ] as const;
  const functions = [...LINE_FUNCTIONS, ...PLUGIN_FUNCTIONS, ...WALK_FUNCTIONS];
  const bytes = encodeModule({ pages: M.FIRST_PAGES, isShared: false }, imports, functions, ['walk', 'hashText']);
  if (!validate(bytes)) return undefined;
  return (module = new Module(bytes));
}

/** Undefined where there is no WebAssembly, or no room for its memory: each takes 8 GB of addresses. */
export function takeRoom(): WalkRoom | undefined {
  const kept = spare;
  spare = undefined;
  if (kept !== undefined) return kept;
  const compiled = compile();
  if (compiled === undefined) return undefined;
  try {
    return new WalkRoom(compiled, new Memory({ initial: M.FIRST_PAGES, maximum: M.MOST_PAGES }));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

export function giveBack(room: WalkRoom): void {
  if (room.pages > MOST_KEPT_PAGES) return;
  room.clear();
  spare = room;
}

export class WalkRoom {
  views: MemoryViews;
  readonly instance: WasmInstance;
  owner: RoomOwner | undefined;
  readonly #memory: OwnWasmMemory;
  /** Where the next part goes. */
  #partsEnd = M.PARTS;
  #columnsKey = '';

  constructor(compiled: WasmModule, memory: OwnWasmMemory) {
    this.#memory = memory;
    this.views = new MemoryViews(memory);
    const host = {
      memory,
      internNew: (at: number, bytes: number): number => this.owner?.internNew(at, bytes) ?? 0,
      flush: (lane: number): number => {
        this.owner?.flush(lane);
        return 0;
      },
    };
    this.instance = new Instance(compiled, { host });
    this.#fillTables();
    this.#fillFlags(undefined);
  }

  get pages(): number {
    return this.views.bytes.length / M.PAGE_BYTES;
  }

  #fillTables(): void {
    const { words, bytes } = this.views;
    for (let n = 0; n < 8; n++) words[(M.POWERS >> 2) + n * 2] = 10 ** n;
    for (let n = 0; n <= CHUNK; n++) {
      bytes.fill(0xff, M.FIRST_MASKS + n * CHUNK, M.FIRST_MASKS + n * CHUNK + n);
      for (let i = 0; i < CHUNK; i++) bytes[M.ALIGNMENTS + n * CHUNK + i] = i + n >= CHUNK ? i + n - CHUNK : 0xff;
    }
  }

  /** What the flags of lines mean, as their header says. */
  setColumns(columns: readonly number[] | undefined): void {
    // The header makes its list longer line by line.
    const key = columns?.join() ?? '';
    if (key === this.#columnsKey) return;
    this.#columnsKey = key;
    this.#fillFlags(columns);
  }

  #fillFlags(columns: readonly number[] | undefined): void {
    for (let count = 1; count <= M.MOST_FLAGS; count++) {
      for (let place = 0; place < count; place++) {
        const at = (M.FLAGS + ((count - 1) * M.MOST_FLAGS + place) * M.FLAG_TABLE_BYTES) >> 1;
        this.views.halves.set(flagBits(columns, count, place), at);
      }
    }
  }

  /** As it was, but for texts, which go by an epoch. */
  clear(): void {
    this.owner = undefined;
    this.views.bytes.fill(0, M.NAMES, M.NAMES + M.NAME_SLOTS * 4);
    this.views.bytes.fill(0, M.PARTS, this.#partsEnd);
    this.#partsEnd = M.PARTS;
  }

  /** Mask and bytes, sixteen at a time; returns how many. */
  putChunks(part: Uint8Array, at: number): number {
    const { bytes } = this.views;
    let p = at;
    for (let from = 0; from < part.length; from += CHUNK, p += M.CHUNK_BYTES) {
      const chunk = part.subarray(from, from + CHUNK);
      bytes.fill(0xff, p, p + chunk.length);
      bytes.set(chunk, p + CHUNK);
    }
    return (p - at) / M.CHUNK_BYTES;
  }

  /** Zeroed memory; 0 where there is no more. */
  take(sizeBytes: number): number {
    const address = this.#partsEnd;
    const end = address + Math.ceil(sizeBytes / CHUNK) * CHUNK;
    const pages = Math.ceil(end / M.PAGE_BYTES);
    if (pages > M.MOST_PAGES) return 0;
    const missing = pages - this.pages;
    if (missing > 0) {
      if (!this.#grow(Math.max(missing, Math.min(M.MORE_PAGES, M.MOST_PAGES - this.pages)))) return 0;
      this.views = new MemoryViews(this.#memory);
    }
    this.#partsEnd = end;
    return address;
  }

  /** False where the system has no more. */
  #grow(pages: number): boolean {
    try {
      this.#memory.grow(pages);
      return true;
    } catch (error) {
      if (error instanceof RangeError) return false;
      throw error;
    }
  }
}

/** What `putChunks` takes. */
export function chunkBytes(part: Uint8Array): number {
  return Math.ceil(part.length / CHUNK) * M.CHUNK_BYTES;
}
