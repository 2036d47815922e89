/** Incidents as a table, and one of them in full. What a kernel wrote is escaped. */
import type { IncidentDetail, IncidentRow } from '../model/api.ts';
import type { IncidentSeverity } from '../model/incident.ts';
import { formatMoment } from './moment.ts';
import { type Column, renderRows } from './table.ts';
import { describeRecorded } from './recorder-table.ts';
import { escapeLine, type Paint, type Style } from './terminal.ts';
import { formatCount, formatErrorNs, formatSeconds } from './units.ts';

const STYLES: Readonly<Record<IncidentSeverity, Style>> = { critical: 'alarm', error: 'brightRed', warning: 'yellow', info: 'dim' };
/** Of those in flight the last ones; --json has all. */
const MAX_SHOWN_MESSAGES = 20;

const COLUMNS: readonly Column<IncidentRow>[] = [
  { title: 'ID', text: ({ id }) => id },
  { title: 'BEGAN', text: ({ firstUnixNs }) => formatMoment(BigInt(firstUnixNs), 'local') },
  { title: 'SEVERITY', text: ({ severity }) => severity, style: ({ severity }) => STYLES[severity] },
  { title: 'STATE', text: ({ state }) => state, style: ({ state }) => (state === 'open' ? 'bold' : undefined) },
  { title: 'KIND', text: ({ kind }) => kind },
  { title: 'MACHINE', text: ({ machineName }) => escapeLine(machineName) },
  { title: 'COUNT', align: 'right', text: ({ count }) => formatCount(count) },
  { title: 'WHAT', text: ({ title }) => escapeLine(title) },
];

export function renderIncidents(rows: readonly IncidentRow[], paint: Paint, width: number | undefined): string {
  return renderRows(COLUMNS, rows, paint, width);
}

export function renderIncident({ incident, from, to, kernels, gaps, inFlight, recorded }: IncidentDetail, paint: Paint): string {
  const { severity, state, resolvedUnixNs, firstUnixNs, lastUnixNs, errorNs, others, lastWords } = incident;
  const lasted = Number(BigInt(lastUnixNs) - BigInt(firstUnixNs)) / 1e9;
  const facts: readonly (readonly [string, string])[] = [
    ['id', incident.id],
    ['kind', `${incident.kind}, ${paint(STYLES[severity], severity)}`],
    ['machine', incident.machineName],
    ['kernel', incident.kernelId < 0 ? 'not known' : `${incident.kernelName} (${incident.kernelId})`],
    ['boot', incident.bootId],
    ['began', `${formatMoment(BigInt(firstUnixNs), 'iso')} ${formatErrorNs(errorNs)}`],
    ['lasted', lasted < 1 ? `${(lasted * 1000).toFixed(1)} ms` : formatSeconds(lasted)],
    [
      'state',
      state === 'open'
        ? `open: ${incident.resolution}`
        : `over since ${formatMoment(BigInt(resolvedUnixNs), 'iso')}: ${incident.resolution}`,
    ],
    ['signals', formatCount(incident.count)],
    ['noticed by', others.map(({ kernelName, kernelId }) => `${kernelName} (${kernelId})`).join(', ')],
    ['reason', incident.reason],
    ['evidence', incident.evidence],
  ];
  const lines = [paint('bold', escapeLine(incident.title)), ''];
  for (const [name, value] of facts) {
    // Only the severity is painted, and it is one of ours.
    if (value !== '') lines.push(`  ${paint('dim', name.padEnd(11))} ${name === 'kind' ? value : escapeLine(value)}`);
  }
  if (lastWords.length > 0)
    lines.push('', `Last words of ${escapeLine(incident.kernelName)}`, ...lastWords.map((line) => `  ${escapeLine(line)}`));
  if (kernels.length > 0) lines.push('', 'Kernels in the window');
  for (const kernel of kernels) {
    const clock = kernel.errorNs < 0 ? 'clock without a bound' : `clock ${formatErrorNs(kernel.errorNs)}`;
    lines.push(`  ${escapeLine(kernel.kernelName)} (${kernel.kernelId}): ${formatCount(kernel.records)} records, ${clock}`);
  }
  if (recorded !== undefined)
    lines.push('', 'Trace events of the flight recorders', ...describeRecorded(recorded).map((line) => `  ${line}`));
  if (inFlight.length > 0) lines.push('', `${inFlight.length} messages in flight: sent in the window, and nobody knows that they arrived`);
  for (const { sendUnixNs, senderName, receiverName, typeName, subtypeName, payloadBytes } of inFlight.slice(-MAX_SHOWN_MESSAGES)) {
    const type = `${typeName} ${subtypeName}`.trim();
    lines.push(
      `  ${formatMoment(BigInt(sendUnixNs), 'local')}  ${escapeLine(`${senderName} → ${receiverName}  ${type}, ${payloadBytes} bytes`)}`,
    );
  }
  if (gaps.length > 0) {
    const lost = gaps.reduce((sum, { count }) => sum + Math.max(0, count), 0);
    lines.push(
      '',
      paint(
        'yellow',
        `${gaps.length} known losses touch the window (${formatCount(lost)} records or more): what is not there may have been.`,
      ),
    );
  }
  lines.push(
    '',
    `  mkscope logs --since ${toTime(from)} --until ${toTime(to)}`,
    `  mkscope incidents export ${incident.id} > incident.html`,
  );
  return `${lines.join('\n')}\n`;
}

function toTime(unixNs: string): string {
  return new Date(Number(BigInt(unixNs) / 1_000_000n)).toISOString();
}
