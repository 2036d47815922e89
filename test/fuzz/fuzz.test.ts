/** A short fuzz of every target, what was found before, and whether the fuzzing finds what is planted. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { test } from 'node:test';
import type { Finding } from './loop.ts';
import { supervise } from './supervise.ts';
import { TARGETS } from './targets.ts';

const KEPT = join(import.meta.dirname, '..', 'fixtures', 'fuzz');
const PLANTED = pathToFileURL(join(import.meta.dirname, 'planted.ts')).href;
/** Same inputs each time; the long runs take other seeds. */
const SEED = 20_261_126;
const SHORT_RUNS = 400;

test('fuzz: every parser keeps its promises on some hundred mutated recordings', async () => {
  const reports = await supervise(
    TARGETS.map(({ id }) => id),
    { seed: SEED, runs: SHORT_RUNS, seconds: 1 },
  );
  for (const { target, findings, runs } of reports) {
    assert.deepEqual(findings.map(describe), [], target);
    assert.ok(runs > 0, `${target} was not run`);
  }
  assert.equal(reports.length, TARGETS.length);
});

function describe({ key, message, input }: Finding): string {
  return `${key}: ${message} ${JSON.stringify(Buffer.from(input).toString('latin1'))}`;
}

test('fuzz: inputs that broke a promise once do not any more', () => {
  for (const target of TARGETS) {
    const folder = join(KEPT, target.id);
    if (!existsSync(folder)) continue;
    for (const name of readdirSync(folder)) {
      const input = new Uint8Array(readFileSync(join(folder, name)));
      assert.doesNotThrow(() => target.open().run(input, true), `${target.id}/${name}`);
    }
  }
});

async function findPlanted(id: string, runs: number, hangCpuMs = 5000): Promise<Finding | undefined> {
  const [report] = await supervise([id], { seed: 3, runs, seconds: 60, table: PLANTED, hangCpuMs, heapMb: 64, mostFindings: 1 });
  return report?.findings[0];
}

test('fuzz: an exception is found, told without its numbers, and made short', async () => {
  const found = await findPlanted('throws', 20_000);
  assert.match(found?.key ?? '', /^RangeError offset N is outside/);
  assert.equal(new TextDecoder().decode(found?.input), ';;');
});

test('fuzz: what lies behind several conditions is reached step by step', async () => {
  const found = await findPlanted('deep', 200_000);
  assert.equal(found?.key, 'deep');
  assert.equal(new TextDecoder().decode(found?.input), ';;,');
});

test('fuzz: more than linear time and more memory than a run may take are found', async () => {
  assert.equal((await findPlanted('slow', 20_000))?.key, 'time');
  assert.equal((await findPlanted('large', 20_000))?.key, 'memory');
});

test('fuzz: a run that never comes back and a heap that fills up are found with their input', async () => {
  const hang = await findPlanted('hangs', 20_000, 300);
  assert.equal(hang?.key, 'hang');
  assert.match(new TextDecoder().decode(hang?.input), /,,/);
  const full = await findPlanted('grows', 20_000);
  assert.equal(full?.key, 'heap');
});

test('fuzz: nothing is found where nothing is broken, and a seed gives the same inputs again', async () => {
  const options = { seed: 9, runs: 5000, seconds: 30, table: PLANTED };
  const [first, second] = [await supervise(['holds'], options), await supervise(['holds'], options)];
  assert.deepEqual(first[0]?.findings, []);
  assert.deepEqual(
    [first[0]?.runs, first[0]?.corpus, first[0]?.reachedChars],
    [second[0]?.runs, second[0]?.corpus, second[0]?.reachedChars],
  );
});
