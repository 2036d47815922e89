import type { Clocks } from '../../model/api.ts';
import { renderAudit, renderClocks } from '../clocks-table.ts';
import { defineCommand } from '../command.ts';
import { HUB_FLAGS, openHubClient } from '../hub-flags.ts';
import { createPaint, print, printLine, terminalWidth } from '../terminal.ts';

export const command = defineCommand({
  name: 'clocks',
  usage: '[options]',
  about: "each kernel's clocks on the timeline of its machine: what they are known by, how well, and whether effects come before causes.",
  options: {
    json: { type: 'boolean', help: 'a JSON object, with all fields' },
    ...HUB_FLAGS,
  },
  examples: [
    ['mkscope clocks', 'a table'],
    ["mkscope clocks --json | jq '.audit'", 'messages that were received before they were sent'],
  ],
  async run(flags) {
    const client = await openHubClient(flags);
    const found = await client.getJson<Clocks>('/api/clocks');
    const paint = createPaint(process.stdout);
    if (flags.json) await printLine(JSON.stringify(found, undefined, 2));
    else if (found.clocks.length === 0)
      await printLine('No kernel sends trace events, by which its clocks are compared. `mkscope kernels` shows the bounds of log lines.');
    else await print(renderClocks(found.clocks, paint, terminalWidth(process.stdout)) + renderAudit(found.audit, paint));
    return 0;
  },
});
