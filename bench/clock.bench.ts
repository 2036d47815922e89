/** Raw clock → Unix ns, over a column; and what a fit costs. */
import { Int64Array } from '../base/int64.ts';
import { AlignedClock } from '../clock/aligned-clock.ts';
import { alignTimes, fitFromSamples, type ClockFit, type ClockSample } from '../clock/fit.ts';
import { MessageHull } from '../clock/message-hull.ts';
import { createRandom } from '../test/support/random.ts';
import { measureRate, type Bench, type BenchResult } from './bench.ts';

const ROWS = 200_000;
const SAMPLES = 1024;
const UNIX_NS = 1_700_000_000_123_456_789n;

function alignColumn(nsPerTick: number): BenchResult {
  const random = createRandom(7);
  const raw = new Int64Array(ROWS);
  const unix = new Int64Array(ROWS);
  let at = 84_643_894_950_799n;
  for (let row = 0; row < ROWS; row++) {
    at += BigInt(Math.floor(random() * 5000));
    raw.setBigint(row, at);
  }
  const fit: ClockFit = { baseRaw: 84_643_000_000_000n, baseUnixNs: UNIX_NS, nsPerTick, errorNs: 100 };
  return { value: measureRate(ROWS, () => alignTimes(raw, unix, ROWS, fit)), unit: 'timestamps/s' };
}

function fitSamples(): BenchResult {
  const random = createRandom(8);
  const samples: ClockSample[] = Array.from({ length: SAMPLES }, (_, i) => {
    const raw = BigInt(i) * 1_000_000_000n;
    const unix = UNIX_NS + raw + BigInt(i) * 297_000n;
    return { raw, unixLow: unix - BigInt(Math.ceil(random() * 2000)), unixHigh: unix + BigInt(Math.ceil(random() * 2000)) };
  });
  const value = measureRate(1, () => fitFromSamples(samples));
  return { value, unit: 'fits/s', detail: `${SAMPLES} samples, ${(1000 / value).toFixed(2)} ms each` };
}

/** As the hub does it: a second's rows go over a knot. */
function alignStretches(): BenchResult {
  const raw = new Int64Array(ROWS);
  const unix = new Int64Array(ROWS);
  const clock = new AlignedClock();
  const place = (at: bigint) => ({ low: at + UNIX_NS, high: at + UNIX_NS + 2000n, best: at + UNIX_NS + 1000n, evidence: '' });
  for (let second = 0n; second < 100n; second++) clock.extend(0n, (second + 1n) * 1_000_000_000n, place, 0);
  for (let row = 0; row < ROWS; row++) raw.setBigint(row, 50_500_000_000n + BigInt(row) * 5000n);
  return { value: measureRate(ROWS, () => clock.align(raw, unix, ROWS)), unit: 'timestamps/s' };
}

/** Both directions, 10,000 messages per second, one in ten thousand of them wrong. */
function addMessages(): BenchResult {
  const random = createRandom(9);
  const sent = Array.from({ length: ROWS }, (_, i) => BigInt(i) * 100_000n);
  const received = sent.map((time) => time + UNIX_NS + BigInt(20_000 + Math.floor(-Math.log(random() + 1e-9) * 20_000)));
  const value = measureRate(ROWS, () => {
    const hull = new MessageHull();
    for (let i = 0; i < ROWS; i++) {
      if (i % 2 === 0) hull.addForward(sent[i] as bigint, received[i] as bigint, 0.9999);
      else hull.addBackward((sent[i] as bigint) + UNIX_NS, (received[i] as bigint) - UNIX_NS, 0.9999);
    }
  });
  return { value, unit: 'messages/s' };
}

export const benches: Bench[] = [
  { name: 'clock: align a column, ns clock', target: '≥ 20 M/s', run: () => alignColumn(1) },
  { name: 'clock: align a column, counter at 2.8 GHz', target: '≥ 20 M/s', run: () => alignColumn(1 / 2.799_998) },
  { name: 'clock: align a column over knots', target: '≥ 20 M/s', run: alignStretches },
  { name: 'clock: messages into a hull', target: '≥ 0.5 M/s', run: addMessages },
  { name: 'clock: fit through samples', run: fitSamples },
];
