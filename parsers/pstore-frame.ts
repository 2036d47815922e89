/**
 * The line in front of a record among several: `==> NAME <==` as `tail` and `head` write it, with time and size as mkscope does
 * (drawn in pstore.ts).
 */
import { decodeUtf8 } from '../base/bytes.ts';
import { lineEnd, parsePstoreName, readPstoreHeader } from './pstore-record.ts';

const FRAME = /^==> (?:[^\n]*\/)?([^/\n ]{1,255})(?: (\d{1,11})\.(\d{9}) (\d{1,8}))? <==$/;
const LONGEST_FRAME = 4096;

/** Also asked by those who would take the lines behind it for a console's. */
export function sniffPstore(head: Uint8Array): boolean {
  if (readPstoreHeader(head, 0) !== undefined) return true;
  const frame = readPstoreFrame(head, 0);
  return frame !== undefined && parsePstoreName(frame.name) !== undefined;
}

/** The frame at `at`, or undefined where there is none. */
export function readPstoreFrame(
  bytes: Uint8Array,
  at: number,
):
  | { readonly name: string; readonly modifiedUnixNs: bigint | undefined; readonly sizeBytes: number | undefined; readonly end: number }
  | undefined {
  if (bytes[at] !== 0x3d) return undefined;
  const end = Math.min(lineEnd(bytes, at), at + LONGEST_FRAME);
  const match = FRAME.exec(decodeUtf8(bytes, at, end));
  if (match === null) return undefined;
  const modifiedUnixNs = match[2] === undefined ? 0n : BigInt(`${match[2]}${match[3]}`);
  return {
    name: match[1] as string,
    modifiedUnixNs: modifiedUnixNs === 0n ? undefined : modifiedUnixNs,
    sizeBytes: match[4] === undefined ? undefined : Number(match[4]),
    end: end + 1,
  };
}
