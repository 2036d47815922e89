import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { discoverIdentity } from '../../collector/identity.ts';

const MACHINE = '0123456789abcdef0123456789abcdef';
const HOST: Readonly<Record<string, string | Uint8Array>> = {
  'etc/machine-id': `${MACHINE}\n`,
  'proc/sys/kernel/hostname': 'lab1\n',
  'proc/sys/kernel/osrelease': '7.0.0-mk2\n',
  'proc/sys/kernel/random/boot_id': '5b1c2f0e-0000-4000-8000-000000000001\n',
  'proc/cmdline': 'root=/dev/vda quiet\n',
};

function makeRoot(t: TestContext, files: Readonly<Record<string, string | Uint8Array>>): string {
  const root = mkdtempSync(join(tmpdir(), 'mkscope-root-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  for (const [path, content] of Object.entries({ ...HOST, ...files })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}

test('identity: an ordinary machine is kernel 0, named host', (t) => {
  const identity = discoverIdentity({ root: makeRoot(t, {}) });
  assert.deepEqual(
    { ...identity, arch: '' },
    {
      machineId: MACHINE,
      machineName: 'lab1',
      kernelId: 0,
      kernelName: 'host',
      bootId: '5b1c2f0e-0000-4000-8000-000000000001',
      release: '7.0.0-mk2',
      arch: '',
    },
  );
  assert.match(identity.arch, /^(amd64|arm64|x86|arm32|ppc64|s390x)$/);
});

test('identity: a spawn reads its id and name from its device tree', (t) => {
  const root = makeRoot(t, {
    'sys/firmware/devicetree/base/id': Uint8Array.of(0, 0, 0, 23),
    'sys/firmware/devicetree/base/model': 'runtime-g3\0',
    'sys/firmware/devicetree/base/chosen/multikernel,pool-cpus': Uint8Array.of(0),
  });
  const identity = discoverIdentity({ root });
  assert.deepEqual([identity.kernelId, identity.kernelName], [23, 'runtime-g3']);
});

test('identity: the device tree of an ordinary arm64 board is not a spawn', (t) => {
  const root = makeRoot(t, {
    'sys/firmware/devicetree/base/id': Uint8Array.of(0, 0, 0, 3),
    'sys/firmware/devicetree/base/model': 'Some Board Rev 2\0',
  });
  assert.equal(discoverIdentity({ root }).kernelId, 0);
});

test('identity: a host that lists one spawn is not that spawn; the spawn itself is', (t) => {
  const instance = { 'sys/fs/multikernel/instances/web/id': '4\n' };
  assert.equal(discoverIdentity({ root: makeRoot(t, instance) }).kernelId, 0);
  const bootParams = Buffer.alloc(4096);
  bootParams.writeUInt32LE(5, 0x23c);
  const spawn = discoverIdentity({ root: makeRoot(t, { ...instance, 'sys/kernel/boot_params/data': bootParams }) });
  assert.deepEqual([spawn.kernelId, spawn.kernelName], [4, 'web']);
});

test('identity: the command line names a spawn that has nothing else', (t) => {
  const identity = discoverIdentity({ root: makeRoot(t, { 'proc/cmdline': 'quiet multikernel.id=7\n' }) });
  assert.deepEqual([identity.kernelId, identity.kernelName], [7, 'kernel-7']);
});

test('identity: a spawn that has no instances folder is who its own log says it is', (t) => {
  const log = ['6,1,0,-;Linux version 7.0.0', "6,412,45000,-;DTB contains instance ID 3, name 'web-1'", '6,413,45001,-;more'].join('\n');
  const files = { 'proc/cmdline': 'quiet multikernel.id=3\n', 'dev/kmsg': `${log}\n` };
  const spawn = discoverIdentity({ root: makeRoot(t, files) });
  assert.deepEqual([spawn.kernelId, spawn.kernelName], [3, 'web-1']);
  // A host that prints the same, having imported a log perhaps, is no spawn.
  assert.equal(discoverIdentity({ root: makeRoot(t, { 'dev/kmsg': `${log}\n` }) }).kernelId, 0);
});

test('identity: without a usable machine id the same name gives the same id', (t) => {
  const root = makeRoot(t, { 'etc/machine-id': 'uninitialized\n' });
  const { machineId } = discoverIdentity({ root });
  assert.match(machineId, /^[0-9a-f]{32}$/);
  assert.equal(discoverIdentity({ root }).machineId, machineId);
});

test('identity: overrides win, and a renumbered kernel is not called host', (t) => {
  const root = makeRoot(t, {});
  assert.equal(discoverIdentity({ root, overrides: { kernelId: 9 } }).kernelName, 'kernel-9');
  assert.deepEqual(discoverIdentity({ root, overrides: { kernelId: 9, kernelName: 'db', machineId: 'm' } }).kernelName, 'db');
});
