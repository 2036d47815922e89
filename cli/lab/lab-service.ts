/**
 * A running lab: the kernels, the hub and the collector that observe them, and the socket that `mkscope lab …` talks to. It is
 * one process with two supervised children; when it ends, however it ends, they and the kernels end too.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Server } from 'node:net';

import { ensureDefined } from '../../base/assert.ts';
import { OperationalError } from '../../base/errors.ts';
import { explainDeath, type Death } from '../../correlate/explain-death.ts';
import { COLLECTOR_NODE_FLAGS } from '../../collector/options.ts';
import { serveControl, type LabRequest } from '../../deploy/lab/control.ts';
import type { Guest } from '../../deploy/lab/guest.ts';
import { Lab, type LabKernelStatus, type LabOptions } from '../../deploy/lab/lab.ts';
import { readCounts, startTraffic, stopTraffic, type TrafficPlan } from '../../deploy/lab/traffic.ts';
import { isStartReport } from '../collector-report.ts';
import { isHubReport, type HubReport } from '../run-hub.ts';
import { Supervisor } from '../supervisor.ts';

/** The children hand over what they have within this, or are ended. */
const STOP_GRACE_MS = 10_000;
const START_TIMEOUT_MS = 60_000;

export interface LabServiceOptions {
  readonly lab: Omit<LabOptions, 'killCollector'>;
  /** Where to send: a hub that is there, a hub of its own, or nowhere (only the kernels). */
  readonly observe:
    | { readonly kind: 'hub'; readonly url: string }
    | {
        readonly kind: 'own';
        readonly page: string;
        readonly otlp: string;
        readonly clickhouse: string;
        readonly dataDir: string | undefined;
      }
    | { readonly kind: 'none' };
  /** Trace events stay in flight recorders until somebody asks. */
  readonly keepsEvents: boolean;
}

export interface LabStatus {
  readonly name: string;
  readonly dir: string;
  readonly root: string;
  readonly truth: string;
  readonly page: string | undefined;
  readonly otlp: string | undefined;
  readonly collectorPid: number | undefined;
  readonly kernels: readonly (LabKernelStatus & { readonly death: Death | undefined })[];
  readonly events: readonly { readonly unixMs: number; readonly what: string }[];
}

/** Of what happened, kept for `lab status`. */
const MAX_EVENTS = 200;

export class LabService {
  readonly #options: LabServiceOptions;
  #lab: Lab | undefined;
  #hub: Supervisor | undefined;
  #collector: Supervisor | undefined;
  #control: Server | undefined;
  #addresses: HubReport['addresses'] | undefined;
  readonly #events: { unixMs: number; what: string }[] = [];
  #stopping: Promise<void> | undefined;
  /** Called when somebody asks over the socket that the lab end. */
  onDown: () => void = () => undefined;

  private constructor(options: LabServiceOptions) {
    this.#options = options;
  }

  /** Brings kernels, hub and collector up, or nothing. */
  static async start(options: LabServiceOptions): Promise<LabService> {
    const service = new LabService(options);
    try {
      await service.#start();
      return service;
    } catch (error) {
      await service.stop();
      throw error;
    }
  }

