import { defineCommand } from '../../command.ts';
import { toCount } from '../../flags.ts';
import { ask, NAME_FLAG } from '../../lab/lab-flags.ts';
import { escapeLine, print } from '../../terminal.ts';

export const command = defineCommand({
  name: 'lab console',
  usage: '[options] KERNEL',
  about: 'the end of a kernel’s serial console, of all its incarnations: the last words of one that died.',
  options: { ...NAME_FLAG, lines: { type: 'string', short: 'n', value: 'N', help: 'how many lines (default 100)' } },
  examples: [['mkscope lab console spawn1 -n 40', 'its last 40 lines']],
  positionals: { least: 1, most: 1 },
  async run(flags, [kernel]) {
    const lines = await ask<string[]>(flags.name, { command: 'console', kernel, lines: toCount('lines', flags.lines, 100) });
    await print(lines.map((line) => `${escapeLine(line)}\n`).join(''));
    return 0;
  },
});
