/**
 * One log record as a line of text: time, kernel, level, body; later lines of a record are indented under its body. A kernel
 * report is marked `■`; its lines stand below it as they came, and on demand what it says.
 */
import type { LogRow } from '../model/api.ts';
import { isReportEvent } from '../model/kernel-report.ts';
import { LEVEL_NAMES } from '../model/severity.ts';
import { formatMoment, formatRawNs } from './moment.ts';
import type { TimeStyle } from './moment.ts';
import { formatReport } from './report-text.ts';
import { escapeControls, escapeLine } from './terminal.ts';
import type { Paint, Style } from './terminal.ts';

/** Index = kernel level. */
const LEVEL_STYLES: readonly (Style | undefined)[] = ['alarm', 'alarm', 'alarm', 'brightRed', 'yellow', 'bold', undefined, 'dim'];
const KERNEL_STYLES: readonly Style[] = ['cyan', 'magenta', 'green', 'blue', 'yellow'];
const LEAST_TAG_WIDTH = 6;
const MOST_TAG_WIDTH = 20;

export class LogLineWriter {
  readonly #paint: Paint;
  readonly #time: TimeStyle;
  readonly #opensReports: boolean;
  /** Grows with the widest name seen, so that bodies stay aligned. */
  #tagWidth = LEAST_TAG_WIDTH;

  constructor(paint: Paint, time: TimeStyle, opensReports = false) {
    this.#paint = paint;
    this.#time = time;
    this.#opensReports = opensReports;
  }

  write(row: LogRow): string {
    const paint = this.#paint;
    const time = this.#time === 'raw' ? formatRawNs(BigInt(row.raw)) : formatMoment(BigInt(row.unixNs), this.#time);
    const name = escapeLine(row.kernelName).slice(0, MOST_TAG_WIDTH);
    this.#tagWidth = Math.max(this.#tagWidth, name.length);
    const tag = name.padEnd(this.#tagWidth);
    const level = (LEVEL_NAMES[row.level] ?? '-').padEnd(6);
    const style = LEVEL_STYLES[row.level];
    const coloured = (text: string): string => (style === undefined ? text : paint(style, text));
    const kernelStyle = KERNEL_STYLES[row.kernelId % KERNEL_STYLES.length] as Style;
    const isReport = isReportEvent(row.eventName);
    const [first, ...rest] = escapeControls(isReport ? `■ ${row.body}` : row.body).split('\n');
    const indent = ' '.repeat(time.length + this.#tagWidth + 10);
    const lines = [`${paint('dim', time)}  ${paint(kernelStyle, tag)} ${coloured(level)} ${coloured(first as string)}`];
    for (const line of rest) lines.push(`${indent}${coloured(line)}`);
    if (isReport && this.#opensReports) for (const line of formatReport(row)) lines.push(`${indent}${line}`);
    return `${lines.join('\n')}\n`;
  }
}
