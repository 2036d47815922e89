/**
 * What ran on each CPU, from sched_switch, reduced to the pixels of a picture inside ClickHouse: of ten million switches only
 * one row per CPU and pixel leaves the database.
 *
 *   pixel     |      0      |      1      |      2      |
 *   switches  |   A→B       | B→C C→B B→I |             |      each row: time, prev (who leaves), next (who comes)
 *   row       |   first=last| first … last|             |      first, last: times of the pixel's first and last switch
 *   slices    |AAA BBBBBBBBBBBB ▒▒▒▒       idle         |      between pixels exact; ▒ = 3 switches merged within one
 *
 * A merged slice is as long as its tasks ran in it, so the ink of a lane is the CPU's load at any zoom. The task shown for it
 * is the one that came most often. A CPU that never switched in the window keeps the state of its last switch before it.
 */
import type { Timeline, TimelineLane } from '../../model/api.ts';
import { addAlignedRange, toAlignedTime, type AlignedTime } from './aligned-time.ts';
import type { Revision } from './clocks.ts';
import { Conditions } from './conditions.ts';
import { parseSlots, switchColumns, type SwitchColumns } from './switch-columns.ts';
import type { Store } from '../store.ts';
import { queryGaps } from './gaps.ts';

/** Marks beyond this are left out, the least severe first. */
const MAX_MARKS = 2_000;
/** How far back the state at the left edge is looked for. */
const LOOK_BACK_NS = 10_000_000_000n;
/** Window of a first picture when the page names none. */
const FIRST_WINDOW_NS = 10_000_000_000n;

export interface TimelineQuery {
  readonly boot: string;
  readonly from?: string;
  readonly to?: string;
  readonly width: number;
}

interface Extent {
  readonly kernelName: string;
  readonly from: bigint;
  readonly to: bigint;
  readonly cpus: readonly number[];
}

interface Pixel {
  cpu: number;
  switches: number;
  first: number;
  last: number;
  /** Who left at the first switch, who came at the last, who came most often. */
  prevPid: number;
  prevComm: string;
  nextPid: number;
  nextComm: string;
  topPid: number;
  topComm: string;
  /** Time that tasks other than idle ran between first and last. */
  busy: number;
}

/** `revisions`: stretches of clocks that older rows are read along. */
export async function queryTimeline(store: Store, query: TimelineQuery, revisions: readonly Revision[] = []): Promise<Timeline> {
  const startMs = performance.now();
  const extent = await queryExtent(store, query.boot);
  const to = query.to === undefined ? (extent?.to ?? 0n) : BigInt(query.to);
  const from = query.from === undefined ? maxOf(to - FIRST_WINDOW_NS, extent?.from ?? 0n) : BigInt(query.from);
  const columns = switchColumns(await parseSlots(store));
  const span = to > from ? to - from : 1n;
  const aligned = toAlignedTime(revisions, from - LOOK_BACK_NS, to, query.boot);
  const lanes = new LaneBuilder(extent?.cpus ?? []);
  if (extent !== undefined && columns !== undefined && to > from) {
    // What is drawn ends where recording ended; what ran afterwards is not known.
    const endNs = Number((extent.to < to ? extent.to : to) - from);
    for (const state of await queryStates(store, query.boot, columns, from)) lanes.setState(state.cpu, state.nextPid, state.nextComm);
    lanes.addPixels(await queryPixels(store, query, columns, aligned, from, to));
    lanes.finish(Math.max(0, endNs));
  }
  const window = { boot: query.boot, from: String(from), to: String(to) };
  return {
    bootId: query.boot,
    kernelName: extent?.kernelName ?? '',
    from: String(from),
    to: String(from + span),
    comms: lanes.comms,
    lanes: lanes.toLanes(),
    marks: await queryMarks(store, window, aligned, from),
    gaps: await queryGapBands(store, window, from, to),
    events: lanes.switches,
    storedFrom: extent === undefined ? '' : String(extent.from),
    storedTo: extent === undefined ? '' : String(extent.to),
    tookMs: performance.now() - startMs,
  };
}

