/** What a kernel of the lab counts of its own log and trace buffers. */
import assert from 'node:assert/strict';

import type { RunningLab } from './running-lab.ts';

/** The tracefs instance of the forwarder. */
export const TRACE_STREAM = 'mkscope-guest';

export interface TraceCounts {
  readonly cpu: number;
  /** Still in the buffer. */
  readonly entries: number;
  readonly written: number;
  readonly lost: number;
}

/** `per_cpu/cpuN/stats` of each CPU. */
export async function readTraceCounts(lab: RunningLab, kernel: string): Promise<TraceCounts[]> {
  const text = await lab.run(kernel, `cd /sys/kernel/tracing/instances/${TRACE_STREAM}/per_cpu && grep -H . cpu*/stats`);
  const cpus = Map.groupBy(
    [...text.matchAll(/^cpu(\d+)\/stats:([a-z ]+): (\d+)$/gm)].map(([, cpu, name = '', value]) => ({
      cpu: Number(cpu),
      name,
      value: Number(value),
    })),
    ({ cpu }) => cpu,
  );
  return [...cpus].map(([cpu, lines]) => {
    const count = (name: string): number => {
      const found = lines.find((line) => line.name === name);
      assert.ok(found !== undefined, `${kernel}: no ${name} in the stats of CPU ${cpu}`);
      return found.value;
    };
    const lost = count('overrun') + count('commit overrun') + count('dropped events');
    return { cpu, entries: count('entries'), written: count('entries') + count('read events') + lost, lost };
  });
}

/** Records that the kernel has printed since it booted, with the one that is printed here to find the end of its log. */
export async function readKmsgCount(lab: RunningLab, kernel: string): Promise<number> {
  const marker = `mkscope test counts ${kernel} ${Date.now()}`;
  const last = await lab.run(kernel, `echo "${marker}" >/dev/kmsg && grep -m 1 "${marker}" /dev/kmsg`);
  const sequence = /^\d+,(\d+),/.exec(last)?.[1];
  assert.ok(sequence !== undefined, `${kernel}: ${last}`);
  return Number(sequence) + 1;
}

/** Hits that the kernel did not trace, by probe: an interrupt's, while another probe of the CPU was at work. */
export async function readMissedProbes(lab: RunningLab, kernel: string): Promise<ReadonlyMap<string, number>> {
  const text = await lab.run(kernel, 'cat /sys/kernel/tracing/kprobe_profile');
  return new Map([...text.matchAll(/^\s*(\w+)\s+\d+\s+(\d+)$/gm)].map(([, probe = '', missed]) => [probe, Number(missed)]));
}
