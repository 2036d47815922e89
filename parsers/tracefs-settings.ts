/**
 * What the kernel's own text of a buffer depends on beside the buffer: the settings of its tracefs instance, and what the
 * machine said of itself. Each file is one of tracefs, or beside it in a copy (docs/formats/tracefs_copy.md).
 */

/** Files of a copy, by their path in it, at most so many bytes; undefined where there is none. Bytes become characters one by one. */
export type ReadText = (path: string, mostBytes?: number) => string | undefined;

export interface TraceSettings {
  readonly tracer: string;
  readonly clock: string;
  /** `trace_options`: on or off, by name without its `no`. */
  readonly options: ReadonlyMap<string, boolean>;
  readonly release: string;
  /** As the latency header names it: `desktop`, `PREEMPT(lazy)`. */
  readonly preemption: string;
  readonly isRealtime: boolean;
  /** Kernels that know lazy preemption: since 6.13, with PREEMPT_RT's patches since 6.6. */
  readonly hasLazy: boolean;
  readonly onlineCpus: number;
  readonly possibleCpus: number;
  /** Sums of `per_cpu/cpuN/stats`; undefined without them. */
  readonly entries: number | undefined;
  readonly overrun: number | undefined;
  readonly comms: ReadonlyMap<number, string>;
  readonly tgids: ReadonlyMap<number, number>;
  /** Paths of cgroups by their inode. */
  readonly cgroups: ReadonlyMap<bigint, string>;
  /** Events that lean on another one (eprobes), `group:name`, and that one as the kernel prints it: `sched.sched_switch`. */
  readonly eprobes: ReadonlyMap<string, string>;
  readonly kept: KeptFacts;
}

/**
 * What the kernel shows in its text and in no other file of tracefs. A copy has it where it holds the text itself (`trace`), read
 * in the latency format; else it is what a buffer has in which no latency was measured.
 */
export interface KeptFacts {
  /** Raw time at which the buffer was last emptied, from which the latency format counts; undefined = nobody knows. */
  readonly startRaw: bigint | undefined;
  /** The beginning of the text, whose times tell it too where it is in the latency format; empty where there is none. */
  readonly readText: () => string;
  readonly latencyUs: string;
  /** The CPU that set the tracer. */
  readonly cpu: number;
  readonly preemption: string | undefined;
  /** Whose latency it was. */
  readonly task: string;
  /** Where it began and ended: lines. */
  readonly critical: string;
}

/** A head has 1.5 KB. */
const MAX_HEAD_BYTES = 4096;
/** Some 20,000 lines: they tell the moment from which they count as well as all do. */
const MAX_LINES_BYTES = 2 << 20;
/** Clocks whose text has seconds; others are printed as they count. */
const NANOSECOND_CLOCKS = new Set(['local', 'global', 'perf', 'mono', 'mono_raw', 'boot', 'tai']);

export function countsNanoseconds(clock: string): boolean {
  return NANOSECOND_CLOCKS.has(clock);
}

export function readTraceSettings(read: ReadText, cpus: readonly number[]): TraceSettings {
  const uname = (read('uname') ?? '').trim();
  const stats = cpus.map((cpu) => read(`per_cpu/cpu${cpu}/stats`));
  const hasStats = stats.some((text) => text !== undefined);
  const sum = (key: string): number => stats.reduce((total, text) => total + readStat(text ?? '', key), 0);
  const release = readRelease(uname, read('version') ?? '');
  const isRealtime = /\bPREEMPT_RT\b/.test(`${uname} ${read('version') ?? ''}`);
  return {
    tracer: (read('current_tracer') ?? 'nop').trim(),
    clock: readChosen(read('trace_clock') ?? '', /\[([\w-]+)\]/) ?? 'local',
    options: readOptions(read('trace_options') ?? ''),
    release,
    isRealtime,
    hasLazy: versionOf(release) >= (isRealtime ? 6006 : 6013),
    preemption: readPreemption(release, `${uname} ${read('version') ?? ''}`, read('preempt') ?? ''),
    onlineCpus: countCpus(read('cpu_online') ?? '') ?? cpus.length,
    possibleCpus: cpus.length,
    entries: hasStats ? sum('entries') : undefined,
    overrun: hasStats ? sum('overrun') : undefined,
    comms: readNames(read('saved_cmdlines') ?? ''),
    tgids: new Map([...(read('saved_tgids') ?? '').matchAll(/^(\d+) (\d+)$/gm)].map(([, pid, tgid]) => [Number(pid), Number(tgid)])),
    cgroups: readCgroups(read('cgroups') ?? ''),
    eprobes: readEprobes(read('dynamic_events') ?? ''),
    kept: readKeptFacts(read('time_start'), read),
  };
}