/** Everything stored of the boot: events, and where there are none, its log. */
async function queryExtent(store: Store, boot: string): Promise<Extent | undefined> {
  const [found] = await store.query<{ rows: number; name: string; first: string; last: string; cpus: number[] }>(
    `SELECT toFloat64(count()) AS rows, any(KernelName) AS name, toString(toUnixTimestamp64Nano(min(Timestamp))) AS first,
       toString(toUnixTimestamp64Nano(max(Timestamp))) AS last, arraySort(groupUniqArray(Cpu)) AS cpus
     FROM events WHERE BootId = {boot:String}`,
    { params: { boot } },
  );
  if (found !== undefined && found.rows > 0) return toExtent(found);
  const [log] = await store.query<{ rows: number; name: string; first: string; last: string; cpus: number[] }>(
    `SELECT toFloat64(count()) AS rows, any(KernelName) AS name, toString(toUnixTimestamp64Nano(min(Timestamp))) AS first,
       toString(toUnixTimestamp64Nano(max(Timestamp))) AS last, emptyArrayUInt16() AS cpus
     FROM otel_logs WHERE BootId = {boot:String}`,
    { params: { boot } },
  );
  return log !== undefined && log.rows > 0 ? toExtent(log) : undefined;
}

function toExtent(row: { name: string; first: string; last: string; cpus: number[] }): Extent {
  return { kernelName: row.name, from: BigInt(row.first), to: BigInt(row.last), cpus: row.cpus };
}

async function queryPixels(
  store: Store,
  query: TimelineQuery,
  columns: SwitchColumns,
  aligned: AlignedTime,
  from: bigint,
  to: bigint,
): Promise<Pixel[]> {
  const where = addAlignedRange(new Conditions(), aligned, String(from), String(to))
    .add("BootId = {boot:String} AND Event IN ('sched:sched_switch', 'sched_switch')", { boot: query.boot })
    .addParams(aligned.params);
  const pixelNs = (to - from) / BigInt(query.width) + 1n;
  // Each switch as one number: its time, and in the lowest bit whether a task (not idle) left. Sorted, neighbours give how long
  // it ran. A window function would say the same in more than twice the time.
  return store.query<Pixel>(
    `SELECT * EXCEPT (edges), toFloat64(arraySum((ran, edge) -> if(bitAnd(edge, 1) = 1, ran, 0),
         arrayDifference(arrayMap(edge -> intDiv(edge, 2), edges)), edges)) AS busy
     FROM (
       SELECT cpu, toFloat64(count()) AS switches, toFloat64(min(t)) AS first, toFloat64(max(t)) AS last,
         toFloat64(argMin(prev, t)) AS prevPid, argMin(prevName, t) AS prevComm,
         toFloat64(argMax(next, t)) AS nextPid, argMax(nextName, t) AS nextComm,
         toFloat64(anyHeavyIf(prev, prev != 0)) AS topPid, anyHeavyIf(prevName, prev != 0) AS topComm,
         arraySort(groupArray(t * 2 + (prev != 0))) AS edges
       FROM (
         SELECT Cpu AS cpu, toUnixTimestamp64Nano(${aligned.time}) - {fromNs:Int64} AS t, ${columns.prevPid} AS prev,
           ${columns.prevComm} AS prevName, ${columns.nextPid} AS next, ${columns.nextComm} AS nextName
         FROM events${where.toSql()}
       )
       GROUP BY cpu, intDiv(t, {pixelNs:Int64}) AS pixel
     )
     ORDER BY cpu, first`,
    where.addParams({ fromNs: String(from), pixelNs: String(pixelNs) }).toOptions(),
  );
}

/** The last switch of each CPU before the window. */
async function queryStates(
  store: Store,
  boot: string,
  columns: SwitchColumns,
  from: bigint,
): Promise<{ cpu: number; nextPid: number; nextComm: string }[]> {
  return store.query(
    `SELECT Cpu AS cpu, toFloat64(argMax(${columns.nextPid}, Timestamp)) AS nextPid, argMax(${columns.nextComm}, Timestamp) AS nextComm
     FROM events
     WHERE BootId = {boot:String} AND Event IN ('sched:sched_switch', 'sched_switch')
       AND Timestamp < fromUnixTimestamp64Nano({fromNs:Int64}) AND Timestamp >= fromUnixTimestamp64Nano({backNs:Int64})
     GROUP BY cpu`,
    { params: { boot, fromNs: String(from), backNs: String(maxOf(from - LOOK_BACK_NS, 0n)) } },
  );
}

interface Window {
  readonly boot: string;
  readonly from: string;
  readonly to: string;
}

