/**
 * Events that trace-cmd does not print by their format: what libtraceevent's plugins and trace-cmd itself make of them.
 *
 *   sched_switch         bash:812 [120] S ==> swapper/1:0 [120]
 *   sched_wakeup         kworker/1:1:47 [120] CPU:001
 *   kmem:kmalloc …       (memory_stat_show+0x3f) call_site=…         in front of the format
 *   hrtimer_start        hrtimer=0xffff… function=hrtimer_wakeup/0x0 expires=… softexpires=…
 *   sys_enter_futex      op=FUTEX_WAIT|FUTEX_PRIVATE_FLAG uaddr=0x… val=0x00000002 utime=0x00000000
 *   tlb_flush            pages=-1 reason=flush on task switch (0)
 *   function …           report-functions.ts
 *   kvm, kvmmmu …        report-kvm.ts
 *   drv_bss_info_changed report-mac80211.ts
 *
 * Other plugins add functions that formats call: print-fmt-plugins.ts.
 * Source: libtraceevent 1.7, plugins/.
 */
import type { EventFormat } from '../parsers/event-format.ts';
import type { LinePart, LineStep } from './line-program.ts';
import { compileFieldRegion, compileNumber, type Arithmetic, type EventRecord, type Load } from './print-fmt-numbers.ts';
import type { Put } from './print-fmt-strings.ts';
import { fieldReader, type FieldReader, type ReportHandler, type ReportTools } from './report-handler.ts';
import { entryHandler, exitHandler, injectHandler, instructionHandler, nestedExitHandler, pageHandler, roleHandler } from './report-kvm.ts';
import { bssInfoHandler } from './report-mac80211.ts';
import type { TextOut } from './text-out.ts';

/** A line made of steps; with `isAlone` its format is not printed behind. */
export interface PluginLine {
  readonly parts: readonly LinePart[];
  readonly isAlone: boolean;
}

type Compiled = ReportHandler | PluginLine | undefined;
type Compiler = (format: EventFormat, of: Arithmetic, tools: ReportTools) => Compiled;

const COMPILERS: ReadonlyMap<string, Compiler> = new Map<string, Compiler>([
  ['sched:sched_switch', compileSwitch],
  ['sched:sched_wakeup', compileWakeup],
  ['sched:sched_wakeup_new', compileWakeup],
  ['kmem:kfree', compileCallSite],
  ['kmem:kmalloc', compileCallSite],
  ['kmem:kmalloc_node', compileCallSite],
  ['kmem:kmem_cache_alloc', compileCallSite],
  ['kmem:kmem_cache_alloc_node', compileCallSite],
  ['kmem:kmem_cache_free', compileCallSite],
  ['timer:hrtimer_expire_entry', compileHrtimer],
  ['timer:hrtimer_start', compileHrtimer],
  ['syscalls:sys_enter_futex', futexHandler],
  ['tlb:tlb_flush', tlbHandler],
  ['kvm:kvm_exit', exitHandler],
  ['kvm:kvm_entry', entryHandler],
  ['kvm:kvm_emulate_insn', instructionHandler],
  ['kvm:kvm_nested_vmexit', nestedExitHandler],
  ['kvm:kvm_nested_vmexit_inject', injectHandler],
  ['kvmmmu:kvm_mmu_get_page', pageHandler],
  ['kvmmmu:kvm_mmu_sync_page', roleHandler],
  ['kvmmmu:kvm_mmu_unsync_page', roleHandler],
  ['kvmmmu:kvm_mmu_zap_page', roleHandler],
  ['kvmmmu:kvm_mmu_prepare_zap_page', roleHandler],
  ['mac80211:drv_bss_info_changed', bssInfoHandler],
]);

export function compilePlugin(format: EventFormat, of: Arithmetic, tools: ReportTools): Compiled {
  return COMPILERS.get(`${format.system}:${format.event}`)?.(format, of, tools);
}

/** A field that is a number, for steps. */
interface NumberField {
  readonly read: FieldReader;
  readonly load: Load | undefined;
}

function numberField(name: string, of: Arithmetic): NumberField | undefined {
  const read = fieldReader(name, of);
  return read && { read, load: compileNumber({ kind: 'field', name }, of).load };
}

function decimalStep({ read, load }: NumberField, sizeBytes: 4 | 8, signed: boolean): LineStep {
  if (load !== undefined) return { kind: 'decimal', load, sizeBytes, signed, upper: false };
  if (sizeBytes === 8) return { kind: 'put', put: (record, out) => out.putDecimalWords(read(record), record.high, signed) };
  return { kind: 'put', put: (record, out) => out.putDecimal(signed ? read(record) | 0 : read(record) >>> 0) };
}

/** What is printed of nothing but a number. */
function keptStep({ load }: NumberField, put: Put): LineStep {
  return load === undefined ? { kind: 'put', put } : { kind: 'kept', load, put };
}

const STATES = 'SDTtZXxW';

function putState(out: TextOut, state: number): void {
  let isFirst = true;
  for (let bit = 0; bit < STATES.length; bit++) {
    if ((state & (1 << bit)) === 0) continue;
    if (!isFirst) out.putByte(124);
    isFirst = false;
    out.putByte(STATES.charCodeAt(bit));
  }
  if (isFirst) out.putByte(82);
}

