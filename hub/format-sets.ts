/**
 * The event format sets that segments are read with, by content hash: on disk in `formats/<hash>.json`, and in memory as open
 * page readers. A set never changes under its hash, so one that is here is never written again.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, messageOf, OperationalError } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { keepLast } from '../base/recent-map.ts';
import { hashFormatSet, toFormatSet, type FormatSet } from '../model/segment.ts';
import { openPageReader, type PageReader } from '../parsers/ring-buffer.ts';

const log = createLogger('hub');

const HASH = /^[0-9a-f]{32}$/;
/** Open readers kept, one per stream that sends: the compiled readers of a set take some MB. */
const MAX_OPEN_READERS = 64;

export class FormatSets {
  readonly #folder: string;
  readonly #known: Set<string>;
  /** In order of use, oldest first. */
  readonly #readers = new Map<string, PageReader>();

  constructor(dataDir: string) {
    this.#folder = join(dataDir, 'formats');
    mkdirSync(this.#folder, { recursive: true });
    this.#known = new Set(
      readdirSync(this.#folder)
        .filter((name) => name.endsWith('.json'))
        .map((name) => name.slice(0, -'.json'.length))
        .filter((hash) => HASH.test(hash)),
    );
  }

  get hashes(): readonly string[] {
    return [...this.#known];
  }

  /** Keeps a set under its hash; throws E_REQUEST when it is not one, or not the one that `hash` names. */
  put(hash: string, body: unknown): void {
    const set = toFormatSet(body);
    if (typeof set === 'string') throw invalid(`the format set is malformed: ${set}`);
    const found = hashFormatSet(set);
    if (found !== hash) throw invalid(`the format set hashes to ${found}, not to ${hash}`);
    const { problems } = openPageReader(set);
    if (problems.length > 0 && problems.length >= set.events.length) throw invalid(`no format of the set can be read: ${problems[0]}`);
    for (const problem of problems) log.warn('a format of the set cannot be read; its events will count as unknown', { hash, problem });
    if (!this.#known.has(hash)) this.#write(hash, set);
    this.#known.add(hash);
  }

  /**
   * The reader of a stream's pages; throws E_FORMAT_SET_UNKNOWN when the hub does not hold the set. A reader remembers each
   * CPU's last time, so kernels that share a set (a host and its spawns may run the same build) each have their own.
   */
  readerOf(hash: string, bootId: string, stream: string): PageReader {
    const key = `${hash}\n${bootId}\n${stream}`;
    let reader = this.#readers.get(key);
    if (reader === undefined) {
      if (!this.#known.has(hash)) throw unknown(hash);
      reader = openPageReader(this.#read(hash));
    }
    keepLast(this.#readers, key, reader, MAX_OPEN_READERS);
    return reader;
  }

  #write(hash: string, set: FormatSet): void {
    const path = join(this.#folder, `${hash}.json`);
    try {
      writeFileSync(`${path}.tmp`, JSON.stringify(set));
      renameSync(`${path}.tmp`, path);
    } catch (error) {
      if (errnoOf(error) !== 'ENOSPC') throw error;
      throw new OperationalError('E_DISK_FULL', `no room for the format set in ${this.#folder}`, 'free disk space', error);
    }
  }

  #read(hash: string): FormatSet {
    const path = join(this.#folder, `${hash}.json`);
    try {
      const set = toFormatSet(JSON.parse(readFileSync(path, 'utf8')));
      if (typeof set !== 'string' && hashFormatSet(set) === hash) return set;
      log.warn('format set on disk is not what its name says; asking for it again', { path });
    } catch (error) {
      log.warn('format set on disk is unreadable; asking for it again', { path, error: messageOf(error) });
    }
    this.#known.delete(hash);
    throw unknown(hash);
  }
}

function invalid(message: string): OperationalError {
  return new OperationalError('E_REQUEST', message, 'PUT the set under hashFormatSet(set), as model/segment.ts defines it');
}

function unknown(hash: string): OperationalError {
  return new OperationalError(
    'E_FORMAT_SET_UNKNOWN',
    `the hub does not hold format set ${hash}`,
    `PUT it to /v1/mkscope/formats/${hash}, then send the segment again`,
  );
}
