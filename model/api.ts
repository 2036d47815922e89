/**
 * The hub's HTTP API as types: what the page, the CLI and scripts get as JSON. Times are decimal strings of Unix ns, because a
 * JSON number would round them. Errors are `application/problem+json` (RFC 9457) with `code` and `hint`.
 *
 *   GET  /api/health                                   Health
 *   GET  /api/kernels                                  KernelList
 *   GET  /api/logs?…LogQuery                           LogPage          newest last
 *   GET  /api/logs/live?…LogQuery (no cursor, no times) server-sent events: `log` = LogRow, `lost` = { count }
 *   GET  /api/events?…EventQuery                       EventPage
 *   GET  /api/events/names?kernel=                     { names: EventName[] }
 *   GET  /api/timeline?boot=&from=&to=&width=          Timeline         lanes of CPUs from sched_switch, reduced to `width` px
 *   GET  /api/metrics/names                            { metrics: MetricName[] }
 *   GET  /api/metrics/series?name=&kernel=&from=&to=&step_ms=   { series: Series[] }
 *   GET  /api/ledger                                   Ledger
 *   GET  /api/clocks                                   Clocks
 *   GET  /api/recorders                                Recorders (model/recorder.ts)
 *   GET  /api/gaps?from=&to=&kernel=&limit=            { gaps: GapRow[] }
 *   GET  /api/ikc?…IkcQuery                            IkcSummary       channels kernel × kernel, requests by operation
 *   GET  /api/ikc/messages?…IkcMessageQuery            { messages: IkcMessage[] }   newest first, or slowest first
 *   GET  /api/incidents?…IncidentQuery                 { incidents: IncidentRow[] }   newest first
 *   GET  /api/incidents/live                           server-sent events: `incident` = IncidentRow, new or changed
 *   GET  /api/incidents/:id                            IncidentDetail   the beginning of an id is enough
 *   GET  /api/incidents/:id/export?redact=             text/html        one file that opens without mkscope
 *   GET  /api/ikc/latency?…IkcLatencyQuery            IkcLatency       counts by time × log latency, percentiles by time
 *   GET  /api/traces?…TraceQuery                       { traces: TraceRow[] }   newest first
 *   GET  /api/traces/<32 hex digits>                   Trace            its spans, oldest first
 *   POST /api/sql  { "sql": "SELECT …" }               SqlResult        read-only, limited
 *   POST /api/import?name=&kernel=&kernel_id=&machine=&format=&time_zero=&modified=   body = the file   ImportResult
 *        time_zero: Unix ns of the file's clock at 0; modified: when the file was last written, Unix ns
 */
import type { Incident } from './incident.ts';
import type { RecordedWindow } from './recorder.ts';

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly hint: string;
}

export interface Health {
  readonly status: 'ok' | 'degraded';
  readonly version: string;
  readonly startedUnixNs: string;
  /** What is wrong, in words; empty when all is well. */
  readonly problems: readonly string[];
  readonly store: { readonly engine: string; readonly path: string; readonly rows: number; readonly bytesOnDisk: number };
  readonly spool: { readonly pendingBytes: number; readonly pendingFiles: number; readonly oldestMs: number };
  readonly listening: { readonly page: string; readonly otlp: string; readonly clickhouse: string };
}

export interface KernelRow {
  readonly machineId: string;
  readonly machineName: string;
  readonly kernelId: number;
  readonly kernelName: string;
  readonly bootId: string;
  readonly release: string;
  readonly arch: string;
  readonly cpus: number;
  /** Bytes; 0 where unknown. */
  readonly memoryTotal: number;
  readonly memoryAvailable: number;
  /** Seconds; -1 where unknown. */
  readonly uptimeSeconds: number;
  readonly firstSeenUnixNs: string;
  readonly lastSeenUnixNs: string;
  readonly state: 'live' | 'silent' | 'imported';
  /** Why it is silent, in words. */
  readonly stateDetail: string;
  /** Of a spawned kernel's latest incarnation: what the host kernel says of it. */
  readonly instance?: InstanceRow;
  readonly logsPerSecond: number;
  readonly eventsPerSecond: number;
  readonly lost: number;
  /** Half-width of the time bound, ns; -1 where unknown. */
  readonly clockErrorNs: number;
  readonly clock: string;
  readonly lastLine: string;
  readonly lastLineUnixNs: string;
  /** 0 … 1 of all CPUs, last value; -1 where unknown. */
  readonly cpuUtilization: number;
  /** Last minute of (unix ms, utilization). */
  readonly cpuHistory: readonly (readonly [number, number])[];
}

