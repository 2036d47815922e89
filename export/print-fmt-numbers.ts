/**
 * Expressions of print formats, compiled to functions of a record. Two arithmetics:
 *
 *   'c'        as the kernel computes: C's types and promotions
 *   'unsigned' as libtraceevent computes, which `trace-cmd report` prints: fields without their sign, everything else in 64
 *              unsigned bits (so `REC->ret < 0` is never true)
 *
 * A number of 32 bits is the returned word; of one with 64 bits, the returned word is the low one and the record's `high` the
 * high one. No bigint but where a product or quotient needs one: `%d` of a field costs 5 ns, a bigint 60.
 */
import { TWO_POW_32 } from '../base/int64.ts';
import { elementSizeBytes, isSignedType, type EventFormat, type FormatField } from '../parsers/event-format.ts';
import type { Expr } from './print-fmt-syntax.ts';

const NO_VIEW = new DataView(new ArrayBuffer(0));
const NO_BYTES = new Uint8Array(0);

/** One record, and the registers of what is computed from it. One object is filled again and again. */
export class EventRecord {
  view: DataView = NO_VIEW;
  bytes: Uint8Array = NO_BYTES;
  little = true;
  /** Offset of the payload's first byte, `common_type`. */
  start = 0;
  end = 0;
  /** High word of the last 64-bit result. */
  high = 0;
  /** Where the last located value lies. */
  from = 0;
  to = 0;
}

export interface NumberCode {
  readonly wide: boolean;
  readonly signed: boolean;
  readonly read: (record: EventRecord) => number;
  /** Where the number lies, if it is one of the record as it is there. */
  readonly load?: Load;
}

/** A number of 1, 2, 4 or 8 bytes at an offset of the record; 0 in a record of less than `least` bytes. */
export interface Load {
  readonly at: number;
  readonly sizeBytes: number;
  readonly signed: boolean;
  readonly least: number;
}

/** Sets `from` and `to`; false where the value would lie outside of its record. */
export interface Region {
  readonly elementBytes: number;
  readonly signed: boolean;
  readonly locate: (record: EventRecord) => boolean;
}

export interface Arithmetic {
  readonly kind: 'c' | 'unsigned';
  readonly format: EventFormat;
  readonly longBytes: 4 | 8;
  /** Enum names that the format left as they are. */
  readonly constants: ReadonlyMap<string, bigint>;
  /** Value of any other name; undefined = nothing knows it. */
  readonly resolve: (name: string) => bigint | undefined;
  /** Functions of libtraceevent's plugins, or of the kernel. */
  readonly callLibrary?: (name: string, args: readonly Expr[], of: Arithmetic) => NumberCode | undefined;
}

/** What the expression needs that is not there: a function, a name, a field. */
export class NotComputable extends Error {}

/** Sizes of what can be read as a number. */
const NUMBER_BYTES = new Set([1, 2, 4, 8]);
const NUMBER = { wide: false, signed: true };

/** Compiles an expression that is a number; throws NotComputable. */
export function compileNumber(expr: Expr, of: Arithmetic): NumberCode {
  const code = compile(expr, of);
  return isConstant(expr) ? freeze(code) : code;
}

/** 64 bits of any number. */
export function toWide(code: NumberCode): (record: EventRecord) => number {
  const { read, signed } = code;
  if (code.wide) return read;
  return (record) => {
    const low = read(record) | 0;
    record.high = signed ? low >> 31 : 0;
    return low;
  };
}

/** 64 bits of a field by its name, as `toWide`; undefined where there is no such field, or its bytes are no number. */
export function readField(name: string, of: Arithmetic): ((record: EventRecord) => number) | undefined {
  const field = of.format.fields.find((one) => one.name === name);
  const isArray = field?.shape === 'fixed' || field?.shape === 'flexible';
  return field !== undefined && (isArray || NUMBER_BYTES.has(field.sizeBytes)) ? toWide(compileField(field, of)) : undefined;
}

