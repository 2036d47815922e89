/**
 * Message halves from the lines that Multikernel prints at level debug, where a kernel has no probes. The line is printed after the
 * message was sent, and says less: no slot, no return, no failed sendings.
 *
 *   Multikernel message sent: type=0x4000, subtype=0x1, len=64 to instance 1      → EventName mk.ikc.send (correlate/messages/ikc.ts)
 *   Multikernel message received: type=0x4000, subtype=0x1, len=64 from CPU 8     → EventName mk.ikc.recv
 */
import type { LogBatch } from '../model/log-batch.ts';
import { HALF, NONE, type HalfBatch } from './ikc-halves.ts';
import { mixWords, toIdSeed } from './ikc-ids.ts';

const SENT = 'mk.ikc.send';
const RECEIVED = 'mk.ikc.recv';
/** Tells the ids of lines from those of probe events. */
const PRINTED_TAG = 0x4000_0000;

/** Appends the halves that rows of one kernel say; rows have their names, fields and times. */
export function readPrintedHalves(batch: LogBatch, bootId: string, errorNs: number, out: HalfBatch): void {
  const [sent, received] = [batch.strings.internString(SENT), batch.strings.internString(RECEIVED)];
  for (let row = 0; row < batch.length; row++) {
    const name = batch.eventName[row];
    if (name !== sent && name !== received) continue;
    addHalf(batch, row, name === sent, bootId, errorNs, out);
  }
}

function addHalf(batch: LogBatch, row: number, isSend: boolean, bootId: string, errorNs: number, out: HalfBatch): void {
  const fields = batch.attributes.rowOf(row);
  const numberOf = (name: string): number => Number(fields[`mk.ikc.${name}`] ?? Number.NaN);
  const [type, subtype, length] = [numberOf('type'), numberOf('subtype'), numberOf('length')];
  if (!Number.isInteger(type) || !Number.isInteger(subtype) || !Number.isInteger(length)) return;
  const at = out.openRow();
  const seed = toIdSeed(bootId);
  const raw = batch.rawTime.getBigint(row);
  const [low, high] = [Number(BigInt.asUintN(32, raw)), Number(BigInt.asUintN(32, raw >> 32n))];
  const tag = PRINTED_TAG | ((batch.sequence[row] as number) & 0x3fff_ffff);
  out.kind[at] = isSend ? HALF.send : HALF.receive;
  out.time.setBigint(at, batch.unixTime.getBigint(row));
  out.raw.setBigint(at, raw);
  out.claimNs[at] = 0;
  out.endNs[at] = NONE;
  out.errorNs[at] = errorNs;
  out.peer[at] = isSend ? orNone(numberOf('to')) : NONE;
  out.fromCpu[at] = isSend ? NONE : orNone(numberOf('from_cpu'));
  out.type[at] = type;
  out.subtype[at] = subtype;
  out.messageBytes[at] = length;
  out.key[at] = 0;
  out.slot[at] = NONE;
  out.missing[at] = NONE;
  out.error[at] = 0;
  out.pid[at] = batch.pid[row] as number;
  out.cpu[at] = Math.max(0, batch.cpu[row] as number);
  out.pack[at] = 0;
  out.printed[at] = 1;
  out.id[at * 2] = mixWords(seed[0], low, high, tag);
  out.id[at * 2 + 1] = mixWords(seed[1], low, high, tag);
  out.exchange[at * 2] = 0;
  out.exchange[at * 2 + 1] = 0;
}

function orNone(value: number): number {
  return Number.isInteger(value) ? value : NONE;
}