export interface KernelList {
  readonly kernels: readonly KernelRow[];
  readonly unseen: readonly UnseenKernel[];
}

/** An instance, as the host kernel of its machine says it. */
export interface InstanceRow {
  /** `ready`, `loaded`, `active`, … */
  readonly state: string;
  readonly sinceUnixNs: string;
  /** Physical ids, in decimal. */
  readonly cpus: readonly string[];
  /** 0 where unknown. */
  readonly memoryBytes: number;
  readonly devices: readonly string[];
  /** Empty where nobody says. */
  readonly release: string;
  readonly image: string;
  /** Without secrets. */
  readonly commandLine: string;
  readonly loadedAt: string;
  /** What another instance of the machine has as well, by what the host says: `CPU 8 is also spawn2's`. */
  readonly conflicts: readonly string[];
}

/** A kernel that only its host speaks of: nothing ever came from it, so there is no incarnation to name. */
export interface UnseenKernel {
  readonly machineId: string;
  readonly machineName: string;
  readonly kernelId: number;
  readonly kernelName: string;
  /** Why, in words, and what to do. */
  readonly why: string;
  readonly instance: InstanceRow;
}

/** One clock of one incarnation against the machine's timeline (docs/clocks.md). */
export interface ClockRow {
  readonly machine: string;
  readonly kernelId: number;
  readonly kernelName: string;
  readonly bootId: string;
  readonly clock: string;
  /** The way to the machine's Unix time, edge by edge. */
  readonly evidence: string;
  /** Unix ns less the raw time, at the last knot; empty = not known. */
  readonly offsetNs: string;
  /** By which the machine's Unix time runs ahead of the clock. */
  readonly driftPpm: number;
  /** Half-width of the bound of a record of now, ns; -1 = not known. */
  readonly errorNs: number;
  /** The same against the host kernel's trace clock: what tells the order of lines of two kernels. 0 for that itself; -1 = not known. */
  readonly toHostNs: number;
  /** Times that its clocks were set, stood still, or were contradicted by messages. */
  readonly steps: number;
  /** Matched messages that it is bounded by. */
  readonly messages: number;
  /** Bounds of messages that were left out because all else contradicts them. */
  readonly rejectedBounds: number;
  /** Since its last evidence. */
  readonly ageMs: number;
}

/** Effects before their causes: matched messages, as they were aligned when they were matched. */
export interface CausalityAudit {
  readonly messages: number;
  /** Received before they were sent. */
  readonly early: number;
  /** Of those, by more than both bounds: a bound or a match is wrong. */
  readonly impossible: number;
  readonly worstNs: number;
}

export interface Clocks {
  readonly clocks: readonly ClockRow[];
  readonly audit: CausalityAudit;
}

export interface LogQuery {
  /** Kernel ids or names, comma-separated. */
  readonly kernel?: string;
  readonly boot?: string;
  /** The one row of this name (LogRow.uid): where it is now, also when its clock was drawn anew since it was first shown. */
  readonly uid?: string;
  /** Least severe level shown: 0 … 7. Records without a level are shown at 7 only, and without this filter. */
  readonly level?: number;
  readonly stream?: string;
  /** Event names, comma-separated; one that ends in `*` stands for all that begin so: `kernel.*` = kernel reports. */
  readonly event?: string;
  /** Case-insensitive substring. */
  readonly search?: string;
  /** Regular expression (RE2). */
  readonly regex?: string;
  readonly from?: string;
  readonly to?: string;
  readonly limit?: number;
  /** From LogPage.older or LogPage.newer. */
  readonly cursor?: string;
}

