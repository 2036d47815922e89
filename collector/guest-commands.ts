/** What a host says to a guest forwarder, as frames (parsers/guest-stream.ts). */
import { encodeUtf8 } from '../base/bytes.ts';
import { TWO_POW_32 } from '../base/int64.ts';
import { GUEST_FRAME, encodeFrame } from '../parsers/guest-stream.ts';

/** What the host has: nothing of it is sent again, nothing behind it is left out. */
export interface GuestProgress {
  /** The session whose frames are safe through `frame`; 0 = none. */
  readonly session: number;
  readonly frame: number;
  /** Last SEQ of the kernel log that is safe, of this boot; -1 = none. */
  readonly kmsgSequence: number;
  /** The boot that `kmsgSequence` is of; empty = none. */
  readonly bootId: string;
}

/** Asks for HELLO, FORMATS and all frames behind `progress`. */
export function encodeOpen({ session, frame, kmsgSequence, bootId }: GuestProgress): Uint8Array {
  return encodeFrame(
    GUEST_FRAME.open,
    encodeUtf8(`session=${session}\nframe=${frame}\nkmsg=${kmsgSequence}\n${bootId === '' ? '' : `boot=${bootId}\n`}`),
  );
}

/** Everything through `frame` is safe. */
export function encodeAcknowledge(session: number, frame: number): Uint8Array {
  const payload = new DataView(new ArrayBuffer(16));
  setU64(payload, 0, session);
  setU64(payload, 8, frame);
  return encodeFrame(GUEST_FRAME.acknowledge, new Uint8Array(payload.buffer));
}

/** Both times come back in the PONG: monotonic ns for this process, Unix ns for who reads a recording of the stream. */
export function encodePing(monotonicNs: bigint, unixNs: bigint): Uint8Array {
  const payload = new DataView(new ArrayBuffer(16));
  payload.setBigInt64(0, monotonicNs, true);
  payload.setBigInt64(8, unixNs, true);
  return encodeFrame(GUEST_FRAME.ping, new Uint8Array(payload.buffer));
}

function setU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % TWO_POW_32, true);
  view.setUint32(at + 4, Math.floor(value / TWO_POW_32), true);
}
