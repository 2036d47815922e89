/**
 * Duration and function at the end of a line of function_graph, which ftrace-graph.ts draws, or in the body of trace-cmd's `funcgraph_entry: …`:
 *
 *   + 13.215 us   |    vfs_read [mod](file=0x1, count=3); /* <-ksys_read ret=0x3 *\/
 *   | |                | |      |     |                 |       |             +-- value returned: `ret=0x3`, `= -22`
 *   | |                | |      |     |                 |       +-- caller
 *   | |                | |      |     |                 +-- `;` a leaf, ` {` an entry
 *   | |                | |      |     +-- arguments (funcgraph-args)
 *   | |                | |      +-- the function's module
 *   | |                | +-- function; `}` an exit, whose name may stand in the comment
 *   | |                +-- two spaces for each level of depth
 *   | +-- of a leaf or an exit
 *   +-- overhead
 */
import { hexDigit, isDigit, latin1 } from '../base/bytes.ts';
import { TWO_POW_32 } from '../base/int64.ts';
import { skipModule } from './ftrace-symbol.ts';

const SPACE = 32;
const OPEN_PAREN = 40;
const CLOSE_PAREN = 41;
const STAR = 42;
const DASH = 45;
const DOT = 46;
const SLASH = 47;
const SEMICOLON = 59;
const LESS = 60;
const EQUALS = 61;
const GREATER = 62;
const OPEN_BRACE = 123;
const BAR = 124;
const CLOSE_BRACE = 125;

/** What a line turned out to be. */
export const GRAPH = { none: 0, rule: 1, entry: 2, exit: 3, leaf: 4, comment: 5, switch: 6, irq: 7, overrun: 8 } as const;
export type GraphKind = (typeof GRAPH)[keyof typeof GRAPH];

/** What a function has returned: nothing that is shown, or how it is shown. */
export const RETURNED = { none: 0, decimal: 1, hex: 2 } as const;

const LONGEST_DETAILS = 1024;
const LONGEST_DURATION_DIGITS = 12;
const SHORTEST_COMMENT = '/*  */'.length;
const MOST_EXACT_DIGITS = 15;
const MOST_DECIMAL_DIGITS = 19;
const MOST_HEX_DIGITS = 16;

/** One object is filled again and again; places are offsets in the bytes that were read. */
export class GraphText {
  depth = 0;
  /** Of the function, with its module; empty where an exit does not name it. */
  nameStart = 0;
  nameEnd = 0;
  /** -1 = none. */
  durationNs = -1;
  /** Where the overhead's mark stands; -1 = none. */
  markAt = -1;
  /** `enter` and `leave` where an interrupt's arrow stands in place of a duration. */
  irqAction = '';
  /** Empty where there are none. */
  argsStart = 0;
  argsEnd = 0;
  callerStart = 0;
  callerEnd = 0;
  returned: number = RETURNED.none;
  returnLow = 0;
  returnHigh = 0;

  /** Reads `[at, end)`. */
  read(bytes: Uint8Array, at: number, end: number): GraphKind {
    const durationEnd = this.readDuration(bytes, at, end);
    if (this.irqAction !== '') return GRAPH.irq;
    const from = this.skipLead(bytes, at, durationEnd);
    let p = from;
    while (p < end && bytes[p] === SPACE) p++;
    this.depth = (p - from) >> 1;
    while (end > p && (bytes[end - 1] as number) <= SPACE) end--;
    if (p === end) return GRAPH.none;
    if (bytes[p] === SLASH) {
      this.nameStart = p + 3;
      return GRAPH.comment;
    }
    return this.readFunction(bytes, p, end);
  }

  /** Where the spaces of the depth begin: behind two blanks, or one where a line has no column of durations (`durationEnd` < 0). */
  skipLead(bytes: Uint8Array, at: number, durationEnd: number): number {
    if (durationEnd < 0) {
      this.durationNs = -1;
      this.markAt = -1;
      return bytes[at] === SPACE ? at + 1 : at;
    }
    return bytes[durationEnd] === SPACE && bytes[durationEnd + 1] === SPACE ? durationEnd + 2 : durationEnd;
  }

