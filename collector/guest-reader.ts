/**
 * From the bytes of a guest forwarder, and when they came, to records with an identity: pure, no I/O. What comes out is in
 * order; `frames` are the numbers that may be acknowledged once the record is safe.
 *
 *   bytes, arrival ──► frames ──► in order, once ──┬─ HELLO ───► incarnation: identity and clock of a boot
 *                                                  ├─ KMSG ────► logs, gaps           (collector/guest-kmsg.ts)
 *                                                  ├─ PAGES ───► segments, spans      (collector/guest-pages.ts)
 *                                                  ├─ STATS ───► books of one moment
 *                                                  ├─ SYSTEM ──► metrics              (collector/system-metrics.ts)
 *                                                  └─ PONG, CLOCK ─► the guest's clock (collector/guest-clock.ts)
 *
 * A live stream is read with `add` and asks for what is missing (`again`); a recording has nobody to ask, so what is missing
 * in it stays missing and is in the books. Not handled: more than one forwarder on one pipe.
 */
import { KMSG_STREAM, type KernelIdentity } from '../model/identity.ts';
import type { SourcePosition, SourceRecord, StreamCounts } from '../model/pipeline.ts';
import { GuestStreamDecoder, type FrameCounts, type RawFrame } from '../parsers/guest-stream.ts';
import { parseGuestFrame, type GuestFrame, type GuestHello } from '../parsers/guest-payloads.ts';
import type { SpanRule } from '../correlate/span-rules.ts';
import { GuestClock } from './guest-clock.ts';
import type { GuestProgress } from './guest-commands.ts';
import { toGuestIdentity, type KernelRule } from './guest-identity.ts';
import { GuestKmsg } from './guest-kmsg.ts';
import { GuestPages } from './guest-pages.ts';
import { RecordedTimeline, type HostTimeline } from './kernel-clock.ts';
import { ProbeMisses } from './probe-misses.ts';
import { SystemMetrics } from './system-metrics.ts';

const MAX_PONGS = 64;

export type GuestItem =
  /** A boot of the guest begins, or is met for the first time: what follows is its. Its clock goes on learning. */
  | { readonly kind: 'incarnation'; readonly identity: KernelIdentity; readonly clock: GuestClock }
  /** The forwarder says hello. `isNew`: frame numbers start anew, those of the session before are not acknowledged any more. */
  | { readonly kind: 'session'; readonly session: number; readonly isNew: boolean; readonly hello: GuestHello }
  | { readonly kind: 'record'; readonly record: SourceRecord; readonly frames: readonly number[] }
  /** Frames that need no record to be safe. */
  | { readonly kind: 'done'; readonly frames: readonly number[] }
  /** `books()` is of one moment with all records so far. */
  | { readonly kind: 'books' }
  | { readonly kind: 'note'; readonly text: string }
  /** A frame is missing: the host should say OPEN again. */
  | { readonly kind: 'again' }
  /** The guest claims an identity that it is not allowed; nothing of it is taken. */
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'bye' };

export interface GuestReaderOptions {
  readonly machine: Pick<KernelIdentity, 'machineId' | 'machineName'>;
  /** Which kernel this may be. Default: any but the host (0). */
  readonly kernel?: KernelRule | undefined;
  /** Wins over the name that the guest says. */
  readonly kernelName?: string | undefined;
  /** The clock that `arrivedNs` is on, for a live stream; left out = a recording: arrivals are Unix ns. */
  readonly timeline?: HostTimeline | undefined;
  /** Of a recording: how much later than it was it is to be; the arrivals are moved by whoever gives them. */
  readonly shiftNs?: bigint | undefined;
  /** Of a recording: what an earlier reading of it learnt of the clocks, by boot id. */
  readonly surveyed?: ReadonlyMap<string, GuestClock> | undefined;
  /** Where earlier readings stopped, by stream. */
  readonly resume?: ReadonlyMap<string, SourcePosition> | undefined;
  readonly spanRules?: readonly SpanRule[] | undefined;
}

