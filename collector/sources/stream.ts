/**
 * The stream of a guest's forwarder (deploy/guest): another kernel's log and trace pages, over any byte pipe, into a feed of
 * its own. The conversation (docs/formats/guest_stream.md):
 *
 *   we     PING ─┐        OPEN (what we have) ─┐                         ACK (safe through frame n) ─┐     PING each second …
 *   guest        └─ PONG                       └─ HELLO, FORMATS, frames                             └─ …
 *
 * We ask for the time before we ask for data, so that the first record already has a bounded time; a guest that does not answer
 * in time is asked for its data all the same. What is acknowledged is on our disk; all else the guest sends again.
 */
import { messageOf, isOperational, OperationalError } from '../../base/errors.ts';
import { createLogger } from '../../base/log.ts';
import type { KernelIdentity } from '../../model/identity.ts';
import type { Source, SourcePosition, SourceRecord, SourceStatus } from '../../model/pipeline.ts';
import type { SpanRule } from '../../correlate/span-rules.ts';
import { AckFrontier } from '../ack-frontier.ts';
import { describeGuestAddress, parseGuestAddress } from '../guest-address.ts';
import { encodeAcknowledge, encodeOpen, encodePing } from '../guest-commands.ts';
import { GuestLink } from '../guest-link.ts';
import { GuestReader, type GuestItem } from '../guest-reader.ts';
import { readGuestRecording } from '../guest-recording.ts';
import type { KernelRule } from '../guest-identity.ts';
import type { HostTimeline } from '../kernel-clock.ts';
import type { KernelFeed } from '../kernel-feed.ts';
import type { GuestConsoleSource } from './guest-console.ts';

const TICK_MS = 100;
/** Pings of a new connection at each tick, then one a second: a guest that stands still is noticed by it. */
const FIRST_PINGS = 10;
const PING_TICKS = 10;
/** How long data waits for the first answer. */
const OPEN_PATIENCE_MS = 1500;
/** Without a hello we ask again: the forwarder may not have run yet. */
const HELLO_PATIENCE_MS = 3000;
/** A frame whose rest does not come in this time was cut. */
const FRAME_PATIENCE_MS = 5000;
/** Broken frames in one tick beyond which the guest is hung up on: each costs a checksum of up to 128 KiB. */
const MAX_BROKEN_FRAMES = 50;
const REFUSED_RETRY_MS = 10_000;
const SEGMENT_DELAY_MS = 200;
/** Handed on and not yet safe: beyond it the guest is not read. */
const MAX_UNDERWAY_BYTES = 4 << 20;

export interface StreamSourceOptions {
  readonly name: string;
  /** See collector/guest-address.ts. */
  readonly from: string;
  readonly kernel: KernelRule | undefined;
  readonly machine: Pick<KernelIdentity, 'machineId' | 'machineName'>;
  /** Our own clock. */
  readonly timeline: HostTimeline;
  readonly feed: KernelFeed;
  readonly resume: ReadonlyMap<string, SourcePosition>;
  readonly spanRules: readonly SpanRule[];
  /** The same kernel's console, where it is read. */
  readonly console?: GuestConsoleSource | undefined;
  /** Trace events are shipped. */
  readonly ship: () => boolean;
}

export class StreamSource implements Source {
  readonly id: string;
  readonly #options: StreamSourceOptions;
  readonly #frontier = new AckFrontier();
  readonly #log: ReturnType<typeof createLogger>;
  #reader: GuestReader;
  #link: GuestLink | undefined;
  #recording: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #state: SourceStatus['state'] = 'stopped';
  #detail = '';
  #errors = 0;
  #tick = 0;
  #connectedAtMs = 0;
  #openedAtMs: number | undefined;
  #heard = false;
  #bytesAtMs = 0;
  #heldSinceMs: number | undefined;
  /** SEQ of the kernel log that is on our disk, of the boot at hand. */
  #safeKmsg = -1;
  #brokenFrames = 0;
  #ackDue = false;
  #underwayBytes = 0;
  readonly #underway = new Set<Promise<unknown>>();
  #paused = false;

  constructor(options: StreamSourceOptions) {
    this.#options = options;
    this.id = `stream:${options.name}`;
    this.#log = createLogger(this.id);
    this.#reader = this.#openReader(options.timeline);
    this.#safeKmsg = this.#reader.resumed.kmsgSequence;
  }

