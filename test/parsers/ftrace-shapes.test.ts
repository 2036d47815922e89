/** Shapes of ftrace text beside the plain one, and what other readers of it get wrong: each pitfall is a test. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { encodeUtf8 } from '../../base/bytes.ts';
import { EventBatch, fieldText, type EventTable } from '../../model/event-batch.ts';
import type { ParserSession } from '../../model/parser.ts';
import { ftraceText } from '../../parsers/ftrace-text.ts';
import { systrace } from '../../parsers/systrace.ts';
import { loadFixtures, parseInChunks } from '../support/parser-suite.ts';
import { createRandom } from '../support/random.ts';

const FIXTURES = join(import.meta.dirname, '..', 'fixtures');
const PREFIX = '            bash-1       [001] .....     ';

function parse(text: string): { batch: EventBatch; session: ParserSession<EventBatch> } {
  const session = ftraceText.open();
  const batch = new EventBatch();
  const bytes = encodeUtf8(text);
  assert.equal(session.finish(bytes, batch), bytes.length);
  assert.equal(session.counts.parsedBytes + session.counts.malformedBytes, bytes.length);
  assert.equal(session.counts.records, batch.length);
  return { batch, session };
}

/** Rows of one event as objects, in order. */
function rowsOf(batch: EventBatch, name: string): Record<string, string>[] {
  return batch.tables
    .filter(({ schema }) => schema.name === name)
    .flatMap((table) =>
      Array.from({ length: table.length }, (_row, row) =>
        Object.fromEntries(table.schema.fields.map((field, index) => [field.name, fieldText(batch, table, index, row)])),
      ),
    );
}

function rawsOf(batch: EventBatch, name: string): bigint[] {
  const tables = batch.tables.filter(({ schema }) => schema.name === name);
  return tables.flatMap((table) => Array.from({ length: table.length }, (_row, row) => table.rawTime.getBigint(row)));
}

test('ftrace_text pitfall: whole-number clocks, and system calls are no event names', () => {
  const { batch } = parse(`            bash-1       [001] ..... 6114158012007: sys_write(fd: 1, buf: 0x7f, count: 0x18)\n`);
  assert.equal(batch.clock, 'x86-tsc');
  assert.deepEqual(rowsOf(batch, 'syscalls:sys_enter_write'), [{ fd: '0x1', buf: '0x7f', count: '0x18' }]);
});

test('ftrace_text pitfall: nanoseconds of tai are exact', () => {
  const { batch } = parse(`            bash-1       [001] ..... 1795420027.972445123: x: y=1\n`);
  assert.equal(batch.clock, 'tai');
  assert.deepEqual(rawsOf(batch, 'x'), [1795420027_972_445_123n]);
});

test('ftrace_text pitfall: pids of seven digits and more, CPUs of four', () => {
  const { batch } = parse('            bash-12345678 [1023] .....     1.000000: x: y=1\n');
  const table = batch.tables[0] as EventTable;
  assert.deepEqual([table.pid[0], table.cpu[0]], [12345678, 1023]);
});

test('ftrace_text pitfall: lines of a serial console end in CR LF, and NULs are no reason to stop', () => {
  const { batch, session } = parse(
    `${PREFIX}1.000000: x: y=1\r\n${PREFIX}2.000000: x: y=two\r\n\0\0\0\n${PREFIX}3.000000: x: y=3\r\n${PREFIX}4.000000: tracing_mark_write: a\r\n`.repeat(
      4,
    ),
  );
  assert.deepEqual(new Set(rowsOf(batch, 'x').map(({ y }) => y)), new Set(['1', '3', 'two\r\n\0\0\0']));
  assert.deepEqual(new Set(rowsOf(batch, 'ftrace:print').map(({ buf }) => buf)), new Set(['a']));
  assert.equal(session.counts.malformed.get('no event name'), undefined);
});

test('ftrace_text pitfall: flag columns of 3.x kernels: X, and digits for dots', () => {
  const { batch } = parse(
    '            bash-1       [001] X.s0     1.000000: x: y=1\n            bash-1       [001] d.h3     1.000000: x: y=1\n',
  );
  const table = batch.tables[0] as EventTable;
  assert.deepEqual([table.flags[0], table.preemptCount[0], table.flags[1], table.preemptCount[1]], [0x10, 0, 0x09, 3]);
});

