/** The first fields of a record of /dev/kmsg, read before it is parsed as a whole: for queues and books (parsers/kmsg.ts). */
const COMMA = 44;

export interface KmsgHeader {
  level: number;
  sequence: number;
  micros: number;
}

/** `PRIO,SEQ,TS` of a record; false when it does not start like one. */
export function readKmsgHeader(bytes: Uint8Array, length: number, header: KmsgHeader): boolean {
  let field = 0;
  let value = 0;
  let digits = 0;
  for (let at = 0; at < length; at++) {
    const byte = bytes[at] as number;
    if (byte >= 48 && byte <= 57) {
      value = value * 10 + byte - 48;
      digits++;
      continue;
    }
    if (byte !== COMMA || digits === 0) return false;
    if (field === 0) header.level = value & 7;
    else if (field === 1) header.sequence = value;
    else {
      header.micros = value;
      return true;
    }
    field++;
    value = digits = 0;
  }
  return false;
}
