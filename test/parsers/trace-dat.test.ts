import { DatNumbers } from '../../export/trace-dat-writer.ts';
import type { RawOption } from '../../model/event-file.ts';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { decodeUtf8 } from '../../base/bytes.ts';
import { EventBatch } from '../../model/event-batch.ts';
import type { EventFile } from '../../model/event-file.ts';
import type { InputLoss } from '../../model/parser.ts';
import type { FormatSet } from '../../model/segment.ts';
import { NO_RAW_TIME } from '../../model/time.ts';
import { traceDat } from '../../parsers/trace-dat.ts';
import { renderEventFile, toTestSource } from '../support/event-file-suite.ts';
import { headerPageOf, PageWriter, payloadOf, type PageForm } from '../support/page-writer.ts';
import { loadFixtures } from '../support/parser-suite.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { hasTraceCmd, readBytes, recordTrace, reportBytes, runTraceCmd, withFolder, type ReportedEvent } from '../support/trace-cmd.ts';
import { textOption, timeShiftOption, traceIdOption, tscToNsOption, writeTraceDat, type DatContent } from '../support/trace-dat-writer.ts';

const FIXTURES = new Map(loadFixtures('trace_dat', '.dat').map(({ name, bytes }) => [name, bytes]));

function fixtureOf(name: string): Uint8Array {
  const bytes = FIXTURES.get(`trace_dat/${name}`);
  assert.ok(bytes !== undefined, name);
  return bytes;
}

function openBytes(bytes: Uint8Array): EventFile {
  return traceDat.open(toTestSource(bytes));
}

function readEvents(file: EventFile): { readonly events: ReportedEvent[]; readonly losses: InputLoss[] } {
  const events: ReportedEvent[] = [];
  const losses: InputLoss[] = [];
  for (const stream of file.streams) {
    for (let more = true; more;) {
      const batch = new EventBatch();
      more = stream.read(1 << 20, batch);
      for (const table of batch.tables) {
        for (let row = 0; row < table.length; row++) {
          events.push({
            instance: stream.instance,
            cpu: table.cpu[row] as number,
            pid: table.pid[row] as number,
            event: table.schema.event,
            raw: table.rawTime.getBigint(row),
          });
        }
      }
    }
    losses.push(...stream.takeLosses());
  }
  return { events, losses };
}

function toLines(events: readonly ReportedEvent[], withInstance = true): string[] {
  return events.map(({ instance, cpu, pid, event, raw }) => `${raw} ${cpu} ${pid} ${event} ${withInstance ? instance : ''}`).sort();
}

/** Asserts that trace-cmd reads the same events and losses in these bytes; returns how many. */
function compareWithReport(bytes: Uint8Array, where: string): number {
  const report = reportBytes(bytes);
  assert.ok(report !== undefined, `${where}: trace-cmd cannot read it`);
  const file = openBytes(bytes);
  const { events, losses } = readEvents(file);
  assert.deepEqual([...file.counts.malformed], [], where);
  const named = file.streams.length > 1 || (file.streams[0]?.instance ?? '') !== '';
  const ours = toLines(events, named);
  const theirs = toLines(report.events, named);
  assert.equal(ours.length, theirs.length, where);
  const at = ours.findIndex((line, i) => line !== theirs[i]);
  assert.equal(ours[at], theirs[at], `${where}: event ${at}`);
  const toLoss = ({ cpu, count }: { readonly cpu: number; readonly count: number | undefined }): string => `${cpu} ${count}`;
  assert.deepEqual(
    losses
      .filter(({ reason }) => reason === 'ring_lost')
      .map(toLoss)
      .sort(),
    report.dropped.map(toLoss).sort(),
    where,
  );
  return events.length;
}

test('trace.dat: trace-cmd reads the same events in the recorded files', (t) => {
  if (!hasTraceCmd()) return t.skip('no trace-cmd');
  for (const [name, bytes] of FIXTURES) t.diagnostic(`${name}: ${compareWithReport(bytes, name)} events`);
});