function isConstant(expr: Expr): boolean {
  switch (expr.kind) {
    case 'number':
    case 'sizeof':
      return true;
    case 'unary':
      return expr.operator !== '*' && expr.operator !== '&' && isConstant(expr.of);
    case 'cast':
      return isConstant(expr.of);
    case 'binary':
      return isConstant(expr.left) && isConstant(expr.right);
    default:
      return false;
  }
}

/** A value that no record changes, computed once. */
function freeze(code: NumberCode): NumberCode {
  const scratch = new EventRecord();
  const low = code.read(scratch);
  const { high } = scratch;
  return { ...code, read: code.wide ? (record) => ((record.high = high), low) : () => low };
}

function compile(expr: Expr, of: Arithmetic): NumberCode {
  switch (expr.kind) {
    case 'number':
      return compileLiteral(expr.value, expr.unsigned, expr.long, of);
    case 'sizeof':
      return compileLiteral(BigInt(sizeOfType(expr.type, of)), true, true, of);
    case 'field':
      return compileField(findField(expr.name, of), of);
    case 'index':
      return compileIndex(expr.of, expr.index, of);
    case 'unary':
      return compileUnary(expr.operator, expr.of, of);
    case 'binary':
      return compileBinary(expr.operator, compileNumber(expr.left, of), compileNumber(expr.right, of), of);
    case 'conditional':
      return compileConditional(compileNumber(expr.test, of), compileNumber(expr.yes, of), compileNumber(expr.no, of), of);
    case 'cast':
      return compileCast(expr.type, expr.of, of);
    case 'call':
      return compileCall(expr.name, expr.args, of);
    case 'name':
      return compileName(expr.name, of);
    case 'string':
      // libtraceevent reads digits, if there are some.
      if (of.kind === 'unsigned')
        return compileLiteral(BigInt(/^\s*(0x[\da-f]{1,16}|\d{1,20})/i.exec(expr.text)?.[1] ?? 0), true, true, of);
      throw new NotComputable('a string is no number');
    default:
      throw new NotComputable(`a ${expr.kind} is no number`);
  }
}

function compileLiteral(value: bigint, unsigned: boolean, long: boolean, { kind, longBytes }: Arithmetic): NumberCode {
  const low = Number(BigInt.asIntN(32, value));
  const high = Number(BigInt.asIntN(32, value >> 32n));
  const fits = value < (unsigned ? 0x1_0000_0000n : 0x8000_0000n);
  if (kind === 'unsigned' && value < 0x8000_0000n) return { wide: false, signed: false, read: () => low };
  if (kind === 'c' && fits && !(long && longBytes === 8)) return { wide: false, signed: !unsigned, read: () => low };
  return { wide: true, signed: kind === 'c' && !unsigned, read: (record) => ((record.high = high), low) };
}

function compileName(name: string, of: Arithmetic): NumberCode {
  const value = of.kind === 'c' ? (of.constants.get(name) ?? of.resolve(name)) : of.resolve(name);
  if (value === undefined) throw new NotComputable(`nothing says what ${name} is`);
  return compileLiteral(value, false, false, of);
}

export function findField(name: string, { format }: Arithmetic): FormatField {
  const field = format.fields.find((one) => one.name === name) ?? format.common.find((one) => one.name === name);
  if (field === undefined) throw new NotComputable(`there is no field ${name}`);
  return field;
}

/** The field's number; throws NotComputable where it has none. */
export function compileField(field: FormatField, of: Arithmetic): NumberCode {
  if (field.shape === 'fixed' || field.shape === 'flexible') return compileAddress(field.offsetBytes);
  const { offsetBytes: at, sizeBytes } = field;
  return compileLoad({ at, sizeBytes, signed: field.signed && of.kind === 'c', least: at + sizeBytes });
}

/** An array by its name is an address, which nobody has: its offset, that is never 0. */
function compileAddress(offset: number): NumberCode {
  return { wide: true, signed: false, read: (record) => ((record.high = 0), offset) };
}

