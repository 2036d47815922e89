/**
 * One boot of a kernel that is heard over netconsole or on a console: packets or lines in, rows and gaps out. Both forms of packets may
 * come, from two targets of the sender; each is a stream of its own.
 *
 *   extended ───────► fragments ─► order ─► parsers/kmsg ─┐
 *   legacy, lines ──► held bytes ─► console lines ────────┴─► batches, with the time at which they were heard
 *
 * A sender that is met replays the log it has in one burst: nothing is handed on until that is over (`isSettled`), because only
 * its last lines tell the clock.
 */
import type { Gap } from '../model/gap.ts';
import { LOG_FLAG, LogBatch } from '../model/log-batch.ts';
import { toPrintkNs } from '../model/time.ts';
import { openKmsg } from '../parsers/kmsg.ts';
import { readNetconsoleHeader, type NetconsoleHeader, type NetconsoleRecord } from '../parsers/netconsole.ts';
import { NetconsoleFragments } from '../parsers/netconsole-fragments.ts';
import { ConsoleLines } from './console-lines.ts';
import { NetconsoleOrder, type MissingRecords } from './netconsole-order.ts';
import { SEEN_DOUBT_NS, type SeenClock } from './seen-clock.ts';

const SETTLE_MS = 1000;
/** Pieces and numbers are waited for this long. */
const PATIENCE_MS = 500;
/** A line without its end is given up as it is. */
const LINE_PATIENCE_MS = 2000;
const MAX_HELD_BYTES = 1 << 20;
/** A fall of the stamps of legacy lines by more than this is another boot: CPUs print out of order by some ms. */
const STEP_DOWN_MICROS = 5_000_000;
const STAMP = /(?:^|\n)(?:<\d{1,4}>)?\[ *(\d{1,10})\.(\d{6})\](?: *\[ *[TC]\d+\])? ?(?:Linux version (\S{1,128}))?/g;

export interface HeardStreams {
  readonly extended: string;
  readonly text: string;
}

/** Where an earlier run stopped in this boot. */
export interface BootProgress {
  readonly lastSequence: number;
  readonly lastMicros: number;
  readonly origin: number;
  readonly lost: number;
  readonly textLines: number;
}

export interface HeardRecords {
  readonly kind: 'extended' | 'text';
  readonly batch: LogBatch;
  readonly gaps: readonly Gap[];
  readonly clockErrorNs: number;
}

export class HeardBoot {
  readonly clock: SeenClock;
  /** As the packets, or the first line of the boot, say it. */
  release = '';
  readonly #streams: HeardStreams;
  readonly #fragments = new NetconsoleFragments();
  #order = new NetconsoleOrder();
  readonly #parser = openKmsg();
  #lines: ConsoleLines;
  #textHeld: Uint8Array[] = [];
  #textHeldBytes = 0;
  #textSeenNs = 0n;
  #textAtMs = 0;
  /** Highest stamp of a legacy line, µs. */
  #textMicros = -1;
  readonly #firstMs: number;
  /** First number that was ours to take. */
  origin = -1;
  lost = 0;
  malformed = 0;

  constructor(streams: HeardStreams, clock: SeenClock, nowMs: number) {
    this.#streams = streams;
    this.clock = clock;
    this.#firstMs = nowMs;
    this.#lines = new ConsoleLines(streams.text);
  }

  /** The burst of a new sender is over. */
  isSettled(nowMs: number): boolean {
    return nowMs - this.#firstMs >= SETTLE_MS || this.#order.isFull || this.#textHeldBytes > MAX_HELD_BYTES;
  }

  /** This boot was heard by an earlier run: called once, before anything is taken out. */
  resume({ lastSequence, lastMicros, origin, lost, textLines }: BootProgress): void {
    const waiting = this.#order.take(0, true).records;
    this.#order = new NetconsoleOrder(lastSequence, lastMicros);
    for (const record of waiting) this.#order.add(record, this.#firstMs);
    this.origin = origin;
    this.lost = lost;
    this.#lines = new ConsoleLines(this.#streams.text, textLines);
  }

  get lastSequence(): number {
    return this.#order.lastSequence;
  }

  get lastMicros(): number {
    return this.#order.lastMicros;
  }

  get duplicates(): number {
    return this.#order.duplicates;
  }

  get incomplete(): number {
    return this.#fragments.incomplete;
  }

  get textLines(): number {
    return this.#lines.records;
  }

  get textLost(): number {
    return this.#lines.lost;
  }

  get hasText(): boolean {
    return this.#textMicros >= 0 || this.#lines.records > 0 || this.#textHeldBytes > 0;
  }

  /** Takes a packet; what it returns is of another boot of the sender, and was not taken. */
  add(packet: Uint8Array, seenNs: bigint, nowMs: number): readonly Uint8Array[] {
    const header = readNetconsoleHeader(packet);
    return header === undefined ? this.#addText(packet, seenNs, nowMs) : this.#addExtended(header, packet, seenNs, nowMs);
  }

