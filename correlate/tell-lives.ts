/**
 * The lives of a machine's instances, from messages of the host and of the spawned kernels, in whatever order they came:
 *
 *   host   create ─ created   load ───────  start ─ active                        halted  unload  remove ─ removed
 *   spawn                                            boot ─── ready … panic ─ stopping
 *          └ instance create  └ instance load └ start └ kernel boot   └ kernel stop        └ instance remove
 *                                              └ instance run (active … halted) ┘
 *          └ instance life: the whole
 *
 * A life is one start of an instance, with what led to it and what followed: ids and names are used again, so the next load or
 * start of an id that was started is the next life. The line that says that a CPU is handed over names no instance: it belongs to the next
 * one that becomes active, since the kernel starts one at a time.
 * Which boot of a spawned kernel is which life is told by the id and the times of both, within the bounds of their clocks; where that
 * leaves two lives, neither is taken. A spawned kernel without a host's log has a life of its own.
 * Only kernel 0 is believed about instances, and a spawned kernel only about itself: where the host's own log is there, none of the consoles
 * that its collector reads counts as the host, since they may be those of spawned kernels, which print what they like.
 */
import { HOST_KERNEL_ID } from '../model/identity.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import { readBoots, type SpawnBoot } from './read-boots.ts';

/** One named row. */
export interface LifeEvent {
  readonly event: string;
  readonly bootId: string;
  readonly kernelId: number;
  readonly stream: string;
  readonly sequence: number;
  readonly rawNs: bigint;
  readonly unixNs: bigint;
  /** Half-width of the bound of `unixNs`, -1 where unknown. */
  readonly errorNs: number;
  /** Attributes of the row. */
  readonly fields: Readonly<Record<string, string>>;
}

/** What the host's log says about one start of an instance. */
export interface HostLife {
  readonly bootId: string;
  id: number;
  name: string;
  /** First and last message about it. */
  readonly first: LifeEvent;
  last: LifeEvent;
  createBegin?: LifeEvent;
  created?: LifeEvent;
  loadBegin?: LifeEvent;
  loadEnd?: LifeEvent;
  startBegin?: LifeEvent;
  active?: LifeEvent;
  startError?: LifeEvent;
  kill?: LifeEvent;
  /** Another kernel told all CPUs to stop, just before the halt. */
  peerStop?: LifeEvent;
  halted?: LifeEvent;
  /** It stopped without saying so. */
  lost?: LifeEvent;
  haltDone?: LifeEvent;
  unloaded?: LifeEvent;
  removeBegin?: LifeEvent;
  removed?: LifeEvent;
  cpus: string;
  /** Another life of the id has begun, or the instance is gone. */
  isOver: boolean;
}

export interface Life {
  readonly id: number;
  readonly name: string;
  readonly host: HostLife | undefined;
  /** The same boot may be told over several ways; the kernel's own way first. */
  readonly boots: readonly SpawnBoot[];
}

/** Names of the messages that a life is told by. */
export const LIFE_EVENTS: readonly string[] = [
  'mk.instance.create.begin',
  'mk.instance.pool',
  'mk.instance.mem.assign',
  'mk.instance.cpu.assign',
  'mk.instance.created',
  'mk.instance.load.begin',
  'mk.instance.mem',
  'mk.load.detail',
  'mk.instance.start.begin',
  'mk.instance.start.detail',
  'mk.instance.start.error',
  'mk.instance.active',
  'mk.instance.lost',
  'mk.instance.kill',
  'mk.instance.killed',
  'mk.instance.halt.request',
  'mk.instance.halt.done',
  'mk.instance.halted',
  'mk.instance.halt.partial',
  'mk.instance.poweroff',
  'mk.instance.stopping',
  'mk.instance.unloaded',
  'mk.instance.remove.begin',
  'mk.instance.removed',
  'mk.instance.identity',
  'mk.kernel.boot',
  'mk.kernel.version',
  'mk.clock.anchor',
  'mk.kernel.ready',
  'mk.kernel.panic',
  'mk.peer.stopped',
];

