/**
 * From the probe events of one incarnation to message halves and exchanges, by packs. Events are taken in order of time over
 * all CPUs; what is open at the end of a batch stays open for the next one.
 *
 *   task 77, no interrupt   mk_send ─ ipi_send ─ ipi_send_ret ─ mk_send_ret        one half: sent, claim inside the inner call
 *   task 77, in hardirq               mk_send ─ mk_send_ret                        an interrupt of the same task: a key of its own
 *   task 80                 pend_add ─ mk_send ─ … ─ pend_wait_ret                 request: the next sending of that subtype is its
 *   CPU 0, in hardirq       mk_recv ─ pend_done                                    answer: the receiving right before it is its
 */
import { TWO_POW_32 } from '../base/int64.ts';
import type { EventBatch } from '../model/event-batch.ts';
import { parseEventFilter } from './event-filter.ts';
import { keyOf, slotOf, toReaders, type KnownEvent, type Reader } from './half-readers.ts';
import { HALF, HalfBatch, NONE } from './ikc-halves.ts';
import { mixWords, toIdSeed, type IdSeed } from './ikc-ids.ts';
import { NO_SUBTYPE, type IkcPack } from './ikc-pack.ts';

/** `common_flags` that tell an interrupt from the task it interrupts: hardirq, softirq, NMI. */
const CONTEXT_FLAGS = 8 | 16 | 64;
/** A sending whose return has not come after this long was not recorded whole. */
const OPEN_NS = 2e9;
/** Requests are given up by the kernel after 30 s at most (graceful halt). */
const REQUEST_NS = 60e9;
const MAX_OPEN = 4096;
const ROLES: Readonly<Record<string, number>> = {
  send: 0,
  inner_send: 1,
  send_return: 2,
  inner_return: 3,
  receive: 4,
  request: 5,
  answer: 6,
  request_end: 7,
  failed: 8,
};

/** A request and what became of it. */
export interface IkcExchange {
  /** Id words. */
  readonly id: readonly [number, number];
  readonly type: number;
  readonly operation: number;
  readonly resource: bigint;
  readonly pid: number;
  /** Whom the request was sent to; NONE = its sending was not recorded. */
  responder: number;
  readonly startNs: bigint;
  /** 0 = the end of the wait was not recorded. */
  endNs: bigint;
  readonly errorNs: number;
  /** What the answer said, or -errno of the wait; undefined = neither was recorded. */
  result: number | undefined;
  state: 'answered' | 'timeout' | 'open';
  /** Moment of the answer; 0 = none. */
  answerNs: bigint;
  readonly pack: number;
}

interface OpenSend {
  isInner: boolean;
  row: number;
  /** Relative to the base, ns. */
  atNs: number;
  claimAtNs: number;
}

interface OpenRequest extends IkcExchange {
  readonly task: number;
  readonly atNs: number;
  hasMessage: boolean;
}

const ETIMEDOUT = -110;

export interface ExtractCounts {
  halves: number;
  /** Returns without an entry, entries without a return: the other record is lost. */
  orphanReturns: number;
  lostReturns: number;
}

export class HalfExtractor {
  readonly counts: ExtractCounts = { halves: 0, orphanReturns: 0, lostReturns: 0 };
  readonly #packs: readonly IkcPack[];
  /** By pack: without returns a sending is whole with its entry. */
  readonly #hasReturns: readonly boolean[];
  readonly #seed: IdSeed;
  /** Entries of the first pack that has an event of the name. */
  readonly #known = new Map<string, KnownEvent[]>();
  /** Sendings whose return is still to come; their rows are in `#held`. */
  readonly #open = new Map<number, OpenSend>();
  #held = new HalfBatch(64);
  #free: number[] = [];
  readonly #requests: OpenRequest[] = [];
  readonly #ended: IkcExchange[] = [];
  #baseNs: bigint | undefined;
  /** The last receiving of each ring: of a pack, and of its queue where it has several. */
  readonly #lastSlots = new Map<string | number, { readonly slot: number; readonly atNs: number }>();
  /** Row of the last receiving of each CPU in the batch at hand. */
  readonly #lastReceive = new Map<number, { readonly row: number; readonly atNs: number }>();

