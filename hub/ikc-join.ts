/**
 * Messages between kernels out of what the hub takes in: events of probes (and lines, where a kernel has no probes) → halves →
 * matcher → rows of `ikc_messages` and `ikc_exchanges`, and spans. A row and its spans are one append, so that a row says which
 * spans are written. Machines are apart: messages never cross them.
 */
import { toHex } from '../base/bytes.ts';
import { messageOf, isOperational } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { keepLast } from '../base/recent-map.ts';
import { HalfExtractor, type IkcExchange } from '../correlate/extract-halves.ts';
import { HalfBatch } from '../correlate/ikc-halves.ts';
import type { Incarnation } from '../correlate/ikc-kernels.ts';
import { nameOfSubtype, nameOfType, type IkcPack } from '../correlate/ikc-pack.ts';
import { addCounts, NO_COUNTS, type MatchCounts } from '../correlate/match-counts.ts';
import { IkcMatcher } from '../correlate/match-ikc.ts';
import { PrintedReader } from '../correlate/printed-halves.ts';
import type { EventBatch } from '../model/event-batch.ts';
import type { Gap } from '../model/gap.ts';
import { MESSAGE_STATE, MessageBatch, type IkcExchangeRow } from '../model/ikc-message.ts';
import { HOST_KERNEL_ID, toResource, toScope, type KernelIdentity } from '../model/identity.ts';
import type { LogBatch } from '../model/log-batch.ts';
import type { FormatSet } from '../model/segment.ts';
import type { Store, StoreBatch } from '../store/store.ts';
import { addClientSpan, addMessageSpans, addServerSpan, hasId, SpanSheets, writeTraceId } from './ikc-spans.ts';

const CPU_ASSIGNED = 'mk.instance.cpu.assign';
/** Said by the host when a kernel is gone, whatever ended it. */
const ENDED = 'mk.instance.halted';
/** Machines at a time; the one that was heard longest ago is finished first. */
const MAX_MACHINES = 1_024;
/** Boots of a machine whose events are looked at; of the one that was heard longest ago, calls that are open are given up. */
const MAX_EXTRACTORS = 512;
/** Incarnations after which a machine is finished and begins anew: some two hours of a kernel that restarts every second. */
const MAX_INCARNATIONS = 8_192;
/** Exchanges of which one message was seen and the other is still to come. */
const MAX_HALF_ANSWERED = 4096;

const log = createLogger('ikc');

interface HalfAnswered {
  kernel: number;
  receivedNs: bigint;
  answeredNs: bigint;
  operationName: string;
  readonly system: string;
}

class MachineJoin {
  readonly matcher = new IkcMatcher();
  readonly machine: Pick<KernelIdentity, 'machineId' | 'machineName'>;
  readonly extractors = new Map<string, HalfExtractor>();
  /** By incarnation, the packs of which it has probes: their lines are not read. */
  readonly probed = new Map<string, Set<number>>();
  readonly exchanges: { readonly kernel: Incarnation; readonly exchange: IkcExchange }[] = [];
  readonly halfAnswered = new Map<string, HalfAnswered>();
  out = new MessageBatch();

  constructor(machine: Pick<KernelIdentity, 'machineId' | 'machineName'>) {
    this.machine = machine;
  }
}

/** A moment of a kernel on its trace clock. */
interface Moment {
  readonly bootId: string;
  readonly raw: bigint;
}

export interface JoinParts {
  readonly store: Store;
  readonly version: string;
  readonly packs: readonly IkcPack[];
  /** Told of each pair that probes recorded: it bounds how the two clocks stand to each other. */
  readonly onMatched?: (machineId: string, send: Moment, receive: Moment, confidence: number) => void;
  /** Told of all rows of messages before they are stored; columns of kernels are indices of the list, trace ids 16 bytes each. */
  readonly onDecided?: (batch: MessageBatch, kernels: readonly KernelIdentity[], traceIds: Uint8Array) => void;
}

