/**
 * One packet of netconsole, as the kernel sends it (UDP, port 6666 by default).
 *
 *   [   17.861088] rig: word0000 …\n                              legacy: console text, in pieces of at most 1000 bytes
 *
 *   6.12.117+deb12-cloud-amd64,12,355,18132871,-,ncfrag=968/2406;3\xa9\xc3\xa9…          extended: at most 1000 bytes
 *   |                          |  |   |        | |      |   |    +-- piece of the body: text, then lines " KEY=value"
 *   |                          |  |   |        | |      |   +-- length of the whole body
 *   |                          |  |   |        | |      +-- where in it this piece starts
 *   |                          |  |   |        | +-- fields as in /dev/kmsg (`caller=`); ncfrag where the record is in pieces
 *   |                          +-- priority, sequence, µs, flag of /dev/kmsg (parsers/kmsg.ts), each piece has them
 *   +-- release, where the target asks for it (`netconsole=+r…`, Linux 6.6)
 *
 * Behind the record's own dictionary come the target's userdata (6.8) and sysdata (6.14: cpu, taskname, release, msgid), in the
 * same form. Sequence numbers count all records of the kernel, also those below the console's level, which are not sent.
 * Spec: Documentation/networking/netconsole.rst, drivers/net/netconsole.c (send_ext_msg_udp, send_msg_fragmented).
 */

/** Longest header that is looked for: release, four fields, caller, ncfrag. */
const MAX_HEADER_BYTES = 320;
const HEADER = /^(?:([^,;\n]{1,128}),)?(\d{1,7}),(\d{1,16}),(\d{1,16}),[-c+]((?:,[^,;\n]{0,128}){0,4});/;
const FRAGMENT = /,ncfrag=(\d{1,6})\/(\d{1,6})(?=,|$)/;

export interface NetconsoleHeader {
  /** Empty where the packet does not say it. */
  readonly release: string;
  readonly sequence: number;
  readonly micros: number;
  /** As /dev/kmsg would have it, to the `;` and with it: without release and ncfrag. */
  readonly kmsg: string;
  /** Where the body, or this piece of it, starts. */
  readonly bodyAt: number;
  readonly fragment: { readonly offset: number; readonly totalBytes: number } | undefined;
}

/** A whole record, however it came. */
export interface NetconsoleRecord {
  readonly sequence: number;
  readonly micros: number;
  /** A record of /dev/kmsg. */
  readonly bytes: Uint8Array;
  /** Its end did not come. */
  readonly isTorn: boolean;
  readonly arrivedNs: bigint;
}

/** A recording of extended packets, and no dump of /dev/kmsg: it says the release, or has pieces. */
export function sniffNetconsole(head: Uint8Array): boolean {
  const header = readNetconsoleHeader(head);
  if (header === undefined) return false;
  return header.release !== '' || Buffer.from(head.buffer, head.byteOffset, head.length).includes(',ncfrag=');
}

/** undefined: no extended packet, so it is console text. */
export function readNetconsoleHeader(packet: Uint8Array): NetconsoleHeader | undefined {
  // latin1: as many characters as bytes.
  const head = Buffer.from(packet.buffer, packet.byteOffset, Math.min(packet.length, MAX_HEADER_BYTES)).toString('latin1');
  const match = HEADER.exec(head);
  if (match === null) return undefined;
  const release = match[1] ?? '';
  const fields = match[5] ?? '';
  const piece = FRAGMENT.exec(fields);
  const kmsg = match[0].slice(release === '' ? 0 : release.length + 1);
  return {
    release,
    sequence: Number(match[3]),
    micros: Number(match[4]),
    kmsg: piece === null ? kmsg : kmsg.replace(piece[0], ''),
    bodyAt: match[0].length,
    fragment: piece === null ? undefined : { offset: Number(piece[1]), totalBytes: Number(piece[2]) },
  };
}
