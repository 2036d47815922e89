/** The real program as a child process: help, wrong input, and a hub that is not there or is something else. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import { COMMANDS } from '../../cli/commands/index.ts';
import { isGroup, type Command, type CommandGroup } from '../../cli/command.ts';
import { formatCommandHelp, formatGroupHelp, formatOverview } from '../../cli/help.ts';
import { loadedWith } from '../support/loaded-with.ts';
import { LAUNCHER, MAIN, runCli, RunningCli, withFolder } from '../support/run-cli.ts';

const ROOT = join(import.meta.dirname, '../..');
const UPDATE = process.env['MKSCOPE_GOLDEN'] === 'update';

/** All commands, and the groups of them, in the order of the help. */
async function loadAll(table: CommandGroup['commands'] = COMMANDS): Promise<{ name: string; found: Command | CommandGroup }[]> {
  const all: { name: string; found: Command | CommandGroup }[] = [];
  for (const [name, entry] of Object.entries(table)) {
    const found = await entry.load();
    all.push({ name, found });
    if (!isGroup(found)) continue;
    for (const inner of await loadAll(found.commands)) all.push({ name: `${name} ${inner.name}`, found: inner.found });
  }
  return all;
}

async function withServer<T>(listener: RequestListener, use: (url: string) => Promise<T>): Promise<T> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** A port on which nothing listens any more. */
const deadUrl = (): Promise<string> =>
  withServer(
    () => undefined,
    (url) => Promise.resolve(url),
  );

test('cli: --help lists every command, and help of each has its options and examples', async () => {
  const overview = await runCli(['--help']);
  assert.equal(overview.code, 0);
  assert.equal(overview.stdout, formatOverview());
  for (const { name, found: command } of await loadAll()) {
    assert.equal(command.name, name);
    if (isGroup(command)) continue;
    const text = formatCommandHelp(command);
    for (const option of Object.keys(command.options)) assert.ok(text.includes(`--${option}`), `${name} --${option}`);
    assert.ok(command.examples.length > 0, `${name} has no example`);
  }
  const [asked, alias] = await Promise.all([runCli(['logs', '--grep', 'x', '--help']), runCli(['help', 'logs'])]);
  assert.equal(asked.code, 0);
  assert.match(asked.stdout, /^mkscope logs: [\s\S]*Usage: mkscope logs[\s\S]*--follow[\s\S]*Examples:/);
  assert.equal(alias.stdout, asked.stdout);
});

test('cli: docs/cli.md is the help of all commands', async () => {
  const parts = ['# Commands', '', 'Written from the help texts by `npm run golden`.', '', '```', formatOverview().trimEnd(), '```', ''];
  for (const { found } of await loadAll()) {
    const text = isGroup(found) ? formatGroupHelp(found) : formatCommandHelp(found);
    parts.push(`## mkscope ${found.name}`, '', '```', text.trimEnd(), '```', '');
  }
  const path = join(ROOT, 'docs/cli.md');
  if (UPDATE) writeFileSync(path, parts.join('\n'));
  assert.equal(readFileSync(path, 'utf8'), parts.join('\n'), 'docs/cli.md is stale: npm run golden rewrites it');
});

test('cli: each example of the help parses', async () => {
  for (const { name, found: command } of await loadAll()) {
    if (isGroup(command)) continue;
    for (const [line] of command.examples) {
      const words = line.slice(line.indexOf(`mkscope ${name}`)).split(/\s+/);
      for (const flag of words.filter((word) => /^--[a-z]/.test(word))) {
        const option = flag.slice(2).split('=')[0] as string;
        assert.ok(Object.hasOwn(command.options, option), `${line}: no option --${option}`);
      }
    }
  }
});

test('cli: a group of commands says what it has, and what is wrong behind it', async () => {
  const [asked, bare, wrong, help] = await Promise.all([
    runCli(['lab', '--help']),
    runCli(['lab']),
    runCli(['lab', 'statsu']),
    runCli(['help', 'lab', 'up']),
  ]);
  assert.equal(asked.code, 0);
  assert.match(asked.stdout, /^mkscope lab: [\s\S]*Commands:[\s\S]* fault /);
  assert.equal(bare.code, 2);
  assert.equal(bare.stderr, asked.stdout);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /there is no command "statsu" of mkscope lab; did you mean "status"\? \[E_ARGS\]/);
  assert.match(help.stdout, /^mkscope lab up: /);
});

test('cli: --version is the one of package.json', async () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  for (const entry of [MAIN, LAUNCHER]) assert.equal((await runCli(['--version'], { entry })).stdout, `mkscope ${version}\n`);
});

