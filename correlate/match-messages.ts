/**
 * Which message of the catalogue a row is. Nearly all rows are dismissed by a look at two bytes, at the beginning of the row and
 * behind each prefix that it may have (bench: kernel messages):
 *
 *   [812] core:mk_send_message:212: Multikernel message sent: …     dynamic debug with +pflmt
 *   kexec_core: multikernel kexec: using physical CPU 8 …           pr_fmt
 *   mk_vnet mk-web-1-0: serving instance 3 (web-1)                  netdev, where it begins with "mk"
 */
import { decodeUtf8, encodeUtf8 } from '../base/bytes.ts';
import { compilePattern, type MessagePattern, type PatternField } from './message-pattern.ts';
import { MESSAGE_RULES, type MessageRule } from './message-catalogue.ts';

const SPACE = 32;
const COLON = 58;
const OPEN = 91;
const CLOSE = 93;
const LESS = 60;
const SMALL_K = 107;
const SMALL_M = 109;
const MAX_PREFIX_BYTES = 80;
const MAX_PREFIX_WORDS = 3;
const MAX_PREFIXES = 4;
const MAX_TEXT_BYTES = 4096;

export interface MessageMatch {
  readonly rule: MessageRule;
  readonly fields: readonly PatternField[];
  /** Attribute of each field. */
  readonly names: readonly string[];
  /** Of the fields, as they stand in the line; undefined where an optional part is missing. */
  readonly values: readonly (string | undefined)[];
}

interface Candidate {
  readonly head: Uint8Array;
  readonly rule: MessageRule;
  readonly pattern: MessagePattern;
  readonly names: readonly string[];
}

/** The catalogue, and a user's own rules behind it: they add, and take nothing away. */
export function createMatcher(own: readonly MessageRule[] = []): MessageMatcher {
  return new MessageMatcher([...MESSAGE_RULES, ...own]);
}

export class MessageMatcher {
  readonly rules: readonly MessageRule[];
  /** 1 = some head begins with these two bytes. */
  readonly #isHead = new Uint8Array(0x1_0000);
  readonly #candidates = new Map<number, Candidate[]>();

  /** Of several rules that take a line the first one wins. Throws where a pattern is wrong (findPatternError says so before). */
  constructor(rules: readonly MessageRule[]) {
    this.rules = rules;
    for (const rule of rules) for (const source of rule.patterns) this.#add(rule, compilePattern(source));
  }

  /** The message in `text[start, end)`; `fromUser`: user space wrote it. */
  match(text: Uint8Array, start: number, end: number, fromUser: boolean): MessageMatch | undefined {
    let at = start;
    for (let prefixes = 0; prefixes <= MAX_PREFIXES; prefixes++) {
      const key = ((text[at] as number) << 8) | (text[at + 1] as number);
      if (this.#isHead[key] === 1) {
        const found = this.#matchAt(key, text, at, end, fromUser);
        if (found !== undefined) return found;
      }
      at = skipPrefix(text, at, end);
      if (at < 0) return undefined;
    }
    return undefined;
  }

  #matchAt(key: number, text: Uint8Array, at: number, end: number, fromUser: boolean): MessageMatch | undefined {
    let line: string | undefined;
    for (const { head, rule, pattern, names } of this.#candidates.get(key) as Candidate[]) {
      if (!startsAt(text, at, end, head)) continue;
      if (rule.fromUser !== 'either' && (rule.fromUser === true) !== fromUser) continue;
      line ??= decodeUtf8(text, at, Math.min(end, at + MAX_TEXT_BYTES));
      const match = pattern.regex.exec(line);
      if (match !== null) return { rule, fields: pattern.fields, names, values: match.slice(1) };
    }
    return undefined;
  }

  #add(rule: MessageRule, pattern: MessagePattern): void {
    const names = pattern.fields.map(({ name }) => rule.prefix + name);
    for (const text of pattern.heads) {
      const head = encodeUtf8(text);
      const key = ((head[0] as number) << 8) | (head[1] as number);
      this.#isHead[key] = 1;
      const known = this.#candidates.get(key);
      if (known === undefined) this.#candidates.set(key, [{ head, rule, pattern, names }]);
      else known.push({ head, rule, pattern, names });
    }
  }
}

/** Where the text goes on behind a prefix; -1 where there is none. Most rows leave at their first space. */
function skipPrefix(text: Uint8Array, at: number, end: number): number {
  const first = text[at] as number;
  if (first === OPEN || first === LESS) return skipCaller(text, at, end);
  const last = end - at > MAX_PREFIX_BYTES ? at + MAX_PREFIX_BYTES : end - 1;
  // The driver and the device of a network device.
  let words = first === SMALL_M && text[at + 1] === SMALL_K ? MAX_PREFIX_WORDS : 1;
  for (let p = at; p < last; p++) {
    if (text[p] !== SPACE) continue;
    if (text[p - 1] === COLON) return p > at ? p + 1 : -1;
    if (--words === 0) return -1;
  }
  return -1;
}

/** `[812] `, `<intr> `: who runs, of dynamic debug's `+t`. */
function skipCaller(text: Uint8Array, at: number, end: number): number {
  const close = text[at] === OPEN ? CLOSE : LESS + 2;
  const last = Math.min(end - 1, at + 12);
  for (let p = at + 1; p < last; p++) if (text[p] === close) return text[p + 1] === SPACE ? p + 2 : -1;
  return -1;
}

function startsAt(text: Uint8Array, at: number, end: number, prefix: Uint8Array): boolean {
  if (end - at < prefix.length) return false;
  for (let i = 2; i < prefix.length; i++) if (text[at + i] !== prefix[i]) return false;
  return true;
}
