/** A machine of several kernels with known clocks, collectors that know them badly, and messages between the kernels. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { Int64Array } from '../../base/int64.ts';
import { MachineClocks } from '../../clock/machine-clocks.ts';
import { createRandom } from '../support/random.ts';

const START = 1_788_510_993_000_000_000n;
const PRINTK_AHEAD = 34_000_000n;

interface Kernel {
  readonly bootId: string;
  readonly kernelId: number;
  /** Raw time of the trace clock at START, and its rate. */
  readonly zero: bigint;
  readonly rate: number;
  readonly errorNs: number;
  readonly isOwnUnix: boolean;
}

const HOST: Kernel = { bootId: 'host', kernelId: 0, zero: 900_000_000_000n, rate: 1, errorNs: 1000, isOwnUnix: false };
const SPAWN1: Kernel = { bootId: 'spawn1', kernelId: 1, zero: 5_000_000_000n, rate: 1 - 40e-6, errorNs: 1_200_000, isOwnUnix: false };
const SPAWN2: Kernel = { bootId: 'spawn2', kernelId: 2, zero: 77_000_000_000n, rate: 1 + 90e-6, errorNs: 900_000, isOwnUnix: false };

const rawOf = (kernel: Kernel, ns: number): bigint => kernel.zero + BigInt(Math.round(ns * kernel.rate));
const printkOf = (kernel: Kernel, ns: number): bigint => rawOf(kernel, ns) + PRINTK_AHEAD;

interface Seen {
  readonly kernel: Kernel;
  readonly ns: number;
  readonly unixNs: bigint;
  readonly errorNs: number;
}

interface Options {
  readonly seconds: number;
  readonly kernels: readonly Kernel[];
  readonly channels: readonly (readonly [Kernel, Kernel])[];
  readonly perSecond: number;
  readonly confidence?: number;
  /** The hub's clock is told by all collectors, to so much. */
  readonly hubErrorNs?: number;
}

/** The hub's monotonic clock at a moment. */
const hubOf = (ns: number): bigint => 3_000_000_000_000n + BigInt(Math.round(ns * (1 + 20e-6)));

/** Ten segments per second of each kernel, each with the collector's fit, and rows that are aligned as the hub does it. */
function live(
  machine: MachineClocks,
  { seconds, kernels, channels, perSecond, confidence = 0.999, hubErrorNs }: Options,
  seed = 11,
  look?: () => void,
): Seen[] {
  const random = createRandom(seed);
  const seen: Seen[] = [];
  // The error of a collector's line is the same for minutes: it does not average out.
  const wrong = new Map(kernels.map((kernel) => [kernel, (random() - 0.5) * 1.8 * kernel.errorNs]));
  for (let step = 1; step <= seconds * 10; step++) {
    const ns = step * 1e8;
    for (const [from, to] of channels) {
      for (let i = 0; i < perSecond / 10; i++) {
        const sent = ns - random() * 9e7;
        const way = 30_000 - Math.log(random() + 1e-9) * 20_000;
        machine.addMessage({ bootId: from.bootId, raw: rawOf(from, sent) }, { bootId: to.bootId, raw: rawOf(to, sent + way) }, confidence);
      }
    }
    for (const kernel of kernels) {
      const raw = rawOf(kernel, ns);
      const baseUnixNs = START + BigInt(Math.round(ns + (wrong.get(kernel) ?? 0) + (kernel.isOwnUnix ? 4e9 : 0)));
      machine.noteFit(
        kernel,
        'mono',
        raw,
        { baseRaw: raw, baseUnixNs, nsPerTick: 1 / kernel.rate, errorNs: kernel.errorNs },
        kernel.isOwnUnix,
      );
      if (hubErrorNs !== undefined) {
        // Each ping is wrong by something else, within its bound.
        const told = hubOf(ns) + BigInt(Math.round((random() - 0.5) * 1.9 * hubErrorNs));
        const fit = { baseRaw: raw, baseUnixNs, nsPerTick: 1 / kernel.rate, errorNs: kernel.errorNs };
        // A spawn's own Unix time is known to itself; the host's is off by what its collector says.
        const toHub = {
          baseRaw: baseUnixNs,
          baseUnixNs: told,
          nsPerTick: 1,
          errorNs: hubErrorNs + (kernel.isOwnUnix ? 0 : kernel.errorNs),
        };
        machine.noteHub(kernel.bootId, raw, fit, toHub, kernel.isOwnUnix);
      }
      const printkRaw = printkOf(kernel, ns);
      machine.noteLink(kernel.bootId, printkRaw, { baseRaw: printkRaw, baseUnixNs: raw + 1500n, nsPerTick: 1, errorNs: 2000 });
      for (const [clock, of] of [
        ['mono', rawOf],
        ['printk', printkOf],
      ] as const) {
        const raws = [0.9e8, 0.5e8, 0].map((before) => of(kernel, ns - before));
        const aligned = machine.extend(kernel.bootId, clock, raws[0] ?? 0n, raws[2] ?? 0n);
        const columns = [new Int64Array(3), new Int64Array(3)] as const;
        raws.forEach((one, row) => columns[0].setBigint(row, one));
        const errorNs = aligned?.align(columns[0], columns[1], 3);
        if (errorNs === undefined) continue;
        [0.9e8, 0.5e8, 0].forEach((before, row) => seen.push({ kernel, ns: ns - before, unixNs: columns[1].getBigint(row), errorNs }));
      }
    }
    look?.();
  }
  return seen;
}

