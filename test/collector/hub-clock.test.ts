/** Pings of a real hub on loopback. Both read one clock here, so the truth is known to the ns. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fromFitFields, toUnixNs } from '../../clock/fit.ts';
import { HubClock } from '../../collector/hub-clock.ts';
import { openLinks } from '../../collector/links.ts';
import { parseHubLink } from '../../model/segment.ts';
import { runHub } from '../hub/running-hub.ts';

test('hub clock: pings bound the hub’s clock, the truth is inside, and another process begins anew', async (t) => {
  let hub = await runHub();
  t.after(() => hub.stop());
  let links = openLinks({ endpoint: hub.addresses.otlp });
  const clock = new HubClock({ exchange: (...of) => links.exchange(...of), isHub: () => true });
  const offset = { low: 1_700_000_000_000_000_000n - 500n, high: 1_700_000_000_000_000_000n + 500n };
  assert.equal(clock.link(process.hrtime.bigint(), offset), undefined);
  for (let ping = 0; ping < 10; ping++) await clock.ping();
  const now = process.hrtime.bigint();
  const link = clock.link(now, offset);
  assert.ok(link !== undefined);
  assert.deepEqual(parseHubLink(JSON.stringify(link)), link);
  const fit = fromFitFields(link.fit);
  const off = Number(toUnixNs(fit, now + 1_700_000_000_000_000_000n) - now);
  t.diagnostic(`off by ${off} ns, stated ± ${fit.errorNs} ns`);
  assert.ok(Math.abs(off) <= fit.errorNs && fit.errorNs < 1e9, `off by ${off} ns, ± ${fit.errorNs} ns`);
  links.close();

  const { dataDir } = hub;
  await hub.close();
  await clock.ping();
  assert.equal(clock.link(process.hrtime.bigint(), offset)?.process, link.process, 'no answer says nothing');
  hub = await runHub({ dataDir });
  links = openLinks({ endpoint: hub.addresses.otlp });
  await clock.ping();
  const after = clock.link(process.hrtime.bigint(), offset)?.process;
  assert.ok(after !== undefined && after !== link.process);
  links.close();
});

test('hub clock: what is no answer of a hub says nothing, and nobody but a hub is asked', async () => {
  const answers = ['{}', '{"process":"x","atNs":"-1"}', '{"process":"","atNs":"1"}', 'x', '{"process":"x","atNs":"99999999999999999999"}'];
  let asked = 0;
  const exchange = (): Promise<{ status: number; body: Uint8Array; error: string }> =>
    Promise.resolve({ status: 200, body: Buffer.from(answers[asked++] ?? ''), error: '' });
  const clock = new HubClock({ exchange, isHub: () => false });
  await clock.start();
  clock.stop();
  assert.equal(asked, 0);
  for (let ping = 0; ping < answers.length; ping++) await clock.ping();
  assert.equal(clock.link(process.hrtime.bigint(), { low: 0n, high: 0n }), undefined);
});
