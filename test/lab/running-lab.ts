/** A real lab as its users run it: `mkscope lab up --foreground` as a child process, asked over its socket and its hub. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

import { isOperational } from '../../base/errors.ts';
import type { LabStatus } from '../../cli/lab/lab-service.ts';
import { buildKernel, buildPrograms, defaultCacheDir } from '../../deploy/lab/artifacts.ts';
import { askLab, labDir } from '../../deploy/lab/control.ts';
import type { GuestAnswer } from '../../deploy/lab/guest-control.ts';
import { findRelease } from '../../deploy/lab/kernels.ts';
import { checkPrerequisites } from '../../deploy/lab/prerequisites.ts';
import type { SqlResult } from '../../model/api.ts';
import { MAIN, toEnvironment } from '../support/run-cli.ts';
import { listLabProcesses, type ProcessId } from './leftovers.ts';

const POLL_MS = 100;
const ANY_PORT = '127.0.0.1:0';
/** An abstract socket as a lock that goes with its process: two test files make the same kernels. */
const CACHE_LOCK = '\0mkscope-test-lab-cache';

export interface Exit {
  readonly code: number | undefined;
  readonly signal: string | undefined;
}

/** Fetches and builds what the lab boots; resolves with the reason where this machine cannot have it. */
export async function whyNoLab(): Promise<string | undefined> {
  const cacheDir = defaultCacheDir();
  const release = await lockCache();
  try {
    mkdirSync(cacheDir, { recursive: true });
    checkPrerequisites({ kernels: 2, absentKernels: 0, cacheDir, useKvm: false });
    const options = { cacheDir, onStep: (what: string) => process.stderr.write(`lab: ${what}\n`) };
    const releases = [await findRelease('stable'), await findRelease('newest')];
    const programs = await buildPrograms(options);
    for (const one of releases) await buildKernel(one, programs, options);
    return undefined;
  } catch (error) {
    // A module that does not build is a failure: what the machine lacks is not.
    if (isOperational(error) && ['E_LAB_TOOLS', 'E_LAB_KERNEL', 'E_DISK_FULL'].includes(error.code)) {
      return `needs QEMU and Debian’s kernels: ${error.message}; ${error.hint}`;
    }
    throw error;
  } finally {
    release();
  }
}

async function lockCache(): Promise<() => void> {
  for (;;) {
    const server = createServer();
    const isMine = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(CACHE_LOCK, () => resolve(true));
    });
    if (isMine) return () => server.close();
    await sleep(POLL_MS);
  }
}

export class RunningLab {
  readonly name: string;
  readonly dir: string;
  /** What it printed, its children included. */
  log = '';
  readonly #child;
  readonly ended: Promise<Exit>;
  exit: Exit | undefined;
  #page = '';

  constructor(name: string, args: readonly string[]) {
    this.name = name;
    this.dir = labDir(name);
    const ports = ['--page', ANY_PORT, '--otlp', ANY_PORT, '--clickhouse', ANY_PORT];
    const command = [process.execPath, MAIN, 'lab', 'up', '--foreground', '--name', name, ...ports, ...args];
    // It ends with the test, also where the runner ends that one.
    this.#child = spawn('setpriv', ['--pdeathsig', 'TERM', ...command], { cwd: tmpdir(), env: toEnvironment(), stdio: 'pipe' });
    for (const output of [this.#child.stdout, this.#child.stderr]) {
      output.setEncoding('utf8').on('data', (text: string) => (this.log += text));
    }
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('exit', (code, signal) => resolve((this.exit = { code: code ?? undefined, signal: signal ?? undefined })));
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves when the lab has printed `text`. */
  async waitForLog(text: string, timeoutMs = 100_000): Promise<void> {
    await until(`«${text}» in the log of the lab`, () => this.log.includes(text) || this.exit !== undefined, timeoutMs);
    assert.ok(this.log.includes(text), `the lab ended before «${text}»\n${this.log}`);
  }

  async waitUp(timeoutMs?: number): Promise<LabStatus> {
    await this.waitForLog(`mkscope lab down --name ${this.name}\n`, timeoutMs);
    const status = (await askLab(this.name, { command: 'status' })) as LabStatus;
    this.#page = status.page ?? '';
    return status;
  }

  async status(): Promise<LabStatus> {
    return (await askLab(this.name, { command: 'status' })) as LabStatus;
  }

  /** Output of a shell command in a guest; fails where that fails. */
  async run(kernel: string, script: string): Promise<string> {
    const { code, output } = (await askLab(this.name, { command: 'run', kernel, script })) as GuestAnswer;
    assert.equal(code, 0, `${kernel}: ${script}: ${output}`);
    return output;
  }

  async getJson<Answer>(path: string): Promise<Answer> {
    const response = await fetch(`${this.#page}${path}`);
    const text = await response.text();
    assert.equal(response.status, 200, `${path}: ${text}`);
    return JSON.parse(text) as Answer;
  }

  /** As `mkscope query` asks. */
  async sql(sql: string): Promise<readonly (readonly unknown[])[]> {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${this.#page}/api/sql`, { method: 'POST', headers, body: JSON.stringify({ sql }) });
    const text = await response.text();
    assert.equal(response.status, 200, `${sql}: ${text}`);
    const { rows, truncated } = JSON.parse(text) as SqlResult;
    assert.equal(truncated, false, sql);
    return rows;
  }

  /** The lab and all that it started. */
  processes(): ProcessId[] {
    return listLabProcesses(this.pid, this.dir);
  }

  /** Whatever the test found: asks it to end, and ends it where it does not. */
  async stop(): Promise<void> {
    if (this.exit !== undefined) return;
    this.kill('SIGTERM');
    const timer = setTimeout(() => this.kill('SIGKILL'), 30_000);
    await this.ended;
    clearTimeout(timer);
  }
}

export async function until(
  what: string,
  isThere: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
  describe = (): string => '',
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await isThere())) {
    assert.ok(performance.now() < endMs, `${what} did not come within ${timeoutMs / 1000} s ${describe()}`);
    await sleep(POLL_MS);
  }
}
