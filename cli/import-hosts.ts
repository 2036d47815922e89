/**
 * Recordings of one machine that are imported together: a guest's leans on its host's, which must be stored first, and the
 * host's knows what its guests are called.
 *
 *   web.dat   TRACEID 78, TIME_SHIFT to 77     ┐  mkscope import web.dat trace.dat
 *   trace.dat TRACEID 77, GUEST "web" is 78    ┘  → trace.dat as kernel 0 "host", then web.dat as kernel 1 "web"
 */
import { isOperational } from '../base/errors.ts';
import type { EventFileInfo } from '../model/event-file.ts';
import type { PlannedFile } from './import-plan.ts';
import { openTraceDat, type Recording } from './recording.ts';

export interface ImportedHosts {
  /** Hosts before their guests, else in the order given. */
  order<T>(files: readonly T[], pathOf: (file: T) => string): T[];
  /** What the recordings call a kernel; undefined = nothing. */
  nameOf(path: string): string | undefined;
}

/** Looks into those of the paths that are recordings. One that cannot be read is left for the import to say. */
export function inspectHosts(paths: readonly string[]): ImportedHosts {
  const recordings = new Map<string, EventFileInfo>();
  for (const path of paths) {
    const info = inspectRecording(path);
    if (info !== undefined) recordings.set(path, info);
  }
  const pathOfId = new Map([...recordings].flatMap(([path, { traceId }]) => (traceId === undefined ? [] : [[traceId, path] as const])));
  const hostOf = (path: string): string | undefined => {
    const peer = recordings.get(path)?.timeShift?.peerTraceId;
    const host = peer === undefined ? undefined : pathOfId.get(peer);
    return host === path ? undefined : host;
  };
  const hosts = new Set([...recordings.keys()].map(hostOf).filter((path) => path !== undefined));
  const guestNames = new Map([...recordings.values()].flatMap(({ guests }) => guests.map(({ traceId, name }) => [traceId, name] as const)));
  const depthOf = (path: string): number => {
    let depth = 0;
    // Files that name each other would go on for ever.
    for (let host = hostOf(path); host !== undefined && depth < recordings.size; host = hostOf(host)) depth++;
    return depth;
  };
  return {
    order: (files, pathOf) => files.toSorted((a, b) => depthOf(pathOf(a)) - depthOf(pathOf(b))),
    nameOf: (path) => {
      const traceId = recordings.get(path)?.traceId;
      const name = traceId === undefined ? undefined : guestNames.get(traceId);
      return name === undefined || name === '' ? (hosts.has(path) && hostOf(path) === undefined ? 'host' : undefined) : name.slice(0, 128);
    },
  };
}

/** The plan in the order in which it can be imported, and with the names that the recordings know where the user gave none. */
export function nameKernels(plan: readonly PlannedFile[], given: ReadonlySet<string>, hosts: ImportedHosts): PlannedFile[] {
  const ordered = hosts.order(plan, ({ path }) => path);
  return ordered.map((file) => {
    const kernelName = given.has(file.path) ? undefined : hosts.nameOf(file.path);
    return kernelName === undefined ? file : Object.assign({}, file, { kernelName });
  });
}

function inspectRecording(path: string): EventFileInfo | undefined {
  if (path === '-') return undefined;
  let recording: Recording | undefined;
  try {
    recording = openTraceDat(path);
  } catch (error) {
    // The import itself says what is wrong with the file, with a hint.
    if (isOperational(error)) return undefined;
    throw error;
  }
  recording?.close();
  return recording?.file.info;
}
