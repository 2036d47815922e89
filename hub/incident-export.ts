/**
 * An incident as one HTML file that opens anywhere, without mkscope and without a network: the report, the last words, the log of
 * all kernels around it on both clocks, how sure the clocks are, known losses, and all of that once more as JSON. It holds no
 * program, and the browser is told to run none: what a kernel wrote is text.
 */
import type { GapRow, IkcMessage, IncidentDetail, LogRow } from '../model/api.ts';
import { LEVEL_NAMES } from '../model/severity.ts';
import { encodeCursor } from '../store/queries/cursor.ts';
import { queryLogs } from '../store/queries/logs.ts';
import type { Store } from '../store/store.ts';
import { bootsAround } from './incident-detail.ts';
import { EXPORT_STYLE } from './incident-export-style.ts';
import { Redactor } from './redact.ts';

/** Lines before the incident, and from it on; a flood is cut there. */
const MAX_LINES_BEFORE = 1_500;
const MAX_LINES_AFTER = 2_500;
const MAX_BODY_CHARS = 4_000;
/** Of all lines together: the file stays below some 6 MB. */
const MAX_TEXT_CHARS = 2_000_000;

interface ExportedIncident extends IncidentDetail {
  readonly exportedUnixNs: string;
  readonly redacted: boolean;
  readonly lines: readonly LogRow[];
  /** Lines of the window that are not in the file. */
  readonly linesLeftOut: number;
}

export async function exportIncident(store: Store, detail: IncidentDetail, version: string, redacts: boolean): Promise<string> {
  const lines = await readLines(store, detail);
  const total = detail.kernels.reduce((sum, { records }) => sum + records, 0);
  const whole: ExportedIncident = {
    ...detail,
    exportedUnixNs: `${Date.now()}000000`,
    redacted: redacts,
    lines,
    linesLeftOut: Math.max(0, total - lines.filter(({ stream }) => stream !== '').length),
  };
  const { machineId, machineName } = detail.incident;
  const data = redacts ? new Redactor([machineName, machineId]).redactAll(whole) : whole;
  return toPage(data, version);
}

async function readLines(store: Store, { incident, from, to, kernels }: IncidentDetail): Promise<LogRow[]> {
  const boots = bootsAround(incident, kernels);
  const before = await queryLogs(store, { boots, from, to: String(BigInt(incident.firstUnixNs) - 1n), limit: MAX_LINES_BEFORE });
  const cursor = encodeCursor('newer', [incident.firstUnixNs, '', '', '0', '0']);
  const after = await queryLogs(store, { boots, from: incident.firstUnixNs, to, limit: MAX_LINES_AFTER, cursor });
  const lines: LogRow[] = [];
  let chars = 0;
  for (const row of [...before.rows, ...after.rows]) {
    const body = row.body.slice(0, MAX_BODY_CHARS);
    chars += body.length;
    if (chars > MAX_TEXT_CHARS) break;
    lines.push({ ...row, body, attributes: {} });
  }
  return lines;
}

