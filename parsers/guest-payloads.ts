/**
 * The payloads of a guest forwarder's frames (parsers/guest-stream.ts). Rare ones are text, `key=value` lines, so that either
 * side may say more than the other knows; the bulk is binary, little-endian:
 *
 *   HELLO    version=1 ⏎ session=1987… ⏎ kernel_id=3 ⏎ … ⏎ cpu=0 base=0 ⏎ problem=/dev/kmsg: Permission denied
 *   FORMATS  u16 index | u16 total | u16 name bytes | sched:sched_switch | text of its `format` file     (index 0: header_page)
 *   KMSG     u32 bytes | 6,341,1804081078,-;usb 1-1: new device⏎ | u32 bytes | …                          whole read()s
 *   PAGES    u16 cpu | u16 pages | u32 events | u32 bytes of a page | u32 bytes | page without the zeros at its end | …
 *   STATS    cpu=0 entries=12 overrun=0 commit_overrun=0 dropped=0 read=4711 ⏎ … ⏎ kmsg=611 queue_bytes=0 cpu_us=1240
 *   COMMS    lines of saved_cmdlines that changed
 *   CLOCK    mono0= real= raw= boot= tsc= mono1=, perf0= perf= perf1=, trace0= trace= trace1=           each on its line
 *   PONG     16 bytes of the PING | u64 session | u64 received, u64 answered: CLOCK_MONOTONIC ns of the guest
 *   SYSTEM   u64 session | u64 moment: CLOCK_MONOTONIC ns | per file u16 name bytes | u32 text bytes | name, below /proc | text
 *
 * A guest is another security domain: every length is checked, every list and text is bounded. What does not fit is `malformed`
 * with a reason; its frame still counts as received.
 */
import { decodeUtf8 } from '../base/bytes.ts';
import { TWO_POW_32 } from '../base/int64.ts';
import { GUEST_FRAME, type RawFrame } from './guest-stream.ts';

const MAX_TEXT_CHARS = 256;
const MAX_CPUS = 4096;
const MAX_PROBLEMS = 32;
const MAX_PAGE_BYTES = 64 << 10;
/** Pages that a frame may unfold to. */
const MAX_PAGES_BYTES = 1 << 20;
const TOKEN_BYTES = 16;
const MAX_SYSTEM_FILES = 32;

export interface GuestHello {
  readonly version: number;
  /** Random per run of the forwarder, below 2^53. */
  readonly session: number;
  /** Undefined = the guest does not know. */
  readonly kernelId: number | undefined;
  readonly kernelName: string;
  readonly bootId: string;
  readonly release: string;
  /** `uname -m`. */
  readonly machine: string;
  readonly wordBytes: number;
  readonly endian: 'little' | 'big';
  /** Number of the oldest frame that can still come. */
  readonly firstFrame: number;
  readonly hasKmsg: boolean;
  readonly trace: GuestTrace | undefined;
  /** What could not be opened, and why. */
  readonly problems: readonly string[];
}

export interface GuestTrace {
  readonly clock: string;
  readonly instance: string;
  /** Tells an instance from a later one of the same name. */
  readonly generation: number;
  readonly pageBytes: number;
  /** `base`: events taken out of the ring that a host without a memory of this instance does not get. */
  readonly cpus: readonly { readonly cpu: number; readonly base: number }[];
}

export interface GuestCpuStats {
  readonly cpu: number;
  readonly entries: number;
  readonly overrun: number;
  readonly commitOverrun: number;
  readonly dropped: number;
  readonly read: number;
}

/** A reading of another clock between two of CLOCK_MONOTONIC, ns (ticks for `at` where the clock counts otherwise). */
export interface GuestBracket {
  readonly before: bigint;
  readonly at: bigint;
  readonly after: bigint;
}

/** Clocks that one CLOCK frame brackets, by name: `real`, `raw`, `boot`, `tsc`, `perf`, `trace`. */
export type GuestClocks = Readonly<Partial<Record<'real' | 'raw' | 'boot' | 'tsc' | 'perf' | 'trace', GuestBracket>>>;