/** Reads a number at an offset of the record; what lies outside is 0. */
function compileLoad(load: Load): NumberCode {
  const { at, sizeBytes, signed, least } = load;
  switch (sizeBytes) {
    case 1:
    case 2:
    case 4:
      return {
        wide: false,
        signed,
        load,
        read: (record) => (record.start + least <= record.end ? loadNarrow(record, record.start + at, sizeBytes, signed) : 0),
      };
    case 8:
      return {
        wide: true,
        signed,
        load,
        read: (record) => (record.start + least <= record.end ? loadWide(record, record.start + at) : (record.high = 0)),
      };
    default:
      throw new NotComputable(`a field of ${sizeBytes} bytes is no number`);
  }
}

export function loadWide(record: EventRecord, at: number): number {
  const { view, little } = record;
  record.high = view.getInt32(little ? at + 4 : at, little);
  return view.getInt32(little ? at : at + 4, little);
}

/** Where the bytes of an array, string or address lie. */
export function compileRegion(expr: Expr, of: Arithmetic): Region {
  switch (expr.kind) {
    case 'cast':
      return { ...compileRegion(expr.of, of), ...elementOfPointer(expr.type, of) };
    case 'unary':
      if (expr.operator === '&') return compileRegion(expr.of, of);
      break;
    case 'field':
      return compileFieldRegion(findField(expr.name, of), of);
    case 'member':
      return compileMember(expr.of, expr.name, of);
    case 'index':
      return compileElement(expr.of, expr.index, of);
    case 'call':
      if (/^__get_(?:rel_)?(?:dynamic_array|str|bitmask|cpumask|sockaddr|buf)$/.test(expr.name) && expr.args[0]?.kind === 'name') {
        return compileFieldRegion(findField(expr.args[0].name, of), of);
      }
      if (expr.name === '__get_str' && expr.args[0]?.kind === 'index') return compileTextElement(expr.args[0], of);
      break;
    default:
  }
  throw new NotComputable(`a ${expr.kind} is nowhere`);
}

/** Where members lie in their structures, which no format tells; those of a union all lie at its begin. */
const MEMBER_OFFSETS: ReadonlyMap<string, number> = new Map([
  ['struct in6_addr.in6_u', 0],
  ['struct sockaddr_rxrpc.transport', 8],
]);

/** `REC->addr.in6_u`, `REC->addr.in6_u.u6_addr8` */
function compileMember(whole: Expr, name: string, of: Arithmetic): Region {
  const type =
    whole.kind === 'field' ? findField(whole.name, of).type : whole.kind === 'member' && whole.name === 'in6_u' ? 'union in6_u' : '';
  const offset = type.startsWith('union ') ? 0 : MEMBER_OFFSETS.get(`${type}.${name}`);
  if (offset === undefined) throw new NotComputable(`nothing says where ${name} lies in ${type === '' ? 'it' : type}`);
  const region = compileRegion(whole, of);
  return {
    ...region,
    locate: (record) => {
      if (!region.locate(record)) return false;
      record.from += offset;
      return record.from <= record.to;
    },
  };
}

/** As `compileRegion`; undefined for what lies nowhere: a text that is computed. */
export function findRegion(expr: Expr, of: Arithmetic): Region | undefined {
  try {
    return compileRegion(expr, of);
  } catch (error) {
    if (error instanceof NotComputable) return undefined;
    throw error;
  }
}

/** One of an array of texts, as probes have them: `__get_str(names[1])`, where the field is a location for each. */
function compileTextElement({ of: array, index }: Expr & { kind: 'index' }, of: Arithmetic): Region {
  if (array.kind !== 'name' || index.kind !== 'number') throw new NotComputable('a text of no array');
  const field = findField(array.name, of);
  const offsetBytes = field.offsetBytes + 4 * Number(index.value);
  if (offsetBytes + 4 > field.offsetBytes + field.sizeBytes) throw new NotComputable(`${array.name} has no text ${index.value}`);
  return compileFieldRegion({ ...field, shape: 'data_loc', offsetBytes, sizeBytes: 4 }, of);
}

