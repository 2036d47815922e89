import { OperationalError } from '../../base/errors.ts';
import type { IkcMessage, IkcSummary } from '../../model/api.ts';
import { defineCommand } from '../command.ts';
import { toCount } from '../flags.ts';
import { followHub, pause } from '../follow-hub.ts';
import { MAX_ROWS } from '../hub-client.ts';
import type { HubClient } from '../hub-client.ts';
import { HUB_FLAGS, openHubClient } from '../hub-flags.ts';
import { formatMessage, renderChannels, renderExchanges, renderMessages } from '../ikc-table.ts';
import { parseMoment } from '../moment.ts';
import { createPaint, print, printLine, terminalWidth } from '../terminal.ts';

const DEFAULT_LINES = 50;
const POLL_MS = 1_000;
/** Rows come some seconds behind their messages, and not in order. */
const LOOK_BACK_NS = 60_000_000_000n;
const MAX_SEEN = 100_000;

export const command = defineCommand({
  name: 'ikc',
  usage: '[options]',
  about:
    'messages between kernels: how many went from whom to whom, how long they took, and what has one end only. With --messages, --slowest or -f the messages themselves; a matched one says how sure that is.',
  options: {
    messages: { type: 'boolean', short: 'm', help: 'the messages, newest last' },
    slowest: { type: 'boolean', help: 'the messages that took longest, first' },
    follow: { type: 'boolean', short: 'f', help: 'go on with messages as they are matched' },
    lines: { type: 'string', short: 'n', value: 'N', help: `so many messages (default ${DEFAULT_LINES}, at most ${MAX_ROWS})` },
    kernel: { type: 'string', short: 'k', multiple: true, value: 'NAME|ID', help: 'this kernel at either end; may be repeated' },
    from: { type: 'string', value: 'NAME|ID', help: 'sent by this kernel' },
    to: { type: 'string', value: 'NAME|ID', help: 'received by this kernel' },
    type: { type: 'string', value: 'NAME', help: 'messages of this type: USER, RESOURCE, SYSTEM, …' },
    state: { type: 'string', value: 'STATE', help: 'matched, unmatched, failed, waiting; several with commas' },
    since: { type: 'string', value: 'TIME', help: 'from then: 5m (ago), 14:05, 2026-05-01T14:05:06Z, @1777644306' },
    until: { type: 'string', value: 'TIME', help: 'up to then' },
    json: { type: 'boolean', help: 'JSON: the sums, or one object per message and line' },
    ...HUB_FLAGS,
  },
  examples: [
    ['mkscope ikc', 'kernel by kernel: counts and latencies'],
    ['mkscope ikc --slowest --since 10m', 'what took longest in the last ten minutes'],
    ['mkscope ikc -f --state failed,unmatched', 'what goes wrong, live'],
    ["mkscope ikc -m --from host --to spawn1 --json | jq '.latencyNs'", 'for a script'],
  ],
  async run(flags) {
    const client = await openHubClient(flags);
    const range = {
      ...(flags.since === undefined ? {} : { from: parseMoment('since', flags.since).toString() }),
      ...(flags.until === undefined ? {} : { to: parseMoment('until', flags.until).toString() }),
    };
    const kernels: Readonly<Record<string, string>> = flags.kernel.length === 0 ? {} : { kernel: flags.kernel.join(',') };
    if (flags.follow && (flags.until !== undefined || flags.slowest)) {
      throw new OperationalError('E_ARGS', '--follow goes with neither --until nor --slowest', 'leave one of them out');
    }
    if (!flags.messages && !flags.slowest && !flags.follow) {
      await showSummary(await client.getJson<IkcSummary>('/api/ikc', { ...kernels, ...range }), flags.json);
      return 0;
    }
    const query: Record<string, string> = {
      ...kernels,
      ...range,
      ...(flags.from === undefined ? {} : { sender: flags.from }),
      ...(flags.to === undefined ? {} : { receiver: flags.to }),
      ...(flags.type === undefined ? {} : { type: flags.type }),
      ...(flags.state === undefined ? {} : { state: flags.state }),
    };
    const limit = String(toCount('lines', flags.lines, DEFAULT_LINES, 1, MAX_ROWS));
    if (flags.follow) return follow(client, query, flags.json);
    const found = await readMessages(client, { ...query, limit, ...(flags.slowest ? { order: 'slowest' } : {}) });
    const messages = flags.slowest ? found : found.toReversed();
    if (flags.json) await print(messages.map((one) => `${JSON.stringify(one)}\n`).join(''));
    else if (messages.length === 0) await printLine('No such message.');
    else await print(renderMessages(messages, createPaint(process.stdout), terminalWidth(process.stdout)));
    return 0;
  },
});

async function readMessages(client: HubClient, query: Readonly<Record<string, string>>): Promise<readonly IkcMessage[]> {
  const { messages } = await client.getJson<{ messages: readonly IkcMessage[] }>('/api/ikc/messages', query);
  return messages;
}

async function showSummary(summary: IkcSummary, json: boolean): Promise<void> {
  if (json) {
    await printLine(JSON.stringify(summary, undefined, 2));
    return;
  }
  if (summary.channels.length === 0) {
    await printLine(
      'No message between kernels is recorded. `mkscope doctor` says whether their probes can be set; `mkscope lab up` shows some.',
    );
    return;
  }
  const [paint, width] = [createPaint(process.stdout), terminalWidth(process.stdout)];
  await print(renderChannels(summary.channels, paint, width));
  if (summary.exchanges.length === 0) return;
  const names = new Map(
    summary.channels.flatMap((one) => [[one.senderId, one.senderName] as const, [one.receiverId, one.receiverName] as const]),
  );
  await print(`\n${renderExchanges(summary.exchanges, names, paint, width)}`);
}

/** Each message once, when nothing more is to be learned of it, or it waits for its other end. */
function follow(client: HubClient, query: Readonly<Record<string, string>>, json: boolean): Promise<number> {
  const paint = createPaint(process.stdout);
  const seen = new Map<string, string>();
  let fromNs = query['from'] ?? String(nowNs());
  return followHub(client.url, async ({ signal, connected }) => {
    while (!signal.aborted) {
      const askedNs = nowNs();
      const found = await readMessages(client, { ...query, from: fromNs, limit: String(MAX_ROWS) });
      connected();
      const fresh = found.toReversed().filter(({ messageId, state }) => seen.get(messageId) !== state && state !== 'waiting');
      for (const { messageId, state } of fresh) seen.set(messageId, state);
      for (const id of seen.keys()) {
        if (seen.size <= MAX_SEEN) break;
        seen.delete(id);
      }
      await print(fresh.map((one) => `${json ? JSON.stringify(one) : formatMessage(one, paint)}\n`).join(''));
      const lookBackNs = askedNs - LOOK_BACK_NS;
      if (lookBackNs > BigInt(fromNs)) fromNs = String(lookBackNs);
      await pause(POLL_MS, signal);
    }
  });
}

function nowNs(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}
