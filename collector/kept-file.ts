/** One file of the flight recorder, and what is known of its records in memory: 29 bytes each, of which there may be 100,000. */
import { existsSync, rmSync } from 'node:fs';
import { RecordLog, type RecordPosition } from '../base/record-log.ts';

const FIRST_CAPACITY = 64;
const MARK_BYTES = 4;

export class KeptFile {
  /** Number of its first record. */
  readonly first: number;
  readonly log: RecordLog;
  length = 0;
  #fromMs = new Float64Array(FIRST_CAPACITY);
  #toMs = new Float64Array(FIRST_CAPACITY);
  #offset = new Uint32Array(FIRST_CAPACITY);
  #bytes = new Uint32Array(FIRST_CAPACITY);
  #events = new Uint32Array(FIRST_CAPACITY);
  #sent = new Uint8Array(FIRST_CAPACITY);
  readonly #marksPath: string;
  #marks: RecordLog | undefined;

  private constructor(first: number, log: RecordLog, marksPath: string) {
    this.first = first;
    this.log = log;
    this.#marksPath = marksPath;
  }

  static open(path: string, first: number): KeptFile {
    return new KeptFile(first, RecordLog.open(path), `${path.slice(0, -'.log'.length)}.sent`);
  }

  /** Reads the marks of an earlier run; the records themselves are noted by whoever reads them. */
  recoverMarks(): void {
    if (!existsSync(this.#marksPath)) return;
    const marks = this.#openMarks();
    for (const position of marks.recovered) {
      const mark = marks.read(position);
      const index = mark.length === MARK_BYTES ? new DataView(mark.buffer).getUint32(0, true) : this.length;
      // A mark of a record that was torn and cut is none.
      if (index < this.length) this.#sent[index] = 1;
    }
  }

  get sizeBytes(): number {
    return this.log.sizeBytes + (this.#marks?.sizeBytes ?? 0);
  }

  note(fromMs: number, toMs: number, events: number, { offset, length }: RecordPosition): void {
    if (this.length === this.#sent.length) this.#grow();
    const at = this.length++;
    this.#fromMs[at] = fromMs;
    this.#toMs[at] = toMs;
    this.#offset[at] = offset;
    this.#bytes[at] = length;
    this.#events[at] = events;
  }

  fromMs(index: number): number {
    return this.#fromMs[index] as number;
  }

  toMs(index: number): number {
    return this.#toMs[index] as number;
  }

  events(index: number): number {
    return this.#events[index] as number;
  }

  isSent(index: number): boolean {
    return this.#sent[index] === 1;
  }

  read(index: number): Uint8Array<ArrayBuffer> {
    return this.log.read({ offset: this.#offset[index] as number, length: this.#bytes[index] as number });
  }

  /** On disk before it is true. */
  mark(index: number): void {
    const mark = new Uint8Array(MARK_BYTES);
    new DataView(mark.buffer).setUint32(0, index, true);
    this.#openMarks().append(mark);
    this.#sent[index] = 1;
  }

  close(): void {
    this.log.close();
    this.#marks?.close();
  }

  remove(): void {
    this.close();
    rmSync(this.#marksPath, { force: true });
    rmSync(this.log.path, { force: true });
  }

  #openMarks(): RecordLog {
    this.#marks ??= RecordLog.open(this.#marksPath);
    return this.#marks;
  }

  #grow(): void {
    const capacity = this.#sent.length * 2;
    const copy = <Column extends Float64Array | Uint32Array | Uint8Array>(to: Column, from: Column): Column => {
      to.set(from);
      return to;
    };
    this.#fromMs = copy(new Float64Array(capacity), this.#fromMs);
    this.#toMs = copy(new Float64Array(capacity), this.#toMs);
    this.#offset = copy(new Uint32Array(capacity), this.#offset);
    this.#bytes = copy(new Uint32Array(capacity), this.#bytes);
    this.#events = copy(new Uint32Array(capacity), this.#events);
    this.#sent = copy(new Uint8Array(capacity), this.#sent);
  }
}
