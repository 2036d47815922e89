/**
 * A file as it was before gzip, zstd, xz, bzip2 or lz4: rotated logs are packed, and recordings are sent packed. Told by the first bytes. Text in UTF-16
 * becomes UTF-8, and what was quoted in a mail loses what stands in front of its lines (quoted-text.ts).
 *
 *   1f 8b                gzip, by node            fd 37 7a 58 5a 00    xz      ┐
 *   28 b5 2f fd          zstd, by node            42 5a 68             bzip2   │ by their programs
 *                                                 04 22 4d 18          lz4     ┘
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { pipeline, Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { errnoOf, isOperational, messageOf, OperationalError } from '../base/errors.ts';
import { findQuote, unquote } from './quoted-text.ts';

interface Packing {
  readonly magic: readonly number[];
  /** Node's own, or a program that unpacks its standard input. */
  readonly open: 'gzip' | 'zstd' | { readonly program: string; readonly debian: string };
}

const PACKINGS: readonly Packing[] = [
  { magic: [0x1f, 0x8b], open: 'gzip' },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], open: 'zstd' },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], open: { program: 'xz', debian: 'xz-utils' } },
  { magic: [0x42, 0x5a, 0x68], open: { program: 'bzip2', debian: 'bzip2' } },
  { magic: [0x04, 0x22, 0x4d, 0x18], open: { program: 'lz4', debian: 'lz4' } },
];
/** Logs pack 10 to 100 times; what grows more is made to fill the disk. */
const MAX_RATIO = 1000;
/** Below this nothing is filled. */
const FREE_BYTES = 256 << 20;

/** It is read as it lies there: `unpackInput` would change nothing. */
export function isPlain(head: Uint8Array): boolean {
  return findPacking(head) === undefined && markOf(head) === undefined && findQuote(head) === undefined;
}

/** The bytes of `input`, unpacked where they are packed, and as text that parsers take; `path` is for messages. */
export async function* unpackInput(input: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  const chunks = input[Symbol.asyncIterator]();
  const first = await chunks.next();
  if (first.done === true) return;
  const packing = findPacking(first.value);
  const all = rejoin(first.value, chunks);
  yield* toPlainText(packing === undefined ? all : unpack(packing, all, path));
}

async function* unpack(packing: Packing, all: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  let packedBytes = 0;
  const counted = (async function* () {
    for await (const chunk of all) {
      packedBytes += chunk.length;
      yield chunk;
    }
  })();
  let bytes = 0;
  for await (const chunk of open(packing.open, counted, path)) {
    bytes += chunk.length;
    if (bytes > FREE_BYTES && bytes > packedBytes * MAX_RATIO)
      throw cannotUnpack(path, `it grows more than ${MAX_RATIO} times`, 'unpack it yourself if it is to be trusted');
    yield chunk;
  }
}

/** Text that went through Windows, or a mail. All else stays as it is, also what is no UTF-8. */
async function* toPlainText(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const chunks = input[Symbol.asyncIterator]();
  const first = await chunks.next();
  if (first.done === true) return;
  const mark = markOf(first.value);
  const all = mark === undefined ? rejoin(first.value, chunks) : decode(rejoin(first.value, chunks), mark);
  const quote = mark === undefined ? findQuote(first.value) : undefined;
  yield* quote === undefined ? all : unquote(all, quote);
}

/** PowerShell's `>` writes UTF-16, editors put a mark in front of UTF-8. */
const MARKS = [
  { encoding: 'utf-16le', bytes: [0xff, 0xfe] },
  { encoding: 'utf-16be', bytes: [0xfe, 0xff] },
  { encoding: 'utf-8', bytes: [0xef, 0xbb, 0xbf] },
] as const;

type Mark = (typeof MARKS)[number];

function markOf(head: Uint8Array): Mark | undefined {
  return MARKS.find(({ bytes }) => bytes.every((byte, at) => head[at] === byte));
}

async function* decode(input: AsyncIterable<Uint8Array>, { encoding, bytes }: Mark): AsyncGenerator<Uint8Array> {
  if (encoding === 'utf-8') {
    let skip: number = bytes.length;
    for await (const chunk of input) {
      yield chunk.subarray(skip);
      skip = 0;
    }
    return;
  }
  const decoder = new TextDecoder(encoding);
  for await (const chunk of input) yield Buffer.from(decoder.decode(chunk, { stream: true }));
  yield Buffer.from(decoder.decode());
}

function findPacking(head: Uint8Array): Packing | undefined {
  return PACKINGS.find(({ magic }) => magic.every((byte, at) => head[at] === byte));
}

async function* rejoin(first: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}

async function* open(how: Packing['open'], packed: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  if (typeof how === 'object') {
    yield* runProgram(how, packed, path);
    return;
  }
  // What fails in front of it ends it, too.
  const unpacked = pipeline(Readable.from(packed), how === 'gzip' ? createGunzip() : createZstdDecompress(), () => undefined);
  try {
    for await (const chunk of unpacked as AsyncIterable<Uint8Array>) yield chunk;
  } catch (error) {
    if (isOperational(error)) throw error;
    throw cannotUnpack(path, messageOf(error), 'what is left of it may be had with `zcat FILE | mkscope import -`', error);
  }
}

async function* runProgram(
  { program, debian }: { readonly program: string; readonly debian: string },
  packed: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<Uint8Array> {
  const child = spawn(program, ['-dc'], { stdio: ['pipe', 'pipe', 'pipe'] });
  const failed = new Promise<unknown>((resolve) => child.once('error', resolve));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  let said = '';
  child.stderr.on('data', (text: Buffer) => (said = (said + text.toString()).slice(0, 500)));
  let broken: Error | undefined;
  // A program that gives up closes its input first: then what it says counts.
  pipeline(Readable.from(packed), child.stdin, (error) => (broken = error ?? undefined));
  yield* child.stdout as AsyncIterable<Uint8Array>;
  const outcome = await Promise.race([failed, ended]);
  if (isOperational(broken)) throw broken;
  if (outcome === 0) return;
  if (outcome instanceof Error && errnoOf(outcome) === 'ENOENT')
    throw cannotUnpack(path, `${program} is not installed`, `apt-get install ${debian}, or unpack the file`, outcome);
  throw cannotUnpack(path, said.trim() === '' ? `${program} failed` : said.trim(), 'check that the file is whole');
}

function cannotUnpack(path: string, why: string, hint: string, cause?: unknown): OperationalError {
  return new OperationalError('E_INPUT_READ', `${path} cannot be unpacked (${why})`, hint, cause);
}
