/** Traces as a table, and one of them as a waterfall over its kernels, for `mkscope traces` and `mkscope trace`. */
import { toBar, toWaterfall, type WaterfallRow } from '../base/waterfall.ts';
import type { Trace, TraceRow, TraceSpan } from '../model/api.ts';
import { ATTR } from '../model/attributes.ts';
import { formatMoment } from './moment.ts';
import { type Column, cut, renderRows } from './table.ts';
import { escapeLine, type Paint, type Style } from './terminal.ts';
import { formatErrorNs, formatNs } from './units.ts';

const TRACE_COLUMNS: readonly Column<TraceRow>[] = [
  { title: 'TIME', text: ({ startUnixNs }) => formatMoment(BigInt(startUnixNs), 'local') },
  { title: 'TOOK', align: 'right', text: ({ durationNs }) => formatNs(durationNs) },
  { title: 'SPANS', align: 'right', text: ({ spans }) => String(spans) },
  { title: 'ERRORS', align: 'right', text: ({ errors }) => String(errors), style: ({ errors }) => (errors > 0 ? 'red' : undefined) },
  { title: 'TRACE', text: ({ traceId }) => traceId },
  { title: 'KERNELS', text: ({ kernels }) => escapeLine(kernels.join(', ')) },
  { title: 'NAME', text: ({ name }) => escapeLine(name) },
];

export function renderTraces(traces: readonly TraceRow[], paint: Paint, width: number | undefined): string {
  return renderRows(TRACE_COLUMNS, traces, paint, width);
}

/** Kernels of one trace are told apart by these, in the order in which they come. */
const KERNEL_STYLES: readonly Style[] = ['cyan', 'magenta', 'yellow', 'blue', 'green'];
const LEAST_BAR = 10;
const MOST_BAR = 60;
/** Where nobody looks a bar is as long as this. */
const PLAIN_BAR = 40;
const MOST_NAME = 60;
/** Deeper spans stand no further in. */
const MOST_DEPTH = 16;
const BLOCK = '█';

type Row = WaterfallRow<TraceSpan>;

/** How the lines of a waterfall are laid out. */
interface Layout {
  readonly paint: Paint;
  readonly width: number | undefined;
  readonly withAttributes: boolean;
  readonly durationNs: number;
  readonly styles: ReadonlyMap<string, Style>;
  readonly byId: ReadonlyMap<string, TraceSpan>;
  readonly widths: readonly number[];
  /** 0 = no room for bars. */
  readonly barWidth: number;
}

/** One line for each span: kernel, tree of names, start, duration, bound of the kernel's clock, bar; below it what it is linked to and why it failed. */
export function renderTrace(trace: Trace, paint: Paint, width: number | undefined, withAttributes: boolean): string {
  const { originNs, durationNs, rows } = toWaterfall(trace.spans);
  const kernels = [...new Set(trace.spans.map(kernelOf))];
  const trees = toTrees(rows);
  const cells = rows.map((row, at) => toCells(row, trees[at] ?? ''));
  const widths = [0, 1, 2, 3, 4].map((column) => cells.reduce((most, row) => Math.max(most, (row[column] as string).length), 0));
  const room = width === undefined ? PLAIN_BAR : Math.min(MOST_BAR, width - widths.reduce((sum, one) => sum + one + 2, 0) - 1);
  const layout: Layout = {
    paint,
    width,
    withAttributes,
    durationNs,
    styles: new Map(kernels.map((name, at) => [name, KERNEL_STYLES[at % KERNEL_STYLES.length] as Style])),
    byId: new Map(trace.spans.map((span) => [span.spanId, span])),
    widths,
    barWidth: room < LEAST_BAR ? 0 : room,
  };
  const lines = rows.flatMap((row, at) => toLines(row, cells[at] as readonly string[], layout));
  const spans = `${trace.spans.length}${trace.truncated ? ' (there are more)' : ''} span${trace.spans.length === 1 ? '' : 's'}`;
  const head = `trace ${trace.traceId}  ${formatMoment(originNs, 'local')}  ${formatNs(durationNs)}  ${spans}  ${escapeLine(kernels.join(', '))}`;
  return `${paint('bold', head)}\n${lines.join('\n')}\n`;
}

