/**
 * The lines of a recognised report → what they say, typed. What all kinds share is read here (task, registers, code, stacks,
 * taint), what is the kind's own in report-details.ts.
 *
 *   CPU: 1 UID: 0 PID: 95 Comm: mkfault Tainted: G      D W  OE      6.12.117-amd64 #1  Debian 6.12.117-1
 *   Tainted: [D]=DIE, [W]=WARN                   since 6.13, instead of letters alone
 *   Hardware name: QEMU Standard PC (Q35 + ICH9, 2009), BIOS 1.16.2 04/01/2014
 *   RIP: 0010:fault_oops+0xa/0x20 [mkfault]      registers up to the first trace are the fault's own;
 *   Call Trace:                                  with a user's segment (0033) below it they are user space's,
 *    asm_exc_page_fault+0x22/0x30                and with the kernel's those of what an exception interrupted
 */
import type { KernelReport, ReportStack, StackFrame } from '../model/kernel-report.ts';
import type { RecognisedReport, ReportLine } from './recognise-reports.ts';
import { readDetails } from './report-details.ts';
import { findLocation, formatFrame, parseCode, parseFrame } from './report-frames.ts';
import { readRegisters } from './report-registers.ts';
import { explainTaint } from './taint.ts';

/** A report while it is read. */
export type ReportDraft = { -readonly [Key in keyof KernelReport]: KernelReport[Key] };

const TASK =
  /^CPU: (\d+) (?:UID: \d+ )?PID: (\d+) Comm: (.*?)(?: Kdump: loaded)?(?: Tainted: ([A-Z\s]{0,64}?)\s{1,64}| Not tainted )(\d+\.\d+\S*)/;
