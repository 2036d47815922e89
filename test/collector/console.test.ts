import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, createWriteStream, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { toConsoleAddress } from '../../collector/console-address.ts';
import { Ledger } from '../../collector/ledger.ts';
import { ConsoleSource } from '../../collector/sources/console.ts';
import { SystemSource } from '../../collector/sources/system.ts';
import type { SourcePosition } from '../../model/pipeline.ts';
import { parseCounters, parsePressure, parseStat } from '../../collector/proc-text.ts';
import { KeepingSink, openClock, tempFolder } from './live.ts';
import { until } from './receiver.ts';

function openConsole(t: TestContext, from: string, resume?: SourcePosition): ConsoleSource {
  const source = new ConsoleSource({ name: 'spawn1', from, root: '/', clock: openClock(t), ledger: new Ledger(), resume });
  t.after(() => source.stop());
  return source;
}

const line = (i: number): string => `[${String(i).padStart(5)}.000000] line ${i}\n`;
const lines = (from: number, to: number): string => Array.from({ length: to - from }, (_, i) => line(from + i)).join('');
const numbers = (sink: KeepingSink): number[] => sink.texts().map((text) => Number(/line (\d+)/.exec(text)?.[1]));
const upTo = (end: number): number[] => Array.from({ length: end }, (_, i) => i);

test('console: a file is taken from its start and followed', async (t) => {
  const path = join(tempFolder(t), 'console.log');
  writeFileSync(path, lines(0, 3));
  const sink = new KeepingSink();
  const source = openConsole(t, path);
  await source.start(sink);
  assert.deepEqual(numbers(sink), upTo(3));
  appendFileSync(path, `${line(3)}${line(4).slice(0, 9)}`);
  await until('line 3', () => numbers(sink).length === 4);
  appendFileSync(path, line(4).slice(9));
  await until('line 4', () => numbers(sink).length === 5);
  assert.deepEqual(numbers(sink), upTo(5));
  assert.equal(source.status().streams[0]?.read, 5);
});

test('console: rotation loses nothing and repeats nothing', async (t) => {
  const path = join(tempFolder(t), 'console.log');
  writeFileSync(path, lines(0, 2));
  const sink = new KeepingSink();
  await openConsole(t, path).start(sink);
  appendFileSync(path, lines(2, 4));
  renameSync(path, `${path}.1`);
  // The writer still has the old file open, as a console logger does until it is told.
  appendFileSync(`${path}.1`, lines(4, 6));
  await new Promise((resolve) => {
    setTimeout(resolve, 30);
  });
  writeFileSync(path, lines(6, 8));
  await until('lines of the new file', () => numbers(sink).includes(7));
  appendFileSync(path, lines(8, 10));
  await until('what follows', () => numbers(sink).includes(9));
  assert.deepEqual(numbers(sink), upTo(10));
});

test('console: a truncated file is read from its start again', async (t) => {
  const path = join(tempFolder(t), 'console.log');
  writeFileSync(path, lines(0, 50));
  const sink = new KeepingSink();
  await openConsole(t, path).start(sink);
  await until('all', () => numbers(sink).length === 50);
  truncateSync(path, 0);
  await new Promise((resolve) => {
    setTimeout(resolve, 450);
  });
  appendFileSync(path, lines(50, 53));
  await until('after the cut', () => numbers(sink).includes(52));
  assert.deepEqual(numbers(sink), upTo(53));
});

test('console: a file that is not there yet, vanishes and comes back', async (t) => {
  const path = join(tempFolder(t), 'console.log');
  const sink = new KeepingSink();
  const source = openConsole(t, path);
  await source.start(sink);
  assert.equal(source.status().state, 'waiting');
  writeFileSync(path, lines(0, 2));
  await until('first', () => numbers(sink).length === 2);
  rmSync(path);
  await until('gone', () => source.status().state === 'waiting');
  writeFileSync(path, lines(2, 4));
  await until('back', () => numbers(sink).length === 4);
  assert.deepEqual(numbers(sink), upTo(4));
});

test('console: a restarted collector goes on where the last one stopped', async (t) => {
  const path = join(tempFolder(t), 'console.log');
  writeFileSync(path, `${lines(0, 5)}${line(5).slice(0, 9)}`);
  const first = new KeepingSink();
  const source = openConsole(t, path);
  await source.start(first);
  const position = first.of('logs').at(-1)?.position;
  appendFileSync(path, line(5).slice(9) + lines(6, 8));
  const second = new KeepingSink();
  await openConsole(t, path, position).start(second);
  assert.deepEqual([...numbers(first).slice(0, 5), ...numbers(second)], upTo(8));
  assert.equal(second.of('logs')[0]?.batch.sequence[0], 5, 'the numbers go on too');
});

test('console: a line without an end does not take all memory', async (t) => {
  const path = join(tempFolder(t), 'console.log');
  writeFileSync(path, 'x'.repeat(3 << 20));
  const sink = new KeepingSink();
  await openConsole(t, path).start(sink);
  const bytes = sink.texts().reduce((sum, text) => sum + text.length, 0);
  assert.ok(bytes >= (3 << 20) - (80 << 10), `${bytes} bytes came through`);
});

