import { defineCommand } from '../../command.ts';
import { ask, NAME_FLAG } from '../../lab/lab-flags.ts';
import { escapeControls, print } from '../../terminal.ts';
import type { GuestAnswer } from '../../../deploy/lab/guest-control.ts';

export const command = defineCommand({
  name: 'lab run',
  usage: '[options] KERNEL COMMAND',
  about: 'run a shell command in a kernel of the lab (busybox); its exit code is ours.',
  options: NAME_FLAG,
  examples: [
    ['mkscope lab run spawn1 "uname -a"', 'one command'],
    ['mkscope lab run host "cat /proc/interrupts"', 'what the host kernel counts'],
  ],
  positionals: { least: 2, most: 2 },
  async run(flags, [kernel, script]) {
    const { code, output } = await ask<GuestAnswer>(flags.name, { command: 'run', kernel, script });
    await print(process.stdout.isTTY ? escapeControls(output) : output);
    return code;
  },
});
