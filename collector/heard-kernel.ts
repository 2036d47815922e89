/**
 * A kernel of which nothing is known but what it prints, over netconsole or on a console: its boots, one after the other, each an
 * incarnation of the kernel, in one feed. Nobody says a boot id, so one is made when a boot is first heard; an earlier run's is taken
 * over where the clock still began at the same moment. The hub may find out which boot it is (hub/boot-joins.ts).
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from '../base/log.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { SourcePosition, StreamCounts } from '../model/pipeline.ts';
import type { UnixNs } from '../model/time.ts';
import type { KernelFeed } from './kernel-feed.ts';
import { HeardBoot, type HeardRecords, type HeardStreams } from './heard-boot.ts';
import { SeenClock } from './seen-clock.ts';

/** Handed on and not yet safe: beyond it what comes is dropped, since a sender cannot be held up. */
const MAX_UNDERWAY_BYTES = 4 << 20;
/** A boot that was heard by an earlier run began at this moment, give or take. */
const SAME_BOOT_MS = 5000;
/** Between the clock of the sender and ours. */
const DRIFT = 100e-6;

export interface HeardKernelOptions {
  readonly name: string;
  readonly kernelId: number;
  readonly machine: Pick<KernelIdentity, 'machineId' | 'machineName'>;
  readonly now: () => UnixNs;
  readonly feed: KernelFeed;
  /** Names of its streams: packets of extended netconsole, and plain lines. */
  readonly streams: HeardStreams;
  readonly log: Logger;
}

export class HeardKernel {
  readonly name: string;
  readonly feed: KernelFeed;
  readonly #options: HeardKernelOptions;
  readonly #streams: HeardStreams;
  readonly #underway = new Set<Promise<unknown>>();
  #resume: ReadonlyMap<string, SourcePosition>;
  #boot: HeardBoot | undefined;
  #begun = false;
  #sinceMs = Date.now();
  #underwayBytes = 0;
  identity: KernelIdentity | undefined;
  packets = 0;

  constructor(options: HeardKernelOptions) {
    this.#options = options;
    this.name = options.name;
    this.feed = options.feed;
    this.#streams = options.streams;
    this.#resume = options.feed.resumePositions();
  }

