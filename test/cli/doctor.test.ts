import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

import type { Finding } from '../../cli/doctor/finding.ts';
import { checkPstore } from '../../cli/doctor/pstore.ts';
import { runCli, withFolder } from '../support/run-cli.ts';
import type { CliOptions } from '../support/run-cli.ts';

interface Diagnosis {
  readonly healthy: boolean;
  readonly findings: readonly Finding[];
}

/** Ports that are free, and no hub. */
const APART = ['--page', '127.0.0.1:0', '--otlp', '127.0.0.1:0', '--clickhouse', '127.0.0.1:0', '--hub', 'http://127.0.0.1:9'];

async function diagnose(args: readonly string[], options: CliOptions = {}): Promise<Diagnosis & { readonly code: number | undefined }> {
  const { code, stdout, stderr } = await runCli(['doctor', '--json', ...args], options);
  assert.notEqual(stdout, '', stderr);
  return { code, ...(JSON.parse(stdout) as Diagnosis) };
}

const find = (diagnosis: Diagnosis, id: string): Finding => {
  const finding = diagnosis.findings.find((one) => one.id === id);
  assert.ok(finding !== undefined, `no finding ${id}`);
  return finding;
};

test('doctor: every finding has its id, and what is wrong has its effect and its fix', async () => {
  await withFolder(async (cwd) => {
    const diagnosis = await diagnose(APART, { cwd });
    const ids = diagnosis.findings.map((finding) => finding.id);
    assert.equal(new Set(ids).size, ids.length);
    for (const id of [
      'node',
      'kmsg',
      'tracefs',
      'psi',
      'multikernel',
      'pstore',
      'disk',
      'hub',
      'port.page',
      'port.otlp',
      'port.clickhouse',
    ])
      assert.ok(ids.includes(id), id);
    for (const finding of diagnosis.findings) {
      assert.match(finding.status, /^(ok|warn|fail)$/);
      assert.notEqual(finding.detail, '');
      assert.equal(finding.status === 'ok', finding.fix === '', `${finding.id}: ${finding.fix}`);
      assert.equal(finding.status === 'ok', finding.effect === '', finding.id);
    }
    assert.equal(diagnosis.healthy, !diagnosis.findings.some((finding) => finding.status === 'fail'));
    assert.equal(diagnosis.code, diagnosis.healthy ? 0 : 1);
    assert.deepEqual(find(diagnosis, 'hub').status, 'warn');
    assert.deepEqual(readdirSync(cwd), [], 'the doctor writes nothing');
  });
});

test('doctor: a taken port is a failure that names the command to find its owner', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const args = ['--otlp', `127.0.0.1:${port}`, '--page', '0', '--clickhouse', '0', '--hub', 'http://127.0.0.1:9'];
  const diagnosis = await diagnose(args).finally(() => server.close());
  const finding = find(diagnosis, 'port.otlp');
  assert.equal(finding.status, 'fail');
  assert.match(finding.fix, new RegExp(`ss -ltnp 'sport = :${port}'.*--otlp`));
  assert.equal(diagnosis.code, 1);
});

test('doctor: a clock and an event that the kernel does not have are found', async (t) => {
  if (process.getuid?.() !== 0 || !existsSync('/sys/kernel/tracing/available_events')) return t.skip('needs root and tracefs');
  const diagnosis = await diagnose([...APART, '--events', 'sched:sched_swich,sched:sched_switch']);
  const finding = find(diagnosis, 'tracefs.events');
  assert.equal(finding.status, 'warn');
  assert.match(finding.detail, /no sched:sched_swich; did you mean "sched:sched_switch"/);
  assert.equal(find(diagnosis, 'tracefs.instance').status, 'ok');
});

test('doctor: leaves no trace instance behind', async (t) => {
  if (!existsSync('/sys/kernel/tracing/instances')) return t.skip('needs tracefs');
  if (process.getuid?.() !== 0) return t.skip('needs root');
  const { code, findings } = await diagnose(APART);
  assert.ok(code === 0 || code === 1);
  assert.equal(findings.find((finding) => finding.id === 'tracefs.instance')?.status, 'ok');
  // Collectors of other tests may run: none of the instances may belong to a process that is gone.
  const orphans = readdirSync('/sys/kernel/tracing/instances').filter(
    (name) => /^mkscope-\d+$/.test(name) && !existsSync(`/proc/${name.slice(8)}`),
  );
  assert.deepEqual(orphans, []);
});

test('doctor: without permission it says what is not seen, and the command that mends it', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root, to become nobody');
  await withFolder(async (folder) => {
    const run = await runCli(['doctor', '--json', ...APART, '--data', `${folder}/data`], { uid: 65_534, cwd: '/' });
    if (run.stdout === '') return t.skip(`the checkout cannot be read by others: ${run.stderr.slice(0, 200)}`);
    const diagnosis = JSON.parse(run.stdout) as Diagnosis;
    assert.equal(run.code, 1);
    assert.match(find(diagnosis, 'tracefs').fix, /sudo mount/);
    const disk = find(diagnosis, 'disk');
    assert.equal(disk.status, 'fail');
    assert.match(disk.detail, /EACCES/);
  });
});

test('doctor: pstore is missing, without a backend, not mounted, or has records, each with what to do', async () => {
  await withFolder((root) => {
    const write = (path: string, text: string): void => {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    };
    const steps: readonly (readonly [path: string, text: string, status: string, told: RegExp])[] = [
      ['proc/filesystems', 'nodev\tproc\n', 'warn', /CONFIG_PSTORE/],
      ['proc/filesystems', 'nodev\tproc\nnodev\tpstore\n', 'warn', /ramoops\.mem_address/],
      ['sys/firmware/efi/runtime', '0x0', 'warn', /modprobe efi_pstore/],
      ['sys/module/pstore/parameters/backend', 'efi_pstore\n', 'warn', /mount -t pstore/],
      ['proc/mounts', 'pstore /sys/fs/pstore pstore rw 0 0\n', 'warn', /run as root/],
      ['sys/fs/pstore/README', 'x', 'ok', /none of earlier boots/],
      ['sys/fs/pstore/dmesg-efi_pstore-179565259801001', 'x', 'ok', /1 files of earlier boots: mkscope import/],
    ];
    for (const [path, text, status, told] of steps) {
      write(path, text);
      const finding = checkPstore(root);
      assert.deepEqual([finding.status, told.test(`${finding.detail} ${finding.fix}`)], [status, true], JSON.stringify(finding));
    }
  });
});