  constructor(packs: readonly IkcPack[], bootId: string) {
    this.#packs = packs;
    this.#hasReturns = packs.map(({ events }) => events.some(({ role }) => role === 'send_return'));
    this.#seed = toIdSeed(bootId);
    for (const [pack, { events }] of packs.entries()) {
      for (const event of events) {
        const role = ROLES[event.role];
        if (role === undefined) continue;
        // Text input has the bare names; those of probes are not likely another event's.
        const bare = event.event.slice(event.event.indexOf(':') + 1);
        for (const name of event.probe === undefined ? [event.event] : [event.event, bare]) {
          this.#know(name, { event, role, pack, filter: event.filter === undefined ? undefined : parseEventFilter(event.filter) });
        }
      }
    }
  }

  #know(name: string, entry: KnownEvent): void {
    const entries = this.#known.get(name);
    if (entries === undefined) this.#known.set(name, [entry]);
    else if (entries[0]?.pack === entry.pack) entries.push(entry);
  }

  /** Appends the halves of a batch whose times are aligned. `errorNs`: bound of these times. */
  extract(events: EventBatch, errorNs: number, out: HalfBatch): void {
    const readers = this.#readersOf(events);
    if (readers.length === 0) return;
    const { order, times, sources } = this.#sort(readers);
    this.#lastReceive.clear();
    for (const at of order) {
      const source = sources[at] as number;
      const reader = readers[Math.floor(source / TWO_POW_32)] as Reader;
      this.#take(reader, source % TWO_POW_32, times[at] as number, errorNs, out);
    }
    const lastNs = times[order.at(-1) ?? 0] ?? 0;
    this.#closeOld(lastNs, out);
  }

  /** Exchanges that have come to their end since the last call. */
  takeExchanges(): IkcExchange[] {
    return this.#ended.splice(0);
  }

  /** Everything that is still open, as it is: at the end of an input. */
  finish(out: HalfBatch): void {
    this.#closeOld(Infinity, out);
  }

  /** By table, since text input may have several of one name, with other fields. */
  #readersOf(events: EventBatch): Reader[] {
    return events.tables.flatMap((table) => {
      const known = table.length === 0 ? undefined : this.#known.get(table.schema.name);
      return known === undefined ? [] : toReaders(events, table, known);
    });
  }

  /** All rows of all readers by time; of one stamp, entries go before returns. */
  #sort(readers: readonly Reader[]): { order: Uint32Array; times: Float64Array; sources: Float64Array } {
    const total = readers.reduce((sum, { table, rows }) => sum + (rows ?? table).length, 0);
    const times = new Float64Array(total);
    const sources = new Float64Array(total);
    this.#baseNs ??= readers[0]?.table.unixTime.getBigint(0) ?? 0n;
    const [low, high] = wordsOf(this.#baseNs);
    let at = 0;
    let isSorted = true;
    for (const [index, { table, rows }] of readers.entries()) {
      const { words } = table.unixTime;
      const count = (rows ?? table).length;
      for (let place = 0; place < count; place++, at++) {
        const row = rows === undefined ? place : (rows[place] as number);
        times[at] = (((words[row * 2 + 1] as number) - high) | 0) * TWO_POW_32 + ((words[row * 2] as number) - low);
        sources[at] = index * TWO_POW_32 + row;
        if (at > 0 && (times[at] as number) < (times[at - 1] as number)) isSorted = false;
      }
    }
    const order = Uint32Array.from({ length: total }, (_, index) => index);
    const roleOf = (index: number): number => readers[Math.floor((sources[index] as number) / TWO_POW_32)]?.role ?? 0;
    if (!isSorted) order.sort((a, b) => (times[a] as number) - (times[b] as number) || roleOf(a) - roleOf(b) || a - b);
    return { order, times, sources };
  }

  #take(reader: Reader, row: number, atNs: number, errorNs: number, out: HalfBatch): void {
    const { table } = reader;
    const cpu = table.cpu[row] as number;
    const pid = table.pid[row] as number;
    const task = pid === 0 ? -1 - cpu : pid;
    const context = task * 256 + ((table.flags[row] as number) & CONTEXT_FLAGS);
    switch (reader.role) {
      case 0:
        this.#openSend(reader, row, atNs, context, task, errorNs, out);
        break;
      case 1:
        this.#openInner(reader, row, atNs, context, errorNs, out);
        break;
      case 2:
        this.#closeSend(reader, row, atNs, context, false, out);
        break;
      case 3:
        this.#closeSend(reader, row, atNs, context, true, out);
        break;
      case 4:
        this.#receive(reader, row, atNs, errorNs, out);
        break;
      case 5:
        this.#request(reader, row, atNs, task, errorNs);
        break;
      case 6:
        this.#answer(reader, row, atNs, cpu, out);
        break;
      case 8:
        this.#fail(reader, row, errorNs, out);
        break;
      default:
        this.#endRequest(reader, row, task);
    }
  }

  #openSend(reader: Reader, row: number, atNs: number, context: number, task: number, errorNs: number, out: HalfBatch): void {
    this.#forceClosed(context, out);
    const held = this.#hold();
    this.#fill(this.#held, held, reader, row, errorNs);
    this.#held.kind[held] = HALF.send;
    this.#nameRequest(held, task);
    const open: OpenSend = { isInner: false, row: held, atNs, claimAtNs: NONE };
    if (this.#hasReturns[reader.pack] === true) {
      this.#open.set(context, open);
      this.#bound(out);
    } else this.#close(context, open, NONE, 0, out);
  }

  #openInner(reader: Reader, row: number, atNs: number, context: number, errorNs: number, out: HalfBatch): void {
    const outer = this.#open.get(context);
    if (outer !== undefined && !outer.isInner && outer.claimAtNs === NONE) {
      outer.claimAtNs = atNs;
      return;
    }
    this.#forceClosed(context, out);
    const held = this.#hold();
    this.#fill(this.#held, held, reader, row, errorNs);
    const of = this.#held;
    of.kind[held] = HALF.send;
    const pack = this.#packs[reader.pack];
    if (pack?.rawTypes.includes(of.type[held] as number)) of.subtype[held] = 0;
    else {
      of.messageBytes[held] = Math.max(0, (of.messageBytes[held] as number) - (pack?.headerBytes ?? 0));
      // Its words begin with the header.
      of.key[held] = 0;
    }
    this.#open.set(context, { isInner: true, row: held, atNs, claimAtNs: atNs });
    this.#bound(out);
  }

  #closeSend(reader: Reader, row: number, atNs: number, context: number, isInner: boolean, out: HalfBatch): void {
    const open = this.#open.get(context);
    // The inner return of a whole sending: its own comes next, with the same result.
    if (open !== undefined && isInner && !open.isInner) return;
    if (open === undefined || open.isInner !== isInner) {
      this.counts.orphanReturns++;
      return;
    }
    const error = reader.low['error']?.(row) ?? 0;
    this.#close(context, open, atNs, error < 0 ? Math.max(error, -0x7fff) : 0, out);
  }

  #receive(reader: Reader, row: number, atNs: number, errorNs: number, out: HalfBatch): void {
    const to = out.openRow();
    this.#fill(out, to, reader, row, errorNs);
    out.kind[to] = HALF.receive;
    out.claimNs[to] = 0;
    out.endNs[to] = NONE;
    out.missing[to] = this.#stepTo(out.slot[to] as number, atNs, reader.pack, out.queue[to] as number);
    this.#lastReceive.set(out.cpu[to] as number, { row: to, atNs });
    this.counts.halves++;
  }

  /** The kernel has an event of its own for it. */
  #fail(reader: Reader, row: number, errorNs: number, out: HalfBatch): void {
    const to = out.openRow();
    this.#fill(out, to, reader, row, errorNs);
    const error = reader.low['error']?.(row) ?? -1;
    out.kind[to] = HALF.failed;
    out.error[to] = error < 0 ? Math.max(error, -0x7fff) : -1;
    this.counts.halves++;
  }

  /** Ring positions between the last receiving and this one that no record names. */
  #stepTo(slot: number, atNs: number, pack: number, queue: number): number {
    if (slot === NONE) return NONE;
    const ring = queue === 0 ? pack : `${pack}/${queue}`;
    const last = this.#lastSlots.get(ring);
    if (last !== undefined && atNs < last.atNs) return NONE;
    const slots = Object.values(this.#packs[pack]?.rings ?? {})[0]?.slots ?? 64;
    this.#lastSlots.set(ring, { slot, atNs });
    if (this.#lastSlots.size > MAX_OPEN) this.#lastSlots.delete(this.#lastSlots.keys().next().value as string);
    if (last === undefined) return NONE;
    const step = (slot - last.slot + slots) % slots;
    return step === 0 ? slots - 1 : step - 1;
  }

  #request(reader: Reader, row: number, atNs: number, task: number, errorNs: number): void {
    const { table, low } = reader;
    const resource = reader.resource(row);
    const raw = table.rawTime.words;
    const [a, b] = [raw[row * 2] as number, raw[row * 2 + 1] as number];
    const tag = (table.cpu[row] as number) | 0x2000_0000;
    const open: OpenRequest = {
      id: [mixWords(this.#seed[0], a, b, tag), mixWords(this.#seed[1], a, b, tag)],
      type: low['type']?.(row) ?? 0,
      operation: low['operation']?.(row) ?? 0,
      resource,
      pid: table.pid[row] as number,
      responder: NONE,
      startNs: table.unixTime.getBigint(row),
      endNs: 0n,
      errorNs,
      result: undefined,
      state: 'open',
      answerNs: 0n,
      pack: reader.pack,
      task,
      atNs,
      hasMessage: false,
    };
    if (this.#requests.length >= MAX_OPEN) this.#endOf(this.#requests[0] as OpenRequest);
    this.#requests.push(open);
  }

  /** The sending belongs to the request that its task has just announced. */
  #nameRequest(held: number, task: number): void {
    const of = this.#held;
    for (let at = this.#requests.length - 1; at >= 0; at--) {
      const open = this.#requests[at] as OpenRequest;
      if (open.task !== task || open.hasMessage || open.operation !== of.subtype[held]) continue;
      open.hasMessage = true;
      open.responder = of.peer[held] as number;
      of.exchange[held * 2] = open.id[0];
      of.exchange[held * 2 + 1] = open.id[1];
      return;
    }
  }

  #answer(reader: Reader, row: number, atNs: number, cpu: number, out: HalfBatch): void {
    const { table, low } = reader;
    const operation = low['operation']?.(row) ?? 0;
    const type = low['type']?.(row) ?? 0;
    const resource = reader.resource(row);
    const open = this.#requests.find(
      (one) => one.operation === operation && one.type === type && one.resource === resource && one.answerNs === 0n,
    );
    if (open === undefined) return;
    open.answerNs = table.unixTime.getBigint(row);
    open.result = low['result']?.(row) ?? 0;
    open.state = 'answered';
    const received = this.#lastReceive.get(cpu);
    const answers = this.#packs[reader.pack]?.answerSubtypes ?? [];
    if (received === undefined || atNs - received.atNs > 1e6 || !answers.includes(out.subtype[received.row] as number)) return;
    out.exchange[received.row * 2] = open.id[0];
    out.exchange[received.row * 2 + 1] = open.id[1];
  }

  #endRequest(reader: Reader, row: number, task: number): void {
    const open = this.#requests.find((one) => one.task === task);
    if (open === undefined) return;
    const result = reader.low['result']?.(row) ?? 0;
    open.endNs = reader.table.unixTime.getBigint(row);
    if (result === ETIMEDOUT && open.answerNs === 0n) open.state = 'timeout';
    else open.state = 'answered';
    open.result ??= result;
    this.#endOf(open);
  }

  #endOf(open: OpenRequest): void {
    this.#requests.splice(this.#requests.indexOf(open), 1);
    const { task: _task, atNs: _at, hasMessage: _has, ...exchange } = open;
    this.#ended.push(exchange);
  }

  #fill(to: HalfBatch, at: number, reader: Reader, row: number, errorNs: number): void {
    const { table, event, low, pack } = reader;
    const { fixed } = event;
    to.time.words[at * 2] = table.unixTime.words[row * 2] as number;
    to.time.words[at * 2 + 1] = table.unixTime.words[row * 2 + 1] as number;
    const rawLow = table.rawTime.words[row * 2] as number;
    const rawHigh = table.rawTime.words[row * 2 + 1] as number;
    to.raw.words[at * 2] = rawLow;
    to.raw.words[at * 2 + 1] = rawHigh;
    const cpu = table.cpu[row] as number;
    to.id[at * 2] = mixWords(this.#seed[0], rawLow, rawHigh, cpu);
    to.id[at * 2 + 1] = mixWords(this.#seed[1], rawLow, rawHigh, cpu);
    to.exchange[at * 2] = 0;
    to.exchange[at * 2 + 1] = 0;
    to.claimNs[at] = 0;
    to.endNs[at] = NONE;
    to.errorNs[at] = errorNs;
    to.peer[at] = low['peer']?.(row) ?? low['fromKernel']?.(row) ?? fixed?.peer ?? NONE;
    to.fromCpu[at] = low['fromCpu']?.(row) ?? NONE;
    to.type[at] = low['type']?.(row) ?? fixed?.type ?? 0;
    to.subtype[at] = low['subtype']?.(row) ?? fixed?.subtype ?? NO_SUBTYPE;
    to.messageBytes[at] = Math.max(0, (low['length']?.(row) ?? low['size']?.(row) ?? 0) + (event.lengthBias ?? 0));
    to.key[at] = keyOf(reader, row, to.messageBytes[at] as number);
    to.queue[at] = low['queue']?.(row) ?? fixed?.queue ?? 0;
    to.slot[at] = low['slot'] === undefined ? NONE : slotOf(low['slot'](row), event, this.#packs[pack]);
    to.missing[at] = NONE;
    to.error[at] = 0;
    to.pid[at] = table.pid[row] as number;
    to.cpu[at] = cpu;
    to.pack[at] = pack;
    to.printed[at] = 0;
  }

  #hold(): number {
    return this.#free.pop() ?? this.#held.openRow();
  }

  /** Another entry of the same task: the return of the one before was not recorded. */
  #forceClosed(context: number, out: HalfBatch): void {
    const open = this.#open.get(context);
    if (open === undefined) return;
    this.counts.lostReturns++;
    this.#close(context, open, NONE, 1, out);
  }

  #close(context: number, { row, atNs, claimAtNs }: OpenSend, endAtNs: number, error: number, out: HalfBatch): void {
    this.#open.delete(context);
    this.#free.push(row);
    const to = out.openRow();
    out.copyRow(to, this.#held, row);
    if (error < 0) out.kind[to] = HALF.failed;
    out.error[to] = error;
    out.claimNs[to] = claimAtNs === NONE ? 0 : claimAtNs - atNs;
    out.endNs[to] = endAtNs === NONE ? NONE : endAtNs - atNs;
    this.counts.halves++;
  }

  #bound(out: HalfBatch): void {
    if (this.#open.size > MAX_OPEN) this.#forceClosed(this.#open.keys().next().value as number, out);
  }

  #closeOld(nowNs: number, out: HalfBatch): void {
    for (const [context, { atNs }] of this.#open) if (nowNs - atNs > OPEN_NS) this.#forceClosed(context, out);
    while (this.#requests[0] !== undefined && nowNs - this.#requests[0].atNs > REQUEST_NS) this.#endOf(this.#requests[0]);
  }
}

function wordsOf(value: bigint): [number, number] {
  return [Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n))];
}