export class IkcJoin {
  readonly packs: readonly IkcPack[];
  /** Events that the packs know. */
  readonly eventNames: ReadonlySet<string>;
  readonly #onMatched: JoinParts['onMatched'];
  readonly #onDecided: JoinParts['onDecided'];
  readonly #store: Store;
  readonly #version: string;
  readonly #machines = new Map<string, MachineJoin>();
  /** The pack of each event that is a probe. */
  readonly #probePacks = new Map<string, number>();
  readonly #formats = new WeakMap<FormatSet, ReadonlySet<number>>();
  readonly #printed: PrintedReader;
  /** Rows that could not be stored yet. */
  readonly #pending: StoreBatch[] = [];
  readonly #halves = new HalfBatch();
  /** Of machines that are finished. */
  #gone: MatchCounts = NO_COUNTS;

  constructor({ store, version, packs, onMatched, onDecided }: JoinParts) {
    this.#onMatched = onMatched;
    this.#onDecided = onDecided;
    this.#store = store;
    this.#version = version;
    this.packs = packs;
    const events = packs.flatMap((pack) => pack.events);
    // Text input has the bare names of events; those of probes are not likely another event's.
    const bare = events.filter(({ probe }) => probe !== undefined).map(({ event }) => event.slice(event.indexOf(':') + 1));
    this.eventNames = new Set([...events.map(({ event }) => event), ...bare]);
    for (const [pack, { events: own }] of packs.entries())
      for (const { event, probe } of own) if (probe !== undefined && !this.#probePacks.has(event)) this.#probePacks.set(event, pack);
    this.#printed = new PrintedReader(packs);
  }

  /** A kernel is there; with formats of probes its lines about messages are not read. */
  noteKernel(identity: KernelIdentity, seenNs: bigint, formats?: FormatSet): Incarnation {
    const machine = this.#machineOf(identity);
    if (formats !== undefined) for (const pack of this.#packsIn(formats)) noteProbed(machine, identity, pack);
    return machine.matcher.kernels.note(identity, seenNs);
  }

  /** Events of a kernel whose times are aligned. `known`: ids of halves that are to be left out. */
  addEvents(identity: KernelIdentity, batch: EventBatch, errorNs: number, nowMs: number, known?: ReadonlySet<string>): void {
    const machine = this.#machineOf(identity);
    const extractor = machine.extractors.get(identity.bootId) ?? new HalfExtractor(this.packs, identity.bootId);
    machine.extractors.delete(identity.bootId);
    machine.extractors.set(identity.bootId, extractor);
    if (machine.extractors.size > MAX_EXTRACTORS) this.#finishFirst(machine, nowMs);
    this.#halves.length = 0;
    extractor.extract(batch, errorNs, this.#halves);
    this.#take(machine, identity, extractor, nowMs, known);
  }

  #take(machine: MachineJoin, identity: KernelIdentity, extractor: HalfExtractor, nowMs: number, known?: ReadonlySet<string>): void {
    const halves = known === undefined ? this.#halves : withoutKnown(this.#halves, known);
    const ended = extractor.takeExchanges();
    if (this.#halves.length === 0 && ended.length === 0) return;
    for (let row = 0; row < this.#halves.length; row++) noteProbed(machine, identity, this.#halves.pack[row] as number);
    const kernel = machine.matcher.kernels.note(identity, earliestOf(this.#halves) ?? ended[0]?.startNs ?? 0n);
    machine.matcher.add(kernel, halves, nowMs, machine.out);
    for (const exchange of ended) if (known?.has(toHex(toIdBytes(exchange.id))) !== true) machine.exchanges.push({ kernel, exchange });
  }

  /** Log rows of a kernel, with their names: lines about messages, and about whose CPUs are whose. */
  addLogs(identity: KernelIdentity, stream: string, batch: LogBatch, errorNs: number, nowMs: number): void {
    const machine = this.#machineOf(identity);
    if (batch.length > 0) machine.matcher.kernels.note(identity, batch.unixTime.getBigint(0));
    if (identity.kernelId === HOST_KERNEL_ID) this.#readHostLines(machine, batch);
    if (stream.startsWith('console')) return;
    this.#halves.length = 0;
    this.#printed.read(batch, identity.bootId, Math.max(0, errorNs), this.#halves, machine.probed.get(identity.bootId));
    if (this.#halves.length === 0) return;
    const kernel = machine.matcher.kernels.note(identity, earliestOf(this.#halves) ?? 0n);
    machine.matcher.add(kernel, this.#halves, nowMs, machine.out);
  }

  /** Records of a trace stream are missing: sendings may be among them. */
  addGaps(identity: KernelIdentity, gaps: readonly Gap[]): void {
    const { matcher } = this.#machineOf(identity);
    const kernel = matcher.kernels.find(identity.bootId);
    if (kernel === undefined) return;
    for (const gap of gaps) if (gap.stream.startsWith('tracefs:')) matcher.noteLoss(kernel, gap.fromUnixNs, gap.toUnixNs);
  }

  setOwner(machineId: string, cpu: number, kernelId: number): void {
    this.#machineOf({ machineId, machineName: machineId }).matcher.kernels.setOwner(machineId, cpu, kernelId);
  }

  /** All of this kernel up to a moment has been handed over; one of which no record has come has no part in this. */
  noteFront(identity: KernelIdentity, frontNs: bigint): void {
    const { matcher } = this.#machineOf(identity);
    const kernel = matcher.kernels.find(identity.bootId);
    if (kernel !== undefined) matcher.noteFront(kernel, frontNs);
  }

  /** Halves with a row that may still find their other end; `hasSpan`: their PRODUCER span is written. */
  restore(identity: KernelIdentity, halves: HalfBatch, hasSpan: boolean, nowMs: number): void {
    const machine = this.#machineOf(identity);
    const kernel = machine.matcher.kernels.note(identity, earliestOf(halves) ?? 0n);
    machine.matcher.restore(kernel, halves, hasSpan, nowMs, machine.out);
  }

  /** Decides what can be decided and stores it. Throws what the store throws; the rows are then kept for the next time. */
  async advance(nowMs: number, isEnd = false): Promise<void> {
    for (const machine of this.#machines.values()) {
      if (machine.matcher.kernels.list.length >= MAX_INCARNATIONS) this.#beginAnew(machine, nowMs);
      else this.#decide(machine, nowMs, isEnd);
    }
    for (;;) {
      const [next] = this.#pending;
      if (next === undefined) return;
      await this.#store.append(next);
      this.#pending.shift();
    }
  }

  /** As `advance`, where a store that is busy is only waited for. */
  async tryAdvance(nowMs: number): Promise<void> {
    try {
      await this.advance(nowMs);
    } catch (error) {
      if (!isOperational(error)) throw error;
      log.warn('matched messages wait', { error: messageOf(error), batches: this.#pending.length });
    }
  }

  /** Earliest moment of what is in no row yet, Unix ns. */
  oldestUnwrittenNs(): bigint | undefined {
    if (this.#pending.length > 0) return 0n;
    const oldest = [...this.#machines.values()].flatMap(({ matcher, out }) =>
      out.length > 0 ? [0n] : (matcher.oldestUnwrittenNs() ?? []),
    );
    return oldest.reduce<bigint | undefined>((least, one) => (least === undefined || one < least ? one : least), undefined);
  }

  /** Message halves in memory. */
  get waiting(): number {
    return [...this.#machines.values()].reduce((sum, { matcher }) => sum + matcher.waiting, 0);
  }

  /** What the matchers counted. */
  count(name: keyof IkcMatcher['counts']): number {
    return [...this.#machines.values()].reduce((sum, { matcher }) => sum + matcher.counts[name], this.#gone[name]);
  }

  /** Earliest of the first events of each kind: from when a kernel is known. */
  static seenNsOf(batch: EventBatch): bigint | undefined {
    let first: bigint | undefined;
    for (const { length, unixTime } of batch.tables) {
      const at = length === 0 ? undefined : unixTime.getBigint(0);
      if (at !== undefined && (first === undefined || at < first)) first = at;
    }
    return first;
  }

  /** Time of the first event of a batch that a pack knows; undefined = none. */
  firstNsOf(batch: EventBatch): bigint | undefined {
    let first: bigint | undefined;
    for (const { schema, length, unixTime } of batch.tables) {
      if (length === 0 || !this.eventNames.has(schema.name)) continue;
      for (let row = 0; row < length; row++) {
        const at = unixTime.getBigint(row);
        if (first === undefined || at < first) first = at;
      }
    }
    return first;
  }

  #decide(machine: MachineJoin, nowMs: number, isEnd: boolean): void {
    if (isEnd) this.#finish(machine, nowMs);
    machine.matcher.advance(nowMs, machine.out, isEnd);
    if (machine.out.length > 0 || machine.exchanges.length > 0) this.#pending.push(this.#toRows(machine));
  }

  /** Rows name incarnations by their place in a list, so the list goes as a whole; what waits is given up with its row. */
  #beginAnew(machine: MachineJoin, nowMs: number): void {
    log.warn('a machine had so many boots that what waits for a match is given up', { machine: machine.machine.machineName });
    this.#decide(machine, nowMs, true);
    this.#gone = addCounts(this.#gone, machine.matcher.counts);
    const { machineId } = machine.machine;
    const anew = new MachineJoin(machine.machine);
    anew.matcher.kernels.copyOwners(machine.matcher.kernels);
    this.#machines.set(machineId, anew);
  }

  #finishFirst(machine: MachineJoin, nowMs: number): void {
    const [bootId] = machine.extractors.keys();
    if (bootId === undefined) return;
    this.#finishOne(machine, bootId, nowMs);
    machine.extractors.delete(bootId);
    machine.probed.delete(bootId);
  }

  #finishOne(machine: MachineJoin, bootId: string, nowMs: number): void {
    const [extractor, kernel] = [machine.extractors.get(bootId), machine.matcher.kernels.find(bootId)];
    if (extractor === undefined || kernel === undefined) return;
    this.#halves.length = 0;
    extractor.finish(this.#halves);
    this.#take(machine, kernel.identity, extractor, nowMs);
  }

  #finish(machine: MachineJoin, nowMs: number): void {
    for (const bootId of machine.extractors.keys()) this.#finishOne(machine, bootId, nowMs);
  }

  #toRows(machine: MachineJoin): StoreBatch {
    const { matcher, out: batch, exchanges } = machine;
    machine.out = new MessageBatch();
    const kernels = matcher.kernels.list.map(({ identity }) => identity);
    const rows = Array.from({ length: batch.length }, (_, row) => row);
    const packOf = (row: number): IkcPack | undefined => this.packs[batch.pack[row] as number];
    const names = {
      kernels,
      packs: this.packs.map(({ name }) => name),
      typeNames: rows.map((row) => nameOfType(packOf(row), batch.type[row] as number)),
      subtypeNames: rows.map((row) => nameOfSubtype(packOf(row), batch.subtype[row] as number)),
    };
    const sheets = new SpanSheets();
    const traceId = new Uint8Array(batch.length * 16);
    for (const row of rows) {
      if (batch.state[row] === MESSAGE_STATE.superseded) continue;
      const hasExchange = hasId(batch.exchangeId, row * 8);
      writeTraceId(traceId, row * 16, hasExchange ? batch.exchangeId : batch.id, row * 8);
      addMessageSpans(batch, row, traceId, names, sheets);
      if (batch.state[row] !== MESSAGE_STATE.matched) continue;
      if (hasExchange) this.#noteAnswer(machine, batch, row, names, sheets);
      this.#tellMatched(machine, batch, row, kernels);
    }
    this.#onDecided?.(batch, kernels, traceId);
    const exchangeRows = Map.groupBy(exchanges.splice(0), ({ kernel }) => kernel);
    return {
      messages: [{ machine: machine.machine, batch, traceId, ...names }],
      exchanges: [...exchangeRows].map(([kernel, ended]) => ({
        identity: kernel.identity,
        rows: ended.map(({ exchange }) => this.#toExchangeRow(machine, kernel, exchange, sheets)),
      })),
      spans: [...sheets.sheets].map(([kernel, spans]) => ({
        resource: toResource(kernels[kernel] as KernelIdentity),
        scope: toScope('mkscope.ikc', this.#version),
        batch: spans,
      })),
    };
  }

  #tellMatched({ machine }: MachineJoin, batch: MessageBatch, row: number, kernels: readonly KernelIdentity[]): void {
    const [send, receive] = [batch.sendRaw.getBigint(row), batch.receiveRaw.getBigint(row)];
    const [sender, receiver] = [kernels[batch.sender[row] as number], kernels[batch.receiver[row] as number]];
    if (batch.isPrinted[row] === 1 || send === 0n || receive === 0n || sender === undefined || receiver === undefined) return;
    const confidence = batch.confidence[row] as number;
    this.#onMatched?.(machine.machineId, { bootId: sender.bootId, raw: send }, { bootId: receiver.bootId, raw: receive }, confidence);
  }

  /** The responder's part of an exchange lies between its two messages. */
  #noteAnswer(
    machine: MachineJoin,
    batch: MessageBatch,
    row: number,
    names: { readonly typeNames: readonly string[]; readonly subtypeNames: readonly string[]; readonly packs: readonly string[] },
    sheets: SpanSheets,
  ): void {
    const id = batch.exchangeId.slice(row * 8, row * 8 + 8);
    const key = toHex(id);
    const system = names.packs[batch.pack[row] as number] ?? '';
    const known = machine.halfAnswered.get(key) ?? { kernel: -1, receivedNs: 0n, answeredNs: 0n, operationName: '', system };
    if (batch.isAnswer[row] === 1) {
      known.answeredNs = batch.sendTime.getBigint(row);
      known.kernel = batch.sender[row] as number;
    } else {
      known.receivedNs = batch.receiveTime.getBigint(row);
      known.operationName = `${names.typeNames[row]}/${names.subtypeNames[row]}`;
    }
    machine.halfAnswered.delete(key);
    if (known.answeredNs !== 0n && known.receivedNs !== 0n && known.kernel >= 0) {
      addServerSpan(known, id, known.receivedNs, known.answeredNs, sheets.of(known.kernel));
      return;
    }
    keepLast(machine.halfAnswered, key, known, MAX_HALF_ANSWERED);
  }

  #toExchangeRow({ matcher }: MachineJoin, kernel: Incarnation, exchange: IkcExchange, sheets: SpanSheets): IkcExchangeRow {
    const id = toIdBytes(exchange.id);
    const trace = new Uint8Array(16);
    writeTraceId(trace, 0, id, 0);
    const pack = this.packs[exchange.pack];
    const row: IkcExchangeRow = {
      exchangeId: toHex(id),
      traceId: toHex(trace),
      responderId: exchange.responder,
      system: pack?.name ?? '',
      type: exchange.type,
      operation: exchange.operation,
      operationName: `${nameOfType(pack, exchange.type)}/${nameOfSubtype(pack, exchange.operation)}`,
      resource: exchange.resource,
      state: exchange.state,
      result: exchange.result ?? 0,
      startNs: exchange.startNs,
      endNs: exchange.endNs,
      answerNs: exchange.answerNs,
      errorNs: exchange.errorNs,
    };
    const { machineId } = kernel.identity;
    const responder = matcher.kernels.at(machineId, exchange.responder, exchange.startNs)?.identity.kernelName;
    addClientSpan(row, id, responder ?? (exchange.responder < 0 ? 'unknown' : `kernel-${exchange.responder}`), sheets.of(kernel.index));
    return row;
  }

  #readHostLines({ matcher, machine }: MachineJoin, batch: LogBatch): void {
    const [assigned, ended] = [batch.strings.internString(CPU_ASSIGNED), batch.strings.internString(ENDED)];
    for (let row = 0; row < batch.length; row++) {
      const name = batch.eventName[row];
      if (name !== assigned && name !== ended) continue;
      const fields = batch.attributes.rowOf(row);
      const kernelId = Number(fields['mk.instance.id'] ?? Number.NaN);
      if (!Number.isInteger(kernelId)) continue;
      if (name === ended) matcher.kernels.end(machine.machineId, kernelId, batch.unixTime.getBigint(row));
      else for (const cpu of parseCpuList(fields['mk.cpu.list'] ?? '')) matcher.kernels.setOwner(machine.machineId, cpu, kernelId);
    }
  }

  #forgetFirst(): void {
    const [[machineId, machine] = []] = this.#machines;
    if (machineId === undefined || machine === undefined) return;
    this.#decide(machine, Date.now(), true);
    this.#gone = addCounts(this.#gone, machine.matcher.counts);
    this.#machines.delete(machineId);
  }

  /** Packs whose probes a kernel has. */
  #packsIn(formats: FormatSet): ReadonlySet<number> {
    let found = this.#formats.get(formats);
    if (found === undefined) {
      found = new Set(
        formats.events.flatMap(({ system, format }) => this.#probePacks.get(`${system}:${/^name: (\S+)/.exec(format)?.[1] ?? ''}`) ?? []),
      );
      this.#formats.set(formats, found);
    }
    return found;
  }

  #machineOf({ machineId, machineName }: Pick<KernelIdentity, 'machineId' | 'machineName'>): MachineJoin {
    const known = this.#machines.get(machineId);
    if (known !== undefined) return known;
    const made = new MachineJoin({ machineId, machineName });
    this.#machines.set(machineId, made);
    if (this.#machines.size > MAX_MACHINES) this.#forgetFirst();
    return made;
  }
}

function noteProbed({ probed }: MachineJoin, { bootId }: KernelIdentity, pack: number): void {
  const known = probed.get(bootId);
  if (known === undefined) probed.set(bootId, new Set([pack]));
  else known.add(pack);
}

function toIdBytes([high, low]: readonly [number, number]): Uint8Array {
  const id = new Uint8Array(8);
  const view = new DataView(id.buffer);
  view.setUint32(0, high);
  view.setUint32(4, low);
  return id;
}

function earliestOf({ length, time }: HalfBatch): bigint | undefined {
  let first: bigint | undefined;
  for (let row = 0; row < length; row++) {
    const at = time.getBigint(row);
    if (first === undefined || at < first) first = at;
  }
  return first;
}

function withoutKnown(halves: HalfBatch, known: ReadonlySet<string>): HalfBatch {
  const fresh = new HalfBatch(Math.max(1, halves.length));
  for (let row = 0; row < halves.length; row++) {
    const id = toHex(toIdBytes([halves.id[row * 2] as number, halves.id[row * 2 + 1] as number]));
    if (!known.has(id)) fresh.copyRow(fresh.openRow(), halves, row);
  }
  return fresh;
}

/** `8,10-12`: at most as many as a machine has. */
export function parseCpuList(text: string): number[] {
  const cpus: number[] = [];
  for (const part of text.split(',')) {
    const match = /^\s*(\d{1,9})(?:-(\d{1,9}))?\s*$/.exec(part);
    if (match === null) continue;
    const from = Number(match[1]);
    const to = Number(match[2] ?? match[1]);
    for (let cpu = from; cpu <= to && cpus.length < 65_536; cpu++) cpus.push(cpu);
  }
  return cpus;
}