  /** `+ 13.215 us   |`, spaces and `|`, or an interrupt's arrow; returns what follows, or -1 where there is none of them. */
  readDuration(bytes: Uint8Array, at: number, end: number): number {
    this.durationNs = -1;
    this.markAt = -1;
    this.irqAction = '';
    let p = at;
    while (p < end && bytes[p] === SPACE) p++;
    // `end` may be beyond the line: an overhead's mark is never the line's end.
    if (p >= end || (bytes[p] as number) < SPACE) return -1;
    if (bytes[p] === BAR) return p + 1;
    const mark = bytes[p] as number;
    if ((mark === EQUALS || mark === LESS) && bytes[p + 1] === EQUALS) return this.#readArrow(bytes, p, end);
    if (!isDigit(mark)) {
      if (bytes[p + 1] !== SPACE) return -1;
      this.markAt = p;
      p++;
      while (p < end && bytes[p] === SPACE) p++;
    }
    let whole = 0;
    const from = p;
    while (isDigit(bytes[p]) && p < from + LONGEST_DURATION_DIGITS) whole = whole * 10 + (bytes[p++] as number) - 48;
    if (p === from) return -1;
    let nanos = 0;
    if (bytes[p] === DOT) {
      let unit = 100;
      for (p++; isDigit(bytes[p]) && unit >= 1; unit /= 10) nanos += ((bytes[p++] as number) - 48) * unit;
    }
    if (bytes[p] !== SPACE || bytes[p + 1] !== 0x75 || bytes[p + 2] !== 0x73) return -1;
    for (p += 3; p < end && bytes[p] === SPACE;) p++;
    if (bytes[p] !== BAR) return -1;
    this.durationNs = whole * 1000 + nanos;
    return p + 1;
  }

