/**
 * Imports one file: dmesg and console text, kmsg dumps, ftrace text, trace.dat. It is read twice, once to learn its boots and
 * their clocks (of a trace.dat only the first and last pages) and once to store its rows, in pieces that are numbered by the
 * content: importing a file again stores nothing twice.
 */
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { alignTimes, toUnixNs, type ClockFit } from '../clock/fit.ts';
import { alignTable, toTraceUnixNs, traceErrorNs } from '../clock/trace-timeline.ts';
import type { KvmClockAnchor } from '../clock/printk-anchors.ts';
import { isOperational, OperationalError } from '../base/errors.ts';
import type { ImportResult } from '../model/api.ts';
import { createMatcher, type MessageMatcher } from '../correlate/match-messages.ts';
import { MessageRecogniser } from '../correlate/recognise-messages.ts';
import { ReportRecogniser } from '../correlate/recognise-reports.ts';
import { toReportRows } from '../correlate/report-rows.ts';
import { ATTR } from '../model/attributes.ts';
import { EventBatch, type EventTable } from '../model/event-batch.ts';
import type { EventFileParser } from '../model/event-file.ts';
import type { Gap } from '../model/gap.ts';
import { HOST_KERNEL_ID, SCHEMA_URL, toResource, type KernelIdentity } from '../model/identity.ts';
import type { LogBatch } from '../model/log-batch.ts';
import { tellMalformed, type EventTextParser, type FileParser, type InputLoss, type LogParser } from '../model/parser.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import type { FormatSet } from '../model/segment.ts';
import { FILE_PARSERS, findParser, sniffParsers } from '../parsers/index.ts';
import type { Store, StoreBatch } from '../store/store.ts';
import {
  BootSplitter,
  createBoot,
  fitBoots,
  noteRaw,
  surveyRows,
  toBootId,
  type Boot,
  type BootClock,
  type HostClock,
} from './import-boots.ts';
import type { IkcJoin } from './ikc-join.ts';
import { ImportLoads } from './import-load.ts';
import { clockErrorOf } from './log-row.ts';
import { copyRows } from './import-rows.ts';
import { FileSource, isStored } from './file-source.ts';
import { DumpReader, fitDump, noteDumpTimes, type DumpTimes } from './log-dumps.ts';
import { readEventChunks, readLogChunks, stage, stageInPlace, type ChunkReader, type StagedFile } from './import-stage.ts';
import { findLifeMessages } from './store-lives.ts';
import {
  parseUname,
  planTrace,
  toRecording,
  toNames,
  toRecordingTexts,
  toTraceGap,
  type TraceClocks,
  type TraceStream,
} from './import-trace.ts';
import { TaskNames } from './task-names.ts';

/** A piece of the file can hold this many boots, each its own append. */
const APPENDS_PER_CHUNK = 4096;
/** Beyond the last record of a file nothing of its kernels comes. */
const AFTER_FILE_NS = 3_600_000_000_000n;
/** Pages of a trace.dat that are numbered together, some 30,000 events: an import that was cut goes on behind the last one stored. */
const PIECE_BYTES = 1 << 20;
/** What becomes one append: in a process that serves others meanwhile, as much as is parsed and written in 0.1 s. */
const APPEND_BYTES = 8 << 20;

/** First bytes of a `*.journal`. */
const JOURNAL_MAGIC = 'LPKSHHRH';

/** Id and name of the machine of files that are not said to be of one. */
export const IMPORTED_MACHINE = 'imported';

