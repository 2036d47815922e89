/**
 * Stored events written as trace.dat: pages made anew from the columns of `events` and the kernel's own format files in
 * `event_texts`. `trace-cmd report` prints of them what it prints of the recording, but for what the store does not hold
 * (docs/formats/trace_dat.md).
 */
import { OperationalError } from '../base/errors.ts';
import type { RawOption } from '../model/event-file.ts';
import type { FormatSet } from '../model/segment.ts';
import { EventEncoder } from '../export/event-encoder.ts';
import { parseEventFormat } from '../parsers/event-format.ts';
import { PageEncoder } from '../export/page-encoder.ts';
import { parseHeaderPage, type PageLayout } from '../parsers/page-header.ts';
import { OPTION } from '../parsers/trace-dat-options.ts';
import { DatNumbers, TraceDatWriter, type ByteSink, type DatCompression } from '../export/trace-dat-writer.ts';

/** A reading query; its rows as `JSONCompactEachRow` has them. */
export type Ask = (sql: string, params: Readonly<Record<string, string>>) => Promise<unknown[][]>;

export interface EventSelection {
  readonly kernel: string;
  readonly fromUnixNs: bigint | undefined;
  readonly toUnixNs: bigint | undefined;
  readonly cpus: ReadonlySet<number> | undefined;
}

export interface WrittenEvents {
  readonly bootId: string;
  events: number;
  /** Events that are not in the file, by reason. */
  readonly left: Map<string, number>;
}

/** All pages of an export are in memory, at some 60 bytes an event, and a query gives no more rows. */
const MAX_EVENTS = 2_000_000;
const INTEGERS = Array.from({ length: 12 }, (_, slot) => `I${slot}`).join(', ');
const TEXTS = Array.from({ length: 4 }, (_, slot) => `S${slot}::String`).join(', ');

/** Options that a file needs; made where the recording did not have them. */
const MADE_OPTIONS: ReadonlySet<number> = new Set([OPTION.traceClock, OPTION.uname, OPTION.cpuCount]);

interface Boot {
  readonly bootId: string;
  readonly where: string;
  readonly params: Readonly<Record<string, string>>;
  readonly streams: readonly { readonly stream: string; readonly clock: string }[];
}

/** Writes the events of the newest boot of a kernel in the window. */
export async function writeStoredEvents(
  ask: Ask,
  sink: ByteSink,
  { compression, selection }: { compression: DatCompression; selection: EventSelection },
): Promise<WrittenEvents> {
  const boot = await findBoot(ask, selection);
  const formats = await readFormats(ask, boot.bootId);
  const layout = parseHeaderPage(formats.headerPage);
  if (typeof layout === 'string') throw nothing(`the pages of boot ${boot.bootId} cannot be laid out: ${layout}`);
  const clock = boot.streams[0]?.clock ?? 'local';
  const { stream: recording, texts } = await readTexts(ask, boot);
  const writer = new TraceDatWriter(sink, {
    formats,
    compression,
    longBytes: layout.longBytes,
    pageSizeBytes: layout.pageSizeBytes,
    comms: texts.get('saved_cmdlines') ?? (await readComms(ask, boot)),
    kallsyms: texts.get('kallsyms') ?? '',
    options: [
      ...toOptions(texts.get('options') ?? '[]', isWhole(selection)),
      ...(await makeOptions(ask, boot, clock, formats.endian === 'little')),
    ].filter(({ id }, i, all) => all.findIndex((option) => option.id === id) === i || !MADE_OPTIONS.has(id)),
  });
  const written: WrittenEvents = { bootId: boot.bootId, events: 0, left: new Map() };
  const encoders = await readEncoders(ask, boot.bootId, formats, layout);
  for (const [i, { stream, clock: own }] of boot.streams.entries()) {
    const pages = await encodePages(ask, boot, stream, { encoders, layout, little: formats.endian === 'little', written });
    const instance = i === 0 && stream === recording ? '' : stream.slice(Math.max(stream.lastIndexOf('/'), stream.lastIndexOf(':')) + 1);
    // The first buffer of a file is the top one.
    if (i === 0 && instance !== '') writer.addBuffer({ instance: '', clock: own, pageSizeBytes: layout.pageSizeBytes }, []);
    writer.addBuffer(
      { instance, clock: own, pageSizeBytes: layout.pageSizeBytes },
      [...pages].map(([cpu, encoder]) => ({ cpu, runs: encoder.finish() })),
    );
  }
  return written;
}

