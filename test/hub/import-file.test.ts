import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { ImportResult, KernelRow, LogPage, Problem } from '../../model/api.ts';
import { createBoot, surveyRows } from '../../hub/import-boots.ts';
import { importFile } from '../../hub/import-file.ts';
import { LogBatch } from '../../model/log-batch.ts';
import { getJson, runHub, type RunningHub } from './running-hub.ts';

let hub: RunningHub;

before(async () => {
  hub = await runHub();
});
after(() => hub.stop());

async function send(text: string | Uint8Array<ArrayBuffer>, query: string, status = 200): Promise<ImportResult & Problem> {
  const response = await fetch(`${hub.addresses.page}/api/import?${query}`, { method: 'POST', body: text });
  const answer = (await response.json()) as ImportResult & Problem;
  assert.equal(response.status, status, JSON.stringify(answer));
  return answer;
}

const dmesg = (lines: readonly (readonly [number, string])[]): string =>
  lines.map(([seconds, text]) => `[${seconds.toFixed(6).padStart(12)}] ${text}\n`).join('');

const AUDIT_S = 1_700_000_000;
const FIRST_BOOT = dmesg([
  [0, 'Linux version 7.0.0-one (builder@lab) #1 SMP'],
  [0, 'Command line: console=ttyS0'],
  [2.5, `audit: type=2000 audit(${AUDIT_S}.500:1): state=initialized audit_enabled=0 res=1`],
  [10, 'reboot: Restarting system'],
]);
const SECOND_BOOT = dmesg([
  [0, 'Linux version 7.0.0-two (builder@lab) #1 SMP'],
  [1, 'a line of the second boot'],
]);

test('import: the boots of one console file are incarnations, each on its own clock', async () => {
  const result = await send(FIRST_BOOT + SECOND_BOOT, 'name=console.log&kernel=alpha&kernel_id=2&machine=box');
  assert.deepEqual([result.format, result.records, result.alreadyStored, result.malformed], ['console', 6, 0, {}]);
  assert.deepEqual(
    result.kernels.map((kernel) => [kernel.machine, kernel.kernelId, kernel.kernelName, kernel.release, kernel.records, kernel.clock]),
    [
      ['box', 2, 'alpha', '7.0.0-one', 4, 'log lines that tell the time'],
      ['box', 2, 'alpha', '7.0.0-two', 2, 'other boots of the file'],
    ],
  );
  const { rows } = await getJson<LogPage>(hub, '/api/logs?kernel=alpha');
  assert.equal(new Set(rows.map((row) => row.bootId)).size, 2);
  const audit = rows.find((row) => row.body.startsWith('audit:'));
  const truthNs = (BigInt(AUDIT_S) * 1_000n + 500n) * 1_000_000n;
  const offNs = Number(BigInt(audit?.unixNs ?? 0) - truthNs);
  assert.ok(Math.abs(offNs) <= (audit?.errorNs ?? 0), `${offNs} ns off, said ± ${audit?.errorNs}`);
  const last = rows.find((row) => row.body.startsWith('reboot:'));
  const next = rows.find((row) => row.body.startsWith('Linux version 7.0.0-two'));
  assert.equal(next?.unixNs, last?.unixNs, 'a boot begins where the one before it ends');
  const { kernels } = await getJson<{ kernels: KernelRow[] }>(hub, '/api/kernels');
  const row = kernels.find((kernel) => kernel.bootId === result.kernels[1]?.bootId);
  assert.deepEqual([row?.state, row?.lastLine], ['imported', 'a line of the second boot']);
});

test('import: the same file again stores nothing twice; another kernel of the same content is another', async () => {
  const before = (await getJson<LogPage>(hub, '/api/logs?kernel=alpha')).rows;
  const again = await send(FIRST_BOOT + SECOND_BOOT, 'name=renamed.log&kernel=alpha&kernel_id=2&machine=box');
  assert.deepEqual([again.records, again.alreadyStored], [6, 6]);
  assert.deepEqual((await getJson<LogPage>(hub, '/api/logs?kernel=alpha')).rows, before);
  const other = await send(FIRST_BOOT + SECOND_BOOT, 'name=console.log&kernel=beta&kernel_id=3&machine=box');
  assert.equal(other.alreadyStored, 0);
});

test('import: a given time zero is the clock; rows without a stamp have the time of the row before', async () => {
  const text = `${dmesg([[1, 'stamped']])}no stamp at all\n${dmesg([[2.25, 'again']])}`;
  const result = await send(text, 'name=z.log&format=console&kernel=zero&time_zero=1600000000000000000');
  assert.equal(result.kernels[0]?.clock, 'time zero given');
  const { rows } = await getJson<LogPage>(hub, '/api/logs?kernel=zero');
  assert.deepEqual(
    rows.map((row) => row.unixNs),
    ['1600000001000000000', '1600000001000000000', '1600000002250000000'],
  );
});

