/**
 * Netconsole of other kernels, over UDP. Anybody who reaches the port can send, under any address: so it listens only where it is
 * told to, takes what comes from the addresses it is told of, and counts the rest.
 *
 *   10.77.1.2:6665 ──┐              ┌─ spawn1 (kernel 1): boots ─► feed
 *   10.77.2.2:6665 ──┼─► socket ────┼─ spawn2 (kernel 2): boots ─► feed
 *   10.9.9.9:4711 ───┘              └─ nobody: refused, counted
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv6, SocketAddress } from 'node:net';
import { OperationalError, errnoOf, messageOf } from '../../base/errors.ts';
import { createLogger } from '../../base/log.ts';
import type { KernelIdentity } from '../../model/identity.ts';
import type { Source, SourceStatus } from '../../model/pipeline.ts';
import type { UnixNs } from '../../model/time.ts';
import type { KernelFeed, ReadKernel } from '../kernel-feed.ts';
import { HeardKernel } from '../heard-kernel.ts';
import type { NetconsoleOptions, NetconsoleSender } from '../options.ts';

const TICK_MS = 100;
const BOOKS_TICKS = 10;
/** A burst of a thousand lines waits here while we are busy; the kernel grants what net.core.rmem_max allows. */
const RECEIVE_BUFFER_BYTES = 4 << 20;
/** The kernel sends at most 1000 bytes; nothing larger is netconsole. */
const MAX_PACKET_BYTES = 8192;
/** Unknown addresses that are told apart. */
const MAX_STRANGERS = 64;
/** Kernels that are taken in without being listed (`others: accept`). */
const MAX_ACCEPTED = 16;
/** Their ids: out of the way of those that people give. */
const FIRST_ACCEPTED_ID = 40_000;

const log = createLogger('netconsole');

export interface NetconsoleSourceOptions extends NetconsoleOptions {
  readonly machine: Pick<KernelIdentity, 'machineId' | 'machineName'>;
  readonly now: () => UnixNs;
  /** Makes the feed of a kernel; called once for each name. Those that are not listed share the room of one. */
  readonly openFeed: (name: string, sharedBy: number) => KernelFeed;
}

export class NetconsoleSource implements Source {
  readonly id = 'netconsole';
  readonly #options: NetconsoleSourceOptions;
  readonly #sockets: Socket[] = [];
  /** By address, and by address and port. */
  readonly #senders = new Map<string, HeardKernel>();
  readonly #kernels: HeardKernel[] = [];
  readonly #strangers = new Map<string, number>();
  #refused = 0;
  #oversized = 0;
  #errors = 0;
  #tick = 0;
  #timer: NodeJS.Timeout | undefined;
  #state: SourceStatus['state'] = 'stopped';
  #detail = '';

  constructor(options: NetconsoleSourceOptions) {
    this.#options = options;
    for (const sender of options.kernels) this.#senders.set(toSenderKey(sender.from), this.#openKernel(sender, 1));
  }

