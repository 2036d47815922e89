/**
 * Matching as the hub runs: fed by the intake, decided twice a second, and taken up again by the next process.
 *
 *   before an append   the moment of the earliest half that no row stands for goes to ikc/watch.json, where it is earlier than there
 *   a new process      reads the events from that moment on, leaves out halves that rows stand for, and takes up messages with one
 *                      end that were stored in the last quarter of an hour
 *
 * docs/decisions/008-ikc-matching.md.
 */
import { messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { keepLast } from '../base/recent-map.ts';
import { HALF, HalfBatch, NONE } from '../correlate/ikc-halves.ts';
import type { IkcPack } from '../correlate/ikc-pack.ts';
import { EventBatch } from '../model/event-batch.ts';
import type { Gap } from '../model/gap.ts';
import { MESSAGE_SPANS } from '../model/ikc-message.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { LogBatch } from '../model/log-batch.ts';
import type { FormatSet } from '../model/segment.ts';
import { queryKernels } from '../store/queries/kernels.ts';
import {
  queryCpuOwners,
  queryKnownIds,
  queryOpenMessages,
  queryProbeEvents,
  type OpenMessageRow,
  type ProbeEventRow,
} from '../store/queries/ikc-restore.ts';
import { IkcJoin, parseCpuList, type JoinParts } from './ikc-join.ts';
import type { PresenceTable } from './presence.ts';
import { openState, writeState } from './state-file.ts';

const TICK_MS = 500;
/** A kernel that is there and from which no events came for this long has none. */
const QUIET_MS = 2_000;
const LATE_MS = 15 * 60_000;
/** Requests and calls that were open at the moment began before it. */
const BEFORE_NS = 65_000_000_000n;
const SAVE_MS = 2_000;
/** Boots with a flight recorder that are remembered. */
const MAX_KEPT = 4_096;
/** Rows of events that become one batch again. */
const REPLAY_ROWS = 20_000;
/** Boots of which it is known when events last came; the one that was silent longest goes first. */
const MAX_HEARD = 8_192;

const log = createLogger('ikc');

export interface WatchParts extends JoinParts {
  readonly presence: PresenceTable;
  /** The file that survives the process. */
  readonly path: string;
}

export class IkcWatch {
  readonly join: IkcJoin;
  readonly #parts: WatchParts;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;
  /** As it stands in the file; undefined = nothing waits. */
  #fromNs: bigint | undefined;
  #savedMs = 0;
  /** By boot: when events last came. */
  readonly #heardMs = new Map<string, number>();
  readonly #kept = new Set<string>();

  constructor(parts: WatchParts) {
    this.#parts = parts;
    this.join = new IkcJoin(parts);
  }

  /** Takes up what an earlier process left, and begins. */
  async start(): Promise<void> {
    const { path, store } = this.#parts;
    this.#fromNs = readMoment(path);
    const nowMs = Date.now();
    for (const { machineId, kernelId, cpus } of await queryCpuOwners(store)) {
      for (const cpu of parseCpuList(cpus)) this.join.setOwner(machineId, cpu, kernelId);
    }
    await this.#restore(nowMs);
    this.#timer = setInterval(() => {
      if (this.#running !== undefined || this.#isClosed) return;
      this.#running = this.#tick().finally(() => {
        this.#running = undefined;
      });
    }, TICK_MS);
    this.#timer.unref();
  }

  /** Events that are about to be stored. Throws E_DATA_DIR or E_DISK_FULL where their moment cannot be written down. */
  notice(batch: EventBatch): void {
    const firstNs = this.join.firstNsOf(batch);
    if (firstNs !== undefined && (this.#fromNs === undefined || firstNs < this.#fromNs)) this.#save(firstNs);
  }

  /** Events that are stored. */
  takeEvents(identity: KernelIdentity, batch: EventBatch, formats: FormatSet | undefined, errorNs: number, frontNs: bigint): void {
    const nowMs = Date.now();
    this.join.noteKernel(identity, IkcJoin.seenNsOf(batch) ?? BigInt(nowMs) * 1_000_000n, formats);
    this.join.addEvents(identity, batch, errorNs, nowMs);
    if (frontNs !== 0n) this.join.noteFront(identity, frontNs);
    keepLast(this.#heardMs, identity.bootId, nowMs, MAX_HEARD);
  }

  /** Its events stay in a flight recorder: that none come says nothing of how far it has been heard. */
  noteKept(bootId: string): void {
    this.#kept.delete(bootId);
    this.#kept.add(bootId);
    if (this.#kept.size > MAX_KEPT) this.#kept.delete(this.#kept.values().next().value as string);
  }

  takeLogs(identity: KernelIdentity, stream: string, batch: LogBatch, errorNs: number): void {
    this.join.addLogs(identity, stream, batch, errorNs, Date.now());
  }

  takeGaps(identity: KernelIdentity, gaps: readonly Gap[]): void {
    this.join.addGaps(identity, gaps);
  }

  /** Stores what is decided, and leaves the rest to the next process. The store must still be open. */
  async close(): Promise<void> {
    this.#isClosed = true;
    // Not all was taken up: the moment in the file is for the next process.
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    await this.#running;
    await this.join.tryAdvance(Date.now());
    this.#saveOldest();
  }

  async #tick(): Promise<void> {
    const nowMs = Date.now();
    for (const { identity, lastMs } of this.#parts.presence.all()) {
      if (this.#kept.has(identity.bootId)) continue;
      if (nowMs - lastMs > QUIET_MS || nowMs - (this.#heardMs.get(identity.bootId) ?? 0) < QUIET_MS) continue;
      this.join.noteFront(identity, BigInt(lastMs - QUIET_MS) * 1_000_000n);
    }
    await this.join.tryAdvance(nowMs);
    if (nowMs - this.#savedMs >= SAVE_MS) this.#saveOldest();
  }

  #saveOldest(): void {
    const oldest = this.join.oldestUnwrittenNs();
    // 0 = rows wait for the store: the moment in the file stays.
    if (oldest === 0n || oldest === this.#fromNs) return;
    if (oldest !== undefined && this.#fromNs !== undefined && oldest < this.#fromNs) return;
    this.#save(oldest);
  }

  #save(fromNs: bigint | undefined): void {
    writeState(this.#parts.path, fromNs === undefined ? {} : { fromNs: fromNs.toString() });
    this.#fromNs = fromNs;
    this.#savedMs = Date.now();
  }

  async #restore(nowMs: number): Promise<void> {
    const { store } = this.#parts;
    const identities = new Map<string, KernelIdentity>();
    for (const kernel of await queryKernels(store)) {
      identities.set(kernel.bootId, kernel);
      if (nowMs - Number(BigInt(kernel.lastSeenUnixNs) / 1_000_000n) < LATE_MS) {
        this.join.noteKernel(kernel, BigInt(kernel.firstSeenUnixNs));
      }
    }
    const open = await queryOpenMessages(store, nowMs - LATE_MS);
    for (const [bootId, rows] of Map.groupBy(open, (row) => (row.isSend === 1 ? row.senderBootId : row.receiverBootId))) {
      const identity = identities.get(bootId);
      if (identity === undefined) continue;
      for (const [spans, own] of Map.groupBy(rows, (row) => row.spans & MESSAGE_SPANS.producer)) {
        this.join.restore(identity, toHalves(own, this.#parts.packs), spans !== 0, nowMs);
      }
    }
    if (this.#fromNs !== undefined) await this.#replay(this.#fromNs - BEFORE_NS, nowMs);
  }

  async #replay(fromNs: bigint, nowMs: number): Promise<void> {
    const { store } = this.#parts;
    const known = await queryKnownIds(store, fromNs);
    const rows = await queryProbeEvents(store, [...this.join.eventNames], fromNs);
    for (const own of Map.groupBy(rows, ({ bootId }) => bootId).values()) {
      for (let from = 0; from < own.length; from += REPLAY_ROWS) {
        const part = own.slice(from, from + REPLAY_ROWS);
        const [first] = part;
        if (first === undefined) continue;
        const errorNs = part.reduce((most, row) => Math.max(most, row.errorNs), 0);
        this.join.addEvents({ ...first, release: '', arch: '' }, toEventBatch(part), errorNs, nowMs, known);
      }
    }
    log.debug('took up events without a row', { events: rows.length, rows: known.size });
  }
}

/** Events as they were before they were stored; their fields are texts. */
function toEventBatch(rows: readonly ProbeEventRow[]): EventBatch {
  const batch = new EventBatch();
  for (const { event, unixNs, raw, cpu, pid, flags, fields } of rows) {
    const names = Object.keys(fields);
    const [system = '', name = ''] = event.split(':');
    const table =
      batch.find(event) ??
      batch.addTable({ name: event, system, event: name, fields: names.map((of) => ({ name: of, kind: 'string', type: '', hex: false })) });
    if (table.length === table.capacity) table.grow();
    const row = table.length++;
    table.unixTime.setBigint(row, BigInt(unixNs));
    table.rawTime.setBigint(row, BigInt(raw));
    table.cpu[row] = cpu;
    table.pid[row] = pid;
    table.flags[row] = flags;
    for (const [index, field] of table.schema.fields.entries()) {
      const column = table.fields[index];
      if (column?.kind === 'string') column.values[row] = batch.strings.internString(fields[field.name] ?? '');
    }
  }
  return batch;
}

function toHalves(rows: readonly OpenMessageRow[], packs: readonly IkcPack[]): HalfBatch {
  const halves = new HalfBatch(Math.max(1, rows.length));
  for (const row of rows) {
    const at = halves.openRow();
    const isSend = row.isSend === 1;
    halves.kind[at] = isSend ? HALF.send : HALF.receive;
    halves.time.setBigint(at, BigInt(row.unixNs));
    halves.raw.setBigint(at, 0n);
    halves.claimNs[at] = 0;
    halves.endNs[at] = row.sendNs;
    halves.errorNs[at] = row.errorNs;
    halves.peer[at] = isSend ? row.receiverId : row.fromCpu === NONE ? row.senderId : NONE;
    halves.fromCpu[at] = row.fromCpu;
    halves.type[at] = row.type;
    halves.subtype[at] = row.subtype;
    halves.messageBytes[at] = row.payloadBytes;
    halves.key[at] = row.keyHash;
    halves.queue[at] = row.queue;
    halves.slot[at] = row.slot;
    // Its neighbours in the ring are not all here again.
    halves.missing[at] = NONE;
    halves.error[at] = 0;
    halves.pid[at] = row.pid;
    halves.cpu[at] = Math.max(0, row.cpu);
    halves.pack[at] = Math.max(
      0,
      packs.findIndex(({ name }) => name === row.system),
    );
    halves.printed[at] = row.isPrinted;
    writeWords(halves.id, at, row.messageId);
    writeWords(halves.exchange, at, row.exchangeId);
  }
  return halves;
}

function writeWords(to: Uint32Array, at: number, hex: string): void {
  to[at * 2] = hex === '' ? 0 : Number.parseInt(hex.slice(0, 8), 16);
  to[at * 2 + 1] = hex === '' ? 0 : Number.parseInt(hex.slice(8, 16), 16);
}

function readMoment(path: string): bigint | undefined {
  return openState(
    path,
    (json) => {
      const { fromNs } = json as { fromNs?: string };
      return fromNs === undefined ? undefined : BigInt(fromNs);
    },
    // What it stood for is in `events`, without a match.
    (error) => log.warn('the moment up to which messages were matched is lost', { path, error: messageOf(error) }),
  );
}
