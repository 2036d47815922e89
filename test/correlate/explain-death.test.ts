import assert from 'node:assert/strict';
import { test } from 'node:test';

import { DEATH_RULES, explainDeath } from '../../correlate/explain-death.ts';

test('death: each rule explains its samples', () => {
  for (const rule of DEATH_RULES) {
    assert.ok(rule.samples.length > 0, rule.pattern);
    for (const { lastWords, hostLines, reason } of rule.samples) {
      const id = Number(/instance (\d+)/.exec([...lastWords, ...hostLines].join('\n'))?.[1] ?? 1);
      assert.deepEqual(explainDeath(id, lastWords, hostLines).reason, reason);
      assert.equal(explainDeath(id, lastWords, hostLines).kind, rule.kind);
    }
  }
});

test('death: a panic is told from the orderly lines behind it', () => {
  const lastWords = [
    '[    2.1] Kernel panic - not syncing: Fatal exception',
    '[    2.2] Kernel Offset: disabled',
    '[    2.3] Multikernel instance 3 shutting down',
    '[    2.4] reboot: Power down',
  ];
  assert.equal(explainDeath(3, lastWords, ['Multikernel instance 3 halted (graceful)']).reason, 'panic: Fatal exception');
});

test('death: what the host did to another kernel explains nothing', () => {
  const hostLines = ['Force halting multikernel instance 12 via NMI'];
  assert.equal(explainDeath(1, [], hostLines).kind, 'unknown');
  assert.equal(explainDeath(12, [], hostLines).kind, 'force_kill');
});
