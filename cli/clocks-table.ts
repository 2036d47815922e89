/** Clocks as a table, for `mkscope clocks`. */
import type { CausalityAudit, ClockRow } from '../model/api.ts';
import { renderTable } from './table.ts';
import { escapeLine, type Paint } from './terminal.ts';
import { formatCount, formatErrorNs, formatSeconds } from './units.ts';

export function renderClocks(clocks: readonly ClockRow[], paint: Paint, width: number | undefined): string {
  const hasMachines = new Set(clocks.map(({ machine }) => machine)).size > 1;
  const columns = [
    { title: hasMachines ? 'MACHINE' : '' },
    { title: 'ID', align: 'right' as const },
    { title: 'KERNEL' },
    { title: 'CLOCK' },
    { title: 'BOUND', align: 'right' as const },
    { title: 'TO HOST', align: 'right' as const },
    { title: 'OFFSET', align: 'right' as const },
    { title: 'DRIFT', align: 'right' as const },
    { title: 'STEPS', align: 'right' as const },
    { title: 'MESSAGES', align: 'right' as const },
    { title: 'AGE', align: 'right' as const },
    { title: 'KNOWN BY' },
  ];
  const rows = clocks.map((row) => [
    hasMachines ? escapeLine(row.machine) : '',
    String(row.kernelId),
    escapeLine(row.kernelName),
    escapeLine(row.clock),
    formatErrorNs(row.errorNs),
    formatErrorNs(row.toHostNs),
    row.offsetNs === '' ? '-' : formatOffset(BigInt(row.offsetNs)),
    row.errorNs < 0 ? '-' : `${row.driftPpm.toFixed(2)} ppm`,
    String(row.steps),
    formatCount(row.messages),
    formatSeconds(row.ageMs / 1000),
    escapeLine(row.evidence),
  ]);
  const first = hasMachines ? 0 : 1;
  return renderTable(
    columns.slice(first),
    rows.map((row) => row.slice(first)),
    { paint, width },
  );
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
