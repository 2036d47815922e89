/**
 * Is it console or dmesg text? One line that starts as only a kernel's does is enough: firmware text may come before it. Text without
 * times, as reports are pasted into mails and trackers, takes two lines of a report.
 */
import { decodeUtf8 } from '../base/bytes.ts';
import { sniffFtrace } from './ftrace-sniff.ts';
import { sniffPstore } from './pstore-frame.ts';
import { judgeSyslog } from './syslog-sniff.ts';

const KERNEL_LINE =
  /^(?:<\d{1,4}>)?(?:[a-z]+ *:[a-z]+ *: )?(?:\[ *\d+\.\d{6}(?: <[ \d.]+>)?\]|\[<[ \d.]+>\] |\[ *\+\d+\.\d{6}\] |\[[A-Z][a-z]{2} ?\d{1,2} \d\d:\d\d\] |\[(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d \d{4}[ <>\d.]*\] |\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[,.]\d{6}[+-]\d\d:?\d\d |Linux version \d)/;
const DECODED_LINE =
  /^(?:kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp) *:(?:emerg|alert|crit|err|warn|notice|info|debug) *: /;
/** How kernel reports begin and end, as no other text does (correlate/report-kinds.ts has all of their first lines). */
export const REPORT_EDGE =
  /(?:Kernel panic - not syncing: |-{8,16}\[ cut here \]-{8,16}|---\[ end trace [0-9a-f]{1,16} \]---|BUG: (?:KASAN|KCSAN|KMSAN|KFENCE|[uU]nable to handle |[kK]ernel NULL pointer|(?:soft|workqueue) lockup|sleeping function called|scheduling while atomic|Bad page )|kernel BUG at \S+:\d+!|WARNING: (?:CPU: \d+ PID: \d+ at |possible (?:circular|recursive) lock|suspicious RCU usage)|Unable to handle kernel |INFO: task \S+:\d+ blocked for |(?:rcu: )?INFO: rcu_|(?:Internal error: |Oops|general protection fault|invalid opcode|divide error).{0,100}\[#\d+\])/;
const REPORT_LINE = new RegExp(
  `^(?:${REPORT_EDGE.source}|Call [Tt]race:\\s*$|CPU: \\d+ (?:UID: \\d+ )?PID: \\d+ Comm: |RIP: [0-9a-f]{4}:|pc : |NIP \\[[0-9a-f]{8,16}\\] )`,
);
/** A level in front of text, without a time: proves little alone. */
const RAW_LINE = /^<\d{1,3}>\S/;
// oxlint-disable-next-line no-control-regex -- what it takes out is control
const CONTROLS = /\u001b\[[ -?]*[@-~]|\0/g;
const MAX_LINES = 2000;

export function sniffConsole(head: Uint8Array): boolean {
  if (sniffPstore(head) || judgeSyslog(head) !== undefined || sniffFtrace(head)) return false;
  const lines = decodeUtf8(head)
    .replace(CONTROLS, '')
    .split(/[\r\n]+/, MAX_LINES);
  let raw = 0;
  let reported = 0;
  for (const line of lines) {
    if (KERNEL_LINE.test(line) || DECODED_LINE.test(line)) return true;
    if (REPORT_LINE.test(line) && ++reported === 2) return true;
    if (RAW_LINE.test(line)) raw++;
  }
  return raw > 0 && raw * 2 >= lines.length;
}
