import { defineCommand } from '../command.ts';
import { LISTEN_FLAGS } from '../config-flags.ts';
import type { FlagValues } from '../flags.ts';

const OPTIONS = {
  session: { type: 'string', value: 'DIR', help: 'another recording (mkscope lab record); default: the one that comes with mkscope' },
  fast: { type: 'boolean', help: 'show it at once, instead of at the pace at which it was' },
  exit: { type: 'boolean', help: 'end when the recording does' },
  ...LISTEN_FLAGS,
  data: { type: 'string', value: 'DIR', help: 'keep the data in this folder (default: gone with the demo)' },
} as const;

export type DemoFlags = FlagValues<typeof OPTIONS>;

export const command = defineCommand({
  name: 'demo',
  usage: '[options]',
  about:
    'see mkscope without Multikernel hardware, root, QEMU or network: three real kernels that were recorded in the lab boot, talk and one of them panics, as if it happened now. The page stays until Ctrl-C.',
  options: OPTIONS,
  examples: [
    ['mkscope demo', 'on http://127.0.0.1:4319, live'],
    ['mkscope demo --fast --page 127.0.0.1:8080', 'all of it at once, on another port'],
  ],
  service: true,
  run: async (flags) => (await import('../play-demo.ts')).playDemo(flags),
});
