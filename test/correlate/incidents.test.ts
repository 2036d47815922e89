import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INCIDENT_RULES } from '../../correlate/incident-rules.ts';
import type { IncidentSignal, KnownBoot } from '../../correlate/incident-signal.ts';
import { MESSAGE_RULES } from '../../correlate/message-catalogue.ts';
import { DEATH_EVENTS } from '../../correlate/track-deaths.ts';
import { IncidentTracker, SIGNAL_EVENTS } from '../../correlate/track-incidents.ts';
import { INCIDENT_KINDS, WATCH_EVENT, type Incident } from '../../model/incident.ts';
import { REPORT_EVENTS } from '../../model/kernel-report.ts';

const SECOND = 1_000_000_000n;
const BASE = 1_800_000_000n * SECOND;
const NAMES = ['host', 'spawn1', 'spawn2'] as const;

/** A row of kernel `kernelId`, some seconds after the start. */
function signal(kernelId: number, seconds: number, event: string, body: string, more: Partial<IncidentSignal> = {}): IncidentSignal {
  const unixNs = BASE + BigInt(Math.round(seconds * 1e9));
  return {
    event,
    unixNs,
    lastNs: unixNs,
    rawNs: unixNs - BASE,
    errorNs: 1000,
    count: 1,
    machineId: 'machine-1',
    machineName: 'alpha',
    kernelId,
    kernelName: NAMES[kernelId] ?? `k${kernelId}`,
    bootId: `boot-${kernelId}`,
    body,
    fields: {},
    ...more,
  };
}

const of1 = { fields: { 'mk.instance.id': '1', 'mk.instance.name': 'spawn1' } };
const halted = (seconds: number): IncidentSignal =>
  signal(0, seconds, 'mk.instance.halted', 'Instance 1 (spawn1) halted, CPUs parking in pool', of1);
const active = (seconds: number): IncidentSignal => signal(0, seconds, 'mk.instance.active', 'Multikernel instance 1 is now active', of1);
const peer = (kernelId: number, seconds: number, cpu: number): IncidentSignal =>
  signal(kernelId, seconds, 'mk.peer.stopped', `CPU ${cpu}: Ignoring REBOOT_VECTOR from other kernel instance (stopping_cpu=-1)`);

/** What is said of a kernel 1 that panics: its own words, the others' bursts, the host's line. */
const PANIC: readonly IncidentSignal[] = [
  signal(1, 9.9, 'kernel.oops', 'oops: NULL pointer dereference'),
  signal(1, 10, 'mk.kernel.panic', 'Kernel panic - not syncing: Fatal exception'),
  signal(1, 10, 'kernel.panic', 'panic: Fatal exception at f+0x1/0x2'),
  peer(0, 10.06, 0),
  peer(0, 10.0601, 1),
  peer(2, 10.07, 0),
  signal(1, 10.07, 'mk.instance.stopping', 'Multikernel instance 1 shutting down', of1),
  halted(10.08),
];

function track(signals: readonly IncidentSignal[], boots: readonly KnownBoot[] = [], nowSeconds = 100_000): readonly Incident[] {
  const tracker = new IncidentTracker(boots);
  for (const one of signals) tracker.take(one);
  return tracker.incidents(BASE + BigInt(nowSeconds) * SECOND);
}

const boot = (kernelId: number, seconds: number, bootId = `boot-${kernelId}`): KnownBoot => ({
  bootId,
  kernelId,
  kernelName: NAMES[kernelId] ?? '',
  firstNs: BASE + BigInt(seconds) * SECOND,
});

