/**
 * Is it ftrace text? A tracer's header or an event among the first lines is enough, unless more of the lines are those of a kernel's log:
 *
 *   # cat trace                              a bug report has what was typed in front
 *   # tracer: nop                            yes
 *   [    7.026136] sh (113) used …           a trace that was read on the console has some of these
 *
 *   [   10.000200] Kernel panic …            no: what a dying kernel dumps of its buffer is a part of its log
 *   [   10.000400]     bash-123  0d..1 9999123us : sched_switch: …
 */
import { decodeUtf8 } from '../base/bytes.ts';
import { FtraceGraph } from './ftrace-graph.ts';
import { GRAPH } from './ftrace-graph-text.ts';
import { readLatency, readVerbose } from './ftrace-latency.ts';
import { FtracePrefix } from './ftrace-prefix.ts';
import { FtraceRows } from './ftrace-rows.ts';

const NEWLINE = 10;
/** Lines in which the first of a trace has to be, and lines that are counted. */
const FIRST_LINES = 20;
const MAX_LINES = 200;
const MAX_LINE_BYTES = 100;
const HEADER = /^(?:# tracer: |cpus=\d{1,5}$|version = [67]$)/;
/** What systrace.ts reads. A task may be called `<idle>` or `<...>`. */
const WRAPPED = /^(?:capturing trace|TRACE:|\s*<(?:!doctype |html))/i;
const LOG_LINE = /^(?:<\d{1,3}>)?\[ {0,7}\d+\.\d{6}\]/;

export function sniffFtrace(head: Uint8Array): boolean {
  if (WRAPPED.test(decodeUtf8(head, 0, Math.min(head.length, 32)))) return false;
  const prefix = new FtracePrefix();
  const graph = new FtraceGraph(new FtraceRows());
  let traces = 0;
  let logs = 0;
  for (let lines = 0, at = 0; at < head.length && lines < (traces === 0 ? FIRST_LINES : MAX_LINES); lines++) {
    const newline = head.indexOf(NEWLINE, at);
    const end = newline < 0 ? head.length : newline;
    const line = decodeUtf8(head, at, Math.min(end, at + MAX_LINE_BYTES));
    if (LOG_LINE.test(line)) logs++;
    else if (HEADER.test(line) || isEvent(head, at, end, prefix, graph)) traces++;
    at = end + 1;
  }
  return traces > 0 && traces >= logs;
}

function isEvent(head: Uint8Array, at: number, end: number, prefix: FtracePrefix, graph: FtraceGraph): boolean {
  if (prefix.read(head, at) && prefix.bodyStart <= end) return true;
  if (readLatency(head, at, prefix) || readVerbose(head, at, prefix)) return true;
  const kind = graph.read(head, at, end, prefix);
  return kind === GRAPH.entry || kind === GRAPH.exit || kind === GRAPH.leaf || kind === GRAPH.switch;
}
