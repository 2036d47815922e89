/** Messages between kernels as they are stored: a sending, a receiving, or both. Struct of arrays; ids are raw bytes. */
import { Int64Array } from '../base/int64.ts';
import { copyInto } from './log-batch.ts';

/** Later ones replace earlier ones of the same message. */
export const MESSAGE_STATES = ['waiting', 'unmatched', 'failed', 'matched', 'superseded'] as const;
export type MessageState = (typeof MESSAGE_STATES)[number];
export const MESSAGE_STATE = { waiting: 0, unmatched: 1, failed: 2, matched: 3, superseded: 4 } as const satisfies Record<
  MessageState,
  number
>;

/** Why a message has one end only; the texts are for people. */
export const MESSAGE_REASONS = {
  '': '',
  in_flight: 'the other end has not been heard that far',
  send_failed: 'the sender’s kernel refused it',
  lost_record: 'the other end’s record was lost',
  not_received: 'the receiver’s records are whole there, and it is not among them',
  kernel_died: 'the receiver ended before it took it out',
  no_peer_collector: 'nobody records messages at the other end',
  unknown_sender: 'nobody knows whose the sender’s CPU was',
} as const;
export type MessageReason = keyof typeof MESSAGE_REASONS;
export const MESSAGE_REASON_NAMES = Object.keys(MESSAGE_REASONS) as readonly MessageReason[];

/** What was written of a message: one bit for each span. */
export const MESSAGE_SPANS = { producer: 1, consumer: 2 } as const;

/** A request that waited for its answer, as it is stored. */
export interface IkcExchangeRow {
  /** 16 hexadecimal digits; the trace's 32. */
  readonly exchangeId: string;
  readonly traceId: string;
  /** -1 = not known. */
  readonly responderId: number;
  readonly system: string;
  readonly type: number;
  readonly operation: number;
  readonly operationName: string;
  readonly resource: bigint;
  readonly state: 'answered' | 'timeout' | 'open';
  readonly result: number;
  readonly startNs: bigint;
  /** Unix ns; 0 = not recorded. */
  readonly endNs: bigint;
  readonly answerNs: bigint;
  readonly errorNs: number;
}

export class MessageBatch {
  length = 0;
  capacity: number;
  /** 8 bytes each: the message's (that of its first half), of the two halves, and of its exchange (0 = none). */
  id: Uint8Array;
  sendId: Uint8Array;
  receiveId: Uint8Array;
  exchangeId: Uint8Array;
  /** Indices of incarnations, -1 = not known: whoever made the batch has the list. */
  sender: Int32Array;
  receiver: Int32Array;
  /** Kernel ids, -1 = not known. */
  senderId: Int32Array;
  receiverId: Int32Array;
  /** Unix ns; 0 = not recorded. */
  sendTime: Int64Array;
  receiveTime: Int64Array;
  /** Stamps as the kernels wrote them, on their trace clocks; 0 = not known. */
  sendRaw: Int64Array;
  receiveRaw: Int64Array;
  /** How long the sender's call took, ns; -1 = not recorded. */
  sendNs: Float64Array;
  /** Half-widths of the bounds, ns; -1 = not recorded. */
  sendErrorNs: Float64Array;
  receiveErrorNs: Float64Array;
  type: Uint32Array;
  subtype: Uint32Array;
  payloadBytes: Uint32Array;
  slot: Int16Array;
  missing: Int16Array;
  errno: Int16Array;
  sendPid: Int32Array;
  sendCpu: Int32Array;
  receiveCpu: Int32Array;
  /** Physical CPU that sent, as the receiver saw it; -1 = not recorded. */
  fromCpu: Int32Array;
  confidence: Float64Array;
  state: Uint8Array;
  /** Index into MESSAGE_REASON_NAMES. */
  reason: Uint8Array;
  /** Nothing that comes will change it. */
  isFinal: Uint8Array;
  /** Index of the pack. */
  pack: Uint8Array;
  /** 1 = an end is known from a printk line. */
  isPrinted: Uint8Array;
  /** Bits of MESSAGE_SPANS that are written already, or with this row. */
  spans: Uint8Array;
  /** 1 = it answers the request of its exchange. */
  isAnswer: Uint8Array;
  /** Hash of further key fields. */
  key: Uint32Array;
  /** Which of several rings or links of the two kernels; 0 where there is one. */
  queue: Uint32Array;

  constructor(capacity = 256) {
    this.capacity = capacity;
    this.id = new Uint8Array(capacity * 8);
    this.sendId = new Uint8Array(capacity * 8);
    this.receiveId = new Uint8Array(capacity * 8);
    this.exchangeId = new Uint8Array(capacity * 8);
    this.sender = new Int32Array(capacity);
    this.receiver = new Int32Array(capacity);
    this.senderId = new Int32Array(capacity);
    this.receiverId = new Int32Array(capacity);
    this.sendTime = new Int64Array(capacity);
    this.receiveTime = new Int64Array(capacity);
    this.sendRaw = new Int64Array(capacity);
    this.receiveRaw = new Int64Array(capacity);
    this.sendNs = new Float64Array(capacity);
    this.sendErrorNs = new Float64Array(capacity);
    this.receiveErrorNs = new Float64Array(capacity);
    this.type = new Uint32Array(capacity);
    this.subtype = new Uint32Array(capacity);
    this.payloadBytes = new Uint32Array(capacity);
    this.slot = new Int16Array(capacity);
    this.missing = new Int16Array(capacity);
    this.errno = new Int16Array(capacity);
    this.sendPid = new Int32Array(capacity);
    this.sendCpu = new Int32Array(capacity);
    this.receiveCpu = new Int32Array(capacity);
    this.fromCpu = new Int32Array(capacity);
    this.confidence = new Float64Array(capacity);
    this.state = new Uint8Array(capacity);
    this.reason = new Uint8Array(capacity);
    this.isFinal = new Uint8Array(capacity);
    this.pack = new Uint8Array(capacity);
    this.isPrinted = new Uint8Array(capacity);
    this.spans = new Uint8Array(capacity);
    this.isAnswer = new Uint8Array(capacity);
    this.key = new Uint32Array(capacity);
    this.queue = new Uint32Array(capacity);
  }

  /** Index of a new row; every column of it is the caller's to set. */
  openRow(): number {
    if (this.length === this.capacity) this.#grow();
    return this.length++;
  }

  /** Forgets the rows and keeps their memory. */
  clear(): void {
    this.length = 0;
  }

  #grow(): void {
    const capacity = this.capacity * 2;
    const old = new Map(Object.entries(this));
    const fresh = new MessageBatch(capacity);
    for (const [name, column] of Object.entries(fresh) as [keyof MessageBatch, unknown][]) {
      const before: unknown = old.get(name);
      if (column instanceof Int64Array && before instanceof Int64Array) column.words.set(before.words);
      else if (isColumn(column) && isColumn(before)) copyInto(column, before);
    }
    Object.assign(this, fresh, { length: this.length, capacity });
  }
}

function isColumn(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value);
}