test('incidents: a life that ends before its boot is heard is no second end of the boot before it', () => {
  const first = [
    signal(1, 10, 'mk.instance.poweroff', 'reboot: Power down'),
    halted(10.1),
    active(40),
    signal(0, 45, 'mk.instance.kill', 'Force halting multikernel instance 1 via NMI', of1),
    halted(45.01),
  ];
  const found = track(first, [boot(1, 0)]);
  assert.deepEqual(
    found.map(({ kind, bootId }) => [kind, bootId]),
    [
      ['stopped', 'boot-1'],
      ['killed', ''],
    ],
  );
  assert.notEqual(found[0]?.id, found[1]?.id);
  // The same where the first end is not among what is read.
  assert.deepEqual(
    track(first.slice(2), [boot(1, 0)]).map(({ kind, bootId, id }) => [kind, bootId, id]),
    [['killed', '', found[1]?.id]],
  );
  // Once it is heard, it is its own.
  assert.deepEqual(
    track(first, [boot(1, 0), boot(1, 44, 'boot-1b')]).map(({ kind, bootId }) => [kind, bootId]),
    [
      ['stopped', 'boot-1'],
      ['killed', 'boot-1b'],
    ],
  );
});

test('incidents: messages that were not received because the ring is full are a part of that', () => {
  const to = (id: string): Partial<IncidentSignal> => ({ fields: { 'mk.ikc.to': id }, count: 63 });
  const found = track([
    signal(1, 10, WATCH_EVENT.notReceived, '63 messages to instance 2 were not received', to('2')),
    signal(1, 11, 'mk.ikc.ring_full', 'multikernel: IPI ring full for instance 2 (head=63, tail=0)', to('2')),
    signal(1, 12, WATCH_EVENT.notReceived, '63 messages to instance 0 were not received', to('0')),
    signal(2, 12, WATCH_EVENT.notReceived, '63 messages to instance 2 were not received', to('2')),
  ]);
  assert.deepEqual(
    found.map(({ kind, kernelId }) => [kind, kernelId]),
    [
      ['ring_full', 1],
      ['ikc_unmatched', 1],
      ['ikc_unmatched', 2],
    ],
  );
});

test('incidents: each rule opens on its samples, with their titles, and is a kind that is known', () => {
  const kinds = new Set<string>(INCIDENT_KINDS);
  const known = new Set<string>([...REPORT_EVENTS, ...MESSAGE_RULES.map(({ event }) => event), ...Object.values(WATCH_EVENT), 'mk.gap']);
  for (const { kind, events, samples } of INCIDENT_RULES) {
    assert.ok(kinds.delete(kind), `${kind} has one rule`);
    for (const event of events) assert.ok(known.has(event), `${event} is a row's name`);
    assert.ok(samples.length > 0, kind);
    for (const { event, body, fields = {}, count = 1, title } of samples) {
      const found = track([signal(1, 1, event, body, { fields, count })], [boot(1, 0)]);
      assert.deepEqual(
        found.map((one) => [one.kind, one.title]),
        [[kind, title]],
      );
    }
  }
  assert.deepEqual([...kinds], ['panic', 'instance_lost', 'killed', 'died', 'stopped']);
  for (const event of DEATH_EVENTS) assert.ok(known.has(event) && SIGNAL_EVENTS.includes(event), event);
});

test('incidents: a panic is one, of its own words, the bursts of the others, the line of the host, and the oops before it', () => {
  const [found, ...more] = track(PANIC);
  assert.deepEqual(more, []);
  assert.equal(found?.kind, 'panic');
  assert.equal(found.severity, 'critical');
  assert.equal(found.title, 'spawn1 panicked: Fatal exception');
  assert.equal(found.reason, 'panic: Fatal exception; before it: oops: NULL pointer dereference');
  assert.equal(found.evidence, 'Kernel panic - not syncing: Fatal exception');
  assert.equal(found.bootId, 'boot-1');
  assert.equal(found.count, PANIC.length);
  assert.deepEqual(
    found.others.map(({ kernelName }) => kernelName),
    ['host', 'spawn2'],
  );
  assert.equal(found.firstUnixNs, PANIC[0]?.unixNs);
});