test('console: a unix or TCP socket is read by lines and opened again when it ends', async (t) => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.write(lines(sockets.length * 10, sockets.length * 10 + 2));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  const sink = new KeepingSink();
  const source = openConsole(t, `tcp:127.0.0.1:${(server.address() as AddressInfo).port}`);
  await source.start(sink);
  await until('first connection', () => numbers(sink).length === 2);
  sockets[0]?.destroy();
  await until('waiting', () => source.status().state === 'waiting');
  await until('second connection', () => numbers(sink).length === 4);
  assert.deepEqual(numbers(sink), [10, 11, 20, 21]);
});

test('console: a FIFO is read', async (t) => {
  const path = join(tempFolder(t), 'fifo');
  execFileSync('/usr/bin/mkfifo', [path]);
  const sink = new KeepingSink();
  await openConsole(t, path).start(sink);
  const writer = createWriteStream(path);
  writer.end(lines(0, 3));
  await until('three lines', () => numbers(sink).length === 3);
  assert.deepEqual(numbers(sink), upTo(3));
});

test('system: the metrics have the kernel’s own values', async (t) => {
  const sink = new KeepingSink();
  const source = new SystemSource({ intervalMs: 30, clock: openClock(t) });
  await source.start(sink);
  t.after(() => source.stop());
  await until('two samples', () => sink.of('metrics').length >= 2);
  const { batch } = sink.of('metrics').at(-1) as NonNullable<ReturnType<typeof sink.of<'metrics'>>[number]>;
  const rows = Array.from({ length: batch.length }, (_, row) => ({
    name: batch.strings.get(batch.name[row] as number),
    value: batch.value[row] as number,
    attributes: batch.attributes.rowOf(row),
  }));
  const valueOf = (name: string, key?: string, value?: string): number | undefined =>
    rows.find((row) => row.name === name && (key === undefined || row.attributes[key] === value))?.value;
  const memTotal = Number(/MemTotal: +(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) * 1024;
  assert.equal(valueOf('system.memory.limit'), memTotal);
  const states = rows.filter((row) => row.name === 'system.memory.usage');
  assert.equal(
    states.reduce((sum, row) => sum + row.value, 0),
    memTotal,
    'the states add up to the limit',
  );
  assert.equal(valueOf('system.cpu.logical.count'), parseStat(readFileSync('/proc/stat', 'latin1')).cpus.length - 1);
  const uptime = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]);
  assert.ok(Math.abs((valueOf('system.uptime') ?? 0) - uptime) < 2);
  assert.ok((valueOf('system.cpu.time', 'cpu.mode', 'idle') ?? 0) > 0);
  assert.ok((valueOf('mk.context_switches') ?? 0) > 0);
});

test('system: /proc texts as they are on other kernels', () => {
  const stat = parseStat('cpu  10 0 5 100\ncpu3 10 0 5 100\nintr 7 1 2\nctxt 9\n');
  assert.deepEqual(stat.cpus[1], { cpu: 3, seconds: [0.1, 0, 0.05, 1, 0, 0, 0, 0] });
  assert.deepEqual([stat.interrupts, stat.contextSwitches, stat.running], [7, 9, undefined]);
  assert.deepEqual(parsePressure('some avg10=1.50 avg60=0.70 avg300=0.43 total=16765946\n'), [
    { scope: 'some', share10s: 0.015, totalSeconds: 16.765946 },
  ]);
  assert.deepEqual([...parseCounters('a 1\nxpgfault 5\npgfault 7\n', ['pgfault', 'pgmajfault'])], [['pgfault', 7]]);
});

test('console: mktty is told the instance first, each time it is opened', async (t) => {
  const path = join(tempFolder(t), 'mktty.sock');
  let opened = 0;
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.once('data', (bytes) => {
      if (String(bytes) === '3\n') socket.write(lines(opened * 2, opened * 2 + 2));
      opened++;
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(path, resolve);
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const sink = new KeepingSink();
  await openConsole(t, `mktty:3@${path}`).start(sink);
  await until('its lines', () => numbers(sink).length === 2);
  sockets[0]?.destroy();
  await until('those of its next run', () => numbers(sink).length === 4);
  assert.deepEqual(numbers(sink), upTo(4));
});

test('console: mktty that is not there yet is waited for', async (t) => {
  const source = openConsole(t, 'mktty:3');
  await source.start(new KeepingSink());
  await until('it says so', () => source.status().state === 'waiting');
  assert.match(source.status().detail, /\/dev\/mktty/);
});

test('console: an address that is none is said, and not waited for as a file', () => {
  for (const from of ['unix:', 'tcp:host', 'tcp:host:99999', 'mktty:one']) {
    assert.throws(() => toConsoleAddress(from, '/'), { code: 'E_CONFIG_VALUE' }, from);
  }
  assert.deepEqual(toConsoleAddress('tcp:[::1]:5555', '/'), { kind: 'tcp', host: '::1', port: 5555 });
  assert.equal(toConsoleAddress('/var/log/spawn1.log', '/'), '/var/log/spawn1.log');
});
