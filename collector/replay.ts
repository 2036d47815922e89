/**
 * Recorded guests, read again as if they were live: the same reader, feed and sender, with the recorder's clock for ours. As fast
 * as it goes for an import, or at the pace at which it was for a demonstration.
 *
 *   stream.mkf ──┐ in order of ┌─► GuestReader ──► KernelFeed ──► receiver
 *   console.log ─┘ arrival     └─► GuestConsole ─┘
 *
 * Each record is a batch of its own, and the feed's spool is named by the recording: what is replayed again is numbered the same,
 * and a hub stores nothing twice. Not handled: a recording that goes on while it is read.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { OperationalError } from '../base/errors.ts';
import { createMatcher } from '../correlate/match-messages.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { SourceRecord } from '../model/pipeline.ts';
import type { EndpointOptions } from '../otlp/endpoint.ts';
import { FormatStore } from './format-store.ts';
import { GuestConsole } from './guest-console.ts';
import type { KernelRule } from './guest-identity.ts';
import { GuestReader, type GuestItem, type GuestReaderOptions } from './guest-reader.ts';
import { readRecordedChunks, surveyClocks, type RecordedChunk } from './guest-recording.ts';
import { KernelFeed, type SharedParts } from './kernel-feed.ts';
import { openLinks } from './links.ts';
import { Peer } from './peer.ts';
import { NO_TELEMETRY } from './telemetry.ts';

/** The recording itself is the buffer: nothing is given up. */
const SPOOL_BYTES = 64 * 2 ** 30;
/** Records under way before the next is read. */
const MAX_UNDERWAY = 64;
/** As the live source looks at a console's lines. */
const CONSOLE_TICK_NS = 250_000_000n;
/** How long the receiver may take for what is left at the end. */
const CLOSE_GRACE_MS = 120_000;

export interface RecordedGuest {
  readonly name: string;
  readonly kernel: KernelRule;
  /** Of the forwarder's bytes (docs/formats/guest_stream.md), with `.at` beside it; packed or not. */
  readonly streamPath: string;
  readonly consolePath: string;
}

export interface ReplayOptions {
  readonly guests: readonly RecordedGuest[];
  readonly machine: Pick<KernelIdentity, 'machineId' | 'machineName'>;
  /** Names the recording: what was replayed under this key is known again. */
  readonly key: string;
  readonly to: EndpointOptions;
  readonly version: string;
  /** For the spools, empty. */
  readonly workDir: string;
  /** How much later than it was it is to be. */
  readonly shiftNs?: bigint;
  /** At the pace at which it was (times move so that the recording happens now); otherwise as fast as it goes. */
  readonly isPaced?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (bytes: number) => void;
}

export interface ReplayedGuest {
  readonly name: string;
  readonly identities: readonly KernelIdentity[];
  readonly logs: number;
  readonly events: number;
  readonly gaps: number;
  /** Bytes that were no frames, and frames that were missing. */
  readonly malformed: number;
  /** Half-width of the worst error of a log record's time, ns. */
  readonly clockErrorNs: number;
  /** Batches that the receiver refused. */
  readonly refused: number;
}

/** Throws OperationalError: a file that cannot be read, a guest that is another kernel, a receiver that does not answer. */
export async function replay(options: ReplayOptions): Promise<ReplayedGuest[]> {
  const links = openLinks(options.to);
  try {
    const formats = new FormatStore(options.workDir);
    const peer = new Peer(links.exchange, formats);
    if (!(await peer.meet())) {
      throw new OperationalError(
        'E_HUB_UNREACHABLE',
        `nothing answers at ${links.address}`,
        'start a hub with `mkscope up`, or name another',
      );
    }
    const shared = { links, peer, formats, messages: createMatcher(), recorderBytes: undefined, version: options.version };
    // Where one fails the others end too, and are waited for: they write into the folder that whoever called removes then.
    const failure = new AbortController();
    const signal = AbortSignal.any([failure.signal, ...(options.signal === undefined ? [] : [options.signal])]);
    const runs = options.guests.map((guest) => new GuestReplay(guest, { ...options, signal }, shared).run());
    for (const run of runs) run.catch((error: unknown) => failure.abort(error));
    await Promise.allSettled(runs);
    if (failure.signal.aborted) throw failure.signal.reason;
    return await Promise.all(runs);
  } finally {
    links.close();
  }
}

type Chunk = RecordedChunk & { readonly isConsole: boolean };

class GuestReplay {
  readonly #guest: RecordedGuest;
  readonly #options: ReplayOptions;
  readonly #feed: KernelFeed;
  #reader: GuestReader;
  readonly #console: GuestConsole;
  readonly #stream: string;
  readonly #identities: KernelIdentity[] = [];
  readonly #underway = new Set<Promise<unknown>>();
  #logs = 0;
  #events = 0;
  #gaps = 0;
  #clockErrorNs = 0;
  /** When the console's lines were last looked through. */
  #consoleAtNs = 0n;