/** Stream of a kernel's own log, which only its collector can bring. */
const OWN_LOG = 'kmsg';
/** A stop broadcast and the halt that it announces were 0.1 ms apart on a real machine. */
const PEER_STOP_NS = 10_000_000n;
/** From the hand-over of a CPU to «active»: 12 ms on a real machine. */
const MAX_START_NS = 60_000_000_000n;
/** Lives kept of one host boot, the newest: its log may tell of tens of thousands. */
const MAX_LIVES = 4096;
/** A boot may seem to begin this much before its start, beside the bounds of both clocks. */
const MARGIN_NS = 1_000_000_000n;

/** Events in any order, of one machine. */
export function tellLives(events: readonly LifeEvent[]): Life[] {
  const hosts = new Map<string, LifeEvent[]>();
  const hasOwnLog = new Set(events.filter(({ stream }) => stream === OWN_LOG).map(({ bootId }) => bootId));
  const believed = events.filter(
    ({ kernelId, stream, bootId }) => kernelId === HOST_KERNEL_ID && (stream === OWN_LOG || !hasOwnLog.has(bootId)),
  );
  for (const event of dropTwins(believed)) {
    const known = hosts.get(event.bootId);
    if (known === undefined) hosts.set(event.bootId, [event]);
    else known.push(event);
  }
  const lives = [...hosts.values()].flatMap((own) => new HostLog().read(own.sort(inOrder)));
  return joinBoots(lives, readBoots(events));
}

/** A line that came over two ways counts once, and so does a row that was sent twice. */
function dropTwins(events: readonly LifeEvent[]): LifeEvent[] {
  const known = new Map<string, string>();
  const rows = new Set<string>();
  return events.filter(({ event, bootId, stream, sequence, rawNs, fields }) => {
    const row = `${bootId}\n${stream}\n${sequence}\n${rawNs}`;
    if (rows.has(row)) return false;
    rows.add(row);
    if (rawNs === NO_RAW_TIME) return true;
    // Both ways show whole µs; what is said twice over one way was said twice.
    const key = `${bootId}\n${event}\n${rawNs / 1000n}\n${fields['mk.instance.id'] ?? ''}\n${fields['mk.overlay.tx'] ?? ''}\n${fields['mk.cpu.logical'] ?? ''}`;
    const first = known.get(key);
    if (first === undefined) known.set(key, stream);
    return first === undefined || first === stream;
  });
}

function inOrder(a: LifeEvent, b: LifeEvent): number {
  const [at, other] = a.rawNs === NO_RAW_TIME || b.rawNs === NO_RAW_TIME ? [a.unixNs, b.unixNs] : [a.rawNs, b.rawNs];
  if (at !== other) return at < other ? -1 : 1;
  return a.stream === b.stream ? a.sequence - b.sequence : a.stream < b.stream ? -1 : 1;
}

/** Walks the log of one boot of a host. */
class HostLog {
  readonly #lives: HostLife[] = [];
  readonly #byId = new Map<number, HostLife>();
  /** By transaction: begun, and not yet known by an id. */
  readonly #creating = new Map<string, { readonly begin: LifeEvent; id: number | undefined; cpus: string }>();
  readonly #removing = new Map<string, HostLife>();
  #loading: HostLife | undefined;
  #starting: LifeEvent | undefined;
  #peerStop: LifeEvent | undefined;

  read(events: readonly LifeEvent[]): HostLife[] {
    for (const event of events) this.#take(event);
    return this.#lives.slice(-MAX_LIVES);
  }

