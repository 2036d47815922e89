/** How long rows are kept: a TTL per table, counted from when a row was stored, so that an old log imported today stays. */
import type { Engine } from './engine.ts';

/** Days; 0 = for ever. What is not given keeps its present setting. */
export interface Retention {
  readonly logsDays?: number;
  /** Logs of level `info` and `debug`, where they should go earlier than the rest. */
  readonly quietLogsDays?: number;
  readonly tracesDays?: number;
  readonly metricsDays?: number;
  readonly eventsDays?: number;
  readonly gapsDays?: number;
}

const TABLES: readonly (readonly [keyof Retention, string])[] = [
  ['logsDays', 'otel_logs'],
  ['tracesDays', 'otel_traces'],
  ['tracesDays', 'otel_traces_trace_id_ts'],
  ['tracesDays', 'ikc_messages'],
  ['tracesDays', 'ikc_exchanges'],
  ['metricsDays', 'otel_metrics_gauge'],
  ['metricsDays', 'otel_metrics_sum'],
  ['metricsDays', 'otel_metrics_histogram'],
  ['metricsDays', 'otel_metrics_exp_histogram'],
  ['metricsDays', 'otel_metrics_summary'],
  ['eventsDays', 'events'],
  ['eventsDays', 'clock_fits'],
  ['eventsDays', 'recording_texts'],
  ['gapsDays', 'gaps'],
  ['gapsDays', 'incidents'],
];

const QUIET_LEVEL = 6;

export async function applyRetention(engine: Engine, retention: Retention): Promise<void> {
  const present = await readDefinitions(engine);
  for (const [key, table] of TABLES) {
    const days = retention[key];
    if (days === undefined) continue;
    const quietDays = table === 'otel_logs' ? (retention.quietLogsDays ?? 0) : 0;
    const ttl = toTtl(days, quietDays);
    const definition = present.get(table) ?? '';
    if (ttl === undefined) {
      if (/\bTTL\b/.test(definition)) await engine.command(`ALTER TABLE ${table} REMOVE TTL`);
    } else if (!definition.includes(`TTL ${ttl}`)) {
      // Whole parts go at once and cheaply, unless quiet lines are to go from among the others.
      const drops = `ttl_only_drop_parts = ${quietDays > 0 ? 0 : 1}`;
      if (!definition.includes(drops)) await engine.command(`ALTER TABLE ${table} MODIFY SETTING ${drops}`);
      await engine.command(`ALTER TABLE ${table} MODIFY TTL ${ttl} SETTINGS materialize_ttl_after_modify = 0`);
    }
  }
}

/** As ClickHouse itself writes it, so that it is found again. */
function toTtl(days: number, quietDays: number): string | undefined {
  if (days === 0 && quietDays === 0) return undefined;
  const all = days === 0 ? [] : [`toDateTime(StoredAt) + toIntervalDay(${days})`];
  const quiet = quietDays === 0 ? [] : [`toDateTime(StoredAt) + toIntervalDay(${quietDays}) WHERE Level >= ${QUIET_LEVEL}`];
  return [...all, ...quiet].join(', ');
}

async function readDefinitions(engine: Engine): Promise<Map<string, string>> {
  const { bytes } = await engine.read(
    'SELECT name, create_table_query AS sql FROM system.tables WHERE database = {database:String}',
    'JSONEachRow',
    { database: engine.database },
    { maxSeconds: 30, maxRows: undefined },
  );
  const lines = Buffer.from(bytes).toString().split('\n');
  const rows = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as { name: string; sql: string });
  return new Map(rows.map((row) => [row.name, row.sql]));
}
