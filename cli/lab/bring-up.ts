/** A lab: brought up by a process that stays in the background, and watched until it is up by the one that was asked for it. */
import { spawn } from 'node:child_process';
import { fstatSync, openSync, readSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';

import { ensureDefined } from '../../base/assert.ts';
import { isOperational, OperationalError, type ErrorCode } from '../../base/errors.ts';
import { DEFAULT_TRACE_EVENTS } from '../../collector/options.ts';
import { defaultCacheDir } from '../../deploy/lab/artifacts.ts';
import { claimLabDir, labDir, takeLabDir } from '../../deploy/lab/control.ts';
import { KERNEL_CHOICES, MAX_KERNELS, type KernelChoice } from '../../deploy/lab/kernels.ts';
import { MAX_CPUS } from '../../deploy/lab/lab.ts';
import { TRACE_CLOCKS } from '../config-keys.ts';
import { toChoice, toCount } from '../flags.ts';
import { DEFAULT_LAB } from './lab-flags.ts';
import { LabService, type LabServiceOptions, type LabStatus } from './lab-service.ts';
import { formatLab } from './lab-table.ts';
import { watchStopSignals } from '../stop-signal.ts';
import { createPaint, print, printLine } from '../terminal.ts';
import type { LabUpFlags } from '../commands/lab/up.ts';

/** What the process in the background tells the one that started it. */
type UpReport =
  | { readonly kind: 'step'; readonly what: string }
  | { readonly kind: 'up'; readonly status: LabStatus }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string; readonly hint: string };

export function bringUp(flags: LabUpFlags): Promise<number> {
  return flags.foreground ? runForeground(flags) : runBackground(flags);
}

async function runForeground(flags: LabUpFlags): Promise<number> {
  const paint = createPaint(process.stdout);
  const stop = watchStopSignals();
  const abort = new AbortController();
  const report = (message: UpReport): void => {
    if (process.send !== undefined && process.connected) process.send(message);
    else if (message.kind === 'step') process.stderr.write(`mkscope lab: ${message.what}\n`);
    else if (message.kind === 'up') void print(formatLab(message.status, paint));
  };
  let isUp = false;
  // Before it is up, the one that started it decides; afterwards it lives on alone.
  process.once('disconnect', () => {
    if (!isUp) stop.ask('the parent is gone');
  });
  void stop.asked.then(() => abort.abort());
  let service: LabService;
  try {
    const options = toServiceOptions(flags, (what) => report({ kind: 'step', what }), abort.signal);
    // Where another process started this one, it has made the folder.
    if (process.send === undefined) claimLabDir(options.lab.name);
    else takeLabDir(options.lab.dir);
    service = await LabService.start(options);
  } catch (error) {
    if (!abort.signal.aborted && (process.send === undefined || !isOperational(error))) throw error;
    if (!abort.signal.aborted && isOperational(error))
      report({ kind: 'failed', code: error.code, message: error.message, hint: error.hint });
    // An open channel would keep this process alive.
    if (process.connected) process.disconnect?.();
    return abort.signal.aborted ? STOPPED_EXIT : 1;
  }
  isUp = true;
  service.onDown = () => stop.ask('mkscope lab down');
  report({ kind: 'up', status: service.status() });
  const reason = await stop.asked;
  if (process.send === undefined) await printLine(`\nmkscope lab: ${reason}: ending everything`);
  await service.stop();
  return 0;
}

/** As a shell reports a process that Ctrl-C ended. */
const STOPPED_EXIT = 130;

async function runBackground(flags: LabUpFlags): Promise<number> {
  const paint = createPaint(process.stdout);
  const dir = claimLabDir(flags.name ?? DEFAULT_LAB);
  const log = openSync(`${dir}/log`, 'a+', 0o600);
  const args = [
    ...process.execArgv,
    ensureDefined(process.argv[1], 'path of the program'),
    'lab',
    'up',
    '--foreground',
    ...process.argv.slice(4),
  ];
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', log, log, 'ipc'] });
  const stop = watchStopSignals();
  void stop.asked.then(() => child.kill('SIGTERM'));
  stop.onForced = () => child.kill('SIGTERM');
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let hasFailed = false;
  child.on('message', (message: UpReport) => {
    switch (message.kind) {
      case 'step':
        process.stderr.write(`mkscope lab: ${message.what}\n`);
        break;
      case 'failed':
        hasFailed = true;
        sayWords(log);
        reject(new OperationalError(message.code, message.message, message.hint));
        break;
      case 'up':
        resolve(print(formatLab(message.status, paint)).then(() => 0));
    }
  });
  child.once('exit', (code) => {
    // After a report of failure nobody waits for this.
    if (code !== STOPPED_EXIT && !hasFailed) sayWords(log);
    resolve(code ?? 1);
  });
  let isUp = false;
  try {
    const code = await promise;
    isUp = code === 0;
    return code;
  } finally {
    if (!isUp) rmSync(dir, { recursive: true, force: true });
    // From here on it lives alone, or has ended.
    if (child.connected) child.disconnect();
    child.unref();
  }
}