test('cli: what is wrong on the command line says what is right, with exit code 2', async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['lgos'], /there is no command "lgos"; did you mean "logs"\? \[E_ARGS\]\n  hint: /],
    [['--verbose'], /there is no option --verbose before the command/],
    [['toString'], /there is no command "toString"/],
    [['logs', '--levle', 'err'], /no option --levle; did you mean "--level"\?/],
    [['logs', '--level', 'loud'], /--level loud is not a kernel log level/],
    [['logs', '--since', 'soon'], /--since soon is not a time/],
    [['logs', '-f', '--until', 'now'], /exclude each other/],
    [['logs', '-n', 'many'], /--lines many is not a whole number/],
    [['incidents', '-n', '0'], /--lines 0 is not a whole number from 1 to 5000/],
    [['ikc', '-m', '-n', '5001'], /--lines 5001 is not a whole number from 1 to 5000/],
    [['logs', '--hub', 'http://'], /--hub http:\/\/ is not an address/],
    [['query'], /needs 1 more argument/],
    [['query', ''], /the query is empty/],
    [['import'], /no file to import/],
    [['up', '--page', 'nowhere'], /--page: the value "nowhere" must be host:port/],
    [['up', '--console', 'spawn1'], /--console spawn1 is not NAME=VALUE/],
    [['collect', '--clock', 'sundial'], /--clock: the value "sundial" must be one of: local/],
    [['check', '/nonexistent.yaml'], /cannot read \/nonexistent\.yaml \(ENOENT\) \[E_CONFIG_READ\]/],
    [[], /Usage: mkscope <command>/],
  ];
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await runCli(args);
    assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
    assert.equal(stdout, '');
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /\n\s+at /, 'a stack is not for users');
  }
});

test('cli: a bad configuration stops every command that reads it, with the line', async () => {
  await withFolder(async (cwd) => {
    writeFileSync(join(cwd, 'mkscope.yaml'), 'hub:\n  pgae: 4319\n');
    for (const command of ['check', 'up', 'hub', 'collect', 'doctor', 'logs']) {
      const { code, stderr } = await runCli([command], { cwd });
      assert.equal(code, 2, command);
      assert.match(stderr, /^mkscope: \.\/mkscope\.yaml:2: unknown key "hub\.pgae"; did you mean "page"\? \[E_CONFIG_KEY\]/, command);
    }
  });
});

test('cli: check shows each value with where it comes from, and no secret', async () => {
  await withFolder(async (cwd) => {
    writeFileSync(join(cwd, 'mkscope.yaml'), 'hub:\n  tokens: [{token: hunter2, grants: read}]\ncollector:\n  spool: {size: 1G}\n');
    const env = { MKSCOPE_HUB_PGAE: '1', MKSCOPE_HUB_OTLP: '127.0.0.1:1' };
    const { code, stdout } = await runCli(['check'], { cwd, env });
    assert.equal(code, 0);
    assert.match(stdout, /^hub\.otlp +MKSCOPE_HUB_OTLP +127\.0\.0\.1:1$/m);
    assert.match(stdout, /^collector\.spool\.size +\.\/mkscope\.yaml:4 +1G$/m);
    assert.match(stdout, /MKSCOPE_HUB_PGAE means nothing to mkscope; did you mean "MKSCOPE_HUB_PAGE"/);
    assert.doesNotMatch(stdout, /hunter2/);
    const json = JSON.parse((await runCli(['check', '--json'], { cwd })).stdout) as {
      file: string;
      values: Record<string, { value: string; origin: string }>;
    };
    assert.equal(json.file, './mkscope.yaml');
    assert.deepEqual(json.values['hub.page'], { value: '127.0.0.1:4319', origin: 'default' });
  });
});

test('cli: without a hub every asking command says so and how to start one, with exit code 1', async () => {
  const hub = await deadUrl();
  for (const args of [['logs'], ['logs', '-f'], ['kernels'], ['top'], ['query', 'SELECT 1'], ['import', MAIN]]) {
    const { code, stdout, stderr } = await runCli(args, { env: { MKSCOPE_HUB: hub } });
    assert.equal(code, 1, args.join(' '));
    assert.equal(stdout, '');
    assert.match(
      stderr,
      /^mkscope: no hub answers at http:\/\/127\.0\.0\.1:\d+ \(connect ECONNREFUSED .*\) \[E_HUB_UNREACHABLE\]\n  hint: start one with `mkscope up`/,
      args.join(' '),
    );
  }
});

