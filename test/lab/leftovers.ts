/** What a lab is on the machine: its processes, its folder, its mounts; and what of it is still there. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A hub whose parent was killed stores what it has first. */
const LEAVE_MS = 20_000;
const POLL_MS = 100;

/** A process and when it started: its number may be used again. */
export interface ProcessId {
  readonly pid: number;
  readonly startTicks: string;
  readonly commandLine: string;
}

/** `pid`, all that it started, and whoever has the lab's folder in its command line. */
export function listLabProcesses(pid: number, dir: string): ProcessId[] {
  const all = listProcesses();
  const own = new Set([pid]);
  // A parent may stand after its child in the list.
  for (let before = 0; before !== own.size;) {
    before = own.size;
    for (const one of all) if (own.has(one.parent)) own.add(one.pid);
  }
  return all.filter((one) => own.has(one.pid) || one.commandLine.includes(dir));
}

/** Fails where one of the known processes, or another of the lab, still runs; who dies with its parent needs a moment for it. */
export async function assertNoProcessLeft(dir: string, known: readonly ProcessId[], log: string): Promise<void> {
  await assertEmpty(() => leftProcesses(dir, known), log);
}

export async function assertNothingLeft(dir: string, known: readonly ProcessId[], log: string): Promise<void> {
  await assertEmpty(() => [...leftProcesses(dir, known), ...leftMounts(dir), ...leftFiles(dir)], log);
}

async function assertEmpty(list: () => string[], log: string): Promise<void> {
  for (const endMs = performance.now() + LEAVE_MS; list().length > 0 && performance.now() < endMs;) await sleep(POLL_MS);
  assert.deepEqual(list(), [], log);
}

function leftProcesses(dir: string, known: readonly ProcessId[]): string[] {
  return listProcesses()
    .filter((one) => one.commandLine.includes(dir) || known.some(({ pid, startTicks }) => one.pid === pid && one.startTicks === startTicks))
    .map(({ pid, commandLine }) => `process ${pid}: ${commandLine}`);
}

function leftMounts(dir: string): string[] {
  return readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .filter((line) => line.includes(dir));
}

function leftFiles(dir: string): string[] {
  return existsSync(dir) ? [dir, ...readdirSync(dir, { recursive: true, encoding: 'utf8' })] : [];
}

function listProcesses(): (ProcessId & { readonly parent: number })[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // After the name in brackets: state, parent, … and as the 20th the start.
        const fields = readFileSync(`/proc/${name}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
        const commandLine = readFileSync(`/proc/${name}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
        if (fields[0] === 'Z') return [];
        return [{ pid: Number(name), parent: Number(fields[1]), startTicks: fields[19] ?? '', commandLine }];
      } catch {
        // It ended while the list was read.
        return [];
      }
    });
}
