/**
 * What the kernel says about a fault in many lines, as one thing: panic, oops, BUG, WARN, lockdep, sanitizers, hung tasks,
 * lockups, stalls, OOM, machine checks. The grammar is in docs/formats/kernel_reports.md.
 */

export const REPORT_KINDS = [
  'panic',
  'oops',
  'bug',
  'warning',
  'lockdep',
  'kasan',
  'kcsan',
  'kmsan',
  'kfence',
  'ubsan',
  'slub',
  'hung_task',
  'soft_lockup',
  'hard_lockup',
  'rcu_stall',
  'workqueue_lockup',
  'oom',
  'alloc_failure',
  'mce',
  'irq_ignored',
] as const;
export type ReportKind = (typeof REPORT_KINDS)[number];

/** EventName of the log record of a report. */
export function toReportEvent(kind: ReportKind): string {
  return `kernel.${kind}`;
}

export const REPORT_EVENTS: readonly string[] = REPORT_KINDS.map(toReportEvent);

export function isReportEvent(eventName: string): boolean {
  return REPORT_EVENTS.includes(eventName);
}

export interface StackFrame {
  /** `mkfault_null`; empty where the kernel printed an address only. */
  readonly symbol: string;
  /** Bytes into the function, and its size; undefined where the kernel does not print them. */
  readonly offset?: number;
  readonly size?: number;
  readonly module?: string;
  /** Hexadecimal as printed, without `0x`. */
  readonly address?: string;
  /** False for what the kernel marks with `?` or `(unreliable)`: found on the stack, not by unwinding. */
  readonly certain: boolean;
  /** `IRQ`, `NMI`, `TASK`, `#DF`, …: which stack it lies on, where the kernel says so. */
  readonly stack?: string;
}

export interface ReportStack {
  /** The line above it: `Call Trace`, `Allocated by task 123`, `-> #1 (&a){+.+.}-{3:3}`. */
  readonly title: string;
  readonly frames: readonly StackFrame[];
}

export interface KilledTask {
  readonly pid: number;
  readonly comm: string;
  /** kB by name, as the kernel prints them: `total-vm`, `anon-rss`, `file-rss`, `shmem-rss`, `pgtables`. */
  readonly sizesKb: Readonly<Record<string, number>>;
  readonly uid?: number;
  readonly oomScoreAdj?: number;
}

/** A line of the memory table of an OOM report, in pages but for the last two. */
export interface OomTask {
  readonly pid: number;
  readonly uid: number;
  readonly rss: number;
  readonly totalVm: number;
  readonly oomScoreAdj: number;
  readonly comm: string;
}

export interface HeldLock {
  /** As the kernel prints it: `(&mm->mmap_lock){++++}-{3:3}`. */
  readonly lock: string;
  /** `trying to acquire`, `already holding`, `held`. */
  readonly role: string;
  readonly at: string;
}

export interface MemoryAccess {
  readonly operation: string;
  /** Bytes; undefined where not printed. */
  readonly size?: number;
  /** Hexadecimal as printed, without `0x`. */
  readonly address?: string;
  /** `task sh/123`, `interrupt on cpu 1`. */
  readonly by?: string;
}

export interface MachineCheck {
  readonly cpu: number;
  readonly bank: number;
  /** MCi_STATUS, MCi_ADDR, MCi_MISC, RIP …: hexadecimal as printed, by the kernel's names. */
  readonly values: Readonly<Record<string, string>>;
}

export interface TaintReason {
  readonly letter: string;
  readonly meaning: string;
}

