/**
 * Bodies of OTLP answers, written by receivers and read by senders, in the request's encoding:
 *
 *   success    Export…ServiceResponse {}                  zero bytes, or `{}` in JSON
 *   partial    Export…ServiceResponse { partial_success { rejected_…: 3, error_message: "…" } }
 *   error      google.rpc.Status { code: 3, message: "…" }
 *
 * `rejected` 0 with a message is a warning. A sender never retries what was partly rejected.
 */
import { ByteWriter, decodeUtf8, encodeUtf8 } from '../base/bytes.ts';
import { ensureDefined } from '../base/assert.ts';
import { toJsonObject, toProtobuf } from './json.ts';
import { ProtoReader } from './proto-reader.ts';
import { closeMessage, highWordOf, openMessage, putVarintWords, writeStringField, writeVarintField } from './proto-writer.ts';
import { ANY_RESPONSE, RESPONSES, RPC_STATUS, type Message, type Signal } from './schema.ts';
import { PARTIAL_MESSAGE, PARTIAL_REJECTED, RESPONSE_PARTIAL_SUCCESS, RPC_CODE, RPC_MESSAGE } from './tags.ts';

export type Encoding = 'protobuf' | 'json';

export const CONTENT_TYPES: Readonly<Record<Encoding, string>> = { protobuf: 'application/x-protobuf', json: 'application/json' };

export interface PartialSuccess {
  readonly rejected: number;
  readonly message: string;
}

/** The encoding that a content type names, whatever parameters follow it; undefined for all types that OTLP does not use. */
export function toEncoding(contentType: string | undefined): Encoding | undefined {
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase();
  return type === CONTENT_TYPES.protobuf ? 'protobuf' : type === CONTENT_TYPES.json ? 'json' : undefined;
}

/** Body of a 200; `partial` only where records were rejected or there is something to warn of. */
export function encodeSuccess(signal: Signal, encoding: Encoding, partial?: PartialSuccess): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(64);
  if (partial !== undefined) {
    const at = openMessage(writer, RESPONSE_PARTIAL_SUCCESS);
    if (partial.rejected !== 0) {
      writer.reserve(11);
      writer.bytes[writer.length] = PARTIAL_REJECTED;
      writer.length = putVarintWords(writer.bytes, writer.length + 1, partial.rejected >>> 0, highWordOf(partial.rejected));
    }
    writeStringField(writer, PARTIAL_MESSAGE, partial.message);
    closeMessage(writer, at);
  }
  return inEncoding(RESPONSES[signal], encoding, writer);
}

/** Body of an error: `code` is the gRPC code. */
export function encodeStatus(encoding: Encoding, code: number, message: string): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(64 + message.length);
  if (code !== 0) writeVarintField(writer, RPC_CODE, code);
  writeStringField(writer, RPC_MESSAGE, message);
  return inEncoding(RPC_STATUS, encoding, writer);
}

function inEncoding(message: Message, encoding: Encoding, writer: ByteWriter): Uint8Array<ArrayBuffer> {
  if (encoding === 'protobuf') return writer.toBytes();
  return encodeUtf8(JSON.stringify(ensureDefined(toJsonObject(message, writer.view()), 'answer of our own encoder')));
}

/** What a 200 says of rejected records; undefined = all taken. A body that cannot be read counts as that too: it was a 200. */
export function decodeSuccess(contentType: string | undefined, body: Uint8Array): PartialSuccess | undefined {
  const bytes = asProtobuf(ANY_RESPONSE, contentType, body);
  if (bytes === undefined) return undefined;
  const reader = new ProtoReader(bytes, Infinity);
  const partial = { rejected: 0, message: '' };
  while (reader.at < bytes.length) {
    const tag = reader.readTag();
    if (tag === RESPONSE_PARTIAL_SUCCESS) readPartial(reader, reader.readEnd(bytes.length), partial);
    else reader.skip(tag, bytes.length);
  }
  const says = reader.failure === undefined && (partial.rejected !== 0 || partial.message !== '');
  return says ? partial : undefined;
}

function readPartial(reader: ProtoReader, end: number, partial: { rejected: number; message: string }): void {
  while (reader.at < end) {
    const tag = reader.readTag();
    if (tag === PARTIAL_REJECTED) {
      reader.readVarint64();
      partial.rejected = Math.max(reader.signedNumber(), 0);
    } else if (tag === PARTIAL_MESSAGE) partial.message = readText(reader, end);
    else reader.skip(tag, end);
  }
  reader.close(end);
}

/** The message of an error's google.rpc.Status; of any other body its first bytes as text. */
export function decodeStatus(contentType: string | undefined, body: Uint8Array): string {
  const bytes = asProtobuf(RPC_STATUS, contentType, body);
  if (bytes === undefined) return printable(decodeUtf8(body, 0, Math.min(body.length, MAX_TEXT_BYTES)));
  const reader = new ProtoReader(bytes, Infinity);
  let message = '';
  while (reader.at < bytes.length) {
    const tag = reader.readTag();
    if (tag === RPC_MESSAGE) message = readText(reader, bytes.length);
    else reader.skip(tag, bytes.length);
  }
  return reader.failure === undefined ? printable(message) : '';
}

const MAX_TEXT_BYTES = 500;

function readText(reader: ProtoReader, limit: number): string {
  const end = reader.readEnd(limit);
  const text = decodeUtf8(reader.bytes, reader.at, Math.min(end, reader.at + 4096));
  reader.at = end;
  return text;
}

/** A peer's text goes to our log and to terminals: control characters become spaces. */
function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim();
}

function asProtobuf(message: Message, contentType: string | undefined, body: Uint8Array): Uint8Array | undefined {
  const encoding = toEncoding(contentType);
  if (encoding === 'protobuf') return body;
  if (encoding === undefined) return undefined;
  const bytes = toProtobuf(message, decodeUtf8(body));
  return bytes instanceof Uint8Array ? bytes : undefined;
}
