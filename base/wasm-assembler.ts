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
 * Only what export/report-wasm-*.ts and parsers/ftrace-wasm-*.ts use is here. Spec: https://webassembly.github.io/spec/core/binary/
 */

/** Value types as they are encoded. */
export const I32 = 0x7f;
export const I64 = 0x7e;
export const V128 = 0x7b;
type ValueType = typeof I32 | typeof I64 | typeof V128;

/** What a piece of code is encoded in: names of locals and functions to their numbers, the labels around it, and where it goes. */
export interface Scope {
  readonly locals: ReadonlyMap<string, number>;
  readonly functions: ReadonlyMap<string, number>;
  /** The innermost label is the last. */
  readonly labels: string[];
  readonly out: Bytes;
}

/** Appends its bytes. */
export type Code = (scope: Scope) => void;
/** A local by its name, a constant of the type that is asked for, or code. */
type Operand = Code | string | number | bigint;

interface Signature {
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
}

interface FunctionDefinition extends Signature {
  readonly name: string;
  readonly encode: (functions: ReadonlyMap<string, number>) => Bytes;
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

/** The module is written once, by code that is never warm: into one piece of memory, it takes a fifth of joining arrays. */
class Bytes {
  #memory = new Uint8Array(1 << 10);
  length = 0;

