/**
 * What the `print fmt` of an event says about how its fields want to be shown. `export/print-fmt.ts` evaluates print formats;
 * this pairs each conversion with its argument and nothing more, and so also takes formats that cannot be computed.
 *
 *   "ip=%pS flags=0x%lx name=%s", (void *)REC->ip, REC->flags, __get_str(name)
 *       |          |         |          +-- a cast is looked through
 *       |          |         +-- not hexadecimal
 *       +----------+-- hexadecimal: `ip`, `flags`
 */

/** Flags, width, precision, length, conversion; `*` takes an argument of its own. */
const CONVERSION = /%[-+ #0]{0,6}(\*|\d+)?(?:\.(\*|\d+)?)?(?:hh|h|ll|l|z|j|t|L)?([a-zA-Z%])/g;
/** One field with nothing but casts and parentheses around it; an index is looked through. */
const PLAIN_FIELD = /^[\w\s*]*REC->(\w+)\s*(?:\[\d+\])?\s*$/;

/** Names of the fields that are printed through `%x` or `%p`. */
export function findHexFields(printFormat: string): Set<string> {
  const [template, ...args] = splitArguments(printFormat);
  const found = new Set<string>();
  let next = 0;
  for (const [, width, precision, conversion] of (template ?? '').matchAll(CONVERSION)) {
    if (conversion === '%') continue;
    if (width === '*') next++;
    if (precision === '*') next++;
    const arg = args[next++];
    if (arg === undefined) break;
    if (conversion !== 'x' && conversion !== 'X' && conversion !== 'p') continue;
    const field = PLAIN_FIELD.exec(arg.replace(/[()]/g, ' '))?.[1];
    if (field !== undefined) found.add(field);
  }
  return found;
}

/** Names of the fields that are printed by `function`, e.g. `__get_bitmask(mask)`. */
export function findFieldsOf(printFormat: string, name: string): Set<string> {
  const found = new Set<string>();
  for (const match of printFormat.matchAll(/\b(__\w+)\(\s*(\w+)\s*\)/g)) if (match[1] === name) found.add(match[2] as string);
  return found;
}

/** Splits at the commas outside of strings and brackets. */
function splitArguments(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '"') at = skipString(text, at);
    else if (char === '(' || char === '{' || char === '[') depth++;
    else if (char === ')' || char === '}' || char === ']') depth--;
    else if (char === ',' && depth === 0) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

/** Index of the quote that ends the string which begins at `at`. */
function skipString(text: string, at: number): number {
  let end = at + 1;
  while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  return end;
}
