/** Tells the lives of a machine's instances from its stored messages, and stores those spans of them that are not there yet. */
import { toLifeRows } from '../correlate/life-rows.ts';
import { LIFE_SPANS } from '../correlate/life-spans.ts';
import { LIFE_EVENTS, tellLives, type Life, type LifeEvent } from '../correlate/tell-lives.ts';
import { HOST_KERNEL_ID, toResource, toScope, type KernelIdentity } from '../model/identity.ts';
import type { LogBatch } from '../model/log-batch.ts';
import { queryImportedBoots, queryKnownSpans, queryNamedRows, type NamedRow } from '../store/queries/lives.ts';
import type { Store } from '../store/store.ts';

/** A clock that is fitted anew moves the times of rows that come later. */
const MARGIN_NS = 60_000_000_000n;

export interface StoredLives {
  readonly spans: number;
  /** Where the oldest life begins that is not over; undefined where all are. */
  readonly openSinceNs: bigint | undefined;
}

export interface LifeRange {
  readonly machineId: string;
  /** Messages before it are over and stored. */
  readonly fromNs: bigint;
  readonly version: string;
}

const NAMES: ReadonlySet<string> = new Set(LIFE_EVENTS);
/** Of a host only these are about instances: each boot of an ordinary machine has the others too. */
const ABOUT_INSTANCES = 'mk.instance.';

/** Time of the earliest message of a kernel that lives are told by; undefined where there is none. */
export function findLifeMessages({ strings, eventName, unixTime, length }: LogBatch, kernelId: number): bigint | undefined {
  let firstNs: bigint | undefined;
  for (let row = 0; row < length; row++) {
    const id = eventName[row] as number;
    if (id === 0) continue;
    const name = strings.get(id);
    if (!NAMES.has(name) || (kernelId === HOST_KERNEL_ID && !name.startsWith(ABOUT_INSTANCES))) continue;
    const unixNs = unixTime.getBigint(row);
    if (firstNs === undefined || unixNs < firstNs) firstNs = unixNs;
  }
  return firstNs;
}

/** One after the other: two that look at the same time would both store what neither has seen of the other. */
const turns = new WeakMap<Store, Promise<unknown>>();

/** Throws what the store throws; asked again it goes on where it was. */
export function storeLives(store: Store, range: LifeRange): Promise<StoredLives> {
  const turn = (turns.get(store) ?? Promise.resolve()).then(() => tellAndStore(store, range));
  turns.set(
    store,
    turn.catch(() => undefined),
  );
  return turn;
}

async function tellAndStore(store: Store, { machineId, fromNs, version }: LifeRange): Promise<StoredLives> {
  // While loads fail, queries answer without the newest rows: spans that wait there would be stored twice.
  await store.flush();
  const sinceNs = fromNs > MARGIN_NS ? fromNs - MARGIN_NS : 0n;
  const rows = await queryNamedRows(store, machineId, LIFE_EVENTS, sinceNs);
  const lives = tellLives(rows.map(toLifeEvent));
  if (lives.length === 0) return { spans: 0, openSinceNs: undefined };
  const known = await queryKnownSpans(store, machineId, LIFE_SPANS, sinceNs);
  const identities = new Map(rows.map((row) => [row.bootId, toIdentity(row, machineId)]));
  // Of a file nothing more will come.
  const imported = await queryImportedBoots(store, machineId);
  const batches = toLifeRows(lives, machineId, known, (bootId) => imported.has(bootId));
  const scope = toScope('mkscope lives', version);
  const spans = [...batches].map(([bootId, batch]) => ({ resource: toResource(identities.get(bootId) as KernelIdentity), scope, batch }));
  if (spans.length > 0) await store.append({ spans });
  return {
    spans: spans.reduce((sum, { batch }) => sum + batch.length, 0),
    openSinceNs: lives.filter(isOpen).reduce<bigint | undefined>(earliest, undefined),
  };
}

function isOpen({ host, boots }: Life): boolean {
  return host === undefined ? boots.every(({ stopping }) => stopping === undefined) : !host.isOver;
}

function earliest(least: bigint | undefined, { host, boots }: Life): bigint | undefined {
  const firstNs = host?.first.unixNs ?? boots[0]?.first.unixNs;
  return least === undefined || (firstNs !== undefined && firstNs < least) ? firstNs : least;
}

function toLifeEvent({ event, bootId, kernelId, stream, sequence, raw, unixNs, errorNs, fields }: NamedRow): LifeEvent {
  return {
    event,
    bootId,
    kernelId,
    stream,
    sequence,
    rawNs: BigInt(raw),
    unixNs: BigInt(unixNs),
    errorNs,
    fields,
  };
}

function toIdentity({ machineName, kernelId, kernelName, bootId, release, arch }: NamedRow, machineId: string): KernelIdentity {
  return { machineId, machineName, kernelId, kernelName, bootId, release, arch };
}
