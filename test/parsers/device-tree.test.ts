import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeDeviceTree, text, u32, u64 } from '../../deploy/lab/device-tree.ts';
import { parseDeviceTree, readString, readU32, readU64List, type DeviceTreeNode } from '../../parsers/device-tree.ts';
import { createRandom } from '../support/random.ts';

/**
 * `dtc -V 17` of `/dts-v1/; / { model = "web-1"; id = <23>; resources { cpus = /bits/ 64 <8 10>; odd = [01 02 03]; empty; }; };`
 * (dtc 1.6.1), so that the reader is not only tested against our own writer.
 */
const OF_DTC = Buffer.from(
  'd00dfeed000000d000000038000000b800000028000000110000001000000000000000180000008000000000000000000000000000000000' +
    '00000001000000000000000300000006000000007765622d3100000000000003000000040000000600000017000000017265736f75726365' +
    '730000000000000300000010000000090000000000000008000000000000000a00000003000000030000000e010203000000000300000000' +
    '000000120000000200000002000000096d6f64656c0069640063707573006f646400656d70747900',
  'hex',
);

function treeOf(bytes: Uint8Array): DeviceTreeNode {
  const tree = parseDeviceTree(bytes);
  assert.ok(typeof tree !== 'string', String(tree));
  return tree;
}

const SAMPLE = encodeDeviceTree({
  properties: { model: text('web-1', 'second'), id: u32(23) },
  children: {
    resources: {
      properties: { cpus: u64(8, 10), odd: Uint8Array.of(1, 2, 3), empty: new Uint8Array(0) },
      children: { 'memory@100000000': { properties: { reg: u64(0x1_0000_0000n, 0x8000_0000n) } } },
    },
  },
});

test('device tree: nodes, properties and typed values', () => {
  const tree = treeOf(SAMPLE);
  const resources = tree.children.get('resources');
  assert.equal(readString(tree, 'model'), 'web-1');
  assert.equal(readU32(tree, 'id'), 23);
  assert.deepEqual(readU64List(resources, 'cpus'), [8n, 10n]);
  assert.deepEqual(readU64List(resources, 'odd'), []);
  assert.deepEqual(readU64List(resources, 'missing'), []);
  assert.equal(readU32(resources, 'odd'), undefined);
  assert.equal(resources?.properties.get('empty')?.length, 0);
  assert.deepEqual(readU64List(resources?.children.get('memory@100000000'), 'reg'), [0x1_0000_0000n, 0x8000_0000n]);
});

test('device tree: reads what dtc wrote', () => {
  const tree = treeOf(OF_DTC);
  const resources = tree.children.get('resources');
  assert.deepEqual([readString(tree, 'model'), readU32(tree, 'id'), readU64List(resources, 'cpus')], ['web-1', 23, [8n, 10n]]);
  assert.deepEqual([...(resources?.properties.get('odd') ?? [])], [1, 2, 3]);
  assert.equal(resources?.properties.get('empty')?.length, 0);
});

test('device tree: what is cut or no tree is refused in words', () => {
  for (let length = 0; length < SAMPLE.length; length++) {
    const refused = parseDeviceTree(SAMPLE.subarray(0, length));
    // The strings stand behind the tree: what needs none of the last ones is whole.
    if (typeof refused !== 'string') assert.ok(length > SAMPLE.length - 40);
    else assert.match(refused, /device tree|byte|node|property/);
  }
  assert.match(String(parseDeviceTree(Buffer.alloc(100))), /magic/);
});

test('device tree: mutated blobs neither throw nor hang', () => {
  const random = createRandom(11);
  for (let run = 0; run < 20_000; run++) {
    const bytes = Uint8Array.from(SAMPLE);
    for (let i = 0; i < 3; i++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    const tree = parseDeviceTree(bytes);
    if (typeof tree !== 'string') readU64List(tree.children.get('resources'), 'cpus');
  }
});