  start(): Promise<void> {
    const address = parseGuestAddress(this.#options.from);
    if (typeof address === 'string') {
      return Promise.reject(new OperationalError('E_CONFIG_VALUE', address, 'docs/collector.md lists the addresses of a stream'));
    }
    this.#state = 'waiting';
    this.#detail = `${describeGuestAddress(address)}: nobody has said hello yet`;
    if (address.kind === 'file') {
      this.#reader = this.#openReader(undefined);
      this.#recording = this.#readRecording(address.path);
      return Promise.resolve();
    }
    this.#link = new GuestLink(address, {
      connected: () => this.#connect(),
      bytes: (bytes) => this.#takeBytes(bytes),
      lost: (why) => this.#lose(`${describeGuestAddress(address)}: ${why}`),
    });
    this.#link.start();
    this.#timer = setInterval(() => this.#everyTick(), TICK_MS);
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#takeItems(this.#reader.flush());
    await this.#recording;
    this.#writeBooks();
    await Promise.all(this.#underway);
    this.#acknowledge();
    this.#link?.stop();
    this.#link = undefined;
    this.#state = 'stopped';
  }

  status(): SourceStatus {
    return { state: this.#state, detail: this.#detail, streams: this.#reader.books(), errors: this.#errors };
  }

  /** The kernel that is read, once it has said who it is. */
  get identity(): KernelIdentity | undefined {
    return this.#reader.identity;
  }

  #openReader(timeline: HostTimeline | undefined): GuestReader {
    const { machine, kernel, resume, spanRules } = this.#options;
    return new GuestReader({ machine, kernel, timeline, resume, spanRules });
  }