export type GuestFrame = { readonly sequence: number } & (
  | { readonly kind: 'hello'; readonly hello: GuestHello }
  | { readonly kind: 'format'; readonly index: number; readonly total: number; readonly name: string; readonly text: string }
  | { readonly kind: 'kmsg'; readonly records: readonly Uint8Array[] }
  | { readonly kind: 'kmsg-lost' }
  | { readonly kind: 'pages'; readonly cpu: number; readonly pageBytes: number; readonly pages: Uint8Array }
  | {
      readonly kind: 'stats';
      readonly cpus: readonly GuestCpuStats[];
      readonly kmsgSequence: number;
      readonly queueBytes: number;
      readonly cpuMicros: number;
    }
  | { readonly kind: 'comms'; readonly comms: Readonly<Record<string, string>> }
  | { readonly kind: 'clock'; readonly clocks: GuestClocks }
  | {
      readonly kind: 'pong';
      readonly token: readonly [bigint, bigint];
      readonly session: number;
      readonly received: bigint;
      readonly answered: bigint;
    }
  | {
      readonly kind: 'system';
      readonly session: number;
      readonly momentNs: bigint;
      /** Text by name below /proc; `kprobes` = probes of the forwarder that were hit and not traced, `group/name missed` lines. */
      readonly files: ReadonlyMap<string, string>;
    }
  | { readonly kind: 'note' | 'bye'; readonly text: string }
  | { readonly kind: 'malformed'; readonly reason: string }
);

/** The frame's meaning; never throws. */
export function parseGuestFrame({ type, sequence, payload }: RawFrame): GuestFrame {
  switch (type) {
    case GUEST_FRAME.hello:
      return { sequence, ...parseHello(decodeUtf8(payload)) };
    case GUEST_FRAME.formats:
      return { sequence, ...parseFormat(payload) };
    case GUEST_FRAME.kmsg:
      return { sequence, ...parseKmsg(payload) };
    case GUEST_FRAME.kmsgLost:
      return { sequence, kind: 'kmsg-lost' };
    case GUEST_FRAME.pages:
      return { sequence, ...parsePages(payload) };
    case GUEST_FRAME.stats:
      return { sequence, ...parseStats(decodeUtf8(payload)) };
    case GUEST_FRAME.comms:
      return { sequence, ...parseComms(decodeUtf8(payload)) };
    case GUEST_FRAME.clock:
      return { sequence, kind: 'clock', clocks: parseClocks(decodeUtf8(payload)) };
    case GUEST_FRAME.pong:
      return { sequence, ...parsePong(payload) };
    case GUEST_FRAME.system:
      return { sequence, ...parseSystem(payload) };
    case GUEST_FRAME.note:
      return { sequence, kind: 'note', text: cleanText(decodeUtf8(payload)) };
    case GUEST_FRAME.bye:
      return { sequence, kind: 'bye', text: cleanText(decodeUtf8(payload)) };
    default:
      return { sequence, kind: 'malformed', reason: 'unknown_type' };
  }
}

type Body<Kind extends GuestFrame['kind']> =
  | Omit<Extract<GuestFrame, { kind: Kind }>, 'sequence'>
  | { readonly kind: 'malformed'; readonly reason: string };

const malformed = (reason: string) => ({ kind: 'malformed', reason }) as const;

function parseHello(text: string): Body<'hello'> {
  const fields = new Map<string, string>();
  const problems: string[] = [];
  const cpus: { cpu: number; base: number }[] = [];
  for (const line of text.split('\n')) {
    const at = line.indexOf('=');
    if (at <= 0) continue;
    const name = line.slice(0, at);
    const value = cleanText(line.slice(at + 1));
    if (name === 'problem' && problems.length < MAX_PROBLEMS) problems.push(value);
    else if (name === 'cpu' && cpus.length < MAX_CPUS) cpus.push(...toCpuBase(line));
    else fields.set(name, value);
  }
  const count = (name: string): number | undefined => toCount(fields.get(name));
  const session = count('session');
  const bootId = fields.get('boot_id') ?? '';
  if (count('version') === undefined || session === undefined || session === 0) return malformed('hello_session');
  if (!/^[\w-]{1,64}$/.test(bootId)) return malformed('hello_boot_id');
  const endian = fields.get('endian') === 'big' ? 'big' : 'little';
  return {
    kind: 'hello',
    hello: {
      version: count('version') ?? 0,
      session,
      kernelId: count('kernel_id'),
      kernelName: fields.get('kernel_name') ?? '',
      bootId,
      release: fields.get('release') ?? '',
      machine: fields.get('machine') ?? '',
      wordBytes: count('word_bytes') ?? 8,
      endian,
      firstFrame: count('first_frame') ?? 1,
      hasKmsg: fields.get('kmsg') === 'open',
      trace: toTrace(fields, cpus),
      problems,
    },
  };
}

