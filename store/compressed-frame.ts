/**
 * ClickHouse's frame of compressed bytes, as its column files hold them:
 *
 *   checksum 16 | method | size u32 | raw size u32 | content
 *   |             |        |                         +-- ZSTD frame (method 90), the bytes as they are (02), or what several did in turn (91)
 *   |             |        +-- of method, sizes and content
 *   |             +-- says how to read the frame whatever codec the table has
 *   +-- CityHash128 of all behind it
 *
 *   91: 02 92 90 | 90 | size | raw size | ZSTD frame of: 92 | size | raw size | 08 00 | first value, then differences
 *       |                                                                       |  +-- bytes in front of the first value
 *       |                                                                       +-- width of a value
 *       +-- two methods: Delta, ZSTD
 *
 * Source: ClickHouse, src/Compression (CompressionInfo.h, CompressionCodecMultiple.cpp, CompressionCodecDelta.cpp).
 */
import { cityHash128, type Hash128 } from '../base/city-hash.ts';
import type { ByteWriter } from '../base/bytes.ts';
import { ZstdPacker } from './zstd-packer.ts';

const METHOD = { none: 0x02, zstd: 0x90, several: 0x91, delta: 0x92 } as const;
const CHECKSUM_BYTES = 16;
/** Method and sizes. */
const HEAD_BYTES = 9;
const DELTA_HEAD_BYTES = HEAD_BYTES + 2;
const ZSTD_LEVEL = 1;
const VALUE_BYTES = 8;

export type FrameCodec = 'none' | 'zstd' | 'delta, zstd';

/** Appends `raw` as a frame. `delta, zstd` is for 8-byte values. */
export function writeFrame(out: ByteWriter, raw: Uint8Array, codec: FrameCodec): void {
  const start = out.length;
  out.reserve(CHECKSUM_BYTES + HEAD_BYTES);
  out.length += CHECKSUM_BYTES;
  if (codec === 'none') {
    writeHead(out, METHOD.none, raw.length, raw.length);
    out.writeBytes(raw);
  } else if (codec === 'zstd') {
    const packed = pack(raw);
    writeHead(out, METHOD.zstd, packed.length, raw.length);
    out.writeBytes(packed);
  } else {
    const differences = toDifferences(raw);
    const packed = pack(differences);
    writeHead(out, METHOD.several, 3 + HEAD_BYTES + packed.length, raw.length);
    for (const byte of [2, METHOD.delta, METHOD.zstd]) out.writeU8(byte);
    writeHead(out, METHOD.zstd, packed.length, differences.length);
    out.writeBytes(packed);
  }
  const content = new DataView(out.bytes.buffer, start, out.length - start);
  writeHash(content, 0, cityHash128(out.bytes.subarray(start + CHECKSUM_BYTES, out.length)));
}

export function writeHash(view: DataView, at: number, [low, high]: Hash128): void {
  view.setBigUint64(at, low, true);
  view.setBigUint64(at + 8, high, true);
}

function writeHead(out: ByteWriter, method: number, contentBytes: number, rawBytes: number): void {
  out.writeU8(method);
  out.writeU32(contentBytes + HEAD_BYTES);
  out.writeU32(rawBytes);
}

let packer: ZstdPacker | undefined;

function pack(raw: Uint8Array): Uint8Array {
  packer ??= new ZstdPacker(ZSTD_LEVEL);
  return packer.pack(raw);
}

let scratch = new Uint32Array(0);

/** The frame that the codec Delta makes: each value less the one before it. The result is valid until the next call. */
function toDifferences(raw: Uint8Array): Uint8Array {
  // The values stand behind a head of 11 bytes: three words and a half would split them, so the head ends at byte 16.
  const lead = 16;
  const count = raw.length >> 2;
  if (scratch.length < count + (lead >> 2)) scratch = new Uint32Array(count + (lead >> 2));
  const bytes = new Uint8Array(scratch.buffer, 0, lead + raw.length);
  bytes.set(raw, lead);
  const first = lead >> 2;
  for (let at = first + count - 2; at > first; at -= 2) {
    const low = scratch[at] as number;
    const before = scratch[at - 2] as number;
    scratch[at] = low - before;
    scratch[at + 1] = (scratch[at + 1] as number) - (scratch[at - 1] as number) - (low < before ? 1 : 0);
  }
  const start = lead - DELTA_HEAD_BYTES;
  const view = new DataView(scratch.buffer, start);
  view.setUint8(0, METHOD.delta);
  view.setUint32(1, DELTA_HEAD_BYTES + raw.length, true);
  view.setUint32(5, raw.length, true);
  view.setUint8(9, VALUE_BYTES);
  view.setUint8(10, 0);
  return bytes.subarray(start);
}
