/** The consoles of a host's instances, over a socket that behaves as /dev/mktty does: greeted with an id, one reader at a time, drops. */
import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startCollector, type Collector } from '../../collector/collector.ts';
import { MultikernelRoot, type RootInstance } from '../../deploy/lab/multikernel-root.ts';
import { tempFolder } from './live.ts';
import { Receiver, until } from './receiver.ts';

const WEB: RootInstance = {
  id: 3,
  name: 'web-1',
  release: '7.0.0-mk2',
  cpus: [8],
  memoryMib: 512,
  vmlinuz: '/boot/vmlinuz-mk',
  initramfs: '/boot/initramfs-mk',
  commandLine: '',
};
const DB: RootInstance = { ...WEB, id: 4, name: 'db' };

/** As the kernel's driver: the latest reader of an instance has its console, and what nobody reads is gone. */
class Mktty {
  readonly #readers = new Map<number, Socket>();
  readonly opened: number[] = [];
  readonly #server: Server;

  private constructor(path: string) {
    this.#server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', (greeting) => {
        const id = Number(greeting.toString().trim());
        this.#readers.set(id, socket);
        this.opened.push(id);
      });
    });
    this.#server.listen(path);
  }

  static open(t: TestContext, root: string): Mktty {
    const tty = new Mktty(join(root, 'dev/mktty'));
    t.after(() => tty.close());
    return tty;
  }

  print(id: number, text: string): void {
    this.#readers.get(id)?.write(text);
  }

  /** Its kernel stops: readers see the end. */
  end(id: number): void {
    this.#readers.get(id)?.destroy();
    this.#readers.delete(id);
  }

  isRead(id: number): boolean {
    return this.#readers.get(id)?.destroyed === false;
  }

  close(): void {
    for (const socket of this.#readers.values()) socket.destroy();
    this.#server.close();
  }
}

interface Setup {
  readonly root: MultikernelRoot;
  readonly tty: Mktty;
  readonly receiver: Receiver;
  readonly start: (instanceConsoles: 'new' | 'all', streams?: { name: string; from: string; kernel: number }[]) => Promise<Collector>;
}

async function setUp(t: TestContext): Promise<Setup> {
  const folder = tempFolder(t);
  const root = new MultikernelRoot(join(folder, 'root'));
  root.writeHost({
    machineId: '0123456789abcdef0123456789abcdef',
    machineName: 'box',
    bootId: '0f6b3c1e-7d0a-4b8e-9a55-2d1f6a0c9e11',
    release: '7',
  });
  const receiver = await new Receiver().open();
  t.after(() => receiver.close());
  const start: Setup['start'] = async (instanceConsoles, streams = []) => {
    const collector = await startCollector({
      root: root.path,
      to: { endpoint: receiver.url, timeoutMs: 2000 },
      spoolDir: join(folder, 'spool'),
      sources: {},
      streams,
      instanceConsoles,
      version: 'test',
    });
    t.after(() => collector.close());
    return collector;
  };
  return { root, tty: Mktty.open(t, root.path), receiver, start };
}

const boot = (name: string, fromMicros: number): string =>
  `[    0.000000] Linux version 7.0.0-mk2 (builder@lab)\n[    ${(fromMicros / 1e6).toFixed(6)}] ${name}: up\n`;
const linesOf = (receiver: Receiver, stream: string): string[] =>
  receiver
    .logs()
    .filter((row) => row.stream === stream)
    .map(({ text }) => text);

test('mktty: attached at the load, each run of an instance is an incarnation of its own kernel', async (t) => {
  const { root, tty, receiver, start } = await setUp(t);
  const collector = await start('new');
  root.set(WEB.name, 'ready', WEB);
  root.set(WEB.name, 'loaded');
  await until('the console is read before the start', () => tty.isRead(3));
  root.set(WEB.name, 'active');
  tty.print(3, boot('first', 200_000));
  await until('the first boot', () => linesOf(receiver, 'console:web-1').includes('first: up'));
  const first = collector.status().guests.find(({ name }) => name === 'web-1')?.identity;
  assert.deepEqual([first?.kernelId, first?.kernelName, first?.release], [3, 'web-1', '7.0.0-mk2']);
  root.set(WEB.name, 'loaded');
  tty.end(3);
  await until('the console is read again', () => tty.isRead(3));
  // Looks at the instances come and go: the one reader stays, and with it what it has not read yet.
  await sleep(700);
  assert.deepEqual(tty.opened, [3, 3]);
  root.set(WEB.name, 'active');
  tty.print(3, boot('second', 100_000));
  await until('the second boot', () => linesOf(receiver, 'console:web-1').includes('second: up'));
  const second = collector.status().guests.find(({ name }) => name === 'web-1')?.identity;
  assert.notEqual(second?.bootId, first?.bootId);
  await collector.close();
});

test('mktty: a kernel that ran before is left to whoever reads its console, and one that is read through a stream too', async (t) => {
  const { root, tty, start } = await setUp(t);
  root.set(WEB.name, 'active', WEB);
  root.set(DB.name, 'loaded', DB);
  const collector = await start('new', [{ name: 'db', from: `unix:${root.path}/nothing.sock`, kernel: 4 }]);
  const told = (): string => collector.status().sources.find(({ id }) => id === 'mktty')?.detail ?? '';
  await until('it is said', () => told().includes('left alone, since they ran already: 3 web-1'));
  assert.equal(tty.opened.length, 0);
  // From its next run on it is ours.
  root.set(WEB.name, 'loaded');
  await until('read after it stopped', () => tty.isRead(3));
  assert.ok(!tty.opened.includes(4));
  await collector.close();
});

test('mktty: asked for all, those that run are read at once; what is removed is let go', async (t) => {
  const { root, tty, start } = await setUp(t);
  root.set(WEB.name, 'active', WEB);
  const collector = await start('all');
  await until('read', () => tty.isRead(3));
  root.set(WEB.name, undefined);
  await until('let go', () => !tty.isRead(3));
  await collector.close();
});
