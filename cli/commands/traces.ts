import { OperationalError } from '../../base/errors.ts';
import type { TraceRow } from '../../model/api.ts';
import { defineCommand } from '../command.ts';
import { toCount } from '../flags.ts';
import { HUB_FLAGS, openHubClient } from '../hub-flags.ts';
import { parseMoment } from '../moment.ts';
import { createPaint, print, printLine, terminalWidth } from '../terminal.ts';
import { renderTraces } from '../trace-table.ts';
import { parseDurationNs } from '../units.ts';

const DEFAULT_LINES = 50;
/** What the hub gives at most. */
const MOST_LINES = 1_000;

export const command = defineCommand({
  name: 'traces',
  usage: '[options]',
  about:
    'traces over all kernels, newest last: lives of instances, messages and requests between kernels, what took long in a kernel, and what other senders sent. `mkscope trace ID` shows one.',
  options: {
    kernel: { type: 'string', short: 'k', multiple: true, value: 'NAME|ID', help: 'with a span of this kernel; may be repeated' },
    name: { type: 'string', value: 'TEXT', help: 'with a span whose name has this in it' },
    min: { type: 'string', value: 'DURATION', help: 'that took as long as a whole: 250us, 10ms, 1.5s' },
    since: { type: 'string', value: 'TIME', help: 'from then: 5m (ago), 14:05, 2026-05-01T14:05:06Z, @1777644306' },
    until: { type: 'string', value: 'TIME', help: 'up to then' },
    lines: { type: 'string', short: 'n', value: 'N', help: `so many, the newest (default ${DEFAULT_LINES}, at most ${MOST_LINES})` },
    json: { type: 'boolean', help: 'one JSON object per trace and line' },
    ...HUB_FLAGS,
  },
  examples: [
    ['mkscope traces --name "instance life"', 'each start of an instance'],
    ['mkscope traces --min 10ms --since 1h', 'what took long in the last hour'],
    ['mkscope trace $(mkscope traces -n 1 --name request --json | jq -r .traceId)', 'the newest request between kernels'],
  ],
  async run(flags) {
    const minNs = flags.min === undefined ? undefined : parseDurationNs(flags.min);
    if (flags.min !== undefined && minNs === undefined)
      throw new OperationalError('E_ARGS', `--min ${flags.min} is no duration`, 'write it with its unit: 250us, 10ms, 1.5s');
    const client = await openHubClient(flags);
    const { traces } = await client.getJson<{ traces: readonly TraceRow[] }>('/api/traces', {
      ...(flags.kernel.length === 0 ? {} : { kernel: flags.kernel.join(',') }),
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(minNs === undefined ? {} : { min_duration_ns: String(minNs) }),
      ...(flags.since === undefined ? {} : { from: parseMoment('since', flags.since).toString() }),
      ...(flags.until === undefined ? {} : { to: parseMoment('until', flags.until).toString() }),
      limit: String(toCount('lines', flags.lines, DEFAULT_LINES, 1, MOST_LINES)),
    });
    const rows = traces.toReversed();
    if (flags.json) await print(rows.map((one) => `${JSON.stringify(one)}\n`).join(''));
    else if (rows.length === 0) await printLine('No such trace.');
    else await print(renderTraces(rows, createPaint(process.stdout), terminalWidth(process.stdout)));
    return 0;
  },
});