function toTrace(fields: ReadonlyMap<string, string>, cpus: GuestTrace['cpus']): GuestTrace | undefined {
  const pageBytes = toCount(fields.get('page_bytes')) ?? 0;
  const instance = fields.get('instance') ?? '';
  if (!/^[\w.-]{1,64}$/.test(instance) || pageBytes < 64 || pageBytes > MAX_PAGE_BYTES) return undefined;
  return { clock: fields.get('clock') ?? 'mono', instance, generation: toCount(fields.get('generation')) ?? 0, pageBytes, cpus };
}

function toCpuBase(line: string): { cpu: number; base: number }[] {
  const fields = toFields(line);
  const cpu = fields.get('cpu');
  return cpu === undefined || cpu >= MAX_CPUS ? [] : [{ cpu, base: fields.get('base') ?? 0 }];
}

function parseFormat(payload: Uint8Array): Body<'format'> {
  if (payload.length < 6) return malformed('format_length');
  const view = viewOf(payload);
  const nameBytes = view.getUint16(4, true);
  const total = view.getUint16(2, true);
  const index = view.getUint16(0, true);
  if (6 + nameBytes > payload.length || nameBytes > MAX_TEXT_CHARS || index >= total) return malformed('format_length');
  const name = decodeUtf8(payload, 6, 6 + nameBytes);
  if (!/^(?:header_page|[\w.-]+:[\w.-]+)$/.test(name)) return malformed('format_name');
  return { kind: 'format', index, total, name, text: decodeUtf8(payload, 6 + nameBytes) };
}

