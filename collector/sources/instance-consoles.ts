/**
 * The consoles of a Multikernel host's instances, through /dev/mktty: each instance is a kernel of its own, with a feed of its own.
 * A console is opened as soon as an image is loaded, because what is printed while nobody reads is lost, and opened anew when the
 * instance starts: its next run is the next reading.
 *
 *   ready ──► loaded ──► active ──► loaded ──► none
 *             open       open,      (read on)  close
 *                        unless it is read
 *
 * mktty has one reader per instance, the latest: whoever opens it takes it from us, and nobody tells. So a console that says nothing
 * while its instance starts is pointed out; it is not taken back, because that would take it from a person. For the same reason a
 * kernel that runs already when the collector starts is left alone unless `all` are wanted.
 * Where a collector runs inside of the same kernel, the hub finds out that its boot is the one that is heard here (hub/boot-joins.ts).
 */
import { createLogger } from '../../base/log.ts';
import type { KernelIdentity } from '../../model/identity.ts';
import type { Source, SourceStatus } from '../../model/pipeline.ts';
import type { UnixNs } from '../../model/time.ts';
import { ByteStream } from '../byte-stream.ts';
import { toConsoleAddress } from '../console-address.ts';
import { HeardKernel } from '../heard-kernel.ts';
import { hasInstances, listInstances, type InstanceStatus } from '../instances.ts';
import type { KernelFeed, ReadKernel } from '../kernel-feed.ts';

const LOOK_MS = 500;
const TICK_MS = 100;
const BOOKS_TICKS = 10;
/** A kernel prints within a fraction of a second of its start; mktty replays its log from 0.1 s on. */
const MUTE_MS = 10_000;
/** Their feeds share the room of one. */
export const MAX_CONSOLES = 16;
const OPEN_STATES: ReadonlySet<string> = new Set(['loaded', 'loading', 'active']);

const log = createLogger('mktty');

export interface InstanceConsolesOptions {
  /** Folder that stands for `/`. */
  readonly root: string;
  /** Those that run when we start, too. */
  readonly all: boolean;
  /** Ids of kernels that are read in another way. */
  readonly others: ReadonlySet<number>;
  readonly machine: Pick<KernelIdentity, 'machineId' | 'machineName'>;
  readonly now: () => UnixNs;
  /** Makes the feed of a kernel; called once for each name. */
  readonly openFeed: (name: string) => KernelFeed;
  readonly lookMs?: number;
}

interface InstanceConsole {
  readonly kernel: HeardKernel;
  readonly id: number;
  stream: ByteStream | undefined;
  state: string;
  /** What mktty says of itself. */
  detail: string;
  activeMs: number;
  lines: number;
  linesWhenActive: number;
}

export class InstanceConsoles implements Source {
  readonly id = 'mktty';
  readonly #options: InstanceConsolesOptions;
  readonly #consoles = new Map<string, InstanceConsole>();
  /** Found running by the first look. */
  readonly #leftAlone = new Set<string>();
  #isFirst = true;
  #refused = 0;
  #tick = 0;
  #timers: NodeJS.Timeout[] = [];
  #state: SourceStatus['state'] = 'stopped';

  constructor(options: InstanceConsolesOptions) {
    this.#options = options;
  }

