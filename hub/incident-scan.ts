/**
 * Incidents of a machine out of what is stored of it: reads the signals from a moment on, runs the tracker over them, and
 * stores what is new, has changed, or is no more. Whoever looks twice stores nothing the second time: ids are of what opened an
 * incident, and a revision is written only where it differs. docs/decisions/009-incidents.md.
 *
 *           first of what is not over by then ─┐        ┌─ from: the earliest new signal
 *   ──────────┴─ read again from here ─────────┴────────┴──────────────────────────► now
 */
import type { IncidentSignal } from '../correlate/incident-signal.ts';
import { MAX_INCIDENT_MS } from '../correlate/incident-rules.ts';
import { mergeStreams } from '../correlate/merge-streams.ts';
import { DEATH_EVENTS } from '../correlate/track-deaths.ts';
import { IncidentTracker, joinMsOf, MAX_JOIN_MS, SIGNAL_EVENTS, SIGNAL_FIELDS } from '../correlate/track-incidents.ts';
import { DEATH_KINDS, type Incident } from '../model/incident.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import type { IncidentRevision } from '../store/incident-rows.ts';
import {
  queryBoots,
  queryGapSignals,
  queryLastWords,
  queryRevisions,
  querySignals,
  type SignalRow,
  type WordRow,
} from '../store/queries/incidents.ts';
import type { Store } from '../store/store.ts';

const NS_PER_MS = 1_000_000n;
const MAX_JOIN_NS = BigInt(MAX_JOIN_MS) * NS_PER_MS;
/** Signals read at a time. */
const PAGE_SIGNALS = 20_000;
const LAST_WORDS = 20;
const MAX_WORD_CHARS = 1_000;
/** Words of the dead that a slower way still brings are waited for this long. */
const LATE_WORDS_NS = 120_000_000_000n;
const SINGLE_EVENTS: readonly string[] = [...DEATH_EVENTS, 'mk.kernel.silent', 'mk.kernel.back', 'mk.collector.gone', 'mk.collector.back'];

export interface IncidentScan {
  /** As they stand now, those that are new or have changed. */
  readonly changed: readonly IncidentRevision[];
  /** Of those the new ones. */
  readonly opened: readonly Incident[];
  readonly open: readonly Incident[];
  /** Signals for which the tracker had no room. */
  readonly dropped: number;
}

/** Times before `fromNs` are known to hold nothing new. */
export async function scanIncidents(store: Store, machineId: string, fromNs: bigint, nowNs: bigint): Promise<IncidentScan> {
  const floorNs = fromNs > MAX_JOIN_NS ? fromNs - MAX_JOIN_NS - BigInt(MAX_INCIDENT_MS) * NS_PER_MS : 0n;
  const stored = await queryRevisions(store, machineId, floorNs < 0n ? 0n : floorNs);
  const startNs = startOf(stored, fromNs, floorNs);
  const { found, dropped } = await track(store, machineId, startNs, nowNs);
  const touched = [...found.values()].filter((incident) => endOf(incident) >= fromNs);
  const known = new Map(stored.map((one) => [one.incident.id, one]));
  const changed: IncidentRevision[] = [];
  for (const incident of touched) {
    const before = known.get(incident.id);
    const lastWords = await wordsOf(store, incident, before, nowNs);
    if (before !== undefined && isSame(before, incident, lastWords)) continue;
    changed.push({ incident, revision: (before?.revision ?? 0) + 1, lastWords, mergedInto: '' });
  }
  for (const before of stored) {
    const { incident, mergedInto } = before;
    if (mergedInto !== '' || found.has(incident.id) || incident.firstUnixNs < startNs || endOf(incident) < fromNs) continue;
    changed.push({ ...before, revision: before.revision + 1, mergedInto: successorOf(incident, touched) });
  }
  if (changed.length > 0) await store.append({ incidents: changed });
  const opened = changed.filter(({ revision }) => revision === 1).map(({ incident }) => incident);
  const gone = new Set(changed.filter(({ mergedInto }) => mergedInto !== '').map(({ incident }) => incident.id));
  const rest = stored.filter(({ incident, mergedInto }) => mergedInto === '' && !gone.has(incident.id) && !found.has(incident.id));
  const open = [...touched, ...rest.map(({ incident }) => incident)].filter(({ state }) => state === 'open');
  return { changed, opened, open, dropped };
}

/** What may still go on when the first new signal came began here at the earliest. */
function startOf(stored: readonly IncidentRevision[], fromNs: bigint, floorNs: bigint): bigint {
  let startNs = fromNs;
  for (const { incident, mergedInto } of stored) {
    const { firstUnixNs } = incident;
    if (mergedInto === '' && firstUnixNs >= floorNs && firstUnixNs < startNs && endOf(incident) >= fromNs) startNs = firstUnixNs;
  }
  return startNs > MAX_JOIN_NS ? startNs - MAX_JOIN_NS : 0n;
}

/** Until then the next signal would have joined it. */
function endOf({ kind, state, firstUnixNs, lastUnixNs }: Incident): bigint {
  const joinNs = BigInt(joinMsOf(kind)) * NS_PER_MS;
  const isWaiting = state === 'open' && DEATH_KINDS.includes(kind);
  return isWaiting ? firstUnixNs + 2n * BigInt(MAX_INCIDENT_MS) * NS_PER_MS : lastUnixNs + joinNs;
}

