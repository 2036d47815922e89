/** A file on its way in: copied to disk first, because its clock may only be told at its end and its identity is its content. */
import { createHash, randomUUID } from 'node:crypto';
import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, messageOf, OperationalError } from '../base/errors.ts';
import { EventBatch } from '../model/event-batch.ts';
import type { ByteSource } from '../model/event-file.ts';
import { LogBatch } from '../model/log-batch.ts';
import {
  countMalformed,
  type EventTextParser,
  type InputLoss,
  type InputMoment,
  type LogParser,
  type ParseCounts,
  type ParserSession,
} from '../model/parser.ts';

/** Read and parsed at a time: a batch of some ten thousand lines. */
const CHUNK_BYTES = 1 << 20;
/** No record is longer: what has not ended by then is no record. */
const MAX_RECORD_BYTES = 4 << 20;
export const HEAD_BYTES = 64 << 10;

export interface StagedFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly head: Uint8Array;
  remove(): Promise<void>;
}

export async function stage(input: AsyncIterable<Uint8Array>, folder: string, onBytes: (bytes: number) => void): Promise<StagedFile> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, `import-${randomUUID()}.tmp`);
  const remove = (): Promise<void> => rm(path, { force: true });
  const file = await open(path, 'wx', 0o600);
  const hash = createHash('sha256');
  const head = new Uint8Array(HEAD_BYTES);
  let sizeBytes = 0;
  try {
    for await (const chunk of input) {
      if (sizeBytes < HEAD_BYTES) head.set(chunk.subarray(0, HEAD_BYTES - sizeBytes), sizeBytes);
      hash.update(chunk);
      await file.writeFile(chunk);
      sizeBytes += chunk.length;
      onBytes(sizeBytes);
    }
  } catch (error) {
    await file.close();
    await remove();
    throw toInputError(error);
  }
  await file.close();
  return { path, sizeBytes, sha256: hash.digest('hex'), head: head.subarray(0, Math.min(sizeBytes, HEAD_BYTES)), remove };
}

function toInputError(error: unknown): OperationalError {
  if (error instanceof OperationalError) return error;
  if (errnoOf(error) === 'ENOSPC')
    return new OperationalError('E_DISK_FULL', 'no room for the file that is imported', 'free disk space', error);
  return new OperationalError('E_INPUT_READ', `the file cannot be read to its end: ${messageOf(error)}`, 'send it again', error);
}

/** One piece of the file as rows, and the losses it reports. The next piece is read into the same batch. */
export interface ParsedChunk<Batch> {
  readonly batch: Batch;
  readonly losses: readonly InputLoss[];
  readonly moments: readonly InputMoment[];
  /** Bytes of the file read so far. */
  readonly readBytes: number;
}

export function readLogChunks(path: string, parser: LogParser): ChunkReader<LogBatch> {
  return new ChunkReader(path, parser.open(), new LogBatch());
}

export function readEventChunks(path: string, parser: EventTextParser): ChunkReader<EventBatch> {
  return new ChunkReader(path, parser.open(), new EventBatch());
}

/** A file that is read at any place, into one piece of memory that grows to the longest read. Throws E_INPUT_READ. */
export class FileSource implements ByteSource {
  readonly sizeBytes: number;
  readonly #path: string;
  readonly #fd: number;
  #memory = new Uint8Array(0);

  constructor({ path, sizeBytes }: Pick<StagedFile, 'path' | 'sizeBytes'>) {
    this.sizeBytes = sizeBytes;
    this.#path = path;
    this.#fd = tryRead(path, () => openSync(path, 'r'));
  }

  read(offset: number, length: number): Uint8Array {
    const wanted = Math.max(0, Math.min(length, this.sizeBytes - offset));
    if (this.#memory.length < wanted) this.#memory = new Uint8Array(wanted);
    let got = 0;
    while (got < wanted) {
      const at = got;
      const more = tryRead(this.#path, () => readSync(this.#fd, this.#memory, at, wanted - at, offset + at));
      if (more === 0) break;
      got += more;
    }
    return this.#memory.subarray(0, got);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** What the system says of a file that is read, as E_INPUT_READ. */
export function tryRead<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const hint = errnoOf(error) === 'ENOENT' ? 'check the path' : 'check its permissions';
    throw new OperationalError('E_INPUT_READ', `${path} cannot be read: ${messageOf(error)}`, hint, error);
  }
}

/** Parses a staged file piece by piece; the pieces are the same each time it is read. */
export class ChunkReader<Batch extends { clear(): void }> {
  readonly #path: string;
  readonly #session: ParserSession<Batch>;
  readonly #batch: Batch;

  constructor(path: string, session: ParserSession<Batch>, batch: Batch) {
    this.#path = path;
    this.#session = session;
    this.#batch = batch;
  }

  get counts(): ParseCounts {
    return this.#session.counts;
  }

  async *chunks(): AsyncGenerator<ParsedChunk<Batch>> {
    const session = this.#session;
    const batch = this.#batch;
    let tail: Uint8Array = new Uint8Array(0);
    let readBytes = 0;
    for await (const piece of createReadStream(this.#path, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>) {
      readBytes += piece.length;
      const bytes = tail.length === 0 ? piece : Buffer.concat([tail, piece]);
      batch.clear();
      const end = session.parse(bytes, batch);
      // A copy: the stream's next piece may reuse the memory.
      tail = Uint8Array.prototype.slice.call(bytes, end);
      if (tail.length > MAX_RECORD_BYTES) {
        countMalformed(session.counts, 'record_too_long', tail, 0, tail.length);
        tail = new Uint8Array(0);
      }
      yield { batch, losses: session.takeLosses(), moments: session.takeMoments?.() ?? [], readBytes };
    }
    batch.clear();
    const end = session.finish(tail, batch);
    if (end < tail.length) countMalformed(session.counts, 'unfinished_record', tail, end, tail.length);
    yield { batch, losses: session.takeLosses(), moments: session.takeMoments?.() ?? [], readBytes };
  }
}
