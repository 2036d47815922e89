/**
 * Which incident each fault of the lab is, as data, and what holds a running lab against it: it comes, once, of the right kernel and
 * with the right reason, and nothing else does. docs/incidents.md has the table of a run.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { askLab } from '../../deploy/lab/control.ts';
import type { TrafficPlan } from '../../deploy/lab/traffic.ts';
import type { IncidentRow, KernelList } from '../../model/api.ts';
import type { IncidentKind } from '../../model/incident.ts';
import { until, type RunningLab } from './running-lab.ts';

export interface Expected {
  readonly kind: IncidentKind;
  readonly kernel: string;
  readonly reason: RegExp;
}

export interface MenuEntry {
  readonly fault: string;
  readonly kernel: string;
  readonly value?: string;
  /** What must come; nothing else may. Without any: nothing may. */
  readonly expected?: Expected;
  /** What may come beside it or instead of it, where that hangs on who is faster. */
  readonly allowed?: Expected;
  /** Traffic that goes on meanwhile: what some faults need in order to show. */
  readonly traffic?: { readonly from: string; readonly to: string; readonly plan: Partial<TrafficPlan> };
  /** How it ends: the fault that undoes it, or a start of the kernel. */
  readonly ends?: 'start' | 'resume' | 'ring-drain' | 'unskew';
  /** How long nothing else may come, ms. */
  readonly quietMs?: number;
}

/** A silence is told after 20 s, a report of a kernel a few seconds after its last line; on a busy machine all of it takes longer. */
const WITHIN_MS = 120_000;
const POLL_MS = 250;
const QUIET_MS = 6_000;
const START_MS = 90_000;
const BOOKS_MS = 8_000;

const toSpawn = (plan: Partial<TrafficPlan>): NonNullable<MenuEntry['traffic']> => ({ from: 'host', to: 'spawn1', plan });