export interface ImportOptions {
  readonly fileName: string;
  /** Id of a parser; default: the one that recognises the file. */
  readonly format?: string;
  /** Whose file it is; what is missing comes from the file and its name. */
  readonly identity?: Partial<KernelIdentity>;
  /** Unix ns at which the file's clock stood at 0. */
  readonly timeZeroUnixNs?: bigint;
  /** When the file was last written; default: now. */
  readonly modifiedUnixNs?: bigint;
  /** How long that may have been after its last line, ns; default: 30 days. */
  readonly modifiedErrorNs?: number;
  /** Clock of the host kernel, for a guest's log without a time of its own (ImportOutcome.boots of the host's file has it). */
  readonly host?: HostClock;
  /** Default: the catalogue alone. */
  readonly messages?: MessageMatcher;
  /** Who joins the messages between kernels; `notice` is told of events before they are stored. */
  readonly ikc?: { readonly join: IkcJoin; notice(batch: EventBatch): void };
  /** Pages of a trace.dat that become one append, and one part of the table. Default 8 MB: some 200,000 events. */
  readonly appendBytes?: number;
  /** Where the input is a file: a recording (which nobody writes any more, as a log may be) is read there, and not copied first. */
  readonly path?: string;
  /** For the copy of the file while it is read. */
  readonly workDir?: string;
}

export interface ImportProgress {
  readonly phase: 'copying' | 'surveying' | 'storing';
  readonly bytes: number;
  /** 0 while it is not known. */
  readonly totalBytes: number;
  readonly records: number;
}

export interface ImportOutcome extends ImportResult {
  /** Whose instances' lives the file tells of: `storeLives` is to be called once all files of the machine are there. */
  readonly lifeMachine: string | undefined;
  /** What the import of another kernel's file can build on. */
  readonly boots: readonly { readonly bootId: string; readonly fit: ClockFit; readonly kvm: KvmClockAnchor | undefined }[];
}

type StoredEvents = NonNullable<StoreBatch['events']>[number];

type OnProgress = (progress: ImportProgress) => void;

export async function importFile(
  store: Store,
  input: AsyncIterable<Uint8Array>,
  options: ImportOptions,
  onProgress: OnProgress = () => undefined,
): Promise<ImportOutcome> {
  const onBytes = (bytes: number): void => onProgress({ phase: 'copying', bytes, totalBytes: 0, records: 0 });
  const { path } = options;
  const isInPlace = path !== undefined && isStored(path);
  const staged = isInPlace ? await stageInPlace(path, onBytes) : await stage(input, options.workDir ?? tmpdir(), onBytes);
  try {
    const parser = chooseParser(staged, options.format);
    const run = new ImportRun(store, staged, options, onProgress);
    if (parser.yields === 'logs') return await run.importLogs(parser);
    return parser.yields === 'events' ? await run.importEvents(parser) : await run.importTrace(parser);
  } finally {
    await staged.remove();
  }
}

function chooseParser(staged: StagedFile, format: string | undefined): FileParser {
  const takers = format === undefined ? sniffParsers(staged.head) : [];
  const parser = format === undefined ? takers[0] : findParser(format);
  if (parser !== undefined && takers.length < 2) return parser;
  if (parser !== undefined) {
    const names = takers.map(({ id }) => id);
    throw new OperationalError('E_INPUT_FORMAT', `it may be ${names.join(' or ')}`, `name its format: ${names.join(', ')}`);
  }
  const known = FILE_PARSERS.map((of) => of.id).join(', ');
  if (startsWithText(staged.head, JOURNAL_MAGIC)) {
    const hint = 'journalctl --file FILE -o export | mkscope import -';
    throw new OperationalError('E_INPUT_FORMAT', 'a file of the systemd journal is read by journalctl alone', hint);
  }
  if (format === undefined) throw new OperationalError('E_INPUT_FORMAT', 'no parser recognises the file', `name its format: ${known}`);
  throw new OperationalError('E_INPUT_FORMAT', `there is no format ${format}`, `formats are ${known}`);
}

function startsWithText(bytes: Uint8Array, text: string): boolean {
  return bytes.length >= text.length && Array.from(text).every((character, at) => bytes[at] === character.charCodeAt(0));
}

class ImportRun {
  readonly #store: Store;
  readonly #staged: StagedFile;
  readonly #options: ImportOptions;
  readonly #onProgress: OnProgress;
  readonly #identity: Omit<KernelIdentity, 'bootId'>;
  readonly #key: string;
  readonly #stream: string;
  readonly #writtenUnixNs: bigint;
  #records = 0;
  #alreadyStored = 0;
  #gaps = 0;
  #reports = 0;
  #dumpEvents = 0;
  #tellsOfLives = false;
  #appends = 0;
  #fromNs: bigint | undefined;
  #toNs = 0n;

