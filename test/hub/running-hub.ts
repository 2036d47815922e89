/** A real hub on free ports over a real store in a temporary folder, and a sender that speaks OTLP to it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ByteWriter } from '../../base/bytes.ts';
import { startHub, type Hub, type HubOptions } from '../../hub/hub.ts';
import { ATTR } from '../../model/attributes.ts';
import type { Gap } from '../../model/gap.ts';
import { SCHEMA_URL, toResource, toScope, type KernelIdentity } from '../../model/identity.ts';
import { LogBatch } from '../../model/log-batch.ts';
import type { MetricBatch } from '../../model/metric-batch.ts';
import type { HubLink } from '../../model/segment.ts';
import { encodeLogs, encodeMetrics } from '../../otlp/encode.ts';
import { encodeGaps } from '../../otlp/gap.ts';

const ANY_PORT = { host: '127.0.0.1', port: 0 };

export const HOST: KernelIdentity = {
  machineId: 'machine-1',
  machineName: 'alpha',
  kernelId: 0,
  kernelName: 'host',
  bootId: '00000000-0000-4000-8000-000000000001',
  release: '7.0.0',
  arch: 'amd64',
};
export const SPAWN: KernelIdentity = { ...HOST, kernelId: 1, kernelName: 'spawn1', bootId: '00000000-0000-4000-8000-000000000002' };

export interface RunningHub extends Hub {
  readonly dataDir: string;
  /** Closes the hub and removes its folder. */
  stop(): Promise<void>;
}

export async function runHub(options: Partial<HubOptions> = {}): Promise<RunningHub> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'mkscope-hub-'));
  const settings = {
    version: 'test',
    page: ANY_PORT,
    otlp: ANY_PORT,
    clickhouse: ANY_PORT,
    webDir: join(dataDir, 'web'),
    ...options,
    dataDir,
  };
  const hub = await startHub(settings).catch((error: unknown) => {
    if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
    throw error;
  });
  const stop = async (): Promise<void> => {
    await hub.close();
    rmSync(dataDir, { recursive: true, force: true });
  };
  return { ...hub, dataDir, stop };
}

export interface Line {
  readonly text: string;
  readonly unixNs: bigint;
  readonly level?: number;
  readonly sequence?: number;
}

/** A printk batch as a collector sends it. */
export function toLogsBody(identity: KernelIdentity, lines: readonly Line[], stream = 'kmsg', hub?: HubLink): Uint8Array<ArrayBuffer> {
  const batch = new LogBatch();
  for (const [index, line] of lines.entries()) {
    const row = batch.addText(line.text, line.level ?? 6);
    batch.unixTime.setBigint(row, line.unixNs);
    batch.rawTime.setBigint(row, line.unixNs % 1_000_000_000_000n);
    batch.sequence[row] = line.sequence ?? index;
  }
  const writer = new ByteWriter();
  const attributes = { [ATTR.stream]: stream, [ATTR.clock]: 'printk', [ATTR.clockError]: '250' };
  const scope = { name: 'mkscope', version: 'test', attributes, schemaUrl: SCHEMA_URL };
  encodeLogs(toResource(identity), scope, batch, writer, hub === undefined ? {} : { hub });
  return writer.toBytes();
}

export function toMetricsBody(identity: KernelIdentity, batch: MetricBatch): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  encodeMetrics(toResource(identity), { name: 'mkscope', version: 'test', attributes: {}, schemaUrl: SCHEMA_URL }, batch, writer);
  return writer.toBytes();
}

export function toGapsBody(identity: KernelIdentity, gaps: readonly Gap[]): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  encodeGaps(toResource(identity), toScope('mkscope', 'test'), gaps, writer);
  return writer.toBytes();
}

export function post(url: string, body: Uint8Array<ArrayBuffer> | string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/x-protobuf', ...headers } });
}

export async function getJson<T>(hub: Hub, path: string, status = 200): Promise<T> {
  const response = await fetch(`${hub.addresses.page}${path}`);
  const text = await response.text();
  if (response.status !== status) throw new Error(`GET ${path}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}

export const nowNs = (): bigint => BigInt(Date.now()) * 1_000_000n;
