/**
 * What a Multikernel host knows of its instances: polled, since the filesystem notifies nobody. Each change of state is a row in the
 * kernel's own words, each set of resources a row with attributes, and the states and resources of the moment are metrics.
 *
 *   Instance 23 (runtime) state: none -> ready          none = not there; unknown = as found by the first look
 *   Instance 23 (runtime) has CPUs 8,10 and 4096 MB     mk.instance.resources
 *   Instance 23 (runtime) state: ready -> loaded
 *   Instances 23 (runtime) and 24 (web) are both said to have CPU 8    mk.instance.conflict
 *
 * A change lies between two looks, so its time is the middle between them, ± half of the interval. Changes that come and go
 * between two looks are seen by nobody; the kernel log has them. On a machine without the filesystem nothing is written.
 */
import { messageOf } from '../../base/errors.ts';
import { encodeUtf8 } from '../../base/bytes.ts';
import { ATTR, INSTANCE_ATTR, INSTANCE_CONFLICT_EVENT, INSTANCE_METRIC, RESOURCES_EVENT } from '../../model/attributes.ts';
import { LogBatch } from '../../model/log-batch.ts';
import { MetricBatch, type MetricDefinition } from '../../model/metric-batch.ts';
import type { Sink, Source, SourcePosition, SourceStatus } from '../../model/pipeline.ts';
import {
  CHANGED_MEANWHILE,
  findOverlaps,
  hasInstances,
  listInstances,
  overlayMark,
  readResources,
  type InstanceResources,
  type InstanceStatus,
} from '../instances.ts';
import type { KernelClock } from '../kernel-clock.ts';

export const MULTIKERNEL_STREAM = 'multikernel';
/** Third parties poll as often; an instance lives for seconds at least. */
const LOOK_MS = 1000;
/** Without the filesystem: it may be mounted later. */
const ABSENT_LOOK_MS = 10_000;
const METRICS_LOOKS = 10;
const INFO = 6;
const WARNING = 4;
/** Pairs in conflict that are told at one look. */
const MAX_CONFLICTS = 64;
/** `enum mk_instance_state`; others are -1. */
const STATE_VALUES: Readonly<Record<string, number>> = { empty: 0, ready: 1, loaded: 2, loading: 2, active: 3, failed: 4 };

const STATE: MetricDefinition = {
  name: INSTANCE_METRIC.state,
  description: 'State of an instance as the host kernel says it: 0 empty, 1 ready, 2 loaded, 3 active, 4 failed.',
  unit: '1',
  type: 'gauge',
  integer: true,
};
const CPUS: MetricDefinition = {
  name: INSTANCE_METRIC.cpus,
  description: 'CPUs that an instance owns.',
  unit: '{cpu}',
  type: 'gauge',
  integer: true,
};
const MEMORY: MetricDefinition = {
  name: INSTANCE_METRIC.memory,
  description: 'Memory that an instance owns.',
  unit: 'By',
  type: 'gauge',
  integer: true,
};

export interface MultikernelOptions {
  /** Folder that stands for `/`. */
  readonly root: string;
  readonly bootId: string;
  readonly clock: KernelClock;
  readonly resume: SourcePosition | undefined;
  readonly lookMs?: number;
}

interface Known extends InstanceStatus {
  readonly resources: InstanceResources | undefined;
}

export class MultikernelSource implements Source {
  readonly id = MULTIKERNEL_STREAM;
  readonly #options: MultikernelOptions;
  /** By id and name: both may be used again, not by one another at once. */
  #known = new Map<string, Known>();
  /** States that an earlier run of this boot has told. */
  readonly #told: ReadonlyMap<string, string>;
  #isFirst = true;
  #overlays = '';
  /** Conflicts that were told, and still are. */
  #conflicts: ReadonlySet<string> = new Set();
  #sequence: number;
  #looks = 0;
  #lookedNs = 0n;
  #errors = 0;
  #detail = '';
  #state: SourceStatus['state'] = 'stopped';
  #sink: Sink | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #underway = new Set<Promise<unknown>>();

