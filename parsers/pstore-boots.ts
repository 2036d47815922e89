/**
 * From the records of a pstore to the log of each boot that left some: parts to crashes, crashes to boots, one text per boot.
 *
 *   Panic#2 Part1  newest text ┐ a crash: same reason and count, parts ascending. Part 1 is written first and holds the end of
 *   Panic#2 Part2              │ the log, so the parts are read backwards. A missing part is a gap.
 *   Panic#2 Part3  oldest text ┘
 *
 *   Oops#1    ─────────┐         two crashes of one boot: each dumps the end of the log, so their texts overlap; a line that
 *   Panic#2      ──────┴────┐    both have is taken once
 *   Panic#1                      another boot: its counter started anew
 *
 * Two crashes are of one boot where their ids say so (erst), where the last line of the earlier stands in the later, or where
 * both say when they were made and their clocks began at the same time. Otherwise they are taken as two boots.
 */
import type { InputLoss } from '../model/parser.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import { lineEnd, readStamp, type PstoreRecord } from './pstore-record.ts';

/** Parts of one crash are written one after the other; a slow EFI takes a second for some. */
const CRASH_SPAN_NS = 120_000_000_000n;
/** Times of records are cut to seconds, and a clock may be stepped a little. */
const SAME_BOOT_NS = 5_000_000_000n;
/** Part 1 is made right after its last line is printed: the panic may wait a second for other CPUs. */
const MADE_LATE_NS = 2_000_000_000n;
const MADE_CUT_NS = 1_000_000_000n;

export interface PstoreCrash {
  readonly reason: string;
  readonly count: number;
  readonly backend: string;
  /** Oldest text first, so by falling part. */
  readonly parts: readonly PstoreRecord[];
  readonly firstRaw: bigint | undefined;
  readonly lastRaw: bigint | undefined;
  readonly madeUnixNs: bigint | undefined;
  readonly lines: readonly Line[];
  /** Keys of the lines with a stamp. */
  readonly keys: ReadonlySet<string>;
}

interface Line {
  /** undefined: without a stamp, as a console may show them. */
  readonly raw: bigint | undefined;
  /** Without the level, which a console does not show. */
  readonly key: string;
  readonly bytes: Uint8Array;
}

export interface PstoreBoot {
  readonly crashes: readonly PstoreCrash[];
  /** All lines of all crashes, in order, each once. */
  readonly text: Uint8Array;
  readonly losses: readonly InputLoss[];
  /** When a stamp was, by when a record was made. */
  readonly moment: { readonly raw: bigint; readonly unixLow: bigint; readonly unixHigh: bigint } | undefined;
}

/** Oldest first, as far as anybody can tell. */
export function toPstoreBoots(records: readonly PstoreRecord[]): PstoreBoot[] {
  const boots: PstoreCrash[][] = [];
  for (const crash of toCrashes(records)) {
    const known = boots.findLast((boot) => boot.some((other) => isSameBoot(other, crash)));
    if (known === undefined) boots.push([crash]);
    else known.push(crash);
  }
  return boots.map(toBoot);
}

/** The text without what the crashes that `isKnown` names have, and without lines stamped before `fromRaw`. */
export function textBeyond({ crashes }: PstoreBoot, isKnown: (crash: PstoreCrash) => boolean, fromRaw: bigint): Uint8Array {
  const known = crashes.filter(isKnown);
  const isNew = ({ raw, key }: Line): boolean => raw === undefined || (raw >= fromRaw && !known.some(({ keys }) => keys.has(key)));
  return joinLines(crashes.filter((crash) => !isKnown(crash)).map(({ lines }) => lines.filter(isNew)));
}

