/** The payload of a guest's SYSTEM frame, as deploy/guest/system.c makes it. */
import { encodeUtf8 } from '../../base/bytes.ts';

export function systemPayload(session: number, momentNs: bigint, files: Readonly<Record<string, string>>): Uint8Array {
  const head = Buffer.alloc(16);
  head.writeBigUInt64LE(BigInt(session), 0);
  head.writeBigInt64LE(momentNs, 8);
  const parts = Object.entries(files).flatMap(([name, text]) => {
    const lengths = Buffer.alloc(6);
    lengths.writeUInt16LE(encodeUtf8(name).length, 0);
    lengths.writeUInt32LE(encodeUtf8(text).length, 2);
    return [lengths, encodeUtf8(name), encodeUtf8(text)];
  });
  return new Uint8Array(Buffer.concat([head, ...parts]));
}
