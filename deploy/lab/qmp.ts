/** QEMU's control protocol: one JSON object per line, answers by id, events in between (docs/interop/qmp-spec). */
import type { Socket } from 'node:net';
import split2 from 'split2';
import { OperationalError } from '../../base/errors.ts';

export interface QmpEvent {
  readonly event: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

interface QmpLine extends Partial<QmpEvent> {
  readonly id?: number;
  readonly return?: unknown;
  readonly error?: { readonly desc?: string };
}

export class QmpClient {
  readonly #socket: Socket;
  readonly #onEvent: (event: QmpEvent) => void;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #next = 1;

  constructor(socket: Socket, onEvent: (event: QmpEvent) => void) {
    this.#socket = socket;
    this.#onEvent = onEvent;
    socket.pipe(split2()).on('data', (line: string) => this.#take(line));
    socket.on('close', () => this.#fail('QEMU has ended'));
  }

  /** Says hello; commands are refused before. */
  async open(): Promise<void> {
    await this.run('qmp_capabilities');
  }

  /** Rejects with OperationalError where QEMU refuses or is gone. */
  run(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.set(id, { resolve, reject });
    if (this.#socket.writable) this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    else this.#fail('QEMU has ended');
    return promise;
  }

  #take(line: string): void {
    let message: QmpLine;
    try {
      message = JSON.parse(line) as QmpLine;
    } catch {
      // A line that QEMU's end cut short.
      return;
    }
    if (message.event !== undefined) return this.#onEvent({ event: message.event, data: message.data ?? {} });
    const waiting = message.id === undefined ? undefined : this.#waiting.get(message.id);
    if (waiting === undefined || message.id === undefined) return;
    this.#waiting.delete(message.id);
    if (message.error === undefined) waiting.resolve(message.return);
    else
      waiting.reject(
        new OperationalError('E_LAB_FAULT', `QEMU refuses: ${message.error.desc ?? 'no reason given'}`, 'see: mkscope lab status'),
      );
  }

  #fail(why: string): void {
    for (const { reject } of this.#waiting.values()) reject(new OperationalError('E_LAB_FAULT', why, 'see: mkscope lab status'));
    this.#waiting.clear();
  }
}