  /** What can be handed on now; `all`: the boot, or the source, ends. */
  take(nowMs: number, all = false): HeardRecords[] {
    for (const record of this.#fragments.takeStale(all ? Infinity : nowMs - PATIENCE_MS)) this.#order.add(record, nowMs);
    const { records, missing } = this.#order.take(nowMs, all);
    const heard: HeardRecords[] = [];
    if (records.length > 0 || missing.length > 0) heard.push(this.#toExtended(records, missing));
    const endsLine = all || nowMs - this.#textAtMs >= LINE_PATIENCE_MS;
    if (this.#textHeldBytes > 0 || (endsLine && this.#lines.heldBytes > 0)) heard.push(this.#toText(endsLine));
    return heard;
  }

  #addExtended(header: NetconsoleHeader, packet: Uint8Array, seenNs: bigint, nowMs: number): readonly Uint8Array[] {
    if (header.release !== '') this.release = header.release;
    const record = this.#fragments.add(header, packet.subarray(header.bodyAt), nowMs, seenNs);
    if (record === 'open') return [];
    const outcome = typeof record === 'string' ? record : this.#order.add(record, nowMs);
    if (outcome === 'reboot' && typeof record !== 'string') return [...this.#order.takeAgain(record), record].map(({ bytes }) => bytes);
    if (outcome === 'duplicate' && typeof record === 'string') this.#order.duplicates++;
    if (outcome === 'malformed') this.malformed++;
    if (outcome === 'taken') this.clock.see(BigInt(header.micros) * 1000n, seenNs);
    return [];
  }

  #addText(packet: Uint8Array, seenNs: bigint, nowMs: number): readonly Uint8Array[] {
    const text = Buffer.from(packet.buffer, packet.byteOffset, packet.length).toString('latin1');
    let end = packet.length;
    for (const match of text.matchAll(STAMP)) {
      const micros = Number(match[1]) * 1e6 + Number(match[2]);
      const isFirstLine = match[3] !== undefined && micros < this.#textMicros;
      if (isFirstLine || micros + STEP_DOWN_MICROS < this.#textMicros) {
        end = match.index + (text[match.index] === '\n' ? 1 : 0);
        break;
      }
      if (match[3] !== undefined) this.release = match[3];
      if (micros > this.#textMicros) this.#textMicros = micros;
      this.clock.see(BigInt(micros) * 1000n, seenNs);
    }
    this.#textHeld.push(packet.subarray(0, end));
    this.#textHeldBytes += end;
    this.#textSeenNs = seenNs;
    this.#textAtMs = nowMs;
    return end < packet.length ? [packet.subarray(end)] : [];
  }

  #toExtended(records: readonly NetconsoleRecord[], missing: readonly MissingRecords[]): HeardRecords {
    const batch = new LogBatch(Math.max(16, records.length));
    batch.clock = 'printk';
    for (const { sequence, bytes, isTorn, arrivedNs } of records) {
      if (this.origin < 0) this.origin = sequence;
      const row = batch.length;
      this.#parser.finish(bytes, batch);
      if (batch.length === row) {
        this.malformed++;
        continue;
      }
      batch.observedTime.setBigint(row, arrivedNs);
      if (isTorn) batch.flags[row] = (batch.flags[row] as number) | LOG_FLAG.torn;
      const cpu = cpuOf(bytes);
      if (cpu !== undefined) batch.cpu[row] = cpu;
    }
    // Gaps are told from the numbers, with their windows.
    this.#parser.takeLosses();
    const gaps = missing.map(({ count, fromMicros, toMicros }): Gap => {
      this.lost += count;
      return {
        stream: this.#streams.extended,
        cpu: -1,
        fromUnixNs: this.#toUnix(fromMicros),
        toUnixNs: this.#toUnix(toMicros),
        count,
        reason: 'netconsole_missing',
      };
    });
    this.lost -= this.#order.recovered;
    this.#order.recovered = 0;
    return { kind: 'extended', batch, gaps, clockErrorNs: this.clock.alignLogs(batch) };
  }

  #toText(endsLine: boolean): HeardRecords {
    const { batch, gaps } = this.#lines.add(Buffer.concat(this.#textHeld), this.#textSeenNs, endsLine);
    this.#textHeld = [];
    this.#textHeldBytes = 0;
    return { kind: 'text', batch, gaps, clockErrorNs: SEEN_DOUBT_NS };
  }

  #toUnix(micros: number): bigint {
    return this.clock.toUnixNs(toPrintkNs(BigInt(Math.max(0, micros)) * 1000n));
  }
}

/** sysdata ` cpu=3`: where the record was printed. */
function cpuOf(bytes: Uint8Array): number | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = buffer.indexOf('\n cpu=');
  if (at < 0) return undefined;
  const match = /^\d{1,5}/.exec(buffer.toString('latin1', at + 6, at + 12));
  return match === null ? undefined : Number(match[0]);
}
