/** The table of sources: what a configuration can ask for, and how it is made. Order is the order of starting. */
import { HOST_KERNEL_ID, type KernelIdentity } from '../../model/identity.ts';
import type { Source, SourcePosition } from '../../model/pipeline.ts';
import type { SpanRule } from '../../correlate/span-rules.ts';
import type { CollectorClock } from '../collector-clock.ts';
import type { Ledger } from '../ledger.ts';
import type { SourceOptions } from '../options.ts';
import { ConsoleSource } from './console.ts';
import { KMSG_STREAM } from '../../model/identity.ts';
import { KmsgSource } from './kmsg.ts';
import { MULTIKERNEL_STREAM, MultikernelSource } from './multikernel.ts';
import { SystemSource } from './system.ts';
import { TracefsSource } from './tracefs.ts';

/** What a source is made of, besides its own options. */
export interface SourceContext {
  readonly identity: KernelIdentity;
  /** Folder that stands for `/`. */
  readonly root: string;
  readonly clock: CollectorClock;
  readonly ledger: Ledger;
  readonly resume: ReadonlyMap<string, SourcePosition>;
  readonly spanRules: readonly SpanRule[];
  /** Trace events are shipped. */
  readonly ship: () => boolean;
}

type SourceFactory = (options: SourceOptions, context: SourceContext) => Source[];

export const SOURCES: Readonly<Record<keyof SourceOptions, SourceFactory>> = {
  kmsg: ({ kmsg }, { identity, clock, ledger, resume }) =>
    kmsg === undefined ? [] : [new KmsgSource({ ...kmsg, bootId: identity.bootId, resume: resume.get(KMSG_STREAM), clock, ledger })],

  tracefs: ({ tracefs }, { identity, clock, resume, spanRules, ship }) =>
    tracefs === undefined
      ? []
      : [
          new TracefsSource({
            identity,
            events: tracefs.events,
            probes: tracefs.probes ?? [],
            clockDomain: tracefs.clock ?? 'mono',
            bufferSizeKb: tracefs.bufferSizeKb,
            root: tracefs.root,
            clock,
            resume,
            spanRules,
            ship,
          }),
        ],

  console: ({ console: consoles = [] }, { root, clock, ledger, resume }) =>
    consoles.map(({ name, from }) => new ConsoleSource({ name, from, root, clock, ledger, resume: resume.get(`console:${name}`) })),

  multikernel: ({ multikernel }, { root, identity, clock, resume }) =>
    // A spawned kernel sees itself there, and nobody else.
    multikernel === undefined || identity.kernelId !== HOST_KERNEL_ID
      ? []
      : [new MultikernelSource({ root, bootId: identity.bootId, clock, resume: resume.get(MULTIKERNEL_STREAM) })],

  system: ({ system }, { clock }) => (system === undefined ? [] : [new SystemSource({ intervalMs: system.intervalMs, clock })]),
};
