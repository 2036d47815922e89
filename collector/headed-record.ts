/**
 * A record of the spool or of the flight recorder: what it is, as JSON, and the bytes as they are sent.
 *
 *   2c 01 00 00 | {"path":"/v1/logs",…} | body
 *   +-- u32 LE    +-- JSON                +-- encoded and compressed
 *       JSON bytes
 */
import { decodeUtf8, encodeUtf8, type ByteWriter } from '../base/bytes.ts';

export interface HeadedRecord<Header> {
  readonly header: Header;
  readonly body: Uint8Array<ArrayBuffer>;
}

export function writeHeaded(header: object, body: Uint8Array, writer: ByteWriter): void {
  const json = encodeUtf8(JSON.stringify(header));
  writer.writeU32(json.length);
  writer.writeBytes(json);
  writer.writeBytes(body);
}

/** Of a payload whose checksum was right: it is as it was written. */
export function splitHeaded<Header>(payload: Uint8Array<ArrayBuffer>): HeadedRecord<Header> {
  const jsonBytes = new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
  return { header: JSON.parse(decodeUtf8(payload, 4, 4 + jsonBytes)) as Header, body: payload.subarray(4 + jsonBytes) };
}
