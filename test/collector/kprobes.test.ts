/** Probes of packs on a tracefs: this machine's own where it takes them, and a folder that keeps what is written to it. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { KprobeSet, readFunctions } from '../../collector/kprobes.ts';
import { eventsOf, toProbeDefinition } from '../../correlate/ikc-pack.ts';
import { lab } from '../../correlate/ikc-packs/lab.ts';
import { multikernel } from '../../correlate/ikc-packs/multikernel.ts';
import { tcp } from '../../correlate/ikc-packs/tcp.ts';

function inFolder(run: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-kprobes-'));
  try {
    run(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('kprobes: definitions are appended one by one, what the kernel does not list is skipped with its name, and all go again', () =>
  inFolder((folder) => {
    writeFileSync(join(folder, 'kprobe_events'), 'p:mine/other do_other\n');
    const functions = ['mk_send_message', 'mk_message_type_ipi_callback', 'mk_msg_pending_wait'];
    writeFileSync(join(folder, 'available_filter_functions'), functions.map((name) => `${name} [multikernel]\n`).join(''));
    const probes = new KprobeSet(folder);
    const { installed, skipped } = probes.install(eventsOf(multikernel, 'g3'), 'amd64');
    assert.deepEqual(installed, ['ikc:mk_send', 'ikc:mk_send_ret', 'ikc:mk_recv', 'ikc:pend_wait_ret']);
    assert.ok(skipped.some(({ event, reason }) => event === 'ikc:mk_send_to' && reason === 'no function mk_send_message_to'));
    assert.equal(installed.length + skipped.length, eventsOf(multikernel, 'g3').length);
    const written = (): string[] => readFileSync(join(folder, 'kprobe_events'), 'utf8').trimEnd().split('\n');
    const wanted = eventsOf(multikernel, 'g3').filter(({ event }) => installed.includes(event));
    const definitions = wanted.map((event) => toProbeDefinition(event, 'amd64'));
    assert.deepEqual(written(), ['p:mine/other do_other', ...definitions]);
    assert.deepEqual(probes.remove(), []);
    assert.deepEqual(
      written().slice(1 + definitions.length),
      installed.map((event) => `-:${event.replace(':', '/')}`),
    );
    assert.deepEqual(probes.remove(), []);
  }));

test('kprobes: what a killed collector left is found by its group, but for what is wanted', () =>
  inFolder((folder) => {
    writeFileSync(
      join(folder, 'kprobe_events'),
      'p:ikc/mk_send mk_send_message inst=%di:s32\nr16:ikc/old_ret mk_old ret=$retval\np:user/own do_own\n',
    );
    assert.deepEqual(new KprobeSet(folder).removeLeftOver(['ikc:mk_send']), ['ikc:old_ret']);
    assert.match(readFileSync(join(folder, 'kprobe_events'), 'utf8'), /p:user\/own do_own\n-:ikc\/old_ret\n$/);
  }));

test('kprobes: a pack whose events the kernel has anyhow needs none', () =>
  inFolder((folder) => {
    assert.deepEqual(new KprobeSet(folder).install(tcp.events, 'amd64', new Set()), { installed: [], skipped: [] });
    assert.equal(existsSync(join(folder, 'kprobe_events')), false);
  }));

const TRACEFS = '/sys/kernel/tracing';
const skip = existsSync(join(TRACEFS, 'instances')) ? false : 'needs tracefs';

test('kprobes: a kernel without Multikernel takes none, says why for each, and is left as it was', { skip }, () => {
  const probes = new KprobeSet(TRACEFS);
  const { installed, skipped } = probes.install(lab.events, process.arch === 'arm64' ? 'arm64' : 'amd64', readFunctions(TRACEFS));
  assert.deepEqual(installed, []);
  assert.equal(skipped.length, lab.events.length);
  for (const { event, reason } of skipped)
    assert.match(reason, /^no function mk_|^no function multikernel_|^no function generic_|refuses|no such function|ENOENT/, event);
  assert.deepEqual(probes.remove(), []);
});