test('import: without any other clock the last line is taken to be from when the file was written, with a large error', async () => {
  const result = await send(
    dmesg([
      [5, 'first'],
      [65, 'last'],
    ]),
    'name=m.log&kernel=mtime&modified=1650000000000000000',
  );
  assert.deepEqual([result.kernels[0]?.clock, result.to], ['end of the file', '1650000000000000000']);
  assert.ok((result.kernels[0]?.clockErrorNs ?? 0) > 1e15);
});

test('import: losses that the file reports are gaps', async () => {
  const text = `${dmesg([[1, 'before']])}** 123 printk messages dropped **\n${dmesg([[2, 'after']])}`;
  const result = await send(text, 'name=g.log&format=console&kernel=gappy&time_zero=1600000000000000000');
  assert.equal(result.gaps, 1);
  const { gaps } = await getJson<{ gaps: { count: number; reason: string; fromUnixNs: string; toUnixNs: string }[] }>(
    hub,
    '/api/gaps?kernel=gappy',
  );
  assert.deepEqual(
    gaps.map((gap) => [gap.count, gap.reason, gap.fromUnixNs, gap.toUnixNs]),
    [[123, 'console_dropped', '1600000001000000000', '1600000002000000000']],
  );
});

test('import: trace text becomes events', async () => {
  const line = (seconds: number): string =>
    `          <idle>-0       [001] d..2.  ${seconds.toFixed(6)}: sched_waking: comm=sh pid=7 prio=120 target_cpu=001\n`;
  const text = `# tracer: nop\n#\n${line(12.5)}CPU:1 [LOST 42 EVENTS]\n${line(13.5)}`;
  const result = await send(text, 'name=trace.txt&kernel=traced&time_zero=1600000000000000000');
  assert.deepEqual([result.format, result.records], ['ftrace_text', 2]);
  const { rows } = await getJson<{ rows: { unixNs: string; event: string; comm: string; cpu: number }[] }>(
    hub,
    '/api/events?kernel=traced',
  );
  assert.deepEqual(
    rows.map((row) => [row.unixNs, row.event.split(':').at(-1), row.comm, row.cpu]),
    [
      ['1600000012500000000', 'sched_waking', '<idle>', 1],
      ['1600000013500000000', 'sched_waking', '<idle>', 1],
    ],
  );
  assert.equal(result.gaps, 1);
});

test('import: large files go through in pieces, and progress is told', async () => {
  const lines = Array.from({ length: 60_000 }, (_, index): [number, string] => [index / 1_000, `line ${index} with some text behind it`]);
  const text = new TextEncoder().encode(dmesg(lines));
  assert.ok(text.length > 2 << 20);
  const phases = new Set<string>();
  const outcome = await importFile(
    hub.store,
    pieces(text, 10_007),
    { fileName: 'big.log', identity: { kernelName: 'big' }, workDir: hub.dataDir },
    (progress) => {
      phases.add(progress.phase);
    },
  );
  assert.deepEqual([outcome.records, [...phases]], [60_000, ['copying', 'surveying', 'storing']]);
  const [count] = await hub.store.query<{ rows: number; distinct: number }>(
    "SELECT toFloat64(count()) AS rows, toFloat64(uniqExact(Sequence)) AS distinct FROM otel_logs WHERE KernelName = 'big'",
  );
  assert.deepEqual(count, { rows: 60_000, distinct: 60_000 });
});

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

test('import: what cannot be imported is refused with a code', async () => {
  assert.equal((await send('\u0000\u0001\u0002 nothing', 'name=x.bin', 422)).code, 'E_INPUT_FORMAT');
  assert.equal((await send('x', 'name=x&format=nonsense', 422)).code, 'E_INPUT_FORMAT');
  assert.equal((await send('x', 'kernel=a', 400)).code, 'E_REQUEST');
  const broken = (async function* () {
    yield new TextEncoder().encode(FIRST_BOOT);
    throw new Error('the disk fell off');
  })();
  await assert.rejects(importFile(hub.store, broken, { fileName: 'b.log', workDir: hub.dataDir }), { code: 'E_INPUT_READ' });
});

test('import: what a boot says of its clock is found wherever the file was cut into pieces', () => {
  const boot = createBoot(0);
  for (const [raw, line] of [
    [0, 'kvm-clock: using sched offset of 5000000000 cycles'],
    [170_000_000, 'sched_clock: Marking stable (170000000, 1000)->(300000000, -129999000)'],
  ] as const) {
    const piece = new LogBatch();
    piece.rawTime.setNumber(piece.addText(line, 6), raw);
    surveyRows(boot, piece, { from: 0, to: 1 });
  }
  assert.deepEqual(boot.scan.anchors().kvm, { schedOffsetNs: 5_000_000_000n, stableShiftNs: -129_999_000n });
});

