/**
 * What is around the records of all three signals, and the same in each:
 *
 *   request
 *   +-- 1  Resource…  (repeated)
 *          +-- 1  resource: attributes of the kernel or service
 *          +-- 2  Scope…  (repeated)          → one batch each
 *          |      +-- 1  scope: name, version, attributes
 *          |      +-- 2  log record | span | metric  (repeated)
 *          |      +-- 3  schema_url
 *          +-- 3  schema_url
 *
 * Fields may come in any order, so each message is walked twice: once for what describes it, once for what it holds.
 */
import { decodeUtf8, type ByteWriter } from '../base/bytes.ts';
import { ATTR } from '../model/attributes.ts';
import { fromAttributes, type Attributes, type Resource, type Scope } from '../model/identity.ts';
import { textOfValue, writeIntegerPair, writeTextPair } from './any-value.ts';
import { PairSlot, readPair } from './attributes.ts';
import type { DecodeFailure, ProtoReader } from './proto-reader.ts';
import { closeMessage, openMessage, writeStringField } from './proto-writer.ts';
import {
  REQUEST_RESOURCE,
  RESOURCE_ATTRIBUTES,
  RESOURCE_RESOURCE,
  RESOURCE_SCHEMA_URL,
  RESOURCE_SCOPE,
  SCOPE_ATTRIBUTES,
  SCOPE_ITEM,
  SCOPE_NAME,
  SCOPE_SCHEMA_URL,
  SCOPE_SCOPE,
  SCOPE_VERSION,
} from './tags.ts';

/** Attributes that are text in the model and integers on the wire. */
const INTEGER_ATTRIBUTES: ReadonlySet<string> = new Set([ATTR.kernelId, ATTR.clockError]);

/** Lengths of the outer messages are expected to take this many bytes (up to 256 MiB). */
const OUTER_WIDTH = 4;

/** Memory that a decoded request may take, dictionaries and columns together: some eight times the largest body. */
export const DECODE_MEMORY_BYTES = 512 << 20;
/** A batch with its columns' least capacities and three dictionaries' worth of index. */
const BATCH_MEMORY_BYTES = 48 << 10;

/** The records of one resource and scope. */
export interface SignalPart<Batch> {
  readonly resource: Resource;
  readonly scope: Scope;
  readonly batch: Batch;
}

/** A decoded request, or why it is none. `rejected` records were well-formed protobuf but break a rule of OTLP. */
export type Decoded<Part> =
  | { readonly ok: true; readonly parts: readonly Part[]; readonly rejected: number; readonly rejectedReason: string }
  | { readonly ok: false; readonly failure: DecodeFailure };

/** Opens the messages around a batch's records; returns what `closeEnvelope` needs. */
export function openEnvelope(writer: ByteWriter, resource: Resource, scope: Scope, scopeAttributes: Attributes): readonly [number, number] {
  const outer = openMessage(writer, REQUEST_RESOURCE, OUTER_WIDTH);
  const resourceAt = openMessage(writer, RESOURCE_RESOURCE, 2);
  writeTextAttributes(writer, RESOURCE_ATTRIBUTES, resource.attributes);
  closeMessage(writer, resourceAt, 2);
  writeStringField(writer, RESOURCE_SCHEMA_URL, resource.schemaUrl);
  const inner = openMessage(writer, RESOURCE_SCOPE, OUTER_WIDTH);
  const scopeAt = openMessage(writer, SCOPE_SCOPE);
  writeStringField(writer, SCOPE_NAME, scope.name);
  writeStringField(writer, SCOPE_VERSION, scope.version);
  writeTextAttributes(writer, SCOPE_ATTRIBUTES, scopeAttributes);
  closeMessage(writer, scopeAt);
  writeStringField(writer, SCOPE_SCHEMA_URL, scope.schemaUrl);
  return [outer, inner];
}

export function closeEnvelope(writer: ByteWriter, [outer, inner]: readonly [number, number]): void {
  closeMessage(writer, inner, OUTER_WIDTH);
  closeMessage(writer, outer, OUTER_WIDTH);
}