  constructor(guest: RecordedGuest, options: ReplayOptions, shared: SharedParts) {
    this.#guest = guest;
    this.#options = options;
    const folder = join(options.workDir, guest.name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'id'), `${options.key}-${guest.name}`);
    this.#feed = new KernelFeed(folder, SPOOL_BYTES, shared);
    this.#reader = new GuestReader(this.#readerOptions());
    this.#stream = `console:${guest.name}`;
    this.#console = new GuestConsole(this.#stream);
  }

  async run(): Promise<ReplayedGuest> {
    this.#feed.startSender(NO_TELEMETRY);
    const { shiftNs = 0n, onProgress, signal } = this.#options;
    let lastNs = 0n;
    const surveyed = await surveyClocks(this.#guest.streamPath, this.#readerOptions());
    this.#reader = new GuestReader({ ...this.#readerOptions(), surveyed });
    try {
      for await (const { bytes, unixNs, isConsole } of this.#chunks()) {
        signal?.throwIfAborted();
        const atNs = unixNs === undefined ? undefined : unixNs + shiftNs;
        if (atNs !== undefined) lastNs = atNs;
        await this.#waitFor(atNs);
        if (isConsole) this.#console.add(bytes, lastNs);
        else for (const item of this.#reader.add(bytes, atNs)) await this.#take(item, lastNs);
        if (lastNs - this.#consoleAtNs >= CONSOLE_TICK_NS) await this.#takeConsole(lastNs, false);
        onProgress?.(bytes.length);
      }
      for (const item of this.#reader.flush()) await this.#take(item, lastNs);
      this.#console.add(new Uint8Array(0), lastNs, true);
      await this.#takeConsole(lastNs, true);
      await Promise.all(this.#underway);
    } finally {
      await this.#feed.close(signal?.aborted === true ? 0 : CLOSE_GRACE_MS);
    }
    return this.#outcome();
  }

  #readerOptions(): GuestReaderOptions {
    const { machine, shiftNs } = this.#options;
    return { machine, kernel: this.#guest.kernel, kernelName: this.#guest.name, shiftNs };
  }

  #outcome(): ReplayedGuest {
    const { bytes, malformed, missingFrames } = this.#reader.counts();
    const broken = [...bytes.broken.values(), ...malformed.values()].reduce((total, count) => total + count, 0);
    return {
      name: this.#guest.name,
      identities: this.#identities,
      logs: this.#logs,
      events: this.#events,
      gaps: this.#gaps,
      malformed: broken + missingFrames,
      clockErrorNs: this.#clockErrorNs,
      refused: this.#feed.status().sender.refused,
    };
  }

  /** Both recordings, merged by when their pieces came. */
  async *#chunks(): AsyncGenerator<Chunk> {
    const { streamPath, consolePath } = this.#guest;
    const hasConsole = existsSync(consolePath) || existsSync(`${consolePath}.zst`);
    const stream = readRecordedChunks(streamPath);
    const console = hasConsole ? readRecordedChunks(consolePath) : undefined;
    let nextStream = await stream.next();
    let nextConsole = await console?.next();
    while (nextStream.done !== true || (nextConsole !== undefined && nextConsole.done !== true)) {
      const fromConsole = nextConsole !== undefined && nextConsole.done !== true ? nextConsole.value : undefined;
      const fromStream = nextStream.done === true ? undefined : nextStream.value;
      if (fromConsole !== undefined && (fromStream === undefined || (fromConsole.unixNs ?? 0n) <= (fromStream.unixNs ?? 0n))) {
        yield { ...fromConsole, isConsole: true };
        nextConsole = await console?.next();
      } else if (fromStream !== undefined) {
        yield { ...fromStream, isConsole: false };
        nextStream = await stream.next();
      }
    }
  }

  async #waitFor(atNs: bigint | undefined): Promise<void> {
    if (this.#options.isPaced !== true || atNs === undefined) return;
    const delayMs = Number(atNs / 1_000_000n) - Date.now();
    if (delayMs > 0) await sleep(delayMs, undefined, { signal: this.#options.signal });
  }

  async #take(item: GuestItem, nowNs: bigint): Promise<void> {
    switch (item.kind) {
      case 'incarnation':
        await this.#takeConsole(nowNs, true);
        this.#identities.push(item.identity);
        this.#feed.begin(item.identity, item.clock);
        this.#console.begin(item.clock, nowNs);
        return;
      case 'record':
        if (item.record.kind === 'logs') this.#console.noteLog(item.record.batch, nowNs);
        return this.#write(item.record);
      case 'books':
        this.#feed.writeBooks(this.#reader.books());
        return;
      case 'refused':
        throw new OperationalError('E_INPUT_FORMAT', `${this.#guest.streamPath}: ${item.message}`, 'was the session put together by hand?');
      default:
    }
  }

  async #takeConsole(nowNs: bigint, all: boolean): Promise<void> {
    this.#consoleAtNs = nowNs;
    const record = this.#console.take(nowNs, all);
    if (record !== undefined) await this.#write({ kind: 'logs', stream: this.#stream, ...record });
  }

  /** One batch per record, so that batches are numbered the same each time. */
  async #write(record: SourceRecord): Promise<void> {
    this.#count(record);
    const written = this.#feed.write(record).finally(() => this.#underway.delete(written));
    this.#underway.add(written);
    this.#feed.flush();
    if (this.#underway.size > MAX_UNDERWAY) await Promise.all(this.#underway);
  }

  #count(record: SourceRecord): void {
    if (record.kind === 'logs') {
      this.#logs += record.batch.length;
      this.#clockErrorNs = Math.max(this.#clockErrorNs, record.clockErrorNs ?? 0);
    } else if (record.kind === 'segment') this.#events += record.events.reduce((total, { count }) => total + count, 0);
    else if (record.kind === 'gaps') this.#gaps += record.gaps.length;
  }
}
