/**
 * From how a record lies in the spool to how its receiver takes it. A hub takes what is spooled; another backend may not know
 * zstd, may want JSON, and may be asked for without compression, and is often known only after the record was spooled.
 */
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync, constants as zlib } from 'node:zlib';
import { encodeUtf8 } from '../base/bytes.ts';
import { CONTENT_TYPES, type Encoding } from '../otlp/answer.ts';
import type { Compression } from '../otlp/compression.ts';
import { toRequestJson } from '../otlp/encode.ts';
import type { Signal } from '../otlp/schema.ts';
import type { SpoolHeader, SpooledRecord } from './spool.ts';

/** Less is not worth the frame of a compressor. */
const MIN_COMPRESS_BYTES = 512;

export interface WireForm {
  readonly encoding: Encoding;
  readonly compression: Compression;
}

export interface WireBody {
  readonly contentType: string;
  readonly encoding: SpoolHeader['encoding'];
  readonly body: Uint8Array;
}

/** zstd in the spool where the receiver is a hub, else what the receiver is configured for. */
export function compress(
  body: Uint8Array,
  compression: Compression,
): { readonly encoding: SpoolHeader['encoding']; readonly body: Uint8Array } {
  if (body.length < MIN_COMPRESS_BYTES || compression === 'none') return { encoding: 'identity', body };
  if (compression === 'gzip') return { encoding: 'gzip', body: gzipSync(body, { level: 1 }) };
  return { encoding: 'zstd', body: zstdCompressSync(body, { params: { [zlib.ZSTD_c_compressionLevel]: 1 } }) };
}

/** `form` undefined: the receiver is a hub. */
export function toWireBody({ header, body }: SpooledRecord, form: WireForm | undefined): WireBody {
  const asSpooled = { contentType: header.contentType, encoding: header.encoding, body };
  if (form === undefined) return asSpooled;
  const wanted = form.compression === 'none' ? 'identity' : form.compression;
  if (form.encoding === 'protobuf' && (header.encoding === wanted || header.encoding === 'identity')) return asSpooled;
  const plain = decompress(body, header.encoding);
  const signal = header.path.slice('/v1/'.length) as Signal;
  const content = form.encoding === 'json' ? encodeUtf8(toRequestJson(signal, plain)) : plain;
  return { contentType: CONTENT_TYPES[form.encoding], ...compress(content, form.compression) };
}

function decompress(body: Uint8Array, encoding: SpoolHeader['encoding']): Uint8Array {
  switch (encoding) {
    case 'identity':
      return body;
    case 'gzip':
      return gunzipSync(body);
    case 'zstd':
      return zstdDecompressSync(body);
  }
}
