/**
 * The ingest listener: OTLP/HTTP and segments of trace pages. A request is stored whole or refused whole; it is answered with
 * success once it lies in the store's spool, and only then do live clients see it.
 */
import type { Context } from 'hono';
import { decodeUtf8 } from '../base/bytes.ts';
import { OperationalError } from '../base/errors.ts';
import { RECORDER_PATH, toRecorderReport } from '../model/recorder-wire.ts';
import {
  BATCH_SEQUENCE_HEADER,
  BATCH_STREAM_HEADER,
  FORMAT_SET_PATH,
  SYMBOLS_CONTENT_TYPE,
  SYMBOLS_PATH,
  HUB_CLOCK_PATH,
  SEGMENT_CONTENT_TYPE,
  SEGMENT_PATH,
} from '../model/segment.ts';
import {
  decodeLogs,
  decodeLogsJson,
  decodeMetrics,
  decodeMetricsJson,
  decodeSpans,
  decodeSpansJson,
  type Decoded,
} from '../otlp/decode.ts';
import type { Encoding } from '../otlp/answer.ts';
import { judgeHead, toFailure, toSuccess, type ResponseParts } from '../otlp/http-rules.ts';
import type { Signal } from '../otlp/schema.ts';
import type { BatchOrigin } from '../store/store.ts';
import { AccessGuard, checkIdentity, type AccessToken, type Address } from './access.ts';
import type { BodyReader } from './body.ts';
import type { HubCounters } from './counters.ts';
import type { FormatSets } from './format-sets.ts';
import type { Intake } from './intake.ts';
import { createApp, type HubApp, type HubEnv } from './listen.ts';
import { RETRY_AFTER_SECONDS, toOperational, toProblemResponse, toStatus } from './problem.ts';
import type { Recorders } from './recorders.ts';
import { readSegment } from './segments.ts';

const MAX_STREAM_CHARS = 256;

export interface ReceiveSettings {
  readonly address: Address;
  readonly tokens: readonly AccessToken[];
  readonly version: string;
  readonly bodies: BodyReader;
  readonly counters: HubCounters;
  readonly formats: FormatSets;
  /** Names the clock that `HUB_CLOCK_PATH` shows. */
  readonly processId: string;
  readonly intake: Intake;
  readonly recorders: Recorders;
}

export function createReceiveApp(settings: ReceiveSettings): HubApp {
  const { bodies, counters, formats, intake, recorders } = settings;
  const guard = new AccessGuard(settings.tokens, 'ingest');
  const refuse = (error: unknown, encoding: Encoding | undefined): Response => {
    counters.countRefused(toOperational(error).code);
    return encoding === undefined ? toProblemResponse(error) : toOtlpError(error, encoding);
  };
  const app = createApp(settings.address);

  /** Reads a body and hands it on; the answer to every error is in the encoding of the request. */
  const receive = async (
    c: Context<HubEnv>,
    encoding: Encoding | undefined,
    use: (body: Uint8Array, token: AccessToken | undefined) => Promise<Response>,
  ): Promise<Response> => {
    counters.batchesReceived++;
    try {
      const token = guard.admit(c.req.raw.headers);
      return await bodies.with(c.env.incoming, (body) => {
        counters.bytesReceived += body.length;
        return use(body, token);
      });
    } catch (error) {
      return refuse(error, encoding);
    }
  };

  const otlp = <Part>(signal: Signal, decode: Decoders<Part>, take: (parts: readonly Part[], from: Sender) => Promise<void>): void => {
    app.all(`/v1/${signal}`, async (c) => {
      const head = judgeHead({
        method: c.req.method,
        path: c.req.path,
        contentType: c.req.header('content-type'),
        contentEncoding: c.req.header('content-encoding'),
        contentLength: c.req.header('content-length'),
      });
      if (!head.ok) {
        counters.batchesReceived++;
        counters.countRefused(head.response.status === 413 ? 'E_BODY_TOO_LARGE' : 'E_MEDIA_TYPE');
        return toResponse(head.response);
      }
      const { encoding } = head.value;
      return receive(c, encoding, async (body, token) => {
        const origin = readOrigin(c, token);
        const decoded = checkDecoded(decode[encoding](body));
        if (decoded.parts.length > 0) await take(decoded.parts, { token, origin });
        else counters.batchesEmpty++;
        const partial = decoded.rejected > 0 ? { rejected: decoded.rejected, message: decoded.rejectedReason } : undefined;
        return toResponse(toSuccess(signal, encoding, partial));
      });
    });
  };
  otlp('logs', { protobuf: decodeLogs, json: decodeLogsJson }, (parts, from) => intake.takeLogs(parts, from));
  otlp('traces', { protobuf: decodeSpans, json: decodeSpansJson }, (parts, from) => intake.takeSpans(parts, from));
  otlp('metrics', { protobuf: decodeMetrics, json: decodeMetricsJson }, (parts, from) => intake.takeMetrics(parts, from));

  app.post(SEGMENT_PATH, (c) =>
    receive(c, undefined, async (body, token) => {
      const type = c.req.header('content-type');
      if (type !== SEGMENT_CONTENT_TYPE) throw wrongType(type, SEGMENT_CONTENT_TYPE);
      await intake.takeSegment(readSegment(body), { token, origin: readOrigin(c, token) });
      return c.json({});
    }),
  );
  app.post(RECORDER_PATH, (c) =>
    receive(c, undefined, (body, token) => {
      const report = toRecorderReport(body);
      if (typeof report === 'string') throw new OperationalError('E_REQUEST', report, 'docs/api.md shows the body');
      checkIdentity(token, report.identity);
      counters.batchesEmpty++;
      return Promise.resolve(c.json({ requests: recorders.take(report) }));
    }),
  );
  app.put(`${FORMAT_SET_PATH}/:hash`, (c) =>
    receive(c, undefined, (body) => {
      formats.put(c.req.param('hash'), parseJson(body));
      counters.batchesEmpty++;
      return Promise.resolve(c.json({}));
    }),
  );
  app.put(`${SYMBOLS_PATH}/:bootId`, (c) =>
    receive(c, undefined, async (body, token) => {
      const type = c.req.header('content-type');
      if (type !== SYMBOLS_CONTENT_TYPE) throw wrongType(type, SYMBOLS_CONTENT_TYPE);
      await intake.takeSymbols(c.req.param('bootId'), body, token);
      return c.json({});
    }),
  );
  app.get('/v1/mkscope/hello', (c) => {
    guard.admit(c.req.raw.headers);
    return c.json({ mkscope: settings.version, formats: formats.hashes });
  });
  app.get(HUB_CLOCK_PATH, (c) => {
    guard.admit(c.req.raw.headers);
    return c.json({ process: settings.processId, atNs: String(process.hrtime.bigint()) });
  });
  app.get('/', (c) => c.text('mkscope OTLP/HTTP: POST /v1/logs, /v1/traces, /v1/metrics\n'));
  return app;
}