test('ftrace_text pitfall: a header with more flag columns than its lines (osnoise) does not shift them', () => {
  const bytes = readFileSync(join(FIXTURES, 'ftrace/osnoise.txt'));
  const { batch } = parse(bytes.toString());
  const table = batch.tables.find(({ schema }) => schema.name === 'ftrace:osnoise') as EventTable;
  assert.deepEqual([table.flags[0], table.preemptCount[0]], [0, 0x10]);
});

test('ftrace_text pitfall: equal stamps and stamps that go back keep the order of the text', () => {
  const { batch } = parse(`${PREFIX}2.000000: x: y=1\n${PREFIX}2.000000: x: y=2\n${PREFIX}1.000000: x: y=3\n`);
  assert.deepEqual(rowsOf(batch, 'x'), [{ y: '1' }, { y: '2' }, { y: '3' }]);
  assert.deepEqual(rawsOf(batch, 'x'), [2_000_000_000n, 2_000_000_000n, 1_000_000_000n]);
});

test('ftrace_text: a line that was cut does not spoil the event before it', () => {
  const { batch, session } = parse(`${PREFIX}1.000000: x: y=1\n${PREFIX}2.000000: a <-b\n            bash-1   [0`);
  assert.deepEqual(rowsOf(batch, 'ftrace:function'), [{ ip: 'a', parent_ip: 'b' }]);
  assert.deepEqual(Object.fromEntries(session.counts.malformed), { 'no event line': 1 });
});

test('ftrace_text: a stack names the event it belongs to, on its own CPU', () => {
  const other = '            bash-2       [000] .....     ';
  const { batch } = parse(
    `${PREFIX}1.000000: x: y=1\n${other}1.000000: z: y=1\n${PREFIX}1.000000: <stack trace>\n => a\n => b\n${other}1.000000: <user stack trace>\n =>  <00007f>\n`,
  );
  assert.deepEqual(rowsOf(batch, 'ftrace:kernel_stack'), [{ buf: ' => a\n => b', event: 'x' }]);
  assert.deepEqual(rowsOf(batch, 'ftrace:user_stack'), [{ buf: ' =>  <00007f>', event: 'z' }]);
});

test('ftrace_text: option fields gives numbers as the kernel means them, and addresses', () => {
  const { batch } = parse(
    `${PREFIX}1.000000: x: pid=0xffffffff (-1) ptr=0xffffc90002ab7d70 (-60473094734480) set=(0) f=hrtimer_wakeup+0x0/0x30 (-2126329168)\n`,
  );
  assert.deepEqual(rowsOf(batch, 'x'), [{ pid: '-1', ptr: '0xffffc90002ab7d70', set: '(0)', f: 'hrtimer_wakeup+0x0/0x30 (-2126329168)' }]);
});

test('ftrace_text: probes have their place as fields', () => {
  const { batch } = parse(
    `${PREFIX}1.000000: p: (vfs_read+0x0/0x310) a=0x1 s="x y"\n${PREFIX}1.000000: r: (ksys_read+0x6a/0xa0 <- vfs_read) ret=0x4\n${PREFIX}1.000000: n: (vfs_read+0x0/0x310)\n`,
  );
  assert.deepEqual(rowsOf(batch, 'p'), [{ __probe_ip: 'vfs_read+0x0/0x310', a: '0x1', s: '"x y"' }]);
  assert.deepEqual(rowsOf(batch, 'r'), [{ __probe_ret_ip: 'ksys_read+0x6a/0xa0', __probe_func: 'vfs_read', ret: '0x4' }]);
  assert.deepEqual(rowsOf(batch, 'n'), [{ __probe_ip: 'vfs_read+0x0/0x310' }]);
});

