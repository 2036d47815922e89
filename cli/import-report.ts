/** What an import did, in a few lines. */
import type { ImportResult } from '../model/api.ts';
import { formatMoment } from './moment.ts';
import { escapeLine } from './terminal.ts';
import type { Paint } from './terminal.ts';
import { formatBytes, formatCount, formatErrorNs } from './units.ts';

export function formatImport(path: string, result: ImportResult, paint: Paint): string {
  const lines = [
    `${paint('bold', escapeLine(path))}: ${result.format}, ${formatBytes(result.bytes)}, ${formatCount(result.records)} records${again(result)}`,
  ];
  for (const kernel of result.kernels) {
    const release = kernel.release === '' ? '' : ` (Linux ${escapeLine(kernel.release)})`;
    lines.push(
      `  kernel ${kernel.kernelId} ${paint('cyan', escapeLine(kernel.kernelName))}${release}: ${formatCount(kernel.records)} records, time from ${kernel.clock}, ${formatErrorNs(kernel.clockErrorNs)}`,
    );
  }
  if (result.from !== '') lines.push(`  from ${formatMoment(BigInt(result.from), 'iso')} to ${formatMoment(BigInt(result.to), 'iso')}`);
  if (result.gaps > 0)
    lines.push(`  ${paint('yellow', `${formatCount(result.gaps)} gaps`)}: the file itself says that records are missing`);
  if (result.reports > 0)
    lines.push(
      `  ${paint('yellow', `${formatCount(result.reports)} kernel ${result.reports === 1 ? 'report' : 'reports'}`)}: mkscope logs --reports`,
    );
  if (result.dumpEvents > 0) lines.push(`  ${formatCount(result.dumpEvents)} events of the ftrace dump in it: also on the timeline`);
  for (const [reason, count] of Object.entries(result.malformed)) {
    lines.push(`  ${paint('yellow', `${formatCount(count)} not understood`)}: ${escapeLine(reason)}`);
  }
  return `${lines.join('\n')}\n`;
}

export function formatSkipped({ path, reason }: { readonly path: string; readonly reason: string }, paint: Paint): string {
  return `${paint('bold', escapeLine(path))}: ${paint('yellow', 'skipped')}: ${escapeLine(reason)}\n`;
}

function again({ records, alreadyStored }: ImportResult): string {
  if (alreadyStored === 0) return '';
  return alreadyStored === records ? ', all of them stored before' : `, ${formatCount(alreadyStored)} of them stored before`;
}
