import assert from 'node:assert/strict';
import { test } from 'node:test';

import { post, SPAWN, toLogsBody } from '../hub/running-hub.ts';
import { RunningCli, withFolder } from '../support/run-cli.ts';

interface Addresses {
  readonly page: string;
  readonly otlp: string;
}

async function startHub(dataDir: string, page: string): Promise<{ readonly hub: RunningCli; readonly addresses: Addresses }> {
  const hub = new RunningCli(['hub', '--data', dataDir, '--page', page, '--otlp', '127.0.0.1:0', '--clickhouse', '127.0.0.1:0']);
  await hub.waitFor(({ stdout }) => stdout.includes('OTLP http'), 'the hub', 60_000);
  const [found = '', otlp = ''] = [/page (http:[^,\s]+)/, /OTLP (http:[^,\s]+)/].map((pattern) => pattern.exec(hub.stdout)?.[1] ?? '');
  return { hub, addresses: { page: found, otlp } };
}

async function say(otlp: string, text: string, sequence: number): Promise<void> {
  const line = { text, unixNs: BigInt(Date.now()) * 1_000_000n, level: 0, sequence };
  assert.equal((await post(`${otlp}/v1/logs`, toLogsBody(SPAWN, [line]))).status, 200);
}

test('-f: logs, incidents and messages go on over a hub that is killed; without a hub at the start it is said', () =>
  withFolder(async (folder) => {
    const first = await startHub(folder, '127.0.0.1:0');
    const { page, otlp } = first.addresses;
    const runs = [['logs'], ['incidents'], ['ikc']].map((words) => new RunningCli([...words, '-f', '--hub', page]));
    const [logs, incidents, ikc] = runs as [RunningCli, RunningCli, RunningCli];
    await say(otlp, 'Kernel panic - not syncing: the first', 1);
    await logs.waitFor(({ stdout }) => stdout.includes('the first'), 'the first line');
    await incidents.waitFor(({ stdout }) => stdout.includes('the first'), 'the first incident');
    first.hub.kill('SIGKILL');
    await first.hub.ended;
    await logs.waitFor(({ stderr }) => stderr.includes('waiting for it'), 'the word of the loss');
    const none = await new RunningCli(['ikc', '-f', '--hub', page]).ended;
    assert.deepEqual([none.code, /\[E_HUB_UNREACHABLE\]/.test(none.stderr)], [1, true], none.stderr);
    const second = await startHub(folder, new URL(page).host);
    await say(second.addresses.otlp, 'said after it', 2);
    await logs.waitFor(({ stdout }) => stdout.includes('said after it'), 'the line of the second hub');
    assert.match(logs.stderr, /connected again/);
    for (const run of runs) run.kill('SIGINT');
    for (const run of runs) {
      const { code, stderr } = await run.ended;
      assert.equal(code, 0, stderr);
    }
    assert.equal(logs.stdout.match(/Kernel panic/g)?.length, 1, logs.stdout);
    assert.equal(ikc.stderr, '');
    second.hub.kill('SIGINT');
    await second.hub.ended;
  }));
