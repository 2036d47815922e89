import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createMatcher } from '../../correlate/match-messages.ts';
import { toLifeRows } from '../../correlate/life-rows.ts';
import { toLifeSpans } from '../../correlate/life-spans.ts';
import { MessageRecogniser } from '../../correlate/recognise-messages.ts';
import { tellLives, type LifeEvent } from '../../correlate/tell-lives.ts';
import { encodeUtf8 } from '../../base/bytes.ts';
import { LogBatch } from '../../model/log-batch.ts';
import { consoleText } from '../../parsers/console.ts';

const ZERO_NS = 1_800_000_000_000_000_000n;
const matcher = createMatcher();

interface Way {
  readonly bootId?: string;
  readonly kernelId?: number;
  readonly stream?: string;
  /** Where the stamps of its kernel begin, seconds on the machine's time. */
  readonly zero?: number;
  readonly errorNs?: number;
}

/** As they come out of the store, from the text of a log. */
function read(text: string, { bootId = 'host', kernelId = 0, stream = 'kmsg', zero = 0, errorNs = 1000 }: Way = {}): LifeEvent[] {
  const batch = new LogBatch();
  consoleText.open().finish(encodeUtf8(text), batch);
  new MessageRecogniser(matcher).take(batch);
  return Array.from({ length: batch.length }, (_row, row) => ({
    event: batch.strings.get(batch.eventName[row] as number),
    bootId,
    kernelId,
    stream,
    sequence: batch.sequence[row] as number,
    rawNs: batch.rawTime.getBigint(row),
    unixNs: ZERO_NS + BigInt(Math.round(zero * 1e9)) + batch.rawTime.getBigint(row),
    errorNs,
    fields: batch.attributes.rowOf(row),
  })).filter(({ event }) => event !== '');
}

function line(seconds: number, text: string): string {
  return `[${seconds.toFixed(6).padStart(12)}] ${text}\n`;
}

function createLines(at: number, tx: number, id: number, name: string): string {
  return [
    line(at, `Overlay tx${tx}: Creating instance '${name}'`),
    line(at + 0.0003, `Created instance pool ${id}: 1 chunks, total size=2147483648 bytes`),
    line(at + 0.0003, `Transferred 0x80000000 bytes from root to instance ${id} (${name})`),
    line(at + 0.0003, `Transferred 2 CPUs from pool to instance ${id} (${name}): 8,10`),
    line(at + 0.0004, `Overlay tx${tx}: Instance '${name}' created successfully`),
  ].join('');
}

function loadLines(at: number, id: number): string {
  return [
    line(at, `kexec_file: kexec_file_load: multikernel load - flags=0x70, extracted mk_id=${id}`),
    line(at + 2, `mk_e820: instance ${id}: 2048 MB RAM in 1 regions`),
    line(at + 2.5, 'kexec_core: Loading multikernel segment: mem=0x840010000, memsz=0x1000, kbuf=0x0'),
  ].join('');
}

function startLines(at: number, id: number): string {
  return [
    line(at, 'kexec_core: multikernel kexec: using physical CPU 8 (logical 4), 2 CPUs assigned'),
    line(at, 'kexec_core: Loading multikernel segment: mem=0x840010000, memsz=0x1000, kbuf=0x0'),
    line(at + 0.01, `mk_e820: instance ${id}: 2048 MB RAM in 1 regions`),
    line(at + 0.0125, `Multikernel instance ${id} is now active`),
  ].join('');
}

function removeLines(at: number, tx: number, id: number, name: string): string {
  return [
    line(at, `kexec_file: Unloading kernel from multikernel instance ${id}`),
    line(at + 0.2, `Overlay tx${tx}: Removing instance '${name}' (ID: ${id})`),
    line(at + 0.2007, `Overlay tx${tx}: Instance '${name}' removed successfully`),
  ].join('');
}

const halted = (at: number, id: number, name: string): string => line(at, `Instance ${id} (${name}) halted, CPUs parking in pool`);
const WHOLE =
  createLines(10, 2, 3, 'web-1') + loadLines(10.2, 3) + startLines(14, 3) + halted(20.0125, 3, 'web-1') + removeLines(21, 3, 3, 'web-1');

