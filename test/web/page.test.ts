/** The page in Chromium over a real hub: first empty, then with what this machine's own kernel prints and traces. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import type { Page } from 'playwright-core';
import { type Collector, startCollector } from '../../collector/collector.ts';
import { type Hub, startHub } from '../../hub/hub.ts';
import { HOST, post, SPAWN, toLogsBody } from '../hub/running-hub.ts';
import { type Browser, NO_BROWSER, openBrowser } from './browser.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };
const VERSION = '0.0.0-test';
const PAGES = ['kernels', 'logs', 'timeline', 'ikc', 'traces', 'incidents', 'ledger', 'sql'] as const;
/** Hostile on purpose: markup, a terminal escape, a mark that turns text around. */
const HOSTILE = `<img src=x onerror="window.hacked=1"> ${String.fromCharCode(27)}[31m\u202eevil`;

const folder = mkdtempSync(join(tmpdir(), 'mkscope-page-'));
const marker = `mkscope-page-${process.pid}-${Date.now().toString(36)}`;
let hub: Hub | undefined;
let browser: Browser | undefined;
let collector: Collector | undefined;
/** Why this kernel cannot be observed here. */
let noKernel: string | undefined;

before(async () => {
  if (NO_BROWSER !== undefined) return;
  await import('../../web/build.ts');
  hub = await startHub({
    dataDir: join(folder, 'data'),
    version: VERSION,
    page: LOOPBACK,
    otlp: LOOPBACK,
    webDir: join(import.meta.dirname, '..', '..', 'web', 'dist'),
  });
  browser = await openBrowser(hub.addresses.page);
});

