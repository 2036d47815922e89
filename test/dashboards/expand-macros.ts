/** What Grafana's ClickHouse data source makes of its macros and of dashboard variables, for the ones that the dashboards use. */
export interface Expansion {
  readonly fromMs: number;
  readonly toMs: number;
  readonly intervalSeconds: number;
  /** Chosen values by variable; undefined = `All`. */
  readonly variables: Readonly<Record<string, readonly string[] | undefined>>;
}

export function expandMacros(sql: string, { fromMs, toMs, intervalSeconds, variables }: Expansion): string {
  const from = `toDateTime(${Math.floor(fromMs / 1000)})`;
  const to = `toDateTime(${Math.ceil(toMs / 1000)})`;
  const expanded = sql
    .replaceAll(/\$__conditionalAll\(((?:[^()]|\([^()]*\))*),\s*\$(\w+)\)/g, (_all, condition: string, name: string) =>
      variables[name] === undefined ? '1=1' : condition,
    )
    .replaceAll(/\$\{(\w+):singlequote\}/g, (_all, name: string) => (variables[name] ?? ['']).map((value) => `'${value}'`).join(','))
    .replaceAll(/\$__timeFilter\(([^)]*)\)/g, `$1 >= ${from} AND $1 <= ${to}`)
    .replaceAll(/\$__timeInterval\(([^)]*)\)/g, `toStartOfInterval(toDateTime($1), INTERVAL ${intervalSeconds} second)`)
    .replaceAll('$__interval_s', String(intervalSeconds))
    .replaceAll('$__fromTime', from)
    .replaceAll('$__toTime', to);
  const left = /\$\{?\w+/.exec(expanded);
  if (left !== null) throw new Error(`${left[0]} is not expanded in ${expanded}`);
  return expanded;
}
