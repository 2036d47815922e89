/**
 * The state of a system as OTLP metrics, from the texts of its /proc: our own kernel's (collector/sources/system.ts), or a guest's
 * (collector/guest-reader.ts). The semantic conventions' names where there is one, `mk.` where there is none.
 */
import { ATTR } from '../model/attributes.ts';
import { MetricBatch, type MetricDefinition } from '../model/metric-batch.ts';
import { CPU_MODES, parseCounters, parseMeminfo, parsePressure, parseStat, type CpuTimes } from './proc-text.ts';

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

/** Files below /proc; deploy/guest/system.c sends the lines of them that are read here. */
export const SYSTEM_FILES = ['stat', 'meminfo', 'vmstat', 'uptime', 'loadavg', ...RESOURCES.map((resource) => `pressure/${resource}`)];

/** Text by name of SYSTEM_FILES; a file that the kernel lacks is left out, and so are its metrics. */
export type SystemFiles = ReadonlyMap<string, string>;

/** Of one boot: remembers the sample before, for what is a share of the time in between. */
export class SystemMetrics {
  #last: ReadonlyMap<number, CpuTimes> = new Map();
  #bootNs: bigint | undefined;

  /** The points of a sample that was taken at `timeNs`, Unix. */
  toBatch(files: SystemFiles, timeNs: bigint): MetricBatch {
    const batch = new MetricBatch(128);
    const textOf = (name: string): string => files.get(name) ?? '';
    const uptime = firstNumber(textOf('uptime'));
    // Once: counters of one run must begin at one moment, whatever is learnt of the clock.
    const bootNs = (this.#bootNs ??= timeNs - BigInt(Math.round((uptime ?? 0) * 1e9)));
    const add: AddPoint = (definition, value, attributes = {}) => {
      if (value !== undefined && Number.isFinite(value)) batch.add(definition, bootNs, timeNs, value, attributes);
    };
    this.#addStat(textOf('stat'), add);
    addMemory(textOf('meminfo'), add);
    for (const resource of RESOURCES) addPressure(resource, textOf(`pressure/${resource}`), add);
    addFaults(textOf('vmstat'), add);
    add(UPTIME, uptime);
    add(LOAD, firstNumber(textOf('loadavg')));
    return batch;
  }

  #addStat(text: string, add: AddPoint): void {
    const stat = parseStat(text);
    for (const { cpu, seconds } of stat.cpus) {
      if (cpu >= 0) CPU_MODES.forEach((mode, index) => add(CPU_TIME, seconds[index], { [ATTR.cpu]: cpu, 'cpu.mode': mode }));
      const busy = busyShare(this.#last.get(cpu)?.seconds, seconds);
      // The point without a CPU is the mean of all of them.
      add(CPU_UTILIZATION, busy, cpu >= 0 ? { [ATTR.cpu]: cpu } : {});
    }
    this.#last = new Map(stat.cpus.map((of) => [of.cpu, of]));
    if (stat.cpus.length > 0) add(CPU_COUNT, stat.cpus.filter(({ cpu }) => cpu >= 0).length);
    add(INTERRUPTS, stat.interrupts);
    add(CONTEXT_SWITCHES, stat.contextSwitches);
    add(PROCESSES_CREATED, stat.processesCreated);
    add(PROCESS_COUNT, stat.running, { 'process.state': 'running' });
    add(PROCESS_COUNT, stat.blocked, { 'process.state': 'blocked' });
  }
}

function addMemory(text: string, add: AddPoint): void {
  const memory = parseMeminfo(text);
  const total = memory.get('MemTotal');
  const free = memory.get('MemFree');
  add(MEMORY_LIMIT, total);
  add(MEMORY_AVAILABLE, memory.get('MemAvailable'));
  if (total !== undefined && free !== undefined) {
    const buffers = memory.get('Buffers') ?? 0;
    const cached = (memory.get('Cached') ?? 0) + (memory.get('SReclaimable') ?? 0);
    add(MEMORY_USAGE, free, { 'system.memory.state': 'free' });
    add(MEMORY_USAGE, buffers, { 'system.memory.state': 'buffers' });
    add(MEMORY_USAGE, cached, { 'system.memory.state': 'cached' });
    // The states add up to the limit.
    add(MEMORY_USAGE, total - free - buffers - cached, { 'system.memory.state': 'used' });
  }
  add(SLAB_USAGE, memory.get('SReclaimable'), { 'system.memory.linux.slab.state': 'reclaimable' });
  add(SLAB_USAGE, memory.get('SUnreclaim'), { 'system.memory.linux.slab.state': 'unreclaimable' });
}

function addPressure(resource: string, text: string, add: AddPoint): void {
  for (const { scope, share10s, totalSeconds } of parsePressure(text)) {
    const attributes = { 'mk.pressure.resource': resource, 'mk.pressure.scope': scope };
    add(PRESSURE_TIME, totalSeconds, attributes);
    add(PRESSURE_SHARE, share10s, attributes);
  }
}

function addFaults(text: string, add: AddPoint): void {
  const faults = parseCounters(text, FAULT_COUNTERS);
  const major = faults.get('pgmajfault');
  const all = faults.get('pgfault');
  add(PAGING_FAULTS, major, { 'system.paging.fault.type': 'major' });
  if (all !== undefined && major !== undefined) add(PAGING_FAULTS, all - major, { 'system.paging.fault.type': 'minor' });
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

/** Of `uptime` and `loadavg`. */
function firstNumber(text: string): number | undefined {
  const match = /^\d{1,15}(?:\.\d{1,9})?/.exec(text);
  return match === null ? undefined : Number(match[0]);
}
