/** The trace-cmd of this machine: records what is there and says what it reads in a file. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeWork, openTraceInstance } from './trace-instance.ts';

export interface ReportedEvent {
  readonly instance: string;
  readonly cpu: number;
  readonly pid: number;
  readonly event: string;
  /** In units of the file's clock; ns where the report writes seconds. */
  readonly raw: bigint;
}

export interface TraceReport {
  readonly events: readonly ReportedEvent[];
  /** `CPU:0 [336 EVENTS DROPPED]`, or without a number where the kernel had no room to note it. */
  readonly dropped: readonly { readonly cpu: number; readonly count: number | undefined }[];
}

const LIMIT_MS = 120_000;
const REPORT_LINE = /^(?:(\S+):)?\s+.*-(\d+)\s+\[(\d+)\]\s*(\d+)(?:\.(\d{9}))?:\s+([\w.]+):/;

export function hasTraceCmd(): boolean {
  return spawnSync('trace-cmd', ['--version'], { timeout: LIMIT_MS }).error === undefined;
}

/** Runs trace-cmd; undefined where it fails. */
export function runTraceCmd(args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync('trace-cmd', args, { timeout: LIMIT_MS, encoding: 'latin1', maxBuffer: 1 << 28 });
  return status === 0 ? stdout : undefined;
}

/** Events as `trace-cmd report -t -R` lists them; `raw` without any correction of their times. */
export function reportTrace(path: string, raw = true): TraceReport | undefined {
  const text = runTraceCmd(['report', '-t', '-R', ...(raw ? ['--raw-ts'] : []), '-i', path]);
  if (text === undefined) return undefined;
  const events: ReportedEvent[] = [];
  const dropped: { cpu: number; count: number | undefined }[] = [];
  // The name of an instance stands before the notice of a loss, and then not before the event behind it.
  let named: string | undefined;
  for (const line of text.split('\n')) {
    const event = REPORT_LINE.exec(line);
    if (event !== null) {
      const [, prefix, pid, cpu, whole = '', fraction, name = ''] = event;
      const time = fraction === undefined ? BigInt(whole) : BigInt(whole) * 1_000_000_000n + BigInt(fraction);
      events.push({ instance: prefix ?? named ?? '', cpu: Number(cpu), pid: Number(pid), event: name, raw: time });
    }
    const loss = /^(?:(\S+):)?\s*CPU:(\d+) \[(?:(\d+) )?EVENTS DROPPED\]/.exec(line);
    named = loss?.[1];
    if (loss !== null) dropped.push({ cpu: Number(loss[2]), count: loss[3] === undefined ? undefined : Number(loss[3]) });
  }
  return { events, dropped };
}

/** Folder for the files of one test. */
export function withFolder<Result>(use: (folder: string) => Result): Result {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-trace-dat-'));
  try {
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Bytes as trace-cmd reports them. */
export function reportBytes(bytes: Uint8Array, raw = true): TraceReport | undefined {
  return withFolder((folder) => {
    const path = join(folder, 'file.dat');
    writeFileSync(path, bytes);
    return reportTrace(path, raw);
  });
}

export interface RecordOptions {
  readonly clock: string;
  /** Systems, or `system/event`. */
  readonly events: readonly string[];
  readonly bufferKb: number;
  readonly rounds: number;
}

/** Records in an own instance and extracts it; undefined where this machine does not allow it. */
export function recordTrace(name: string, path: string, { clock, events, bufferKb, rounds }: RecordOptions): string | undefined {
  const instance = openTraceInstance(name);
  if (instance === undefined) return undefined;
  try {
    instance.set('trace_clock', clock);
    instance.set('buffer_size_kb', String(bufferKb));
    for (const event of events) instance.set(`events/${event}/enable`, '1');
    makeWork(rounds);
    instance.set('tracing_on', '0');
    if (runTraceCmd(['extract', '-B', instance.path.slice(instance.path.lastIndexOf('/') + 1), '-o', path]) === undefined) return undefined;
    return existsSync(path) ? path : undefined;
  } finally {
    // trace-cmd removes the instance with its events.
    if (existsSync(instance.path)) instance.remove();
  }
}

export function readBytes(path: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(path));
}
