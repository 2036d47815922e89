/** The state of the system as OTLP metrics: the semantic conventions' names where there is one, `mk.` where there is none. */
import { readFileSync } from 'node:fs';
import { loadavg, uptime } from 'node:os';
import { join } from 'node:path';
import { MetricBatch, type MetricDefinition } from '../../model/metric-batch.ts';
import type { Sink, Source, SourceStatus } from '../../model/pipeline.ts';
import { ATTR } from '../../model/attributes.ts';
import type { KernelClock } from '../kernel-clock.ts';
import { CPU_MODES, parseCounters, parseMeminfo, parsePressure, parseStat, type CpuTimes } from '../proc-text.ts';

const metric = (name: string, unit: string, type: MetricDefinition['type'], description: string, integer = true): MetricDefinition => ({
  name,
  unit,
  type,
  description,
  integer,
});

const CPU_TIME = metric('system.cpu.time', 's', 'counter', 'Seconds each logical CPU spent in each mode.', false);
const CPU_UTILIZATION = metric('system.cpu.utilization', '1', 'gauge', 'Share of time a CPU was busy since the last point.', false);
const CPU_COUNT = metric('system.cpu.logical.count', '{cpu}', 'updown', 'Logical CPUs that are online.');
const MEMORY_USAGE = metric('system.memory.usage', 'By', 'updown', 'Memory in use, by state.');
const MEMORY_LIMIT = metric('system.memory.limit', 'By', 'updown', 'Memory of the kernel.');
const MEMORY_AVAILABLE = metric('system.memory.linux.available', 'By', 'updown', 'Estimate of memory available to applications.');
const SLAB_USAGE = metric('system.memory.linux.slab.usage', 'By', 'updown', 'Memory of the kernel’s slab caches.');
const UPTIME = metric('system.uptime', 's', 'gauge', 'Time since the kernel booted.', false);
const PAGING_FAULTS = metric('system.paging.faults', '{fault}', 'counter', 'Page faults.');
const PROCESSES_CREATED = metric('system.process.created', '{process}', 'counter', 'Tasks created since boot.');
const PROCESS_COUNT = metric('system.process.count', '{process}', 'updown', 'Tasks by state.');
const PRESSURE_TIME = metric('mk.pressure.time', 's', 'counter', 'Time in which tasks were stalled for a resource (PSI).', false);
const PRESSURE_SHARE = metric('mk.pressure.share', '1', 'gauge', 'Share of the last 10 s in which tasks were stalled (PSI).', false);
const INTERRUPTS = metric('mk.interrupts', '{interrupt}', 'counter', 'Interrupts serviced since boot.');
const CONTEXT_SWITCHES = metric('mk.context_switches', '{switch}', 'counter', 'Context switches since boot.');
const LOAD = metric('mk.load', '{task}', 'gauge', 'Load average over 1 minute.', false);

const FAULT_COUNTERS = ['pgfault', 'pgmajfault'];
const RESOURCES = ['cpu', 'memory', 'io'] as const;

export interface SystemOptions {
  readonly intervalMs: number;
  readonly clock: KernelClock;
  /** Folder that stands for /proc. */
  readonly proc?: string;
}

export class SystemSource implements Source {
  readonly id = 'system';
  readonly #options: SystemOptions;
  readonly #proc: string;
  #sink: Sink | undefined;
  #timer: NodeJS.Timeout | undefined;
  #state: SourceStatus['state'] = 'stopped';
  #errors = 0;
  #detail = '';
  #last: readonly CpuTimes[] = [];
  #bootNs = 0n;

  constructor(options: SystemOptions) {
    this.#options = options;
    this.#proc = options.proc ?? '/proc';
  }

  start(sink: Sink): Promise<void> {
    this.#sink = sink;
    this.#bootNs = this.#options.clock.nowUnixNs() - BigInt(Math.round(uptime() * 1e9));
    this.#last = parseStat(this.#read('stat') ?? '').cpus;
    this.#state = 'running';
    this.#sample();
    this.#timer = setInterval(() => this.#sample(), this.#options.intervalMs);
    return Promise.resolve();
  }

  stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#state = 'stopped';
    return Promise.resolve();
  }

  status(): SourceStatus {
    return { state: this.#state, detail: this.#detail, streams: [], errors: this.#errors };
  }

  #sample(): void {
    const batch = new MetricBatch(128);
    const timeNs = this.#options.clock.nowUnixNs();
    const add = (definition: MetricDefinition, value: number | undefined, attributes: Record<string, string | number> = {}): void => {
      if (value !== undefined && Number.isFinite(value)) batch.add(definition, this.#bootNs, timeNs, value, attributes);
    };
    this.#addStat(add);
    this.#addMemory(add);
    this.#addPressure(add);
    const faults = parseCounters(this.#read('vmstat') ?? '', FAULT_COUNTERS);
    const major = faults.get('pgmajfault');
    const all = faults.get('pgfault');
    add(PAGING_FAULTS, major, { 'system.paging.fault.type': 'major' });
    if (all !== undefined && major !== undefined) add(PAGING_FAULTS, all - major, { 'system.paging.fault.type': 'minor' });
    add(UPTIME, uptime());
    add(LOAD, loadavg()[0]);
    void this.#sink?.write({ kind: 'metrics', batch });
  }

  #addStat(add: AddPoint): void {
    const stat = parseStat(this.#read('stat') ?? '');
    for (const { cpu, seconds } of stat.cpus) {
      if (cpu >= 0) CPU_MODES.forEach((mode, index) => add(CPU_TIME, seconds[index], { [ATTR.cpu]: cpu, 'cpu.mode': mode }));
      const busy = busyShare(this.#last.find((last) => last.cpu === cpu)?.seconds, seconds);
      // The point without a CPU is the mean of all of them.
      add(CPU_UTILIZATION, busy, cpu >= 0 ? { [ATTR.cpu]: cpu } : {});
    }
    this.#last = stat.cpus;
    add(CPU_COUNT, stat.cpus.filter(({ cpu }) => cpu >= 0).length);
    add(INTERRUPTS, stat.interrupts);
    add(CONTEXT_SWITCHES, stat.contextSwitches);
    add(PROCESSES_CREATED, stat.processesCreated);
    add(PROCESS_COUNT, stat.running, { 'process.state': 'running' });
    add(PROCESS_COUNT, stat.blocked, { 'process.state': 'blocked' });
  }

  #addMemory(add: AddPoint): void {
    const memory = parseMeminfo(this.#read('meminfo') ?? '');
    const total = memory.get('MemTotal');
    const free = memory.get('MemFree');
    const buffers = memory.get('Buffers') ?? 0;
    const cached = (memory.get('Cached') ?? 0) + (memory.get('SReclaimable') ?? 0);
    add(MEMORY_LIMIT, total);
    add(MEMORY_AVAILABLE, memory.get('MemAvailable'));
    add(MEMORY_USAGE, free, { 'system.memory.state': 'free' });
    add(MEMORY_USAGE, buffers, { 'system.memory.state': 'buffers' });
    add(MEMORY_USAGE, cached, { 'system.memory.state': 'cached' });
    // The states add up to the limit.
    if (total !== undefined && free !== undefined) add(MEMORY_USAGE, total - free - buffers - cached, { 'system.memory.state': 'used' });
    add(SLAB_USAGE, memory.get('SReclaimable'), { 'system.memory.linux.slab.state': 'reclaimable' });
    add(SLAB_USAGE, memory.get('SUnreclaim'), { 'system.memory.linux.slab.state': 'unreclaimable' });
  }

  #addPressure(add: AddPoint): void {
    for (const resource of RESOURCES) {
      for (const { scope, share10s, totalSeconds } of parsePressure(this.#read(`pressure/${resource}`) ?? '')) {
        const attributes = { 'mk.pressure.resource': resource, 'mk.pressure.scope': scope };
        add(PRESSURE_TIME, totalSeconds, attributes);
        add(PRESSURE_SHARE, share10s, attributes);
      }
    }
  }

  /** A kernel without PSI lacks its files; the others stay. */
  #read(name: string): string | undefined {
    try {
      return readFileSync(join(this.#proc, name), 'latin1');
    } catch {
      if (!name.startsWith('pressure/')) this.#errors++;
      else this.#detail = 'no pressure metrics: the kernel runs without PSI (psi=1 on its command line enables it)';
      return undefined;
    }
  }
}

type AddPoint = (definition: MetricDefinition, value: number | undefined, attributes?: Record<string, string | number>) => void;

/** Share of the time that was neither idle nor waiting for I/O; undefined without time in between. */
function busyShare(before: readonly number[] | undefined, after: readonly number[]): number | undefined {
  if (before === undefined) return undefined;
  let total = 0;
  let idle = 0;
  after.forEach((seconds, index) => {
    const spent = Math.max(0, seconds - (before[index] ?? 0));
    total += spent;
    if (CPU_MODES[index] === 'idle' || CPU_MODES[index] === 'iowait') idle += spent;
  });
  return total <= 0 ? undefined : 1 - idle / total;
}
