/**
 * What the lines inside a kernel report look like, by what they say. A line of the same lane that has none of these shapes
 * belongs to something else that was printed in between. Patterns that several architectures share stand once.
 */
import type { ReportKind } from '../model/kernel-report.ts';

export type LineShape =
  /** `func+0x12/0x40 [module]`, in all its forms (report-frames.ts). */
  | 'frame'
  /** `<IRQ>`, `</TASK>`, `Call Trace:`, `Backtrace:`. */
  | 'trace'
  /** `---[ end trace … ]---`. */
  | 'end'
  | 'task'
  | 'register'
  | 'code'
  | 'text';

interface ShapePattern {
  readonly shape: LineShape;
  readonly pattern: RegExp;
}

/** Shapes of every report. */
const COMMON: readonly ShapePattern[] = [
  {
    shape: 'frame',
    pattern:
      /^\s*(?:\(?\[<?[0-9a-fA-F]{8,16}>?\] *){0,2}(?:\? )?\(?[A-Za-z_.$][\w.$]*\+0x[0-9a-f]+(?:\/0x[0-9a-f]+)?(?: \[[\w-]+(?: [0-9a-f]{8,40})?\])?\)?(?: \([\w ]+\))*(?: from .*)?$/,
  },
  // arm without frame pointers, kernels without symbols, and the last frame of powerpc and s390.
  {
    shape: 'frame',
    pattern:
      /^\s*(?:\[<?[0-9a-f]{8,16}>?\] ?)+(?:\[[0-9a-f]{8,16}\] )?(?:0x[0-9a-f]+|\(?[\w.$]+\)?|\([\w.$]+ \[[\w-]+\]\))?(?: \(unreliable\))?(?: from .*)?$/,
  },
  { shape: 'frame', pattern: /^ (?:\? )?(?:0x)?[0-9a-f]{8,16}$/ },
  // As scripts/decode_stacktrace.sh and syzbot write them: with source files.
  { shape: 'frame', pattern: /^\s*(?:\? )?[A-Za-z_.$][\w.$]*(?:\+0x[0-9a-f]+\/0x[0-9a-f]+)? (?:\(?[\w./-]+\.[chS]:\d+|\?\?:\?)/ },
  { shape: 'frame', pattern: /^ [\w.$]+ (?:\[[\w-]+\] )?from [\w.$]+(?:\+0x.*)?$/ },
  { shape: 'trace', pattern: /^\s*<\/?(?:IRQ|SOFTIRQ|TASK|NMI|EOI|EOE|#\w+|ENTRY_TRAMPOLINE|EXCEPTION|\w+_STACK|EOI\d?|IST\d?)>/ },
  {
    shape: 'trace',
    pattern: /^(?:Call [Tt]race:|Backtrace: ?|stack backtrace:|Stack ?: ?|Stack traceback|NMI backtrace for cpu |Exception stack\()/,
  },
  { shape: 'end', pattern: /^-{2,3}\[ end (?:trace|Kernel panic)/ },
  {
    shape: 'task',
    pattern:
      /^(?:CPU: \d+ (?:UID: \d+ )?PID: \d+ Comm: |Tainted: |Hardware name: |Workqueue: |Process .* \(pid: \d+|task: [0-9a-f]{8,16} |task:\S.* state:|Sched_ext: |Stopper: |Insn? dump)/,
  },
  { shape: 'register', pattern: /^\s*(?:RIP|RSP|EIP|ESP|RAX|RDX|RBP|R\d\d|EAX|ESI|FS|CS|DS|CR2|DR\d|PKRU|ES|SS|GS|EFLAGS): / },
  { shape: 'register', pattern: /^(?:pc|lr|sp|pstate|x\d+|pmr_save|esr|xPSR|r\d+|fp|ip|Flags|Control|pstate)\s?: / },
  { shape: 'register', pattern: /^(?:PC|LR|ra) is at / },
  {
    shape: 'register',
    pattern: /^\s?(?:epc|ra|gp|t\d|s\d+|a\d|tp|status|badaddr|stval) ?: [0-9a-f]{4,16}|^(?:epc|ra) : [\w.]+\+0x| ra : [\w.]+\+0x/,
  },
  { shape: 'register', pattern: /^(?:NIP|LR|REGS|MSR|CFAR|GPR\d\d|IRQMASK)[: ]|^(?:NIP|LR) \[[0-9a-f]{8,16}\]|^---- interrupt: / },
  {
    shape: 'register',
    pattern: /^(?:Krnl|User) (?:PSW|GPRS) ?: |^ {8,}(?:[0-9a-f]{16} ?){2,4}$|^ {6,}R:\d T:\d |^Last Breaking-Event-Address:/,
  },
  { shape: 'register', pattern: /^(?:\$ ?\d+ +: |Hi +: |Lo +: |epc +: |Status ?: |Cause ?: |BadVA ?: |PrId ?: |ExcCode )/ },
  {
    shape: 'register',
    pattern: /^(?:pc|a\d|t\d|u0|s\d) [0-9a-f]{16} (?:\w+ [0-9a-f]{16} ?)+$|^ *(?:ERA|CRMD|PRMD|EUEN|ECFG|ESTAT|BADV|PRID|ra|   ra): /,
  },
  {
    shape: 'code',
    pattern:
      /^(?:Code: |Krnl Code: |Instruction dump:|Code : )|^(?:[<(]?[0-9a-fX]{8}[>)]? ){4,8}[<(]?[0-9a-fX]{8}[>)]? ?$| {10,}[0-9a-f#>]{16,18}: [0-9a-f]{4,12}\s/,
  },
  {
    shape: 'text',
    pattern:
      /^(?:Modules linked in:|Unloaded tainted modules:|#PF: |PGD |P4D |PUD |\*pdpt = |\*pde = |Oops: |irq event stamp: |(?:hard|soft)irqs last |Kernel Offset: |PHYS_OFFSET: |CPU features: |Memory Limit: |Dumping ftrace buffer|Shutting down cpus with NMI|SMP: stopping secondary CPUs|Rebooting in |note: .* exited with|Fixing recursive fault|Preemption disabled at:|Last level |RBP: |INFO: lockdep is turned off|last sysfs file|IRQ stack|Kernel memory protection)/,
  },
  {
    shape: 'text',
    pattern:
      /^(?:Mem abort info:|Data abort info:|  (?:ESR|EC|SET|EA|FSC|ISV|CM|GCS|Overlay) ?= ?|(?:user|swapper) pgtable: |\[[0-9a-f]{8,16}\] (?:\*)?p[gu4m]d=|\[[0-9a-f]{8,16}\] (?:address between|user address but))/,
  },
  {
    shape: 'text',
    pattern:
      /^(?:Faulting instruction address: |LE PAGE_SIZE=|BE PAGE_SIZE=|Failing address: |Fault in |AS:[0-9a-f]{16}|CPU: \d+ [A-Z]|Kernel attempted to |\d+ locks? held by |no locks held by )/,
  },
  { shape: 'text', pattern: /^ #\d+:\s+[0-9a-f]{8,16} |^-{5,}$/ },
  // arm: what registers point to, the stack, registers saved by frames.
  {
    shape: 'text',
    pattern: /^Register r\d+ information: |^[0-9a-f]{4}: (?:[0-9a-f]{8} ?){1,8}$|^ r\d+:[0-9a-f]{8}(?: r\d+:[0-9a-f]{8})*$|^pgd = /,
  },
];

const MEMORY_DUMP: readonly ShapePattern[] = [{ shape: 'text', pattern: /^[ >][0-9a-f]{8,16}: (?:[0-9a-fX.]{2} ?)+|^\s*\^+$/ }];

const SANITIZER: readonly ShapePattern[] = [
  ...MEMORY_DUMP,
  {
    shape: 'trace',
    pattern:
      /^(?:Allocated|Freed|allocated|freed) by task \d+|^Last potentially related work|^Second to last potentially|^Uninit was |^Local variable .* created at:|^Bytes \d|^Memory access of size |^(?:Uninit|Auxiliary) stack/,
  },
  {
    shape: 'text',
    pattern:
      /^(?:assert no (?:writes|accesses)|read|write|read-write|.*(?:read|write)) (?:\(\w+\) |\(marked\) )?to (?:0x)?[0-9a-f]+ of \d+ bytes|^race at unknown origin|^value changed: |^assert: |^Reported by Kernel Concurrency|^(?:Read|Write|Free) of (?:size|addr) |^==/,
  },
  {
    shape: 'text',
    pattern:
      /^The buggy address |^page(?: last |: ?| dumped| dumped because|_type)|^head: ?|^flags: 0x|^raw: [0-9a-f]|^Memory state around|^which belongs to|^ (?:which belongs|the (?:stack|variable)|\[|.*-byte region)|^(?:\d+ bytes|.*-byte region)|^this frame has|^addr .* is located|^The \w+ (?:index|address)|^kfence-#|^(?:Out-of-bounds|Use-after-free|Invalid|Corrupted memory|Memory corruption|Corrupted) |^kernel tried to|^ \[\d+, \d+\)|^Disabling lock debugging|^KASAN: |^full \w+ is|^aops:|^memcg:|^anon flags|^index:|^shift exponent|^page_owner|^pages? \S+ |^Kernel Address/,
  },
  {
    shape: 'text',
    pattern:
      /^(?:index .* is out of range|shift exponent|load of |member access|null pointer|division|signed|unsigned|negation|.* cannot be represented|.* is out(?:side)? of the range|.* address .* with insufficient space|variable length|call to function|misaligned)/,
  },
];

const STALL: readonly ShapePattern[] = [
  {
    shape: 'text',
    pattern:
      /^rcu: |^\s*\(?(?:t=|detected by )|^\s*\(?\d+-[.!OoNnD?\d]|^blocking rcu_node|^Sending NMI from CPU|^Task dump for CPU|^rcu_\w+ kthread|^\s*Tasks blocked on level|^\s*hardirqs? |^\s*number:|^\s*cputime:|^ *(?:-->|==>)|^task:|^CPU#\d+ Utilization|^\s*#\d+:\s+\d+%|^CPU#\d+ Detect HardIRQ|^\s*#\d+: \d+\s+irq#|^Lock owner|^\s*All QSes seen|^Kernel is |^NMI watchdog:|^Stalled CPUs|^ *(?:I\/O|IRQ)/,
  },
  {
    shape: 'text',
    pattern:
      /^R\s+(?:running task)?|^Running task|^(?:"echo 0 > |      (?:Tainted|Not tainted)|INFO: task .* is blocked on|Showing all locks held|Future hung task|=+$)/,
  },
];

const BY_KIND: Partial<Record<ReportKind, readonly ShapePattern[]>> = {
  kasan: SANITIZER,
  kcsan: SANITIZER,
  kmsan: SANITIZER,
  kfence: SANITIZER,
  ubsan: SANITIZER,
  slub: [
    ...MEMORY_DUMP,
    { shape: 'trace', pattern: /^(?:INFO: )?(?:Allocated|Freed) in / },
    {
      shape: 'text',
      pattern: /^(?:INFO: |Slab |Object |Redzone |Bytes b4 |Padding |FIX |[\w -]+overwritten|0x[0-9a-f]+-0x|=|-)/,
    },
  ],
  lockdep: [
    { shape: 'trace', pattern: /^-> #\d+ |^\.\.\. acquired at:|^.{1,32}\/\d+ (?:is trying to|just changed|\[HC|is freeing|is leaving)/ },
    {
      shape: 'text',
      pattern:
        /^\s*$|^=+$|^\d+\.\d+.* (?:Not tainted|Tainted)|^(?:but |the |which |and |other |this |stack |locks |lock |IN-|to a |with |no |more |possible |further |INFO: |inconsistent |initial-use|rcu_scheduler|irqs?|RCU used|\{|debug_locks|may be due to|usage|hardirq|softirq|kernel\/|context-|Invalid|you didn't|turning|not valid|code is fine|Chain exists|swapper)|^ (?:Possible|May|\*\*\*|class|-)|^\s+(?:CPU\d|-{4}|lock\(|<\S*Interrupt>|rlock\(|sync\(|local_)|^\s*(?:\.\.\. )?(?:key|ops|HARDIRQ-|SOFTIRQ-|IN-|INITIAL)|^[0-9a-f]{8,16} \(|^ ?\(|^ #\d+: +\(|^\S.*:\d+ (?:suspicious|RCU)|^.*invoked |^\s+\S+-W at:|^ -> /,
    },
  ],
  hung_task: STALL,
  soft_lockup: STALL,
  hard_lockup: STALL,
  rcu_stall: STALL,
  workqueue_lockup: [
    ...STALL,
    {
      shape: 'text',
      pattern: /^Showing (?:busy|backtraces)|^workqueue \S+: flags|^\s+(?:pwq|in-flight|pending|inactive|delayed|hung)|^pool \d+:/,
    },
  ],
  oom: [
    {
      shape: 'text',
      pattern:
        /^Mem-Info:|^\s?(?:active_anon|active_file|unevictable|slab_reclaimable|mapped|sec_pagetables|kernel_misc|free|inactive_|bounce|workingset)[:_]|^Node \d|^lowmem_reserve|^\d+ (?:total pagecache|pages)|^(?:Free|Total) swap|^Swap cache stats|^Tasks state|^\[ +pid +\]|^\[ *\d+\] +\d+ +\d+ |^oom-kill:|^oom_reaper: |^(?:memory|swap|kmem|memory\+swap): usage|^Memory cgroup stats|^Tasks in |^(?:anon|file|kernel|shmem|slab|sock|vmalloc|pg\w+|workingset\w+|thp\w+|zswap\w*|inactive\w+|active\w+|unevictable|percpu|pagetables|sec_pagetables|swapcached|swap_cached|nr_\w+|hugetlb) \d|^Unreclaimable slab|^Name +Used|^[\w-]+ +\d+KB +\d+KB|^DMA|^Normal|^HighMem|^\d+\*\d+kB|^Tasks |^, task_memcg/,
    },
  ],
  alloc_failure: [
    {
      shape: 'text',
      pattern:
        /^Mem-Info:|^\s?(?:active_anon|active_file|unevictable|slab_reclaimable|mapped|sec_pagetables|kernel_misc|free|bounce)[:_]|^Node \d|^lowmem_reserve|^\d+ (?:total pagecache|pages)|^(?:Free|Total) swap|^Swap cache|^warn_alloc_show_mem/,
    },
  ],
  mce: [{ shape: 'text', pattern: /^(?:mce: |\{\d{1,9}\})?\[Hardware Error\]: |^mce: |^(?:EDAC|MCE) / }],
  irq_ignored: [{ shape: 'text', pattern: /^handlers:|^Disabling IRQ #|^\[<[0-9a-f]+>\]/ }],
  bug: [
    {
      shape: 'text',
      pattern:
        /^in_atomic\(\): |^preempt_count: |^RCU nest depth: |^ lock: |^page: ?|^flags: 0x|^raw: |^page dumped|^addr:|^file:|^pte:|^caller is |^page_type|^Disabling lock debugging|^bad because of/,
    },
  ],
  panic: [
    {
      shape: 'text',
      pattern: /^(?:VFS: |User |Memory: |Multikernel instance|Kernel relocated|Rebooting|ACPI MEMORY|System is deadlocked)/,
    },
  ],
};

/** What a line says within a report of the kind; undefined = it is not of the report. */
export function shapeOf(kind: ReportKind, line: string): LineShape | undefined {
  for (const { shape, pattern } of COMMON) if (pattern.test(line)) return shape;
  for (const { shape, pattern } of BY_KIND[kind] ?? []) if (pattern.test(line)) return shape;
  return undefined;
}