function judge(t: TestContext, what: string, seen: readonly Seen[]): { readonly boundNs: number } {
  const errors: number[] = [];
  for (const { kernel, ns, unixNs, errorNs } of seen) {
    const off = Math.abs(Number(unixNs - START) - ns);
    assert.ok(off <= errorNs + 2, `${kernel.bootId} at ${ns / 1e9} s: off by ${off} ns, stated ± ${errorNs} ns`);
    errors.push(off);
  }
  const late = seen.slice(-200).map(({ errorNs }) => errorNs);
  const at = (values: readonly number[], share: number): string =>
    `${((values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? NaN) / 1000).toFixed(1)} µs`;
  t.diagnostic(
    `${what}: off by ${at(errors, 0.5)} (median), ${at(errors, 0.99)} (p99), ${at(errors, 1)} (most); at the end ± ${at(late, 0.5)}; ${seen.length} of ${seen.length} inside`,
  );
  return { boundNs: late.toSorted((a, b) => a - b)[late.length >> 1] ?? NaN };
}

test('machine clocks: messages take the bounds of pings down, and the truth stays inside', (t) => {
  const kernels = [HOST, SPAWN1];
  const pings = judge(
    t,
    'pings',
    live(new MachineClocks(), { seconds: 60, kernels, channels: [], perSecond: 0 }).filter(({ kernel }) => kernel === SPAWN1),
  );
  const machine = new MachineClocks();
  const seen = live(machine, {
    seconds: 60,
    kernels,
    channels: [
      [HOST, SPAWN1],
      [SPAWN1, HOST],
    ],
    perSecond: 100,
  });
  const messages = judge(
    t,
    'messages and pings',
    seen.filter(({ kernel }) => kernel === SPAWN1),
  );
  assert.ok(pings.boundNs > 500_000 && messages.boundNs < 65_000, `${pings.boundNs} ${messages.boundNs}`);
  const { audit } = machine;
  t.diagnostic(`audit: ${JSON.stringify(audit)}`);
  assert.ok(audit.messages > 5000 && audit.impossible === 0);
  // Those of the first moments, when nothing better was known than pings.
  assert.ok(audit.early <= 100, `${audit.early}`);
  const standing = machine.standings().find(({ bootId, clock }) => bootId === 'spawn1' && clock === 'mono');
  assert.equal(standing?.evidence, 'messages and pings, reference');
  assert.equal(standing?.steps, 0);
});

