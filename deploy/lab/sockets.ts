/** Unix sockets that the lab listens on, each gone with its server. */
import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { messageOf, OperationalError } from '../../base/errors.ts';

/** The kernel's bound on a socket's path (`sun_path`), without the NUL. */
const MAX_PATH_BYTES = 107;

export async function listen(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw new OperationalError(
      'E_LISTEN',
      `${path} is too long for a socket (${MAX_PATH_BYTES} bytes)`,
      'name a shorter folder with --dir DIR',
    );
  }
  rmSync(path, { force: true });
  const server = createServer(onConnection);
  const { promise, resolve, reject } = Promise.withResolvers<Server>();
  server.once('error', (error) =>
    reject(new OperationalError('E_LISTEN', `${path}: ${messageOf(error)}`, 'name another folder with --dir DIR', error)),
  );
  server.listen(path, () => resolve(server));
  return promise;
}

/** Accepts one connection and is gone: how QEMU's ports come to the lab. */
export async function acceptOne(path: string): Promise<{ readonly socket: Promise<Socket>; close(): void }> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const server = await listen(path, (socket) => {
    server.close();
    // QEMU that is ended resets its ports, also those that nobody reads yet: the close says it all.
    socket.on('error', () => undefined);
    resolve(socket);
  });
  promise.catch(() => undefined);
  return {
    socket: promise,
    close() {
      server.close();
      reject(new OperationalError('E_LAB_BOOT', `nothing connected to ${path}`, 'see the console: mkscope lab console NAME'));
    },
  };
}
