/**
 * Messages and exchanges as spans, one batch for each incarnation:
 *
 *   CLIENT    requester   request RESOURCE/MEM_ADD spawn1     pend_add … end of the wait
 *   PRODUCER  requester   └ send spawn1                       the call that sends
 *   CONSUMER  responder     └ process spawn1                  the moment it was taken out; linked to the sending as well
 *   SERVER    responder   └ answer RESOURCE/MEM_ADD           request taken out … answer sent
 *   PRODUCER  responder     └ send host
 *   CONSUMER  requester       └ process host
 *
 * A message that is no part of an exchange is a trace of its own. Ids are made of those of the halves, so a second run makes the
 * same ones. Nothing is received before it is sent: where the times say so within their bounds, the span begins with the sending.
 */
import { toHex } from '../base/bytes.ts';
import { mixWords } from '../correlate/ikc-ids.ts';
import { ATTR } from '../model/attributes.ts';
import { MESSAGE_REASON_NAMES, MESSAGE_SPANS, MESSAGE_STATE, type IkcExchangeRow, type MessageBatch } from '../model/ikc-message.ts';
import type { KernelIdentity } from '../model/identity.ts';
import { SPAN_KIND, SpanBatch } from '../model/span-batch.ts';

/** OTLP status. */
const OK = 1;
const ERROR = 2;
const ERRNO_NAMES: Readonly<Record<number, string>> = {
  12: 'ENOMEM',
  16: 'EBUSY',
  19: 'ENODEV',
  22: 'EINVAL',
  28: 'ENOSPC',
  90: 'EMSGSIZE',
  110: 'ETIMEDOUT',
};
const SERVER_TAG = 0x5345_5256;

export interface MessageNames {
  readonly kernels: readonly KernelIdentity[];
  readonly packs: readonly string[];
  readonly typeNames: readonly string[];
  readonly subtypeNames: readonly string[];
}

/** Spans by incarnation (its index), as they are filled. */
export class SpanSheets {
  readonly sheets = new Map<number, SpanBatch>();

  of(kernel: number): SpanBatch {
    const known = this.sheets.get(kernel);
    if (known !== undefined) return known;
    const made = new SpanBatch();
    this.sheets.set(kernel, made);
    return made;
  }
}

/** Sixteen bytes of a trace from the eight of the half or exchange that it begins with. */
export function writeTraceId(to: Uint8Array, at: number, from: Uint8Array, fromAt: number): void {
  to.set(from.subarray(fromAt, fromAt + 8), at);
  const words = new DataView(from.buffer, from.byteOffset + fromAt, 8);
  const view = new DataView(to.buffer, to.byteOffset + at, 16);
  view.setUint32(8, mixWords(0x6d6b, words.getUint32(0), words.getUint32(4), 2));
  view.setUint32(12, mixWords(0x6963, words.getUint32(0), words.getUint32(4), 3));
}

/** The SERVER span of an exchange. */
export function toServerSpanId(exchangeId: Uint8Array, at = 0): Uint8Array {
  const words = new DataView(exchangeId.buffer, exchangeId.byteOffset + at, 8);
  const id = new Uint8Array(8);
  const view = new DataView(id.buffer);
  view.setUint32(0, mixWords(SERVER_TAG, words.getUint32(0), words.getUint32(4), 0));
  view.setUint32(4, mixWords(SERVER_TAG, words.getUint32(0), words.getUint32(4), 1));
  return id;
}

export function hasId(ids: Uint8Array, at: number): boolean {
  for (let byte = at; byte < at + 8; byte++) if (ids[byte] !== 0) return true;
  return false;
}

