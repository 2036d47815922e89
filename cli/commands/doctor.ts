import { defineCommand } from '../command.ts';
import { CONFIG_FLAG, LISTEN_FLAGS, SOURCE_FLAGS } from '../config-flags.ts';
import { HUB_FLAGS } from '../hub-flags.ts';
import type { FlagValues } from '../flags.ts';

const OPTIONS = {
  json: { type: 'boolean', help: '{ "healthy", "findings": [{ id, title, status, detail, effect, fix }] }' },
  events: SOURCE_FLAGS.events,
  clock: SOURCE_FLAGS.clock,
  ...LISTEN_FLAGS,
  ...CONFIG_FLAG,
  ...HUB_FLAGS,
} as const;

export type DoctorFlags = FlagValues<typeof OPTIONS>;

export const command = defineCommand({
  name: 'doctor',
  usage: '[options]',
  about:
    'what this machine lets mkscope observe, what it does not, and the command that fixes it. Changes nothing: a trial trace instance is removed at once. Exit code 1 when something fails.',
  options: OPTIONS,
  examples: [
    ['mkscope doctor', 'look at this machine'],
    ['mkscope doctor --json | jq -r \'.findings[] | select(.status != "ok") | .fix\'', 'the commands that fix what is wrong'],
  ],
  run: async (flags) => (await import('../doctor/examine.ts')).examine(flags),
});