  constructor(store: Store, staged: StagedFile, options: ImportOptions, onProgress: OnProgress) {
    this.#store = store;
    this.#staged = staged;
    this.#options = options;
    this.#onProgress = onProgress;
    this.#identity = toIdentity(options);
    this.#writtenUnixNs = options.modifiedUnixNs ?? BigInt(Date.now()) * 1_000_000n;
    const { machineId, kernelId, kernelName } = this.#identity;
    this.#key = createHash('sha256')
      .update([staged.sha256, machineId, String(kernelId), kernelName].join('\n'))
      .digest('hex')
      .slice(0, 32);
    this.#stream = `file:${options.fileName}`;
  }

  async importLogs(parser: LogParser): Promise<ImportOutcome> {
    const boots = await this.#surveyLogs(parser);
    const clocks = this.#fit(boots.list, boots.isUnix);
    const identities = this.#identitiesOf(boots.list);
    const reader = readLogChunks(this.#staged, parser, { writtenUnixNs: this.#writtenUnixNs });
    const splitter = new BootSplitter();
    const dumps = new DumpReader();
    const lastNs = boots.list.map((boot, index) => firstTime(boot, (clocks[index] as BootClock).fit));
    let current = 0;
    const recogniser = new ReportRecogniser();
    const matcher = this.#options.messages ?? createMatcher();
    let messages = new MessageRecogniser(matcher);
    for await (const { batch, losses, readBytes } of reader.chunks()) {
      // A kmsg dump carries the kernel's own numbers; all others are numbered by line.
      if (parser.id !== 'kmsg') for (let row = 0; row < batch.length; row++) batch.sequence[row] = this.#records + row;
      const ranges = splitter.split(batch);
      for (const range of ranges) {
        if (range.boot !== current) {
          recogniser.finish();
          await this.#appendReports(recogniser, identities[current], clocks[current]);
          dumps.finish();
          await this.#appendDump(dumps, boots.dumps, identities[current], clocks[current]);
          messages = new MessageRecogniser(matcher);
        }
        current = range.boot;
        const rows = ranges.length === 1 ? batch : copyRows(batch, range.from, range.to);
        if (messages.take(rows) > 0) this.#tellsOfLives ||= findLifeMessages(rows, this.#identity.kernelId) !== undefined;
        lastNs[current] = alignLogs(rows, clocks[current] as BootClock, lastNs[current] as bigint);
        await this.#appendLogs(rows, identities[current] as KernelIdentity, clocks[current] as BootClock);
        recogniser.take(rows);
        await this.#appendReports(recogniser, identities[current], clocks[current]);
        for (let row = 0; row < rows.length;) {
          row = dumps.read(rows, row, rows.length);
          await this.#appendDump(dumps, boots.dumps, identities[current], clocks[current]);
        }
      }
      for (const [boot, own] of Map.groupBy(losses, (loss) => loss.boot ?? current)) {
        await this.#appendGaps(own, identities[boot], clocks[boot]);
      }
      this.#records += batch.length;
      this.#nextChunk('storing', readBytes);
      batch.clear();
    }
    recogniser.finish();
    await this.#appendReports(recogniser, identities[current], clocks[current]);
    dumps.finish();
    await this.#appendDump(dumps, boots.dumps, identities[current], clocks[current]);
    return this.#outcome(parser.id, boots.list, clocks, identities, tellMalformed(reader.counts));
  }

  async importEvents(parser: EventTextParser): Promise<ImportOutcome> {
    const boot = createBoot(0);
    for await (const { batch, readBytes } of readEventChunks(this.#staged, parser).chunks()) {
      boot.rows += batch.length;
      boot.release ||= releaseOfTrace(batch);
      for (const table of batch.tables) for (let row = 0; row < table.length; row++) noteRaw(boot, table.rawTime.getBigint(row));
      this.#progress('surveying', readBytes);
      batch.clear();
    }
    const clocks = this.#fit([boot], false);
    const identities = this.#identitiesOf([boot]);
    const [clock, identity] = [clocks[0] as BootClock, identities[0] as KernelIdentity];
    const reader = readEventChunks(this.#staged, parser);
    await this.#appendPieces(reader.batch, textPieces(reader, this.#stream, clock.fit), async (gaps, sequence) => {
      const { batch } = reader;
      for (const table of batch.tables) {
        alignTimes(table.rawTime, table.unixTime, table.length, clock.fit);
        placeUntimed(table, firstTime(boot, clock.fit));
        if (table.length > 0) this.#noteTime(table.unixTime.getBigint(0), table.unixTime.getBigint(table.length - 1));
      }
      await this.#appendRows({ identity, stream: this.#stream, clockErrorNs: clock.fit.errorNs, batch }, gaps, sequence);
    });
    return this.#outcome(parser.id, [boot], clocks, identities, tellMalformed(reader.counts));
  }

  async importTrace(parser: EventFileParser): Promise<ImportOutcome> {
    const source = new FileSource(this.#staged);
    try {
      const file = parser.open(source);
      this.#progress('surveying', 0);
      const hints = { timeZeroUnixNs: this.#options.timeZeroUnixNs, modifiedUnixNs: this.#writtenUnixNs };
      const clocks = await planTrace(file, this.#store, this.#stream, hints);
      const { release, arch } = parseUname(file.info.uname);
      const identity = {
        ...this.#identity,
        release: this.#identity.release || release,
        arch: this.#identity.arch || arch,
        bootId: this.#options.identity?.bootId ?? toBootId(this.#key, 0),
      };
      this.#noteTraceTimes(clocks);
      const recording = toRecording(file, clocks, identity);
      // Of a stream of its own: the numbers of the file's pieces are the same as before there were recordings.
      if (recording !== undefined)
        await this.#store.append({ recordings: [recording], origin: { stream: `recording:${this.#key}`, sequence: 0 } });
      await this.#store.append({
        recordingTexts: [toRecordingTexts(file, identity.bootId, this.#stream)],
        origin: { stream: `texts:${this.#key}`, sequence: 0 },
      });
      const names = new TaskNames();
      names.learn(identity.bootId, toNames(file.info.comms));
      let doneBytes = this.#staged.sizeBytes - file.streams.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      for (const one of clocks.streams) {
        const batch = new EventBatch();
        const fillNames = (from: readonly number[]): void => names.fill(identity.bootId, batch, {}, from);
        const pieces = tracePieces(one, batch, fillNames, doneBytes);
        await this.#appendPieces(batch, pieces, (gaps, sequence) => this.#appendPages(one, batch, gaps, identity, file.formats, sequence));
        doneBytes += one.stream.sizeBytes;
      }
      const boot = { ...createBoot(0), rows: this.#records };
      const fit = clocks.streams[0]?.timeline.fit ?? { baseRaw: 0n, baseUnixNs: 0n, nsPerTick: 1, errorNs: 0 };
      const clock = { origin: clocks.origin, fit: { ...fit, errorNs: clocks.errorNs } };
      return this.#outcome(parser.id, [boot], [clock], [identity], file.counts.malformed);
    } finally {
      source.close();
    }
  }

  /** Gathers pieces until they are worth an append of their own, and leaves out those that are stored already. */
  async #appendPieces(
    batch: EventBatch,
    pieces: AsyncIterable<EventPiece>,
    append: (gaps: readonly Gap[], sequence: number) => Promise<void>,
  ): Promise<void> {
    const loads = new ImportLoads(this.#store);
    const { appendBytes = APPEND_BYTES } = this.#options;
    let gaps: Gap[] = [];
    let pendingBytes = 0;
    let last: number | undefined;
    let lengths: readonly number[] = [];
    let rowsBefore = 0;
    const appendPending = async (): Promise<void> => {
      if (last === undefined) return;
      await append(gaps, last);
      batch.clear();
      await loads.appended();
      gaps = [];
      pendingBytes = 0;
      last = undefined;
    };
    for await (const { gaps: own, doneBytes } of pieces) {
      this.#records += batch.length - rowsBefore;
      this.#gaps += own.length;
      if (this.#store.holds({ stream: `import:${this.#key}`, sequence: this.#appends })) {
        this.#alreadyStored += takeBack(batch, lengths);
      } else {
        last = this.#appends;
        pendingBytes += PIECE_BYTES;
        gaps.push(...own);
      }
      this.#nextChunk('storing', doneBytes);
      await setImmediate();
      if (pendingBytes >= appendBytes) await appendPending();
      lengths = batch.tables.map(({ length }) => length);
      rowsBefore = batch.length;
    }
    await appendPending();
    await loads.finish();
  }

  async #appendPages(
    trace: TraceStream,
    batch: EventBatch,
    gaps: readonly Gap[],
    identity: KernelIdentity,
    formats: FormatSet,
    sequence: number,
  ): Promise<void> {
    const { name, timeline } = trace;
    let clockErrorNs = timeline.fit.errorNs;
    for (const table of batch.tables) {
      alignTable(timeline, table);
      clockErrorNs = Math.max(clockErrorNs, tableErrorNs(trace, table));
    }
    batch.ties.separate();
    await this.#appendRows({ identity, stream: name, clockErrorNs, batch, formats }, gaps, sequence);
  }

  /** Of some pieces, as the last one: who holds the last holds all of them. */
  async #appendRows(events: StoredEvents, gaps: readonly Gap[], sequence: number): Promise<void> {
    const { identity, batch } = events;
    const rows = { ...(batch.length === 0 ? {} : { events: [events] }), ...(gaps.length === 0 ? {} : { gaps: [{ identity, gaps }] }) };
    // Another import of the same file may have been faster.
    if (await this.#append(rows, identity, sequence)) this.#alreadyStored += batch.length;
  }

  /** From the ends of each CPU: rows of a trace come in turns of CPUs, not in order of time. */
  #noteTraceTimes({ streams }: TraceClocks): void {
    for (const { spans, timeline } of streams) {
      for (const { cpu, firstRaw, lastRaw } of spans.values()) {
        if (firstRaw === NO_RAW_TIME) continue;
        this.#noteTime(toTraceUnixNs(timeline, cpu, firstRaw), toTraceUnixNs(timeline, cpu, lastRaw));
      }
    }
  }

  async #surveyLogs(parser: LogParser): Promise<{ list: Boot[]; dumps: DumpTimes[]; isUnix: boolean }> {
    const list = [createBoot(0)];
    const splitter = new BootSplitter();
    const reader = new DumpReader();
    const dumps: DumpTimes[] = [];
    const noteDump = (): void => {
      if (reader.start !== undefined) dumps[reader.start.index] = noteDumpTimes(dumps[reader.start.index], reader.events);
      reader.events.clear();
    };
    let isUnix = false;
    let current = 0;
    for await (const { batch, moments, readBytes } of readLogChunks(this.#staged, parser, {
      writtenUnixNs: this.#writtenUnixNs,
    }).chunks()) {
      if (batch.length > 0) isUnix = batch.clock === 'unix';
      for (const range of splitter.split(batch)) {
        while (list.length <= range.boot) list.push(createBoot(list.length));
        surveyRows(list[range.boot] as Boot, batch, range);
        if (range.boot !== current) {
          reader.finish();
          noteDump();
        }
        current = range.boot;
        for (let row = range.from; row < range.to;) {
          row = reader.read(batch, row, range.to);
          noteDump();
        }
      }
      for (const moment of moments) list[moment.boot]?.moments.push(moment);
      this.#progress('surveying', readBytes);
      batch.clear();
    }
    reader.finish();
    noteDump();
    return { list, dumps, isUnix };
  }