test('incidents: in whichever order signals come, and however often some of it was known before, the id is the same', () => {
  const [{ id } = { id: '' }] = track(PANIC);
  for (let turn = 0; turn < 200; turn++) {
    const shuffled = PANIC.map((one, at) => ({ one, by: Math.sin(turn * 31 + at * 17) }))
      .sort((a, b) => a.by - b.by)
      .map(({ one }) => one);
    assert.deepEqual(
      track(shuffled).map((one) => [one.id, one.kind, one.count]),
      [[id, 'panic', PANIC.length]],
    );
  }
  // The last words come minutes after the host's line: the boot is known by then, and so is the incident.
  assert.deepEqual(
    track([halted(10.08)], [boot(1, 1)]).map((one) => [one.id, one.kind, one.title]),
    [[id, 'died', 'spawn1 stopped without a word']],
  );
});

test('incidents: the line of the host alone does not tell; a burst beside it says panic, as an inference', () => {
  assert.deepEqual(
    track([halted(10)]).map(({ kind, severity, reason }) => [kind, severity, reason]),
    [['died', 'warning', 'stopped; its own last words are not here']],
  );
  const [found] = track([peer(0, 9.999, 3), halted(10)]);
  assert.equal(found?.kind, 'panic');
  assert.match(found.reason, /its own last words are not here/);
});

test('incidents: what was asked for is a life event, over at once, and no alarm', () => {
  const off = signal(1, 10, 'mk.instance.poweroff', 'reboot: Power off not available: System halted instead');
  const asked = signal(1, 20, 'mk.instance.halt.request', 'Shutdown requested by instance 0');
  for (const [signals, reason] of [
    [[off, halted(10.1)], 'powered itself off'],
    [[asked, halted(45)], 'halted because instance 0 asked for it'],
    [
      [halted(10), signal(0, 10.1, 'mk.instance.halt.done', 'Multikernel instance 1 halted (graceful)', of1)],
      'halted because the host asked for it',
    ],
    [[signal(0, 5, 'mk.instance.poweroff', 'reboot: Restarting system')], 'restarted itself'],
  ] as const) {
    const [found, ...more] = track(signals, [], 11);
    assert.deepEqual(more, []);
    assert.deepEqual([found?.kind, found?.severity, found?.state, found?.reason], ['stopped', 'info', 'resolved', reason]);
  }
  // Asked, and it went on.
  assert.deepEqual(track([asked]), []);
});

test('incidents: a kernel that is killed is a warning, one that the host lost is critical', () => {
  const kill = signal(0, 10, 'mk.instance.kill', 'Force halting multikernel instance 1 via NMI', of1);
  const lost = signal(0, 10, 'mk.instance.lost', 'Multikernel instance 1 stopped without a halt notification; recovering it', of1);
  assert.deepEqual(
    [...track([kill, halted(10.01)]), ...track([lost])].map(({ kind, severity, title }) => `${severity} ${kind}: ${title}`),
    [
      'warning killed: spawn1 was halted by force by the host',
      'critical instance_lost: spawn1 was lost: it stopped without a word to the host',
    ],
  );
});

test('incidents: lives of one id follow each other within a second and are told apart; the last is open until it starts again', () => {
  const unloaded = (seconds: number): IncidentSignal =>
    signal(0, seconds, 'mk.instance.unloaded', 'kexec_file: Unloading kernel from multikernel instance 1', of1);
  const lives = [0, 1, 2, 3].flatMap((life) => [
    active(10 + life),
    signal(1, 10.5 + life, 'mk.kernel.panic', `Kernel panic - not syncing: life ${life}`, { bootId: `life-${life}` }),
    halted(10.6 + life),
  ]);
  // Unloaded, and loaded again: the id is the same, the life is not.
  lives.splice(3, 0, unloaded(10.7));
  lives.splice(10, 0, unloaded(12.7));
  const found = track(lives, [], 20);
  assert.deepEqual(
    found.map(({ bootId, reason, state, resolution }) => [bootId, reason, state, resolution.slice(0, 13)]),
    [
      ['life-0', 'panic: life 0', 'resolved', 'unloaded'],
      ['life-1', 'panic: life 1', 'resolved', 'started again'],
      ['life-2', 'panic: life 2', 'resolved', 'unloaded'],
      ['life-3', 'panic: life 3', 'open', 'until it is s'],
    ],
  );
  // No guest's log at all: the host's lines are enough to tell lives apart.
  const hostOnly = lives.filter(({ kernelId }) => kernelId === 0);
  assert.equal(new Set(track(hostOnly, [], 20).map(({ id }) => id)).size, 4);
  // Nobody starts it again: an hour later it is over all the same.
  assert.equal(track(lives, [], 10_000).at(-1)?.state, 'resolved');
});

