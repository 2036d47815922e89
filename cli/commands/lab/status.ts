import { defineCommand } from '../../command.ts';
import { ask, NAME_FLAG } from '../../lab/lab-flags.ts';
import type { LabStatus } from '../../lab/lab-service.ts';
import { formatLab } from '../../lab/lab-table.ts';
import { createPaint, print, printLine } from '../../terminal.ts';

export const command = defineCommand({
  name: 'lab status',
  usage: '[options]',
  about: 'the kernels of a running lab: whether they run, what the host kernel says of them, and the end of their consoles.',
  options: { ...NAME_FLAG, json: { type: 'boolean', help: 'everything, as JSON' } },
  examples: [
    ['mkscope lab status', 'a table'],
    ['mkscope lab status --json', 'process ids, boot ids, last lines, what happened'],
  ],
  async run(flags) {
    const status = await ask<LabStatus>(flags.name, { command: 'status' });
    if (flags.json) await printLine(JSON.stringify(status));
    else await print(formatLab(status, createPaint(process.stdout)));
    return 0;
  },
});
