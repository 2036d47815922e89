/** IKC and traces in Chromium, over a hub that was fed with the lab's recording: three real kernels that talk, and one that panics. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSession, replaySession } from '../../cli/session.ts';
import { type Hub, startHub } from '../../hub/hub.ts';
import type { Clocks, IkcLatency, IkcMessage, IkcSummary, Trace, TraceRow } from '../../model/api.ts';
import { type Browser, NO_BROWSER, openBrowser } from './browser.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };
const folder = mkdtempSync(join(tmpdir(), 'mkscope-ikc-page-'));
let hub: Hub | undefined;
let browser: Browser | undefined;

before(async () => {
  await import('../../web/build.ts');
  const root = join(import.meta.dirname, '..', '..');
  hub = await startHub({
    dataDir: join(folder, 'data'),
    version: '0.0.0-test',
    page: LOOPBACK,
    otlp: LOOPBACK,
    webDir: join(root, 'web', 'dist'),
  });
  const session = openSession(join(root, 'test', 'fixtures', 'lab'));
  const shiftNs = BigInt(Date.now()) * 1_000_000n - BigInt(session.file.toUnixNs);
  await replaySession(session, { to: { endpoint: hub.addresses.otlp }, shiftNs, isPaced: false, signal: new AbortController().signal });
  await waitForTraces();
  if (NO_BROWSER === undefined) browser = await openBrowser(hub.addresses.page);
});

after(async () => {
  await browser?.close();
  await hub?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function ask<T>(path: string): Promise<T> {
  const response = await fetch(`${hub?.addresses.page}${path}`);
  assert.equal(response.status, 200, `${path}: ${response.status}`);
  return (await response.json()) as T;
}

/** Messages are matched, and requests told, some seconds after their records came. */
async function waitForTraces(): Promise<void> {
  const deadlineMs = Date.now() + 90_000;
  for (;;) {
    const { channels } = await ask<IkcSummary>('/api/ikc');
    const { traces } = await ask<{ traces: TraceRow[] }>('/api/traces?name=answer%20RESOURCE/MEM_ADD');
    const matched = channels.reduce((sum, channel) => sum + channel.matched, 0);
    if (matched > 500 && traces.length > 0) return;
    assert.ok(Date.now() < deadlineMs, `after 90 s ${matched} messages are matched, and ${traces.length} requests are told`);
    await sleep(500);
  }
}

function useBrowser(t: TestContext): (Browser & { readonly url: string }) | undefined {
  if (NO_BROWSER !== undefined) t.skip(NO_BROWSER);
  return browser === undefined || hub === undefined ? undefined : { ...browser, url: hub.addresses.page };
}

test('ikc latency: the picture has each matched message once, in the column of its time and the bucket of its latency', async () => {
  const latency = await ask<IkcLatency>('/api/ikc/latency?sender=host&receiver=spawn1&columns=40');
  const { messages } = await ask<{ messages: IkcMessage[] }>('/api/ikc/messages?sender=host&receiver=spawn1&order=slowest&limit=5000');
  assert.ok(latency.columns <= 40 && messages.length > 100);
  assert.equal(latency.matched, messages.length);
  const wanted = new Map<string, number>();
  for (const { unixNs, latencyNs } of messages) {
    const column = Number((BigInt(unixNs) - BigInt(latency.fromUnixNs)) / BigInt(latency.stepNs));
    const key = `${column} ${latencyNs < 1 ? -1 : Math.floor(Math.log10(latencyNs) * latency.bucketsPerDecade)}`;
    wanted.set(key, (wanted.get(key) ?? 0) + 1);
  }
  const { cells, series } = latency;
  assert.deepEqual(new Map(cells.column.map((column, at) => [`${column} ${cells.bucket[at]}`, cells.count[at]])), wanted);
  assert.equal(BigInt(latency.fromUnixNs) % BigInt(latency.stepNs), 0n);
  const unordered = messages.filter((one) => Math.abs(one.latencyNs) <= one.sendErrorNs + one.receiveErrorNs).length;
  assert.equal(latency.unordered, unordered);
  const { channels } = await ask<IkcSummary>('/api/ikc');
  const channel = channels.find(({ senderName, receiverName }) => senderName === 'host' && receiverName === 'spawn1');
  assert.equal(
    series.other.reduce((sum, count) => sum + count, 0),
    (channel?.waiting ?? 0) + (channel?.failed ?? 0) + (channel?.unmatchedSends ?? 0) + (channel?.unmatchedReceives ?? 0),
  );
  const none = await ask<IkcLatency>('/api/ikc/latency?sender=nobody');
  assert.deepEqual([none.columns, none.fromUnixNs, none.matched], [0, '', 0]);
});

