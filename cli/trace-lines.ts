/** Lines of `trace_pipe` in samples, through the parser that real ones go through. */
import { encodeUtf8 } from '../base/bytes.ts';
import { EventBatch } from '../model/event-batch.ts';
import { ftraceText } from '../parsers/ftrace-text.ts';

/** All lines as events whose Unix time is their own stamp; a text = why not. */
export function parseTraceLines(lines: readonly string[]): EventBatch | string {
  const batch = new EventBatch();
  const session = ftraceText.open();
  const bytes = encodeUtf8(`${lines.join('\n')}\n`);
  session.finish(bytes.subarray(session.parse(bytes, batch)), batch);
  const [reason] = session.counts.malformed.keys();
  if (reason !== undefined) return `a trace line cannot be read: ${reason}`;
  if (batch.length < lines.length) return `${lines.length} trace lines make ${batch.length} events`;
  for (const table of batch.tables)
    for (let row = 0; row < table.length; row++) table.unixTime.setBigint(row, table.rawTime.getBigint(row));
  return batch;
}

/** Of `system:event`: text has events without their systems. */
export function bareOf(event: string): string {
  return event.slice(event.indexOf(':') + 1);
}