  put(byte: number): void {
    if (this.length === this.#memory.length) this.#grow(this.length * 2);
    this.#memory[this.length++] = byte;
  }

  putAll(bytes: ArrayLike<number>): void {
    if (this.length + bytes.length > this.#memory.length) this.#grow((this.length + bytes.length) * 2);
    this.#memory.set(bytes, this.length);
    this.length += bytes.length;
  }

  putUnsigned(value: number): void {
    let left = value;
    while (left > 0x7f) {
      this.put((left & 0x7f) | 0x80);
      left = Math.floor(left / 128);
    }
    this.put(left);
  }

  putSigned(value: number): void {
    let left = value;
    while (left < -0x40 || left > 0x3f) {
      this.put((left & 0x7f) | 0x80);
      left >>= 7;
    }
    this.put(left & 0x7f);
  }

  putSignedBig(value: bigint): void {
    let left = value;
    while (left < -0x40n || left > 0x3fn) {
      this.put(Number(left & 0x7fn) | 0x80);
      left >>= 7n;
    }
    this.put(Number(left & 0x7fn));
  }

  view(): Uint8Array<ArrayBuffer> {
    return this.#memory.subarray(0, this.length);
  }

  #grow(capacity: number): void {
    const grown = new Uint8Array(capacity);
    grown.set(this.view());
    this.#memory = grown;
  }
}

function numberOf(names: ReadonlyMap<string, number>, name: string): number {
  const number = names.get(name);
  if (number === undefined) throw new Error(`nothing is named ${name}`);
  return number;
}

function putCodes(codes: readonly Code[], scope: Scope): void {
  for (const code of codes) code(scope);
}

export function get(name: string): Code {
  return ({ locals, out }) => {
    out.put(0x20);
    out.putUnsigned(numberOf(locals, name));
  };
}

function constant(type: ValueType, value: number | bigint): Code {
  if (type === I32)
    return ({ out }) => {
      out.put(0x41);
      out.putSigned(Number(value) | 0);
    };
  return ({ out }) => {
    out.put(0x42);
    out.putSignedBig(BigInt.asIntN(64, BigInt(value)));
  };
}

function operand(type: ValueType, value: Operand): Code {
  if (typeof value === 'function') return value;
  return typeof value === 'string' ? get(value) : constant(type, value);
}

function instruction(opcode: readonly number[], ...operands: readonly Code[]): Code {
  return (scope) => {
    putCodes(operands, scope);
    scope.out.putAll(opcode);
  };
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
  return (at, offset = 0) => accessTo(opcode, offset, operand(I32, at));
}

function store(type: ValueType, ...opcode: readonly number[]): Store {
  return (at, value, offset = 0) => accessTo(opcode, offset, operand(I32, at), operand(type, value));
}

function accessTo(opcode: readonly number[], offset: number, ...operands: readonly Code[]): Code {
  return (scope) => {
    putCodes(operands, scope);
    scope.out.putAll(opcode);
    scope.out.put(0);
    scope.out.putUnsigned(offset);
  };
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
  leU: binary(I32, 0x4d),
  geS: binary(I32, 0x4e),
  geU: binary(I32, 0x4f),
  ctz: unary(I32, 0x68),
  add: binary(I32, 0x6a),
  sub: binary(I32, 0x6b),
  mul: binary(I32, 0x6c),
  divU: binary(I32, 0x6e),
  and: binary(I32, 0x71),
  or: binary(I32, 0x72),
  xor: binary(I32, 0x73),
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
  ctz: unary(I64, 0x7a),
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
    return ({ out }) => {
      out.put(SIMD);
      out.put(0x0c);
      out.putAll(bytes);
    };
  },
  /** Bytes of `of`, by their numbers. */
  shuffle: (of: Operand, order: readonly number[]): Code => instruction([SIMD, 0x0d, ...order], operand(V128, of), operand(V128, of)),
  /** Bytes of `table`, by the numbers in `by`. */
  swizzle: binary(V128, SIMD, 0x0e),
  splat8: unary(I32, SIMD, 0x0f),
  splat64: unary(I64, SIMD, 0x12),
  /** The eight bytes at its begin. */
  low64: (of: Operand): Code => instruction([SIMD, 0x1d, 0], operand(V128, of)),
  eq8: binary(V128, SIMD, 0x23),
  ltU8: binary(V128, SIMD, 0x26),
  and: binary(V128, SIMD, 0x4e),
  or: binary(V128, SIMD, 0x50),
  xor: binary(V128, SIMD, 0x51),
  anyTrue: unary(V128, SIMD, 0x53),
  add8: binary(V128, SIMD, 0x6e),
  sub8: binary(V128, SIMD, 0x71),
  /** Halves of 16 bits to bytes, those of `left` first. */
  narrow16U: binary(V128, SIMD, 0x66),
  shl16: (of: Operand, by: number): Code => instruction([SIMD, 0x8b, 0x01], operand(V128, of), constant(I32, by)),
  /** Bits of `yes` where `mask` has ones, else of `no`. */
  select: (yes: Operand, no: Operand, mask: Operand): Code =>
    instruction([SIMD, 0x52], operand(V128, yes), operand(V128, no), operand(V128, mask)),
  /** The upper bit of each byte. */
  bitmask8: unary(V128, SIMD, 0x64),
  shr16U: (of: Operand, by: number): Code => instruction([SIMD, 0x8d, 0x01], operand(V128, of), constant(I32, by)),
};

function putLocal(opcode: number, name: string, value: Code): Code {
  return (scope) => {
    value(scope);
    scope.out.put(opcode);
    scope.out.putUnsigned(numberOf(scope.locals, name));
  };
}

export function set(name: string, value: Code): Code {
  return putLocal(0x21, name, value);
}

export function tee(name: string, value: Code): Code {
  return putLocal(0x22, name, value);
}

export function seq(...codes: readonly Code[]): Code {
  return (scope) => putCodes(codes, scope);
}

function nest(opcode: number, label: string, body: readonly Code[]): Code {
  return (scope) => {
    scope.out.put(opcode);
    scope.out.put(EMPTY_TYPE);
    scope.labels.push(label);
    putCodes(body, scope);
    scope.labels.pop();
    scope.out.put(END);
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
  const otherwise: Code = ({ out }) => out.put(ELSE);
  const branches = nest(0x04, '', no.length > 0 ? [...yes, otherwise, ...no] : yes);
  return seq(operand(I32, test), branches);
}

export function choose(test: Operand, yes: Code, no: Code): Code {
  return instruction([0x1b], yes, no, operand(I32, test));
}

function putDepth({ labels, out }: Scope, label: string): void {
  const at = labels.lastIndexOf(label);
  if (at < 0) throw new Error(`there is no ${label} around a jump to it`);
  out.putUnsigned(labels.length - 1 - at);
}

export function br(label: string): Code {
  return (scope) => {
    scope.out.put(0x0c);
    putDepth(scope, label);
  };
}

export function brIf(label: string, test: Operand): Code {
  return (scope) => {
    operand(I32, test)(scope);
    scope.out.put(0x0d);
    putDepth(scope, label);
  };
}

/** Runs the arm whose number `index` is, and goes on behind; one that is no arm's is the last one's. */
export function switchOn(index: Operand, arms: readonly (readonly Code[])[]): Code {
  const end = 'end of switch';
  const name = (arm: number): string => `arm ${arm}`;
  const table: Code = (scope) => {
    operand(I32, index)(scope);
    scope.out.put(0x0e);
    scope.out.putUnsigned(arms.length - 1);
    for (const arm of arms.keys()) putDepth(scope, name(arm));
  };
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

/** Of a function with two results, an i32 and an i64. */
export function retBoth(first: Operand, second: Operand): Code {
  return instruction([0x0f], operand(I32, first), operand(I64, second));
}

/** Into these locals what `call`, a function of two results, leaves. */
export function setBoth(first: string, second: string, called: Code): Code {
  return (scope) => {
    called(scope);
    for (const name of [second, first]) {
      scope.out.put(0x21);
      scope.out.putUnsigned(numberOf(scope.locals, name));
    }
  };
}

/** Arguments that are constants are of 32 bits. */
export function call(name: string, ...args: readonly Operand[]): Code {
  return (scope) => {
    for (const arg of args) operand(I32, arg)(scope);
    scope.out.put(0x10);
    scope.out.putUnsigned(numberOf(scope.functions, name));
  };
}

export function defineFunction(
  name: string,
  params: Readonly<Record<string, ValueType>>,
  results: readonly ValueType[],
  locals: Readonly<Record<string, ValueType>>,
  body: readonly Code[],
): FunctionDefinition {
  const names = [...Object.keys(params), ...Object.keys(locals)];
  const encode = (functions: ReadonlyMap<string, number>): Bytes => {
    const out = new Bytes();
    const types = Object.values(locals);
    out.putUnsigned(types.length);
    for (const type of types) {
      out.put(1);
      out.put(type);
    }
    putCodes(body, { locals: new Map(names.map((local, i) => [local, i])), functions, labels: [], out });
    out.put(END);
    return out;
  };
  return { name, params: Object.values(params), results, encode };
}

function putText(value: string, out: Bytes): void {
  const bytes = Buffer.from(value, 'utf8');
  out.putUnsigned(bytes.length);
  out.putAll(bytes);
}

function putSection<Item>(id: number, items: readonly Item[], out: Bytes, putItem: (item: Item, to: Bytes, at: number) => void): void {
  const content = new Bytes();
  content.putUnsigned(items.length);
  for (const [at, item] of items.entries()) putItem(item, content, at);
  out.put(id);
  out.putUnsigned(content.length);
  out.putAll(content.view());
}

/** What a module asks of the memory that it is given: at least so many pages of 64 KB, and whether threads share it. */
interface MemoryNeed {
  readonly pages: number;
  readonly isShared: boolean;
}

/** The bytes of a module with these functions; its memory and its imports are given by who runs it, under `host`. */
export function encodeModule(
  memory: MemoryNeed,
  imports: readonly FunctionImport[],
  functions: readonly FunctionDefinition[],
  exported: readonly string[],
): Uint8Array<ArrayBuffer> {
  const all = [...imports, ...functions];
  const numbers = new Map(all.map(({ name }, i) => [name, i]));
  const out = new Bytes();
  out.putAll(MAGIC);
  putSection(1, all, out, ({ params, results }, to) => {
    to.put(FUNCTION_TYPE);
    for (const types of [params, results]) {
      to.putUnsigned(types.length);
      to.putAll(types);
    }
  });
  putSection(2, [undefined, ...imports], out, (one, to, at) => {
    putText('host', to);
    putText(one?.name ?? 'memory', to);
    if (one === undefined) to.putAll([0x02, memory.isShared ? 0x03 : 0x01]);
    else to.put(0x00);
    to.putUnsigned(one === undefined ? memory.pages : at - 1);
    if (one === undefined) to.putUnsigned(MOST_PAGES);
  });
  putSection(3, functions, out, (_one, to, at) => to.putUnsigned(imports.length + at));
  putSection(7, exported, out, (name, to) => {
    putText(name, to);
    to.put(0x00);
    to.putUnsigned(numberOf(numbers, name));
  });
  putSection(10, functions, out, ({ encode }, to) => {
    const code = encode(numbers);
    to.putUnsigned(code.length);
    to.putAll(code.view());
  });
  return out.view();
}
