/**
 * WebAssembly written as expressions of TypeScript and encoded to the bytes of a module: no tool, and nothing checked in that is not
 * read by people.
 *
 *   defineFunction('skip', { at: I32, by: I32 }, [I32], {}, [      (func $skip (param $at i32) (param $by i32) (result i32)
 *     when(i32.ltU('at', 8), [ret(8)]),                              (if (i32.lt_u (local.get $at) (i32.const 8)) (then …))
 *     i32.add('at', 'by'),                                           (i32.add (local.get $at) (local.get $by)))
 *   ])
 *      |      |     +-- a text is a local, a number a constant
 *      |      +-- instruction of an i32
 *      +-- its operands stand in front of it in the bytes
 *
 * Only what export/report-wasm-*.ts uses is here. Spec: https://webassembly.github.io/spec/core/binary/
 */

/** Value types as they are encoded. */
export const I32 = 0x7f;
export const I64 = 0x7e;
export const V128 = 0x7b;
type ValueType = typeof I32 | typeof I64 | typeof V128;

/** What a piece of code is encoded in: names of locals and functions to their numbers, and the labels around it. */
export interface Scope {
  readonly locals: ReadonlyMap<string, number>;
  readonly functions: ReadonlyMap<string, number>;
  /** The innermost label is the last. */
  readonly labels: string[];
}

export type Code = (scope: Scope) => number[];
/** A local by its name, a constant of the type that is asked for, or code. */
type Operand = Code | string | number | bigint;

interface Signature {
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
}

interface FunctionDefinition extends Signature {
  readonly name: string;
  readonly encode: (functions: ReadonlyMap<string, number>) => number[];
}

interface FunctionImport extends Signature {
  readonly name: string;
}

const END = 0x0b;
const ELSE = 0x05;
const EMPTY_TYPE = 0x40;
const FUNCTION_TYPE = 0x60;
const SIMD = 0xfd;
/** `\0asm`, version 1. */
const MAGIC = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
/** Of 64 KB: all that 32 bits address. */
const MOST_PAGES = 1 << 16;

function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  do {
    bytes.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    left = Math.floor(left / 128);
  } while (left > 0);
  return bytes;
}

function signed(value: bigint): number[] {
  const bytes: number[] = [];
  for (let left = value; ;) {
    const byte = Number(left & 0x7fn);
    left >>= 7n;
    const isLast = (left === 0n && (byte & 0x40) === 0) || (left === -1n && (byte & 0x40) !== 0);
    bytes.push(isLast ? byte : byte | 0x80);
    if (isLast) return bytes;
  }
}

function numberOf(names: ReadonlyMap<string, number>, name: string): number {
  const number = names.get(name);
  if (number === undefined) throw new Error(`nothing is named ${name}`);
  return number;
}

function join(codes: readonly Code[], scope: Scope): number[] {
  return codes.flatMap((code) => code(scope));
}

export function get(name: string): Code {
  return ({ locals }) => [0x20, ...unsigned(numberOf(locals, name))];
}

function constant(type: ValueType, value: number | bigint): Code {
  const bits = type === I32 ? 32 : 64;
  return () => [type === I32 ? 0x41 : 0x42, ...signed(BigInt.asIntN(bits, BigInt(value)))];
}

function operand(type: ValueType, value: Operand): Code {
  if (typeof value === 'function') return value;
  return typeof value === 'string' ? get(value) : constant(type, value);
}

function instruction(opcode: readonly number[], ...operands: readonly Code[]): Code {
  return (scope) => [...join(operands, scope), ...opcode];
}

type Unary = (of: Operand) => Code;
type Binary = (left: Operand, right: Operand) => Code;
type Load = (at: Operand, offset?: number) => Code;
type Store = (at: Operand, value: Operand, offset?: number) => Code;

function unary(type: ValueType, ...opcode: readonly number[]): Unary {
  return (of) => instruction(opcode, operand(type, of));
}

function binary(type: ValueType, ...opcode: readonly number[]): Binary {
  return (left, right) => instruction(opcode, operand(type, left), operand(type, right));
}

/** Nothing is said of alignment: records lie where they lie. */
function load(...opcode: readonly number[]): Load {
  return (at, offset = 0) => instruction([...opcode, 0, ...unsigned(offset)], operand(I32, at));
}

function store(type: ValueType, ...opcode: readonly number[]): Store {
  return (at, value, offset = 0) => instruction([...opcode, 0, ...unsigned(offset)], operand(I32, at), operand(type, value));
}

