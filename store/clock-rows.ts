/** Stretches of clocks, as Native blocks of `clock_fits`. */
import type { KernelIdentity } from '../model/identity.ts';
import type { NativeWriter } from './native.ts';
import { writeKernel } from './resource-columns.ts';

/** A line of a kernel's clock to its machine's Unix time: `baseUnixNs + (raw - fromRaw) * nsPerTick`, ± errorNs. */
export interface ClockFitRow {
  readonly clock: string;
  readonly fromRaw: bigint;
  readonly toRaw: bigint;
  readonly baseUnixNs: bigint;
  readonly nsPerTick: number;
  readonly errorNs: number;
  readonly evidence: string;
  readonly segment: number;
  readonly revision: number;
  /** How far away rows can be that were stored before it was drawn anew, ns. */
  readonly shiftNs: number;
}

export function writeClockFits(writer: NativeWriter, identity: KernelIdentity, rows: readonly ClockFitRow[]): void {
  if (rows.length === 0) return;
  writer.openBlock(rows.length);
  writeKernel(writer, identity);
  writer.strings(
    'ClockDomain',
    rows.map(({ clock }) => clock),
  );
  writer.bigints(
    'FromRaw',
    'Int64',
    rows.map(({ fromRaw }) => fromRaw),
  );
  writer.bigints(
    'ToRaw',
    'Int64',
    rows.map(({ toRaw }) => toRaw),
  );
  writer.bigints(
    'BaseUnixNs',
    'Int64',
    rows.map(({ baseUnixNs }) => baseUnixNs),
  );
  writer.numbers(
    'NsPerTick',
    'Float64',
    Float64Array.from(rows, ({ nsPerTick }) => nsPerTick),
  );
  writer.bigints(
    'ErrorNs',
    'Int64',
    rows.map(({ errorNs }) => BigInt(errorNs)),
  );
  writer.strings(
    'Evidence',
    rows.map(({ evidence }) => evidence),
  );
  writer.numbers(
    'Segment',
    'UInt32',
    Uint32Array.from(rows, ({ segment }) => segment),
  );
  writer.numbers(
    'Revision',
    'UInt32',
    Uint32Array.from(rows, ({ revision }) => revision),
  );
  writer.bigints(
    'ShiftNs',
    'Int64',
    rows.map(({ shiftNs }) => BigInt(shiftNs)),
  );
  writer.closeBlock();
}