async function queryMarks(store: Store, window: Window, aligned: AlignedTime, from: bigint): Promise<Timeline['marks']> {
  const where = addAlignedRange(new Conditions(), aligned, window.from, window.to)
    .add('BootId = {boot:String}', { boot: window.boot })
    .addParams(aligned.params);
  const rows = await store.query<{ timeNs: string; level: number; body: string }>(
    `SELECT toString(toUnixTimestamp64Nano(${aligned.time})) AS timeNs, Level AS level, substringUTF8(Body, 1, 400) AS body
     FROM otel_logs${where.toSql()} ORDER BY level, Timestamp DESC LIMIT ${MAX_MARKS}`,
    where.toOptions(),
  );
  const marks = rows.map(({ timeNs, level, body }) => ({ at: Number(BigInt(timeNs) - from), level, body })).sort((a, b) => a.at - b.at);
  return { timeNs: marks.map((mark) => mark.at), level: marks.map((mark) => mark.level), body: marks.map((mark) => mark.body) };
}

async function queryGapBands(store: Store, window: Window, from: bigint, to: bigint): Promise<Timeline['gaps']> {
  const gaps = await queryGaps(store, { ...window, limit: MAX_MARKS });
  return gaps.map((gap) => ({
    cpu: gap.cpu,
    startNs: Number(maxOf(BigInt(gap.fromUnixNs), from) - from),
    endNs: Number((BigInt(gap.toUnixNs) < to ? BigInt(gap.toUnixNs) : to) - from),
    count: gap.count,
    reason: gap.reason,
  }));
}

interface Lane extends TimelineLane {
  readonly startNs: number[];
  readonly endNs: number[];
  readonly pid: number[];
  readonly comm: number[];
  readonly merged: number[];
  /** Who runs since `sinceNs`; undefined = not known. */
  running: { pid: number; comm: string } | undefined;
  sinceNs: number;
}

class LaneBuilder {
  readonly comms: string[] = [];
  switches = 0;
  readonly #ids = new Map<string, number>();
  readonly #lanes = new Map<number, Lane>();

  constructor(cpus: readonly number[]) {
    for (const cpu of cpus) this.#laneOf(cpu);
  }

  setState(cpu: number, pid: number, comm: string): void {
    this.#laneOf(cpu).running = { pid, comm };
  }

  addPixels(pixels: readonly Pixel[]): void {
    // The two most frequent values of a pixel need not be a pair: a pid's name is better taken from where they stand together.
    const names = new Map<number, string>();
    for (const pixel of pixels) names.set(pixel.prevPid, pixel.prevComm).set(pixel.nextPid, pixel.nextComm);
    for (const pixel of pixels) this.#addPixel({ ...pixel, topComm: names.get(pixel.topPid) ?? pixel.topComm });
  }

  #addPixel(pixel: Pixel): void {
    const lane = this.#laneOf(pixel.cpu);
    this.switches += pixel.switches;
    // The first switch tells who ran until then, whatever was known before (events may have been lost in between).
    this.#addSlice(lane, lane.sinceNs, pixel.first, pixel.prevPid, pixel.prevComm, 1);
    if (pixel.last > pixel.first)
      this.#addSlice(lane, pixel.first, pixel.first + pixel.busy, pixel.topPid, pixel.topComm, pixel.switches - 1);
    lane.running = { pid: pixel.nextPid, comm: pixel.nextComm };
    lane.sinceNs = pixel.last;
  }

  finish(endNs: number): void {
    for (const lane of this.#lanes.values()) {
      if (lane.running !== undefined) this.#addSlice(lane, lane.sinceNs, endNs, lane.running.pid, lane.running.comm, 1);
    }
  }

  toLanes(): TimelineLane[] {
    return [...this.#lanes.values()]
      .sort((a, b) => a.cpu - b.cpu)
      .map(({ cpu, startNs, endNs, pid, comm, merged }) => ({ cpu, startNs, endNs, pid, comm, merged }));
  }

  /** Idle (pid 0) is the empty lane. */
  #addSlice(lane: Lane, startNs: number, endNs: number, pid: number, comm: string, merged: number): void {
    if (pid === 0 || endNs <= startNs) return;
    lane.startNs.push(startNs);
    lane.endNs.push(endNs);
    lane.pid.push(pid);
    lane.comm.push(this.#idOf(comm));
    lane.merged.push(merged);
  }

  #idOf(comm: string): number {
    let id = this.#ids.get(comm);
    if (id === undefined) {
      id = this.comms.push(comm) - 1;
      this.#ids.set(comm, id);
    }
    return id;
  }

  #laneOf(cpu: number): Lane {
    let lane = this.#lanes.get(cpu);
    if (lane === undefined) {
      lane = { cpu, startNs: [], endNs: [], pid: [], comm: [], merged: [], running: undefined, sinceNs: 0 };
      this.#lanes.set(cpu, lane);
    }
    return lane;
  }
}

function maxOf(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
