/** `POST /api/sql`: one reading statement of a person, answered as a table. */
import { decodeUtf8 } from '../base/bytes.ts';
import type { SqlResult } from '../model/api.ts';
import type { Store } from '../store/store.ts';
import { splitFormat } from './clickhouse-query.ts';

/** More rows than a page can show; scripts that want all of them use the ClickHouse listener. */
const MAX_ROWS = 10_000;
const MAX_SECONDS = 30;

interface CompactJson {
  readonly meta: SqlResult['columns'];
  readonly data: readonly (readonly unknown[])[];
  readonly statistics?: { readonly rows_read: number; readonly bytes_read: number };
}

export async function runSql(store: Store, sql: string): Promise<SqlResult> {
  const startMs = performance.now();
  const result = await store.queryRaw(splitFormat(sql).sql, 'JSONCompact', { maxSeconds: MAX_SECONDS, maxResultRows: MAX_ROWS + 1 });
  const { meta, data, statistics } = JSON.parse(decodeUtf8(result.bytes)) as CompactJson;
  return {
    columns: meta,
    rows: data.slice(0, MAX_ROWS),
    rowsRead: statistics?.rows_read ?? result.rowsRead,
    bytesRead: statistics?.bytes_read ?? result.bytesRead,
    tookMs: performance.now() - startMs,
    truncated: data.length > MAX_ROWS,
  };
}