export interface KernelReport {
  readonly kind: ReportKind;
  /** Kernel level 0 … 7. */
  readonly level: number;
  /** Class of the fault, without addresses or names: `NULL pointer dereference`, `KASAN: slab-out-of-bounds`. */
  readonly type: string;
  /** What happened, in the kernel's words. */
  readonly message: string;
  /** Where: the faulting instruction, or the caller that warned. */
  readonly at?: StackFrame;
  readonly file?: string;
  readonly line?: number;
  readonly cpu?: number;
  readonly pid?: number;
  readonly comm?: string;
  /** `G           OE`, as printed; `` = not tainted; undefined = not said. */
  readonly taint?: string;
  readonly taints?: readonly TaintReason[];
  readonly release?: string;
  readonly hardware?: string;
  readonly workqueue?: string;
  /** Address that was accessed, hexadecimal without `0x`. */
  readonly address?: string;
  /** How the kernel decodes the fault: error code bits, page table walk, ESR. */
  readonly decoded?: readonly string[];
  /** Number of the oops since boot, from `[#1]`. */
  readonly oopsNumber?: number;
  /** Name → value, hexadecimal as printed; those of the kernel's own context. */
  readonly registers?: Readonly<Record<string, string>>;
  /** Those of user space below it. */
  readonly userRegisters?: Readonly<Record<string, string>>;
  readonly code?: {
    readonly bytes: readonly string[];
    /** Index in `bytes` of the faulting one; -1 = not marked. */ readonly faultAt: number;
  };
  readonly stacks: readonly ReportStack[];
  readonly modules?: readonly string[];
  /** Seconds that a task or CPU has hung. */
  readonly waitedSeconds?: number;
  readonly killed?: readonly KilledTask[];
  readonly oomTasks?: readonly OomTask[];
  readonly locks?: readonly HeldLock[];
  readonly accesses?: readonly MemoryAccess[];
  readonly machineChecks?: readonly MachineCheck[];
  /** Stalled CPUs of RCU, lockups; owner of a lock; …: what else the kind says, by name. */
  readonly details?: Readonly<Record<string, string>>;
  /** Why the report is not whole, in words; empty = it is. */
  readonly incomplete: readonly string[];
}

/** Members of a report that are lists, and what they are lists of. */
const LISTS: Readonly<Record<string, 'text' | 'object'>> = {
  stacks: 'object',
  incomplete: 'text',
  taints: 'object',
  decoded: 'text',
  modules: 'text',
  killed: 'object',
  oomTasks: 'object',
  locks: 'object',
  accesses: 'object',
  machineChecks: 'object',
};

/** Members that are text. */
const TEXTS: readonly string[] = ['type', 'message', 'file', 'comm', 'taint', 'release', 'hardware', 'workqueue', 'address'];

/** The structured attribute of a report's record, from whoever sent it; undefined where it is none. */
export function readKernelReport(json: string | undefined): KernelReport | undefined {
  let report: unknown;
  try {
    // A null stands for nothing, as a member that is left out does.
    report = JSON.parse(json ?? 'null', (_key, member: unknown) => (member === null ? undefined : member));
  } catch {
    // Text of a foreign sender.
    return undefined;
  }
  if (!isObject(report) || !(REPORT_KINDS as readonly unknown[]).includes(report['kind'])) return undefined;
  for (const [name, of] of Object.entries(LISTS)) {
    const list = report[name];
    if (list === undefined && name !== 'stacks' && name !== 'incomplete') continue;
    if (!isListOf(list, of === 'text' ? isText : isObject)) return undefined;
  }
  if (TEXTS.some((name) => report[name] !== undefined && !isText(report[name]))) return undefined;
  const { stacks, killed, machineChecks, code } = report as Partial<Record<string, readonly Record<string, unknown>[]>>;
  const isWhole =
    stacks?.every(({ frames }) => isListOf(frames, isObject)) === true &&
    (killed ?? []).every(({ sizesKb }) => isObject(sizesKb)) &&
    (machineChecks ?? []).every(({ values }) => isObject(values)) &&
    (report['at'] === undefined || isObject(report['at'])) &&
    (report['details'] === undefined || (isObject(report['details']) && Object.values(report['details']).every(isText))) &&
    (code === undefined || (isObject(code) && isListOf(code['bytes'], isText)));
  return isWhole ? (report as unknown as KernelReport) : undefined;
}

/** Holes count: a null was there. */
function isListOf(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && Array.from(value as unknown[]).every(isItem);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
