import type { KernelList } from '../../model/api.ts';
import { defineCommand } from '../command.ts';
import { HUB_FLAGS, openHubClient } from '../hub-flags.ts';
import { renderKernels, renderUnseen } from '../kernels-table.ts';
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
    ["mkscope kernels --json | jq '.[] | .instance | select(. != null)'", 'what the host kernel says of its instances'],
  ],
  async run(flags) {
    const client = await openHubClient(flags);
    // A hub of an earlier version does not speak of instances.
    const { kernels, unseen = [] } = await client.getJson<Pick<KernelList, 'kernels'> & Partial<KernelList>>('/api/kernels');
    const paint = createPaint(process.stdout);
    const width = terminalWidth(process.stdout);
    if (flags.json) await printLine(JSON.stringify([...kernels, ...unseen.map((one) => ({ state: 'unseen', ...one }))], undefined, 2));
    else if (kernels.length + unseen.length === 0)
      await printLine('No kernel has reported yet. `mkscope up` observes this one; `mkscope import FILE` loads recorded logs.');
    else {
      if (kernels.length > 0) await print(renderKernels(kernels, paint, width));
      if (unseen.length > 0) await print(renderUnseen(unseen, paint, width));
    }
    return 0;
  },
});
