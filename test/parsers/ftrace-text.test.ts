import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8 } from '../../base/bytes.ts';
import { EventBatch, fieldText, type EventTable } from '../../model/event-batch.ts';
import type { ParserSession } from '../../model/parser.ts';
import { NO_RAW_TIME } from '../../model/time.ts';
import { ftraceText } from '../../parsers/ftrace-text.ts';

function parse(text: string): { batch: EventBatch; session: ParserSession<EventBatch> } {
  const session = ftraceText.open();
  const batch = new EventBatch();
  const bytes = encodeUtf8(text);
  assert.equal(session.finish(bytes, batch), bytes.length);
  assert.equal(session.counts.parsedBytes + session.counts.malformedBytes, bytes.length);
  return { batch, session };
}

/** The only event of one line: [comm, pid, cpu, flags, preempt, raw, name, body]. */
function readLine(line: string): unknown[] {
  const { batch, session } = parse(`${line}\n`);
  assert.equal(batch.length, 1, `${line}: ${JSON.stringify([...session.counts.malformed])}`);
  const table = batch.tables[0] as EventTable;
  const text = (id: number | undefined): string => batch.strings.get(id as number);
  return [
    text(table.comm[0]),
    table.pid[0],
    table.cpu[0],
    table.flags[0],
    table.preemptCount[0],
    table.rawTime.getBigint(0),
    table.schema.name,
    text(table.body[0]),
  ];
}

function fieldsOf(batch: EventBatch, name: string, row = 0): Record<string, string> {
  const table = batch.tables.find(({ schema }) => schema.name === name) as EventTable;
  return Object.fromEntries(table.schema.fields.map((field, index) => [field.name, fieldText(batch, table, index, row)]));
}

test('ftrace_text: task names may hold spaces, dashes, digits and brackets', () => {
  const cases: [string, string, number][] = [
    ['      a b-12 [3]-11851   [001] ..s..  2351.435269: x: y=1', 'a b-12 [3]', 11851],
    ['     -1-23-45678-9       [001] ..s..  2351.435269: x: y=1', '-1-23-45678', 9],
    ['           <...>-2147483 [001] ..s..  2351.435269: x: y=1', '', 2147483],
    ['          <idle>-0       [001] ..s..  2351.435269: x: y=1', '<idle>', 0],
    ['bash-707 [001] 2351.435269: x: y=1', 'bash', 707],
    ['mkscope-h1:             bash-707   [001]  2351.435269: x:   y=1', 'bash', 707],
    ['  kworker/u8:2-ev-707   (    707) [001] .....  2351.435269: x: y=1', 'kworker/u8:2-ev', 707],
    ['            bash-1       (-------) [001] .....  2351.435269: x: y=1', 'bash', 1],
  ];
  for (const [line, comm, pid] of cases)
    assert.deepEqual(readLine(line), [comm, pid, 1, line.includes('..s..') ? 16 : 0, 0, 2351_435_269_000n, 'x', 'y=1'], line);
});

test('ftrace_text: reads dotted times of any digits and whole-number clocks of any size', () => {
  const at = (time: string): unknown => readLine(`            bash-1       [000] ..... ${time}: x: y=1`)[5];
  assert.equal(at('1366.377573'), 1366_377_573_000n);
  assert.equal(at('1366.377573001'), 1366_377_573_001n);
  assert.equal(at('1795420027.972445'), 1795420027_972_445_000n);
  assert.equal(at('7'), 7n);
  assert.equal(at('6114158012007'), 6114158012007n);
  assert.equal(at('9223372036854775807'), 9223372036854775807n);
});

