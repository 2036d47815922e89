import { setTimeout as sleep } from 'node:timers/promises';

import { OperationalError } from '../../../base/errors.ts';
import { MESSAGE_KINDS, type MessageCounts, type TrafficPlan } from '../../../deploy/lab/traffic.ts';
import { defineCommand } from '../../command.ts';
import { toChoice, toCount } from '../../flags.ts';
import { ask, NAME_FLAG } from '../../lab/lab-flags.ts';
import type { LabStatus } from '../../lab/lab-service.ts';
import { renderTable } from '../../table.ts';
import { createPaint, print, printLine } from '../../terminal.ts';

const POLL_MS = 100;

export const command = defineCommand({
  name: 'lab traffic',
  usage: '[options]',
  about:
    'let kernels of the running lab send each other messages, wait until they are through, and show what each kernel counted. By default the host sends to the first spawned kernel, and each spawned kernel to the host.',
  options: {
    ...NAME_FLAG,
    from: { type: 'string', value: 'KERNEL', help: 'who sends (default: all)' },
    to: { type: 'string', value: 'KERNEL', help: 'who receives (default: the host; from the host: the first spawned kernel)' },
    count: { type: 'string', short: 'c', value: 'N', help: 'messages from each; 0 = until --stop (default 1000)' },
    rate: { type: 'string', value: 'N', help: 'messages a second from each; 0 = as fast as the ring takes them (default 500)' },
    size: { type: 'string', value: 'BYTES', help: 'payload, 8 to 4072, or a range: 16-512 (default 64)' },
    senders: { type: 'string', value: 'N', help: 'threads that send at once (default 1)' },
    burst: { type: 'string', value: 'N', help: 'messages back to back (default 1)' },
    kind: { type: 'string', value: 'KIND', help: `${MESSAGE_KINDS.join(', ')} (default user); requests wait for their ack` },
    drop: { type: 'boolean', help: 'a full ring loses the message instead of waiting' },
    'no-wait': { type: 'boolean', help: 'return at once, and let them send' },
    stop: { type: 'boolean', help: 'end what was begun with --count 0' },
    json: { type: 'boolean', help: 'the counts as JSON' },
  },
  examples: [
    ['mkscope lab traffic', '1000 messages from each kernel'],
    ['mkscope lab traffic --from host --to spawn1 --kind request -c 50', '50 requests, each answered'],
    ['mkscope lab traffic --count 20000 --rate 0 --senders 4 --size 16-4072', 'as much as the rings take'],
  ],
  async run(flags) {
    const plan: TrafficPlan = {
      count: toCount('count', flags.count, 1000, 0),
      rate: toCount('rate', flags.rate, 500, 0),
      size: checkSize(flags.size ?? '64'),
      senders: toCount('senders', flags.senders, 1),
      burst: toCount('burst', flags.burst, 1),
      kind: toChoice('kind', flags.kind, MESSAGE_KINDS, 'user'),
      whenFull: flags.drop ? 'drop' : 'retry',
    };
    const { kernels } = await ask<LabStatus>(flags.name, { command: 'status' });
    const up = kernels.filter(({ guest }) => guest === 'up').map(({ name }) => name);
    const [host = 'host', first = ''] = up;
    const senders = flags.from === undefined ? up : [flags.from];
    const pairs = senders
      .map((from) => [from, flags.to ?? (from === host ? first : host)] as const)
      .filter(([from, to]) => to !== '' && from !== to);
    if (flags.stop) {
      for (const [from] of pairs) await ask(flags.name, { command: 'stop-traffic', from });
      return 0;
    }
    if (pairs.length === 0)
      throw new OperationalError('E_LAB_FAULT', 'there is nobody to send to', 'a lab of two kernels at least: mkscope lab up --kernels 2');
    for (const [from, to] of pairs) await ask(flags.name, { command: 'traffic', from, to, plan });
    if (flags['no-wait'] || plan.count === 0) return 0;
    const counts = await waitAll(
      flags.name,
      pairs.map(([from]) => from),
      up,
    );
    if (flags.json) await printLine(JSON.stringify(counts));
    else await print(formatCounts(counts));
    return 0;
  },
});

function checkSize(size: string): string {
  const [least, most] = size.split('-').map(Number);
  const isGood = /^\d+(-\d+)?$/.test(size) && (least ?? 0) >= 8 && (most ?? least ?? 0) >= (least ?? 0);
  if (isGood) return size;
  throw new OperationalError('E_ARGS', `--size ${size} is neither a number of bytes nor a range`, 'for example --size 64 or --size 16-512');
}

/** Until no generator runs; a kernel that dies meanwhile is left out. */
async function waitAll(
  name: string | undefined,
  senders: readonly string[],
  kernels: readonly string[],
): Promise<Record<string, MessageCounts>> {
  for (const sender of senders) {
    for (;;) {
      const counts = await ask<MessageCounts | null>(name, { command: 'counts', kernel: sender });
      if (counts?.generator !== 'running') break;
      await sleep(POLL_MS);
    }
  }
  const all: Record<string, MessageCounts> = {};
  for (const kernel of kernels) {
    const counts = await ask<MessageCounts | null>(name, { command: 'counts', kernel });
    if (counts !== null) all[kernel] = counts;
  }
  return all;
}

function formatCounts(counts: Readonly<Record<string, MessageCounts>>): string {
  const titles = ['KERNEL', 'SENT', 'FAILED', 'RECEIVED', 'ACKS', 'TIMEOUTS'];
  const columns = titles.map((title, at) => ({ title, align: at === 0 ? ('left' as const) : ('right' as const) }));
  const rows = Object.entries(counts).map(([kernel, of]) => [
    kernel,
    String(of.sent),
    String(of.failed),
    String(of.received),
    String(of.acksReceived),
    String(of.timeouts),
  ]);
  return renderTable(columns, rows, { paint: createPaint(process.stdout) });
}
