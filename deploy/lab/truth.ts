/**
 * Reads what really happened in a lab session (docs/formats/lab_truth.md): one row per message sent, received or refused, per clock
 * sample and change of state, in the order of the file. `truth-clock.ts` gives the rows their true time.
 *
 *   | MKTRUTH1 1 128 … | sequence kind flags kernel … guest_tsc host_tsc … | record | … | MKTRUTH1 … | record | part of one
 *     64 bytes           128 bytes                                                       a later mkbus
 *
 * Not handled: order between kernels (sort by `ticket`), and positions that a ring of 2^32 messages would use again.
 */
import { OperationalError } from '../../base/errors.ts';

const MAGIC = 'MKTRUTH1';
const VERSION = 1;
const HEADER_BYTES = 64;
const RECORD_BYTES = 128;
/** Instances that the bus has room for: ids 0 … 15. */
const MAX_KERNELS = 16;
const NO_HOST_CLOCK = 1;
const HINT = 'a truth file is what mkbus writes: `truth` in the folder of a running lab, or truth.zst of a recording, unpacked';

/** By the number that stands in the file. */
const KINDS = [undefined, 'send', 'receive', 'send_failed', 'clock', 'state', 'abandoned', 'lost'] as const;
export type TruthKind = Exclude<(typeof KINDS)[number], undefined>;

export interface TruthRecord {
  readonly kind: TruthKind;
  /** Who writes; 0 = host. */
  readonly kernel: number;
  /** Incarnation of the kernel that writes. */
  readonly kernelEpoch: number;
  /** Whose inbox ring, in which incarnation of it, and the absolute position there. */
  readonly destination: number;
  readonly epoch: number;
  readonly index: number;
  /** `state`: the states before and after. */
  readonly type: number;
  readonly subtype: number;
  /** Payload bytes; `lost`: how many records. */
  readonly length: number;
  /** `send_failed`: -errno. */
  readonly error: number;
  readonly senderCpu: number;
  readonly cpu: number;
  /** Order over all kernels; 0 where the kind has none. */
  readonly ticket: bigint;
  readonly payloadKey: bigint;
  /** The moment lies between the two, in the counter of the kernel that writes; the first is 0 where there is no ticket. */
  readonly guestTscBefore: bigint;
  readonly guestTsc: bigint;
  /** The host's clock page as it was read right before `guestTsc`: up to some 500 µs old. Absent where it could not be read. */
  readonly page: TruthPage | undefined;
  /** The stamp that a printk would get, and CLOCK_MONOTONIC of this kernel. */
  readonly printkNs: bigint;
  readonly monoNs: bigint;
}

/** Three clocks of the host at one moment. */
export interface TruthPage {
  readonly tsc: bigint;
  readonly rawNs: bigint;
  readonly realNs: bigint;
}

export interface Truth {
  readonly records: readonly TruthRecord[];
  /** Records that are missing, as the file says itself. */
  readonly lost: number;
  /** Of a record that was not finished when the file was cut or copied. */
  readonly partialBytes: number;
}

export interface MessagePair {
  readonly send: TruthRecord;
  readonly receive: TruthRecord;
}

/** Throws E_INPUT_FORMAT where the bytes are no truth file, are of another version, or are damaged. */
export function readTruth(bytes: Uint8Array): Truth {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  checkHeader(view, 0);
  const records: TruthRecord[] = [];
  let lost = 0;
  let offset = HEADER_BYTES;
  for (;;) {
    if (isHeader(view, offset)) {
      checkHeader(view, offset);
      offset += HEADER_BYTES;
    } else if (offset + RECORD_BYTES <= view.byteLength) {
      const record = readRecord(view, offset);
      if (record.kind === 'lost') lost += record.length;
      records.push(record);
      offset += RECORD_BYTES;
    } else {
      return { records, lost, partialBytes: view.byteLength - offset };
    }
  }
}

/** Messages that arrived, and those of which the file has one end only. */
export function pairMessages(records: readonly TruthRecord[]): {
  /** In the order of their sending. */
  readonly pairs: readonly MessagePair[];
  /** Still in the ring when its receiver died or the session ended. */
  readonly unreceived: readonly TruthRecord[];
  /** With nothing lost and nothing abandoned there is none. */
  readonly unsent: readonly TruthRecord[];
} {
  const receives = new Map<string, TruthRecord>();
  for (const record of records) if (record.kind === 'receive') receives.set(toPosition(record), record);
  const pairs: MessagePair[] = [];
  const unreceived: TruthRecord[] = [];
  for (const send of records) {
    if (send.kind !== 'send') continue;
    const receive = receives.get(toPosition(send));
    if (receive === undefined) unreceived.push(send);
    else pairs.push({ send, receive });
    receives.delete(toPosition(send));
  }
  const byTicket = (a: MessagePair, b: MessagePair): number => (a.send.ticket < b.send.ticket ? -1 : 1);
  return { pairs: pairs.toSorted(byTicket), unreceived, unsent: [...receives.values()] };
}

function toPosition({ destination, epoch, index }: TruthRecord): string {
  return `${destination}:${epoch}:${index}`;
}

function isHeader(view: DataView, offset: number): boolean {
  if (offset + HEADER_BYTES > view.byteLength) return false;
  for (let at = 0; at < MAGIC.length; at++) if (view.getUint8(offset + at) !== MAGIC.charCodeAt(at)) return false;
  return true;
}

function checkHeader(view: DataView, offset: number): void {
  if (!isHeader(view, offset)) throw new OperationalError('E_INPUT_FORMAT', `no truth file: it does not begin with ${MAGIC}`, HINT);
  const version = view.getUint32(offset + 8, true);
  const recordBytes = view.getUint32(offset + 12, true);
  if (version === VERSION && recordBytes === RECORD_BYTES) return;
  throw new OperationalError(
    'E_INPUT_FORMAT',
    `the truth file has version ${version} with records of ${recordBytes} bytes; known is ${VERSION} with ${RECORD_BYTES}`,
    'read it with the mkscope that recorded it',
  );
}

function readRecord(view: DataView, offset: number): TruthRecord {
  const kind = KINDS[view.getUint8(offset + 4)];
  const kernel = view.getUint16(offset + 6, true);
  if (kind === undefined || kernel >= MAX_KERNELS) {
    throw new OperationalError('E_INPUT_FORMAT', `the truth file is damaged: no record at byte ${offset}`, HINT);
  }
  const u32 = (at: number): number => view.getUint32(offset + at, true);
  const u64 = (at: number): bigint => view.getBigUint64(offset + at, true);
  const hasPage = (view.getUint8(offset + 5) & NO_HOST_CLOCK) === 0;
  return {
    kind,
    kernel,
    kernelEpoch: u32(108),
    destination: view.getUint16(offset + 8, true),
    epoch: u32(12),
    index: u32(16),
    type: u32(20),
    subtype: u32(24),
    length: u32(28),
    error: view.getInt32(offset + 32, true),
    senderCpu: u32(36),
    cpu: u32(104),
    ticket: u64(40),
    payloadKey: u64(96),
    guestTscBefore: u64(112),
    guestTsc: u64(48),
    page: hasPage ? { tsc: u64(56), rawNs: u64(64), realNs: u64(72) } : undefined,
    printkNs: u64(80),
    monoNs: u64(88),
  };
}