export interface LogRow {
  /** Unique and stable: boot id, stream, sequence. */
  readonly uid: string;
  readonly unixNs: string;
  /** On the record's own clock, in its unit; `-1` where it has none. */
  readonly raw: string;
  readonly clock: string;
  readonly errorNs: number;
  readonly machine: string;
  readonly kernelId: number;
  readonly kernelName: string;
  readonly bootId: string;
  readonly stream: string;
  readonly sequence: number;
  /** 0 … 7, 255 = unknown. */
  readonly level: number;
  readonly facility: number;
  readonly cpu: number;
  readonly pid: number;
  readonly caller: string;
  readonly flags: number;
  readonly body: string;
  readonly eventName: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface LogPage {
  readonly rows: readonly LogRow[];
  /** Cursors for the neighbouring pages; undefined = no more. */
  readonly older?: string;
  readonly newer?: string;
  readonly tookMs: number;
}

export interface EventQuery {
  readonly kernel?: string;
  readonly boot?: string;
  /** `sched:sched_switch` or a bare event name; comma-separated. */
  readonly event?: string;
  readonly cpu?: number;
  readonly pid?: number;
  readonly search?: string;
  readonly from?: string;
  readonly to?: string;
  readonly limit?: number;
  readonly cursor?: string;
}

export interface EventRow {
  readonly unixNs: string;
  readonly raw: string;
  readonly clock: string;
  /** Half-width of the bound of `unixNs`, -1 = unknown. */
  readonly errorNs: number;
  readonly kernelId: number;
  readonly kernelName: string;
  readonly bootId: string;
  readonly stream: string;
  readonly cpu: number;
  readonly pid: number;
  readonly comm: string;
  readonly event: string;
  readonly flags: number;
  readonly preemptCount: number;
  /** `name=value …`, or the verbatim text of imported lines. */
  readonly body: string;
  readonly fields: Readonly<Record<string, string>>;
}

export interface EventPage {
  readonly rows: readonly EventRow[];
  readonly older?: string;
  readonly newer?: string;
  readonly tookMs: number;
}

export interface EventName {
  readonly event: string;
  readonly count: number;
}

/** Run slices of one CPU, parallel arrays, ns relative to `Timeline.from`. */
export interface TimelineLane {
  readonly cpu: number;
  readonly startNs: readonly number[];
  readonly endNs: readonly number[];
  readonly pid: readonly number[];
  /** Index into `Timeline.comms`. */
  readonly comm: readonly number[];
  /** Slices merged into this one because they are narrower than a pixel; 1 = as recorded. */
  readonly merged: readonly number[];
}

export interface Timeline {
  readonly bootId: string;
  readonly kernelName: string;
  readonly from: string;
  readonly to: string;
  readonly comms: readonly string[];
  readonly lanes: readonly TimelineLane[];
  /** printk marks: parallel arrays. */
  readonly marks: { readonly timeNs: readonly number[]; readonly level: readonly number[]; readonly body: readonly string[] };
  readonly gaps: readonly {
    readonly cpu: number;
    readonly startNs: number;
    readonly endNs: number;
    readonly count: number;
    readonly reason: string;
  }[];
  /** Events that the picture is made of. */
  readonly events: number;
  /** Range of all that is stored for this boot, so that the page can offer it; empty strings = nothing. */
  readonly storedFrom: string;
  readonly storedTo: string;
  readonly tookMs: number;
}

export interface MetricName {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  readonly kind: 'gauge' | 'sum' | 'histogram';
}

export interface Series {
  readonly name: string;
  readonly unit: string;
  readonly kernelName: string;
  readonly bootId: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Unix ms and values, parallel. Monotonic sums are rates per second. */
  readonly timesMs: readonly number[];
  readonly values: readonly number[];
}

/** written = stored + lost + dropped + kept + overwritten + inFlight, where the kernel says what it wrote. */
export interface LedgerRow {
  readonly machine: string;
  readonly kernelId: number;
  readonly kernelName: string;
  readonly bootId: string;
  readonly stream: string;
  /** -1 = the whole stream. */
  readonly cpu: number;
  /** -1 = the writer does not count. */
  readonly written: number;
  readonly stored: number;
  readonly lost: number;
  readonly dropped: number;
  /** In the flight recorder of the collector, and not sent. */
  readonly kept: number;
  /** Fell out of the flight recorder without having been sent. */
  readonly overwritten: number;
  /** Read by the collector and not stored yet, or still in the kernel's buffer. */
  readonly inFlight: number;
  /** `written - stored - lost - dropped - kept - overwritten - inFlight`: must be 0. */
  readonly balance: number;
  readonly state: 'balanced' | 'unbalanced' | 'uncounted';
  readonly asOfUnixNs: string;
}

export interface Ledger {
  readonly rows: readonly LedgerRow[];
  readonly gaps: readonly GapRow[];
}

export interface GapRow {
  readonly kernelName: string;
  readonly kernelId: number;
  readonly bootId: string;
  readonly stream: string;
  readonly cpu: number;
  readonly fromUnixNs: string;
  readonly toUnixNs: string;
  /** -1 = the kernel does not say. */
  readonly count: number;
  readonly reason: string;
  readonly detail: string;
}

export interface IkcQuery {
  readonly from?: string;
  readonly to?: string;
  /** Ids or names, comma-separated: one of the ends is one of these. */
  readonly kernel?: string;
  /** Machine id. */
  readonly machine?: string;
}

/** Messages of one kernel to another. */
export interface IkcChannel {
  readonly machineId: string;
  readonly machineName: string;
  /** -1 = not known. */
  readonly senderId: number;
  readonly senderName: string;
  readonly receiverId: number;
  readonly receiverName: string;
  readonly matched: number;
  /** The other end has not been heard that far. */
  readonly waiting: number;
  /** Refused by the sender's kernel. */
  readonly failed: number;
  /** Of those, because the receiver's ring was full. */
  readonly ringFull: number;
  readonly unmatchedSends: number;
  readonly unmatchedReceives: number;
  /** Ring positions that no record names. */
  readonly missing: number;
  readonly payloadBytes: number;
  /** Of matched messages, ns. */
  readonly p50Ns: number;
  readonly p99Ns: number;
  readonly maxNs: number;
  /** Median bound of a latency, ns; -1 = none is matched. */
  readonly errorNs: number;
  /** Pairs that are wrong, as their confidences state it. */
  readonly expectedWrong: number;
  /** Why messages have one end only. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly lastUnixNs: string;
}

export interface IkcExchangeSum {
  readonly machineId: string;
  readonly requesterId: number;
  readonly requesterName: string;
  readonly responderId: number;
  readonly system: string;
  /** `RESOURCE/MEM_ADD` */
  readonly operationName: string;
  readonly count: number;
  readonly timeouts: number;
  /** Their end was not recorded. */
  readonly open: number;
  /** Answered with an errno. */
  readonly failed: number;
  readonly p50Ns: number;
  readonly p99Ns: number;
}

export interface IkcSummary {
  readonly channels: readonly IkcChannel[];
  readonly exchanges: readonly IkcExchangeSum[];
  readonly tookMs: number;
}

export interface IkcMessageQuery extends IkcQuery {
  readonly sender?: string;
  readonly receiver?: string;
  /** Names of types, states (waiting, unmatched, failed, matched), reasons; comma-separated. */
  readonly type?: string;
  readonly state?: string;
  readonly reason?: string;
  readonly trace?: string;
  readonly exchange?: string;
  /** Default `newest`; `slowest` = matched messages only. */
  readonly order?: 'newest' | 'slowest';
  readonly limit?: number;
}

export interface IkcMessage {
  readonly messageId: string;
  readonly unixNs: string;
  readonly machine: string;
  /** -1 and empty = not known. */
  readonly senderId: number;
  readonly senderName: string;
  readonly senderBootId: string;
  readonly receiverId: number;
  readonly receiverName: string;
  readonly receiverBootId: string;
  /** Pack: `multikernel`, `popcorn`, … */
  readonly system: string;
  readonly type: number;
  readonly subtype: number;
  readonly typeName: string;
  readonly subtypeName: string;
  readonly payloadBytes: number;
  /** Unix ns; empty = not recorded. */
  readonly sendUnixNs: string;
  readonly receiveUnixNs: string;
  /** ns; -1 = not recorded. */
  readonly sendErrorNs: number;
  readonly receiveErrorNs: number;
  readonly sendNs: number;
  /** Receiving less sending; below 0 = within the bounds of both. */
  readonly latencyNs: number;
  readonly slot: number;
  readonly missing: number;
  readonly errno: number;
  readonly sendPid: number;
  readonly sendCpu: number;
  readonly receiveCpu: number;
  readonly fromCpu: number;
  readonly confidence: number;
  readonly state: 'waiting' | 'unmatched' | 'failed' | 'matched';
  readonly reason: string;
  readonly isFinal: boolean;
  readonly isPrinted: boolean;
  readonly traceId: string;
  readonly sendSpanId: string;
  readonly receiveSpanId: string;
  readonly exchangeId: string;
}

export interface IncidentQuery {
  /** Kernel ids or names, comma-separated. */
  readonly kernel?: string;
  readonly machine?: string;
  readonly state?: 'open' | 'resolved';
  /** Comma-separated. */
  readonly kind?: string;
  readonly severity?: string;
  readonly from?: string;
  readonly to?: string;
  readonly limit?: number;
}

/** model/incident.ts, with its times as text. */
export interface IncidentRow extends Omit<Incident, 'firstUnixNs' | 'lastUnixNs' | 'resolvedUnixNs'> {
  readonly firstUnixNs: string;
  readonly lastUnixNs: string;
  /** Empty = it is open. */
  readonly resolvedUnixNs: string;
  /** Of a kernel that ended: its last lines over all its streams, oldest first, with their own stamps. */
  readonly lastWords: readonly string[];
}

export interface IncidentDetail {
  readonly incident: IncidentRow;
  /** What to look at: five seconds to either side, all kernels of the machine. */
  readonly from: string;
  readonly to: string;
  /** Kernels with records in the window. */
  readonly kernels: readonly {
    readonly kernelId: number;
    readonly kernelName: string;
    readonly bootId: string;
    readonly release: string;
    readonly records: number;
    readonly clock: string;
    /** Widest bound of its times in the window, ns; -1 = unknown. */
    readonly errorNs: number;
  }[];
  /** Known losses that touch the window. */
  readonly gaps: readonly GapRow[];
  /** Messages to and from the kernel that were sent in the window, and of which nobody knows that they arrived; oldest first. */
  readonly inFlight: readonly IkcMessage[];
  /** What flight recorders had of it; left out where the machine has none. */
  readonly recorded?: RecordedWindow;
}

export interface IkcLatencyQuery extends IkcQuery {
  readonly sender?: string;
  readonly receiver?: string;
  /** Columns of the picture at most; default 160. */
  readonly columns?: number;
}

/** How long messages took, by when they were sent: counts in steps of time and of the latency's logarithm. Parallel arrays. */
export interface IkcLatency {
  /** Of the first column; empty = no message in the range. Columns lie on whole steps since 1970, so that they keep their place. */
  readonly fromUnixNs: string;
  readonly stepNs: number;
  readonly columns: number;
  /** Bucket b holds latencies from 10^(b / this) ns on; -1 = below 1 ns: received, by the clocks, when it was sent or before. */
  readonly bucketsPerDecade: number;
  readonly cells: { readonly column: readonly number[]; readonly bucket: readonly number[]; readonly count: readonly number[] };
  /** One entry for each column with messages; the percentiles are of matched ones, -1 = none. */
  readonly series: {
    readonly column: readonly number[];
    readonly matched: readonly number[];
    /** Failed, or with one end only. */
    readonly other: readonly number[];
    readonly p50Ns: readonly number[];
    readonly p99Ns: readonly number[];
  };
  readonly matched: number;
  /** Of those: the bounds of both times together are wider than the latency, so that the order is not known. */
  readonly unordered: number;
  readonly tookMs: number;
}

export interface TraceQuery {
  readonly from?: string;
  readonly to?: string;
  /** Ids or names, comma-separated: a span of the trace is of one of these. */
  readonly kernel?: string;
  /** Part of a span's name, in either case; with `kernel` of the same span. */
  readonly name?: string;
  /** From the trace's first start to its last end. */
  readonly minDurationNs?: number;
  readonly limit?: number;
}

export interface TraceRow {
  readonly traceId: string;
  readonly startUnixNs: string;
  readonly durationNs: number;
  /** Of the span that none is above of; else of the first. */
  readonly name: string;
  readonly kernelName: string;
  readonly bootId: string;
  /** All kernels with a span of it. */
  readonly kernels: readonly string[];
  readonly spans: number;
  readonly errors: number;
}

export interface TraceSpan {
  readonly spanId: string;
  /** Empty = none; a parent may be missing. */
  readonly parentSpanId: string;
  readonly name: string;
  /** `Internal`, `Client`, `Server`, `Producer`, `Consumer` */
  readonly kind: string;
  readonly service: string;
  readonly scope: string;
  readonly machine: string;
  /** -1 = not a kernel's. */
  readonly kernelId: number;
  readonly kernelName: string;
  readonly bootId: string;
  readonly startUnixNs: string;
  readonly durationNs: number;
  /** `Unset`, `Ok`, `Error` */
  readonly status: string;
  readonly statusMessage: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly events: readonly { readonly unixNs: string; readonly name: string; readonly attributes: Readonly<Record<string, string>> }[];
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
}

export interface Trace {
  readonly traceId: string;
  readonly spans: readonly TraceSpan[];
  /** There are more spans than are sent. */
  readonly truncated: boolean;
  readonly tookMs: number;
}

export interface SqlResult {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly rows: readonly (readonly unknown[])[];
  readonly rowsRead: number;
  readonly bytesRead: number;
  readonly tookMs: number;
  /** The result was cut at the row limit. */
  readonly truncated: boolean;
}

export interface ImportResult {
  readonly format: string;
  readonly records: number;
  /** Of those, stored by an earlier import of the same file. */
  readonly alreadyStored: number;
  readonly bytes: number;
  /** Records that could not be read, by reason. */
  readonly malformed: Readonly<Record<string, number>>;
  readonly gaps: number;
  /** Kernel reports (panic, oops, …) found in the lines; each is a record of its own. */
  readonly reports: number;
  /** Events of ftrace dumps in the lines (sysrq-z, ftrace_dump_on_oops); the lines are records as well. */
  readonly dumpEvents: number;
  readonly kernels: readonly {
    readonly machine: string;
    readonly kernelId: number;
    readonly kernelName: string;
    readonly bootId: string;
    readonly release: string;
    readonly records: number;
    /** Where its times come from. */
    readonly clock:
      | 'unix stamps'
      | 'time zero given'
      | 'date of the file'
      | 'log lines that tell the time'
      | 'clock of the host'
      | 'time of the crash record'
      | 'wall clock in front of the lines'
      | 'end of the file'
      | 'other boots of the file';
    readonly clockErrorNs: number;
  }[];
  /** Unix ns of the first and last record; empty = none. */
  readonly from: string;
  readonly to: string;
}
