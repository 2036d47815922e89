import assert from 'node:assert/strict';
import { test } from 'node:test';

import { findNearest, suggest } from '../../cli/nearest.ts';

const COMMANDS = ['up', 'collect', 'hub', 'logs', 'kernels', 'top', 'import', 'query', 'doctor', 'check'];

test('nearest: finds the name that was meant', () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ['lgos', 'logs'],
    ['log', 'logs'],
    ['kern', 'kernels'],
    ['KERNELS', 'kernels'],
    ['quary', 'query'],
    ['improt', 'import'],
    ['docter', 'doctor'],
    ['xyzzy', undefined],
    ['', undefined],
  ];
  for (const [typed, meant] of cases) assert.equal(findNearest(typed, COMMANDS), meant, typed);
});

test('nearest: says nothing when nothing is near', () => {
  assert.equal(suggest('lgos', COMMANDS), '; did you mean "logs"?');
  assert.equal(suggest('nothing-like-it', COMMANDS), '');
});
