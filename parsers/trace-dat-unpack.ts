/** Unpacks what trace-cmd compressed: one zlib stream or one zstd frame, into at most as many bytes as the file says. */
import { constants, inflate, inflateSync, zstdDecompress, zstdDecompressSync } from 'node:zlib';
import { messageOf } from '../base/errors.ts';

/** trace-cmd's frames have windows of at most 8 MB; a frame that asks for more memory is refused. */
const MAX_WINDOW_LOG = 23;
const ZSTD = { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG };

/** Pages with little in them pack to 1/300; a file that claims more than this is a bomb. */
const MAX_RATIO = 2048;

/** The content, of exactly `sizeBytes`; a string says why there is none. */
export function unpack(compression: string, packed: Uint8Array, sizeBytes: number): Uint8Array | string {
  const refused = refusal(compression, packed, sizeBytes);
  if (refused !== undefined) return refused;
  let content: Uint8Array;
  try {
    content =
      compression === 'zlib'
        ? inflateSync(packed, boundsOf(sizeBytes))
        : zstdDecompressSync(packed, { ...boundsOf(sizeBytes), params: ZSTD });
  } catch (error) {
    return messageOf(error);
  }
  return content.length === sizeBytes ? content : `${content.length} bytes instead of ${sizeBytes}`;
}

/** As `unpack`, by node's threads. */
export function unpackAside(compression: string, packed: Uint8Array, sizeBytes: number): Promise<Uint8Array | string> {
  const refused = refusal(compression, packed, sizeBytes);
  if (refused !== undefined) return Promise.resolve(refused);
  return new Promise((resolve) => {
    const done = (error: Error | null, content: Uint8Array): void => {
      if (error !== null) resolve(messageOf(error));
      else resolve(content.length === sizeBytes ? content : `${content.length} bytes instead of ${sizeBytes}`);
    };
    if (compression === 'zlib') inflate(packed, boundsOf(sizeBytes), done);
    else zstdDecompress(packed, { ...boundsOf(sizeBytes), params: ZSTD }, done);
  });
}

/** What is packed into so many bytes cannot be that much. */
export function isTooMuch(packedBytes: number, sizeBytes: number): boolean {
  return sizeBytes > packedBytes * MAX_RATIO;
}

function refusal(compression: string, packed: Uint8Array, sizeBytes: number): string | undefined {
  if (isTooMuch(packed.length, sizeBytes)) return `${sizeBytes} bytes cannot come from ${packed.length}`;
  return compression === 'zlib' || compression === 'zstd' ? undefined : `unknown compression ${JSON.stringify(compression.slice(0, 32))}`;
}

function boundsOf(sizeBytes: number): { readonly maxOutputLength: number; readonly chunkSize: number } {
  // In one piece: in node's own pieces of 16 KB, 254 MB of pages took 0.9 s. And with a byte to spare: what fills its piece to the
  // last byte gets another one, which is taken and given back for nothing (0.42 s for 236 MB instead of 0.25).
  return { maxOutputLength: Math.max(1, sizeBytes), chunkSize: Math.max(constants.Z_MIN_CHUNK, sizeBytes + 1) };
}
