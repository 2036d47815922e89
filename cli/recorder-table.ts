/** Flight recorders and what was asked of them, as tables and in words. */
import type { RecordedWindow, RecorderRequestRow, RecorderRow } from '../model/recorder.ts';
import { formatMoment } from './moment.ts';
import { type Column, renderRows } from './table.ts';
import { escapeLine, type Paint } from './terminal.ts';
import { formatBytes, formatCount } from './units.ts';

const RECORDERS: readonly Column<RecorderRow>[] = [
  { title: 'MACHINE', text: ({ machineName }) => escapeLine(machineName) },
  { title: 'ID', align: 'right', text: ({ kernelId }) => String(kernelId) },
  { title: 'KERNEL', text: ({ kernelName }) => escapeLine(kernelName) },
  { title: 'SINCE', text: ({ sinceUnixNs }) => (sinceUnixNs === '' ? 'empty' : formatMoment(BigInt(sinceUnixNs), 'local')) },
  { title: 'SIZE', align: 'right', text: ({ keptBytes, maxBytes }) => `${formatBytes(keptBytes)} of ${formatBytes(maxBytes)}` },
  { title: 'NOT SENT', align: 'right', text: ({ keptEvents }) => formatCount(keptEvents) },
  { title: '', text: ({ isHeard }) => (isHeard ? '' : 'does not report'), style: () => 'yellow' },
];

const REQUESTS: readonly Column<RecorderRequestRow>[] = [
  { title: 'REQUEST', text: ({ id }) => id },
  { title: 'FROM', text: ({ fromUnixNs }) => formatMoment(BigInt(fromUnixNs), 'local') },
  { title: 'TO', text: ({ toUnixNs }) => formatMoment(BigInt(toUnixNs), 'local') },
  { title: 'MACHINE', text: ({ machineName }) => escapeLine(machineName) },
  { title: 'FOR', text: ({ by }) => escapeLine(by) },
  { title: 'WHAT CAME', text: (request) => describeRecorded(request).join('; ') },
];

export function renderRecorders(rows: readonly RecorderRow[], paint: Paint, width: number | undefined): string {
  return renderRows(RECORDERS, rows, paint, width);
}

export function renderRequests(rows: readonly RecorderRequestRow[], paint: Paint, width: number | undefined): string {
  return renderRows(REQUESTS, rows, paint, width);
}

/** A line for each kernel, escaped. */
export function describeRecorded({ fromUnixNs, kernels }: RecordedWindow): string[] {
  if (kernels.length === 0) return ['no answer yet'];
  return kernels.map(({ kernelId, kernelName, events, sentEvents, isComplete, sinceUnixNs }) => {
    const came = `${formatCount(events)} requested, ${formatCount(sentEvents)} arrived${isComplete ? '' : ' so far'}`;
    return `${escapeLine(kernelName)} (${kernelId}): ${came}${describeMissing(fromUnixNs, sinceUnixNs)}`;
  });
}

function describeMissing(fromUnixNs: string, sinceUnixNs: string): string {
  if (sinceUnixNs === '') return ', nothing is kept';
  return BigInt(sinceUnixNs) <= BigInt(fromUnixNs) ? '' : `, not kept any more before ${formatMoment(BigInt(sinceUnixNs), 'local')}`;
}
