/**
 * What an imported trace.dat needs beyond other files: its clocks, and the host recordings that guests' recordings lean on.
 *
 *   guest raw ──TIME_SHIFT──► host raw ──TSC2NSEC──► ns ──line──► Unix ns
 *
 * The line is, best first: the host's, where a recording with the trace id that TIME_SHIFT names is in this store; the time zero that the user gave; the DATE option; the clock `tai` itself; the time at which the file was
 * last written, taken for its last event.
 */
import { fromFitFields, toFitFields, type ClockFit } from '../clock/fit.ts';
import { decodeUtf8 } from '../base/bytes.ts';
import { hasSamples } from '../clock/time-shift.ts';
import { toTraceNs, toTraceUnixNs, traceErrorNs, type TraceTimeline } from '../clock/trace-timeline.ts';
import type { EventFile, CpuSpan, EventFileInfo, EventFileStream } from '../model/event-file.ts';
import type { Gap } from '../model/gap.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { InputLoss } from '../model/parser.ts';
import { NO_RAW_TIME, type ClockDomain } from '../model/time.ts';
import { findRecordingClock, type Recording, type RecordingTexts } from '../store/recording-rows.ts';
import type { Store } from '../store/store.ts';
import { toCommLines } from './export-recording.ts';
import { FILE_TIME_ERROR_NS, GIVEN_ERROR_NS, type BootClock, type ClockHints, type ClockOrigin } from './import-boots.ts';

/** trace-cmd brackets a marker between two looks at the clock, ten times, and keeps µs: some of both, on a busy machine. */
const DATE_ERROR_NS = 1_000_000;
/** The trace clock against the wall clock, from the start of the recording on, where DATE was taken. */
const DRIFT = 500e-6;
/** TAI is 37 s ahead of UTC, unless nobody told the kernel: then it is UTC. */
const TAI_SHIFT_NS = 18_500_000_000n;
const TAI_ERROR_NS = 18_600_000_000;
/** The clock `uptime` counts hundredths of a second. */
const UPTIME_TICK_NS = 10_000_000;

export interface TraceStream {
  readonly stream: EventFileStream;
  /** As it is stored: `file:<name>`, `file:<name>/<instance>`. */
  readonly name: string;
  readonly spans: ReadonlyMap<number, CpuSpan>;
  readonly timeline: TraceTimeline;
}

export interface TraceClocks {
  readonly origin: ClockOrigin;
  readonly streams: readonly TraceStream[];
  /** The largest bound of any event. */
  readonly errorNs: number;
}

/** Names and clocks of the file's streams. */
export async function planTrace(
  file: EventFile,
  store: Store,
  streamName: string,
  hints: Omit<ClockHints, 'isUnix' | 'host'>,
): Promise<TraceClocks> {
  const surveyed = file.streams.map((stream) => ({ stream, spans: new Map(stream.survey().map((span) => [span.cpu, span])) }));
  const { info } = file;
  const host = await findHost(store, info);
  const main = surveyed.filter(({ stream }) => stream.clock === info.clock).flatMap(({ spans }) => spans.values().toArray());
  const { timeline, origin } = host ?? fitTrace(info, info.clock, main, hints);
  const end = endOf(timeline, main);
  const streams = surveyed.map(({ stream, spans }): TraceStream => {
    const name = stream.instance === '' ? streamName : `${streamName}/${stream.instance}`;
    if (stream.clock === info.clock || main.length === 0) return { stream, name, spans, timeline };
    return { stream, name, spans, timeline: fitBeside(stream.clock, [...spans.values()], end, timeline) };
  });
  const errors = streams.flatMap(({ timeline: own, spans }) =>
    [...spans.values()].map(({ cpu, firstRaw, lastRaw }) => traceErrorNs(own, cpu, [firstRaw, lastRaw])),
  );
  return { origin, streams, errorNs: Math.max(timeline.fit.errorNs, ...errors) };
}

async function findHost(store: Store, { timeShift }: EventFileInfo): Promise<BootTimeline | undefined> {
  if (timeShift === undefined || !hasSamples(timeShift)) return undefined;
  const host = await findRecordingClock(store, timeShift.peerTraceId);
  if (host === undefined) return undefined;
  return { timeline: { shift: timeShift, tscToNs: host.tscToNs, fit: fromFitFields(host.fit) }, origin: 'clock of the host' };
}

/** What the recordings of this one's guests will want to know of it; undefined where none can name it, or it is itself a guest's. */
export function toRecording({ info }: EventFile, { streams }: TraceClocks, identity: KernelIdentity): Recording | undefined {
  const main = streams.find(({ stream }) => stream.clock === info.clock)?.timeline;
  if (info.traceId === undefined || main === undefined || main.shift !== undefined) return undefined;
  return { identity, traceId: info.traceId, fit: toFitFields(main.fit), tscToNs: main.tscToNs, guests: info.guests };
}

/** Names of tasks as text. */
export function toNames(comms: EventFileInfo['comms']): Record<string, string> {
  return Object.fromEntries(Object.entries(comms).map(([pid, comm]) => [pid, Buffer.from(comm, 'latin1').toString()]));
}

/** What an export of its stored events will want to have of the file. */
export function toRecordingTexts({ info }: EventFile, bootId: string, stream: string): RecordingTexts {
  const texts = {
    kallsyms: decodeUtf8(info.readKallsyms()),
    saved_cmdlines: toCommLines(info.comms),
    options: JSON.stringify(info.options.map(({ id, bytes }) => [id, Buffer.from(bytes).toString('base64')])),
  };
  return { bootId, stream, texts };
}

