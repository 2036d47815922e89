/** Plain text tables: aligned columns, no frames, the last column cut to the terminal's width. */
import type { Paint, Style } from './terminal.ts';

export interface TableColumn {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** `rows` hold plain text; `style` may colour a finished cell, after it was padded. */
export interface TableOptions {
  readonly width?: number | undefined;
  readonly paint: Paint;
  readonly style?: (cell: string, row: number, column: number) => string;
}

/** A column with what stands in it. */
export interface Column<Row> extends TableColumn {
  readonly text: (row: Row) => string;
  /** undefined = plain. */
  readonly style?: (row: Row) => Style | undefined;
}

const GAP = '  ';

/** A table of records. */
export function renderRows<Row>(columns: readonly Column<Row>[], rows: readonly Row[], paint: Paint, width: number | undefined): string {
  const style = (cell: string, at: number, column: number): string => {
    const chosen = columns[column]?.style?.(rows[at] as Row);
    return chosen === undefined ? cell : paint(chosen, cell);
  };
  return renderTable(
    columns,
    rows.map((row) => columns.map(({ text }) => text(row))),
    { paint, width, style },
  );
}

export function renderTable(columns: readonly TableColumn[], rows: readonly (readonly string[])[], options: TableOptions): string {
  const widths = columns.map((column, i) => rows.reduce((most, row) => Math.max(most, (row[i] ?? '').length), column.title.length));
  const cell = (text: string, i: number, used: number): string => {
    const isLast = i === columns.length - 1;
    if (columns[i]?.align === 'right') return text.padStart(widths[i] as number);
    return isLast ? cut(text, options.width === undefined ? undefined : options.width - used) : text.padEnd(widths[i] as number);
  };
  const line = (texts: readonly string[], style: (cell: string, column: number) => string): string => {
    let used = 0;
    const cells = columns.map((_, i) => {
      const padded = cell(texts[i] ?? '', i, used);
      used += padded.length + GAP.length;
      return style(padded, i);
    });
    return cells.join(GAP).trimEnd();
  };
  const head = line(
    columns.map((column) => column.title),
    (text) => options.paint('bold', text),
  );
  const body = rows.map((row, r) => line(row, (text, c) => options.style?.(text, r, c) ?? text));
  return `${[head, ...body].join('\n')}\n`;
}

/** Cuts to `width` columns with an ellipsis; a width too small to say anything leaves the text alone. */
export function cut(text: string, width: number | undefined): string {
  return width === undefined || width < 8 || text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}
