/**
 * Records of /dev/kmsg between the kernel's ring and the sink, bounded in bytes: the source drains the ring at the kernel's
 * pace, however slow the sink is. When the bound is reached the least severe record goes first, of these the oldest; what
 * goes is counted.
 */
export interface QueuedRecord {
  readonly bytes: Uint8Array;
  readonly sequence: number;
  readonly level: number;
  readonly micros: number;
}

export interface QueueDrop {
  count: number;
  fromMicros: number;
  toMicros: number;
}

const LEVELS = 8;

export class KmsgQueue {
  readonly #maxBytes: number;
  #records: (QueuedRecord | undefined)[] = [];
  /** Indexes into `#records` by level, oldest first. */
  readonly #byLevel: number[][] = Array.from({ length: LEVELS }, () => []);
  #bytes = 0;
  #count = 0;
  #drop: QueueDrop | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get length(): number {
    return this.#count;
  }

  push(record: QueuedRecord): void {
    (this.#byLevel[record.level & 7] as number[]).push(this.#records.length);
    this.#records.push(record);
    this.#bytes += record.bytes.length;
    this.#count++;
    while (this.#bytes > this.#maxBytes) this.#evict();
  }

  /** Takes up to `maxRecords` of the oldest records out, in order. */
  take(maxRecords: number): QueuedRecord[] {
    const taken: QueuedRecord[] = [];
    let at = 0;
    for (; at < this.#records.length && taken.length < maxRecords; at++) {
      const record = this.#records[at];
      if (record === undefined) continue;
      taken.push(record);
      this.#bytes -= record.bytes.length;
      this.#count--;
    }
    this.#records = this.#records.slice(at);
    for (const list of this.#byLevel) list.length = 0;
    this.#records.forEach((record, index) => {
      if (record !== undefined) (this.#byLevel[record.level & 7] as number[]).push(index);
    });
    return taken;
  }

  /** What was dropped since the last call. */
  takeDrop(): QueueDrop | undefined {
    const drop = this.#drop;
    this.#drop = undefined;
    return drop;
  }

  #evict(): void {
    for (let level = LEVELS - 1; level >= 0; level--) {
      const index = (this.#byLevel[level] as number[]).shift();
      if (index === undefined) continue;
      const { bytes, micros } = this.#records[index] as QueuedRecord;
      this.#records[index] = undefined;
      this.#bytes -= bytes.length;
      this.#count--;
      this.#drop ??= { count: 0, fromMicros: micros, toMicros: micros };
      this.#drop.count++;
      this.#drop.fromMicros = Math.min(this.#drop.fromMicros, micros);
      this.#drop.toMicros = Math.max(this.#drop.toMicros, micros);
      return;
    }
  }
}
