/**
 * Operators in the order in which libtraceevent computes them, which is not always C's:
 *
 *   flags & (M | D | P)    →  ((flags & M) | D) | P     brackets don't hold an operator that binds less than the one before them
 *   a - b - c              →  a - (b - c)               equal ones take what follows them
 *   t ? a : b ? c : d      →  (t ? a : b) ? c : d       what follows a conditional takes all of it
 *
 * `trace-cmd report` prints what comes of it: `timer_start` has `flags=D|P|I` whatever its flags are.
 * Source: libtraceevent 1.7 src/event-parse.c (process_op, process_cond).
 */
import type { Expr } from './print-fmt-syntax.ts';

/** A value, or an operator with its operands, which operators that follow change in place. */
export interface LibraryTree {
  expr: Expr | undefined;
  operator: string;
  priority: number;
  left: LibraryTree | undefined;
  right: LibraryTree | undefined;
  /** What a conditional gives otherwise. */
  otherwise: LibraryTree | undefined;
}

/** Larger binds less. */
export const LIBRARY_PRIORITY: Readonly<Record<string, number>> = {
  '*': 6,
  '/': 6,
  '%': 6,
  '+': 7,
  '-': 7,
  '<<': 8,
  '>>': 8,
  '<': 9,
  '>': 9,
  '<=': 9,
  '>=': 9,
  '==': 10,
  '!=': 10,
  '&': 11,
  '^': 12,
  '|': 13,
  '&&': 14,
  '||': 15,
  '?': 16,
  '!': 4,
  '~': 4,
};

const ZERO: Expr = { kind: 'number', value: 0n, unsigned: false, long: false };

export function leaf(expr: Expr): LibraryTree {
  return { expr, operator: '', priority: 0, left: undefined, right: undefined, otherwise: undefined };
}

/** `-x`: computed as 0 - x. */
export function singleOperator(operator: string, of: LibraryTree): LibraryTree {
  return { expr: undefined, operator, priority: 0, left: leaf(ZERO), right: of, otherwise: undefined };
}

/** `tree` becomes the conditional that it was the test of. */
export function joinConditional(tree: LibraryTree, yes: LibraryTree, otherwise: LibraryTree): void {
  const left = { ...tree };
  Object.assign(tree, { expr: undefined, operator: '?', priority: 0, left, right: yes, otherwise });
}

/** `tree` becomes the operator that it was the left side of; returns what the next operator that binds tighter belongs to. */
export function joinOperator(tree: LibraryTree, operator: string, right: LibraryTree): LibraryTree {
  const left = { ...tree };
  const priority = LIBRARY_PRIORITY[operator] as number;
  if (right.operator === '' || priority >= (LIBRARY_PRIORITY[right.operator] as number)) {
    Object.assign(tree, { expr: undefined, operator, priority, left, right, otherwise: undefined });
    return right;
  }
  const inner: LibraryTree = { expr: undefined, operator, priority, left, right: right.left, otherwise: undefined };
  Object.assign(tree, { ...right, left: inner });
  return inner;
}

export function toExpr(tree: LibraryTree): Expr {
  const { expr, operator, left, right, otherwise } = tree;
  if (expr !== undefined) return expr;
  if (left === undefined || right === undefined) return ZERO;
  if (operator === '?')
    return { kind: 'conditional', test: toExpr(left), yes: toExpr(right), no: otherwise === undefined ? ZERO : toExpr(otherwise) };
  if (operator === '!' || operator === '~') return { kind: 'unary', operator, of: toExpr(right) };
  return { kind: 'binary', operator, left: toExpr(left), right: toExpr(right) };
}