test('ftrace_text: flag characters become the kernel’s bits', () => {
  const flags = (shown: string): unknown[] => readLine(`            bash-1       [000] ${shown}     1.000000: x: y=1`).slice(3, 5);
  assert.deepEqual(flags('d..2.'), [0x01, 2]);
  assert.deepEqual(flags('dNh4.'), [0x01 | 0x24 | 0x08, 4]);
  assert.deepEqual(flags('bns.1'), [0x80 | 0x04 | 0x10, 0x10]);
  assert.deepEqual(flags('DBZaf'), [0x81 | 0x26 | 0x48, 0xfa]);
  assert.deepEqual(flags('.pH.1'), [0x20 | 0x18, 0x10]);
  assert.deepEqual(flags('X.s0'), [0x10, 0]);
});

test('ftrace_text: values may hold spaces and equal signs', () => {
  const { batch } = parse(
    '            bash-1       [000] d..2.     1.000000: sched_switch: prev_comm=a prev_pid=1 prev_prio=120 prev_state=R+ ==> next_comm=b next_pid=2 next_prio=9\n' +
      '            bash-1       [000] d..2.     2.000000: sched_switch: prev_comm=x=1 y z prev_pid=-1 prev_prio=120 prev_state=S ==> next_comm= == next_pid=2 next_prio=9\n',
  );
  assert.equal(batch.tables.length, 1);
  assert.deepEqual(fieldsOf(batch, 'sched_switch'), {
    prev_comm: 'a',
    prev_pid: '1',
    prev_prio: '120',
    prev_state: 'R+',
    next_comm: 'b',
    next_pid: '2',
    next_prio: '9',
  });
  assert.deepEqual(fieldsOf(batch, 'sched_switch', 1), {
    prev_comm: 'x=1 y z',
    prev_pid: '-1',
    prev_prio: '120',
    prev_state: 'S',
    next_comm: ' ==',
    next_pid: '2',
    next_prio: '9',
  });
});

test('ftrace_text: numbers keep 64 bits and their base; a unit is no part of them', () => {
  const { batch } = parse(
    '            bash-1       [000] .....     1.000000: x: a=0xffffffffffffffff b=-5 c=4294967296 d=00000000ed2fc8c2 e=12345678901234567890 runtime=7 [ns] f=1 [ns]\n',
  );
  assert.deepEqual(fieldsOf(batch, 'x'), {
    a: '0xffffffffffffffff',
    b: '-5',
    c: '4294967296',
    d: '0xed2fc8c2',
    e: '12345678901234567890',
    runtime: '7',
    f: '1',
  });
});

test('ftrace_text: a field that turns out to be text gets a table where it is', () => {
  const line = (body: string): string => `            bash-1       [000] .....     1.000000: x: ${body}\n`;
  const { batch, session } = parse(line('a=1 b=2') + line('a=one b=2') + line('a=3 b=4') + line('c=1') + line('no fields'));
  assert.equal(session.counts.records, 5);
  assert.deepEqual(
    batch.tables.map((table) => [table.length, table.schema.fields.map(({ name, kind }) => `${name}:${kind}`).join()]),
    [
      [1, 'a:int64,b:int64'],
      [2, 'a:string,b:int64'],
      [1, 'c:int64'],
      [1, ''],
    ],
  );
});

test('ftrace_text: system calls in all their spellings are one event', () => {
  const line = (body: string): string => `            bash-1       [000] .....     1.000000: ${body}\n`;
  const { batch } = parse(
    line('sys_read(fd: 3, buf: 0x7ffe, count: 0)') +
      line('sys_read(unsigned int fd: 4, char * buf: 0x7fff, size_t count: 0x10)') +
      line('sys_enter_read:   fd: 0x5, buf: 0x1, count: 0x2') +
      line('sys_read -> 0xfffffffffffffffe') +
      line('sys_exit_read:   0x2'),
  );
  assert.equal(
    batch.tables.filter(({ schema }) => schema.name === 'syscalls:sys_enter_read').reduce((sum, { length }) => sum + length, 0),
    3,
  );
  assert.deepEqual(fieldsOf(batch, 'syscalls:sys_enter_read'), { fd: '0x3', buf: '0x7ffe', count: '0x0' });
  const exits = batch.tables.find(({ schema }) => schema.name === 'syscalls:sys_exit_read') as EventTable;
  assert.equal(exits.length, 2);
  assert.equal(exits.fields[0]?.kind === 'int64' ? exits.fields[0].values.getBigint(0) : undefined, -2n);
});

