/**
 * A handful of the lab's faults on real kernels: what the log shows, what becomes of the kernel, that it starts again, and which
 * incident it is. The whole menu: `npm run test:faults`.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import type { LabKernelStatus } from '../../deploy/lab/lab.ts';
import { askLab } from '../../deploy/lab/control.ts';
import type { IncidentRow } from '../../model/api.ts';
import { countBoots, isOf, sendTraffic, type Expected } from './fault-menu.ts';
import { assertNothingLeft } from './leftovers.ts';
import { RunningLab, until, whyNoLab } from './running-lab.ts';

const skip = (await whyNoLab()) ?? false;
if (skip !== false) process.stderr.write(`tests of the lab's faults are skipped: ${skip}\n`);

const KERNEL = 'spawn1';
/** Of a busy machine: the hub loads what came, looks for signals, and is asked. */
const INCIDENTS_MS = 90_000;
const of = (kind: Expected['kind'], reason: RegExp, kernel = KERNEL): Expected => ({ kind, kernel, reason });
const EXPECTED: readonly Expected[] = [
  of('lockup', /soft lockup/),
  of('ring_full', /IPI ring full for instance 1/, 'host'),
  of('ikc_timeout', /^Timeout waiting for operation/, 'host'),
  of('oops', /NULL pointer dereference/),
  of('stopped', /power/i),
  of('killed', /force|NMI/i),
  // Memory ran out a moment before: that is a part of it.
  of('panic', /sysrq triggered crash; before it: oom: killed process/),
];

test('lab faults: each does what it says, the look follows, and the kernel starts again', { skip, timeout: 300_000 }, async (t) => {
  const lab = new RunningLab(`faults-${process.pid}`, ['--kernels', '2', '--cpus', '1']);
  t.after(() => lab.stop());
  const { root } = await lab.waitUp();
  const kernel = async (): Promise<LabKernelStatus> => (await lab.status()).kernels[1] as LabKernelStatus;
  const host = async (): Promise<LabKernelStatus> => (await lab.status()).kernels[0] as LabKernelStatus;
  const fault = (name: string, value = ''): Promise<unknown> => askLab(lab.name, { command: 'fault', kernel: KERNEL, fault: name, value });
  const start = (): Promise<unknown> => askLab(lab.name, { command: 'start', kernel: KERNEL });
  const says = (line: RegExp): Promise<void> =>
    until(`${line} on the console`, async () => (await kernel()).lastLines.some((one) => line.test(one)));
  /** As QEMU has it, as the host kernel says, and as the look shows it. */
  const becomes = async (guest: string, instance: string): Promise<void> => {
    await until(`${guest}, ${instance}`, async () => (await kernel()).guest === guest && (await kernel()).instance === instance);
    assert.equal(readFileSync(join(root, 'sys/fs/multikernel/instances', KERNEL, 'status'), 'utf8'), `${instance}\n`);
  };

  await t.test('warn: each warning is in the log', async () => {
    await fault('warn', '2');
    await says(/mkfault: warning 2 of 2/);
  });
  await t.test('soft-lockup: answers before the only CPU is taken, and leaves the watchdog as it was', async () => {
    const startMs = performance.now();
    await fault('soft-lockup', '8');
    t.diagnostic(`soft-lockup answered after ${Math.round(performance.now() - startMs)} ms`);
    await says(/BUG: soft lockup - CPU#0 stuck/);
  });
  await t.test('rcu-stall: is refused where nobody could tell', async () => {
    await assert.rejects(fault('rcu-stall'), { code: 'E_LAB_FAULT', message: /one CPU/ });
  });
  await t.test('ring-full and ack-drop: the sender is told, and the messages of the full ring arrive when it is read again', async () => {
    await fault('ring-full');
    await sendTraffic(lab, 'host', KERNEL, { count: 200, whenFull: 'drop' });
    await until('the line of the host', async () => (await host()).lastLines.some((line) => line.includes('IPI ring full for instance 1')));
    await fault('ring-drain');
    await fault('ack-drop');
    await sendTraffic(lab, 'host', KERNEL, { count: 1, kind: 'request' });
    await until('that nobody answered', async () =>
      (await host()).lastLines.some((line) => line.includes('Timeout waiting for operation')),
    );
  });
  await t.test('hang: nothing but resume is taken until it ends', async () => {
    await fault('hang');
    assert.equal((await kernel()).guest, 'paused');
    await assert.rejects(fault('warn', '1'), { code: 'E_LAB_FAULT', message: 'spawn1 hangs' });
    await fault('resume');
    assert.equal((await lab.run(KERNEL, 'echo alive')).trim(), 'alive');
    await assert.rejects(fault('resume'), { code: 'E_LAB_FAULT', message: 'spawn1 does not hang' });
  });
  await t.test('oops: the kernel lives on, and hung tasks are refused from then on', async () => {
    await fault('oops');
    await says(/BUG: kernel NULL pointer dereference, address: 0000000000000010/);
    await assert.rejects(fault('hung-task'), { code: 'E_LAB_FAULT', message: /after an oops/ });
    // The soft lockup is long over.
    await until('watchdog_thresh as at boot', async () => (await lab.run(KERNEL, 'cat /proc/sys/kernel/watchdog_thresh')).trim() === '10');
  });
  await t.test('power-off: off, and loaded again', async () => {
    await fault('power-off');
    await becomes('off', 'loaded');
    await says(/reboot: Power down/);
    await assert.rejects(fault('warn'), { code: 'E_LAB_FAULT', message: 'spawn1 is not running' });
  });
  await t.test('kill: the next incarnation is halted by the host', async () => {
    const before = (await kernel()).bootId;
    await start();
    await becomes('up', 'active');
    assert.notEqual((await kernel()).bootId, before);
    await until('the second boot in the hub', async () => (await countBoots(lab, KERNEL)) === 2, INCIDENTS_MS);
    await fault('kill');
    await becomes('off', 'loaded');
    await says(/Forcible shutdown via NMI/);
  });
  await t.test('panic: of the third incarnation, after memory ran out in it', async () => {
    await start();
    await becomes('up', 'active');
    await until('the third boot in the hub', async () => (await countBoots(lab, KERNEL)) === 3, INCIDENTS_MS);
    await fault('oom');
    await says(/Out of memory: Killed process/);
    await fault('panic');
    await becomes('off', 'loaded');
  });
  await t.test('each of them is one incident, with its reason, and the others are none', async () => {
    let found: readonly IncidentRow[] = [];
    const due = (): Expected[] => EXPECTED.filter((expected) => !found.some((row) => isOf(row, expected)));
    const tell = (): string =>
      `${due()
        .map(({ kind }) => kind)
        .join()} of ${found.map(({ kind, title, reason }) => `${kind} «${title}» (${reason})`).join('; ')}`;
    await until(
      'the incidents',
      async () => {
        ({ incidents: found } = await lab.getJson<{ incidents: readonly IncidentRow[] }>('/api/incidents?limit=1000'));
        return due().length === 0;
      },
      INCIDENTS_MS,
      tell,
    );
    assert.equal(found.length, EXPECTED.length, tell());
    for (const { kind, firstUnixNs, title, reason } of found.toReversed()) t.diagnostic(`${firstUnixNs} ${kind} «${title}» (${reason})`);
  });

  await askLab(lab.name, { command: 'down' });
  await lab.ended;
  await assertNothingLeft(lab.dir, [], lab.log);
});
