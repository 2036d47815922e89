import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FormatStore } from '../../collector/format-store.ts';
import { Peer } from '../../collector/peer.ts';
import { tempFolder } from './live.ts';

test('peer: one that does not let us in is not taken for a receiver without trace events; what it is shows later', async (t) => {
  let status = 403;
  const body = Buffer.from('{"mkscope":"test","formats":[]}');
  const peer = new Peer(() => Promise.resolve({ status, body, error: '' }), new FormatStore(tempFolder(t)));
  for (status of [401, 403, 429, 503, 0]) {
    assert.equal(await peer.meet(), false, `status ${status}`);
    assert.equal(peer.kind, 'unknown', `status ${status}`);
  }
  status = 200;
  assert.deepEqual([await peer.meet(), peer.kind], [true, 'hub']);
  status = 404;
  assert.deepEqual([await peer.meet(), peer.kind], [true, 'otlp']);
});
