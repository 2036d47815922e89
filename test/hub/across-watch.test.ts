/** Span rules over kernels in the hub: from stored events to spans and histograms in the store. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AcrossWatch } from '../../hub/across-watch.ts';
import type { SpanRule } from '../../correlate/span-rules.ts';
import { openStore } from '../../store/open.ts';
import { toEventBatch } from '../support/ikc-events.ts';
import { HOST, SPAWN } from './running-hub.ts';

const RULE: SpanRule = {
  name: 'order',
  title: 'x',
  begin: ['app:order'],
  end: ['app:deliver'],
  across: true,
  key: ['id'],
  onRepeat: 'replace',
  minDurationNs: 0,
  sampleOneIn: 0,
  spanName: 'order {id}',
  attributes: {},
  endAttributes: {},
  samples: [],
};

test('across: what two kernels of a machine record becomes one trace and a histogram with it as exemplar; machines are apart', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-across-'));
  const store = await openStore({ dataDir });
  let told = 0;
  const watch = new AcrossWatch({ store, version: 'test', rules: [RULE], onStored: (parts) => (told += parts.length) });
  try {
    const begin = toEventBatch([{ event: 'app:order', atNs: 1_000, fields: { id: 7 } }]);
    const end = toEventBatch([{ event: 'app:deliver', atNs: 251_000, fields: { id: 7 } }]);
    watch.takeEvents(HOST, begin, 100, 0);
    watch.takeEvents({ ...SPAWN, machineId: 'another', bootId: 'b' }, end, 100, 0);
    await watch.advance(4_000);
    assert.equal(told, 0);
    watch.takeEvents(SPAWN, end, 100, 5_000);
    await watch.advance(20_000);
    await watch.advance(40_000);
    const spans = await store.query<Record<string, unknown>>(
      `SELECT toString(ServiceName) AS service, toString(SpanName) AS name, toString(SpanKind) AS kind, toFloat64(Duration) AS took,
         length(Links.SpanId) AS links FROM otel_traces ORDER BY Timestamp`,
    );
    assert.deepEqual(spans, [
      { service: 'host', name: 'order 7', kind: 'Producer', took: 250_000, links: '0' },
      { service: 'spawn1', name: 'end of order 7', kind: 'Consumer', took: 0, links: '1' },
    ]);
    const points = await store.query<Record<string, unknown>>(
      `SELECT toString(ServiceName) AS service, toFloat64(Count) AS count, Exemplars.TraceId = [(SELECT any(TraceId) FROM otel_traces)] AS has
       FROM otel_metrics_exp_histogram WHERE MetricName = 'mk.span.duration'`,
    );
    assert.deepEqual(points, [{ service: 'host', count: 1, has: 1 }]);
    assert.equal(told, 1);
  } finally {
    await watch.close();
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
});