const LOCKDEP_RELEASE = /^(\d+\.\d+\S*) (?:#\S+ )?(?:Tainted: ([A-Z ]+?)\s*$|Not tainted)/;
const HUNG_TAINT = /^ {6}(?:Tainted: ([A-Z ]+?)\s{2,}|Not tainted )(\d+\.\d+\S*)/;
const MAX_MODULES = 512;

export function parseReport(found: RecognisedReport): KernelReport {
  const { rule, lines } = found;
  const draft: ReportDraft = {
    kind: rule.kind,
    level: rule.level,
    type: toType(found),
    message: toMessage(found),
    stacks: [],
    incomplete: found.incomplete,
  };
  if (found.cpu >= 0) draft.cpu = found.cpu;
  if (found.pid >= 0) draft.pid = found.pid;
  readLines(lines, draft);
  readDetails(found, draft);
  const place = draft.at ?? placeOf(draft);
  return place === undefined ? draft : { ...draft, at: place };
}

/** `$1` of a rule's type, without addresses and what varies from one to the next. */
function toType({ rule, match }: RecognisedReport): string {
  if (!rule.type.includes('$1')) return rule.type;
  const named =
    match.slice(1).find((group) => group !== undefined && group !== match.groups?.['message']) ?? match.groups?.['message'] ?? '';
  const text = named
    .replace(/^(?:Internal error: |Oops: )+/, '')
    .replace(/,? (?:probably|maybe|sig:) .*/, '')
    .replace(/[:!. ]+$/, '')
    .trim();
  return rule.type.replace('$1', text === '' ? 'Oops' : text);
}

function toMessage({ rule, match, lines }: RecognisedReport): string {
  const said = lines.filter(({ shape }) => shape === 'message').map(({ text }) => text);
  // A WARN may bring words of its own; they stand between the frame and the headline.
  if (rule.kind === 'warning' && said.length > 0) return said.join(' ').trim();
  const own = (match.groups?.['message'] ?? match[0]).trim();
  // `list_add corruption. …` stands in front of the frame of its BUG.
  const lead = rule.kind === 'bug' && lines[0]?.shape === 'message' ? lines[0].text.trim() : '';
  return lead === '' ? own : `${own} ${lead}`;
}

/** What is kept while the lines are gone through. */
interface Reading {
  readonly draft: ReportDraft;
  readonly stacks: { title: string; frames: StackFrame[] }[];
  readonly registers: Record<string, string>;
  readonly userRegisters: Record<string, string>;
  readonly decoded: string[];
  /** Line that says whose the next trace is. */
  title: string;
  /** The next trace is the rest of the last one. */
  goesOn: boolean;
  /** `<IRQ>`: which stack the frames lie on. */
  stackName: string;
  /** Whose registers and code come: the fault's; behind its first trace its code at most; user space's; nobody's that matters. */
  context: 'fault' | 'trace' | 'user' | 'other';
  dumpsCode: boolean;
  ended: boolean;
}

function readLines(lines: readonly ReportLine[], draft: ReportDraft): void {
  const reading: Reading = {
    draft,
    stacks: [],
    registers: {},
    userRegisters: {},
    decoded: [],
    title: '',
    goesOn: false,
    stackName: '',
    context: 'fault',
    dumpsCode: false,
    ended: false,
  };
  for (const { text, shape } of lines) readLine(text, shape, reading);
  draft.stacks = reading.stacks.filter(({ frames }) => frames.length > 0) as ReportStack[];
  if (Object.keys(reading.registers).length > 0) draft.registers = reading.registers;
  if (Object.keys(reading.userRegisters).length > 0) draft.userRegisters = reading.userRegisters;
  if (reading.decoded.length > 0) draft.decoded = reading.decoded;
}

function readLine(text: string, shape: ReportLine['shape'], reading: Reading): void {
  switch (shape) {
    case 'frame':
      addFrame(parseFrame(text), reading);
      return;
    case 'trace':
      readTrace(text, reading);
      return;
    case 'task':
      readTask(text, reading);
      return;
    case 'register':
      if (!reading.ended) readRegisterLine(text, reading);
      return;
    case 'code':
      if (!reading.ended) readCode(text, reading);
      return;
    case 'end':
      // What x86 prints behind it are the registers of the boot's first oops.
      reading.ended = true;
      return;
    case 'headline':
      readHeadline(text, reading.draft);
      return;
    default:
      readText(text, reading);
  }
}

function addFrame(frame: StackFrame | undefined, reading: Reading): void {
  if (frame === undefined) return;
  const stack = reading.stacks.at(-1) ?? openStack('Call Trace', reading);
  stack.frames.push(reading.stackName === '' ? frame : { ...frame, stack: reading.stackName });
}

function openStack(title: string, reading: Reading): { title: string; frames: StackFrame[] } {
  const stack = { title, frames: [] };
  reading.stacks.push(stack);
  reading.title = '';
  reading.stackName = '';
  return stack;
}

function readTrace(text: string, reading: Reading): void {
  const tag = /^\s*<(\/?)([^>]+)>/.exec(text);
  if (tag !== null) {
    if (reading.stacks.length === 0) openStack('Call Trace', reading);
    // `<EOI>` ends the stack before it in the older form.
    reading.stackName = tag[1] === '/' || (tag[2] as string).startsWith('EO') ? '' : (tag[2] as string);
    return;
  }
  if (text.startsWith('NMI backtrace for cpu ')) {
    reading.title = text.trim();
    reading.context = 'other';
    return;
  }
  if (/^stack backtrace:/i.test(text)) {
    reading.title = '';
    return;
  }
  if (reading.context === 'fault' && !/by task|^Uninit|^-> #|(?:Allocated|Freed) in /.test(text)) reading.context = 'trace';
  const isRest = reading.goesOn && text.startsWith('Call Trace');
  reading.goesOn = false;
  if (isRest) return;
  openStack(
    /^(?:Call [Tt]race|Backtrace|Stack)/.test(text) && reading.title !== '' ? reading.title : text.replace(/:\s*$/, '').trim(),
    reading,
  );
}

function readTask(text: string, reading: Reading): void {
  const { draft } = reading;
  const task = TASK.exec(text);
  if (task !== null) {
    // With several tasks the first is the one at fault.
    if (draft.release !== undefined && draft.comm !== undefined) return;
    if (reading.context === 'fault') forgetRegisters(reading);
    draft.cpu = Number(task[1]);
    draft.pid = Number(task[2]);
    draft.comm = task[3] as string;
    draft.release = task[5] as string;
    setTaint(task[4] ?? '', draft);
  } else if (text.startsWith('Tainted: [')) draft.taints ??= explainTaint(text);
  else if (text.startsWith('Hardware name: ')) draft.hardware ??= text.slice(15).trim();
  else if (text.startsWith('Workqueue: ')) draft.workqueue ??= text.slice(11).trim();
  else if (text.startsWith('task:')) reading.title = text.trim().replace(/\s+/g, ' ');
}

/** All kernels print the task before its registers: what came so far is the tail of another CPU's report. */
function forgetRegisters({ registers, draft }: Reading): void {
  for (const name of Object.keys(registers)) delete registers[name];
  delete draft.at;
  delete draft.code;
}

function setTaint(letters: string, draft: ReportDraft): void {
  const taint = letters.trim();
  draft.taint = taint;
  if (taint !== '') draft.taints = explainTaint(taint);
}

function readRegisterLine(text: string, reading: Reading): void {
  if (text.startsWith('Last Breaking-Event-Address')) {
    openStack('Last Breaking-Event-Address', reading);
    return;
  }
  const segment = /^\s*RIP: ([0-9a-f]{4}):/.exec(text)?.[1];
  if (segment !== undefined && reading.context !== 'fault') {
    // The low two bits are the privilege level.
    const isUser = (Number.parseInt(segment, 16) & 3) === 3;
    reading.context = isUser ? 'user' : 'other';
    const place = isUser ? undefined : findLocation(text);
    if (place !== undefined) {
      // What an NMI met; the trace behind it goes on from there.
      if (reading.title.startsWith('NMI backtrace')) {
        openStack(reading.title, reading);
        reading.goesOn = true;
      }
      addFrame({ ...place, stack: 'exception' }, reading);
    }
  }
  // x86 prints the address of the fault by itself once more: on the way the register may have been used again.
  const faultAddress = /^CR2: ([0-9a-f]+)$/.exec(text)?.[1];
  if (faultAddress !== undefined) reading.registers['CR2'] = faultAddress;
  else if (reading.context === 'fault') {
    readRegisters(text, reading.registers);
    if (/^(?:RIP|EIP|NIP|pc|epc|PC is at)\b/i.test(text.trimStart())) {
      const place = findLocation(text.replace(/\b(?:ra|lr) ?: .*/i, ''));
      if (place !== undefined && !SLUB_REPORTING.test(place.symbol)) reading.draft.at ??= place;
    }
  } else if (reading.context === 'user') readRegisters(text, reading.userRegisters);
}

function readCode(text: string, reading: Reading): void {
  if (reading.context !== 'fault' && reading.context !== 'trace') return;
  if (text.startsWith('Instruction dump:')) {
    reading.dumpsCode = true;
    return;
  }
  const words = /^(?:Code ?: |Krnl Code: )(.*)/.exec(text)?.[1] ?? (reading.dumpsCode ? text : '');
  const code = parseCode(words);
  const { draft } = reading;
  if (code === undefined) {
    if (text.startsWith('Code: ')) reading.decoded.push(text);
  } else if (draft.code === undefined) draft.code = code;
  else if (reading.dumpsCode) {
    const shift = draft.code.bytes.length;
    draft.code = {
      bytes: [...draft.code.bytes, ...code.bytes],
      faultAt: draft.code.faultAt >= 0 || code.faultAt < 0 ? draft.code.faultAt : code.faultAt + shift,
    };
  }
}

function readHeadline(text: string, draft: ReportDraft): void {
  const number = /\[#(\d+)\]/.exec(text)?.[1];
  if (number !== undefined) draft.oopsNumber ??= Number(number);
  const address =
    /(?:address:?|virtual address|at virtual address|(?:dereference|request|write|read) at|canonical address) (?:0x)?([0-9a-f]{8,16})\b/.exec(
      text,
    )?.[1];
  if (address !== undefined) draft.address ??= address;
  const source = /(?:\bBUG at|WARNING: (?:CPU: \d+ PID: \d+ at )?|UBSAN: \S+ in|context at) ?(\S+?):(\d+)(?:[!:\s]|$)/.exec(text);
  if (source !== null && draft.file === undefined) {
    draft.file = source[1] as string;
    draft.line = Number(source[2]);
  }
}

const DECODED =
  /^(?:#PF: |PGD |P4D |PUD |Mem abort info|Data abort info|  (?:ESR|EC|SET|EA|FSC|ISV|CM|GCS) ?= ?|Faulting instruction|Failing address|Fault in |Kernel attempted|KASAN: |\[[0-9a-f]{8,16}\] )/;

function readText(text: string, reading: Reading): void {
  const { draft } = reading;
  if (text.startsWith('Modules linked in:')) {
    draft.modules ??= text
      .slice(18)
      .replace(/\[last unloaded: .*/, '')
      .trim()
      .split(/\s+/)
      .filter((name) => name !== '')
      .slice(0, MAX_MODULES);
  } else if (DECODED.test(text)) reading.decoded.push(text.trim());
  else {
    const taint = HUNG_TAINT.exec(text);
    const release = taint?.[2] ?? LOCKDEP_RELEASE.exec(text)?.[1];
    if (release === undefined || draft.release !== undefined) return;
    draft.release = release;
    setTaint(taint?.[1] ?? LOCKDEP_RELEASE.exec(text)?.[2] ?? '', draft);
  }
}

/** Kernels do not print the place for every kind: what the headline names, else the first frame that is not the reporting itself. */
function placeOf({ message, stacks, kind }: ReportDraft): StackFrame | undefined {
  // Where the memory ran out says nothing of who took it.
  if (kind === 'oom') return undefined;
  const named = kind === 'panic' && !message.startsWith('stack-protector') ? undefined : findLocation(message);
  if (named !== undefined) return named;
  if (kind === 'rcu_stall') return stalledPlaceOf(stacks);
  // SLUB tells first who allocated and freed the object.
  const own = kind === 'slub' ? (stacks.find(({ title }) => !/(?:Allocated|Freed) in /.test(title)) ?? stacks[0]) : stacks[0];
  const callers = own?.frames.filter(({ symbol, certain }) => certain && symbol !== '' && !REPORTING.test(symbol));
  return (kind === 'slub' ? callers?.find(({ symbol }) => !SLUB_REPORTING.test(symbol)) : undefined) ?? callers?.[0];
}

/**
 * Where a CPU was that lets RCU wait: what its interrupt found it in, else the first function of a task. RCU's own thread is told,
 * too, where it got no turn, and is not at fault. A program that never ends has no function of the kernel.
 */
function stalledPlaceOf(stacks: readonly ReportStack[]): StackFrame | undefined {
  const own = stacks.filter(({ title }) => !/^task:rcu\w* /.test(title));
  for (const { frames } of own) {
    const at = frames.findIndex(({ stack }) => stack === 'exception');
    if (at < 0) continue;
    // An interrupt is nobody's fault: whom it interrupted is.
    const isInterrupt = frames[at + 1]?.stack === 'IRQ';
    const place = isInterrupt ? frames.slice(at + 1).find((frame) => frame.stack === 'TASK' && isPlace(frame)) : frames[at];
    if (place !== undefined) return withoutStack(place);
  }
  return own[0]?.frames.find(isPlace);
}

function isPlace({ symbol, certain }: StackFrame): boolean {
  return certain && symbol !== '' && !REPORTING.test(symbol) && !symbol.startsWith('asm_');
}

function withoutStack({ stack: _stack, ...place }: StackFrame): StackFrame {
  return place;
}

const SLUB_REPORTING =
  /^(?:object_err|slab_err|slab_fix|slab_pad|on_freelist|free_consistency|(?:alloc|free)_(?:debug_processing|to_partial_list|single_from_\w+)|free_to_partial_list|get_partial\w*|___?slab_\w+|__slab_\w+|slab_free\w*|k[zm]?alloc\w*|__k[zm]?alloc\w*|kfree\w*|kmem_cache_\w+|init_object|alloc_single_\w+)(?:$|\.)/;

const REPORTING =
  /^(?:dump_stack|dump_header|report_bug|check_panic_on_warn|show_stack|show_trace|panic|vpanic|__warn|warn_slowpath|print_|kasan_|__kasan|check_|ubsan_|__ubsan|kcsan_|__schedule|schedule|io_schedule|oom_kill|out_of_memory|dump_backtrace|__might_|___might|bad_page|sched_show|rcu_|nmi_|__dump|warn_alloc|dump_trace|show_stack|spin_(?:bug|dump)|handle_bug|exc_invalid_op|asm_exc|_?_?alloc_|__folio_alloc|vma_alloc)/;

/** The trace as the kernel writes it, for `exception.stacktrace`. */
export function formatStacks({ stacks, at }: KernelReport): string {
  const lines: string[] = [];
  if (at !== undefined) lines.push(formatFrame(at));
  for (const { title, frames } of stacks) {
    lines.push(`${title}:`);
    let name: string | undefined;
    for (const frame of frames) {
      if (frame.stack !== name && frame.stack !== undefined && frame.stack !== 'exception') lines.push(` <${frame.stack}>`);
      if (frame.stack !== 'exception') name = frame.stack;
      lines.push(` ${frame.certain ? '' : '? '}${formatFrame(frame)}`);
    }
  }
  return lines.join('\n');
}

/** One line for a person: what, where, who. */
export function titleOf(report: KernelReport): string {
  const { kind, message, at, cpu, pid, comm } = report;
  const where = at === undefined || message.includes(`${at.symbol}+`) ? '' : ` at ${formatFrame(at)}`;
  const who = [cpu === undefined ? '' : `CPU ${cpu}`, comm === undefined ? '' : `${comm}${pid === undefined ? '' : `[${pid}]`}`].filter(
    (part) => part !== '',
  );
  const name = kind.replaceAll('_', ' ');
  const what = message.toLowerCase().includes(name) ? message : `${name}: ${message}`;
  return `${what}${where}${who.length === 0 ? '' : ` (${who.join(', ')})`}`;
}