/** In an order in which none spoils the next: after an oops a kernel looks for hung tasks no more, two lockups within 90 s are one. */
export const FAULT_MENU: readonly MenuEntry[] = [
  { fault: 'clock-step', kernel: 'spawn1' },
  { fault: 'clock-step', kernel: 'spawn1', value: '-3600' },
  { fault: 'warn', kernel: 'spawn1', value: '2' },
  {
    fault: 'warn',
    kernel: 'spawn2',
    expected: { kind: 'warn_storm', kernel: 'spawn2', reason: /mkfault: warning 1 of 20/ },
  },
  {
    fault: 'hung-task',
    kernel: 'spawn1',
    expected: { kind: 'hung_task', kernel: 'spawn1', reason: /mkfault/ },
    quietMs: 12_000,
  },
  {
    fault: 'soft-lockup',
    kernel: 'spawn1',
    expected: { kind: 'lockup', kernel: 'spawn1', reason: /lockup|stall/ },
    quietMs: 12_000,
  },
  {
    fault: 'rcu-stall',
    kernel: 'spawn2',
    expected: { kind: 'lockup', kernel: 'spawn2', reason: /lockup|stall/ },
    quietMs: 12_000,
  },
  { fault: 'hard-lockup', kernel: 'host', expected: { kind: 'lockup', kernel: 'host', reason: /lockup|stall/ }, quietMs: 14_000 },
  { fault: 'oom', kernel: 'spawn2', expected: { kind: 'oom', kernel: 'spawn2', reason: /tail/ } },
  {
    fault: 'ring-full',
    kernel: 'spawn1',
    traffic: toSpawn({ count: 300, rate: 0, whenFull: 'drop' }),
    expected: { kind: 'ring_full', kernel: 'host', reason: /IPI ring full for instance 1/ },
    ends: 'ring-drain',
  },
  {
    fault: 'ack-drop',
    kernel: 'spawn1',
    traffic: toSpawn({ count: 1, kind: 'request' }),
    expected: { kind: 'ikc_timeout', kernel: 'host', reason: /^Timeout waiting for operation 0x/ },
  },
  { fault: 'ack-delay', kernel: 'spawn1', traffic: toSpawn({ count: 5, kind: 'request' }) },
  {
    fault: 'printk-flood',
    kernel: 'spawn1',
    expected: { kind: 'loss_burst', kernel: 'spawn1', reason: /^lost: kmsg_overwritten/ },
  },
  {
    fault: 'trace-overrun',
    kernel: 'spawn2',
    expected: { kind: 'loss_burst', kernel: 'spawn2', reason: /^lost: ring_/ },
  },
  { fault: 'collector-kill', kernel: 'host', quietMs: 12_000 },
  {
    fault: 'forwarder-kill',
    kernel: 'spawn1',
    allowed: { kind: 'loss_burst', kernel: 'spawn1', reason: /^lost: ring_lost/ },
    quietMs: 12_000,
  },
  { fault: 'clock-source', kernel: 'spawn1' },
  {
    fault: 'clock-skew',
    kernel: 'spawn2',
    traffic: { from: 'host', to: 'spawn2', plan: { count: 200, rate: 40 } },
    ends: 'unskew',
    quietMs: 10_000,
  },
  {
    fault: 'hang',
    kernel: 'spawn2',
    expected: { kind: 'silent_kernel', kernel: 'spawn2', reason: /^nothing received from spawn2/ },
    ends: 'resume',
  },
  { fault: 'oops', kernel: 'spawn2', expected: { kind: 'oops', kernel: 'spawn2', reason: /NULL pointer dereference/ }, quietMs: 12_000 },
  { fault: 'bug', kernel: 'spawn1', expected: { kind: 'oops', kernel: 'spawn1', reason: /BUG/ }, quietMs: 12_000 },
  { fault: 'power-off', kernel: 'spawn1', expected: { kind: 'stopped', kernel: 'spawn1', reason: /power/i }, ends: 'start' },
  { fault: 'halt', kernel: 'spawn1', expected: { kind: 'stopped', kernel: 'spawn1', reason: /power|halt/i }, ends: 'start' },
  { fault: 'kill', kernel: 'spawn1', expected: { kind: 'killed', kernel: 'spawn1', reason: /force|NMI/i }, ends: 'start' },
  { fault: 'panic', kernel: 'spawn2', expected: { kind: 'panic', kernel: 'spawn2', reason: /sysrq triggered crash/ }, ends: 'start' },
  {
    fault: 'power-cut',
    kernel: 'spawn2',
    expected: { kind: 'silent_kernel', kernel: 'spawn2', reason: /^nothing received from spawn2/ },
    quietMs: 10_000,
  },
];

export interface MenuResult {
  readonly entry: MenuEntry;
  readonly took: readonly IncidentRow[];
  /** Until the incident stood in the list, ms; undefined where none is due. */
  readonly afterMs: number | undefined;
  /** Empty = as the menu says. */
  readonly wrong: string;
}

export class MenuRun {
  readonly #lab: RunningLab;
  readonly #known = new Set<string>();

  constructor(lab: RunningLab) {
    this.#lab = lab;
  }

