/**
 * Append-only file of checksummed records: what a spool and a journal are made of. A record is whole or it is not there: the
 * torn tail that a crash leaves is cut when the file is opened, and counted.
 *
 *   4d 4b 52 31 | 0a 00 00 00 | 9c 3b 11 f0 | payload …
 *   +-- "MKR1"    +-- u32 LE     +-- CRC-32 of the payload
 *                     payload bytes
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, readSync, fstatSync, writevSync } from 'node:fs';
import { crc32 } from 'node:zlib';

const HEADER_BYTES = 12;
const MAGIC = 0x31524b4d;
const MAX_PAYLOAD_BYTES = 256 << 20;

export interface RecordPosition {
  /** Offset of the payload in the file. */
  readonly offset: number;
  readonly length: number;
}

export class RecordLog {
  readonly path: string;
  /** Bytes of all whole records, headers included. */
  sizeBytes: number;
  /** Bytes cut from the end when the file was opened. */
  readonly cutBytes: number;
  /** Records that were in the file when it was opened. */
  readonly recovered: readonly RecordPosition[];
  readonly #fd: number;
  readonly #header = Buffer.alloc(HEADER_BYTES);

  private constructor(path: string, fd: number, recovered: readonly RecordPosition[], sizeBytes: number, cutBytes: number) {
    this.path = path;
    this.#fd = fd;
    this.recovered = recovered;
    this.sizeBytes = sizeBytes;
    this.cutBytes = cutBytes;
  }

  /** Opens or creates the file; throws the system's error where that is not possible. */
  static open(path: string): RecordLog {
    const fd = openSync(path, 'a+', 0o640);
    const fileBytes = fstatSync(fd).size;
    const { records, end } = scan(fd, fileBytes);
    if (end < fileBytes) ftruncateSync(fd, end);
    return new RecordLog(path, fd, records, end, fileBytes - end);
  }

  /** Appends one record; on a failed write (disk full) the file is cut back to whole records and the error thrown. */
  append(payload: Uint8Array): RecordPosition {
    this.#header.writeUInt32LE(MAGIC, 0);
    this.#header.writeUInt32LE(payload.length, 4);
    this.#header.writeUInt32LE(crc32(payload), 8);
    const total = HEADER_BYTES + payload.length;
    try {
      let written = writevSync(this.#fd, [this.#header, payload]);
      while (written < total) {
        const rest = written < HEADER_BYTES ? [this.#header.subarray(written), payload] : [payload.subarray(written - HEADER_BYTES)];
        written += writevSync(this.#fd, rest);
      }
    } catch (error) {
      ftruncateSync(this.#fd, this.sizeBytes);
      throw error;
    }
    const position = { offset: this.sizeBytes + HEADER_BYTES, length: payload.length };
    this.sizeBytes += total;
    return position;
  }

  read(position: RecordPosition): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(position.length);
    readFully(this.#fd, bytes, position.offset);
    return bytes;
  }

  /** Forces the records to the disk: only needed against power loss, not against a killed process. */
  sync(): void {
    fsyncSync(this.#fd);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Walks the file from its start to the first record that is not whole. */
function scan(fd: number, fileBytes: number): { records: RecordPosition[]; end: number } {
  const records: RecordPosition[] = [];
  const header = Buffer.alloc(HEADER_BYTES);
  let end = 0;
  while (end + HEADER_BYTES <= fileBytes) {
    readFully(fd, header, end);
    const length = header.readUInt32LE(4);
    const offset = end + HEADER_BYTES;
    if (header.readUInt32LE(0) !== MAGIC || length > MAX_PAYLOAD_BYTES || offset + length > fileBytes) break;
    const payload = new Uint8Array(length);
    readFully(fd, payload, offset);
    if (crc32(payload) !== header.readUInt32LE(8)) break;
    records.push({ offset, length });
    end = offset + length;
  }
  return { records, end };
}

function readFully(fd: number, target: Uint8Array, offset: number): void {
  let done = 0;
  while (done < target.length) {
    const count = readSync(fd, target, done, target.length - done, offset + done);
    if (count === 0) return;
    done += count;
  }
}