test('trace.dat: trace-cmd reads the same events in files recorded now', (t) => {
  if (!hasTraceCmd()) return t.skip('no trace-cmd');
  const recordings = [
    { clock: 'local', events: ['sched', 'irq', 'timer'], bufferKb: 2048, rounds: 2 },
    { clock: 'mono', events: ['raw_syscalls', 'syscalls', 'kmem'], bufferKb: 8192, rounds: 1 },
    { clock: 'x86-tsc', events: ['sched', 'workqueue'], bufferKb: 2048, rounds: 2 },
    { clock: 'tai', events: ['raw_syscalls', 'sched/sched_switch'], bufferKb: 16, rounds: 2 },
  ];
  for (const [i, options] of recordings.entries()) {
    withFolder((folder) => {
      const path = recordTrace(`dat${i}`, join(folder, 'v7.dat'), options);
      if (path === undefined) return t.skip('no tracefs instance to extract: needs root and a kernel with tracing');
      const where = `${options.clock} ${options.events.join('+')}`;
      t.diagnostic(`${where}: ${compareWithReport(readBytes(path), where)} events`);
      for (const args of [
        ['--file-version', '6'],
        ['--file-version', '7', '--compression', 'none'],
      ]) {
        const converted = join(folder, 'converted.dat');
        assert.ok(runTraceCmd(['convert', '-i', path, '-o', converted, ...args]) !== undefined);
        compareWithReport(readBytes(converted), `${where} ${args.join(' ')}`);
      }
    });
  }
});

/** Pages of a real kernel, written anew. */
function ringContent(more: Partial<DatContent> = {}): DatContent {
  const { set, segment } = readRingFixture();
  const { pageSizeBytes, chunks } = segment.header;
  let at = 0;
  const cpus = chunks.map(({ cpu, pages }) => ({ cpu, pages: segment.pages.subarray(at, (at += pages * pageSizeBytes)) }));
  return { formats: set, buffers: [{ instance: '', clock: 'local', pageSizeBytes, cpus }], ...more };
}

function readWith(options: readonly RawOption[]): EventFile {
  return openBytes(writeTraceDat(ringContent({ options })));
}

test('trace.dat: zlib, zstd and no compression hold the same events, and trace-cmd reads what the writer wrote', (t) => {
  const [none, ...others] = (['none', 'zlib', 'zstd'] as const).map((compression) => {
    const bytes = writeTraceDat(ringContent({ compression, comms: '1 init\n77 a b\n', kallsyms: 'ffffffff81000000 T _text\n' }));
    if (compression !== 'zlib' && hasTraceCmd()) t.diagnostic(`${compression}: ${compareWithReport(bytes, compression)} events`);
    const file = openBytes(bytes);
    assert.deepEqual(file.info.comms, { 1: 'init', 77: 'a b' });
    assert.equal(decodeUtf8(file.info.readKallsyms()), 'ffffffff81000000 T _text\n');
    return toLines(readEvents(file).events);
  });
  assert.ok((none?.length ?? 0) > 500);
  for (const other of others) assert.deepEqual(other, none);
});

test('trace.dat: big-endian kernels of 32 bits with large pages are read on this machine', () => {
  const form: PageForm = { little: false, longBytes: 4, sizeBytes: 16_384 };
  const common = ['unsigned short common_type;\toffset:0;\tsize:2', 'int common_pid;\toffset:4;\tsize:4'];
  const field = (text: string): string => `\tfield:${text};\tsigned:1;\n`;
  const format = `name: tick\nID: 7\nformat:\n${common.map(field).join('')}\n${field('int n;\toffset:8;\tsize:4')}\nprint fmt: ""\n`;
  const formats: FormatSet = { headerPage: headerPageOf(form), endian: 'big', events: [{ system: 'lab', format }], printkFormats: '' };
  const tick = (n: number): Uint8Array => payloadOf(7, 100 + n, 12, false, (view) => view.setInt32(8, n, false));
  const pages = new Uint8Array(2 * form.sizeBytes);
  pages.set(new PageWriter(1000n, form).event(1, tick(1)).event(1, tick(2)).finish());
  pages.set(new PageWriter(2000n, form).event(5, tick(3)).finish(), form.sizeBytes);
  for (const compression of ['none', 'zlib', 'zstd'] as const) {
    const file = openBytes(
      writeTraceDat({
        formats,
        compression,
        options: [traceIdOption(0x1122_3344_5566_7788n, false)],
        buffers: [{ instance: 'be', clock: 'mono', pageSizeBytes: form.sizeBytes, cpus: [{ cpu: 5, pages }] }],
      }),
    );
    assert.equal(file.info.traceId, 0x1122_3344_5566_7788n);
    assert.deepEqual(toLines(readEvents(file).events), ['1001 5 101 tick be', '1002 5 102 tick be', '2005 5 103 tick be']);
    assert.deepEqual([...file.counts.malformed], []);
  }
});