function spawnLines(id: number, end: string): string {
  return [
    line(0, 'platform-quirks: hardware_subarch=5 (MULTIKERNEL=5)'),
    line(0, 'Linux version 7.0.0-lab (user@build) (gcc 14) #1 SMP'),
    line(0.045, `DTB contains instance ID ${id}, name 'web-1'`),
    line(0.12, 'sched_clock: Marking stable (119000000, 250000)->(249000000, -130000000)'),
    line(0.19, 'Run /init as init process'),
    end,
    line(6, `Multikernel instance ${id} shutting down`),
  ].join('');
}

function tell(events: readonly LifeEvent[], isFinal = false): string[][] {
  return tellLives(events).map((life) =>
    toLifeSpans(life, () => isFinal).map(({ name, startNs, endNs, error }) => {
      const ms = Number((endNs - startNs) / 1000n) / 1000;
      return `${name} ${Number((startNs - ZERO_NS) / 1000n) / 1e6} ${ms} ms${error === undefined ? '' : `: ${error}`}`;
    }),
  );
}

const WHOLE_SPANS = [
  'instance create 10 0.4 ms',
  'instance load 10.2 2500 ms',
  'instance start 14 12.5 ms',
  'instance remove 21.2 0.7 ms',
  'instance run 14.0125 6000 ms',
  'instance life 10 11200.7 ms',
];

test('lives: the host alone tells one from the making of an instance to its end', () => {
  assert.deepEqual(tell(read(WHOLE)), [WHOLE_SPANS]);
});

test('lives: order of arrival, and lines that come over two ways, change nothing', () => {
  const events = read(WHOLE);
  assert.deepEqual(tell(events.toReversed()), [WHOLE_SPANS]);
  const mixed = [...read(WHOLE, { stream: 'console:ttyS0' }).filter((_event, index) => index % 2 === 0), ...events];
  assert.deepEqual(tell(mixed), [WHOLE_SPANS]);
});

test('lives: a spawned kernel adds its boot and its end, and the reason of it', () => {
  const panic = line(5.9, 'Kernel panic - not syncing: test') + line(5.95, '---[ end Kernel panic - not syncing: test ]---');
  const own = read(spawnLines(3, panic), { bootId: 'spawn', kernelId: 3, zero: 14.1 });
  const [spans] = tell([...own, ...read(WHOLE)]);
  assert.deepEqual(spans, [
    ...WHOLE_SPANS.map((span) => (span.startsWith('instance run') ? `${span}: panic: test` : span)),
    'kernel boot 14.1 190 ms',
    'kernel stop 20 100 ms: panic: test',
  ]);
  // Its console, which the host reads, tells the same once more; where its own log is missing, that is all there is.
  const console = read(spawnLines(3, panic), { stream: 'console:web-1', zero: 14.1 });
  assert.deepEqual(tell([...console, ...own, ...read(WHOLE)]), [spans]);
  assert.deepEqual(tell([...read(WHOLE), ...console]), [spans]);
});

test('lives: ids are used again, at the same time as others, and each life is its own', () => {
  const log =
    createLines(10, 2, 3, 'web-1') +
    createLines(11, 3, 4, 'web-2') +
    loadLines(12, 3) +
    loadLines(15, 4) +
    startLines(18, 3) +
    startLines(19, 4) +
    line(30, 'Force halting multikernel instance 3 via NMI') +
    halted(30.1, 3, 'web-1') +
    halted(31, 4, 'web-2') +
    startLines(40, 4) +
    halted(45, 4, 'web-2') +
    removeLines(50, 4, 3, 'web-1') +
    createLines(60, 5, 3, 'web-9');
  const lives = tellLives(read(log));
  assert.deepEqual(
    lives.map(({ id, name, host }) => `${id} ${name} ${host?.isOver}`),
    ['3 web-1 true', '4 web-2 true', '4 web-2 false', '3 web-9 false'],
  );
  const spans = tell(read(log));
  assert.ok(spans[0]?.includes('instance run 18.0125 12087.5 ms: halted by force by the host'));
  assert.ok(spans[1]?.includes('instance run 19.0125 11987.5 ms'));
  // Started again from the image that was loaded.
  assert.deepEqual(spans[2], ['instance start 40 12.5 ms', 'instance run 40.0125 4987.5 ms']);
  assert.deepEqual(spans[3], ['instance create 60 0.4 ms']);
});

