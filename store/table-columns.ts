/** What ClickHouse knows of our tables, read once: the columns a load fills, and the table functions a query may not use. */
import type { Engine } from './engine.ts';

export interface Column {
  readonly name: string;
  readonly type: string;
  /** Its codec begins with Delta. */
  readonly isDelta: boolean;
}

export interface TableColumns {
  /** Table → the columns that come from a spool file. */
  readonly structures: ReadonlyMap<string, readonly Column[]>;
  /** Tables whose rows carry the stamp of their load (`StoredAt`); a row of the others changes nothing when it comes again. */
  readonly stamped: ReadonlySet<string>;
  /** Names of all table functions, in lower case. */
  readonly functions: ReadonlySet<string>;
}

const LIMITS = { maxSeconds: 30, maxRows: undefined } as const;

export async function readTables(engine: Engine): Promise<TableColumns> {
  const columns = await readLines(
    engine,
    `SELECT table, name, type, startsWith(compression_codec, 'CODEC(Delta') FROM system.columns
     WHERE database = {database:String} AND default_kind NOT IN ('ALIAS', 'MATERIALIZED')
       AND table IN (SELECT name FROM system.tables WHERE database = {database:String} AND engine NOT LIKE '%View')
     ORDER BY table, position`,
    { database: engine.database },
  );
  const structures = new Map<string, Column[]>();
  const stamped = new Set<string>();
  for (const [table = '', name = '', type = '', delta] of columns) {
    if (name === 'StoredAt') stamped.add(table);
    else structures.set(table, [...(structures.get(table) ?? []), { name, type, isDelta: delta === '1' }]);
  }
  const functions = await readLines(engine, 'SELECT lower(name) FROM system.table_functions', {});
  return { structures, stamped, functions: new Set(functions.map(([name = '']) => name)) };
}

async function readLines(engine: Engine, sql: string, params: Readonly<Record<string, unknown>>): Promise<string[][]> {
  const { bytes } = await engine.read(sql, 'TSVRaw', params, LIMITS);
  const lines = Buffer.from(bytes).toString().split('\n');
  return lines.filter((line) => line !== '').map((line) => line.split('\t'));
}
