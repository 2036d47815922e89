/** The table of `mkscope lab …`. */
import type { CommandGroup } from '../../command.ts';

export const group: CommandGroup = {
  name: 'lab',
  about:
    'boot two or more real Linux kernels on this machine under QEMU, with a real channel between them, and observe them: to try mkscope without Multikernel hardware, and to test it on real crashes.',
  commands: {
    up: { summary: 'boot the kernels and observe them', load: async () => (await import('./up.ts')).command },
    status: { summary: 'the kernels and how they are', load: async () => (await import('./status.ts')).command },
    traffic: { summary: 'let kernels send each other messages', load: async () => (await import('./traffic.ts')).command },
    fault: { summary: 'do something bad to a kernel', load: async () => (await import('./fault.ts')).command },
    start: { summary: 'start a kernel that has ended', load: async () => (await import('./start.ts')).command },
    console: { summary: 'the end of a kernel’s console', load: async () => (await import('./console.ts')).command },
    run: { summary: 'run a shell command in a kernel', load: async () => (await import('./run.ts')).command },
    record: { summary: 'write down what the kernels say', load: async () => (await import('./record.ts')).command },
    down: { summary: 'end everything', load: async () => (await import('./down.ts')).command },
  },
};
