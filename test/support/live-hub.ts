/** A real hub with a real collector of this kernel, in this process, on free ports and a temporary folder. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { messageOf } from '../../base/errors.ts';
import { startCollector } from '../../collector/collector.ts';
import type { Collector } from '../../collector/collector.ts';
import { DEFAULT_TRACE_EVENTS } from '../../collector/options.ts';
import { startHub } from '../../hub/hub.ts';
import type { Hub } from '../../hub/hub.ts';
import type { KernelIdentity } from '../../model/identity.ts';

const ANY_PORT = { host: '127.0.0.1', port: 0 };
const TIMEOUT_MS = 30_000;

export interface LiveHub {
  readonly hub: Hub;
  readonly identity: KernelIdentity;
  /** Sources that could be read here. */
  readonly reads: ReadonlySet<string>;
  /** The text of a line that was written to /dev/kmsg. */
  readonly marker: string;
  close(): Promise<void>;
}

/** Resolves when rows of every source that can be read here are stored. */
export async function startLiveHub(): Promise<LiveHub> {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-test-'));
  const hub = await startHub({
    dataDir: join(folder, 'data'),
    version: 'test',
    webDir: join(folder, 'web'),
    page: ANY_PORT,
    otlp: ANY_PORT,
    clickhouse: ANY_PORT,
  });
  const collector = await startCollector({
    version: 'test',
    to: { endpoint: hub.addresses.otlp },
    spoolDir: join(folder, 'collector'),
    sources: { kmsg: { from: 'now' }, tracefs: { events: DEFAULT_TRACE_EVENTS }, system: { intervalMs: 200 } },
  });
  const reads = new Set(collector.status().sources.map(({ id }) => id));
  const marker = `mkscope test marker ${process.pid} ${Date.now()}`;
  if (reads.has('kmsg')) writeMarker(marker, reads);
  await waitForRows(hub, reads, marker);
  const { identity } = collector.status();
  return { hub, identity, reads, marker, close: () => close(hub, collector, folder) };
}

/** Reading may be allowed where writing is not: then nothing of ours is in the log. */
function writeMarker(marker: string, reads: Set<string>): void {
  try {
    writeFileSync('/dev/kmsg', `${marker}\n`);
  } catch (error) {
    process.stderr.write(`no marker in /dev/kmsg: ${messageOf(error)}\n`);
    reads.delete('kmsg');
  }
}

async function waitForRows(hub: Hub, reads: ReadonlySet<string>, marker: string): Promise<void> {
  const wanted = [
    { source: 'kmsg', sql: `SELECT count() AS n FROM otel_logs WHERE Body = '${marker}'` },
    { source: 'tracefs', sql: "SELECT count() AS n FROM events WHERE Event = 'sched:sched_switch'" },
    { source: 'system', sql: "SELECT count() AS n FROM otel_metrics_gauge WHERE MetricName = 'system.cpu.utilization'" },
  ];
  const deadlineMs = Date.now() + TIMEOUT_MS;
  for (const { source, sql } of wanted.filter((one) => reads.has(one.source))) {
    while (Number((await hub.store.query<{ n: string }>(sql))[0]?.n) === 0) {
      if (Date.now() > deadlineMs) throw new Error(`no row of ${source} was stored within ${TIMEOUT_MS} ms`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function close(hub: Hub, collector: Collector, folder: string): Promise<void> {
  await collector.close();
  await hub.close();
  rmSync(folder, { recursive: true, force: true });
}
