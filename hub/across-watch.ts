/**
 * Span rules over kernels as the hub runs: fed with the trace events that are stored, decided each second, and stored as spans and
 * histograms. What waits for its end when the hub ends is not told by the next one.
 */
import { isOperational, messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { keepLast } from '../base/recent-map.ts';
import { AcrossPairer } from '../correlate/pair-across.ts';
import type { SpanRule } from '../correlate/span-rules.ts';
import type { EventBatch } from '../model/event-batch.ts';
import { toResource, toScope, type KernelIdentity } from '../model/identity.ts';
import { MetricBatch } from '../model/metric-batch.ts';
import { SpanBatch } from '../model/span-batch.ts';
import type { Store, StoreBatch } from '../store/store.ts';

const TICK_MS = 1_000;
const HISTOGRAM_MS = 10_000;
/** The one that was silent longest goes first. */
const MAX_MACHINES = 1_024;

const log = createLogger('across');

export interface AcrossParts {
  readonly store: Store;
  readonly version: string;
  readonly rules: readonly SpanRule[];
  /** Told of metrics that are stored. */
  readonly onStored: (parts: NonNullable<StoreBatch['metrics']>) => void;
}

interface Machine {
  readonly pairer: AcrossPairer;
  readonly startNs: bigint;
  /** Pairs in the histograms that are stored. */
  toldCount: number;
}

export class AcrossWatch {
  readonly #parts: AcrossParts;
  readonly #machines = new Map<string, Machine>();
  readonly #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #toldMs = 0;
  /** Rows that could not be stored yet. */
  readonly #pending: StoreBatch[] = [];

  constructor(parts: AcrossParts) {
    this.#parts = parts;
    if (parts.rules.length === 0) return;
    this.#timer = setInterval(() => {
      this.#running ??= this.advance(Date.now()).finally(() => (this.#running = undefined));
    }, TICK_MS);
    this.#timer.unref();
  }

  /** Events that are stored, with aligned times. */
  takeEvents(identity: KernelIdentity, batch: EventBatch, errorNs: number, nowMs = Date.now()): void {
    if (this.#parts.rules.length === 0) return;
    const { machineId } = identity;
    const machine = this.#machines.get(machineId) ?? {
      pairer: new AcrossPairer(this.#parts.rules),
      startNs: BigInt(nowMs) * 1_000_000n,
      toldCount: 0,
    };
    keepLast(this.#machines, machineId, machine, MAX_MACHINES);
    machine.pairer.add(identity, batch, errorNs, nowMs);
  }

  /** Decides what can be decided and stores it; a store that is busy is asked again the next time. */
  async advance(nowMs: number, isEnd = false): Promise<void> {
    await this.#store();
    // While nothing can be stored nothing is decided: what waits is bounded there.
    if (this.#pending.length > 0) return;
    const sheets = new Map<string, { readonly kernel: KernelIdentity; readonly batch: SpanBatch }>();
    const sheetOf = (kernel: KernelIdentity): SpanBatch => {
      const sheet = sheets.get(kernel.bootId) ?? { kernel, batch: new SpanBatch(16) };
      sheets.set(kernel.bootId, sheet);
      return sheet.batch;
    };
    for (const { pairer } of this.#machines.values()) pairer.advance(nowMs, sheetOf, isEnd);
    const spans = [...sheets.values()].map(({ kernel, batch }) => ({ resource: toResource(kernel), scope: this.#scope(), batch }));
    const metrics = isEnd || nowMs - this.#toldMs >= HISTOGRAM_MS ? this.#takeHistograms(nowMs) : [];
    if (spans.length > 0 || metrics.length > 0) this.#pending.push({ spans, metrics });
    await this.#store();
  }

  /** The store must still be open. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
    await this.advance(Date.now(), true);
  }

  #takeHistograms(nowMs: number): NonNullable<StoreBatch['metrics']> {
    this.#toldMs = nowMs;
    const batches = new Map<string, { readonly kernel: KernelIdentity; readonly batch: MetricBatch }>();
    const batchOf = (kernel: KernelIdentity): MetricBatch => {
      const of = batches.get(kernel.bootId) ?? { kernel, batch: new MetricBatch(16) };
      batches.set(kernel.bootId, of);
      return of.batch;
    };
    for (const machine of this.#machines.values()) {
      const { matched } = machine.pairer.counts;
      if (matched === machine.toldCount) continue;
      machine.toldCount = matched;
      machine.pairer.addHistograms(machine.startNs, BigInt(nowMs) * 1_000_000n, batchOf);
    }
    return [...batches.values()]
      .filter(({ batch }) => batch.length > 0)
      .map(({ kernel, batch }) => ({ resource: toResource(kernel), scope: this.#scope(), batch }));
  }

  #scope(): ReturnType<typeof toScope> {
    return toScope('mkscope spans', this.#parts.version);
  }

  async #store(): Promise<void> {
    for (let next = this.#pending[0]; next !== undefined; next = this.#pending[0]) {
      try {
        await this.#parts.store.append(next);
      } catch (error) {
        if (!isOperational(error)) throw error;
        log.warn('spans over kernels wait to be stored', { error: messageOf(error), batches: this.#pending.length });
        return;
      }
      this.#pending.shift();
      if (next.metrics !== undefined && next.metrics.length > 0) this.#parts.onStored(next.metrics);
    }
  }
}
