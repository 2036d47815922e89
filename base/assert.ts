/** Returns `value`, or throws where an invariant says it is there: a bug of ours, never a judgement of input. */
export function ensureDefined<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new AssertionFailure(`${what} is undefined`);
  return value;
}

class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure';
}