function elementOfPointer(type: string, of: Arithmetic): { elementBytes?: number; signed?: boolean } {
  if (!type.endsWith('*')) return {};
  const element = type
    .slice(0, -1)
    .replace(/\bconst\b/g, '')
    .trim();
  const bytes = elementSizeBytes(element, of.longBytes);
  return bytes === undefined ? {} : { elementBytes: bytes, signed: isSignedType(element) || element === 'char' };
}

/** Where a field's bytes lie. */
export function compileFieldRegion(field: FormatField, of: Arithmetic): Region {
  const { offsetBytes, sizeBytes, shape } = field;
  const bound = Number(/\[(\d+)\]$/.exec(field.type)?.[1] ?? 0);
  const elementBytes = elementSizeBytes(field.element, of.longBytes) ?? (bound > 0 ? sizeBytes / bound : 1);
  const signed = shape === 'fixed' ? field.signed : isSignedType(field.element);
  if (shape === 'data_loc' || shape === 'rel_loc') {
    const origin = shape === 'rel_loc' ? offsetBytes + 4 : 0;
    const locate = (record: EventRecord): boolean => {
      const at = record.start + offsetBytes;
      if (at + 4 > record.end) return false;
      const location = record.view.getUint32(at, record.little);
      record.from = record.start + origin + (location & 0xffff);
      record.to = record.from + (location >>> 16);
      return record.to <= record.end;
    };
    return { elementBytes, signed, locate };
  }
  const locate = (record: EventRecord): boolean => {
    record.from = record.start + offsetBytes;
    record.to = sizeBytes === 0 ? record.end : record.from + sizeBytes;
    return record.to <= record.end;
  };
  return { elementBytes, signed, locate };
}

function compileElement(array: Expr, index: Expr, of: Arithmetic): Region {
  const region = compileRegion(array, of);
  const { locate, elementBytes } = region;
  const { read } = compileNumber(index, of);
  return {
    ...region,
    locate: (record) => {
      const offset = (read(record) >>> 0) * elementBytes;
      if (!locate(record) || offset + elementBytes > record.to - record.from) return false;
      record.from += offset;
      record.to = record.from + elementBytes;
      return true;
    },
  };
}

/** How libtraceevent takes an element: what it does not know the size of is 0, and behind a location the index counts bytes. */
function compileLibraryIndex(array: Expr, index: Expr, of: Arithmetic): NumberCode {
  const inner = array.kind === 'cast' ? array.of : array;
  const name = inner.kind === 'call' ? inner.args[0] : inner;
  if (name?.kind !== 'field' && name?.kind !== 'name') return compileAt(compileElement(array, index, of), of);
  const field = findField(name.name, of);
  const isDynamic = field.shape === 'data_loc' || field.shape === 'rel_loc';
  const bound = Number(/\[(\d+)\]$/.exec(field.type)?.[1] ?? 0);
  const sizes = { string: /char|u8|s8/.test(field.type) ? 1 : 0, long: field.type.includes('long') ? of.longBytes : 0 };
  const known = /^(?:[us](?:8|16|32|64)|char)$/.test(field.element) ? elementSizeBytes(field.element, of.longBytes) : undefined;
  const elementBytes = isDynamic ? (known ?? of.longBytes) : bound > 0 ? Math.floor(field.sizeBytes / bound) : sizes.string || sizes.long;
  if (elementBytes === 0) return { ...NUMBER, signed: false, read: () => 0 };
  const fixed = field.shape === 'fixed' && isConstant(index) ? toFixedLoad(field, compileNumber(index, of), elementBytes) : undefined;
  if (fixed !== undefined) return compileLoad(fixed);
  const { locate } = compileFieldRegion(field, of);
  const { read } = compileNumber(index, of);
  const at = (record: EventRecord): boolean => {
    const offset = (read(record) >>> 0) * (isDynamic ? 1 : elementBytes);
    if (!locate(record) || record.from + offset + elementBytes > record.end) return false;
    record.from += offset;
    return true;
  };
  return compileAt({ elementBytes, signed: false, locate: at }, of);
}

