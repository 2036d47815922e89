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
    code: isObject(report.code) ? { bytes: textsOf(report.code.bytes), faultAt: report.code.faultAt } : undefined,
    taints: listOf(report.taints).map(({ letter, meaning }) => `${toText(letter)} – ${toText(meaning)}`),
    incomplete: textsOf(report.incomplete).join('; '),
  };
}

function parse(json: string | undefined): Partial<KernelReport> | undefined {
  try {
    // A null stands for nothing, as a member that is left out does.
    const value: unknown = JSON.parse(json ?? 'null', (_key, member: unknown) => (member === null ? undefined : member));
    return isObject(value) ? value : undefined;
  } catch {
    // No JSON: the raw attribute is shown as any other.
    return undefined;
  }
}

function toFacts(report: Partial<KernelReport>): [string, string][] {
  const facts: [string, string][] = [];
  const add = (name: string, value: string | undefined): void => {
    if (value !== undefined && value !== '') facts.push([name, value]);
  };
  const { type, file, line, comm, pid, cpu, workqueue, address, waitedSeconds, release, hardware } = wordsOf(report);
  add('what', type);
  if (isObject(report.at)) add('where', whereOf(report.at));
  if (file !== undefined) add('source', `${file}:${line ?? 0}`);
  if (comm !== undefined) add('task', `${comm}${pid === undefined ? '' : ` (${pid})`}`);
  add('CPU', cpu);
  add('workqueue', workqueue);
  if (address !== undefined) add('address', `0x${address}`);
  if (waitedSeconds !== undefined) add('waited', `${waitedSeconds} s`);
  for (const one of listOf(report.killed)) {
    const sizes = pairsOf(one.sizesKb).map(([name, kb]) => `${name} ${kb} kB`);
    add('killed', `${wordsOf(one)['comm']} (${wordsOf(one)['pid']}), ${sizes.join(', ')}`);
  }
  for (const one of listOf(report.accesses).map(wordsOf)) {
    const size = one['size'] === undefined ? '' : ` of ${one['size']} bytes`;
    add('access', `${one['operation']}${size} at 0x${one['address'] ?? '?'}${one['by'] === undefined ? '' : ` by ${one['by']}`}`);
  }
  for (const one of listOf(report.locks).map(wordsOf)) add('lock', `${one['role']}: ${one['lock']} at ${one['at']}`);
  for (const one of listOf(report.machineChecks)) {
    const values = pairsOf(one.values).map(([name, value]) => `${name} ${value}`);
    add('bank', `CPU ${wordsOf(one)['cpu']} bank ${wordsOf(one)['bank']}: ${values.join(', ')}`);
  }
  for (const [name, value] of pairsOf(report.details)) add(name.replaceAll('_', ' '), value);
  for (const decoded of textsOf(report.decoded)) add('decoded', decoded);
  add('kernel', release);
  add('hardware', hardware);
  return facts;
}

function whereOf(frame: StackFrame): string {
  const { text, module } = toFrame(frame);
  return module === '' ? text : `${text} [${module}]`;
}

function toFrame(frame: StackFrame): ShownFrame {
  const { symbol = '', module = '', address, stack = '' } = wordsOf(frame);
  const text = symbol === '' ? `0x${address ?? '?'}` : `${symbol}${inHex('+', frame.offset)}${inHex('/', frame.size)}`;
  return { text, module, certain: frame.certain, stack: stack === 'TASK' ? '' : stack };
}

function inHex(sign: string, value: unknown): string {
  return typeof value === 'number' ? `${sign}0x${value.toString(16)}` : '';
}

/** Members that are text or numbers, as text: of all others none is asked how it would be written. */
function wordsOf(of: object): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(pairsOf(of));
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function listOf<Item>(list: readonly Item[] | undefined): readonly Item[] {
  return Array.isArray(list) ? (list as readonly Item[]).filter(isObject) : [];
}

function toText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function textsOf(list: readonly string[] | undefined): string[] {
  return Array.isArray(list) ? (list as unknown[]).map(toText) : [];
}

function pairsOf(record: object | undefined): [string, string][] {
  return Object.entries(isObject(record) ? record : {})
    .filter(([, value]) => typeof value === 'string' || typeof value === 'number')
    .map(([name, value]) => [name, String(value)]);
}
