/** Against the look of a host that the lab's kernels have (deploy/lab/multikernel-root.ts), which writes what the kernel and kerf write. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { listInstances, readResources } from '../../collector/instances.ts';
import { MultikernelSource } from '../../collector/sources/multikernel.ts';
import { MultikernelRoot, type RootInstance } from '../../deploy/lab/multikernel-root.ts';
import type { SourcePosition } from '../../model/pipeline.ts';
import { KeepingSink, openClock, tempFolder } from './live.ts';
import { until } from './receiver.ts';

const LOOK_MS = 10;
const BOOT = '0f6b3c1e-7d0a-4b8e-9a55-2d1f6a0c9e11';

const WEB: RootInstance = {
  id: 3,
  name: 'web-1',
  release: '7.0.0-mk2',
  cpus: [8, 10],
  memoryMib: 4096,
  vmlinuz: '/boot/vmlinuz-mk',
  initramfs: '/boot/initramfs-mk',
  commandLine: 'console=mktty0 loglevel=7 db_password=hunter2 url=https://joe:secret@host/x',
};

async function follow(t: TestContext, root: string, resume?: SourcePosition): Promise<{ source: MultikernelSource; sink: KeepingSink }> {
  const source = new MultikernelSource({ root, bootId: BOOT, clock: openClock(t), resume, lookMs: LOOK_MS });
  t.after(() => source.stop());
  const sink = new KeepingSink();
  await source.start(sink);
  return { source, sink };
}

async function waitFor(sink: KeepingSink, text: string): Promise<void> {
  await until(text, () => sink.texts().includes(text));
}

test('multikernel: a life of an instance, with its resources, and no secret of its command line', async (t) => {
  const path = tempFolder(t);
  const root = new MultikernelRoot(path);
  const { sink, source } = await follow(t, path);
  for (const [state, text] of [
    ['ready', 'none -> ready'],
    ['loaded', 'ready -> loaded'],
    ['active', 'loaded -> active'],
    ['loaded', 'active -> loaded'],
  ] as const) {
    root.set(WEB.name, state, WEB);
    await waitFor(sink, `Instance 3 (web-1) state: ${text}`);
  }
  assert.equal(source.status().detail, '3 web-1 loaded');
  root.set(WEB.name, undefined);
  await waitFor(sink, 'Instance 3 (web-1) state: loaded -> none');
  const rows = sink.of('logs').flatMap(({ batch }) => Array.from({ length: batch.length }, (_, row) => ({ batch, row })));
  const attributes = rows.filter(({ batch, row }) => batch.eventName[row] !== 0).map(({ batch, row }) => batch.attributes.rowOf(row));
  assert.equal(attributes[0]?.['mk.instance.cpus'], '8,10');
  assert.equal(attributes[0]?.['mk.instance.memory'], String(4096 * 2 ** 20));
  const loaded = attributes.at(-1);
  assert.equal(loaded?.['os.version'], '7.0.0-mk2');
  assert.equal(loaded?.['mk.instance.command_line'], 'console=mktty0 loglevel=7 db_password=[redacted] url=https://[redacted]@host/x');
  assert.match(loaded?.['mk.instance.loaded_at'] ?? '', /^\d{4}-\d\d-\d\dT/);
  // The tree is read when it may have changed, not at each look: two sets of resources, before and after the load.
  assert.equal(attributes.length, 2);
});

test('multikernel: an overlay moves CPUs while the state stays', async (t) => {
  const path = tempFolder(t);
  const root = new MultikernelRoot(path);
  root.set(WEB.name, 'active', WEB);
  const { sink } = await follow(t, path);
  await waitFor(sink, 'Instance 3 (web-1) state: unknown -> active');
  await waitFor(sink, 'Instance 3 (web-1) has CPUs 8,10 and 4096 MB');
  new MultikernelRoot(join(path, 'other')).set(WEB.name, 'ready', { ...WEB, cpus: [8, 10, 12] });
  const tree = `sys/fs/multikernel/instances/${WEB.name}/device_tree`;
  writeFileSync(join(path, tree), readFileSync(join(path, 'other', tree)));
  mkdirSync(join(path, 'sys/fs/multikernel/overlays/tx_2'));
  await waitFor(sink, 'Instance 3 (web-1) has CPUs 8,10,12 and 4096 MB');
});

test('multikernel: a collector that starts again tells what changed meanwhile, and only that', async (t) => {
  const path = tempFolder(t);
  const root = new MultikernelRoot(path);
  root.set(WEB.name, 'active', WEB);
  const first = await follow(t, path);
  await waitFor(first.sink, 'Instance 3 (web-1) state: unknown -> active');
  await first.source.stop();
  const position = first.sink.of('logs').at(-1)?.position;
  const same = await follow(t, path, position);
  await waitFor(same.sink, 'Instance 3 (web-1) has CPUs 8,10 and 4096 MB');
  assert.deepEqual(
    same.sink.texts().filter((text) => text.includes('state:')),
    [],
  );
  await same.source.stop();
  root.set(WEB.name, 'loaded');
  const changed = await follow(t, path, position);
  await waitFor(changed.sink, 'Instance 3 (web-1) state: active -> loaded');
  assert.ok((changed.sink.of('logs')[0]?.batch.sequence[0] ?? 0) > 0);
});

test('multikernel: a broken tree, a broken id and kerf’s half-written file are said, and stop nothing', async (t) => {
  const path = tempFolder(t);
  const root = new MultikernelRoot(path);
  root.set(WEB.name, 'ready', WEB);
  root.set(WEB.name, 'loaded');
  writeFileSync(join(path, `sys/fs/multikernel/instances/${WEB.name}/device_tree`), 'no tree');
  writeFileSync(join(path, `var/lib/kerf/instances/${WEB.name}.json`), '{"kernel": {"path"');
  mkdirSync(join(path, 'sys/fs/multikernel/instances/odd'));
  writeFileSync(join(path, 'sys/fs/multikernel/instances/odd/status'), 'loading\n');
  const { sink } = await follow(t, path);
  await waitFor(sink, 'The resources of instance 3 (web-1) cannot be read: a device tree has a header of 40 bytes, here are 7');
  await waitFor(sink, 'Instance -1 (odd) state: unknown -> loading');
});

test('multikernel: two instances that own the same are said once, for as long as they do', async (t) => {
  const path = tempFolder(t);
  const root = new MultikernelRoot(path);
  // The lab lays memory by id: ids that are 4 GB apart in it do not meet, the same one twice does.
  root.set(WEB.name, 'active', WEB);
  root.set('web-2', 'ready', { ...WEB, name: 'web-2', cpus: [10, 12] });
  root.set('apart', 'ready', { ...WEB, id: 40, name: 'apart', cpus: [14] });
  const { sink } = await follow(t, path);
  const told = 'Instances 3 (web-1) and 3 (web-2) are both said to have CPU 10, memory';
  await waitFor(sink, told);
  root.set(WEB.name, 'loaded');
  await waitFor(sink, 'Instance 3 (web-1) state: active -> loaded');
  const conflicts = (): string[] => sink.texts().filter((text) => text.startsWith('Instances '));
  assert.deepEqual(conflicts(), [told]);
  root.set('web-2', undefined);
  await waitFor(sink, 'Instance 3 (web-2) state: ready -> none');
  root.set('web-2', 'ready', { ...WEB, name: 'web-2', cpus: [10, 12] });
  await until('it is said again', () => conflicts().length === 2);
});

test('multikernel: a tree that was cut at any byte is said, or read for what it has, and stops nothing', () => {
  const path = mkdtempSync(join(tmpdir(), 'mkscope-tree-'));
  try {
    const root = new MultikernelRoot(path);
    root.set(WEB.name, 'ready', WEB);
    const file = join(path, `sys/fs/multikernel/instances/${WEB.name}/device_tree`);
    const whole = readFileSync(file);
    const [status] = listInstances(path);
    assert.ok(status !== undefined && readResources(path, status).problem === '');
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(file, whole.subarray(0, length));
      const { problem, cpus } = readResources(path, status);
      assert.ok(problem !== '' && cpus.length === 0, `${length} of ${whole.length} bytes`);
    }
    // What it says of itself is another instance's, or of another moment.
    writeFileSync(file, whole);
    assert.equal(readResources(path, { ...status, id: 4 }).problem, 'it changed while it was read');
    assert.equal(readResources(path, { ...status, state: 'active' }).problem, 'it changed while it was read');
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
});

test('multikernel: an ordinary machine has nothing to say', async (t) => {
  const { sink, source } = await follow(t, tempFolder(t));
  const { state, detail, streams } = source.status();
  assert.deepEqual([sink.records.length, state, detail, streams.length], [0, 'idle', '', 0]);
});
