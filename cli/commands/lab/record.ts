import { resolve } from 'node:path';

import type { SessionFile } from '../../../deploy/lab/recorder.ts';
import { defineCommand } from '../../command.ts';
import { toCount } from '../../flags.ts';
import { ask, NAME_FLAG } from '../../lab/lab-flags.ts';
import { watchStopSignals } from '../../stop-signal.ts';
import { printLine } from '../../terminal.ts';

export const command = defineCommand({
  name: 'lab record',
  usage: '[options] DIR',
  about:
    'write a session of the running lab into a new folder: consoles, kernel logs, trace pages with their formats, and when each message really was. `mkscope import DIR` takes it back. From the first byte on: mkscope lab up --record DIR.',
  options: { ...NAME_FLAG, seconds: { type: 'string', short: 's', value: 'N', help: 'for how long (default 30); Ctrl-C ends it earlier' } },
  examples: [['mkscope lab record ./session --seconds 20', '20 seconds of all kernels']],
  positionals: { least: 1, most: 1 },
  async run(flags, [dir]) {
    const seconds = toCount('seconds', flags.seconds, 30);
    const stop = watchStopSignals();
    await ask(flags.name, { command: 'record', dir: resolve(dir ?? '') });
    const timer = setTimeout(() => stop.ask('the time is over'), seconds * 1000);
    await stop.asked;
    clearTimeout(timer);
    const session = await ask<SessionFile>(flags.name, { command: 'stop-record' });
    const lasted = Number(BigInt(session.toUnixNs) - BigInt(session.fromUnixNs)) / 1e9;
    await printLine(`${dir}: ${session.kernels.length} kernels, ${lasted.toFixed(1)} s; mkscope import ${dir}`);
    return 0;
  },
});
