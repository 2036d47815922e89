/**
 * Times of ftrace text: which clock they are on, and the windows of losses. Text has no name for its clock:
 *
 *   2351.415237                    `local`; `tai` where it is beyond any uptime
 *   12883614384322 (raw, hex)      the same, in ns
 *   6114158012007                  `x86-tsc`, or `counter` below 2^32
 *   20720us                        `relative`: since the first event of the buffer
 *   none                           `counter`: the number of the event in the text, so that the order is kept
 *
 * The first event decides. Lines without a time of their own then have that of the event before, as have lines that count from
 * another moment; a line with another unit fits nowhere.
 */
import type { EventBatch } from '../model/event-batch.ts';
import type { InputLoss, ParseCounts } from '../model/parser.ts';
import { NO_RAW_TIME, type ClockDomain } from '../model/time.ts';
import { TIME, type FtracePrefix, type TimeKind } from './ftrace-prefix.ts';
import { LossList } from './losses.ts';

const TAI_SECONDS = 1e9;

export class FtraceTimes {
  readonly #counts: ParseCounts;
  readonly #losses = new LossList();
  #clock: ClockDomain | undefined;
  /** What lines look like that are on the clock. */
  #isDotted = false;
  #isOrder = false;
  /** A bit for each kind of time that is on the clock as it stands. */
  #plainKinds = 0;
  /** Number of the last event without a time. */
  #ordinal = 0;
  #seconds = 0;
  #nanos = 0;
  #hasLast = false;
  /** Raw time of each CPU's last event, as seconds and ns; NaN before the first. */
  #lastSeconds = new Float64Array(0);
  #lastNanos = new Float64Array(0);
  /** Losses that wait for the next event of their CPU, by CPU (-1 = any); `undefined` = not counted. */
  readonly #open = new Map<number, { count: number | undefined; fromRaw: bigint }>();

  constructor(counts: ParseCounts) {
    this.#counts = counts;
  }

  begin(batch: EventBatch): void {
    if (this.#clock !== undefined) batch.clock = this.#clock;
  }

  /** True for lines whose time can be taken as it is. */
  isPlain(kind: TimeKind): boolean {
    return ((this.#plainKinds >> kind) & 1) === 1;
  }

  /** A bit for each kind of which `isPlain` is true. */
  get plainKinds(): number {
    return this.#plainKinds;
  }

  /** CPUs (-1: any) whose next event ends a loss; undefined where there are none. */
  waitingCpus(): number[] | undefined {
    return this.#open.size === 0 ? undefined : [...this.#open.keys()];
  }

  /** Puts the line on the input's clock; false when it is on none that compares. */
  accept(prefix: FtracePrefix, batch: EventBatch): boolean {
    if (this.#clock === undefined) this.#choose(prefix, batch);
    if (this.#isOrder) {
      this.#ordinal++;
      prefix.seconds = Math.floor(this.#ordinal / 1e9);
      prefix.nanos = this.#ordinal % 1e9;
      return true;
    }
    const isRelative = prefix.time === TIME.relative;
    if (prefix.time === TIME.none || isRelative !== (this.#clock === 'relative')) {
      prefix.seconds = this.#seconds;
      prefix.nanos = this.#nanos;
      return true;
    }
    return isDotted(prefix) === this.#isDotted;
  }

  /** True where events have their number in place of a time. */
  get isOrder(): boolean {
    return this.#isOrder;
  }

  /** Of the last event. */
  get ordinal(): number {
    return this.#ordinal;
  }

  /** The number of the next event, for a row that is then noted. */
  nextOrdinal(): number {
    return ++this.#ordinal;
  }

  /** After a row that had it was taken back. */
  takeBackOrdinal(): void {
    if (this.#isOrder) this.#ordinal--;
  }

  #choose(prefix: FtracePrefix, batch: EventBatch): void {
    this.#isDotted = isDotted(prefix);
    this.#isOrder = prefix.time === TIME.none;
    if (this.#isOrder) this.#clock = 'counter';
    else if (prefix.time === TIME.relative) this.#clock = 'relative';
    else if (this.#isDotted) this.#clock = prefix.seconds > TAI_SECONDS ? 'tai' : 'local';
    else this.#clock = prefix.seconds * 1e9 + prefix.nanos < 2 ** 32 ? 'counter' : 'x86-tsc';
    if (prefix.time === TIME.dotted || prefix.time === TIME.ns) this.#plainKinds = (1 << TIME.dotted) | (1 << TIME.ns);
    else if (prefix.time !== TIME.none) this.#plainKinds = 1 << prefix.time;
    batch.clock = this.#clock;
  }

  /** Where a line that is no event stands: at the event before it. */
  stampLast(prefix: FtracePrefix): void {
    prefix.seconds = this.#seconds;
    prefix.nanos = this.#nanos;
  }

  get hasLast(): boolean {
    return this.#hasLast;
  }

  /** After a row was added: losses that waited for it end here. */
  note({ cpu, seconds, nanos }: FtracePrefix): void {
    this.noteRow(cpu, seconds, nanos);
  }

  noteRow(cpu: number, seconds: number, nanos: number): void {
    this.#seconds = seconds;
    this.#nanos = nanos;
    this.#hasLast = true;
    if (cpu >= this.#lastSeconds.length) this.#growCpus(cpu);
    this.#lastSeconds[cpu] = seconds;
    this.#lastNanos[cpu] = nanos;
    if (this.#open.size === 0) return;
    const raw = toRaw(seconds, nanos);
    this.#closeLoss(cpu, raw);
    this.#closeLoss(-1, raw);
  }

  #growCpus(cpu: number): void {
    const grow = (from: Float64Array): Float64Array<ArrayBuffer> => {
      const grown = new Float64Array(Math.max(64, cpu + 1, from.length * 2)).fill(Number.NaN);
      grown.set(from);
      return grown;
    };
    this.#lastSeconds = grow(this.#lastSeconds);
    this.#lastNanos = grow(this.#lastNanos);
  }

  openLoss(cpu: number, count: number | undefined): void {
    if (count === undefined) this.#counts.lostUnknown++;
    else this.#counts.lost += count;
    const known = this.#open.get(cpu);
    if (known !== undefined) {
      known.count = known.count === undefined || count === undefined ? undefined : known.count + count;
      return;
    }
    const seconds = this.#lastSeconds[cpu] ?? Number.NaN;
    const fromRaw = Number.isNaN(seconds) ? NO_RAW_TIME : toRaw(seconds, this.#lastNanos[cpu] as number);
    this.#open.set(cpu, { count, fromRaw });
  }

  #closeLoss(cpu: number, toRawTime: bigint): void {
    const open = this.#open.get(cpu);
    if (open === undefined) return;
    this.#open.delete(cpu);
    const reason = cpu < 0 ? 'ring_overrun' : 'ring_lost';
    this.#losses.add({ cpu, count: open.count, fromRaw: open.fromRaw, toRaw: toRawTime, reason });
  }

  /** The end of the input. */
  closeLosses(): void {
    for (const cpu of this.#open.keys()) this.#closeLoss(cpu, NO_RAW_TIME);
  }

  takeLosses(): InputLoss[] {
    return this.#losses.take();
  }
}

function isDotted(prefix: FtracePrefix): boolean {
  return prefix.time === TIME.dotted || prefix.time === TIME.ns || prefix.time === TIME.relative;
}

function toRaw(seconds: number, nanos: number): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt(nanos);
}