test('ftrace_text: function_graph pairs exits with entries across switches of tasks', () => {
  const { batch } = parse(
    '# tracer: function_graph\n#\n# CPU  DURATION                  FUNCTION CALLS\n# |     |   |                     |   |   |   |\n' +
      ' 0)               |  a() {\n ------------------------------------------\n 0)     x-1     =>     y-2    \n ------------------------------------------\n\n' +
      ' 0)               |  b() {\n 0)   1.000 us    |  }\n ------------------------------------------\n 0)     y-2     =>     x-1    \n ------------------------------------------\n\n' +
      ' 0)   0.500 us    |    c();\n 0) ! 119.557 us  |  }\n',
  );
  assert.deepEqual(
    rowsOf(batch, 'ftrace:funcgraph_exit').map(({ func, depth, duration }) => `${func} ${depth} ${duration}`),
    ['b 0 1000', 'c 1 500', 'a 0 119557'],
  );
  assert.deepEqual(rowsOf(batch, 'ftrace:funcgraph_switch')[0], { prev_comm: 'x', prev_pid: '1', next_comm: 'y', next_pid: '2' });
  assert.equal(batch.clock, 'counter');
});

test('ftrace_text: names around a switch may hold dashes, blanks and arrows', () => {
  const rule = ' ------------------------------------------\n';
  const switches = ['<idle>-0    =>     ls-534    ', 'a => b-1-12  =>  kworker/0:1-33 ', '-x--7 => y => z-8'];
  const text = switches.map((line) => `${rule} 0)    ${line}\n${rule}\n 0)   1.423 us    |  vfs_open();\n`).join('');
  const { batch, session } = parse(`# tracer: function_graph\n#\n# CPU  DURATION                  FUNCTION CALLS\n${text.repeat(20)}`);
  assert.deepEqual(session.counts.malformed, new Map());
  assert.deepEqual(rowsOf(batch, 'ftrace:funcgraph_switch').slice(-3), [
    { prev_comm: '<idle>', prev_pid: '0', next_comm: 'ls', next_pid: '534' },
    { prev_comm: 'a => b-1', prev_pid: '12', next_comm: 'kworker/0:1', next_pid: '33' },
    { prev_comm: '-x-', prev_pid: '7', next_comm: 'y => z', next_pid: '8' },
  ]);
  assert.equal(rowsOf(batch, 'ftrace:funcgraph_switch').length, 60);
});

test('ftrace_text: with funcgraph-abstime a leaf ends its duration after it began', () => {
  const { batch } = parse(
    '  402.999999 |   0)     sh-470     |   2.345 us    |  f();\n  403.000005 |   0)     sh-470     |               |  /* x: y=1 */\n',
  );
  assert.deepEqual(rawsOf(batch, 'ftrace:funcgraph_entry'), [402_999_999_000n]);
  assert.deepEqual(rawsOf(batch, 'ftrace:funcgraph_exit'), [403_000_001_345n]);
  assert.deepEqual(rowsOf(batch, 'x'), [{ y: '1' }]);
});

test('ftrace_text: functions of modules in function_graph have their module, as calls, ends and callers', () => {
  const { batch, session } = parse(`# tracer: function_graph
#
# CPU  DURATION                  FUNCTION CALLS
# |     |   |                     |   |   |   |
 1)               |  virtnet_poll [virtio_net]() {
 1)   2.644 us    |    detach_buf [virtio_ring]();
 1) ! 504.147 us  |  }
 1) ! 504.147 us  |  } /* virtnet_poll [virtio_net] */
 1)               |  clean [e1000](napi=0x1, budget=64) { /* <-napi_poll+0x3/0x7 [mod-x] */
 1)   1.000 us    |  } /* clean [e1000] ret=0x3 */
 1)   1.000 us    |  } /* clean [e1000] = 0x4 */
 1)   1.000 us    |  odd [x y]();
`);
  assert.deepEqual([...session.counts.malformed], [['no event line', 1]]);
  const funcs = (name: string): (string | undefined)[] => rowsOf(batch, name).map(({ func }) => func);
  assert.deepEqual(funcs('ftrace:funcgraph_entry'), ['virtnet_poll [virtio_net]', 'detach_buf [virtio_ring]', 'clean [e1000]']);
  assert.deepEqual(funcs('ftrace:funcgraph_exit'), [
    ...['detach_buf [virtio_ring]', 'virtnet_poll [virtio_net]', 'virtnet_poll [virtio_net]', 'clean [e1000]', 'clean [e1000]'],
  ]);
  assert.deepEqual(rowsOf(batch, 'ftrace:funcgraph_entry')[2], {
    func: 'clean [e1000]',
    depth: '0',
    parent_ip: 'napi_poll+0x3/0x7 [mod-x]',
    args: 'napi=0x1, budget=64',
  });
  assert.deepEqual(
    rowsOf(batch, 'ftrace:funcgraph_exit').flatMap(({ retval }) => retval ?? []),
    ['0x3', '0x4'],
  );
});

