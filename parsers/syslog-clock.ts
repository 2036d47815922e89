/**
 * The two clocks of a syslog file: each of the kernel's lines that carries its own stamp tells both, which gives the printk clock of its
 * boot its place in time.
 *
 *   wall        14:28:28      14:28:28      14:28:31
 *   printk         1.20          4.70          7.69
 *                 27.8          23.3          23.31      wall - printk: the least is of the line that was read with the least delay
 *
 * A daemon reads what the kernel printed before it ran all at once: late, never early. Of each stretch of a boot the least delayed line
 * is told as a moment (model/parser.ts).
 */
import type { InputMoment } from '../model/parser.ts';
import type { WallTime } from './syslog-time.ts';

/** A moment is told for each such stretch of a boot. */
const STRETCH_MICROS = 600e6;
/** How late the least delayed line of a stretch may have been read. */
const DELAY_MICROS = 20_000;
/** Untaken moments: one stretch may come for each line of an input whose clock jumps. */
const MAX_MOMENTS = 4096;

export class SyslogClock {
  #boot = 0;
  #hasMark = false;
  #maxMicros = -1;
  #stretch = -1;
  #leastOffset = 0;
  #leastMicros = 0;
  #leastStep = 0;
  #isZoned = false;
  #moments: InputMoment[] = [];

  /** Notes a row's place on the printk clock (-1 = none), as whoever divides the rows into boots does (hub/import-boots.ts). */
  follow(micros: number, isMark: boolean): void {
    if (isMark && (this.#hasMark || this.#maxMicros > micros)) {
      this.#closeStretch();
      this.#boot++;
      this.#maxMicros = -1;
    }
    this.#hasMark ||= isMark;
    if (micros > this.#maxMicros) this.#maxMicros = micros;
  }

  /** A line that tells both times. */
  compare(wallMicros: number, printkMicros: number, { stepMicros, isZoned }: Pick<WallTime, 'stepMicros' | 'isZoned'>): void {
    this.#isZoned = isZoned;
    const offset = wallMicros - printkMicros;
    const stretch = Math.floor(printkMicros / STRETCH_MICROS);
    if (stretch !== this.#stretch) {
      this.#closeStretch();
      this.#stretch = stretch;
      this.#leastOffset = Infinity;
    }
    if (offset >= this.#leastOffset) return;
    this.#leastOffset = offset;
    this.#leastMicros = printkMicros;
    this.#leastStep = stepMicros;
  }

  takeMoments(): InputMoment[] {
    this.#closeStretch();
    const taken = this.#moments;
    this.#moments = [];
    return taken;
  }

  #closeStretch(): void {
    if (this.#stretch < 0) return;
    this.#stretch = -1;
    if (this.#moments.length >= MAX_MOMENTS) return;
    const wall = this.#leastOffset + this.#leastMicros;
    this.#moments.push({
      boot: this.#boot,
      ofLine: this.#isZoned ? 'zoned' : 'local',
      raw: BigInt(Math.round(this.#leastMicros)) * 1000n,
      unixLow: BigInt(Math.round(wall - DELAY_MICROS)) * 1000n,
      unixHigh: BigInt(Math.round(wall + this.#leastStep)) * 1000n,
    });
  }
}
