/**
 * A flattened device tree (DTB), versions 16 and 17, as Multikernel shows its pool and its instances. All numbers are big-endian.
 *
 *   d0 0d fe ed | size | off struct | off strings | off reserve map | 17 | 16 | boot cpu | size strings | size struct
 *   struct:   00000001 "cpu@0\0" pad           begin of a node
 *             00000003 length nameoff value pad    a property; its name is in the strings block
 *             00000004                             nothing
 *             00000002                         end of the node … 00000009 end of the tree
 *   strings:  names of properties, NUL-terminated
 *
 * Values have no types: who asks for a property says what it is. Not handled: the reserve map, phandles, overlays (DTBO).
 * Spec: devicetree specification v0.4, chapter 5.
 */
import { decodeUtf8 } from '../base/bytes.ts';

export interface DeviceTreeNode {
  readonly properties: ReadonlyMap<string, Uint8Array>;
  readonly children: ReadonlyMap<string, DeviceTreeNode>;
}

const MAGIC = 0xd00dfeed;
const HEADER_BYTES = 40;
const OLDEST_COMPATIBLE = 17;
const TOKEN = { beginNode: 1, endNode: 2, property: 3, nothing: 4, end: 9 } as const;
/** dtc has no such limits; a real machine's tree has some hundred nodes, six deep. */
const MAX_DEPTH = 64;
const MAX_NODES = 65_536;
const MAX_NAME_BYTES = 256;

interface OpenNode {
  readonly properties: Map<string, Uint8Array>;
  readonly children: Map<string, OpenNode>;
}

/** The tree, or what is wrong with the blob. Values are views of `bytes`. */
export function parseDeviceTree(bytes: Uint8Array): DeviceTreeNode | string {
  if (bytes.length < HEADER_BYTES) return `a device tree has a header of ${HEADER_BYTES} bytes, here are ${bytes.length}`;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0) !== MAGIC) return 'no device tree: the magic number is missing';
  const structAt = view.getUint32(8);
  const stringsAt = view.getUint32(12);
  const compatible = view.getUint32(24);
  if (compatible > OLDEST_COMPATIBLE) return `a device tree of version ${compatible} is newer than 17`;
  if (structAt > bytes.length || stringsAt > bytes.length) {
    return `the blocks of the device tree lie at ${structAt} and ${stringsAt} of ${bytes.length} bytes`;
  }
  return readTree(bytes, view, structAt, stringsAt);
}

function readTree(bytes: Uint8Array, view: DataView, structAt: number, stringsAt: number): DeviceTreeNode | string {
  const root: OpenNode = { properties: new Map(), children: new Map() };
  const open: OpenNode[] = [];
  let nodes = 0;
  let at = structAt;
  while (at + 4 <= bytes.length) {
    const token = view.getUint32(at);
    const tokenAt = at;
    at += 4;
    const parent = open.at(-1);
    if (token === TOKEN.beginNode) {
      const end = bytes.indexOf(0, at);
      if (end < 0 || end - at > MAX_NAME_BYTES) return `the name of the node at byte ${tokenAt} has no end`;
      if (++nodes > MAX_NODES || open.length >= MAX_DEPTH) return `more than ${MAX_NODES} nodes or ${MAX_DEPTH} levels at byte ${tokenAt}`;
      const node: OpenNode = parent === undefined ? root : { properties: new Map(), children: new Map() };
      parent?.children.set(decodeUtf8(bytes, at, end), node);
      open.push(node);
      at = align4(end + 1, structAt);
    } else if (token === TOKEN.property) {
      if (parent === undefined || at + 8 > bytes.length) return `a property at byte ${tokenAt} stands outside of a node`;
      const length = view.getUint32(at);
      const nameAt = stringsAt + view.getUint32(at + 4);
      at += 8;
      const nameEnd = nameAt < bytes.length ? bytes.indexOf(0, nameAt) : -1;
      if (nameEnd < 0 || nameEnd - nameAt > MAX_NAME_BYTES) return `the property at byte ${tokenAt} has no name`;
      if (length > bytes.length - at) return `the property at byte ${tokenAt} is longer than the tree`;
      parent.properties.set(decodeUtf8(bytes, nameAt, nameEnd), bytes.subarray(at, at + length));
      at = align4(at + length, structAt);
    } else if (token === TOKEN.endNode) {
      if (open.pop() === undefined) return `a node ends at byte ${tokenAt} that did not begin`;
    } else if (token === TOKEN.end) {
      return open.length === 0 && nodes > 0 ? root : `the tree ends within a node at byte ${tokenAt}`;
    } else if (token !== TOKEN.nothing) return `token ${token} at byte ${tokenAt} is none of a device tree`;
  }
  return 'the device tree is cut';
}

/** Up to the next multiple of four from the start of the block. */
function align4(at: number, structAt: number): number {
  return at + ((4 - ((at - structAt) & 3)) & 3);
}

/** A list of 64-bit cells; empty where the property is missing or of another length. */
export function readU64List(node: DeviceTreeNode | undefined, name: string): bigint[] {
  const value = node?.properties.get(name);
  if (value === undefined || value.length % 8 !== 0) return [];
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  return Array.from({ length: value.length / 8 }, (_, at) => view.getBigUint64(at * 8));
}

export function readU32(node: DeviceTreeNode | undefined, name: string): number | undefined {
  const value = node?.properties.get(name);
  return value?.length === 4 ? new DataView(value.buffer, value.byteOffset, 4).getUint32(0) : undefined;
}

/** The first of its strings; empty where it is missing. */
export function readString(node: DeviceTreeNode | undefined, name: string): string {
  const value = node?.properties.get(name);
  if (value === undefined) return '';
  const end = value.indexOf(0);
  return decodeUtf8(value, 0, end < 0 ? value.length : end);
}