function parseKmsg(payload: Uint8Array): Body<'kmsg'> {
  const view = viewOf(payload);
  const records: Uint8Array[] = [];
  for (let at = 0; at < payload.length;) {
    if (at + 4 > payload.length) return malformed('kmsg_length');
    const length = view.getUint32(at, true);
    if (length === 0 || length > payload.length - at - 4) return malformed('kmsg_length');
    records.push(payload.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return { kind: 'kmsg', records };
}

function parsePages(payload: Uint8Array): Body<'pages'> {
  if (payload.length < 12) return malformed('pages_length');
  const view = viewOf(payload);
  const cpu = view.getUint16(0, true);
  const count = view.getUint16(2, true);
  const pageBytes = view.getUint32(8, true);
  if (cpu >= MAX_CPUS || pageBytes < 64 || pageBytes > MAX_PAGE_BYTES || count * pageBytes > MAX_PAGES_BYTES)
    return malformed('pages_size');
  const pages = new Uint8Array(count * pageBytes);
  let at = 12;
  for (let page = 0; page < count; page++) {
    if (at + 4 > payload.length) return malformed('pages_length');
    const length = view.getUint32(at, true);
    if (length > pageBytes || length > payload.length - at - 4) return malformed('pages_length');
    pages.set(payload.subarray(at + 4, at + 4 + length), page * pageBytes);
    at += 4 + length;
  }
  return { kind: 'pages', cpu, pageBytes, pages };
}

function parseStats(text: string): Body<'stats'> {
  const cpus: GuestCpuStats[] = [];
  let kmsgSequence = -1;
  let queueBytes = 0;
  let cpuMicros = 0;
  for (const line of text.split('\n')) {
    const fields = toFields(line);
    const of = (name: string): number => fields.get(name) ?? 0;
    const cpu = fields.get('cpu');
    if (cpu === undefined) {
      kmsgSequence = fields.get('kmsg') ?? kmsgSequence;
      queueBytes = fields.get('queue_bytes') ?? queueBytes;
      cpuMicros = fields.get('cpu_us') ?? cpuMicros;
    } else if (cpu < MAX_CPUS && cpus.length < MAX_CPUS) {
      cpus.push({
        cpu,
        entries: of('entries'),
        overrun: of('overrun'),
        commitOverrun: of('commit_overrun'),
        dropped: of('dropped'),
        read: of('read'),
      });
    }
  }
  return { kind: 'stats', cpus, kmsgSequence, queueBytes, cpuMicros };
}

function parseComms(text: string): Body<'comms'> {
  const comms: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const match = /^(\d{1,10}) (.{1,64})$/s.exec(line);
    if (match !== null) comms[match[1] as string] = match[2] as string;
  }
  return { kind: 'comms', comms };
}

/** `mono0 … mono1` bracket the system's clocks, `<name>0 … <name>1` the one read through the tracer. */
function parseClocks(text: string): GuestClocks {
  const values = new Map<string, bigint>();
  for (const line of text.split('\n')) {
    const match = /^(\w{1,16})=(\d{1,20})$/.exec(line);
    if (match !== null) values.set(match[1] as string, BigInt.asUintN(64, BigInt(match[2] as string)));
  }
  const clocks: Partial<Record<keyof GuestClocks, GuestBracket>> = {};
  for (const name of ['real', 'raw', 'boot', 'tsc', 'perf', 'trace'] as const) {
    const own = name === 'perf' || name === 'trace';
    const before = values.get(own ? `${name}0` : 'mono0');
    const after = values.get(own ? `${name}1` : 'mono1');
    const at = values.get(name);
    if (before !== undefined && after !== undefined && at !== undefined && before <= after) clocks[name] = { before, at, after };
  }
  return clocks;
}

function parsePong(payload: Uint8Array): Body<'pong'> {
  if (payload.length < TOKEN_BYTES + 24) return malformed('pong_length');
  const view = viewOf(payload);
  return {
    kind: 'pong',
    token: [view.getBigInt64(0, true), view.getBigInt64(8, true)],
    session: readSession(view, TOKEN_BYTES),
    received: view.getBigInt64(24, true),
    answered: view.getBigInt64(32, true),
  };
}

function parseSystem(payload: Uint8Array): Body<'system'> {
  if (payload.length < 16) return malformed('system_length');
  const view = viewOf(payload);
  const files = new Map<string, string>();
  for (let at = 16; at < payload.length;) {
    if (at + 6 > payload.length || files.size === MAX_SYSTEM_FILES) return malformed('system_length');
    const textAt = at + 6 + view.getUint16(at, true);
    const end = textAt + view.getUint32(at + 2, true);
    if (end > payload.length) return malformed('system_length');
    const name = decodeUtf8(payload, at + 6, textAt);
    if (!/^[a-z]{1,32}(?:\/[a-z]{1,32})?$/.test(name)) return malformed('system_name');
    files.set(name, decodeUtf8(payload, textAt, end));
    at = end;
  }
  return { kind: 'system', session: readSession(view, 0), momentNs: view.getBigInt64(8, true), files };
}

/** `name=digits` words of a line; what is no safe integer is left out. */
function toFields(line: string): Map<string, number> {
  const fields = new Map<string, number>();
  for (const word of line.split(' ', 32)) {
    const at = word.indexOf('=');
    const value = at > 0 ? toCount(word.slice(at + 1)) : undefined;
    if (value !== undefined) fields.set(word.slice(0, at), value);
  }
  return fields;
}

function toCount(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Text of a guest for people and names: bounded, without control characters. */
function cleanText(text: string): string {
  return text
    .slice(0, MAX_TEXT_CHARS)
    .replaceAll(/\p{Cc}/gu, '?')
    .trim();
}

function readSession(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * TWO_POW_32 + view.getUint32(at, true);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
