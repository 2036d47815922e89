/** Random records as plain values, put into our batches here and compared with the oracle's objects in the tests. */
import fc from 'fast-check';
import type { AttributeColumns } from '../../model/attribute-columns.ts';
import type { Plain } from './oracle.ts';

/** fast-check's runs of one property, seeded so that a failure can be repeated. */
export const RUNS = { numRuns: 150, seed: 20_260_923 };

/** Strings that UTF-8 can hold: no lone surrogates. */
export const text = (maxLength = 40): fc.Arbitrary<string> => fc.string({ unit: 'binary', maxLength });
export const uint64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
export const int64 = fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n });
export const id = (size: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: size, maxLength: size }).filter((bytes) => bytes.some((byte) => byte !== 0));

/** An attribute value that has a type of its own in the columns. */
export type Value =
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'int'; readonly value: bigint }
  | { readonly kind: 'double'; readonly value: number };

export const value: fc.Arbitrary<Value> = fc.oneof(
  text(200).map((of) => ({ kind: 'string', value: of }) as const),
  fc.boolean().map((of) => ({ kind: 'bool', value: of }) as const),
  int64.map((of) => ({ kind: 'int', value: of }) as const),
  fc.double().map((of) => ({ kind: 'double', value: of }) as const),
);

export interface Pair {
  readonly key: string;
  readonly value: Value;
}

/** Keys that are no columns of ours. */
export const pairs: fc.Arbitrary<Pair[]> = fc.array(
  fc.record({ key: text(20).map((key) => `x${key}`), value }, { noNullPrototype: true }),
  { maxLength: 6 },
);

export function addPairs(columns: AttributeColumns, list: readonly Pair[]): void {
  const { strings } = columns;
  for (const { key, value: of } of list) {
    const keyId = strings.internString(key);
    if (of.kind === 'string') columns.addString(keyId, strings.internString(of.value));
    else if (of.kind === 'bool') columns.addBool(keyId, of.value);
    else if (of.kind === 'int')
      columns.addIntWords(keyId, Number(BigInt.asUintN(32, of.value)), Number(BigInt.asUintN(32, of.value >> 32n)));
    else columns.addDouble(keyId, of.value);
  }
}

/** The list as the oracle has it. */
export function toKeyValues(list: readonly Pair[]): Plain[] {
  return list.map(({ key, value: of }) => ({ key, value: toAnyValue(of) }));
}

export function toAnyValue(of: Value): Plain {
  switch (of.kind) {
    case 'string':
      return { stringValue: of.value };
    case 'bool':
      return { boolValue: of.value };
    case 'int':
      return { intValue: of.value.toString() };
    case 'double':
      return { doubleValue: of.value };
  }
}

/** Attributes only where there are any, as in the oracle's objects. */
export function withAttributes(list: readonly Pair[], name = 'attributes'): Plain {
  return list.length === 0 ? {} : { [name]: toKeyValues(list) };
}

/** A property only where it is not proto3's default. */
export function unlessDefault(name: string, of: string | number | bigint): Plain {
  if (of === '' || of === 0 || of === 0n) return {};
  return { [name]: typeof of === 'bigint' ? of.toString() : of };
}