function toCells({ span, startNs }: Row, tree: string): string[] {
  const name = cut(tree + escapeLine(span.name), MOST_NAME);
  return [escapeLine(kernelOf(span)), name, `+${formatNs(startNs)}`, formatNs(span.durationNs), errorOf(span)];
}

function toLines(
  row: Row,
  cells: readonly string[],
  { paint, width, withAttributes, durationNs, styles, byId, widths, barWidth }: Layout,
): string[] {
  const style = styles.get(kernelOf(row.span)) ?? 'cyan';
  const isFailed = row.span.status === 'Error';
  const [kernel = '', name = '', start = '', took = '', error = ''] = cells.map((cell, column) =>
    column < 2 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number),
  );
  const bar = barWidth === 0 ? '' : paint(isFailed ? 'red' : style, toBarText(row, durationNs, barWidth));
  const text = [paint(style, kernel), isFailed ? paint('red', name) : name, start, took, paint('dim', error), bar].join('  ').trimEnd();
  const indent = ' '.repeat((widths[0] as number) + 2 + Math.min(row.depth, MOST_DEPTH) * 3 + 2);
  const below = describeBelow(row, byId, withAttributes).map((more) => cut(indent + more, width));
  return [text, ...below];
}

function kernelOf({ kernelName, service }: TraceSpan): string {
  return kernelName === '' ? service : kernelName;
}

/** `±340 ns` of the kernel's times against the others'; empty where the span does not say. */
function errorOf({ attributes }: TraceSpan): string {
  const errorNs = attributes[ATTR.clockError];
  return errorNs === undefined ? '' : formatErrorNs(Number(errorNs));
}

/** What stands in front of each name: `├─ `, `│  └─ `. */
function toTrees(rows: readonly Row[]): string[] {
  const trees: string[] = [];
  // From the end: whether a row has a sibling below it is known then.
  const isOpen: boolean[] = [];
  for (let at = rows.length - 1; at >= 0; at--) {
    const depth = Math.min((rows[at] as Row).depth, MOST_DEPTH);
    let tree = '';
    for (let level = 1; level < depth; level++) tree += isOpen[level] === true ? '│  ' : '   ';
    if (depth > 0) tree += isOpen[depth] === true ? '├─ ' : '└─ ';
    trees[at] = tree;
    isOpen.length = depth;
    isOpen[depth] = true;
  }
  return trees;
}

function toBarText(row: Row, durationNs: number, width: number): string {
  const { left, width: share } = toBar(row, durationNs);
  const from = Math.min(width - 1, Math.floor((left / 100) * width));
  const length = Math.max(1, Math.min(width - from, Math.round((share / 100) * width)));
  return `${' '.repeat(from)}${BLOCK.repeat(length)}`;
}

function describeBelow({ span, isOrphan }: Row, byId: ReadonlyMap<string, TraceSpan>, withAttributes: boolean): string[] {
  const lines: string[] = [];
  if (span.status === 'Error') lines.push(`error: ${escapeLine(span.statusMessage === '' ? 'not told why' : span.statusMessage)}`);
  if (isOrphan) lines.push(`its parent ${span.parentSpanId} is not stored (yet)`);
  for (const { traceId, spanId } of span.links) {
    const target = byId.get(spanId);
    // A parent is in sight already.
    if (target !== undefined && spanId === span.parentSpanId) continue;
    lines.push(
      target === undefined ? `↷ trace ${traceId}, span ${spanId}` : `↷ ${escapeLine(target.name)} of ${escapeLine(kernelOf(target))}`,
    );
  }
  for (const { name, attributes } of span.events) lines.push(`• ${escapeLine(name)} ${formatAttributes(attributes)}`.trimEnd());
  if (withAttributes) {
    const more = formatAttributes(span.attributes);
    if (more !== '') lines.push(more);
  }
  return lines;
}

function formatAttributes(attributes: Readonly<Record<string, string>>): string {
  return Object.entries(attributes)
    .map(([name, value]) => escapeLine(`${name}=${value}`))
    .join(' ');
}
