/**
 * The body of an event's line in the kernel's text: what its C code prints, which mostly is its print format.
 *
 *   sched_switch: prev_comm=sh …                        name, print format
 *   sys_write(fd: 3, buf: 0x7f…, count: 0x18)           system calls: without a name; before 6.16 without 0x
 *   sys_write -> 0x18
 *   kopen: (do_sys_openat2+0x0/0xe0) dfd=-100 …         probes: the address as symbol
 *   kopenret: (__x64_sys_openat+0x6e/0xa0 <- do_sys_openat2) ret=4
 *   synlat: lat=257 pid=19                              synthetic events: no commas
 *
 * Not handled: events whose code prints what is not in the record. A format that can't be computed is printed as its fields.
 * Kernel: include/trace/stages/stage3_trace_output.h, kernel/trace/trace_syscalls.c, trace_kprobe.c, trace_events_synth.c.
 */
import type { EventFormat, FormatField } from '../parsers/event-format.ts';
import type { Conversion } from './print-fmt-conversions.ts';
import { parseTemplate } from './print-fmt-conversions.ts';
import { findRegion, readField, type EventRecord } from './print-fmt-numbers.ts';
import type { Put } from './print-fmt-strings.ts';
import { compileTemplate, joinParts, toArithmetic, type PrintContext, type PrintPart } from './print-fmt.ts';
import { parsePrintFormat, type Expr } from './print-fmt-syntax.ts';
import { compileFieldList } from './trace-text-fields.ts';
import type { SymbolText } from './trace-text-symbols.ts';
import { versionOf, type TraceSettings } from '../parsers/tracefs-settings.ts';

/** A page by its number. Where the pages' table lies is in no file of tracefs: shown is where it lies without KASLR on x86-64. */
const PAGE_POINTER = /\(\(\(struct page \*\)vmemmap_base\) \+ \(([^()]+)\)\)/g;
const PAGES_BASE = '0xffffea0000000000';
const PAGE_STRUCT_BYTES = 64;

export interface BodyTools {
  readonly settings: TraceSettings;
  readonly context: PrintContext;
  readonly symbols: SymbolText;
  /** Kernels of 5.13 to 6.12 without hash-ptr lose the first `%s` of a format: they check strings in the buffer they read it from. */
  readonly losesFirstString: boolean;
}

/** Compiles the body of an event with its newline. `problem` says why it is not as the kernel prints it. */
export function compileBody(format: EventFormat, tools: BodyTools): { readonly put: Put; readonly problem: string | undefined } {
  const put = compileSyscall(format, tools);
  if (put !== undefined) return { put, problem: undefined };
  const body = compilePrinted(format, tools);
  const probed = tools.settings.eprobes.get(`${format.system}:${format.event}`);
  const name = `${format.event}: ${probed === undefined ? '' : `(${probed})`}`;
  if (typeof body === 'string') {
    const fields = compileFieldList(format, tools);
    return { put: fields, problem: body };
  }
  const end = losesAll(format, tools) ? '' : '\n';
  return {
    put: (record, out) => {
      out.putText(name);
      body(record, out);
      out.putText(end);
    },
    problem: undefined,
  };
}

function compilePrinted(format: EventFormat, tools: BodyTools): Put | string {
  const parsed = parsePrintFormat(format.printFormat.replace(PAGE_POINTER, `(${PAGES_BASE}UL + ($1) * ${PAGE_STRUCT_BYTES}UL)`));
  if (typeof parsed === 'string') return parsed;
  const { args } = parsed;
  let { template } = parsed;
  if (format.system === 'synthetic') {
    // A stack ends with its line.
    template = template.split(', ').reduce((text, part, i) => `${text}${isStack(args[i - 1]) ? '' : ' '}${part}`);
    // The conversion itself comes first: `%llu lat=257`.
    if (tools.settings.options.get('verbose') === true) template = template.replace(/(\w+=)(%\w+)/g, '%$2 $1$2');
  }
  if (tools.settings.eprobes.has(`${format.system}:${format.event}`)) return compileProbeArguments(template, args, format, tools);
  const probe = /^\(%lx(?: <- %lx)?\)/.exec(template)?.[0];
  if (probe === undefined || !isProbeField(args[0])) {
    const parts = compileTemplate(template, args, format, tools.context);
    if (typeof parts === 'string') return parts;
    if (losesAll(format, tools)) return () => {};
    return joinParts(tools.losesFirstString && isChecked(format) ? loseFirstString(parts, template, tools) : parts);
  }
  const isReturn = probe.length > '(%lx)'.length;
  const rest = compileProbeArguments(template.slice(probe.length), args.slice(isReturn ? 2 : 1), format, tools);
  return typeof rest === 'string' ? rest : joinProbe(format, isReturn, rest, tools);
}

function isStack(expr: Expr | undefined): boolean {
  return expr?.kind === 'call' && expr.name === '__get_stacktrace';
}

function isProbeField(expr: Expr | undefined): boolean {
  return expr?.kind === 'field' && expr.name.startsWith('__probe_');
}

