/** Unpacks what trace-cmd compressed: one zlib stream or one zstd frame, into at most as many bytes as the file says. */
import { constants, inflateSync, zstdDecompressSync } from 'node:zlib';
import { messageOf } from '../base/errors.ts';

/** trace-cmd's frames have windows of at most 8 MB; a frame that asks for more memory is refused. */
const MAX_WINDOW_LOG = 25;

/** Pages with little in them pack to 1/300; a file that claims more than this is a bomb. */
const MAX_RATIO = 2048;

/** The content, of exactly `sizeBytes`; a string says why there is none. */
export function unpack(compression: string, packed: Uint8Array, sizeBytes: number): Uint8Array | string {
  if (sizeBytes > packed.length * MAX_RATIO) return `${sizeBytes} bytes cannot come from ${packed.length}`;
  const maxOutputLength = Math.max(1, sizeBytes);
  // In one piece: in node's own pieces of 16 KB, 254 MB of pages took 0.9 s. And with a byte to spare: what fills its piece to the
  // last byte gets another one, which is taken and given back for nothing (0.42 s for 236 MB instead of 0.25).
  const chunkSize = Math.max(constants.Z_MIN_CHUNK, sizeBytes + 1);
  let content: Uint8Array;
  try {
    if (compression === 'zlib') content = inflateSync(packed, { maxOutputLength, chunkSize });
    else if (compression === 'zstd')
      content = zstdDecompressSync(packed, { maxOutputLength, chunkSize, params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG } });
    else return `unknown compression ${JSON.stringify(compression.slice(0, 32))}`;
  } catch (error) {
    return messageOf(error);
  }
  return content.length === sizeBytes ? content : `${content.length} bytes instead of ${sizeBytes}`;
}
