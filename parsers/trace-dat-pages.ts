/**
 * The pages of one CPU in a trace.dat file, some at a time.
 *
 *   not compressed: pages, one behind the other
 *   compressed:     u32 chunks × ( u32 bytes, u32 bytes unpacked, data )      unpacked: whole pages; the count is not part of
 *                                                                             the bytes that the BUFFER option tells
 */
import type { ByteSource } from '../model/event-file.ts';
import { DatCursor } from './trace-dat-cursor.ts';
import type { CpuExtent, DatBuffer } from './trace-dat-parts.ts';
import { unpack } from './trace-dat-unpack.ts';

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
const NOTHING = new Uint8Array(0);

interface Chunk {
  readonly start: number;
  readonly packedBytes: number;
  readonly unpackedBytes: number;
}

export interface PageFile {
  readonly source: ByteSource;
  readonly little: boolean;
  readonly compression: string;
  /** Where a page holds its time. */
  readonly timestampOffset: number;
  /** `isCut`: the file ends before them. */
  readonly onProblem: (cpu: number, what: string, offset: number, isCut: boolean) => void;
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
  #chunksLeft = 0;
  /** Next byte of the file to read. */
  #next: number;
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
    this.#next = extent.offset;
    const wantedEnd = extent.offset + extent.sizeBytes + (buffer.compressed ? COUNT_BYTES : 0);
    this.#end = Math.min(wantedEnd, file.source.sizeBytes);
    if (this.#end < wantedEnd) {
      const cut = wantedEnd - Math.max(this.#end, extent.offset);
      file.onProblem(extent.cpu, `pages of CPU ${extent.cpu} are cut by ${cut} bytes`, extent.offset, true);
    }
    if (buffer.compressed) this.#openChunks();
  }

  /** Bytes of the file come through so far. */
  get readBytes(): number {
    return Math.min(Math.max(this.#next - this.#extent.offset, 0), this.#extent.sizeBytes);
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
    const cursor = new DatCursor(this.#file.source, this.#file.little, this.#next, this.#end);
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
    return this.#run.length > 0;
  }

  /** Unpacks the next chunks that can be, as many as make a run: the page reader is fast on many pages at a time. */
  #readChunks(): boolean {
    while (this.#chunksLeft > 0 && this.#run.length === 0) {
      const chunks: Chunk[] = [];
      let bytes = 0;
      while (this.#chunksLeft > 0 && bytes < this.#packedRunBytes) {
        const chunk = this.#nextChunk();
        if (chunk === undefined) break;
        chunks.push(chunk);
        bytes += chunk.unpackedBytes;
        // What is not whole pages must stay at the end of its run.
        if (chunk.unpackedBytes % this.#pageSizeBytes !== 0) break;
      }
      this.#run = this.#unpackTogether(chunks, bytes) ?? this.#unpackEach(chunks, bytes);
    }
    if (this.#chunksLeft === 0) this.#next = this.#end;
    return this.#run.length > 0;
  }

  /** The head of the next chunk; undefined where it cannot be one, and then no other is found behind it. */
  #nextChunk(): Chunk | undefined {
    const { source, little, onProblem } = this.#file;
    const start = this.#next;
    const cursor = new DatCursor(source, little, start, Math.min(this.#end, start + CHUNK_HEAD_BYTES));
    const packedBytes = cursor.readU32();
    const unpackedBytes = cursor.readU32();
    const end = start + CHUNK_HEAD_BYTES + packedBytes;
    if (cursor.failed || end > this.#end || unpackedBytes > MAX_CHUNK_BYTES || packedBytes > MAX_CHUNK_BYTES) {
      const what = `${this.#chunksLeft} chunks of pages of CPU ${this.cpu} are cut or have sizes that do not fit`;
      onProblem(this.cpu, what, start, false);
      this.#chunksLeft = 0;
      return undefined;
    }
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
    const packedBytes = chunks.reduce((sum, chunk) => sum + chunk.packedBytes, 0);
    const packed = this.#memoryOf(packedBytes);
    let at = 0;
    for (const chunk of chunks) {
      packed.set(this.#file.source.read(chunk.start + CHUNK_HEAD_BYTES, chunk.packedBytes), at);
      at += chunk.packedBytes;
    }
    const content = unpack('zstd', packed, bytes);
    return typeof content === 'string' ? undefined : content;
  }

  /** Chunk by chunk; one that is damaged is told and left out. */
  #unpackEach(chunks: readonly Chunk[], bytes: number): Uint8Array {
    const { source, compression, onProblem } = this.#file;
    const run = chunks.length > 1 ? this.#memoryOf(bytes) : NOTHING;
    let at = 0;
    for (const { start, packedBytes, unpackedBytes } of chunks) {
      const content = unpack(compression, source.read(start + CHUNK_HEAD_BYTES, packedBytes), unpackedBytes);
      if (typeof content === 'string') onProblem(this.cpu, `pages of CPU ${this.cpu} cannot be unpacked (${content})`, start, false);
      else if (chunks.length === 1) return content;
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
