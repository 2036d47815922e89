/**
 * Boots of spawned kernels, each from what one way brought of it: its own log, or its console that the host reads.
 *
 *   [0.000000] platform-quirks: hardware_subarch=5       first line of a boot
 *   [0.045055] DTB contains instance ID 3, name 'web-1'  who it is, where the way does not say so
 *   [0.180476] Run /init as init process                 ready
 *   [2.305827] reboot: Power down                        why it ends
 *   [2.305842] Multikernel instance 3 shutting down      its last line
 */
import { HOST_KERNEL_ID } from '../model/identity.ts';
import type { LifeEvent } from './tell-lives.ts';

export interface SpawnBoot {
  readonly id: number;
  readonly bootId: string;
  /** Whose row it is: 0 where the host read its console. */
  readonly kernelId: number;
  readonly name: string;
  readonly first: LifeEvent;
  /** The first line is the first one of the boot. */
  readonly hasBegin: boolean;
  readonly last: LifeEvent;
  readonly ready: LifeEvent | undefined;
  /** `sched_clock: Marking stable`. */
  readonly stable: LifeEvent | undefined;
  /** What ends it, in order: a panic, a power-off, a request, a kill. */
  readonly ends: readonly LifeEvent[];
  readonly stopping: LifeEvent | undefined;
}

const ENDS: ReadonlySet<string> = new Set(['mk.kernel.panic', 'mk.instance.poweroff', 'mk.instance.halt.request', 'mk.instance.killed']);
/** Streams of imported files begin with it. */
const FILE_STREAM = 'file:';
/** A boot's second mark comes within this: the first names the architecture, the second the version. */
const SAME_BOOT_NS = 1_000_000_000n;

export function readBoots(events: readonly LifeEvent[]): SpawnBoot[] {
  // The boot id of a kernel names one boot, whichever way its rows came.
  const ways = Map.groupBy(events, ({ bootId, kernelId, stream }) => (kernelId === HOST_KERNEL_ID ? `${bootId}\n${stream}` : bootId));
  const boots = [...ways.values()].flatMap((way) => {
    const ordered = way.toSorted(inOrder);
    return (way[0]?.kernelId === HOST_KERNEL_ID ? splitBoots(ordered) : [ordered]).map(readBoot);
  });
  return boots.filter((boot) => boot !== undefined);
}

/** A console's rows by number, since each boot's stamps begin anew; of several ways, by stamp. */
function inOrder(a: LifeEvent, b: LifeEvent): number {
  if (a.stream === b.stream) return a.sequence - b.sequence;
  return a.rawNs === b.rawNs ? 0 : a.rawNs < b.rawNs ? -1 : 1;
}

/** A console goes on over boots. */
function splitBoots(way: readonly LifeEvent[]): LifeEvent[][] {
  const boots: LifeEvent[][] = [];
  let mark: LifeEvent | undefined;
  for (const event of way) {
    const isMark = event.event === 'mk.kernel.boot' || event.event === 'mk.kernel.version';
    const isSame = isMark && mark !== undefined && mark.event !== event.event && event.rawNs - mark.rawNs < SAME_BOOT_NS;
    if ((isMark && !isSame) || boots.length === 0) boots.push([]);
    if (isMark) mark = isSame ? undefined : event;
    boots.at(-1)?.push(event);
  }
  return boots;
}

function readBoot(events: readonly LifeEvent[]): SpawnBoot | undefined {
  const [first] = events;
  const last = events.at(-1);
  if (first === undefined || last === undefined) return undefined;
  const of = (name: string): LifeEvent | undefined => events.find(({ event }) => event === name);
  const identity = of('mk.instance.identity');
  const stopping = of('mk.instance.stopping');
  // A spawned kernel is believed about itself alone. Where the host read the console, or a file was imported under any number,
  // what it says counts; the host's own boots say nothing of an instance.
  const saysItself = first.kernelId === HOST_KERNEL_ID || first.stream.startsWith(FILE_STREAM);
  const said = Number((identity ?? stopping)?.fields['mk.instance.id'] ?? 0);
  const told = saysItself && said > 0 ? said : first.kernelId;
  if (!Number.isInteger(told) || told <= HOST_KERNEL_ID) return undefined;
  return {
    id: told,
    bootId: first.bootId,
    kernelId: first.kernelId,
    name: identity?.fields['mk.instance.name'] ?? '',
    first,
    hasBegin: first.event === 'mk.kernel.boot' || first.event === 'mk.kernel.version',
    last,
    ready: of('mk.kernel.ready'),
    stable: events.find(({ event, fields }) => event === 'mk.clock.anchor' && fields['mk.clock.stable.d'] !== undefined),
    ends: events.filter(({ event }) => ENDS.has(event)),
    stopping,
  };
}
