/** Traces in the terminal: the waterfall as text, and both commands against a hub that has one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderTrace } from '../../cli/trace-table.ts';
import type { Trace, TraceRow, TraceSpan } from '../../model/api.ts';
import { nowNs, post, runHub } from '../hub/running-hub.ts';
import { runCli } from '../support/run-cli.ts';

const START = 1_795_670_103_208_982_278n;
const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const plain = (_style: string, text: string): string => text;

function toSpan(id: string, parent: string, kernel: string, startNs: number, durationNs: number, more: Partial<TraceSpan> = {}): TraceSpan {
  return {
    spanId: id,
    parentSpanId: parent,
    name: id,
    kind: 'Internal',
    service: kernel,
    scope: '',
    machine: 'm',
    kernelId: 0,
    kernelName: kernel,
    bootId: '',
    startUnixNs: String(START + BigInt(startNs)),
    durationNs,
    status: 'Unset',
    statusMessage: '',
    attributes: {},
    events: [],
    links: [],
    ...more,
  };
}

const SPANS = [
  toSpan('request', '', 'host', 0, 1000, { attributes: { 'mk.clock.error_ns': '0' } }),
  toSpan('send spawn1', 'request', 'host', 0, 100),
  toSpan('process', 'send spawn1', 'spawn1', 250, 0, {
    links: [
      { traceId: TRACE_ID, spanId: 'send spawn1' },
      { traceId: TRACE_ID, spanId: 'request' },
      { traceId: 'other', spanId: 'far' },
    ],
    attributes: { 'mk.clock.error_ns': '1200', 'thread.id': '7' },
  }),
  toSpan('answer\u001b[31m', 'request', 'spawn1', 500, 500, { status: 'Error', statusMessage: 'EBUSY' }),
  toSpan('lost', 'nowhere', 'spawn1', 900, 50, { events: [{ unixNs: '0', name: 'note', attributes: { a: '1' } }] }),
];
const TRACE: Trace = { traceId: TRACE_ID, spans: SPANS, truncated: false, tookMs: 1 };

test('trace: a waterfall shows tree, times, bounds, links, errors and missing parents; text of a kernel is no terminal escape', () => {
  const [head, ...lines] = renderTrace(TRACE, plain, undefined, false).trimEnd().split('\n');
  assert.match(head ?? '', new RegExp(`^trace ${TRACE_ID} .* 1\\.0 µs {2}5 spans {2}host, spawn1$`));
  assert.deepEqual(lines, [
    'host    request              +0 ns  1.0 µs    ±0 ns  ████████████████████████████████████████',
    'host    ├─ send spawn1       +0 ns  100 ns           ████',
    'spawn1  │  └─ process      +250 ns    0 ns  ±1.2 µs            █',
    '                ↷ request of host',
    '                ↷ trace other, span far',
    'spawn1  └─ answer\\x1b[31m  +500 ns  500 ns                               ████████████████████',
    '             error: EBUSY',
    'spawn1  lost               +900 ns   50 ns                                               ██',
    '          its parent nowhere is not stored (yet)',
    '          • note a=1',
  ]);
});

test('trace: a narrow terminal has no bars and cuts, a wide one has attributes where they are asked for', () => {
  const narrow = renderTrace(TRACE, plain, 40, true).split('\n').slice(1);
  assert.ok(!narrow.join('').includes('█'));
  assert.ok(narrow.some((line) => line.includes('mk.clock.error_ns=1200') || line.endsWith('…')));
  const wide = renderTrace(TRACE, plain, 120, true).split('\n').slice(1);
  assert.ok(wide.every((line) => line.length <= 120));
  assert.ok(wide.some((line) => line.trim() === 'mk.clock.error_ns=1200 thread.id=7'));
});

test('trace: the commands find and show what a hub has, as text and as JSON', async () => {
  const hub = await runHub();
  try {
    const atNs = nowNs() - 5_000_000_000n;
    const span = (id: string, parent: string, name: string, fromNs: bigint, tookNs: bigint): object => ({
      traceId: TRACE_ID,
      spanId: id.repeat(16),
      ...(parent === '' ? {} : { parentSpanId: parent.repeat(16) }),
      name,
      kind: 1,
      startTimeUnixNano: String(atNs + fromNs),
      endTimeUnixNano: String(atNs + fromNs + tookNs),
    });
    const resourceOf = (service: string): object => ({ attributes: [{ key: 'service.name', value: { stringValue: service } }] });
    const body = {
      resourceSpans: [
        { resource: resourceOf('shop'), scopeSpans: [{ spans: [span('a', '', 'GET /cart', 0n, 20_000_000n)] }] },
        { resource: resourceOf('db'), scopeSpans: [{ spans: [span('b', 'a', 'SELECT', 5_000_000n, 10_000_000n)] }] },
      ],
    };
    assert.equal((await post(`${hub.addresses.otlp}/v1/traces`, JSON.stringify(body), { 'content-type': 'application/json' })).status, 200);
    const ask = (...args: string[]): ReturnType<typeof runCli> => runCli(args, { env: { MKSCOPE_HUB: hub.addresses.page } });
    const [list, json, none, one, whole, wrong, unknown] = await Promise.all([
      ask('traces', '--min', '15ms', '--since', '1m'),
      ask('traces', '--name', 'select', '--json'),
      ask('traces', '--min', '21ms'),
      ask('trace', '4BF92F35-77B3-4DA6-A3CE-929D0E0E4736'),
      ask('trace', '--json', TRACE_ID),
      ask('trace', 'abc'),
      ask('trace', '0'.repeat(31) + '1'),
    ]);
    assert.match(list.stdout, new RegExp(`20\\.0 ms +2 +0 +${TRACE_ID} +db, shop +GET /cart\n$`));
    const row = JSON.parse(json.stdout) as TraceRow;
    assert.deepEqual([row.traceId, row.spans, row.durationNs], [TRACE_ID, 2, 20_000_000]);
    assert.equal(none.stdout, 'No such trace.\n');
    assert.match(one.stdout, /\nshop {2}GET \/cart {4}\+0 ns {2}20\.0 ms {4}█{40}\ndb {4}└─ SELECT {2}\+5\.0 ms {2}10\.0 ms {14}█{20}\n$/);
    assert.equal((JSON.parse(whole.stdout) as Trace).spans.length, 2);
    assert.deepEqual([wrong.code, unknown.code], [2, 1]);
    assert.match(unknown.stderr, /no span of trace 0+1 is stored/);
  } finally {
    await hub.stop();
  }
});
