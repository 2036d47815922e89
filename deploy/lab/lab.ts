/**
 * The lab: several real kernels side by side under QEMU, one of them the host (id 0), joined by shared memory and interrupts.
 * It boots as a Multikernel machine does: the host first, which then creates, loads and starts the others.
 */
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Server, Socket } from 'node:net';
import { OperationalError } from '../../base/errors.ts';
import { buildInsidePrograms, buildKernel, buildPrograms, type KernelFiles } from './artifacts.ts';
import { Bus, type BusEvent } from './bus.ts';
import { injectFault } from './faults.ts';
import { Guest, type GuestState } from './guest.ts';
import { findRelease, isCached, type KernelChoice } from './kernels.ts';
import { Recorder, type SessionFile } from './recorder.ts';
import { MultikernelRoot, type InstanceState, type RootInstance } from './multikernel-root.ts';
import { checkPrerequisites } from './prerequisites.ts';
import { MACHINE_NAME, toCommandLine, type GuestSpec } from './qemu-args.ts';
import { listen } from './sockets.ts';

const JOIN_TIMEOUT_MS = 15_000;
/** A kernel with PREEMPT_RT prints from a thread. */
const LAST_WORDS_MS = 500;
const CONTROL = '/sys/kernel/mkikc/ctl';
/** Node and its libraries are unpacked beside the archive that they come in. */
const INSIDE_MEMORY_MIB = 640;

export interface LabOptions {
  readonly name: string;
  /** Folder of the running lab: sockets, truth, the Multikernel look. */
  readonly dir: string;
  readonly cacheDir: string;
  /** The host kernel first. */
  readonly kernels: readonly { readonly choice: KernelChoice; readonly cpus: number }[];
  readonly memoryMib: number;
  readonly events: readonly string[];
  readonly clock: string;
  readonly bufferKb: number;
  readonly useKvm: boolean;
  readonly append: string;
  /** Names of spawned kernels that run a collector of their own instead of the forwarder. */
  readonly inside: readonly string[];
  /** Folder to record into from the first byte on. */
  readonly recordDir?: string | undefined;
  readonly onStep: (what: string) => void;
  readonly killCollector: () => void;
  readonly signal?: AbortSignal | undefined;
}

export interface LabKernelStatus {
  readonly id: number;
  readonly name: string;
  readonly release: string;
  readonly cpus: number;
  readonly guest: GuestState;
  /** What the host kernel says of it; the host itself has none. */
  readonly instance: string;
  readonly bootId: string;
  readonly starts: number;
  readonly bootMs: number;
  readonly pid: number | undefined;
  readonly hasPanicked: boolean;
  readonly hasReader: boolean;
  readonly lastLines: readonly string[];
}

export class Lab {
  readonly #options: LabOptions;
  readonly guests: readonly Guest[];
  #bus: Bus | undefined;
  readonly #root: MultikernelRoot;
  /** What the host kernel says of its instances, by name. */
  readonly #instances = new Map<string, Extract<BusEvent, { event: 'instance' }>>();
  readonly #servers: Server[] = [];
  #recorder: Recorder | undefined;
  #insideTo: string | undefined;
  /** Called with each word of what happens: for the log of the lab. */
  onEvent: (what: string) => void = () => undefined;

  private constructor(options: LabOptions, specs: readonly GuestSpec[]) {
    this.#options = options;
    this.#root = new MultikernelRoot(join(options.dir, 'root'));
    const listener = {
      ended: (guest: Guest) => this.#note(`${guest.spec.name} has ended`),
      panicked: (guest: Guest) => this.#note(`${guest.spec.name} panics`),
    };
    this.guests = specs.map((spec) => new Guest(spec, listener));
    if (options.recordDir !== undefined) this.record(options.recordDir);
  }