  #take(event: LifeEvent): void {
    const id = Number(event.fields['mk.instance.id'] ?? Number.NaN);
    switch (event.event) {
      case 'mk.instance.create.begin':
        this.#creating.set(txOf(event), { begin: event, id: undefined, cpus: '' });
        break;
      case 'mk.instance.pool':
      case 'mk.instance.mem.assign':
      case 'mk.instance.cpu.assign':
        this.#noteAssigned(event, id);
        break;
      case 'mk.instance.created':
        this.#create(event);
        break;
      case 'mk.load.detail':
        if (this.#starting === undefined && this.#loading !== undefined) touch(this.#loading, event).loadEnd = event;
        break;
      case 'mk.instance.start.begin':
        this.#starting = event;
        this.#loading = undefined;
        break;
      case 'mk.instance.start.error':
        this.#failStart(event, id);
        break;
      case 'mk.peer.stopped':
        this.#peerStop = event;
        break;
      case 'mk.instance.removed':
        this.#remove(event);
        break;
      default:
        if (id > HOST_KERNEL_ID) this.#takeOf(event, id);
    }
  }

  /** Messages that name their instance. */
  #takeOf(event: LifeEvent, id: number): void {
    switch (event.event) {
      case 'mk.instance.load.begin': {
        const life = this.#lifeToStart(event, id);
        life.loadBegin = life.loadEnd = event;
        this.#loading = life;
        break;
      }
      case 'mk.instance.mem':
        if (this.#starting === undefined && this.#loading?.id === id) touch(this.#loading, event).loadEnd = event;
        break;
      case 'mk.instance.active':
        this.#activate(event, id);
        break;
      case 'mk.instance.kill':
        touch(this.#lifeOf(event, id), event).kill ??= event;
        break;
      case 'mk.instance.halted':
        this.#halt(event, id);
        break;
      case 'mk.instance.lost':
        touch(this.#lifeOf(event, id), event).lost = event;
        break;
      case 'mk.instance.halt.done':
      case 'mk.instance.halt.partial':
        touch(this.#lifeOf(event, id), event).haltDone = event;
        break;
      case 'mk.instance.unloaded':
        touch(this.#lifeOf(event, id), event).unloaded = event;
        break;
      case 'mk.instance.remove.begin': {
        const life = touch(this.#lifeOf(event, id), event);
        life.removeBegin = event;
        this.#removing.set(txOf(event), life);
        break;
      }
    }
  }

  /** While an instance is being made, what it gets says which id it has. */
  #noteAssigned(event: LifeEvent, id: number): void {
    const name = event.fields['mk.instance.name'];
    for (const creating of this.#creating.values()) {
      if (name !== undefined && creating.begin.fields['mk.instance.name'] !== name) continue;
      creating.id ??= id;
      if (event.event === 'mk.instance.cpu.assign') creating.cpus = event.fields['mk.cpu.list'] ?? '';
    }
  }

  #create(event: LifeEvent): void {
    const creating = this.#creating.get(txOf(event));
    this.#creating.delete(txOf(event));
    if (creating?.id === undefined) return;
    const life = this.#open(creating.begin, creating.id);
    life.name = event.fields['mk.instance.name'] ?? '';
    life.createBegin = creating.begin;
    life.created = event;
    life.cpus = creating.cpus;
    touch(life, event);
  }

  #activate(event: LifeEvent, id: number): void {
    const life = this.#lifeToStart(event, id);
    const starting = this.#starting;
    if (starting !== undefined && event.rawNs - starting.rawNs <= MAX_START_NS) life.startBegin = starting;
    life.active = event;
    this.#starting = undefined;
    this.#loading = undefined;
  }

  #failStart(event: LifeEvent, id: number): void {
    this.#starting = undefined;
    if (this.#byId.has(id)) touch(this.#lifeOf(event, id), event).startError = event;
  }

  #halt(event: LifeEvent, id: number): void {
    const life = touch(this.#lifeOf(event, id), event);
    life.halted = event;
    life.name ||= event.fields['mk.instance.name'] ?? '';
    const peer = this.#peerStop;
    if (peer !== undefined && event.rawNs - peer.rawNs <= PEER_STOP_NS) life.peerStop = peer;
    this.#peerStop = undefined;
  }

  #remove(event: LifeEvent): void {
    const life = this.#removing.get(txOf(event));
    this.#removing.delete(txOf(event));
    if (life === undefined) return;
    touch(life, event).removed = event;
    life.name ||= event.fields['mk.instance.name'] ?? '';
    life.isOver = true;
    if (this.#byId.get(life.id) === life) this.#byId.delete(life.id);
  }

  #lifeOf(event: LifeEvent, id: number): HostLife {
    return this.#byId.get(id) ?? this.#open(event, id);
  }

  /** The life that is to be started next: what was started before has a life of its own. */
  #lifeToStart(event: LifeEvent, id: number): HostLife {
    const known = this.#byId.get(id);
    if (known === undefined || known.active !== undefined) return this.#open(event, id, known);
    return touch(known, event);
  }

