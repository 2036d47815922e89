/**
 * Records of the tracer blk, which have no format file: the struct of blktrace, with the head of a trace record over its first 8 bytes.
 *
 *   cat-91  [000] d....  12.345678: 254,16   Q  RA 2048 + 8 [cat]               by default, and with verbose: queue
 *                                   |        |  |  |           +-- task, error, or (bytes of a command)
 *                                   |        |  |  +-- sector + sectors
 *                                   |        |  +-- F flush or FUA, R W D N, A ahead, S sync, M meta
 *                                   |        +-- action; with blk_cgroup the cgroup before it: 4c,0 or its path
 *                                   +-- device
 *   254,16   0    12.345678901    91  Q  RA 2048 + 8 [cat]                      blk_classic: instead of the columns
 *
 *   record: head 8 | time 8 | sector 8 | bytes 4 | action 4 | pid 4 | device 4 | cpu 4 | error 2 | length 2 | [cgroup 8] what follows
 *
 * Not handled: records of blktrace's second version (since 6.19). The path of a cgroup is in the copy's `cgroups`, or `<...>`.
 * Kernel: kernel/trace/blktrace.c, include/uapi/linux/blktrace_api.h.
 */
import type { EventRecord } from './print-fmt-numbers.ts';
import type { BuiltinPrinter } from './trace-text-builtin.ts';
import { putWord, type TraceContext } from './trace-text-context.ts';
import type { TracedCpu } from './trace-text-merge.ts';
import type { TraceSettings } from '../parsers/tracefs-settings.ts';
import type { TextOut } from './text-out.ts';

const HEAD_BYTES = 48;
const SECTOR = 16;
const BYTES = 24;
const ACTION = 28;
const DEVICE = 36;
const ERROR = 44;
const LENGTH = 46;
/** `BLK_IO_TRACE_MAGIC | BLK_IO_TRACE_VERSION` */
const MAGIC = 0x65617407;

const HAS_CGROUP = 1 << 8;
const CLASS_SHIFT = 16;
const WRITE = 1 << 1;
const FLUSH = 1 << 2;
const SYNC = 1 << 3;
const COMMAND = 1 << 9;
const NOTIFY = 1 << 10;
const AHEAD = 1 << 11;
const META = 1 << 12;
const DISCARD = 1 << 13;
const FUA = 1 << 15;
/** The notice that is text: third of its class. */
const MESSAGE = (NOTIFY << CLASS_SHIFT) | 2;

type Body = 'generic' | 'error' | 'plug' | 'unplug' | 'split' | 'remap';

/** Letter, word, and what stands behind them; by number, from 1 on. */
const ACTIONS: readonly (readonly [string, string, Body])[] = [
  ['Q', 'queue', 'generic'],
  ['M', 'backmerge', 'generic'],
  ['F', 'frontmerge', 'generic'],
  ['G', 'getrq', 'generic'],
  ['S', 'sleeprq', 'generic'],
  ['R', 'requeue', 'error'],
  ['D', 'issue', 'generic'],
  ['C', 'complete', 'error'],
  ['P', 'plug', 'plug'],
  ['U', 'unplug_io', 'unplug'],
  ['UT', 'unplug_timer', 'unplug'],
  ['I', 'insert', 'generic'],
  ['X', 'split', 'split'],
  ['B', 'bounce', 'generic'],
  ['A', 'remap', 'remap'],
];

export class BlkText implements BuiltinPrinter {
  readonly #settings: TraceSettings;
  readonly #context: TraceContext;
  readonly #isLong: boolean;
  readonly #isClassic: boolean;

  constructor(settings: TraceSettings, context: TraceContext) {
    this.#settings = settings;
    this.#context = context;
    this.#isLong = settings.options.get('verbose') === true;
    this.#isClassic = settings.tracer === 'blk' && settings.options.get('blk_classic') === true;
  }

  /** Lines are the tracer's own, without the columns that others have. */
  get isClassic(): boolean {
    return this.#isClassic;
  }

  readonly text = (record: EventRecord, out: TextOut, at: TracedCpu): void => {
    const block = readBlock(record);
    if (block === undefined) {
      out.putText('Unknown action 0\n');
      return;
    }
    if ((block.action & ~HAS_CGROUP) === MESSAGE) {
      this.#putHead(block, this.#isLong ? 'message' : 'm', record, at, out);
      out.putBytes(record.bytes, block.from, block.to);
      out.putByte(10);
      return;
    }
    const number = block.action & 0xffff & ~HAS_CGROUP;
    const action = ACTIONS[number - 1];
    if (action === undefined) {
      out.putText(`Unknown action ${number.toString(16)}\n`);
      return;
    }
    this.#putHead(block, this.#isLong ? action[1] : action[0], record, at, out);
    this.#putBody(action[2], block, record, out);
    out.putByte(10);
  };

  /** What blktrace's file has: the same record with the head it had there. */
  readonly binary = (record: EventRecord, out: TextOut, at: TracedCpu): void => {
    const block = readBlock(record);
    if (block === undefined) return;
    const { little } = record;
    putWord(out, MAGIC, little);
    putWord(out, 0, little);
    putWord(out, little ? at.low : at.high, little);
    putWord(out, little ? at.high : at.low, little);
    out.putBytes(record.bytes, record.start + SECTOR, block.to);
  };

