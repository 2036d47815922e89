/** The connections of a collector: where each signal goes (OTEL_EXPORTER_OTLP_* honoured), and the hub's own paths beside them. */
import { resolveEndpoint, type Endpoint, type EndpointOptions } from '../otlp/endpoint.ts';
import { OtlpClient, type Outcome } from '../otlp/transport.ts';
import { SEGMENT_PATH } from '../model/segment.ts';
import type { Answer, Exchange } from './peer.ts';
import type { Delivery, Outgoing } from './sender.ts';

const SIGNALS = ['logs', 'traces', 'metrics'] as const;
const FAILED_DEPENDENCY = 424;

export interface Links {
  /** Base URL of the receiver, for people. */
  readonly address: string;
  readonly compression: Endpoint['compression'];
  readonly encoding: Endpoint['encoding'];
  deliver(outgoing: Outgoing): Promise<Delivery>;
  readonly exchange: Exchange;
  close(): void;
}

/** Throws OperationalError E_CONFIG_VALUE on an address or TLS file that cannot be used. */
export function openLinks(options: EndpointOptions): Links {
  const endpoints = Object.fromEntries(SIGNALS.map((signal) => [`/v1/${signal}`, resolveEndpoint(signal, options)])) as Record<
    string,
    Endpoint
  >;
  const logs = endpoints['/v1/logs'] as Endpoint;
  const base = logs.url.replace(/\/v1\/logs\/?$/, '');
  const bySignal = new Map(Object.entries(endpoints).map(([path, endpoint]) => [path, openClient(endpoint, endpoint.url)]));
  const hub = openClient(logs, base);

  const exchange: Exchange = async (method, path, contentType, body, encoding) => {
    // An address for logs alone has no other paths beside it: it is no hub's.
    if (base === logs.url) return { status: 404, body: new Uint8Array(0), error: '' };
    const headers = {
      ...(contentType === undefined ? {} : { 'content-type': contentType }),
      ...(encoding === undefined ? {} : { 'content-encoding': encoding }),
    };
    return toAnswer(await hub.exchange(method, path, headers, body));
  };

  return {
    address: base,
    compression: logs.compression,
    encoding: logs.encoding,
    exchange,
    deliver: async ({ path, contentType, encoding, body, headers }) => {
      const all = encoding === 'identity' ? headers : { ...headers, 'content-encoding': encoding };
      const client = bySignal.get(path);
      const outcome =
        client === undefined ? await hub.sendPacked(path, contentType, body, all) : await client.sendPacked('', contentType, body, all);
      return toDelivery(path, outcome);
    },
    close: () => {
      hub.close();
      for (const client of bySignal.values()) client.close();
    },
  };
}

function openClient(endpoint: Endpoint, baseUrl: string): OtlpClient {
  return new OtlpClient({ baseUrl, headers: endpoint.headers, timeoutMs: endpoint.timeoutMs, tls: endpoint.tls });
}

function toAnswer(answer: { readonly status: number; readonly body: Uint8Array } | Error): Answer {
  if (answer instanceof Error) return { status: 0, body: new Uint8Array(0), error: answer.message };
  return { status: answer.status, body: answer.body, error: answer.status >= 400 ? `HTTP status ${answer.status}` : '' };
}

function toDelivery(path: string, outcome: Outcome): Delivery {
  switch (outcome.kind) {
    case 'ok':
      return { kind: 'taken', rejected: 0, message: '' };
    case 'partial':
      return { kind: 'taken', rejected: outcome.rejected, message: outcome.message };
    case 'retry':
      return { kind: 'retry', message: outcome.reason, afterMs: outcome.afterMs, unreachable: outcome.status === undefined };
    case 'refused':
      if (outcome.status === FAILED_DEPENDENCY && path === SEGMENT_PATH) return { kind: 'formats' };
      // 401 and 403 are mended by an operator, not by dropping what waits.
      if (outcome.status === 401 || outcome.status === 403) {
        return {
          kind: 'retry',
          message: `${outcome.message} (check the token or certificate of the collector)`,
          afterMs: undefined,
          unreachable: false,
        };
      }
      return { kind: 'refused', message: outcome.message };
  }
}
