/**
 * printf conversions, read from a template:
 *
 *   "%-16s cpu=%03d addr=%#llx at %pS (%*ph)"
 *     ||+-- conversion   |     |    +-- pointer with what follows it: S
 *     |+-- width         |     +-- length: 8 bytes
 *     +-- flags          +-- zeros in front
 *
 * Spec: printf(3); lib/vsprintf.c and Documentation/core-api/printk-formats.rst for what the kernel adds.
 */
import type { TextOut } from './text-out.ts';

export interface Conversion {
  readonly left: boolean;
  readonly plus: boolean;
  readonly space: boolean;
  readonly alternate: boolean;
  readonly zero: boolean;
  /** -1 = none; ARGUMENT = an argument says. */
  readonly width: number;
  readonly precision: number;
  /** Bytes of the argument. */
  readonly sizeBytes: 1 | 2 | 4 | 8;
  /** `d u x X o c s p`; `i` is `d`. */
  readonly letter: string;
  /** Behind `%p`: `S`, `I4`, `hC`. */
  readonly pointer: string;
  /** As written. */
  readonly text: string;
}

export type TemplatePart = string | Conversion;

export const ARGUMENT = -2;
/** Wider fields are somebody's mistake, or attack. */
export const MAX_WIDTH = 4096;

const CONVERSION = /%([-+ #0]*)(\*|\d+)?(?:\.(\*|\d*))?(hh|h|ll|l|z|Z|j|t|L)?(?:p([A-Za-z0-9]*)|([A-Za-z%]))/y;
/** What libtraceevent takes as belonging to a `%p`; the kernel takes every letter and digit. */
const KNOWN_POINTER = /^(?:[FfSs]|[Mm][RF]?|[Ii](?:4[hnbl]?|6c?|S[pfs]*[hnbl]?c?|)|U[LlBb]?|h[CDN]?)/;

/** Splits a template at its conversions; a string instead says what is wrong. */
export function parseTemplate(template: string, longBytes: 4 | 8, wholePointers: boolean): TemplatePart[] | { readonly problem: string } {
  const parts: TemplatePart[] = [];
  let text = '';
  for (let at = 0; at < template.length;) {
    const next = template.indexOf('%', at);
    if (next < 0) {
      text += template.slice(at);
      break;
    }
    text += template.slice(at, next);
    CONVERSION.lastIndex = next;
    const match = CONVERSION.exec(template);
    if (match === null) return { problem: `a conversion that is none: ${template.slice(next, next + 12)}` };
    at = CONVERSION.lastIndex;
    if (match[6] === '%') {
      text += '%';
      continue;
    }
    const conversion = toConversion(match, longBytes);
    if (conversion === undefined) return { problem: `${match[0]} is not known` };
    if (text !== '') parts.push(text);
    text = '';
    if (conversion.letter === 'p' && !wholePointers) {
      const known = KNOWN_POINTER.exec(conversion.pointer)?.[0] ?? '';
      at -= conversion.pointer.length - known.length;
      parts.push({ ...conversion, pointer: known });
    } else parts.push(conversion);
  }
  if (text !== '') parts.push(text);
  return parts;
}

function toConversion(match: RegExpExecArray, longBytes: 4 | 8): Conversion | undefined {
  const [text, flags = '', width, precision, length = '', pointer, letter = 'p'] = match;
  if (!'diuxXocsp'.includes(letter)) return undefined;
  const toCount = (digits: string | undefined): number =>
    digits === undefined ? -1 : digits === '*' ? ARGUMENT : Math.min(MAX_WIDTH, Number(digits));
  return {
    left: flags.includes('-'),
    plus: flags.includes('+'),
    space: flags.includes(' '),
    alternate: flags.includes('#'),
    zero: flags.includes('0'),
    width: toCount(width),
    precision: toCount(precision),
    sizeBytes: sizeOf(length, longBytes),
    letter: letter === 'i' ? 'd' : letter,
    pointer: pointer ?? '',
    text,
  };
}

function sizeOf(length: string, longBytes: 4 | 8): 1 | 2 | 4 | 8 {
  switch (length) {
    case 'hh':
      return 1;
    case 'h':
      return 2;
    case '':
      return 4;
    case 'l':
    case 'z':
    case 'Z':
    case 't':
      return longBytes;
    default:
      return 8;
  }
}

/** Is it the bare conversion, whose digits are all there is to print? */
export function isPlain({ plus, space, alternate, width, precision }: Conversion): boolean {
  return !plus && !space && !alternate && width === -1 && precision === -1;
}

/** How the kernel's printf differs from the C library's. */
export interface NumberStyle {
  /** `%#x` of 0: `0x0` there, `0` here. */
  readonly prefixZero: boolean;
}

/** Prints 64 bits, already cut and extended to the conversion's size, with all that was asked for. */
export function putConverted(
  out: TextOut,
  conversion: Conversion,
  low: number,
  high: number,
  width: number,
  precision: number,
  style: NumberStyle,
): void {
  const mark = out.length;
  const { letter } = conversion;
  const negative = letter === 'd' && high < 0;
  if (negative) out.putByte(45);
  else if (letter === 'd' && conversion.plus) out.putByte(43);
  else if (letter === 'd' && conversion.space) out.putByte(32);
  if (conversion.alternate && (style.prefixZero || (low | high) !== 0)) {
    if (letter === 'x' || letter === 'X') out.putText(`0${letter}`);
    else if (letter === 'o') out.putByte(48);
  }
  const digits = out.length;
  if (letter === 'd' && negative) putMagnitude(out, low, high);
  else if (letter === 'd' || letter === 'u') out.putDecimalWords(low, high, false);
  else if (letter === 'o') out.putOctalWords(low, high);
  else out.putHexWords(low, high, letter === 'X');
  const least = precision >= 0 ? precision : conversion.zero && !conversion.left ? width - (digits - mark) : 0;
  const missing = least - (out.length - digits);
  if (missing > 0) out.insertFill(digits, 48, missing);
  out.pad(mark, width, conversion.left);
}

function putMagnitude(out: TextOut, low: number, high: number): void {
  const negatedLow = -low | 0;
  out.putDecimalWords(negatedLow, negatedLow === 0 ? -high | 0 : ~high, false);
}
