/** Clocks as a table, for `mkscope clocks`. */
import type { CausalityAudit, ClockRow } from '../model/api.ts';
import { type Column, renderRows } from './table.ts';
import { escapeLine, type Paint } from './terminal.ts';
import { formatCount, formatErrorNs, formatSeconds } from './units.ts';

export function renderClocks(clocks: readonly ClockRow[], paint: Paint, width: number | undefined): string {
  const hasMachines = new Set(clocks.map(({ machine }) => machine)).size > 1;
  const columns: readonly Column<ClockRow>[] = [
    ...(hasMachines ? [{ title: 'MACHINE', text: ({ machine }: ClockRow) => escapeLine(machine) }] : []),
    { title: 'ID', align: 'right', text: ({ kernelId }) => String(kernelId) },
    { title: 'KERNEL', text: ({ kernelName }) => escapeLine(kernelName) },
    { title: 'CLOCK', text: ({ clock }) => escapeLine(clock) },
    { title: 'BOUND', align: 'right', text: ({ errorNs }) => formatErrorNs(errorNs) },
    { title: 'TO HOST', align: 'right', text: ({ toHostNs }) => formatErrorNs(toHostNs) },
    { title: 'OFFSET', align: 'right', text: ({ offsetNs }) => (offsetNs === '' ? '-' : formatOffset(BigInt(offsetNs))) },
    { title: 'DRIFT', align: 'right', text: ({ errorNs, driftPpm }) => (errorNs < 0 ? '-' : `${driftPpm.toFixed(2)} ppm`) },
    { title: 'STEPS', align: 'right', text: ({ steps }) => String(steps) },
    { title: 'MESSAGES', align: 'right', text: ({ messages }) => formatCount(messages) },
    { title: 'AGE', align: 'right', text: ({ ageMs }) => formatSeconds(ageMs / 1000) },
    { title: 'KNOWN BY', text: ({ evidence }) => escapeLine(evidence) },
  ];
  return renderRows(columns, clocks, paint, width);
}

/** Seconds with all nine digits: what is added to a raw time. */
export function formatOffset(offsetNs: bigint): string {
  const sign = offsetNs < 0n ? '-' : '';
  const size = offsetNs < 0n ? -offsetNs : offsetNs;
  return `${sign}${size / 1_000_000_000n}.${String(size % 1_000_000_000n).padStart(9, '0')} s`;
}

export function renderAudit({ messages, early, impossible, worstNs }: CausalityAudit, paint: Paint): string {
  if (messages === 0) return '\nNo messages between kernels have been matched.\n';
  const counted = `${formatCount(messages)} matched messages`;
  if (early === 0) return `\nOf ${counted} none is received before it was sent.\n`;
  const worst = formatErrorNs(worstNs).slice(1);
  const within = `\nOf ${counted} ${formatCount(early)} are received before they were sent, by ${worst} at most`;
  if (impossible === 0) return `${within}, all within the bounds.\n`;
  return `${within}; ${paint('red', `${formatCount(impossible)} by more than the bounds allow: a bound or a match is wrong`)}.\n`;
}
