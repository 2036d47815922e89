/** Revisions of incidents as Native blocks of `incidents`. */
import type { AffectedKernel, Incident } from '../model/incident.ts';
import type { NativeWriter } from './native.ts';

export interface IncidentRevision {
  readonly incident: Incident;
  /** Counts from 1; the highest is what holds. */
  readonly revision: number;
  readonly lastWords: readonly string[];
  /** Id of the incident that it turned out to be a part of; `-` = it is none any more; empty = it stands. */
  readonly mergedInto: string;
}

export function writeIncidents(writer: NativeWriter, rows: readonly IncidentRevision[]): void {
  if (rows.length === 0) return;
  writer.openBlock(rows.length);
  writer.numbers(
    'Revision',
    'UInt32',
    Uint32Array.from(rows, ({ revision }) => revision),
  );
  writeTexts(writer, rows);
  writer.numbers(
    'KernelId',
    'Int32',
    Int32Array.from(rows, ({ incident }) => incident.kernelId),
  );
  const time = (name: string, of: (incident: Incident) => bigint): void =>
    writer.bigints(
      name,
      'DateTime64(9)',
      rows.map(({ incident }) => of(incident)),
    );
  time('FirstTime', ({ firstUnixNs }) => firstUnixNs);
  time('LastTime', ({ lastUnixNs }) => lastUnixNs);
  time('ResolvedTime', ({ resolvedUnixNs }) => resolvedUnixNs ?? 0n);
  writer.integers(
    'ErrorNs',
    'Int64',
    rows.map(({ incident }) => incident.errorNs),
  );
  writer.integers(
    'Count',
    'UInt64',
    rows.map(({ incident }) => incident.count),
  );
  const words = rows.map(({ lastWords }) => lastWords);
  writer.arraysOfStrings('LastWords', toEnds(words), words.flat());
  writeOthers(
    writer,
    rows.map(({ incident }) => incident.others),
  );
  writer.closeBlock();
}

function writeTexts(writer: NativeWriter, rows: readonly IncidentRevision[]): void {
  const text = (name: string, of: (incident: Incident) => string): void =>
    writer.strings(
      name,
      rows.map(({ incident }) => of(incident)),
    );
  text('Id', ({ id }) => id);
  text('Kind', ({ kind }) => kind);
  text('Severity', ({ severity }) => severity);
  text('State', ({ state }) => state);
  text('Title', ({ title }) => title);
  text('MachineId', ({ machineId }) => machineId);
  text('MachineName', ({ machineName }) => machineName);
  text('KernelName', ({ kernelName }) => kernelName);
  text('BootId', ({ bootId }) => bootId);
  text('Reason', ({ reason }) => reason);
  text('Evidence', ({ evidence }) => evidence);
  text('Resolution', ({ resolution }) => resolution);
  writer.strings(
    'MergedInto',
    rows.map(({ mergedInto }) => mergedInto),
  );
}

function writeOthers(writer: NativeWriter, others: readonly (readonly AffectedKernel[])[]): void {
  const ends = toEnds(others);
  const all = others.flat();
  writer.arrays(
    'OtherKernelIds',
    'Int64',
    ends,
    all.map(({ kernelId }) => kernelId),
  );
  writer.arraysOfStrings(
    'OtherKernels',
    ends,
    all.map(({ kernelName }) => kernelName),
  );
  writer.arraysOfStrings(
    'OtherBoots',
    ends,
    all.map(({ bootId }) => bootId),
  );
}

function toEnds(lists: readonly (readonly unknown[])[]): number[] {
  let end = 0;
  return lists.map((list) => (end += list.length));
}