test('traces: filters by name, kernel and duration; one has its spans; what is none is refused', async () => {
  const find = async (query: string): Promise<TraceRow[]> => (await ask<{ traces: TraceRow[] }>(`/api/traces?${query}`)).traces;
  const [request] = await find('name=resource/mem_add');
  assert.ok(request !== undefined && request.kernels.includes('host') && request.kernels.includes('spawn1'));
  const long = await find(`min_duration_ns=${request.durationNs}&limit=1000`);
  assert.ok(long.some(({ traceId }) => traceId === request.traceId) && long.every(({ durationNs }) => durationNs >= request.durationNs));
  const sends = await find('kernel=spawn2&name=send&limit=7');
  assert.equal(sends.length, 7);
  assert.ok(sends.every(({ kernels }) => kernels.includes('spawn2')));
  assert.deepEqual(
    sends,
    sends.toSorted((a, b) => (BigInt(a.startUnixNs) < BigInt(b.startUnixNs) ? 1 : -1)),
  );
  assert.deepEqual(await find('kernel=nobody'), []);
  const trace = await ask<Trace>(`/api/traces/${request.traceId}`);
  assert.equal(trace.spans.length, request.spans);
  assert.equal(trace.spans.filter(({ status }) => status === 'Error').length, request.errors);
  const statusOf = async (id: string): Promise<number> => (await fetch(`${hub?.addresses.page}/api/traces/${id}`)).status;
  assert.equal(await statusOf('f'.repeat(32)), 404);
  assert.equal(await statusOf('nonsense'), 400);
});

test('page: IKC shows who sends to whom, the picture of a channel, and its slowest message leads to its trace', async (t) => {
  const open = useBrowser(t);
  if (open === undefined) return;
  const { page } = open;
  await page.goto(`${open.url}/#/ikc`);
  const cell = page.getByRole('button', { name: /^host → spawn1: / });
  await cell.click();
  await page.waitForURL(/sender=0.*receiver=1/);
  await page.getByRole('heading', { name: 'Latency of host → spawn1' }).waitFor();
  const picture = page.getByRole('img', { name: /^Latency of host → spawn1/ });
  await picture.waitFor();
  const filled = await page.evaluate<number>(`(() => {
    const canvas = document.querySelector('.heat canvas');
    const pixels = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    return new Set(pixels).size;
  })()`);
  assert.ok(filled > 20, `the picture has ${filled} colours`);
  await open.keep('ikc-channel');
  const { messages } = await ask<{ messages: IkcMessage[] }>('/api/ikc/messages?sender=0&receiver=1&order=slowest&limit=1');
  const row = page.locator('.ikc-table tbody tr').first();
  await row.getByText('USER/').click();
  await page.waitForURL(new RegExp(`#/trace\\?id=${messages[0]?.traceId}`));
  await page.locator('.waterfall-row', { hasText: 'process spawn1' }).waitFor();
  await open.keep('trace-message');
  assert.deepEqual(open.complaints, []);
});

