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
import { compileFieldRegion, type Arithmetic, type EventRecord } from './print-fmt-numbers.ts';
import { fieldReader, type FieldReader, type ReportHandler, type ReportTools } from './report-handler.ts';
import { entryHandler, exitHandler, injectHandler, instructionHandler, nestedExitHandler, pageHandler, roleHandler } from './report-kvm.ts';
import { bssInfoHandler } from './report-mac80211.ts';
import { toPiece, type TextOut } from './text-out.ts';

type HandlerFactory = (format: EventFormat, of: Arithmetic, tools: ReportTools) => ReportHandler | undefined;

const HANDLERS: ReadonlyMap<string, HandlerFactory> = new Map([
  ['sched:sched_switch', switchHandler],
  ['sched:sched_wakeup', wakeupHandler],
  ['sched:sched_wakeup_new', wakeupHandler],
  ['kmem:kfree', callSiteHandler],
  ['kmem:kmalloc', callSiteHandler],
  ['kmem:kmalloc_node', callSiteHandler],
  ['kmem:kmem_cache_alloc', callSiteHandler],
  ['kmem:kmem_cache_alloc_node', callSiteHandler],
  ['kmem:kmem_cache_free', callSiteHandler],
  ['timer:hrtimer_expire_entry', hrtimerHandler],
  ['timer:hrtimer_start', hrtimerHandler],
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

export function compilePlugin(format: EventFormat, of: Arithmetic, tools: ReportTools): ReportHandler | undefined {
  return HANDLERS.get(`${format.system}:${format.event}`)?.(format, of, tools);
}

const ARROW = toPiece(' ==> ');
const CPU = toPiece(' CPU:');
const FUNCTION = toPiece(' function=');
const HRTIMER = toPiece('hrtimer=0x');
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
function taskPrinter(
  commName: string,
  pidName: string,
  of: Arithmetic,
  tools: ReportTools,
): ((record: EventRecord, out: TextOut) => void) | undefined {
  const readPid = fieldReader(pidName, of);
  if (readPid === undefined) return undefined;
  const field = of.format.fields.find((one) => one.name === commName);
  const locate = field === undefined ? undefined : compileFieldRegion(field, of).locate;
  return (record, out) => {
    const low = readPid(record);
    const { high } = record;
    if (locate?.(record) === true) {
      const mark = out.length;
      out.putString(record.bytes, record.from, record.to);
      if (!tools.names.has(low)) tools.names.tell(low, latin1(out.bytes, mark, out.length));
      out.putByte(58);
    }
    out.putDecimalWords(low, high, true);
  };
}

function latin1(bytes: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let at = from; at < to; at++) text += String.fromCharCode(bytes[at] as number);
  return text;
}

function switchHandler(_format: EventFormat, of: Arithmetic, tools: ReportTools): ReportHandler | undefined {
  const putPrevious = taskPrinter('prev_comm', 'prev_pid', of, tools);
  const putNext = taskPrinter('next_comm', 'next_pid', of, tools);
  const readPreviousPrio = fieldReader('prev_prio', of);
  const readNextPrio = fieldReader('next_prio', of);
  const readState = fieldReader('prev_state', of);
  if (putPrevious === undefined || putNext === undefined) return undefined;
  return ({ record }, out) => {
    putPrevious(record, out);
    out.putByte(32);
    if (readPreviousPrio !== undefined) {
      out.putByte(91);
      out.putDecimal(readPreviousPrio(record) | 0);
      out.putByte(93);
      out.putByte(32);
    }
    if (readState !== undefined) putState(out, readState(record));
    out.putPiece(ARROW);
    putNext(record, out);
    if (readNextPrio === undefined) return false;
    out.putByte(32);
    out.putByte(91);
    out.putDecimal(readNextPrio(record) | 0);
    out.putByte(93);
    return false;
  };
}

function wakeupHandler(_format: EventFormat, of: Arithmetic, tools: ReportTools): ReportHandler | undefined {
  const putTask = taskPrinter('comm', 'pid', of, tools);
  if (putTask === undefined) return undefined;
  const readPrio = fieldReader('prio', of);
  const readSuccess = fieldReader('success', of);
  const readCpu = fieldReader('target_cpu', of);
  return ({ record }, out) => {
    putTask(record, out);
    if (readPrio !== undefined) {
      out.putByte(32);
      out.putByte(91);
      out.putDecimalWords(readPrio(record), record.high, true);
      out.putByte(93);
    }
    if (readSuccess !== undefined) {
      out.putText(' success=');
      out.putDecimalWords(readSuccess(record), record.high, true);
    }
    if (readCpu === undefined) return false;
    out.putPiece(CPU);
    out.putPaddedDecimal(readCpu(record) >>> 0, 3);
    return false;
  };
}

function callSiteHandler(_format: EventFormat, of: Arithmetic, { symbols }: ReportTools): ReportHandler | undefined {
  const read = fieldReader('call_site', of);
  if (read === undefined) return undefined;
  return ({ record }, out) => {
    const low = read(record);
    const symbol = symbols.find(low, record.high);
    if (symbol === undefined) return true;
    out.putByte(40);
    out.putPiece(symbol.withOffset);
    out.putByte(41);
    out.putByte(32);
    return true;
  };
}

function hrtimerHandler({ event }: EventFormat, of: Arithmetic, { symbols }: ReportTools): ReportHandler | undefined {
  const readTimer = fieldReader('timer', of) ?? fieldReader('hrtimer', of);
  const readFunction = fieldReader('function', of);
  const names = event === 'hrtimer_start' ? ['expires', 'softexpires'] : ['now'];
  const numbers = names.map((name) => ({ label: toPiece(` ${name}=`), read: fieldReader(name, of) }));
  if (readTimer === undefined || numbers.some(({ read }) => read === undefined)) return undefined;
  const putNumbers = (record: EventRecord, out: TextOut): void => {
    for (const { label, read } of numbers) {
      out.putPiece(label);
      out.putDecimalWords((read as FieldReader)(record), record.high, false);
    }
  };
  const putFunction = (record: EventRecord, out: TextOut): void => {
    if (readFunction === undefined) return;
    const low = readFunction(record);
    const { high } = record;
    const symbol = symbols.find(low, high);
    out.putPiece(FUNCTION);
    if (symbol === undefined) {
      putHexPadded(out, low, high);
      return;
    }
    // The library takes the difference the wrong way round.
    out.putPiece(symbol.piece);
    out.putText('/0x');
    out.putHexWords(-symbol.offset | 0, symbol.offset === 0 ? 0 : -1);
  };
  return ({ record }, out) => {
    out.putPiece(HRTIMER);
    out.putHexWords(readTimer(record), record.high);
    if (event === 'hrtimer_start') putFunction(record, out);
    putNumbers(record, out);
    if (event !== 'hrtimer_start') putFunction(record, out);
    return false;
  };
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

function futexHandler(_format: EventFormat, of: Arithmetic): ReportHandler | undefined {
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

function tlbHandler(_format: EventFormat, of: Arithmetic): ReportHandler | undefined {
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
