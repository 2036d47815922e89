import { OperationalError } from '../../base/errors.ts';
import type { IncidentDetail, IncidentRow } from '../../model/api.ts';
import { INCIDENT_KINDS, INCIDENT_SEVERITIES } from '../../model/incident.ts';
import { defineCommand } from '../command.ts';
import { toCount } from '../flags.ts';
import { followIncidents } from '../follow-incidents.ts';
import { MAX_ROWS } from '../hub-client.ts';
import type { HubClient } from '../hub-client.ts';
import { HUB_FLAGS, openHubClient } from '../hub-flags.ts';
import { renderIncident, renderIncidents } from '../incidents-table.ts';
import { parseMoment } from '../moment.ts';
import { suggest } from '../nearest.ts';
import { createPaint, print, printLine, terminalWidth } from '../terminal.ts';

const DEFAULT_LINES = 50;

export const command = defineCommand({
  name: 'incidents',
  usage: '[options] [show ID | export ID]',
  about:
    'what went wrong on any kernel, each thing once: panics and other ends with their reason, oopses, lockups, OOM, full rings, silent kernels, bursts of losses; newest last. `show ID` tells all about one, `export ID` writes it as one HTML file that opens without mkscope. The beginning of an ID is enough.',
  options: {
    follow: { type: 'boolean', short: 'f', help: 'go on with new and changed ones as they come' },
    lines: { type: 'string', short: 'n', value: 'N', help: `last N (default ${DEFAULT_LINES}, at most ${MAX_ROWS})` },
    open: { type: 'boolean', help: 'only those that are not over' },
    kernel: { type: 'string', short: 'k', multiple: true, value: 'NAME|ID', help: 'of this kernel; may be repeated' },
    machine: { type: 'string', multiple: true, value: 'NAME', help: 'of this machine; may be repeated' },
    kind: {
      type: 'string',
      multiple: true,
      value: 'KIND',
      help: 'of this kind (panic, oops, lockup, …: docs/incidents.md); may be repeated',
    },
    severity: {
      type: 'string',
      short: 's',
      value: 'SEVERITY',
      help: 'this and worse: critical, error, warning, info (a stop that was asked for)',
    },
    since: { type: 'string', value: 'TIME', help: 'from then: 5m (ago), 14:05, 2026-05-01T14:05:06Z, @1777644306' },
    until: { type: 'string', value: 'TIME', help: 'up to then' },
    redact: { type: 'boolean', help: 'export: without values of secrets, addresses and host names' },
    json: { type: 'boolean', help: 'a JSON array; with --follow one object per line; show: one object' },
    ...HUB_FLAGS,
  },
  examples: [
    ['mkscope incidents', 'the last ones'],
    ['mkscope incidents --open --severity error', 'what is going on now, and is bad'],
    ['mkscope incidents show 05ba16', 'reason, last words, who noticed, how sure the clocks are'],
    ['mkscope incidents export 05ba16 --redact > incident.html', 'a file to send'],
    ['mkscope incidents -f --json', 'for a script that alerts'],
  ],
  positionals: { least: 0, most: 2 },
  async run(flags, [verb, id]) {
    if (verb !== undefined && verb !== 'show' && verb !== 'export')
      throw refuse(`incidents ${verb} is not known${suggest(verb, ['show', 'export'])}`, 'mkscope incidents show ID, or export ID');
    if (verb !== undefined && id === undefined) throw refuse(`incidents ${verb} needs an ID`, 'mkscope incidents lists them');
    if (flags.redact && verb !== 'export') throw refuse('--redact is of export', 'mkscope incidents export ID --redact');
    if (flags.follow && (verb !== undefined || flags.until !== undefined)) throw refuse('--follow lists what comes', 'leave the rest out');
    const query = toQuery(flags);
    const client = await openHubClient(flags);
    if (verb === 'export') return exportOne(client, id as string, flags.redact);
    if (verb === 'show') return showOne(client, id as string, flags.json);
    const most = toCount('lines', flags.lines, DEFAULT_LINES, flags.follow ? 0 : 1, MAX_ROWS);
    const show = async (rows: readonly IncidentRow[]): Promise<void> => {
      const text = renderIncidents(rows, createPaint(process.stdout), terminalWidth(process.stdout));
      await print(flags.json ? rows.map((row) => `${JSON.stringify(row)}\n`).join('') : text);
    };
    if (flags.follow) return followIncidents(client, query, most, show);
    const { incidents } = await client.getJson<{ incidents: readonly IncidentRow[] }>('/api/incidents', { ...query, limit: most });
    const rows = incidents.toReversed();
    if (flags.json) await printLine(JSON.stringify(rows, undefined, 2));
    else if (rows.length > 0) await show(rows);
    else
      await printLine(
        Object.keys(query).length > 0 ? 'No incident matches.' : 'No incident: nothing went wrong on any kernel that mkscope knows of.',
      );
    return 0;
  },
});

interface Filters {
  readonly open: boolean;
  readonly kernel: readonly string[];
  readonly machine: readonly string[];
  readonly kind: readonly string[];
  readonly severity: string | undefined;
  readonly since: string | undefined;
  readonly until: string | undefined;
}

function toQuery({ open, kernel, machine, kind, severity, since, until }: Filters): Record<string, string> {
  for (const one of kind) checkWord('kind', one, INCIDENT_KINDS);
  const worst = severity === undefined ? undefined : INCIDENT_SEVERITIES.slice(0, checkWord('severity', severity, INCIDENT_SEVERITIES) + 1);
  return {
    ...(open ? { state: 'open' } : {}),
    ...(kernel.length === 0 ? {} : { kernel: kernel.join(',') }),
    ...(machine.length === 0 ? {} : { machine: machine.join(',') }),
    ...(kind.length === 0 ? {} : { kind: kind.join(',') }),
    ...(worst === undefined ? {} : { severity: worst.join(',') }),
    ...(since === undefined ? {} : { from: parseMoment('since', since).toString() }),
    ...(until === undefined ? {} : { to: parseMoment('until', until).toString() }),
  };
}

/** Its place among the known ones. */
function checkWord(option: string, word: string, known: readonly string[]): number {
  const at = known.indexOf(word);
  if (at >= 0) return at;
  throw refuse(`--${option} ${word} is not known${suggest(word, known)}`, `one of: ${known.join(', ')}`);
}

async function showOne(client: HubClient, id: string, asJson: boolean): Promise<number> {
  const detail = await client.getJson<IncidentDetail>(`/api/incidents/${encodeURIComponent(id)}`);
  if (asJson) await printLine(JSON.stringify(detail, undefined, 2));
  else await print(renderIncident(detail, createPaint(process.stdout)));
  return 0;
}

async function exportOne(client: HubClient, id: string, redacts: boolean): Promise<number> {
  const page = client.request(`/api/incidents/${encodeURIComponent(id)}/export`, redacts ? { redact: '1' } : {}, {});
  for await (const chunk of page) await print(chunk);
  return 0;
}

function refuse(message: string, hint: string): OperationalError {
  return new OperationalError('E_ARGS', message, hint);
}
