import type { EventFile, EventFileStream, PageSequence } from '../model/event-file.ts';

/** The pages of one CPU of one instance. */
export interface ReportLane {
  /** Stands in front of its lines. */
  readonly prefix: string;
  readonly pageSizeBytes: number;
  readonly pages: PageSequence;
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