/** `comm:pid`, and the name is known from then on. */
function taskStep(commName: string, pidName: string, of: Arithmetic, tools: ReportTools): LineStep | undefined {
  const pid = numberField(pidName, of);
  if (pid === undefined) return undefined;
  const field = of.format.fields.find((one) => one.name === commName);
  if (field === undefined) return decimalStep(pid, 8, true);
  const { locate } = compileFieldRegion(field, of);
  const { read } = pid;
  const put: Put = (record, out) => {
    const low = read(record);
    const { high } = record;
    if (locate(record)) {
      const mark = out.length;
      out.putString(record.bytes, record.from, record.to);
      if (!tools.names.has(low)) tools.names.tell(low, latin1(out.bytes, mark, out.length));
      out.putByte(58);
    }
    out.putDecimalWords(low, high, true);
  };
  return { kind: 'put', put, native: pid.load && { kind: 'task', field, load: pid.load } };
}

function latin1(bytes: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let at = from; at < to; at++) text += String.fromCharCode(bytes[at] as number);
  return text;
}

function compileSwitch(_format: EventFormat, of: Arithmetic, tools: ReportTools): Compiled {
  const previous = taskStep('prev_comm', 'prev_pid', of, tools);
  const next = taskStep('next_comm', 'next_pid', of, tools);
  const previousPrio = numberField('prev_prio', of);
  const nextPrio = numberField('next_prio', of);
  const state = numberField('prev_state', of);
  if (previous === undefined || next === undefined) return undefined;
  const parts: LinePart[] = [{ text: '', step: previous }];
  if (previousPrio !== undefined) parts.push({ text: ' [', step: decimalStep(previousPrio, 4, true) });
  parts.push({ text: previousPrio === undefined ? ' ' : '] ', step: undefined });
  if (state !== undefined) parts.push({ text: '', step: keptStep(state, (record, out) => putState(out, state.read(record))) });
  parts.push({ text: ' ==> ', step: next });
  if (nextPrio !== undefined) parts.push({ text: ' [', step: decimalStep(nextPrio, 4, true) }, { text: ']', step: undefined });
  return { parts, isAlone: true };
}

function compileWakeup(_format: EventFormat, of: Arithmetic, tools: ReportTools): Compiled {
  const task = taskStep('comm', 'pid', of, tools);
  const prio = numberField('prio', of);
  const success = numberField('success', of);
  const cpu = numberField('target_cpu', of);
  if (task === undefined) return undefined;
  const parts: LinePart[] = [{ text: '', step: task }];
  if (prio !== undefined) parts.push({ text: ' [', step: decimalStep(prio, 8, true) }, { text: ']', step: undefined });
  if (success !== undefined) parts.push({ text: ' success=', step: decimalStep(success, 8, true) });
  if (cpu !== undefined) {
    const put: Put = (record, out) => out.putPaddedDecimal(cpu.read(record) >>> 0, 3);
    const value = cpu.load && [{ kind: 'load', load: cpu.load } as const];
    const shape = { isHex: false, sizeBytes: 4, signed: false, width: 3, left: false, zero: true, alternate: false } as const;
    parts.push({ text: ' CPU:', step: { kind: 'put', put, native: value && { kind: 'number', value, ...shape } } });
  }
  return { parts, isAlone: true };
}

function compileCallSite(_format: EventFormat, of: Arithmetic, { symbols }: ReportTools): Compiled {
  const site = numberField('call_site', of);
  if (site === undefined) return undefined;
  const put: Put = (record, out) => {
    const low = site.read(record);
    const symbol = symbols.find(low, record.high);
    if (symbol === undefined) return;
    out.putByte(40);
    out.putPiece(symbol.withOffset);
    out.putByte(41);
    out.putByte(32);
  };
  return { parts: [{ text: '', step: keptStep(site, put) }], isAlone: false };
}

function compileHrtimer({ event }: EventFormat, of: Arithmetic, { symbols }: ReportTools): Compiled {
  const timer = numberField('timer', of) ?? numberField('hrtimer', of);
  const called = numberField('function', of);
  const names = event === 'hrtimer_start' ? ['expires', 'softexpires'] : ['now'];
  const numbers = names.map((name) => ({ text: ` ${name}=`, field: numberField(name, of) }));
  if (timer === undefined) return undefined;
  const numberParts: LinePart[] = [];
  for (const { text, field } of numbers) {
    if (field === undefined) return undefined;
    numberParts.push({ text, step: decimalStep(field, 8, false) });
  }
  const putFunction: Put = (record, out) => {
    const low = (called as NumberField).read(record);
    const { high } = record;
    const symbol = symbols.find(low, high);
    if (symbol === undefined) {
      putHexPadded(out, low, high);
      return;
    }
    // The library takes the difference the wrong way round.
    out.putPiece(symbol.piece);
    out.putText('/0x');
    out.putHexWords(-symbol.offset | 0, symbol.offset === 0 ? 0 : -1);
  };
  const functionParts: LinePart[] = called === undefined ? [] : [{ text: ' function=', step: keptStep(called, putFunction) }];
  const { read, load } = timer;
  const hex: LineStep =
    load === undefined
      ? { kind: 'put', put: (record, out) => out.putHexWords(read(record), record.high) }
      : { kind: 'hex', load, sizeBytes: 8, signed: false, upper: false };
  const rest = event === 'hrtimer_start' ? [...functionParts, ...numberParts] : [...numberParts, ...functionParts];
  return { parts: [{ text: 'hrtimer=0x', step: hex }, ...rest], isAlone: true };
}

