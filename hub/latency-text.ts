/**
 * Latencies of messages between kernels for Prometheus, as a histogram; in OpenMetrics each bucket has its slowest message as exemplar:
 *
 *   mkscope_ikc_latency_seconds_bucket{…,le="0.000015"} 17 # {trace_id="…",span_id="…"} 0.0000123 1795670103.208
 */
import { toHex } from '../base/bytes.ts';
import type { SpanExemplar } from '../correlate/duration-histogram.ts';
import type { LatencyPair } from './ikc-latency.ts';

/** Upper bounds of latency buckets, as powers of 2 of a second: from 1 µs to 16 s, in steps of 4. */
const LATENCY_BOUNDS = Array.from({ length: 13 }, (_, at) => -20 + 2 * at);

/** Buckets with the slowest message in each as its exemplar. */
export function formatLatency(pairs: readonly LatencyPair[], isOpen: boolean): string {
  const name = 'mkscope_ikc_latency_seconds';
  let text = `# HELP ${name} How long messages between kernels took.\n# TYPE ${name} histogram\n`;
  for (const { sender, receiver, system, histogram } of pairs) {
    const labels = {
      system,
      machine: receiver.machineName,
      sender: sender.kernelName,
      receiver: receiver.kernelName,
      sender_boot: sender.bootId,
      receiver_boot: receiver.bootId,
    };
    for (const [at, bound] of [...LATENCY_BOUNDS, Infinity].entries()) {
      const { count, exemplar } = histogram.readBucket(bound, LATENCY_BOUNDS[at - 1] ?? -Infinity);
      const le = bound === Infinity ? '+Inf' : String(2 ** bound);
      text += `${name}_bucket${formatLabels({ ...labels, le })} ${count}${isOpen ? formatExemplar(exemplar) : ''}\n`;
    }
    text += `${name}_sum${formatLabels(labels)} ${histogram.sumNs / 1e9}\n${name}_count${formatLabels(labels)} ${histogram.count}\n`;
  }
  return text;
}

function formatExemplar(exemplar: SpanExemplar | undefined): string {
  if (exemplar === undefined) return '';
  const ids = { trace_id: toHex(exemplar.traceId), span_id: toHex(exemplar.spanId) };
  return ` # ${formatLabels(ids)} ${exemplar.ns / 1e9} ${(Number(exemplar.timeNs / 1_000_000n) / 1e3).toFixed(3)}`;
}

export function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(
    ([key, of]) => `${key}="${of.replace(/[\\"\n]/g, (found) => (found === '\n' ? '\\n' : `\\${found}`))}"`,
  );
  return pairs.length > 0 ? `{${pairs.join(',')}}` : '';
}
