/** Is it a syslog file, text of journalctl, or a stamped console? And which style and clock has it: told from its first lines. */
import { SyslogLine, type SyslogStyle } from './syslog-line.ts';

export interface SyslogShape {
  readonly style: SyslogStyle;
  /** printk where the kernel's lines carry its own stamps too, else the wall clock's. */
  readonly domain: 'printk' | 'unix';
  /** Whose lines these are; '' = not told. */
  readonly host: string;
}

/** Of an input, from which its style is told. */
export const SYSLOG_HEAD_BYTES = 64 << 10;
const NEWLINE = 10;
const MAX_LINES = 2000;
/** Of the lines that are no continuation. */
const MOST = 0.6;
const STAMP = /^(?:<\d{1,3}>)?\[ *\d{1,10}\.\d{6}\]/;
const SPACE = 32;
/** `[   12.345678] text` is as good as a console's: it needs names like these. */
const MONOTONIC_NAME = /^(?:kernel|unknown|systemd)$/;

export function judgeSyslog(bytes: Uint8Array): SyslogShape | undefined {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, SYSLOG_HEAD_BYTES));
  const lines = splitLines(head);
  if (lines.length === 0) return undefined;
  return (
    judgeStyle(head, lines, 'capture') ??
    judgeStyle(head, lines, 'host') ??
    judgeStyle(head, lines, 'bare') ??
    judgeStyle(head, lines, 'monotonic')
  );
}

type Span = readonly [start: number, end: number];

function judgeStyle(head: Buffer, lines: readonly Span[], style: SyslogStyle): SyslogShape | undefined {
  const line = new SyslogLine();
  const hosts = new Map<string, number>();
  let fitting = 0;
  let stamped = 0;
  let names = 0;
  for (const [start, end] of lines) {
    if (!line.read(head, start, end, style)) continue;
    const isStamped = STAMP.test(head.toString('latin1', line.textAt, Math.min(line.textAt + 40, end)));
    if (style === 'capture') fitting++;
    else if (line.ident === undefined) continue;
    else fitting++;
    if (isStamped && (style === 'capture' || line.isKernel)) stamped++;
    if (line.ident !== undefined && MONOTONIC_NAME.test(line.ident)) names++;
    if (line.host !== '') hosts.set(line.host, (hosts.get(line.host) ?? 0) + 1);
  }
  if (fitting === 0 || fitting < lines.length * MOST) return undefined;
  if (style === 'capture') return stamped > 0 && stamped * 4 >= fitting ? { style, domain: 'printk', host: '' } : undefined;
  const [host, count] = [...hosts].reduce((most, one) => (one[1] > most[1] ? one : most), ['', 0]);
  // A word that changes from line to line is no host. Who collects the lines of many machines has many.
  if (style !== 'bare' && count < fitting * 0.2 && hosts.size > 20) return undefined;
  if (style === 'monotonic') return names > 0 && count >= fitting * MOST ? { style, domain: 'printk', host } : undefined;
  if (style === 'host' && count < fitting * MOST && names === 0) return undefined;
  return { style, domain: stamped > 0 ? 'printk' : 'unix', host };
}

/** Lines that begin a record: not empty, not indented, not journalctl's own. */
function splitLines(head: Uint8Array): Span[] {
  const lines: Span[] = [];
  for (let start = 0; start < head.length && lines.length < MAX_LINES;) {
    const newline = head.indexOf(NEWLINE, start);
    const end = newline < 0 ? head.length : newline;
    const first = head[start] as number;
    const isOwn = head[start] === 45 && head[start + 1] === 45 && head[start + 2] === SPACE;
    // The last line may be cut.
    if (end > start + 1 && first !== SPACE && first !== 9 && !isOwn && (newline >= 0 || lines.length === 0)) lines.push([start, end]);
    start = end + 1;
  }
  return lines;
}
