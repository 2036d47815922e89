import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { LogPage, LogRow } from '../../model/api.ts';
import { LiveFeed } from '../../hub/live.ts';
import { toResource, toScope } from '../../model/identity.ts';
import { LogBatch } from '../../model/log-batch.ts';
import { getJson, HOST, nowNs, post, runHub, SPAWN, toLogsBody, type RunningHub } from './running-hub.ts';

let hub: RunningHub;

before(async () => {
  hub = await runHub();
});
after(() => hub.stop());

interface LiveEvent {
  readonly name: string;
  readonly value: LogRow & { count: number };
}

/** Events of a stream as they come. */
async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<LiveEvent> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const name = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (name !== undefined && data !== undefined) yield { name, value: JSON.parse(data) as LiveEvent['value'] };
    }
  }
}

/** Keeps the response too: fetch cancels the body of one that is garbage. */
async function openLive(query: string): Promise<{ response: Response; events: AsyncGenerator<LiveEvent>; close: () => void }> {
  const controller = new AbortController();
  const response = await fetch(`${hub.addresses.page}/api/logs/live${query}`, { signal: controller.signal });
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
  return { response, events: readEvents(response.body as ReadableStream<Uint8Array>), close: () => controller.abort() };
}

test('live: a received row arrives as the query gives it back later', async () => {
  const live = await openLive('?kernel=host&level=warn&search=DISK');
  const lines = ['disk ok', 'disk failing', 'other'].map((text, index) => ({
    text,
    unixNs: nowNs(),
    level: index === 0 ? 6 : 3,
    sequence: index,
  }));
  await post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(SPAWN, lines));
  await post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(HOST, lines));
  const { value } = (await live.events.next()) as { value: LiveEvent };
  live.close();
  assert.equal(value.name, 'log');
  const stored = (await getJson<LogPage>(hub, '/api/logs?kernel=host&level=warn&search=disk')).rows;
  assert.deepEqual([value.value], stored);
});

test('live: a regular expression that would take for ever matches in no time', async () => {
  const live = await openLive(`?regex=${encodeURIComponent('(a+)+$')}`);
  const text = `${'a'.repeat(5_000)}b`;
  const startMs = performance.now();
  const answer = await post(
    `${hub.addresses.otlp}/v1/logs`,
    toLogsBody(HOST, [
      { text, unixNs: nowNs() },
      { text: 'aaa', unixNs: nowNs(), sequence: 1 },
    ]),
  );
  assert.equal(answer.status, 200);
  const { value } = (await live.events.next()) as { value: LiveEvent };
  live.close();
  assert.equal(value.value.body, 'aaa');
  assert.ok(performance.now() - startMs < 5_000);
  assert.equal((await fetch(`${hub.addresses.page}/api/logs/live?regex=${encodeURIComponent('(?=a)')}`)).status, 400);
});

test('live: a client that does not read loses rows, is told how many, and holds nothing up', async () => {
  const feed = new LiveFeed();
  const reader = (feed.subscribe({}).body as ReadableStream<Uint8Array>).getReader();
  const batch = new LogBatch();
  for (let row = 0; row < 1_000; row++) batch.addText('x'.repeat(200), 6);
  for (let round = 0; round < 10; round++) feed.publish(toResource(HOST), toScope('t', '1'), batch);
  assert.ok(feed.counts.sent > 100 && feed.counts.lost > 100);
  const { sent, lost } = feed.counts;
  assert.equal(sent + lost, 10_000);
  let seen = 0;
  let told = 0;
  while (seen < sent || told === 0) {
    const { value } = await reader.read();
    const text = new TextDecoder().decode(value);
    if (text.startsWith('event: log')) seen++;
    else if (text.startsWith('event: lost')) told += (JSON.parse(/data: (.*)/.exec(text)?.[1] ?? '{}') as { count: number }).count;
  }
  assert.deepEqual([seen, told], [sent, lost]);
  await reader.cancel();
  assert.equal(feed.subscribers, 0);
  feed.close();
});

test('live: a client that goes away is forgotten', async () => {
  const live = await openLive('');
  live.close();
  let text = '';
  for (let tries = 0; tries < 100 && !/live_subscribers 0/.test(text); tries++) {
    text = await (await fetch(`${hub.addresses.page}/metrics`)).text();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.match(text, /mkscope_hub_live_subscribers 0/);
});