  start(): Promise<void> {
    this.#state = 'running';
    this.#look();
    this.#timers = [setInterval(() => this.#look(), this.#options.lookMs ?? LOOK_MS), setInterval(() => this.#everyTick(), TICK_MS)];
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#state = 'stopped';
    for (const { stream } of this.#consoles.values()) stream?.stop();
    await Promise.all([...this.#consoles.values()].map(({ kernel }) => kernel.stop(performance.now())));
  }

  status(): SourceStatus {
    const told = [...this.#consoles.values()].map((one) => this.#describe(one));
    if (this.#leftAlone.size > 0) {
      told.push(`left alone, since they ran already: ${[...this.#leftAlone].join(', ')} (collector.multikernel.consoles: all)`);
    }
    if (this.#refused > 0) told.push(`${this.#refused} more than ${MAX_CONSOLES} consoles`);
    return {
      state: this.#state === 'running' && told.length === 0 && !hasInstances(this.#options.root) ? 'idle' : this.#state,
      detail: told.join('; '),
      streams: [...this.#consoles.values()].flatMap(({ kernel }) => kernel.counts()),
      errors: this.#refused,
    };
  }

  kernels(): readonly ReadKernel[] {
    return [...this.#consoles.values()].map(({ kernel }) => kernel);
  }

  #describe({ kernel, state, detail, activeMs, lines, linesWhenActive }: InstanceConsole): string {
    const isMute = state === 'active' && lines === linesWhenActive && performance.now() - activeMs > MUTE_MS;
    const mute = isMute
      ? ', and says nothing since it was started: another reader has taken it (kerf console?), or it has no console=mktty0'
      : '';
    return `${kernel.name} ${state}: ${lines} lines${mute}${detail === '' ? '' : ` (${detail})`}`;
  }

  #look(): void {
    const { root } = this.#options;
    let found: InstanceStatus[] = [];
    // What the multikernel source says is not said twice.
    if (hasInstances(root)) found = this.#listSafely(root) ?? [];
    for (const one of found) this.#follow(one);
    const there = new Set(found.map(keyOf));
    for (const [key, console] of this.#consoles) {
      if (there.has(key) || console.stream === undefined) continue;
      this.#close(console);
      console.state = 'gone';
    }
    for (const key of this.#leftAlone) if (!there.has(key)) this.#leftAlone.delete(key);
    this.#isFirst = false;
  }

  #listSafely(root: string): InstanceStatus[] | undefined {
    try {
      return listInstances(root);
    } catch {
      // Said by the source `multikernel`, which looks at the same folder.
      return undefined;
    }
  }

  #follow(instance: InstanceStatus): void {
    const { id, state } = instance;
    const key = keyOf(instance);
    if (id <= 0 || this.#options.others.has(id)) return;
    if (this.#leftAlone.has(key)) {
      if (state === 'active') return;
      this.#leftAlone.delete(key);
    }
    if (this.#isFirst && state === 'active' && !this.#options.all) {
      this.#leftAlone.add(key);
      return;
    }
    const console = this.#consoles.get(key) ?? (OPEN_STATES.has(state) ? this.#create(instance) : undefined);
    if (console === undefined) return;
    const isStart = state === 'active' && console.state !== 'active';
    console.state = state;
    if (!OPEN_STATES.has(state)) {
      this.#close(console);
      return;
    }
    if (isStart) {
      console.activeMs = performance.now();
      console.linesWhenActive = console.lines;
    }
    // One that ended is opened at each look: a stream's own patience grows to seconds, in which a kernel boots. One that opened itself
    // is left: what lies in it would be lost.
    if (console.stream?.isOpen === false) this.#close(console);
    else console.detail = '';
    console.stream ??= this.#open(console);
  }

  #create({ id, name }: InstanceStatus): InstanceConsole | undefined {
    const { machine, now, openFeed } = this.#options;
    if (this.#consoles.size >= MAX_CONSOLES) {
      this.#refused++;
      return undefined;
    }
    // Two instances that have had one name are one kernel's feed only where the id is the same.
    const folder = `${id}-${name.replaceAll(/[^A-Za-z0-9.-]/g, '_')}`;
    const stream = `console:${name}`;
    const kernel = new HeardKernel({
      name,
      kernelId: id,
      machine,
      now,
      feed: openFeed(folder),
      streams: { extended: `netconsole:${name}`, text: stream },
      log,
    });
    const console = { kernel, id, stream: undefined, state: '', detail: '', activeMs: 0, lines: 0, linesWhenActive: 0 };
    this.#consoles.set(keyOf({ id, name }), console);
    return console;
  }

  #open(console: InstanceConsole): ByteStream | undefined {
    const address = toConsoleAddress(`mktty:${console.id}`, this.#options.root);
    if (typeof address === 'string') return undefined;
    const stream = new ByteStream(address, {
      line: (text) => {
        console.lines++;
        console.kernel.add(Buffer.from(`${text}\n`), performance.now());
      },
      state: (_, detail) => (console.detail = detail),
    });
    stream.start();
    return stream;
  }

  #close(console: InstanceConsole): void {
    console.stream?.stop();
    console.stream = undefined;
    console.detail = '';
  }

  #everyTick(): void {
    const nowMs = performance.now();
    this.#tick++;
    for (const { kernel } of this.#consoles.values()) {
      kernel.tick(nowMs);
      if (this.#tick % BOOKS_TICKS === 0) kernel.writeBooks();
    }
  }
}

function keyOf({ id, name }: Pick<InstanceStatus, 'id' | 'name'>): string {
  return `${id} ${name}`;
}
