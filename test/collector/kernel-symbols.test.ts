import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';

import { FormatStore } from '../../collector/format-store.ts';
import { readPackedSymbols } from '../../collector/kernel-symbols.ts';
import { Peer, type Exchange } from '../../collector/peer.ts';
import { SYMBOLS_PATH } from '../../model/segment.ts';
import { tempFolder } from './live.ts';

test("symbols: the kernel's own, packed whole; none where it hides their addresses, or has no such file", async (t) => {
  const packed = await readPackedSymbols('/');
  assert.ok(packed !== undefined);
  const unpacked = zstdDecompressSync(packed);
  assert.match(unpacked.toString('latin1'), /^[0-9a-f]+ [tT] schedule$/m);
  // BPF programs come and go between two readings.
  const read = readFileSync('/proc/kallsyms').toString('latin1');
  assert.equal(unpacked.toString('latin1').slice(0, 1 << 20), read.slice(0, 1 << 20));
  assert.ok(packed.length < unpacked.length / 2);

  const root = tempFolder(t);
  assert.equal(await readPackedSymbols(root), undefined);
  mkdirSync(join(root, 'proc'));
  writeFileSync(join(root, 'proc/kallsyms'), '0000000000000000 T _text\n0000000000000000 t schedule\n'.repeat(20_000));
  assert.equal(await readPackedSymbols(root), undefined);
});

test('symbols: offered to a hub once a day; after a failure again soon, and at once to another hub', async (t) => {
  const sent: string[] = [];
  let status = 200;
  let isHub = true;
  const exchange: Exchange = (method, path, type, body, encoding) => {
    if (method === 'GET')
      return Promise.resolve({ status: isHub ? 200 : 404, body: Buffer.from('{"mkscope":"test","formats":[]}'), error: '' });
    sent.push(`${method} ${path} ${type} ${body?.length} ${encoding}`);
    return Promise.resolve({ status, body: new Uint8Array(0), error: '' });
  };
  const read = () => Promise.resolve(new Uint8Array(5));
  const peer = new Peer(exchange, new FormatStore(tempFolder(t)), { bootId: 'b/1', read });
  await peer.offerSymbols(0);
  assert.deepEqual(sent, [], 'nobody knows yet who is there');
  await peer.meet();
  status = 500;
  for (const seconds of [1, 5, 15]) await peer.offerSymbols(seconds * 1000);
  assert.deepEqual(sent, [`PUT ${SYMBOLS_PATH}/b%2F1 application/vnd.mkscope.kallsyms 5 zstd`]);
  status = 200;
  for (const seconds of [61, 120, 3600, 61 + 24 * 3600 - 1]) await peer.offerSymbols(seconds * 1000);
  assert.equal(sent.length, 2);
  await peer.offerSymbols((61 + 24 * 3600) * 1000);
  assert.equal(sent.length, 3);
  await peer.meet();
  await peer.offerSymbols((62 + 24 * 3600) * 1000);
  assert.equal(sent.length, 4);
  isHub = false;
  await peer.meet();
  await peer.offerSymbols(1e12);
  assert.equal(sent.length, 4, 'another receiver has no use for them');
});
