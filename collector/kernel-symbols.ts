/** `/proc/kallsyms`, packed as it is read: 10 MB of text that is never whole in memory, 2 MB that are sent. */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import { errnoOf } from '../base/errors.ts';

const ZSTD_LEVEL = 3;
/** A line with an address; with kptr_restrict all of them are zeros. */
const SHOWN = /^0*[1-9a-f][0-9a-f]* /m;

/** Undefined where the kernel has none, or does not show their addresses to this process. */
export async function readPackedSymbols(root: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const packed: Buffer[] = [];
  let isShown = false;
  try {
    await pipeline(
      createReadStream(join(root, 'proc/kallsyms'), { highWaterMark: 1 << 18 }),
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          isShown ||= SHOWN.test(chunk.toString('latin1'));
          yield chunk;
        }
      },
      createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } }),
      async (chunks: AsyncIterable<Buffer>) => {
        for await (const chunk of chunks) packed.push(chunk);
      },
    );
  } catch (error) {
    if (['ENOENT', 'EACCES', 'EPERM'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
  return isShown ? new Uint8Array(Buffer.concat(packed)) : undefined;
}