  /**
   * Fetches and builds what is missing, and opens the sockets on which the kernels will be read, so that a reader is there before
   * they say anything.
   */
  static async prepare(options: LabOptions): Promise<Lab> {
    const { cacheDir, signal, onStep } = options;
    mkdirSync(cacheDir, { recursive: true });
    checkPrerequisites({ kernels: options.kernels.length, absentKernels: 0, cacheDir, useKvm: options.useKvm });
    const choices = [...new Set(options.kernels.map(({ choice }) => choice))];
    // apt reads its lists anew each time, for a second or so.
    const releases = new Map(await Promise.all(choices.map(async (choice) => [choice, await findRelease(choice, signal)] as const)));
    const distinct = [...new Set(releases.values())];
    const absentKernels = distinct.filter((release) => !isCached(cacheDir, release)).length;
    checkPrerequisites({ kernels: options.kernels.length, absentKernels, cacheDir, useKvm: options.useKvm });
    const build = { cacheDir, onStep, signal };
    const programs = await buildPrograms(build);
    const insideDir = options.inside.length === 0 ? undefined : await buildInsidePrograms(build);
    mkdirSync(join(options.dir, 'net'), { recursive: true, mode: 0o700 });
    const specs: GuestSpec[] = [];
    // One after the other: two kernels of one release want the same files.
    for (const [id, { choice, cpus }] of options.kernels.entries()) {
      const release = releases.get(choice) as string;
      const isInside = options.inside.includes(toName(id));
      specs.push(toSpec(options, id, cpus, release, await buildKernel(release, programs, build, isInside ? insideDir : undefined)));
    }
    const lab = new Lab(options, specs);
    try {
      await lab.#open(programs.bus);
      return lab;
    } catch (error) {
      await lab.down();
      throw error;
    }
  }

  /**
   * Boots all kernels, the host first; what was started is stopped again by `down`. Before the host starts the others, `onHost` is
   * waited for: whoever reads their consoles from the look of the machine wants to be there.
   */
  async boot(onHost: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    const { onStep, signal } = this.#options;
    onStep(`booting the host kernel, Linux ${this.host.spec.release}`);
    await this.host.start();
    this.#writeHost();
    await onHost();
    const spawns = this.guests.slice(1);
    if (spawns.length > 0) onStep(`the host kernel starts ${spawns.map(({ spec }) => `${spec.name} (${spec.release})`).join(', ')}`);
    for (const { spec } of spawns) {
      await this.#tellHost(`create ${spec.id} ${spec.name} ${spec.cpus} ${spec.memoryMib}`);
      await this.#tellHost(`load ${spec.id}`);
    }
    signal?.throwIfAborted();
    await Promise.all(spawns.map(({ spec }) => this.start(spec.name)));
    signal?.throwIfAborted();
  }

  get host(): Guest {
    return this.guests[0] as Guest;
  }

  /** Where a collector finds the machine: `--root`. */
  get rootDir(): string {
    return this.#root.path;
  }

