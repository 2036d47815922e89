/**
 * Events of ftrace itself, which the kernel prints by its own code and not by their formats:
 *
 *   function        vfs_read <-ksys_read                          func_repeats  … (repeats: 3, last_ts:  1219.408789)
 *   kernel_stack    <stack trace>, then ` => do_idle` lines       user_stack    <user stack trace>, ` =>  <00007f06e3dd3043>`
 *   print           tracing_mark_write: text                      bprint, bputs vfs_read: text
 *   raw_data        # 2a buf: 72 61 77 30                          context_switch, wakeup   pid:prio:state ==> [cpu] …
 *   hwlat, osnoise, timerlat: columns of numbers
 *
 * With raw, hex and bin they print numbers alone, most other events `type: 314`.
 *
 * blk: trace-text-blk.ts, mmiotrace: trace-text-mmio.ts. Not handled: branch records; files of user stacks (sym-userobj), whose maps the copy does not hold.
 * Kernel: kernel/trace/trace_output.c.
 */
import type { EventFormat } from '../parsers/event-format.ts';
import { readField, type EventRecord } from './print-fmt-numbers.ts';
import { toAddress, type Put } from './print-fmt-strings.ts';
import { toArithmetic } from './print-fmt.ts';
import { compileBprint } from './report-bprint.ts';
import { MAX_LINE_BYTES, putHex, putWord, type TraceContext } from './trace-text-context.ts';
import type { BodyTools } from './trace-text-events.ts';
import type { TracedCpu } from './trace-text-merge.ts';
import type { TextOut } from './text-out.ts';

/** Prints the body of a record; `at` has its time and CPU. */
export type TracedPut = (record: EventRecord, out: TextOut, at: TracedCpu) => void;

export interface BuiltinPrinter {
  readonly text: TracedPut;
  /** Undefined: `type: <id>`. */
  readonly raw?: TracedPut | undefined;
  readonly hex?: TracedPut | undefined;
  readonly binary?: TracedPut | undefined;
  /** Without the function in front: printk-msg-only, comments of the graph. */
  readonly message?: TracedPut | undefined;
}

type Read = (record: EventRecord) => number;

/** Since 6.5 a thread of user space may wait for the timer, too. */
const NOISE_CONTEXTS = ['irq', 'thread', 'user-ret'];
const STATES = 'RSDTtXZPI';
/** Where a stack went through a trampoline of ftrace itself (since 6.14). */
const TRAMPOLINE_MARKER = 0x7fff_ffff;
const USER_STACK_ENTRIES = 8;
/** Of a switch: thread, priority, state, CPU, thread, priority, state. The last state is an int where the first is a char. */
const SWITCH_HEX_DIGITS = [8, 2, 2, 8, 8, 2, 8];
const SWITCH_IS_WORD = [true, false, false, true, true, false, false];
const TEN_MILLION = 10_000_000n;

export interface BuiltinTools extends BodyTools {
  readonly line: TraceContext;
}

/** The printer of an event of the system `ftrace`; undefined where it is printed by its format. */
export function compileBuiltin(format: EventFormat, tools: BuiltinTools): BuiltinPrinter | undefined {
  const compiler = new BuiltinCompiler(format, tools);
  switch (format.event) {
    case 'function':
      return compiler.compileFunction();
    case 'func_repeats':
      return compiler.compileRepeats();
    case 'kernel_stack':
      return compiler.compileStack();
    case 'user_stack':
      return compiler.compileUserStack();
    case 'print':
    case 'bputs':
    case 'bprint':
      return compiler.compileMessage();
    case 'raw_data':
      return compiler.compileRawData();
    case 'context_switch':
      return compiler.compileSwitch('==>', undefined);
    case 'wakeup':
      return compiler.compileSwitch('  +', '+');
    case 'hwlat':
      return compiler.compileHwlat();
    case 'osnoise':
      return compiler.compileOsnoise();
    case 'timerlat':
      return compiler.compileTimerlat();
    default:
      return undefined;
  }
}

class BuiltinCompiler {
  readonly #format: EventFormat;
  readonly #tools: BuiltinTools;

  constructor(format: EventFormat, tools: BuiltinTools) {
    this.#format = format;
    this.#tools = tools;
  }

