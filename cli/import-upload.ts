/** Sends a file to the hub's import address, however large it is and however long the hub takes to store it. */
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { text as readAll } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

import { OperationalError } from '../base/errors.ts';
import type { ImportResult } from '../model/api.ts';
import { parseProblem, toOperational, unreachable } from './hub-client.ts';
import type { HubClient, Query } from './hub-client.ts';

/** fetch gives up when the answer takes longer than five minutes, and an import of some GB may: so this is plain node:http. */
export async function uploadFile(client: HubClient, query: Query, input: AsyncIterable<Uint8Array>): Promise<ImportResult> {
  const target = client.toUrl('/api/import', query);
  const open = target.protocol === 'https:' ? requestHttps : requestHttp;
  const request = open(target, { method: 'POST', headers: { ...client.headers, 'content-type': 'application/octet-stream' } });
  const answered = new Promise<{ status: number; body: string }>((resolve, reject) => {
    request.once('error', reject);
    request.once('response', (response) => {
      readAll(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
    });
  });
  // A hub that refuses answers before it has read all: then the answer says why, and not the broken pipe.
  const sent = pipeline(input, request).catch((error: unknown) => error);
  const outcome = await answered.catch((error: unknown) => unreachable(client.url, error));
  const sendError = await sent;
  // The file could not be read: that is no fault of the hub.
  if (sendError instanceof OperationalError) throw sendError;
  if (outcome instanceof OperationalError) throw outcome;
  if (outcome.status === 200) return JSON.parse(outcome.body) as ImportResult;
  throw toOperational(client.url, outcome.status, parseProblem(outcome.body), outcome.body);
}
