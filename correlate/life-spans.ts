/**
 * Lives as spans: one trace for each, in which the spans of the host and of the spawned kernel stand below the whole.
 *
 *   instance life                 first message … last
 *   ├─ instance create            Creating instance … created successfully
 *   ├─ instance load              kexec_file_load … last line of it
 *   ├─ instance start             a CPU is handed over … is now active
 *   ├─ instance run               is now active … halted          status: error where it panicked, was lost or killed
 *   │  ├─ kernel boot             first line … Run … as init       (of the spawned kernel, on its own clock)
 *   │  └─ kernel stop             panic, power-off, request … shutting down
 *   └─ instance remove            Removing instance … removed successfully
 *
 * A span is made once all that it says is known, and never changed: it is known again by its id, which comes from what it tells
 * of. The whole is made when the instance is gone or started anew.
 */
import { ATTR } from '../model/attributes.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import type { HostLife, Life, LifeEvent } from './tell-lives.ts';
import type { SpawnBoot } from './read-boots.ts';

export const LIFE_SPANS = [
  'instance life',
  'instance create',
  'instance load',
  'instance start',
  'instance run',
  'kernel boot',
  'kernel stop',
  'instance remove',
] as const;
export type LifeSpanName = (typeof LIFE_SPANS)[number];

export type InstanceEnd = 'panic' | 'panic_or_restart' | 'force_kill' | 'halt' | 'power_off' | 'restart' | 'lost' | 'unknown';

export interface LifeSpan {
  readonly name: LifeSpanName;
  readonly parent: LifeSpanName | undefined;
  /** Boot of the kernel that tells of it. */
  readonly bootId: string;
  readonly startNs: bigint;
  readonly endNs: bigint;
  /** Same for the same thing, however often and from whatever it is told; several where it was told with less known. */
  readonly keys: readonly string[];
  /** Why the span is an error. */
  readonly error: string | undefined;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  readonly events: readonly { readonly timeNs: bigint; readonly name: string }[];
}

const FAILED: ReadonlySet<InstanceEnd> = new Set(['panic', 'panic_or_restart', 'force_kill', 'lost']);

/** Spans that are over; `isFinal`: nothing more will come of these logs. */
export function toLifeSpans(life: Life, isFinal: (bootId: string) => boolean): LifeSpan[] {
  const { host } = life;
  const told = life.boots.flatMap((boot) => bootSpans(life, boot, host === undefined ? 'instance life' : 'instance run'));
  // Told over two ways, by the kernel's own first.
  const once = told.filter((span, index) => told.findIndex(({ name }) => name === span.name) === index);
  if (host !== undefined) return [...hostSpans(life, host, isFinal(host.bootId)), ...once];
  const whole = ownLife(life, isFinal);
  return whole === undefined ? once : [whole, ...once];
}

function hostSpans(life: Life, host: HostLife, isFinal: boolean): LifeSpan[] {
  const { createBegin, created, loadBegin, loadEnd, startBegin, active, startError, halted, removeBegin, removed } = host;
  const spans: (LifeSpan | undefined)[] = [
    spanOf(life, 'instance create', createBegin, created, host.cpus === '' ? {} : { 'mk.cpu.list': host.cpus }),
    host.startBegin !== undefined || host.unloaded !== undefined || host.isOver || isFinal
      ? spanOf(life, 'instance load', loadBegin, loadEnd, pick(loadBegin, 'mk.load.flags'))
      : undefined,
    spanOf(life, 'instance start', startBegin, active, pick(startBegin, 'mk.cpu.physical', 'mk.cpu.logical', 'mk.cpu.count')),
    startError === undefined ? undefined : failedStart(life, startError),
    spanOf(life, 'instance remove', removeBegin, removed),
  ];
  const stop = halted ?? host.lost;
  if (active !== undefined && stop !== undefined) spans.push(runSpan(life, host, active, stop));
  if (host.isOver || isFinal) spans.push(wholeSpan(life, host));
  return spans.filter((span) => span !== undefined);
}

function runSpan(life: Life, host: HostLife, active: LifeEvent, stop: LifeEvent): LifeSpan | undefined {
  const { end, reason } = findEnd(life);
  const span = spanOf(life, 'instance run', active, stop, { [ATTR.instanceEnd]: end });
  if (span === undefined) return undefined;
  const events = [host.kill, host.peerStop].filter((event) => event !== undefined).map(toSpanEvent);
  return { ...span, error: FAILED.has(end) ? reason : undefined, events };
}

function wholeSpan(life: Life, host: HostLife): LifeSpan | undefined {
  const { end } = findEnd(life);
  const attributes = host.active === undefined ? {} : { [ATTR.instanceEnd]: host.halted === undefined ? 'unknown' : end };
  const span = spanOf(life, 'instance life', host.first, host.last, attributes);
  if (span === undefined) return undefined;
  const marks = [host.created, host.loadBegin, host.active, host.kill, host.halted, host.unloaded, host.removed];
  return { ...span, parent: undefined, events: marks.filter((event) => event !== undefined).map(toSpanEvent) };
}

/** Of a spawned kernel whose host told nothing. */
function ownLife(life: Life, isFinal: (bootId: string) => boolean): LifeSpan | undefined {
  const [boot] = life.boots;
  if (boot === undefined || (boot.stopping === undefined && !isFinal(boot.bootId))) return undefined;
  const { end, reason } = findEnd(life);
  const span = spanOf(life, 'instance life', boot.first, boot.last, { [ATTR.instanceEnd]: end });
  return span && { ...span, parent: undefined, error: FAILED.has(end) ? reason : undefined };
}

