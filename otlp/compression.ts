/**
 * Content-Encoding of OTLP bodies: gzip (which every receiver must take) and zstd. Both run in Node's thread pool. Unpacking
 * stops at the limit: a bomb costs its limit in memory and no more.
 */
import { promisify } from 'node:util';
import { constants, gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import { errnoOf, messageOf } from '../base/errors.ts';

export type Compression = 'none' | 'gzip' | 'zstd';

/** OTLP recommends 64 MiB, after decompression. */
export const MAX_BODY_BYTES = 64 << 20;
/** RFC 9659: a zstd content coding needs no window above 8 MiB, so a frame that asks for more is refused. */
const ZSTD_WINDOW_LOG_MAX = 23;

const gzipAsync = promisify(gzip);
const gunzipAsync = promisify(gunzip);
const zstdCompressAsync = promisify(zstdCompress);
const zstdDecompressAsync = promisify(zstdDecompress);

/** Value of the header, undefined for none. */
export function toContentEncoding(compression: Compression): string | undefined {
  return compression === 'none' ? undefined : compression;
}

/** What a Content-Encoding header names; undefined for codings that we do not read. */
export function toCompression(contentEncoding: string | undefined): Compression | undefined {
  switch (contentEncoding?.trim().toLowerCase() ?? '') {
    case '':
    case 'identity':
      return 'none';
    case 'gzip':
    case 'x-gzip':
      return 'gzip';
    case 'zstd':
      return 'zstd';
    default:
      return undefined;
  }
}

/** Fastest levels: the wire is local or the data is small, and CPU is what a collector must not use. */
export async function pack(bytes: Uint8Array, compression: Compression): Promise<Uint8Array> {
  switch (compression) {
    case 'none':
      return bytes;
    case 'gzip':
      return gzipAsync(bytes, { level: 1 });
    case 'zstd':
      return zstdCompressAsync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  }
}

export type Unpacked =
  | { readonly ok: true; readonly bytes: Uint8Array }
  | { readonly ok: false; readonly tooLarge: boolean; readonly message: string };

/** The body as it was before compression, at most `limitBytes` of it. */
export async function unpack(bytes: Uint8Array, compression: Compression, limitBytes = MAX_BODY_BYTES): Promise<Unpacked> {
  if (compression === 'none') return bytes.length > limitBytes ? tooLarge(limitBytes) : { ok: true, bytes };
  try {
    return { ok: true, bytes: await unpackAny(bytes, compression, limitBytes) };
  } catch (error) {
    if (errnoOf(error) === 'ERR_BUFFER_TOO_LARGE') return tooLarge(limitBytes);
    return { ok: false, tooLarge: false, message: `the body is not valid ${compression}: ${messageOf(error)}` };
  }
}

async function unpackAny(bytes: Uint8Array, compression: 'gzip' | 'zstd', maxOutputLength: number): Promise<Uint8Array> {
  if (compression === 'gzip') return gunzipAsync(bytes, { maxOutputLength });
  return zstdDecompressAsync(bytes, { maxOutputLength, params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX } });
}

function tooLarge(limitBytes: number): Unpacked {
  return { ok: false, tooLarge: true, message: `the body is over ${limitBytes} bytes after decompression` };
}