test('ftrace_text: what was overwritten before a latency trace was read is a loss', () => {
  const { session } = parse(
    '# tracer: nop\n#\n# nop latency trace v1.1.5 on 6.18\n# latency: 0 us, #2/402, CPU#0 | (M:PREEMPT(none) VP:0, KP:0, SP:0 HP:0 #P:2)\n' +
      '    bash-1       0d..2.   12us : x: y=1\n',
  );
  assert.equal(session.counts.lost, 400);
  assert.deepEqual(session.takeLosses(), [{ cpu: -1, count: 400, fromRaw: -1n, toRaw: 12_000n, reason: 'ring_overrun' }]);
});

test('ftrace_text: one table for all inputs of a batch that have the same fields, others apart', () => {
  const batch = new EventBatch();
  for (const body of ['x: a=1', 'x: a=1', 'x: b=one']) ftraceText.open().finish(encodeUtf8(`${PREFIX}1.000000: ${body}\n`), batch);
  assert.deepEqual(
    batch.tables.map(({ schema, length }) => [schema.fields.map(({ name }) => name).join(), length]),
    [
      ['a', 2],
      ['b', 1],
    ],
  );
});

test('ftrace_text: what a plugin of trace-cmd prints is read as that, however many lines of its event were none', () => {
  const odd = Array.from({ length: 40 }, (_line, index) => `${PREFIX}1.000000: sched_switch: odd ${index}\n`).join('');
  const plugin = `${PREFIX}1.000001: sched_switch: sh:7 [120] R ==> swapper/0:0 [120]\n`;
  const fields = {
    prev_comm: 'sh',
    prev_pid: '7',
    prev_prio: '120',
    prev_state: 'R',
    next_comm: 'swapper/0',
    next_pid: '0',
    next_prio: '120',
  };
  // How far the end is decides which way a line is read.
  for (let behind = 0; behind < 4000; behind += 40) {
    const { batch } = parse(`${odd}${plugin}${PREFIX}1.000002: x: ${'y'.repeat(behind)}\n`);
    assert.deepEqual(rowsOf(batch, 'sched_switch').at(-1), fields, `${behind}`);
  }
});

/** Recorded on 6.12 with `-p function -O func-no-repeats`: `trace-cmd report`, with `-O parent`, and `-R`. */
const CALLS = [
  '              sh-156   [000]    15.698773: function:             security_vm_enough_memory_mm',
  '              sh-156   [000]    15.698776: function:                static_key_count',
  '              sh-156   [000]    15.698783: function:                bpf_lsm_vm_enough_memory <-- security_vm_enough_memory_mm',
  '              sh-156   [000]    15.698791: func_repeats:            static_key_count (count: 8  last_ts:    15.698789)',
  '              sh-156   [000]    15.698791: func_repeats:            static_key_count <-- cap_capable (count: 8  last_ts:    15.698789)',
  '              sh-156   [000]    15.698872: function:             __vm_enough_memory <-- insert_vm_struct',
  '              sh-156   [000]    15.698881: function:             vma_link',
];

