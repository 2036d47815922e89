import { KERNEL_CHOICES, MAX_KERNELS } from '../../../deploy/lab/kernels.ts';
import { defineCommand } from '../../command.ts';
import type { FlagValues } from '../../flags.ts';
import { NAME_FLAG } from '../../lab/lab-flags.ts';

const OPTIONS = {
  ...NAME_FLAG,
  kernels: { type: 'string', value: 'N', help: `how many kernels, the host included (default 3, at most ${MAX_KERNELS})` },
  linux: {
    type: 'string',
    value: 'LIST',
    help: `which kernels, in turn: ${KERNEL_CHOICES.join(', ')} (default stable,newest)`,
  },
  cpus: { type: 'string', value: 'LIST', help: 'CPUs of each, in turn (default 2,1)' },
  memory: { type: 'string', value: 'MIB', help: 'memory of each (default 256)' },
  events: { type: 'string', value: 'LIST', help: 'trace events to record in each (default: scheduling, interrupts, IKC)' },
  clock: { type: 'string', value: 'NAME', help: 'trace clock (default mono)' },
  buffer: { type: 'string', value: 'KIB', help: 'trace buffer of each CPU (default 1024)' },
  kvm: { type: 'boolean', help: 'use the processor’s virtualisation, where there is any (default: emulation)' },
  inside: {
    type: 'string',
    value: 'LIST',
    help: 'spawned kernels that run a collector of their own (640 MiB and some 10 s more each), as spawn1',
  },
  append: { type: 'string', value: 'TEXT', help: 'added to each kernel’s command line' },
  to: { type: 'string', value: 'URL', help: 'send to this hub or OTLP backend instead of a hub of its own' },
  keep: { type: 'boolean', help: 'its collector keeps trace events in flight recorders until an incident or `mkscope recorder get` asks' },
  'no-observe': { type: 'boolean', help: 'only the kernels: no hub, no collector' },
  page: { type: 'string', value: 'HOST:PORT', help: 'page and API of its hub (default 127.0.0.1:4319)' },
  otlp: { type: 'string', value: 'HOST:PORT', help: 'OTLP of its hub (default 127.0.0.1:4318)' },
  clickhouse: { type: 'string', value: 'HOST:PORT', help: 'ClickHouse interface of its hub (default 127.0.0.1:4320)' },
  data: { type: 'string', value: 'DIR', help: 'data of its hub, kept (default: gone with the lab)' },
  record: { type: 'string', value: 'DIR', help: 'write a session into this new folder, from the first byte to the end of the lab' },
  cache: { type: 'string', value: 'DIR', help: 'kernels and modules that were fetched and built (default ~/.cache/mkscope/lab)' },
  foreground: { type: 'boolean', help: 'stay until Ctrl-C, instead of running on in the background' },
} as const;

export type LabUpFlags = FlagValues<typeof OPTIONS>;

export const command = defineCommand({
  name: 'lab up',
  usage: '[options]',
  about:
    'boot real kernels side by side and observe them. Debian’s kernels are fetched and unpacked (never installed), a module gives them Multikernel’s messages, and a hub and a collector show them on the page. Runs on in the background until `mkscope lab down`; Ctrl-C before it is up leaves nothing behind.',
  options: OPTIONS,
  examples: [
    ['mkscope lab up', 'three kernels of two versions, on http://127.0.0.1:4319'],
    ['mkscope lab up --kernels 2 --linux stable,rt', 'two, the second with PREEMPT_RT'],
    ['mkscope lab up --kernels 2 --inside spawn1', 'the second is observed from inside, as a kernel with Node would be'],
    ['mkscope lab up --to http://127.0.0.1:4318 --name second', 'another one, observed by a hub that is there'],
  ],
  run: async (flags) => (await import('../../lab/bring-up.ts')).bringUp(flags),
});
