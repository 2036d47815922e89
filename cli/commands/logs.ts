import { OperationalError } from '../../base/errors.ts';
import type { KernelRow, LogQuery, LogRow } from '../../model/api.ts';
import { parseLevel } from '../../model/severity.ts';
import { defineCommand } from '../command.ts';
import { toChoice, toCount } from '../flags.ts';
import { followLogs } from '../follow-logs.ts';
import type { HubClient } from '../hub-client.ts';
import { HUB_FLAGS, openHubClient } from '../hub-flags.ts';
import { LogLineWriter } from '../log-line.ts';
import { showRange } from '../log-range.ts';
import { parseMoment, TIME_STYLES } from '../moment.ts';
import { suggest } from '../nearest.ts';
import { createPaint, print, printNotice } from '../terminal.ts';

const DEFAULT_LINES = 50;

export const command = defineCommand({
  name: 'logs',
  usage: '[options]',
  about:
    'the logs of all kernels, merged in time order, newest last. A kernel report (panic, oops, WARN, lockup, OOM …) has a line of its own, marked ■, above the lines of it; in a live tail it comes some seconds behind them.',
  options: {
    follow: { type: 'boolean', short: 'f', help: 'go on with new lines as they come' },
    lines: { type: 'string', short: 'n', value: 'N', help: `last N lines (default ${DEFAULT_LINES}; with --since, all)` },
    kernel: { type: 'string', short: 'k', multiple: true, value: 'NAME|ID', help: 'this kernel only; may be repeated' },
    level: { type: 'string', short: 'l', value: 'LEVEL', help: 'this level and worse: emerg … debug, or 0 … 7' },
    since: { type: 'string', value: 'TIME', help: 'from then: 5m (ago), 14:05, 2026-05-01T14:05:06Z, @1777644306' },
    until: { type: 'string', value: 'TIME', help: 'up to then' },
    grep: { type: 'string', short: 'g', value: 'REGEX', help: 'lines that match (RE2; (?i) in front ignores case)' },
    stream: { type: 'string', value: 'NAME', help: 'this stream only: kmsg, console:NAME' },
    event: { type: 'string', value: 'NAMES', help: 'messages with these names only: mk.instance.halted, or mk.* for all that begin so' },
    reports: { type: 'boolean', help: 'kernel reports only (panic, oops, BUG, WARN, lockup, OOM, …), with what they say' },
    time: { type: 'string', value: 'STYLE', help: `${TIME_STYLES.join(', ')} (the kernel's own clock, as in dmesg); default local` },
    json: { type: 'boolean', help: 'one JSON object per line' },
    ...HUB_FLAGS,
  },
  examples: [
    ['mkscope logs -f', 'everything, live'],
    ['mkscope logs --kernel spawn1 --level err --since 10m', 'errors of one kernel in the last ten minutes'],
    ["mkscope logs --grep 'oom|Out of memory' --since today", 'search'],
    ['mkscope logs --reports --since 1h', 'what went wrong in the last hour: where, who, call trace'],
    ["mkscope logs --event 'mk.instance.*' --since today", 'what became of the instances of a Multikernel machine'],
    ['mkscope logs --since 1h --json | jq -r .body', 'for a script'],
  ],
  async run(flags) {
    const client = await openHubClient(flags);
    const events = [...(flags.event === undefined ? [] : [flags.event]), ...(flags.reports ? ['kernel.*'] : [])];
    const query: LogQuery = {
      ...(flags.kernel.length === 0 ? {} : { kernel: flags.kernel.join(',') }),
      ...(flags.level === undefined ? {} : { level: toLevel(flags.level) }),
      ...(flags.stream === undefined ? {} : { stream: flags.stream }),
      ...(events.length === 0 ? {} : { event: events.join(',') }),
      ...(flags.grep === undefined ? {} : { regex: flags.grep }),
    };
    const range: LogQuery = {
      ...(flags.since === undefined ? {} : { from: parseMoment('since', flags.since).toString() }),
      ...(flags.until === undefined ? {} : { to: parseMoment('until', flags.until).toString() }),
    };
    if (flags.follow && flags.until !== undefined) {
      throw new OperationalError('E_ARGS', '--follow and --until exclude each other', 'leave one of them out');
    }
    const most = flags.since !== undefined && flags.lines === undefined ? Infinity : toCount('lines', flags.lines, DEFAULT_LINES, 0);
    const writer = new LogLineWriter(createPaint(process.stdout), toChoice('time', flags.time, TIME_STYLES, 'local'), flags.reports);
    const show = (rows: readonly LogRow[]): Promise<void> =>
      print(rows.map((row) => (flags.json ? `${JSON.stringify(row)}\n` : writer.write(row))).join(''));
    if (flags.follow) return followLogs(client, query, { range, most, show });
    let shown = 0;
    await showRange(client, { ...query, ...range }, most, (rows) => {
      shown += rows.length;
      return show(rows);
    });
    if (shown === 0 && most > 0) printNotice(await explainNothing(client, flags.kernel));
    return 0;
  },
});

function toLevel(text: string): number {
  const level = parseLevel(text);
  if (level !== undefined) return level;
  throw new OperationalError(
    'E_ARGS',
    `--level ${text} is not a kernel log level`,
    'one of: emerg, alert, crit, err, warn, notice, info, debug, or 0 … 7',
  );
}

/** Why there is nothing to see: most often the kernel's name is wrong. */
async function explainNothing(client: HubClient, asked: readonly string[]): Promise<string> {
  const { kernels } = await client.getJson<{ kernels: readonly KernelRow[] }>('/api/kernels');
  const names = [...new Set(kernels.map((kernel) => kernel.kernelName))];
  const unknown = asked
    .flatMap((one) => one.split(','))
    .filter((one) => !kernels.some((kernel) => one === kernel.kernelName || one === String(kernel.kernelId)));
  const [first] = unknown;
  if (first === undefined) return 'no record matches';
  return `there is no kernel ${unknown.join(', ')}${suggest(first, names)} (known: ${names.join(', ') || 'none'})`;
}