test('ftrace_text: calls as trace-cmd prints them have their function, and its caller where that is shown', () => {
  const [first = '', ...rest] = CALLS;
  // Whichever comes first, and by the quick ways, which begin after some lines of a kind.
  for (const lines of [CALLS, [...rest, first], Array.from({ length: 40 }, () => CALLS).flat()]) {
    const { batch } = parse(`${lines.join('\n')}\n`);
    const copies = lines.length / CALLS.length;
    const called = Map.groupBy(rowsOf(batch, 'ftrace:function'), ({ ip = '', parent_ip: parent = '-' }) => `${ip} ${parent}`);
    assert.deepEqual(Object.fromEntries([...called].map(([calls, rows]) => [calls, rows.length]).sort()), {
      '__vm_enough_memory insert_vm_struct': copies,
      'bpf_lsm_vm_enough_memory security_vm_enough_memory_mm': copies,
      'security_vm_enough_memory_mm -': copies,
      'static_key_count -': copies,
      'vma_link -': copies,
    });
    assert.deepEqual(rowsOf(batch, 'func_repeats').slice(0, 2), [
      { ip: 'static_key_count', parent_ip: '', count: '8', last_ts: '15698789000' },
      { ip: 'static_key_count', parent_ip: 'cap_capable', count: '8', last_ts: '15698789000' },
    ]);
  }
  const raw =
    '       trace-cmd-151   [001]    14.554736: function:              ip=static_key_count parent_ip=security_vm_enough_memory_mm\n';
  assert.deepEqual(rowsOf(parse(raw.repeat(9)).batch, 'ftrace:function')[8], {
    ip: 'static_key_count',
    parent_ip: 'security_vm_enough_memory_mm',
  });
});

test('ftrace_text: a stack among the fields of an event belongs to it, from the first one on', () => {
  const stack = 'STACK:\n=> __schedule+0x448/0x7b0\n=> schedule+0x5a/0xb0';
  const lines = [1, 2].map((pid) => `${PREFIX}1.00000${pid}: block_lat: pid=${pid} delta=8322 stack=${stack}\n\n`);
  const { batch, session } = parse(lines.join(''));
  assert.deepEqual(
    rowsOf(batch, 'block_lat'),
    [1, 2].map((pid) => ({ pid: `${pid}`, delta: '8322', stack })),
  );
  assert.equal(session.counts.malformedBytes, 0);
});

test('ftrace_text: what function_graph has recorded, printed by another tracer, has the context of its line', () => {
  const { batch, session } = parse(
    [
      '# tracer: nop',
      '#',
      `${PREFIX}1.000001:  1)               |  tmigr_cpu_deactivate(nextexp=357988000000) {`,
      `${PREFIX}1.000002:  1)   0.981 us    |    preempt_count_add(val=1);`,
      `${PREFIX}1.000005:  1) + 15.824 us   |  }`,
      `${PREFIX}1.000006: x: y=1) z`,
    ]
      .map((line) => `${line}\n`)
      .join(''),
  );
  assert.deepEqual(rowsOf(batch, 'ftrace:funcgraph_entry'), [
    { func: 'tmigr_cpu_deactivate', depth: '0', args: 'nextexp=357988000000' },
    { func: 'preempt_count_add', depth: '1', args: 'val=1' },
  ]);
  const exits = rowsOf(batch, 'ftrace:funcgraph_exit').map(({ func, depth, duration }) => [func, depth, duration]);
  assert.deepEqual(exits, [
    ['preempt_count_add', '1', '981'],
    ['tmigr_cpu_deactivate', '0', '15824'],
  ]);
  assert.deepEqual(rawsOf(batch, 'ftrace:funcgraph_entry'), [1_000_001_000n, 1_000_002_000n]);
  const [table] = batch.tables;
  assert.deepEqual([table?.pid[0], table?.cpu[0]], [1, 1]);
  assert.equal(session.counts.malformedBytes, 0);
});

test('ftrace_text: with --ts-diff, trace-cmd has times that run backwards', () => {
  const { batch, session } = parse(
    [
      '            bash-1     [001]     1.000005: (+5)     x:                    y=1',
      '            bash-1     [000]     1.000001: (+-4)    x:                    y=2',
    ]
      .map((line) => `${line}\n`)
      .join(''),
  );
  assert.deepEqual(rowsOf(batch, 'x'), [{ y: '1' }, { y: '2' }]);
  assert.deepEqual(rawsOf(batch, 'x'), [1_000_005_000n, 1_000_001_000n]);
  assert.equal(session.counts.malformedBytes, 0);
});