test('trace.dat: options of hosts and guests are read, unknown ones skipped', () => {
  const sample = (time: bigint, offset: bigint): { time: bigint; offset: bigint; scaling: bigint; fractionBits: number } => ({
    time,
    offset,
    scaling: 3n << 20n,
    fractionBits: 21,
  });
  const { info, counts } = readWith([
    { id: 999, bytes: new Uint8Array(70_000).fill(0xff) },
    textOption(1, '0x10'),
    textOption(4, 'local [x86-tsc] mono\n'),
    textOption(5, 'Linux box 6.1.0-lab aarch64'),
    textOption(6, 'sched_waking,pid/sched_switch,next_pid'),
    textOption(7, '-1000'),
    { id: 8, bytes: new DatNumbers().u32(3).finish() },
    textOption(9, '3.9 dev'),
    textOption(10, '1 1 /bin/sh\n0 1000 /bin/sh\n'),
    traceIdOption(42n),
    timeShiftOption(41n, 1, [[sample(200n, -5n), sample(100n, 7n), sample(200n, 1n)], []]),
    { id: 13, bytes: new DatNumbers().text('guest1').u64(43n).u32(1).u32(0).u32(1234).finish() },
    tscToNsOption(2_386_092, 22, -1n),
    { id: 15, bytes: new DatNumbers().text('headers').finish() },
    textOption(23, 'BTF to come'),
  ]);
  assert.deepEqual([...counts.malformed], []);
  const { clock, uname, cpuCount, writer, hooks, procMaps, guests, tscToNs, traceId, offsetNs, dateOffsetNs, timeShift } = info;
  assert.deepEqual([clock, uname, cpuCount, writer], ['x86-tsc', 'Linux box 6.1.0-lab aarch64', 3, '3.9 dev']);
  assert.deepEqual([hooks, procMaps], [['sched_waking,pid/sched_switch,next_pid'], ['1 1 /bin/sh\n0 1000 /bin/sh\n']]);
  assert.deepEqual(guests, [{ name: 'guest1', traceId: 43n, cpus: [{ cpu: 0, hostPid: 1234 }] }]);
  assert.deepEqual(tscToNs, { mult: 2_386_092, shift: 22, offsetNs: -1n });
  assert.deepEqual([traceId, offsetNs, dateOffsetNs], [42n, -1000n, 16_000n]);
  assert.deepEqual(timeShift, { peerTraceId: 41n, interpolate: true, cpus: [[sample(100n, 7n), sample(200n, -5n)], []] });
});

test('trace.dat: a time shift without fraction bits is that of an old writer; one whose numbers do not fit is a problem', () => {
  const samples = [{ time: 5n, offset: 1n, scaling: 1n, fractionBits: 60 }];
  const old = readWith([timeShiftOption(1n, 0, [samples], false)]);
  assert.deepEqual(old.info.timeShift, { peerTraceId: 1n, interpolate: false, cpus: [[{ ...samples[0], fractionBits: 0 }]] });
  for (const bad of [
    { id: 12, bytes: new DatNumbers().u64(1n).u32(0).u32(0xffff_ffff).finish() },
    { id: 12, bytes: new DatNumbers().u64(1n).u32(0).u32(1).u32(0xffff_ffff).finish() },
    timeShiftOption(1n, 0, [[{ time: 5n, offset: 1n, scaling: 1n, fractionBits: 64 }]]),
    { id: 12, bytes: new Uint8Array(3) },
    tscToNsOption(0, 1, 0n),
    tscToNsOption(1, 64, 0n),
    { id: 13, bytes: new DatNumbers().text('g').u64(1n).u32(0x4000_0000).finish() },
    textOption(1, 'yesterday'),
  ]) {
    const { info, counts } = readWith([bad]);
    assert.match([...counts.malformed.keys()].join(), new RegExp(`^option ${bad.id} is not understood at byte \\d+$`));
    assert.deepEqual([info.timeShift, info.tscToNs, info.guests.length, info.dateOffsetNs], [undefined, undefined, 0, undefined]);
  }
});