test('incidents: a kernel that lived for seconds, by a clock that is wrong by more, ended once; who follows it does not share its end', () => {
  const nmi = (bootId: string, seconds: number): IncidentSignal =>
    signal(1, seconds, 'mk.instance.killed', 'CPU 0: Forcible shutdown via NMI (instance 1)', { bootId, errorNs: 14e9 });
  const kill = (seconds: number): IncidentSignal =>
    signal(0, seconds, 'mk.instance.kill', 'Force halting multikernel instance 1 via NMI', of1);
  // The second life is killed at 48 and seems to say so at 56, when its next life has begun.
  const signals = [
    signal(1, 20, 'mk.instance.poweroff', 'reboot: Power down', { bootId: 'first' }),
    halted(20.1),
    active(40),
    kill(48),
    halted(48.1),
    active(52),
    nmi('second', 56),
    signal(1, 70, 'mk.kernel.panic', 'Kernel panic - not syncing: sysrq triggered crash', { bootId: 'third' }),
    halted(70.1),
  ];
  const boots = [boot(1, 0, 'first'), boot(1, 48, 'second'), boot(1, 57, 'third')];
  const found = track(signals, boots);
  assert.deepEqual(
    found.map(({ kind, bootId, resolution }) => [kind, bootId, resolution]),
    [
      ['stopped', 'first', 'it was asked for'],
      ['killed', 'second', 'started again'],
      ['panic', 'third', 'nobody started it again within an hour'],
    ],
  );
  assert.deepEqual(track(signals.toReversed(), boots), found);
  // Its clock is early instead: it seems to have ended before it began.
  const early = signals.map((one) => (one.bootId === 'second' ? nmi('second', 39) : one)).toSorted((a, b) => Number(a.unixNs - b.unixNs));
  assert.deepEqual(
    track(early, boots).map(({ kind, bootId }) => [kind, bootId]),
    [
      ['stopped', 'first'],
      ['killed', 'second'],
      ['panic', 'third'],
    ],
  );
});

test('incidents: a storm of warnings is one that counts; a few warnings are none', () => {
  const warn = (seconds: number): IncidentSignal => signal(1, seconds, 'kernel.warning', `WARNING at f+0x${seconds}`);
  assert.deepEqual(track([1, 30, 100, 200, 300].map(warn)), []);
  const storm = [1, 200, 210, 220, 230, 240, 250].map(warn);
  const [found, ...more] = track(storm, [], 260);
  assert.deepEqual(more, []);
  assert.deepEqual([found?.kind, found?.count, found?.state], ['warn_storm', 6, 'open']);
  assert.equal(found?.firstUnixNs, BASE + 200n * SECOND);
  assert.equal(track(storm, [], 320)[0]?.state, 'resolved');
  // One that does not end is continued by another each hour.
  const long = Array.from({ length: 2 * 3600 }, (_, second) => warn(second));
  assert.deepEqual(
    track(long).map(({ count }) => count),
    [3601, 3599],
  );
});

