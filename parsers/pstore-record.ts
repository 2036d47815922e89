/**
 * One file of /sys/fs/pstore: what its name says, and its text without what pstore put around it.
 *
 *   dmesg-efi_pstore-179565232902002     dmesg-erst-7712267718803587073.enc.z     console-ramoops-0
 *   |     |          |                              |                  +-- compressed as it was written: nobody could unpack it
 *   |     |          +-- 1795652329 seconds, part 02, count 002          (efi, efi_pstore: all in one number)
 *   |     +-- backend                               +-- number << 32 began at the Unix time of the boot's first record (erst)
 *   +-- type
 *
 *   Panic: Total 1 times                 \  in front of it in some records of pstore_zone
 *   Panic#2 Part1                        why, how many crash records this boot has made by now, and part 1 = the newest text
 *   <6>[    0.184617] NR_IRQS: 524544 …  whole records, each line with level and stamp
 *
 *   ECC: No errors detected              ramoops with ecc=1
 *
 * Compressed records are raw deflate (crypto API of Linux 4.14 – 6.5, and zlib_deflate since), deflate in a zlib wrapper (before)
 * or zstd. Refused: lzo, lz4, lz4hc and 842 (`pstore.compress=` of Linux 4.16 – 6.5), which carry no mark and no length.
 * Spec: fs/pstore/platform.c (pstore_dump, decompress_record), fs/pstore/inode.c (pstore_mkfile), fs/pstore/ram.c,
 * drivers/firmware/efi/efi-pstore.c (generic_id), drivers/firmware/efi/cper.c (cper_next_record_id).
 */
import { constants, inflateRawSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import { decodeUtf8 } from '../base/bytes.ts';

const NS_PER_SECOND = 1_000_000_000n;
/** The kernel's own buffer is 100 KiB and a bit; ramoops records can be configured larger. */
const MAX_UNPACKED_BYTES = 4 << 20;
const ZSTD_MAGIC = 0xfd2fb528;
/** The kernel's is 2 MB; a frame that asks for more memory is refused. */
const ZSTD = { [constants.ZSTD_d_windowLogMax]: 23 };
const ZLIB_METHOD = 8;
/** Ids made before this are no times: 2001-09-09. */
const EARLIEST_SECONDS = 1_000_000_000n;

const NAME =
  /^(dmesg|console|pmsg|ftrace|mce|rtas|powerpc-ofw|powerpc-common|powerpc-opal|unknown)-([A-Za-z0-9_.-]{1,64})-(\d{1,20})(\.enc\.z)?$/;
const HEADER =
  /^(?:[A-Z][a-z]+: Total \d+ times\n)?(Panic|Oops|Emerg|Emergency|Shutdown|Restart|Halt|Poweroff|Unknown)#(\d{1,9}) Part(\d{1,9})\n/;
const ECC = /\nECC: (?:No errors detected|(\d+) Corrected bytes, (\d+) unrecoverable blocks)\n*$/;
const LONGEST_HEADER = 128;
const LONGEST_ECC = 96;
const STAMP = /^(?:<\d{1,4}>)?\[ *(\d{1,10})\.(\d{6})\]/;

/** What becomes of the types that hold no kernel log. */
const NO_LOG: Readonly<Record<string, string>> = {
  pmsg: 'what programs wrote to /dev/pmsg0, in a form of their own (Android: logd), and no kernel log',
  ftrace: 'the last function calls (record_ftrace), and no kernel log: read it as text',
  mce: 'machine checks in binary (CPER), and no kernel log: rasdaemon or mcelog reads it',
  unknown: 'a record of a type that the kernel did not know',
};

export interface PstoreFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Of the file, Unix ns; undefined where it has none. */
  readonly modifiedUnixNs: bigint | undefined;
}

export interface PstoreName {
  readonly type: string;
  readonly backend: string;
  readonly id: bigint;
  readonly isCompressed: boolean;
}

export interface PstoreRecord {
  readonly name: string;
  readonly backend: string;
  readonly id: bigint;
  /** `Panic`, `Oops`, …; `Console` for the text of a console, which is one part. */
  readonly reason: string;
  readonly count: number;
  readonly part: number;
  /** Without header and ECC notice. */
  readonly text: Uint8Array;
  /** First and last printk stamp, ns; undefined where no line has one. */
  readonly firstRaw: bigint | undefined;
  readonly lastRaw: bigint | undefined;
  /** Unix ns at which the record was made, whole seconds for most backends; undefined where nothing trustworthy says so. */
  readonly madeUnixNs: bigint | undefined;
  /** What the records of one boot share (erst). */
  readonly bootSeed: bigint | undefined;
  /** Blocks that the error correction of ramoops gave up. */
  readonly damagedBlocks: number;
}

export function parsePstoreName(name: string): PstoreName | undefined {
  const match = NAME.exec(name);
  if (match === null) return undefined;
  return { type: match[1] as string, backend: match[2] as string, id: BigInt(match[3] as string), isCompressed: match[4] !== undefined };
}

