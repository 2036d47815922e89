/** Kernel × kernel: who can stand in the rows and columns, and what stands where they cross. */
import type { IkcChannel } from '../../model/api.ts';

export interface MatrixEnd {
  readonly id: number;
  readonly name: string;
}

export interface Matrix {
  readonly machineId: string;
  readonly machineName: string;
  readonly ends: readonly MatrixEnd[];
  /** By `toPairKey`. */
  readonly cells: ReadonlyMap<string, IkcChannel>;
}

export function toPairKey(senderId: number, receiverId: number): string {
  return `${senderId} ${receiverId}`;
}

/** One matrix for each machine: messages do not cross them. Kernels by id; one that nobody could name stands last. */
export function toMatrices(channels: readonly IkcChannel[]): readonly Matrix[] {
  return [...Map.groupBy(channels, (channel) => channel.machineId)].map(([machineId, own]) => {
    const names = new Map<number, string>();
    for (const { senderId, senderName, receiverId, receiverName } of own) {
      for (const [id, name] of [
        [senderId, senderName],
        [receiverId, receiverName],
      ] as const) {
        if (!names.has(id) || name !== '') names.set(id, name);
      }
    }
    return {
      machineId,
      machineName: own[0]?.machineName ?? '',
      ends: [...names].map(([id, name]) => ({ id, name: toEndName(id, name) })).sort((a, b) => toRank(a.id) - toRank(b.id)),
      cells: new Map(own.map((channel) => [toPairKey(channel.senderId, channel.receiverId), channel])),
    };
  });
}

export function toEndName(id: number, name: string): string {
  return name === '' ? (id < 0 ? 'unknown' : `kernel ${id}`) : name;
}

function toRank(id: number): number {
  return id < 0 ? Number.MAX_SAFE_INTEGER : id;
}

/** All messages of a channel: each counts once, whichever ends of it are known. */
export function countMessages({ matched, waiting, failed, unmatchedSends, unmatchedReceives }: IkcChannel): number {
  return matched + waiting + failed + unmatchedSends + unmatchedReceives;
}

/** Steps of the latency scale: its colours stand beside the figures, and the bar has as many parts. */
export const HEAT_STEPS = [
  { belowNs: 100e3, label: '< 100 µs' },
  { belowNs: 1e6, label: '< 1 ms' },
  { belowNs: 10e6, label: '< 10 ms' },
  { belowNs: 100e6, label: '< 100 ms' },
  { belowNs: Infinity, label: '≥ 100 ms' },
] as const;

/** 0 = no latency is known, 1 … 5 by the 99th percentile. */
export function toHeatStep({ matched, p99Ns }: IkcChannel): number {
  return matched === 0 ? 0 : HEAT_STEPS.findIndex(({ belowNs }) => p99Ns < belowNs) + 1;
}
