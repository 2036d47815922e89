import type { KernelRow } from '../../model/api.ts';
import { defineCommand } from '../command.ts';
import { HUB_FLAGS, openHubClient } from '../hub-flags.ts';
import { renderKernels } from '../kernels-table.ts';
import { createPaint, print, printLine, terminalWidth } from '../terminal.ts';

export const command = defineCommand({
  name: 'kernels',
  usage: '[options]',
  about: 'each kernel (each boot of it): its state, load, losses, clock bound and last line.',
  options: {
    json: { type: 'boolean', help: 'a JSON array, with all fields' },
    ...HUB_FLAGS,
  },
  examples: [
    ['mkscope kernels', 'a table'],
    ['mkscope kernels --json | jq \'.[] | select(.state == "silent")\'', 'those that stopped talking'],
  ],
  async run(flags) {
    const client = await openHubClient(flags);
    const { kernels } = await client.getJson<{ kernels: readonly KernelRow[] }>('/api/kernels');
    if (flags.json) await printLine(JSON.stringify(kernels, undefined, 2));
    else if (kernels.length === 0)
      await printLine('No kernel has reported yet. `mkscope up` observes this one; `mkscope import FILE` loads recorded logs.');
    else await print(renderKernels(kernels, createPaint(process.stdout), terminalWidth(process.stdout)));
    return 0;
  },
});
