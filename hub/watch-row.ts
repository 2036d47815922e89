/** A row of the log that the hub itself writes about a kernel: what it found is a signal of an incident like any other row. */
import { isOperational, messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { ATTR } from '../model/attributes.ts';
import { toResource, toScope, type KernelIdentity } from '../model/identity.ts';
import { SIGNAL_COUNT } from '../model/incident.ts';
import { LogBatch } from '../model/log-batch.ts';
import type { Store } from '../store/store.ts';
import type { LiveFeed } from './live.ts';

/** Rows that wait for a store that is busy. */
const MAX_WAITING = 1_024;

const log = createLogger('watch');

/** The hub's own clock takes part in these times. */
const CLOCK_ERROR_NS = 1_000_000;

export interface WatchRowParts {
  readonly store: Store;
  readonly live: LiveFeed;
  readonly version: string;
  /** To be told what is about to be stored. */
  readonly mark: (machineId: string, fromNs: bigint) => void;
}

export interface WatchRow {
  readonly event: string;
  readonly body: string;
  readonly level: number;
  readonly atNs: bigint;
  /** From when on a look has to read because of it; default: its own time. */
  readonly fromNs?: bigint;
  /** How many of what it tells it stands for; default: one. */
  readonly count?: number;
  readonly fields?: Readonly<Record<string, string>>;
}

/** Throws what the store throws. */
export async function writeWatchRow(parts: WatchRowParts, identity: KernelIdentity, row: WatchRow): Promise<void> {
  const { store, live, version, mark } = parts;
  const { event, body, level, atNs, fromNs = atNs, count = 1, fields = {} } = row;
  const batch = new LogBatch(1);
  for (const [name, value] of Object.entries(fields)) batch.attributes.add(name, value);
  if (count > 1) batch.attributes.add(SIGNAL_COUNT, String(count));
  const at = batch.addText(body, level);
  batch.unixTime.setBigint(at, atNs);
  batch.eventName[at] = batch.strings.internString(event);
  batch.clock = 'unix';
  const resource = toResource(identity);
  const scope = { ...toScope('mkscope', version), attributes: { [ATTR.clock]: 'unix', [ATTR.clockError]: String(CLOCK_ERROR_NS) } };
  mark(identity.machineId, fromNs);
  await store.append({ logs: [{ resource, scope, batch }] });
  live.publish(resource, scope, batch);
}

/** Rows that are written when the store has time for them. */
export class WatchRows {
  readonly #parts: WatchRowParts;
  #waiting: { readonly identity: KernelIdentity; readonly row: WatchRow }[] = [];

  constructor(parts: WatchRowParts) {
    this.#parts = parts;
  }

  add(identity: KernelIdentity, row: WatchRow): void {
    this.#waiting.push({ identity, row });
    if (this.#waiting.length <= MAX_WAITING) return;
    log.warn('too many rows wait for the store: the oldest is dropped', { event: this.#waiting.shift()?.row.event });
  }

  /** A store that is busy or away gets them the next time. */
  async write(): Promise<void> {
    try {
      for (;;) {
        const [next] = this.#waiting;
        if (next === undefined) return;
        await writeWatchRow(this.#parts, next.identity, next.row);
        this.#waiting.shift();
      }
    } catch (error) {
      if (!isOperational(error)) throw error;
      log.warn('rows wait for the store', { error: messageOf(error), rows: this.#waiting.length });
    }
  }
}
