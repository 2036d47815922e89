/**
 * Which rows may begin a kernel report, told from a few bytes: nearly all rows of a log are dismissed by one look at their
 * first two bytes and one at their last (bench: kernel reports).
 *
 *   watchdog: BUG: soft lockup …               heads, by their first two bytes
 *   tail invoked oom-killer: …, order=0, oom_score_adj=0
 *        +-- any name in front: looked for only where the row ends as these do: `adj=0`, `allowed=0-3`, `mode:0x20`, `…)`
 */
import { encodeUtf8 } from '../base/bytes.ts';
import { FRAME_HEADS, REPORT_RULES, type ReportRule } from './report-kinds.ts';

const SPACE = 32;
const CLOSE = 41;
const COMMA = 44;
const DASH = 45;
const EQUALS = 61;
const SMALL_D = 100;
const SMALL_J = 106;
const SMALL_X = 120;
/** `x invoked oom-killer: gfp_mask=…` and what stands behind it is longer. */
const MIN_NAMED_BYTES = 32;
/** Of the number at the end: lists of memory nodes included. */
const MAX_NUMBER_BYTES = 24;
/** A task's name has 15 characters; a few more for what is put in front. */
const MAX_NAME_BYTES = 40;
const INVOKED = encodeUtf8(' invoked oom-killer: ');
const FAILURE = encodeUtf8(': page allocation ');
const VMALLOC = encodeUtf8(': vmalloc');

/** 1 = some head begins with these two bytes. */
const IS_HEAD = new Uint8Array(0x1_0000);
const HEADS = new Map<number, Uint8Array[]>();
for (const head of new Set([...REPORT_RULES.flatMap(({ heads }) => heads), ...FRAME_HEADS])) {
  const bytes = encodeUtf8(head);
  const key = ((bytes[0] as number) << 8) | (bytes[1] as number);
  IS_HEAD[key] = 1;
  HEADS.set(key, [...(HEADS.get(key) ?? []), bytes]);
}

export interface RuleMatch {
  readonly rule: ReportRule;
  readonly match: RegExpExecArray;
}

/** May `text[start, end)` begin a report? A few ns; says yes to some lines that `matchRule` refuses. */
export function mayBeginReport(text: Uint8Array, start: number, end: number): boolean {
  const key = ((text[start] as number) << 8) | (text[start + 1] as number);
  if (IS_HEAD[key] === 1 && hasHead(key, text, start, end)) return true;
  const last = text[end - 1] as number;
  return ((last >= 48 && last <= 57) || last === CLOSE) && endsAsNamed(text, start, end) && hasNamedHead(text, start, end);
}

/** Behind a name's report stands `adj=`, `allowed=` or `0x` with a number, or a bracket. */
function endsAsNamed(text: Uint8Array, start: number, end: number): boolean {
  if (end - start < MIN_NAMED_BYTES) return false;
  let at = end - 1;
  if (text[at] === CLOSE) return true;
  const least = end - MAX_NUMBER_BYTES;
  for (let byte = text[at] as number; at > least && ((byte >= 48 && byte <= 57) || byte === DASH || byte === COMMA);)
    byte = text[--at] as number;
  const before = text[at - 1];
  return text[at] === EQUALS ? before === SMALL_J || before === SMALL_D : text[at] === SMALL_X && before === 48;
}

function hasHead(key: number, text: Uint8Array, start: number, end: number): boolean {
  for (const head of HEADS.get(key) as Uint8Array[]) if (startsAt(text, start, end, head)) return true;
  return false;
}

/** `NAME invoked oom-killer: …`, `NAME: page allocation failure: …`. */
function hasNamedHead(text: Uint8Array, start: number, end: number): boolean {
  const last = Math.min(end, start + MAX_NAME_BYTES);
  for (let at = start + 1; at < last; at++) {
    const byte = text[at];
    if (byte === SPACE && text[at + 1] === 0x69 && startsAt(text, at, end, INVOKED)) return true;
    if (byte === 58 && text[at + 1] === SPACE && (startsAt(text, at, end, FAILURE) || startsAt(text, at, end, VMALLOC))) return true;
  }
  return false;
}

function startsAt(text: Uint8Array, at: number, end: number, prefix: Uint8Array): boolean {
  if (end - at < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) if (text[at + i] !== prefix[i]) return false;
  return true;
}

const FRAME_FIRSTS = new Set(FRAME_HEADS.map((head) => head.charCodeAt(0)));

export function isFrameLine(line: string): boolean {
  return FRAME_FIRSTS.has(line.charCodeAt(0)) && FRAME_HEADS.some((head) => line.startsWith(head));
}

/** Rules with a head that begins with this character, in table order. */
const BY_FIRST_CHARACTER = new Map<number, ReportRule[]>();
for (const rule of REPORT_RULES) {
  for (const first of new Set(rule.heads.map((head) => head.charCodeAt(0)))) {
    BY_FIRST_CHARACTER.set(first, [...(BY_FIRST_CHARACTER.get(first) ?? []), rule]);
  }
}
const NAMED_RULES = REPORT_RULES.filter(({ heads }) => heads.length === 0);

/** The first rule that takes the line. */
export function matchRule(line: string): RuleMatch | undefined {
  for (const rule of BY_FIRST_CHARACTER.get(line.charCodeAt(0)) ?? []) {
    if (!rule.heads.some((head) => line.startsWith(head))) continue;
    const match = rule.pattern.exec(line);
    if (match !== null) return { rule, match };
  }
  const last = line.charCodeAt(line.length - 1);
  if (line.length < MIN_NAMED_BYTES || !((last >= 48 && last <= 57) || last === CLOSE)) return undefined;
  for (const rule of NAMED_RULES) {
    const match = rule.pattern.exec(line);
    if (match !== null) return { rule, match };
  }
  return undefined;
}
