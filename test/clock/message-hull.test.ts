/** Clocks of known truth, and messages between them: the truth is inside the bound, always. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { countWrong, MessageHull } from '../../clock/message-hull.ts';
import { OffsetHull } from '../../clock/offset-hull.ts';
import { createRandom } from '../support/random.ts';

const FROM_START = 7_000_000_000n;
const OFFSET = 1_788_510_993_000_000_123n;

interface Plan {
  readonly seconds: number;
  readonly seed: number;
  readonly drift: number;
  /** Messages per second, each way. */
  readonly forward: number;
  readonly backward: number;
  /** Least way there and back, ns; more is random. */
  readonly wayNs: readonly [number, number];
  readonly wrong: number;
  readonly pings: number;
  /** At this second `to` is set forward by so much. */
  readonly step?: { readonly second: number; readonly ns: number };
}

const PLAN: Plan = { seconds: 60, seed: 1, drift: 30e-6, forward: 50, backward: 50, wayNs: [20_000, 20_000], wrong: 0, pings: 0 };

/** ns on `from` → on `to`: an offset, a drift, and a rate that turns by half a ppm within a minute. */
function truthOf(x: number, { drift, step }: Plan): bigint {
  const wander = 5e-6 * Math.sin(x / 10e9) * 1e3;
  return (
    FROM_START +
    OFFSET +
    BigInt(Math.round(x * (1 + drift) + wander)) +
    (step !== undefined && x >= step.second * 1e9 ? BigInt(step.ns) : 0n)
  );
}

interface Score {
  readonly errorsNs: number[];
  readonly boundsNs: number[];
  unknown: number;
  readonly hull: MessageHull;
}

/** Feeds a life and looks at the bound each tenth of a second, and at the way back. */
function live(plan: Plan): Score {
  const hull = new MessageHull();
  const random = createRandom(plan.seed);
  const score: Score = { errorsNs: [], boundsNs: [], unknown: 0, hull };
  type Act = { readonly x: number; readonly what: 'forward' | 'backward' | 'ping' | 'look' };
  const acts: Act[] = [];
  const addActs = (what: Act['what'], rate: number): void => {
    for (let i = 0; i < rate * plan.seconds; i++) acts.push({ x: random() * plan.seconds * 1e9, what });
  };
  addActs('forward', plan.forward);
  addActs('backward', plan.backward);
  addActs('ping', plan.pings);
  for (let i = 1; i < plan.seconds * 10; i++) acts.push({ x: i * 1e8, what: 'look' });
  const at = (x: number): bigint => FROM_START + BigInt(Math.round(x));
  // Most messages take a little longer than the least, some much longer.
  const delay = (least: number): number => least - Math.log(random() + 1e-12) * 15_000 + (random() < 0.02 ? random() * 5e6 : 0);
  for (const { x, what } of acts.sort((a, b) => a.x - b.x)) {
    const isWrong = random() < plan.wrong;
    const confidence = plan.wrong === 0 ? 1 : 1 - plan.wrong;
    // A wrong match takes the receiving of another message, here of one up to 20 ms earlier or later.
    const slip = isWrong ? (random() - 0.5) * 40e6 : 0;
    if (what === 'forward') hull.addForward(at(x), truthOf(x + delay(plan.wayNs[0]) + slip, plan), confidence);
    else if (what === 'backward') hull.addBackward(truthOf(x, plan), at(x + delay(plan.wayNs[1]) + slip), confidence);
    else if (what === 'ping') {
      const truth = truthOf(x, plan);
      hull.addInterval(at(x), truth - BigInt(Math.floor(random() * 1e6)), truth + BigInt(Math.floor(random() * 1e6)));
    } else look(hull, x, plan, score);
  }
  return score;
}

function look(hull: MessageHull, x: number, plan: Plan, score: Score): void {
  // What was sent may be under way still when a clock is set.
  if (plan.step !== undefined && x > plan.step.second * 1e9 - 1e8 && x < (plan.step.second + 5) * 1e9) return;
  const raw = FROM_START + BigInt(Math.round(x));
  const truth = truthOf(x, plan);
  const found = hull.at(raw);
  if (found === undefined) {
    score.unknown++;
    return;
  }
  assert.ok(found.low <= truth && truth <= found.high, `at ${x / 1e9} s: ${truth - found.low} … ${found.high - truth}`);
  const back = hull.back(truth);
  assert.ok(back !== undefined && back.low <= raw && raw <= back.high, `back at ${x / 1e9} s`);
  score.errorsNs.push(Math.abs(Number((found.low + found.high) / 2n - truth)));
  score.boundsNs.push(Number(found.high - found.low) / 2);
}

function say(t: TestContext, what: string, { errorsNs, boundsNs }: Pick<Score, 'errorsNs' | 'boundsNs'>): void {
  const us = (values: number[], share: number): string =>
    ((values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? NaN) / 1000).toFixed(1);
  t.diagnostic(
    `${what}: off by ${us(errorsNs, 0.5)} µs (median), ${us(errorsNs, 0.99)} (p99), ${us(errorsNs, 1)} (most); stated ± ${us(boundsNs, 0.5)} (median), ${us(boundsNs, 0.99)} (p99); ${boundsNs.length} of ${boundsNs.length} inside`,
  );
}

