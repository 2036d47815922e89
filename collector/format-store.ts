/**
 * Format sets that segments in the spool still need, by hash: a segment may be sent long after the kernel that wrote its pages
 * has gone, so the sets lie beside the spool and not in the kernel.
 */
import { mkdirSync, readFileSync, readdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../base/errors.ts';
import type { FormatSet } from '../model/segment.ts';

/** Boots whose segments may wait at the same time: of this kernel and of the guests that are read by streams. */
const MAX_SETS = 64;

export class FormatStore {
  readonly #folder: string;

  constructor(spoolFolder: string) {
    this.#folder = join(spoolFolder, 'formats');
  }

  put(hash: string, set: FormatSet): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o750 });
    writeFileSync(join(this.#folder, `${hash}.json`), JSON.stringify(set));
    this.#trim();
  }

  /** The set as it is sent, or undefined where it is not known (any more). */
  get(hash: string): Uint8Array<ArrayBuffer> | undefined {
    try {
      return new Uint8Array(readFileSync(join(this.#folder, `${hash}.json`)));
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  #trim(): void {
    const files = readdirSync(this.#folder).map((name) => join(this.#folder, name));
    const oldestFirst = files.sort((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs);
    for (const path of oldestFirst.slice(0, -MAX_SETS)) unlinkSync(path);
  }
}