test('ftrace_text: lines without a prefix belong to the event before', () => {
  const { batch } = parse(
    '            bash-1       [000] .....     1.000000: tracing_mark_write: first\n second: x=1\n\n# third\n' +
      '            bash-1       [000] .....     2.000000: <stack trace>\n => a\n => b\n' +
      '            bash-1       [000] .....     3.000000: 0: by address\n',
  );
  const print = batch.find('ftrace:print') as EventTable;
  assert.equal(batch.strings.get(print.body[0] as number), 'first\n second: x=1\n\n# third');
  assert.equal(batch.strings.get(print.body[1] as number), 'by address');
  assert.deepEqual(fieldsOf(batch, 'ftrace:kernel_stack'), { buf: ' => a\n => b', event: '' });
});

test('ftrace_text: loss lines carry the window between the events of their CPU', () => {
  const { session } = parse(
    '            bash-1       [001] .....     1.000000: x: y=1\n            bash-1       [000] .....     2.000000: x: y=1\nCPU:1 [LOST 1872 EVENTS]\n' +
      '            bash-1       [000] .....     3.000000: x: y=1\n            bash-1       [001] .....     4.000000: x: y=1\nCPU:0 [LOST EVENTS]\n##### CPU 0 buffer started ####\n',
  );
  assert.equal(session.counts.lost, 1872);
  assert.equal(session.counts.lostUnknown, 1);
  assert.deepEqual(session.takeLosses(), [
    { cpu: 1, count: 1872, fromRaw: 1_000_000_000n, toRaw: 4_000_000_000n, reason: 'ring_lost' },
    { cpu: 0, count: undefined, fromRaw: 3_000_000_000n, toRaw: NO_RAW_TIME, reason: 'ring_lost' },
  ]);
});

test('ftrace_text: what no rule takes is counted with its reason', () => {
  const { batch, session } = parse(
    'no event yet\n            bash-1       [000] .....     1.000000: x: y=1\n            bash-1       [000] .....  123456789: x: y=1\n            bash-1       [000] .....     1.000001: what is this\n',
  );
  assert.deepEqual(Object.fromEntries(session.counts.malformed), {
    'no event line': 1,
    'another clock than the first event': 1,
    'no event name': 1,
  });
  const kept = batch.find('ftrace:unparsed') as EventTable;
  assert.deepEqual(
    [0, 1, 2].map((row) => [batch.strings.get(kept.body[row] as number), kept.rawTime.getBigint(row)]),
    [
      ['no event yet', NO_RAW_TIME],
      ['            bash-1       [000] .....  123456789: x: y=1', 1_000_000_000n],
      ['            bash-1       [000] .....     1.000001: what is this', 1_000_000_000n],
    ],
  );
});

test('ftrace_text: what was typed in front of a trace does not hide it', () => {
  const typed = '# echo 0 > options/function-trace\n# echo irqsoff > current_tracer\n# ls -ltr\n# cat trace\n';
  const trace = '# tracer: nop\n#\n  <idle>-0     [000] d..1. 12.000001: hello: x=1\n';
  assert.ok(ftraceText.sniff(encodeUtf8(typed + trace)));
  assert.ok(!ftraceText.sniff(encodeUtf8(typed)));
  assert.equal(parse(typed + trace).batch.tables.find(({ schema }) => schema.name === 'hello')?.length, 1);
});

