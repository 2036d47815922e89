/** The table of commands. */
import type { CommandEntry } from '../command.ts';

export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  up: { summary: 'observe this machine: hub and collector in one go', load: async () => (await import('./up.ts')).command },
  collect: { summary: 'run the collector of this kernel', load: async () => (await import('./collect.ts')).command },
  hub: { summary: 'run the hub: receive, store, serve', load: async () => (await import('./hub.ts')).command },
  logs: { summary: 'the logs of all kernels, merged in time', load: async () => (await import('./logs.ts')).command },
  incidents: { summary: 'what went wrong, each thing once, with its reason', load: async () => (await import('./incidents.ts')).command },
  kernels: { summary: 'the kernels and how they are', load: async () => (await import('./kernels.ts')).command },
  ikc: { summary: 'messages between kernels, matched, with latencies', load: async () => (await import('./ikc.ts')).command },
  traces: { summary: 'traces over all kernels: search', load: async () => (await import('./traces.ts')).command },
  trace: { summary: 'one trace as a waterfall over its kernels', load: async () => (await import('./trace.ts')).command },
  clocks: { summary: 'how well the clocks of the kernels are known', load: async () => (await import('./clocks.ts')).command },
  recorder: {
    summary: 'flight recorders: what they keep, and pages of a time that you want',
    load: async () => (await import('./recorder.ts')).command,
  },
  top: { summary: 'live rates and losses per kernel and stream', load: async () => (await import('./top.ts')).command },
  import: {
    summary: 'load recorded files: dmesg, console, kmsg, ftrace text, lab sessions',
    load: async () => (await import('./import.ts')).command,
  },
  report: {
    summary: 'a recording as text, as trace-cmd report prints it',
    load: async () => (await import('./report.ts')).command,
  },
  export: { summary: 'write a recording for other tools: trace.dat', load: async () => (await import('./export.ts')).command },
  query: { summary: 'run SQL on everything that is stored', load: async () => (await import('./query.ts')).command },
  doctor: {
    summary: 'what this machine can and cannot observe, and how to fix it',
    load: async () => (await import('./doctor.ts')).command,
  },
  demo: {
    summary: 'three recorded kernels, live: see mkscope without the hardware',
    load: async () => (await import('./demo.ts')).command,
  },
  lab: {
    summary: 'boot real kernels side by side, to try mkscope and to test it',
    load: async () => (await import('./lab/index.ts')).group,
  },
  'test-rules': {
    summary: 'run the samples of your own rules: messages, packs, spans',
    load: async () => (await import('./test-rules.ts')).command,
  },
  check: { summary: 'validate mkscope.yaml and show what is in force', load: async () => (await import('./check.ts')).command },
};
