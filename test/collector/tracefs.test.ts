import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, existsSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { CollectorClock } from '../../collector/collector-clock.ts';
import { discoverIdentity } from '../../collector/identity.ts';
import { readFormatSet } from '../../collector/format-set.ts';
import { TracefsSource, type TracefsOptions } from '../../collector/sources/tracefs.ts';
import { INSTANCE_PREFIX, TraceInstance, findOrphans, findTracefs, parseStats, resolveEvents } from '../../collector/tracefs.ts';
import { TraceReader } from '../../collector/trace-reader.ts';
import { EventBatch } from '../../model/event-batch.ts';
import { isOperational } from '../../base/errors.ts';
import { PageReader } from '../../parsers/ring-buffer.ts';
import { KeepingSink, openClock, whyNoTracefs } from './live.ts';
import { until } from './receiver.ts';

const OWN_INSTANCE = `${INSTANCE_PREFIX}${process.pid}`;

function openSource(t: TestContext, options: Partial<TracefsOptions> = {}): TracefsSource {
  const source = new TracefsSource({
    identity: discoverIdentity(),
    probes: [],
    events: ['sched:sched_switch', 'sched:sched_wakeup'],
    clockDomain: 'mono',
    bufferSizeKb: undefined,
    root: undefined,
    clock: openClock(t),
    resume: new Map(),
    spanRules: [],
    ship: () => true,
    ...options,
  });
  t.after(() => source.stop());
  return source;
}

/** Decodes all segments with the format set that came with them. */
function decode(sink: KeepingSink): { batch: EventBatch; reader: PageReader } {
  const [formats] = sink.of('formats').slice(-1);
  assert.ok(formats !== undefined);
  const reader = new PageReader(formats.set);
  const batch = new EventBatch();
  for (const { segment } of sink.of('segment')) {
    let at = 0;
    for (const { cpu, pages } of segment.header.chunks) {
      const end = at + pages * segment.header.pageSizeBytes;
      reader.read(segment.pages.subarray(at, end), segment.header.pageSizeBytes, cpu, batch);
      at = end;
    }
    assert.equal(at, segment.pages.length);
  }
  return { batch, reader };
}

test('tracefs: a marker is in the pages within a second', async (t) => {
  const why = whyNoTracefs();
  if (why !== undefined) return t.skip(why);
  const sink = new KeepingSink();
  const source = openSource(t);
  await source.start(sink);
  const marker = `moment ${process.pid}`;
  const instance = new TraceInstance(findTracefs(), OWN_INSTANCE);
  const fd = instance.openMarker();
  writeSync(fd, marker);
  closeSync(fd);
  await until(
    'marker',
    () => {
      if (sink.of('formats').length === 0) return false;
      const { batch } = decode(sink);
      return (
        batch.tables.some((table) => table.schema.event === 'print') &&
        [...Array(batch.strings.size).keys()].some((id) => batch.strings.get(id).startsWith(marker))
      );
    },
    1000,
  );
});

test('tracefs: the books balance: written = parsed + lost, under overload of a tiny buffer', async (t) => {
  const why = whyNoTracefs();
  if (why !== undefined) return t.skip(why);
  const sink = new KeepingSink();
  const source = openSource(t, { bufferSizeKb: 16, events: ['sched:*', 'raw_syscalls:*'] });
  await source.start(sink);
  // System calls enough to run the ring over between two ticks.
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 20_000; i++) existsSync('/proc/self');
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
  await source.stop();
  const { reader } = decode(sink);
  const streams = source.status().streams;
  const total = (pick: (of: (typeof streams)[number]) => number): number => streams.reduce((sum, of) => sum + pick(of), 0);
  assert.ok(total((of) => of.lost) > 0, 'the ring was meant to run over');
  assert.equal(
    total((of) => of.read),
    reader.counts.records,
    'counted = decoded',
  );
  assert.equal(
    total((of) => of.written ?? -1),
    total((of) => of.read) + total((of) => of.lost),
  );
  assert.equal(
    sink.of('segment').reduce((sum, { events }) => sum + events.reduce((n, of) => n + of.count, 0), 0),
    reader.counts.records,
  );
  assert.equal(existsSync(join(findTracefs(), 'instances', OWN_INSTANCE)), false, 'the instance is gone');
});

test('tracefs: of an event that is recorded for a pack the kernel keeps what passes a filter; one that is asked for is whole', async (t) => {
  const why = whyNoTracefs();
  if (why !== undefined) return t.skip(why);
  const entry = (event: string, filter: string): TracefsOptions['probes'][number] => ({ event, role: 'send', fields: {}, filter });
  const sink = new KeepingSink();
  const source = openSource(t, {
    events: ['sched:sched_wakeup'],
    probes: [
      entry('sched:sched_switch', `prev_pid == ${process.pid}`),
      entry('sched:sched_switch', 'prev_comm == "no such task" && prev_prio > 5'),
      entry('sched:sched_wakeup', 'pid == 1'),
    ],
  });
  await source.start(sink);
  const instance = new TraceInstance(findTracefs(), OWN_INSTANCE);
  assert.equal(
    instance.read('events/sched/sched_switch/filter').trim(),
    `(prev_pid == ${process.pid}) || ((prev_comm == "no such task") && (prev_prio > 5))`,
  );
  assert.equal(instance.read('events/sched/sched_wakeup/filter').trim(), 'none');
  await new Promise((resolve) => {
    setTimeout(resolve, 200);
  });
  await source.stop();
  const { batch } = decode(sink);
  const table = batch.find('sched:sched_switch');
  const previous = table?.column('prev_pid')?.values;
  assert.ok(table !== undefined && table.length > 0 && previous instanceof Int32Array);
  assert.deepEqual([...new Set(previous.subarray(0, table.length))], [process.pid]);
});

