/** One listener: a Hono app on its own port, with the guards that all listeners share in front of it. */
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:http';
import { getRequestListener, type HttpBindings } from '@hono/node-server';
import { Hono } from 'hono';
import { errnoOf, messageOf, OperationalError } from '../base/errors.ts';
import { checkBrowser, type Address } from './access.ts';
import { toProblemResponse } from './problem.ts';

export type HubEnv = { Bindings: HttpBindings };
export type HubApp = Hono<HubEnv>;

/** Long SQL travels in the URL (ClickHouse clients with GET), so the request line may be long. */
const MAX_HEADER_BYTES = 256 << 10;
const MAX_CONNECTIONS = 1024;
const CLOSE_GRACE_MS = 500;

export interface Listener {
  /** `http://127.0.0.1:4319`. */
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

/** An app that answers every error as problem details. `toError` may choose another form. */
export function createApp(address: Address, toError: (error: unknown, request: Request) => Response = toProblemResponse): HubApp {
  const app = new Hono<HubEnv>();
  app.onError((error, c) => toError(error, c.req.raw));
  app.notFound((c) =>
    toError(
      new OperationalError('E_NOT_FOUND', `nothing under ${c.req.method} ${c.req.path}`, 'docs/api.md lists all addresses'),
      c.req.raw,
    ),
  );
  app.use(async (c, next) => {
    checkBrowser(address, c.req.method, c.req.raw.headers);
    await next();
  });
  return app;
}

/**
 * Listens; `name` and `option` are for the message when the port is taken. `requestTimeoutMs` 0 = a request may stream for as
 * long as it takes.
 */
export async function listen(app: HubApp, address: Address, name: string, option: string, requestTimeoutMs: number): Promise<Listener> {
  const answer = getRequestListener(app.fetch, { hostname: address.host });
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: requestTimeoutMs }, (request, response) => {
    void answer(request, response);
  });
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(toListenError(error, address, name, option)));
    server.listen(address.port, address.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return { url: `http://${host}:${port}`, port, close: () => close(server) };
}

function toListenError(error: unknown, address: Address, name: string, option: string): OperationalError {
  const where = `${address.host}:${address.port}`;
  if (errnoOf(error) === 'EADDRINUSE') {
    return new OperationalError(
      'E_PORT_IN_USE',
      `${name} cannot listen on ${where}: the port is taken by another process`,
      `stop the other one (a second mkscope?), or choose another port with ${option}`,
      error,
    );
  }
  return new OperationalError(
    'E_LISTEN',
    `${name} cannot listen on ${where}: ${messageOf(error)}`,
    `choose another address with ${option}`,
    error,
  );
}

/** Lets running requests finish for a moment, then cuts what is left (event streams never end by themselves). */
async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
  await closed;
  clearTimeout(timer);
}
