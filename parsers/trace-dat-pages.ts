/**
 * The pages of one CPU in a trace.dat file, some at a time.
 *
 *   not compressed: pages, one behind the other
 *   compressed:     u32 chunks × ( u32 bytes, u32 bytes unpacked, data )      unpacked: whole pages; the count is not part of
 *                                                                             the bytes that the BUFFER option tells
 */
import type { ByteSource } from '../model/event-file.ts';
import { DatCursor } from './trace-dat-cursor.ts';
import type { CpuExtent, Damage, DatBuffer } from './trace-dat-parts.ts';
import { isTooMuch, unpack, unpackAside } from './trace-dat-unpack.ts';

/** Read at once from a file that is not compressed. */
const RUN_BYTES = 256 << 10;
/** trace-cmd packs some pages to a chunk: 116 KB here, and 1 page of 4 MB is the largest that a kernel has. */
const MAX_CHUNK_BYTES = 16 << 20;
const COUNT_BYTES = 4;
const CHUNK_HEAD_BYTES = 8;
/**
 * Chunks are unpacked until they make so much: a call for each 160 KB takes a third more time than one for each 1 MB. Of all CPUs of
 * a buffer, each of which has a run in memory, as much as below.
 */
const MOST_PACKED_RUN_BYTES = 1 << 20;
const LEAST_PACKED_RUN_BYTES = 160 << 10;
const PACKED_RUNS_BYTES = 16 << 20;
/** The last pages may be empty. */
const LAST_PAGES = 16;
/** Of packed chunks that is read at once: a call of the system for each head and each chunk took as long as a fifth of the unpacking. */
const MOST_WINDOW_BYTES = 128 << 10;
const RUN_BYTES_PER_WINDOW_BYTE = 8;
/**
 * Of a whole file. Each one costs 0.05–0.2 ms, and 2 KB until the program waits for something: Node keeps a stream that failed until then.
 * A file of 7 MB can have 600,000.
 */
const MOST_DAMAGED_CHUNKS = 16_384;
/** With an offset each: other problems of the file are to be seen beside them. */
const MOST_TOLD_CHUNKS = 16;
const NOTHING = new Uint8Array(0);

interface Chunk {
  readonly start: number;
  readonly packedBytes: number;
  readonly unpackedBytes: number;
}

/** Chunks that become one run. */
interface PackedRun {
  readonly chunks: readonly Chunk[];
  readonly unpackedBytes: number;
  /** Where the next run's begin in the file. */
  readonly end: number;
  /** Where chunks end that are no more to be read, and what is wrong there. */
  readonly broken: { readonly what: string; readonly at: number } | undefined;
}

/** A run that other threads unpack. */
interface RunAhead {
  readonly packed: PackedRun;
  readonly unpacked: Promise<void>;
  isDone: boolean;
  /** undefined: to be unpacked chunk by chunk, since something is wrong with one of them. */
  content: Uint8Array | undefined;
}

export interface PageFile {
  readonly source: ByteSource;
  readonly little: boolean;
  readonly compression: string;
  /** Where a page holds its time. */
  readonly timestampOffset: number;
  readonly damage: Damage;
  /** `what` is undefined where it was said often enough; `isCut`: the file ends before the pages. */
  readonly onProblem: (cpu: number, what: string | undefined, offset: number, isCut: boolean) => void;
}

export class CpuPages {
  readonly cpu: number;
  readonly #file: PageFile;
  readonly #extent: CpuExtent;
  readonly #pageSizeBytes: number;
  readonly #compressed: boolean;
  readonly #packedRunBytes: number;
  /** Where the extent ends in the file as it is. */
  readonly #end: number;
  /** Where chunks are read from. */
  readonly #chunks: ByteSource;
  #chunksLeft = 0;
  /** Next byte of the file to read. */
  #next: number;
  /** Where the run ends in the file. */
  #through: number;
  #isAhead = false;
  #ahead: RunAhead | undefined;
  #run: Uint8Array = NOTHING;
  readonly #isReused: boolean;
  #memory: Uint8Array = NOTHING;
  #at = 0;

