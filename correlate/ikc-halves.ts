/**
 * Message halves: what one kernel recorded of a message, its sending or its receiving. Struct of arrays; a half has
 *
 *   sending    ├── claim of the ring's slot, somewhere in here ──┤
 *   timeNs     timeNs + claimNs                    timeNs + endNs          from entry to return
 *   receiving  timeNs                                                      the slot tells its position in the ring
 */
import { Int64Array } from '../base/int64.ts';
import { copyInto } from '../model/log-batch.ts';

export const HALF = { send: 0, receive: 1, failed: 2 } as const;
/** No such number: of a peer, CPU, slot. */
export const NONE = -1;
/** How far before its stamp a sending may have happened where the stamp is that of a line printed afterwards. */
export const PRINTED_LATE_NS = 5_000_000;

export class HalfBatch {
  length = 0;
  capacity: number;
  kind: Uint8Array;
  /** Unix ns of the entry, and the stamp as the kernel wrote it. */
  time: Int64Array;
  raw: Int64Array;
  /** After `time`, ns: earliest moment of the claim, and return; NONE = not recorded. */
  claimNs: Float64Array;
  endNs: Float64Array;
  /** Half-width of the time's bound, ns. */
  errorNs: Float64Array;
  /** Kernel at the other end, where the record names it; else NONE. */
  peer: Int32Array;
  /** Receiving: physical CPU that sent. */
  fromCpu: Int32Array;
  type: Uint32Array;
  /** NO_SUBTYPE = not recorded. */
  subtype: Uint32Array;
  messageBytes: Uint32Array;
  /** Hash of further key fields. */
  key: Uint32Array;
  /** Which of several rings or links of the two kernels; 0 where there is one. */
  queue: Uint32Array;
  slot: Int16Array;
  /** Ring positions since the receiver's last record that no record names; NONE = not known. */
  missing: Int16Array;
  /** Below 0: -errno; 0 = sent; 1 = the return was not recorded. */
  error: Int16Array;
  pid: Int32Array;
  cpu: Uint16Array;
  /** Index of the pack. */
  pack: Uint8Array;
  /** 1 = from a printk line instead of a probe. */
  printed: Uint8Array;
  /** Id words: the half's own, and that of the exchange it belongs to (0 0 = none). */
  id: Uint32Array;
  exchange: Uint32Array;

  constructor(capacity = 256) {
    this.capacity = capacity;
    this.kind = new Uint8Array(capacity);
    this.time = new Int64Array(capacity);
    this.raw = new Int64Array(capacity);
    this.claimNs = new Float64Array(capacity);
    this.endNs = new Float64Array(capacity);
    this.errorNs = new Float64Array(capacity);
    this.peer = new Int32Array(capacity);
    this.fromCpu = new Int32Array(capacity);
    this.type = new Uint32Array(capacity);
    this.subtype = new Uint32Array(capacity);
    this.messageBytes = new Uint32Array(capacity);
    this.key = new Uint32Array(capacity);
    this.queue = new Uint32Array(capacity);
    this.slot = new Int16Array(capacity);
    this.missing = new Int16Array(capacity);
    this.error = new Int16Array(capacity);
    this.pid = new Int32Array(capacity);
    this.cpu = new Uint16Array(capacity);
    this.pack = new Uint8Array(capacity);
    this.printed = new Uint8Array(capacity);
    this.id = new Uint32Array(capacity * 2);
    this.exchange = new Uint32Array(capacity * 2);
  }

  /** Index of a new row; what is not set in it is of the row's last use. */
  openRow(): number {
    if (this.length === this.capacity) this.#grow();
    return this.length++;
  }

  /** Copies a row of another batch, or of this one, into row `to`. */
  copyRow(to: number, source: HalfBatch, from: number): void {
    this.kind[to] = source.kind[from] as number;
    this.time.words[to * 2] = source.time.words[from * 2] as number;
    this.time.words[to * 2 + 1] = source.time.words[from * 2 + 1] as number;
    this.raw.words[to * 2] = source.raw.words[from * 2] as number;
    this.raw.words[to * 2 + 1] = source.raw.words[from * 2 + 1] as number;
    this.claimNs[to] = source.claimNs[from] as number;
    this.endNs[to] = source.endNs[from] as number;
    this.errorNs[to] = source.errorNs[from] as number;
    this.peer[to] = source.peer[from] as number;
    this.fromCpu[to] = source.fromCpu[from] as number;
    this.type[to] = source.type[from] as number;
    this.subtype[to] = source.subtype[from] as number;
    this.messageBytes[to] = source.messageBytes[from] as number;
    this.key[to] = source.key[from] as number;
    this.queue[to] = source.queue[from] as number;
    this.slot[to] = source.slot[from] as number;
    this.missing[to] = source.missing[from] as number;
    this.error[to] = source.error[from] as number;
    this.pid[to] = source.pid[from] as number;
    this.cpu[to] = source.cpu[from] as number;
    this.pack[to] = source.pack[from] as number;
    this.printed[to] = source.printed[from] as number;
    this.id[to * 2] = source.id[from * 2] as number;
    this.id[to * 2 + 1] = source.id[from * 2 + 1] as number;
    this.exchange[to * 2] = source.exchange[from * 2] as number;
    this.exchange[to * 2 + 1] = source.exchange[from * 2 + 1] as number;
  }

  #grow(): void {
    const capacity = this.capacity * 2;
    this.kind = copyInto(new Uint8Array(capacity), this.kind);
    this.time = this.time.grow(capacity);
    this.raw = this.raw.grow(capacity);
    this.claimNs = copyInto(new Float64Array(capacity), this.claimNs);
    this.endNs = copyInto(new Float64Array(capacity), this.endNs);
    this.errorNs = copyInto(new Float64Array(capacity), this.errorNs);
    this.peer = copyInto(new Int32Array(capacity), this.peer);
    this.fromCpu = copyInto(new Int32Array(capacity), this.fromCpu);
    this.type = copyInto(new Uint32Array(capacity), this.type);
    this.subtype = copyInto(new Uint32Array(capacity), this.subtype);
    this.messageBytes = copyInto(new Uint32Array(capacity), this.messageBytes);
    this.key = copyInto(new Uint32Array(capacity), this.key);
    this.queue = copyInto(new Uint32Array(capacity), this.queue);
    this.slot = copyInto(new Int16Array(capacity), this.slot);
    this.missing = copyInto(new Int16Array(capacity), this.missing);
    this.error = copyInto(new Int16Array(capacity), this.error);
    this.pid = copyInto(new Int32Array(capacity), this.pid);
    this.cpu = copyInto(new Uint16Array(capacity), this.cpu);
    this.pack = copyInto(new Uint8Array(capacity), this.pack);
    this.printed = copyInto(new Uint8Array(capacity), this.printed);
    this.id = copyInto(new Uint32Array(capacity * 2), this.id);
    this.exchange = copyInto(new Uint32Array(capacity * 2), this.exchange);
    this.capacity = capacity;
  }
}