  #fit(boots: readonly Boot[], isUnix: boolean): BootClock[] {
    const { timeZeroUnixNs, modifiedErrorNs, host } = this.#options;
    return fitBoots(boots, { isUnix, timeZeroUnixNs, modifiedUnixNs: this.#writtenUnixNs, modifiedErrorNs, host });
  }

  #identitiesOf(boots: readonly Boot[]): KernelIdentity[] {
    return boots.map((boot) => ({
      ...this.#identity,
      release: this.#identity.release || boot.release,
      bootId: this.#options.identity?.bootId ?? toBootId(this.#key, boot.index),
    }));
  }

  async #appendLogs(batch: LogBatch, identity: KernelIdentity, clock: BootClock): Promise<void> {
    if (batch.length === 0) return;
    const scope = {
      name: 'mkscope import',
      version: '',
      schemaUrl: SCHEMA_URL,
      attributes: {
        [ATTR.stream]: this.#stream,
        [ATTR.clock]: batch.clock,
        [ATTR.clockError]: String(Math.round(clock.fit.errorNs)),
      },
    };
    this.#noteTime(batch.unixTime.getBigint(0), batch.unixTime.getBigint(batch.length - 1));
    const duplicate = await this.#append({ logs: [{ resource: toResource(identity), scope, batch }] }, identity);
    if (duplicate) this.#alreadyStored += batch.length;
  }

  /** Each report whose end has come as one more record, without a stream: it counts in no books. */
  async #appendReports(recogniser: ReportRecogniser, identity: KernelIdentity | undefined, clock: BootClock | undefined): Promise<void> {
    const found = recogniser.takeReports();
    if (found.length === 0 || identity === undefined || clock === undefined) return;
    const batch = toReportRows(found, this.#stream);
    this.#reports += batch.length;
    const attributes = { [ATTR.clock]: batch.clock, [ATTR.clockError]: String(Math.round(clock.fit.errorNs)) };
    const scope = { name: 'mkscope import', version: '', schemaUrl: SCHEMA_URL, attributes };
    await this.#append({ logs: [{ resource: toResource(identity), scope, batch }] }, identity);
  }

  /** Events of a dump in the lines, as far as they have come: a stream of its own. */
  async #appendDump(
    reader: DumpReader,
    dumps: readonly DumpTimes[],
    identity: KernelIdentity | undefined,
    clock: BootClock | undefined,
  ): Promise<void> {
    const { start, events: batch } = reader;
    const times = start === undefined ? undefined : dumps[start.index];
    if (start === undefined || times === undefined || identity === undefined || clock === undefined) return;
    const losses = reader.takeLosses();
    if (batch.length === 0 && losses.length === 0) return;
    const stream = `${this.#stream}/ftrace_dump`;
    const fit = fitDump(start, times, clock.fit.errorNs);
    for (const table of batch.tables) {
      alignTimes(table.rawTime, table.unixTime, table.length, fit);
      placeUntimed(table, toUnixNs(fit, times.firstRaw === NO_RAW_TIME ? fit.baseRaw : times.firstRaw));
      if (table.length > 0) this.#noteTime(table.unixTime.getBigint(0), table.unixTime.getBigint(table.length - 1));
    }
    const events = batch.length === 0 ? {} : { events: [{ identity, stream, clockErrorNs: fit.errorNs, batch }] };
    const gaps = losses.map((loss) => toGap(loss, stream, fit));
    this.#dumpEvents += batch.length;
    this.#gaps += gaps.length;
    await this.#append({ ...events, ...(gaps.length === 0 ? {} : { gaps: [{ identity, gaps }] }) }, identity);
    batch.clear();
  }

  async #appendGaps(losses: readonly InputLoss[], identity: KernelIdentity | undefined, clock: BootClock | undefined): Promise<void> {
    if (losses.length === 0 || identity === undefined || clock === undefined) return;
    const gaps = losses.map((loss) => toGap(loss, this.#stream, clock.fit));
    this.#gaps += gaps.length;
    await this.#append({ gaps: [{ identity, gaps }] }, identity);
  }

  /** True when the piece was stored before. Waits while the store is busy: a file can. */
  async #append(rows: StoreBatch, identity: KernelIdentity, sequence = this.#appends++): Promise<boolean> {
    const origin = { stream: `import:${this.#key}`, sequence };
    const seen = [this.#fromNs ?? 0n, this.#toNs].map((seenUnixNs) => ({ identity, seenUnixNs, origin: 'imported' as const }));
    for (;;) {
      try {
        for (const { batch } of rows.events ?? []) this.#options.ikc?.notice(batch);
        const isDuplicate = (await this.#store.append({ ...rows, origin, kernels: seen })) === 'duplicate';
        if (!isDuplicate) this.#joinMessages(rows, identity);
        return isDuplicate;
      } catch (error) {
        if (!isOperational(error) || error.code !== 'E_STORE_BUSY') throw error;
        await this.#store.flush();
      }
    }
  }

  #joinMessages({ events = [], logs = [], gaps = [] }: StoreBatch, identity: KernelIdentity): void {
    const join = this.#options.ikc?.join;
    if (join === undefined) return;
    const nowMs = Date.now();
    for (const { batch, clockErrorNs } of events) join.addEvents(identity, batch, clockErrorNs, nowMs);
    for (const { batch, scope } of logs) join.addLogs(identity, this.#stream, batch, clockErrorOf(scope), nowMs);
    for (const { gaps: own } of gaps) join.addGaps(identity, own);
  }

  /** Numbers of appends restart with each piece, so that they do not depend on what the pieces before held. */
  #nextChunk(phase: ImportProgress['phase'], readBytes: number): void {
    this.#appends = (Math.floor(this.#appends / APPENDS_PER_CHUNK) + 1) * APPENDS_PER_CHUNK;
    this.#progress(phase, readBytes);
  }

  #noteTime(fromNs: bigint, toNs: bigint): void {
    if (this.#fromNs === undefined || fromNs < this.#fromNs) this.#fromNs = fromNs;
    if (toNs > this.#toNs) this.#toNs = toNs;
  }

  #progress(phase: ImportProgress['phase'], bytes: number): void {
    this.#onProgress({ phase, bytes, totalBytes: this.#staged.sizeBytes, records: this.#records });
  }

  /** The file is the whole of what its kernels say: messages are decided up to its end. */
  #endMessages(identities: readonly KernelIdentity[]): void {
    if (this.#fromNs === undefined) return;
    for (const identity of identities) this.#options.ikc?.join.noteFront(identity, this.#toNs + AFTER_FILE_NS);
  }

  #outcome(
    format: string,
    boots: readonly Boot[],
    clocks: readonly BootClock[],
    identities: readonly KernelIdentity[],
    malformed: ReadonlyMap<string, number>,
  ): ImportOutcome {
    this.#endMessages(identities);
    return {
      format,
      records: this.#records,
      alreadyStored: this.#alreadyStored,
      bytes: this.#staged.sizeBytes,
      malformed: Object.fromEntries(malformed),
      gaps: this.#gaps,
      reports: this.#reports,
      dumpEvents: this.#dumpEvents,
      kernels: boots.map((boot, index) => {
        const { machineName, kernelId, kernelName, bootId, release } = identities[index] as KernelIdentity;
        const { fit, origin } = clocks[index] as BootClock;
        return {
          machine: machineName,
          kernelId,
          kernelName,
          bootId,
          release,
          records: boot.rows,
          clock: origin,
          clockErrorNs: fit.errorNs,
        };
      }),
      lifeMachine: this.#tellsOfLives ? this.#identity.machineId : undefined,
      from: this.#fromNs === undefined ? '' : String(this.#fromNs),
      to: this.#fromNs === undefined ? '' : String(this.#toNs),
      boots: boots.map((boot, index) => ({
        bootId: (identities[index] as KernelIdentity).bootId,
        fit: (clocks[index] as BootClock).fit,
        kvm: boot.scan.anchors().kvm,
      })),
    };
  }
}