  status(): LabStatus {
    const lab = ensureDefined(this.#lab, 'a started lab');
    return {
      name: this.#options.lab.name,
      dir: this.#options.lab.dir,
      root: lab.rootDir,
      truth: lab.truthPath,
      page: this.#addresses?.page,
      otlp: this.#addresses?.otlp,
      collectorPid: this.#collector?.pid,
      kernels: explainDeaths(lab.status()),
      events: this.#events,
    };
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #start(): Promise<void> {
    const { observe } = this.#options;
    const lab = await Lab.prepare({ ...this.#options.lab, killCollector: () => this.#killCollector() });
    this.#lab = lab;
    lab.onEvent = (what) => this.#note(what);
    const { signal } = this.#options.lab;
    signal?.throwIfAborted();
    // Ctrl-C does not wait until the kernels are up.
    const giveUp = (): void => void Promise.all(lab.guests.map((guest) => guest.kill()));
    signal?.addEventListener('abort', giveUp);
    try {
      await this.#bring(lab, observe);
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
    this.#control = await serveControl(this.#options.lab.dir, (request) => this.#answer(request));
  }

  /**
   * Hub and collector start while the first kernel boots: a console is read from its first line on. Where kernels have a collector of
   * their own, this one reads their consoles as it would on hardware, and so needs to know the host kernel first.
   */
  async #bring(lab: Lab, observe: LabServiceOptions['observe']): Promise<void> {
    const hub = this.#openHub(observe);
    if (this.#options.lab.inside.length === 0) return settleAll([lab.boot(), hub.then((url) => this.#observe(lab, url))]);
    await settleAll([
      hub.then(() => undefined),
      lab.boot(async () => {
        const url = await hub;
        await this.#observe(lab, url);
        if (url !== undefined) await lab.sendInsideTo(url);
      }),
    ]);
  }

  /** Where to send; undefined = nowhere. */
  async #openHub(observe: LabServiceOptions['observe']): Promise<string | undefined> {
    if (observe.kind === 'none') return undefined;
    if (observe.kind === 'hub') return observe.url;
    this.#addresses = await this.#startHub(observe);
    return this.#addresses.otlp;
  }

  async #observe(lab: Lab, url: string | undefined): Promise<void> {
    this.#options.lab.signal?.throwIfAborted();
    if (url !== undefined) await this.#startCollector(lab, url);
  }

  async #stop(): Promise<void> {
    this.#control?.close();
    // First the kernels' last words come through, then the collector hands over, then the hub stores.
    await this.#collector?.stop(STOP_GRACE_MS);
    try {
      await this.#lab?.down();
    } finally {
      await this.#hub?.stop(STOP_GRACE_MS);
      // The hub's data may lie in it.
      rmSync(this.#options.lab.dir, { recursive: true, force: true });
    }
  }

  async #startHub(observe: Extract<LabServiceOptions['observe'], { kind: 'own' }>): Promise<HubReport['addresses']> {
    const dataDir = observe.dataDir ?? join(this.#options.lab.dir, 'data');
    mkdirSync(dataDir, { recursive: true });
    const { promise, resolve, reject } = Promise.withResolvers<HubReport['addresses']>();
    this.#hub = new Supervisor({
      args: [
        ...this.#program('hub'),
        `--data=${dataDir}`,
        `--page=${observe.page}`,
        `--otlp=${observe.otlp}`,
        `--clickhouse=${observe.clickhouse}`,
      ],
      onReport: (report) => {
        if (isHubReport(report)) resolve(report.addresses);
      },
      onExit: ({ code, signal }) => {
        this.#note(`the hub has ended (${signal ?? code})`);
        reject(
          new OperationalError(
            'E_LAB_BOOT',
            `the hub of the lab ended with ${signal ?? code}`,
            'its own words stand above; other ports: --page, --otlp, --clickhouse',
          ),
        );
      },
    });
    this.#hub.start();
    return within(promise, 'the hub');
  }

