import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { ZstdPacker } from '../../store/zstd-packer.ts';

test('zstd: one context packs frame after frame, each whole and like one of its own', () => {
  const packer = new ZstdPacker(1);
  // A Node whose streams are made otherwise still packs, and this says that it is slow.
  assert.ok(packer.keepsContext, 'the inside of a zlib stream is not as it was');
  const text = readFileSync(join(import.meta.dirname, '../../docs/formats/ftrace_text.md'));
  const inputs = [
    Buffer.alloc(0),
    text.subarray(0, 1),
    text,
    Buffer.alloc(64 << 10),
    randomBytes(300_000),
    Buffer.alloc(5 << 20, text),
    text,
  ];
  for (const input of inputs) {
    const frame = packer.pack(input);
    assert.ok(zstdDecompressSync(frame).equals(input), `${input.length} bytes`);
    assert.ok(frame.length <= input.length + (input.length >> 8) + 64);
  }
  assert.deepEqual(packer.pack(text).slice(), new ZstdPacker(1).pack(text));
});
