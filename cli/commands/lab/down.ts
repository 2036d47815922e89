import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { OperationalError } from '../../../base/errors.ts';
import { labDir } from '../../../deploy/lab/control.ts';
import { defineCommand } from '../../command.ts';
import { ask, DEFAULT_LAB, NAME_FLAG } from '../../lab/lab-flags.ts';
import { printLine } from '../../terminal.ts';

/** The hub stores what it has, the collector hands over: 10 s each at most. */
const TIMEOUT_MS = 40_000;

export const command = defineCommand({
  name: 'lab down',
  usage: '[options]',
  about: 'end a running lab: its kernels, its collector, its hub, its folder. The cache of kernels stays.',
  options: NAME_FLAG,
  examples: [['mkscope lab down', 'nothing is left but the cache']],
  async run(flags) {
    const dir = labDir(flags.name ?? DEFAULT_LAB);
    await ask(flags.name, { command: 'down' });
    const endMs = performance.now() + TIMEOUT_MS;
    while (existsSync(dir)) {
      if (performance.now() > endMs) {
        throw new OperationalError('E_LAB_FAULT', `the lab does not end; its folder is ${dir}`, `see ${dir}/log`);
      }
      await sleep(50);
    }
    await printLine('ended');
    return 0;
  },
});
