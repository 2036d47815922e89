import { defineCommand } from '../command.ts';
import { CONFIG_FLAG, SOURCE_FLAGS } from '../config-flags.ts';
import type { FlagValues } from '../flags.ts';

const OPTIONS = {
  to: { type: 'string', value: 'URL', help: 'where to send (default OTEL_EXPORTER_OTLP_ENDPOINT, else http://127.0.0.1:4318)' },
  root: { type: 'string', value: 'DIR', help: 'folder that stands for / in finding kernels and consoles: a lab has one' },
  header: { type: 'string', multiple: true, value: 'NAME=VALUE', help: 'header of each request (repeatable)' },
  ...SOURCE_FLAGS,
  ...CONFIG_FLAG,
} as const;

export type CollectFlags = FlagValues<typeof OPTIONS>;

export const command = defineCommand({
  name: 'collect',
  usage: '[options]',
  about:
    'read this kernel’s log, trace events, consoles and state, and send them as OTLP to a hub or to any other OTLP/HTTP backend (trace events to a hub only). Needs no hub to be there: what cannot be sent waits on disk.',
  options: OPTIONS,
  examples: [
    ['mkscope collect --to http://hub.example:4318', 'to a hub on another machine'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT=https://otlp.example mkscope collect', 'to any OTLP backend; headers and TLS from OTEL_EXPORTER_OTLP_*'],
    ['mkscope collect --no-tracefs --console spawn1=/dev/ttyS1', 'the kernel log, and the console of another kernel'],
  ],
  service: true,
  run: async (flags) => (await import('../run-collector.ts')).runCollector(flags),
});
