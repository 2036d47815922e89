import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { LogPage, LogRow, Problem } from '../../model/api.ts';
import { getJson, HOST, post, runHub, SPAWN, toLogsBody, type RunningHub } from './running-hub.ts';

const BASE_NS = 1_780_000_000_000_000_000n;
let hub: RunningHub;

before(async () => {
  hub = await runHub();
  // Two kernels; ten records share each stamp, and the stamps of the kernels interleave.
  const lines = (name: string, shift: bigint) =>
    Array.from({ length: 300 }, (_, index) => ({
      text: `${name} line ${index}${index % 50 === 0 ? ' 100% of A_B' : ''}`,
      unixNs: BASE_NS + BigInt(Math.floor(index / 10)) * 1_000_000n + shift,
      level: index % 8,
      sequence: index,
    }));
  await post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(SPAWN, lines('spawn', 500_000n)));
  await post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(HOST, lines('host', 0n)));
});
after(() => hub.stop());

test('logs: equal stamps keep the order of their source', async () => {
  const { rows } = await getJson<LogPage>(hub, '/api/logs?limit=5000');
  assert.equal(rows.length, 600);
  for (const kernel of ['host', 'spawn1']) {
    const sequences = rows.filter((row) => row.kernelName === kernel).map((row) => row.sequence);
    assert.deepEqual(
      sequences,
      Array.from({ length: 300 }, (_, index) => index),
    );
  }
  assert.deepEqual(
    rows.map((row) => row.unixNs),
    rows.map((row) => row.unixNs).toSorted(),
  );
  assert.equal(new Set(rows.map((row) => row.uid)).size, 600);
});

test('logs: pages walk to both sides without overlap or hole, while new rows arrive', async () => {
  const all = (await getJson<LogPage>(hub, '/api/logs?limit=5000&boot=' + HOST.bootId)).rows;
  let page = await getJson<LogPage>(hub, `/api/logs?limit=7&boot=${HOST.bootId}`);
  assert.equal(page.newer, undefined, 'nothing is newer than the newest page');
  const walked: LogRow[] = [...page.rows];
  const late = toLogsBody(HOST, [{ text: 'late', unixNs: BASE_NS + 3_600_000_000_000n, sequence: 9_999 }]);
  await post(`${hub.addresses.otlp}/v1/logs`, late);
  while (page.older !== undefined) {
    page = await getJson<LogPage>(hub, `/api/logs?limit=7&boot=${HOST.bootId}&cursor=${page.older}`);
    walked.unshift(...page.rows);
  }
  assert.deepEqual(walked, all);
  const forwards: LogRow[] = [...page.rows];
  while (page.newer !== undefined) {
    page = await getJson<LogPage>(hub, `/api/logs?limit=7&boot=${HOST.bootId}&cursor=${page.newer}`);
    forwards.push(...page.rows);
  }
  assert.equal(forwards.length, all.length + 1, 'the way back ends at the row that came meanwhile');
  assert.deepEqual(forwards.slice(0, -1), all);
});

test('logs: each filter keeps what it says', async () => {
  const rowsOf = async (query: string): Promise<readonly LogRow[]> => (await getJson<LogPage>(hub, `/api/logs?limit=5000&${query}`)).rows;
  assert.equal((await rowsOf('kernel=spawn1')).length, 300);
  assert.equal((await rowsOf('kernel=1')).length, 300);
  assert.equal((await rowsOf('kernel=spawn1,0&level=0')).length, 76);
  assert.ok((await rowsOf('level=err')).every((row) => row.level <= 3));
  assert.equal((await rowsOf('search=LINE 29')).length, 22, 'substrings, in any case');
  assert.equal((await rowsOf(`search=${encodeURIComponent('100% OF a_b')}`)).length, 12, '% and _ stand for themselves');
  assert.equal((await rowsOf(`search=${encodeURIComponent("' OR 1=1 --")}`)).length, 0);
  assert.equal((await rowsOf(`regex=${encodeURIComponent('^host line 1\\d$')}`)).length, 10);
  assert.equal((await rowsOf('stream=kmsg&boot=' + SPAWN.bootId)).length, 300);
  const from = BASE_NS + 5_000_000n;
  const window = await rowsOf(`from=${from}&to=${from + 1_000_000n}`);
  assert.deepEqual([...new Set(window.map((row) => row.unixNs))], [`${from}`, `${from + 500_000n}`, `${from + 1_000_000n}`]);
});

test('logs: a row is found by its name, one that its sender did not number by its time and text', async () => {
  const foreign = { resourceLogs: [{ scopeLogs: [{ logRecords: [{ timeUnixNano: `${BASE_NS}`, body: { stringValue: 'a:b:7\nc' } }] }] }] };
  await post(`${hub.addresses.otlp}/v1/logs`, JSON.stringify(foreign), { 'content-type': 'application/json' });
  const { rows } = await getJson<LogPage>(hub, `/api/logs?limit=5000&to=${BASE_NS + 2_000_000n}`);
  assert.ok(rows.some(({ body, stream }) => body === 'a:b:7\nc' && stream === ''));
  for (const row of rows) {
    const found = await getJson<LogPage>(hub, `/api/logs?uid=${encodeURIComponent(row.uid)}`);
    assert.deepEqual(found.rows, [row]);
  }
  const others = ['b:kmsg:1', `${HOST.bootId}:kmsg:999999`, `${HOST.bootId}:other:1`, `${HOST.bootId}::${BASE_NS}:1`];
  for (const uid of others) assert.deepEqual((await getJson<LogPage>(hub, `/api/logs?uid=${encodeURIComponent(uid)}`)).rows, [], uid);
  const narrowed = await getJson<LogPage>(hub, `/api/logs?uid=${encodeURIComponent(rows[0]?.uid ?? '')}&search=no such text`);
  assert.deepEqual(narrowed.rows, []);
});

test('logs: a wrong parameter is a problem that names it', async () => {
  for (const [query, named] of [
    ['kernal=0', /unknown parameter kernal/],
    ['level=loud', /level/],
    ['from=yesterday', /from/],
    ['from=99999999999999999999', /from/],
    ['uid=x', /uid/],
    [`uid=${HOST.bootId}:kmsg:18446744073709551616`, /uid/],
    ['limit=0', /limit/],
    ['limit=1000000', /limit/],
    ['limit=1&limit=2', /limit is given twice/],
    ['cursor=bm9uc2Vuc2U', /cursor/],
    [`cursor=${Buffer.from('[0,"x","","","",""]').toString('base64url')}`, /./],
    [`regex=${encodeURIComponent('(')}`, /./],
  ] as const) {
    const response = await fetch(`${hub.addresses.page}/api/logs?${query}`);
    assert.equal(response.status, 400, query);
    assert.equal(response.headers.get('content-type'), 'application/problem+json');
    const problem = (await response.json()) as Problem;
    assert.match(problem.detail, named);
    assert.ok(problem.code.startsWith('E_') && problem.hint !== '', query);
  }
});