  add(packet: Uint8Array, nowMs: number): void {
    this.packets++;
    const seenNs = this.#options.now();
    let rest: readonly Uint8Array[] = [packet];
    // One packet holds the lines of two boots at most; what says otherwise is noise, and ends here.
    for (let turn = 0; rest.length > 0 && turn < 8; turn++) {
      if (turn > 0) this.#endBoot(nowMs);
      const boot = (this.#boot ??= this.#openBoot(nowMs));
      rest = rest.flatMap((one) => boot.add(one, seenNs, nowMs));
    }
  }

  /** Hands on what is due. */
  tick(nowMs: number, all = false): void {
    const boot = this.#boot;
    if (boot === undefined || !(all || boot.isSettled(nowMs))) return;
    if (!this.#begun) this.#begin(boot);
    for (const heard of boot.take(nowMs, all)) this.#handOn(boot, heard);
  }

  writeBooks(): void {
    if (this.#begun) this.feed.writeBooks(this.counts());
  }

  async stop(nowMs: number): Promise<void> {
    this.tick(nowMs, true);
    this.writeBooks();
    await Promise.all(this.#underway);
  }

  counts(): StreamCounts[] {
    const boot = this.#boot;
    if (boot === undefined || !this.#begun) return [];
    const sinceUnixNs = BigInt(this.#sinceMs) * 1_000_000n;
    const counts: StreamCounts[] = [];
    if (boot.origin >= 0) {
      const written = boot.lastSequence + 1 - boot.origin;
      counts.push({ stream: this.#streams.extended, cpu: -1, written, read: written - boot.lost, lost: boot.lost, sinceUnixNs });
    }
    // Plain lines have no numbers: nobody knows how many there were.
    if (boot.hasText) {
      counts.push({ stream: this.#streams.text, cpu: -1, written: undefined, read: boot.textLines, lost: boot.textLost, sinceUnixNs });
    }
    return counts;
  }

  /** For people. */
  describe(): string {
    const boot = this.#boot;
    if (boot === undefined) return `${this.name}: nothing came yet`;
    const told = [`${this.packets} packets`];
    if (boot.duplicates > 0) told.push(`${boot.duplicates} twice`);
    if (boot.lost > 0) told.push(`${boot.lost} records missing`);
    if (boot.incomplete > 0) told.push(`${boot.incomplete} in pieces`);
    if (boot.malformed > 0) told.push(`${boot.malformed} unreadable`);
    return `${this.name}: ${told.join(', ')}`;
  }

  #openBoot(nowMs: number): HeardBoot {
    this.#begun = false;
    return new HeardBoot(this.#streams, new SeenClock(this.#options.now), nowMs);
  }

  #endBoot(nowMs: number): void {
    this.tick(nowMs, true);
    this.writeBooks();
    this.#resume = new Map();
    this.#boot = undefined;
  }

  #begin(boot: HeardBoot): void {
    this.#begun = true;
    const known = this.#findResumed(boot);
    const { machine, kernelId, name } = this.#options;
    this.identity = {
      machineId: machine.machineId,
      machineName: machine.machineName,
      kernelId,
      kernelName: name,
      bootId: known?.bootId ?? randomUUID(),
      release: boot.release,
      arch: '',
      isHeard: true,
    };
    this.#sinceMs = known?.counts?.['sinceMs'] ?? Date.now();
    this.#options.log.info(known === undefined ? `hears a boot of ${name}` : `hears ${name} again`, {
      kernel: kernelId,
      boot: this.identity.bootId,
    });
    this.feed.begin(this.identity, boot.clock);
  }

  /** The position of an earlier run, where this is still the boot that it heard. */
  #findResumed(boot: HeardBoot): SourcePosition | undefined {
    const extended = this.#resume.get(this.#streams.extended);
    const text = this.#resume.get(this.#streams.text);
    const known = extended ?? text;
    this.#resume = new Map();
    const zeroNs = boot.clock.zeroUnixNs;
    const zeroMs = known?.counts?.['zeroMs'];
    if (known === undefined || zeroNs === undefined || zeroMs === undefined) return undefined;
    const newZeroMs = Number(zeroNs / 1_000_000n);
    const runsMs = Date.now() - zeroMs;
    if (Math.abs(newZeroMs - zeroMs) > SAME_BOOT_MS + runsMs * DRIFT) return undefined;
    boot.resume({
      lastSequence: extended?.bootId === known.bootId ? extended.sequence : -1,
      lastMicros: extended?.counts?.['micros'] ?? -1,
      origin: extended?.counts?.['origin'] ?? -1,
      lost: extended?.counts?.['lost'] ?? 0,
      textLines: text?.bootId === known.bootId ? text.sequence : 0,
    });
    return known;
  }

  #handOn(boot: HeardBoot, { kind, batch, gaps, clockErrorNs }: HeardRecords): void {
    const stream = this.#streams[kind];
    if (gaps.length > 0) void this.feed.write({ kind: 'gaps', gaps });
    if (batch.length === 0) return;
    const sizeBytes = batch.sizeBytes;
    if (this.#underwayBytes > MAX_UNDERWAY_BYTES) {
      this.feed.ledger.countDropped(stream, -1, batch.length, 'queue_full');
      const nowNs = this.#options.now();
      const gap = { stream, cpu: -1, fromUnixNs: nowNs, toUnixNs: nowNs, count: batch.length, reason: 'queue_full' } as const;
      void this.feed.write({ kind: 'gaps', gaps: [gap] });
      return;
    }
    this.#underwayBytes += sizeBytes;
    const written = this.feed.write({ kind: 'logs', stream, batch, clockErrorNs, position: this.#position(boot, kind) }).finally(() => {
      this.#underwayBytes -= sizeBytes;
      this.#underway.delete(written);
    });
    this.#underway.add(written);
  }

  #position(boot: HeardBoot, kind: HeardRecords['kind']): SourcePosition {
    const zeroMs = Number((boot.clock.zeroUnixNs ?? 0n) / 1_000_000n);
    const counts = { zeroMs, sinceMs: this.#sinceMs };
    const bootId = this.identity?.bootId ?? '';
    if (kind === 'text') return { bootId, sequence: boot.textLines, counts };
    return { bootId, sequence: boot.lastSequence, counts: { ...counts, micros: boot.lastMicros, origin: boot.origin, lost: boot.lost } };
  }
}
