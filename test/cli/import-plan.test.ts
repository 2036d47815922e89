import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { isOperational } from '../../base/errors.ts';
import { planImport } from '../../cli/import-plan.ts';
import { withFolder } from '../support/run-cli.ts';

test('import: several files are several kernels; host is 0, numbers given are kept, the rest follow', async () => {
  await withFolder((folder) => {
    const path = (name: string): string => {
      writeFileSync(join(folder, name), 'x');
      return join(folder, name);
    };
    const plan = planImport(
      [`spawn2=${path('a.log')}`, `host=${path('b.log')}`, `spawn1:1=${path('c.log')}`, `x=${path('d=e.log')}`],
      [path('f.log'), '-'],
    );
    assert.deepEqual(
      plan.map(({ kernelName, kernelId, sizeBytes }) => [kernelName, kernelId, sizeBytes]),
      [
        ['spawn2', 2, 1],
        ['host', 0, 1],
        ['spawn1', 1, 1],
        ['x', 3, 1],
        ['f', 4, 1],
        ['stdin', 5, 0],
      ],
    );
  });
});

test('import: what cannot be read is said before anything is sent', () => {
  const cases: readonly (readonly [readonly string[], readonly string[], string])[] = [
    [[], [], 'E_ARGS'],
    [['no-file'], [], 'E_ARGS'],
    [['=x'], [], 'E_ARGS'],
    [['a:99999=x'], [], 'E_ARGS'],
    [[], ['/nonexistent'], 'E_INPUT_READ'],
    [[], ['/tmp'], 'E_INPUT_READ'],
  ];
  for (const [named, paths, code] of cases) {
    assert.throws(
      () => planImport(named, paths),
      (error) => isOperational(error) && error.code === code && error.hint !== '',
      [...named, ...paths].join(' '),
    );
  }
});
