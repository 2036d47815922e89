/**
 * A compact part of a MergeTree table, as ClickHouse would write it: what ATTACH PART takes as it is. ClickHouse needs 0.5 µs of
 * CPU time for a row of `events` that is inserted; written here, in the order of the table's key, a row takes 0.2 µs
 * (docs/decisions/014-own-parts.md).
 *
 *   data.bin     granule 1: frame of column 1 | frame of column 2 | …   granule 2: …      compressed-frame.ts
 *   data.mrk3    for each granule: (offset of the frame u64, offset in the unpacked frame u64) of each column, rows u64; the last one is empty
 *   primary.idx  for each granule: the key of its first row, plain; then the key of the last row
 *   columns.txt  names and types: a column of the table that is not among them reads as its default
 *   checksums.txt, count.txt, partition.dat, minmax_<column>.idx, default_compression_codec.txt
 *
 * A column of a granule is what a block of Native has of it (native.ts), but arrays: here they have sizes, there ends.
 * Source: ClickHouse, src/Storages/MergeTree (MergeTreeDataPartWriterCompact.cpp, MergeTreeDataPartChecksum.cpp).
 */
import { ByteWriter, encodeUtf8 } from '../base/bytes.ts';
import { cityHashOfFile } from '../base/city-hash.ts';
import { writeFrame, writeHash, type FrameCodec } from './compressed-frame.ts';
import { NativeWriter } from './native.ts';

export interface PartColumn {
  readonly name: string;
  /** As the table has it: values are never converted. */
  readonly type: string;
  readonly codec: FrameCodec;
}

/** What the parts of a table have beside its columns. */
export interface PartHead {
  /** Key of the last row. */
  readonly lastKey: Uint8Array;
  /** Value of the partition's expression. */
  readonly partition: Uint8Array;
  /** Least and greatest value of the column that the partition is made of. */
  readonly minmax: { readonly column: string; readonly bytes: Uint8Array };
}

const WIDTHS: ReadonlyMap<string, number> = new Map([
  ['UInt8', 1],
  ['UInt16', 2],
  ['Int32', 4],
  ['UInt32', 4],
  ['Int64', 8],
  ['UInt64', 8],
  ['DateTime64(9)', 8],
]);

/** Columns come in any order, each once, between `openBlock` and `closeBlock`; those that do not come get their default. */
export class PartWriter extends NativeWriter {
  readonly #columns: readonly PartColumn[];
  readonly #index: ReadonlyMap<string, number>;
  readonly #data = new ByteWriter(1 << 20);
  readonly #marks = new ByteWriter(1 << 12);
  readonly #keys = new ByteWriter(1 << 10);
  /** Frames of the open granule, in the order they came. */
  readonly #frames = new ByteWriter(1 << 18);
  readonly #spans: ({ readonly from: number; readonly to: number } | undefined)[];
  readonly #defaults = new Map<string, Uint8Array>();
  #open = -1;
  #totalRows = 0;
  #rawBytes = 0;

  constructor(columns: readonly PartColumn[]) {
    super(new ByteWriter(1 << 18));
    this.#columns = columns;
    this.#index = new Map(columns.map(({ name }, at) => [name, at]));
    this.#spans = columns.map(() => undefined);
  }

  override openBlock(rows: number): void {
    this.rows = rows;
    this.#totalRows += rows;
    this.#frames.reset();
    this.#spans.fill(undefined);
  }

  override openColumn(name: string, type: string): void {
    this.#endColumn();
    const at = this.#index.get(name);
    const expected = at === undefined ? undefined : this.#columns[at]?.type;
    if (at === undefined || type !== expected) throw new Error(`the part has no column ${name} ${type}, but ${expected ?? 'none'}`);
    this.#open = at;
  }

  #endColumn(): void {
    const column = this.#columns[this.#open];
    if (column === undefined) return;
    const from = this.#frames.length;
    writeFrame(this.#frames, this.out.view(), column.codec);
    this.#spans[this.#open] = { from, to: this.#frames.length };
    this.#rawBytes += this.out.length;
    this.out.reset();
    this.#open = -1;
  }