async function findBoot(ask: Ask, { kernel, fromUnixNs, toUnixNs, cpus }: EventSelection): Promise<Boot> {
  const conditions = ['KernelName = {kernel:String}'];
  if (fromUnixNs !== undefined) conditions.push(`Timestamp >= fromUnixTimestamp64Nano(toInt64(${fromUnixNs}))`);
  if (toUnixNs !== undefined) conditions.push(`Timestamp < fromUnixTimestamp64Nano(toInt64(${toUnixNs}))`);
  if (cpus !== undefined) conditions.push(`Cpu IN (${[...cpus].join(', ')})`);
  const rows = await ask(
    `SELECT BootId::String, Stream::String, any(ClockDomain)::String, count() FROM events WHERE ${conditions.join(' AND ')}
     GROUP BY BootId, Stream ORDER BY max(max(Timestamp)) OVER (PARTITION BY BootId) DESC, BootId, length(Stream), Stream`,
    { kernel },
  );
  const bootId = rows[0]?.[0];
  if (typeof bootId !== 'string') throw nothing(`kernel ${kernel} has no events there`);
  const own = rows.filter(([boot]) => boot === bootId);
  const events = own.reduce((sum, row) => sum + Number(row[3]), 0);
  if (events > MAX_EVENTS) {
    throw new OperationalError(
      'E_QUERY_LIMIT',
      `${events} events are more than ${MAX_EVENTS}, which an export takes at once`,
      'name a window with --since and --until, or CPUs with --cpu',
    );
  }
  return {
    bootId,
    where: `${conditions.join(' AND ')} AND BootId = {bootId:String}`,
    params: { kernel, bootId },
    streams: own.map(([, stream, clock]) => ({ stream: String(stream), clock: String(clock) })),
  };
}

async function readFormats(ask: Ask, bootId: string): Promise<FormatSet> {
  const [layout] = await ask('SELECT Endian::String, HeaderPage, PrintkFormats FROM page_layouts FINAL WHERE BootId = {bootId:String}', {
    bootId,
  });
  if (layout === undefined) throw nothing(`the store has no event formats of boot ${bootId}: it was text, or stored before there were any`);
  const events = await ask('SELECT Event, Format FROM event_texts FINAL WHERE BootId = {bootId:String} ORDER BY Event', { bootId });
  return {
    endian: layout[0] === 'big' ? 'big' : 'little',
    headerPage: String(layout[1]),
    printkFormats: String(layout[2]),
    events: events.map(([event, format]) => ({ system: String(event).split(':', 1)[0] ?? '', format: String(format) })),
  };
}

async function readEncoders(
  ask: Ask,
  bootId: string,
  { endian }: FormatSet,
  { longBytes }: PageLayout,
): Promise<Map<string, EventEncoder>> {
  const rows = await ask('SELECT toString(FormatId), Event, Format FROM event_texts FINAL WHERE BootId = {bootId:String}', { bootId });
  const encoders = new Map<string, EventEncoder>();
  for (const [formatId, event, text] of rows) {
    const format = parseEventFormat(String(text), String(event).split(':', 1)[0] ?? '');
    if (typeof format !== 'string') encoders.set(String(formatId), new EventEncoder(format, longBytes, endian === 'little'));
  }
  return encoders;
}

interface StoredRecording {
  /** The stream of its top buffer. */
  readonly stream: string;
  readonly texts: ReadonlyMap<string, string>;
}

/** The recording that the events came in; a kernel that was observed live has none, and its first stream is taken for the top one. */
async function readTexts(ask: Ask, { params, streams }: Boot): Promise<StoredRecording> {
  const stream = streams[0]?.stream ?? '';
  const rows = await ask(
    `SELECT Stream, Kind::String, Content FROM recording_texts FINAL
     WHERE BootId = {bootId:String} AND (Stream IN ('', {stream:String}) OR startsWith({stream:String}, Stream || '/'))
     ORDER BY Stream`,
    { ...params, stream },
  );
  const texts = rows as [stream: string, kind: string, content: string][];
  // What has no stream came from the kernel's own collector.
  const own = texts.find(([of]) => of !== '')?.[0] ?? stream;
  return { stream: own, texts: new Map(texts.map(([, kind, content]) => [kind, content])) };
}

function isWhole({ fromUnixNs, toUnixNs, cpus }: EventSelection): boolean {
  return fromUnixNs === undefined && toUnixNs === undefined && cpus === undefined;
}

/** The recording's own options. The kernel's counters are those of all of it. */
function toOptions(stored: string, isWholeRecording: boolean): RawOption[] {
  return (JSON.parse(stored) as [number, string][])
    .filter(([id]) => isWholeRecording || id !== OPTION.cpuStat)
    .map(([id, base64]) => ({ id, bytes: Buffer.from(base64, 'base64') }));
}

async function readComms(ask: Ask, { where, params }: Boot): Promise<string> {
  const rows = await ask(
    `SELECT Pid, argMax(Comm, Timestamp)::String FROM events WHERE ${where} AND Pid > 0 AND Comm != '' GROUP BY Pid ORDER BY Pid`,
    params,
  );
  const lines = rows.map(([pid, comm]) => `${String(pid)} ${String(comm).replaceAll('\n', ' ')}\n`).join('');
  return Buffer.from(lines).toString('latin1');
}

