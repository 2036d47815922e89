/**
 * Where a guest's stream is found.
 *
 *   unix:PATH, tcp:HOST:PORT                connect (QEMU's sockets for serial lines and virtio-serial ports)
 *   unix-listen:PATH, tcp-listen:HOST:PORT  wait for the guest to connect; the latest connection counts
 *   mktty:ID, mktty:ID@PATH                 /dev/mktty (or a socket that behaves like it): the first write is "<ID>\n"
 *   /dev/…                                  a character device, both ways
 *   pipes:IN:OUT                            two FIFOs: what the guest says, what it is told
 *   PATH                                    a recording: read to its end, with the arrival times of PATH.at
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';

export type GuestAddress =
  | { readonly kind: 'unix' | 'unix-listen'; readonly path: string }
  | { readonly kind: 'tcp' | 'tcp-listen'; readonly host: string; readonly port: number }
  | { readonly kind: 'device'; readonly path: string; readonly greeting: string }
  | { readonly kind: 'greeted-socket'; readonly path: string; readonly greeting: string }
  | { readonly kind: 'pipes'; readonly input: string; readonly output: string }
  | { readonly kind: 'file'; readonly path: string };

const MKTTY = '/dev/mktty';

type SocketAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** `unix:PATH`, `tcp:HOST:PORT`, `tcp:[V6]:PORT`; undefined where it is neither. */
export function parseSocket(from: string): SocketAddress | undefined {
  const unix = /^unix:(.+)$/.exec(from);
  if (unix !== null) return { kind: 'unix', path: unix[1] as string };
  const tcp = /^tcp:(.+):(\d{1,5})$/.exec(from);
  if (tcp === null || Number(tcp[2]) > 65_535) return undefined;
  return { kind: 'tcp', host: (tcp[1] as string).replaceAll(/[[\]]/g, ''), port: Number(tcp[2]) };
}

function toListening(socket: SocketAddress): GuestAddress {
  return socket.kind === 'unix' ? { ...socket, kind: 'unix-listen' } : { ...socket, kind: 'tcp-listen' };
}

/** A string says what is wrong with it. */
export function parseGuestAddress(from: string): GuestAddress | string {
  const listens = /^(?:unix|tcp)-listen:/.test(from);
  const socket = parseSocket(listens ? from.replace('-listen', '') : from);
  if (socket !== undefined) return listens ? toListening(socket) : socket;
  const pipes = /^pipes:([^:]+):([^:]+)$/.exec(from);
  if (pipes !== null) return { kind: 'pipes', input: pipes[1] as string, output: pipes[2] as string };
  if (from.startsWith('mktty:')) return parseMktty(from) ?? `${from} is not mktty:ID or mktty:ID@PATH`;
  if (/^(?:unix|tcp|unix-listen|tcp-listen|pipes|vsock):/.test(from)) {
    return from.startsWith('vsock:')
      ? 'Node has no vsock: let socat bridge it, for example socat VSOCK-LISTEN:5000,fork UNIX-LISTEN:/run/guest3.sock'
      : `${from} is not unix:PATH, unix-listen:PATH, tcp:HOST:PORT, tcp-listen:HOST:PORT or pipes:IN:OUT`;
  }
  if (statSync(from, { throwIfNoEntry: false })?.isCharacterDevice() === true || from.startsWith('/dev/')) {
    return { kind: 'device', path: from, greeting: '' };
  }
  return { kind: 'file', path: from };
}

/** `mktty:3` and `mktty:3@/run/mktty.sock`; below `root` a socket may stand for the device. */
export function parseMktty(from: string, root = '/'): Extract<GuestAddress, { kind: 'device' | 'greeted-socket' }> | undefined {
  const match = /^mktty:(\d{1,5})(?:@(.+))?$/.exec(from);
  if (match === null) return undefined;
  const path = match[2] ?? join(root, MKTTY);
  const kind = statSync(path, { throwIfNoEntry: false })?.isSocket() === true || !path.startsWith('/dev/') ? 'greeted-socket' : 'device';
  return { kind, path, greeting: `${match[1]}\n` };
}

export function describeGuestAddress(address: GuestAddress): string {
  switch (address.kind) {
    case 'tcp':
    case 'tcp-listen':
      return `${address.host}:${address.port}`;
    case 'pipes':
      return `${address.input} and ${address.output}`;
    default:
      return address.path;
  }
}