  /** Key of the granule's first row. */
  addKey(key: Uint8Array): void {
    this.#keys.writeBytes(key);
  }

  override closeBlock(): void {
    this.#endColumn();
    for (const [at, column] of this.#columns.entries()) {
      writeMark(this.#marks, this.#data.length);
      const span = this.#spans[at];
      if (span === undefined) this.#data.writeBytes(this.#defaultOf(column));
      else this.#data.writeBytes(this.#frames.bytes, span.from, span.to);
    }
    this.#marks.writeU64Words(this.rows, 0);
  }

  #defaultOf({ type, codec }: PartColumn): Uint8Array {
    const key = `${type} ${this.rows} ${codec}`;
    const known = this.#defaults.get(key);
    if (known !== undefined) return known;
    const raw = new NativeWriter();
    raw.rows = this.rows;
    raw.defaults(type, WIDTHS.get(type));
    const frame = new ByteWriter(256);
    writeFrame(frame, raw.out.view(), codec);
    this.#defaults.set(key, frame.toBytes());
    return frame.toBytes();
  }

  /** Sizes, where Native has ends. */
  protected override writeEnds(ends: ArrayLike<number>): void {
    for (let row = 0; row < this.rows; row++)
      this.out.writeU64Words((ends[row] as number) - (row === 0 ? 0 : (ends[row - 1] as number)), 0);
  }

  override narrowed(name: string, _type: string, values: Int32Array | Uint32Array): void {
    this.openColumn(name, 'Int64');
    this.addWidened(values, this.rows);
  }

  /** The part's files by name. */
  finish({ lastKey, partition, minmax }: PartHead): Map<string, Uint8Array> {
    for (const _column of this.#columns) writeMark(this.#marks, this.#data.length);
    this.#marks.writeU64Words(0, 0);
    this.#keys.writeBytes(lastKey);
    const data = this.#data.view();
    const files = new Map<string, Uint8Array>([
      ['count.txt', encodeUtf8(String(this.#totalRows))],
      ['data.bin', data],
      ['data.mrk3', this.#marks.view()],
      [`minmax_${minmax.column}.idx`, minmax.bytes],
      ['partition.dat', partition],
      ['primary.idx', this.#keys.view()],
    ]);
    const checksums = this.#checksumsOf(files);
    const list = this.#columns.map(({ name, type }) => `\`${name}\` ${type}\n`).join('');
    files.set('columns.txt', encodeUtf8(`columns format version: 1\n${this.#columns.length} columns:\n${list}`));
    files.set('default_compression_codec.txt', encodeUtf8('CODEC(ZSTD(1))'));
    files.set('checksums.txt', checksums);
    return files;
  }

  /**
   * Of each file: name, bytes, hash; of the data also the bytes and the hash of what is unpacked. ClickHouse does not check that
   * last hash of a compact part ("computed in a complex way"), and it is 0 here.
   */
  #checksumsOf(files: ReadonlyMap<string, Uint8Array>): Uint8Array {
    const list = new ByteWriter(1024);
    list.writeVarint(files.size);
    for (const [name, bytes] of files) {
      list.writeString(name);
      list.writeVarint(bytes.length);
      writeHashTo(list, bytes);
      list.writeU8(name === 'data.bin' ? 1 : 0);
      if (name !== 'data.bin') continue;
      list.writeVarint(this.#rawBytes);
      list.writeBytes(new Uint8Array(16));
    }
    const out = new ByteWriter(1024);
    out.writeBytes(encodeUtf8('checksums format version: 4\n'));
    writeFrame(out, list.view(), 'none');
    return out.toBytes();
  }
}

function writeMark(marks: ByteWriter, offset: number): void {
  marks.writeU64Words(offset, Math.floor(offset / 2 ** 32));
  marks.writeU64Words(0, 0);
}

function writeHashTo(list: ByteWriter, bytes: Uint8Array): void {
  const hash = new Uint8Array(16);
  writeHash(new DataView(hash.buffer), 0, cityHashOfFile(bytes));
  list.writeBytes(hash);
}