  constructor(options: MultikernelOptions) {
    this.#options = options;
    const resume = options.resume?.bootId === options.bootId ? options.resume : undefined;
    this.#sequence = resume?.sequence ?? 0;
    this.#told = new Map(Object.entries(resume?.counts ?? {}).map(([key, value]) => [key, STATE_NAMES[value] ?? 'unknown']));
  }

  start(sink: Sink): Promise<void> {
    this.#sink = sink;
    this.#state = 'running';
    this.#look();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#state = 'stopped';
    await Promise.all(this.#underway);
  }

  status(): SourceStatus {
    const streams = [{ stream: MULTIKERNEL_STREAM, cpu: -1, written: this.#sequence, read: this.#sequence, lost: 0 }];
    return { state: this.#state, detail: this.#detail, streams: this.#sequence === 0 ? [] : streams, errors: this.#errors };
  }

  #look(): void {
    const { root, clock, lookMs = LOOK_MS } = this.#options;
    const isThere = hasInstances(root);
    if (isThere) this.#lookAt(clock.nowUnixNs());
    else if (this.#known.size > 0) this.#tell([], clock.nowUnixNs());
    if (!isThere) this.#detail = '';
    this.#state = isThere ? 'running' : 'idle';
    this.#timer = setTimeout(() => this.#look(), isThere ? lookMs : Math.max(lookMs, ABSENT_LOOK_MS)).unref();
  }

  #lookAt(nowNs: bigint): void {
    let found: InstanceStatus[];
    try {
      found = listInstances(this.#options.root);
    } catch (error) {
      this.#errors++;
      this.#detail = `the instances cannot be listed: ${messageOf(error)}`;
      return;
    }
    this.#tell(found, nowNs);
    this.#detail = found.length === 0 ? 'no instances' : found.map(({ id, name, state }) => `${id} ${name} ${state}`).join(', ');
    if (this.#looks++ % METRICS_LOOKS === 0) this.#writeMetrics(nowNs);
  }

  /** Rows for what is not as it was at the last look. */
  #tell(found: readonly InstanceStatus[], nowNs: bigint): void {
    const { root } = this.#options;
    const batch = new LogBatch(16);
    const overlays = overlayMark(root);
    const isMoved = overlays !== this.#overlays;
    const next = new Map<string, Known>();
    for (const one of found) {
      const key = keyOf(one);
      const before = this.#known.get(key);
      const old = before?.state ?? this.#told.get(key) ?? (this.#isFirst ? 'unknown' : 'none');
      if (old !== one.state) addText(batch, toStateText(one, old, one.state));
      const isStale = before === undefined || isMoved || before.state !== one.state || before.resources?.problem === CHANGED_MEANWHILE;
      const resources = isStale ? readResources(root, one) : before.resources;
      if (isStale && resources !== undefined && !isSame(before?.resources, resources)) addResources(batch, one, resources);
      next.set(key, { ...one, resources });
    }
    for (const [key, gone] of this.#known) if (!next.has(key)) addText(batch, toStateText(gone, gone.state, 'none'));
    this.#known = next;
    this.#overlays = overlays;
    this.#tellConflicts(batch);
    this.#hand(batch, nowNs);
    this.#isFirst = false;
    this.#lookedNs = nowNs;
  }

  #tellConflicts(batch: LogBatch): void {
    const read = [...this.#known.values()].flatMap(({ resources, ...status }) => (resources === undefined ? [] : [{ status, resources }]));
    const found = findOverlaps(read).slice(0, MAX_CONFLICTS);
    for (const text of found) {
      if (this.#conflicts.has(text)) continue;
      const row = batch.addText(text, WARNING);
      batch.eventName[row] = batch.strings.internString(INSTANCE_CONFLICT_EVENT);
    }
    this.#conflicts = new Set(found);
  }

  #hand(batch: LogBatch, nowNs: bigint): void {
    if (batch.length === 0) return;
    const sinceNs = this.#lookedNs === 0n ? nowNs : this.#lookedNs;
    const halfNs = (nowNs - sinceNs) / 2n;
    for (let row = 0; row < batch.length; row++) {
      batch.unixTime.setBigint(row, nowNs - halfNs);
      batch.observedTime.setBigint(row, nowNs);
      batch.sequence[row] = this.#sequence++;
    }
    batch.clock = 'unix';
    const position: SourcePosition = {
      bootId: this.#options.bootId,
      sequence: this.#sequence,
      counts: Object.fromEntries([...this.#known].map(([key, { state }]) => [key, STATE_VALUES[state] ?? -1])),
    };
    const record = { kind: 'logs', stream: MULTIKERNEL_STREAM, batch, position, clockErrorNs: Number(halfNs) } as const;
    const written = this.#sink?.write(record) ?? Promise.resolve(false);
    this.#underway.add(written);
    void written.finally(() => this.#underway.delete(written));
  }

  #writeMetrics(nowNs: bigint): void {
    if (this.#known.size === 0) return;
    const batch = new MetricBatch(this.#known.size * 3);
    for (const { id, name, state, resources } of this.#known.values()) {
      const attributes = { [INSTANCE_ATTR.id]: id, [INSTANCE_ATTR.name]: name };
      batch.add(STATE, nowNs, nowNs, STATE_VALUES[state] ?? -1, { ...attributes, [INSTANCE_ATTR.state]: state });
      if (resources === undefined || resources.problem !== '') continue;
      batch.add(CPUS, nowNs, nowNs, resources.cpus.length, attributes);
      batch.add(MEMORY, nowNs, nowNs, Number(resources.memoryBytes), attributes);
    }
    void this.#sink?.write({ kind: 'metrics', batch });
  }
}

/** By value; the older word of two is not used by kernels of today. */
const STATE_NAMES: Readonly<Record<number, string>> = { 0: 'empty', 1: 'ready', 2: 'loaded', 3: 'active', 4: 'failed' };

function keyOf({ id, name }: InstanceStatus): string {
  return `${id} ${name}`;
}

function toStateText({ id, name }: InstanceStatus, before: string, after: string): string {
  return `Instance ${id} (${name}) state: ${before} -> ${after === '' ? 'unknown' : after}`;
}

function addText(batch: LogBatch, text: string): void {
  batch.addText(text, INFO);
}

function addResources(batch: LogBatch, { id, name }: InstanceStatus, resources: InstanceResources): void {
  const { cpus, memoryBytes, memoryBase, devices, image, release, commandLine, loadedAt, problem } = resources;
  const megabytes = memoryBytes >> 20n;
  const text =
    problem === ''
      ? `Instance ${id} (${name}) has ${cpus.length === 0 ? 'no CPUs' : `CPUs ${cpus.join(',')}`} and ${megabytes} MB`
      : `The resources of instance ${id} (${name}) cannot be read: ${problem}`;
  const row = batch.openRow();
  batch.textStart[row] = batch.appendText(encodeUtf8(text));
  batch.textEnd[row] = batch.textLength;
  batch.level[row] = INFO;
  batch.eventName[row] = batch.strings.internString(RESOURCES_EVENT);
  const { attributes } = batch;
  attributes.add(INSTANCE_ATTR.id, id);
  attributes.add(INSTANCE_ATTR.name, name);
  if (problem === '') {
    attributes.add(INSTANCE_ATTR.cpus, cpus.join(','));
    attributes.add(INSTANCE_ATTR.memory, memoryBytes);
    if (memoryBase !== undefined) attributes.add(INSTANCE_ATTR.memoryBase, `0x${memoryBase.toString(16)}`);
    if (devices.length > 0) attributes.add(INSTANCE_ATTR.devices, devices.join(','));
  }
  if (image !== '') attributes.add(INSTANCE_ATTR.image, image);
  if (release !== '') attributes.add(ATTR.osVersion, release);
  if (commandLine !== '') attributes.add(INSTANCE_ATTR.commandLine, commandLine);
  if (loadedAt !== '') attributes.add(INSTANCE_ATTR.loadedAt, loadedAt);
  batch.closeRow();
}

function isSame(before: InstanceResources | undefined, after: InstanceResources): boolean {
  return before !== undefined && toComparable(before) === toComparable(after);
}

function toComparable(resources: InstanceResources): string {
  return JSON.stringify(resources, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}
