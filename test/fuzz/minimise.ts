/** Makes an input that breaks something shorter, as long as it breaks the same. */
const MAX_TRIES = 3000;
const MAX_MS = 5000;

export function minimise(input: Uint8Array, breaks: (candidate: Uint8Array) => boolean): Uint8Array {
  let tries = 0;
  const end = performance.now() + MAX_MS;
  const isOut = (): boolean => ++tries > MAX_TRIES || performance.now() > end;
  let shortest = input;
  if (!breaks(input)) return input;
  for (let chunk = input.length >> 1; chunk >= 1; chunk >>= 1) {
    for (let at = 0; at < shortest.length && !isOut();) {
      const candidate = without(shortest, at, at + chunk);
      if (breaks(candidate)) shortest = candidate;
      else at += chunk;
    }
  }
  return shortest;
}

function without(bytes: Uint8Array, from: number, to: number): Uint8Array {
  const rest = new Uint8Array(from + Math.max(0, bytes.length - to));
  rest.set(bytes.subarray(0, from));
  rest.set(bytes.subarray(Math.min(to, bytes.length)), from);
  return rest;
}