  /** `isReused`: what `take` gives is valid until the next run only, and then its memory is taken anew. */
  constructor(file: PageFile, buffer: DatBuffer, extent: CpuExtent, isReused = false) {
    this.#isReused = isReused;
    this.cpu = extent.cpu;
    this.#file = file;
    this.#extent = extent;
    this.#pageSizeBytes = buffer.pageSizeBytes;
    this.#compressed = buffer.compressed;
    const share = Math.floor(PACKED_RUNS_BYTES / buffer.cpus.length);
    this.#packedRunBytes = Math.min(MOST_PACKED_RUN_BYTES, Math.max(LEAST_PACKED_RUN_BYTES, share));
    this.#next = this.#through = extent.offset;
    const wantedEnd = extent.offset + extent.sizeBytes + (buffer.compressed ? COUNT_BYTES : 0);
    this.#end = Math.min(wantedEnd, file.source.sizeBytes);
    if (this.#end < wantedEnd) {
      const cut = wantedEnd - Math.max(this.#end, extent.offset);
      file.onProblem(extent.cpu, `pages of CPU ${extent.cpu} are cut by ${cut} bytes`, extent.offset, true);
    }
    const window = Math.min(MOST_WINDOW_BYTES, Math.floor(this.#packedRunBytes / RUN_BYTES_PER_WINDOW_BYTE));
    this.#chunks = buffer.compressed ? readAhead(file.source, this.#end, window) : file.source;
    if (buffer.compressed) this.#openChunks();
  }

  /** Bytes of the file come through so far. */
  get readBytes(): number {
    return Math.min(Math.max(this.#through - this.#extent.offset, 0), this.#extent.sizeBytes);
  }

  /** True while there are pages in memory: the next ones are then had for nothing. */
  get hasRun(): boolean {
    return this.#at < this.#run.length;
  }

  /** Nothing is left, in memory and in the file. */
  get isAtEnd(): boolean {
    return !this.hasRun && (this.#compressed ? this.#chunksLeft === 0 : this.#next >= this.#end);
  }

  /**
   * From the first call on other threads unpack the next run while one is looked at. The promise to wait for it; undefined where
   * pages are there or none are packed. Who does not wait unpacks it a second time.
   */
  ready(): Promise<void> | undefined {
    if (!this.#compressed) return undefined;
    this.#isAhead = true;
    this.#ahead ??= this.#startAhead();
    return this.hasRun || this.#ahead === undefined || this.#ahead.isDone ? undefined : this.#ahead.unpacked;
  }

  /** Time of the next page, rounded to a double; undefined behind the last one. */
  peekTime(): number | undefined {
    if (this.#at >= this.#run.length && !this.#readRun()) return undefined;
    const { little, timestampOffset } = this.#file;
    const at = this.#at + timestampOffset;
    if (at + 8 > this.#run.length) return 0;
    const view = new DataView(this.#run.buffer, this.#run.byteOffset + at, 8);
    return view.getUint32(little ? 4 : 0, little) * 0x1_0000_0000 + view.getUint32(little ? 0 : 4, little);
  }

  /** The next pages, of at most `bytes` but one at least; what is not a whole page at the end of a run comes with it. */
  take(bytes: number): Uint8Array {
    if (this.#at >= this.#run.length && !this.#readRun()) return NOTHING;
    const pages = Math.max(1, Math.floor(bytes / this.#pageSizeBytes)) * this.#pageSizeBytes;
    const left = this.#run.length - this.#at;
    const taken = left - pages < this.#pageSizeBytes && left - pages > 0 && left % this.#pageSizeBytes !== 0 ? left : Math.min(left, pages);
    const run = this.#run.subarray(this.#at, this.#at + taken);
    this.#at += taken;
    return run;
  }

  release({ buffer }: Uint8Array): void {
    const isInUse = buffer === this.#run.buffer && this.#at < this.#run.length;
    if (!isInUse && !this.#isReused) free(buffer);
  }

  /** Goes to the last run of pages; only to look at it, because damage on the way is not told. */
  seekLast(): void {
    if (!this.#compressed) {
      const size = this.#end - this.#extent.offset;
      const pages = Math.ceil(size / this.#pageSizeBytes);
      if (pages > LAST_PAGES) this.#next = this.#extent.offset + (pages - LAST_PAGES) * this.#pageSizeBytes;
      return;
    }
    while (this.#chunksLeft > 1) {
      const head = new DatCursor(this.#file.source, this.#file.little, this.#next, Math.min(this.#end, this.#next + CHUNK_HEAD_BYTES));
      const after = this.#next + CHUNK_HEAD_BYTES + head.readU32();
      if (head.failed || after + CHUNK_HEAD_BYTES >= this.#end) return;
      this.#next = after;
      this.#chunksLeft--;
    }
  }

  #openChunks(): void {
    const cursor = new DatCursor(this.#file.source, this.#file.little, this.#next, Math.min(this.#end, this.#next + COUNT_BYTES));
    this.#chunksLeft = cursor.readU32();
    this.#next = cursor.at;
  }

  #readRun(): boolean {
    if (this.#isReused && this.#run.buffer !== this.#memory.buffer) free(this.#run.buffer);
    this.#at = 0;
    this.#run = NOTHING;
    if (this.#compressed) return this.#readChunks();
    if (this.#next >= this.#end) return false;
    const most = Math.max(1, Math.floor(RUN_BYTES / this.#pageSizeBytes)) * this.#pageSizeBytes;
    // A copy: the source may hand out its own memory again, for another CPU.
    const pages = this.#file.source.read(this.#next, Math.min(most, this.#end - this.#next));
    this.#run = this.#memoryOf(pages.length);
    this.#run.set(pages);
    if (this.#run.length === 0) this.#next = this.#end;
    this.#next += this.#run.length;
    this.#through = this.#next;
    return this.#run.length > 0;
  }

  /** Takes the next run that has any pages. */
  #readChunks(): boolean {
    for (;;) {
      const ahead = this.#ahead;
      const packed = ahead?.packed ?? this.#packRun();
      if (packed === undefined) break;
      this.#run = ahead?.content ?? this.#unpackRun(packed);
      const { broken } = packed;
      if (broken !== undefined) this.#file.onProblem(this.cpu, broken.what, broken.at, false);
      this.#through = packed.end;
      this.#ahead = this.#isAhead ? this.#startAhead() : undefined;
      if (this.#run.length > 0) return true;
    }
    this.#through = this.#end;
    return false;
  }

  /** Chunks of the next run, as many as make a long one: the page reader is fast on many pages at a time. */
  #packRun(): PackedRun | undefined {
    if (this.#chunksLeft === 0) return undefined;
    const chunks: Chunk[] = [];
    let unpackedBytes = 0;
    let broken: PackedRun['broken'];
    if (this.#file.damage.chunks > MOST_DAMAGED_CHUNKS) {
      const what = `${this.#chunksLeft} chunks of pages of CPU ${this.cpu} are left out: more than ${MOST_DAMAGED_CHUNKS} of the file cannot be unpacked`;
      broken = { what, at: this.#next };
      this.#chunksLeft = 0;
    }
    while (this.#chunksLeft > 0 && unpackedBytes < this.#packedRunBytes) {
      const chunk = this.#nextChunk();
      if (chunk === undefined) {
        broken = { what: `${this.#chunksLeft} chunks of pages of CPU ${this.cpu} are cut or have sizes that do not fit`, at: this.#next };
        this.#chunksLeft = 0;
        break;
      }
      chunks.push(chunk);
      unpackedBytes += chunk.unpackedBytes;
      // What is not whole pages must stay at the end of its run.
      if (chunk.unpackedBytes % this.#pageSizeBytes !== 0) break;
    }
    return { chunks, unpackedBytes, end: this.#chunksLeft === 0 ? this.#end : this.#next, broken };
  }

  #unpackRun({ chunks, unpackedBytes }: PackedRun): Uint8Array {
    return this.#unpackTogether(chunks, unpackedBytes) ?? this.#unpackEach(chunks);
  }

  #startAhead(): RunAhead | undefined {
    const packed = this.#packRun();
    if (packed === undefined) return undefined;
    const unpacked = this.#unpackAside(packed).then((content) => {
      ahead.isDone = true;
      ahead.content = content;
    });
    const ahead: RunAhead = { packed, unpacked, isDone: false, content: undefined };
    return ahead;
  }

  async #unpackAside({ chunks, unpackedBytes }: PackedRun): Promise<Uint8Array | undefined> {
    const { compression } = this.#file;
    if (compression === 'zstd') {
      const packed = this.#joinChunks(chunks, false);
      const content = await unpackAside(compression, packed, unpackedBytes);
      free(packed.buffer);
      return typeof content === 'string' ? undefined : content;
    }
    const parts = await Promise.all(chunks.map((chunk) => unpackAside(compression, this.#joinChunks([chunk], false), chunk.unpackedBytes)));
    const run = new Uint8Array(unpackedBytes);
    let at = 0;
    for (const part of parts) {
      if (typeof part === 'string') return undefined;
      run.set(part, at);
      at += part.length;
    }
    return run;
  }

  /** The head of the next chunk; undefined where it cannot be one, and then no other is found behind it. */
  #nextChunk(): Chunk | undefined {
    const start = this.#next;
    if (this.#end - start < CHUNK_HEAD_BYTES) return undefined;
    const head = this.#chunks.read(start, CHUNK_HEAD_BYTES);
    const packedBytes = readU32(head, 0, this.#file.little);
    const unpackedBytes = readU32(head, 4, this.#file.little);
    const end = start + CHUNK_HEAD_BYTES + packedBytes;
    if (end > this.#end || unpackedBytes > MAX_CHUNK_BYTES || packedBytes > MAX_CHUNK_BYTES) return undefined;
    this.#chunksLeft--;
    this.#next = end;
    return { start, packedBytes, unpackedBytes };
  }

  /**
   * All chunks in one call, since zstd frames may follow each other and a call of its own for each costs as much as the
   * unpacking; undefined where that is not possible.
   */
  #unpackTogether(chunks: readonly Chunk[], bytes: number): Uint8Array | undefined {
    if (chunks.length < 2 || this.#file.compression !== 'zstd') return undefined;
    const content = unpack('zstd', this.#joinChunks(chunks, true), bytes);
    return typeof content === 'string' ? undefined : content;
  }

  /** What is packed, one behind the other; `isReused` where it is done with before the next run is read. */
  #joinChunks(chunks: readonly Chunk[], isReused: boolean): Uint8Array {
    const packedBytes = chunks.reduce((sum, chunk) => sum + chunk.packedBytes, 0);
    const packed = isReused ? this.#memoryOf(packedBytes) : new Uint8Array(packedBytes);
    let at = 0;
    for (const chunk of chunks) {
      packed.set(this.#chunks.read(chunk.start + CHUNK_HEAD_BYTES, chunk.packedBytes), at);
      at += chunk.packedBytes;
    }
    return packed;
  }

  /** Chunk by chunk; one that is damaged is told and left out. */
  #unpackEach(chunks: readonly Chunk[]): Uint8Array {
    const { compression, damage, onProblem } = this.#file;
    // Memory is not taken for what is refused: a file of 1 KB can claim 32 MB.
    const bytes = chunks.reduce((sum, chunk) => sum + (isTooMuch(chunk.packedBytes, chunk.unpackedBytes) ? 0 : chunk.unpackedBytes), 0);
    const run = chunks.length > 1 ? this.#memoryOf(bytes) : NOTHING;
    let at = 0;
    for (const { start, packedBytes, unpackedBytes } of chunks) {
      const content = unpack(compression, this.#chunks.read(start + CHUNK_HEAD_BYTES, packedBytes), unpackedBytes);
      if (typeof content === 'string') {
        damage.chunks++;
        const what = `pages of CPU ${this.cpu} cannot be unpacked (${content})`;
        if (damage.chunks < MOST_TOLD_CHUNKS) onProblem(this.cpu, what, start, false);
        else onProblem(this.cpu, damage.chunks === MOST_TOLD_CHUNKS ? `${what} and elsewhere` : undefined, start, false);
      } else if (chunks.length === 1) return content;
      else {
        run.set(content, at);
        at += content.length;
      }
    }
    return run.subarray(0, at);
  }

  #memoryOf(bytes: number): Uint8Array {
    if (!this.#isReused) return new Uint8Array(bytes);
    if (this.#memory.length < bytes) this.#memory = new Uint8Array(bytes);
    return this.#memory.subarray(0, bytes);
  }
}

/**
 * Gives memory back at once. Left to the collector of garbage, it would come for each 20 MB of runs, and each run would be memory that
 * is new and cold.
 */
function free(buffer: ArrayBufferLike): void {
  // Small pieces may be of node's pool, which is a little more than it says.
  if (buffer instanceof ArrayBuffer && buffer.byteLength > 2 * Buffer.poolSize) buffer.transfer(0);
}

/** Without a view of its own: there are thousands of chunks. */
function readU32(bytes: Uint8Array, at: number, little: boolean): number {
  const a = bytes[at] as number;
  const b = bytes[at + 1] as number;
  const c = bytes[at + 2] as number;
  const d = bytes[at + 3] as number;
  return (little ? a | (b << 8) | (c << 16) | (d << 24) : d | (c << 8) | (b << 16) | (a << 24)) >>> 0;
}

/** The same bytes up to `end`, of which so many are read at once into memory of its own. */
function readAhead(source: ByteSource, end: number, windowBytes: number): ByteSource {
  let memory = NOTHING;
  let window = NOTHING;
  let windowAt = 0;
  const read = (offset: number, length: number): Uint8Array => {
    if (offset < windowAt || offset + length > windowAt + window.length) {
      if (length > windowBytes) return source.read(offset, length);
      const found = source.read(offset, Math.min(windowBytes, end - offset));
      if (memory.length < found.length) memory = new Uint8Array(Math.min(windowBytes, end));
      memory.set(found);
      window = memory.subarray(0, found.length);
      windowAt = offset;
    }
    return window.subarray(offset - windowAt, Math.min(window.length, offset - windowAt + length));
  };
  return { sizeBytes: source.sizeBytes, read };
}
