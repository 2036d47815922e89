/** What is particular to a terminal: colours, widths, and that text from a kernel must never be trusted by it. */
import type { WriteStream } from 'node:tty';

type OutputStream = NodeJS.WriteStream | WriteStream;

const STYLES = {
  bold: '1',
  dim: '2',
  red: '31',
  green: '32',
  yellow: '33',
  blue: '34',
  magenta: '35',
  cyan: '36',
  brightRed: '1;31',
  alarm: '1;37;41',
} as const;
export type Style = keyof typeof STYLES;
export type Paint = (style: Style, text: string) => string;

/** Colours only where a person looks: a terminal that has them, and no NO_COLOR, TERM=dumb or the like. */
export function createPaint(stream: OutputStream): Paint {
  const coloured = stream.isTTY && stream.hasColors();
  return coloured ? (style, text) => `\x1b[${STYLES[style]}m${text}\x1b[0m` : (_style, text) => text;
}

/** Columns of the terminal, or undefined where there is none: then nothing is cut. */
export function terminalWidth(stream: OutputStream): number | undefined {
  return stream.isTTY ? stream.columns : undefined;
}

// C0 but tab and newline, DEL, C1, and the characters that reorder or break a line unseen.
// oxlint-disable-next-line no-control-regex -- control characters are what it is about
const UNSAFE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** Shows control characters instead of sending them: ESC becomes `\x1b`. Newlines and tabs stay. */
export function escapeControls(text: string): string {
  return text.replace(UNSAFE, (char) => {
    const code = char.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
  });
}

/** `escapeControls` on one line. */
export function escapeLine(text: string): string {
  return escapeControls(text).replaceAll('\n', '\\n').replaceAll('\t', ' ');
}

/**
 * Writes to standard output and waits while a slow reader is behind, so that memory stays bounded. A reader that has gone is
 * not waited for: what becomes of the process then is decided in report-error.ts.
 */
export function print(text: string | Uint8Array): Promise<void> {
  const { stdout } = process;
  if (!stdout.writable || stdout.write(text)) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      for (const event of ['drain', 'error', 'close']) stdout.off(event, finish);
      resolve();
    };
    for (const event of ['drain', 'error', 'close']) stdout.on(event, finish);
  });
}

/** `print` that waits until the bytes are out of their memory, which may be filled again then. */
export function printAll(bytes: Uint8Array): Promise<void> {
  const { stdout } = process;
  if (!stdout.writable) return Promise.resolve();
  // Called with an error, too: a reader that has gone.
  return new Promise((resolve) => stdout.write(bytes, () => resolve()));
}

/** A word to the person, beside what is shown. */
export function printNotice(text: string): void {
  process.stderr.write(`${createPaint(process.stderr)('dim', `-- ${escapeLine(text)}`)}\n`);
}

export function printLine(text = ''): Promise<void> {
  return print(`${text}\n`);
}
