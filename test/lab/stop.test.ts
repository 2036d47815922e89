/** Whenever a lab is ended, and however: nothing of it stays. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { labDir } from '../../deploy/lab/control.ts';
import { runCli, RunningCli } from '../support/run-cli.ts';
import { assertNoProcessLeft, assertNothingLeft, listLabProcesses, type ProcessId } from './leftovers.ts';
import { RunningLab, until, whyNoLab } from './running-lab.ts';

const skip = (await whyNoLab()) ?? false;
if (skip !== false) process.stderr.write(`tests that end a lab are skipped: ${skip}\n`);

/** As a shell reports a process that Ctrl-C ended. */
const STOPPED_EXIT = 130;

const isQemu = ({ commandLine }: ProcessId): boolean => commandLine.startsWith('qemu-system-x86_64');

function start(t: TestContext, name: string, args: readonly string[]): RunningLab {
  const lab = new RunningLab(`${name}-${process.pid}`, args);
  t.after(() => lab.stop());
  return lab;
}

async function interrupt(t: TestContext, lab: RunningLab, known: readonly ProcessId[]): Promise<void> {
  const startMs = performance.now();
  lab.kill('SIGINT');
  assert.deepEqual(await lab.ended, { code: STOPPED_EXIT, signal: undefined }, lab.log);
  t.diagnostic(`ended after ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
  await assertNothingLeft(lab.dir, known, lab.log);
}

test('lab up: Ctrl-C at once leaves nothing', { skip }, async (t) => {
  const lab = start(t, 'stop0', ['--kernels', '2']);
  await sleep(400);
  const known = lab.processes();
  lab.kill('SIGINT');
  const { code, signal } = await lab.ended;
  // Node may not have come to our first line yet.
  assert.ok(code === STOPPED_EXIT || signal === 'SIGINT', `${code} ${signal}\n${lab.log}`);
  await assertNothingLeft(lab.dir, known, lab.log);
});

test('lab up: Ctrl-C in the moment in which QEMU connects leaves nothing', { skip }, async (t) => {
  for (const delayMs of [0, 100]) {
    const lab = start(t, `stop${delayMs}-q`, ['--kernels', '1', '--no-observe']);
    await until('QEMU', () => lab.processes().some(isQemu));
    await sleep(delayMs);
    const known = lab.processes();
    lab.kill('SIGINT');
    assert.deepEqual(await lab.ended, { code: STOPPED_EXIT, signal: undefined }, lab.log);
    await assertNothingLeft(lab.dir, known, lab.log);
  }
});

test('lab up: Ctrl-C while the host kernel boots, with hub and collector, leaves nothing', { skip }, async (t) => {
  const lab = start(t, 'stop1', ['--kernels', '2']);
  await lab.waitForLog('booting the host kernel');
  await until('QEMU', () => lab.processes().some(isQemu));
  await sleep(1000);
  const known = lab.processes();
  await interrupt(t, lab, known);
});

test('lab up: Ctrl-C while a spawned kernel boots leaves nothing', { skip }, async (t) => {
  const lab = start(t, 'stop2', ['--kernels', '2', '--cpus', '1', '--no-observe']);
  await lab.waitForLog('the host kernel starts spawn1');
  await until('a second QEMU', () => lab.processes().filter(isQemu).length === 2);
  const known = lab.processes();
  await interrupt(t, lab, known);
});

test('lab up: Ctrl-C while it starts in the background leaves nothing', { skip }, async (t) => {
  const name = `stop3-${process.pid}`;
  const dir = labDir(name);
  const front = new RunningCli(['lab', 'up', '--name', name, '--kernels', '1', '--no-observe']);
  t.after(() => front.kill('SIGTERM'));
  await front.waitFor(({ stderr }) => stderr.includes('booting the host kernel'), 'the start of the host kernel', 60_000);
  await until('QEMU', () => listLabProcesses(front.pid, dir).some(isQemu));
  const known = listLabProcesses(front.pid, dir);
  front.kill('SIGINT');
  const { code, stderr } = await front.ended;
  assert.equal(code, STOPPED_EXIT, stderr);
  await assertNothingLeft(dir, known, stderr);
});

test('lab: when it is killed, no kernel, bus, hub or collector stays behind, and the next lab of its name starts', { skip }, async (t) => {
  const lab = start(t, 'stop4', ['--kernels', '1', '--cpus', '1']);
  await lab.waitUp();
  const known = lab.processes();
  for (const program of ['qemu-system-x86_64', 'mkbus', ' hub ', ' collect ']) {
    assert.ok(
      known.some(({ commandLine }) => commandLine.includes(program)),
      `no ${program} among ${JSON.stringify(known)}`,
    );
  }
  lab.kill('SIGKILL');
  await lab.ended;
  await assertNoProcessLeft(lab.dir, known, lab.log);
  const next = start(t, 'stop4', ['--kernels', '1', '--cpus', '1', '--no-observe']);
  assert.equal((await next.waitUp()).kernels[0]?.guest, 'up');
  const { code, stderr } = await runCli(['lab', 'down', '--name', next.name]);
  assert.equal(code, 0, stderr);
  assert.deepEqual(await next.ended, { code: 0, signal: undefined });
  await assertNothingLeft(next.dir, known, next.log);
});