  compileFunction(): BuiltinPrinter | undefined {
    const [ip, parent] = [this.#read('ip'), this.#read('parent_ip')];
    if (ip === undefined || parent === undefined) return undefined;
    return {
      text: (record, out) => {
        this.#putFunction(record, out, ip, parent);
        out.putByte(10);
      },
      raw: (record, out) => {
        putNumber(record, out, ip);
        out.putByte(32);
        putNumber(record, out, parent);
        out.putByte(10);
      },
      hex: (record, out) => {
        for (const read of [ip, parent]) {
          const low = read(record) | 0;
          putHex(out, low, record.high, this.#tools.context.longBytes * 2);
          out.putByte(32);
        }
      },
      binary: (record, out) => {
        for (const read of [ip, parent]) putLong(out, read(record), record, this.#tools.context.longBytes);
      },
    };
  }

  compileRepeats(): BuiltinPrinter | undefined {
    const [ip, parent, count] = [this.#read('ip'), this.#read('parent_ip'), this.#read('count')];
    const [bottom, top] = [this.#read('bottom_delta_ts'), this.#read('top_delta_ts')];
    if (ip === undefined || parent === undefined || count === undefined || bottom === undefined || top === undefined) return undefined;
    const deltaOf = (record: EventRecord): number => (top(record) & 0xffff) * 0x1_0000_0000 + (bottom(record) >>> 0);
    return {
      text: (record, out, at) => {
        this.#putFunction(record, out, ip, parent);
        out.putText(` (repeats: ${count(record) >>> 0}, last_ts:`);
        const delta = deltaOf(record);
        const borrowed = at.low < delta % 0x1_0000_0000 ? 1 : 0;
        this.#tools.line.putTime((at.low - delta) >>> 0, at.high - Math.floor(delta / 0x1_0000_0000) - borrowed, out);
        out.putText(')\n');
      },
      raw: (record, out) => {
        const low = ip(record) | 0;
        out.putDecimalWords(low, record.high, false);
        out.putByte(32);
        const parentLow = parent(record) | 0;
        out.putDecimalWords(parentLow, record.high, false);
        out.putText(` ${count(record) >>> 0} ${deltaOf(record)}\n`);
      },
    };
  }

  compileStack(): BuiltinPrinter | undefined {
    const offset = this.#offsetOf('caller');
    const { longBytes } = this.#tools.context;
    if (offset === undefined) return undefined;
    return {
      text: (record, out) => {
        out.putText('<stack trace>\n');
        for (let at = record.start + offset; at + longBytes <= record.end; at += longBytes) {
          const [low, high] = readLong(record, at, longBytes);
          if (low === -1 && (high === -1 || longBytes === 4)) break;
          out.putText(' => ');
          if (low === TRAMPOLINE_MARKER && high === 0) {
            out.putText('[FTRACE TRAMPOLINE]\n');
            continue;
          }
          this.#tools.symbols.put(out, low, high);
          out.putByte(10);
        }
      },
    };
  }

  compileUserStack(): BuiltinPrinter | undefined {
    const offset = this.#offsetOf('caller');
    const { longBytes } = this.#tools.context;
    if (offset === undefined) return undefined;
    return {
      text: (record, out) => {
        out.putText('<user stack trace>\n');
        for (let i = 0; i < USER_STACK_ENTRIES; i++) {
          const at = record.start + offset + i * longBytes;
          if (at + longBytes > record.end) break;
          const [low, high] = readLong(record, at, longBytes);
          if ((low | high) === 0) break;
          out.putText(' => ');
          this.#tools.symbols.putAddress(out, low, high);
          out.putByte(10);
        }
      },
    };
  }

  /** Text of a marker or of trace_printk, which has its own newline. */
  compileMessage(): BuiltinPrinter | undefined {
    const ip = this.#read('ip');
    const message = this.#compileMessageText();
    if (ip === undefined || message === undefined) return undefined;
    const isPrint = this.#format.event === 'print';
    return {
      text: (record, out) => {
        const low = ip(record) | 0;
        this.#tools.symbols.put(out, low, record.high);
        out.putText(': ');
        message(record, out);
      },
      raw: (record, out) => {
        out.putText(isPrint ? '# ' : ': ');
        putNumber(record, out, ip);
        out.putText(isPrint ? ' ' : ' : ');
        message(record, out);
      },
      message,
    };
  }

  #compileMessageText(): Put | undefined {
    const offset = this.#offsetOf('buf');
    if (this.#format.event === 'bprint')
      return compileBprint(this.#format, toArithmetic(this.#format, this.#tools.context), this.#tools.context);
    if (this.#format.event === 'bputs') {
      const read = this.#read('str');
      if (read === undefined) return undefined;
      return (record, out) => {
        const low = read(record) >>> 0;
        out.putText(this.#tools.context.strings.get(toAddress(low, record.high >>> 0)) ?? '');
      };
    }
    return offset === undefined ? undefined : (record, out) => out.putString(record.bytes, record.start + offset, record.end);
  }

  compileRawData(): BuiltinPrinter | undefined {
    const id = this.#read('id');
    const offset = this.#offsetOf('buf');
    if (id === undefined || offset === undefined) return undefined;
    const text: TracedPut = (record, out) => {
      out.putText('# ');
      out.putHexWords(id(record) | 0, 0);
      out.putText(' buf:');
      const most = Math.floor((MAX_LINE_BYTES - (out.length - this.#tools.line.startsAt)) / ' 2a'.length);
      const end = Math.min(record.end, record.start + offset + most);
      for (let at = record.start + offset; at < end; at++) {
        out.putByte(32);
        out.putHexByte(record.bytes[at] as number);
      }
      if (end === record.end) out.putByte(10);
    };
    return { text, raw: text };
  }

  compileSwitch(delimiter: string, mark: string | undefined): BuiltinPrinter | undefined {
    const names = ['prev_pid', 'prev_prio', 'prev_state', 'next_cpu', 'next_pid', 'next_prio', 'next_state'];
    const reads = names.map((name) => this.#read(name));
    if (reads.includes(undefined)) return undefined;
    const valuesOf = (record: EventRecord): number[] => (reads as Read[]).map((read) => read(record) | 0);
    const stateOf = (state: number): string => STATES[state] ?? '?';
    return {
      text: (record, out) => {
        const [prevPid = 0, prevPrio = 0, prevState = 0, nextCpu = 0, nextPid = 0, nextPrio = 0, nextState = 0] = valuesOf(record);
        const pad = (value: number, width: number): string => String(value).padStart(width);
        out.putText(` ${pad(prevPid, 7)}:${pad(prevPrio, 3)}:${stateOf(prevState)} ${delimiter} [${String(nextCpu).padStart(3, '0')}]`);
        out.putText(` ${pad(nextPid, 7)}:${pad(nextPrio, 3)}:${stateOf(nextState)} ${this.#tools.line.commOf(nextPid)}\n`);
      },
      raw: (record, out) => {
        const [prevPid = 0, prevPrio = 0, prevState = 0, nextCpu = 0, nextPid = 0, nextPrio = 0, nextState = 0] = valuesOf(record);
        out.putText(`${prevPid} ${prevPrio} ${mark ?? stateOf(prevState)} ${nextCpu} ${nextPid} ${nextPrio} ${stateOf(nextState)}\n`);
      },
      hex: (record, out) => {
        const [prevPid = 0, prevPrio = 0, prevState = 0, nextCpu = 0, nextPid = 0, nextPrio = 0, nextState = 0] = valuesOf(record);
        const code = (state: string): number => state.charCodeAt(0);
        const words = [prevPid, prevPrio, code(mark ?? stateOf(prevState)), nextCpu, nextPid, nextPrio, code(stateOf(nextState))];
        for (const [i, value] of words.entries()) {
          putHex(out, value, 0, SWITCH_HEX_DIGITS[i] as number);
          out.putByte(32);
        }
      },
      binary: (record, out) => {
        for (const [i, value] of valuesOf(record).entries()) {
          if (SWITCH_IS_WORD[i] === true) putWord(out, value, record.little);
          else out.putByte(value & 0xff);
        }
      },
    };
  }

  compileHwlat(): BuiltinPrinter | undefined {
    const names = ['seqnum', 'duration', 'outer_duration', 'tv_sec', 'tv_nsec', 'count', 'nmi_count', 'nmi_total_ts'];
    const reads = names.map((name) => this.#readBig(name));
    if (reads.slice(0, 5).includes(undefined)) return undefined;
    const valuesOf = (record: EventRecord): bigint[] => reads.map((read) => read?.(record) ?? 0n);
    return {
      text: (record, out) => {
        const [seqnum, duration, outer, seconds, ns, count, nmiCount = 0n, nmiTotal] = valuesOf(record);
        out.putText(`#${String(seqnum).padEnd(5)} inner/outer(us): ${String(duration).padStart(4)}/${String(outer).padEnd(5)}`);
        out.putText(` ts:${seconds}.${String(ns).padStart(9, '0')} count:${count}`);
        if (nmiCount !== 0n) out.putText(` nmi-total:${nmiTotal} nmi-count:${nmiCount}`);
        out.putByte(10);
      },
      raw: (record, out) => {
        const [seqnum, duration, outer, seconds, ns] = valuesOf(record);
        out.putText(`${duration} ${outer} ${seconds} ${String(ns).padStart(9, '0')} ${seqnum}\n`);
      },
    };
  }

  compileOsnoise(): BuiltinPrinter | undefined {
    const names = ['runtime', 'noise', 'max_sample', 'hw_count', 'nmi_count', 'irq_count', 'softirq_count', 'thread_count'];
    const reads = names.map((name) => this.#readBig(name));
    if (reads.includes(undefined)) return undefined;
    const valuesOf = (record: EventRecord): bigint[] => reads.map((read) => read?.(record) ?? 0n);
    return {
      text: (record, out) => {
        const [runtime = 0n, noise = 0n, sample, ...counts] = valuesOf(record);
        const ratio = runtime === 0n ? 0n : ((runtime - noise) * TEN_MILLION) / runtime;
        out.putText(`${runtime} ${String(noise).padStart(10)} ${String(ratio / 100_000n).padStart(3)}.`);
        out.putText(`${String(ratio % 100_000n).padStart(5, '0')} ${String(sample).padStart(7)}`);
        for (const count of counts) out.putText(` ${String(count).padStart(6)}`);
        out.putByte(10);
      },
      raw: (record, out) => out.putText(`${valuesOf(record).join(' ')}\n`),
    };
  }

  compileTimerlat(): BuiltinPrinter | undefined {
    const [seqnum, context, latency] = [this.#readBig('seqnum'), this.#readBig('context'), this.#readBig('timer_latency')];
    if (seqnum === undefined || context === undefined || latency === undefined) return undefined;
    return {
      text: (record, out) => {
        const where = NOISE_CONTEXTS[Number(context(record))] ?? '';
        out.putText(`#${String(seqnum(record)).padEnd(5)} context ${where.padStart(6)}`);
        out.putText(` timer_latency ${String(latency(record)).padStart(9)} ns\n`);
      },
      raw: (record, out) => out.putText(`${seqnum(record)} ${context(record)} ${latency(record)}\n`),
    };
  }

  #putFunction(record: EventRecord, out: TextOut, ip: Read, parent: Read): void {
    const { symbols, settings } = this.#tools;
    const low = ip(record) | 0;
    symbols.put(out, low, record.high);
    const parentLow = parent(record) | 0;
    if (settings.options.get('print-parent') === false || (parentLow | record.high) === 0) return;
    const { high } = record;
    out.putText(' <-');
    symbols.put(out, parentLow, high);
  }

  /** Reads a number in 64 bits: its low word, its high one in the record. */
  #read(name: string): Read | undefined {
    return readField(name, toArithmetic(this.#format, this.#tools.context));
  }

  #readBig(name: string): ((record: EventRecord) => bigint) | undefined {
    const read = this.#read(name);
    if (read === undefined) return undefined;
    return (record) => {
      const low = read(record) >>> 0;
      return (BigInt(record.high) << 32n) | BigInt(low);
    };
  }

  #offsetOf(name: string): number | undefined {
    return this.#format.fields.find((field) => field.name === name)?.offsetBytes;
  }
}

function putNumber(record: EventRecord, out: TextOut, read: Read): void {
  const low = read(record) | 0;
  out.putHexWords(low, record.high);
}

function putLong(out: TextOut, low: number, { high, little }: EventRecord, longBytes: 4 | 8): void {
  if (longBytes === 4) putWord(out, low, little);
  else {
    putWord(out, little ? low : high, little);
    putWord(out, little ? high : low, little);
  }
}

function readLong({ view, little }: EventRecord, at: number, longBytes: 4 | 8): [number, number] {
  if (longBytes === 4) return [view.getInt32(at, little), 0];
  return [view.getInt32(little ? at : at + 4, little), view.getInt32(little ? at + 4 : at, little)];
}