after(async () => {
  await browser?.close();
  await collector?.close();
  await hub?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The open page, or undefined after having said why the test is skipped. */
function useBrowser(t: TestContext, needsKernel: boolean): (Browser & { readonly url: string }) | undefined {
  const reason = NO_BROWSER ?? (needsKernel ? noKernel : undefined);
  if (reason !== undefined) t.skip(reason);
  return browser === undefined || hub === undefined || reason !== undefined ? undefined : { ...browser, url: hub.addresses.page };
}

async function visit(page: Page, url: string, hash: string): Promise<void> {
  await page.goto(`${url}/${hash}`);
  // A change of the hash alone loads nothing: each test starts with a fresh page.
  await page.reload();
  await page
    .getByText('connected', { exact: true })
    .or(page.getByText('degraded', { exact: true }))
    .waitFor();
}

/** Writes a line into the kernel's own log. */
function printk(text: string): void {
  appendFileSync('/dev/kmsg', `<4>${text}\n`);
}

test('page: an empty hub says on each page why there is nothing and what to do', async (t) => {
  const open = useBrowser(t, false);
  if (open === undefined) return;
  const wanted = {
    kernels: 'No kernel has reported yet',
    logs: 'No log line is stored yet',
    timeline: 'No kernel has reported yet',
    ikc: 'No message between kernels is recorded yet',
    traces: 'No trace is stored yet',
    ledger: 'No stream has been counted yet',
    sql: 'ClickHouse SQL, read-only',
    incidents: 'No incident, and no kernel yet',
  };
  for (const name of PAGES) {
    await visit(open.page, open.url, `#/${name}`);
    await open.page.getByText(wanted[name]).waitFor();
    await open.keep(`empty-${name}`);
  }
  assert.deepEqual(open.complaints, []);
});

test('page: keys lead to each page, open the help, and change the theme, which is remembered', async (t) => {
  const open = useBrowser(t, false);
  if (open === undefined) return;
  const { page } = open;
  await visit(page, open.url, '#/kernels');
  for (const [key, name] of [
    ['2', 'logs'],
    ['3', 'timeline'],
    ['4', 'ikc'],
    ['5', 'traces'],
    ['6', 'incidents'],
    ['7', 'ledger'],
    ['8', 'sql'],
    ['1', 'kernels'],
  ] as const) {
    await page.keyboard.press(key);
    await page.waitForURL(new RegExp(`#/${name}`));
  }
  await page.keyboard.press('g');
  await page.keyboard.press('e');
  await page.waitForURL(/#\/ledger/);
  await page.keyboard.press('?');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.keyboard.press('\\');
  assert.equal(await page.evaluate('document.documentElement.dataset.theme'), 'light');
  await page.reload();
  assert.equal(await page.evaluate('document.documentElement.dataset.theme'), 'light');
  await page.keyboard.press('\\');
  assert.equal(await page.evaluate('document.documentElement.dataset.theme'), 'dark');
  assert.deepEqual(open.complaints, []);
});

test('page: SQL runs and a query that would write is refused with its code', async (t) => {
  const open = useBrowser(t, false);
  if (open === undefined) return;
  const { page } = open;
  await visit(page, open.url, '#/sql');
  const area = page.getByRole('textbox', { name: 'SQL' });
  await area.fill('SELECT 6 * 7 AS answer, NULL AS nothing');
  await area.press('Control+Enter');
  await page.getByRole('cell', { name: '42' }).waitFor();
  await page.getByRole('cell', { name: 'NULL' }).waitFor();
  await area.fill('DROP TABLE otel_logs');
  await area.press('Control+Enter');
  await page.getByRole('alert').getByText('E_QUERY_READONLY').waitFor();
  // The browser itself reports the refused request.
  const refused = open.complaints.splice(0);
  assert.ok(refused.length === 1 && /status of 4\d\d/.test(refused[0] as string), refused.join('\n'));
});

test('page: a collector of this kernel appears, live, with a line that is written now', async (t) => {
  if (hub === undefined || NO_BROWSER !== undefined) return t.skip(NO_BROWSER);
  collector = await startCollector({
    to: { endpoint: hub.addresses.otlp },
    spoolDir: join(folder, 'spool'),
    sources: { kmsg: { from: 'start' }, tracefs: { events: ['sched:sched_switch'] }, system: { intervalMs: 500 } },
    version: VERSION,
  });
  const { problems } = collector.status();
  if (problems.length > 0) {
    noKernel = problems.map((problem) => `${problem.source}: ${problem.message}`).join('; ');
    return t.skip(noKernel);
  }
  const open = useBrowser(t, true);
  if (open === undefined) return;
  await visit(open.page, open.url, '#/kernels');
  const card = open.page.locator('.kernel-card').first();
  await card.getByText('live', { exact: true }).waitFor();
  printk(marker);
  await card.getByText(marker).waitFor();
  await card.locator('.sparkline canvas').waitFor();
  await open.keep('kernels');
  assert.deepEqual(open.complaints, []);
});

test('page: the live tail shows a line within a second, and shows kernel text as text', async (t) => {
  const open = useBrowser(t, true);
  if (open === undefined) return;
  const { page } = open;
  await visit(page, open.url, '#/logs');
  await page.locator('.status-line').getByText('live', { exact: true }).waitFor();
  const text = `${marker}-tail ${HOSTILE}`;
  const startMs = performance.now();
  printk(text);
  const line = page.locator('.log-row', { hasText: `${marker}-tail` });
  await line.waitFor({ timeout: 5000 });
  const tookMs = performance.now() - startMs;
  t.diagnostic(`printk → page: ${Math.round(tookMs)} ms`);
  assert.ok(tookMs < 1000, `the line took ${Math.round(tookMs)} ms`);
  const shown = await line.locator('.log-body').innerText();
  assert.match(shown, /<img src=x onerror="window\.hacked=1">/);
  assert.match(shown, /\\x1b\[31m/);
  assert.doesNotMatch(shown, new RegExp(`[${String.fromCharCode(27)}\u202e]`));
  assert.equal(await page.evaluate('window.hacked'), undefined);
  await open.keep('logs-live');
  assert.deepEqual(open.complaints, []);
});

test('page: while the reader is further up nothing moves, and new lines are counted', async (t) => {
  const open = useBrowser(t, true);
  if (open === undefined) return;
  const { page } = open;
  for (let i = 0; i < 120; i++) printk(`${marker}-filler ${i}`);
  await visit(page, open.url, '#/logs');
  await page.locator('.log-row', { hasText: `${marker}-filler 119` }).waitFor();
  await page.getByRole('grid').hover();
  await page.mouse.wheel(0, -1200);
  await page.waitForTimeout(300);
  const top = (): Promise<unknown> =>
    page.evaluate(`(() => {
    const box = document.querySelector('.log-list').getBoundingClientRect();
    return document.elementFromPoint(box.left + 400, box.top + 30).closest('.log-row').textContent;
  })()`);
  const before = await top();
  printk(`${marker}-unseen`);
  const chip = page.getByRole('button', { name: / new$/ });
  await chip.waitFor();
  assert.equal(await top(), before);
  await chip.click();
  await page.locator('.log-row', { hasText: `${marker}-unseen` }).waitFor();
  await chip.waitFor({ state: 'detached' });
  assert.deepEqual(open.complaints, []);
});

test('page: search, level and regular expression filter; the address holds them', async (t) => {
  const open = useBrowser(t, true);
  if (open === undefined) return;
  const { page } = open;
  printk(`${marker}-needle one`);
  await visit(page, open.url, '#/logs');
  await page.keyboard.press('/');
  await page.keyboard.type(`${marker.toUpperCase()}-NEEDLE`);
  const rows = page.locator('.log-row');
  // What was there before is marked already while the hub is asked.
  await rows
    .filter({ hasNotText: `${marker}-needle` })
    .first()
    .waitFor({ state: 'detached' });
  await page.locator('mark', { hasText: `${marker}-needle` }).waitFor();
  await page.waitForURL(/q=/);
  assert.equal(await rows.count(), 1);
  await visit(page, open.url, `#/logs?re=1&q=${marker}-n[a-f]%2Bdle`);
  await rows.first().waitFor();
  assert.equal(await rows.count(), 1);
  await visit(page, open.url, `#/logs?q=${marker}&level=3`);
  await page.getByText('No line matches').waitFor();
  await open.keep('logs-none');
  await visit(page, open.url, `#/logs?q=${marker}&level=4`);
  await rows.first().waitFor();
  assert.equal(await page.locator('.log-row:not(.lv-warn)').count(), 0);
  assert.deepEqual(open.complaints, []);
});

test('page: a line opens to all about it, in context, and leads to the timeline at its moment', async (t) => {
  const open = useBrowser(t, true);
  if (open === undefined) return;
  const { page } = open;
  printk(`${marker}-moment`);
  await visit(page, open.url, `#/logs?q=${marker}-moment`);
  await page.locator('.log-row').first().waitFor();
  await page.keyboard.press('k');
  await page.keyboard.press('Enter');
  const drawer = page.getByRole('complementary', { name: 'Log record' });
  await drawer.getByText('own stamp').waitFor();
  await page.getByRole('link', { name: 'In context' }).click();
  await page.waitForURL(/at=\d{19}/);
  const moment = page.locator('.log-row.is-moment', { hasText: `${marker}-moment` });
  await moment.waitFor();
  await page.locator('.log-row').nth(5).waitFor();
  await open.keep('logs-context');
  // The link of somebody who saw it before its clock was drawn anew: the line is meant, not what is at that moment now.
  const link = new URLSearchParams(new URL(page.url()).hash.replace(/^.*\?/, ''));
  link.set('at', String(BigInt(link.get('at') ?? 0) - 1_000_000_000n));
  await visit(page, open.url, `#/logs?${link}`);
  await moment.waitFor();
  await moment.click();
  await drawer.getByRole('link', { name: 'Timeline' }).click();
  await page.getByText('in sight').first().waitFor();
  await page.waitForURL(/#\/timeline\?.*from=\d{19}/);
  assert.deepEqual(open.complaints, []);
});

test('page: the timeline draws what the CPUs ran, zooms, selects, and counts', async (t) => {
  const open = useBrowser(t, true);
  if (open === undefined) return;
  const { page } = open;
  await visit(page, open.url, '#/timeline');
  const tasks = page.getByRole('region', { name: 'Statistics' }).getByRole('row');
  await tasks.nth(2).waitFor({ timeout: 15_000 });
  const box = await page.locator('.tl-box').boundingBox();
  assert.ok(box !== null);
  await page.mouse.move(box.x + 600, box.y + 110);
  await open.keep('timeline');
  const inSight = page.locator('.toolbar-note', { hasText: 'in sight' });
  const [before = ''] = (await inSight.innerText()).split(' in sight');
  await page.keyboard.press('w');
  await page.mouse.wheel(0, -600);
  await inSight.and(page.locator('.toolbar-note', { hasNotText: `${before} in sight` })).waitFor();
  await page.keyboard.down('Shift');
  await page.mouse.move(box.x + 300, box.y + 100);
  await page.mouse.down();
  await page.mouse.move(box.x + 900, box.y + 130, { steps: 4 });
  await page.mouse.up();
  await page.keyboard.up('Shift');
  await page.getByRole('heading', { name: 'Selection' }).waitFor();
  await open.keep('timeline-selection');
  await page.keyboard.press('Escape');
  await page.getByRole('heading', { name: 'In sight' }).waitFor();
  assert.deepEqual(open.complaints, []);
});

test('page: the ledger has a row for each stream, and its words', async (t) => {
  const open = useBrowser(t, true);
  if (open === undefined) return;
  const { page } = open;
  await visit(page, open.url, '#/ledger');
  await page
    .getByRole('cell', { name: 'kmsg', exact: true })
    .first()
    .waitFor()
    .catch(async (error: unknown) => {
      // What stands there instead says whether the hub did not answer or answered without it.
      throw new Error(`no kmsg in the ledger, but: ${(await page.innerText('body')).slice(0, 2000)}`, { cause: error });
    });
  await page
    .getByRole('cell', { name: /^tracefs:/ })
    .first()
    .waitFor();
  await open.keep('ledger');
  assert.deepEqual(open.complaints, []);
});

test('page: an incident opens to its reason and last words, shows kernel text as text, and is counted on the tab', async (t) => {
  const open = useBrowser(t, false);
  if (open === undefined || hub === undefined) return;
  const { page } = open;
  const atNs = BigInt(Date.now()) * 1_000_000n;
  const lines = [
    { text: `Kernel panic - not syncing: ${HOSTILE}`, unixNs: atNs, level: 0, sequence: 1 },
    { text: 'Multikernel instance 1 shutting down', unixNs: atNs + 1_000_000n, sequence: 2 },
  ];
  assert.equal((await post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(SPAWN, lines))).status, 200);
  await visit(page, open.url, '#/incidents?kind=panic');
  await page.locator('.incident-title').first().click();
  await page.getByText('Last words of spawn1').waitFor();
  await page.waitForURL(/id=[0-9a-f]{12}/);
  assert.equal(await page.evaluate('window.hacked'), undefined);
  assert.match((await page.locator('.incident-head').textContent()) ?? '', /^spawn1 panicked: <img src=x/);
  await page.locator('.tab-count').waitFor();
  await open.keep('incidents');
  // What is open is kept up to date while it is looked at.
  const unloaded = [{ text: 'kexec_file: Unloading kernel from multikernel instance 1', unixNs: atNs + 20_000_000n, sequence: 3 }];
  assert.equal((await post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(HOST, unloaded))).status, 200);
  await page.locator('.incident-pane').getByText('over since').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('.incident-pane').waitFor({ state: 'detached' });
  assert.deepEqual(open.complaints, []);
});

test('page: the command beside the log names the kernel of the boot that is shown, and of none when all are', async (t) => {
  const open = useBrowser(t, false);
  if (open === undefined || hub === undefined) return;
  const { page } = open;
  const line = { text: 'said by one', unixNs: BigInt(Date.now()) * 1_000_000n, sequence: 4 };
  assert.equal((await post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(SPAWN, [line]))).status, 200);
  await visit(page, open.url, `#/logs?boot=${SPAWN.bootId}`);
  await page.locator('button[title^="mkscope logs -f --kernel spawn1"]').waitFor();
  await page.getByRole('button', { name: /^Remove the filter boot/ }).click();
  await page.locator('button[title="mkscope logs -f"]').waitFor();
  assert.deepEqual(open.complaints, []);
});

test('page: looks right in light and at 1920 px', async (t) => {
  const open = useBrowser(t, true);
  if (open === undefined) return;
  const { page } = open;
  await page.evaluate(`localStorage.removeItem('mkscope.theme')`);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1920, height: 1080 });
  for (const name of PAGES) {
    await visit(page, open.url, `#/${name}`);
    await page.waitForTimeout(700);
    const overflow = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
    assert.equal(overflow, 0, `${name} is wider than the window`);
    await open.keep(`${name}-1920-light`);
  }
  assert.deepEqual(open.complaints, []);
});

test('page: says that the hub is away, and comes back by itself', async (t) => {
  const open = useBrowser(t, false);
  if (open === undefined) return;
  const { page } = open;
  await visit(page, open.url, '#/kernels');
  await page.route('**/api/**', (route) => route.abort());
  await page.getByRole('alert').getByText('The hub does not answer.').waitFor();
  await open.keep('hub-down');
  await page.unroute('**/api/**');
  await page.getByText('The hub does not answer.').waitFor({ state: 'detached' });
});