/** What hub and collector printed, and a lab that crashed: its log goes with its folder. */
function sayWords(log: number): void {
  const { size } = fstatSync(log);
  const bytes = Buffer.alloc(Math.min(size, 16_384));
  readSync(log, bytes, 0, bytes.length, size - bytes.length);
  const lines = bytes.toString('utf8').split('\n');
  // Lines with a time are the lab's own, of what happened.
  const words = lines.filter((line) => line !== '' && !/^\d{4}-\d\d-\d\dT/.test(line)).slice(-SHOWN_LINES);
  if (words.length > 0) process.stderr.write(`${words.join('\n')}\n`);
}
const SHOWN_LINES = 8;

function toServiceOptions(flags: LabUpFlags, onStep: (what: string) => void, signal: AbortSignal): LabServiceOptions {
  const name = flags.name ?? DEFAULT_LAB;
  const count = toCount('kernels', flags.kernels, 3, 1);
  if (count > MAX_KERNELS) throw new OperationalError('E_ARGS', `--kernels ${count} is more than a lab has`, `at most ${MAX_KERNELS}`);
  const choices = toList(flags.linux ?? 'stable,newest').map((word) => toChoice('linux', word, KERNEL_CHOICES, 'stable'));
  const cpus = toList(flags.cpus ?? '2,1').map((word) => toCount('cpus', word, 1));
  if (Math.max(...cpus) > MAX_CPUS)
    throw new OperationalError('E_ARGS', `--cpus ${flags.cpus}: a kernel has at most ${MAX_CPUS}`, 'for example --cpus 2,1');
  const inTurn = <Item>(items: readonly Item[], at: number): Item => items[at % items.length] as Item;
  return {
    lab: {
      name,
      dir: labDir(name),
      cacheDir: resolve(flags.cache ?? defaultCacheDir()),
      kernels: Array.from({ length: count }, (_kernel, at) => ({ choice: inTurn<KernelChoice>(choices, at), cpus: inTurn(cpus, at) })),
      memoryMib: toCount('memory', flags.memory, 256, 160),
      events: flags.events === undefined ? DEFAULT_TRACE_EVENTS : toList(flags.events),
      clock: toChoice('clock', flags.clock, TRACE_CLOCKS, 'mono'),
      bufferKb: toCount('buffer', flags.buffer, 1024, 16),
      useKvm: flags.kvm,
      append: flags.append ?? '',
      inside: toInside(flags.inside, count),
      recordDir: flags.record === undefined ? undefined : resolve(flags.record),
      onStep,
      signal,
    },
    observe: toObserve(flags),
    keepsEvents: flags.keep,
  };
}

function toInside(text: string | undefined, count: number): string[] {
  const names = toList(text ?? '');
  const known = Array.from({ length: count - 1 }, (_spawn, at) => `spawn${at + 1}`);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return [...new Set(names)];
  const hint = known.length === 0 ? 'start more than one kernel: --kernels 2' : `spawned kernels are ${known.join(', ')}`;
  throw new OperationalError('E_ARGS', `--inside ${unknown}: the lab has no such spawned kernel`, hint);
}

function toObserve(flags: LabUpFlags): LabServiceOptions['observe'] {
  if (flags['no-observe']) return { kind: 'none' };
  if (flags.to !== undefined) return { kind: 'hub', url: flags.to };
  return {
    kind: 'own',
    page: flags.page ?? '127.0.0.1:4319',
    otlp: flags.otlp ?? '127.0.0.1:4318',
    clickhouse: flags.clickhouse ?? '127.0.0.1:4320',
    dataDir: flags.data === undefined ? undefined : resolve(flags.data),
  };
}

function toList(text: string): string[] {
  return text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
}