async function makeOptions(ask: Ask, { where, params, bootId }: Boot, clock: string, little: boolean): Promise<RawOption[]> {
  const [kernel] = await ask('SELECT anyLast(MachineName), anyLast(Release), anyLast(Arch) FROM kernels WHERE BootId = {bootId:String}', {
    bootId,
  });
  const [most] = await ask(`SELECT max(Cpu) FROM events WHERE ${where}`, params);
  const text = (id: number, value: string): RawOption => ({ id, bytes: new DatNumbers(little).text(value).finish() });
  const [machine = '', release = '', arch = ''] = (kernel ?? []).map((word) => String(word).replaceAll(/\s/g, '_'));
  return [
    text(OPTION.traceClock, `[${clock}]\n`),
    text(OPTION.uname, `Linux ${machine} ${release} ${arch}`),
    { id: OPTION.cpuCount, bytes: new DatNumbers(little).u32(Number(most?.[0] ?? 0) + 1).finish() },
  ];
}

interface Encoding {
  readonly encoders: ReadonlyMap<string, EventEncoder>;
  readonly layout: PageLayout;
  readonly little: boolean;
  readonly written: WrittenEvents;
}

async function encodePages(ask: Ask, { where, params }: Boot, stream: string, encoding: Encoding): Promise<Map<number, PageEncoder>> {
  const rows = await ask(
    `SELECT Cpu, toString(RawTime), toString(FormatId), Pid, Flags, PreemptCount, arrayConcat([${INTEGERS}], IX) AS integers,
       arrayConcat([${TEXTS}], SX::Array(String)) AS texts, Event::String, toString(toUnixTimestamp64Nano(Timestamp))
     FROM events WHERE ${where} AND Stream = {stream:String} ORDER BY Cpu, RawTime, Timestamp`,
    { ...params, stream },
  );
  const pages = new Map<number, PageEncoder>();
  const losses = await readLosses(ask, params, stream);
  for (const row of rows as unknown[] as EventSelectRow[]) encodeRow(row, pages, losses, encoding);
  return pages;
}

interface Loss {
  /** Unix time of the first event behind it. */
  readonly toUnixNs: bigint;
  readonly count: number | undefined;
}

/** What pages said to be lost before them, by CPU, the earliest last. */
async function readLosses(ask: Ask, params: Boot['params'], stream: string): Promise<Map<number, Loss[]>> {
  const rows = await ask(
    `SELECT DISTINCT Cpu, toString(toUnixTimestamp64Nano(ToTime)) AS until, toString(Count), FromTime FROM gaps
     WHERE BootId = {bootId:String} AND Stream = {stream:String} AND Reason = 'ring_lost' ORDER BY ToTime DESC, FromTime DESC`,
    { ...params, stream },
  );
  const losses = new Map<number, Loss[]>();
  for (const [cpu, until, count] of rows) {
    const loss = { toUnixNs: BigInt(String(until)), count: Number(count) < 0 ? undefined : Number(count) };
    const own = losses.get(Number(cpu));
    if (own === undefined) losses.set(Number(cpu), [loss]);
    else own.push(loss);
  }
  return losses;
}

/** Losses before an event of a CPU; those of before the window that is exported belong to no event of it. */
function tellLosses(encoder: PageEncoder, pending: Loss[] | undefined, unixNs: bigint, isFirst: boolean): void {
  for (let loss = pending?.at(-1); loss !== undefined && loss.toUnixNs <= unixNs; loss = pending?.at(-1)) {
    pending?.pop();
    if (!isFirst || loss.toUnixNs === unixNs) encoder.lose(loss.count);
  }
}

/** As the query of `encodePages` has it. */
type EventSelectRow = readonly [
  cpu: number,
  raw: string,
  formatId: string,
  pid: number,
  flags: number,
  preemptCount: number,
  integers: (string | number)[],
  texts: string[],
  event: string,
  unix: string,
];

function encodeRow(
  row: EventSelectRow,
  pages: Map<number, PageEncoder>,
  losses: ReadonlyMap<number, Loss[]>,
  { encoders, layout, little, written }: Encoding,
): void {
  const [cpu, raw, formatId, pid, flags, preemptCount, integers, texts, event, unix] = row;
  const leave = (reason: string): void => void written.left.set(reason, (written.left.get(reason) ?? 0) + 1);
  const encoder = encoders.get(formatId);
  if (encoder === undefined) return leave(`${event}: no format`);
  const payload = encoder.encode({ pid, flags, preemptCount, integers, texts });
  if (payload === undefined) return leave(`${event}: a text that is no value of its field`);
  let own = pages.get(cpu);
  const isFirst = own === undefined;
  if (own === undefined) pages.set(cpu, (own = new PageEncoder(layout, little)));
  tellLosses(own, losses.get(cpu), BigInt(unix), isFirst);
  if (own.add(BigInt(raw), payload)) written.events++;
  else leave(`${event}: longer than a page`);
}

function nothing(message: string): OperationalError {
  return new OperationalError('E_NOT_FOUND', message, '`mkscope kernels` lists the kernels; `mkscope query` what is stored of them');
}