function toCrashes(records: readonly PstoreRecord[]): PstoreCrash[] {
  const open = new Map<string, PstoreRecord[]>();
  const groups: PstoreRecord[][] = [];
  for (const record of records.toSorted((a, b) => compare(a.id, b.id))) {
    const key = `${record.backend}\n${record.reason}\n${record.count}`;
    const group = open.get(key);
    if (group !== undefined && continues(group.at(-1) as PstoreRecord, record)) {
      group.push(record);
      continue;
    }
    const begun = [record];
    open.set(key, begun);
    groups.push(begun);
  }
  return groups.map(toCrash).sort(byAge);
}

function continues(last: PstoreRecord, next: PstoreRecord): boolean {
  if (next.part <= last.part || last.bootSeed !== next.bootSeed) return false;
  if (last.madeUnixNs === undefined || next.madeUnixNs === undefined) return true;
  return next.madeUnixNs - last.madeUnixNs < CRASH_SPAN_NS;
}

function toCrash(group: readonly PstoreRecord[]): PstoreCrash {
  const parts = group.toReversed();
  const { reason, count, backend, madeUnixNs } = group[0] as PstoreRecord;
  const firstRaw = parts.find((part) => part.firstRaw !== undefined)?.firstRaw;
  const lastRaw = group.find((part) => part.lastRaw !== undefined)?.lastRaw;
  const lines = linesOf(parts);
  const keys = new Set(lines.filter(({ raw }) => raw !== undefined).map(({ key }) => key));
  return { reason, count, backend, parts, firstRaw, lastRaw, madeUnixNs, lines, keys };
}

/** By when they were made; the slots of ramoops are filled in turn and say nothing. Consoles last: their boot is known by a crash. */
function byAge(a: PstoreCrash, b: PstoreCrash): number {
  if (isConsole(a) !== isConsole(b)) return isConsole(a) ? 1 : -1;
  const [older, newer] = [a.madeUnixNs, b.madeUnixNs];
  if (older !== undefined && newer !== undefined && older !== newer) return compare(older, newer);
  const byId = compare(a.parts.at(-1)?.id ?? 0n, b.parts.at(-1)?.id ?? 0n);
  return a.backend === 'ramoops' && older === undefined ? a.count - b.count || byId : byId;
}

function isConsole({ reason }: PstoreCrash): boolean {
  return reason === 'Console';
}

function isSameBoot(a: PstoreCrash, b: PstoreCrash): boolean {
  const [seedA, seedB] = [a.parts[0]?.bootSeed, b.parts[0]?.bootSeed];
  if (seedA !== undefined && seedB !== undefined) return seedA === seedB;
  if (!isConsole(a) && !isConsole(b) && a.backend === b.backend && a.count === b.count) return false;
  if (holdsLastLine(a, b) || holdsLastLine(b, a)) return true;
  if (a.madeUnixNs === undefined || b.madeUnixNs === undefined || a.lastRaw === undefined || b.lastRaw === undefined) return false;
  const apart = b.madeUnixNs - b.lastRaw - (a.madeUnixNs - a.lastRaw);
  return apart < SAME_BOOT_NS && -apart < SAME_BOOT_NS;
}

/** Does `later` have the last stamped line of `earlier`? */
function holdsLastLine(earlier: PstoreCrash, later: PstoreCrash): boolean {
  if (earlier.lastRaw === undefined || earlier.lastRaw === 0n) return false;
  const last = earlier.lines.findLast(({ raw }) => raw !== undefined);
  return last !== undefined && later.keys.has(last.key);
}

function linesOf(parts: readonly PstoreRecord[]): Line[] {
  const lines: Line[] = [];
  for (const { text } of parts) {
    for (let at = 0; at < text.length;) {
      const end = lineEnd(text, at);
      const bytes = text.subarray(at, end);
      // latin1 keeps each byte apart.
      const shown = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
      lines.push({ raw: readStamp(text, at, end), key: shown.replace(/^<\d{1,4}>/, '').trimEnd(), bytes });
      at = end + 1;
    }
  }
  return lines;
}

