import assert from 'node:assert/strict';
import { test } from 'node:test';

import { encodeUtf8 } from '../../base/bytes.ts';
import { MessageMatcher } from '../../correlate/match-messages.ts';
import { MESSAGE_RULES, type MessageRule } from '../../correlate/message-catalogue.ts';
import { MessageRecogniser } from '../../correlate/recognise-messages.ts';
import { ATTR } from '../../model/attributes.ts';
import { LOG_FLAG, LogBatch } from '../../model/log-batch.ts';
import { LEVEL_NAMES, LEVEL_UNKNOWN } from '../../model/severity.ts';

const matcher = new MessageMatcher(MESSAGE_RULES);

interface Line {
  readonly text: string;
  readonly seconds?: number;
  readonly level?: number;
  readonly flags?: number;
}

function recognise(lines: readonly Line[], recogniser = new MessageRecogniser(matcher)): LogBatch {
  const batch = new LogBatch(4);
  for (const { text, seconds, level, flags } of lines) {
    const row = batch.addText(text, level ?? LEVEL_UNKNOWN);
    if (seconds !== undefined) batch.rawTime.setBigint(row, BigInt(Math.round(seconds * 1e9)));
    batch.flags[row] = flags ?? 0;
  }
  recogniser.take(batch);
  return batch;
}

function eventsOf(batch: LogBatch): string[] {
  return Array.from({ length: batch.length }, (_row, row) => batch.strings.get(batch.eventName[row] as number));
}

for (const rule of MESSAGE_RULES) {
  for (const { line, fields } of rule.samples) {
    test(`messages: ${rule.event} takes «${line}»`, () => {
      const batch = recognise([{ text: line, seconds: 1, ...(rule.fromUser ? { flags: LOG_FLAG.userSpace } : {}) }]);
      assert.deepEqual(eventsOf(batch), [rule.event]);
      assert.equal(LEVEL_NAMES[batch.level[0] as number], rule.level);
      const benign = rule.benign !== undefined && rule.benign.after === undefined ? { [ATTR.benign]: 'true' } : {};
      assert.deepEqual(batch.attributes.rowOf(0), { ...fields, ...benign });
    });
  }
}

test('messages: each pattern has a sample, and no rule takes the sample of another', () => {
  const bytes = (line: string): Uint8Array => encodeUtf8(line);
  for (const rule of MESSAGE_RULES) {
    const hit = new Set<string>();
    const alone = rule.patterns.map((pattern) => new MessageMatcher([{ ...rule, patterns: [pattern] }]));
    for (const { line } of rule.samples) {
      const found = matcher.match(bytes(line), 0, bytes(line).length, rule.fromUser === true);
      assert.equal(found?.rule, rule, `«${line}» is taken by ${found?.rule.event}: ${found?.rule.about}`);
      alone.forEach((one, index) => {
        if (one.match(bytes(line), 0, bytes(line).length, rule.fromUser === true)) hit.add(rule.patterns[index] as string);
      });
    }
    assert.deepEqual([...hit].sort(), rule.patterns.toSorted(), `samples of ${rule.event}`);
  }
});

test('messages: events have names and kinds that the page and incidents can rely on', () => {
  const levels = new Map<string, MessageRule[]>();
  for (const rule of MESSAGE_RULES) levels.set(rule.event, [...(levels.get(rule.event) ?? []), rule]);
  for (const [event, rules] of levels) {
    assert.match(event, /^mk\.[a-z_]+(\.[a-z_]+)*$/);
    assert.equal(new Set(rules.map(({ level, fromUser }) => `${level} ${fromUser}`)).size, rules.length, `${event} has one rule per level`);
  }
  for (const { benign } of MESSAGE_RULES) if (benign?.after !== undefined) assert.ok(levels.has(benign.after.event));
});

test('messages: a level that the kernel wrote stays', () => {
  const batch = recognise([{ text: 'Multikernel instance 3 is now active', seconds: 1, level: 3 }]);
  assert.equal(batch.level[0], 3);
  assert.equal((batch.flags[0] as number) & LOG_FLAG.levelGuessed, 0);
});