test('ftrace_text: floods of names, shapes and lines stay bounded', () => {
  const prefix = '            bash-1       [000] .....     1.000000: ';
  const names = Array.from({ length: 6000 }, (_line, index) => `${prefix}event_${index}: a=1`);
  const shapes = Array.from({ length: 1000 }, (_line, index) => `${prefix}x: f${index}=1`);
  const { batch, session } = parse(`${[...names, ...shapes].join('\n')}\n${'y'.repeat(1 << 20)}\n`);
  assert.ok(batch.tables.length < 4200, `${batch.tables.length} tables`);
  assert.ok((session.counts.malformed.get('too many event names') ?? 0) > 1800);
});

test('ftrace_text: a batch of its own gets its own tables', () => {
  const session = ftraceText.open();
  const line = encodeUtf8('            bash-1       [000] .....     1.000000: x: y=1\n');
  for (let round = 0; round < 2; round++) {
    const batch = new EventBatch();
    session.finish(line, batch);
    assert.equal(batch.length, 1);
    assert.deepEqual(fieldsOf(batch, 'x'), { y: '1' });
  }
});

test('ftrace_text: a task name does not begin in the line before', () => {
  const plain = '            bash-707     [001] d..2.  2351.415237: x: y=1\n';
  const { batch, session } = parse(`${plain.repeat(8)}torn\n       bash-707     [001] d..2.  2351.415237: x: y=1\n${plain.repeat(8)}`);
  const names = batch.tables.flatMap((table) => Array.from(table.comm.subarray(0, table.length), (id) => batch.strings.get(id)));
  assert.deepEqual([...new Set(names)].sort(), ['', 'bash']);
  assert.equal(session.counts.malformed.get('no event line'), 1);
});

test('ftrace_text: a line that looks like the ones before it, but for its bytes, is none of them', () => {
  for (const plain of [
    '            bash-707     [001] d..2.  2351.415237: x: y=1\n',
    '            bash-707     [001]   2351.415237: x: y=1\n',
    '            bash-707     (    707) [001] d..2.  2351.415237: x: y=1\n',
    '            bash-707     [001] d.L.213  2351.415237: x: y=1\n',
    'big:              bash-707   [001]  2351.415237: x:                    y=1\n',
    'big:              bash-707   [001]  2351.415237123: x:                    y=1\n',
  ]) {
    const fill = plain.repeat(8);
    const others = [
      `${'\0'.repeat(24)} [001] d..2.  2351.415237: x: y=1\n`,
      ...[
        ['-707', '+707'],
        ['[001]', '[0:1]'],
        ['[001]', '[001['],
        ['d..2.', 'd.. .'],
        ['2351.', '2351,'],
        ['415237', '4152/7'],
        ['237: ', '237; '],
        ['123: ', '123; '],
      ].map(([from = '', to = '']) => plain.replace(from, to)),
    ].filter((line) => line !== plain);
    const { batch, session } = parse(`${fill}${others.join(fill)}${fill}`);
    const rows = (name: string): number =>
      batch.tables.filter(({ schema }) => schema.name === name).reduce((sum, { length }) => sum + length, 0);
    assert.equal(rows('x'), 8 * (others.length + 1), plain);
    assert.equal(rows('ftrace:unparsed'), others.length);
    assert.equal(session.counts.malformed.get('no event line'), others.length);
  }
});

test('ftrace_text: two ways of writing the same fields share a table that grows', () => {
  const prefix = '            bash-707     [001] .....  2351.415237: ';
  const lines = Array.from({ length: 200 }, (_, i) => {
    const value = `0x${(i + 16).toString(16)}`;
    return `${prefix}${i % 7 < 3 ? `sys_close(fd: ${value})` : `sys_close(unsigned int fd: ${value})`}\n`;
  });
  const { batch } = parse(lines.join(''));
  const values = lines.map((_, row) => fieldsOf(batch, 'syscalls:sys_enter_close', row).fd);
  assert.deepEqual(
    values,
    lines.map((_, i) => `0x${(i + 16).toString(16)}`),
  );
});
