/**
 * Message halves from the lines that a kernel prints, where it has no probes. The line is printed after the message was sent, and says
 * less: no slot, no return. Which lines, and what their fields mean, a pack says (`lines`):
 *
 *   Multikernel message sent: type=0x4000, subtype=0x1, len=64 to instance 1      → EventName mk.ikc.send (correlate/messages/ikc.ts)
 *   Multikernel message received: type=0x4000, subtype=0x1, len=64 from CPU 8     → EventName mk.ikc.recv
 */
import type { LogBatch } from '../model/log-batch.ts';
import { HALF, NONE, type HalfBatch } from './ikc-halves.ts';
import { mixWords, toIdSeed, type IdSeed } from './ikc-ids.ts';
import { NO_SUBTYPE, type IkcFields, type IkcLine, type IkcPack } from './ikc-pack.ts';

/** Tells the ids of lines from those of probe events. */
const PRINTED_TAG = 0x4000_0000;

interface KnownLine {
  readonly line: IkcLine;
  readonly pack: number;
}

export class PrintedReader {
  /** By EventName; of several packs the first one has it. */
  readonly #lines = new Map<string, KnownLine>();

  constructor(packs: readonly IkcPack[]) {
    for (const [pack, { lines = [] }] of packs.entries())
      for (const line of lines) if (!this.#lines.has(line.event)) this.#lines.set(line.event, { line, pack });
  }

  /** Appends the halves that rows of one kernel say; rows have their names, fields and times. `probed`: packs whose lines are left out. */
  read(batch: LogBatch, bootId: string, errorNs: number, out: HalfBatch, probed?: ReadonlySet<number>): void {
    const wanted = new Map<number, KnownLine>();
    for (const [name, known] of this.#lines) if (probed?.has(known.pack) !== true) wanted.set(batch.strings.internString(name), known);
    let seed: IdSeed | undefined;
    for (let row = 0; row < batch.length; row++) {
      const known = wanted.get(batch.eventName[row] as number);
      if (known !== undefined) addHalf(batch, row, known, (seed ??= toIdSeed(bootId)), errorNs, out);
    }
  }
}

function addHalf(batch: LogBatch, row: number, { line, pack }: KnownLine, seed: IdSeed, errorNs: number, out: HalfBatch): void {
  const attributes = batch.attributes.rowOf(row);
  const numberOf = (field: keyof IkcFields): number | undefined => {
    const name = line.fields[field];
    const value = typeof name === 'string' ? Number(attributes[name] ?? Number.NaN) : Number.NaN;
    return Number.isInteger(value) ? value : undefined;
  };
  const type = numberOf('type') ?? line.fixed?.type;
  const length = numberOf('length') ?? (line.fields.length === undefined ? 0 : undefined);
  if (type === undefined || length === undefined) return;
  const at = out.openRow();
  const raw = batch.rawTime.getBigint(row);
  const [low, high] = [Number(BigInt.asUintN(32, raw)), Number(BigInt.asUintN(32, raw >> 32n))];
  const tag = PRINTED_TAG | ((batch.sequence[row] as number) & 0x3fff_ffff);
  out.kind[at] = HALF[line.role];
  out.time.setBigint(at, batch.unixTime.getBigint(row));
  out.raw.setBigint(at, raw);
  out.claimNs[at] = 0;
  out.endNs[at] = NONE;
  out.errorNs[at] = errorNs;
  out.peer[at] = numberOf('peer') ?? numberOf('fromKernel') ?? line.fixed?.peer ?? NONE;
  out.fromCpu[at] = numberOf('fromCpu') ?? NONE;
  out.type[at] = type;
  out.subtype[at] = numberOf('subtype') ?? line.fixed?.subtype ?? NO_SUBTYPE;
  out.messageBytes[at] = length;
  let key = 0;
  for (const name of line.fields.keys ?? []) key = mixWords(key, Number(attributes[name] ?? 0), 0, 1);
  out.key[at] = key;
  out.queue[at] = numberOf('queue') ?? line.fixed?.queue ?? 0;
  out.slot[at] = NONE;
  out.missing[at] = NONE;
  out.error[at] = line.role === 'failed' ? Math.min(-1, -Math.abs(numberOf('error') ?? 1)) : 0;
  out.pid[at] = batch.pid[row] as number;
  out.cpu[at] = Math.max(0, batch.cpu[row] as number);
  out.pack[at] = pack;
  out.printed[at] = 1;
  out.id[at * 2] = mixWords(seed[0], low, high, tag);
  out.id[at * 2 + 1] = mixWords(seed[1], low, high, tag);
  out.exchange[at * 2] = 0;
  out.exchange[at * 2 + 1] = 0;
}
