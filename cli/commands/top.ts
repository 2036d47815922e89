import { OperationalError } from '../../base/errors.ts';
import type { KernelRow, Ledger } from '../../model/api.ts';
import { defineCommand } from '../command.ts';
import { toCount } from '../flags.ts';
import { pause } from '../follow-hub.ts';
import type { HubClient } from '../hub-client.ts';
import { HUB_FLAGS, openHubClient } from '../hub-flags.ts';
import { renderKernels } from '../kernels-table.ts';
import { abortOnSignal } from '../stop-signal.ts';
import { toStreamRates } from '../stream-rates.ts';
import type { Reading, StreamRate } from '../stream-rates.ts';
import { type Column, renderRows } from '../table.ts';
import { createPaint, escapeLine, print, printLine, terminalWidth } from '../terminal.ts';
import { parseDurationMs, formatCount, formatRate } from '../units.ts';

const DEFAULT_INTERVAL = '1s';

export const command = defineCommand({
  name: 'top',
  usage: '[options]',
  about:
    'what comes in, per kernel and stream: rates, losses, and whether the books balance. Redraws on a terminal, prints once elsewhere.',
  options: {
    interval: { type: 'string', short: 'i', value: 'DURATION', help: `time between two readings (default ${DEFAULT_INTERVAL})` },
    count: { type: 'string', short: 'n', value: 'N', help: 'stop after N pictures (default: never on a terminal, else 1)' },
    json: { type: 'boolean', help: 'print once, as JSON' },
    ...HUB_FLAGS,
  },
  examples: [
    ['mkscope top', 'live'],
    ['mkscope top --json -i 10s', 'the rates of ten seconds, for a script'],
  ],
  async run(flags) {
    const client = await openHubClient(flags);
    const intervalMs = toIntervalMs(flags.interval ?? DEFAULT_INTERVAL);
    const isLive = process.stdout.isTTY && !flags.json;
    const pictures = toCount('count', flags.count, isLive ? Infinity : 1);
    const signal = abortOnSignal();
    let before = await readLedger(client);
    for (let shown = 0; shown < pictures; shown++) {
      await pause(intervalMs, signal);
      if (signal.aborted) break;
      const after = await readLedger(client);
      const { kernels } = await client.getJson<{ kernels: readonly KernelRow[] }>('/api/kernels');
      const streams = toStreamRates(before, after);
      if (flags.json) await printLine(JSON.stringify({ kernels, streams }, undefined, 2));
      else await print(`${isLive ? '\x1b[H\x1b[2J' : ''}${renderPicture(client.url, kernels, streams)}`);
      before = after;
    }
    return 0;
  },
});

async function readLedger(client: HubClient): Promise<Reading> {
  const ledger = await client.getJson<Ledger>('/api/ledger');
  return { ledger, atMs: performance.now() };
}

function renderPicture(url: string, kernels: readonly KernelRow[], streams: readonly StreamRate[]): string {
  const paint = createPaint(process.stdout);
  const width = terminalWidth(process.stdout);
  const head = paint('dim', `mkscope top  ${url}  ${new Date().toLocaleTimeString()}`);
  if (kernels.length === 0) return `${head}\n\nNo kernel has reported yet.\n`;
  return `${head}\n\n${renderKernels(kernels, paint, width)}\n${renderRows(STREAM_COLUMNS, streams, paint, width)}`;
}

const STATE_STYLES = { balanced: 'green', uncounted: 'dim', unbalanced: 'red' } as const;

const STREAM_COLUMNS: readonly Column<StreamRate>[] = [
  { title: 'KERNEL', text: ({ kernelName }) => escapeLine(kernelName) },
  { title: 'STREAM', text: ({ stream }) => escapeLine(stream) },
  { title: 'WRITTEN/S', align: 'right', text: ({ writtenPerSecond: rate }) => (rate < 0 ? '-' : formatRate(rate)) },
  { title: 'STORED/S', align: 'right', text: ({ storedPerSecond: rate }) => (rate < 0 ? '-' : formatRate(rate)) },
  { title: 'STORED', align: 'right', text: ({ stored }) => formatCount(stored) },
  { title: 'KEPT', align: 'right', text: ({ kept }) => formatCount(kept) },
  { title: 'IN FLIGHT', align: 'right', text: ({ inFlight }) => formatCount(inFlight) },
  { title: 'LOST', align: 'right', text: ({ lost }) => formatCount(lost) },
  { title: 'DROPPED', align: 'right', text: ({ dropped }) => formatCount(dropped) },
  { title: 'BOOKS', text: ({ state }) => state, style: ({ state }) => STATE_STYLES[state] },
];

function toIntervalMs(text: string): number {
  const intervalMs = parseDurationMs(text);
  if (intervalMs !== undefined && intervalMs >= 100) return intervalMs;
  throw new OperationalError('E_ARGS', `--interval ${text} is not a duration of at least 100ms`, 'for example --interval 2s');
}
