/** The parts of the lab that need no kernel: archive, relay, control socket, menu, command line. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { discoverIdentity } from '../../../collector/identity.ts';
import { Ledger } from '../../../collector/ledger.ts';
import { ConsoleSource } from '../../../collector/sources/console.ts';
import { OperationalError } from '../../../base/errors.ts';
import { askLab, claimLabDir, labDir, serveControl } from '../../../deploy/lab/control.ts';
import { FAULTS } from '../../../deploy/lab/faults.ts';
import { encodeCpio } from '../../../deploy/lab/initramfs.ts';
import { compareReleases } from '../../../deploy/lab/kernels.ts';
import { MultikernelRoot } from '../../../deploy/lab/multikernel-root.ts';
import { Relay } from '../../../deploy/lab/relay.ts';
import { listen } from '../../../deploy/lab/sockets.ts';
import { KeepingSink, openClock } from '../../collector/live.ts';
import { until } from '../../collector/receiver.ts';
import { withFolder } from '../../support/run-cli.ts';

test('lab initramfs: cpio unpacks what was packed', async (t) => {
  await withFolder((folder) => {
    const archive = encodeCpio([
      { path: 'bin', mode: 0o040_755, content: new Uint8Array(0) },
      { path: 'bin/program', mode: 0o100_755, content: Buffer.from('#!/bin/sh\n') },
      { path: 'bin/link', mode: 0o120_777, content: Buffer.from('program') },
      { path: 'odd', mode: 0o100_644, content: Buffer.from('12345') },
    ]);
    const cpio = spawnSync('cpio', ['-i', '--quiet'], { input: archive, cwd: folder, encoding: 'utf8' });
    if (cpio.error !== undefined) return t.skip('needs cpio');
    assert.equal(cpio.status, 0, cpio.stderr);
    assert.equal(readFileSync(join(folder, 'odd'), 'utf8'), '12345');
    assert.equal(statSync(join(folder, 'bin/program')).mode & 0o777, 0o755);
    assert.equal(readlinkSync(join(folder, 'bin/link')), 'program');
  });
});

test('lab kernels: releases are compared by their numbers', () => {
  const sorted = ['6.12.100+deb12-cloud-amd64', '6.12.9+deb12-cloud-amd64', '6.1.0-56-cloud-amd64', '6.12.117+deb12-cloud-amd64'].sort(
    compareReleases,
  );
  assert.deepEqual(
    sorted.map((release) => release.split('-cloud')[0]),
    ['6.1.0-56', '6.12.9+deb12', '6.12.100+deb12', '6.12.117+deb12'],
  );
});

const INSTANCE = {
  id: 1,
  name: 'spawn1',
  release: '6.12.1',
  cpus: [16],
  memoryMib: 256,
  vmlinuz: '/v',
  initramfs: '/i',
  commandLine: 'console=ttyS0',
};

/** A relay between a guest and a reader that are sockets of this test. */
async function withRelay(
  whenAlone: 'hold' | 'drop',
  use: (parts: { relay: Relay; guest: ReturnType<typeof connect>; folder: string }) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const relay = new Relay(whenAlone);
    const servers = [
      await listen(join(folder, 'guest'), (socket) => relay.connectGuest(socket)),
      await listen(join(folder, 'reader'), (socket) => relay.attach(socket)),
    ];
    const guest = connect(join(folder, 'guest'));
    await once(guest, 'connect');
    try {
      await use({ relay, guest, folder });
    } finally {
      guest.destroy();
      relay.detach();
      for (const server of servers) server.close();
    }
  });
}

async function readAll(path: string, bytes: number): Promise<string> {
  const socket = connect(path);
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const endMs = performance.now() + 5000;
  while (text.length < bytes && performance.now() < endMs) await sleep(5);
  socket.destroy();
  return text;
}

test('lab relay: what comes while nobody reads waits in the guest, and nothing is lost', async () => {
  await withRelay('hold', async ({ relay, guest, folder }) => {
    const sent = 'x'.repeat(3 << 20);
    guest.write(sent);
    await sleep(100);
    assert.equal(relay.droppedBytes, 0);
    assert.equal((await readAll(join(folder, 'reader'), sent.length)).length, sent.length);
  });
});

test('lab relay: a console without a reader keeps as much as the kernel would, and counts the rest', async () => {
  await withRelay('drop', async ({ relay, guest, folder }) => {
    for (let at = 0; at < 40; at++) {
      guest.write('y'.repeat(1000));
      await sleep(2);
    }
    const kept = (await readAll(join(folder, 'reader'), 1)).length;
    assert.ok(kept <= 16_384, String(kept));
    assert.equal(kept + relay.droppedBytes, 40_000);
  });
});

