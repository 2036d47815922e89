/**
 * What is printed of a record, as a list of steps that one function takes: a text, and behind it
 *
 *   "call_site="   symbol     of the address at +8
 *   " ptr="        hex        of the 8 bytes at +16
 *   " gfp_flags="  kept       text by the 4 bytes at +44, made once for each value that comes
 *   " node="       decimal    of the 4 bytes at +48
 *   …              put        whatever else
 *
 * A call of a closure for each field of each line, which no compiler can look through, took as long as writing it.
 */
import type { Kallsyms } from './kallsyms.ts';
import type { FormatField } from '../parsers/event-format.ts';
import type { EventRecord, Load } from './print-fmt-numbers.ts';
import type { Put } from './print-fmt-strings.ts';
import { Piece, toPiece, type TextOut } from './text-out.ts';
import type { ValueOperation } from './value-operations.ts';

export type LineStep =
  | { readonly kind: 'decimal' | 'hex'; readonly load: Load; readonly sizeBytes: number; readonly signed: boolean; readonly upper: boolean }
  | { readonly kind: 'symbol'; readonly load: Load; readonly symbols: Kallsyms; readonly withOffset: boolean }
  | { readonly kind: 'kept'; readonly load: Load; readonly put: Put }
  | { readonly kind: 'put'; readonly put: Put; readonly native?: NativeStep | undefined };

/** What a `put` does, for who writes lines without calling it (report-wasm.ts). */
export type NativeStep =
  | {
      readonly kind: 'number';
      readonly value: readonly ValueOperation[];
      readonly isHex: boolean;
      /** Bytes of the value that are shown, whether as a signed number. */
      readonly sizeBytes: number;
      readonly signed: boolean;
      /** 0 = as many characters as it takes. */
      readonly width: number;
      readonly left: boolean;
      /** Zeros in front, `0x` in front. */
      readonly zero: boolean;
      readonly alternate: boolean;
    }
  /** `(nil)`, or in hexadecimal. */
  | { readonly kind: 'pointer'; readonly value: readonly ValueOperation[] }
  /** What the put makes of nothing but this number. */
  | { readonly kind: 'kept'; readonly value: readonly ValueOperation[] }
  | { readonly kind: 'string'; readonly field: FormatField }
  /** `ARRAY[01, 00]`; `characters`: text, where all of it can be printed. The put knows what to do where not. */
  | { readonly kind: 'bytes' | 'characters'; readonly field: FormatField }
  /** `bash:812`: the put tells the name where it is not known yet. */
  | { readonly kind: 'task'; readonly field: FormatField; readonly load: Load };

/** A text, and what stands behind it. */
export interface LinePart {
  readonly text: string;
  readonly step: LineStep | undefined;
}

const TEXT = 0;
const DECIMAL = 1;
const HEX = 2;
const SYMBOL = 3;
const KEPT = 4;
const PUT = 5;
const KINDS = { decimal: DECIMAL, hex: HEX, symbol: SYMBOL, kept: KEPT, put: PUT } as const;
/** Values whose text is kept, of each step: `gfp_flags` has some dozens. */
const MAX_KEPT = 1024;
const NO_LOAD: Load = { at: 0, sizeBytes: 0, signed: false, least: 0 };

/** One step with all that any kind of it needs, so that all are objects of one shape. */
class Step {
  readonly text: Piece;
  readonly kind: number;
  readonly at: number;
  readonly bytes: number;
  readonly isSigned: boolean;
  readonly least: number;
  /** Bytes of the value that are shown, whether as a signed number, in capitals; a symbol with its offset. */
  readonly shownBytes: number;
  readonly isShownSigned: boolean;
  readonly flag: boolean;
  readonly put: Put | undefined;
  readonly symbols: Kallsyms | undefined;
  readonly kept = new Map<number, Piece>();

  constructor(text: Piece, step: LineStep | undefined) {
    const load = step === undefined || step.kind === 'put' ? NO_LOAD : step.load;
    const isNumber = step?.kind === 'decimal' || step?.kind === 'hex';
    this.text = text;
    this.kind = step === undefined ? TEXT : KINDS[step.kind];
    this.at = load.at;
    this.bytes = load.sizeBytes;
    this.isSigned = load.signed;
    this.least = load.least;
    this.shownBytes = isNumber ? step.sizeBytes : 8;
    this.isShownSigned = isNumber && step.signed;
    this.flag = isNumber ? step.upper : step?.kind === 'symbol' && step.withOffset;
    this.put = step?.kind === 'put' || step?.kind === 'kept' ? step.put : undefined;
    this.symbols = step?.kind === 'symbol' ? step.symbols : undefined;
  }
}

/** One function of texts and what stands behind each. */
export function compileLine(parts: readonly LinePart[]): Put {
  const steps = parts.map(({ text, step }) => new Step(toPiece(text), step));
  return (record, out) => takeSteps(steps, record, out);
}

function takeSteps(steps: readonly Step[], record: EventRecord, out: TextOut): void {
  const { view, start, end, little } = record;
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i] as Step;
    if (step.text.length > 0) out.putPiece(step.text);
    const { kind } = step;
    if (kind === PUT) {
      (step.put as Put)(record, out);
      continue;
    }
    if (kind === TEXT) continue;
    let low = 0;
    let high = 0;
    if (start + step.least <= end) {
      const at = start + step.at;
      const { bytes } = step;
      if (bytes === 8) {
        low = view.getInt32(little ? at : at + 4, little);
        high = view.getInt32(little ? at + 4 : at, little);
      } else {
        if (bytes === 4) low = view.getInt32(at, little);
        else if (bytes === 2) low = step.isSigned ? view.getInt16(at, little) : view.getUint16(at, little);
        else low = step.isSigned ? view.getInt8(at) : view.getUint8(at);
        if (step.isSigned) high = low >> 31;
      }
    }
    if (kind === SYMBOL) putSymbolOrAddress(out, step.symbols as Kallsyms, low, high, step.flag);
    else if (kind === KEPT) putKept(step, record, low, high, out);
    else putNumber(step, low, high, out);
  }
}

function putNumber(step: Step, value: number, top: number, out: TextOut): void {
  let low = value;
  let high = top;
  const { shownBytes, isShownSigned } = step;
  if (shownBytes !== 8) {
    if (shownBytes === 1) low = isShownSigned ? (low << 24) >> 24 : low & 0xff;
    else if (shownBytes === 2) low = isShownSigned ? (low << 16) >> 16 : low & 0xffff;
    high = isShownSigned ? low >> 31 : 0;
  }
  if (step.kind === HEX) out.putHexWords(low, high, step.flag);
  else out.putDecimalWords(low, high, isShownSigned);
}

/** As libtraceevent does. */
export function putSymbolOrAddress(out: TextOut, symbols: Kallsyms, low: number, high: number, withOffset: boolean): void {
  const symbol = symbols.find(low, high);
  if (symbol !== undefined) {
    out.putPiece(withOffset ? symbol.withOffset : symbol.piece);
    return;
  }
  out.putText('0x');
  out.putHexWords(low, high);
}

function putKept(step: Step, record: EventRecord, low: number, high: number, out: TextOut): void {
  const known = high === 0 ? step.kept.get(low) : undefined;
  if (known !== undefined) {
    out.putPiece(known);
    return;
  }
  const mark = out.length;
  (step.put as Put)(record, out);
  if (high === 0 && step.kept.size < MAX_KEPT) step.kept.set(low, new Piece(out.bytes.slice(mark, out.length)));
}