test('machine clocks: what was aligned before the messages came is drawn anew', () => {
  const machine = new MachineClocks();
  live(machine, {
    seconds: 20,
    kernels: [HOST, SPAWN1],
    channels: [
      [HOST, SPAWN1],
      [SPAWN1, HOST],
    ],
    perSecond: 100,
  });
  const changed = machine.takeChanged().filter(({ bootId, clock }) => bootId === 'spawn1' && clock === 'mono');
  const revised = changed.filter(({ stretch }) => stretch.revision > 0);
  assert.ok(revised.length > 0);
  const first = changed.find(({ stretch }) => stretch.revision === 0)?.stretch;
  const again = revised.findLast(({ stretch }) => stretch.fromRaw === first?.fromRaw)?.stretch;
  assert.ok(first !== undefined && again !== undefined && again.fit.errorNs < first.fit.errorNs / 2);
  assert.ok(again.shiftNs >= first.fit.errorNs);
  // The truth is in the new line, too.
  const raw = rawOf(SPAWN1, 5e8);
  const found = machine.find('spawn1', 'mono')?.toUnix(raw);
  assert.ok(found !== undefined && Math.abs(Number(found.unixNs - START) - 5e8) <= found.errorNs);
});

test('machine clocks: kernels that talk to each other only are placed without effects before causes', () => {
  const machine = new MachineClocks();
  const kernels = [HOST, SPAWN1, SPAWN2];
  const seen = live(machine, {
    seconds: 30,
    kernels,
    channels: [
      [SPAWN1, SPAWN2],
      [SPAWN2, SPAWN1],
    ],
    perSecond: 100,
  });
  const before = { ...machine.audit };
  for (const { kernel, ns, unixNs, errorNs } of seen) assert.ok(Math.abs(Number(unixNs - START) - ns) <= errorNs + 2, kernel.bootId);
  for (let i = 0; i < 100; i++) {
    const sent = 29.5e9 + i * 1e6;
    machine.addMessage({ bootId: 'spawn1', raw: rawOf(SPAWN1, sent) }, { bootId: 'spawn2', raw: rawOf(SPAWN2, sent + 60_000) }, 0.999);
    machine.addMessage({ bootId: 'spawn2', raw: rawOf(SPAWN2, sent) }, { bootId: 'spawn1', raw: rawOf(SPAWN1, sent + 60_000) }, 0.999);
  }
  assert.equal(machine.audit.messages - before.messages, 200);
  assert.equal(machine.audit.early, before.early);
});

test('machine clocks: a kernel with a wall clock of its own is placed by messages, or not at all', (t) => {
  const own: Kernel = { ...SPAWN1, isOwnUnix: true, errorNs: 800 };
  assert.deepEqual(
    live(new MachineClocks(), { seconds: 5, kernels: [HOST, own], channels: [], perSecond: 0 }).filter(({ kernel }) => kernel === own),
    [],
  );
  const seen = live(new MachineClocks(), {
    seconds: 30,
    kernels: [HOST, own],
    channels: [
      [HOST, own],
      [own, HOST],
    ],
    perSecond: 100,
  });
  const { boundNs } = judge(
    t,
    'messages alone',
    seen.filter(({ kernel }) => kernel === own),
  );
  assert.ok(boundNs < 80_000);
});

test('machine clocks: a kernel with a wall clock of its own is placed by the hub’s clock, and better with messages', (t) => {
  const own: Kernel = { ...SPAWN1, isOwnUnix: true, errorNs: 800 };
  const machine = new MachineClocks();
  const ofOwn = (seen: readonly Seen[]): Seen[] => seen.filter(({ kernel }) => kernel === own);
  const kernels = [HOST, own];
  const pings = judge(
    t,
    'pings of the hub',
    ofOwn(live(machine, { seconds: 30, kernels, channels: [], perSecond: 0, hubErrorNs: 400_000 })),
  );
  assert.ok(pings.boundNs < 900_000, `± ${pings.boundNs} ns`);
  const standing = machine.standings().find(({ bootId, clock }) => bootId === 'spawn1' && clock === 'mono');
  assert.equal(standing?.evidence, 'hub pings');
  assert.ok(standing.toHostNs !== undefined && standing.toHostNs < 900_000, `± ${standing.toHostNs} ns to the host`);
  // In one direction only: the other side of the bound is what the pings say.
  const channels = [[HOST, own]] as const;
  const oneWay = judge(
    t,
    'and messages one way',
    ofOwn(live(new MachineClocks(), { seconds: 30, kernels, channels, perSecond: 100, hubErrorNs: 400_000 })),
  );
  assert.ok(oneWay.boundNs < pings.boundNs, `± ${oneWay.boundNs} ns`);
});

