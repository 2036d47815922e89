import { text as readAll } from 'node:stream/consumers';

import { OperationalError } from '../../base/errors.ts';
import type { Health, SqlResult } from '../../model/api.ts';
import { defineCommand } from '../command.ts';
import { HubClient } from '../hub-client.ts';
import { HUB_FLAGS, openHubClient, readToken } from '../hub-flags.ts';
import { renderTable } from '../table.ts';
import { createPaint, escapeLine, print, printLine, terminalWidth } from '../terminal.ts';
import { formatBytes, formatCount } from '../units.ts';

export const command = defineCommand({
  name: 'query',
  usage: '[options] SQL|-',
  about:
    'run ClickHouse SQL on everything that is stored, read-only. The tables: otel_logs, otel_traces, otel_metrics_*, events, kernels, gaps (docs/schema.md).',
  options: {
    json: { type: 'boolean', help: 'one JSON object per row' },
    format: { type: 'string', value: 'NAME', help: 'any ClickHouse output format: CSVWithNames, Pretty, Parquet, Markdown …' },
    ...HUB_FLAGS,
  },
  examples: [
    ['mkscope query "SELECT KernelName, count() FROM otel_logs GROUP BY ALL"', 'a table'],
    ['mkscope query --format Parquet "SELECT * FROM events" > events.parquet', 'a file for other tools'],
    ['mkscope query - < report.sql', 'SQL from standard input'],
  ],
  positionals: { least: 1, most: 1 },
  async run(flags, [written = '']) {
    const client = await openHubClient(flags);
    const sql = written === '-' ? await readAll(process.stdin) : written;
    if (sql.trim() === '')
      throw new OperationalError('E_ARGS', 'the query is empty', 'mkscope query "SELECT …", or mkscope query - < FILE');
    if (flags.format !== undefined) {
      if (flags.json) throw new OperationalError('E_ARGS', '--json and --format exclude each other', 'leave one of them out');
      await streamFormat(client, readToken(flags['token-file']), sql, flags.format);
      return 0;
    }
    const result = await client.postJson<SqlResult>('/api/sql', { sql });
    await (flags.json ? printRows(result) : printTable(result));
    if (result.truncated) process.stderr.write(`mkscope: cut at ${result.rows.length} rows; --format CSVWithNames gives all of them\n`);
    return 0;
  },
});

/** The hub's ClickHouse endpoint has every format; the bytes go through as they come. */
async function streamFormat(client: HubClient, token: string | undefined, sql: string, format: string): Promise<void> {
  const { listening } = await client.getJson<Health>('/api/health');
  const clickhouse = new HubClient(listening.clickhouse, token);
  for await (const chunk of clickhouse.request('/', { default_format: format }, { method: 'POST', body: sql })) await print(chunk);
}

async function printRows(result: SqlResult): Promise<void> {
  for (const row of result.rows) {
    await printLine(JSON.stringify(Object.fromEntries(result.columns.map((column, i) => [column.name, row[i]]))));
  }
}

async function printTable(result: SqlResult): Promise<void> {
  const columns = result.columns.map((column) => ({
    title: escapeLine(column.name),
    align: /^(Nullable\()?(U?Int|Float|Decimal)/.test(column.type) ? ('right' as const) : ('left' as const),
  }));
  const rows = result.rows.map((row) => row.map(toCell));
  const paint = createPaint(process.stdout);
  await print(renderTable(columns, rows, { paint, width: terminalWidth(process.stdout) }));
  if (process.stdout.isTTY) {
    const read = `${formatCount(result.rowsRead)} rows, ${formatBytes(result.bytesRead)} read in ${result.tookMs.toFixed(0)} ms`;
    process.stderr.write(`${paint('dim', `${formatCount(result.rows.length)} rows; ${read}`)}\n`);
  }
}

function toCell(value: unknown): string {
  if (value === null || value === undefined) return 'NULL';
  return escapeLine(typeof value === 'string' ? value : JSON.stringify(value));
}
