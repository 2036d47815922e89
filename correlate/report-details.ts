/**
 * What each kind of report says that the others do not: tasks that OOM killed, how long something hung, locks, accesses that
 * a sanitizer saw, machine check banks.
 */
import type { HeldLock, KilledTask, MachineCheck, MemoryAccess, OomTask, ReportKind } from '../model/kernel-report.ts';
import type { ReportDraft } from './parse-report.ts';
import type { RecognisedReport } from './recognise-reports.ts';
import { findLocation } from './report-frames.ts';

/** Of an OOM's task table the largest are kept. */
const MAX_OOM_TASKS = 50;
const MAX_LOCKS = 200;

type Reader = (lines: readonly string[], draft: ReportDraft) => void;

const READERS: Partial<Record<ReportKind, Reader>> = {
  oom: readOom,
  alloc_failure: readAllocation,
  hung_task: readHungTask,
  soft_lockup: readSoftLockup,
  hard_lockup: readHardLockup,
  rcu_stall: readStall,
  workqueue_lockup: readWorkqueue,
  lockdep: readLocks,
  bug: readBug,
  kasan: readAccesses,
  kcsan: readAccesses,
  kmsan: readAccesses,
  kfence: readAccesses,
  ubsan: readUbsan,
  slub: readSlub,
  mce: readMachineChecks,
  oops: readAbort,
};

export function readDetails({ rule, lines }: RecognisedReport, draft: ReportDraft): void {
  READERS[rule.kind]?.(
    lines.map(({ text }) => text),
    draft,
  );
}

function addDetail(draft: ReportDraft, name: string, value: string | undefined): void {
  if (value !== undefined && value !== '') draft.details = { ...draft.details, [name]: value };
}

const KILLED = /(?:^|: )Kill(?:ed)? process (\d+) \((.*?)\)(.*)/;
const OOM_TASK = /^\[ *(\d+)\] +(\d+) +\d+ +(\d+) +(\d+)(?: +\d+)+ +(-?\d+) (.+)$/;

/**
 *   tail invoked oom-killer: gfp_mask=0x140dca(…), order=0, oom_score_adj=0
 *   [    217]     0   217    42760    42550   376832        0             0 tail       pid uid tgid total_vm rss … adj name
 *   Out of memory: Killed process 217 (tail) total-vm:171040kB, anon-rss:168852kB, …, UID:0 pgtables:368kB oom_score_adj:0
 *   Tasks in /batch are going to be killed due to memory.oom.group set     each in a line behind it, the first one once more
 */
function readOom(lines: readonly string[], draft: ReportDraft): void {
  const killed: KilledTask[] = [];
  const tasks: OomTask[] = [];
  let group: string | undefined;
  for (const line of lines) {
    const invoked = /^(.{1,32}) invoked oom-killer: (.*)/.exec(line);
    if (invoked !== null) {
      draft.comm ??= invoked[1] as string;
      addDetail(draft, 'gfp_mask', /gfp_mask=([^ ,]+(?:\([^)]*\))?)/.exec(line)?.[1]);
      addDetail(draft, 'order', /order=(-?\d+)/.exec(line)?.[1]);
    }
    addDetail(draft, 'constraint', /^oom-kill:constraint=([A-Z_]+)/.exec(line)?.[1]);
    addDetail(draft, 'memory_cgroup', /oom_memcg=([^,]+)/.exec(line)?.[1]);
    const task = OOM_TASK.exec(line);
    if (task !== null) {
      const [, pid, uid, totalVm, rss, oomScoreAdj, comm] = task as unknown as string[];
      tasks.push({
        pid: Number(pid),
        uid: Number(uid),
        totalVm: Number(totalVm),
        rss: Number(rss),
        oomScoreAdj: Number(oomScoreAdj),
        comm: (comm as string).trim(),
      });
    }
    const kill = KILLED.exec(line);
    if (kill !== null && !(group !== undefined && killed.some(({ pid }) => pid === Number(kill[1])))) killed.push(toKilled(kill));
    group ??= /^Tasks in (.+) are going to be killed due to memory\.oom\.group set$/.exec(line)?.[1];
  }
  const last = group === undefined ? killed.at(-1) : killed[0];
  // The words say whose fault it looks like; who was killed is what happened.
  if (last !== undefined) {
    const others = group === undefined || killed.length === 1 ? '' : `, and ${killed.length - 1} more of ${group}`;
    draft.message = `killed process ${last.pid} (${last.comm})${sizeOf(last)}${others}`;
  } else if (lines.some((line) => line.startsWith('Out of memory and no killable'))) draft.message = 'nothing that could be killed';
  else if (draft.incomplete.length === 0) draft.incomplete = ['it does not say what was killed'];
  if (killed.length > 0) draft.killed = killed;
  if (tasks.length > 0) draft.oomTasks = tasks.sort((a, b) => b.rss - a.rss).slice(0, MAX_OOM_TASKS);
}

