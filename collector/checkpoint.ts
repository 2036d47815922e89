/**
 * What is acknowledged, on disk: per lane the last sequence number the receiver has, per stream the position its source
 * resumes at. Written to a new file and renamed, so that a reader finds the old or the new one, never half of either. The
 * spooled records carry positions of their own: the source resumes at the furthest of both.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import type { SourcePosition } from '../model/pipeline.ts';
import { LANES, type Lane, type Spool, type SpoolHeader } from './spool.ts';

/** What a crash can make a receiver see twice; a hub knows it again by (stream, seq). Ten times a second took 1 % of a core. */
const SAVE_DELAY_MS = 1000;
const log = createLogger('checkpoint');

interface CheckpointFile {
  readonly version: 1;
  readonly acknowledged: Readonly<Partial<Record<Lane, number>>>;
  readonly positions: Readonly<Record<string, SourcePosition>>;
}

export class Checkpoint {
  readonly #path: string;
  readonly #acknowledged: Partial<Record<Lane, number>>;
  readonly #positions: Map<string, SourcePosition>;
  #bootId: string;
  #timer: NodeJS.Timeout | undefined;
  #dirty = false;

  /** Reads the folder's checkpoint and makes the spool forget what it says is acknowledged. */
  constructor(spool: Spool, bootId = '') {
    this.#bootId = bootId;
    this.#path = join(spool.folder, 'checkpoint.json');
    const found = readCheckpoint(this.#path);
    this.#acknowledged = { ...found.acknowledged };
    this.#positions = new Map(Object.entries(found.positions));
    for (const lane of LANES) {
      const seq = this.#acknowledged[lane];
      if (seq !== undefined) spool.acknowledgeThrough(lane, seq);
    }
    spool.beforeRemove = () => this.save();
  }

  /** The boot whose positions count from now on. */
  enterBoot(bootId: string): void {
    this.#bootId = bootId;
  }

  /** Furthest position of a stream in this checkpoint, in the records that wait, and in those that are kept. */
  resumePositions(spool: Spool, kept: ReadonlyMap<string, SourcePosition> = new Map()): Map<string, SourcePosition> {
    const furthest = new Map(this.#positions);
    for (const header of spool.headers()) this.#advance(furthest, header.positions);
    this.#advance(furthest, Object.fromEntries(kept));
    return furthest;
  }

  /** A record is done with (acknowledged, refused or dropped): its source need not read it again. */
  settle(lane: Lane, header: SpoolHeader): void {
    this.#acknowledged[lane] = Math.max(this.#acknowledged[lane] ?? -1, header.seq);
    this.#advance(this.#positions, header.positions);
    this.#dirty = true;
    this.#timer ??= setTimeout(() => this.save(), SAVE_DELAY_MS);
  }

  /** Streams of boots and instances that are gone need no position. */
  forget(stream: string): void {
    if (this.#positions.delete(stream)) this.#dirty = true;
  }

  save(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#dirty) return;
    const content: CheckpointFile = { version: 1, acknowledged: this.#acknowledged, positions: Object.fromEntries(this.#positions) };
    try {
      writeFileSync(`${this.#path}.new`, JSON.stringify(content));
      renameSync(`${this.#path}.new`, this.#path);
      this.#dirty = false;
    } catch (error) {
      // What follows from a lost checkpoint is a repeated batch, which the hub recognises: not worth stopping for.
      log.warn('cannot be written', { path: this.#path, error: messageOf(error) });
    }
  }

  /** Of two boots the running one counts, else the later record. */
  #advance(into: Map<string, SourcePosition>, positions: Readonly<Record<string, SourcePosition>>): void {
    for (const [stream, position] of Object.entries(positions)) {
      const known = into.get(stream);
      const furthest =
        known === undefined ||
        (known.bootId === position.bootId
          ? known.sequence < position.sequence
          : known.bootId !== this.#bootId || position.bootId === this.#bootId);
      if (furthest) into.set(stream, position);
    }
  }
}

function readCheckpoint(path: string): CheckpointFile {
  const empty: CheckpointFile = { version: 1, acknowledged: {}, positions: {} };
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') log.warn('cannot be read, starting afresh', { path, error: messageOf(error) });
    return empty;
  }
  try {
    const found = JSON.parse(text) as Partial<CheckpointFile>;
    if (found.version === 1) return { ...empty, ...found };
  } catch (error) {
    log.warn('is damaged, starting afresh', { path, error: messageOf(error) });
  }
  return empty;
}