/** `REC->args[2]`; undefined where it is not inside of the array. */
function toFixedLoad({ offsetBytes, sizeBytes }: FormatField, index: NumberCode, elementBytes: number): Load | undefined {
  const offset = (index.read(new EventRecord()) >>> 0) * elementBytes;
  if (offset + elementBytes > sizeBytes || ![1, 2, 4, 8].includes(elementBytes)) return undefined;
  return { at: offsetBytes + offset, sizeBytes: elementBytes, signed: false, least: offsetBytes + sizeBytes };
}

function compileIndex(array: Expr, index: Expr, of: Arithmetic): NumberCode {
  if (of.kind === 'unsigned') return compileLibraryIndex(array, index, of);
  return compileAt(compileElement(array, index, of), of);
}

/** The number that lies in a region. */
function compileAt({ locate, elementBytes, signed: hasSign }: Region, of: Arithmetic): NumberCode {
  const signed = hasSign && of.kind === 'c';
  if (elementBytes === 8) {
    return { wide: true, signed, read: (record) => (locate(record) ? loadWide(record, record.from) : (record.high = 0)) };
  }
  return { wide: false, signed, read: (record) => (locate(record) ? loadNarrow(record, record.from, elementBytes, signed) : 0) };
}

export function loadNarrow({ view, bytes, little }: EventRecord, at: number, sizeBytes: number, signed: boolean): number {
  if (sizeBytes === 4) return view.getInt32(at, little);
  if (sizeBytes === 2) return signed ? view.getInt16(at, little) : view.getUint16(at, little);
  return signed ? view.getInt8(at) : (bytes[at] as number);
}

function compileUnary(operator: string, of: Expr, arithmetic: Arithmetic): NumberCode {
  if (operator === '&') throw new NotComputable('an address is no number');
  if (operator === '*') return compileAt(compileRegion(of, arithmetic), arithmetic);
  const code = compileNumber(of, arithmetic);
  if (operator === '+') return code;
  if (operator === '!') {
    const test = toTest(code);
    return { ...NUMBER, read: (record) => (test(record) ? 0 : 1) };
  }
  if (!code.wide && arithmetic.kind === 'c') {
    const { read, signed } = code;
    return { wide: false, signed, read: operator === '-' ? (record) => -read(record) | 0 : (record) => ~read(record) };
  }
  const read = toWide(code);
  const signed = code.signed && arithmetic.kind === 'c';
  if (operator === '~') return { wide: true, signed, read: (record) => invert(record, read(record)) };
  return {
    wide: true,
    signed,
    read: (record) => {
      const low = -read(record) | 0;
      record.high = low === 0 ? -record.high | 0 : ~record.high;
      return low;
    },
  };
}

function invert(record: EventRecord, low: number): number {
  record.high = ~record.high;
  return ~low;
}

/** Is it not 0? */
export function toTest({ wide, read }: NumberCode): (record: EventRecord) => boolean {
  return wide ? (record) => (read(record) | record.high) !== 0 : (record) => read(record) !== 0;
}

function compileConditional(test: NumberCode, yes: NumberCode, no: NumberCode, of: Arithmetic): NumberCode {
  const isYes = toTest(test);
  if (!yes.wide && !no.wide) {
    const signed = yes.signed && no.signed;
    return { wide: false, signed, read: (record) => (isYes(record) ? yes.read(record) : no.read(record)) };
  }
  const [readYes, readNo] = [toWide(yes), toWide(no)];
  const signed = of.kind === 'c' && (!yes.wide || yes.signed) && (!no.wide || no.signed);
  return { wide: true, signed, read: (record) => (isYes(record) ? readYes(record) : readNo(record)) };
}