test('lab relay: the latest reader gets the stream', async () => {
  await withRelay('hold', async ({ relay, guest, folder }) => {
    const first = connect(join(folder, 'reader'));
    await once(first, 'connect');
    const gone = once(first, 'close');
    const second = readAll(join(folder, 'reader'), 5);
    await gone;
    guest.write('hello');
    assert.equal(await second, 'hello');
    assert.equal(relay.hasReader, true);
  });
});

test('lab control: an answer, an error with its hint, and no lab', async () => {
  const name = `test-${process.pid}`;
  const dir = claimLabDir(name);
  const server = await serveControl(dir, (request) => {
    if (request.command === 'fault') return Promise.reject(new OperationalError('E_LAB_FAULT', 'no', 'try another'));
    return Promise.resolve({ got: request.command });
  });
  assert.deepEqual(await askLab(name, { command: 'status' }), { got: 'status' });
  await assert.rejects(askLab(name, { command: 'fault' }), { code: 'E_LAB_FAULT', message: 'no', hint: 'try another' });
  assert.throws(() => claimLabDir(name), { code: 'E_LAB_RUNNING' });
  server.close();
  await once(server, 'close');
  await assert.rejects(askLab(name, { command: 'status' }), { code: 'E_LAB_ABSENT' });
  // One that only starts has no socket yet; what a killed one left behind is no lab.
  assert.throws(() => claimLabDir(name), { code: 'E_LAB_RUNNING' });
  writeFileSync(join(dir, 'owner'), String(spawnSync('true').pid));
  assert.equal(claimLabDir(name), labDir(name));
  assert.deepEqual(readdirSync(dir), ['owner']);
  rmSync(dir, { recursive: true });
  assert.ok(!existsSync(dir));
  assert.throws(() => labDir('../etc'), { code: 'E_ARGS' });
});

test('lab faults: each has a text, and a value where its command wants one', () => {
  for (const [name, { about, value, run }] of Object.entries(FAULTS)) {
    assert.ok(about.length > 10, name);
    if (typeof run === 'string') assert.equal(run.includes('$value'), value !== undefined, name);
  }
});

test('lab root: a collector with that root is the host kernel, and reads a console through its mktty', async (t) => {
  await withFolder(async (folder) => {
    const root = new MultikernelRoot(folder);
    const bootId = '0b0e3d52-4f53-4f0b-9d55-3a3d0a5f7a11';
    root.writeHost({ machineId: 'ab'.repeat(16), machineName: 'lab', bootId, release: '6.1.0' });
    root.set('spawn1', 'active', INSTANCE);
    const { machineId, machineName, kernelId, kernelName, ...identity } = discoverIdentity({ root: folder });
    assert.deepEqual([machineId, machineName, kernelId, kernelName], ['ab'.repeat(16), 'lab', 0, 'host']);
    assert.deepEqual([identity.bootId, identity.release], [bootId, '6.1.0']);
    const mktty = await listen(join(folder, 'dev/mktty'), (socket) => {
      socket.on('error', () => undefined);
      socket.once('data', (asked: Buffer) => socket.write(`[    1.000000] console of ${asked.toString()}`));
    });
    t.after(() => mktty.close());
    const sink = new KeepingSink();
    const clock = openClock(t);
    const source = new ConsoleSource({ name: 'spawn1', from: 'mktty:1', root: folder, clock, ledger: new Ledger(), resume: undefined });
    await source.start(sink);
    await until('the console', () => sink.texts().length > 0);
    assert.deepEqual(sink.texts(), ['console of 1']);
    await source.stop();
  });
});

test('lab root: instances come, change and go as the host kernel says', async () => {
  await withFolder((folder) => {
    const root = new MultikernelRoot(folder);
    const read = (path: string): string => readFileSync(join(folder, path), 'utf8');
    root.set('spawn1', 'ready', INSTANCE);
    assert.equal(read('sys/fs/multikernel/instances/spawn1/status'), 'ready\n');
    assert.equal(read('sys/fs/multikernel/instances/spawn1/id'), '1\n');
    assert.ok(!existsSync(join(folder, 'var/lib/kerf/instances/spawn1.json')));
    assert.doesNotMatch(read('proc/kimage'), /multikernel/);
    root.set('spawn1', 'loaded');
    assert.match(read('proc/kimage'), /^ {4}1  multikernel {2}0x000\w{9} +\d+ {2}file {2}"console=ttyS0"$/m);
    assert.equal((JSON.parse(read('var/lib/kerf/instances/spawn1.json')) as { kernel: { version: string } }).kernel.version, '6.12.1');
    root.set('spawn1', 'active');
    assert.equal(read('sys/fs/multikernel/instances/spawn1/status'), 'active\n');
    root.set('spawn1', undefined);
    assert.ok(!existsSync(join(folder, 'sys/fs/multikernel/instances/spawn1')));
  });
});