test('lives: of two lives with one id a boot belongs to the one whose time it has', () => {
  const log = startLines(10, 3) + halted(15, 3, 'web-1') + startLines(20, 3) + halted(26.1, 3, 'web-1');
  const off = line(5.9, 'reboot: Power down');
  const boot = (zero: number, errorNs: number): LifeEvent[] =>
    read(spawnLines(3, off), { bootId: `spawn ${zero}`, kernelId: 3, zero, errorNs });
  const boots = (events: readonly LifeEvent[]): string[] =>
    tellLives(events).map(({ host, boots: own }) => `${host?.active?.rawNs} ${own[0]?.bootId}`);
  assert.deepEqual(boots([...read(log), ...boot(20.1, 1000)]), ['10012500000 undefined', '20012500000 spawn 20.1']);
  assert.deepEqual(boots([...read(log), ...boot(10.1, 1000), ...boot(20.1, 1000)]), ['10012500000 spawn 10.1', '20012500000 spawn 20.1']);
  // A clock that could be a day off says nothing of which of the two it is.
  assert.deepEqual(boots([...read(log), ...boot(12, 86_400e9)]), ['10012500000 undefined', '20012500000 undefined', 'undefined spawn 12']);
});

test('lives: a spawned kernel whose host tells nothing has a life of its own', () => {
  const own = read(spawnLines(3, line(5.9, 'reboot: Restarting system')), { bootId: 'spawn', kernelId: 3 });
  assert.deepEqual(tell(own), [['instance life 0 6000 ms', 'kernel boot 0 190 ms', 'kernel stop 5.9 100 ms']]);
  assert.deepEqual(tell(own.slice(0, 5)), [['kernel boot 0 190 ms']]);
});

test('lives: a spawned kernel is not believed about others, and user space about nothing', () => {
  const liar = read(WHOLE + spawnLines(9, ''), { bootId: 'liar', kernelId: 5 });
  assert.deepEqual(
    tellLives(liar).map(({ id, host }) => `${id} ${host?.id}`),
    ['5 undefined'],
  );
  // On its console, which the host's collector reads.
  const told = read(startLines(1, 4), { stream: 'kmsg' });
  const console = read(spawnLines(4, '') + WHOLE, { stream: 'console:liar', zero: 1.1 });
  assert.deepEqual(
    tellLives([...told, ...console]).map(({ id, host }) => `${id} ${host?.id}`),
    ['4 4'],
  );
  const user = WHOLE.replaceAll(/^\[.*?\] /gm, '') + line(30, 'usb 1-1: new device');
  assert.deepEqual(tellLives(read(line(1, 'first') + user)), []);
});

test('lives: what is not over is not told, until nothing more will come', () => {
  const log = createLines(10, 2, 3, 'web-1') + loadLines(10.2, 3);
  assert.deepEqual(tell(read(log)), [['instance create 10 0.4 ms']]);
  assert.deepEqual(tell(read(log), true), [['instance create 10 0.4 ms', 'instance load 10.2 2500 ms', 'instance life 10 2700 ms']]);
  assert.deepEqual(tell(read(startLines(10, 3) + line(11, 'Multikernel instance 3 stopped without a halt notification; recovering it'))), [
    ['instance start 10 12.5 ms', 'instance run 10.0125 987.5 ms: it stopped without saying so'],
  ]);
  assert.deepEqual(tell(read(loadLines(1, 3) + line(5, 'Multikernel instance 3 is not ready to spawn (state=1)'))), [
    ['instance start 5 0 ms: the kernel could not be started'],
  ]);
});

test('lives: spans have the ids that they had, whatever is known besides, and what is stored is not made again', () => {
  const spawn = read(spawnLines(3, line(5.9, 'reboot: Power down')), { bootId: 'spawn', kernelId: 3, zero: 14.1 });
  const known = new Map<string, string>();
  const add = (events: readonly LifeEvent[]): number => {
    let rows = 0;
    for (const batch of toLifeRows(tellLives(events), 'machine', known, () => false).values()) {
      for (let row = 0; row < batch.length; row++, rows++) {
        const id = Buffer.from(batch.spanId.subarray(row * 8, row * 8 + 8)).toString('hex');
        assert.ok(!known.has(id), 'a span is made twice');
        known.set(id, Buffer.from(batch.traceId.subarray(row * 16, row * 16 + 16)).toString('hex'));
      }
    }
    return rows;
  };
  const host = read(WHOLE);
  assert.equal(add(spawn), 3);
  assert.equal(add(host.slice(0, 3)), 0);
  // The host's log comes later: it goes on in the trace of the spawned kernel, and nothing is told twice.
  const added = add([...spawn, ...host]);
  assert.equal(added, 5);
  assert.equal(new Set(known.values()).size, 1);
  assert.equal(add([...host, ...spawn].toReversed()), 0);
});
