/**
 * Raw times of a guest → raw times of its host, through the samples that trace-cmd took of both while it recorded:
 *
 *   host(raw) = (raw × scaling >> fractionBits) + offset(raw)
 *
 *   offset |        ×---___                     samples, the offset between them on a straight line (or the earlier one's)
 *          |  ×----'       ---×
 *          |   . . . . . . . . . . . . .        behind the last one: on along the line, with a bound that grows
 *          +--------------------------> raw
 *
 * Products of 64 bits × 64 bits are taken whole. Where trace-cmd goes on along the line without a word, the bound here grows by
 * what the line rises and by 500 ppm of the distance. A CPU without samples takes those of the first CPU that has some.
 */
import type { Int64Array } from '../base/int64.ts';
import type { TimeShift, TimeShiftSample } from '../model/event-file.ts';
import { NO_RAW_TIME } from '../model/time.ts';

/** What one sample is taken to be wrong by; the file does not say. */
const SAMPLE_ERROR_TICKS = 1000;
const DRIFT = 500e-6;

/** False where the option holds no sample at all. */
export function hasSamples(shift: TimeShift): boolean {
  return shift.cpus.some((samples) => samples.length > 0);
}

/** One raw time of `cpu`, on the peer's clock. */
export function shiftTime(shift: TimeShift, cpu: number, raw: bigint): bigint {
  const samples = samplesOf(shift, cpu);
  const at = findSegment(samples, raw);
  const sample = samples[at];
  if (sample === undefined) return raw;
  return BigInt.asIntN(64, ((raw * sample.scaling) >> BigInt(sample.fractionBits)) + offsetAt(samples, at, shift.interpolate, raw));
}

/** Writes the peer's raw times of rows `[0, length)`; rows without a stamp keep NO_RAW_TIME. */
export function shiftTimes(shift: TimeShift, cpu: Uint16Array, raw: Int64Array, peer: Int64Array, length: number): void {
  for (let row = 0; row < length; row++) {
    const time = raw.getBigint(row);
    peer.setBigint(row, time === NO_RAW_TIME ? time : shiftTime(shift, cpu[row] as number, time));
  }
}

/** Bound on the error of a shifted time, in ticks of the peer. */
export function shiftErrorTicks(shift: TimeShift, cpu: number, raw: bigint): number {
  const samples = samplesOf(shift, cpu);
  const first = samples[0];
  const last = samples.at(-1);
  if (first === undefined || last === undefined) return Number.POSITIVE_INFINITY;
  const at = findSegment(samples, raw);
  const step =
    samples.length < 2 ? 0 : Math.abs(Number((samples[at + 1] as TimeShiftSample).offset - (samples[at] as TimeShiftSample).offset));
  const inside = SAMPLE_ERROR_TICKS + (shift.interpolate ? step / 2 : step);
  const nearest = raw < first.time ? first : raw > last.time ? last : undefined;
  if (nearest === undefined) return inside;
  const away = Math.abs(Number(raw - nearest.time));
  return inside + away * DRIFT + Math.abs(Number(offsetAt(samples, at, shift.interpolate, raw) - nearest.offset));
}

function samplesOf({ cpus }: TimeShift, cpu: number): readonly TimeShiftSample[] {
  const own = cpus[cpu];
  return own !== undefined && own.length > 0 ? own : (cpus.find((samples) => samples.length > 0) ?? []);
}

/** Index of the sample that begins the stretch around `raw`: the first before the samples, the last but one behind them. */
function findSegment(samples: readonly TimeShiftSample[], raw: bigint): number {
  let low = 0;
  let high = Math.max(0, samples.length - 2);
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((samples[middle] as TimeShiftSample).time <= raw) low = middle;
    else high = middle - 1;
  }
  return low;
}

function offsetAt(samples: readonly TimeShiftSample[], at: number, interpolate: boolean, raw: bigint): bigint {
  const from = samples[at] as TimeShiftSample;
  const to = samples[at + 1];
  if (to === undefined) return from.offset;
  if (!interpolate) return raw >= to.time ? to.offset : from.offset;
  const span = to.time - from.time;
  return from.offset + divideFloor((raw - from.time) * (to.offset - from.offset) + span / 2n, span);
}

/** Rounded down on both sides of 0, where C and bigints cut, which moves offsets that fall by one. */
function divideFloor(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value % by < 0n ? quotient - 1n : quotient;
}