function toPage(data: ExportedIncident, version: string): string {
  const { incident, gaps } = data;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>${toHtml(incident.title)}</title>
<style>${EXPORT_STYLE}</style>
</head>
<body>
<header>
<p class="tag ${incident.severity}">${incident.severity} · ${toHtml(incident.kind.replaceAll('_', ' '))} · ${incident.state}</p>
<h1>${toHtml(incident.title)}</h1>
<p class="reason">${toHtml(incident.reason)}</p>
${incident.evidence === '' ? '' : `<pre class="evidence">${toHtml(incident.evidence)}</pre>`}
</header>
${toWarnings(data)}
${toFacts(data)}
${incident.lastWords.length === 0 ? '' : `<h2>Last words of ${toHtml(incident.kernelName)}</h2>\n<pre>${incident.lastWords.map(toHtml).join('\n')}</pre>`}
${toKernels(data)}
${toRecorded(data)}
${toGaps(gaps)}
${toMessages(data.inFlight)}
${toLog(data)}
<footer>mkscope ${toHtml(version)} · exported ${formatUtc(data.exportedUnixNs, 0)}${data.redacted ? ' · redacted' : ''}</footer>
<script type="application/json" id="mkscope-incident">${toSafeJson(data)}</script>
</body>
</html>
`;
}

/** What a reader must know before he concludes anything. */
function toWarnings({ gaps, linesLeftOut, kernels, incident }: ExportedIncident): string {
  const notes: string[] = [];
  if (gaps.length > 0) {
    const lost = gaps.reduce((sum, { count }) => sum + Math.max(0, count), 0);
    const streams = [...new Set(gaps.map(({ kernelName, stream }) => `${kernelName} ${stream}`))].join(', ');
    notes.push(
      `${gaps.length === 1 ? 'A known loss touches' : `${gaps.length} known losses touch`} this window (${lost} records or more, of ${streams}): what is not here may have been, and a conclusion from its absence is not safe.`,
    );
  }
  const worst = kernels.reduce((most, { errorNs }) => Math.max(most, errorNs), -1);
  if (kernels.some(({ errorNs }) => errorNs < 0))
    notes.push('The clock of a kernel here has no bound: its lines may stand anywhere against those of the others.');
  else if (kernels.length > 1 && worst >= 1_000_000)
    notes.push(
      `Times are sure to ± ${formatSpan(worst)} at worst; lines of two kernels that are closer than their bounds (≈) may stand in the wrong order.`,
    );
  if (linesLeftOut > 0) notes.push(`${linesLeftOut} lines of the window are left out: this file is bounded.`);
  if (incident.state === 'open') notes.push(`It was not over when this was written: ${incident.resolution}.`);
  return notes.length === 0 ? '' : `<ul class="notes">${notes.map((note) => `<li>${toHtml(note)}</li>`).join('')}</ul>`;
}

function toFacts({ incident }: ExportedIncident): string {
  const { firstUnixNs, lastUnixNs, resolvedUnixNs, errorNs, others } = incident;
  const facts: readonly (readonly [string, string])[] = [
    ['id', incident.id],
    ['machine', incident.machineName],
    ['kernel', incident.kernelId < 0 ? 'not known' : `${incident.kernelName} (${incident.kernelId})`],
    ['boot', incident.bootId],
    ['began', `${formatUtc(firstUnixNs, 9)}${errorNs < 0 ? ', no bound' : ` ± ${formatSpan(errorNs)}`}`],
    ['lasted', formatSpan(Number(BigInt(lastUnixNs) - BigInt(firstUnixNs)))],
    ['over', resolvedUnixNs === '' ? `no: ${incident.resolution}` : `${formatUtc(resolvedUnixNs, 6)}: ${incident.resolution}`],
    ['signals', String(incident.count)],
    ['noticed by', others.map(({ kernelName, kernelId }) => `${kernelName} (${kernelId})`).join(', ')],
  ];
  const rows = facts.filter(([, value]) => value !== '').map(([name, value]) => `<dt>${name}</dt><dd>${toHtml(value)}</dd>`);
  return `<dl>${rows.join('')}</dl>`;
}

function toKernels({ kernels, incident }: ExportedIncident): string {
  if (kernels.length === 0) return '';
  const rows = kernels.map(
    ({ kernelId, kernelName, bootId, release, records, clock, errorNs }) =>
      `<tr><td>${bootId === incident.bootId ? '▸ ' : ''}${toHtml(kernelName)} (${kernelId})</td><td>${toHtml(release)}</td><td>${toHtml(bootId)}</td><td class="n">${records}</td><td>${toHtml(clock)}</td><td class="n">${errorNs < 0 ? 'no bound' : `± ${formatSpan(errorNs)}`}</td></tr>`,
  );
  return `<h2>Kernels in the window</h2>
<table><thead><tr><th>kernel</th><th>release</th><th>boot</th><th>records</th><th>clock</th><th>time is sure to</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

function toRecorded({ recorded }: ExportedIncident): string {
  if (recorded === undefined) return '';
  const rows = recorded.kernels.map(({ kernelId, kernelName, events, sentEvents, isComplete, sinceUnixNs }) => {
    const isGone = sinceUnixNs === '' || BigInt(sinceUnixNs) > BigInt(recorded.fromUnixNs);
    const missing = sinceUnixNs === '' ? 'nothing is kept' : isGone ? `what was before ${formatUtc(sinceUnixNs, 6)}` : '';
    return `<tr><td>${toHtml(kernelName)} (${kernelId})</td><td class="n">${events}</td><td class="n">${sentEvents}${isComplete ? '' : ' so far'}</td><td>${missing}</td></tr>`;
  });
  return `<h2>Trace events of the flight recorders</h2>
<table><thead><tr><th>kernel</th><th>requested</th><th>arrived</th><th>not kept any more</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

function toGaps(gaps: readonly GapRow[]): string {
  if (gaps.length === 0) return '';
  const rows = gaps.map(
    ({ kernelName, stream, cpu, fromUnixNs, toUnixNs, count, detail }) =>
      `<tr><td>${formatUtc(fromUnixNs, 6)}</td><td class="n">${formatSpan(Number(BigInt(toUnixNs) - BigInt(fromUnixNs)))}</td><td>${toHtml(kernelName)}</td><td>${toHtml(stream)}${cpu < 0 ? '' : ` CPU ${cpu}`}</td><td class="n">${count < 0 ? 'unknown' : count}</td><td>${toHtml(detail)}</td></tr>`,
  );
  return `<h2>Known losses</h2>
<table><thead><tr><th>from</th><th>for</th><th>kernel</th><th>stream</th><th>records</th><th>why</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

function toMessages(messages: readonly IkcMessage[]): string {
  if (messages.length === 0) return '';
  const rows = messages.map(
    ({ sendUnixNs, senderName, senderId, receiverName, receiverId, typeName, subtypeName, payloadBytes, state, reason }) =>
      `<tr><td>${formatUtc(sendUnixNs, 6).slice(11)}</td><td>${toHtml(`${senderName} (${senderId}) → ${receiverName} (${receiverId})`)}</td><td>${toHtml(`${typeName} ${subtypeName}`)}</td><td class="n">${payloadBytes}</td><td>${toHtml(`${state} ${reason.replaceAll('_', ' ')}`)}</td></tr>`,
  );
  return `<h2>Messages in flight</h2>
<p>Sent in the window, and nobody knows that they arrived.</p>
<table><thead><tr><th>sent</th><th>from → to</th><th>type</th><th>bytes</th><th>state</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

function toLog({ lines, incident, gaps }: ExportedIncident): string {
  const rows = lines.map((line, at) => {
    const { unixNs, raw, kernelName, level, body, bootId, eventName } = line;
    const isNear = isOrderUnsure(line, lines[at - 1]) || isOrderUnsure(line, lines[at + 1]);
    const inGap = gaps.some(
      (gap) => gap.bootId === bootId && BigInt(gap.fromUnixNs) <= BigInt(unixNs) && BigInt(gap.toUnixNs) >= BigInt(unixNs),
    );
    const classes = [
      `l${level}`,
      bootId === incident.bootId ? 'own' : '',
      eventName.startsWith('kernel.') ? 'report' : '',
      inGap ? 'gap' : '',
    ];
    const stamp = raw === '-1' ? '' : formatRaw(raw, line.clock);
    return `<tr class="${classes.filter((one) => one !== '').join(' ')}"><td>${isNear ? '≈ ' : ''}${formatUtc(unixNs, 6).slice(11)}</td><td>${stamp}</td><td>${toHtml(kernelName)}</td><td>${LEVEL_NAMES[level] ?? ''}</td><td class="b">${eventName.startsWith('kernel.') ? '■ ' : ''}${toHtml(body)}</td></tr>`;
  });
  if (rows.length === 0) return '<h2>Log</h2><p>No line of the window is stored any more.</p>';
  const day = formatUtc(lines[0]?.unixNs ?? '0', 0).slice(0, 10);
  return `<h2>Log of all kernels, from ${day} on, UTC</h2>
<table class="log"><thead><tr><th>time</th><th>own stamp</th><th>kernel</th><th>level</th><th>text</th></tr></thead><tbody>${rows.join('\n')}</tbody></table>`;
}

/** Neighbours of two kernels that are closer than what is known of their clocks. */
function isOrderUnsure(line: LogRow, other: LogRow | undefined): boolean {
  if (other === undefined || other.bootId === line.bootId) return false;
  const apartNs = BigInt(line.unixNs) - BigInt(other.unixNs);
  const boundNs = BigInt(Math.max(0, line.errorNs) + Math.max(0, other.errorNs));
  return line.errorNs < 0 || other.errorNs < 0 || (apartNs < 0n ? -apartNs : apartNs) < boundNs;
}

/** As printk shows it, where the clock counts ns since boot. */
function formatRaw(raw: string, clock: string): string {
  if (clock === 'x86-tsc' || clock === 'counter') return raw;
  const micros = BigInt(raw) / 1000n;
  return `[${micros / 1_000_000n}.${String(micros % 1_000_000n).padStart(6, '0')}]`;
}

function formatUtc(unixNs: string, digits: number): string {
  const ns = BigInt(unixNs);
  const seconds = new Date(Number(ns / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  const fraction = String(ns % 1_000_000_000n)
    .padStart(9, '0')
    .slice(0, digits);
  return `${seconds.replace('T', ' ')}${digits === 0 ? '' : `.${fraction}`}`;
}

function formatSpan(ns: number): string {
  if (ns < 1_000) return `${ns} ns`;
  if (ns < 1_000_000) return `${(ns / 1e3).toPrecision(3)} µs`;
  if (ns < 1_000_000_000) return `${(ns / 1e6).toPrecision(3)} ms`;
  return ns < 120e9 ? `${(ns / 1e9).toPrecision(3)} s` : `${Math.round(ns / 60e9)} min`;
}

// Control characters but tab and newline, and those that turn text around or hide it: shown, not obeyed.
// oxlint-disable-next-line no-control-regex -- control characters are what it is about
const UNSAFE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Still the same value; nothing of it ends the element, or reaches a reader who looks at the source. */
function toSafeJson(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll('<', String.raw`\u003c`)
    .replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function toHtml(text: string): string {
  return text
    .replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char);
}
