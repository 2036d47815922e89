/** Every query of every panel runs on a real hub with this kernel's data, through the official ClickHouse client. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { createClient } from '@clickhouse/client';
import type { ClickHouseClient } from '@clickhouse/client';
import { parse } from 'yaml';

import { findStale } from '../../dashboards/build.ts';
import { DATA_SOURCE_UID } from '../../dashboards/clickhouse-query.ts';
import { startLiveHub } from '../support/live-hub.ts';
import type { LiveHub } from '../support/live-hub.ts';
import { expandMacros } from './expand-macros.ts';
import type { Expansion } from './expand-macros.ts';

const FOLDER = join(import.meta.dirname, '../../dashboards');

interface Panel {
  readonly id?: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly {
    readonly rawSql: string;
    readonly queryType: string;
    readonly format: number;
    readonly datasource: { readonly uid: string };
  }[];
}
interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly query: string }[] };
}

const DASHBOARDS = readdirSync(join(FOLDER, 'generated')).map((name) => ({
  name,
  dashboard: JSON.parse(readFileSync(join(FOLDER, 'generated', name), 'utf8')) as Dashboard,
}));
const PANELS = DASHBOARDS.flatMap(({ dashboard }) => dashboard.panels.filter((panel) => panel.targets !== undefined));

/** Columns that a panel of this query type cannot do without. */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  logs: ['timestamp', 'body', 'level', 'labels'],
  timeseries: ['time'],
  table: [],
};

let live: LiveHub;
let client: ClickHouseClient;

before(async () => {
  live = await startLiveHub();
  client = createClient({ url: live.hub.addresses.clickhouse });
});

after(async () => {
  await client.close();
  await live.close();
});

function windowOf(variables: Expansion['variables']): Expansion {
  return { fromMs: Date.now() - 3_600_000, toMs: Date.now() + 5000, intervalSeconds: 10, variables };
}

async function run(
  sql: string,
  expansion: Expansion,
): Promise<{ readonly columns: Map<string, string>; readonly rows: readonly Record<string, unknown>[] }> {
  const answer = await client.query({ query: expandMacros(sql, expansion), format: 'JSON' });
  const { meta = [], data } = await answer.json<Record<string, unknown>>();
  return { columns: new Map(meta.map(({ name, type }) => [name, type])), rows: data };
}

test('dashboards: the generated files are current', () => {
  assert.deepEqual(findStale(), [], 'npm run dashboards rewrites them');
});

test('dashboards: panels have a place of their own on the grid, a data source and an id', () => {
  for (const { dashboard } of DASHBOARDS) {
    const taken = new Map<string, string>();
    for (const panel of dashboard.panels) {
      const { x, y, w, h } = panel.gridPos;
      assert.ok(x + w <= 24, panel.title);
      for (let column = x; column < x + w; column++) {
        for (let row = y; row < y + h; row++) {
          const other = taken.get(`${column},${row}`);
          assert.equal(other, undefined, `${panel.title} lies on ${other}`);
          taken.set(`${column},${row}`, panel.title);
        }
      }
      for (const target of panel.targets ?? []) assert.equal(target.datasource.uid, DATA_SOURCE_UID);
    }
  }
});