test('tracefs: leaves the machine’s own tracing alone', async (t) => {
  const why = whyNoTracefs();
  if (why !== undefined) return t.skip(why);
  const tracefs = findTracefs();
  const topLevel = (): string[] =>
    ['trace_clock', 'set_event', 'buffer_size_kb', 'current_tracer'].map((file) => readFileSync(join(tracefs, file), 'utf8'));
  const before = topLevel();
  const source = openSource(t, { events: ['irq:*'] });
  await source.start(new KeepingSink());
  assert.deepEqual(topLevel(), before);
  assert.match(new TraceInstance(tracefs, OWN_INSTANCE).read('trace_clock'), /\[mono\]/);
  await source.stop();
  assert.deepEqual(topLevel(), before);
});

test('tracefs: what a killed collector left is read to its end and removed', async (t) => {
  const why = whyNoTracefs();
  if (why !== undefined) return t.skip(why);
  const tracefs = findTracefs();
  // A process makes an instance as a collector does, records, and is killed.
  const script = `
    import { TraceInstance } from '${join(import.meta.dirname, '../../collector/tracefs.ts')}';
    import { writeSync } from 'node:fs';
    const instance = new TraceInstance('${tracefs}', 'mkscope-' + process.pid);
    instance.create('mono', 64);
    instance.enableEvent('sched:sched_switch');
    writeSync(instance.openMarker(), 'last words');
    console.log('ready');
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
  const name = `${INSTANCE_PREFIX}${child.pid}`;
  assert.ok(findOrphans(tracefs, 'events').includes(name));

  const sink = new KeepingSink();
  const source = openSource(t);
  await source.start(sink);
  assert.equal(existsSync(join(tracefs, 'instances', name)), false);
  const orphan = sink.of('segment').filter(({ segment }) => segment.header.stream === `tracefs:${name}`);
  assert.ok(orphan.length > 0);
  assert.ok(orphan.some(({ segment }) => Buffer.from(segment.pages).includes('last words')));
  for (const of of source.status().streams.filter(({ stream }) => stream === `tracefs:${name}`)) {
    assert.equal(of.written, of.read + of.lost);
  }
});

test('tracefs: reading stops at a round’s bound and goes on behind it', (t) => {
  const why = whyNoTracefs();
  if (why !== undefined) return t.skip(why);
  const tracefs = findTracefs();
  const instance = new TraceInstance(tracefs, `${INSTANCE_PREFIX}round-${process.pid}`);
  instance.create('mono', 2048);
  const reader = new TraceReader(tracefs, instance);
  t.after(() => {
    reader.close();
    instance.remove();
  });
  const fd = instance.openMarker();
  for (let i = 0; i < 2000; i++) writeSync(fd, 'x'.repeat(900));
  closeSync(fd);
  let events = 0;
  let rounds = 0;
  for (let more = true; more; rounds++) {
    more = reader.read(true);
    assert.ok(reader.heldBytes <= (1 << 20) + 256 * reader.pageSizeBytes);
    for (const chunk of reader.take().chunks) events += chunk.events;
  }
  assert.equal(events, 2000);
  assert.ok(rounds > 1);
});

test('tracefs: patterns name events, and unknown ones are said', (t) => {
  const why = whyNoTracefs();
  if (why !== undefined) return t.skip(why);
  const tracefs = findTracefs();
  assert.deepEqual(resolveEvents(tracefs, ['sched:sched_sw*', 'sched:sched_switch', 'nonsense:*', 'sched:nope']), {
    events: ['sched:sched_switch']
      .concat(
        readdirSync(join(tracefs, 'events/sched'))
          .filter((name) => /^sched_sw./.test(name) && name !== 'sched_switch')
          .map((name) => `sched:${name}`),
      )
      .sort(),
    unknown: ['nonsense:*', 'sched:nope'],
  });
  assert.ok(resolveEvents(tracefs, ['irq']).events.includes('irq:irq_handler_entry'));
  assert.equal(resolveEvents(tracefs, ['.*']).events.length, 0, 'a pattern is not a regular expression');
});

test('tracefs: a format set holds the enabled events and the tracer’s own, and is named by its content', (t) => {
  const why = whyNoTracefs();
  if (why !== undefined) return t.skip(why);
  const { hash, set } = readFormatSet(findTracefs(), ['sched:sched_switch']);
  const names = new Set(set.events.map(({ system, format }) => `${system}:${/^name: (\S+)/m.exec(format)?.[1]}`));
  assert.ok(names.has('sched:sched_switch') && names.has('ftrace:print') && names.has('ftrace:raw_data'));
  assert.equal(readFormatSet(findTracefs(), ['sched:sched_switch']).hash, hash);
  assert.notEqual(readFormatSet(findTracefs(), ['sched:sched_wakeup']).hash, hash);
});

test('tracefs: what cannot be had is an operational error that says the command', async (t) => {
  const missing = openSource(t, { root: '/nonexistent' });
  await assert.rejects(
    missing.start(new KeepingSink()),
    (error) => isOperational(error) && error.code === 'E_TRACEFS_MISSING' && /mount -t tracefs/.test(error.hint),
  );
  assert.throws(
    () => new CollectorClock('counter'),
    (error) => isOperational(error) && error.code === 'E_TRACEFS_CLOCK',
  );
});

test('tracefs: stats of a CPU are read by name', () => {
  const text =
    'entries: 12\noverrun: 3\ncommit overrun: 1\nbytes: 99\noldest event ts:     0.000000\nnow ts:  1.5\ndropped events: 2\nread events: 40\n';
  assert.deepEqual(parseStats(text), { entries: 12, overrun: 3, commitOverrun: 1, droppedEvents: 2, readEvents: 40 });
});
