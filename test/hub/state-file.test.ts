import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openState, writeState } from '../../hub/state-file.ts';

const toCount = (json: unknown): number => {
  const { count } = json as { count: number };
  assert.ok(Number.isInteger(count));
  return count;
};

test('state file: the next process reads what was written last; an empty or foreign file is told as lost, none is not', () => {
  const root = mkdtempSync(join(tmpdir(), 'mkscope-state-'));
  try {
    const path = join(root, 'part', 'state.json');
    const lost: unknown[] = [];
    const open = (): number | undefined => openState(path, toCount, (error) => lost.push(error));
    assert.equal(open(), undefined);
    writeState(path, { count: 1 });
    writeState(path, { count: 2 });
    assert.equal(open(), 2);
    assert.deepEqual(readdirSync(join(root, 'part')), ['state.json']);
    assert.equal(lost.length, 0);
    for (const text of ['', '{"count":', '{"count":"x"}', 'null']) {
      writeFileSync(path, text);
      assert.equal(open(), undefined);
    }
    assert.equal(lost.length, 4);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test('state file: a full disk and a place that cannot be written are told apart, and the old state stays', () => {
  const root = mkdtempSync(join(tmpdir(), 'mkscope-state-'));
  try {
    const path = join(root, 'state.json');
    writeState(path, { count: 1 });
    symlinkSync('/dev/full', `${path}.new`);
    assert.throws(() => writeState(path, { count: 2 }), { code: 'E_DISK_FULL' });
    assert.equal(readFileSync(path, 'utf8'), '{"count":1}');
    assert.throws(() => writeState(join(path, 'below.json'), {}), { code: 'E_DATA_DIR' });
    assert.throws(() => openState(join(path, 'below', 'it.json'), toCount, () => assert.fail()), { code: 'E_DATA_DIR' });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