/** `0x%08llx` */
function putHexPadded(out: TextOut, low: number, high: number): void {
  out.putText('0x');
  const mark = out.length;
  out.putHexWords(low, high);
  out.insertFill(mark, 48, 8 - (out.length - mark));
}

interface FutexOperation {
  readonly name: string;
  /** How each argument is shown; a missing one is not. */
  readonly shown: readonly { readonly field: string; readonly label: string; readonly hex: boolean }[];
}

const VALUE = { field: 'val', label: ' val=', hex: false };
const HEX_VALUE = { field: 'val', label: ' val=', hex: true };
const TIMEOUT = { field: 'utime', label: ' utime=', hex: true };
const VALUE_2 = { field: 'utime', label: ' val2=', hex: false };
const ADDRESS_2 = { field: 'uaddr2', label: ' uaddr2=', hex: true };
const VALUE_3 = { field: 'val3', label: ' val3=', hex: true };

const FUTEX_OPERATIONS: readonly FutexOperation[] = [
  { name: 'FUTEX_WAIT', shown: [HEX_VALUE, TIMEOUT] },
  { name: 'FUTEX_WAKE', shown: [VALUE] },
  { name: 'FUTEX_FD', shown: [VALUE] },
  { name: 'FUTEX_REQUEUE', shown: [VALUE, VALUE_2, ADDRESS_2] },
  { name: 'FUTEX_CMP_REQUEUE', shown: [VALUE, VALUE_2, ADDRESS_2, VALUE_3] },
  { name: 'FUTEX_WAKE_OP', shown: [VALUE, VALUE_2, ADDRESS_2, VALUE_3] },
  { name: 'FUTEX_LOCK_PI', shown: [TIMEOUT] },
  { name: 'FUTEX_UNLOCK_PI', shown: [] },
  { name: 'FUTEX_TRYLOCK_PI', shown: [] },
  { name: 'FUTEX_WAIT_BITSET', shown: [HEX_VALUE, TIMEOUT, VALUE_3] },
  { name: 'FUTEX_WAKE_BITSET', shown: [VALUE, VALUE_3] },
  { name: 'FUTEX_WAIT_REQUEUE_PI', shown: [HEX_VALUE, TIMEOUT, ADDRESS_2, VALUE_3] },
  { name: 'FUTEX_CMP_REQUEUE_PI', shown: [VALUE, VALUE_2, ADDRESS_2, VALUE_3] },
];
const FUTEX_PRIVATE_FLAG = 128;
const FUTEX_CLOCK_REALTIME = 256;

function futexHandler(_format: EventFormat, of: Arithmetic): Compiled {
  const readers = new Map(['uaddr', 'op', 'val', 'utime', 'uaddr2', 'val3'].map((name) => [name, fieldReader(name, of)]));
  if ([...readers.values()].includes(undefined)) return undefined;
  const read = (name: string, record: EventRecord): number => (readers.get(name) as FieldReader)(record);
  return ({ record }, out) => {
    const flags = read('op', record);
    const operation = FUTEX_OPERATIONS[flags & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)];
    if (operation === undefined) return true;
    out.putText(`op=${operation.name}`);
    if ((flags & FUTEX_PRIVATE_FLAG) !== 0) out.putText('|FUTEX_PRIVATE_FLAG');
    if ((flags & FUTEX_CLOCK_REALTIME) !== 0) out.putText('|FUTEX_CLOCK_REALTIME');
    out.putText(' uaddr=');
    putHexPadded(out, read('uaddr', record), record.high);
    for (const { field, label, hex } of operation.shown) {
      out.putText(label);
      const low = read(field, record);
      if (hex) putHexPadded(out, low, record.high);
      else out.putDecimalWords(low, record.high, false);
    }
    return false;
  };
}

const FLUSH_REASONS = ['flush on task switch', 'remote shootdown', 'local shootdown', 'local mm shootdown'] as const;

function tlbHandler(_format: EventFormat, of: Arithmetic): Compiled {
  const readPages = fieldReader('pages', of);
  const readReason = fieldReader('reason', of);
  if (readPages === undefined || readReason === undefined) return undefined;
  return ({ record }, out) => {
    out.putText('pages=');
    out.putDecimalWords(readPages(record), record.high, true);
    out.putText(' reason=');
    const low = readReason(record);
    out.putText(record.high === 0 ? (FLUSH_REASONS[low] ?? '') : '');
    out.putText(' (');
    out.putDecimalWords(low, record.high, true);
    out.putByte(41);
    return false;
  };
}