test('ftrace_text: blanks behind a line that was copied hide no function', () => {
  const { batch } = parse(`${PREFIX}1.000001: mutex_unlock <-rb_simple_write  \n${PREFIX}1.000002: fsnotify <-vfs_write\n`);
  assert.deepEqual(rowsOf(batch, 'ftrace:function'), [
    { ip: 'mutex_unlock', parent_ip: 'rb_simple_write' },
    { ip: 'fsnotify', parent_ip: 'vfs_write' },
  ]);
});

test('ftrace_text: the quick way and the careful one give the same rows', () => {
  const random = createRandom(5);
  for (const { name, bytes } of loadFixtures('ftrace', '.txt')) {
    // Of events of some so many lines that functions are made of their templates.
    const copies = /\/(?:nop|fields|probes|report-r)$/.test(name) ? 150 : Math.ceil(12_000 / bytes.length);
    const long = new Uint8Array(Buffer.concat(Array.from({ length: copies }, () => bytes)));
    const whole = parseInChunks(ftraceText, long, []);
    // Pieces this short are all within the margin that the careful way reads.
    const short: number[] = [];
    for (let at = 0; at < long.length; at += 20 + Math.floor(random() * 200)) short.push(at);
    assert.deepEqual(parseInChunks(ftraceText, long, short), whole, name);
  }
});

const GRAPH_HEADER = (columns: string): string =>
  `# tracer: function_graph\n#\n# ${columns}FUNCTION CALLS\n# |     |    |   |                     |   |   |   |\n`;

interface GraphColumns {
  readonly time: boolean;
  readonly cpu: boolean;
  readonly task: boolean;
  readonly flags: boolean;
  readonly duration: boolean;
}

