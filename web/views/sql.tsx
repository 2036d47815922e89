/** SQL: read-only questions to the store, with a table for the answer. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { SqlResult } from '../../model/api.ts';
import { type ApiError, isAborted, postJson, toApiError } from '../api/client.ts';
import { toQueryCommand } from '../format/command.ts';
import { formatBytes, formatCount } from '../format/number.ts';
import { toDisplayLine } from '../format/text.ts';
import { CopyButton, ErrorNote } from '../parts/controls.tsx';
import { useApp, useParams } from '../state/app-state.ts';
import { useKeys } from '../state/keys.ts';

const EXAMPLES = [
  {
    title: 'Rows per table',
    sql: 'SELECT table, sum(rows) AS rows, formatReadableSize(sum(bytes_on_disk)) AS size\nFROM system.parts\nWHERE active AND database = currentDatabase()\nGROUP BY table\nORDER BY rows DESC',
  },
  {
    title: 'Lines per severity',
    sql: 'SELECT ServiceName AS kernel, SeverityText AS severity, count() AS lines\nFROM otel_logs\nGROUP BY kernel, severity\nORDER BY lines DESC',
  },
  {
    title: 'Tables and columns',
    sql: 'SELECT table, name, type, comment\nFROM system.columns\nWHERE database = currentDatabase()\nORDER BY table, position',
  },
] as const;

/** Rows in the document at most; the answer may have more. */
const SHOWN_ROWS = 1000;

export function SqlView() {
  const app = useApp();
  const params = useParams();
  const [sql, setSql] = useState(params['q'] ?? EXAMPLES[0].sql);
  const [result, setResult] = useState<SqlResult | undefined>(undefined);
  const [error, setError] = useState<ApiError | undefined>(undefined);
  const [running, setRunning] = useState<AbortController | undefined>(undefined);
  const area = useRef<HTMLTextAreaElement>(null);
  useKeys({ '/': () => area.current?.focus(), Escape: () => area.current?.blur() });
  useEffect(() => () => running?.abort(), [running]);

  const run = async (text: string): Promise<void> => {
    running?.abort();
    const abort = new AbortController();
    setRunning(abort);
    setError(undefined);
    app.setParams({ q: text });
    try {
      const answer = await postJson<SqlResult>('/api/sql', { sql: text }, abort.signal);
      setResult(answer);
    } catch (thrown) {
      if (isAborted(thrown)) return;
      setError(toApiError(thrown));
    }
    setRunning(undefined);
  };
  return (
    <div class="sql">
      <div class="sql-editor">
        <textarea
          ref={area}
          class="mono"
          aria-label="SQL"
          spellcheck={false}
          value={sql}
          rows={Math.min(14, Math.max(5, sql.split('\n').length + 1))}
          onInput={(event) => setSql(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
              event.preventDefault();
              void run(sql);
            }
          }}
        />
        <div class="toolbar">
          <button class="button button-main" type="button" disabled={sql.trim() === ''} onClick={() => void run(sql)}>
            {running === undefined ? 'Run' : 'Running …'} <kbd>Ctrl ↵</kbd>
          </button>
          {running !== undefined && (
            <button
              class="button"
              type="button"
              onClick={() => {
                running.abort();
                setRunning(undefined);
              }}
            >
              Stop
            </button>
          )}
          <CopyButton label="Copy as command" text={() => toQueryCommand(sql)} command />
          <div class="spacer" />
          <span class="muted">Examples</span>
          {EXAMPLES.map((example) => (
            <button
              key={example.title}
              class="button"
              type="button"
              onClick={() => {
                setSql(example.sql);
                void run(example.sql);
              }}
            >
              {example.title}
            </button>
          ))}
        </div>
      </div>
      {error !== undefined && <ErrorNote error={error} />}
      {result === undefined && error === undefined && (
        <p class="muted page-note">
          ClickHouse SQL, read-only and limited in time and rows. The columns of each table are one example away.
        </p>
      )}
      {result !== undefined && <ResultTable result={result} />}
    </div>
  );
}

function isNumberType(type: string): boolean {
  return /^(Nullable\()?(U?Int|Float|Decimal)/.test(type);
}

function toCell(value: unknown): string {
  if (value === null) return 'NULL';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function ResultTable({ result }: { readonly result: SqlResult }) {
  const shown = result.rows.slice(0, SHOWN_ROWS);
  return (
    <>
      <p class="result-note" role="status">
        {formatCount(result.rows.length)} rows in {Math.round(result.tookMs)} ms · read {formatCount(result.rowsRead)} rows,{' '}
        {formatBytes(result.bytesRead)}
        {result.truncated && <strong class="text-warn"> · cut at the row limit: add a LIMIT or a narrower WHERE</strong>}
        {shown.length < result.rows.length && <span> · the first {formatCount(SHOWN_ROWS)} are shown</span>}
      </p>
      <div class="table-scroll sql-result">
        <table class="table">
          <thead>
            <tr>
              {result.columns.map((column, index) => (
                <th key={index} scope="col" class={isNumberType(column.type) ? 'num' : ''} title={column.type}>
                  {column.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((row, index) => (
              <tr key={index}>
                {row.map((value, column) => (
                  <td
                    key={column}
                    class={`mono ${isNumberType(result.columns[column]?.type ?? '') ? 'num' : ''} ${value === null ? 'muted' : ''}`}
                  >
                    {toDisplayLine(toCell(value), 400)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