export const i32 = {
  const: (value: number) => constant(I32, value),
  eqz: unary(I32, 0x45),
  eq: binary(I32, 0x46),
  ne: binary(I32, 0x47),
  ltS: binary(I32, 0x48),
  ltU: binary(I32, 0x49),
  gtS: binary(I32, 0x4a),
  gtU: binary(I32, 0x4b),
  geS: binary(I32, 0x4e),
  geU: binary(I32, 0x4f),
  ctz: unary(I32, 0x68),
  add: binary(I32, 0x6a),
  sub: binary(I32, 0x6b),
  mul: binary(I32, 0x6c),
  divU: binary(I32, 0x6e),
  and: binary(I32, 0x71),
  or: binary(I32, 0x72),
  shl: binary(I32, 0x74),
  shrU: binary(I32, 0x76),
  wrap: unary(I64, 0xa7),
  load: load(0x28),
  load8U: load(0x2d),
  load16U: load(0x2f),
  store: store(I32, 0x36),
  store8: store(I32, 0x3a),
  store16: store(I32, 0x3b),
};

export const i64 = {
  const: (value: number | bigint) => constant(I64, value),
  eqz: unary(I64, 0x50),
  eq: binary(I64, 0x51),
  ne: binary(I64, 0x52),
  ltS: binary(I64, 0x53),
  ltU: binary(I64, 0x54),
  gtU: binary(I64, 0x56),
  leU: binary(I64, 0x58),
  geU: binary(I64, 0x5a),
  clz: unary(I64, 0x79),
  add: binary(I64, 0x7c),
  sub: binary(I64, 0x7d),
  mul: binary(I64, 0x7e),
  divU: binary(I64, 0x80),
  remU: binary(I64, 0x82),
  and: binary(I64, 0x83),
  or: binary(I64, 0x84),
  xor: binary(I64, 0x85),
  shl: binary(I64, 0x86),
  shrS: binary(I64, 0x87),
  shrU: binary(I64, 0x88),
  extendU: unary(I32, 0xad),
  load: load(0x29),
  load32U: load(0x35),
  store: store(I64, 0x37),
};

export const v128 = {
  load: load(SIMD, 0),
  store: store(V128, SIMD, 0x0b),
  const: (bytes: readonly number[]): Code => {
    return () => [SIMD, 0x0c, ...bytes];
  },
  /** Bytes of `of`, by their numbers. */
  shuffle:
    (of: Operand, order: readonly number[]): Code =>
    (scope) => [...operand(V128, of)(scope), ...operand(V128, of)(scope), SIMD, 0x0d, ...order],
  /** Bytes of `table`, by the numbers in `by`. */
  swizzle: binary(V128, SIMD, 0x0e),
  splat8: unary(I32, SIMD, 0x0f),
  splat64: unary(I64, SIMD, 0x12),
  eq8: binary(V128, SIMD, 0x23),
  and: binary(V128, SIMD, 0x4e),
  /** Bits of `yes` where `mask` has ones, else of `no`. */
  select: (yes: Operand, no: Operand, mask: Operand): Code =>
    instruction([SIMD, 0x52], operand(V128, yes), operand(V128, no), operand(V128, mask)),
  /** The upper bit of each byte. */
  bitmask8: unary(V128, SIMD, 0x64),
  shr16U: (of: Operand, by: number): Code => instruction([SIMD, 0x8d, 0x01], operand(V128, of), constant(I32, by)),
};

export function set(name: string, value: Code): Code {
  return (scope) => [...value(scope), 0x21, ...unsigned(numberOf(scope.locals, name))];
}

export function tee(name: string, value: Code): Code {
  return (scope) => [...value(scope), 0x22, ...unsigned(numberOf(scope.locals, name))];
}

export function seq(...codes: readonly Code[]): Code {
  return (scope) => join(codes, scope);
}

function nest(opcode: number, label: string, body: readonly Code[]): Code {
  return (scope) => {
    scope.labels.push(label);
    const inner = join(body, scope);
    scope.labels.pop();
    return [opcode, EMPTY_TYPE, ...inner, END];
  };
}

/** A jump to its label goes behind it. */
export function block(label: string, ...body: readonly Code[]): Code {
  return nest(0x02, label, body);
}

/** A jump to its label goes to its begin; without one, it is passed once. */
export function loop(label: string, ...body: readonly Code[]): Code {
  return nest(0x03, label, body);
}

