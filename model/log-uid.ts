/**
 * The name of a log record: `boot:stream:sequence`, or, where its sender numbers nothing (gap reports, foreign senders),
 * `boot::unixNs:crc32` of its stored time and text. It outlives changes of the record's time, which is read anew along
 * better clocks. The column `uid` of store/queries/logs.ts is the same in SQL.
 */

/** `unixNs` and `sequence` in decimal; without a stream the record is named by its stored time and the CRC-32 of its text. */
export type LogUid =
  | { readonly bootId: string; readonly stream: string; readonly sequence: string }
  | { readonly bootId: string; readonly stream: ''; readonly unixNs: string; readonly bodyCrc: number };

export function formatLogUid(uid: LogUid): string {
  return 'sequence' in uid ? `${uid.bootId}:${uid.stream}:${uid.sequence}` : `${uid.bootId}::${uid.unixNs}:${uid.bodyCrc}`;
}

/** Undefined where it is no such name. */
export function parseLogUid(uid: string): LogUid | undefined {
  const [, bootId, stream, sequence, unixNs, crc] = /^([^:]*):(?:([^:].*):(\d{1,19})|:(\d{1,19}):(\d{1,10}))$/s.exec(uid) ?? [];
  if (bootId === undefined) return undefined;
  if (stream !== undefined && sequence !== undefined) return { bootId, stream, sequence };
  if (unixNs === undefined || BigInt(unixNs) >= 2n ** 63n || Number(crc) >= 2 ** 32) return undefined;
  return { bootId, stream: '', unixNs, bodyCrc: Number(crc) };
}
