import { OperationalError } from '../../base/errors.ts';
import type { Trace } from '../../model/api.ts';
import { defineCommand } from '../command.ts';
import { HUB_FLAGS, openHubClient } from '../hub-flags.ts';
import { createPaint, print, printLine, terminalWidth } from '../terminal.ts';
import { renderTrace } from '../trace-table.ts';

export const command = defineCommand({
  name: 'trace',
  usage: '[options] ID',
  about:
    'one trace as a waterfall over its kernels: when each span began after the first one, how long it took, ± how well its kernel’s clock is known, what it is linked to, and why it failed.',
  options: {
    attributes: { type: 'boolean', short: 'a', help: 'with the attributes of each span' },
    json: { type: 'boolean', help: 'the trace as JSON' },
    ...HUB_FLAGS,
  },
  examples: [
    ['mkscope trace 4bf92f3577b34da6a3ce929d0e0e4736', 'an id from `mkscope traces`, a log row, Grafana or Jaeger'],
    ['mkscope trace -a 4bf92f3577b34da6a3ce929d0e0e4736 | less -R', 'with all attributes'],
  ],
  positionals: { least: 1, most: 1 },
  async run(flags, [id = '']) {
    // As other tools write it: in capitals, with dashes.
    const traceId = id.toLowerCase().replaceAll('-', '');
    if (!/^[0-9a-f]{32}$/.test(traceId))
      throw new OperationalError('E_ARGS', `${id} is no trace id`, 'it has 32 hexadecimal digits; `mkscope traces` lists some');
    const client = await openHubClient(flags);
    const trace = await client.getJson<Trace>(`/api/traces/${traceId}`);
    if (flags.json) await printLine(JSON.stringify(trace, undefined, 2));
    else await print(renderTrace(trace, createPaint(process.stdout), terminalWidth(process.stdout), flags.attributes));
    return 0;
  },
});
