/** A host's collector beside the look of a Multikernel host: what the hub makes of the instances it tells of. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startCollector } from '../../collector/collector.ts';
import { MultikernelRoot, type RootInstance } from '../../deploy/lab/multikernel-root.ts';
import type { KernelList, KernelRow } from '../../model/api.ts';
import { getJson, HOST, nowNs, post, runHub, SPAWN as OTHER_SPAWN, toLogsBody, type RunningHub } from './running-hub.ts';

/** As /etc/machine-id has it. */
const MACHINE = { machineId: '0123456789abcdef0123456789abcdef' };
const SPAWN = { ...OTHER_SPAWN, ...MACHINE };
const PATIENCE_MS = 30_000;
const WEB: RootInstance = {
  id: SPAWN.kernelId,
  name: 'spawn1',
  release: '7.0.0-mk2',
  cpus: [8, 10],
  memoryMib: 512,
  vmlinuz: '/boot/vmlinuz-mk',
  initramfs: '/boot/initramfs-mk',
  commandLine: 'console=mktty0 token=abc',
};

async function kernelsWhere(hub: RunningHub, isThere: (list: KernelList) => boolean): Promise<KernelList> {
  const endMs = Date.now() + PATIENCE_MS;
  for (;;) {
    const list = await getJson<KernelList>(hub, '/api/kernels');
    if (isThere(list)) return list;
    if (Date.now() > endMs) throw new Error(`not there after ${PATIENCE_MS} ms: ${JSON.stringify(list)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const spawnOf = ({ kernels }: KernelList): KernelRow | undefined => kernels.find(({ kernelId }) => kernelId === SPAWN.kernelId);

test('instances: the host says what a kernel owns, and why it is silent or was never heard', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-instances-'));
  const hub = await runHub();
  const root = new MultikernelRoot(join(folder, 'root'));
  root.writeHost({ ...HOST, ...MACHINE });
  root.set(WEB.name, 'ready', WEB);
  root.set(WEB.name, 'loaded');
  const collector = await startCollector({
    root: root.path,
    to: { endpoint: hub.addresses.otlp },
    spoolDir: join(folder, 'spool'),
    sources: { multikernel: {} },
    version: 'test',
  });
  try {
    const { unseen } = await kernelsWhere(hub, (list) => list.unseen.length === 1 && list.unseen[0]?.instance.cpus.length === 2);
    const [loaded] = unseen;
    assert.deepEqual(
      [loaded?.kernelId, loaded?.kernelName, loaded?.why],
      [1, 'spawn1', 'the host says that it is loaded: it does not run'],
    );
    assert.deepEqual([loaded?.instance.cpus, loaded?.instance.memoryBytes], [['8', '10'], 512 * 2 ** 20]);
    assert.equal(loaded?.instance.commandLine, 'console=mktty0 token=[redacted]');
    // Two that are said to own one CPU: both are shown, and both say so.
    root.set('spawn2', 'ready', { ...WEB, id: 2, name: 'spawn2', cpus: [10, 12] });
    const both = await kernelsWhere(
      hub,
      (list) => list.unseen.every(({ instance }) => instance.conflicts.length > 0) && list.unseen.length === 2,
    );
    assert.deepEqual(both.unseen.map(({ kernelId, instance }) => `${kernelId}: ${instance.conflicts.join('; ')}`).toSorted(), [
      '1: CPU 10 is also said to be of spawn2 (2)',
      '2: CPU 10 is also said to be of spawn1 (1)',
    ]);
    root.set('spawn2', undefined);
    await kernelsWhere(hub, (list) => list.unseen.length === 1 && list.unseen[0]?.instance.conflicts.length === 0);
    root.set(WEB.name, 'active');
    const running = await kernelsWhere(hub, (list) => list.unseen[0]?.instance.state === 'active');
    assert.match(running.unseen[0]?.why ?? '', /nothing came from it/);
    // It speaks, long ago: then it is a kernel with a boot, and silent.
    const body = toLogsBody(SPAWN, [{ text: 'last words', unixNs: nowNs() }]);
    assert.equal((await post(`${hub.addresses.otlp}/v1/logs`, body)).status, 200);
    const spoken = await kernelsWhere(hub, (list) => spawnOf(list) !== undefined);
    assert.equal(spoken.unseen.length, 0);
    assert.equal(spawnOf(spoken)?.instance?.state, 'active');
    root.set(WEB.name, 'loaded');
    const silent = await kernelsWhere(hub, (list) => spawnOf(list)?.state === 'silent' && spawnOf(list)?.instance?.state === 'loaded');
    assert.match(spawnOf(silent)?.stateDetail ?? '', /the host says that it is loaded: it does not run$/);
    root.set(WEB.name, undefined);
    await kernelsWhere(hub, (list) => spawnOf(list)?.instance === undefined);
    const owners = await hub.store.query<{ Cpus: string[]; Name: string }>(
      `SELECT Name, arrayMap(cpu -> toString(cpu), Cpus) AS Cpus FROM instances WHERE State = '' ORDER BY Time LIMIT 1`,
    );
    assert.deepEqual(owners, [{ Name: 'spawn1', Cpus: ['8', '10'] }]);
  } finally {
    await collector.close();
    await hub.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});