function toIdentity({ identity, fileName }: ImportOptions): Omit<KernelIdentity, 'bootId'> {
  const stem = fileName.replace(/^.*\//, '').replace(/\.[^.]*$/, '');
  const machineId = identity?.machineId ?? IMPORTED_MACHINE;
  return {
    machineId,
    machineName: identity?.machineName ?? machineId,
    kernelId: identity?.kernelId ?? HOST_KERNEL_ID,
    kernelName: identity?.kernelName ?? (stem === '' ? 'imported' : stem),
    release: identity?.release ?? '',
    arch: identity?.arch ?? '',
  };
}

/** What a piece of a file with events has besides the rows, which stand in the batch behind those of the pieces before. */
interface EventPiece {
  readonly gaps: readonly Gap[];
  readonly doneBytes: number;
}

async function* textPieces(reader: ChunkReader<EventBatch>, stream: string, fit: ClockFit): AsyncGenerator<EventPiece> {
  for await (const { losses, readBytes } of reader.chunks()) {
    yield { gaps: losses.map((loss) => toGap(loss, stream, fit)), doneBytes: readBytes };
  }
}

async function* tracePieces(
  trace: TraceStream,
  batch: EventBatch,
  fillNames: (from: readonly number[]) => void,
  doneBytes: number,
): AsyncGenerator<EventPiece> {
  const { stream } = trace;
  for (let more = true; more;) {
    const lengths = batch.tables.map(({ length }) => length);
    more = await stream.readAhead(PIECE_BYTES, batch);
    // Piece by piece: a task that takes another name has the old one up to then.
    fillNames(lengths);
    yield { gaps: stream.takeLosses().map((loss) => toTraceGap(loss, trace)), doneBytes: doneBytes + stream.readBytes };
  }
}

/** Rows that came since the tables had these lengths go; their number. No row before them has waited. */
function takeBack(batch: EventBatch, lengths: readonly number[]): number {
  let rows = 0;
  batch.ties.clear();
  for (const [at, table] of batch.tables.entries()) {
    const before = lengths[at] ?? 0;
    rows += table.length - before;
    table.comm.fill(0, before, table.length);
    table.length = before;
  }
  return rows;
}

/** Where a boot's lines begin, for those that come before its first stamp. */
function firstTime(boot: Boot, fit: ClockFit): bigint {
  return toUnixNs(fit, boot.minRaw === NO_RAW_TIME ? 0n : boot.minRaw);
}

/** Rows without a stamp stand in front of the first event. */
function placeUntimed(table: EventTable, firstNs: bigint): void {
  for (let row = 0; row < table.length; row++) {
    if (table.rawTime.getBigint(row) !== NO_RAW_TIME) return;
    table.unixTime.setBigint(row, firstNs);
  }
}

/** What the header of a latency trace says. */
function releaseOfTrace(batch: EventBatch): string {
  const table = batch.find('ftrace:latency');
  if (table === undefined || table.length === 0) return '';
  const column = table.column('release');
  return column?.kind === 'string' ? batch.strings.get(column.values[0] as number).slice(0, 128) : '';
}

/** Fills the times; a row without a stamp has that of who logged it, or that of the row before it. Returns the last row's. */
function alignLogs(batch: LogBatch, { fit, wallShiftNs = 0n }: BootClock, beforeNs: bigint): bigint {
  alignTimes(batch.rawTime, batch.unixTime, batch.length, fit);
  let lastNs = beforeNs;
  for (let row = 0; row < batch.length; row++) {
    if (batch.rawTime.getBigint(row) === NO_RAW_TIME) {
      const observedNs = batch.observedTime.getBigint(row);
      batch.unixTime.setBigint(row, observedNs === 0n ? lastNs : observedNs + wallShiftNs);
    }
    lastNs = batch.unixTime.getBigint(row);
  }
  return lastNs;
}

/** Bound on the times of a table's rows: it grows with the distance from where clocks were compared. */
function tableErrorNs({ timeline }: TraceStream, { rawTime, cpu, length }: EventTable): number {
  if (timeline.shift === undefined || length === 0) return timeline.fit.errorNs;
  const raws = [rawTime.getBigint(0), rawTime.getBigint(length - 1)];
  return Math.max(traceErrorNs(timeline, cpu[0] as number, raws), traceErrorNs(timeline, cpu[length - 1] as number, raws));
}

function toGap(loss: InputLoss, stream: string, fit: ClockFit): Gap {
  const known = loss.toRaw === NO_RAW_TIME ? loss.fromRaw : loss.toRaw;
  const to = known === NO_RAW_TIME ? fit.baseUnixNs : toUnixNs(fit, known);
  const from = loss.fromRaw === NO_RAW_TIME ? to : toUnixNs(fit, loss.fromRaw);
  return { stream, cpu: loss.cpu, fromUnixNs: from, toUnixNs: to, count: loss.count, reason: loss.reason };
}
