/** Is it console or dmesg text? One line that starts as only a kernel's does is enough: firmware text may come before it. */
import { decodeUtf8 } from '../base/bytes.ts';
import { sniffFtrace } from './ftrace-sniff.ts';
import { sniffPstore } from './pstore-frame.ts';
import { judgeSyslog } from './syslog-sniff.ts';

const KERNEL_LINE =
  /^(?:<\d{1,4}>)?(?:[a-z]+ *:[a-z]+ *: )?(?:\[ *\d+\.\d{6}(?: <[ \d.]+>)?\]|\[<[ \d.]+>\] |\[ *\+\d+\.\d{6}\] |\[[A-Z][a-z]{2} ?\d{1,2} \d\d:\d\d\] |\[(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d \d{4}[ <>\d.]*\] |\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[,.]\d{6}[+-]\d\d:?\d\d |Linux version \d)/;
const DECODED_LINE =
  /^(?:kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp) *:(?:emerg|alert|crit|err|warn|notice|info|debug) *: /;
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
  for (const line of lines) {
    if (KERNEL_LINE.test(line) || DECODED_LINE.test(line)) return true;
    if (RAW_LINE.test(line)) raw++;
  }
  return raw > 0 && raw * 2 >= lines.length;
}
