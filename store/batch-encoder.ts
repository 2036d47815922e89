/** A batch of the hub as Native blocks, one buffer for each table it has rows for. */
import { ByteWriter } from '../base/bytes.ts';
import { writeClockFits } from './clock-rows.ts';
import { DayGuard } from './day-guard.ts';
import { encodeEventPart, type DayOf } from './event-part.ts';
import { writeEvents, writeFormats, type EventRows } from './event-rows.ts';
import { nextStamp, type SpoolPart } from './generation.ts';
import { writeGaps, writeSightings } from './kernel-rows.ts';
import { writeIncidents } from './incident-rows.ts';
import { writeLogs } from './log-rows.ts';
import { METRIC_TABLES, writeMetrics } from './metric-rows.ts';
import { writeExchanges, writeMessages } from './ikc-rows.ts';
import { EventTexts } from './event-texts.ts';
import { NativeWriter } from './native.ts';
import { writeRecording, writeRecordingTexts, writeVcpuThreads } from './recording-rows.ts';
import { writeSpans } from './span-rows.ts';
import type { KernelSighting, StoreBatch } from './store.ts';
import type { Column } from './table-columns.ts';

export interface EncodedBatch {
  /** Views into the encoder's buffers: valid until the next `encode`. */
  readonly blocks: ReadonlyMap<string, Uint8Array>;
  /** Rows that are in no block. */
  readonly parts: readonly SpoolPart[];
  /** Call when the blocks are safe: what they introduce need not be written again. */
  commit(): void;
}

/** What is needed to write events as parts. */
export interface EventParts {
  readonly columns: readonly Column[];
  readonly dayOf: DayOf;
}

/** Fewer events are inserted: a part costs ClickHouse some ms whatever its size, and merges. */
const LEAST_PART_ROWS = 65_536;
/** A sighting adds nothing to one of the same incarnation this shortly before it. */
const SIGHTING_STEP_NS = 1_000_000_000n;
/** Buffers that an unusually large batch blew up are given back. */
const KEEP_BYTES = 16 << 20;

export class BatchEncoder {
  readonly #texts = new EventTexts();
  readonly #writers = new Map<string, NativeWriter>();
  readonly #formats: Set<bigint>;
  readonly #seen = new Map<string, bigint>();
  readonly #days = new DayGuard();

  readonly #eventParts: EventParts | undefined;

  /** `formats`: ids of event formats that are stored already. Without `eventParts` all rows become blocks. */
  constructor(formats: Iterable<bigint>, eventParts: EventParts | undefined) {
    this.#formats = new Set(formats);
    this.#eventParts = eventParts;
  }

  /** Throws E_REQUEST for times that would shred the tables. */
  encode(batch: StoreBatch): EncodedBatch {
    for (const [table, writer] of this.#writers) {
      if (writer.out.bytes.length > KEEP_BYTES) this.#writers.delete(table);
      else writer.out.reset();
    }
    this.#refuseManyDays(batch);
    for (const { resource, scope, batch: logs } of batch.logs ?? []) writeLogs(this.#writer('otel_logs'), resource, scope, logs);
    for (const { resource, scope, batch: spans } of batch.spans ?? []) writeSpans(this.#writer('otel_traces'), resource, scope, spans);
    for (const { resource, scope, batch: points } of batch.metrics ?? []) {
      for (const { type, table } of METRIC_TABLES) writeMetrics(this.#writer(table), type, resource, scope, points);
    }
    const fresh = new Set<bigint>();
    const commits: (() => void)[] = [];
    const parts: SpoolPart[] = [];
    for (const rows of batch.events ?? []) {
      const part = this.#toPart(rows);
      if (part === undefined) writeEvents(this.#writer('events'), rows);
      else parts.push(part);
      writeFormats(this.#writer('event_formats'), rows.batch, this.#formats, fresh);
      if (rows.formats === undefined) continue;
      const { bootId } = rows.identity;
      commits.push(this.#texts.write(this.#writer('event_texts'), this.#writer('page_layouts'), bootId, rows.batch, rows.formats));
    }
    for (const texts of batch.recordingTexts ?? []) writeRecordingTexts(this.#writer('recording_texts'), texts);
    for (const { identity, gaps } of batch.gaps ?? []) writeGaps(this.#writer('gaps'), identity, gaps);
    for (const rows of batch.messages ?? []) writeMessages(this.#writer('ikc_messages'), rows);
    for (const rows of batch.exchanges ?? []) writeExchanges(this.#writer('ikc_exchanges'), rows);
    for (const recording of batch.recordings ?? []) {
      writeRecording(this.#writer('recordings'), recording);
      writeVcpuThreads(this.#writer('vcpu_threads'), recording);
    }
    for (const { identity, rows } of batch.clockFits ?? []) writeClockFits(this.#writer('clock_fits'), identity, rows);
    writeIncidents(this.#writer('incidents'), batch.incidents ?? []);
    const sightings = this.#freshSightings(batch.kernels ?? []);
    writeSightings(this.#writer('kernels'), sightings);
    return { blocks: this.#blocks(), parts, commit: () => this.#commit(fresh, sightings, commits) };
  }

  #toPart(rows: EventRows): SpoolPart | undefined {
    if (this.#eventParts === undefined || rows.batch.length < LEAST_PART_ROWS) return undefined;
    const storedNs = nextStamp();
    const part = encodeEventPart(rows, storedNs, this.#eventParts.columns, this.#eventParts.dayOf);
    return part === undefined ? undefined : { table: 'events', storedNs, ...part };
  }

  #refuseManyDays(batch: StoreBatch): void {
    const days = this.#days;
    days.reset();
    for (const { batch: logs } of batch.logs ?? []) days.count(logs.unixTime, logs.length);
    for (const { batch: spans } of batch.spans ?? []) days.count(spans.startTime, spans.length);
    for (const { batch: points } of batch.metrics ?? []) days.count(points.time, points.length);
    for (const { batch: events } of batch.events ?? []) for (const table of events.tables) days.count(table.unixTime, table.length);
  }

  #commit(formats: ReadonlySet<bigint>, sightings: readonly KernelSighting[], commits: readonly (() => void)[]): void {
    for (const commit of commits) commit();
    for (const format of formats) this.#formats.add(format);
    for (const sighting of sightings) this.#seen.set(keyOf(sighting), sighting.seenUnixNs);
  }

  #freshSightings(sightings: readonly KernelSighting[]): KernelSighting[] {
    return sightings.filter((sighting) => {
      const before = this.#seen.get(keyOf(sighting));
      return before === undefined || sighting.seenUnixNs < before || sighting.seenUnixNs - before >= SIGHTING_STEP_NS;
    });
  }

  #writer(table: string): NativeWriter {
    const known = this.#writers.get(table);
    if (known !== undefined) return known;
    const writer = new NativeWriter(new ByteWriter(1 << 14));
    this.#writers.set(table, writer);
    return writer;
  }

  #blocks(): Map<string, Uint8Array> {
    const blocks = new Map<string, Uint8Array>();
    for (const [table, { out }] of this.#writers) if (out.length > 0) blocks.set(table, out.view());
    return blocks;
  }
}

function keyOf({ identity, origin }: KernelSighting): string {
  return `${identity.machineId}\n${identity.kernelId}\n${identity.bootId}\n${identity.kernelName}\n${identity.release}\n${origin}`;
}
