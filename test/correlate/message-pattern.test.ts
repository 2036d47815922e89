import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compilePattern, findPatternError, MAX_PATTERN_CHARS } from '../../correlate/message-pattern.ts';

function read(source: string, line: string): Record<string, string | undefined> | undefined {
  const { regex, fields } = compilePattern(source);
  const match = regex.exec(line);
  return match === null ? undefined : Object.fromEntries(fields.map(({ name }, index) => [name, match[index + 1]]));
}

test('message pattern: fields of each type', () => {
  const source = 'got {a:int} {b:hex} {c:float} {d:word} {e:list} [{f:text}]';
  assert.deepEqual(read(source, 'got -3 0xFf 2799.998 a/b 0-3,8 [two words]'), {
    a: '-3',
    b: '0xFf',
    c: '2799.998',
    d: 'a/b',
    e: '0-3,8',
    f: 'two words',
  });
  assert.equal(read(source, 'got x 0xFf 2799.998 a/b 0-3,8 [two words]'), undefined);
});

test('message pattern: choices, options and words that are kept', () => {
  assert.deepEqual(read('{Root|Self} cpu {n:int}{?, virt={:word}}, pages={p:int}', 'Self cpu 3, virt=ffff0, pages=65'), {
    n: '3',
    p: '65',
  });
  assert.deepEqual(read('{Root|Self} cpu {n:int}{?, virt={:word}}, pages={p:int}', 'Root cpu 3, pages=65'), { n: '3', p: '65' });
  assert.deepEqual(read('link {state=up|down}{? for {secs:int} s}', 'link down for 7 s'), { state: 'down', secs: '7' });
  assert.deepEqual(read('link {state=up|down}{? for {secs:int} s}', 'link up'), { state: 'up', secs: undefined });
  assert.deepEqual(read('name {n:text}{? (old {o:text})}', 'name a b (old c)'), { n: 'a b', o: 'c' });
});

test('message pattern: a text ends where what follows it first stands', () => {
  assert.deepEqual(read("Instance '{n:text}' removed", "Instance 'a' removed' removed"), { n: 'a' });
  assert.deepEqual(read('Instance {i:int} ({n:text}) halted', 'Instance 3 () halted'), { i: '3', n: '' });
});

test('message pattern: it stands for a beginning, not for a part of a word', () => {
  assert.deepEqual(read('CPU {n:int}', 'CPU 3, and more'), { n: '3' });
  assert.equal(read('CPU {n:int}', 'CPU 3rd'), undefined);
  assert.equal(read('now active', 'now actively'), undefined);
  assert.equal(read('now active', 'is now active'), undefined);
});

test('message pattern: characters of regular expressions and of the language itself are just that', () => {
  assert.deepEqual(read(String.raw`a.b(c)*[d]+? \{{n:int}\} \| \\ ^$`, String.raw`a.b(c)*[d]+? {5} | \ ^$`), { n: '5' });
  assert.deepEqual(read('one|two {n:int}', 'one|two 5'), { n: '5' });
});

test('message pattern: heads are all that a line can begin with', () => {
  assert.deepEqual(compilePattern('{Root|Self} instance {n:int}').heads, ['Root instance ', 'Self instance ']);
  assert.deepEqual(compilePattern('{?[EO] }Multi {n:int}').heads, ['[EO] Multi ', 'Multi ']);
  assert.deepEqual(compilePattern('Overlay tx{n:int}: x').heads, ['Overlay tx']);
});

test('message pattern: what is wrong is refused with the place', () => {
  const wrong: readonly (readonly [source: string, reason: RegExp])[] = [
    ['{n:int} CPUs', /begin with at least 3 fixed characters/],
    ['ab{n:int}', /begin with at least 3 fixed characters, not with "ab"/],
    ['{?abc}{n:int} x', /at least 3 fixed characters, not with ""/],
    ['abc {n:number}', /no type "number"; types are int, hex/],
    ['abc {N:int}', /no name of a field/],
    ['abc {n:int} {n:int}', /n stands twice/],
    ['abc {n:int}{m:int}', /nothing fixed stands behind the field "n"/],
    ['abc {n:text}{?{m:int}}', /nothing fixed stands behind the field "n"/],
    ['abc {n:text}{? x|{m:int}}', /nothing fixed stands behind the field "n"/],
    ['abc {n:int}0', /"0" behind the field "n" could as well be a part of it/],
    ['abc {n:hex}{? x|y}beef', /"beef" behind the field "n"/],
    ['abc {n:hex}beef', /"beef" behind the field "n"/],
    ['abc {n:list},{m:int}', /"," behind the field "n"/],
    ['abc {a|ab} x', /the choice "a" is the beginning of another one/],
    ['abc {a|{n:int}} x', /a choice begins with something fixed/],
    ['abc {a|} x', /an empty choice/],
    ['abc {n:int', /without a "\}"/],
    ['abc n:int}', /"\}" without a "\{"/],
    ['abc {one}', /begins a field \{name:type\}/],
    ['abc {k=a|{n:int}}', /k is one of fixed words/],
    [String.raw`abc \d`, /"\\" may only stand before/],
    [`abc ${'{?x}'.repeat(9)}`, /more than 8 groups/],
    [`abc${Array.from({ length: 17 }, (_field, at) => ` {f${at}:int}`).join('')}`, /more than 16 fields/],
    ['x'.repeat(MAX_PATTERN_CHARS + 1), /513 characters/],
  ];
  for (const [source, reason] of wrong) assert.match(findPatternError(source) ?? '(taken)', reason, source);
});

test('message pattern: the worst that one can write takes no longer on a long line than its length allows', () => {
  const hostile = [
    `abc ${Array.from({ length: 16 }, (_field, at) => `{f${at}:text}a`).join('')}!`,
    `abc ${'{?a}'.repeat(8)}{f:text}b!`,
    `abc ${Array.from({ length: 16 }, (_field, at) => `{f${at}:word}aa`).join('')}!`,
    `abc {?a{?a{?a{?a{?a{?a{?a{?aa}}}}}}}}{f:text}b!`,
    `abc ${Array.from({ length: 16 }, (_field, at) => `{f${at}:word} `).join('')}!`,
  ];
  for (const source of hostile) {
    const { regex } = compilePattern(source);
    const steps = (length: number): number => {
      const line = `abc ${'a'.repeat(length)}`;
      const start = process.cpuUsage();
      for (let round = 0; round < 50; round++) assert.equal(regex.exec(line), null);
      const { user, system } = process.cpuUsage(start);
      return user + system;
    };
    steps(4000);
    const least = (length: number): number => Math.min(steps(length), steps(length), steps(length));
    // Eight times the line: linear is 8, quadratic 64. A timer's grain is added to both.
    const ratio = (least(4000) + 200) / (least(500) + 200);
    assert.ok(ratio < 40, `${source}: ${ratio.toFixed(1)} times as long for a line eight times as long`);
  }
});
