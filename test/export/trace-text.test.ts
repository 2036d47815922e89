/**
 * The kernel's own text and raw pages of the same stopped buffer, compared byte for byte: recorded copies of 6.1, 6.12, 6.12 with
 * PREEMPT_RT and 6.18 (test/fixtures/tracefs), and buffers that are recorded now, where this kernel lets us.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodeUtf8 } from '../../base/bytes.ts';
import { EventBatch } from '../../model/event-batch.ts';
import { Kallsyms, putSymbol } from '../../export/kallsyms.ts';
import { TextOut } from '../../export/text-out.ts';
import { packTraceDat } from '../../export/trace-dat-pack.ts';
import { traceDat } from '../../parsers/trace-dat.ts';
import { TraceText } from '../../export/trace-text.ts';
import { SymbolText } from '../../export/trace-text-symbols.ts';
import { openTracefsCopy, type TracefsCopy } from '../../parsers/tracefs-copy.ts';
import { openFolderFiles, unpackFolder, type FolderFiles } from '../support/folder-file.ts';
import { makeWork, openTraceInstance, type TraceInstance } from '../support/trace-instance.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/tracefs');
const VARIED = ['trace', 'trace_options', 'saved_cmdlines'];

function openCopy(files: FolderFiles): TracefsCopy {
  const copy = openTracefsCopy(openFolderFiles(files));
  assert.ok(typeof copy !== 'string', String(copy));
  return copy;
}

function printText(files: FolderFiles): { readonly bytes: Buffer; readonly text: TraceText } {
  const copy = openCopy(files);
  const text = new TraceText({ ...copy, symbols: new Kallsyms(() => encodeUtf8(copy.readText('kallsyms') ?? '')) });
  const out = new TextOut();
  while (text.write(out, 4096));
  return { bytes: Buffer.from(out.view()), text };
}

/** A fixture as it was by default, and with each set of options its text was read with. */
function listVariants(files: FolderFiles): [string, FolderFiles][] {
  const labels = new Set([...files.keys()].flatMap((path) => /^texts\/(\w+)\//.exec(path)?.[1] ?? []));
  return ['default', ...labels].map((label) => {
    const view = new Map(files);
    for (const name of VARIED) {
      const own = files.get(`texts/${label}/${name}`);
      if (own !== undefined) view.set(name, own);
    }
    return [label, view];
  });
}

function assertSameText(got: Buffer, wanted: Buffer, where: string): void {
  if (got.equals(wanted)) return;
  const [ours, theirs] = [got.toString('latin1').split('\n'), wanted.toString('latin1').split('\n')];
  const at = theirs.findIndex((line, i) => line !== ours[i]);
  assert.fail(`${where}: line ${at + 1} of ${theirs.length}\n  kernel ${theirs[at]}\n  ours   ${ours[at]}`);
}

for (const name of readdirSync(FIXTURES).filter((file) => file.endsWith('.zst'))) {
  test(`trace-text: prints ${name} as its kernel did, with each set of options`, () => {
    const files = unpackFolder(join(FIXTURES, name));
    for (const [label, view] of listVariants(files)) {
      const { bytes, text } = printText(view);
      assertSameText(bytes, Buffer.from(view.get('trace') as Uint8Array), `${name}, ${label}`);
      assert.deepEqual([...text.problems], [], `${name}, ${label}`);
      assert.deepEqual([...text.counts.malformed], []);
      assert.ok(text.records > 5);
    }
  });

  test(`trace-dat-pack: ${name} holds the same events as a trace.dat`, () => {
    const files = unpackFolder(join(FIXTURES, name));
    const copy = openCopy(files);
    const file = traceDat.open(packTraceDat(copy, openFolderFiles(files)));
    const batch = new EventBatch();
    for (const stream of file.streams) while (stream.read(1 << 20, batch));
    const { text } = printText(files);
    // A call and its return are one line of a graph.
    assert.equal(file.counts.records, text.counts.records);
    assert.deepEqual([...file.counts.malformed], []);
    assert.equal(file.info.clock, copy.settings.clock);
    assert.ok(file.info.uname.includes(copy.settings.release));
    const names = [...copy.settings.comms.values()].filter((one) => one !== '');
    assert.equal(Object.keys(file.info.comms).length, names.length);
  });
}

test('trace-text: tells a loss within the recording as trace_pipe does, and none before it', () => {
  const files = new Map(unpackFolder(join(FIXTURES, '6.12-probes.zst')));
  const path = 'per_cpu/cpu0/trace_pipe_raw';
  const pages = (files.get(path) as Uint8Array).slice();
  const view = new DataView(pages.buffer, pages.byteOffset, pages.byteLength);
  assert.ok(pages.length >= 3 * 4096);
  for (const page of [0, 2]) view.setUint32(page * 4096 + 8, view.getUint32(page * 4096 + 8, true) | 0x8000_0000, true);
  files.set(path, pages);
  const lost = printText(files)
    .bytes.toString('latin1')
    .match(/^CPU:0 \[LOST (?:\d+ )?EVENTS\]$/gm);
  assert.equal(lost?.length, 1);
});

test('trace-text: an event that leans on another one names it, where the copy lists dynamic events', () => {
  const files = new Map(unpackFolder(join(FIXTURES, '6.12-rt-tsc.zst')));
  const plain = printText(files).bytes.toString('latin1');
  files.set('dynamic_events', Buffer.from('p:kprobes/x vfs_read\ne:sched/sched_waking irq.irq_handler_entry pid=$pid\n'));
  const text = printText(files).bytes.toString('latin1');
  assert.ok(plain.includes(': sched_waking: comm='));
  assert.equal(text, plain.replaceAll(': sched_waking: comm=', ': sched_waking: (irq.irq_handler_entry)comm='));
});

test('trace-text: a task name with line ends is one name', () => {
  const files = new Map(unpackFolder(join(FIXTURES, '6.12-rt-tsc.zst')));
  const names = Buffer.from(files.get('saved_cmdlines') as Uint8Array).toString('latin1');
  const pid = /^(\d+) sh$/m.exec(names)?.[1] ?? '';
  const plain = printText(files).bytes.toString('latin1');
  files.set('saved_cmdlines', Buffer.from(names.replace(`${pid} sh\n`, `${pid} a\nb c\n`)));
  const text = printText(files).bytes.toString('latin1');
  assert.ok(plain.includes(`              sh-${pid} `));
  assert.equal(text, plain.replaceAll(`              sh-${pid} `, `           a\nb c-${pid} `));
});

test('trace-text: an address behind the kernel or a module that is in no other has no name', () => {
  const kallsyms = [
    'ffffffff81000000 T _stext\nffffffff82000000 B __init_scratch_end\nffffffff82100000 B _end\n',
    'ffffffffc0100000 t mod_fn\t[mod]\nffffffffc0101010 t big_fn\t[mod]\nffffffffc0108000 t last_fn\t[mod]\n',
    'ffffffffc0200000 t ftrace_trampoline\t[__builtin__ftrace]\nffffffffc0300000 t other_fn\t[other]\n',
  ].join('');
  const symbols = new SymbolText(new Kallsyms(() => encodeUtf8(kallsyms)), { offset: false, address: false }, 8);
  const shown = (low: number): string => {
    const out = new TextOut();
    symbols.put(out, low, 0xffff_ffff);
    return Buffer.from(out.view()).toString('latin1');
  };
  const names = new Map([
    [0x8100_0010, '_stext'],
    [0x8200_0010, '__init_scratch_end'],
    [0xc000_06a8, '0xffffffffc00006a8'],
    [0xc010_0020, 'mod_fn'],
    [0xc010_7000, 'big_fn'],
    [0xc010_9ff0, 'last_fn'],
    [0xc010_a000, '0xffffffffc010a000'],
    [0xc020_0083, '0xffffffffc0200083'],
  ]);
  assert.deepEqual([...names.keys()].map(shown), [...names.values()]);
});

test('kallsyms: an address where a module was is no offset of the one before it', () => {
  const symbols = new Kallsyms(() =>
    encodeUtf8('ffffffffc0100000 t mod_fn\t[mod]\nffffffffc0101000 d __this_module\t[mod]\nffffffffc0200000 t last_fn\t[last]\n'),
  );
  const shown = (low: number): string => {
    const out = new TextOut();
    putSymbol(out, symbols, low, 0xffff_ffff, true);
    return Buffer.from(out.view()).toString('latin1');
  };
  assert.equal(shown(0xc010_0020), 'mod_fn+0x20/0x1000 [mod]');
  assert.equal(shown(0xc010_9000), '0xffffffffc0109000');
  assert.equal(shown(0xc020_0ff0), 'last_fn+0xff0/0x0 [last]');
  assert.equal(shown(0xc023_4190), '0xffffffffc0234190');
});

test('trace-text: without stats, options and names it prints what the pages alone tell', () => {
  const all = unpackFolder(join(FIXTURES, '6.12-rt-tsc.zst'));
  const files = new Map([...all].filter(([path]) => /^events\/|trace_pipe_raw$/.test(path)));
  const { bytes, text } = printText(files);
  const lines = bytes.toString('latin1').split('\n');
  assert.equal(lines[0], '# tracer: nop');
  assert.equal(lines.filter((line) => /^ +(?:<\.\.\.>|<idle>)-\d+ +\[\d{3}\] \S{5} +\d+\.\d{6}: /.test(line)).length, text.records);
});

test('trace-text: a format that cannot be computed is told, and its fields are printed', () => {
  const files = new Map(unpackFolder(join(FIXTURES, '6.12-rt-tsc.zst')));
  const path = 'events/sched/sched_switch/format';
  const format = Buffer.from(files.get(path) as Uint8Array).toString('latin1');
  files.set(path, Buffer.from(format.replace(/print fmt: .*/, 'print fmt: "%s", who_knows(REC->next_pid)'), 'latin1'));
  const { bytes, text } = printText(files);
  assert.match(text.problems.get('sched_switch') ?? '', /who_knows|call/);
  assert.match(bytes.toString('latin1'), /sched_switch: prev_comm=\S+ prev_pid=0x[\da-f]+ \(\d+\)/);
});

test('trace-text: cut and damaged pages end no text', () => {
  const files = new Map(unpackFolder(join(FIXTURES, '6.12-probes.zst')));
  const path = 'per_cpu/cpu0/trace_pipe_raw';
  const pages = files.get(path) as Uint8Array;
  for (let seed = 1; seed < 40; seed++) {
    const damaged = pages.slice(0, pages.length - ((seed * 997) % 4096));
    for (let i = 0; i < 20; i++) damaged[(seed * 7919 + i * 104_729) % damaged.length] = (seed * 31 + i * 17) & 0xff;
    files.set(path, damaged);
    assert.ok(printText(files).bytes.length > 0);
  }
});

test('tracefs-copy: says what is missing', () => {
  assert.equal(typeof openTracefsCopy(openFolderFiles(new Map([['per_cpu/cpu0/trace_pipe_raw', new Uint8Array(4096)]]))), 'string');
});

/** Options of a text, and the events it is of. Pointers are printed as they are: hashed ones can't be known. */
const LIVE_TEXTS: readonly (readonly string[])[] = [
  [],
  ['latency-format'],
  ['latency-format', 'verbose'],
  ['verbose'],
  ['raw'],
  ['hex'],
  ['bin'],
  ['sym-offset', 'sym-addr'],
  ['record-tgid'],
  ['!irq-info'],
  ['!context-info'],
];
const LIVE_EVENTS = [
  ...['sched', 'irq', 'timer', 'raw_syscalls', 'signal', 'task', 'workqueue', 'kmem/kmalloc'],
  ...['read', 'openat', 'mmap', 'close'].flatMap((call) => [`syscalls/sys_enter_${call}`, `syscalls/sys_exit_${call}`]),
];
/** All options on the first, the first three on the others. */
const LIVE_CLOCKS = ['local', 'x86-tsc', 'counter', 'tai'];

const live = openTraceInstance('text');
test(
  'trace-text: prints what this kernel has recorded now as it does',
  { skip: live === undefined ? 'needs root and tracefs' : false },
  () => {
    const instance = live as TraceInstance;
    try {
      const common = readCommonFiles(instance);
      for (const clock of LIVE_CLOCKS.filter((name) => instance.get('trace_clock').includes(name))) compareLive(instance, clock, common);
    } finally {
      instance.remove();
    }
  },
);

function readCommonFiles(instance: TraceInstance): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const { headerPage, events } = instance.readFormats();
  files.set('events/header_page', Buffer.from(headerPage, 'latin1'));
  for (const { system, format } of events) {
    const name = /^name: (\S+)/.exec(format)?.[1] ?? '';
    files.set(`events/${system}/${name}/format`, Buffer.from(format, 'latin1'));
  }
  files.set('kallsyms', readFileSync('/proc/kallsyms'));
  files.set('printk_formats', readFileSync('/sys/kernel/tracing/printk_formats'));
  files.set('version', readFileSync('/proc/version'));
  files.set('cpu_online', readFileSync('/sys/devices/system/cpu/online'));
  return files;
}

function compareLive(instance: TraceInstance, clock: string, common: FolderFiles): void {
  const files = new Map(common);
  instance.set('buffer_size_kb', '16');
  instance.set('trace_clock', clock);
  instance.set('options/hash-ptr', '0');
  instance.set('options/record-tgid', '1');
  instance.set('tracing_on', '1');
  for (const event of LIVE_EVENTS) instance.set(`events/${event}/enable`, '1');
  instance.set('trace_marker', `clock ${clock}\nsecond line`);
  makeWork(1);
  instance.set('tracing_on', '0');
  for (const event of LIVE_EVENTS) instance.set(`events/${event}/enable`, '0');
  instance.set('options/record-tgid', '0');
  for (const name of ['trace_clock', 'current_tracer']) files.set(name, Buffer.from(instance.get(name)));
  for (const cpu of instance.cpus) files.set(`per_cpu/cpu${cpu}/stats`, Buffer.from(instance.get(`per_cpu/cpu${cpu}/stats`)));
  files.set('saved_tgids', readFileSync('/sys/kernel/tracing/saved_tgids'));
  const texts = LIVE_TEXTS.slice(0, clock === LIVE_CLOCKS[0] ? LIVE_TEXTS.length : 3).map((options) => readText(instance, options));
  for (const cpu of instance.cpus) files.set(`per_cpu/cpu${cpu}/trace_pipe_raw`, instance.readPages(cpu, 4096));
  for (const { options, view } of texts) {
    const { bytes, text } = printText(new Map([...files, ...view]));
    assert.ok(text.records > 50, `${text.records} records`);
    assertSameText(bytes, Buffer.from(view.get('trace') as Uint8Array), `${clock}, ${options.join(' ')}`);
  }
}

/** The text with some options, and the task names it was made with: others trace, too, and names come and go. */
function readText(
  instance: TraceInstance,
  options: readonly string[],
): { readonly options: readonly string[]; readonly view: FolderFiles } {
  const setAll = (invert: boolean): void => {
    for (const option of options) instance.set(`options/${option.replace('!', '')}`, option.startsWith('!') === invert ? '1' : '0');
  };
  setAll(false);
  try {
    for (let attempt = 0; ; attempt++) {
      const names = readFileSync('/sys/kernel/tracing/saved_cmdlines');
      const trace = readFileSync(join(instance.path, 'trace'));
      const after = readFileSync('/sys/kernel/tracing/saved_cmdlines');
      if (!names.equals(after) && attempt < 5) continue;
      const view = new Map([
        ['trace', trace],
        ['saved_cmdlines', names],
        ['trace_options', Buffer.from(instance.get('trace_options'))],
      ]);
      return { options, view };
    }
  } finally {
    setAll(true);
  }
}