  /** All incidents that no earlier fault accounts for. */
  async fresh(): Promise<readonly IncidentRow[]> {
    const { incidents } = await this.#lab.getJson<{ incidents: readonly IncidentRow[] }>('/api/incidents?limit=5000');
    return incidents.filter(({ id }) => !this.#known.has(id));
  }

  /** Injects it, waits for what is due and for what is not, and ends it. */
  async run(entry: MenuEntry): Promise<MenuResult> {
    const { fault, kernel, value = '', expected, traffic, quietMs = QUIET_MS } = entry;
    const startMs = performance.now();
    await askLab(this.#lab.name, { command: 'fault', kernel, fault, value });
    if (traffic !== undefined) await sendTraffic(this.#lab, traffic.from, traffic.to, traffic.plan);
    const afterMs = expected === undefined ? undefined : await this.#waitFor(expected, startMs);
    await sleep(quietMs);
    await this.#end(entry);
    const took = await this.fresh();
    for (const { id } of took) this.#known.add(id);
    return { entry, took, afterMs, wrong: judge(entry, took) };
  }

  async #waitFor({ kind, kernel }: Expected, startMs: number): Promise<number | undefined> {
    for (;;) {
      const found = (await this.fresh()).some((row) => row.kind === kind && row.kernelName === kernel);
      const afterMs = performance.now() - startMs;
      if (found) return afterMs;
      if (afterMs > WITHIN_MS) return undefined;
      await sleep(POLL_MS);
    }
  }

  async #end({ kernel, ends }: MenuEntry): Promise<void> {
    const lab = this.#lab;
    const ask = (command: string, more: object): Promise<unknown> => askLab(lab.name, { command, kernel, ...more });
    if (ends === 'start') {
      const before = await countBoots(lab, kernel);
      await ask('start', {});
      await until(
        `${kernel} is up`,
        async () => (await lab.status()).kernels.some((one) => one.name === kernel && one.guest === 'up'),
        START_MS,
      );
      await until(`the new boot of ${kernel}`, async () => (await countBoots(lab, kernel)) > before, START_MS);
      // Nobody misses a kernel of which less than three seconds of books have come.
      await sleep(BOOKS_MS);
    } else if (ends === 'unskew') await ask('fault', { fault: 'clock-skew', value: '0' });
    else if (ends !== undefined) await ask('fault', { fault: ends, value: '' });
  }
}

/** Incarnations of a kernel that the hub has heard. */
export async function countBoots(lab: RunningLab, kernel: string): Promise<number> {
  const { kernels } = await lab.getJson<KernelList>('/api/kernels');
  return kernels.filter(({ kernelName }) => kernelName === kernel).length;
}

export function isOf({ kind, kernelName, reason }: IncidentRow, expected: Expected): boolean {
  return kind === expected.kind && kernelName === expected.kernel && expected.reason.test(reason);
}

function judge({ expected, allowed }: MenuEntry, took: readonly IncidentRow[]): string {
  const others = took.filter((row) => allowed === undefined || !isOf(row, allowed));
  const [first, ...more] = others;
  const tell = (rows: readonly IncidentRow[]): string => rows.map(({ kind, title, reason }) => `${kind} «${title}» (${reason})`).join('; ');
  if (expected === undefined) return first === undefined ? '' : `none is due: ${tell(others)}`;
  if (first === undefined) return `no ${expected.kind} came`;
  return isOf(first, expected) && more.length === 0 ? '' : `one ${expected.kind} of ${expected.kernel} is due: ${tell(others)}`;
}

export async function sendTraffic(lab: RunningLab, from: string, to: string, plan: Partial<TrafficPlan>): Promise<void> {
  const whole: TrafficPlan = { count: 1, rate: 0, size: '16-512', senders: 1, burst: 1, kind: 'user', whenFull: 'retry', ...plan };
  await askLab(lab.name, { command: 'traffic', from, to, plan: whole });
}

export const MENU_HEAD = '| fault | kernel | incident | reason | after | |\n| --- | --- | --- | --- | --- | --- |';

export function toLine({ entry, took, afterMs, wrong }: MenuResult): string {
  const cell = (text: string): string => text.replace(/[|\n]/g, ' ').slice(0, 120);
  const [first] = took;
  const fault = entry.value === undefined ? `\`${entry.fault}\`` : `\`${entry.fault} ${entry.value}\``;
  const came = first === undefined ? 'none' : took.map(({ kind, state }) => `\`${kind}\`, ${state}`).join('; ');
  const after = afterMs === undefined ? '' : `${(afterMs / 1000).toFixed(1)} s`;
  return `| ${fault} | ${entry.kernel} | ${came} | ${cell(first?.reason ?? '')} | ${after} | ${wrong === '' ? 'as it must be' : `**${cell(wrong)}**`} |`;
}