  async #startCollector(lab: Lab, url: string): Promise<void> {
    const { dir, cacheDir } = this.#options.lab;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#collector = new Supervisor({
      args: [
        ...COLLECTOR_NODE_FLAGS,
        ...this.#program('collect'),
        `--config=${this.#writeCollectorConfig(lab)}`,
        `--to=${url}`,
        `--data=${join(dir, 'collector')}`,
      ],
      env: {
        ...process.env,
        NODE_COMPILE_CACHE: join(cacheDir, 'compile-cache'),
      },
      onReport: (report) => {
        if (isStartReport(report)) resolve();
      },
      onExit: ({ code, signal }) => this.#note(`the collector has ended (${signal ?? code}) and is started again`),
    });
    this.#collector.start();
    await within(promise, 'the collector');
  }

  /**
   * The collector reads the guests and nothing of this machine; each stream may only be the kernel that it is. Kernels that have a
   * collector of their own are to it what the instances of a Multikernel host are: states, resources, consoles.
   */
  #writeCollectorConfig(lab: Lab): string {
    const { dir, name, inside } = this.#options.lab;
    const streams = lab.guests
      .filter(({ spec }) => !spec.isInside)
      .map((guest) => {
        const { id, name: kernelName } = guest.spec;
        return [kernelName, { from: `unix:${lab.streamPath(guest)}`, kernel: id, console: `mktty:${id}@${lab.rootDir}/dev/mktty` }];
      });
    const off = { enabled: false };
    const config = {
      machine: { id: lab.machineId, name },
      collector: {
        ...(inside.length === 0 ? {} : { root: lab.rootDir, multikernel: { consoles: 'all' } }),
        kmsg: off,
        tracefs: this.#options.keepsEvents ? { ...off, ship: 'on-request' } : off,
        system: off,
        pstore: off,
        streams: Object.fromEntries(streams) as Record<string, object>,
      },
    };
    const path = join(dir, 'collector.yaml');
    // JSON is YAML.
    writeFileSync(path, `${JSON.stringify(config, undefined, 2)}\n`);
    return path;
  }

  #program(command: string): string[] {
    return [...process.execArgv, ensureDefined(process.argv[1], 'path of the program'), command];
  }

  #killCollector(): void {
    if (this.#collector === undefined)
      throw new OperationalError('E_LAB_FAULT', 'this lab has no collector', 'it was started with --no-observe');
    const { pid } = this.#collector;
    if (pid === undefined) throw new OperationalError('E_LAB_FAULT', 'the collector is being started again', 'try again in a moment');
    process.kill(pid, 'SIGKILL');
  }

  #note(what: string): void {
    this.#events.push({ unixMs: Date.now(), what });
    if (this.#events.length > MAX_EVENTS) this.#events.shift();
    process.stdout.write(`${new Date().toISOString()} ${what}\n`);
  }

  async #answer(request: LabRequest): Promise<unknown> {
    const lab = ensureDefined(this.#lab, 'a started lab');
    const text = (name: string): string => (typeof request[name] === 'string' ? request[name] : '');
    switch (request.command) {
      case 'status':
        return this.status();
      case 'fault':
        return lab.fault(text('kernel'), text('fault'), text('value'));
      case 'start':
        await lab.start(text('kernel'));
        return 'started';
      case 'run':
        return runIn(lab.find(text('kernel')), text('script'));
      case 'traffic':
        await startTraffic(lab.find(text('from')), lab.find(text('to')), request['plan'] as TrafficPlan);
        return 'sending';
      case 'stop-traffic':
        await stopTraffic(lab.find(text('from')));
        return 'stopped';
      case 'counts':
        return (await readCounts(lab.find(text('kernel')))) ?? null;
      case 'record':
        lab.record(text('dir'));
        return 'recording';
      case 'stop-record': {
        const session = await lab.stopRecord();
        if (session !== undefined) return session;
        throw new OperationalError('E_LAB_FAULT', 'the lab does not record', 'mkscope lab record DIR');
      }
      case 'console':
        return lab.find(text('kernel')).tail.lines(Number(request['lines'] ?? 100));
      case 'down':
        try {
          // Whoever ends the lab is the one to learn that its recording is not whole.
          await lab.stopRecord();
        } finally {
          // The answer goes out first.
          setTimeout(() => this.onDown(), 20);
        }
        return 'stopping';
      default:
        throw new OperationalError(
          'E_REQUEST',
          `the lab knows no command ${request.command}`,
          'is this mkscope older than the one that started the lab?',
        );
    }
  }
}

/** What a kernel that has ended died of, from its console and the host's. */
function explainDeaths(kernels: readonly LabKernelStatus[]): LabStatus['kernels'] {
  const hostLines = kernels.find(({ id }) => id === 0)?.lastLines ?? [];
  // What the host said of the incarnation before is of no use.
  const since = (id: number): readonly string[] => fromLast(hostLines, `Multikernel instance ${id} is now active`);
  return kernels.map((kernel) => {
    const isDead = kernel.guest === 'off' && kernel.starts > 0;
    return Object.assign(kernel, {
      death: isDead ? explainDeath(kernel.id, fromLast(kernel.lastLines, 'Linux version '), since(kernel.id)) : undefined,
    });
  });
}

/** The lines from the last one with `mark` on; all where none has it. A console goes on through the kernel's incarnations. */
function fromLast(lines: readonly string[], mark: string): readonly string[] {
  return lines.slice(
    Math.max(
      0,
      lines.findLastIndex((line) => line.includes(mark)),
    ),
  );
}

/** The first failure of several things that go on at once, thrown when all of them have ended. */
async function settleAll(all: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(all)).find((settled) => settled.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

async function runIn(guest: Guest, script: string): Promise<unknown> {
  const answer = await guest.run(script, 60_000);
  if (answer !== undefined) return answer;
  throw new OperationalError('E_LAB_FAULT', `${guest.spec.name} does not answer`, 'see: mkscope lab status');
}

async function within<Value>(awaited: Promise<Value>, what: string): Promise<Value> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new OperationalError('E_LAB_BOOT', `${what} of the lab does not start`, 'is the machine overloaded?')),
    START_TIMEOUT_MS,
  );
  try {
    return await Promise.race([awaited, promise]);
  } finally {
    clearTimeout(timer);
  }
}
