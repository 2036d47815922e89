import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Supervisor } from '../../cli/supervisor.ts';
import type { ChildExit } from '../../cli/supervisor.ts';

/** Waits for something that a child process brings about. */
async function until(isThere: () => boolean, what: string): Promise<void> {
  const deadlineMs = Date.now() + 20_000;
  while (!isThere()) {
    assert.ok(Date.now() < deadlineMs, `${what} did not come`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const WAITS = "process.send('ready'); setInterval(() => {}, 1000);";

test('supervisor: a child that dies is started again, after a pause that grows', async () => {
  const exits: ChildExit[] = [];
  const child = new Supervisor({ args: ['-e', 'process.exit(70)'], onExit: (exit) => exits.push(exit) });
  child.start();
  await until(() => exits.length >= 2, 'the second exit');
  await child.stop(1000);
  assert.deepEqual(exits.slice(0, 2), [
    { code: 70, signal: undefined, restartMs: 500 },
    { code: 70, signal: undefined, restartMs: 1000 },
  ]);
});

test('supervisor: wrong arguments are not tried again', async () => {
  const exits: ChildExit[] = [];
  const child = new Supervisor({ args: ['-e', 'process.exit(2)'], onExit: (exit) => exits.push(exit) });
  child.start();
  await until(() => exits.length > 0, 'the exit');
  assert.deepEqual(exits, [{ code: 2, signal: undefined, restartMs: undefined }]);
  assert.equal(child.restarts, 0);
});

test('supervisor: a killed child comes back and reports again', async () => {
  const reports: unknown[] = [];
  const exits: ChildExit[] = [];
  const child = new Supervisor({ args: ['-e', WAITS], onReport: (report) => reports.push(report), onExit: (exit) => exits.push(exit) });
  child.start();
  await until(() => reports.length === 1, 'the first report');
  process.kill(child.pid ?? 0, 'SIGKILL');
  await until(() => reports.length === 2, 'the second report');
  assert.equal(exits[0]?.signal, 'SIGKILL');
  assert.equal(await child.stop(5000), true);
});

test('supervisor: stop asks first, and kills a child that does not listen', async () => {
  const reports: unknown[] = [];
  const child = new Supervisor({ args: ['-e', `process.on('SIGTERM', () => {}); ${WAITS}`], onReport: (report) => reports.push(report) });
  child.start();
  await until(() => reports.length === 1, 'the report');
  const pid = child.pid ?? 0;
  assert.equal(await child.stop(100), false);
  assert.equal(isAlive(pid), false);
});

test('supervisor: stop during the pause before a restart starts nothing', async () => {
  const exits: ChildExit[] = [];
  const child = new Supervisor({ args: ['-e', ''], onExit: (exit) => exits.push(exit) });
  child.start();
  await until(() => exits.length === 1, 'the exit');
  assert.equal(await child.stop(1000), true);
  await new Promise((resolve) => setTimeout(resolve, 700));
  assert.equal(child.pid, undefined);
  assert.equal(exits.length, 1);
});

test('supervisor: a child leads its own process group, so that Ctrl-C reaches the parent alone', async () => {
  const reports: unknown[] = [];
  const child = new Supervisor({ args: ['-e', WAITS], onReport: (report) => reports.push(report) });
  child.start();
  await until(() => reports.length === 1, 'the report');
  const pid = child.pid ?? 0;
  // A process group of this id exists only when the child leads it.
  assert.doesNotThrow(() => process.kill(-pid, 0));
  await child.stop(5000);
});