/** Adds the spans of a row that are not written yet, and notes in the row that they are. */
export function addMessageSpans(batch: MessageBatch, row: number, traceId: Uint8Array, names: MessageNames, sheets: SpanSheets): void {
  const state = batch.state[row] as number;
  const written = batch.spans[row] as number;
  const isMatched = state === MESSAGE_STATE.matched;
  const isSent = hasId(batch.sendId, row * 8);
  const wantsProducer = isSent && (isMatched || state === MESSAGE_STATE.failed || state === MESSAGE_STATE.unmatched);
  const wantsConsumer = isMatched || (!isSent && state === MESSAGE_STATE.unmatched && batch.isFinal[row] === 1);
  const [sender, receiver] = [batch.sender[row] as number, batch.receiver[row] as number];
  if (wantsProducer && (written & MESSAGE_SPANS.producer) === 0 && sender >= 0) {
    addProducer(batch, row, traceId, names, sheets.of(sender));
    batch.spans[row] = (batch.spans[row] as number) | MESSAGE_SPANS.producer;
  }
  if (wantsConsumer && receiver >= 0) {
    addConsumer(batch, row, traceId, names, sheets.of(receiver));
    batch.spans[row] = (batch.spans[row] as number) | MESSAGE_SPANS.consumer;
  }
}

function addProducer(batch: MessageBatch, row: number, traceId: Uint8Array, names: MessageNames, spans: SpanBatch): void {
  const at = spans.openRow();
  const receiver = nameOf(names, batch.receiver[row] as number, batch.receiverId[row] as number);
  spans.traceId.set(traceId.subarray(row * 16, row * 16 + 16), at * 16);
  spans.spanId.set(batch.sendId.subarray(row * 8, row * 8 + 8), at * 8);
  if (hasId(batch.exchangeId, row * 8)) {
    const parent = batch.isAnswer[row] === 1 ? toServerSpanId(batch.exchangeId, row * 8) : batch.exchangeId.subarray(row * 8, row * 8 + 8);
    spans.parentSpanId.set(parent, at * 8);
  }
  spans.name[at] = spans.strings.internString(`send ${receiver}`);
  spans.kind[at] = SPAN_KIND.producer;
  const startNs = batch.sendTime.getBigint(row);
  spans.startTime.setBigint(at, startNs);
  spans.endTime.setBigint(at, startNs + BigInt(Math.max(0, Math.round(batch.sendNs[row] as number))));
  addShared(batch, row, names, spans, 'send', receiver);
  spans.attributes.add(ATTR.threadId, batch.sendPid[row] as number);
  spans.attributes.add(ATTR.cpu, batch.sendCpu[row] as number);
  spans.attributes.add(ATTR.clockError, Math.round(batch.sendErrorNs[row] as number));
  const errno = -(batch.errno[row] as number);
  if (errno > 0) {
    spans.statusCode[at] = ERROR;
    const name = ERRNO_NAMES[errno] ?? `errno ${errno}`;
    spans.statusMessage[at] = spans.strings.internString(name);
    spans.attributes.add('error.type', name);
  }
  spans.closeRow();
}

function addConsumer(batch: MessageBatch, row: number, traceId: Uint8Array, names: MessageNames, spans: SpanBatch): void {
  const at = spans.openRow();
  const receiver = nameOf(names, batch.receiver[row] as number, batch.receiverId[row] as number);
  const trace = traceId.slice(row * 16, row * 16 + 16);
  spans.traceId.set(trace, at * 16);
  spans.spanId.set(batch.receiveId.subarray(row * 8, row * 8 + 8), at * 8);
  spans.name[at] = spans.strings.internString(`process ${receiver}`);
  spans.kind[at] = SPAN_KIND.consumer;
  const sentNs = batch.sendTime.getBigint(row);
  const receivedNs = batch.receiveTime.getBigint(row);
  const startNs = receivedNs < sentNs ? sentNs : receivedNs;
  spans.startTime.setBigint(at, startNs);
  spans.endTime.setBigint(at, startNs);
  addShared(batch, row, names, spans, 'process', receiver);
  spans.attributes.add(ATTR.cpu, batch.receiveCpu[row] as number);
  spans.attributes.add(ATTR.clockError, Math.round(batch.receiveErrorNs[row] as number));
  if (sentNs !== 0n) {
    const parent = batch.sendId.slice(row * 8, row * 8 + 8);
    spans.parentSpanId.set(parent, at * 8);
    spans.attributes.add('mk.ikc.latency_ns', receivedNs - sentNs);
    spans.links.add(trace, parent, 0);
  }
  spans.closeRow();
}