async function track(
  store: Store,
  machineId: string,
  startNs: bigint,
  nowNs: bigint,
): Promise<{ readonly found: ReadonlyMap<string, Incident>; readonly dropped: number }> {
  const boots = await queryBoots(store, machineId);
  const tracker = new IncidentTracker(
    boots.map(({ bootId, kernelId, kernelName, firstUnixNs }) => ({ bootId, kernelId, kernelName, firstNs: BigInt(firstUnixNs) })),
  );
  const found = new Map<string, Incident>();
  for await (const { signals, endNs } of readSignals(store, machineId, startNs)) {
    for (const signal of signals) tracker.take(signal);
    if (endNs === undefined) break;
    // What is over by now is not touched any more.
    for (const incident of tracker.incidents(nowNs)) found.set(incident.id, incident);
    tracker.forget(endNs - 2n * MAX_JOIN_NS);
  }
  for (const incident of tracker.incidents(nowNs)) found.set(incident.id, incident);
  return { found, dropped: tracker.dropped };
}

/** In the order of time, page by page; `endNs` is where the next page begins. */
async function* readSignals(
  store: Store,
  machineId: string,
  startNs: bigint,
): AsyncGenerator<{ readonly signals: readonly IncidentSignal[]; readonly endNs: bigint | undefined }> {
  const query = { machineId, events: SIGNAL_EVENTS, singleEvents: SINGLE_EVENTS, fields: SIGNAL_FIELDS, limit: PAGE_SIGNALS };
  for (let fromNs = startNs; ;) {
    const rows = await querySignals(store, { ...query, fromNs });
    const gaps = await queryGapSignals(store, machineId, fromNs, PAGE_SIGNALS);
    // A page ends with a whole second, where it holds more than one: rows of a second are one signal.
    const endNs = [rows, gaps].reduce<bigint | undefined>((least, page) => earlier(least, secondAtEnd(page, fromNs)), undefined);
    const signals = [...rows, ...gaps].map((row) => toSignal(row, machineId)).filter(({ unixNs }) => endNs === undefined || unixNs < endNs);
    signals.sort((a, b) => (a.unixNs < b.unixNs ? -1 : a.unixNs > b.unixNs ? 1 : 0));
    yield { signals, endNs };
    if (endNs === undefined) return;
    fromNs = endNs;
  }
}

function secondAtEnd(page: readonly SignalRow[], fromNs: bigint): bigint | undefined {
  if (page.length < PAGE_SIGNALS) return undefined;
  const second = 1_000_000_000n;
  const lastNs = (BigInt(page.at(-1)?.unixNs ?? 0) / second) * second;
  // More in one second than fits: what is beyond the page is not counted.
  return lastNs > fromNs ? lastNs : (fromNs / second + 1n) * second;
}

function earlier(a: bigint | undefined, b: bigint | undefined): bigint | undefined {
  return a === undefined || (b !== undefined && b < a) ? b : a;
}

function toSignal({ unixNs, lastNs, raw, ...row }: SignalRow, machineId: string): IncidentSignal {
  return { ...row, machineId, unixNs: BigInt(unixNs), lastNs: BigInt(lastNs), rawNs: BigInt(raw) };
}

/** Late records may have shown that two are one. */
function successorOf({ bootId, kernelId, firstUnixNs, lastUnixNs }: Incident, found: readonly Incident[]): string {
  const isNear = (one: Incident): boolean => firstUnixNs <= one.lastUnixNs + MAX_JOIN_NS && lastUnixNs >= one.firstUnixNs - MAX_JOIN_NS;
  const near = found.filter(isNear);
  const same =
    near.find((one) => bootId !== '' && one.bootId === bootId) ??
    near.find((one) => one.kernelId === kernelId) ??
    near.find((one) => one.others.some((other) => other.bootId === bootId) || kernelId < 0);
  return same?.id ?? '-';
}

async function wordsOf(store: Store, incident: Incident, before: IncidentRevision | undefined, nowNs: bigint): Promise<readonly string[]> {
  const { kind, bootId, lastUnixNs } = incident;
  if (!DEATH_KINDS.includes(kind) || bootId === '') return [];
  const isSettled = before !== undefined && before.lastWords.length > 0 && before.incident.count === incident.count;
  if (isSettled && nowNs - lastUnixNs > LATE_WORDS_NS) return before.lastWords;
  const rows = await queryLastWords(store, bootId, lastUnixNs + 1_000_000_000n, LAST_WORDS);
  const { batch } = mergeStreams(rows.map(toStreamRow));
  const words: string[] = [];
  for (let row = Math.max(0, batch.length - LAST_WORDS); row < batch.length; row++) {
    words.push(`${formatStamp(batch.rawTime.getBigint(row))}${batch.textOf(row).slice(0, MAX_WORD_CHARS)}`);
  }
  return words;
}

function toStreamRow({ raw, unixNs, ...row }: WordRow): Parameters<typeof mergeStreams>[0][number] {
  return { ...row, rawNs: BigInt(raw), unixNs: BigInt(unixNs) };
}

/** As the kernel writes it: `[   39.070387] `. */
function formatStamp(rawNs: bigint): string {
  if (rawNs === NO_RAW_TIME) return '';
  const micros = rawNs / 1000n;
  return `[${String(micros / 1_000_000n).padStart(5)}.${String(micros % 1_000_000n).padStart(6, '0')}] `;
}

function isSame({ incident, lastWords, mergedInto }: IncidentRevision, found: Incident, words: readonly string[]): boolean {
  return mergedInto === '' && toText(incident, lastWords) === toText(found, words);
}

function toText(incident: Incident, words: readonly string[]): string {
  const { others, resolvedUnixNs, ...rest } = incident;
  const sorted = others.map(({ bootId }) => bootId).sort();
  const entries = Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([entries.map(([, value]) => String(value)), String(resolvedUnixNs), sorted, words]);
}
