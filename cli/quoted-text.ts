/**
 * Traces and logs that were copied out of a mail, a commit or an issue, where something stands in front of each line:
 *
 *   > > # tracer: nop                 | [   12.345678] usb 1-1: …      cpus=8                > BUG: kernel NULL pointer dereference, …
 *   > >      cat-135  [003] 16.185:   | [   12.345690] usb 1-1: …      bash-812 [001] …      > CPU: 1 PID: 96 Comm: sh
 *
 * What that is tells the first line whose begin is known; it is removed where it stands, and what people wrote around it is left.
 *
 * Not handled: lines that the mail's writer has wrapped, and quoting that changes in the middle of a trace.
 */
import { REPORT_EDGE } from '../parsers/console-sniff.ts';

/** Bytes that a file begins with and that tell what it is. */
export const HEAD_BYTES = 64 << 10;
const MAX_PREFIX_CHARS = 32;
const NEWLINE = 10;
/** Begins of lines that no blank, `>` or `|` stands in front of where they come from. */
const KNOWN_LINE = new RegExp(
  String.raw`^([ \t>|]*)(?:# tracer: \S|\[ {0,7}\d{1,10}\.\d{6}\][ [\]]|<\d{1,3}>\[ {0,7}\d{1,10}\.\d{6}\]|cpus=\d+\r?$|${REPORT_EDGE.source})`,
);

/** What stands in front of the lines; undefined where nothing does, or not in front of all that are known. */
export function findQuote(head: Uint8Array): string | undefined {
  // A recording has text in it, too.
  if (head.subarray(0, HEAD_BYTES).includes(0)) return undefined;
  const lines = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, HEAD_BYTES)).toString('latin1').split('\n');
  let quote: string | undefined;
  for (const line of lines) {
    const prefix = KNOWN_LINE.exec(line)?.[1];
    if (prefix === undefined) continue;
    if (prefix === '' || prefix.length > MAX_PREFIX_CHARS) return undefined;
    quote ??= prefix;
  }
  return quote;
}

/** The text without it. */
export async function* unquote(chunks: AsyncIterable<Uint8Array>, quote: string): AsyncGenerator<Uint8Array> {
  const prefix = Buffer.from(quote, 'latin1');
  let begin: Uint8Array = new Uint8Array(0);
  let isInLine = false;
  for await (const chunk of chunks) {
    const bytes = begin.length === 0 ? chunk : Buffer.concat([begin, chunk]);
    const lines: Uint8Array[] = [];
    let at = 0;
    while (at < bytes.length) {
      const newline = bytes.indexOf(NEWLINE, at);
      if (!isInLine && newline < 0 && bytes.length - at < prefix.length) break;
      const end = newline < 0 ? bytes.length : newline + 1;
      lines.push(isInLine ? bytes.subarray(at, end) : cut(bytes.subarray(at, end), prefix));
      at = end;
      isInLine = newline < 0;
    }
    begin = bytes.slice(at);
    if (lines.length > 0) yield Buffer.concat(lines);
  }
  if (begin.length > 0) yield cut(begin, prefix);
}

/** Mailers remove blanks at the end of a line, also where nothing else is left of it. */
function cut(line: Uint8Array, prefix: Buffer): Uint8Array {
  let length = 0;
  while (length < prefix.length && line[length] === prefix[length]) length++;
  if (length === prefix.length) return line.subarray(length);
  const isEmpty = (line[length] === NEWLINE || line[length] === 13) && prefix.subarray(length).every((byte) => byte === 32);
  return isEmpty ? line.subarray(length) : line;
}
