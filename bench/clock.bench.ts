/** Raw clock → Unix ns, over a column; and what a fit costs. */
import { Int64Array } from '../base/int64.ts';
import { alignTimes, fitFromSamples, type ClockFit, type ClockSample } from '../clock/fit.ts';
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

export const benches: Bench[] = [
  { name: 'clock: align a column, ns clock', target: '≥ 20 M/s', run: () => alignColumn(1) },
  { name: 'clock: align a column, counter at 2.8 GHz', target: '≥ 20 M/s', run: () => alignColumn(1 / 2.799_998) },
  { name: 'clock: fit through samples', run: fitSamples },
];