test('trace.dat: what the counters of the kernel lost beyond the pages is a loss of unknown time', () => {
  const stat = (cpu: number, overrun: number, dropped: number): RawOption =>
    textOption(2, `CPU: ${cpu}\nentries: 0\noverrun: ${overrun}\ncommit overrun: 0\ndropped events: ${dropped}\nread events: 1\n`);
  const lost = (options: readonly RawOption[]): string[] =>
    readEvents(readWith(options)).losses.map(({ cpu, count, reason, fromRaw }) => `${cpu} ${count} ${reason} ${fromRaw !== NO_RAW_TIME}`);
  const plain = lost([]);
  assert.deepEqual(
    lost([stat(0, 500, 0), stat(1, 0, 0)]).filter((line) => !plain.includes(line)),
    ['0 500 ring_overrun true'],
  );
  assert.deepEqual(
    lost([stat(0, 0, 30)]).filter((line) => !plain.includes(line)),
    ['0 30 ring_dropped true'],
  );
  assert.deepEqual(lost([textOption(2, '\nBuffer: other\n\n'), stat(0, 500, 0)]), plain, 'counters of another instance');
  // The recorded file's counters say what its pages say, and that the recorder left events of the other CPU in the kernel.
  assert.deepEqual(
    readEvents(openBytes(fixtureOf('v7-lost'))).losses.map(({ cpu, count, reason }) => [cpu, count, reason]),
    [
      [1, 1015, 'ring_lost'],
      [0, 103, 'resized_or_stolen'],
    ],
  );
});

test('trace.dat: a file that lost the options at its end keeps its events, with instance and CPU', () => {
  for (const name of ['v7-lost', 'v7-zstd-instance', 'v7-none-instance']) {
    const bytes = fixtureOf(name);
    const whole = toLines(readEvents(openBytes(bytes)).events);
    // The last options hold the clock of the last buffer, after its name and the offset of its section.
    const cut = openBytes(bytes.subarray(0, Buffer.from(bytes).lastIndexOf('local\0') - 20));
    const kept = toLines(readEvents(cut).events);
    const known = new Set(whole);
    for (const line of kept) assert.ok(known.has(line), line);
    assert.ok(kept.length > whole.length / 2, `${name}: ${kept.length} of ${whole.length}`);
    assert.match([...cut.counts.malformed.keys()].join(), /the table of CPUs is lost: they are told by counters/);
  }
});

test('trace.dat: of pages without a table, those of a CPU that was never read from are known by when its events began', () => {
  const bytes = fixtureOf('v7-none-instance').slice();
  const events = readEvents(openBytes(bytes)).events.filter(({ cpu, instance }) => cpu === 0 && instance === '');
  const began = events.map(({ raw }) => raw).reduce((first, raw) => (raw < first ? raw : first));
  const micros = String((began + 500n) / 1000n);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  // The recorder stopped before it had read anything of CPU 0, and wrote what was left.
  for (const [from, to] of [
    ['entries: 0\n', 'entries: 9\n'],
    ['oldest event ts:  5988.123435', `oldest event ts:  ${micros.slice(0, -6)}.${micros.slice(-6)}`],
    ['read events: 180', 'read events: 000'],
  ] as const) {
    const at = text.indexOf(from, text.indexOf('CPU: 0\n'));
    assert.ok(at > 0 && from.length === to.length);
    text.write(to, at, 'latin1');
  }
  const known = new Set(toLines(readEvents(openBytes(bytes)).events));
  const kept = toLines(readEvents(openBytes(bytes.subarray(0, text.lastIndexOf('local\0') - 20))).events);
  assert.ok(kept.length > known.size / 2);
  for (const line of kept) assert.ok(known.has(line), line);
});

test('trace.dat: chunks that cannot be unpacked are told with their place, and the others read', () => {
  const bytes = writeTraceDat(ringContent({ compression: 'zstd' }));
  const whole = readEvents(openBytes(bytes)).events.length;
  // The last frame is of the last CPU's last chunk.
  const frame = bytes.findLastIndex(
    (_byte, i) => bytes[i] === 0x28 && bytes[i + 1] === 0xb5 && bytes[i + 2] === 0x2f && bytes[i + 3] === 0xfd,
  );
  bytes.fill(0xff, frame + 4, frame + 40);
  const file = openBytes(bytes);
  const { events, losses } = readEvents(file);
  assert.ok(events.length > 0 && events.length < whole);
  assert.match([...file.counts.malformed.keys()].join(), /^pages of CPU \d+ cannot be unpacked \(.*\) at byte \d+$/);
  assert.ok(losses.some(({ reason }) => reason === 'parse_error'));
});

/** Rows, last byte and losses of each piece. */
async function readPieces(bytes: Uint8Array, isAhead: boolean): Promise<string[]> {
  const file = openBytes(bytes);
  const pieces: string[] = [];
  const batch = new EventBatch();
  for (const stream of file.streams) {
    for (let more = true; more;) {
      batch.clear();
      more = isAhead ? await stream.readAhead(300_000, batch) : stream.read(300_000, batch);
      const times = batch.tables.map((table) => `${table.length} ${table.length > 0 ? table.rawTime.getBigint(table.length - 1) : ''}`);
      pieces.push(
        `${times.join()} ${stream.readBytes} ${stream
          .takeLosses()
          .map(({ reason }) => reason)
          .join()}`,
      );
    }
  }
  return [...pieces, ...file.counts.malformed.keys()];
}