test('page: IKC says whether a message is received before it was sent, and so do the stored metrics', async (t) => {
  const { audit } = await ask<Clocks>('/api/clocks');
  assert.ok(audit.messages > 500 && audit.impossible === 0, JSON.stringify(audit));
  const sql = `SELECT MetricName, max(Value) FROM otel_metrics_sum WHERE MetricName LIKE 'mk.causality.%' GROUP BY ALL ORDER BY ALL`;
  const deadlineMs = Date.now() + 30_000;
  for (;;) {
    const body = JSON.stringify({ sql });
    const answer = await fetch(`${hub?.addresses.page}/api/sql`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    const { rows } = (await answer.json()) as { rows: [string, number][] };
    if (rows.length === 3 && (rows[2]?.[1] ?? 0) > 0) break;
    assert.ok(Date.now() < deadlineMs, `after 30 s: ${JSON.stringify(rows)}`);
    await sleep(500);
  }
  const open = useBrowser(t);
  if (open === undefined) return;
  await open.page.goto(`${open.url}/#/ikc`);
  await open.page.getByText(/^Of [\d,]+ matched messages (none is|[\d,]+ are) received before/).waitFor();
  assert.deepEqual(open.complaints, []);
});

test('page: a drag in the picture narrows the time; failed messages and those with one end say why', async (t) => {
  const open = useBrowser(t);
  if (open === undefined) return;
  const { page } = open;
  await page.goto(`${open.url}/#/ikc?list=failed`);
  await page.getByText('the sender’s kernel refused it: errno -19').first().waitFor();
  const picture = page.getByRole('img', { name: /^Latency of all channels/ });
  await picture.scrollIntoViewIfNeeded();
  const box = await picture.boundingBox();
  assert.ok(box !== null);
  await page.mouse.move(box.x + 300, box.y + 120);
  await page.mouse.down();
  await page.mouse.move(box.x + 500, box.y + 140, { steps: 3 });
  await page.mouse.up();
  await page.waitForURL(/from=\d{19}.*to=\d{19}/);
  await page.getByRole('button', { name: 'All times' }).click();
  await page.waitForURL((url) => !url.hash.includes('from='));
  await page.goto(`${open.url}/#/ikc?kernel=nobody`);
  await page.getByText('No message between kernels here').waitFor();
  assert.deepEqual(open.complaints, []);
});

test('page: a request is a waterfall over two kernels, with attributes on a click and their logs below', async (t) => {
  const open = useBrowser(t);
  if (open === undefined) return;
  const { page } = open;
  await page.goto(`${open.url}/#/traces?q=mem_add`);
  await page.getByRole('link', { name: 'request RESOURCE/MEM_ADD spawn1' }).click();
  await page.waitForURL(/#\/trace\?id=[0-9a-f]{32}/);
  await page.locator('.waterfall-row', { hasText: 'host request RESOURCE/MEM_ADD' }).waitFor();
  await page.locator('.waterfall-row', { hasText: 'spawn1 answer RESOURCE/MEM_ADD' }).click();
  const drawer = page.getByRole('complementary', { name: 'Span' });
  await drawer.getByRole('link', { name: 'request RESOURCE/MEM_ADD spawn1' }).waitFor();
  await page.locator('.trace-logs tr', { hasText: 'Multikernel hotplug: Adding memory' }).first().waitFor();
  await open.keep('trace-request');
  await page.keyboard.press('Escape');
  await drawer.waitFor({ state: 'detached' });
  await page.goto(`${open.url}/#/trace?id=${'e'.repeat(32)}`);
  await page.getByText('No span of this trace is stored').waitFor();
  // The browser itself reports the answer 404.
  const refused = open.complaints.splice(0);
  assert.ok(
    refused.every((complaint) => /status of 404/.test(complaint)),
    refused.join('\n'),
  );
});

test('page: IKC and traces look right in light and at 1920 px', async (t) => {
  const open = useBrowser(t);
  if (open === undefined) return;
  const { page } = open;
  await page.emulateMedia({ colorScheme: 'light' });
  for (const width of [1280, 1920]) {
    await page.setViewportSize({ width, height: 1000 });
    for (const name of ['ikc', 'traces']) {
      await page.goto(`${open.url}/#/${name}`);
      await page.locator('tbody tr').first().waitFor();
      await page.waitForTimeout(500);
      const overflow = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
      assert.equal(overflow, 0, `${name} is wider than ${width} px`);
      await open.keep(`${name}-${width}-light`);
    }
  }
  assert.deepEqual(open.complaints, []);
});