/** A line of function_graph with these columns, or one that only nearly is. */
function graphLine(pick: <T>(of: readonly T[]) => T, has: GraphColumns): string {
  const cpu = has.cpu ? ` ${pick(['0', '1', '12'])})` : '';
  const task = pick(['sh-470', '<idle>-0', 'rcu_pre-15', 'a|b-7', 'x=>y-8', 'a b-9', '-10', 'node']);
  const between = pick([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  if (between === 1) return `${cpu || ' 0)'}    ${task}    =>    ${pick(['ls-534', '<idle>-0', 'a => b-3'])}   \n`;
  if (between === 2)
    return pick([' (Overruns: 0)\n', ' (Overruns: 0)\n', ' (Overruns: 17)\n', ' ------------------------------------------\n', ' (odd)\n']);
  const stamp = pick(['  402.924566 |', '  402.999999 |', ' 9000001.000001 |', '99999999.999999 |', '   12.5 |', '  402 |', '']);
  const time = has.time ? `${pick([true, true, true, false]) ? '  402.999999 |' : stamp} ` : '';
  const column = has.task ? `  ${task}   |` : '';
  const flags = has.flags ? `  ${pick(['...1.', 'd.h2.', '..s1.', '....', '-'])} |` : '';
  const duration = pick(['', '', '0.123 us ', '+ 13.215 us ', '$ 2345678.901 us ', '# 1500.5 us', '=====> ', '<===== ', '1.5 ms ']);
  const ofModule = pick(['f [mod]();', 'f [mod]() {', '} /* f [mod] */', 'f [m o]() {', 'f [](a=1) {', 'f [mod](a=1) { /* <-g [m] */']);
  const returned = pick([
    'ret=0x3',
    '= -22',
    'ret=-22',
    '= 0xffffffffffffffff',
    'ret=9223372036854775807',
    '= 12345678901234567',
    'ret=',
    '= x',
    'ret=12ab',
  ]);
  const detailed = pick([
    ...[
      `f(); /* ${returned} */`,
      `f(a=1, s="/* ) { */") { /* <-caller+0x1/0x2 [m] ${returned} */`,
      `} /* f ${returned} */`,
      `} /* ${returned} */`,
    ],
    ...[
      'f(a=(1)); /* <-g */',
      'f(a) {  /* a */ /* b */',
      '}  /*  */',
      '} /* */',
      'f(/* ); */',
      'f(a=1;',
      'f(a=1);  ',
      `f(${'a'.repeat(600)});`,
    ],
  ]);
  const call = pick([
    'f();',
    'vfs_read() {',
    '}',
    '} /* vfs_read */',
    'g(a=1); /* <-h ret=0x3 */',
    '/* x: y=1 */',
    'f() ;',
    '',
    'h',
    ofModule,
    detailed,
  ]);
  const lead = has.duration ? ` ${duration.padStart(13)}  |${pick(['  ', '    ', '', ' '])}` : pick(['  ', '    ', ' ', '']);
  return `${time}${cpu}${column}${flags}${lead}${call}\n`;
}

test('ftrace_text: lines of function_graph with any columns, the quick way and the careful one', () => {
  const random = createRandom(11);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  for (let run = 0; run < 96; run++) {
    const has = { time: (run & 1) !== 0, cpu: (run & 2) === 0, task: (run & 4) !== 0, flags: (run & 8) !== 0, duration: (run & 16) === 0 };
    const lines = Array.from({ length: 200 }, () => graphLine(pick, has));
    const names = [has.time && 'TIME', has.cpu && 'CPU', has.task && 'TASK/PID', has.flags && '||||', has.duration && 'DURATION'];
    const text = encodeUtf8(GRAPH_HEADER(names.flatMap((name) => (name === false ? [] : `${name}        `)).join('')) + lines.join(''));
    const short = Array.from({ length: Math.floor(text.length / 90) }, (_end, index) => index * 90);
    assert.deepEqual(parseInChunks(ftraceText, text, short), parseInChunks(ftraceText, text, []), `run ${run}: ${JSON.stringify(has)}`);
  }
});

test('ftrace_text: functions with offsets, modules and addresses, the quick way and the careful one', () => {
  const random = createRandom(12);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  const symbol = (): string =>
    pick(['vfs_read', 'x.part.0', 'f+0x1b/0x50', '0xffffffffc0de1000', 'vnmi', 'odd~name']) +
    pick(['', '', ' [virtio_net]', ' [a-b]', ' [a b]', ' []']) +
    pick(['', '', ' <ffffffffa9fb348d>', ' <12>', ' <ffffffffa9fb348g>']);
  for (let run = 0; run < 20; run++) {
    const lines = Array.from({ length: 300 }, (_line, at) => {
      const tail = pick(['', '', '', '', ' (repeats: 2, last_ts:   399.795127)', ' ', ' <-g']);
      return `${PREFIX}${(399 + at / 1000).toFixed(6)}: ${symbol()} ${pick(['<-', '<-', '<-', '<--', '->'])}${symbol()}${tail}\n`;
    });
    const text = encodeUtf8(`# tracer: function\n#\n${lines.join('')}`);
    const short = Array.from({ length: Math.floor(text.length / 90) }, (_end, index) => index * 90);
    assert.deepEqual(parseInChunks(ftraceText, text, short), parseInChunks(ftraceText, text, []), `run ${run}`);
  }
  const { batch, session } = parse(
    `${PREFIX}1.000000: virtnet_poll+0x1b/0x50 [virtio_net] <ffffffffa9fb348d> <-napi_poll [x-y] <ffffffffa9fb3480>\n`,
  );
  assert.equal(session.counts.malformed.size, 0);
  assert.deepEqual(rowsOf(batch, 'ftrace:function'), [
    { ip: 'virtnet_poll+0x1b/0x50 [virtio_net] <ffffffffa9fb348d>', parent_ip: 'napi_poll [x-y] <ffffffffa9fb3480>' },
  ]);
});

/** As atrace writes it. */
function toAtrace(packed: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([Buffer.from('TRACE:\n'), packed]));
}

function parseAtrace(packed: Uint8Array): ParserSession<EventBatch>['counts'] {
  const session = systrace.open();
  const input = toAtrace(packed);
  assert.equal(session.finish(input, new EventBatch()), input.length);
  assert.equal(session.counts.parsedBytes + session.counts.malformedBytes, input.length);
  return session.counts;
}

test('ftrace_text: lines that were torn, and a caller with colons, are the same in one piece and line by line', () => {
  const graph = [' 0)               |  vfs_open() {', ' 0)   5.178 us    |    }', ' 0) + 10.926 us   |  }'];
  const lines = [
    ...Array.from({ length: 90 }, (_, at) => graph[at % 3] as string),
    ' 0) ',
    '  5.678 us    |      }',
    ...Array.from({ length: 90 }, (_, at) => graph[at % 3] as string),
  ];
  const calls = Array.from(
    { length: 60 },
    (_, at) => `${PREFIX}${at + 1}.000001: ${at === 40 ? '' : 'schedule'} <-irqentry_exit${at === 30 ? '::_mode' : ''}`,
  );
  for (const [text, unparsed] of [
    [lines, 2],
    [calls, 1],
  ] as const) {
    const whole = parse(`${text.join('\n')}\n`).batch;
    const session = ftraceText.open();
    const pieces = new EventBatch();
    let rest = new Uint8Array(0);
    for (const line of text) {
      const bytes = new Uint8Array([...rest, ...encodeUtf8(`${line}\n`)]);
      rest = bytes.slice(session.parse(bytes, pieces));
    }
    session.finish(rest, pieces);
    const countsOf = ({ tables }: EventBatch): string[] => tables.map(({ schema, length }) => `${schema.name} ${length}`).sort();
    assert.deepEqual(countsOf(pieces), countsOf(whole));
    assert.equal(rowsOf(whole, 'ftrace:unparsed').length, unparsed);
  }
});

test('systrace: compressed text is read however it was packed and in pieces of any size', () => {
  const text = Buffer.from(Array.from({ length: 2000 }, (_line, index) => `${PREFIX}${index + 1}.000000: x: y=${index}\n`).join(''));
  const plain = parseInChunks(systrace, new Uint8Array(Buffer.concat([Buffer.from('TRACE:\n'), text])), []);
  for (const options of [{ level: 9 }, { level: 0 }, { level: 1 }, { strategy: 4 }]) {
    const input = toAtrace(deflateSync(text, options));
    for (const step of [input.length, 5000, 7]) {
      const ends = Array.from({ length: Math.ceil(input.length / step) }, (_end, index) => (index + 1) * step);
      assert.deepEqual(parseInChunks(systrace, input, ends), plain, `${JSON.stringify(options)} in steps of ${step}`);
    }
  }
});

test('systrace: of compressed text that was cut the front is read; damage, and bytes behind, are told', () => {
  const lines = Array.from({ length: 2000 }, (_line, index) => `${PREFIX}${index + 1}.000000: x: y=${index * 7919}\n`);
  const packed = deflateSync(lines.join(''));
  const cut = parseAtrace(packed.subarray(0, packed.length >> 1));
  assert.ok(cut.records > 500 && cut.records < 1500, `${cut.records} rows`);
  assert.equal(cut.malformed.get('compressed data ends early'), 1);
  const behind = parseAtrace(Buffer.concat([packed, Buffer.from('behind')]));
  assert.deepEqual([behind.records, behind.malformedBytes], [2000, 6]);
  assert.deepEqual([...behind.malformed.keys()], ['bytes behind the compressed trace']);
  packed[packed.length >> 1] = (packed[packed.length >> 1] as number) ^ 0xff;
  const damaged = parseAtrace(packed);
  assert.deepEqual([damaged.records, damaged.malformedBytes], [0, packed.length]);
  assert.match([...damaged.malformed.keys()].join(), /^compressed data is damaged: /);
});

test('systrace: compressed text that grows without bound is stopped, and says so', () => {
  const packed = deflateSync(Buffer.alloc(20 << 20, `\n${'#'.repeat(70)}`), { level: 9 });
  const bomb = parseAtrace(packed);
  assert.deepEqual(Object.fromEntries(bomb.malformed), { 'compressed data grows too much': 1 });
  assert.deepEqual([bomb.records, bomb.malformedBytes], [0, packed.length]);
  const fine = parseAtrace(deflateSync(`${PREFIX}1.000000: x: y=1\n`.repeat(3)));
  assert.deepEqual([fine.records, fine.malformed.size], [3, 0]);
});
