import assert from 'node:assert/strict';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
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

/** Hands requests on to the hub; `answered` resolves when it has answered one. */
async function openProxy(page: string): Promise<{ readonly url: string; readonly answered: Promise<void>; readonly close: () => void }> {
  const { promise: answered, resolve } = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    get(new URL(request.url ?? '', page), (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response).once('finish', resolve);
    }).once('error', () => response.destroy());
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, answered, close };
}

test('-f: logs, incidents and messages go on over a hub that is killed; without a hub at the start it is said', () =>
  withFolder(async (folder) => {
    const first = await startHub(folder, '127.0.0.1:0');
    const { page, otlp } = first.addresses;
    // `ikc` has nothing to show: that it was answered is seen on its way.
    const proxy = await openProxy(page);
    const [logs, incidents] = ['logs', 'incidents'].map((word) => new RunningCli([word, '-f', '--hub', page])) as [RunningCli, RunningCli];
    const ikc = new RunningCli(['ikc', '-f', '--hub', proxy.url]);
    const runs = [logs, incidents, ikc];
    await say(otlp, 'Kernel panic - not syncing: the first', 1);
    await logs.waitFor(({ stdout }) => stdout.includes('the first'), 'the first line');
    await incidents.waitFor(({ stdout }) => stdout.includes('the first'), 'the first incident');
    await proxy.answered;
    first.hub.kill('SIGKILL');
    await first.hub.ended;
    for (const run of runs) await run.waitFor(({ stderr }) => stderr.includes('waiting for it'), 'the word of the loss');
    const none = await new RunningCli(['ikc', '-f', '--hub', page]).ended;
    assert.deepEqual([none.code, /\[E_HUB_UNREACHABLE\]/.test(none.stderr)], [1, true], none.stderr);
    const second = await startHub(folder, new URL(page).host);
    await say(second.addresses.otlp, 'said after it', 2);
    await logs.waitFor(({ stdout }) => stdout.includes('said after it'), 'the line of the second hub');
    for (const run of runs) await run.waitFor(({ stderr }) => stderr.includes('connected again'), 'the word of the return');
    for (const run of runs) run.kill('SIGINT');
    for (const run of runs) {
      const { code, stderr } = await run.ended;
      assert.equal(code, 0, stderr);
    }
    proxy.close();
    assert.equal(logs.stdout.match(/Kernel panic/g)?.length, 1, logs.stdout);
    for (const { stderr } of runs) assert.equal(stderr.match(/waiting for it/g)?.length, 1, stderr);
    second.hub.kill('SIGINT');
    await second.hub.ended;
  }));
