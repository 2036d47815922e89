import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatRoute, parseRoute, toLogFilter, toLogQuery } from '../../web/state/route.ts';

test('page address: what is written is what is read', () => {
  const params = { q: 'a&b=c #1 ÄÖ?', re: '1', kernel: 'spawn 1', at: '1763890125123456789' };
  const route = parseRoute(formatRoute('logs', params));
  assert.deepEqual(route, { page: 'logs', params });
  assert.equal(formatRoute('ledger', { kernel: undefined, q: '' }), '#/ledger');
});

test('page address: anything else leads to the first page', () => {
  for (const hash of ['', '#', '#/', '#/nothing', '#/../etc', '#%00']) assert.equal(parseRoute(hash).page, 'kernels');
});

test('page address: filters become parameters of the API, bad ones fall out', () => {
  const { params } = parseRoute('#/logs?level=4&q=oom&re=1&boot=b1');
  assert.deepEqual(toLogQuery(toLogFilter(params)), { level: '4', regex: 'oom', boot: 'b1' });
  assert.deepEqual(toLogQuery(toLogFilter(parseRoute('#/logs?level=9&q=x').params)), { search: 'x' });
  assert.deepEqual(toLogQuery(toLogFilter({})), {});
});
