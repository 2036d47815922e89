/**
 * `npm run fuzz -- <target|all> [--runs N] [--seconds S] [--seed N]`: a line per target; an input that breaks a promise is made
 * short, shown and kept in test/fixtures/fuzz/, where the tests run it from then on. Exit code 1 when there is one.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Finding } from './loop.ts';
import { supervise, type FuzzReport } from './supervise.ts';
import { TARGETS } from './targets.ts';

const KEPT = join(import.meta.dirname, '..', 'fixtures', 'fuzz');
const DEFAULT_RUNS = 100_000;

const names = TARGETS.map(({ id }) => id);
const USAGE = `usage: npm run fuzz -- <target …|all> [--runs N] [--seconds S] [--seed N]\ntargets: ${names.join(', ')}`;
const { values, positionals } = readArguments();
if (values.help === true) {
  console.log(USAGE);
  process.exit(0);
}
const wanted = positionals.includes('all') ? names : positionals;
const unknown = wanted.filter((name) => !names.includes(name));
if (wanted.length === 0) refuse('no target');
if (unknown.length > 0) refuse(`no target ${unknown.join(', ')}`);
const seconds = toCount('seconds', Number.POSITIVE_INFINITY);
const runs = toCount('runs', values.seconds === undefined ? DEFAULT_RUNS : Number.POSITIVE_INFINITY);
const seed = toCount('seed', Date.now() % 2 ** 31);
console.log(`node ${process.version}, ${new Date().toISOString()}, seed ${seed}`);
let broken = 0;
for (const name of wanted) {
  for (const report of await supervise([name], { seed, runs, seconds })) {
    print(report);
    for (const finding of report.findings) keep(finding);
    broken += report.findings.length;
  }
}
process.exitCode = broken > 0 ? 1 : 0;

function readArguments() {
  const options = {
    help: { type: 'boolean', short: 'h' },
    runs: { type: 'string' },
    seconds: { type: 'string' },
    seed: { type: 'string' },
  } as const;
  try {
    return parseArgs({ allowPositionals: true, options });
  } catch (error) {
    return refuse((error as Error).message);
  }
}

function refuse(reason: string): never {
  console.error(`${reason}\n${USAGE}`);
  process.exit(2);
}

function toCount(name: 'runs' | 'seconds' | 'seed', fallback: number): number {
  const text = values[name];
  if (text === undefined) return fallback;
  const count = Number(text.replaceAll('_', ''));
  if (Number.isSafeInteger(count) && count >= 0) return count;
  return refuse(`--${name} takes a whole number, not ${text}`);
}

function print({ target, runs, seconds, corpus, reachedChars, peakBytes, outcomes, findings }: FuzzReport): void {
  console.log(
    `${target.padEnd(16)} ${runs.toLocaleString('en').padStart(12)} runs ${seconds.toFixed(0).padStart(6)} s ` +
      `${(runs / seconds / 1000).toFixed(1).padStart(6)} k/s  ${corpus} bases, ${reachedChars} characters of code reached, ` +
      `${(peakBytes / 2 ** 20).toFixed(0)} MB at most, ${findings.length} findings`,
  );
  const rare = outcomes.map(([outcome, count]) => `${outcome} ${count}`).join('; ');
  if (rare !== '') console.log(`  ${rare.slice(0, 1200)}`);
}

function keep({ target, key, message, seed, run, input }: Finding): void {
  const path = join(KEPT, target, `${createHash('sha256').update(input).digest('hex').slice(0, 8)}.bin`);
  mkdirSync(join(KEPT, target), { recursive: true });
  writeFileSync(path, input);
  console.log(`  BROKEN ${key} (seed ${seed}, run ${run}), kept as ${path}`);
  console.log(`    ${message.split('\n').slice(0, 6).join('\n    ')}`);
  console.log(`    ${JSON.stringify(Buffer.from(input).toString('latin1').slice(0, 300))}`);
}