interface Boot {
  readonly identity: KernelIdentity;
  readonly clock: GuestClock;
  readonly kmsg: GuestKmsg;
  readonly system: SystemMetrics;
  readonly probes: ProbeMisses;
  /** Guest mono, of the last sample of the system. */
  sampledNs: bigint;
  pages: GuestPages | undefined;
}

type Pong = Extract<GuestFrame, { kind: 'pong' }> & { readonly arrivedNs: bigint };

export class GuestReader {
  readonly #options: GuestReaderOptions;
  readonly #decoder = new GuestStreamDecoder();
  readonly #recorded: RecordedTimeline | undefined;
  readonly #timeline: HostTimeline;
  #resume: ReadonlyMap<string, SourcePosition>;
  #boot: Boot | undefined;
  #session = 0;
  /** Last frame of the session that was taken. */
  #frame = 0;
  #refused = false;
  #askedAgain = false;
  /** Answers that came before the HELLO that says whose they are. */
  #pongs: Pong[] = [];
  #missingFrames = 0;
  readonly #malformed = new Map<string, number>();

  constructor(options: GuestReaderOptions) {
    this.#options = options;
    this.#recorded = options.timeline === undefined ? new RecordedTimeline() : undefined;
    this.#timeline = options.timeline ?? (this.#recorded as RecordedTimeline);
    this.#resume = options.resume ?? new Map();
  }