/** The record in a file; a string says why there is none. A file without a pstore name is taken by its header. */
export function readPstoreRecord(file: PstoreFile): PstoreRecord | string {
  const named = parsePstoreName(file.name);
  const type = named?.type ?? 'dmesg';
  if (type !== 'dmesg' && type !== 'console') return NO_LOG[type] ?? 'a record of the firmware, and no kernel log';
  const bytes = named?.isCompressed === true ? unpackRecord(file.bytes) : file.bytes;
  if (typeof bytes === 'string') return bytes;
  const { text, damagedBlocks } = cutEccNotice(bytes);
  const common = {
    name: file.name,
    backend: named?.backend ?? '',
    id: named?.id ?? 0n,
    damagedBlocks,
    madeUnixNs: whenMade(named, file.modifiedUnixNs),
    bootSeed: named?.backend === 'erst' ? seedOf(named.id) : undefined,
  };
  if (type === 'console') return { ...common, reason: 'Console', count: 0, part: 1, text, ...stampsOf(text) };
  const header = readPstoreHeader(text, 0);
  if (header === undefined) return 'no pstore header (Panic#1 Part1)';
  const { reason, count, part, end } = header;
  const body = text.subarray(end);
  return { ...common, reason, count, part, text: body, ...stampsOf(body) };
}

/** `Panic#2 Part1` and its line end at `at`. */
export function readPstoreHeader(
  bytes: Uint8Array,
  at: number,
): { readonly reason: string; readonly count: number; readonly part: number; readonly end: number } | undefined {
  const match = HEADER.exec(decodeUtf8(bytes, at, Math.min(bytes.length, at + LONGEST_HEADER)));
  if (match === null) return undefined;
  return { reason: match[1] as string, count: Number(match[2]), part: Number(match[3]), end: at + match[0].length };
}

/** The printk stamp at the start of the line `bytes[at, end)`, ns. */
export function readStamp(bytes: Uint8Array, at: number, end: number): bigint | undefined {
  const match = STAMP.exec(decodeUtf8(bytes, at, Math.min(end, at + 32)));
  return match === null ? undefined : BigInt(match[1] as string) * NS_PER_SECOND + BigInt(match[2] as string) * 1000n;
}

/** Unpacks a `.enc.z` file; a string says why it cannot be. What stands behind the packed text (an ECC notice) is let go. */
function unpackRecord(packed: Uint8Array): Uint8Array | string {
  const options = { maxOutputLength: MAX_UNPACKED_BYTES, finishFlush: constants.Z_SYNC_FLUSH };
  const view = new DataView(packed.buffer, packed.byteOffset, packed.length);
  if (packed.length > 4 && view.getUint32(0, true) === ZSTD_MAGIC) {
    return tryUnpack(() => zstdDecompressSync(packed, { maxOutputLength: MAX_UNPACKED_BYTES, params: ZSTD })) ?? 'damaged zstd';
  }
  const isWrapped = packed.length > 2 && ((packed[0] as number) & 15) === ZLIB_METHOD && view.getUint16(0) % 31 === 0;
  const unwrapped = isWrapped ? tryUnpack(() => inflateSync(packed, options)) : undefined;
  const text = unwrapped ?? tryUnpack(() => inflateRawSync(packed, options));
  // A compression without a mark may happen to inflate to noise.
  if (text !== undefined && readPstoreHeader(text, 0) !== undefined) return text;
  return 'compressed by lzo, lz4 or 842 (pstore.compress= of the kernel that wrote it): boot a kernel with the same setting, which unpacks it in /sys/fs/pstore';
}

function tryUnpack(unpack: () => Uint8Array): Uint8Array | undefined {
  try {
    return unpack();
  } catch {
    return undefined;
  }
}

function cutEccNotice(bytes: Uint8Array): { readonly text: Uint8Array; readonly damagedBlocks: number } {
  const from = Math.max(0, bytes.length - LONGEST_ECC);
  // latin1: as many characters as bytes.
  const end = Buffer.from(bytes.buffer, bytes.byteOffset + from, bytes.length - from).toString('latin1');
  const match = ECC.exec(end);
  if (match === null) return { text: bytes, damagedBlocks: 0 };
  return { text: bytes.subarray(0, from + match.index), damagedBlocks: Number(match[2] ?? 0) };
}

/**
 * The id of EFI says it to the second. Elsewhere it is the time of the file, as pstore sets it: to the second, or (ramoops) to the
 * microsecond. A time with nanoseconds was set by whoever copied the file, and says nothing.
 */
function whenMade(named: PstoreName | undefined, modifiedUnixNs: bigint | undefined): bigint | undefined {
  const seconds = named === undefined || !named.backend.startsWith('efi') ? 0n : named.id / 100_000n;
  if (seconds >= EARLIEST_SECONDS) return seconds * NS_PER_SECOND;
  const isKept = modifiedUnixNs !== undefined && modifiedUnixNs % 1000n === 0n && modifiedUnixNs >= EARLIEST_SECONDS * NS_PER_SECOND;
  return isKept ? modifiedUnixNs : undefined;
}

function seedOf(id: bigint): bigint | undefined {
  const seconds = id >> 32n;
  return seconds >= EARLIEST_SECONDS ? seconds : undefined;
}

function stampsOf(text: Uint8Array): Pick<PstoreRecord, 'firstRaw' | 'lastRaw'> {
  let firstRaw: bigint | undefined;
  let lastRaw: bigint | undefined;
  for (let at = 0; at < text.length && firstRaw === undefined;) {
    const end = lineEnd(text, at);
    firstRaw = readStamp(text, at, end);
    at = end + 1;
  }
  for (let end = text.length; end > 0 && lastRaw === undefined;) {
    const at = text.lastIndexOf(10, end - 1) + 1;
    lastRaw = readStamp(text, at, end);
    end = at - 1;
  }
  return { firstRaw, lastRaw };
}

export function lineEnd(text: Uint8Array, at: number): number {
  const found = text.indexOf(10, at);
  return found < 0 ? text.length : found;
}