test('trace.dat: what other threads unpack comes in the same pieces, damaged chunks are told', async () => {
  const { set, segment } = readRingFixture();
  const { pageSizeBytes } = segment.header;
  // Of each CPU some runs of 1 MB.
  const cpus = [0, 1].map((cpu) => {
    const pages = new Uint8Array(segment.pages.length * 60);
    for (let i = 0; i < 60; i++) pages.set(segment.pages, i * segment.pages.length);
    return { cpu, pages };
  });
  for (const compression of ['none', 'zlib', 'zstd'] as const) {
    const bytes = writeTraceDat({ formats: set, compression, buffers: [{ instance: '', clock: 'local', pageSizeBytes, cpus }] });
    const whole = await readPieces(bytes, false);
    assert.ok(whole.length > 8, `${whole.length} pieces`);
    assert.deepEqual(await readPieces(bytes, true), whole);
    if (compression === 'none') continue;
    bytes.fill(0xff, bytes.length >> 1, (bytes.length >> 1) + 60);
    const damaged = await readPieces(bytes, false);
    assert.notDeepEqual(damaged, whole);
    assert.deepEqual(await readPieces(bytes, true), damaged);
  }
});

test('trace.dat: hostile sizes, cycles and bombs end soon and in little memory', () => {
  const bytes = writeTraceDat(ringContent({ compression: 'zstd', kallsyms: 'x'.repeat(10_000_000) }));
  const file = openBytes(bytes);
  assert.equal(file.info.readKallsyms().length, 0, 'ten million equal bytes are a bomb');
  assert.match([...file.counts.malformed.keys()].join(), /section 19 cannot be unpacked/);
  const cyclic = writeTraceDat(ringContent());
  const view = new DataView(cyclic.buffer);
  const first = view.getBigUint64(cyclic.indexOf(0x6e) < 0 ? 0 : offsetOfFirst(cyclic), true);
  // The DONE option at the end of the file points at the first section of options.
  view.setBigUint64(cyclic.length - 8, first, true);
  assert.match([...openBytes(cyclic).counts.malformed.keys()].join(), /point back at themselves/);
  const over = ringContent();
  const [buffer] = over.buffers;
  assert.ok(buffer !== undefined);
  const overlapping = fixtureOf('v7-none-instance').slice();
  const at = findText(overlapping, 'mks1\0local\0') + 11 + 8;
  const extents = new DataView(overlapping.buffer, overlapping.byteOffset);
  for (const cpu of [0, 1]) {
    extents.setBigUint64(at + cpu * 20 + 4, 4096n, true);
    extents.setBigUint64(at + cpu * 20 + 12, BigInt(overlapping.length - 4096), true);
  }
  assert.match([...openBytes(overlapping).counts.malformed.keys()].join(), /lie over others/);
});

/** Where the head of a file without compression holds the offset of its options. */
function offsetOfFirst(bytes: Uint8Array): number {
  return findText(bytes, 'none\0') + 'none\0'.length + '1.0\0'.length;
}

function findText(bytes: Uint8Array, text: string): number {
  const at = Buffer.from(bytes).indexOf(text, 0, 'latin1');
  assert.ok(at >= 0, text);
  return at;
}

test('trace.dat: the text of a latency tracer and unknown versions are told', () => {
  const latency = fixtureOf('v6-instance').slice();
  latency.set(new TextEncoder().encode('latency  \0'), findText(latency, 'flyrecord\0'));
  assert.match([...openBytes(latency).counts.malformed.keys()].join(), /text of a latency tracer/);
  const text = readWith([{ id: 22, bytes: new DatNumbers().u64(0).text('').text('local').finish() }]);
  assert.match([...text.counts.malformed.keys()].join(), /text of a latency tracer/);
  const future = fixtureOf('v6-instance').slice();
  future[10] = 0x38;
  assert.deepEqual([...openBytes(future).counts.malformed.keys()][0], 'version 8 of trace.dat is not known at byte 10');
  const unknown = writeTraceDat(ringContent());
  unknown.set(new TextEncoder().encode('lz4x'), findText(unknown, 'none\0'));
  assert.ok(renderEventFile(openBytes(unknown), 1 << 20).length > 500, 'a file that is not compressed needs no compression');
});
