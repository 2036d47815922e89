/** kill -9 at any moment: nothing that was acknowledged is lost, nothing is doubled, in tables and behind views. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { createRandom } from '../support/random.ts';
import { openTestStore, tempFolder } from './support.ts';

const ROUNDS = 20;

/** Runs the child until `aliveMs` after it opened the store; returns the last number that it said was acknowledged. */
async function runAndKill(dataDir: string, first: number, aliveMs: number, events: number): Promise<number> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'kill-child.ts'), dataDir, String(first), String(events)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (chunk: string) => {
    if (output === '') setTimeout(() => child.kill('SIGKILL'), aliveMs);
    output += chunk;
  });
  const signal = await new Promise((resolve) => child.once('close', (_, by) => resolve(by)));
  assert.equal(signal, 'SIGKILL', `the child ended by itself: ${output.slice(-300)}`);
  const whole = output
    .slice(0, output.lastIndexOf('\n'))
    .split('\n')
    .filter((line) => /^\d+$/.test(line));
  return whole.length === 0 ? first - 1 : Number(whole.at(-1));
}

for (const { events, rounds, longestMs, least } of [
  { events: 7, rounds: ROUNDS, longestMs: 400, least: ROUNDS },
  // So many become a part of the table, which is attached.
  { events: 66_000, rounds: 6, longestMs: 2500, least: 2 },
]) {
  test(`kill: ${rounds} killed processes lose nothing acknowledged and double nothing, with ${events} events in a batch`, async (t) => {
    const dataDir = tempFolder();
    const random = createRandom(20_261_123);
    let acknowledged = -1;
    for (let round = 0; round < rounds; round++) {
      acknowledged = await runAndKill(dataDir, Math.max(0, acknowledged), Math.floor(random() ** 2 * longestMs), events);
    }
    assert.ok(acknowledged > least, `only ${acknowledged} batches were acknowledged`);
    const store = await openTestStore(t, { dataDir });
    const [logs] = await store.query<{ rows: number; distinct: number; last: number }>(
      'SELECT toInt32(count()) AS rows, toInt32(uniqExact(Sequence)) AS distinct, toInt32(max(Sequence)) AS last FROM otel_logs',
    );
    assert.ok(
      logs !== undefined && logs.last >= acknowledged * 50 + 49,
      `batch ${acknowledged} was acknowledged, the last row is ${logs?.last}`,
    );
    assert.equal(logs.rows, logs.distinct, 'rows are doubled');
    assert.equal(logs.rows, logs.last + 1, 'rows are missing');
    const batches = logs.rows / 50;
    const [others] = await store.query(
      `SELECT toInt32((SELECT count() FROM otel_traces)) AS spans, toInt32((SELECT uniqExact(TraceId) FROM otel_traces)) AS traces,
         toInt32((SELECT count() FROM otel_traces_trace_id_ts FINAL)) AS indexed,
         toInt32((SELECT count() FROM events)) AS events, toInt32((SELECT uniqExact(n) FROM kill)) AS numbers`,
    );
    assert.deepEqual(others, { spans: batches * 2, traces: batches * 2, indexed: batches * 2, events: batches * events, numbers: batches });
  });
}
