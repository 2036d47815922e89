/** `GET /api/kernels`: what the store knows of every incarnation, and what only the receiving process knows of the live ones. */
import { ATTR, CLOCK_ERROR_METRIC } from '../model/attributes.ts';
import type { InstanceRow, KernelList as KernelListAnswer, KernelRow, UnseenKernel } from '../model/api.ts';
import { queryInstances, type StoredInstance } from '../store/queries/instances.ts';
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
import { findDoubles } from './boot-doubles.ts';
import type { Books } from './books.ts';
import type { ClockWatch } from './clock-watch.ts';
import type { IdentityWatch } from './identity-watch.ts';
import { findConflicts, type Conflicts } from './instance-conflicts.ts';
import { SILENT_AFTER_MS, type Presence, type PresenceTable } from './presence.ts';

/** What a boot that sends nothing said last changes only by an import. */
const LAST_LINE_CACHE_MS = 30_000;
const HISTORY_MS = 60_000;

export interface KernelListParts {
  readonly store: Store;
  readonly presence: PresenceTable;
  readonly clocks: ClockWatch;
  readonly identities: IdentityWatch;
  readonly books: Books;
}

export class KernelList {
  readonly #parts: KernelListParts;
  #lines: ReadonlyMap<string, LastLine> = new Map();
  #linesAtMs = -Infinity;

  constructor(parts: KernelListParts) {
    this.#parts = parts;
  }

  /** To be called when rows of the past have come in. */
  forget(): void {
    this.#lines = new Map();
    this.#linesAtMs = -Infinity;
  }

  async list(): Promise<KernelListAnswer> {
    const { store, presence, clocks } = this.#parts;
    const kernels = await queryKernels(store);
    const lines = await this.#lastLines(kernels);
    const metrics = Map.groupBy(await querySystemMetrics(store), (metric) => metric.bootId);
    const loads = Map.groupBy(await queryCpuLoad(store), (load) => load.bootId);
    const lost = await queryLostByBoot(store);
    const nowMs = Date.now();
    const instances = await queryInstances(store);
    const owners = pairInstances(kernels, instances);
    const conflicts = findConflicts(instances);
    const doubles = findDoubles(kernels, presence, nowMs);
    const rows = kernels.map((kernel) =>
      toKernelRow(
        {
          kernel,
          instance: owners.get(kernel),
          presence: presence.find(kernel.bootId),
          line: lines.get(kernel.bootId),
          metrics: metrics.get(kernel.bootId) ?? [],
          loads: loads.get(kernel.bootId) ?? [],
          lost: lost.get(kernel.bootId) ?? 0,
          clockErrorNs: clocks.errorOf(kernel.bootId),
          doubts: this.#doubtsOf(kernel, doubles, nowMs),
          conflicts,
        },
        nowMs,
      ),
    );
    const paired = new Set(owners.values());
    const unseen = instances.filter((instance) => !paired.has(instance)).map((instance) => toUnseen(instance, conflicts));
    return { kernels: rows, unseen };
  }

  /** What a user must know before he believes what stands beside this kernel. */
  #doubtsOf({ bootId }: StoredKernel, doubles: ReadonlyMap<string, string>, nowMs: number): string[] {
    const { identities, books, presence } = this.#parts;
    const ahead = presence.find(bootId)?.aheadNs ?? 0n;
    return [
      doubles.get(bootId) ?? '',
      identities.detailOf(bootId, nowMs),
      books.isContested(bootId, nowMs) ? 'two collectors send as this boot: their counters jump to and fro' : '',
      ahead > 0n ? `its clock is ${formatSpan(ahead)} ahead of this hub's` : '',
    ].filter((doubt) => doubt !== '');
  }

  async #lastLines(kernels: readonly StoredKernel[]): Promise<ReadonlyMap<string, LastLine>> {
    const nowMs = Date.now();
    // What live kernels say is in memory: only the others are asked for.
    const { store, presence } = this.#parts;
    const quiet = kernels.map((kernel) => kernel.bootId).filter((boot) => (presence.find(boot)?.lastLine ?? '') === '');
    if (nowMs - this.#linesAtMs < LAST_LINE_CACHE_MS && quiet.every((boot) => this.#lines.has(boot))) return this.#lines;
    this.#lines = new Map((await queryLastLines(store, quiet)).map((line) => [line.bootId, line]));
    this.#linesAtMs = nowMs;
    return this.#lines;
  }
}