function toResponse({ status, headers, body }: ResponseParts): Response {
  return new Response(body, { status, headers });
}

/** An error as google.rpc.Status in the encoding of the request. */
function toOtlpError(error: unknown, encoding: Encoding): Response {
  const { code, message, hint } = toOperational(error);
  const status = toStatus(error);
  const failure = toFailure(encoding, status, `${code}: ${message} (${hint})`, status === 503 ? RETRY_AFTER_SECONDS : undefined);
  const challenge: Record<string, string> = status === 401 ? { 'www-authenticate': 'Bearer realm="mkscope"' } : {};
  return toResponse({ ...failure, headers: { ...failure.headers, ...challenge } });
}

interface Decoders<Part> {
  protobuf(bytes: Uint8Array): Decoded<Part>;
  json(bytes: Uint8Array): Decoded<Part>;
}

/** Who sends, and under which number. */
export interface Sender {
  readonly token: AccessToken | undefined;
  readonly origin: BatchOrigin | undefined;
}

function checkDecoded<Part>(decoded: Decoded<Part>): Extract<Decoded<Part>, { ok: true }> {
  if (decoded.ok) return decoded;
  const { message, offset, tooLarge } = decoded.failure;
  throw new OperationalError(
    tooLarge ? 'E_BODY_TOO_LARGE' : 'E_REQUEST',
    `${message} at byte ${offset}`,
    tooLarge ? 'send smaller batches' : 'send an OTLP export request in the encoding that content-type names',
  );
}

/** The sender's number of the batch. A bound credential has numbers of its own: it cannot use up those of another kernel. */
function readOrigin(c: Context<HubEnv>, token: AccessToken | undefined): BatchOrigin | undefined {
  const stream = c.req.header(BATCH_STREAM_HEADER);
  const sequence = c.req.header(BATCH_SEQUENCE_HEADER);
  if (stream === undefined && sequence === undefined) return undefined;
  if (stream === undefined || stream === '' || stream.length > MAX_STREAM_CHARS || !/^\d{1,15}$/.test(sequence ?? '')) {
    throw new OperationalError(
      'E_REQUEST',
      `${BATCH_STREAM_HEADER} and ${BATCH_SEQUENCE_HEADER} do not name a batch`,
      'send both, the second as a decimal number, or none',
    );
  }
  const owner = token?.kernel === undefined ? '' : `${token.kernel.machineId ?? ''}/${token.kernel.kernelId}/`;
  return { stream: owner + stream, sequence: Number(sequence) };
}

function wrongType(found: string | undefined, wanted: string): OperationalError {
  return new OperationalError('E_MEDIA_TYPE', `content-type ${found ?? '(none)'} is not supported here`, `send ${wanted}`);
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(decodeUtf8(body));
  } catch (error) {
    throw new OperationalError('E_REQUEST', 'the body is not JSON', 'send the format set as JSON', error);
  }
}
