import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { parseMessageFile, readMessageFile } from '../../cli/message-file.ts';
import { MESSAGE_RULES } from '../../correlate/message-catalogue.ts';
import { createMatcher } from '../../correlate/match-messages.ts';
import { runSamples } from '../../correlate/run-samples.ts';
import { runCli } from '../support/run-cli.ts';

const GOOD = `
messages:
  - event: storage.path.down
    about: A path to a disk is gone.
    level: err
    repeats_within: 10s
    patterns:
      - "multipath: {path.map:word}: Failing path {path.device:word}."
    samples:
      - line: "device-mapper: multipath: 253:0: Failing path 8:16."
        fields: { path.map: 253:0, path.device: 8:16 }
  - event: app.ready
    about: Our program is up.
    level: notice
    from: user
    benign: it says so at each start
    patterns: ["ours: ready, flags {flags:hex}"]
    samples:
      - line: "ours: ready, flags 0x1f"
        fields:
          flags: 0x1f
`;

const one = (more: string, pattern = 'abc {a:int}'): string => `messages:
  - event: a.b
    about: x
    level: info
    patterns: ["${pattern}"]
    samples: [{ line: abc 1, fields: { a: 1 } }]
${more}`;

test('test-rules: a file of messages becomes rules, each with its line', () => {
  const rules = parseMessageFile('m.yaml', GOOD);
  assert.deepEqual(
    rules.map(({ rule, line }) => [rule.event, rule.level, rule.fromUser, rule.repeatsWithinMs, rule.benign?.why, line]),
    [
      ['storage.path.down', 'err', undefined, 10_000, undefined, 3],
      ['app.ready', 'notice', true, undefined, 'it says so at each start', 12],
    ],
  );
  const own = rules.map(({ rule }) => rule);
  assert.deepEqual(runSamples(own, createMatcher(own)), []);
});

test('test-rules: the example of docs/messages.md is one', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/messages.md'), 'utf8');
  const example = /^```yaml\n([\s\S]*?)^```/m.exec(text)?.[1] ?? '';
  const own = parseMessageFile('docs/messages.md', example).map(({ rule }) => rule);
  assert.equal(own.length, 1);
  assert.deepEqual(runSamples(own, createMatcher(own)), []);
});

test('test-rules: what is wrong in a file is said with its line', () => {
  const wrong: readonly (readonly [text: string, code: string, message: RegExp])[] = [
    ['messages: [', 'E_CONFIG_SYNTAX', /^m\.yaml:1:\d+: /],
    ['', 'E_CONFIG_VALUE', /^m\.yaml:1: the file /],
    ['rules: []', 'E_CONFIG_KEY', /^m\.yaml:1: unknown key "rules"/],
    [one('    levl: info'), 'E_CONFIG_KEY', /^m\.yaml:7: unknown key "levl" in messages\[1\]; did you mean "level"\?/],
    [one('').replace('level: info', 'level: loud'), 'E_CONFIG_VALUE', /^m\.yaml:4: messages\[1\]\.level must be one of: emerg/],
    [one('').replace('    about: x\n', ''), 'E_CONFIG_VALUE', /^m\.yaml:2: messages\[1\]\.about is missing/],
    [one('').replace('a.b', 'mk.b'), 'E_CONFIG_VALUE', /^m\.yaml:2: messages\[1\]\.event must not begin with what mkscope itself uses/],
    [one('').replace('a.b', 'A'), 'E_CONFIG_VALUE', /event must be words of small letters/],
    [one('', 'abc {a:regex}'), 'E_CONFIG_VALUE', /^m\.yaml:5: messages\[1\]\.patterns\[1\] is no pattern: there is no type "regex"/],
    [one('', '{a:text}'), 'E_CONFIG_VALUE', /must begin with at least 3 fixed characters/],
    [one('', 'abc {mk.instance.id:int}'), 'E_CONFIG_VALUE', /the field name mk\.instance\.id is one of mkscope’s own/],
    [one('    repeats_within: soon'), 'E_CONFIG_VALUE', /^m\.yaml:7: messages\[1\]\.repeats_within must be a duration/],
    [one('').replace(/ {4}samples.*/, '    samples: []'), 'E_CONFIG_VALUE', /samples must have a sample/],
  ];
  for (const [text, code, message] of wrong) assert.throws(() => parseMessageFile('m.yaml', text), { code, message }, text);
  assert.throws(() => readMessageFile('/nonexistent/m.yaml'), { code: 'E_CONFIG_READ', message: /ENOENT/ });
});

test('test-rules: samples that are not taken as they should are told', () => {
  const told = (text: string): string[] => {
    const rules = parseMessageFile('m.yaml', text).map(({ rule }) => rule);
    return runSamples(rules, createMatcher(rules)).map(({ line, problem }) => `${line}: ${problem}`);
  };
  assert.deepEqual(told(one('').replace('line: abc 1', 'line: abd 1')), [
    'abd 1: no pattern takes it',
    'undefined: no sample is taken by the pattern «abc {a:int}»',
  ]);
  assert.deepEqual(told(one('').replace('a: 1', 'a: 2')), ['abc 1: the field a is «1», not «2»']);
  assert.deepEqual(told(one('').replace('a: 1', 'b: 1')), ['abc 1: the field b is missing']);
  assert.deepEqual(told(one('').replace('{ a: 1 }', '{}')), ['abc 1: the field a («1») is not in the sample']);
  const shipped = one('', 'Multikernel instance {a:int} is').replace('abc 1', 'Multikernel instance 1 is now active');
  assert.match(told(shipped)[0] ?? '', /mk\.instance\.active takes it first/);
});

test('test-rules: the command tells what fails, and exits 1; a file that is wrong is 2', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'mkscope-rules-'));
  try {
    writeFileSync(join(dir, 'good.yaml'), GOOD);
    writeFileSync(join(dir, 'failing.yaml'), one('').replace('a: 1', 'a: 2'));
    writeFileSync(join(dir, 'wrong.yaml'), one('    typo: 1'));
    writeFileSync(join(dir, 'mkscope.yaml'), 'messages: [good.yaml, wrong.yaml]\n');
    const run = (...args: readonly string[]): ReturnType<typeof runCli> => runCli(args, { cwd: dir });
    const [shipped, good, failing, check] = await Promise.all([
      run('test-rules'),
      run('test-rules', '--json', 'good.yaml'),
      run('test-rules', 'good.yaml', 'failing.yaml'),
      run('check'),
    ]);
    const samples = MESSAGE_RULES.reduce((sum, { samples: own }) => sum + own.length, 0);
    assert.deepEqual([shipped.code, shipped.stdout], [0, `ok  ${MESSAGE_RULES.length} rules, ${samples} samples\n`]);
    assert.deepEqual([good.code, JSON.parse(good.stdout)], [0, { rules: 2, samples: 2, problems: [] }]);
    assert.equal(failing.code, 1);
    assert.equal(failing.stdout, 'fail  failing.yaml:2: a.b: «abc 1»: the field a is «1», not «2»\n1 failed  3 rules, 3 samples\n');
    assert.equal(check.code, 2);
    assert.match(check.stderr, /wrong\.yaml:7: unknown key "typo" in messages\[1\].*\[E_CONFIG_KEY\]/);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
