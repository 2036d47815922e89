/**
 * Changes protobuf by its structure, so that the lengths around a change stay right: fields are repeated, removed, moved into
 * others, and taken from other places of the message.
 *
 *   0a 1d | 12 1b | 12 19 | 09 …        field 1 ( field 2 ( field 2 ( field 1 … ) ) )
 */
interface Node {
  readonly tag: number;
  /** Of a message: its fields. */
  readonly fields?: Node[];
  /** Of anything else: the bytes behind the tag, a length included. */
  readonly bytes?: Uint8Array;
}

const MAX_DEPTH = 12;
const MAX_BYTES = 2048;
const WIRE_LENGTH = 2;

/** The message with a structural change; undefined where the bytes are no protobuf. */
export function restructureProto(input: Uint8Array, random: () => number): Uint8Array | undefined {
  const fields = readFields(input, 0);
  if (fields === undefined || fields.length === 0) return undefined;
  const lists: Node[][] = [];
  collectLists(fields, lists);
  const below = (count: number): number => Math.floor(random() * count);
  for (let left = 1 + below(3); left > 0; left--) {
    const list = lists[below(lists.length)] as Node[];
    const from = lists[below(lists.length)] as Node[];
    const node = from[below(from.length)];
    switch (below(5)) {
      case 0:
        list.splice(below(list.length), 1);
        break;
      case 1:
        if (node !== undefined) list.splice(below(list.length + 1), 0, node);
        break;
      case 2:
        if (node !== undefined) for (let count = below(20); count > 0; count--) list.push(node);
        break;
      case 3:
        // A field in one of its own kind, some times: nested values.
        if (node !== undefined) list.push(nest(node, 1 + below(random() < 0.1 ? 120 : 6)));
        break;
      default:
        if (node !== undefined) list[below(list.length)] = { ...node, tag: (below(24) << 3) | (node.tag & 7) };
    }
  }
  return new FieldWriter().write(fields);
}

function nest(node: Node, levels: number): Node {
  let nested = node;
  for (let level = 0; level < levels; level++) nested = { tag: node.fields === undefined ? 0x2a : node.tag, fields: [nested] };
  return nested;
}

function collectLists(fields: Node[], lists: Node[][]): void {
  lists.push(fields);
  for (const { fields: inner } of fields) if (inner !== undefined) collectLists(inner, lists);
}

function readFields(bytes: Uint8Array, depth: number): Node[] | undefined {
  const fields: Node[] = [];
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at++] as number;
    // Field numbers of OTLP are below 16, so a tag is one byte.
    if (tag >= 0x80 || tag < 8) return undefined;
    const start = at;
    switch (tag & 7) {
      case 0:
        while ((bytes[at] as number) >= 0x80) at++;
        at++;
        break;
      case 1:
        at += 8;
        break;
      case 5:
        at += 4;
        break;
      case WIRE_LENGTH: {
        let length = 0;
        let shift = 0;
        while ((bytes[at] as number) >= 0x80 && shift < 21) {
          length |= ((bytes[at++] as number) & 0x7f) << shift;
          shift += 7;
        }
        length |= (bytes[at++] ?? 0x80) << shift;
        if (at + length > bytes.length) return undefined;
        const inner = depth < MAX_DEPTH && length > 0 ? readFields(bytes.subarray(at, at + length), depth + 1) : undefined;
        at += length;
        fields.push(inner === undefined ? { tag, bytes: bytes.slice(start, at) } : { tag, fields: inner });
        continue;
      }
      default:
        return undefined;
    }
    if (at > bytes.length) return undefined;
    fields.push({ tag, bytes: bytes.slice(start, at) });
  }
  return fields;
}

/** Written backwards, since a length stands in front of what it counts; a field that was put into itself ends where the bytes run out. */
class FieldWriter {
  readonly #bytes = new Uint8Array(MAX_BYTES * 2);
  #at = this.#bytes.length;
  #left = MAX_BYTES;

  write(fields: readonly Node[]): Uint8Array {
    this.#fields(fields);
    return this.#bytes.slice(this.#at);
  }

  #fields(fields: readonly Node[]): void {
    for (let i = fields.length - 1; i >= 0; i--) {
      const { tag, fields: inner, bytes } = fields[i] as Node;
      // A tag and a length of two bytes each at most: what is written stays below twice this.
      this.#left -= 2 + (bytes?.length ?? 0);
      if (this.#left < 0) return;
      if (bytes !== undefined) this.#bytes.set(bytes, (this.#at -= bytes.length));
      if (inner !== undefined) {
        const end = this.#at;
        this.#fields(inner);
        this.#number(end - this.#at);
      }
      this.#number(tag);
    }
  }

  #number(value: number): void {
    if (value >= 0x80) this.#bytes[--this.#at] = value >>> 7;
    this.#bytes[--this.#at] = value >= 0x80 ? (value & 0x7f) | 0x80 : value;
  }
}