function toKilled([, pid, comm, rest]: RegExpExecArray): KilledTask {
  const sizesKb: Record<string, number> = {};
  for (const [, name, value] of (rest as string).matchAll(/([a-z][\w-]*):(\d+)kB/g)) sizesKb[name as string] = Number(value);
  const uid = /UID:(\d+)/.exec(rest as string)?.[1];
  const adj = /oom_score_adj:(-?\d+)/.exec(rest as string)?.[1];
  return {
    pid: Number(pid),
    comm: comm as string,
    sizesKb,
    ...(uid === undefined ? {} : { uid: Number(uid) }),
    ...(adj === undefined ? {} : { oomScoreAdj: Number(adj) }),
  };
}

function sizeOf({ sizesKb }: KilledTask): string {
  const rss = sizesKb['anon-rss'];
  return rss === undefined ? '' : `, ${Math.round(rss / 1024)} MiB of its own`;
}

function readAllocation([headline]: readonly string[], draft: ReportDraft): void {
  const name = /^(.{1,32}?): (?:page allocation|vmalloc)/.exec(headline ?? '')?.[1];
  if (name !== undefined) draft.comm ??= name;
  addDetail(draft, 'order', /order:(\d+)/.exec(headline ?? '')?.[1]);
  addDetail(draft, 'mode', /mode:(0x[0-9a-f]+(?:\([^)]*\))?)/.exec(headline ?? '')?.[1]);
}

/** `INFO: task mkfault:202 blocked for more than 2 seconds.` */
function readHungTask(lines: readonly string[], draft: ReportDraft): void {
  for (const line of lines) {
    const hung = /^INFO: task (.+):(\d+) blocked .*more than (\d+) seconds/.exec(line);
    if (hung !== null) {
      draft.comm = hung[1] as string;
      draft.pid = Number(hung[2]);
      draft.waitedSeconds = Number(hung[3]);
    }
    addDetail(draft, 'blocked_on', /^INFO: task \S+ is blocked on (.*)/.exec(line)?.[1]);
    addDetail(draft, 'state', /^task:.* state:(\S+)/.exec(line)?.[1]);
  }
  readLocks(lines, draft);
}

/** `soft lockup - CPU#1 stuck for 8s! [mkfault:96]` */
function readSoftLockup(lines: readonly string[], draft: ReportDraft): void {
  for (const line of lines) {
    const stuck = /soft lockup - CPU#(\d+) stuck for (\d+)s! \[(.*):(\d+)\]/.exec(line);
    if (stuck === null) continue;
    draft.cpu = Number(stuck[1]);
    draft.waitedSeconds = Number(stuck[2]);
    draft.comm = stuck[3] as string;
    draft.pid = Number(stuck[4]);
  }
}

function readHardLockup(lines: readonly string[], draft: ReportDraft): void {
  for (const line of lines) {
    const cpu = /hard LOCKUP on cpu (\d+)/.exec(line)?.[1] ?? /CPU ?(\d+):? self-detected/.exec(line)?.[1];
    if (cpu !== undefined) draft.cpu = Number(cpu);
  }
}

