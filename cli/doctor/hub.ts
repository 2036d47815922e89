/** Is a hub running, and if not: are its ports free? */
import { createServer } from 'node:net';

import { errnoOf, messageOf } from '../../base/errors.ts';
import type { Health } from '../../model/api.ts';
import type { Address } from '../config-kinds.ts';
import { formatAddress } from '../config-kinds.ts';
import type { HubClient } from '../hub-client.ts';
import { formatCount } from '../units.ts';
import { fail, ok, warn } from './finding.ts';
import type { Finding } from './finding.ts';

const TIMEOUT_MS = 2000;

export async function checkHub(client: HubClient, addresses: Readonly<Record<string, Address>>): Promise<Finding[]> {
  const id = 'hub';
  const title = 'hub';
  let health: Health;
  try {
    health = await client.getJson<Health>('/api/health', {}, TIMEOUT_MS);
  } catch (error) {
    const absent = warn(id, title, messageOf(error), 'nothing is stored now', 'mkscope up');
    return [absent, ...(await Promise.all(Object.entries(addresses).map(([name, address]) => checkPort(name, address))))];
  }
  const detail = `${client.url}, version ${health.version}, ${formatCount(health.store.rows)} rows in ${health.store.path}`;
  if (health.status === 'ok') return [ok(id, title, detail)];
  return [
    warn(
      id,
      title,
      `${detail}; ${health.problems.join('; ')}`,
      'the hub says that it is degraded',
      'see the problem; the hub logs more on its standard error',
    ),
  ];
}

async function checkPort(name: string, address: Address): Promise<Finding> {
  const id = `port.${name}`;
  const title = `port for ${name}`;
  const where = formatAddress(address);
  const errno = await tryListen(address);
  if (errno === undefined) return ok(id, title, `${where} is free`);
  const taken = errno === 'EADDRINUSE';
  return fail(
    id,
    title,
    taken ? `${where} is taken by another process` : `${where} cannot be listened on (${errno})`,
    'mkscope up does not start',
    taken
      ? `see whose it is: ss -ltnp 'sport = :${address.port}'; or choose another: --${name} HOST:PORT`
      : `choose another address: --${name} HOST:PORT`,
  );
}

function tryListen(address: Address): Promise<string | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', (error) => resolve(errnoOf(error) ?? messageOf(error)));
    server.listen(address.port, address.host, () => {
      server.close(() => resolve(undefined));
    });
  });
}
