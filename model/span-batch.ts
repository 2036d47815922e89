/** Spans of one resource and scope, struct of arrays; ids are raw bytes. */
import { Int64Array } from '../base/int64.ts';
import { Interner } from '../base/interner.ts';
import { AttributeColumns } from './attribute-columns.ts';
import { copyInto } from './log-batch.ts';

/** OTLP span kinds. */
export const SPAN_KIND = { unspecified: 0, internal: 1, server: 2, client: 3, producer: 4, consumer: 5 } as const;

export class SpanBatch {
  length = 0;
  capacity: number;
  /** 16 bytes per row. */
  traceId: Uint8Array;
  /** 8 bytes per row. */
  spanId: Uint8Array;
  /** 8 bytes per row; all zero = root. */
  parentSpanId: Uint8Array;
  traceFlags: Uint32Array;
  /** Dictionary ids. */
  traceState: Uint32Array;
  name: Uint32Array;
  statusMessage: Uint32Array;
  kind: Uint8Array;
  /** OTLP status code: 0 unset, 1 ok, 2 error. */
  statusCode: Uint8Array;
  /** Unix ns. */
  startTime: Int64Array;
  endTime: Int64Array;

  readonly strings = new Interner();
  readonly attributes = new AttributeColumns(this.strings);
  readonly events = new SpanEventColumns(this.strings);
  readonly links = new SpanLinkColumns(this.strings);

  constructor(capacity = 256) {
    this.capacity = capacity;
    this.traceId = new Uint8Array(capacity * 16);
    this.spanId = new Uint8Array(capacity * 8);
    this.parentSpanId = new Uint8Array(capacity * 8);
    this.traceFlags = new Uint32Array(capacity);
    this.traceState = new Uint32Array(capacity);
    this.name = new Uint32Array(capacity);
    this.statusMessage = new Uint32Array(capacity);
    this.kind = new Uint8Array(capacity);
    this.statusCode = new Uint8Array(capacity);
    this.startTime = new Int64Array(capacity);
    this.endTime = new Int64Array(capacity);
  }

  /** Starts a row of zeros and returns its index; `closeRow` ends it (attributes, events and links belong to the open row). */
  openRow(): number {
    const row = this.length++;
    if (row === this.capacity) this.#grow();
    return row;
  }

  closeRow(): void {
    this.attributes.closeRow();
    this.events.closeRow();
    this.links.closeRow();
  }

  get sizeBytes(): number {
    return this.length * 96 + (this.attributes.pairs + this.events.attributes.pairs + this.links.attributes.pairs) * 25;
  }

  #grow(): void {
    const capacity = this.capacity * 2;
    this.traceId = copyInto(new Uint8Array(capacity * 16), this.traceId);
    this.spanId = copyInto(new Uint8Array(capacity * 8), this.spanId);
    this.parentSpanId = copyInto(new Uint8Array(capacity * 8), this.parentSpanId);
    this.traceFlags = copyInto(new Uint32Array(capacity), this.traceFlags);
    this.traceState = copyInto(new Uint32Array(capacity), this.traceState);
    this.name = copyInto(new Uint32Array(capacity), this.name);
    this.statusMessage = copyInto(new Uint32Array(capacity), this.statusMessage);
    this.kind = copyInto(new Uint8Array(capacity), this.kind);
    this.statusCode = copyInto(new Uint8Array(capacity), this.statusCode);
    this.startTime = this.startTime.grow(capacity);
    this.endTime = this.endTime.grow(capacity);
    this.capacity = capacity;
  }
}

/** Span events: those of span s are `[offsets[s], offsets[s + 1])`. Rare beside spans, so plain arrays. */
export class SpanEventColumns {
  readonly offsets: number[] = [0];
  readonly timeNs: bigint[] = [];
  /** Dictionary ids. */
  readonly name: number[] = [];
  readonly attributes: AttributeColumns;

  constructor(strings: Interner) {
    this.attributes = new AttributeColumns(strings);
  }

  /** Adds an event to the open span; its attributes were added to `attributes` before. */
  add(timeNs: bigint, name: number): void {
    this.timeNs.push(timeNs);
    this.name.push(name);
    this.attributes.closeRow();
  }

  closeRow(): void {
    this.offsets.push(this.timeNs.length);
  }
}

/** Span links: those of span s are `[offsets[s], offsets[s + 1])`. */
export class SpanLinkColumns {
  readonly offsets: number[] = [0];
  /** 16 and 8 bytes each. */
  readonly traceId: Uint8Array[] = [];
  readonly spanId: Uint8Array[] = [];
  /** Dictionary ids. */
  readonly traceState: number[] = [];
  readonly attributes: AttributeColumns;

  constructor(strings: Interner) {
    this.attributes = new AttributeColumns(strings);
  }

  /** Adds a link to the open span; its attributes were added to `attributes` before. */
  add(traceId: Uint8Array, spanId: Uint8Array, traceState: number): void {
    this.traceId.push(traceId);
    this.spanId.push(spanId);
    this.traceState.push(traceState);
    this.attributes.closeRow();
  }

  closeRow(): void {
    this.offsets.push(this.traceId.length);
  }
}