/** The casts that libtraceevent knows; others leave the value as it is. */
export const MASKED = /^(?:[us](?:8|16|32)|(?:unsigned )?(?:char|short|int))$/;

function compileCast(type: string, of: Expr, arithmetic: Arithmetic): NumberCode {
  const code = compileNumber(of, arithmetic);
  if (arithmetic.kind === 'unsigned' && !MASKED.test(type)) return code;
  const sizeBytes = elementSizeBytes(type.replace(/\bconst\b/g, '').trim(), arithmetic.longBytes);
  if (sizeBytes === undefined || type === 'void') return code;
  const signed = arithmetic.kind === 'c' && (isSignedType(type) || type === 'char');
  const { read } = code;
  if (/^(?:bool|_Bool)$/.test(type)) {
    const test = toTest(code);
    return { wide: false, signed: false, read: (record) => (test(record) ? 1 : 0) };
  }
  switch (sizeBytes) {
    case 1:
      return { wide: false, signed, read: signed ? (record) => (read(record) << 24) >> 24 : (record) => read(record) & 0xff };
    case 2:
      return { wide: false, signed, read: signed ? (record) => (read(record) << 16) >> 16 : (record) => read(record) & 0xffff };
    case 4:
      return { wide: false, signed, read };
    default:
      return { ...(code.wide && { load: code.load }), wide: true, signed, read: toWide(code) };
  }
}

function sizeOfType(type: string, of: Arithmetic): number {
  const size = elementSizeBytes(type, of.longBytes);
  if (size === undefined) throw new NotComputable(`nothing says how large a ${type} is`);
  return size;
}

function compileCall(name: string, args: readonly Expr[], of: Arithmetic): NumberCode {
  const [first] = args;
  if (name === 'sizeof' && first !== undefined) return compileLiteral(BigInt(sizeOfExpr(first, of)), true, true, of);
  if (/^__get_(?:rel_)?dynamic_array_len$/.test(name) && first?.kind === 'name') {
    const { locate } = compileFieldRegion(findField(first.name, of), of);
    return { ...NUMBER, read: (record) => (locate(record) ? record.to - record.from : 0) };
  }
  if (/^__get_(?:rel_)?dynamic_array$/.test(name) && first?.kind === 'name') {
    const { locate } = compileFieldRegion(findField(first.name, of), of);
    return { ...NUMBER, read: (record) => (locate(record) ? record.from - record.start : 0) };
  }
  const library = of.callLibrary?.(name, args, of);
  if (library !== undefined) return library;
  throw new NotComputable(`nothing says what ${name}() does`);
}

function sizeOfExpr(expr: Expr, of: Arithmetic): number {
  if (expr.kind === 'field') return findField(expr.name, of).sizeBytes;
  return compileRegion(expr, of).elementBytes;
}

const COMPARISONS = new Set(['<', '>', '<=', '>=', '==', '!=']);

function compileBinary(operator: string, left: NumberCode, right: NumberCode, of: Arithmetic): NumberCode {
  if (operator === '&&' || operator === '||') {
    const [a, b] = [toTest(left), toTest(right)];
    return {
      ...NUMBER,
      read: operator === '&&' ? (record) => (a(record) && b(record) ? 1 : 0) : (record) => (a(record) || b(record) ? 1 : 0),
    };
  }
  const isShift = operator === '<<' || operator === '>>';
  const narrow = of.kind === 'c' ? !left.wide && (isShift || !right.wide) : isNarrowUnsigned(operator, left, right);
  if (narrow) return compileNarrow(operator, left, right, of);
  const signed = of.kind === 'c' && (isShift ? left.signed : isSignedWide(left) && isSignedWide(right));
  return compileWide(operator, left, right, signed);
}

/** Unsigned numbers of 32 bits stay such under these operators. */
function isNarrowUnsigned(operator: string, left: NumberCode, right: NumberCode): boolean {
  if (left.wide || left.signed) return false;
  if (operator === '>>') return true;
  return !right.wide && !right.signed && (operator === '&' || operator === '|' || operator === '^' || COMPARISONS.has(operator));
}

