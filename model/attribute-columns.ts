/** Attributes of the rows of a batch: a list of (key, value) per row, flat columns, strings in the batch's dictionary. */
import { Int64Array } from '../base/int64.ts';
import type { Interner } from '../base/interner.ts';

/** How a value is held. `json` is the JSON text of an OTLP array, key-value list or bytes value. */
export const VALUE_KIND = { string: 1, bool: 2, int: 3, double: 4, json: 5 } as const;
export type ValueKind = (typeof VALUE_KIND)[keyof typeof VALUE_KIND];

/** Pairs of row r are `[offsets[r], offsets[r + 1])`; rows are filled in order with `closeRow`. */
export class AttributeColumns {
  readonly strings: Interner;
  rows = 0;
  pairs = 0;
  offsets = new Uint32Array(257);
  keys = new Uint32Array(256);
  kinds = new Uint8Array(256);
  /** Dictionary id where the kind is string or json, 0 or 1 where it is bool. */
  ids = new Uint32Array(256);
  /** Value where the kind is int. */
  ints = new Int64Array(256);
  /** Value where the kind is double. */
  doubles = new Float64Array(256);

  constructor(strings: Interner) {
    this.strings = strings;
  }

  /** Ends the current row; pairs added from now on belong to the next one. */
  closeRow(): void {
    this.rows++;
    if (this.rows >= this.offsets.length) {
      const grown = new Uint32Array(this.offsets.length * 2);
      grown.set(this.offsets);
      this.offsets = grown;
    }
    this.offsets[this.rows] = this.pairs;
  }

  /** Forgets the rows; the strings are the batch's. */
  clear(): void {
    this.rows = this.pairs = 0;
  }

  addString(key: number, value: number): void {
    const at = this.#next(key, VALUE_KIND.string);
    this.ids[at] = value;
  }

  addJson(key: number, value: number): void {
    const at = this.#next(key, VALUE_KIND.json);
    this.ids[at] = value;
  }

  addBool(key: number, value: boolean): void {
    const at = this.#next(key, VALUE_KIND.bool);
    this.ids[at] = value ? 1 : 0;
  }

  /** A 64-bit integer as two words. */
  addIntWords(key: number, low: number, high: number): void {
    const at = this.#next(key, VALUE_KIND.int);
    this.ints.setWords(at, low, high);
  }

  /** An integer of magnitude below 2^53. */
  addInt(key: number, value: number): void {
    const at = this.#next(key, VALUE_KIND.int);
    this.ints.setNumber(at, value);
  }

  addDouble(key: number, value: number): void {
    const at = this.#next(key, VALUE_KIND.double);
    this.doubles[at] = value;
  }

  /** Convenience for rare rows. */
  add(key: string, value: string | number | bigint | boolean): void {
    const id = this.strings.internString(key);
    if (typeof value === 'string') this.addString(id, this.strings.internString(value));
    else if (typeof value === 'boolean') this.addBool(id, value);
    else if (typeof value === 'bigint') this.addIntWords(id, Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n)));
    else if (Number.isSafeInteger(value)) this.addInt(id, value);
    else this.addDouble(id, value);
  }

  /**
   * Adds pairs to rows that are closed: those of row i of `more` to row `rows[i]`; `rows` ascending. `more` has the same
   * dictionary.
   */
  addToRows(rows: readonly number[], more: AttributeColumns): void {
    if (more.pairs === 0) return;
    const before = this.pairs;
    while (before + more.pairs > this.keys.length) this.#growPairs();
    this.pairs = before + more.pairs;
    // From the end, so that nothing is overwritten before it has moved.
    let end = before;
    for (let at = rows.length - 1; at >= 0; at--) {
      const rowEnd = this.offsets[(rows[at] as number) + 1] as number;
      const from = more.offsets[at] as number;
      const to = more.offsets[at + 1] as number;
      this.#copy(this, rowEnd, end, rowEnd + to);
      this.#copy(more, from, to, rowEnd + from);
      end = rowEnd;
    }
    for (let at = 0; at < rows.length; at++) {
      const last = at + 1 < rows.length ? (rows[at + 1] as number) : this.rows;
      for (let row = (rows[at] as number) + 1; row <= last; row++)
        this.offsets[row] = (this.offsets[row] as number) + (more.offsets[at + 1] as number);
    }
  }

  /** The value of a pair as text: how it stands in the store's Map columns. */
  textOf(pair: number): string {
    switch (this.kinds[pair]) {
      case VALUE_KIND.bool:
        return this.ids[pair] === 1 ? 'true' : 'false';
      case VALUE_KIND.int:
        return this.ints.getBigint(pair).toString();
      case VALUE_KIND.double:
        return String(this.doubles[pair]);
      default:
        return this.strings.get(this.ids[pair] as number);
    }
  }

  /** Row as an object, for display and tests. */
  rowOf(row: number): Record<string, string> {
    const found: Record<string, string> = {};
    for (let pair = this.offsets[row] as number; pair < (this.offsets[row + 1] as number); pair++) {
      found[this.strings.get(this.keys[pair] as number)] = this.textOf(pair);
    }
    return found;
  }

  #copy(source: AttributeColumns, from: number, to: number, target: number): void {
    if (from === to || (source === this && from === target)) return;
    this.keys.set(source.keys.subarray(from, to), target);
    this.kinds.set(source.kinds.subarray(from, to), target);
    this.ids.set(source.ids.subarray(from, to), target);
    this.ints.words.set(source.ints.words.subarray(from * 2, to * 2), target * 2);
    this.doubles.set(source.doubles.subarray(from, to), target);
  }

  #next(key: number, kind: ValueKind): number {
    const at = this.pairs++;
    if (at === this.keys.length) this.#growPairs();
    this.keys[at] = key;
    this.kinds[at] = kind;
    return at;
  }

  #growPairs(): void {
    const capacity = this.keys.length * 2;
    const keys = new Uint32Array(capacity);
    keys.set(this.keys);
    this.keys = keys;
    const kinds = new Uint8Array(capacity);
    kinds.set(this.kinds);
    this.kinds = kinds;
    const ids = new Uint32Array(capacity);
    ids.set(this.ids);
    this.ids = ids;
    this.ints = this.ints.grow(capacity);
    const doubles = new Float64Array(capacity);
    doubles.set(this.doubles);
    this.doubles = doubles;
  }
}