test('cli: something else on the port is not taken for a hub', async () => {
  const cases: readonly (readonly [RequestListener, RegExp])[] = [
    [
      (_request, response) => response.setHeader('content-type', 'text/html').end('<h1>hello</h1>'),
      /it answers with text\/html.*E_HUB_REFUSED/,
    ],
    [(_request, response) => response.writeHead(404).end('nothing \x1b[31mhere'), /HTTP 404 nothing \\x1b\[31mhere \[E_HUB_REFUSED\]/],
    [(request) => request.socket.destroy(), /E_HUB_UNREACHABLE/],
    [
      (_request, response) => response.setHeader('content-type', 'application/json').end('{"kernels": ['),
      /E_HUB_UNREACHABLE|E_HUB_REFUSED/,
    ],
  ];
  for (const [listener, message] of cases) {
    await withServer(listener, async (hub) => {
      const { code, stderr } = await runCli(['kernels', '--hub', hub]);
      assert.equal(code, 1, stderr);
      assert.match(stderr, message);
    });
  }
});

test('cli: a hub that goes away in the middle of an answer is said to be away', async () => {
  for (const args of [
    ['query', '--format', 'CSV', 'SELECT 1'],
    ['export', '--format', 'trace.dat', '--kernel', 'web'],
    ['incidents', 'export', '7'],
  ]) {
    await withServer(
      ({ url, headers }, response) => {
        if (url === '/api/health') {
          response
            .setHeader('content-type', 'application/json')
            .end(JSON.stringify({ listening: { clickhouse: `http://${headers.host}` } }));
        } else {
          response.write('["cut');
          setTimeout(() => response.destroy(), 50);
        }
      },
      async (hub) => {
        const { code, stderr } = await runCli([...args, '--hub', hub]);
        assert.equal(code, 1, stderr);
        assert.match(stderr, /^mkscope: no hub answers at .*\[E_HUB_UNREACHABLE\]/);
      },
    );
  }
});

test('cli: an error of the hub keeps its code and hint', async () => {
  const problem = { type: 'about:blank', title: 'Bad', status: 400, detail: 'regex does not compile', code: 'E_REQUEST', hint: 'use RE2' };
  await withServer(
    (_request, response) => response.writeHead(400, { 'content-type': 'application/problem+json' }).end(JSON.stringify(problem)),
    async (hub) => {
      const { code, stderr } = await runCli(['logs', '--hub', hub, '--grep', '(']);
      assert.equal(code, 1);
      assert.equal(stderr, 'mkscope: regex does not compile [E_REQUEST]\n  hint: use RE2\n');
    },
  );
});

test('cli: a token goes as a bearer credential, from a file or the environment', async () => {
  const seen: (string | undefined)[] = [];
  await withServer(
    (request, response) => {
      seen.push(request.headers.authorization);
      response.setHeader('content-type', 'application/json').end('{"kernels":[]}');
    },
    (hub) =>
      withFolder(async (folder) => {
        writeFileSync(join(folder, 'token'), 'secret-1\n');
        await runCli(['kernels', '--hub', hub, '--token-file', join(folder, 'token')]);
        await runCli(['kernels', '--hub', hub], { env: { MKSCOPE_TOKEN: 'secret-2' } });
        await runCli(['kernels', '--hub', hub]);
      }),
  );
  assert.deepEqual(seen, ['Bearer secret-1', 'Bearer secret-2', undefined]);
});

test('cli: a reader that goes away ends the output quietly', async () => {
  const kernels = Array.from({ length: 20_000 }, (_, i) => ({ kernelId: i, kernelName: 'x'.repeat(100) }));
  await withServer(
    (_request, response) => response.setHeader('content-type', 'application/json').end(JSON.stringify({ kernels })),
    async (hub) => {
      const run = new RunningCli(['kernels', '--json', '--hub', hub]);
      await run.waitFor(({ stdout }) => stdout.length > 0, 'output');
      run.closeOutput();
      const { code, stderr } = await run.ended;
      assert.equal(stderr, '');
      assert.equal(code, 0);
    },
  );
});

test('cli: colours and redraws stay away from a pipe', async () => {
  const { stdout, stderr } = await runCli(['doctor'], { env: { MKSCOPE_HUB: await deadUrl() } });
  assert.ok(!(stdout + stderr).includes('\u001b'));
});

test('cli: a command that asks a hub loads neither database, nor YAML, nor validator; a collector no database', () => {
  const load = (path: string): string[] => [...loadedWith(MAIN), ...loadedWith(join(ROOT, `cli/${path}.ts`))];
  const asking = new Set(['logs', 'kernels', 'top', 'query'].flatMap((name) => load(`commands/${name}`)));
  for (const heavy of ['zod', 'yaml', 'chdb', '@clickhouse/client', 'hono'])
    assert.ok(!asking.has(heavy), `${heavy} is loaded by a command that asks`);
  assert.ok(load('run-collector').includes('zod'), 'the reader of this test is broken');
  for (const name of ['run-collector', 'observe-machine', 'doctor/examine', 'import-files', 'check-config']) {
    const files = load(name);
    assert.ok(
      !files.includes('chdb') && !files.some((file) => file.startsWith(join(ROOT, 'store/'))),
      `${name} loads the database before it needs it`,
    );
  }
});
