import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import type { MessageRule } from '../../correlate/message-catalogue.ts';
import { importFile } from '../../hub/import-file.ts';
import type { LogPage } from '../../model/api.ts';
import { ATTR } from '../../model/attributes.ts';
import { LEVEL_UNKNOWN } from '../../model/severity.ts';
import { queryLogs } from '../../store/queries/logs.ts';
import { openStore } from '../../store/open.ts';
import { getJson, HOST, nowNs, post, runHub, toLogsBody } from './running-hub.ts';

const OWN: MessageRule = {
  event: 'link.down',
  about: 'A link went down.',
  level: 'warn',
  side: 'both',
  prefix: '',
  patterns: ['link {link.name:word} is down'],
  samples: [],
};

test('messages: rows that come live get names, fields and, on a console, levels', async () => {
  const hub = await runHub({ messages: [OWN] });
  try {
    const startNs = nowNs();
    const lines = [
      'usb 1-1: new device',
      'Force halting multikernel instance 3 via NMI',
      'Kernel panic - not syncing: test',
      'link eth1 is down',
    ].map((text, index) => ({ text, unixNs: startNs + BigInt(index) * 1000n, level: LEVEL_UNKNOWN, sequence: index }));
    const answer = await post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(HOST, lines, 'console:ttyS0'));
    assert.equal(answer.status, 200);
    const { rows } = await getJson<LogPage>(hub, `/api/logs?stream=console:ttyS0`);
    assert.deepEqual(
      rows.map(({ eventName, level }) => `${eventName} ${level}`),
      [' 255', 'mk.instance.kill 6', 'mk.kernel.panic 0', 'link.down 4'],
    );
    assert.equal(rows.find(({ eventName }) => eventName === 'mk.instance.kill')?.attributes['mk.instance.id'], '3');
    assert.equal(rows.find(({ eventName }) => eventName === 'link.down')?.attributes['link.name'], 'eth1');
    const named = await getJson<LogPage>(hub, '/api/logs?event=mk.*');
    assert.equal(named.rows.length, 2);
    // A line of the catalogue still begins a report.
    const endMs = Date.now() + 45_000;
    for (;;) {
      const { rows: reports } = await getJson<LogPage>(hub, '/api/logs?event=kernel.*');
      if (reports.length > 0) break;
      assert.ok(Date.now() < endMs, 'no report of the panic');
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  } finally {
    await hub.stop();
  }
});

test('messages: an import names rows as a live stream does, each boot for itself', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-messages-'));
  const store = await openStore({ dataDir });
  try {
    const boot = [
      '[    0.000000] Linux version 7.0.0-lab (user@build) (gcc 14) #1 SMP',
      '[    1.000000] Multikernel hotplug: Adding CPU 8 (numa=-1, flags=0x0)',
      '[    1.000002] Multikernel hotplug: Physical CPU 8 not found in present CPUs',
      'Multikernel instance 3 is now active',
      '[    2.000000] Multikernel instance 3 is now active',
    ];
    // What was added in the boot before has nothing to say to the next one.
    const text = [...boot, boot[0], boot[2], ''].join('\n');
    await importFile(store, toStream(text), { fileName: 'host.log', workDir: dataDir });
    const { rows } = await queryLogs(store, { limit: 100 });
    const named = rows
      .toSorted((a, b) => a.sequence - b.sequence)
      .map((row) => `${row.eventName} ${row.level} ${row.attributes[ATTR.benign] ?? ''}`);
    assert.deepEqual(named, [
      'mk.kernel.version 5 ',
      'mk.cpu.add.begin 6 ',
      'mk.cpu.absent 3 true',
      ' 255 ',
      'mk.instance.active 6 ',
      'mk.kernel.version 5 ',
      'mk.cpu.absent 3 ',
    ]);
  } finally {
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
});

async function* toStream(text: string): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  yield new TextEncoder().encode(text);
}