  /** Takes bytes that came at `arrivedNs` (on the timeline; undefined = nobody knows). */
  add(bytes: Uint8Array, arrivedNs: bigint | undefined): GuestItem[] {
    if (this.#recorded !== undefined && arrivedNs !== undefined) this.#recorded.unixNs = arrivedNs;
    return this.#take(this.#decoder.add(bytes), arrivedNs);
  }

  /** Bytes of a frame are held whose rest does not come: looks behind it. */
  abandonFrame(): GuestItem[] {
    return this.#take(this.#decoder.abandon(), undefined);
  }

  get isWaiting(): boolean {
    return this.#decoder.isWaiting;
  }

  /** The connection was lost: the rest of its last frame does not come, and its answers are not this one's. */
  reconnect(): void {
    this.#decoder.abandon();
    this.#pongs = [];
    this.#askedAgain = false;
  }

  /** Hands on the pages that are held: for a timer, and for the end. */
  flush(): GuestItem[] {
    const cut = this.#boot?.pages?.cut();
    if (cut === undefined || cut.frames.length === 0) return [];
    const last = cut.records.length - 1;
    if (last < 0) return [{ kind: 'done', frames: cut.frames }];
    return cut.records.map((record, index) => ({ kind: 'record', record, frames: index === last ? cut.frames : [] }));
  }

  get identity(): KernelIdentity | undefined {
    return this.#boot?.identity;
  }

  get session(): number {
    return this.#session;
  }

  /** A ping of the guest at hand was answered: its times have a hard bound. */
  get isSynchronized(): boolean {
    return this.#boot?.clock.isSynchronized ?? this.#pongs.length > 0;
  }

  get heldBytes(): number {
    return this.#boot?.pages?.heldBytes ?? 0;
  }

  /** What a guest is told at the first OPEN: where an earlier reading of any boot stopped. */
  get resumed(): GuestProgress {
    const known = this.#resume.get(KMSG_STREAM);
    return { session: 0, frame: 0, kmsgSequence: known?.sequence ?? -1, bootId: known?.bootId ?? '' };
  }

  /** The books of the guest's streams. */
  books(): StreamCounts[] {
    if (this.#boot === undefined) return [];
    return [this.#boot.kmsg.counts(), ...(this.#boot.pages?.counts() ?? [])];
  }

  /** Bytes of frames and of none, payloads that could not be read by reason, frames that never came. */
  counts(): { readonly bytes: FrameCounts; readonly malformed: ReadonlyMap<string, number>; readonly missingFrames: number } {
    return { bytes: this.#decoder.counts, malformed: this.#malformed, missingFrames: this.#missingFrames };
  }

  #take(frames: readonly RawFrame[], arrivedNs: bigint | undefined): GuestItem[] {
    const items: GuestItem[] = [];
    for (const raw of frames) {
      const frame = parseGuestFrame(raw);
      if (frame.kind === 'malformed') this.#malformed.set(frame.reason, (this.#malformed.get(frame.reason) ?? 0) + 1);
      if (frame.sequence === 0) this.#takeUnnumbered(frame, arrivedNs, items);
      else this.#takeNumbered(frame, arrivedNs, items);
    }
    return items;
  }

  #takeUnnumbered(frame: GuestFrame, arrivedNs: bigint | undefined, items: GuestItem[]): void {
    switch (frame.kind) {
      case 'hello':
        this.#takeHello(frame.hello, items);
        return;
      case 'format': {
        const record = this.#boot?.pages?.takeFormat(frame);
        if (record !== undefined) items.push({ kind: 'record', record, frames: [] });
        return;
      }
      case 'pong':
        if (arrivedNs !== undefined) this.#takePong({ ...frame, arrivedNs }, items);
        return;
      case 'system':
        this.#takeSystem(frame, items);
        return;
      case 'bye':
        items.push(...this.flush(), { kind: 'bye' });
        return;
      default:
        // A frame that should be numbered and is not: nothing is known of its place.
        return;
    }
  }

  /** A sample is not kept by the forwarder: it is of the moment, and none that is missing is asked for. */
  #takeSystem({ session, momentNs, files }: Extract<GuestFrame, { kind: 'system' }>, items: GuestItem[]): void {
    const boot = this.#boot;
    // Of a run that has not said hello yet: it may be of another boot.
    if (boot === undefined || this.#refused || session !== this.#session || momentNs <= boot.sampledNs || !boot.clock.isPlaced) return;
    boot.sampledNs = momentNs;
    const unixNs = boot.clock.monoToUnixNs(momentNs);
    const gap = boot.pages === undefined ? undefined : boot.probes.take(files.get('kprobes') ?? '', unixNs, boot.pages.stream);
    if (gap !== undefined) items.push({ kind: 'record', record: { kind: 'gaps', gaps: [gap] }, frames: [] });
    const batch = boot.system.toBatch(files, unixNs);
    items.push({ kind: 'record', record: { kind: 'metrics', batch }, frames: [] });
  }

  #takePong(pong: Pong, items: GuestItem[]): void {
    const clock = this.#boot?.clock;
    if (clock === undefined || pong.session !== this.#session) {
      this.#pongs.push(pong);
      if (this.#pongs.length > MAX_PONGS) this.#pongs.shift();
      // Another run of the forwarder behind the same pipe: it waits to be asked.
      if (clock !== undefined && !this.#askedAgain) items.push({ kind: 'again' });
      this.#askedAgain ||= clock !== undefined;
      return;
    }
    // A host that did not know the Unix time yet wrote its own clock twice.
    const [hostNs, unixNs] = pong.token;
    if (this.#recorded !== undefined && hostNs === unixNs) return;
    const sentNs = this.#recorded === undefined ? hostNs : unixNs + (this.#options.shiftNs ?? 0n);
    clock.addPong(sentNs, pong.arrivedNs, pong.received, pong.answered);
  }

  #takeHello(hello: GuestHello, items: GuestItem[]): void {
    const { machine, kernel, kernelName } = this.#options;
    const identity = toGuestIdentity(hello, machine, kernel, kernelName);
    this.#refused = typeof identity === 'string';
    this.#askedAgain = false;
    if (typeof identity === 'string') {
      items.push({ kind: 'refused', message: identity });
      return;
    }
    if (this.#boot?.identity.bootId !== identity.bootId) this.#beginBoot(identity, hello, items);
    const boot = this.#boot as Boot;
    const isNew = hello.session !== this.#session;
    if (isNew) {
      items.push(...this.flush());
      this.#session = hello.session;
      this.#frame = hello.firstFrame - 1;
      boot.kmsg.noteRestart();
    } else if (hello.firstFrame - 1 > this.#frame) {
      this.#missingFrames += hello.firstFrame - 1 - this.#frame;
      this.#frame = hello.firstFrame - 1;
    }
    items.push({ kind: 'session', session: hello.session, isNew, hello });
    this.#beginTrace(boot, hello, items);
    const early = this.#pongs.filter(({ session }) => session === hello.session);
    this.#pongs = [];
    for (const pong of early) this.#takePong(pong, items);
  }

  #beginBoot(identity: KernelIdentity, hello: GuestHello, items: GuestItem[]): void {
    items.push(...this.flush());
    const clock = new GuestClock(this.#timeline, hello.trace?.clock ?? 'mono');
    const surveyed = this.#options.surveyed?.get(identity.bootId);
    if (surveyed !== undefined) clock.learnFrom(surveyed);
    const kmsg = new GuestKmsg(
      identity.bootId,
      clock,
      this.#resume.get(KMSG_STREAM),
      this.#recorded !== undefined && this.#boot === undefined,
    );
    const isResumed = this.#resume.get(KMSG_STREAM)?.bootId === identity.bootId;
    this.#boot = {
      identity,
      clock,
      kmsg,
      system: new SystemMetrics(),
      probes: new ProbeMisses(!isResumed),
      sampledNs: -1n,
      pages: undefined,
    };
    this.#session = 0;
    items.push({ kind: 'incarnation', identity, clock });
  }

  #beginTrace(boot: Boot, { trace, endian, session }: GuestHello, items: GuestItem[]): void {
    if (trace === undefined) return;
    const stream = `tracefs:${trace.instance}`;
    if (boot.pages?.stream !== stream) {
      items.push(...this.flush());
      boot.pages = new GuestPages({
        identity: boot.identity,
        clock: boot.clock,
        trace,
        endian,
        resume: this.#resume.get(stream),
        spanRules: this.#options.spanRules ?? [],
      });
    }
    for (const record of boot.pages.begin(session, trace)) items.push({ kind: 'record', record, frames: [] });
  }

  /** Each number once and in order. */
  #takeNumbered(frame: GuestFrame, arrivedNs: bigint | undefined, items: GuestItem[]): void {
    const boot = this.#boot;
    if (boot === undefined || this.#refused || frame.sequence <= this.#frame) return;
    const missing = frame.sequence - this.#frame - 1;
    if (missing > 0 && this.#recorded === undefined) {
      if (!this.#askedAgain) items.push({ kind: 'again' });
      this.#askedAgain = true;
      return;
    }
    this.#missingFrames += missing;
    this.#frame = frame.sequence;
    this.#takeInOrder(boot, frame, arrivedNs, items);
  }

  #takeInOrder(boot: Boot, frame: GuestFrame, arrivedNs: bigint | undefined, items: GuestItem[]): void {
    const frames = [frame.sequence];
    switch (frame.kind) {
      case 'kmsg': {
        const records = boot.kmsg.take(frame.records, boot.clock.nowUnixNs());
        items.push(
          ...records.map((record, index): GuestItem => ({ kind: 'record', record, frames: index === records.length - 1 ? frames : [] })),
        );
        if (records.length === 0) items.push({ kind: 'done', frames });
        return;
      }
      case 'pages':
        if (boot.pages?.takePages(frame) !== true) items.push({ kind: 'done', frames });
        else if (boot.pages.isFull) items.push(...this.#flushOrAsk(boot.pages));
        return;
      case 'stats':
        items.push(...this.flush());
        for (const record of boot.pages?.takeStats(frame.cpus) ?? []) items.push({ kind: 'record', record, frames: [] });
        items.push({ kind: 'done', frames }, { kind: 'books' });
        return;
      case 'kmsg-lost':
        boot.kmsg.noteOverwritten();
        break;
      case 'comms':
        boot.pages?.takeComms(frame.comms);
        break;
      case 'clock':
        boot.clock.addClocks(frame.clocks, arrivedNs);
        break;
      case 'note':
        items.push({ kind: 'note', text: frame.text });
        break;
      default:
        break;
    }
    items.push({ kind: 'done', frames });
  }

  /** Pages whose formats were damaged on their way wait for them to come again. */
  #flushOrAsk(pages: GuestPages): GuestItem[] {
    if (pages.hasFormats || this.#askedAgain || this.#recorded !== undefined) return this.flush();
    this.#askedAgain = true;
    return [{ kind: 'again' }];
  }
}
