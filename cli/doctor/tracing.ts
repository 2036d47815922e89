/** Can trace events be recorded: tracefs, a trial instance of our own, its clocks and events. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { isOperational, messageOf } from '../../base/errors.ts';
import { readFunctions } from '../../collector/kprobes.ts';
import { eventsOf } from '../../correlate/ikc-pack.ts';
import { multikernel } from '../../correlate/ikc-packs/multikernel.ts';
import { findTracefs, INSTANCE_PREFIX, TraceInstance } from '../../collector/tracefs.ts';
import type { ClockDomain } from '../../model/time.ts';
import { suggest } from '../nearest.ts';
import { fail, ok, warn } from './finding.ts';
import type { Finding } from './finding.ts';

const EFFECT = 'no trace events, no timeline of this kernel';
const TRIAL_BUFFER_KB = 4;

export function checkTracing(clock: ClockDomain, events: readonly string[]): Finding[] {
  let tracefs: string;
  try {
    tracefs = findTracefs();
  } catch (error) {
    return [refusal('tracefs', 'tracefs', error)];
  }
  const trial = tryInstance(tracefs, clock);
  return [
    ok('tracefs', 'tracefs', `mounted at ${tracefs}`),
    trial,
    checkClocks(tracefs, clock),
    checkEvents(tracefs, events),
    checkProbes(tracefs),
  ];
}

/** Makes an instance and removes it again: the only proof that the kernel allows it (lockdown, LSM, read-only mount). */
function tryInstance(tracefs: string, clock: ClockDomain): Finding {
  const id = 'tracefs.instance';
  const title = 'own trace instance';
  const instance = new TraceInstance(tracefs, `${INSTANCE_PREFIX}${process.pid}`);
  try {
    instance.create(clock, TRIAL_BUFFER_KB);
    instance.remove();
  } catch (error) {
    return refusal(id, title, error);
  }
  return ok(id, title, `can be made, with the clock ${clock}`);
}

function checkClocks(tracefs: string, clock: ClockDomain): Finding {
  const id = 'tracefs.clock';
  const title = 'trace clocks';
  const known = readText(join(tracefs, 'trace_clock'))
    .replaceAll(/[[\]\n]/g, '')
    .split(' ')
    .filter((name) => name !== '');
  const detail = known.join(' ');
  if (known.includes(clock)) return ok(id, title, detail);
  return fail(
    id,
    title,
    `no "${clock}" among: ${detail}`,
    EFFECT,
    `collector.tracefs.clock: ${known.includes('mono') ? 'mono' : (known[0] ?? 'local')} in mkscope.yaml, or --clock`,
  );
}

/** Of the packs that are recorded by default; what a kernel without them lacks is no fault. */
function checkProbes(tracefs: string): Finding {
  const id = 'ikc.probes';
  const title = 'messages between kernels';
  const functions = readFunctions(tracefs);
  const wanted = [...new Set(eventsOf(multikernel, 'g3').flatMap(({ probe }) => probe?.function ?? []))];
  const found = functions === undefined ? [] : wanted.filter((name) => functions.has(name));
  if (found.length === 0) return ok(id, title, 'this kernel has no functions of Multikernel to probe');
  const detail = `${found.length} of ${wanted.length} functions of Multikernel can be probed`;
  if (existsSync(join(tracefs, 'kprobe_events'))) return ok(id, title, detail);
  return fail(
    id,
    title,
    `${detail}, and the kernel has no kprobe_events`,
    'no messages between kernels',
    `a kernel with CONFIG_KPROBE_EVENTS; or, line by line: echo 'file kernel/multikernel/* +p' > /proc/dynamic_debug/control`,
  );
}

function checkEvents(tracefs: string, wanted: readonly string[]): Finding {
  const id = 'tracefs.events';
  const title = 'trace events';
  const known = readText(join(tracefs, 'available_events'))
    .split('\n')
    .filter((name) => name !== '');
  const systems = new Set(known.map((name) => name.slice(0, name.indexOf(':'))));
  const detail = `${known.length} in ${systems.size} systems`;
  const missing = wanted.filter((name) => !known.includes(name) && !systems.has(name.replace(/:\*?$/, '')));
  const [first] = missing;
  if (first === undefined) return ok(id, title, `${detail}; the ${wanted.length} configured ones are there`);
  return warn(
    id,
    title,
    `${detail}; this kernel has no ${missing.join(', ')}${suggest(first, known)}`,
    'these events are not recorded, the others are',
    'correct collector.tracefs.events in mkscope.yaml; the names: sudo cat /sys/kernel/tracing/available_events',
  );
}

function refusal(id: string, title: string, error: unknown): Finding {
  return fail(id, title, messageOf(error), EFFECT, isOperational(error) ? error.hint : 'see the message');
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    return messageOf(error);
  }
}
