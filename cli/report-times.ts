/** Times of a recording as its report shows them. */
import { OperationalError } from '../base/errors.ts';
import { toTraceNs } from '../clock/trace-timeline.ts';
import type { EventFileInfo } from '../model/event-file.ts';
import type { TimeConversion } from '../export/moment.ts';
import { showsSeconds } from '../export/report-options.ts';

const NS_PER_SECOND = 1_000_000_000n;

type ClockInfo = Pick<EventFileInfo, 'timeShift' | 'tscToNs' | 'dateOffsetNs' | 'offsetNs'>;

/** A raw time of a CPU: a guest's on its host's clock, ticks to ns, and what the recording says is to be added. undefined: as it is. */
export function toReportTime({
  timeShift,
  tscToNs,
  dateOffsetNs,
  offsetNs,
}: ClockInfo): ((cpu: number, raw: bigint) => bigint) | undefined {
  const added = (dateOffsetNs ?? 0n) + offsetNs;
  if (timeShift === undefined && tscToNs === undefined && added === 0n) return undefined;
  const steps = { shift: timeShift, tscToNs };
  return (cpu, raw) => BigInt.asUintN(64, toTraceNs(steps, cpu, raw) + added);
}

export function toConversion(info: ClockInfo): TimeConversion | undefined {
  const toTime = toReportTime(info);
  if (toTime === undefined) return undefined;
  return (time) => {
    const ns = toTime(time.cpu, (BigInt(time.high) << 32n) | BigInt(time.low));
    time.low = Number(ns & 0xffff_ffffn);
    time.high = Number(ns >> 32n);
  };
}

/** `13432.829484`, or the bare number where the report shows no seconds. Throws E_ARGS. */
export function parseReportTime(option: string, text: string, info: EventFileInfo): bigint {
  const inSeconds = showsSeconds(info);
  const [, whole, fraction = ''] = /^(\d{1,19})(?:\.(\d{1,9}))?$/.exec(text) ?? [];
  if (whole === undefined || (fraction !== '' && !inSeconds)) {
    throw new OperationalError(
      'E_ARGS',
      `--${option} ${text} is no time of this recording`,
      inSeconds ? 'write it as the report shows it: 13432.829484' : 'its clock counts: write a whole number, as the report shows it',
    );
  }
  return inSeconds ? BigInt(whole) * NS_PER_SECOND + BigInt(fraction.padEnd(9, '0')) : BigInt(whole);
}
