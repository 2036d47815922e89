/** What a collector says about itself when it has started: to the terminal, or to `mkscope up` over the IPC channel. */
import type { CollectorStatus } from '../collector/collector.ts';
import { escapeLine } from './terminal.ts';
import type { Paint } from './terminal.ts';

/** The part of the status that travels: plain JSON. */
export interface StartReport {
  readonly kind: 'collector-started';
  readonly identity: CollectorStatus['identity'];
  readonly sources: readonly { readonly id: string; readonly state: string; readonly detail: string }[];
  readonly problems: CollectorStatus['problems'];
  readonly receiver: string;
}

/** `notes` = what a source that has nothing to say about itself reads, by its id. */
export function toStartReport(
  { identity, sources, problems, receiver }: CollectorStatus,
  notes: Readonly<Record<string, string>>,
): StartReport {
  return {
    kind: 'collector-started',
    identity,
    sources: sources
      .filter(({ state }) => state !== 'idle')
      .map(({ id, state, detail }) => ({ id, state, detail: detail || (notes[id] ?? '') })),
    problems,
    receiver: receiver.address,
  };
}

export function isStartReport(report: unknown): report is StartReport {
  return typeof report === 'object' && report !== null && 'kind' in report && report.kind === 'collector-started';
}

const MARK_WIDTH = 12;

/** One line per source; for what is not read, why, and the command that mends it. */
export function formatSources({ identity, sources, problems }: StartReport, paint: Paint): string[] {
  const lines = [
    `${paint('bold', escapeLine(identity.kernelName))} (kernel ${identity.kernelId} of ${escapeLine(identity.machineName)}): Linux ${escapeLine(identity.release)}, ${identity.arch}`,
  ];
  for (const source of sources) {
    const detail = [source.state === 'running' ? '' : source.state, source.detail].filter((part) => part !== '').join(': ');
    lines.push(`  ${paint('green', source.id.padEnd(MARK_WIDTH))} ${escapeLine(detail || 'running')}`);
  }
  for (const problem of problems) {
    lines.push(
      `  ${paint('yellow', problem.source.padEnd(MARK_WIDTH))} not observed: ${escapeLine(problem.message)} ${paint('dim', `[${problem.code}]`)}`,
    );
    lines.push(`  ${' '.repeat(MARK_WIDTH)} ${paint('cyan', 'fix:')} ${escapeLine(problem.hint)}`);
  }
  if (sources.length === 0)
    lines.push(`  nothing can be observed: ${problems.length === 0 ? 'no source is enabled' : 'see above'}; mkscope doctor says more`);
  return lines;
}