test('incidents: one CPU that is stuck is one, whichever detectors tell; kernels and keys are told apart', () => {
  const found = track([
    signal(1, 1, 'kernel.rcu_stall', 'RCU stall'),
    signal(1, 8, 'kernel.soft_lockup', 'soft lockup'),
    signal(2, 8, 'kernel.soft_lockup', 'soft lockup'),
    signal(0, 9, 'mk.ikc.ring_full', 'full', { fields: { 'mk.ikc.to': '1' } }),
    signal(0, 9, 'mk.ikc.ring_full', 'full', { fields: { 'mk.ikc.to': '2' } }),
    signal(0, 12, 'mk.ikc.ring_full', 'full', { fields: { 'mk.ikc.to': '1' } }),
  ]);
  assert.deepEqual(found.map(({ kind, kernelName, count }) => [kind, kernelName, count]).sort(), [
    ['lockup', 'spawn1', 2],
    ['lockup', 'spawn2', 1],
    ['ring_full', 'host', 1],
    ['ring_full', 'host', 2],
  ]);
});

test('incidents: a silent kernel is open until it is back, is the same when only its return is read, and is part of its end', () => {
  const fields = { 'mk.silent.since': String(BASE + SECOND) };
  const silent = signal(1, 1, WATCH_EVENT.kernelSilent, 'nothing received from spawn1 for 20 s', { fields });
  const back = signal(1, 90, WATCH_EVENT.kernelBack, 'spawn1 is heard again', { fields });
  const [open] = track([silent]);
  const [over] = track([silent, back]);
  const [only] = track([back]);
  assert.deepEqual([open?.state, over?.state, only?.state], ['open', 'resolved', 'resolved']);
  assert.deepEqual([over?.id, only?.id, only?.firstUnixNs], [open?.id, open?.id, open?.firstUnixNs]);
  const lost = signal(0, 300, 'mk.instance.lost', 'Multikernel instance 1 stopped without a halt notification; recovering it', of1);
  assert.deepEqual(
    track([silent, lost], [boot(1, 0)]).map(({ kind, count }) => [kind, count]),
    [['instance_lost', 2]],
  );
});

test('incidents: a return that says nonsense of its beginning began when it was told', () => {
  const far = String(BASE * 1000n);
  for (const since of ['yesterday', '', '-5', '1e3', far, String(BASE + 100n * SECOND)]) {
    const back = signal(1, 70, WATCH_EVENT.kernelBack, 'spawn1 is heard again', { fields: { 'mk.silent.since': since } });
    const [found] = track([back]);
    assert.deepEqual([found?.kind, found?.state, found?.firstUnixNs], ['silent_kernel', 'resolved', back.unixNs], since);
  }
});

test('incidents: losses that nobody caused are none, a burst is one', () => {
  const gap = (count: number, reason: string): IncidentSignal =>
    signal(1, 1, 'mk.gap', reason, { count, fields: { 'mk.stream': 'tracefs:a', 'mk.gap.reason': reason } });
  assert.deepEqual(track([gap(99, 'ring_overrun'), gap(100_000, 'probe_missed')]), []);
  assert.deepEqual(
    track([gap(99, 'ring_overrun'), gap(1, 'ring_dropped')]).map(({ kind, count }) => [kind, count]),
    [['loss_burst', 100]],
  );
});

test('incidents: memory is bounded by what is open, also where names are made up', () => {
  const tracker = new IncidentTracker([]);
  for (let n = 0; n < 20_000; n++) tracker.take(signal(1, n / 1000, 'mk.ikc.ring_full', 'full', { bootId: `made-up-${n}` }));
  assert.equal(tracker.dropped, 10_000);
  assert.equal(tracker.incidents(BASE).length, 10_000);
  tracker.forget(BASE + 1000n * SECOND);
  assert.equal(tracker.incidents(BASE).length, 0);
  tracker.take(signal(1, 2000, 'kernel.oops', 'oops'));
  assert.equal(tracker.incidents(BASE).length, 1);
});
