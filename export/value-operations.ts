/**
 * Expressions of print formats as operations on a stack of 64-bit numbers without a sign, which is how libtraceevent computes:
 *
 *   (long)REC->expires - REC->now   →   load +16 · load +24 · -
 *
 * For who has no functions of JavaScript to call: print-fmt-numbers.ts compiles all expressions to those, these are the ones made
 * of numbers that lie in the record.
 */
import { elementSizeBytes } from '../parsers/event-format.ts';
import { compileNumber, MASKED, type Arithmetic, type Load } from './print-fmt-numbers.ts';
import type { Expr } from './print-fmt-syntax.ts';

export type BinaryOperator =
  | '+'
  | '-'
  | '*'
  | '/'
  | '%'
  | '<<'
  | '>>'
  | '&'
  | '|'
  | '^'
  | '=='
  | '!='
  | '<'
  | '>'
  | '<='
  | '>='
  | '&&'
  | '||';

export type ValueOperation =
  | { readonly kind: 'constant'; readonly value: bigint }
  | { readonly kind: 'load'; readonly load: Load }
  /** `select` takes a test, what to give if it is not 0, and what otherwise. */
  | { readonly kind: '0-' | '~' | '!' | 'select' | BinaryOperator };

const BINARY: ReadonlySet<string> = new Set<BinaryOperator>([
  '+',
  '-',
  '*',
  '/',
  '%',
  '<<',
  '>>',
  '&',
  '|',
  '^',
  '==',
  '!=',
  '<',
  '>',
  '<=',
  '>=',
  '&&',
  '||',
]);
const MAX_OPERATIONS = 64;
/** Numbers that wait on the stack. */
const MAX_DEPTH = 16;

/** What computes an expression that print-fmt-numbers.ts compiles, too; undefined where it is made of more than numbers. */
export function toOperations(expr: Expr, of: Arithmetic): readonly ValueOperation[] | undefined {
  const operations: ValueOperation[] = [];
  const fits = of.kind === 'unsigned' && addOperations(expr, of, operations, 1);
  return fits && operations.length <= MAX_OPERATIONS ? operations : undefined;
}

function addOperations(expr: Expr, of: Arithmetic, to: ValueOperation[], depth: number): boolean {
  if (depth > MAX_DEPTH) return false;
  switch (expr.kind) {
    case 'number':
      return addConstant(expr.value, to);
    case 'name': {
      const value = of.resolve(expr.name);
      return value !== undefined && addConstant(value, to);
    }
    case 'field':
    case 'index': {
      const { load } = compileNumber(expr, of);
      if (load === undefined) return false;
      to.push({ kind: 'load', load });
      return true;
    }
    case 'cast':
      return addOperations(expr.of, of, to, depth) && addMask(expr.type, of, to);
    case 'unary':
      if (!addOperations(expr.of, of, to, depth)) return false;
      return expr.operator === '+' || addUnary(expr.operator, to);
    case 'binary':
      if (!BINARY.has(expr.operator)) return false;
      if (!addOperations(expr.left, of, to, depth) || !addOperations(expr.right, of, to, depth + 1)) return false;
      to.push({ kind: expr.operator as BinaryOperator });
      return true;
    case 'conditional':
      if (![expr.test, expr.yes, expr.no].every((part, i) => addOperations(part, of, to, depth + i))) return false;
      to.push({ kind: 'select' });
      return true;
    default:
      return false;
  }
}

function addConstant(value: bigint, to: ValueOperation[]): true {
  to.push({ kind: 'constant', value });
  return true;
}

function addUnary(operator: string, to: ValueOperation[]): boolean {
  if (operator !== '-' && operator !== '~' && operator !== '!') return false;
  to.push({ kind: operator === '-' ? '0-' : operator });
  return true;
}

function addMask(type: string, { longBytes }: Arithmetic, to: ValueOperation[]): boolean {
  if (!MASKED.test(type)) return true;
  const bytes = elementSizeBytes(type, longBytes) ?? 8;
  if (bytes < 8) to.push({ kind: 'constant', value: (1n << BigInt(bytes * 8)) - 1n }, { kind: '&' });
  return true;
}
