/** An own tracefs instance for tests that look at the running kernel; undefined where there is no tracefs or no permission. */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { errnoOf } from '../../base/errors.ts';
import type { FormatSet } from '../../model/segment.ts';

const TRACEFS = '/sys/kernel/tracing';

export interface TraceInstance {
  readonly path: string;
  set(file: string, value: string): void;
  get(file: string): string;
  /** Numbers of the CPUs that have a buffer. */
  readonly cpus: readonly number[];
  /**
   * Pages of a CPU that can be read without waiting, one after the other. `most` is needed while tracing is on: each read is
   * itself traced, and there would always be a next page.
   */
  readPages(cpu: number, pageSizeBytes: number, most?: number): Uint8Array;
  /** The formats of all events, or of the systems that are named. */
  readFormats(systems?: readonly string[]): FormatSet;
  remove(): void;
}

export function openTraceInstance(name: string): TraceInstance | undefined {
  const path = join(TRACEFS, 'instances', `mkscope-${name}-${process.pid}`);
  try {
    mkdirSync(path);
  } catch (error) {
    if (errnoOf(error) !== undefined) return undefined;
    throw error;
  }
  const set = (file: string, value: string): void => writeFileSync(join(path, file), value);
  return {
    path,
    set,
    get: (file) => readFileSync(join(path, file), 'utf8'),
    cpus: readdirSync(join(path, 'per_cpu')).map((cpu) => Number(cpu.slice(3))),
    readPages: (cpu, pageSizeBytes, most) => readPages(join(path, `per_cpu/cpu${cpu}/trace_pipe_raw`), pageSizeBytes, most),
    readFormats,
    remove: () => {
      set('tracing_on', '0');
      rmdirSync(path);
    },
  };
}

function readPages(path: string, pageSizeBytes: number, most = Number.POSITIVE_INFINITY): Uint8Array {
  const pages: Buffer[] = [];
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    while (pages.length < most) {
      const page = Buffer.alloc(pageSizeBytes);
      if (readSync(fd, page) !== pageSizeBytes) break;
      pages.push(page);
    }
  } catch (error) {
    if (errnoOf(error) !== 'EAGAIN') throw error;
  } finally {
    closeSync(fd);
  }
  return new Uint8Array(Buffer.concat(pages));
}

function readFormats(systems?: readonly string[]): FormatSet {
  const root = join(TRACEFS, 'events');
  const events: { system: string; format: string }[] = [];
  for (const system of systems ?? readdirSync(root)) {
    if (!existsSync(join(root, system, 'enable')) && system !== 'ftrace') continue;
    for (const event of readdirSync(join(root, system))) {
      const path = join(root, system, event, 'format');
      if (existsSync(path)) events.push({ system, format: readFileSync(path, 'utf8') });
    }
  }
  return {
    headerPage: readFileSync(join(root, 'header_page'), 'utf8'),
    endian: endianness() === 'LE' ? 'little' : 'big',
    events,
    printkFormats: '',
  };
}

/** Something for the kernel to trace: files, processes, timers. */
export function makeWork(rounds: number): void {
  for (let i = 0; i < rounds; i++) {
    spawnSync('/bin/sh', ['-c', 'ls -la /usr/bin >/dev/null; sleep 0.01; cat /proc/self/maps >/dev/null']);
  }
}
