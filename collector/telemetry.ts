/**
 * The collector's telemetry about itself: spans of its own send cycles, through the OpenTelemetry SDK. Off unless an endpoint is
 * set, and then only is the SDK loaded: it takes some 20 MB. Data of the pipeline never goes through it.
 */
import type { Tracer } from '@opentelemetry/api';
import type { KernelIdentity } from '../model/identity.ts';

export interface TelemetryOptions {
  /** URL that spans are posted to; a base URL gets `/v1/traces` appended. */
  readonly endpoint: string | undefined;
  readonly version: string;
  readonly identity: KernelIdentity;
}

export interface OwnTelemetry {
  /** Runs `work` inside a span. */
  span<T>(name: string, attributes: Readonly<Record<string, string | number>>, work: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export const NO_TELEMETRY: OwnTelemetry = {
  span: (_name, _attributes, work) => work(),
  close: () => Promise.resolve(),
};

export async function openTelemetry(options: TelemetryOptions): Promise<OwnTelemetry> {
  if (options.endpoint === undefined) return NO_TELEMETRY;
  const [{ NodeSDK }, { OTLPTraceExporter }, { trace }] = await Promise.all([
    import('@opentelemetry/sdk-node'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/api'),
  ]);
  const base = options.endpoint.replace(/\/$/, '');
  const sdk = new NodeSDK({
    serviceName: 'mkscope-collector',
    traceExporter: new OTLPTraceExporter({ url: base.endsWith('/v1/traces') ? base : `${base}/v1/traces` }),
    // Spans only: what the environment may say of metrics and logs is not ours.
    metricReaders: [],
    logRecordProcessors: [],
    instrumentations: [],
    autoDetectResources: false,
  });
  sdk.start();
  const tracer = trace.getTracer('mkscope', options.version);
  return {
    span: (name, attributes, work) => runInSpan(tracer, name, { ...attributes, 'mk.kernel.id': options.identity.kernelId }, work),
    close: () => sdk.shutdown(),
  };
}

function runInSpan<T>(tracer: Tracer, name: string, attributes: Record<string, string | number>, work: () => Promise<T>): Promise<T> {
  return tracer.startActiveSpan(`mkscope ${name}`, { attributes }, async (span) => {
    try {
      return await work();
    } catch (error) {
      span.recordException(error instanceof Error ? error : String(error));
      throw error;
    } finally {
      span.end();
    }
  });
}