/** `rcu: 	0-....: (597 ticks this GP) idle=…`, `(t=750 jiffies g=625 q=1 ncpus=2)`, `rcu_preempt kthread starved for …` */
function readStall(lines: readonly string[], draft: ReportDraft): void {
  const stalled: string[] = [];
  for (const line of lines) {
    const cpu = /^(?:rcu: )?\s*(\d+)-[.!OoNnD?\d]+: \(/.exec(line)?.[1];
    if (cpu !== undefined) stalled.push(cpu);
    const blocked = /^(?:rcu: )?\s*Tasks blocked on level-\d+ rcu_node \(CPUs [\d-]+\): (.*)/.exec(line)?.[1];
    addDetail(draft, 'blocked_tasks', blocked?.trim());
    addDetail(draft, 'jiffies', /\bt=(\d+) jiffies/.exec(line)?.[1]);
    addDetail(draft, 'detected_by', /detected by (\d+)/.exec(line)?.[1]);
    addDetail(draft, 'starved', /kthread starved for (\d+ jiffies)/.exec(line)?.[1]);
    for (const [, one] of line.matchAll(/[{ ](\d+)-[.!OoNnD]+ /g)) if (line.includes('expedited')) stalled.push(one as string);
  }
  const [first] = stalled;
  addDetail(draft, 'stalled_cpus', [...new Set(stalled)].join(', '));
  // The CPU that reports need not be the one that stalls.
  if (first !== undefined && stalled.length === 1 && !draft.message.includes('self-detected')) draft.cpu = Number(first);
}

function readWorkqueue([headline]: readonly string[], draft: ReportDraft): void {
  const seconds = /stuck for (\d+)s/.exec(headline ?? '')?.[1];
  if (seconds !== undefined) draft.waitedSeconds = Number(seconds);
  const cpu = /pool cpus=(\d+)\b/.exec(headline ?? '')?.[1];
  if (cpu !== undefined) draft.cpu ??= Number(cpu);
}

/**
 *   sh/123 is trying to acquire lock:
 *   ffff8880098a5a38 (&a){+.+.}-{3:3}, at: fault_lock+0x22/0x40 [mkfault]
 *   but task is already holding lock:
 *    #0: ffff8880098a5b38 (&b){+.+.}-{3:3}, at: …
 */
function readLocks(lines: readonly string[], draft: ReportDraft): void {
  const locks: HeldLock[] = [];
  let role = '';
  for (const line of lines) {
    const who = /^(.{1,32})\/(\d+) is (?:trying to (?:acquire|release|lock)|freeing|leaving|at:)/.exec(line);
    if (who !== null) {
      draft.comm ??= who[1] as string;
      draft.pid ??= Number(who[2]);
      role = 'trying to acquire';
      if (line.includes('release')) role = 'trying to release';
    } else if (/already holding/.test(line)) role = 'already holding';
    else if (/which lock already depends|the existing dependency chain/.test(line)) role = '';
    else if (/\d+ locks? held by|Showing all locks held/.test(line)) role = 'held';
    const lock = /^\s?(?:#\d+: +)?(?:[0-9a-f]{8,16} )?(\(.+\)\{[^}]*\}(?:-\{[\d:]+\})?),? at: (.*)$/.exec(line);
    if (lock !== null && role !== '' && locks.length < MAX_LOCKS) locks.push({ lock: lock[1] as string, role, at: lock[2] as string });
  }
  if (locks.length > 0) draft.locks = locks;
  if (draft.kind !== 'lockdep') return;
  const wanted = locks.find((lock) => lock.role.startsWith('trying'));
  if (wanted !== undefined) {
    const place = findLocation(wanted.at);
    if (place !== undefined) draft.at = place;
  }
  const source = lines.map((line) => /^(\S+\.[chS]):(\d+) (.*)/.exec(line)).find((match) => match !== null);
  if (source === undefined || draft.file !== undefined) return;
  draft.file = source[1] as string;
  draft.line = Number(source[2]);
  addDetail(draft, 'usage', source[3]);
}

/** arm: `Unhandled fault: imprecise external abort (0x1406) at 0x00000000`, in front of an `Internal error:` without a name. */
function readAbort(lines: readonly string[], draft: ReportDraft): void {
  const abort = lines.map((line) => /^Unhandled (?:fault|prefetch abort): (.*)/.exec(line)?.[1]).find((text) => text !== undefined);
  if (abort !== undefined && draft.type === 'unhandled fault') draft.message = abort;
}

function readBug(lines: readonly string[], draft: ReportDraft): void {
  for (const line of lines) {
    const context = /^in_atomic\(\): (\d+), irqs_disabled\(\): (\d+),.* pid: (\d+), name: (.*)/.exec(line);
    if (context !== null) {
      draft.pid ??= Number(context[3]);
      draft.comm ??= context[4] as string;
      addDetail(draft, 'in_atomic', context[1]);
      addDetail(draft, 'irqs_disabled', context[2]);
    }
    const task = /^BUG: scheduling while atomic: (.*)\/(\d+)\/0x/.exec(line) ?? /^BUG: Bad page .* in process (\S+)()/.exec(line);
    if (task !== null) {
      draft.comm ??= task[1] as string;
      if (task[2] !== '') draft.pid ??= Number(task[2]);
    }
  }
}

/**
 *   kasan    Write of size 1 at addr ffff888004cb7d7b by task kunit_try_catch/103
 *   kcsan    write to 0xffff888009c2 of 8 bytes by task 123 on cpu 0:
 *   kfence   Use-after-free read at 0xffff8c3f2e291fff (in kfence-#72):
 *   kmsan    Memory access of size 8 starts at ffff…
 */
function readAccesses(lines: readonly string[], draft: ReportDraft): void {
  const accesses: MemoryAccess[] = [];
  for (const line of lines) {
    const access = readAccess(line);
    if (access !== undefined) accesses.push(access);
    const cache = /belongs to the cache (\S+) of size (\d+)/.exec(line) ?? /size=(\d+), cache=(\S+)/.exec(line);
    if (cache !== null) addDetail(draft, 'cache', line.includes('cache=') ? cache[2] : cache[1]);
    addDetail(draft, 'located', /^(?:The buggy address is located )(.*)/.exec(line)?.[1]);
    addDetail(draft, 'value_changed', /^value changed: (.*)/.exec(line)?.[1]);
    addDetail(draft, 'uninitialized', /^(Bytes .* are uninitialized)/.exec(line)?.[1]);
  }
  const [first] = accesses;
  if (first === undefined) return;
  draft.accesses = accesses;
  if (first.address !== undefined) draft.address ??= first.address;
  const task = /^task (.*)\/(\d+)$/.exec(first.by ?? '');
  if (task === null) return;
  draft.comm ??= task[1] as string;
  draft.pid ??= Number(task[2]);
}

function readAccess(line: string): MemoryAccess | undefined {
  const kasan = /^(Read|Write) of size (\d+) at addr (?:0x)?([0-9a-f]+) by (task .*\/\d+)/.exec(line);
  if (kasan !== null) return toAccess(kasan[1], kasan[2], kasan[3], kasan[4]);
  const free = /^Free of addr ([0-9a-f]+) by (task .*\/\d+)/.exec(line);
  if (free !== null) return toAccess('free', undefined, free[1], free[2]);
  const kcsan =
    /^((?:assert no \w+|read-write|read|write)(?: \(\w+\))?|race at unknown origin, with (?:read|write)(?: \(\w+\))?) to (?:0x)?([0-9a-f]+) of (\d+) bytes by (.*?):?$/.exec(
      line,
    );
  if (kcsan !== null) return toAccess(kcsan[1], kcsan[3], kcsan[2], kcsan[4]);
  const kfence =
    /^((?:Out-of-bounds|Use-after-free|Invalid|Corrupted memory|Memory corruption)(?: read| write| free)?) at 0x([0-9a-f]+)/.exec(line);
  if (kfence !== null) return toAccess(kfence[1], undefined, kfence[2], undefined);
  const kmsan = /^Memory access of size (\d+) starts at ([0-9a-f]+)/.exec(line);
  return kmsan === null ? undefined : toAccess('access', kmsan[1], kmsan[2], undefined);
}

function toAccess(
  operation: string | undefined,
  size: string | undefined,
  address: string | undefined,
  by: string | undefined,
): MemoryAccess {
  return {
    operation: (operation ?? '').toLowerCase(),
    ...(size === undefined ? {} : { size: Number(size) }),
    ...(address === undefined ? {} : { address }),
    ...(by === undefined ? {} : { by }),
  };
}

/** What is wrong stands on the line below: `index 5 is out of range for type 'int [4]'`. */
function readUbsan(lines: readonly string[], draft: ReportDraft): void {
  const at = lines.findIndex((line) => line.startsWith('UBSAN: '));
  const below = lines[at + 1];
  if (at >= 0 && below !== undefined && !/^(?:CPU: |Call Trace|-{4}|=)/.test(below)) draft.message = `${draft.message}: ${below.trim()}`;
}

function readSlub(lines: readonly string[], draft: ReportDraft): void {
  for (const line of lines) {
    addDetail(draft, 'cache', /^BUG (\S+) \(/.exec(line)?.[1]);
    addDetail(draft, 'fix', /^FIX (.*)/.exec(line)?.[1]);
    addDetail(draft, 'object', /(?:^|INFO: )Object (0x[0-9a-f]+)/.exec(line)?.[1]);
    const overwritten = /^\[(.* overwritten)\] (0x.*)/.exec(line);
    if (overwritten === null) continue;
    // As kernels before 6.15 say it in the headline, where now stands `Object corrupt`.
    draft.type = `SLUB: ${overwritten[1]}`;
    addDetail(draft, 'overwritten', overwritten[2]);
  }
}

const MCI_STATUS_UC = 1n << 61n;

/**
 *   mce: [Hardware Error]: CPU 0: Machine Check Exception: 5 Bank 4: b200000000070f0f
 *   mce: [Hardware Error]: RIP !INEXACT! 10:<ffffffff8100a6f2> {f+0x12/0x20}
 *   mce: [Hardware Error]: TSC 3a8fd2ea00 ADDR fef1a140 MISC 86
 *   mce: [Hardware Error]: PROCESSOR 2:600f20 TIME 1411576020 SOCKET 0 APIC 0 microcode 6000832
 *
 *   [Hardware Error]: CPU:0 (17:31:0) MC0_STATUS[-|CE|MiscV|-|-]: 0x9c20400000070135                 AMD's decoder
 *   {1}[Hardware Error]: event severity: corrected                                                  firmware (GHES)
 */
function readMachineChecks(lines: readonly string[], draft: ReportDraft): void {
  const checks: { cpu: number; bank: number; values: Record<string, string> }[] = [];
  for (const line of lines) {
    const text = line.replace(/^(?:mce: |\{\d{1,9}\})?\[Hardware Error\]: /, '');
    readFirmwareError(text, draft);
    const amd = /^CPU:(\d+) \([0-9a-f:]+\) MC(\d+)_STATUS\[[^\]]*\]: 0x([0-9a-f]+)/.exec(text);
    if (amd !== null) checks.push({ cpu: Number(amd[1]), bank: Number(amd[2]), values: { status: amd[3] as string } });
    const head = /^CPU (\d+): Machine Check(?: Exception)?: ([0-9a-f]+) Bank (\d+): ([0-9a-f]+)/.exec(text);
    if (head !== null)
      checks.push({ cpu: Number(head[1]), bank: Number(head[3]), values: { mcgstatus: head[2] as string, status: head[4] as string } });
    const check = checks.at(-1);
    if (check === undefined) continue;
    for (const [, name, value] of text.matchAll(/\b(TSC|ADDR|MISC|SYND|IPID|PPIN|PROCESSOR|TIME|SOCKET|APIC|microcode) ([0-9a-f:]+)/g))
      check.values[(name as string).toLowerCase()] = value as string;
    const rip = /^RIP (.*)/.exec(text)?.[1];
    if (rip !== undefined) check.values['rip'] = rip;
    const place = rip === undefined ? undefined : findLocation(rip);
    if (place !== undefined) draft.at ??= place;
  }
  if (checks.length === 0) return;
  draft.machineChecks = checks satisfies MachineCheck[];
  draft.cpu ??= (checks[0] as { cpu: number }).cpu;
  // 0 in the global status: found by polling, and corrected. Bit 61 of a bank's status: not corrected.
  const isCorrected = ({ values: { mcgstatus, status = '0' } }: (typeof checks)[number]): boolean =>
    mcgstatus === undefined ? (BigInt(`0x${status}`) & MCI_STATUS_UC) === 0n : Number.parseInt(mcgstatus, 16) === 0;
  if (checks.every(isCorrected)) {
    draft.level = 3;
    draft.type = 'corrected machine check';
  }
}

/** What firmware tells of an error: how bad it is, and what had it (ACPI APEI, UEFI CPER). */
function readFirmwareError(text: string, draft: ReportDraft): void {
  const severity = /^event severity: (\w+)/.exec(text)?.[1];
  if (severity !== undefined) {
    draft.type = `${severity} hardware error`;
    draft.level = severity === 'fatal' ? 0 : 3;
  }
  addDetail(draft, 'section', /^ *section_type: (.*)/.exec(text)?.[1]);
}
