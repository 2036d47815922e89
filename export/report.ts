/** A whole recording as the text of `trace-cmd report`; its lines are drawn in report-lines.ts. */
import type { EventFile, EventFileStream, PageSequence } from '../model/event-file.ts';
import { createCounts, type ParseCounts } from '../model/parser.ts';
import { parseHeaderPage } from '../parsers/page-header.ts';
import { CursorMerge, PageCursor, type Moment } from './page-cursor.ts';
import { ReportLines, type ReportOptions } from './report-lines.ts';
import type { TaskName } from './report-tasks.ts';
import type { TextOut } from './text-out.ts';

/** The pages of one CPU of one instance. */
export interface ReportLane {
  /** Stands in front of its lines. */
  readonly prefix: string;
  readonly pageSizeBytes: number;
  readonly pages: PageSequence;
}

/** Where a report goes on that has come so far by another way. */
export interface ReportStart {
  /** The first time that is not printed yet; undefined = nothing is. */
  readonly since: Moment | undefined;
  /** What the lines before have told of threads. */
  readonly names: readonly TaskName[];
}

export class Reporter {
  readonly counts: ParseCounts = createCounts();
  readonly #lines: ReportLines;
  readonly #merge: CursorMerge;
  #header: string;

  constructor(file: EventFile, options: ReportOptions, start?: ReportStart) {
    const lanes = openLanes(file, options.filter?.cpus);
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
    this.#merge = new CursorMerge(cursors, start?.since);
    this.#header = start?.since === undefined ? headerOf(file) : '';
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

export function headerOf({ info }: EventFile): string {
  return `cpus=${info.cpuCount}\n`;
}

/** Those of the top-level buffer stand first: of equal times, theirs are printed first. */
export function openLanes({ streams }: EventFile, cpus: ReadonlySet<number> | undefined): ReportLane[] {
  const named = streams.filter(({ instance }) => instance !== '');
  const widest = Math.max(0, ...named.map(({ instance }) => instance.length));
  const prefixOf = ({ instance }: EventFileStream): string => {
    if (named.length === 0) return '';
    return instance === '' ? ' '.repeat(widest + 2) : `${instance.padStart(widest)}: `;
  };
  const ordered = [...streams.filter(({ instance }) => instance === ''), ...named];
  return ordered.flatMap((stream) =>
    stream
      .pages()
      .filter(({ cpu }) => cpus?.has(cpu) ?? true)
      .map((pages) => ({ prefix: prefixOf(stream), pageSizeBytes: stream.pageSizeBytes, pages })),
  );
}
