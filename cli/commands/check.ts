import { defineCommand } from '../command.ts';
import type { FlagValues } from '../flags.ts';

const OPTIONS = {
  config: { type: 'string', value: 'PATH', help: 'the file (also as argument); default ./mkscope.yaml, then /etc/mkscope/mkscope.yaml' },
  json: { type: 'boolean', help: '{ "file", "values": { key: { value, origin } } }' },
} as const;

export type CheckFlags = FlagValues<typeof OPTIONS>;

export const command = defineCommand({
  name: 'check',
  usage: '[options] [PATH]',
  about: 'validate the configuration and show every value in force, with where it comes from. Exit code 2 when something is wrong.',
  options: OPTIONS,
  examples: [
    ['mkscope check', 'the file that mkscope would use here'],
    ['mkscope check deploy/mkscope.yaml', 'a file before it is installed'],
  ],
  positionals: { least: 0, most: 1 },
  run: async (flags, [path]) => (await import('../check-config.ts')).checkConfig(path, flags),
});