export function when(test: Operand, yes: readonly Code[], no: readonly Code[] = []): Code {
  return (scope) => {
    const condition = operand(I32, test)(scope);
    scope.labels.push('');
    const [then, otherwise] = [join(yes, scope), join(no, scope)];
    scope.labels.pop();
    return [...condition, 0x04, EMPTY_TYPE, ...then, ...(no.length > 0 ? [ELSE, ...otherwise] : []), END];
  };
}

export function choose(test: Operand, yes: Code, no: Code): Code {
  return instruction([0x1b], yes, no, operand(I32, test));
}

function depthOf({ labels }: Scope, label: string): number[] {
  const at = labels.lastIndexOf(label);
  if (at < 0) throw new Error(`there is no ${label} around a jump to it`);
  return unsigned(labels.length - 1 - at);
}

export function br(label: string): Code {
  return (scope) => [0x0c, ...depthOf(scope, label)];
}

export function brIf(label: string, test: Operand): Code {
  return (scope) => [...operand(I32, test)(scope), 0x0d, ...depthOf(scope, label)];
}

/** Runs the arm whose number `index` is, and goes on behind; one that is no arm's is the last one's. */
export function switchOn(index: Operand, arms: readonly (readonly Code[])[]): Code {
  const end = 'end of switch';
  const name = (arm: number): string => `arm ${arm}`;
  const table: Code = (scope) => [
    ...operand(I32, index)(scope),
    0x0e,
    ...unsigned(arms.length - 1),
    ...arms.flatMap((_arm, i) => depthOf(scope, name(i))),
  ];
  let inner = table;
  for (const [i, arm] of arms.entries()) {
    const before = block(name(i), inner);
    inner = seq(before, ...arm, ...(i < arms.length - 1 ? [br(end)] : []));
  }
  return block(end, inner);
}

export function ret(value: Operand): Code {
  return instruction([0x0f], operand(I32, value));
}

export function ret64(value: Operand): Code {
  return instruction([0x0f], operand(I64, value));
}

/** Arguments that are constants are of 32 bits. */
export function call(name: string, ...args: readonly Operand[]): Code {
  return (scope) => [...args.flatMap((arg) => operand(I32, arg)(scope)), 0x10, ...unsigned(numberOf(scope.functions, name))];
}

export function defineFunction(
  name: string,
  params: Readonly<Record<string, ValueType>>,
  results: readonly ValueType[],
  locals: Readonly<Record<string, ValueType>>,
  body: readonly Code[],
): FunctionDefinition {
  const names = [...Object.keys(params), ...Object.keys(locals)];
  const encode = (functions: ReadonlyMap<string, number>): number[] => {
    const scope: Scope = { locals: new Map(names.map((local, i) => [local, i])), functions, labels: [] };
    const types = Object.values(locals);
    const code = [...unsigned(types.length), ...types.flatMap((type) => [1, type]), ...join(body, scope), END];
    return [...unsigned(code.length), ...code];
  };
  return { name, params: Object.values(params), results, encode };
}

function section(id: number, items: readonly (readonly number[])[]): number[] {
  const content = [...unsigned(items.length), ...items.flat()];
  return [id, ...unsigned(content.length), ...content];
}

function text(value: string): number[] {
  const bytes = [...Buffer.from(value, 'utf8')];
  return [...unsigned(bytes.length), ...bytes];
}

/**
 * The bytes of a module with these functions; its memory, shared by threads and of at least so many pages of 64 KB, and its imports
 * are given by who runs it, under `host`.
 */
export function encodeModule(
  memoryPages: number,
  imports: readonly FunctionImport[],
  functions: readonly FunctionDefinition[],
  exported: readonly string[],
): Uint8Array<ArrayBuffer> {
  const all = [...imports, ...functions];
  const numbers = new Map(all.map(({ name }, i) => [name, i]));
  const types = all.map(({ params, results }) =>
    [[FUNCTION_TYPE], unsigned(params.length), params, unsigned(results.length), results].flat(),
  );
  const host = text('host');
  const memory = [...host, ...text('memory'), 0x02, 0x03, ...unsigned(memoryPages), ...unsigned(MOST_PAGES)];
  return Uint8Array.from([
    ...MAGIC,
    ...section(1, types),
    ...section(2, [memory, ...imports.map(({ name }, i) => [...host, ...text(name), 0x00, ...unsigned(i)])]),
    ...section(
      3,
      functions.map((_function, i) => unsigned(imports.length + i)),
    ),
    ...section(
      7,
      exported.map((name) => [...text(name), 0x00, ...unsigned(numberOf(numbers, name))]),
    ),
    ...section(
      10,
      functions.map(({ encode }) => encode(numbers)),
    ),
  ]);
}
