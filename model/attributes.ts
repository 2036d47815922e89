/**
 * Attribute names on the wire and in the store. OpenTelemetry's own names where it has one; there is no kernel namespace in
 * the semantic conventions, so ours is `mk.`.
 */
export const ATTR = {
  serviceName: 'service.name',
  serviceNamespace: 'service.namespace',
  serviceInstanceId: 'service.instance.id',
  hostId: 'host.id',
  hostName: 'host.name',
  hostArch: 'host.arch',
  osType: 'os.type',
  osVersion: 'os.version',
  osDescription: 'os.description',

  kernelId: 'mk.kernel.id',
  kernelName: 'mk.kernel.name',
  kernelRole: 'mk.kernel.role',
  bootId: 'mk.boot.id',
  /** `true` where the boot id was made up by who hears the kernel from outside. */
  bootHeard: 'mk.boot.heard',

  logUid: 'log.record.uid',
  logOriginal: 'log.record.original',
  pid: 'process.pid',
  threadId: 'thread.id',
  cpu: 'cpu.logical_number',
  filePath: 'log.file.path',

  /** Which tail of which kernel a record came from: `kmsg`, `console:<name>`, `tracefs:<instance>`. */
  stream: 'mk.stream',
  /** Position in the stream as its writer counts (kmsg SEQ; line number of a console). */
  sequence: 'mk.seq',
  /** The record's own stamp, unconverted, in the unit of its clock. */
  rawTime: 'mk.clock.raw',
  clock: 'mk.clock.domain',
  /** Half-width, in ns, of the interval that holds the true time. */
  clockError: 'mk.clock.error_ns',
  /** JSON of a HubLink, where a kernel tells its own wall clock: for the hub, which leaves it out of the rows. */
  clockHub: 'mk.clock.hub',
  facility: 'mk.facility',
  caller: 'mk.caller',
  flags: 'mk.flags',

  exceptionType: 'exception.type',
  exceptionMessage: 'exception.message',
  exceptionStacktrace: 'exception.stacktrace',
  codeFunction: 'code.function.name',
  codeFile: 'code.file.path',
  codeLine: 'code.line.number',
  threadName: 'thread.name',

  /** A kernel report (model/kernel-report.ts), whole, as a structured value; the others say parts of it to filter by. */
  report: 'mk.report',
  reportKind: 'mk.report.kind',
  /** Which report of the incarnation: the same over whichever way it came. */
  reportKey: 'mk.report.key',
  /** `func+0x12/0x40 [module]`. */
  reportAt: 'mk.report.at',
  reportModule: 'mk.report.module',
  reportTaint: 'mk.report.taint',
  /** Why it is not whole; not there = it is. */
  reportIncomplete: 'mk.report.incomplete',
  reportLines: 'mk.report.lines',
  /** Sequence numbers, in the stream `mk.stream`, of its first and last line, and the time of the last, Unix ns. */
  reportFirst: 'mk.report.first_seq',
  reportLast: 'mk.report.last_seq',
  reportLastTime: 'mk.report.last_ns',

  /** A message of the catalogue that looks like a fault and is none. */
  benign: 'mk.benign',
  /** 1, 2, …: another row of the event before it, as when each CPU says the same once. */
  repeat: 'mk.repeat',

  instanceId: 'mk.instance.id',
  instanceName: 'mk.instance.name',
  /** Why an instance stopped: `panic`, `power_off`, … (correlate/life-spans.ts). */
  instanceEnd: 'mk.instance.end',

  lossFrom: 'mk.gap.from_ns',
  lossTo: 'mk.gap.to_ns',
  lossCount: 'mk.gap.count',
  lossReason: 'mk.gap.reason',
} as const;

/** What a Multikernel host says of an instance. The catalogue of messages (correlate/message-catalogue.ts) has the same names. */
export const INSTANCE_ATTR = {
  id: 'mk.instance.id',
  name: 'mk.instance.name',
  state: 'mk.instance.state',
  /** Physical ids, comma-separated. */
  cpus: 'mk.instance.cpus',
  /** Bytes. */
  memory: 'mk.instance.memory',
  memoryBase: 'mk.instance.memory.base',
  devices: 'mk.instance.devices',
  image: 'mk.instance.image',
  commandLine: 'mk.instance.command_line',
  loadedAt: 'mk.instance.loaded_at',
} as const;

/** EventName of a record that says what an instance owns and what is loaded in it. */
export const RESOURCES_EVENT = 'mk.instance.resources';

/** EventName of a record that says that two instances are said to own the same. */
export const INSTANCE_CONFLICT_EVENT = 'mk.instance.conflict';

/** Gauges by instance. */
export const INSTANCE_METRIC = {
  state: 'mk.instance.state',
  cpus: 'mk.instance.cpus',
  memory: 'mk.instance.memory',
} as const;

/** EventName of an OTLP log record that reports lost data. */
export const GAP_EVENT = 'mk.gap';

/** Half-width, in ns, of the interval that holds the true time of a record stamped now; attribute `mk.clock.domain`. */
export const CLOCK_ERROR_METRIC = 'mk.clock.error';

/** Of a machine, by the hub: is a message received before it was sent, as aligned? Counters since the hub started, and the worst, ns. */
export const AUDIT_METRIC = {
  messages: 'mk.causality.messages',
  early: 'mk.causality.early',
  impossible: 'mk.causality.impossible',
  worst: 'mk.causality.worst',
} as const;

/** A gauge that a collector sends once, with its last books: it was told to stop, and its silence from now on is no fault. */
export const COLLECTOR_STOPPED_METRIC = 'mk.collector.stopped';

/** Metrics of the ledger: cumulative sums per stream (attributes `mk.stream`, and `cpu.logical_number` where it has CPUs). */
export const LEDGER_METRIC = {
  /** Records that the kernel says it wrote. */
  written: 'mk.stream.written',
  /** Records that the collector took over. */
  read: 'mk.stream.read',
  /** Records known to be lost before the collector; attribute `mk.gap.reason`. */
  lost: 'mk.stream.lost',
  /** Records that mkscope itself dropped; attribute `mk.gap.reason`. */
  dropped: 'mk.stream.dropped',
  /** Records that a flight recorder keeps and has not sent: as of now, not since a start. */
  kept: 'mk.stream.kept',
  /** Records that fell out of a flight recorder unsent, over all its runs. */
  overwritten: 'mk.stream.overwritten',
} as const;

/** How long messages between kernels took: an exponential histogram of seconds, of the receiver's resource. */
export const LATENCY_METRIC = 'mk.ikc.latency';
