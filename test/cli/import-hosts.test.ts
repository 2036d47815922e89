import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ImportResult } from '../../model/api.ts';
import type { RawOption } from '../../model/event-file.ts';
import { openStore } from '../../store/open.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { runCli, withFolder } from '../support/run-cli.ts';
import { guestOption, textOption, timeShiftOption, traceIdOption, writeTraceDat } from '../support/trace-dat-writer.ts';

const HOST_ID = 0xfedc_ba98_7654_3210n;
const GUEST_ID = 78n;
/** The host's clock stood at 0 then, and is ahead of the guest's by so much. */
const ZERO_SECONDS = 1_600_000_000n;
const AHEAD_NS = 7_000_000_123n;

/** The recorded pages, with options of choice. */
function recording(options: readonly RawOption[]): Uint8Array {
  const { set, segment } = readRingFixture();
  const { pageSizeBytes, chunks } = segment.header;
  let at = 0;
  const cpus = chunks.map(({ cpu, pages }) => ({ cpu, pages: segment.pages.subarray(at, (at += pages * pageSizeBytes)) }));
  return writeTraceDat({
    formats: set,
    compression: 'zstd',
    options: [textOption(4, '[local]'), textOption(5, 'Linux box 6.1.0-lab x86_64'), ...options],
    buffers: [{ instance: '', clock: 'local', pageSizeBytes, cpus }],
  });
}

interface Imported extends ImportResult {
  readonly file: string;
}

async function importFiles(args: readonly string[]): Promise<Imported[]> {
  const { code, stdout, stderr } = await runCli(['import', '--json', ...args]);
  assert.equal(code, 0, stderr);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Imported);
}

test('import: a guest before its host, and one of another day, are set against the host and named by it', async () => {
  await withFolder(async (folder) => {
    const data = join(folder, 'data');
    const path = (name: string): string => join(folder, name);
    const sample = (time: bigint) => ({ time, offset: AHEAD_NS, scaling: 1n, fractionBits: 0 });
    const samples = [sample(0n), sample(1n << 60n)];
    const guestOptions = [traceIdOption(GUEST_ID), timeShiftOption(HOST_ID, 1, [samples, samples])];
    writeFileSync(path('a-guest.dat'), recording(guestOptions));
    writeFileSync(path('b-host.dat'), recording([traceIdOption(HOST_ID), guestOption('web', GUEST_ID, [4711, 4712])]));
    writeFileSync(path('tomorrow.dat'), recording([traceIdOption(79n), ...guestOptions.slice(1)]));

    const first = await importFiles([
      '--data',
      data,
      '--machine',
      'rack',
      '--time-zero',
      `@${ZERO_SECONDS}`,
      path('a-guest.dat'),
      path('b-host.dat'),
    ]);
    assert.deepEqual(
      first.map(({ file, kernels: [kernel] }) => [file, kernel?.kernelName, kernel?.kernelId, kernel?.clock]),
      [
        [path('b-host.dat'), 'host', 0, 'time zero given'],
        [path('a-guest.dat'), 'web', 1, 'clock of the host'],
      ],
    );
    // Another process, which finds the host's clock in the store; the user's own name is kept.
    const [later] = await importFiles(['--data', data, '--machine', 'rack', '--kernel', `db:5=${path('tomorrow.dat')}`]);
    assert.deepEqual([later?.kernels[0]?.kernelName, later?.kernels[0]?.clock], ['db', 'clock of the host']);
    const [again] = await importFiles(['--data', data, '--machine', 'rack', '--kernel', `host:0=${path('b-host.dat')}`]);
    assert.equal(again?.alreadyStored, again?.records);

    const store = await openStore({ dataDir: data });
    try {
      const times = await store.query<{ kernel: string; least: string; most: string }>(
        `SELECT KernelName AS kernel, toString(min(toUnixTimestamp64Nano(Timestamp) - RawTime)) AS least,
           toString(max(toUnixTimestamp64Nano(Timestamp) - RawTime)) AS most FROM events GROUP BY ALL ORDER BY ALL`,
      );
      const zero = ZERO_SECONDS * 1_000_000_000n;
      const expected = (kernel: string, shift: bigint) => ({ kernel, least: String(zero + shift), most: String(zero + shift) });
      assert.deepEqual(times, [expected('db', AHEAD_NS), expected('host', 0n), expected('web', AHEAD_NS)]);
      const threads = await store.query<{ guest: string; cpu: number; pid: number; host: string }>(
        'SELECT GuestName AS guest, Cpu AS cpu, HostPid AS pid, KernelName AS host FROM vcpu_threads FINAL ORDER BY Cpu',
      );
      assert.deepEqual(threads, [
        { guest: 'web', cpu: 0, pid: 4711, host: 'host' },
        { guest: 'web', cpu: 1, pid: 4712, host: 'host' },
      ]);
    } finally {
      await store.close();
    }
  });
});