test('messages: a CPU that is not present is benign only behind the line that adds it', () => {
  const absent = (cpu: number): Line => ({ text: `Multikernel hotplug: Physical CPU ${cpu} not found in present CPUs`, seconds: 2 });
  const recogniser = new MessageRecogniser(matcher);
  recognise([{ text: 'Multikernel hotplug: Adding CPU 10 (numa=-1, flags=0x0)', seconds: 1 }], recogniser);
  const batch = recognise([absent(8), absent(10), absent(10)], recogniser);
  assert.deepEqual(
    [0, 1, 2].map((row) => batch.attributes.rowOf(row)[ATTR.benign]),
    [undefined, 'true', undefined],
  );
  assert.deepEqual([...batch.level.slice(0, 3)], [3, 3, 3]);
});

test('messages: lines that each CPU prints once are one event and its repeats', () => {
  const line = (cpu: number, seconds: number): Line => ({
    text: `CPU ${cpu}: Ignoring REBOOT_VECTOR from other kernel instance (stopping_cpu=-1)`,
    seconds,
  });
  const batch = recognise([line(8, 167.4631), line(0, 167.4631), line(3, 167.46305), line(2, 190)]);
  assert.deepEqual(
    [0, 1, 2, 3].map((row) => batch.attributes.rowOf(row)[ATTR.repeat]),
    [undefined, '1', '2', undefined],
  );
});

test('messages: what user space prints is no message of the kernel, nor the other way round', () => {
  const active = 'Multikernel instance 3 is now active';
  const exit = 'kerf-init: child exited with status 0';
  const batch = recognise([
    { text: active, seconds: 1, flags: LOG_FLAG.userSpace },
    { text: active },
    { text: exit },
    { text: exit, seconds: 2 },
    { text: active, seconds: 2 },
  ]);
  assert.deepEqual(eventsOf(batch), ['', '', 'mk.app.exit', '', 'mk.instance.active']);
});

test('messages: prefixes of dynamic debug in all their forms', () => {
  const text = 'Multikernel message sent: type=0x2000, subtype=0x2001, len=20 to instance 3';
  const prefixes = [
    '',
    '[1] ',
    '<intr> ',
    'core: ',
    'mk_send_message:212: ',
    '[77] core:mk_send_message: ',
    '<intr> kernel/multikernel/core.c:212: ',
  ];
  const batch = recognise(prefixes.map((prefix, at) => ({ text: prefix + text, seconds: at })));
  assert.deepEqual(
    eventsOf(batch),
    prefixes.map(() => 'mk.ikc.send'),
  );
});

test('messages: ids of all generations, and a physical id that stands for none', () => {
  const batch = recognise([
    { text: 'Timeout waiting for operation 0x2001 on resource 18446744073709551615', seconds: 1 },
    { text: 'Multikernel message received: type=0x2000, subtype=0x2001, len=20 from CPU -1', seconds: 1 },
  ]);
  assert.equal(batch.attributes.rowOf(0)['mk.ikc.resource'], '18446744073709551615');
  assert.equal(batch.attributes.rowOf(1)['mk.ikc.from_cpu'], '-1');
});

test('messages: fields join the attributes that rows have already', () => {
  const batch = new LogBatch(4);
  const lines = ['one', 'Multikernel instance 3 is now active', 'two', 'Instance 3 (web-1) halted, CPUs parking in pool', 'three'];
  for (const [at, line] of lines.entries()) {
    if (at !== 2) batch.attributes.add('line', at);
    if (at === 3) batch.attributes.add('half', 0.5);
    batch.rawTime.setBigint(batch.addText(line, 6), BigInt(at));
  }
  new MessageRecogniser(matcher).take(batch);
  assert.deepEqual(
    lines.map((_line, row) => batch.attributes.rowOf(row)),
    [
      { line: '0' },
      { line: '1', 'mk.instance.id': '3' },
      {},
      { line: '3', half: '0.5', 'mk.instance.id': '3', 'mk.instance.name': 'web-1' },
      { line: '4' },
    ],
  );
});

test('messages: a row that has a name keeps it', () => {
  const batch = new LogBatch(1);
  const row = batch.addText('Multikernel instance 3 is now active', 6);
  batch.eventName[row] = batch.strings.internString('other');
  assert.equal(new MessageRecogniser(matcher).take(batch), 0);
  assert.deepEqual(eventsOf(batch), ['other']);
});