function toBoot(crashes: readonly PstoreCrash[]): PstoreBoot {
  const inOrder = crashes.toSorted((a, b) => Number(isConsole(a)) - Number(isConsole(b)) || compare(a.lastRaw ?? 0n, b.lastRaw ?? 0n));
  const losses: InputLoss[] = [];
  let covered: bigint | undefined;
  for (const crash of inOrder.filter((one) => !isConsole(one))) {
    losses.push(...lossesOf(crash));
    if (covered !== undefined && crash.firstRaw !== undefined && crash.firstRaw > covered) losses.push(toLoss(covered, crash.firstRaw));
    covered = crash.lastRaw ?? covered;
  }
  return { crashes: inOrder, text: joinLines(inOrder.map(({ lines }) => lines)), losses, moment: momentOf(inOrder) };
}

/** Parts that should be there: below the highest one that is. */
function lossesOf({ parts }: PstoreCrash): InputLoss[] {
  const losses: InputLoss[] = [];
  parts.forEach((part, index) => {
    const newer = parts[index + 1];
    if (part.part - (newer?.part ?? 0) > 1) losses.push(toLoss(part.lastRaw, newer?.firstRaw));
  });
  return losses;
}

function toLoss(fromRaw: bigint | undefined, toRaw: bigint | undefined): InputLoss {
  return { cpu: -1, count: undefined, fromRaw: fromRaw ?? NO_RAW_TIME, toRaw: toRaw ?? NO_RAW_TIME, reason: 'pstore_missing' };
}

/** Each line as often as the text has it that has it most often; ordered by stamp where there is more than one text. */
function joinLines(texts: readonly (readonly Line[])[]): Uint8Array {
  const [only, ...others] = texts;
  let lines: readonly Line[] = only ?? [];
  if (others.length > 0) {
    const taken = new Map<string, number>();
    lines = sortByStamp(texts.flatMap((text) => takeNew(text, taken)));
  }
  const joined = new Uint8Array(lines.reduce((size, { bytes }) => size + bytes.length + 1, 0));
  let at = 0;
  for (const { bytes } of lines) {
    joined.set(bytes, at);
    at += bytes.length;
    joined[at++] = 10;
  }
  return joined;
}

function takeNew(lines: readonly Line[], taken: Map<string, number>): Line[] {
  const seen = new Map<string, number>();
  return lines.filter(({ key, raw }) => {
    if (raw === undefined) return true;
    const nth = (seen.get(key) ?? 0) + 1;
    seen.set(key, nth);
    if (nth <= (taken.get(key) ?? 0)) return false;
    taken.set(key, nth);
    return true;
  });
}

/** A line without a stamp stays behind the one it came behind. */
function sortByStamp(lines: readonly Line[]): Line[] {
  let raw = 0n;
  return lines
    .map((line) => ({ line, raw: (raw = line.raw ?? raw) }))
    .sort((a, b) => compare(a.raw, b.raw))
    .map(({ line }) => line);
}

/** The earliest crash that says when it was made, by its newest part. */
function momentOf(crashes: readonly PstoreCrash[]): PstoreBoot['moment'] {
  for (const { parts, lastRaw } of crashes) {
    const newest = parts.at(-1);
    const made = newest?.madeUnixNs ?? seedTimeOf(newest);
    if (newest === undefined || made === undefined || lastRaw === undefined) continue;
    const lateNs = newest.part === 1 ? MADE_LATE_NS : CRASH_SPAN_NS;
    return { raw: lastRaw, unixLow: made - lateNs, unixHigh: made + MADE_CUT_NS };
  }
  return undefined;
}

/** The number of the first crash of a boot began with its time; later ones go on counting from there. */
function seedTimeOf(newest: PstoreRecord | undefined): bigint | undefined {
  if (newest?.bootSeed === undefined || (newest.id & 0xffff_ffffn) !== BigInt(newest.part)) return undefined;
  return newest.bootSeed * 1_000_000_000n;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
