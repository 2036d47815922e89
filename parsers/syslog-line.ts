/**
 * What stands in front of a message in a syslog file, in journalctl's text, or in a console that was stamped on its way:
 *
 *   Nov 26 14:28:28 web1 kernel: [   12.345678] usb 1-1: new device          style host; bare without `web1` (--no-hostname)
 *   Nov 26 14:28:28 web1 sshd[812]: Accepted publickey …
 *   |               |    |    +-- pid
 *   |               |    +-- who wrote it; here the message begins where its name stands
 *   |               +-- host
 *   +-- syslog-time.ts; `<6>` in front = facility << 3 | level
 *   [   12.345678] web1 kernel: usb 1-1: new device                          style monotonic: journalctl -o short-monotonic, short-delta
 *   <6>1 2026-11-26T14:28:28.672542+00:00 web1 kernel - - - usb 1-1: …       RFC 5424, in any style
 *   Nov 26 14:28:28 [   12.345678] usb 1-1: new device                       style capture: ts, minicom, conserver, … in front of a console
 *   [2026-11-26 14:28:28.123] [   12.345678] usb 1-1: …
 *
 * One style is that of a whole input: where a host may stand cannot be told from a line alone.
 */
import { LEVEL_UNKNOWN } from '../model/severity.ts';
import { SyslogTemplate } from './syslog-template.ts';
import { WallTime } from './syslog-time.ts';

export type SyslogStyle = 'host' | 'bare' | 'monotonic' | 'capture';