  #connect(): void {
    this.#reader.reconnect();
    this.#connectedAtMs = this.#bytesAtMs = performance.now();
    this.#openedAtMs = undefined;
    this.#heard = false;
    this.#tick = 0;
    this.#ping();
  }

  #lose(why: string): void {
    if (this.#state === 'stopped') return;
    if (this.#state === 'running') this.#log.warn('the guest is away; it is read on when it is back', { why });
    if (this.#state !== 'failed') this.#state = 'waiting';
    this.#detail = this.#state === 'failed' ? this.#detail : why;
    this.#takeItems(this.#reader.flush());
    // It may never be back: what came after its last counters is in the books too.
    this.#writeBooks();
  }

  #takeBytes(bytes: Uint8Array): void {
    const arrivedNs = this.#options.timeline.nowNs();
    this.#bytesAtMs = performance.now();
    this.#takeItems(this.#reader.add(bytes, arrivedNs));
    if (this.#openedAtMs === undefined && this.#reader.isSynchronized) this.#open();
  }

  #ping(): void {
    const nowNs = this.#options.timeline.nowNs();
    const { low, high } = this.#options.timeline.unixOffset(nowNs);
    this.#link?.send(encodePing(nowNs, nowNs + (low + high) / 2n));
  }

  #open(): void {
    this.#openedAtMs = performance.now();
    // Until it is answered by a hello it is said again.
    this.#heard = false;
    const { identity, session } = this.#reader;
    const bootId = identity?.bootId ?? this.#reader.resumed.bootId;
    const frame = this.#frontier.session === session ? this.#frontier.through : 0;
    this.#link?.send(encodeOpen({ session, frame, kmsgSequence: this.#safeKmsg, bootId }));
  }

  #everyTick(): void {
    if (this.#link?.isConnected !== true || this.#connectedAtMs === 0) return;
    const nowMs = performance.now();
    this.#tick++;
    if (this.#tick < FIRST_PINGS || this.#tick % PING_TICKS === 0) this.#ping();
    if (this.#openedAtMs === undefined) {
      if (nowMs - this.#connectedAtMs >= OPEN_PATIENCE_MS) this.#open();
    } else if (!this.#heard && nowMs - this.#openedAtMs >= HELLO_PATIENCE_MS) this.#open();
    if (this.#reader.isWaiting && nowMs - this.#bytesAtMs >= FRAME_PATIENCE_MS) this.#takeItems(this.#reader.abandonFrame());
    const broken = this.#reader.counts().bytes.broken.get('payload_check') ?? 0;
    if (broken - this.#brokenFrames > MAX_BROKEN_FRAMES) this.#link?.drop('too many broken frames', REFUSED_RETRY_MS);
    this.#brokenFrames = broken;
    this.#heldSinceMs = this.#reader.heldBytes === 0 ? undefined : (this.#heldSinceMs ?? nowMs);
    if (this.#heldSinceMs !== undefined && nowMs - this.#heldSinceMs >= SEGMENT_DELAY_MS - TICK_MS / 2) {
      this.#heldSinceMs = undefined;
      this.#takeItems(this.#reader.flush());
    }
  }

  #takeItems(items: readonly GuestItem[]): void {
    for (const item of items) this.#takeItem(item);
  }

  #takeItem(item: GuestItem): void {
    switch (item.kind) {
      case 'incarnation': {
        const { kernelId, kernelName, release, bootId } = item.identity;
        this.#log.info(`reads ${kernelName} (kernel ${kernelId})`, { release, boot: bootId });
        if (this.#reader.resumed.bootId !== bootId) this.#safeKmsg = -1;
        this.#options.console?.endIncarnation();
        this.#options.feed.begin(item.identity, item.clock);
        this.#options.console?.beginIncarnation(item.clock);
        return;
      }
      case 'session':
        if (item.isNew) this.#frontier.begin(item.session, item.hello.firstFrame);
        this.#greet(item.hello.problems);
        return;
      case 'record':
        this.#handOn(item.record, item.frames);
        return;
      case 'done':
        this.#finish(this.#reader.session, item.frames);
        return;
      case 'books':
        this.#writeBooks();
        return;
      case 'note':
        this.#log.info('the guest says', { text: item.text });
        return;
      case 'again':
        this.#open();
        return;
      case 'refused':
        this.#refuse(item.message);
        return;
      case 'bye':
        if (this.#state === 'running') this.#detail = 'the forwarder has ended';
        return;
    }
  }

  #greet(problems: readonly string[]): void {
    this.#heard = true;
    this.#state = 'running';
    const kernel = this.#reader.identity;
    this.#detail = [`${kernel?.kernelName} (kernel ${kernel?.kernelId}), Linux ${kernel?.release}`, ...problems].join('; ');
  }

  #refuse(message: string): void {
    this.#errors++;
    if (this.#state !== 'failed') this.#log.error(`refused: ${message}`);
    this.#state = 'failed';
    this.#detail = message;
    this.#link?.drop(message, REFUSED_RETRY_MS);
  }

  #handOn(record: SourceRecord, frames: readonly number[]): void {
    const { session } = this.#reader;
    if (record.kind === 'logs') this.#options.console?.noteLog(record.batch);
    if (record.kind === 'segment' && !this.#options.ship()) {
      this.#finish(session, frames);
      return;
    }
    const done = this.#writeSafely(record, frames, session).finally(() => this.#underway.delete(done));
    this.#underway.add(done);
  }

  async #writeSafely(record: SourceRecord, frames: readonly number[], session: number): Promise<void> {
    const sizeBytes = sizeOf(record);
    this.#underwayBytes += sizeBytes;
    this.#holdBack();
    // Dropped is safe as well: it is in the books.
    await this.#options.feed.write(record);
    this.#underwayBytes -= sizeBytes;
    if (record.kind === 'logs' && record.position?.bootId === this.#reader.identity?.bootId) {
      this.#safeKmsg = record.position?.sequence ?? this.#safeKmsg;
    }
    this.#finish(session, frames);
    this.#holdBack();
  }

  /** Acknowledges at the end of the turn: a batch makes many frames safe at once. */
  #finish(session: number, frames: readonly number[]): void {
    if (!this.#frontier.finish(session, frames) || this.#ackDue) return;
    this.#ackDue = true;
    setImmediate(() => this.#acknowledge());
  }

  #acknowledge(): void {
    this.#ackDue = false;
    if (this.#frontier.through > 0) this.#link?.send(encodeAcknowledge(this.#frontier.session, this.#frontier.through));
  }

  #holdBack(): void {
    const full = this.#underwayBytes > (this.#paused ? MAX_UNDERWAY_BYTES / 2 : MAX_UNDERWAY_BYTES);
    if (full === this.#paused) return;
    this.#paused = full;
    if (full) this.#link?.pause();
    else this.#link?.resume();
  }

  #writeBooks(): void {
    this.#options.feed.writeBooks([...this.#reader.books(), ...(this.#options.console?.counts() ?? [])]);
  }

  async #readRecording(path: string): Promise<void> {
    try {
      for await (const item of readGuestRecording(path, this.#reader)) {
        this.#takeItem(item);
        if (this.#underwayBytes > MAX_UNDERWAY_BYTES) await Promise.all(this.#underway);
        if (this.#state === 'failed') return;
      }
      this.#writeBooks();
      this.#state = 'waiting';
      this.#detail = `${path} was read to its end`;
    } catch (error) {
      if (!isOperational(error)) throw error;
      this.#errors++;
      this.#state = 'failed';
      this.#detail = messageOf(error);
    }
  }
}

function sizeOf(record: SourceRecord): number {
  if (record.kind === 'segment') return record.segment.pages.length;
  return record.kind === 'logs' || record.kind === 'metrics' ? record.batch.sizeBytes : 1024;
}