  #putHead(block: Block, action: string, record: EventRecord, at: TracedCpu, out: TextOut): void {
    const marks = toMarks(block).padStart(3);
    out.putText(`${String(block.device >>> 20).padStart(3)},${String(block.device & 0xfffff).padEnd(3)} `);
    if (this.#isClassic) {
      const time = (BigInt(at.high >>> 0) << 32n) | BigInt(at.low >>> 0);
      const [seconds, ns] = [time / 1_000_000_000n, time % 1_000_000_000n];
      out.putText(`${String(at.cpu).padStart(2)} ${String(seconds).padStart(5)}.${String(ns).padStart(9, '0')} `);
      out.putText(`${String(this.#context.pidOf(record) >>> 0).padStart(5)} `);
    } else if (block.cgroup !== undefined) out.putText(`${this.#toCgroup(block.cgroup)} `);
    out.putText(`${action.padStart(2)} ${marks} `);
  }

  #toCgroup(id: bigint): string {
    if (this.#settings.options.get('blk_cgname') === true) return this.#settings.cgroups.get(id) ?? '<...>';
    return `${(id & 0xffff_ffffn).toString(16)},${(id >> 32n).toString(16)}`;
  }

  #putBody(body: Body, block: Block, record: EventRecord, out: TextOut): void {
    const isCommand = (block.action & (COMMAND << CLASS_SHIFT)) !== 0;
    const sectors = block.bytes >>> 9;
    const comm = `[${this.#context.commOf(this.#context.pidOf(record))}]`;
    switch (body) {
      case 'generic':
        if (isCommand) {
          out.putText(`${block.bytes} `);
          putCommand(block, record, out);
        } else if (sectors !== 0) out.putText(`${block.sector} + ${sectors} `);
        out.putText(comm);
        return;
      case 'error':
        if (isCommand) putCommand(block, record, out);
        else out.putText(sectors === 0 ? `${block.sector} ` : `${block.sector} + ${sectors} `);
        out.putText(`[${block.error}]`);
        return;
      case 'plug':
        out.putText(comm);
        return;
      case 'unplug':
        out.putText(`${comm} ${readBig(record, block, 0)}`);
        return;
      case 'split':
        out.putText(`${block.sector} / ${readBig(record, block, 0)} ${comm}`);
        return;
      case 'remap': {
        const device = Number(readBig(record, block, 0) >> 32n);
        out.putText(`${block.sector} + ${sectors} <- (${device >>> 20},${device & 0xfffff}) ${readBig(record, block, 8)}`);
        return;
      }
      default:
    }
  }
}

/** The columns that stand above the tracer's own lines. */
export const CLASSIC_COLUMNS = '# DEV   CPU TIMESTAMP     PID ACT FLG\n#  |     |     |           |   |   |\n';

interface Block {
  readonly sector: bigint;
  readonly bytes: number;
  readonly action: number;
  readonly device: number;
  readonly error: number;
  readonly cgroup: bigint | undefined;
  /** What follows, without the cgroup. */
  readonly from: number;
  readonly to: number;
}

/** Undefined where the record ends before it should. */
function readBlock({ view, start, end, little }: EventRecord): Block | undefined {
  if (start + HEAD_BYTES > end) return undefined;
  const action = view.getUint32(start + ACTION, little);
  const hasCgroup = (action & HAS_CGROUP) !== 0 && start + HEAD_BYTES + 8 <= end;
  return {
    sector: view.getBigUint64(start + SECTOR, little),
    bytes: view.getUint32(start + BYTES, little),
    action,
    device: view.getUint32(start + DEVICE, little),
    error: view.getUint16(start + ERROR, little),
    cgroup: hasCgroup ? view.getBigUint64(start + HEAD_BYTES, little) : undefined,
    from: start + HEAD_BYTES + (hasCgroup ? 8 : 0),
    to: Math.min(end, start + HEAD_BYTES + view.getUint16(start + LENGTH, little)),
  };
}

function toMarks({ action, bytes }: Block): string {
  if ((action & ~HAS_CGROUP) === MESSAGE) return 'N';
  const kind = action >>> CLASS_SHIFT;
  const isSet = (bit: number, mark: string): string => ((kind & bit) === 0 ? '' : mark);
  const what = (kind & DISCARD) !== 0 ? 'D' : (kind & WRITE) !== 0 ? 'W' : bytes !== 0 ? 'R' : 'N';
  return isSet(FLUSH, 'F') + what + isSet(FUA, 'F') + isSet(AHEAD, 'A') + isSet(SYNC, 'S') + isSet(META, 'M');
}

/** A number behind the head: in network order, whatever the machine's is. */
function readBig({ view }: EventRecord, { from, to }: Block, offset: number): bigint {
  return from + offset + 8 <= to ? view.getBigUint64(from + offset, false) : 0n;
}

/** `(12 00 24 ..) `: the zeros at the end are dots. */
function putCommand({ from, to }: Block, { bytes }: EventRecord, out: TextOut): void {
  if (to <= from) return;
  let end = to;
  while (end > from && bytes[end - 1] === 0) end--;
  out.putByte(40);
  for (let at = from; at < to; at++) {
    if (at > from) out.putByte(32);
    out.putHexByte(bytes[at] as number);
    if (at === end && end !== to - 1) {
      out.putText(' ..) ');
      return;
    }
  }
  out.putText(') ');
}
