/**
 * Who keeps trace pages in a flight recorder, and whose windows are wanted: of an incident, or because a person asks. Recorders ask
 * for themselves (`POST /v1/mkscope/recorder`): a collector listens to nobody.
 *
 *   incident ──► ask(machine, window) ──► requests.json        what is asked is on disk before anybody is told
 *   recorder ──► report ──► what is asked of its machine and that it has not finished
 *
 * A request is of all kernels of a machine, and is told for a day: a machine that is away gets it when it is back. Machines
 * without a recorder are asked as well, and nobody answers: who has one is not known after a restart.
 */
import { randomBytes } from 'node:crypto';
import { messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { keepLast } from '../base/recent-map.ts';
import type { Incident } from '../model/incident.ts';
import type { RecordedWindow, Recorders as RecorderList, RecorderRow, RecorderRequestRow } from '../model/recorder.ts';
import { MAX_REQUESTS_TOLD, type RecorderReport, type RecorderRequest, type RequestReport } from '../model/recorder-wire.ts';
import { openState, writeState } from './state-file.ts';

const TOLD_MS = 24 * 3_600_000;
/** The oldest go first. */
const MAX_REQUESTS = 1_000;
const MAX_RECORDERS = 4_096;
/** A recorder reports every other second. */
const HEARD_MS = 10_000;
/** Of an incident that goes on, pages of this much are wanted at most. */
const MAX_INCIDENT_NS = 60_000_000_000n;
const NS_PER_MS = 1_000_000n;

const log = createLogger('recorders');

interface KernelReport extends RequestReport {
  readonly kernelId: number;
  readonly kernelName: string;
  readonly sinceUnixNs: string;
}

interface Wanted {
  readonly id: string;
  readonly machineId: string;
  readonly fromUnixNs: string;
  toUnixNs: string;
  /** `incident 05ba16…`, `a person`. */
  readonly by: string;
  readonly askedMs: number;
  /** By kernel id. */
  kernels: Record<string, KernelReport>;
}

interface Known {
  readonly report: RecorderReport;
  readonly heardMs: number;
}

export interface RecordersParts {
  /** The file that survives the process. */
  readonly path: string;
  /** To either side of an incident. */
  readonly windowMs: number;
}

export class Recorders {
  readonly #parts: RecordersParts;
  /** By machine and kernel. */
  readonly #known = new Map<string, Known>();
  #wanted: Wanted[];

  constructor(parts: RecordersParts) {
    this.#parts = parts;
    this.#wanted =
      openState(parts.path, toWanted, (error) =>
        log.warn('what was asked of flight recorders is lost', { path: parts.path, error: messageOf(error) }),
      ) ?? [];
  }

  /** A recorder reports; returns what is wanted of it. */
  take(report: RecorderReport, nowMs = Date.now()): RecorderRequest[] {
    const { machineId, kernelId } = report.identity;
    const key = `${machineId}\n${kernelId}`;
    keepLast(this.#known, key, { report, heardMs: nowMs }, MAX_RECORDERS);
    for (const one of report.requests) this.#note(report, one);
    return this.#wanted
      .filter((one) => one.machineId === machineId && one.kernels[kernelId]?.isComplete !== true && nowMs - one.askedMs < TOLD_MS)
      .slice(-MAX_REQUESTS_TOLD)
      .map(({ id, fromUnixNs, toUnixNs }) => ({ id, fromUnixNs, toUnixNs }));
  }

  /** Pages around an incident, once; more where it has gone on. A stop that was asked for is none. */
  askFor(incident: Incident, nowMs = Date.now()): void {
    const { id, severity, machineId, firstUnixNs, lastUnixNs } = incident;
    const aroundNs = BigInt(this.#parts.windowMs) * NS_PER_MS;
    const lastNs = lastUnixNs - firstUnixNs > MAX_INCIDENT_NS ? firstUnixNs + MAX_INCIDENT_NS : lastUnixNs;
    const toNs = lastNs + aroundNs;
    if (severity === 'info' || nowMs - Number(toNs / NS_PER_MS) > TOLD_MS) return;
    const fromNs = firstUnixNs > aroundNs ? firstUnixNs - aroundNs : 0n;
    const known = this.#wanted.find((one) => one.by === toBy(id));
    if (known === undefined) {
      this.#add({ id, machineId, fromUnixNs: String(fromNs), toUnixNs: String(toNs), by: toBy(id), askedMs: nowMs, kernels: {} });
    } else if (BigInt(known.toUnixNs) < toNs) {
      known.toUnixNs = String(toNs);
      // Who had finished is asked for the rest.
      known.kernels = Object.fromEntries(Object.entries(known.kernels).map(([kernel, one]) => [kernel, { ...one, isComplete: false }]));
      this.#save();
    }
  }

  /** A person asks, of one machine or of all that have a recorder. Throws what the disk refuses. */
  ask(machine: string | undefined, fromUnixNs: string, toUnixNs: string, nowMs = Date.now()): RecorderRequestRow[] {
    const machines = new Set<string>();
    for (const { report } of this.#known.values()) {
      const { machineId, machineName } = report.identity;
      if (machine === undefined || machine === machineId || machine === machineName) machines.add(machineId);
    }
    return [...machines].map((machineId) => {
      const id = randomBytes(6).toString('hex');
      return this.#toRow(this.#add({ id, machineId, fromUnixNs, toUnixNs, by: 'a person', askedMs: nowMs, kernels: {} }));
    });
  }

  /** What came of an incident's pages; undefined where no recorder has answered. */
  ofIncident(incidentId: string): RecordedWindow | undefined {
    const found = this.#wanted.find((one) => one.by === toBy(incidentId));
    return found === undefined || Object.keys(found.kernels).length === 0 ? undefined : toWindow(found);
  }

  /** Newest request first. */
  list(nowMs = Date.now()): RecorderList {
    const recorders = [...this.#known.values()].map(({ report, heardMs }): RecorderRow => {
      const { identity, sinceUnixNs, keptBytes, maxBytes, keptEvents } = report;
      const { machineId, machineName, kernelId, kernelName, bootId } = identity;
      const isHeard = nowMs - heardMs < HEARD_MS;
      return { machineId, machineName, kernelId, kernelName, bootId, sinceUnixNs, keptBytes, maxBytes, keptEvents, isHeard };
    });
    recorders.sort((a, b) => a.machineName.localeCompare(b.machineName) || a.kernelId - b.kernelId);
    const answered = this.#wanted.filter((one) => one.by === 'a person' || Object.keys(one.kernels).length > 0);
    return { recorders, requests: answered.map((one) => this.#toRow(one)).reverse() };
  }

  #note({ identity: { machineId, kernelId, kernelName }, sinceUnixNs }: RecorderReport, report: RequestReport): void {
    // Whoever reports of a request must be of its machine.
    const wanted = this.#wanted.find((one) => one.id === report.id && one.machineId === machineId);
    if (wanted === undefined) return;
    const before = wanted.kernels[kernelId];
    wanted.kernels[kernelId] = { ...report, kernelId, kernelName, sinceUnixNs };
    // Counts on the way are only of use while somebody looks.
    if (before === undefined || before.isComplete !== report.isComplete) this.#save();
  }

  #add(wanted: Wanted): Wanted {
    this.#wanted.push(wanted);
    this.#wanted = this.#wanted.slice(-MAX_REQUESTS);
    this.#save();
    return wanted;
  }

  #toRow(wanted: Wanted): RecorderRequestRow {
    const machine = [...this.#known.values()].find(({ report }) => report.identity.machineId === wanted.machineId);
    const machineName = machine?.report.identity.machineName ?? wanted.machineId;
    return { id: wanted.id, machineName, by: wanted.by, askedUnixNs: String(BigInt(wanted.askedMs) * NS_PER_MS), ...toWindow(wanted) };
  }

  #save(): void {
    writeState(this.#parts.path, this.#wanted);
  }
}

function toWanted(json: unknown): Wanted[] {
  if (!Array.isArray(json)) throw new Error('it is no list');
  return json.map((one: unknown) => {
    const wanted = one as Partial<Wanted>;
    const isWhole = [wanted.id, wanted.machineId, wanted.by].every((text) => typeof text === 'string');
    const isTimed = [wanted.fromUnixNs, wanted.toUnixNs].every((ns) => typeof ns === 'string' && /^\d{1,19}$/.test(ns));
    if (!isWhole || !isTimed || typeof wanted.askedMs !== 'number' || typeof wanted.kernels !== 'object')
      throw new Error('an entry is not whole');
    return wanted as Wanted;
  });
}

function toBy(incidentId: string): string {
  return `incident ${incidentId}`;
}

function toWindow({ fromUnixNs, toUnixNs, kernels }: Wanted): RecordedWindow {
  const rows = Object.values(kernels).map(({ kernelId, kernelName, sinceUnixNs, events, sentEvents, isComplete }) => ({
    kernelId,
    kernelName,
    events,
    sentEvents,
    isComplete,
    sinceUnixNs,
  }));
  return { fromUnixNs, toUnixNs, kernels: rows.sort((a, b) => a.kernelId - b.kernelId) };
}
