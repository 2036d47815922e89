/** Reads the raw pages of one instance, all CPUs in turn, each within its budget, and counts what it read. */
import { closeSync, readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { readPage } from './clock-bracket.ts';
import { countEvents, dataBytes, readPageLayout, type PageLayout } from './page-count.ts';
import type { CpuStats, TraceInstance } from './tracefs.ts';

/** Per CPU and tick: one noisy CPU cannot keep the others waiting. */
const MAX_PAGES_PER_TICK = 256;
/** Bytes after which a round stops, to go on behind the same CPU next time: bounds the memory of a machine with many CPUs. */
const MAX_HELD_BYTES = 1 << 20;
/** A CPU whose buffer was empty is asked less often, up to this many ticks. */
const MAX_IDLE_TICKS = 4;

interface CpuReader {
  readonly cpu: number;
  readonly fd: number;
  /** Cumulative. */
  eventsRead: number;
  stats: CpuStats;
  idleTicks: number;
  skipTicks: number;
}

export interface PageChunk {
  readonly cpu: number;
  readonly pages: number;
  readonly events: number;
}

export class TraceReader {
  readonly instance: TraceInstance;
  readonly pageSizeBytes: number;
  readonly #cpus: CpuReader[];
  readonly #layout: PageLayout;
  readonly #little = endianness() === 'LE';
  #pages: Uint8Array<ArrayBuffer>;
  #view: DataView<ArrayBuffer>;
  #bytes = 0;
  /** Index of the CPU that the next round begins with. */
  #next = 0;
  #chunks: PageChunk[] = [];

  constructor(tracefs: string, instance: TraceInstance) {
    this.instance = instance;
    this.pageSizeBytes = instance.pageSizeBytes();
    this.#layout = readPageLayout(readFileSync(join(tracefs, 'events/header_page'), 'utf8'));
    this.#cpus = instance.cpus().map((cpu) => ({
      cpu,
      fd: instance.openPages(cpu),
      eventsRead: 0,
      stats: instance.stats(cpu),
      idleTicks: 0,
      skipTicks: 0,
    }));
    this.#pages = new Uint8Array(64 * this.pageSizeBytes);
    this.#view = new DataView(this.#pages.buffer);
  }

  /** Bytes of pages held. */
  get heldBytes(): number {
    return this.#bytes;
  }

  /**
   * One round over the CPUs; returns true when there is more: a CPU had more than its budget, or the pages held reached their
   * bound. `all` = also those that were idle.
   */
  read(all = false): boolean {
    let more = false;
    for (let i = 0; i < this.#cpus.length; i++) {
      if (this.#bytes >= MAX_HELD_BYTES) return true;
      const of = this.#cpus[this.#next] as CpuReader;
      this.#next = (this.#next + 1) % this.#cpus.length;
      if (!all && of.skipTicks > 0) {
        of.skipTicks--;
        continue;
      }
      const pages = this.#readCpu(of);
      of.idleTicks = pages === 0 ? Math.min(of.idleTicks + 1, MAX_IDLE_TICKS) : 0;
      of.skipTicks = of.idleTicks;
      if (pages === MAX_PAGES_PER_TICK) more = true;
    }
    return more;
  }

  /** The pages read since the last call, and what they hold: a view, valid until the next `read`. */
  take(): { readonly pages: Uint8Array<ArrayBuffer>; readonly chunks: readonly PageChunk[] } {
    const taken = { pages: this.#pages.subarray(0, this.#bytes), chunks: this.#chunks };
    this.#bytes = 0;
    this.#chunks = [];
    return taken;
  }

  /** The kernel's books and ours, read next to each other. */
  readStats(): readonly { readonly cpu: number; readonly stats: CpuStats; readonly eventsRead: number }[] {
    for (const of of this.#cpus) of.stats = this.instance.stats(of.cpu);
    return this.#cpus;
  }

  get cpus(): readonly { readonly cpu: number; readonly stats: CpuStats; readonly eventsRead: number }[] {
    return this.#cpus;
  }

  close(): void {
    for (const { fd } of this.#cpus) closeSync(fd);
    this.#cpus.length = 0;
  }

  #readCpu(of: CpuReader): number {
    let pages = 0;
    let events = 0;
    while (pages < MAX_PAGES_PER_TICK) {
      if (this.#bytes + this.pageSizeBytes > this.#pages.length) this.#resize(this.#pages.length * 2);
      const at = this.#bytes;
      if (!readPage(of.fd, this.#pages.subarray(at, at + this.pageSizeBytes))) break;
      this.#bytes += this.pageSizeBytes;
      pages++;
      events += countEvents(this.#view, at, this.pageSizeBytes, this.#layout, this.#little);
      // Less than half a page is what the writer has at hand: reading on would chase it event by event.
      if (dataBytes(this.#view, at, this.#layout, this.#little) < this.pageSizeBytes / 2) break;
    }
    if (pages === 0) return 0;
    of.eventsRead += events;
    this.#chunks.push({ cpu: of.cpu, pages, events });
    return pages;
  }

  #resize(capacity: number): void {
    const resized = new Uint8Array(capacity);
    resized.set(this.#pages.subarray(0, Math.min(this.#bytes, capacity)));
    this.#pages = resized;
    this.#view = new DataView(resized.buffer);
  }
}
