/** Throws on a broken invariant, that is on a bug of ours: never use it to judge input, the outside world or configuration. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message);
}

/** Marks a branch that the types rule out; the compiler complains when a new variant is not handled. */
export function assertUnreachable(value: never): never {
  throw new AssertionFailure(`unreachable value: ${JSON.stringify(value)}`);
}

/** Returns `value`, or throws where an invariant says it is there. */
export function ensureDefined<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new AssertionFailure(`${what} is undefined`);
  return value;
}

export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure';
}
