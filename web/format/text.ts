/** Kernel text is hostile: shown as text nodes only, and nothing in it may be invisible or turn the line around. */

/** Controls (C0, C1), format marks that hide or reorder text (soft hyphen, bidi overrides, zero width), line separators. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

function escapeOne(char: string): string {
  if (char === '\n') return '↵';
  if (char === '\t') return '  ';
  const hex = (char.codePointAt(0) ?? 0).toString(16);
  return hex.length <= 2 ? `\\x${hex.padStart(2, '0')}` : `\\u${hex.length <= 4 ? hex.padStart(4, '0') : `{${hex}}`}`;
}

/** One line: control characters as `\x1b`, a line feed as `↵`. */
export function escapeControls(text: string): string {
  return text.replace(UNSAFE, escapeOne);
}

/** As escapeControls, but lines stay lines. */
export function escapeLines(text: string): string {
  return text.replace(UNSAFE, (char) => (char === '\n' ? char : escapeOne(char)));
}

/** First `limit` characters, escaped, with a mark where more was cut. */
export function toDisplayLine(text: string, limit: number): string {
  return text.length > limit ? `${escapeControls(text.slice(0, limit))} …` : escapeControls(text);
}

export interface TextPart {
  readonly text: string;
  readonly hit: boolean;
}

/** A pattern for highlighting, or undefined where there is none or where matching it here could hang. */
export function toHighlight(search: string, isRegex: boolean): RegExp | undefined {
  if (search === '') return undefined;
  if (!isRegex) return new RegExp(search.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'), 'gi');
  // The hub matches with RE2, which can't backtrack; this engine can, so a repeated group is not highlighted.
  if (/\)[*+?{]/.test(search) || search.length > 200) return undefined;
  try {
    return new RegExp(search.replace(/^\(\?i\)/, ''), search.startsWith('(?i)') ? 'gi' : 'g');
  } catch {
    return undefined;
  }
}

/** Splits a text into matching and other parts, in order. */
export function splitMatches(text: string, pattern: RegExp | undefined): readonly TextPart[] {
  if (pattern === undefined) return [{ text, hit: false }];
  const parts: TextPart[] = [];
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    if (match[0] === '') continue;
    if (match.index > at) parts.push({ text: text.slice(at, match.index), hit: false });
    parts.push({ text: match[0], hit: true });
    at = match.index + match[0].length;
    if (parts.length > 64) break;
  }
  if (at < text.length || parts.length === 0) parts.push({ text: text.slice(at), hit: false });
  return parts;
}