  /** Throws E_SOURCE_OPEN where an address cannot be listened on. */
  async start(): Promise<void> {
    for (const { host, port } of this.#options.listen) {
      try {
        this.#sockets.push(await this.#listen(host, port));
      } catch (error) {
        for (const socket of this.#sockets) socket.close();
        const hint = errnoOf(error) === 'EADDRINUSE' ? 'another program listens there: ss -lunp' : 'name an address of this machine';
        throw new OperationalError('E_SOURCE_OPEN', `netconsole cannot listen on ${host}:${port}: ${messageOf(error)}`, hint, error);
      }
    }
    this.#state = 'running';
    this.#timer = setInterval(() => this.#everyTick(), TICK_MS);
  }

  async stop(): Promise<void> {
    if (this.#state === 'stopped') return;
    clearInterval(this.#timer);
    this.#state = 'stopped';
    await Promise.all(this.#sockets.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
    await Promise.all(this.#kernels.map((kernel) => kernel.stop(performance.now())));
  }

  status(): SourceStatus {
    const told = this.#kernels.map((kernel) => kernel.describe());
    if (this.#refused > 0) {
      told.push(
        `refused ${this.#refused} packets of ${this.#strangers.size} unknown senders (${[...this.#strangers.keys()].slice(0, 4).join(', ')})`,
      );
    }
    if (this.#oversized > 0) told.push(`${this.#oversized} packets are too large to be netconsole's`);
    if (this.#detail !== '') told.push(this.#detail);
    return {
      state: this.#state,
      detail: told.join('; '),
      streams: this.#kernels.flatMap((kernel) => kernel.counts()),
      errors: this.#errors + this.#refused + this.#oversized,
    };
  }

  /** Where it listens, port 0 resolved. */
  get addresses(): readonly { readonly host: string; readonly port: number }[] {
    return this.#sockets.map((socket) => ({ host: socket.address().address, port: socket.address().port }));
  }

  kernels(): readonly ReadKernel[] {
    return this.#kernels;
  }

  #openKernel({ name, kernelId }: Pick<NetconsoleSender, 'name' | 'kernelId'>, sharedBy: number): HeardKernel {
    const { machine, now, openFeed } = this.#options;
    const streams = { extended: `netconsole:${name}`, text: `netconsole-text:${name}` };
    const kernel = new HeardKernel({ name, kernelId, machine, now, feed: openFeed(name, sharedBy), streams, log });
    this.#kernels.push(kernel);
    return kernel;
  }

  #listen(host: string, port: number): Promise<Socket> {
    const socket = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4' });
    socket.on('message', (packet, from) => this.#take(packet, from));
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ address: host, port, exclusive: true }, () => {
        socket.off('error', reject);
        socket.on('error', (error) => {
          this.#errors++;
          this.#detail = error.message;
        });
        growBuffer(socket);
        resolve(socket);
      });
    });
  }

  #take(packet: Uint8Array, { address, port }: RemoteInfo): void {
    const from = toPlainAddress(address);
    const kernel = this.#senders.get(withPort(from, port)) ?? this.#senders.get(from) ?? this.#admit(from);
    if (kernel === undefined) return;
    if (packet.length > MAX_PACKET_BYTES) this.#oversized++;
    else kernel.add(packet, performance.now());
  }

  /** A sender that nobody listed. */
  #admit(from: string): HeardKernel | undefined {
    const accepted = this.#kernels.length - this.#options.kernels.length;
    if (this.#options.others === 'accept' && accepted < MAX_ACCEPTED) {
      const name = from.replaceAll(/[^A-Za-z0-9.-]/g, '_');
      const kernel = this.#openKernel({ name, kernelId: FIRST_ACCEPTED_ID + hashOf(from) }, MAX_ACCEPTED);
      this.#senders.set(from, kernel);
      return kernel;
    }
    this.#refused++;
    const seen = this.#strangers.get(from);
    if (seen !== undefined || this.#strangers.size < MAX_STRANGERS) this.#strangers.set(from, (seen ?? 0) + 1);
    if (seen === undefined && this.#strangers.get(from) === 1) {
      log.warn('refuses packets of a sender that is not listed', { from, hint: 'list it under collector.netconsole.kernels' });
    }
    return undefined;
  }

  #everyTick(): void {
    const nowMs = performance.now();
    this.#tick++;
    for (const kernel of this.#kernels) {
      kernel.tick(nowMs);
      if (this.#tick % BOOKS_TICKS === 0) kernel.writeBooks();
    }
  }
}

/** The system may refuse to grow it; then it is as large as it is. */
function growBuffer(socket: Socket): void {
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
  } catch (error) {
    log.warn('the receive buffer stays as it is: bursts may be lost', { error: messageOf(error) });
  }
}

/** `::ffff:10.0.0.1` and `fe80::1%eth0` as a person writes them. */
function toPlainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, '').replace(/%.*$/, '');
}

/** As the packets have it: IPv6 addresses can be written in many ways. */
function toSenderKey(from: string): string {
  const [, bracketed, port] = /^\[(.+)\]:(\d+)$/.exec(from) ?? [];
  const address = toPlainAddress(bracketed ?? from);
  if (!isIPv6(address)) return from;
  const plain = toPlainAddress(new SocketAddress({ address, family: 'ipv6' }).address);
  return port === undefined ? plain : withPort(plain, Number(port));
}

function withPort(address: string, port: number): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}

/** 16 bits less what is taken below: the same address always has the same id. */
function hashOf(text: string): number {
  let hash = 2_166_136_261;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 16_777_619);
  return (hash >>> 0) % (65_536 - FIRST_ACCEPTED_ID);
}
