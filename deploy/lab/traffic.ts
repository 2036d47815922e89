/** Messages between the lab's kernels, by the generator of mkikc, and what the kernels count of them. */
import { OperationalError } from '../../base/errors.ts';
import type { Guest } from './guest.ts';

const CONTROL = '/sys/kernel/mkikc/ctl';
const STATUS = '/sys/kernel/mkikc/status';

export const MESSAGE_KINDS = ['user', 'request', 'hotplug'] as const;

export interface TrafficPlan {
  /** 0 = until it is stopped. */
  readonly count: number;
  /** Messages per second; 0 = as fast as the ring takes them. */
  readonly rate: number;
  /** Bytes of payload: `64`, or `16-512`. */
  readonly size: string;
  readonly senders: number;
  readonly burst: number;
  readonly kind: (typeof MESSAGE_KINDS)[number];
  /** What a full ring does to a message. */
  readonly whenFull: 'retry' | 'drop';
}

/** What a kernel counts of its messages since it booted (`/sys/kernel/mkikc/status`). */
export interface MessageCounts {
  readonly sent: number;
  readonly received: number;
  readonly failed: number;
  readonly acksReceived: number;
  readonly timeouts: number;
  readonly truthLost: number;
  readonly generator: 'idle' | 'running' | 'done';
  readonly generatorSent: number;
  readonly generatorFailed: number;
}

/** Begins; throws E_LAB_FAULT where the kernel refuses (spawned kernels reach the host alone, as in Multikernel). */
export async function startTraffic(from: Guest, to: Guest, plan: TrafficPlan): Promise<void> {
  const { count, rate, size, senders, burst, kind, whenFull } = plan;
  const words = `count=${count} rate=${rate} size=${size} senders=${senders} burst=${burst} kind=${kind} onfull=${whenFull}`;
  const answer = await from.run(`echo "gen ${to.spec.id} ${words}" >${CONTROL}`);
  if (answer?.code === 0) return;
  const why = answer === undefined ? 'it does not answer' : answer.output.trim();
  throw new OperationalError(
    'E_LAB_FAULT',
    `${from.spec.name} does not send to ${to.spec.name}: ${why}`,
    'a spawned kernel reaches the host alone, one generator runs at a time in a kernel, and both ends must be up: mkscope lab status',
  );
}

export async function stopTraffic(from: Guest): Promise<void> {
  await from.run(`echo "gen stop" >${CONTROL}`);
}

/** Undefined where the kernel does not answer. */
export async function readCounts(guest: Guest): Promise<MessageCounts | undefined> {
  const answer = await guest.run(`cat ${STATUS}`);
  return answer?.code === 0 ? parseCounts(answer.output) : undefined;
}

export function parseCounts(text: string): MessageCounts {
  const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);
  const failed = [...text.matchAll(/^failed\.\d+ (\d+)$/gm)].reduce((total, match) => total + Number(match[1]), 0);
  const state = /^gen (idle|running|done)/m.exec(text)?.[1] ?? 'idle';
  return {
    sent: number(/^sent (\d+)$/m),
    received: number(/^received (\d+)$/m),
    failed,
    acksReceived: number(/^acks_received (\d+)$/m),
    timeouts: number(/^timeouts (\d+)$/m),
    truthLost: number(/^truth_lost (\d+)$/m),
    generator: state as MessageCounts['generator'],
    generatorSent: number(/^gen \w+ sent=(\d+)/m),
    generatorFailed: number(/^gen .* failed=(\d+)/m),
  };
}