test('import: crash records are incarnations that ended when their records were made, parts in order', async () => {
  const text = [
    'Panic#2 Part1\n<0>[   12.000000] Kernel panic - not syncing: x\n',
    'Panic#2 Part3\n<6>[    9.000000] oldest\n',
    'Panic#1 Part1\n<0>[    3.000000] another boot\n',
  ];
  const ids = [179565260101002, 179565260103002, 179565266601001];
  const body = text.map((part, index) => `==> dmesg-efi-${ids[index]} <==\n${part}\n`).join('');
  const result = await send(body, 'name=pstore&kernel=dead&machine=box');
  assert.deepEqual(
    result.kernels.map(({ clock, clockErrorNs, records }) => [clock, clockErrorNs, records]),
    [
      ['time of the crash record', 1.5e9, 2],
      ['time of the crash record', 1.5e9, 1],
    ],
  );
  assert.equal(new Set(result.kernels.map(({ bootId }) => bootId)).size, 2);
  const { rows } = await getJson<LogPage>(hub, '/api/logs?kernel=dead');
  assert.deepEqual(
    rows.map(({ unixNs, body: line }) => [unixNs, line]),
    [
      ['1795652597500000000', 'oldest'],
      // The report, a record of its own above its first line.
      ['1795652600500000000', 'panic: x'],
      ['1795652600500000000', 'Kernel panic - not syncing: x'],
      ['1795652665500000000', 'another boot'],
    ],
  );
  const { gaps } = await getJson<{ gaps: { reason: string; fromUnixNs: string; toUnixNs: string }[] }>(hub, '/api/gaps?kernel=dead');
  assert.deepEqual(
    gaps.map(({ reason, fromUnixNs, toUnixNs }) => [reason, fromUnixNs, toUnixNs]),
    [['pstore_missing', '1795652597500000000', '1795652600500000000']],
  );
});

test('import: whoever says how late the file was written bounds the time of its last line', async () => {
  const result = await send(dmesg([[5, 'last']]), 'name=v.txt&kernel=kdump&modified=1650000000000000000&modified_error=120000000000');
  assert.deepEqual([result.to, result.kernels[0]?.clockErrorNs], ['1650000000000000000', 120e9]);
});

test('import: lines of a syslog file are at the daemon’s times, each boot on a clock of its own', async () => {
  const text = [
    'Nov 14 22:13:20 web1 kernel: [    0.000000] Linux version 7.0.0-syslog',
    'Nov 14 22:13:20 web1 kernel: [    2.000000] read late',
    'Nov 14 22:13:35 web1 sshd[812]: Accepted',
    'Nov 14 22:13:50 web1 kernel: [   40.250000] read at once',
    'Nov 14 23:00:00 web1 kernel: [    0.000000] Linux version 7.0.0-syslog',
    'Nov 14 23:00:00 web1 kernel: [    1.500000] second boot',
    '',
  ].join('\n');
  const result = await send(text, `name=kern.log&kernel=logged&modified=${AUDIT_S + 3600}000000000`);
  assert.deepEqual([result.format, result.records, result.malformed], ['syslog', 6, {}]);
  assert.deepEqual(
    result.kernels.map(({ release, clock }) => [release, clock]),
    Array.from({ length: 2 }, () => ['7.0.0-syslog', 'wall clock in front of the lines']),
  );
  const { rows } = await getJson<LogPage>(hub, '/api/logs?kernel=logged');
  const secondsOf = (body: string): number =>
    Number(BigInt(rows.find((row) => row.body.includes(body))?.unixNs ?? 0) / 1_000_000n) / 1000 - AUDIT_S;
  // 22:13:20 is second 0; the true times lie within the second that the daemon wrote down.
  assert.ok(Math.abs(secondsOf('read at once') - 30.5) < 0.6, String(secondsOf('read at once')));
  assert.ok(Math.abs(secondsOf('read late') - (30.5 - 38.25)) < 0.6);
  assert.equal(secondsOf('sshd[812]'), 15);
  assert.ok(Math.abs(secondsOf('second boot') - (46 * 60 + 40.5)) < 0.6);
});

test('import: a wall clock without a zone is set right by the lines that tell UTC', async () => {
  const text = [
    'Nov 14 23:13:20 web1 kernel: [    1.000000] Linux version 7.0.0-zone',
    `Nov 14 23:13:21 web1 kernel: [    1.500000] audit: type=2000 audit(${AUDIT_S}.500:1): state=initialized audit_enabled=0 res=1`,
    'Nov 14 23:13:25 web1 sshd[812]: Accepted',
    '',
  ].join('\n');
  const result = await send(text, `name=messages&kernel=zoned&modified=${AUDIT_S + 7200}000000000`);
  assert.equal(result.kernels[0]?.clock, 'log lines that tell the time');
  const { rows } = await getJson<LogPage>(hub, '/api/logs?kernel=zoned');
  const login = rows.find((row) => row.body.startsWith('sshd'));
  assert.equal(login?.unixNs, String(BigInt(AUDIT_S + 5) * 1_000_000_000n));
});

test('import: a file of the journal itself is told with the command that reads it', async () => {
  const problem = await send('LPKSHHRH\0\0\0\0', 'name=system.journal&kernel=j', 422);
  assert.deepEqual([problem.code, problem.hint], ['E_INPUT_FORMAT', 'journalctl --file FILE -o export | mkscope import -']);
});