const plans = fc.record({
  seconds: fc.integer({ min: 3, max: 40 }),
  seed: fc.nat(),
  drift: fc.double({ min: -450e-6, max: 450e-6, noNaN: true }),
  forward: fc.integer({ min: 2, max: 150 }),
  backward: fc.integer({ min: 2, max: 150 }),
  wayNs: fc.tuple(fc.integer({ min: 0, max: 200_000 }), fc.integer({ min: 0, max: 2_000_000 })),
  wrong: fc.constantFrom(0, 1e-4, 1e-3, 5e-3),
  pings: fc.constantFrom(0, 0, 2),
});

test('message hull: the truth is inside the bound for any drift, delays and wrong matches', (t) => {
  const all = { errorsNs: [] as number[], boundsNs: [] as number[] };
  fc.assert(
    fc.property(plans, (plan) => {
      const { errorsNs, boundsNs, hull } = live(plan);
      all.errorsNs.push(...errorsNs);
      all.boundsNs.push(...boundsNs);
      if (plan.wrong === 0) assert.deepEqual([hull.rejected, hull.steps], [0, 0]);
    }),
    { numRuns: 150 },
  );
  say(t, 'any plan', all);
});

test('message hull: messages say more than pings, and both together most', (t) => {
  const pings = live({ ...PLAN, forward: 0, backward: 0, pings: 1 });
  const messages = live(PLAN);
  const both = live({ ...PLAN, pings: 1 });
  const oneWay = live({ ...PLAN, backward: 0, pings: 1 });
  for (const [what, score] of Object.entries({ pings, messages, both, oneWay })) say(t, what, score);
  const late = ({ boundsNs }: Score): number => Math.min(...boundsNs.slice(-100));
  assert.ok(late(messages) < 30_000 && late(both) < 30_000 && late(messages) < late(pings), `${late(both)} ${late(messages)}`);
  assert.ok(late(oneWay) < late(pings));
  // One direction alone bounds one side only.
  assert.equal(live({ ...PLAN, backward: 0 }).boundsNs.length, 0);
});

test('message hull: delays that differ by direction move the middle, never the bound', (t) => {
  const score = live({ ...PLAN, wayNs: [5_000, 400_000] });
  say(t, 'asymmetric', score);
  assert.ok((score.boundsNs.at(-1) ?? NaN) < 230_000);
});

test('message hull: five in a thousand wrong matches cost width, not truth', (t) => {
  const wrong = live({ ...PLAN, wrong: 5e-3, forward: 200, backward: 200 });
  say(t, '0.5 % wrong', wrong);
  assert.ok((wrong.boundsNs.at(-1) ?? NaN) < 60_000);
});

test('message hull: a clock that is set begins a new segment, by messages and by pings', () => {
  for (const ns of [50_000_000, -3_000_000]) {
    const messages = live({ ...PLAN, step: { second: 30, ns } });
    assert.ok(messages.hull.steps === 1, `${messages.hull.steps} steps by messages`);
    assert.ok((messages.boundsNs.at(-1) ?? NaN) < 30_000);
    const pings = live({ ...PLAN, forward: 0, backward: 0, pings: 5, step: { second: 30, ns } });
    assert.equal(pings.hull.steps, 1);
  }
});

test('message hull: a match that says nothing is not taken', () => {
  const hull = new MessageHull();
  hull.addForward(1000n, 2000n, 0.5);
  assert.equal(hull.messages, 0);
});

test('message hull: as many are left out as may be wrong', () => {
  assert.deepEqual([0, 1e-9, 1e-4, 0.01, 0.5, 100].map(countWrong), [0, 0, 1, 3, 7, 17]);
});

test('offset hull: the bounds are those of all lines through all points', () => {
  const random = createRandom(3);
  for (let round = 0; round < 20; round++) {
    const hull = new OffsetHull();
    const points = Array.from({ length: 30 }, () => ({
      x: Math.floor(random() * 1e10),
      y: Math.floor(random() * 1e5),
      up: random() < 0.5,
    }));
    for (const { x, y, up } of points) {
      if (up) hull.addUpper(x, y);
      else hull.addLower(x, -y);
    }
    const x = random() * 1e10;
    const bounds = hull.bounds(x);
    assert.ok(bounds !== undefined);
    // Slopes, each with its room for a line, tried one by one.
    let [low, high] = [Infinity, -Infinity];
    for (let slope = -1e-3; slope <= 1e-3; slope += 1e-6) {
      const top = Math.min(...points.filter(({ up }) => up).map((p) => p.y + 1 + 1e-6 * Math.abs(p.x - x) + slope * (x - p.x)));
      const bottom = Math.max(...points.filter(({ up }) => !up).map((p) => -p.y - 1 - 1e-6 * Math.abs(p.x - x) + slope * (x - p.x)));
      if (top < bottom) continue;
      high = Math.max(high, top);
      low = Math.min(low, bottom);
    }
    // Corners only: what a wide V lifts above the chain may count less, which widens.
    assert.ok(bounds.high >= high - 2 && bounds.low <= low + 2, `${bounds.low} … ${bounds.high}, ${low} … ${high}`);
    assert.ok(bounds.high - bounds.low <= (high - low) * 1.2 + 20_000);
  }
});
