/** `GET /api/kernels`: what the store knows of every incarnation, and what only the receiving process knows of the live ones. */
import { ATTR, CLOCK_ERROR_METRIC } from '../model/attributes.ts';
import type { KernelRow } from '../model/api.ts';
import {
  queryCpuLoad,
  queryKernels,
  queryLastLines,
  queryLostByBoot,
  querySystemMetrics,
  type CpuLoad,
  type LastLine,
  type StoredKernel,
  type SystemMetric,
} from '../store/queries/kernels.ts';
import type { Store } from '../store/store.ts';
import { SILENT_AFTER_MS, type Presence, type PresenceTable } from './presence.ts';

/** What a boot that sends nothing said last changes only by an import. */
const LAST_LINE_CACHE_MS = 30_000;
const HISTORY_MS = 60_000;

export class KernelList {
  readonly #store: Store;
  readonly #presence: PresenceTable;
  readonly #lines = new Map<string, LastLine>();
  #linesAtMs = -Infinity;

  constructor(store: Store, presence: PresenceTable) {
    this.#store = store;
    this.#presence = presence;
  }

  /** To be called when rows of the past have come in. */
  forget(): void {
    this.#lines.clear();
    this.#linesAtMs = -Infinity;
  }

  async list(): Promise<KernelRow[]> {
    const kernels = await queryKernels(this.#store);
    const lines = await this.#lastLines(kernels);
    const metrics = Map.groupBy(await querySystemMetrics(this.#store), (metric) => metric.bootId);
    const loads = Map.groupBy(await queryCpuLoad(this.#store), (load) => load.bootId);
    const lost = await queryLostByBoot(this.#store);
    const nowMs = Date.now();
    return kernels.map((kernel) =>
      toKernelRow(
        {
          kernel,
          presence: this.#presence.find(kernel.bootId),
          line: lines.get(kernel.bootId),
          metrics: metrics.get(kernel.bootId) ?? [],
          loads: loads.get(kernel.bootId) ?? [],
          lost: lost.get(kernel.bootId) ?? 0,
        },
        nowMs,
      ),
    );
  }

  async #lastLines(kernels: readonly StoredKernel[]): Promise<ReadonlyMap<string, LastLine>> {
    const nowMs = Date.now();
    // What live kernels say is in memory: only the others are asked for.
    const quiet = kernels.map((kernel) => kernel.bootId).filter((boot) => (this.#presence.find(boot)?.lastLine ?? '') === '');
    if (nowMs - this.#linesAtMs < LAST_LINE_CACHE_MS && quiet.every((boot) => this.#lines.has(boot))) return this.#lines;
    for (const line of await queryLastLines(this.#store, quiet)) this.#lines.set(line.bootId, line);
    this.#linesAtMs = nowMs;
    return this.#lines;
  }
}

interface KernelParts {
  readonly kernel: StoredKernel;
  readonly presence: Presence | undefined;
  readonly line: LastLine | undefined;
  readonly metrics: readonly SystemMetric[];
  readonly loads: readonly CpuLoad[];
  readonly lost: number;
}

function toKernelRow({ kernel, presence, line, metrics, loads, lost }: KernelParts, nowMs: number): KernelRow {
  const lastSeenMs = Math.max(presence?.lastMs ?? 0, Number(BigInt(kernel.lastSeenUnixNs) / 1_000_000n));
  const { state, stateDetail } = stateOf(kernel, presence, lastSeenMs, nowMs);
  const hasLiveLine = presence !== undefined && presence.lastLine !== '';
  return {
    machineId: kernel.machineId,
    machineName: kernel.machineName,
    kernelId: kernel.kernelId,
    kernelName: kernel.kernelName,
    bootId: kernel.bootId,
    release: kernel.release,
    arch: kernel.arch,
    ...systemOf(metrics, state, nowMs),
    firstSeenUnixNs: kernel.firstSeenUnixNs,
    lastSeenUnixNs: presence === undefined ? kernel.lastSeenUnixNs : `${lastSeenMs}000000`,
    state,
    stateDetail,
    logsPerSecond: presence?.logs.perSecond(nowMs, presence.firstMs) ?? 0,
    eventsPerSecond: presence?.events.perSecond(nowMs, presence.firstMs) ?? 0,
    lost,
    clockErrorNs:
      clockErrorOf(metrics) ?? (presence !== undefined && presence.clockErrorNs >= 0 ? presence.clockErrorNs : (line?.clockErrorNs ?? -1)),
    clock: presence?.clock || line?.clock || '',
    lastLine: hasLiveLine ? presence.lastLine : (line?.body ?? ''),
    lastLineUnixNs: hasLiveLine ? String(presence.lastLineNs) : (line?.unixNs ?? ''),
    cpuUtilization: state === 'live' ? (loads.at(-1)?.utilization ?? -1) : -1,
    cpuHistory: loads.filter((load) => load.unixMs >= nowMs - HISTORY_MS).map((load) => [load.unixMs, load.utilization]),
  };
}

/** The bound of a record stamped now: that of the last line is the bound of its time, and old records have wide ones. */
function clockErrorOf(metrics: readonly SystemMetric[]): number | undefined {
  return metrics.findLast((metric) => metric.name === CLOCK_ERROR_METRIC && metric.attributes[ATTR.clock] === 'printk')?.value;
}

function stateOf(
  kernel: StoredKernel,
  presence: Presence | undefined,
  lastSeenMs: number,
  nowMs: number,
): Pick<KernelRow, 'state' | 'stateDetail'> {
  if (kernel.origin === 'imported') return { state: 'imported', stateDetail: 'read from files' };
  const silentMs = nowMs - lastSeenMs;
  if (silentMs < SILENT_AFTER_MS) return { state: 'live', stateDetail: '' };
  const since = `nothing received for ${Math.round(silentMs / 1000)} s`;
  const why = presence === undefined ? 'nor since this hub started' : 'the kernel, its collector or the way between them stopped';
  return { state: 'silent', stateDetail: `${since}: ${why}` };
}

/** What the system metrics say; `unknown` values as model/api.ts names them. */
function systemOf(
  metrics: readonly SystemMetric[],
  state: KernelRow['state'],
  nowMs: number,
): Pick<KernelRow, 'cpus' | 'memoryTotal' | 'memoryAvailable' | 'uptimeSeconds'> {
  const last = (name: string): SystemMetric | undefined => metrics.findLast((metric) => metric.name === name);
  const uptime = last('system.uptime');
  // Between two snapshots a live kernel goes on.
  const sinceMs = uptime === undefined || state !== 'live' ? 0 : Math.max(0, nowMs - uptime.unixMs);
  return {
    cpus: last('system.cpu.logical.count')?.value ?? 0,
    memoryTotal: last('system.memory.limit')?.value ?? 0,
    memoryAvailable: last('system.memory.linux.available')?.value ?? 0,
    uptimeSeconds: uptime === undefined ? -1 : uptime.value + sinceMs / 1000,
  };
}
