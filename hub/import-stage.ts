/** A file on its way in: read more than once, because its clock may only be told at its end and its identity is its content. What cannot be read twice is copied to disk first. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, messageOf, OperationalError } from '../base/errors.ts';
import { EventBatch } from '../model/event-batch.ts';
import { LogBatch } from '../model/log-batch.ts';
import {
  countMalformed,
  type EventTextParser,
  type InputHints,
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

/** A file that stays where it is. Read once, for what it is known by, through memory that is used again. */
export async function stageInPlace(path: string, onBytes: (bytes: number) => void): Promise<StagedFile> {
  const hash = createHash('sha256');
  const head = new Uint8Array(HEAD_BYTES);
  const memory = new Uint8Array(CHUNK_BYTES);
  let sizeBytes = 0;
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    for (let got = CHUNK_BYTES; got > 0;) {
      ({ bytesRead: got } = await file.read(memory, 0, CHUNK_BYTES, sizeBytes));
      if (sizeBytes < HEAD_BYTES) head.set(memory.subarray(0, Math.min(got, HEAD_BYTES - sizeBytes)), sizeBytes);
      hash.update(memory.subarray(0, got));
      sizeBytes += got;
      onBytes(sizeBytes);
    }
  } catch (error) {
    throw toInputError(error);
  } finally {
    await file?.close();
  }
  const remove = (): Promise<void> => Promise.resolve();
  return { path, sizeBytes, sha256: hash.digest('hex'), head: head.subarray(0, Math.min(sizeBytes, HEAD_BYTES)), remove };
}

function toInputError(error: unknown): OperationalError {
  if (error instanceof OperationalError) return error;
  if (errnoOf(error) === 'ENOSPC')
    return new OperationalError('E_DISK_FULL', 'no room for the file that is imported', 'free disk space', error);
  return new OperationalError('E_INPUT_READ', `the file cannot be read to its end: ${messageOf(error)}`, 'send it again', error);
}

/** One piece of the file as rows, and the losses it reports. The next piece is added to the same batch: who has stored the rows clears it. */
export interface ParsedChunk<Batch> {
  readonly batch: Batch;
  readonly losses: readonly InputLoss[];
  readonly moments: readonly InputMoment[];
  /** Bytes of the file read so far. */
  readonly readBytes: number;
}

export function readLogChunks(file: StagedFile, parser: LogParser, hints: InputHints): ChunkReader<LogBatch> {
  return new ChunkReader(file, parser.open(hints), new LogBatch());
}

export function readEventChunks(file: StagedFile, parser: EventTextParser): ChunkReader<EventBatch> {
  return new ChunkReader(file, parser.open(), new EventBatch());
}

/** Parses a staged file piece by piece; the pieces are the same each time it is read. */
export class ChunkReader<Batch> {
  readonly batch: Batch;
  readonly #file: StagedFile;
  readonly #session: ParserSession<Batch>;

  constructor(file: StagedFile, session: ParserSession<Batch>, batch: Batch) {
    this.#file = file;
    this.#session = session;
    this.batch = batch;
  }

  get counts(): ParseCounts {
    return this.#session.counts;
  }

  /** Throws E_INPUT_READ, also where the file is shorter than it was. */
  async *chunks(): AsyncGenerator<ParsedChunk<Batch>> {
    const session = this.#session;
    const { path, sizeBytes } = this.#file;
    const file = await open(path, 'r').catch(rethrow);
    try {
      // In front of each piece what the one before left: memory that is used again costs nothing, new memory as much as the parsing.
      let memory = new Uint8Array(2 * CHUNK_BYTES);
      let held = 0;
      for (let readBytes = 0; readBytes < sizeBytes;) {
        if (held + CHUNK_BYTES > memory.length) {
          const grown = new Uint8Array(held + CHUNK_BYTES);
          grown.set(memory.subarray(0, held));
          memory = grown;
        }
        const wanted = Math.min(CHUNK_BYTES, sizeBytes - readBytes);
        await readWhole(file, memory.subarray(held, held + wanted), readBytes);
        readBytes += wanted;
        const bytes = memory.subarray(0, held + wanted);
        const end = session.parse(bytes, this.batch);
        held = bytes.length - end;
        if (held > MAX_RECORD_BYTES) {
          countMalformed(session.counts, 'record_too_long', bytes, end, bytes.length);
          held = 0;
        } else memory.copyWithin(0, end, bytes.length);
        yield this.#chunk(readBytes);
      }
      const tail = memory.subarray(0, held);
      const end = session.finish(tail, this.batch);
      if (end < tail.length) countMalformed(session.counts, 'unfinished_record', tail, end, tail.length);
      yield this.#chunk(sizeBytes);
    } finally {
      await file.close();
    }
  }

  #chunk(readBytes: number): ParsedChunk<Batch> {
    const session = this.#session;
    return { batch: this.batch, losses: session.takeLosses(), moments: session.takeMoments?.() ?? [], readBytes };
  }
}

async function readWhole(file: FileHandle, into: Uint8Array, position: number): Promise<void> {
  for (let got = 0; got < into.length;) {
    const { bytesRead } = await file.read(into, got, into.length - got, position + got).catch(rethrow);
    if (bytesRead === 0) throw new OperationalError('E_INPUT_READ', 'the file became shorter while it was read', 'import it again');
    got += bytesRead;
  }
}

function rethrow(error: unknown): never {
  throw toInputError(error);
}
