/** `mkscope up` as users run it: a real hub, a real collector of this kernel, real signals. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import type { EventPage, Health, Ledger, LogPage } from '../../model/api.ts';
import { whyNoKmsg, whyNoTracefs } from '../collector/live.ts';
import { runCli, RunningCli, withFolder } from '../support/run-cli.ts';
import type { CliOptions } from '../support/run-cli.ts';

const ANY_PORTS = ['--page', '0', '--otlp', '0', '--clickhouse', '0'];
const INSTANCES = '/sys/kernel/tracing/instances';

function start(folder: string, args: readonly string[] = [], options: CliOptions = {}): RunningCli {
  return new RunningCli(['up', '--data', join(folder, 'data'), ...ANY_PORTS, ...args], { cwd: folder, ...options });
}

const isUp = ({ stdout }: RunningCli): boolean => stdout.includes('Ctrl-C stops');

function pageOf({ stdout }: RunningCli): string {
  const url = /page +(http:\S+)/.exec(stdout)?.[1];
  assert.ok(url !== undefined, stdout);
  return url;
}

async function getJson<T>(url: string): Promise<T> {
  return (await (await fetch(url)).json()) as T;
}

/** Process ids of the direct children. */
function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/stat`, 'latin1').split(') ')[1]?.split(' ')[1] === String(pid);
      } catch {
        // It ended while the list was read.
        return false;
      }
    })
    .map(Number);
}

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`);

async function until(isThere: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadlineMs = Date.now() + 20_000;
  while (!(await isThere())) {
    assert.ok(Date.now() < deadlineMs, `${what} did not come`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Asks until the answer is as wanted; fails after 20 s. */
async function eventually<T>(url: string, isWanted: (answer: T) => boolean): Promise<T> {
  let answer = await getJson<T>(url);
  await until(async () => isWanted((answer = await getJson<T>(url))), url);
  return answer;
}

test('up: says what it observes and where to look, stores it, and stops cleanly on SIGINT', async () => {
  await withFolder(async (folder) => {
    const run = start(folder);
    await run.waitFor(isUp, 'the start');
    const page = pageOf(run);
    assert.match(run.stdout, /^mkscope \d+\.\d+\.\d+ observes\n\S+ \(kernel 0 of \S+\): Linux /);
    assert.match(run.stdout, /^ {2}system +CPU, memory/m);
    await until(async () => (await getJson<Health>(`${page}/api/health`)).store.rows > 0, 'the first rows');
    const [collector] = childrenOf(run.pid);
    assert.ok(collector !== undefined, 'no collector process');
    run.kill('SIGINT');
    const { code, stdout, stderr } = await run.ended;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /SIGINT: handing over and storing what was read[\s\S]*stopped, everything is stored\n$/);
    assert.equal(isAlive(collector), false);
    if (existsSync(INSTANCES))
      assert.deepEqual(
        readdirSync(INSTANCES).filter((name) => name.endsWith(`-${collector}`)),
        [],
      );
  });
});

test('up: what was stored is there after a restart, and the books balance', async () => {
  await withFolder(async (folder) => {
    const first = start(folder);
    await first.waitFor(isUp, 'the first start');
    await until(async () => (await getJson<Health>(`${pageOf(first)}/api/health`)).store.rows > 100, 'a hundred rows');
    first.kill('SIGTERM');
    assert.equal((await first.ended).code, 0);
    const second = start(folder);
    await second.waitFor(isUp, 'the second start');
    const page = pageOf(second);
    assert.ok((await getJson<Health>(`${page}/api/health`)).store.rows > 100);
    await until(async () => {
      const { rows } = await getJson<Ledger>(`${page}/api/ledger`);
      return rows.length > 0 && rows.every(({ state }) => state !== 'unbalanced');
    }, 'a balanced ledger');
    second.kill('SIGINT');
    assert.equal((await second.ended).code, 0);
  });
});

test('up: a collector that is killed comes back, and its trace instance is not left behind', async () => {
  await withFolder(async (folder) => {
    const run = start(folder);
    await run.waitFor(isUp, 'the start');
    const [first] = childrenOf(run.pid);
    assert.ok(first !== undefined);
    process.kill(first, 'SIGKILL');
    await run.waitFor(({ stderr }) => /the collector ended by SIGKILL, it starts again in 0\.5 s/.test(stderr), 'the notice');
    await run.waitFor(({ stdout }) => stdout.split('Ctrl-C stops').length === 3, 'the second start');
    const [second] = childrenOf(run.pid);
    assert.ok(second !== undefined && second !== first);
    if (existsSync(INSTANCES))
      assert.deepEqual(
        readdirSync(INSTANCES).filter((name) => name.endsWith(`-${first}`)),
        [],
      );
    run.kill('SIGINT');
    assert.equal((await run.ended).code, 0);
  });
});

test('up: when it is killed itself, the collector does not stay behind', async () => {
  await withFolder(async (folder) => {
    const run = start(folder);
    await run.waitFor(isUp, 'the start');
    const [collector] = childrenOf(run.pid);
    assert.ok(collector !== undefined);
    run.kill('SIGKILL');
    await run.ended;
    await until(() => !isAlive(collector), 'the end of the collector');
    if (existsSync(INSTANCES))
      assert.deepEqual(
        readdirSync(INSTANCES).filter((name) => name.endsWith(`-${collector}`)),
        [],
      );
  });
});

test('up: a second signal stops at once', async () => {
  await withFolder(async (folder) => {
    const run = start(folder);
    await run.waitFor(isUp, 'the start');
    const [collector] = childrenOf(run.pid);
    run.kill('SIGINT');
    await run.waitFor(({ stdout }) => stdout.includes('once more stops at once'), 'the notice');
    run.kill('SIGINT');
    const { code } = await run.ended;
    // It may have finished cleanly in between.
    assert.ok(code === 130 || code === 0, String(code));
    await until(() => collector === undefined || !isAlive(collector), 'the end of the collector');
  });
});

test('up: goes on when its output is closed', async () => {
  await withFolder(async (folder) => {
    const run = start(folder);
    await run.waitFor(isUp, 'the start');
    const page = pageOf(run);
    run.closeOutput();
    run.kill('SIGINT');
    assert.equal((await run.ended).code, 0, run.stderr);
    assert.ok(page.startsWith('http'));
  });
});

test('up: a taken port and a taken data folder are said with what to do, and nothing is left running', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    await withFolder(async (folder) => {
      for (const flag of ['--page', '--otlp', '--clickhouse']) {
        const { code, stderr } = await start(folder, [flag, `127.0.0.1:${port}`]).ended;
        assert.equal(code, 1);
        assert.match(
          stderr,
          new RegExp(`^mkscope: .* cannot listen on 127\\.0\\.0\\.1:${port}: .*\\[E_PORT_IN_USE\\]\\n  hint: .*${flag}\\n$`),
        );
      }
      const first = start(folder);
      await first.waitFor(isUp, 'the start');
      const { code, stderr } = await start(folder).ended;
      assert.equal(code, 1);
      assert.match(stderr, /^mkscope: the data folder .* is in use by process \d+ \[E_DATA_LOCKED\]\n  hint: /);
      first.kill('SIGINT');
      assert.equal((await first.ended).code, 0);
    });
  } finally {
    server.close();
  }
});

