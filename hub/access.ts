/**
 * Who may do what. A spawned kernel is another security domain: the credential says which kernel a sender is, not what the
 * sender claims. Without any token only loopback is served, and there the guards against a browser on this machine hold:
 * the Host header must name this machine (DNS rebinding) and a foreign Origin may not write.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { OperationalError } from '../base/errors.ts';
import type { KernelIdentity } from '../model/identity.ts';

export interface Address {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
}

/** A bearer token and what it opens. */
export interface AccessToken {
  readonly token: string;
  /** `ingest`: sending to the OTLP listener. `read`: the page, the API and the ClickHouse listener. */
  readonly grants: 'ingest' | 'read';
  /** An ingest token with a kernel can write as this kernel only. */
  readonly kernel?: { readonly machineId?: string; readonly kernelId: number };
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/** Refuses a listener that others could reach and that asks for no credential. */
export function checkExposure(name: string, address: Address, tokens: readonly AccessToken[], grants: AccessToken['grants']): void {
  if (isLoopback(address.host) || tokens.some((token) => token.grants === grants)) return;
  throw new OperationalError(
    'E_CONFIG_VALUE',
    `${name} would listen on ${address.host}, off loopback, without a credential`,
    `configure a token that grants "${grants}", or listen on 127.0.0.1`,
  );
}

/** The token of a request: `Authorization: Bearer`, the password of `Authorization: Basic`, or ClickHouse's own header. */
function readCredential(headers: Headers): string | undefined {
  const authorization = headers.get('authorization') ?? '';
  if (/^bearer /i.test(authorization)) return authorization.slice(7).trim();
  if (/^basic /i.test(authorization)) {
    const pair = Buffer.from(authorization.slice(6), 'base64').toString('utf8');
    return pair.slice(pair.indexOf(':') + 1);
  }
  return headers.get('x-clickhouse-key') ?? undefined;
}

export class AccessGuard {
  readonly #tokens: readonly AccessToken[];
  readonly #grants: AccessToken['grants'];
  readonly #digests: readonly Buffer[];

  constructor(tokens: readonly AccessToken[], grants: AccessToken['grants']) {
    this.#tokens = tokens.filter((token) => token.grants === grants);
    this.#grants = grants;
    this.#digests = this.#tokens.map((token) => digest(token.token));
  }

  /** The token that the request carries; undefined where none is configured. Throws E_UNAUTHENTICATED. */
  admit(headers: Headers): AccessToken | undefined {
    if (this.#tokens.length === 0) return undefined;
    const credential = readCredential(headers);
    if (credential !== undefined) {
      const given = digest(credential);
      const index = this.#digests.findIndex((known) => timingSafeEqual(known, given));
      if (index >= 0) return this.#tokens[index];
    }
    throw new OperationalError(
      'E_UNAUTHENTICATED',
      credential === undefined ? 'the request carries no credential' : 'the credential is not known here',
      `send "Authorization: Bearer <token>" with a token that grants "${this.#grants}"`,
    );
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** Throws E_FORBIDDEN when a credential bound to one kernel writes as another, or as nobody. */
export function checkIdentity(token: AccessToken | undefined, identity: KernelIdentity | undefined): void {
  const bound = token?.kernel;
  if (bound === undefined) return;
  if (identity?.kernelId === bound.kernelId && (bound.machineId === undefined || bound.machineId === identity.machineId)) return;
  const claimed = identity === undefined ? 'names no kernel' : `names kernel ${identity.kernelId} of machine ${identity.machineId}`;
  throw new OperationalError(
    'E_FORBIDDEN',
    `the credential is bound to kernel ${bound.kernelId}${bound.machineId ? ` of machine ${bound.machineId}` : ''}, the request ${claimed}`,
    "use the token of the sending kernel, or correct the sender's kernel id",
  );
}

/**
 * Guards a listener against web pages of others: on loopback the Host header must be a loopback name; a request that a
 * browser marks as cross-site may not change anything.
 */
export function checkBrowser(address: Address, method: string, headers: Headers): void {
  const host = headers.get('host') ?? '';
  const name = host.replace(/:\d+$/, '');
  if (isLoopback(address.host) && name !== '' && !isLoopback(name)) {
    throw new OperationalError(
      'E_FORBIDDEN',
      `the Host header names ${host}, and this listener serves loopback only`,
      `use http://127.0.0.1:… or http://localhost:…; to serve other names, listen on another address with a token`,
    );
  }
  if (method === 'GET' || method === 'HEAD') return;
  const origin = headers.get('origin');
  const foreign = origin !== null && origin !== `http://${host}` && origin !== `https://${host}`;
  if (foreign || headers.get('sec-fetch-site') === 'cross-site') {
    throw new OperationalError(
      'E_FORBIDDEN',
      `a page of ${origin ?? 'another site'} may not write here`,
      'send the request from the mkscope page or a tool',
    );
  }
}