  /** `==========> |` and `<========== |`: an interrupt begins and ends. */
  #readArrow(bytes: Uint8Array, at: number, end: number): number {
    const isLeave = bytes[at] === LESS;
    let p = isLeave ? at + 1 : at;
    while (p < end && bytes[p] === EQUALS) p++;
    if (!isLeave && bytes[p++] !== GREATER) return -1;
    const arrowEnd = p;
    while (p < end && bytes[p] === SPACE) p++;
    if (p === arrowEnd || p >= end || bytes[p] !== BAR) return -1;
    this.irqAction = isLeave ? 'leave' : 'enter';
    return p + 1;
  }

  /** Reads a call or an end of one, and all that stands behind it up to `end`. */
  readFunction(bytes: Uint8Array, at: number, end: number): GraphKind {
    this.clearDetails();
    this.nameStart = this.nameEnd = at;
    if (bytes[at] === CLOSE_BRACE) {
      if (end === at + 1) return GRAPH.exit;
      if (bytes[at + 1] === SPACE) return this.#readEnd(bytes, at + 1, end);
    }
    let p = at;
    while (p < end && (bytes[p] as number) > SPACE && bytes[p] !== OPEN_PAREN) p++;
    if (bytes[p] === SPACE) p = skipModule(bytes, p, end);
    if (p === at || p >= end || bytes[p] !== OPEN_PAREN) return GRAPH.none;
    this.nameEnd = p;
    if (bytes[p + 1] === CLOSE_PAREN) {
      if (bytes[p + 2] === SEMICOLON && p + 3 === end) return GRAPH.leaf;
      if (bytes[p + 2] === SPACE && bytes[p + 3] === OPEN_BRACE && p + 4 === end) return GRAPH.entry;
    }
    return end - at > LONGEST_DETAILS ? GRAPH.none : this.#readCall(bytes, p, end);
  }

  clearDetails(): void {
    this.argsEnd = this.argsStart = this.callerEnd = this.callerStart = 0;
    this.returned = RETURNED.none;
  }

  /** The end of a function, behind its brace. */
  #readEnd(bytes: Uint8Array, at: number, end: number): GraphKind {
    let p = at;
    while (p < end && bytes[p] === SPACE) p++;
    if (end - at > LONGEST_DETAILS || bytes[p] !== SLASH || !isComment(bytes, p, end)) return GRAPH.none;
    const remarkAt = p + 3;
    const remarkEnd = end - 3;
    this.#readRemark(bytes, remarkAt, remarkEnd);
    p = remarkAt;
    while (p < remarkEnd && (bytes[p] as number) > SPACE && bytes[p] !== EQUALS && bytes[p] !== LESS) p++;
    // `ret=…` alone is no name.
    if (p === remarkAt + 3 && bytes[p] === EQUALS && isReturnLabel(bytes, remarkAt)) return GRAPH.exit;
    this.nameStart = remarkAt;
    this.nameEnd = p > remarkAt && bytes[p] === SPACE ? skipModule(bytes, p, remarkEnd) : p;
    return GRAPH.exit;
  }

  /** Behind the function's name: parentheses, of which the last ones of the line that fit are the call's, and a comment. */
  #readCall(bytes: Uint8Array, open: number, end: number): GraphKind {
    let callEnd = end;
    if (bytes[end - 1] === SLASH && bytes[end - 2] === STAR) {
      for (let p = end - SHORTEST_COMMENT; p > open; p--) {
        if (bytes[p] !== SLASH || !isComment(bytes, p, end) || bytes[p - 1] !== SPACE) continue;
        let before = p - 1;
        while (bytes[before - 1] === SPACE) before--;
        if (closeOf(bytes, open, before) < 0) continue;
        this.#readRemark(bytes, p + 3, end - 3);
        callEnd = before;
        break;
      }
    }
    const close = closeOf(bytes, open, callEnd);
    if (close < 0) return GRAPH.none;
    this.argsStart = open + 1;
    this.argsEnd = close;
    return bytes[callEnd - 1] === SEMICOLON ? GRAPH.leaf : GRAPH.entry;
  }

  /** `<-ksys_read ret=0x3`, `vfs_read = -22`: what stands in a comment. */
  #readRemark(bytes: Uint8Array, at: number, end: number): void {
    for (let p = at; p < end; p++) {
      const byte = bytes[p];
      if (byte === LESS && bytes[p + 1] === DASH && this.callerEnd === 0) p = this.#readCaller(bytes, p + 2, end) - 1;
      else if (this.returned === RETURNED.none && (p === at || (bytes[p - 1] as number) <= SPACE)) {
        if (byte === EQUALS && bytes[p + 1] === SPACE) this.#readReturn(bytes, p + 2, end);
        else if (isReturnLabel(bytes, p) && bytes[p + 3] === EQUALS) this.#readReturn(bytes, p + 4, end);
      }
    }
  }

  #readCaller(bytes: Uint8Array, at: number, end: number): number {
    let p = at;
    while (p < end && (bytes[p] as number) > SPACE) p++;
    if (p === at) return at;
    if (p < end && bytes[p] === SPACE) p = skipModule(bytes, p, end);
    this.callerStart = at;
    return (this.callerEnd = p);
  }

  /** A number to the next blank; anything else is no value. */
  #readReturn(bytes: Uint8Array, at: number, end: number): void {
    let stop = at;
    while (stop < end && (bytes[stop] as number) > SPACE) stop++;
    if (!this.#readDecimal(bytes, at, stop)) this.#readHex(bytes, at, stop);
  }

  #readDecimal(bytes: Uint8Array, at: number, stop: number): boolean {
    const isNegative = bytes[at] === DASH;
    const from = isNegative ? at + 1 : at;
    const digits = stop - from;
    if (digits === 0 || digits > MOST_DECIMAL_DIGITS) return false;
    let value = 0;
    for (let p = from; p < stop; p++) {
      if (!isDigit(bytes[p])) return false;
      value = value * 10 + (bytes[p] as number) - 48;
    }
    this.returned = RETURNED.decimal;
    if (digits <= MOST_EXACT_DIGITS) {
      if (isNegative) value = -value;
      this.returnHigh = Math.floor(value / TWO_POW_32);
      this.returnLow = value - this.returnHigh * TWO_POW_32;
      return true;
    }
    const exact = BigInt.asUintN(64, BigInt(latin1(bytes, at, stop)));
    this.returnLow = Number(exact & 0xffff_ffffn);
    this.returnHigh = Number(exact >> 32n);
    return true;
  }

  #readHex(bytes: Uint8Array, at: number, stop: number): void {
    const from = bytes[at] === 48 && bytes[at + 1] === 0x78 ? at + 2 : at;
    if (stop <= from || stop - from > MOST_HEX_DIGITS) return;
    let low = 0;
    let high = 0;
    for (let p = from; p < stop; p++) {
      const digit = hexDigit(bytes[p] as number);
      if (digit < 0) return;
      high = (high << 4) | (low >>> 28);
      low = (low << 4) | digit;
    }
    this.returned = RETURNED.hex;
    this.returnLow = low >>> 0;
    this.returnHigh = high >>> 0;
  }
}

/** Is a comment at `at` that ends at `end`? */
function isComment(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < SHORTEST_COMMENT || bytes[at + 1] !== STAR || bytes[at + 2] !== SPACE) return false;
  return bytes[end - 1] === SLASH && bytes[end - 2] === STAR && bytes[end - 3] === SPACE;
}

/** The parenthesis that closes a call which ends at `end`, behind `open`: `);` or `) {`; -1 where it does not end so. */
function closeOf(bytes: Uint8Array, open: number, end: number): number {
  const close = bytes[end - 1] === SEMICOLON ? end - 2 : bytes[end - 1] === OPEN_BRACE && bytes[end - 2] === SPACE ? end - 3 : -1;
  return close > open && bytes[close] === CLOSE_PAREN ? close : -1;
}

/** `ret` */
function isReturnLabel(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0x72 && bytes[at + 1] === 0x65 && bytes[at + 2] === 0x74;
}