function readKeptFacts(start: string | undefined, read: ReadText): KeptFacts {
  const head = read('trace', MAX_HEAD_BYTES) ?? '';
  const [, latencyUs, cpu, preemption] = /^# latency: (\d+) us, #\d+\/\d+, CPU#(\d+) \| \(M:(\S+) /m.exec(head) ?? [];
  const digits = /^\d{1,19}/.exec(start ?? '')?.[0];
  return {
    startRaw: digits === undefined ? undefined : BigInt(digits),
    readText: () => read('trace', MAX_LINES_BYTES) ?? '',
    latencyUs: latencyUs ?? '0',
    cpu: Number(cpu ?? 0),
    preemption,
    task: /^# {4}\| task: (.*)$/m.exec(head)?.[1] ?? '-0 (uid:0 nice:0 policy:0 rt_prio:0)',
    critical: /^(?:# {2}=> .*\n)+#\n/m.exec(head)?.[0] ?? '',
  };
}

/** Kernel version as a number that compares: 6.12 → 6012. */
export function versionOf(release: string): number {
  const [, major = '0', minor = '0'] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  return Number(major) * 1000 + Number(minor);
}

function readStat(text: string, key: string): number {
  return Number(new RegExp(`^${key}: (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}

function readChosen(text: string, pattern: RegExp): string | undefined {
  return pattern.exec(text)?.[1];
}

function readOptions(text: string): Map<string, boolean> {
  const options = new Map<string, boolean>();
  for (const line of text.split('\n')) {
    if (line.startsWith('no')) options.set(line.slice(2), false);
    else if (line !== '') options.set(line, true);
  }
  return options;
}

/** From `uname -a`, `uname -r` or /proc/version. */
function readRelease(uname: string, version: string): string {
  return /(?:^|\s)(\d+\.\d+\S*)/.exec(uname)?.[1] ?? /Linux version (\S+)/.exec(version)?.[1] ?? '';
}

/** `preempt` is /sys/kernel/debug/sched/preempt, `none (voluntary) full`: what a PREEMPT_DYNAMIC kernel does, uname does not say. */
function readPreemption(release: string, uname: string, preempt: string): string {
  const chosen = /\((\w+)\)/.exec(preempt)?.[1];
  const isRealtime = /\bPREEMPT_RT\b/.test(uname);
  const isDynamic = /\bPREEMPT_DYNAMIC\b/.test(uname);
  if (versionOf(release) >= 6015) {
    const name = isRealtime ? 'PREEMPT_RT' : 'PREEMPT';
    if (isDynamic) return `${name}(${chosen ?? 'undef'})`;
    return isRealtime ? name : chosen === undefined ? (/\bPREEMPT\b/.test(uname) ? 'PREEMPT' : 'NONE') : name;
  }
  if (isRealtime) return 'preempt_rt';
  const words: Readonly<Record<string, string>> = { none: 'server', voluntary: 'desktop', full: 'preempt', lazy: 'unknown' };
  if (chosen !== undefined) return words[chosen] ?? 'unknown';
  // Debian, Ubuntu and the kernel's default for PREEMPT_DYNAMIC.
  return isDynamic ? 'desktop' : /\bPREEMPT\b/.test(uname) ? 'preempt' : 'desktop';
}

/** `0-3,6` → 5. */
function countCpus(text: string): number | undefined {
  const ranges = [...text.matchAll(/(\d+)(?:-(\d+))?/g)];
  if (ranges.length === 0) return undefined;
  return ranges.reduce((count, [, first, last]) => count + Number(last ?? first) - Number(first) + 1, 0);
}

/** `3120 sh`; a name may have line ends. */
function readNames(text: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const [, pid, name = ''] of text.matchAll(/^(\d{1,10}) (.*(?:\n(?!\d+ ).+)*)$/gm)) names.set(Number(pid), name);
  return names;
}

/** `e:eprobes/ep_open syscalls.sys_enter_openat file=+0($filename):ustring` */
function readEprobes(text: string): Map<string, string> {
  const events = new Map<string, string>();
  for (const [, group = 'eprobes', name, system, event] of text.matchAll(/^e:(?:(\w+)\/)?(\w+) (\w+)[./](\w+)/gm)) {
    events.set(`${group}:${name}`, `${system}.${event}`);
  }
  return events;
}

/** `4321 ./system.slice/ssh.service`, as find(1) and stat(1) list them. */
function readCgroups(text: string): Map<bigint, string> {
  const paths = new Map<bigint, string>();
  for (const [, inode = '', path = ''] of text.matchAll(/^(\d{1,20}) \.?(\/?.*)$/gm)) paths.set(BigInt(inode), path === '' ? '/' : path);
  return paths;
}