function writeTextAttributes(writer: ByteWriter, tag: number, attributes: Attributes): void {
  for (const [key, value] of Object.entries(attributes)) {
    if (INTEGER_ATTRIBUTES.has(key)) writeIntegerPair(writer, tag, key, value);
    else writeTextPair(writer, tag, key, value);
  }
}

/** Called for each scope that has records, with the cursor at the scope message's start. */
type VisitScope = (resource: Resource, scope: Scope, end: number, items: number) => void;

/** Walks a whole request and visits each scope that has records. */
export function walkRequest(reader: ProtoReader, visit: VisitScope): void {
  const end = reader.bytes.length;
  while (reader.at < end) {
    const tag = reader.readTag();
    if (tag === REQUEST_RESOURCE) walkResource(reader, reader.readEnd(end), visit);
    else reader.skip(tag, end);
  }
}

function walkResource(reader: ProtoReader, end: number, visit: VisitScope): void {
  const start = reader.at;
  const pairs: [string, string][] = [];
  let schemaUrl = '';
  while (reader.at < end) {
    const tag = reader.readTag();
    if (tag === RESOURCE_RESOURCE) readTextAttributes(reader, reader.readEnd(end), RESOURCE_ATTRIBUTES, pairs);
    else if (tag === RESOURCE_SCHEMA_URL) schemaUrl = readText(reader, end);
    else reader.skip(tag, end);
  }
  reader.close(end);
  if (reader.failure !== undefined) return;
  const resource = fromAttributes(Object.fromEntries(pairs), schemaUrl);
  reader.at = start;
  while (reader.at < end) {
    const tag = reader.readTag();
    if (tag === RESOURCE_SCOPE) walkScope(reader, reader.readEnd(end), resource, visit);
    else reader.skip(tag, end);
  }
}

function walkScope(reader: ProtoReader, end: number, resource: Resource, visit: VisitScope): void {
  const start = reader.at;
  const scope = { name: '', version: '', attributes: {} as Attributes, schemaUrl: '' };
  let items = 0;
  while (reader.at < end) {
    const tag = reader.readTag();
    if (tag === SCOPE_ITEM) {
      items++;
      reader.at = reader.readEnd(end);
    } else if (tag === SCOPE_SCOPE) readScope(reader, reader.readEnd(end), scope);
    else if (tag === SCOPE_SCHEMA_URL) scope.schemaUrl = readText(reader, end);
    else reader.skip(tag, end);
  }
  reader.close(end);
  if (items === 0 || reader.failure !== undefined || !reader.charge(BATCH_MEMORY_BYTES)) return;
  reader.at = start;
  visit(resource, scope, end, items);
}

function readScope(reader: ProtoReader, end: number, scope: { name: string; version: string; attributes: Attributes }): void {
  const pairs: [string, string][] = [];
  const slot = new PairSlot();
  while (reader.at < end) {
    const tag = reader.readTag();
    if (tag === SCOPE_NAME) scope.name = readText(reader, end);
    else if (tag === SCOPE_VERSION) scope.version = readText(reader, end);
    else if (tag === SCOPE_ATTRIBUTES) pairs.push(readTextPair(reader, end, slot));
    else reader.skip(tag, end);
  }
  reader.close(end);
  scope.attributes = Object.fromEntries(pairs);
}

/** The attributes of a message whose only field of interest has `tag`. */
function readTextAttributes(reader: ProtoReader, end: number, tag: number, pairs: [string, string][]): void {
  const slot = new PairSlot();
  while (reader.at < end) {
    const found = reader.readTag();
    if (found === tag) pairs.push(readTextPair(reader, end, slot));
    else reader.skip(found, end);
  }
  reader.close(end);
}

export function readTextPair(reader: ProtoReader, limit: number, slot: PairSlot): [string, string] {
  readPair(reader, reader.readEnd(limit), slot);
  // Entry, key and value as strings of their own.
  reader.charge(96 + slot.keyEnd - slot.keyStart);
  const value = textOfValue(reader, slot.value);
  reader.charge(value.length);
  return [decodeUtf8(reader.bytes, slot.keyStart, slot.keyEnd), value];
}

export function readText(reader: ProtoReader, limit: number): string {
  const end = reader.readEnd(limit);
  const text = decodeUtf8(reader.bytes, reader.at, end);
  reader.at = end;
  return text;
}
