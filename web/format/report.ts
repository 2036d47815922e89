/** Kernel reports among log records: the record's structured attribute, read with care, since anybody may have sent it. */
import type { LogRow } from '../../model/api.ts';
import type { KernelReport, StackFrame } from '../../model/kernel-report.ts';

const ATTRIBUTE = 'mk.report';

export function isReport(row: LogRow): boolean {
  return row.eventName.startsWith('kernel.') && row.attributes[ATTRIBUTE] !== undefined;
}

/** What the page shows of a report; members that are not of their type are left out. */
export interface ShownReport {
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly stacks: readonly { readonly title: string; readonly frames: readonly ShownFrame[] }[];
  readonly registers: readonly (readonly [name: string, value: string])[];
  readonly code: { readonly bytes: readonly string[]; readonly faultAt: number } | undefined;
  readonly taints: readonly string[];
  readonly incomplete: string;
}

export interface ShownFrame {
  readonly text: string;
  readonly module: string;
  readonly certain: boolean;
  readonly stack: string;
}

export function readReport(row: LogRow): ShownReport | undefined {
  const report = parse(row.attributes[ATTRIBUTE]);
  if (report === undefined) return undefined;
  return {
    facts: toFacts(report),
    stacks: listOf(report.stacks).map(({ title, frames }) => ({ title: toText(title), frames: listOf(frames).map(toFrame) })),
    registers: pairsOf(report.registers),
    code: report.code === undefined ? undefined : { bytes: textsOf(report.code.bytes), faultAt: report.code.faultAt },
    taints: listOf(report.taints).map(({ letter, meaning }) => `${letter} – ${meaning}`),
    incomplete: textsOf(report.incomplete).join('; '),
  };
}

function parse(json: string | undefined): Partial<KernelReport> | undefined {
  try {
    // A null stands for nothing, as a member that is left out does.
    const value: unknown = JSON.parse(json ?? 'null', (_key, member: unknown) => (member === null ? undefined : member));
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    // No JSON: the raw attribute is shown as any other.
    return undefined;
  }
}

function toFacts(report: Partial<KernelReport>): [string, string][] {
  const facts: [string, string][] = [];
  const add = (name: string, value: string | number | undefined): void => {
    if (value !== undefined && value !== '') facts.push([name, String(value)]);
  };
  add('what', report.type);
  add('where', report.at === undefined ? undefined : toFrame(report.at).text + inBrackets(report.at.module));
  add('source', report.file === undefined ? undefined : `${report.file}:${report.line ?? 0}`);
  add('task', report.comm === undefined ? undefined : `${report.comm}${report.pid === undefined ? '' : ` (${report.pid})`}`);
  add('CPU', report.cpu);
  add('workqueue', report.workqueue);
  add('address', report.address === undefined ? undefined : `0x${report.address}`);
  add('waited', report.waitedSeconds === undefined ? undefined : `${report.waitedSeconds} s`);
  for (const one of listOf(report.killed))
    add(
      'killed',
      `${one.comm} (${one.pid}), ${pairsOf(one.sizesKb)
        .map(([name, kb]) => `${name} ${kb} kB`)
        .join(', ')}`,
    );
  for (const one of listOf(report.accesses))
    add(
      'access',
      `${one.operation}${one.size === undefined ? '' : ` of ${one.size} bytes`} at 0x${one.address ?? '?'}${one.by === undefined ? '' : ` by ${one.by}`}`,
    );
  for (const one of listOf(report.locks)) add('lock', `${one.role}: ${one.lock} at ${one.at}`);
  for (const one of listOf(report.machineChecks))
    add(
      'bank',
      `CPU ${one.cpu} bank ${one.bank}: ${pairsOf(one.values)
        .map(([name, value]) => `${name} ${value}`)
        .join(', ')}`,
    );
  for (const [name, value] of pairsOf(report.details)) add(name.replaceAll('_', ' '), value);
  for (const line of textsOf(report.decoded)) add('decoded', line);
  add('kernel', report.release);
  add('hardware', report.hardware);
  return facts;
}

function toFrame({ symbol, offset, size, module, address, certain, stack }: StackFrame): ShownFrame {
  const place = offset === undefined ? '' : `+0x${offset.toString(16)}${size === undefined ? '' : `/0x${size.toString(16)}`}`;
  const text = symbol === '' ? `0x${address ?? '?'}` : `${symbol}${place}`;
  return { text, module: module ?? '', certain, stack: stack === 'TASK' ? '' : (stack ?? '') };
}

function inBrackets(module: string | undefined): string {
  return module === undefined ? '' : ` [${module}]`;
}

function listOf<Item>(list: readonly Item[] | undefined): readonly Item[] {
  return Array.isArray(list) ? (list as readonly Item[]).filter((item) => typeof item === 'object' && item !== null) : [];
}

function toText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function textsOf(list: readonly string[] | undefined): string[] {
  return Array.isArray(list) ? list.map(String) : [];
}

function pairsOf(record: Readonly<Record<string, string | number>> | undefined): [string, string][] {
  return typeof record === 'object' && record !== null ? Object.entries(record).map(([name, value]) => [name, String(value)]) : [];
}