function addShared(batch: MessageBatch, row: number, names: MessageNames, spans: SpanBatch, operation: string, receiver: string): void {
  const { attributes } = spans;
  attributes.add('messaging.system', names.packs[batch.pack[row] as number] ?? '');
  attributes.add('messaging.operation.name', operation);
  attributes.add('messaging.operation.type', operation);
  attributes.add('messaging.destination.name', receiver);
  attributes.add('messaging.message.id', toHex(batch.id.subarray(row * 8, row * 8 + 8)));
  attributes.add('messaging.message.body.size', batch.payloadBytes[row] as number);
  attributes.add('mk.ikc.type', names.typeNames[row] ?? '');
  attributes.add('mk.ikc.subtype', names.subtypeNames[row] ?? '');
  const reason = MESSAGE_REASON_NAMES[batch.reason[row] as number] ?? '';
  if (reason !== '') attributes.add('mk.ikc.reason', reason);
  if (batch.state[row] === MESSAGE_STATE.matched) attributes.add('mk.ikc.confidence', batch.confidence[row] as number);
  if ((batch.slot[row] as number) >= 0) attributes.add('mk.ikc.slot', batch.slot[row] as number);
}

function nameOf({ kernels }: MessageNames, index: number, kernelId: number): string {
  return kernels[index]?.kernelName ?? (kernelId < 0 ? 'unknown' : `kernel-${kernelId}`);
}

/** The requester's span of an exchange. */
export function addClientSpan(row: IkcExchangeRow, exchangeId: Uint8Array, responder: string, spans: SpanBatch): void {
  const at = spans.openRow();
  writeTraceId(spans.traceId, at * 16, exchangeId, 0);
  spans.spanId.set(exchangeId, at * 8);
  spans.name[at] = spans.strings.internString(`request ${row.operationName} ${responder}`);
  spans.kind[at] = SPAN_KIND.client;
  spans.startTime.setBigint(at, row.startNs);
  spans.endTime.setBigint(at, row.endNs === 0n ? (row.answerNs === 0n ? row.startNs : row.answerNs) : row.endNs);
  addExchange(row, spans, at);
  spans.closeRow();
}

/** The responder's: from taking the request out to sending the answer. */
export function addServerSpan(
  row: Pick<IkcExchangeRow, 'operationName' | 'system'>,
  exchangeId: Uint8Array,
  fromNs: bigint,
  toNs: bigint,
  spans: SpanBatch,
): void {
  const at = spans.openRow();
  writeTraceId(spans.traceId, at * 16, exchangeId, 0);
  spans.spanId.set(toServerSpanId(exchangeId), at * 8);
  spans.parentSpanId.set(exchangeId, at * 8);
  spans.name[at] = spans.strings.internString(`answer ${row.operationName}`);
  spans.kind[at] = SPAN_KIND.server;
  spans.startTime.setBigint(at, fromNs);
  spans.endTime.setBigint(at, toNs < fromNs ? fromNs : toNs);
  spans.attributes.add('messaging.system', row.system);
  spans.attributes.add('messaging.message.conversation_id', toHex(exchangeId));
  spans.closeRow();
}

function addExchange(row: IkcExchangeRow, spans: SpanBatch, at: number): void {
  const { attributes } = spans;
  attributes.add('messaging.system', row.system);
  attributes.add('messaging.message.conversation_id', row.exchangeId);
  attributes.add('mk.ikc.operation', row.operationName);
  attributes.add('mk.ikc.resource', row.resource);
  attributes.add('mk.ikc.result', row.result);
  attributes.add('mk.ikc.state', row.state);
  const errno = -row.result;
  if (row.state === 'answered' && errno <= 0) {
    spans.statusCode[at] = OK;
    return;
  }
  if (row.state === 'open') return;
  const name = row.state === 'timeout' ? 'ETIMEDOUT' : (ERRNO_NAMES[errno] ?? `errno ${errno}`);
  spans.statusCode[at] = ERROR;
  spans.statusMessage[at] = spans.strings.internString(name);
  attributes.add('error.type', name);
}