/** The latest incarnation of each kernel that is an instance's now. */
function pairInstances(kernels: readonly StoredKernel[], instances: readonly StoredInstance[]): ReadonlyMap<StoredKernel, StoredInstance> {
  const pairs = new Map<StoredKernel, StoredInstance>();
  for (const instance of instances) {
    const boots = kernels.filter(({ machineId, kernelId }) => machineId === instance.machineId && kernelId === instance.id);
    const latest = boots.reduce<StoredKernel | undefined>(
      (last, one) => (last === undefined || BigInt(one.lastSeenUnixNs) > BigInt(last.lastSeenUnixNs) ? one : last),
      undefined,
    );
    if (latest !== undefined) pairs.set(latest, instance);
  }
  return pairs;
}

interface KernelParts {
  readonly kernel: StoredKernel;
  readonly instance: StoredInstance | undefined;
  readonly presence: Presence | undefined;
  readonly line: LastLine | undefined;
  readonly metrics: readonly SystemMetric[];
  readonly loads: readonly CpuLoad[];
  readonly lost: number;
  /** Of the machine's graph of clocks. */
  readonly clockErrorNs: number | undefined;
  readonly doubts: readonly string[];
  readonly conflicts: Conflicts;
}

function toKernelRow(
  { kernel, instance, presence, line, metrics, loads, lost, clockErrorNs, doubts, conflicts }: KernelParts,
  nowMs: number,
): KernelRow {
  const lastSeenMs = Math.max(presence?.lastMs ?? 0, Number(BigInt(kernel.lastSeenUnixNs) / 1_000_000n));
  const { state, stateDetail } = stateOf({ kernel, presence, instance }, lastSeenMs, nowMs);
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
    stateDetail: [stateDetail, ...doubts].filter((part) => part !== '').join('; '),
    ...(instance === undefined ? {} : { instance: toInstanceRow(instance, conflicts) }),
    logsPerSecond: presence?.logs.perSecond(nowMs, presence.firstMs) ?? 0,
    eventsPerSecond: presence?.events.perSecond(nowMs, presence.firstMs) ?? 0,
    lost,
    clockErrorNs:
      clockErrorNs ??
      clockErrorOf(metrics) ??
      (presence !== undefined && presence.clockErrorNs >= 0 ? presence.clockErrorNs : (line?.clockErrorNs ?? -1)),
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
  { kernel, presence, instance }: Pick<KernelParts, 'kernel' | 'presence' | 'instance'>,
  lastSeenMs: number,
  nowMs: number,
): Pick<KernelRow, 'state' | 'stateDetail'> {
  if (kernel.origin === 'imported') return { state: 'imported', stateDetail: 'read from files' };
  const silentMs = nowMs - lastSeenMs;
  if (silentMs < SILENT_AFTER_MS) return { state: 'live', stateDetail: '' };
  const since = `nothing received for ${Math.round(silentMs / 1000)} s`;
  return { state: 'silent', stateDetail: `${since}: ${whySilent(presence, instance, lastSeenMs)}` };
}

/** An instance that stopped is `loaded` again; one that hangs stays `active` for ever. */
function whySilent(presence: Presence | undefined, instance: StoredInstance | undefined, lastSeenMs: number): string {
  if (instance !== undefined && instance.state !== 'active') return `the host says that it is ${instance.state}: it does not run`;
  if (instance !== undefined && Number(BigInt(instance.sinceUnixNs) / 1_000_000n) > lastSeenMs) {
    return 'the host has started it again, and nothing has come from its new boot';
  }
  if (instance !== undefined) return 'the host says that it is active: it hangs, or its collector or the way between them stopped';
  return presence === undefined ? 'nor since this hub started' : 'the kernel, its collector or the way between them stopped';
}

function toUnseen(instance: StoredInstance, conflicts: Conflicts): UnseenKernel {
  const { machineId, machineName, id, name, state } = instance;
  const why =
    state === 'active'
      ? 'the host says that it is active, and nothing came from it: run a collector or a forwarder in it, or follow its console'
      : `the host says that it is ${state}: it does not run`;
  return { machineId, machineName, kernelId: id, kernelName: name, why, instance: toInstanceRow(instance, conflicts) };
}

function toInstanceRow(instance: StoredInstance, conflicts: Conflicts): InstanceRow {
  const { state, sinceUnixNs, cpus, memoryBytes, devices, release, image, commandLine, loadedAt } = instance;
  const own = conflicts.get(instance) ?? [];
  return { state, sinceUnixNs, cpus, memoryBytes, devices, release, image, commandLine, loadedAt, conflicts: own };
}

function formatSpan(ns: bigint): string {
  const seconds = Number(ns / 1_000_000_000n);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3_600).toFixed(1)} h`;
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