interface BootTimeline {
  readonly timeline: TraceTimeline;
  readonly origin: BootClock['origin'];
}

function fitTrace(
  info: EventFileInfo,
  clock: ClockDomain,
  spans: readonly CpuSpan[],
  hints: Omit<ClockHints, 'isUnix' | 'host'>,
): BootTimeline {
  const tscToNs = clock === 'x86-tsc' ? info.tscToNs : undefined;
  const steps = { shift: undefined, tscToNs };
  const nsPerTick = clock === 'uptime' ? UPTIME_TICK_NS : 1;
  const { first, last } = rangeOf(steps, spans);
  const spanNs = Number(last - first) * nsPerTick;
  const line = (zeroUnixNs: bigint, errorNs: number): TraceTimeline => ({
    ...steps,
    fit: { baseRaw: 0n, baseUnixNs: zeroUnixNs, nsPerTick, errorNs },
  });
  if (hints.timeZeroUnixNs !== undefined) {
    return { timeline: line(hints.timeZeroUnixNs + info.offsetNs, GIVEN_ERROR_NS), origin: 'time zero given' };
  }
  // trace-cmd takes DATE as if the clock counted ns, which leaves nothing to go by where it counts something else.
  if (info.dateOffsetNs !== undefined && isNanoseconds(clock)) {
    return { timeline: line(info.dateOffsetNs + info.offsetNs, DATE_ERROR_NS + Math.ceil(spanNs * DRIFT)), origin: 'date of the file' };
  }
  if (clock === 'tai') return { timeline: line(-TAI_SHIFT_NS, TAI_ERROR_NS), origin: 'unix stamps' };
  const zero = hints.modifiedUnixNs - BigInt(Math.round(Number(last) * (nsPerTick - 1))) - last;
  return { timeline: line(zero, FILE_TIME_ERROR_NS), origin: 'end of the file' };
}

/** Another clock in the same file: buffers of one recording end together, to the length of the recording. */
function fitBeside(clock: ClockDomain, spans: readonly CpuSpan[], endUnixNs: bigint, main: TraceTimeline): TraceTimeline {
  const steps = { shift: undefined, tscToNs: clock === 'x86-tsc' ? main.tscToNs : undefined };
  const { first, last } = rangeOf(steps, spans);
  const fit: ClockFit = {
    baseRaw: last,
    baseUnixNs: endUnixNs,
    nsPerTick: clock === 'uptime' ? UPTIME_TICK_NS : 1,
    errorNs: main.fit.errorNs + Number(last - first),
  };
  return { ...steps, fit };
}

function isNanoseconds(clock: ClockDomain): boolean {
  return clock !== 'x86-tsc' && clock !== 'counter' && clock !== 'uptime';
}

/** First and last time of the spans, before the fit; both 0 where there are none. */
function rangeOf(steps: Omit<TraceTimeline, 'fit'>, spans: readonly CpuSpan[]): { readonly first: bigint; readonly last: bigint } {
  let first: bigint | undefined;
  let last: bigint | undefined;
  for (const { cpu, firstRaw, lastRaw } of spans) {
    if (firstRaw === NO_RAW_TIME) continue;
    const from = toTraceNs(steps, cpu, firstRaw);
    const to = toTraceNs(steps, cpu, lastRaw);
    if (first === undefined || from < first) first = from;
    if (last === undefined || to > last) last = to;
  }
  return { first: first ?? 0n, last: last ?? 0n };
}

function endOf(timeline: TraceTimeline, spans: readonly CpuSpan[]): bigint {
  let end = timeline.fit.baseUnixNs;
  for (const { cpu, lastRaw } of spans) {
    const unix = lastRaw === NO_RAW_TIME ? end : toTraceUnixNs(timeline, cpu, lastRaw);
    if (unix > end) end = unix;
  }
  return end;
}

/** A loss as a gap; one that nobody can place in time has the window of its CPU, or of all where its CPU has no pages. */
export function toTraceGap({ cpu, count, fromRaw, toRaw, reason }: InputLoss, { name, spans, timeline }: TraceStream): Gap {
  const isPlaced = fromRaw !== NO_RAW_TIME || toRaw !== NO_RAW_TIME;
  const own = spans.get(cpu);
  const window = own === undefined || own.lastRaw === NO_RAW_TIME ? spans.values().toArray() : [own];
  const placed = { cpu, firstRaw: pick(fromRaw, toRaw), lastRaw: pick(toRaw, fromRaw) };
  const times = (isPlaced ? [placed] : window)
    .filter(({ lastRaw }) => lastRaw !== NO_RAW_TIME)
    .flatMap((span) => [toTraceUnixNs(timeline, span.cpu, span.firstRaw), toTraceUnixNs(timeline, span.cpu, span.lastRaw)])
    .sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const { baseUnixNs } = timeline.fit;
  return { stream: name, cpu, fromUnixNs: times[0] ?? baseUnixNs, toUnixNs: times.at(-1) ?? baseUnixNs, count, reason };
}

function pick(raw: bigint, other: bigint): bigint {
  return raw === NO_RAW_TIME ? other : raw;
}

/** `Linux vm 6.18.44 x86_64` */
export function parseUname(uname: string): { readonly release: string; readonly arch: string } {
  const words = uname.split(' ');
  return words.length < 4
    ? { release: '', arch: '' }
    : { release: (words[2] ?? '').slice(0, 128), arch: (words.at(-1) ?? '').slice(0, 64) };
}
