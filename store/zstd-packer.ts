/**
 * ZSTD for many small frames. `zstdCompressSync` makes a stream and a context for each call and throws both away: 50 µs of processor
 * time on a quiet machine, up to 200 on a busy one, and half a megabyte that V8 counts until it collects garbage in the middle of it.
 * Node has no call that keeps a context, but its streams do, and the end of a frame makes theirs ready for the next one: 3–15 µs
 * for a frame of 64 bytes to 64 KB.
 *
 * So the stream's own handle is called. It is no public interface: where it is not as known, or does not give back what it was given
 * when first tried, frames are made one call each, as documented.
 * Source: Node, lib/zlib.js (processChunkSync), src/node_zlib.cc (CompressionStream::Write).
 */
import { constants, createZstdCompress, zstdCompressSync, zstdDecompressSync, type ZstdCompress } from 'node:zlib';

/** Packs a whole frame into `output`; the words that say what is left are in the stream's `_writeState`. */
interface StreamHandle {
  writeSync(
    flush: number,
    input: Uint8Array,
    inputAt: number,
    inputBytes: number,
    output: Uint8Array,
    outputAt: number,
    outputBytes: number,
  ): void;
}

interface StreamInside {
  readonly _handle?: Partial<StreamHandle> | null;
  /** Bytes of output, then of input, that are left. */
  readonly _writeState?: unknown;
}

const SAMPLE = Uint8Array.from({ length: 3000 }, (_, at) => (at * at) >> 5);

export class ZstdPacker {
  readonly #params: Record<number, number>;
  /** Undefined: a call for each frame. */
  #inside: { readonly stream: ZstdCompress; readonly handle: StreamHandle; readonly left: Uint32Array } | undefined;
  #output = new Uint8Array(1 << 16);
  #failure: Error | undefined;

  constructor(level: number) {
    this.#params = { [constants.ZSTD_c_compressionLevel]: level };
    this.#inside = this.#open();
    if (this.#inside !== undefined && !this.#isRight()) this.#inside = undefined;
  }

  /** Whether one context serves all frames. */
  get keepsContext(): boolean {
    return this.#inside !== undefined;
  }

  /** A frame of `raw`, with its size in it. Valid until the next call. */
  pack(raw: Uint8Array): Uint8Array {
    if (this.#inside === undefined) return zstdCompressSync(raw, { params: this.#params });
    const { handle, left } = this.#inside;
    const bound = boundOf(raw.length);
    if (this.#output.length < bound) this.#output = new Uint8Array(bound);
    const output = this.#output;
    handle.writeSync(constants.ZSTD_e_end, raw, 0, raw.length, output, 0, output.length);
    if (this.#failure !== undefined) throw this.#failure;
    const [outputLeft = 0, inputLeft = 0] = left;
    if (inputLeft !== 0 || outputLeft === 0) throw new Error(`a ZSTD frame of ${raw.length} bytes does not end within ${output.length}`);
    return output.subarray(0, output.length - outputLeft);
  }

  #open() {
    const stream = createZstdCompress({ params: this.#params });
    stream.on('error', (error) => (this.#failure = error));
    const { _handle: handle, _writeState: left } = stream as unknown as StreamInside;
    if (typeof handle?.writeSync !== 'function' || !(left instanceof Uint32Array)) return undefined;
    return { stream, handle: handle as StreamHandle, left };
  }

  /** Twice: the second frame shows that the first one ended. */
  #isRight(): boolean {
    try {
      return [SAMPLE, SAMPLE.subarray(1)].every((sample) => zstdDecompressSync(this.pack(sample)).equals(sample));
    } catch {
      return false;
    }
  }
}

/** ZSTD_COMPRESSBOUND, and a byte: output that is full looks like output that was not enough. */
function boundOf(bytes: number): number {
  return bytes + (bytes >> 8) + 1024;
}
