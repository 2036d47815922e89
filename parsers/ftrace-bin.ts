/**
 * Records of the option bin: binary in front, and mostly text behind. They stand one after the other, with nothing between:
 *
 *   54 7a 00 00  01 00 00 00  00 d3 a9 93 c9 b7 0b 00  "type: 372\n"
 *   |            |            |                        +-- the body; a marker as `# ffffffffa9fb348d text`
 *   |            |            +-- time in units of the trace clock
 *   |            +-- CPU
 *   +-- pid
 *   d6 01 00 00  00 00 00 00  00 2e 3d d1 fd 5c 00 00  00 51 17 aa ff ff ff ff  c4 5d 17 aa ff ff ff ff
 *                                                      +-- callee and caller of the function tracer: no line end
 *
 * Words are in the byte order of the traced kernel; this reads those of 64-bit, little-endian ones.
 */
import { MAX_CPU, type FtracePrefix } from './ftrace-prefix.ts';
import { setNs } from './ftrace-raw.ts';

const NEWLINE = 10;
const HASH = 35;
const SMALL_T = 0x74;
const CONTEXT_BYTES = 16;
const FUNCTION_BYTES = 32;
/** Pids are at most 22 bits; text read as a number is far beyond. */
const MAX_PID = 1 << 22;
const LONGEST_BODY = 4096;

/** Reads the record at `at` into `into`; returns its end, -1 when more bytes are needed, and 0 when there is none. */
export function readBinRecord(bytes: Uint8Array, at: number, atEnd: boolean, into: FtracePrefix): number {
  if (bytes.length - at < FUNCTION_BYTES && !atEnd) return -1;
  if (bytes.length - at < CONTEXT_BYTES + 1) return 0;
  const pid = readWord(bytes, at);
  const cpu = readWord(bytes, at + 4);
  if (pid > MAX_PID || cpu > MAX_CPU) return 0;
  const first = bytes[at + CONTEXT_BYTES];
  let end = at + FUNCTION_BYTES;
  if (first === SMALL_T || first === HASH) {
    const newline = bytes.indexOf(NEWLINE, at + CONTEXT_BYTES);
    if (newline < 0 || newline - at > LONGEST_BODY) return newline < 0 && !atEnd && bytes.length - at < LONGEST_BODY ? -1 : 0;
    end = newline + 1;
  } else if (!isAddress(bytes, at + 16) || !isAddress(bytes, at + 24)) return 0;
  into.clear();
  setNs(into, readWord(bytes, at + 8), readWord(bytes, at + 12));
  into.pid = pid;
  into.cpu = cpu;
  into.bodyStart = at + CONTEXT_BYTES;
  return end;
}

/** Of the kernel's half of the address space. */
function isAddress(bytes: Uint8Array, at: number): boolean {
  return bytes[at + 7] === 0xff && bytes[at + 6] === 0xff;
}

function readWord(bytes: Uint8Array, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(at, at + 4);
  return (a | (b << 8) | (c << 16)) + d * 0x100_0000;
}

/** Two addresses of a record without text, as the kernel writes them elsewhere. */
export function readAddresses(bytes: Uint8Array, at: number): [string, string] | undefined {
  if (!isAddress(bytes, at) || !isAddress(bytes, at + 8)) return undefined;
  const text = (from: number): string =>
    readWord(bytes, from + 4)
      .toString(16)
      .padStart(8, '0') + readWord(bytes, from).toString(16).padStart(8, '0');
  return [text(at), text(at + 8)];
}