/** Arguments of a probe: text that could not be read is `(fault)`, without the quotes of the format. */
function compileProbeArguments(template: string, args: readonly Expr[], format: EventFormat, { context }: BodyTools): Put | string {
  const puts: Put[] = [];
  let next = 0;
  for (const piece of template.split(/(\\"%s\\")/)) {
    const count = (piece.replaceAll('%%', '').match(/%/g) ?? []).length;
    const parts = compileTemplate(piece, args.slice(next, next + count), format, context);
    if (typeof parts === 'string') return parts;
    const put = joinParts(parts);
    const text = args[next];
    next += count;
    const region = piece === '\\"%s\\"' && text?.kind === 'call' ? findRegion(text, toArithmetic(format, context)) : undefined;
    if (region === undefined) {
      puts.push(put);
      continue;
    }
    const { locate } = region;
    puts.push((record, out) => {
      if (locate(record) && record.to === record.from) out.putText('(fault)');
      else put(record, out);
    });
  }
  return (record, out) => {
    for (const put of puts) put(record, out);
  };
}

/** `(symbol+offset)`, `(return <- function)`; user-space addresses as numbers. */
function joinProbe(format: EventFormat, isReturn: boolean, rest: Put, { context, symbols }: BodyTools): Put {
  const of = toArithmetic(format, context);
  const readFirst = readField(isReturn ? '__probe_ret_ip' : '__probe_ip', of) ?? readNothing;
  const readSecond = isReturn ? (readField('__probe_func', of) ?? readNothing) : undefined;
  return (record, out) => {
    out.putByte(40);
    const low = readFirst(record) | 0;
    const isUser = record.high >= 0;
    if (isUser) {
      out.putText('0x');
      out.putHexWords(low, record.high);
    } else symbols.putWithOffset(out, low, record.high);
    if (readSecond !== undefined) {
      out.putText(isUser ? ' <- 0x' : ' <- ');
      const second = readSecond(record) | 0;
      if (isUser) out.putHexWords(second, record.high);
      else symbols.putWithoutOffset(out, second, record.high);
    }
    out.putByte(41);
    rest(record, out);
  };
}

/** Where the `%s` is the format's beginning, all of it is lost, its newline too. */
function losesAll(format: EventFormat, { losesFirstString }: BodyTools): boolean {
  return losesFirstString && isChecked(format) && /^"%[\d.*]*s/.test(format.printFormat);
}

/** Synthetic events and probes have print functions of their own, which check nothing. */
function isChecked({ system, fields }: EventFormat): boolean {
  return system !== 'synthetic' && !fields.some(({ name }) => name.startsWith('__probe_'));
}

/** What the kernel's check takes for `%s`: digits, points and stars between the two. */
function isCheckedString({ letter, text }: Conversion): boolean {
  return letter === 's' && /^%[\d.*]*s$/.test(text);
}

function loseFirstString(parts: readonly PrintPart[], template: string, { context }: BodyTools): readonly PrintPart[] {
  const split = parseTemplate(template, context.longBytes, true);
  if (!Array.isArray(split)) return parts;
  const first = split.findIndex((part) => typeof part !== 'string' && isCheckedString(part));
  return parts.filter((_, i) => i !== first);
}

function compileSyscall(format: EventFormat, tools: BodyTools): Put | undefined {
  if (format.system !== 'syscalls') return undefined;
  const [, kind, name] = /^sys_(enter|exit)(_.*)$/.exec(format.event) ?? [];
  if (kind === undefined || name === undefined) return undefined;
  if (kind === 'enter') return compileEnter(format, `sys${name}(`, tools);
  const read = readField('ret', toArithmetic(format, tools.context));
  if (read === undefined) return undefined;
  const start = `sys${name} -> 0x`;
  return (record, out) => {
    out.putText(start);
    const low = read(record);
    out.putHexWords(low, record.high);
    out.putByte(10);
  };
}

interface SyscallArgument {
  readonly label: string;
  readonly read: (record: EventRecord) => number;
  /** What the pointer pointed to, since 6.19. */
  readonly value: Put | undefined;
}

/** Of a field whose bytes are no number. */
function readNothing(record: EventRecord): number {
  return (record.high = 0);
}

function compileEnter(format: EventFormat, start: string, { settings, context }: BodyTools): Put {
  const of = toArithmetic(format, context);
  const isVerbose = settings.options.get('verbose') === true;
  const plain = format.fields.filter(({ name, shape }) => name !== '__syscall_nr' && name !== 'nr' && shape !== 'data_loc');
  const args = plain.map((field): SyscallArgument => {
    const read = readField(field.name, of) ?? readNothing;
    const label = `${isVerbose ? `${field.type} ` : ''}${field.name}: `;
    return { label, read, value: compileUserValue(format, field) };
  });
  const hasPrefix = versionOf(settings.release) >= 6016;
  return (record, out) => {
    out.putText(start);
    for (let i = 0; i < args.length; i++) {
      const { label, read, value } = args[i] as SyscallArgument;
      if (i > 0) out.putText(', ');
      out.putText(label);
      const low = read(record) | 0;
      const { high } = record;
      if (hasPrefix && (high !== 0 || low < 0 || low >= 10)) out.putText('0x');
      out.putHexWords(low, high);
      value?.(record, out);
    }
    out.putText(')\n');
  };
}

/** ` "text"`, where the event holds what a string argument pointed to. */
function compileUserValue(format: EventFormat, { name }: FormatField): Put | undefined {
  const field = format.fields.find((one) => one.name === `__${name}_val` && one.shape === 'data_loc');
  if (field === undefined) return undefined;
  return (record, out) => {
    const at = record.start + field.offsetBytes;
    if (at + 4 > record.end) return;
    const location = record.view.getUint32(at, record.little);
    const from = record.start + (location & 0xffff);
    const to = Math.min(record.end, from + (location >>> 16));
    out.putText(' "');
    if (from < to) out.putString(record.bytes, from, to);
    out.putByte(34);
  };
}
