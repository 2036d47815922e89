/**
 * A tracefs instance of our own: made, configured, read and removed through files. Nothing here touches the top-level buffer,
 * which belongs to the machine's users.
 *
 *   <tracefs>/instances/mkscope-<pid>/trace_clock                 written before any event is enabled: setting it clears the buffer
 *                                    /events/<system>/<event>/enable
 *                                    /per_cpu/cpu<N>/trace_pipe_raw   one page per read, in the kernel's own layout
 *                                    /per_cpu/cpu<N>/stats            the kernel's books
 *
 * The pid in the name says whose it is: one without a living owner was left by a crash. Not handled: mounting tracefs (the
 * administrator's decision), the function tracer, and kprobes.
 */
import { accessSync, constants, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OperationalError, errnoOf, messageOf } from '../base/errors.ts';
import type { ClockDomain } from '../model/time.ts';

export const INSTANCE_PREFIX = 'mkscope-';
const MOUNT_POINTS = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];
const MOUNT_HINT = 'mount it: sudo mount -t tracefs nodev /sys/kernel/tracing';
const PERMISSION_HINT =
  'run as root, or give the group of the collector access: sudo mount -o remount,gid=$(id -g),mode=750 /sys/kernel/tracing';

/** Where tracefs is, or the reason why it cannot be used. */
export function findTracefs(root?: string): string {
  const candidates = root === undefined ? MOUNT_POINTS : [root];
  for (const path of candidates) {
    try {
      accessSync(join(path, 'instances'), constants.R_OK | constants.W_OK | constants.X_OK);
      return path;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'EACCES' || errno === 'EPERM') {
        throw new OperationalError('E_TRACEFS_PERMISSION', `no permission to use ${path}`, PERMISSION_HINT, error);
      }
    }
  }
  throw new OperationalError('E_TRACEFS_MISSING', `no tracefs at ${candidates.join(' or ')}`, MOUNT_HINT);
}

export interface CpuStats {
  /** In the buffer, not read yet. */
  readonly entries: number;
  readonly overrun: number;
  readonly commitOverrun: number;
  readonly droppedEvents: number;
  readonly readEvents: number;
}

export class TraceInstance {
  readonly name: string;
  readonly path: string;
  readonly #tracefs: string;

  constructor(tracefs: string, name: string) {
    this.#tracefs = tracefs;
    this.name = name;
    this.path = join(tracefs, 'instances', name);
  }