  #open(event: LifeEvent, id: number, before = this.#byId.get(id)): HostLife {
    if (before !== undefined) before.isOver = true;
    const life: HostLife = {
      bootId: event.bootId,
      id,
      name: event.fields['mk.instance.name'] ?? before?.name ?? '',
      first: event,
      last: event,
      cpus: before?.cpus ?? '',
      isOver: false,
    };
    this.#byId.set(id, life);
    this.#lives.push(life);
    return life;
  }
}

function txOf({ fields }: LifeEvent): string {
  return fields['mk.overlay.tx'] ?? '';
}

function touch(life: HostLife, event: LifeEvent): HostLife {
  life.last = event;
  return life;
}

function joinBoots(hosts: readonly HostLife[], boots: readonly SpawnBoot[]): Life[] {
  const found = new Map<HostLife, SpawnBoot[]>();
  const alone: SpawnBoot[] = [];
  for (const boot of boots) {
    const host = findHost(hosts, boot);
    if (host === undefined) alone.push(boot);
    else found.set(host, [...(found.get(host) ?? []), boot]);
  }
  return [
    ...hosts.map((host) => {
      const own = (found.get(host) ?? []).sort((a, b) => Number(a.kernelId === HOST_KERNEL_ID) - Number(b.kernelId === HOST_KERNEL_ID));
      return { id: host.id, name: host.name || (own[0]?.name ?? ''), host, boots: own };
    }),
    // A kernel's own boot id names one boot, whichever way its rows came; a console that the host read may hold several.
    ...[...Map.groupBy(alone, (boot) => (boot.kernelId === HOST_KERNEL_ID ? boot : `${boot.bootId}/${boot.id}`)).values()].map((own) => ({
      id: (own[0] as SpawnBoot).id,
      name: own.find(({ name }) => name !== '')?.name ?? '',
      host: undefined,
      boots: own,
    })),
  ];
}

function findHost(hosts: readonly HostLife[], boot: SpawnBoot): HostLife | undefined {
  const own = hosts.filter(({ id, active }) => id === boot.id && active !== undefined);
  const fitting = own.filter((host) => isWithin(host, boot));
  if (fitting.length === 1) return fitting[0];
  // Bounds that reach over several lives: only one of them can lie exactly around it.
  const exact = fitting.filter(({ active, halted }) => {
    const startNs = boot.first.unixNs;
    return active !== undefined && startNs >= active.unixNs - MARGIN_NS && (halted === undefined || startNs <= halted.unixNs);
  });
  return exact.length === 1 && Math.max(boot.first.errorNs, 0) < 3_600_000_000_000 ? exact[0] : undefined;
}

function isWithin({ active, halted, last, isOver }: HostLife, { first }: SpawnBoot): boolean {
  if (active === undefined) return false;
  const slackNs = MARGIN_NS + BigInt(Math.max(first.errorNs, 0)) + BigInt(Math.max(active.errorNs, 0));
  const end = halted ?? (isOver ? last : undefined);
  return first.unixNs >= active.unixNs - slackNs && (end === undefined || first.unixNs <= end.unixNs + slackNs);
}
