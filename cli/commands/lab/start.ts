import { defineCommand } from '../../command.ts';
import { ask, NAME_FLAG } from '../../lab/lab-flags.ts';
import { printLine } from '../../terminal.ts';

export const command = defineCommand({
  name: 'lab start',
  usage: '[options] KERNEL',
  about: 'start a kernel that has panicked, powered off or was killed: a new incarnation of it.',
  options: NAME_FLAG,
  examples: [['mkscope lab start spawn1', 'boots it again']],
  positionals: { least: 1, most: 1 },
  async run(flags, [kernel]) {
    await ask(flags.name, { command: 'start', kernel });
    await printLine(`${kernel} is up`);
    return 0;
  },
});