/** Has its sign when widened to 64 bits: a 32-bit unsigned becomes a positive signed number. */
function isSignedWide({ wide, signed }: NumberCode): boolean {
  return !wide || signed;
}

function compileNarrow(operator: string, left: NumberCode, right: NumberCode, of: Arithmetic): NumberCode {
  const signed = left.signed && (right.signed || operator === '<<' || operator === '>>');
  const [a, b] = [left.read, right.read];
  const result = (read: NumberCode['read']): NumberCode => ({ wide: false, signed: signed && of.kind === 'c', read });
  const flag = (read: (record: EventRecord) => boolean): NumberCode => ({ ...NUMBER, read: (record) => (read(record) ? 1 : 0) });
  switch (operator) {
    case '&':
      return result((record) => a(record) & b(record));
    case '|':
      return result((record) => a(record) | b(record));
    case '^':
      return result((record) => a(record) ^ b(record));
    case '+':
      return result((record) => (a(record) + b(record)) | 0);
    case '-':
      return result((record) => (a(record) - b(record)) | 0);
    case '*':
      return result((record) => Math.imul(a(record), b(record)));
    case '<<':
      return result((record) => a(record) << b(record));
    case '>>':
      if (of.kind !== 'c') return result((record) => shiftRight(a(record), b(record)));
      return result(left.signed ? (record) => a(record) >> b(record) : (record) => a(record) >>> b(record));
    case '==':
      return flag((record) => (a(record) | 0) === (b(record) | 0));
    case '!=':
      return flag((record) => (a(record) | 0) !== (b(record) | 0));
    default:
  }
  const toValue = signed ? (word: number): number => word | 0 : (word: number): number => word >>> 0;
  switch (operator) {
    case '<':
      return flag((record) => toValue(a(record)) < toValue(b(record)));
    case '>':
      return flag((record) => toValue(a(record)) > toValue(b(record)));
    case '<=':
      return flag((record) => toValue(a(record)) <= toValue(b(record)));
    case '>=':
      return flag((record) => toValue(a(record)) >= toValue(b(record)));
    case '/':
      return result((record) => divide(toValue(a(record)), toValue(b(record))));
    case '%':
      return result((record) => (toValue(a(record)) % toValue(b(record))) | 0);
    default:
      throw new NotComputable(`nothing says what ${operator} does`);
  }
}

/** By 0 the kernel would trap, so it never happens there: 0. */
function divide(dividend: number, divisor: number): number {
  return divisor === 0 ? 0 : Math.trunc(dividend / divisor) | 0;
}

/** libtraceevent shifts numbers of 64 bits, whose upper half is 0 here. */
function shiftRight(word: number, by: number): number {
  return (by & 63) > 31 ? 0 : word >>> by;
}

function compileWide(operator: string, left: NumberCode, right: NumberCode, signed: boolean): NumberCode {
  const [a, b] = [toWide(left), toWide(right)];
  const result = (combine: (record: EventRecord, lowA: number, highA: number, lowB: number, highB: number) => number): NumberCode => ({
    wide: true,
    signed,
    read: (record) => {
      const lowA = a(record);
      const highA = record.high;
      const lowB = b(record);
      return combine(record, lowA, highA, lowB, record.high);
    },
  });
  if (COMPARISONS.has(operator)) return compileComparison(operator, a, b, signed);
  switch (operator) {
    case '&':
      return result((record, lowA, highA, lowB, highB) => ((record.high = highA & highB), lowA & lowB));
    case '|':
      return result((record, lowA, highA, lowB, highB) => ((record.high = highA | highB), lowA | lowB));
    case '^':
      return result((record, lowA, highA, lowB, highB) => ((record.high = highA ^ highB), lowA ^ lowB));
    case '+':
      return result(add);
    case '-':
      return result((record, lowA, highA, lowB, highB) => {
        record.high = (highA - highB - (lowA >>> 0 < lowB >>> 0 ? 1 : 0)) | 0;
        return (lowA - lowB) | 0;
      });
    case '<<':
      return result((record, lowA, highA, by) => shiftWideLeft(record, lowA, highA, by));
    case '>>':
      return result((record, lowA, highA, by) => shiftWideRight(record, lowA, highA, by, signed));
    case '*':
    case '/':
    case '%':
      return result((record, lowA, highA, lowB, highB) => {
        if ((highA | highB) === 0) {
          const value = compute(operator, lowA >>> 0, lowB >>> 0);
          if (value <= Number.MAX_SAFE_INTEGER) return setNumber(record, value);
        }
        return computeBig(record, operator, toBig(lowA, highA, signed), toBig(lowB, highB, signed));
      });
    default:
      throw new NotComputable(`nothing says what ${operator} does`);
  }
}

