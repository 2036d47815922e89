/** Our writer against the device tree compiler's reading of it, where that is installed, and against the layout itself. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

import { encodeDeviceTree, text, u32, u64 } from '../../../deploy/lab/device-tree.ts';

const TREE = encodeDeviceTree({
  properties: { compatible: text('multikernel-v1'), id: u32(3) },
  children: { resources: { properties: { cpus: u64(8, 10), 'memory-bytes': u64(2n ** 33n) } }, empty: {} },
});

test('device tree: the header says where the blocks are', () => {
  const view = new DataView(TREE.buffer, TREE.byteOffset, TREE.byteLength);
  const [magic, total, structAt, stringsAt, , version, , , stringsLength, structLength] = Array.from({ length: 10 }, (_field, index) =>
    view.getUint32(index * 4),
  ) as [number, number, number, number, number, number, number, number, number, number];
  assert.equal(magic, 0xd00dfeed);
  assert.equal(version, 17);
  assert.equal(total, TREE.length);
  assert.equal(structAt + structLength, stringsAt);
  assert.equal(stringsAt + stringsLength, total);
});

test('device tree: dtc reads it back', (t) => {
  const dtc = spawnSync('dtc', ['-I', 'dtb', '-O', 'dts', '-q'], { input: TREE, encoding: 'utf8' });
  if (dtc.error !== undefined) return t.skip('needs dtc (device-tree-compiler)');
  assert.equal(dtc.status, 0, dtc.stderr);
  assert.match(dtc.stdout, /compatible = "multikernel-v1";\s+id = <0x03>;/);
  assert.match(dtc.stdout, /cpus = <0x00 0x08 0x00 0x0a>;\s+memory-bytes = <0x02 0x00>;/);
  assert.match(dtc.stdout, /empty \{\s+\};/);
});