function failedStart(life: Life, event: LifeEvent): LifeSpan | undefined {
  const span = spanOf(life, 'instance start', event, event);
  return span && { ...span, error: 'the kernel could not be started' };
}

function bootSpans(life: Life, boot: SpawnBoot, parent: LifeSpanName): LifeSpan[] {
  const { first, ready, ends, stopping, hasBegin } = boot;
  const active = life.host?.active;
  const spans: (LifeSpan | undefined)[] = [];
  if (hasBegin && ready !== undefined) {
    const version = pick(ready, 'mk.init.path');
    // Before it is stable, a kernel's clock runs behind: by this much the boot took longer than its stamps say.
    const step = Number(boot.stable?.fields['mk.clock.stable.d'] ?? 0);
    spans.push(spanOf(life, 'kernel boot', first, ready, step === 0 ? version : { ...version, 'mk.clock.step_ns': -step }));
  }
  const [begin] = ends;
  const last = stopping ?? ends.at(-1);
  if (begin !== undefined && last !== undefined) {
    const { end, reason } = readEnd(boot);
    const span = spanOf(life, 'kernel stop', begin, last, { [ATTR.instanceEnd]: end });
    spans.push(span && { ...span, error: FAILED.has(end) ? reason : undefined });
  }
  // The host's line names the boot better than its own: it is the same one whichever way the boot was told over.
  const keysOf = ({ name, keys }: LifeSpan): LifeSpan['keys'] => (active === undefined ? keys : [keyOf(name, life.id, active), ...keys]);
  return spans.filter((span) => span !== undefined).map((span) => Object.assign(span, { parent, keys: keysOf(span) }));
}

function spanOf(
  life: Life,
  name: LifeSpanName,
  from: LifeEvent | undefined,
  to: LifeEvent | undefined,
  attributes: LifeSpan['attributes'] = {},
): LifeSpan | undefined {
  if (from === undefined || to === undefined) return undefined;
  const errorNs = Math.max(from.errorNs, to.errorNs);
  return {
    name,
    parent: 'instance life',
    bootId: from.bootId,
    startNs: from.unixNs,
    endNs: endOf(from, to),
    keys: [keyOf(name, life.id, from)],
    error: undefined,
    attributes: {
      [ATTR.instanceId]: life.id,
      ...(life.name === '' ? {} : { [ATTR.instanceName]: life.name }),
      ...(errorNs < 0 ? {} : { [ATTR.clockError]: errorNs }),
      ...attributes,
    },
    events: [],
  };
}

/** By the kernel's own stamps where both have one: a clock may have been fitted anew in between. */
function endOf(from: LifeEvent, to: LifeEvent): bigint {
  const isStamped = from.rawNs !== NO_RAW_TIME && to.rawNs !== NO_RAW_TIME && from.bootId === to.bootId;
  const lengthNs = isStamped ? to.rawNs - from.rawNs : to.unixNs - from.unixNs;
  return from.unixNs + (lengthNs < 0n ? 0n : lengthNs);
}

/** What a span tells of: its id comes from it. */
export function keyOf(name: string, id: number, { bootId, rawNs, unixNs }: LifeEvent): string {
  return `${name}\n${bootId}\n${id}\n${rawNs === NO_RAW_TIME ? `u${unixNs}` : rawNs / 1000n}`;
}

function toSpanEvent({ unixNs, event }: LifeEvent): LifeSpan['events'][number] {
  return { timeNs: unixNs, name: event };
}

function pick(event: LifeEvent | undefined, ...names: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of names) {
    const value = event?.fields[name];
    if (value !== undefined) found[name] = value;
  }
  return found;
}

interface End {
  readonly end: InstanceEnd;
  readonly reason: string;
}

/** What the kernel said itself counts more than what the host saw: the host prints one line for all ends. */
function findEnd({ host, boots }: Life): End {
  for (const boot of boots) {
    const own = readEnd(boot);
    if (own.end !== 'unknown') return own;
  }
  if (host?.kill !== undefined) return { end: 'force_kill', reason: 'halted by force by the host' };
  if (host?.peerStop !== undefined) return { end: 'panic_or_restart', reason: 'it told all CPUs to stop, as in a panic or a restart' };
  if (host?.lost !== undefined) return { end: 'lost', reason: 'it stopped without saying so' };
  if (host?.haltDone !== undefined) return { end: 'halt', reason: 'halted because the host asked for it' };
  return { end: 'unknown', reason: '' };
}

function readEnd({ ends }: SpawnBoot): End {
  const of = (name: string): LifeEvent | undefined => ends.find(({ event }) => event === name);
  const panic =
    ends.find(({ event, fields }) => event === 'mk.kernel.panic' && fields['mk.panic.reason'] !== undefined) ?? of('mk.kernel.panic');
  if (panic !== undefined) return { end: 'panic', reason: `panic: ${panic.fields['mk.panic.reason'] ?? ''}`.trimEnd() };
  if (of('mk.instance.killed') !== undefined) return { end: 'force_kill', reason: 'halted by force by the host' };
  const request = of('mk.instance.halt.request');
  if (request !== undefined) return { end: 'halt', reason: `halted because instance ${request.fields['mk.peer.id'] ?? '?'} asked for it` };
  const how = of('mk.instance.poweroff')?.fields['mk.poweroff.how'];
  if (how === undefined) return { end: 'unknown', reason: '' };
  return how === 'Restarting system' ? { end: 'restart', reason: 'restarted itself' } : { end: 'power_off', reason: 'powered itself off' };
}
