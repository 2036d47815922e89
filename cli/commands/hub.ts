import { defineCommand } from '../command.ts';
import { CONFIG_FLAG, LISTEN_FLAGS } from '../config-flags.ts';
import type { FlagValues } from '../flags.ts';

const OPTIONS = { ...CONFIG_FLAG, ...LISTEN_FLAGS } as const;

export type HubFlags = FlagValues<typeof OPTIONS>;

export const command = defineCommand({
  name: 'hub',
  usage: '[options]',
  about: 'receive OTLP and segments from collectors, store them, serve the page, the API and the ClickHouse interface.',
  options: OPTIONS,
  examples: [
    ['mkscope hub --data /var/lib/mkscope', 'a hub on the usual ports, loopback only'],
    ['mkscope hub --otlp 0.0.0.0:4318', 'reachable for others: needs hub.tokens in mkscope.yaml'],
  ],
  service: true,
  run: async (flags) => (await import('../run-hub.ts')).runHub(flags),
});
