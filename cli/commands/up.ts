import { defineCommand } from '../command.ts';
import { CONFIG_FLAG, LISTEN_FLAGS, SOURCE_FLAGS } from '../config-flags.ts';
import type { FlagValues } from '../flags.ts';

const OPTIONS = { ...CONFIG_FLAG, ...LISTEN_FLAGS, ...SOURCE_FLAGS } as const;

export type UpFlags = FlagValues<typeof OPTIONS>;

export const command = defineCommand({
  name: 'up',
  usage: '[options]',
  about:
    'observe this machine: a hub in this process, the collector of this kernel as a supervised child, the store in ./data. What a missing permission hides is said, with the command that fixes it; the rest goes on. Ctrl-C stops and flushes, a second one stops at once.',
  options: OPTIONS,
  examples: [
    ['mkscope up', 'see what this kernel does, on http://127.0.0.1:4319'],
    ['mkscope up --events sched,irq,block --clock boot', 'other trace events, another trace clock'],
    ['mkscope up --console spawn1=/var/log/spawn1.log', 'follow the console of a spawned kernel too'],
  ],
  service: true,
  run: async (flags) => (await import('../observe-machine.ts')).observeMachine(flags),
});
