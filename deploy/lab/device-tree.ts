/**
 * Writes a flattened device tree, version 17 (devicetree specification, chapter 5). Everything is big-endian.
 *
 *   d0 0d fe ed | size | off struct | off strings | off reserve | 17 | 16 | boot cpu | size strings | size struct
 *   reserve map: one entry of zeros
 *   struct:   00000001 "cpu@0\0" pad   begin node
 *             00000003 len nameoff value pad     property
 *             00000002                 end node … 00000009 end
 *   strings:  names of the properties, NUL-terminated, each once
 */
export interface DeviceTreeNode {
  readonly properties?: Readonly<Record<string, Uint8Array>>;
  readonly children?: Readonly<Record<string, DeviceTreeNode>>;
}

const MAGIC = 0xd00dfeed;
const HEADER_BYTES = 40;
const RESERVE_BYTES = 16;
const TOKEN = { beginNode: 1, endNode: 2, property: 3, end: 9 } as const;

export function encodeDeviceTree(root: DeviceTreeNode): Uint8Array {
  const names = new Map<string, number>();
  let stringsLength = 0;
  const struct: Uint8Array[] = [];
  const offsetOf = (name: string): number => {
    const known = names.get(name);
    if (known !== undefined) return known;
    const offset = stringsLength;
    names.set(name, offset);
    stringsLength += name.length + 1;
    return offset;
  };
  const write = (name: string, node: DeviceTreeNode): void => {
    struct.push(u32(TOKEN.beginNode), padded(Buffer.from(`${name}\0`)));
    for (const [property, value] of Object.entries(node.properties ?? {})) {
      struct.push(u32(TOKEN.property, value.length, offsetOf(property)), padded(value));
    }
    for (const [childName, child] of Object.entries(node.children ?? {})) write(childName, child);
    struct.push(u32(TOKEN.endNode));
  };
  write('', root);
  struct.push(u32(TOKEN.end));
  const structBlock = Buffer.concat(struct);
  const strings = Buffer.from([...names.keys()].map((name) => `${name}\0`).join(''));
  const structAt = HEADER_BYTES + RESERVE_BYTES;
  const stringsAt = structAt + structBlock.length;
  const header = u32(MAGIC, stringsAt + strings.length, structAt, stringsAt, HEADER_BYTES, 17, 16, 0, strings.length, structBlock.length);
  return Buffer.concat([header, new Uint8Array(RESERVE_BYTES), structBlock, strings]);
}

export function u32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32BE(value >>> 0, index * 4));
  return bytes;
}

export function u64(...values: readonly (number | bigint)[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8);
  values.forEach((value, index) => bytes.writeBigUInt64BE(BigInt(value), index * 8));
  return bytes;
}

/** A property that is a list of strings. */
export function text(...values: readonly string[]): Buffer {
  return Buffer.from(values.map((value) => `${value}\0`).join(''));
}

function padded(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, new Uint8Array((4 - (bytes.length % 4)) % 4)]);
}