  get truthPath(): string {
    return join(this.#options.dir, 'truth');
  }

  get machineId(): string {
    return toMachineId(this.#options.name);
  }

  /** The socket on which the forwarder of a kernel is read. */
  streamPath(guest: Guest): string {
    return join(this.#options.dir, `${guest.spec.name}.stream`);
  }

  find(name: string): Guest {
    const found = this.guests.find(({ spec }) => spec.name === name || String(spec.id) === name);
    if (found !== undefined) return found;
    const names = this.guests.map(({ spec }) => spec.name).join(', ');
    throw new OperationalError('E_LAB_FAULT', `the lab has no kernel ${name}`, `it has ${names}`);
  }

  status(): LabKernelStatus[] {
    return this.guests.map((guest) => ({
      id: guest.spec.id,
      name: guest.spec.name,
      release: guest.spec.release,
      cpus: guest.spec.cpus,
      guest: guest.state,
      instance: guest.spec.id === 0 ? '' : (this.#instances.get(guest.spec.name)?.state ?? ''),
      bootId: guest.bootId,
      starts: guest.starts,
      bootMs: Math.round(guest.bootMs),
      pid: guest.pid,
      hasPanicked: guest.hasPanicked,
      hasReader: guest.stream.hasReader,
      lastLines: guest.tail.lines(200),
    }));
  }

  async fault(kernel: string, fault: string, value: string): Promise<string> {
    const guest = this.find(kernel);
    const done = await injectFault(fault, { guest, host: this.host, value, killCollector: this.#options.killCollector });
    this.#note(`${guest.spec.name}: ${done}`);
    return done;
  }

  /** Starts a kernel that has ended. The host kernel's start is the machine's: what it knew of the others is gone with it. */
  async start(name: string): Promise<void> {
    const guest = this.find(name);
    if (guest.state !== 'off') throw new OperationalError('E_LAB_FAULT', `${guest.spec.name} runs already`, 'see: mkscope lab status');
    if (guest.spec.id === 0) {
      await Promise.all(this.guests.map((each) => each.kill()));
      return this.boot();
    }
    await this.#tellHost(`start ${guest.spec.id}`);
    await guest.start();
    await this.#tellInside(guest);
    await this.#waitJoined(guest);
  }

  /** The address that the collectors inside of kernels send to: the hub's, as this machine sees it. */
  async sendInsideTo(url: string): Promise<void> {
    this.#insideTo = toGuestUrl(url);
    await Promise.all(this.guests.filter(({ state }) => state === 'up').map((guest) => this.#tellInside(guest)));
  }

  /** A collector inside starts when it is told where to send, and which machine it is on: a spawned kernel does not know. */
  async #tellInside(guest: Guest): Promise<void> {
    if (!guest.spec.isInside || this.#insideTo === undefined) return;
    const { name, events, clock, bufferKb } = this.#options;
    const config = {
      machine: { id: this.machineId, name },
      collector: { to: this.#insideTo, tracefs: { events, clock, buffer: `${bufferKb}KiB` } },
    };
    // Whole or not at all: the guest waits for the file. JSON is YAML. A lab that is up is one whose collectors have been started.
    const path = '/run/mkscope.yaml';
    const write = `echo '${JSON.stringify(config).replaceAll("'", '')}' >${path}.new && mv ${path}.new ${path}`;
    await guest.run(`${write} && while [ ! -e /run/reader.pid ]; do sleep 0.1; done`);
  }

  /** A kernel can be sent to once its own mkikc has joined the bus. */
  async #waitJoined(guest: Guest): Promise<void> {
    const endMs = performance.now() + JOIN_TIMEOUT_MS;
    while (this.#instances.get(guest.spec.name)?.attached !== true && guest.state === 'up') {
      if (performance.now() > endMs) {
        throw new OperationalError(
          'E_LAB_BOOT',
          `${guest.spec.name} does not join the bus`,
          `see: mkscope lab run ${guest.spec.name} "dmesg | tail"`,
        );
      }
      await sleep(20);
    }
  }

  /** Begins to write a session; throws E_LAB_FAULT where one is being written. */
  record(dir: string): void {
    if (this.#recorder !== undefined)
      throw new OperationalError('E_LAB_FAULT', `the lab records already, into ${this.#recorder.dir}`, 'wait for its end');
    this.#recorder = new Recorder(dir, this.guests);
  }

  /** Ends the recording that runs, undefined where none does; throws E_DISK_FULL where it is not whole. */
  async stopRecord(): Promise<SessionFile | undefined> {
    const recorder = this.#recorder;
    this.#recorder = undefined;
    return recorder?.stop({ id: this.machineId, name: this.#options.name }, this.truthPath);
  }

  /** Ends everything that was started. The folder is its owner's to remove. */
  async down(): Promise<void> {
    await Promise.all(this.guests.map((guest) => guest.kill()));
    try {
      await this.stopRecord();
    } finally {
      await this.#bus?.stop();
      for (const server of this.#servers) server.close();
      for (const guest of this.guests) {
        guest.stream.detach();
        guest.console.detach();
      }
    }
  }

  async #open(busProgram: string): Promise<void> {
    const { dir } = this.#options;
    this.#bus = await Bus.start(busProgram, join(dir, 'bus'), this.truthPath, (event) => this.#onBus(event));
    for (const guest of this.guests) {
      this.#servers.push(await listen(this.streamPath(guest), (socket) => guest.stream.attach(socket)));
    }
    this.#servers.push(await listen(join(dir, 'root/dev/mktty'), (socket) => this.#attachConsole(socket)));
  }

  #onBus(event: BusEvent): void {
    if (event.event !== 'instance') return;
    const guest = this.guests.find(({ spec }) => spec.id === event.id);
    if (guest === undefined || event.id === 0) return;
    const state = (['ready', 'loaded', 'active'] as const).find((known): known is InstanceState => known === event.state);
    const before = this.#instances.get(guest.spec.name)?.state;
    this.#instances.set(guest.spec.name, event);
    if (before === event.state) return;
    this.#root.set(guest.spec.name, state, toRootInstance(guest.spec));
    this.#note(`instance ${guest.spec.name}: ${event.state}`);
    // Multikernel's CPUs park in the pool; a machine that QEMU emulates ends, once its last words are out.
    if (event.state === 'loaded' && event.halt === 'killed') void sleep(LAST_WORDS_MS).then(() => guest.kill());
  }

  #note(what: string): void {
    this.#recorder?.note(what);
    this.onEvent(what);
  }

  #writeHost(): void {
    const { spec, bootId } = this.host;
    this.#root.writeHost({ machineId: this.machineId, machineName: this.#options.name, bootId, release: spec.release });
  }

  async #tellHost(command: string): Promise<void> {
    const answer = await this.host.run(`echo "${command}" >${CONTROL}`, 35_000);
    if (answer?.code === 0) return;
    const why = answer === undefined ? 'it does not answer' : answer.output.trim();
    throw new OperationalError(
      'E_LAB_FAULT',
      `the host kernel refuses "${command}": ${why}`,
      `see its console: mkscope lab console ${this.host.spec.name}`,
    );
  }

  /** As /dev/mktty: the first line written names the instance, then its console is read and written. */
  #attachConsole(socket: Socket): void {
    let asked = '';
    const take = (bytes: Buffer): void => {
      asked += bytes.toString('latin1');
      const end = asked.indexOf('\n');
      if (end < 0 && asked.length < 16) return;
      socket.off('data', take);
      const id = Number(asked.slice(0, Math.max(end, 0)));
      const guest = this.guests.find(({ spec }) => spec.id === id);
      if (guest === undefined) socket.destroy();
      else guest.console.attach(socket);
    };
    socket.on('data', take);
    socket.on('error', () => undefined);
  }
}

/** Stable over the lab's life and its next one of the same name: what `/etc/machine-id` is to a machine. */
function toMachineId(name: string): string {
  return createHash('sha256').update(`mkscope-lab:${name}`).digest('hex').slice(0, 32);
}

function toName(id: number): string {
  return id === 0 ? 'host' : `spawn${id}`;
}

/** A hub on this machine's loopback, as a guest reaches it. */
function toGuestUrl(text: string): string {
  const url = new URL(text);
  if (['localhost', '[::1]'].includes(url.hostname) || url.hostname.startsWith('127.')) url.hostname = MACHINE_NAME;
  return url.href.replace(/\/$/, '');
}

function toSpec(options: LabOptions, id: number, cpus: number, release: string, files: KernelFiles): GuestSpec {
  const name = toName(id);
  const isInside = options.inside.includes(name);
  return {
    id,
    name,
    release,
    cpus,
    memoryMib: isInside ? Math.max(INSIDE_MEMORY_MIB, options.memoryMib) : options.memoryMib,
    ...files,
    dir: join(options.dir, name),
    busPath: join(options.dir, 'bus'),
    spawnIds: options.kernels.flatMap((_kernel, index) => (index === 0 ? [] : [index])),
    netDir: join(options.dir, 'net'),
    events: options.events,
    clock: options.clock,
    bufferKb: options.bufferKb,
    useKvm: options.useKvm,
    isInside,
    append: options.append,
  };
}

/** As MK_PHYS_CPUS_PER_ID of mkikc/mkikc_shm.h: physical ids are unique over the kernels of a lab. */
export const MAX_CPUS = 16;

function toRootInstance(spec: GuestSpec): RootInstance {
  const { id, name, release, memoryMib, vmlinuz, initramfs } = spec;
  return {
    id,
    name,
    release,
    memoryMib,
    vmlinuz,
    initramfs,
    commandLine: toCommandLine(spec),
    cpus: Array.from({ length: spec.cpus }, (_cpu, index) => id * MAX_CPUS + index),
  };
}
