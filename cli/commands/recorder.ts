import { setTimeout as sleep } from 'node:timers/promises';
import { OperationalError } from '../../base/errors.ts';
import type { RecorderRequestRow, Recorders } from '../../model/recorder.ts';
import { defineCommand } from '../command.ts';
import type { HubClient } from '../hub-client.ts';
import { HUB_FLAGS, openHubClient } from '../hub-flags.ts';
import { parseMoment } from '../moment.ts';
import { renderRecorders, renderRequests } from '../recorder-table.ts';
import { createPaint, print, printLine, terminalWidth } from '../terminal.ts';

const POLL_MS = 500;
/** A recorder asks every other second, and waits ten for what is cut late. */
const PATIENCE_MS = 60_000;

export const command = defineCommand({
  name: 'recorder',
  usage: '[options] [get]',
  about:
    'flight recorders: collectors that keep their trace events on disk (collector.tracefs.ship: on-request) and send them when an incident asks for its window. Lists them and what was asked; `get` asks for a window and waits until it has come.',
  options: {
    since: { type: 'string', value: 'TIME', help: 'get: from then: 5m (ago), 14:05, 2026-05-01T14:05:06Z, @1777644306' },
    until: { type: 'string', value: 'TIME', help: 'get: up to then (default: now)' },
    machine: { type: 'string', value: 'NAME', help: 'get: of this machine (default: of all)' },
    'no-wait': { type: 'boolean', help: 'get: only ask' },
    json: { type: 'boolean', help: 'a JSON object, with all fields' },
    ...HUB_FLAGS,
  },
  examples: [
    ['mkscope recorder', 'who keeps what, and what was asked for'],
    ['mkscope recorder get --since 2m --until 1m', 'trace events of that minute, of all kernels'],
  ],
  positionals: { least: 0, most: 1 },
  async run(flags, [verb]) {
    if (verb !== undefined && verb !== 'get') throw refuse(`recorder ${verb} is not known`, 'mkscope recorder get --since TIME');
    if (verb === undefined && (flags.since ?? flags.until ?? flags.machine) !== undefined)
      throw refuse('--since, --until and --machine are of get', 'mkscope recorder get --since TIME');
    const client = await openHubClient(flags);
    if (verb === undefined) return list(client, flags.json);
    if (flags.since === undefined) throw refuse('which time?', 'mkscope recorder get --since 2m --until 1m');
    const from = parseMoment('since', flags.since);
    const to = flags.until === undefined ? BigInt(Date.now()) * 1_000_000n : parseMoment('until', flags.until);
    if (from >= to) throw refuse('--since is not before --until', 'mkscope recorder get --since 2m --until 1m');
    const body = { from: String(from), to: String(to), ...(flags.machine === undefined ? {} : { machine: flags.machine }) };
    const { requests } = await client.postJson<{ requests: readonly RecorderRequestRow[] }>('/api/recorders', body);
    const rows = flags['no-wait'] ? requests : await waitFor(client, new Set(requests.map(({ id }) => id)));
    if (flags.json) await printLine(JSON.stringify({ requests: rows }, undefined, 2));
    else await print(renderRequests(rows, createPaint(process.stdout), terminalWidth(process.stdout)));
    return flags['no-wait'] || rows.every(isWhole) ? 0 : 1;
  },
});

async function list(client: HubClient, isJson: boolean): Promise<number> {
  const found = await client.getJson<Recorders>('/api/recorders');
  const [paint, width] = [createPaint(process.stdout), terminalWidth(process.stdout)];
  if (isJson) await printLine(JSON.stringify(found, undefined, 2));
  else if (found.recorders.length === 0 && found.requests.length === 0)
    await printLine('No collector keeps trace events: they are sent as they come, unless collector.tracefs.ship is on-request.');
  else {
    await print(renderRecorders(found.recorders, paint, width));
    if (found.requests.length > 0) await print(`\n${renderRequests(found.requests, paint, width)}`);
  }
  return 0;
}

async function waitFor(client: HubClient, ids: ReadonlySet<string>): Promise<readonly RecorderRequestRow[]> {
  for (const endMs = performance.now() + PATIENCE_MS; ;) {
    const { requests } = await client.getJson<Recorders>('/api/recorders');
    const own = requests.filter(({ id }) => ids.has(id));
    if (own.every(isWhole) || performance.now() > endMs) return own;
    await sleep(POLL_MS);
  }
}

function isWhole({ kernels }: RecorderRequestRow): boolean {
  return kernels.length > 0 && kernels.every(({ isComplete }) => isComplete);
}

function refuse(message: string, hint: string): OperationalError {
  return new OperationalError('E_ARGS', message, hint);
}