test('machine clocks: a stamp from nowhere draws no line to there', () => {
  const machine = new MachineClocks();
  live(machine, { seconds: 2, kernels: [HOST, SPAWN1], channels: [], perSecond: 0 });
  assert.equal(machine.extend('spawn1', 'printk', 0n, 10n ** 18n), undefined);
  assert.ok(machine.find('spawn1', 'printk')?.worstError(printkOf(SPAWN1, 1e9), printkOf(SPAWN1, 1.5e9)) !== undefined);
});

test('machine clocks: the line of an earlier process is evidence', () => {
  const before = new MachineClocks();
  live(before, {
    seconds: 30,
    kernels: [HOST, SPAWN1],
    channels: [
      [HOST, SPAWN1],
      [SPAWN1, HOST],
    ],
    perSecond: 100,
  });
  const stretch = before.find('spawn1', 'mono')?.last;
  assert.ok(stretch !== undefined);
  const after = new MachineClocks();
  const raw = rawOf(SPAWN1, 31e9);
  const fit = { baseRaw: raw, baseUnixNs: START + 31_000_000_000n + 600_000n, nsPerTick: 1, errorNs: SPAWN1.errorNs };
  after.noteFit(SPAWN1, 'mono', raw, fit, false);
  after.noteStored('spawn1', 'mono', stretch);
  const aligned = after.extend('spawn1', 'mono', raw, raw + 1n);
  const found = aligned?.toUnix(raw);
  assert.ok(found !== undefined && found.errorNs < SPAWN1.errorNs / 3);
  assert.ok(Math.abs(Number(found.unixNs - START) - 31e9) <= found.errorNs);
});

const TICKS_PER_NS = 2.799_998;
const tscOf = (ns: number): bigint => 84_643_894_950_799n + BigInt(Math.round(ns * TICKS_PER_NS));

/** Kernels that trace on counters; what each kernel's is ahead of the first one's, in ticks. */
function liveOnCounters(machine: MachineClocks, seconds: number, ahead: ReadonlyMap<Kernel, (ns: number) => bigint>): void {
  const random = createRandom(5);
  const wrong = new Map([...ahead.keys()].map((kernel) => [kernel, (random() - 0.5) * 1.8 * kernel.errorNs]));
  for (let step = 1; step <= seconds * 5; step++) {
    const ns = step * 2e8;
    for (const [kernel, of] of ahead) {
      const raw = tscOf(ns) + of(ns);
      const baseUnixNs = START + BigInt(Math.round(ns + (wrong.get(kernel) ?? 0)));
      machine.noteFit(kernel, 'x86-tsc', raw, { baseRaw: raw, baseUnixNs, nsPerTick: 1 / TICKS_PER_NS, errorNs: kernel.errorNs }, false);
      machine.extend(kernel.bootId, 'x86-tsc', raw - 1000n, raw);
    }
  }
}

