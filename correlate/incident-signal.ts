/** What incidents are made of: stored rows that have an event name, and gaps; rows of one second that say the same are one signal. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { NO_RAW_TIME } from '../model/time.ts';

export interface IncidentSignal {
  readonly event: string;
  /** Of the first row that it stands for, and of the last. */
  readonly unixNs: bigint;
  readonly lastNs: bigint;
  /** The first row's own stamp; NO_RAW_TIME where it has none. */
  readonly rawNs: bigint;
  /** -1 = unknown. */
  readonly errorNs: number;
  readonly count: number;
  readonly machineId: string;
  readonly machineName: string;
  readonly kernelId: number;
  readonly kernelName: string;
  readonly bootId: string;
  readonly body: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** An incarnation that anything is known of. */
export interface KnownBoot {
  readonly bootId: string;
  /** Of the instance that it says it is, where it says so; an imported file may have been given another number. */
  readonly kernelId: number;
  readonly kernelName: string;
  readonly firstNs: bigint;
}

/** Names a signal by what its kernel wrote: a better fit of the clock, or another way to the hub, changes nothing. */
export function markOf({ bootId, rawNs, unixNs, body }: IncidentSignal): string {
  return `${bootId} ${rawNs === NO_RAW_TIME ? unixNs : rawNs / 1000n} ${crc32(body)}`;
}

export function toIncidentId(...parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 12);
}
