/** A whole recording as the text of `trace-cmd report`; its lines are drawn in report-lines.ts. */
import type { EventFile } from '../model/event-file.ts';
import { createCounts, type ParseCounts } from '../model/parser.ts';
import { parseHeaderPage } from '../parsers/page-header.ts';
import type { Moment } from './moment.ts';
import { CursorMerge, PageCursor } from './page-cursor.ts';
import { headerOf, openLanes } from './report-lanes.ts';
import { ReportLines, type LineState } from './report-lines.ts';
import type { ReportOptions } from './report-options.ts';
import type { TaskName } from './report-tasks.ts';
import type { TextOut } from './text-out.ts';

/** Where a report goes on that has come so far by another way, its head included. */
export interface ReportStart {
  /** The first time that is not printed yet; undefined = no line is. */
  readonly since: Moment | undefined;
  /** What the lines before have told of threads. */
  readonly names: readonly TaskName[];
  readonly state: LineState | undefined;
}

export class Reporter {
  readonly counts: ParseCounts = createCounts();
  readonly #lines: ReportLines;
  readonly #merge: CursorMerge;
  #header: string;

  constructor(file: EventFile, options: ReportOptions, start?: ReportStart) {
    // Whether a call is shown as a leaf depends on the record behind it, of whatever CPU.
    const isGraph = file.formats.events.some(({ system, format }) => system === 'ftrace' && format.startsWith('name: funcgraph_entry\n'));
    const lanes = openLanes(file, isGraph ? undefined : options.filter?.cpus);
    const layout = parseHeaderPage(file.formats.headerPage);
    const little = file.formats.endian === 'little';
    const { counts } = this;
    const cursors =
      typeof layout === 'string'
        ? []
        : lanes.map(
            ({ pages, pageSizeBytes }, source) =>
              new PageCursor(pages, pageSizeBytes, layout, little, counts, { source, convert: options.convert }),
          );
    this.#lines = new ReportLines(
      file,
      options,
      lanes.map(({ prefix }) => prefix),
    );
    this.#lines.names.add(start?.names ?? []);
    if (start?.state !== undefined) this.#lines.state = start.state;
    this.#merge = new CursorMerge(cursors, start?.since, start?.state?.taken);
    this.#header = start === undefined ? headerOf(file) : '';
  }

  /** Lines written, notices of losses not counted. */
  get lines(): number {
    return this.#lines.count;
  }

  /** What is wrong with formats of events that came. */
  get problems(): readonly string[] {
    return this.#lines.problems;
  }

  /** Appends about so many bytes of lines; false when there are no more. */
  write(out: TextOut, budgetBytes: number): boolean {
    out.putText(this.#header);
    this.#header = '';
    return this.#lines.write(this.#merge, out, budgetBytes);
  }
}
