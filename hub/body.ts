/**
 * Request bodies: read whole, decompressed, and bounded three ways: the compressed bytes, the bytes after decompression
 * (a gzip bomb stops at the limit, not at the end of memory), and all bodies that are in memory at one time.
 */
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { messageOf, OperationalError } from '../base/errors.ts';
import { MAX_BODY_BYTES, toCompression, unpack } from '../otlp/compression.ts';

/** All request bodies in memory together; beyond it a sender is told to retry. */
const MAX_HELD_BYTES = 256 << 20;

export class BodyReader {
  readonly #maxBytes: number;
  readonly #maxHeldBytes: number;
  #heldBytes = 0;

  constructor(maxBytes = MAX_BODY_BYTES, maxHeldBytes = MAX_HELD_BYTES) {
    this.#maxBytes = maxBytes;
    this.#maxHeldBytes = Math.max(maxHeldBytes, maxBytes);
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Reads the body and hands it to `use`; the memory counts as held until `use` is done. */
  async with<T>(incoming: IncomingMessage, use: (body: Uint8Array) => Promise<T>): Promise<T> {
    const encoding = incoming.headers['content-encoding'];
    const compression = toCompression(encoding);
    if (compression === undefined) throw unsupported(encoding);
    if (Number(incoming.headers['content-length'] ?? 0) > this.#maxBytes) throw this.#tooLarge();
    const held = { bytes: 0 };
    try {
      const packed = await this.#read(incoming, held);
      const unpacked = await unpack(packed, compression, this.#maxBytes);
      if (!unpacked.ok) throw unpacked.tooLarge ? this.#tooLarge() : malformed(unpacked.message);
      if (compression !== 'none') this.#hold(held, unpacked.bytes.length);
      return await use(unpacked.bytes);
    } finally {
      this.#heldBytes -= held.bytes;
    }
  }

  async #read(stream: Readable, held: { bytes: number }): Promise<Uint8Array> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        this.#hold(held, chunk.length);
        if (held.bytes > this.#maxBytes) throw this.#tooLarge();
        chunks.push(chunk);
      }
    } catch (error) {
      if (error instanceof OperationalError) throw error;
      throw malformed(`the body ended early: ${messageOf(error)}`);
    }
    return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, held.bytes);
  }

  #hold(held: { bytes: number }, bytes: number): void {
    held.bytes += bytes;
    this.#heldBytes += bytes;
    if (this.#heldBytes > this.#maxHeldBytes) throw busy(this.#heldBytes);
  }

  #tooLarge(): OperationalError {
    return new OperationalError('E_BODY_TOO_LARGE', `the body is over ${this.#maxBytes} bytes after decompression`, 'send smaller batches');
  }
}

function busy(heldBytes: number): OperationalError {
  return new OperationalError(
    'E_STORE_BUSY',
    `${heldBytes} bytes of requests are in memory already`,
    'retry after the time in Retry-After',
  );
}

/** The body as it was before `content-encoding`, for those who stream it. */
export function decompress(incoming: IncomingMessage): Readable {
  const encoding = incoming.headers['content-encoding'];
  const compression = toCompression(encoding);
  if (compression === undefined) throw unsupported(encoding);
  if (compression === 'none') return incoming;
  const inflater = compression === 'gzip' ? createGunzip() : createZstdDecompress();
  incoming.once('error', (error) => inflater.destroy(error));
  incoming.once('close', () => {
    if (!incoming.complete) inflater.destroy(new Error('the connection closed before the body was whole'));
  });
  return incoming.pipe(inflater);
}

function malformed(message: string): OperationalError {
  return new OperationalError('E_REQUEST', message, 'check content-encoding and that the body is whole');
}

function unsupported(encoding: string | undefined): OperationalError {
  return new OperationalError('E_MEDIA_TYPE', `content-encoding ${encoding} is not supported`, 'use gzip, zstd or none');
}
