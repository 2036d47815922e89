/** The independent reader and writer of OTLP protobuf: protobufjs on the published field numbers. Knows nothing of otlp/. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';

const PROTO = join(import.meta.dirname, '..', 'fixtures', 'otlp', 'proto', 'otlp.proto');
export const oracleRoot = protobuf.parse(readFileSync(PROTO, 'utf8'), { keepCase: false }).root;

export type Plain = Record<string, unknown>;

const stringsAsBytes = protobuf.parse(readFileSync(PROTO, 'utf8').replaceAll(/\bstring (?=\w+ = )/g, 'bytes ')).root;

/** The bytes of all strings of a message, which `oracleDecode` would have repaired to UTF-8. */
export function oracleStrings(type: string, bytes: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  const visit = (value: unknown): void => {
    if (value instanceof Uint8Array) found.push(value);
    else if (typeof value === 'object' && value !== null) for (const item of Object.values(value)) visit(item);
  };
  const of = stringsAsBytes.lookupType(`oracle.${type}`);
  visit(of.toObject(of.decode(bytes), { longs: String }));
  return found;
}

/** Bytes → object: camelCase, 64-bit as decimal strings, bytes as hex, absent fields absent. */
export function oracleDecode(type: string, bytes: Uint8Array): Plain {
  const found = oracleRoot.lookupType(`oracle.${type}`);
  return hexBytes(found.toObject(found.decode(bytes), { longs: String, bytes: Uint8Array })) as Plain;
}

/** Object (camelCase, bytes as Uint8Array, 64-bit as decimal strings) → bytes; throws when the object is not of the type. */
export function oracleEncode(type: string, value: Plain): Uint8Array {
  const found = oracleRoot.lookupType(`oracle.${type}`);
  return found.encode(found.fromObject(value)).finish();
}

/** Byte arrays become hex, so that objects compare and print well. */
function hexBytes(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(hexBytes);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, hexBytes(item)]));
  }
  return value;
}
