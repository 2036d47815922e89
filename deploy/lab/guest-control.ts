/** Runs shell commands in a guest over its control port; the other end is guest/init.sh, where the lines are drawn. */
import type { Socket } from 'node:net';
import split2 from 'split2';
import { OperationalError } from '../../base/errors.ts';

/** A megabyte in base64, and some. */
const MAX_LINE_CHARS = 2 << 20;

export interface GuestAnswer {
  readonly code: number;
  readonly output: string;
}

export class GuestControl {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, (answer: GuestAnswer | undefined) => void>();
  #next = 1;
  /** Resolves with what the guest says of itself when it is ready; rejects when it goes before. */
  readonly ready: Promise<Readonly<Record<string, string>>>;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.ready = new Promise((resolve, reject) => {
      this.#waiting.set(0, (answer) => {
        if (answer === undefined)
          reject(new OperationalError('E_LAB_BOOT', 'the guest ended before it was ready', 'see its console: mkscope lab console NAME'));
        else resolve(Object.fromEntries(answer.output.split('\n').flatMap((line) => (line.includes('=') ? [splitPair(line)] : []))));
      });
    });
    // Who waits for it sees the rejection; nobody has to.
    this.ready.catch(() => undefined);
    // The guest decides how long its lines are; one answer is at most a megabyte.
    socket
      .pipe(split2({ maxLength: MAX_LINE_CHARS }))
      .on('data', (line: string) => this.#take(line))
      .on('error', () => socket.destroy());
    socket.on('close', () => {
      for (const settle of this.#waiting.values()) settle(undefined);
      this.#waiting.clear();
    });
  }

  /**
   * Runs a command in the guest's shell and resolves with its end; undefined where the guest did not live to answer, or did not
   * answer within `timeoutMs`.
   */
  run(command: string, timeoutMs = 10_000): Promise<GuestAnswer | undefined> {
    const id = this.#next++;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        resolve(undefined);
      }, timeoutMs);
      this.#waiting.set(id, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      this.#socket.write(`${id} ${command.replaceAll('\n', '; ')}\n`);
    });
  }

  #take(line: string): void {
    const [id, code, output = ''] = line.trim().split(' ');
    const settle = this.#waiting.get(Number(id));
    if (settle === undefined) return;
    this.#waiting.delete(Number(id));
    settle({ code: Number(code), output: Buffer.from(output, 'base64').toString('utf8') });
  }
}

function splitPair(line: string): [string, string] {
  const at = line.indexOf('=');
  return [line.slice(0, at), line.slice(at + 1)];
}