test('machine clocks: where two kernels trace on one counter, their times differ by no more than it does', (t) => {
  const machine = new MachineClocks();
  liveOnCounters(
    machine,
    60,
    new Map([
      [HOST, () => 0n],
      [SPAWN1, () => 0n],
      [SPAWN2, () => 0n],
    ]),
  );
  let worstNs = 0;
  for (let ns = 20e9; ns < 60e9; ns += 137e6) {
    const [host, ...spawns] = [HOST, SPAWN1, SPAWN2].map(({ bootId }) => machine.find(bootId, 'x86-tsc')?.toUnix(tscOf(ns)));
    assert.ok(host !== undefined);
    for (const spawn of spawns) {
      assert.ok(spawn !== undefined && Math.abs(Number(spawn.unixNs - START) - ns) <= spawn.errorNs);
      assert.ok(spawn.errorNs < host.errorNs + 2000, `${spawn.errorNs} ${host.errorNs}`);
      worstNs = Math.max(worstNs, Math.abs(Number(spawn.unixNs - host.unixNs)));
    }
  }
  t.diagnostic(
    `one counter: ${worstNs} ns between kernels at most, ± ${machine.find('spawn1', 'x86-tsc')?.last?.fit.errorNs} ns against Unix time; pings say ± ${SPAWN1.errorNs} ns`,
  );
  assert.ok(worstNs <= 50, `${worstNs} ns`);
  assert.match(machine.standings().find(({ bootId }) => bootId === 'spawn1')?.evidence ?? '', /^shared counter, reference$/);
});

test('machine clocks: counters that pings tell apart are two, and one that is set ceases to be shared', () => {
  const apart = new MachineClocks();
  liveOnCounters(
    apart,
    10,
    new Map([
      [HOST, () => 0n],
      [SPAWN1, () => 30_000_000_000n],
    ]),
  );
  assert.equal(apart.standings().find(({ bootId }) => bootId === 'spawn1')?.evidence, 'pings');
  const set = new MachineClocks();
  liveOnCounters(
    set,
    20,
    new Map<Kernel, (ns: number) => bigint>([
      [HOST, () => 0n],
      [SPAWN1, (ns: number) => (ns < 10e9 ? 0n : 30_000_000n)],
    ]),
  );
  assert.equal(set.standings().find(({ bootId }) => bootId === 'spawn1')?.evidence, 'pings');
  const found = set.find('spawn1', 'x86-tsc')?.toUnix(tscOf(19.9e9) + 30_000_000n);
  assert.ok(found !== undefined && Math.abs(Number(found.unixNs - START) - 19.9e9) <= found.errorNs);
});

/** Half-width of what is known of the spawned kernel's trace clock against the host's, each tenth of a second; undefined = nothing. */
function boundsToHost(seed: number, plan: Options, spawn: Kernel): (number | undefined)[] {
  const machine = new MachineClocks();
  const bounds: (number | undefined)[] = [];
  live(machine, plan, seed, () => {
    const standing = machine.standings().find(({ bootId, clock }) => bootId === spawn.bootId && clock === 'mono');
    assert.equal(standing?.steps ?? 0, 0);
    bounds.push(standing?.toHostNs);
  });
  return bounds;
}

test('machine clocks: messages and pings together never leave more open than the messages or the pings alone', () => {
  const plans = fc.record({
    seed: fc.nat(),
    pingsNs: fc.integer({ min: 2_000, max: 4_000_000 }),
    perSecond: fc.constantFrom(10, 40, 100),
    confidence: fc.constantFrom(1, 0.9999, 0.999),
    isOneWay: fc.boolean(),
  });
  fc.assert(
    fc.property(plans, ({ seed, pingsNs, perSecond, confidence, isOneWay }) => {
      const spawn = { ...SPAWN1, errorNs: pingsNs };
      const channels: Options['channels'] = isOneWay
        ? [[spawn, HOST]]
        : [
            [HOST, spawn],
            [spawn, HOST],
          ];
      const plan = { seconds: 15, kernels: [HOST, spawn], channels, perSecond, confidence };
      const both = boundsToHost(seed, plan, spawn);
      const pings = boundsToHost(seed, { ...plan, channels: [] }, spawn);
      const own = { ...spawn, isOwnUnix: true };
      const messages = boundsToHost(seed, { ...plan, kernels: [HOST, own] }, own);
      for (const [at, bound] of both.entries()) {
        const alone = Math.min(pings[at] ?? Infinity, messages[at] ?? Infinity);
        assert.ok((bound ?? Infinity) <= alone, `at ${at / 10} s ± ${bound}, pings ± ${pings[at]}, messages ± ${messages[at]}`);
      }
    }),
    { numRuns: 8 },
  );
});
