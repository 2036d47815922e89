/**
 * One boot that is known under two ids. Who reads a kernel's console or netconsole from outside is told no boot id and makes one up
 * (collector/heard-kernel.ts); a collector inside of the same kernel states the real one. That they are one boot is told by their lines:
 *
 *   heard  [    1.004213] pci 0000:00:02.0: enabling …        the same text at the same µs of the same kernel's clock, some times
 *   stated 6,211,1004213,-;pci 0000:00:02.0: enabling …       over: no other boot prints so
 *
 * Neither wall clocks nor moments of arrival take part: a spawned kernel's wall clock was never set. Stamps of whole milliseconds are
 * passed over, since before the clock is calibrated they count ticks, which are the same in each boot.
 *
 * From then on all that comes under the heard id is the stated boot's, before anybody looks at it, and what was stored is renamed. What
 * is joined is left to the next process; a renaming that was interrupted is done again.
 */
import { messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { keepLast } from '../base/recent-map.ts';
import { KMSG_STREAM, type KernelIdentity } from '../model/identity.ts';
import type { LogBatch } from '../model/log-batch.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import type { Store } from '../store/store.ts';
import { openState, writeState } from './state-file.ts';

/** Lines kept of each boot that may still be joined. */
const MAX_LINES = 1024;
/** Boots of one kernel that are compared, and kernels: of more, those that were heard longest ago are given up. */
const MAX_BOOTS = 4;
const MAX_KERNELS = 1024;
/** Lines that must be the same, and their share of the heard ones within the stretch that both have. */
const LEAST_SAME = 4;
const LEAST_SHARE = 0.5;
/** A line is told by so much of it. */
const COMPARED_CHARS = 64;
/** Requests that were under way with the heard id are in the store by then. */
const SETTLE_MS = 2_000;
const RETRY_MS = 30_000;
const MAX_JOINS = 4096;
const TICK_NS = 1_000_000n;

const log = createLogger('boots');

export interface BootJoin {
  /** The boot id that was made up. */
  readonly heard: string;
  readonly identity: KernelIdentity;
  /** The rows stored before are renamed. */
  readonly isRenamed: boolean;
}

/** Lines by stamp, the newest last. */
type Lines = Map<bigint, string>;

interface ComparedKernel {
  readonly heard: Map<string, Lines>;
  readonly stated: Map<string, { readonly identity: KernelIdentity; readonly lines: Lines }>;
}

export interface BootJoinsParts {
  readonly store: Store;
  readonly path: string;
  /** Nothing more comes under this id. */
  readonly onJoined: (heard: string) => void;
}

export class BootJoins {
  readonly #parts: BootJoinsParts;
  readonly #joins = new Map<string, BootJoin>();
  readonly #kernels = new Map<string, ComparedKernel>();
  #timer: NodeJS.Timeout | undefined;
  #renaming: Promise<void> | undefined;

  constructor(parts: BootJoinsParts) {
    this.#parts = parts;
  }

  /** Takes over what an earlier process joined. */
  start(): void {
    const left = openState(this.#parts.path, toJoins, (error) => log.warn('what was joined is forgotten', { error: messageOf(error) }));
    for (const join of left ?? []) this.#joins.set(join.heard, join);
    if ([...this.#joins.values()].some(({ isRenamed }) => !isRenamed)) this.#renameLater(SETTLE_MS);
  }

  /** Renames what is left. The store must still be open. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#renaming;
    await this.#rename();
    clearTimeout(this.#timer);
  }

  /** The incarnation that a heard boot is; undefined where it is its own. */
  find(identity: KernelIdentity | undefined): KernelIdentity | undefined {
    return identity?.isHeard === true ? this.#joins.get(identity.bootId)?.identity : undefined;
  }

  /** Lines of a kernel as they come in: those of its log, and those that are heard. */
  notice(identity: KernelIdentity, stream: string, batch: LogBatch): void {
    const { machineId, kernelId, bootId, isHeard } = identity;
    if (batch.clock !== 'printk' || (isHeard !== true && stream !== KMSG_STREAM)) return;
    const key = `${machineId}\n${kernelId}`;
    const known = this.#kernels.get(key);
    // The host kernel is heard by nobody, as a rule: its lines are looked at once it is.
    if (isHeard !== true && known === undefined && kernelId === 0) return;
    const kernel = known ?? { heard: new Map<string, Lines>(), stated: new Map<string, { identity: KernelIdentity; lines: Lines }>() };
    keepLast(this.#kernels, key, kernel, MAX_KERNELS);
    if (isHeard === true) {
      const lines = kernel.heard.get(bootId) ?? new Map<bigint, string>();
      keepLast(kernel.heard, bootId, lines, MAX_BOOTS);
      addLines(lines, batch);
    } else {
      const stated = kernel.stated.get(bootId) ?? { identity, lines: new Map<bigint, string>() };
      keepLast(kernel.stated, bootId, stated, MAX_BOOTS);
      addLines(stated.lines, batch);
    }
    this.#compare(kernel, bootId);
  }

  #compare(kernel: ComparedKernel, changed: string): void {
    for (const [heard, lines] of kernel.heard) {
      for (const [bootId, stated] of kernel.stated) {
        if ((heard !== changed && bootId !== changed) || !isSameBoot(lines, stated.lines)) continue;
        kernel.heard.delete(heard);
        this.#join(heard, stated.identity);
        break;
      }
    }
  }

  #join(heard: string, identity: KernelIdentity): void {
    const { kernelId, kernelName, bootId } = identity;
    log.info('a boot that was heard is the one that a collector states', { kernel: kernelId, name: kernelName, heard, boot: bootId });
    keepLast(this.#joins, heard, { heard, identity, isRenamed: false }, MAX_JOINS);
    this.#parts.onJoined(heard);
    this.#renameLater(SETTLE_MS);
    this.#write();
  }

  #renameLater(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#renaming ??= this.#rename().finally(() => (this.#renaming = undefined));
    }, delayMs);
    this.#timer.unref();
  }

  async #rename(): Promise<void> {
    for (const join of [...this.#joins.values()].filter(({ isRenamed }) => !isRenamed)) {
      try {
        await this.#parts.store.renameBoot(join.heard, join.identity);
        this.#joins.set(join.heard, { ...join, isRenamed: true });
        this.#parts.onJoined(join.heard);
      } catch (error) {
        log.warn('rows of a joined boot keep its old name for now', { heard: join.heard, error: messageOf(error) });
        this.#renameLater(RETRY_MS);
        return;
      }
    }
    this.#write();
  }

  #write(): void {
    try {
      writeState(this.#parts.path, [...this.#joins.values()]);
    } catch (error) {
      // A hub that starts anew joins them again, by their next lines.
      log.warn('what is joined cannot be written down', { error: messageOf(error) });
    }
  }
}

function addLines(lines: Lines, batch: LogBatch): void {
  for (let row = Math.max(0, batch.length - MAX_LINES); row < batch.length; row++) {
    const raw = batch.rawTime.getBigint(row);
    if (raw === NO_RAW_TIME || raw % TICK_NS === 0n) continue;
    keepLast(lines, raw, batch.textOf(row).slice(0, COMPARED_CHARS), MAX_LINES);
  }
}

/** Enough lines are the same, and most of those that were heard while both listened. */
function isSameBoot(heard: Lines, stated: Lines): boolean {
  let same = 0;
  for (const [raw, text] of heard) if (stated.get(raw) === text) same++;
  if (same < LEAST_SAME) return false;
  const [from, to] = rangeOf(stated);
  let both = 0;
  for (const raw of heard.keys()) if (raw >= from && raw <= to) both++;
  return same >= both * LEAST_SHARE;
}

function rangeOf(lines: Lines): readonly [bigint, bigint] {
  let from: bigint | undefined;
  let to = 0n;
  for (const raw of lines.keys()) {
    if (from === undefined || raw < from) from = raw;
    if (raw > to) to = raw;
  }
  return [from ?? 0n, to];
}

function toJoins(json: unknown): BootJoin[] {
  if (!Array.isArray(json)) throw new Error('it is no list');
  return json.map((one: unknown) => {
    const { heard, identity, isRenamed } = one as Partial<BootJoin>;
    if (typeof heard !== 'string' || typeof identity?.bootId !== 'string') throw new Error('an entry names no boots');
    return { heard, identity, isRenamed: isRenamed === true };
  });
}
