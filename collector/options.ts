/** What a collector is told. Every part has a default but where to send, where to spool, and what to read. */
import type { IkcEvent } from '../correlate/ikc-pack.ts';
import type { MessageRule } from '../correlate/message-catalogue.ts';
import type { SpanRule } from '../correlate/span-rules.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { ClockDomain } from '../model/time.ts';
import type { EndpointOptions } from '../otlp/endpoint.ts';
import type { KernelRule } from './guest-identity.ts';
import type { KmsgFrom } from './sources/kmsg.ts';

export interface SourceOptions {
  readonly kmsg?: { readonly from: KmsgFrom; readonly path?: string } | undefined;
  readonly tracefs?:
    | {
        /** `sched:sched_switch`, `irq:*`, `sched`. */
        readonly events: readonly string[];
        /** Events of IKC packs (correlate/ikc-packs/). Default: none. */
        readonly probes?: readonly IkcEvent[] | undefined;
        /** Default `mono`. */
        readonly clock?: ClockDomain | undefined;
        /** Per CPU; default: 64 MiB over all CPUs, between 512 KiB and 4 MiB each. */
        readonly bufferSizeKb?: number | undefined;
        /** Where tracefs is; default: its usual mount points. */
        readonly root?: string | undefined;
      }
    | undefined;
  /** `from`: file path, FIFO path, `unix:PATH`, `tcp:HOST:PORT`, `mktty:ID`, or `-` for standard input. */
  readonly console?: readonly { readonly name: string; readonly from: string }[] | undefined;
  /** The instances of a Multikernel host; nothing where there are none. */
  readonly multikernel?: Record<string, never> | undefined;
  readonly system?: { readonly intervalMs: number } | undefined;
}

/** A guest that is read through its forwarder's stream (collector/guest-address.ts). */
export interface StreamOptions {
  readonly name: string;
  readonly from: string;
  /** Which kernel it may be; default: any but the host. */
  readonly kernel?: KernelRule | undefined;
  /** Address of its console (collector/console-address.ts): what it says beyond its kernel log. */
  readonly console?: string | undefined;
}

/** A kernel that sends netconsole: `from` is its IP address, or `ADDRESS:PORT` where two send from one. */
export interface NetconsoleSender {
  readonly name: string;
  readonly from: string;
  readonly kernelId: number;
}

export interface NetconsoleOptions {
  /** UDP addresses; port 0 is any free one. */
  readonly listen: readonly { readonly host: string; readonly port: number }[];
  readonly kernels: readonly NetconsoleSender[];
  /** What becomes of packets of other senders. Default: refused. */
  readonly others?: 'refuse' | 'accept' | undefined;
}

export interface CollectorOptions {
  /** Folder that stands for `/` where it is asked who the kernel is and where its consoles are: a lab has one. Default `/`. */
  readonly root?: string | undefined;
  /** Endpoint, headers, TLS; what is left out comes from OTEL_EXPORTER_OTLP_*. */
  readonly to: EndpointOptions;
  readonly spoolDir: string;
  /** Default 512 MiB, divided evenly between this kernel and the others. */
  readonly spoolMaxBytes?: number | undefined;
  readonly identity?: Partial<KernelIdentity> | undefined;
  readonly sources: SourceOptions;
  /** Other kernels, each with a feed of its own below `<spoolDir>/streams`. */
  readonly streams?: readonly StreamOptions[] | undefined;
  /** Kernels that send netconsole, each with a feed of its own below `<spoolDir>/netconsole`. */
  readonly netconsole?: NetconsoleOptions | undefined;
  /**
   * Consoles of a Multikernel host's instances, each with a feed of its own below `<spoolDir>/mktty`: of those that are loaded or started
   * from now on, or of all. Default: of none.
   */
  readonly instanceConsoles?: 'new' | 'all' | undefined;
  /** Crash records of earlier boots of this kernel; their feed is `<spoolDir>/pstore`. */
  readonly pstore?: { readonly folders: readonly string[]; readonly remove?: boolean | undefined } | undefined;
  /** Names of span rules (correlate/span-rules.ts); default: all. */
  readonly spans?: readonly string[] | undefined;
  /** Span rules beside ours. */
  readonly spanRules?: readonly SpanRule[] | undefined;
  /** Messages beside those of the catalogue. */
  readonly messages?: readonly MessageRule[] | undefined;
  /** Trace events go to the hub, into the flight recorder until the hub asks for them, or nowhere. */
  readonly events?: 'ship' | 'keep' | 'off' | undefined;
  /** Default 256 MiB, divided evenly between this kernel and the streams. */
  readonly recorderMaxBytes?: number | undefined;
  /** The collector's own spans; off without an endpoint. */
  readonly telemetry?: { readonly endpoint: string } | undefined;
  readonly version: string;
}

export const DEFAULT_SPOOL_BYTES = 512 << 20;
export const DEFAULT_RECORDER_BYTES = 256 << 20;

/** What is recorded where nothing is configured: scheduling, interrupts, task life, and what goes wrong. */
export const DEFAULT_TRACE_EVENTS: readonly string[] = [
  'sched:sched_switch',
  'sched:sched_wakeup',
  'sched:sched_process_fork',
  'sched:sched_process_exec',
  'sched:sched_process_exit',
  'irq:irq_handler_entry',
  'irq:irq_handler_exit',
  'irq:softirq_entry',
  'irq:softirq_exit',
  'signal:signal_generate',
  'oom:mark_victim',
];

/**
 * Node flags for a process that is only a collector: with V8's default young generation (16 MB semi-spaces) it holds 20 MB more
 * (107 → 85 MB RSS at 10 k events/s, bench/collector.bench.ts). `NODE_COMPILE_CACHE` in its environment saves another 17 MB, since
 * TypeScript need not be stripped again.
 */
export const COLLECTOR_NODE_FLAGS: readonly string[] = ['--max-semi-space-size=1'];