function add(record: EventRecord, lowA: number, highA: number, lowB: number, highB: number): number {
  const low = (lowA >>> 0) + (lowB >>> 0);
  record.high = (highA + highB + (low >= TWO_POW_32 ? 1 : 0)) | 0;
  return low | 0;
}

/** Beyond the width, where C says nothing, processors (x86, arm64, and JavaScript on 32 bits) take the count modulo the width. */
function shiftWideLeft(record: EventRecord, low: number, high: number, count: number): number {
  const by = count & 63;
  if (by === 0) return ((record.high = high), low);
  if (by > 31) return ((record.high = low << (by - 32)), 0);
  record.high = (high << by) | (low >>> (32 - by));
  return low << by;
}

function shiftWideRight(record: EventRecord, low: number, high: number, count: number, signed: boolean): number {
  const by = count & 63;
  if (by === 0) return ((record.high = high), low);
  if (by > 31) {
    record.high = signed ? high >> 31 : 0;
    return signed ? high >> (by - 32) : high >>> (by - 32);
  }
  record.high = signed ? high >> by : high >>> by;
  return (low >>> by) | (high << (32 - by));
}

function compileComparison(operator: string, a: NumberCode['read'], b: NumberCode['read'], signed: boolean): NumberCode {
  /** Below, at or above 0, as a is to b. */
  const compare = (record: EventRecord): number => {
    const lowA = a(record) >>> 0;
    const highA = signed ? record.high | 0 : record.high >>> 0;
    const lowB = b(record) >>> 0;
    const highB = signed ? record.high | 0 : record.high >>> 0;
    return highA === highB ? lowA - lowB : highA - highB;
  };
  const flag = (test: (order: number) => boolean): NumberCode => ({ ...NUMBER, read: (record) => (test(compare(record)) ? 1 : 0) });
  switch (operator) {
    case '<':
      return flag((order) => order < 0);
    case '>':
      return flag((order) => order > 0);
    case '<=':
      return flag((order) => order <= 0);
    case '>=':
      return flag((order) => order >= 0);
    case '==':
      return flag((order) => order === 0);
    default:
      return flag((order) => order !== 0);
  }
}

function toBig(low: number, high: number, signed: boolean): bigint {
  return (BigInt(signed ? high | 0 : high >>> 0) << 32n) | BigInt(low >>> 0);
}

function compute(operator: string, a: number, b: number): number {
  if (operator === '*') return a * b;
  if (b === 0) return 0;
  return operator === '/' ? Math.floor(a / b) : a % b;
}

function setNumber(record: EventRecord, value: number): number {
  record.high = (value / TWO_POW_32) | 0;
  return value | 0;
}

function computeBig(record: EventRecord, operator: string, a: bigint, b: bigint): number {
  const value = operator === '*' ? a * b : b === 0n ? 0n : operator === '/' ? a / b : a % b;
  record.high = Number(BigInt.asIntN(32, value >> 32n));
  return Number(BigInt.asIntN(32, value));
}
