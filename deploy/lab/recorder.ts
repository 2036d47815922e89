/**
 * Writes down everything that comes out of a lab's kernels, verbatim: a session that `mkscope import` takes back
 * (docs/formats/lab_session.md).
 *
 *   <dir>/session.json                      what it is, and what was done to the kernels
 *   <dir>/<kernel>/stream.mkf.zst           bytes of the guest forwarder
 *   <dir>/<kernel>/stream.mkf.at.zst        "<unix ns> <bytes>": when which part of them came
 *   <dir>/<kernel>/console.log[.at].zst     the same of the serial console
 *   <dir>/truth.zst                         when each message really was (docs/formats/lab_truth.md)
 */
import { createReadStream, createWriteStream, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync, type WriteStream } from 'node:fs';
import { finished, pipeline } from 'node:stream/promises';
import { join } from 'node:path';
import { constants, createZstdCompress } from 'node:zlib';
import { OperationalError } from '../../base/errors.ts';
import type { Guest } from './guest.ts';
import type { Relay, Tap } from './relay.ts';

/** A session is written once and kept: 19 costs seconds for the last tenth. */
const ZSTD_LEVEL = 15;
export const SESSION_VERSION = 1;
/** In the folder of a session. */
export const SESSION_NAME = 'session.json';

export interface SessionEvent {
  readonly unixNs: string;
  readonly what: string;
}

export interface SessionFile {
  readonly version: typeof SESSION_VERSION;
  readonly machine: { readonly id: string; readonly name: string };
  readonly fromUnixNs: string;
  readonly toUnixNs: string;
  readonly kernels: readonly { readonly id: number; readonly name: string; readonly release: string; readonly cpus: number }[];
  /** What was done to the kernels, and what became of them. */
  readonly events: readonly SessionEvent[];
}

export class Recorder {
  readonly dir: string;
  readonly #guests: readonly Guest[];
  readonly #streams: { readonly relay: Relay; readonly tap: Tap; readonly files: readonly WriteStream[] }[] = [];
  readonly #fromUnixNs = nowUnixNs();
  readonly #events: SessionEvent[] = [];
  #failure: Error | undefined;

  /** Throws E_ARGS where the folder holds something already. */
  constructor(dir: string, guests: readonly Guest[]) {
    if (existsSync(dir) && readdirSync(dir).length > 0) {
      throw new OperationalError('E_ARGS', `${dir} is not empty`, 'name a new folder: what is recorded is never mixed');
    }
    this.dir = dir;
    this.#guests = guests;
    for (const guest of guests) {
      mkdirSync(join(dir, guest.spec.name), { recursive: true });
      this.#record(guest.stream, join(dir, guest.spec.name, 'stream.mkf'));
      this.#record(guest.console, join(dir, guest.spec.name, 'console.log'));
      // The reader comes back and asks who the kernel is: so the recording can be read without what came before it.
      guest.stream.detach();
    }
  }

  note(what: string): void {
    this.#events.push({ unixNs: String(nowUnixNs()), what });
  }

  /** Closes and packs the files; `truth` is the file that the bus writes. Throws where the disk was full. */
  async stop(machine: SessionFile['machine'], truth: string): Promise<SessionFile> {
    for (const { relay, tap, files } of this.#streams) {
      relay.taps.delete(tap);
      for (const file of files) file.end();
    }
    await Promise.all(this.#streams.flatMap(({ files }) => files.map((file) => finished(file).catch(() => undefined))));
    if (this.#failure !== undefined) {
      throw new OperationalError(
        'E_DISK_FULL',
        `the recording in ${this.dir} is not whole: ${this.#failure.message}`,
        'make room, or record elsewhere',
        this.#failure,
      );
    }
    const session: SessionFile = {
      version: SESSION_VERSION,
      machine,
      fromUnixNs: String(this.#fromUnixNs),
      toUnixNs: String(nowUnixNs()),
      kernels: this.#guests.map(({ spec: { id, name, release, cpus } }) => ({ id, name, release, cpus })),
      events: this.#events,
    };
    writeFileSync(join(this.dir, SESSION_NAME), `${JSON.stringify(session, undefined, 2)}\n`);
    for (const { files } of this.#streams) for (const file of files) await pack(String(file.path), true);
    await pack(truth, false, join(this.dir, 'truth.zst'));
    return session;
  }

  #record(relay: Relay, path: string): void {
    const bytes = createWriteStream(path);
    const times = createWriteStream(`${path}.at`);
    for (const file of [bytes, times]) file.on('error', (error) => (this.#failure ??= error));
    const tap: Tap = (chunk) => {
      bytes.write(chunk);
      times.write(`${nowUnixNs()} ${chunk.length}\n`);
    };
    relay.taps.add(tap);
    this.#streams.push({ relay, tap, files: [bytes, times] });
  }
}

async function pack(path: string, remove: boolean, target = `${path}.zst`): Promise<void> {
  await pipeline(
    createReadStream(path),
    createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } }),
    createWriteStream(target),
  );
  if (remove) rmSync(path);
}

/** To a quarter of a microsecond: a double holds that many µs exactly. */
function nowUnixNs(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
}
