/** What a kernel report says, as lines of `name  value` under its title. */
import { ATTR } from '../model/attributes.ts';
import type { LogRow } from '../model/api.ts';
import { readKernelReport, type KernelReport, type StackFrame } from '../model/kernel-report.ts';
import { escapeLine } from './terminal.ts';

const NAME_WIDTH = 11;
const REGISTERS_PER_LINE = 3;
/** Of each stack; the log's own lines have all. */
const MAX_FRAMES = 40;

/** Empty where the row brings no report that can be read. */
export function formatReport(row: LogRow): string[] {
  const report = readKernelReport(row.attributes[ATTR.report]);
  if (report === undefined) return [];
  const lines: string[] = [];
  const add = (name: string, ...values: readonly string[]): void => {
    for (const [index, value] of values.entries()) lines.push(`${(index === 0 ? name : '').padEnd(NAME_WIDTH)}${escapeLine(value)}`);
  };
  addHead(report, add);
  for (const { title, frames } of report.stacks) {
    const shown = frames.slice(0, MAX_FRAMES).map(formatFrame);
    if (frames.length > MAX_FRAMES) shown.push(`… ${frames.length - MAX_FRAMES} more`);
    add('trace', ...(title === 'Call Trace' ? shown : [title, ...shown]));
  }
  if (report.code !== undefined) {
    add('code', report.code.bytes.map((byte, index) => (index === report.code?.faultAt ? `<${byte}>` : byte)).join(' '));
  }
  add('registers', ...inLines(Object.entries(report.registers ?? {}).map(([name, value]) => `${name} ${value}`)));
  if (report.incomplete.length > 0) add('incomplete', report.incomplete.join('; '));
  const count = row.attributes[ATTR.reportLines] ?? '';
  const [first, last] = [row.attributes[ATTR.reportFirst] ?? '', row.attributes[ATTR.reportLast] ?? ''];
  add('lines', `${count} of ${row.attributes[ATTR.stream] ?? ''}, ${first} to ${last}`);
  return lines;
}

function addHead(report: KernelReport, add: (name: string, ...values: readonly string[]) => void): void {
  const { comm, pid, cpu, release, hardware, taints, decoded, killed, locks, accesses, machineChecks, details } = report;
  if (report.at !== undefined) add('where', formatFrame(report.at));
  if (report.file !== undefined) add('source', `${report.file}:${report.line ?? 0}`);
  const task = comm === undefined ? '' : `${comm}${pid === undefined ? '' : `[${pid}]`}`;
  if (task !== '' || cpu !== undefined) add('task', [task, cpu === undefined ? '' : `CPU ${cpu}`].filter((part) => part !== '').join(', '));
  if (report.workqueue !== undefined) add('workqueue', report.workqueue);
  if (report.waitedSeconds !== undefined) add('waited', `${report.waitedSeconds} s`);
  if (release !== undefined) add('kernel', [release, hardware ?? ''].filter((part) => part !== '').join(', '));
  add('taint', ...(taints ?? []).map(({ letter, meaning }) => `${letter} ${meaning}`));
  add('decoded', ...(decoded ?? []));
  add('killed', ...(killed ?? []).map((one) => `${one.comm}[${one.pid}] ${inPairs(one.sizesKb, ' kB')}`));
  add('locks', ...(locks ?? []).map(({ lock, role, at }) => `${role}: ${lock} at ${at}`));
  add(
    'access',
    ...(accesses ?? []).map(
      (one) =>
        `${one.operation}${one.size === undefined ? '' : ` of ${one.size} bytes`} at ${one.address ?? '?'}${one.by === undefined ? '' : ` by ${one.by}`}`,
    ),
  );
  add('banks', ...(machineChecks ?? []).map(({ cpu: on, bank, values }) => `CPU ${on} bank ${bank}: ${inPairs(values)}`));
  for (const [name, value] of Object.entries(details ?? {})) add(name.slice(0, NAME_WIDTH - 1), value);
}

function formatFrame({ symbol, offset, size, module, address, certain, stack }: StackFrame): string {
  const place = offset === undefined ? '' : `+0x${offset.toString(16)}${size === undefined ? '' : `/0x${size.toString(16)}`}`;
  const name = symbol === '' ? `0x${address ?? '?'}` : `${symbol}${place}`;
  const where = stack === undefined || stack === 'TASK' ? '' : `  <${stack}>`;
  return `${certain ? '' : '? '}${name}${module === undefined ? '' : ` [${module}]`}${where}`;
}

function inPairs(values: Readonly<Record<string, string | number>>, unit = ''): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${value}${unit}`)
    .join(', ');
}

function inLines(texts: readonly string[]): string[] {
  const lines: string[] = [];
  for (let at = 0; at < texts.length; at += REGISTERS_PER_LINE) {
    lines.push(
      texts
        .slice(at, at + REGISTERS_PER_LINE)
        .map((text) => text.padEnd(28))
        .join(' ')
        .trimEnd(),
    );
  }
  return lines;
}