  /** Makes the instance; a left-over one of this name is removed first, since its settings are unknown. */
  create(clock: ClockDomain, bufferSizeKb: number): void {
    if (existsSync(this.path)) this.remove();
    try {
      mkdirSync(this.path);
    } catch (error) {
      const code = errnoOf(error) === 'EACCES' || errnoOf(error) === 'EPERM' ? 'E_TRACEFS_PERMISSION' : 'E_SOURCE_OPEN';
      throw new OperationalError(code, `cannot make the trace instance ${this.path}: ${messageOf(error)}`, PERMISSION_HINT, error);
    }
    try {
      this.#setClock(clock);
      this.write('buffer_size_kb', String(bufferSizeKb));
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  #setClock(clock: ClockDomain): void {
    try {
      this.write('trace_clock', clock);
    } catch (error) {
      const known = this.read('trace_clock').replaceAll(/[[\]]/g, '').trim();
      throw new OperationalError('E_TRACEFS_CLOCK', `the kernel refuses the trace clock ${clock}`, `choose one of: ${known}`, error);
    }
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.path, file), text);
  }

  read(file: string): string {
    return readFileSync(join(this.path, file), 'utf8');
  }

  enableEvent(name: string): void {
    this.write(join('events', name.replace(':', '/'), 'enable'), '1');
  }

  /** Which of an event's records are kept: see correlate/event-filter.ts. */
  filterEvent(name: string, filter: string): void {
    this.write(join('events', name.replace(':', '/'), 'filter'), filter);
  }

  openMarker(): number {
    return openSync(join(this.path, 'trace_marker'), constants.O_WRONLY);
  }

  /** Opens the raw pages of a CPU for reading that never waits. */
  openPages(cpu: number): number {
    return openSync(join(this.path, `per_cpu/cpu${cpu}/trace_pipe_raw`), constants.O_RDONLY | constants.O_NONBLOCK);
  }

  /** CPUs that have a buffer: possible ones, also those offline now. */
  cpus(): number[] {
    return readdirSync(join(this.path, 'per_cpu'))
      .map((name) => Number(name.slice(3)))
      .filter((cpu) => Number.isInteger(cpu))
      .sort((a, b) => a - b);
  }

  stats(cpu: number): CpuStats {
    return parseStats(this.read(`per_cpu/cpu${cpu}/stats`));
  }

  /** Bytes of one page as `trace_pipe_raw` gives it. */
  pageSizeBytes(): number {
    const header = readFileSync(join(this.#tracefs, 'events/header_page'), 'utf8');
    const field = /char data;\s*offset:(\d+);\s*size:(\d+);/.exec(header);
    const page = field === null ? 4096 : Number(field[1]) + Number(field[2]);
    const subBuffer = join(this.path, 'buffer_subbuf_size_kb');
    return existsSync(subBuffer) ? Math.max(page, Number(readFileSync(subBuffer, 'utf8')) * 1024) : page;
  }

  /** Stops the events and removes the instance; readers must be closed. */
  remove(): void {
    try {
      this.write('tracing_on', '0');
      this.write('events/enable', '0');
    } catch (error) {
      // A half-removed instance may have lost these files; what counts is that rmdir succeeds.
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
    rmdirSync(this.path);
  }
}

export function parseStats(text: string): CpuStats {
  const value = (name: string): number => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(text)?.[1] ?? 0);
  return {
    entries: value('entries'),
    overrun: value('overrun'),
    commitOverrun: value('commit overrun'),
    droppedEvents: value('dropped events'),
    readEvents: value('read events'),
  };
}

/** Instances that a killed collector left behind: `mkscope-<pid>` holds events, `mkscope-<use>-<pid>` is a tool of ours. */
export function findOrphans(tracefs: string, kind: 'events' | 'tools'): string[] {
  const pattern = new RegExp(kind === 'events' ? `^${INSTANCE_PREFIX}(\\d+)$` : `^${INSTANCE_PREFIX}[a-z]+-(\\d+)$`);
  return readdirSync(join(tracefs, 'instances'))
    .filter((name) => {
      const pid = pattern.exec(name)?.[1];
      return pid !== undefined && !isAlive(Number(pid));
    })
    .sort();
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) === 'EPERM';
  }
}

/**
 * The events that the patterns name, as `system:event`. A pattern is `system:event` with `*` in either part, or a bare
 * `system`. `unknown` holds the patterns that match nothing on this kernel.
 */
export function resolveEvents(tracefs: string, patterns: readonly string[]): { readonly events: string[]; readonly unknown: string[] } {
  const events = new Set<string>();
  const unknown: string[] = [];
  const systems = listFolders(join(tracefs, 'events')).filter((system) => system !== 'ftrace');
  for (const pattern of patterns) {
    const [systemPattern = '', eventPattern = '*'] = pattern.split(':');
    const before = events.size;
    let known = false;
    for (const system of systems.filter((name) => matches(name, systemPattern))) {
      for (const event of listFolders(join(tracefs, 'events', system)).filter((name) => matches(name, eventPattern))) {
        events.add(`${system}:${event}`);
        known = true;
      }
    }
    if (!known && events.size === before) unknown.push(pattern);
  }
  return { events: [...events].sort(), unknown };
}

function listFolders(path: string): string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

function matches(name: string, pattern: string): boolean {
  const source = pattern.split('*').map((part) => part.replaceAll(/[^\w]/g, String.raw`\$&`));
  return new RegExp(`^${source.join('.*')}$`).test(name);
}