test('up: off loopback it does not start without a token', async () => {
  await withFolder(async (folder) => {
    const { code, stderr } = await start(folder, ['--otlp', '0.0.0.0:0']).ended;
    assert.equal(code, 2);
    assert.match(stderr, /off loopback, without a credential \[E_CONFIG_VALUE\]\n  hint: /);
  });
});

test('up: without permission it says what it does not observe and how to mend it, and observes the rest', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root, to become nobody');
  await withFolder(async (folder) => {
    chmodSync(folder, 0o777);
    mkdirSync(join(folder, 'data'), { mode: 0o777 });
    chmodSync(join(folder, 'data'), 0o777);
    const probe = await runCli(['--version'], { uid: 65_534, cwd: folder });
    if (probe.code !== 0) return t.skip('the checkout cannot be read by others');
    const run = start(folder, [], { uid: 65_534 });
    await run.waitFor(isUp, 'the start');
    assert.match(run.stdout, /^ {2}tracefs +not observed: .*\[E_TRACEFS_\w+\]\n +fix: .*sudo mount/m);
    assert.match(run.stdout, /^ {2}system +CPU, memory/m);
    await until(async () => (await getJson<Health>(`${pageOf(run)}/api/health`)).store.rows > 0, 'the first rows');
    run.kill('SIGINT');
    assert.equal((await run.ended).code, 0, run.stderr);
  });
});

test('up: a hub with tokens has one for its own collector', async () => {
  await withFolder(async (folder) => {
    writeFileSync(join(folder, 'mkscope.yaml'), 'hub:\n  tokens: [{token: in-1, grants: ingest}, {token: read-1, grants: read}]\n');
    const run = start(folder);
    await run.waitFor(isUp, 'the start');
    const page = pageOf(run);
    assert.equal((await fetch(`${page}/api/health`)).status, 401);
    await until(async () => {
      const response = await fetch(`${page}/api/health`, { headers: { authorization: 'Bearer read-1' } });
      return ((await response.json()) as Health).store.rows > 0;
    }, 'the first rows');
    run.kill('SIGINT');
    assert.equal((await run.ended).code, 0, run.stderr);
  });
});

test('collect: goes on without a hub, and says where it sends', async () => {
  await withFolder(async (folder) => {
    const run = new RunningCli(['collect', '--to', 'http://127.0.0.1:9', '--data', folder, '--no-tracefs', '--no-kmsg'], { cwd: folder });
    await run.waitFor(({ stderr }) => stderr.includes('to http://127.0.0.1:9'), 'the start');
    run.kill('SIGTERM');
    const { code, stderr } = await run.ended;
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /bug in mkscope/);
  });
});

test('up: a line in the kernel log and a marker in the trace are found by their text, through the API, within a second', async (t) => {
  const noKmsg = whyNoKmsg() ?? whyNoTracefs();
  if (noKmsg !== undefined) return t.skip(noKmsg);
  await withFolder(async (folder) => {
    const run = start(folder);
    await run.waitFor(isUp, 'the start');
    const page = pageOf(run);
    const stream = (
      await eventually<Ledger>(`${page}/api/ledger`, ({ rows }) => rows.some((row) => row.stream.startsWith('tracefs:')))
    ).rows.find((row) => row.stream.startsWith('tracefs:'))?.stream;
    const text = `mkscope-self-test-${process.pid}-${Date.now()}`;
    const startMs = performance.now();
    writeFileSync('/dev/kmsg', `${text}\n`);
    writeFileSync(`${INSTANCES}/${stream?.slice('tracefs:'.length)}/trace_marker`, text);
    await Promise.all([
      eventually<LogPage>(`${page}/api/logs?search=${text}`, ({ rows }) => rows.some((row) => row.body === text)),
      eventually<EventPage>(`${page}/api/events?search=${text}`, ({ rows }) => rows.some((row) => row.body.includes(text))),
    ]);
    t.diagnostic(`both found after ${Math.round(performance.now() - startMs)} ms`);
    run.kill('SIGINT');
    assert.equal((await run.ended).code, 0);
  });
});
