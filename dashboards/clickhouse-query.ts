/**
 * A query of Grafana's ClickHouse data source (`grafana-clickhouse-datasource`), which the Foundation SDK does not have:
 *
 *   { "refId": "A", "editorType": "sql", "rawSql": "SELECT …",
 *     "queryType": "timeseries", "format": 0 }
 *                                +-- 0 time series, 1 table, 2 logs, 3 trace
 *
 * The SQL carries the data source's macros ($__timeFilter(c), $__timeInterval(c), $__interval_s, $__conditionalAll(cond, $var)):
 * what they become is in test/dashboards/expand-macros.ts. Only the SQL editor is used, not the query builder's own model.
 */
import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog';
import type { DataSourceRef } from '@grafana/grafana-foundation-sdk/common';

export const DATA_SOURCE_UID = 'mkscope';
export const DATA_SOURCE: DataSourceRef = { type: 'grafana-clickhouse-datasource', uid: DATA_SOURCE_UID };

/** The plugin whose query model this is; it migrates older models by this field. */
const PLUGIN_VERSION = '4.11.0';

const FORMATS = { timeseries: 0, table: 1, logs: 2 } as const;
export type ClickHouseQueryType = keyof typeof FORMATS;

export interface ClickHouseQuery extends Dataquery {
  readonly refId: string;
  readonly datasource: DataSourceRef;
  readonly editorType: 'sql';
  readonly rawSql: string;
  readonly queryType: ClickHouseQueryType;
  readonly format: number;
  readonly pluginVersion: string;
}

export class ClickHouseQueryBuilder implements Builder<ClickHouseQuery> {
  readonly #queryType: ClickHouseQueryType;
  readonly #sql: string;
  readonly #refId: string;

  constructor(queryType: ClickHouseQueryType, sql: string, refId = 'A') {
    this.#queryType = queryType;
    this.#sql = sql;
    this.#refId = refId;
  }

  build(): ClickHouseQuery {
    return {
      refId: this.#refId,
      datasource: DATA_SOURCE,
      editorType: 'sql',
      rawSql: this.#sql.trim(),
      queryType: this.#queryType,
      format: FORMATS[this.#queryType],
      pluginVersion: PLUGIN_VERSION,
      _implementsDataqueryVariant() {},
    };
  }
}