test('dashboards: every query runs, and has the columns that its panel needs', async () => {
  for (const { title, targets = [] } of PANELS) {
    for (const { rawSql, queryType, format } of targets) {
      const { columns } = await run(rawSql, windowOf({})).catch((error: unknown) => {
        throw new Error(`${title}: ${String(error)}`);
      });
      for (const needed of NEEDED[queryType] ?? []) assert.ok(columns.has(needed), `${title} has no column ${needed}`);
      const [firstName, firstType] = [...columns][0] ?? ['', ''];
      if (queryType !== 'table') assert.match(firstType, /^DateTime/, `${title}: the first column ${firstName} must be the time`);
      const numbers = [...columns.values()].filter((type) => /^(Nullable\()?(U?Int|Float)/.test(type));
      if (queryType === 'timeseries') assert.ok(numbers.length > 0, `${title} has no number to draw`);
      assert.equal(format, { timeseries: 0, table: 1, logs: 2 }[queryType]);
    }
  }
});

test('dashboards: the queries see what this kernel did', async (t) => {
  const rowsOf = async (title: string): Promise<readonly Record<string, unknown>[]> => {
    const panel = PANELS.find((one) => one.title === title);
    assert.ok(panel?.targets?.[0] !== undefined, `no panel ${title}`);
    return (await run(panel.targets[0].rawSql, windowOf({}))).rows;
  };
  const [kernel] = (await rowsOf('Kernels')) as { kernels?: unknown }[];
  assert.equal(Number(kernel?.kernels), 1);
  assert.ok((await rowsOf('Memory')).length >= 3, 'memory by state');
  for (const { utilization } of (await rowsOf('CPU')) as { utilization: number }[])
    assert.ok(utilization >= 0 && utilization <= 1, `CPU ${utilization}`);
  assert.ok((await rowsOf('CPU')).length > 0, 'no CPU point');
  if (existsSync('/proc/pressure/cpu')) assert.ok((await rowsOf('Pressure')).length > 0, 'no pressure point');
  if (!live.reads.has('tracefs')) return t.skip('needs tracefs for the event panels');
  assert.ok((await rowsOf('Trace events')).length > 0, 'no event rate');
  assert.ok((await rowsOf('Most frequent trace events')).some(({ event }) => event === 'sched:sched_switch'));
  if (!live.reads.has('kmsg')) return t.skip('needs /dev/kmsg for the log panels');
  assert.ok(
    (await rowsOf('Logs')).some(({ body }) => body === live.marker),
    'the marker line is not in the logs panel',
  );
});

test('dashboards: the variables list this kernel, and choosing another one empties the panels', async () => {
  for (const { dashboard } of DASHBOARDS) {
    const [machine, kernel] = dashboard.templating.list;
    assert.ok(machine !== undefined && kernel !== undefined);
    const machines = (await run(machine.query, windowOf({}))).rows.flatMap((row) => Object.values(row) as string[]);
    assert.deepEqual(machines, [live.identity.machineName]);
    const kernels = (await run(kernel.query, windowOf({ machine: machines }))).rows.flatMap((row) => Object.values(row));
    assert.deepEqual(kernels, [live.identity.kernelName]);
  }
  for (const { title, targets = [] } of PANELS) {
    const chosen = await run(targets[0]?.rawSql ?? '', windowOf({ kernel: ['no such kernel'], machine: [live.identity.machineName] }));
    const isEmpty = chosen.rows.length === 0 || chosen.rows.every((row) => Object.values(row).every((value) => Number(value) === 0));
    assert.ok(isEmpty, `${title} shows rows of other kernels: ${JSON.stringify(chosen.rows[0])}`);
  }
});

test('dashboards: the data source of the provisioning is the one that the panels name, on the usual port', () => {
  const { datasources } = parse(readFileSync(join(FOLDER, 'provisioning/datasources/mkscope.yaml'), 'utf8')) as {
    datasources: {
      uid: string;
      type: string;
      jsonData: { host: string; port: number; protocol: string; defaultDatabase: string; logs: { defaultTable: string } };
    }[];
  };
  const [source] = datasources;
  assert.ok(source !== undefined);
  assert.equal(source.uid, DATA_SOURCE_UID);
  assert.equal(source.type, 'grafana-clickhouse-datasource');
  assert.deepEqual([source.jsonData.protocol, source.jsonData.port], ['http', 4320]);
  assert.equal(source.jsonData.logs.defaultTable, 'otel_logs');
});

test('dashboards: the database of the provisioning exists', async () => {
  const { rows } = await run('SELECT count() AS n FROM otel_logs', windowOf({}));
  assert.equal(rows.length, 1);
  const named = createClient({ url: live.hub.addresses.clickhouse, database: 'default' });
  const answer = await named.query({ query: 'SELECT Timestamp, SeverityText, Body FROM otel_logs LIMIT 1', format: 'JSONEachRow' });
  assert.ok(Array.isArray(await answer.json()));
  await named.close();
});
