import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readEventStream } from '../../cli/event-stream.ts';
import type { ServerEvent } from '../../cli/event-stream.ts';

const TEXT =
  ': alive\n\nretry: 1000\n\nevent: log\ndata: {"a":"ü"}\n\ndata:one\ndata: two\r\n\r\nevent: lost\ndata: {"count":3}\n\nevent: log\ndata: cut off';
const EXPECTED: readonly ServerEvent[] = [
  { name: 'log', data: '{"a":"ü"}' },
  { name: 'message', data: 'one\ntwo' },
  { name: 'lost', data: '{"count":3}' },
];

async function readChunks(chunks: readonly Uint8Array[]): Promise<ServerEvent[]> {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
  return Array.fromAsync(readEventStream(body));
}

test('event-stream: reads events, however the bytes are split', async () => {
  const bytes = new TextEncoder().encode(TEXT);
  for (let at = 0; at <= bytes.length; at++) {
    assert.deepEqual(await readChunks([bytes.subarray(0, at), bytes.subarray(at)]), EXPECTED, `split at ${at}`);
  }
  assert.deepEqual(await readChunks([...bytes].map((byte) => Uint8Array.of(byte))), EXPECTED, 'byte by byte');
});

test('event-stream: an event without end stops the stream instead of filling the memory', async () => {
  const chunk = new Uint8Array(1 << 20).fill(0x61);
  let pulled = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled++;
      controller.enqueue(chunk);
    },
  });
  assert.deepEqual(await Array.fromAsync(readEventStream(body)), []);
  assert.ok(pulled < 32, `${pulled} MiB were read`);
});