/** Looked at of one line. */
const MAX_PREFIX_BYTES = 240;
const PRIORITY = /<(\d{1,3})>(1 (?=\d{4}-))?/y;
const MONOTONIC = /\[ *(\d{1,10})\.(\d{6})(?: +(?:<[ \d.]+>)?)?\] /y;
const HOST = /([\w.:%-]+) (?=\S)/y;
const IDENT = /([^\s:[\]]{1,64}|\([\w.@-]+\))(?:\[(\d{1,10})\])?:(?: |$)/y;
const RFC_5424 = /(\S+) (\S+) (\S+) (?:\S+) (?:-|(?:\[(?:[^\]\\"]|\\.|"(?:[^"\\]|\\.)*")*\])+)(?: (?:\u00ef\u00bb\u00bf)?|$)/y;
/** journald calls `unknown` what a program wrote to /dev/kmsg. */
const KERNEL = 'kernel';

export class SyslogLine {
  readonly wall: WallTime;
  /** Behind everything that was understood; the message of a program begins with its name. */
  textAt = 0;
  /** Where the message begins: behind the name of a program. */
  messageAt = 0;
  /** µs of the monotonic clock, undefined = not printed. */
  monotonicMicros: number | undefined;
  /** Undefined = no name stands there. */
  ident: string | undefined;
  host = '';
  pid = -1;
  level = LEVEL_UNKNOWN;
  facility = 0;

  #messageAt = 0;
  // What the template does not hold of the line it was learnt from.
  readonly #template = new SyslogTemplate();
  #learntStyle: SyslogStyle | undefined;
  #learntIdent: string | undefined;
  #learntHost = '';
  #learntStep = 0;
  #isLearntZoned = false;

  constructor(writtenUnixNs?: bigint) {
    this.wall = new WallTime(writtenUnixNs);
  }

  get isKernel(): boolean {
    return this.ident === KERNEL;
  }

  /** Reads the line `bytes[at, end)`; false where it does not begin with a time. */
  read(bytes: Buffer, at: number, end: number, style: SyslogStyle): boolean {
    if (style === this.#learntStyle && this.#readLikeLast(bytes, at, end)) return true;
    const text = bytes.toString('latin1', at, Math.min(end, at + MAX_PREFIX_BYTES));
    this.textAt = at;
    this.ident = this.monotonicMicros = undefined;
    this.host = '';
    this.pid = -1;
    this.level = LEVEL_UNKNOWN;
    this.facility = 0;
    this.messageAt = at;
    let p = 0;
    let clockAt = -1;
    const priority = matchAt(PRIORITY, text, 0);
    if (priority !== null && Number(priority[1]) < 192) {
      p = PRIORITY.lastIndex;
      this.level = Number(priority[1]) & 7;
      this.facility = Number(priority[1]) >>> 3;
    }
    const isRfc5424 = priority?.[2] !== undefined;
    if (style === 'monotonic') {
      const stamp = matchAt(MONOTONIC, text, p);
      if (stamp === null) return false;
      this.monotonicMicros = Number(stamp[1]) * 1e6 + Number(stamp[2]);
      p = MONOTONIC.lastIndex;
    } else {
      const isBracketed = text[p] === '[' && style === 'capture';
      if (!this.wall.read(text, isBracketed ? p + 1 : p)) return false;
      if (this.wall.clockAt >= 0) clockAt = (isBracketed ? p + 1 : p) + this.wall.clockAt;
      p = this.wall.end;
      if (isBracketed && text[p] === ']') p++;
      if (text[p] === ' ') p++;
    }
    this.#messageAt = 0;
    p = isRfc5424 ? this.#readRfc5424(text, p) : style === 'capture' ? p : this.#readNames(text, p, style);
    this.textAt = at + Math.min(p, end - at);
    this.messageAt = at + Math.max(p, this.#messageAt);
    if (clockAt >= 0 && (this.isKernel || style === 'capture') && this.facility === 0) this.#learn(bytes, at, clockAt, style);
    return true;
  }

  #learn(bytes: Buffer, at: number, clockAt: number, style: SyslogStyle): void {
    if (this.wall.micros === undefined) return;
    this.#template.learn(bytes, at, this.textAt, clockAt, this.wall.micros);
    this.#learntStyle = style;
    this.#learntIdent = this.ident;
    this.#learntHost = this.host;
    this.#learntStep = this.wall.stepMicros;
    this.#isLearntZoned = this.wall.isZoned;
  }

  /** As `read`, for a line of the kernel whose prefix differs from the one learnt in digits only. */
  #readLikeLast(bytes: Uint8Array, at: number, end: number): boolean {
    const template = this.#template;
    const length = template.match(bytes, at, end);
    if (length === 0) return false;
    this.wall.micros = template.micros;
    this.wall.stepMicros = this.#learntStep;
    this.wall.isZoned = this.#isLearntZoned;
    this.textAt = this.messageAt = at + length;
    this.ident = this.#learntIdent;
    this.host = this.#learntHost;
    this.monotonicMicros = undefined;
    this.pid = -1;
    this.facility = 0;
    this.level = template.priority >= 0 && template.priority <= 7 ? template.priority : LEVEL_UNKNOWN;
    return template.priority <= 7;
  }

  #readNames(text: string, at: number, style: SyslogStyle): number {
    let p = at;
    if (style !== 'bare') {
      const host = matchAt(HOST, text, p);
      if (host === null) return p;
      this.host = host[1] as string;
      p = HOST.lastIndex;
    }
    const ident = matchAt(IDENT, text, p);
    if (ident === null) return p;
    this.ident = ident[1] as string;
    if (ident[2] !== undefined) this.pid = Number(ident[2]);
    this.#messageAt = IDENT.lastIndex;
    if (!this.isKernel) return p;
    p = IDENT.lastIndex;
    while (text[p] === ' ' && text[p + 1] === '[') p++;
    return p;
  }

  #readRfc5424(text: string, at: number): number {
    const header = matchAt(RFC_5424, text, at);
    if (header === null) return at;
    this.host = header[1] as string;
    this.ident = header[2] as string;
    if (/^\d{1,10}$/.test(header[3] as string)) this.pid = Number(header[3]);
    return RFC_5424.lastIndex;
  }
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}
