import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { isOperational } from '../../base/errors.ts';
import type { OperationalError } from '../../base/errors.ts';
import { loadConfig } from '../../cli/config.ts';
import { parseAddress } from '../../cli/config-kinds.ts';
import { CONFIG_KEY_NAMES, CONFIG_KEYS, toEnvironmentName } from '../../cli/config-keys.ts';
import { toCollectorOptions } from '../../cli/settings.ts';
import { createRandom, randomBytes } from '../support/random.ts';
import { withFolder } from '../support/run-cli.ts';

const ROOT = join(import.meta.dirname, '../..');

function load(text: string | Uint8Array, more: { env?: NodeJS.ProcessEnv; flags?: Parameters<typeof loadConfig>[0]['flags'] } = {}) {
  return withFolder((folder) => {
    const path = join(folder, 'mkscope.yaml');
    writeFileSync(path, text);
    return loadConfig({ path, env: more.env ?? {}, ...(more.flags === undefined ? {} : { flags: more.flags }) });
  });
}

async function refusal(text: string | Uint8Array, env: NodeJS.ProcessEnv = {}): Promise<OperationalError> {
  const error: unknown = await load(text, { env }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(isOperational(error), `not refused: ${text.toString()}`);
  assert.notEqual(error.hint, '');
  return error;
}

test('config: flags win over environment, environment over file, file over defaults', async () => {
  const file = 'hub:\n  page: 127.0.0.1:1111\n  otlp: 127.0.0.1:1111\n  clickhouse: 127.0.0.1:1111\n';
  const env = { MKSCOPE_HUB_PAGE: '127.0.0.1:2222', MKSCOPE_HUB_OTLP: '127.0.0.1:2222' };
  const config = await load(file, { env, flags: { 'hub.page': { flag: '--page', value: '127.0.0.1:3333' } } });
  const found = (['hub.page', 'hub.otlp', 'hub.clickhouse'] as const).map((name) => config.get(name).port);
  assert.deepEqual(found, [3333, 2222, 1111]);
  assert.equal(config.get('data'), './data');
  assert.equal(config.originOf('hub.page'), '--page');
  assert.equal(config.originOf('hub.otlp'), 'MKSCOPE_HUB_OTLP');
  assert.match(config.originOf('hub.clickhouse'), /mkscope\.yaml:4$/);
  assert.equal(config.originOf('data'), 'default');
});

test('config: values are read with their units', async () => {
  const config = await load(`
collector:
  spool: { size: 64MiB }
  system: { interval: 500ms }
  tracefs: { events: [sched, irq:irq_handler_entry], ship: no }
  console: { spawn1: /dev/ttyS1, spawn2: "tcp:10.0.0.2:5555" }
hub:
  retention: { logs: 2w }
  page: 4319
`);
  assert.equal(config.get('collector.spool.size'), 67_108_864);
  assert.equal(config.get('collector.system.interval'), 500);
  assert.deepEqual(config.get('collector.tracefs.events'), ['sched', 'irq:irq_handler_entry']);
  assert.equal(config.get('collector.tracefs.ship'), false);
  assert.deepEqual(config.get('collector.console'), { spawn1: '/dev/ttyS1', spawn2: 'tcp:10.0.0.2:5555' });
  assert.equal(config.get('hub.retention.logs'), 14 * 86_400_000);
  assert.deepEqual(config.get('hub.page'), { host: '127.0.0.1', port: 4319 });
});

test('config: an unknown key is refused with its line and the nearest name', async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['hub:\n  pgae: 4319\n', /mkscope\.yaml:2: unknown key "hub\.pgae"; did you mean "page"\?/],
    ['# a comment\n\ncolector:\n  to: http://x\n', /mkscope\.yaml:3: unknown key "colector"; did you mean "collector"\?/],
    ['clock: mono\n', /:1: unknown key "clock"; did you mean "collector\.tracefs\.clock"\?/],
    ['data: ./x\nhub:\n  retention:\n    logs: 7d\n    log: 7d\n', /:5: unknown key "hub\.retention\.log"/],
    ['1: 2\n', /:1: unknown key "1"/],
  ];
  for (const [text, message] of cases) {
    const error = await refusal(text);
    assert.equal(error.code, 'E_CONFIG_KEY');
    assert.match(error.message, message);
  }
});

test('config: a wrong value is refused with its line, its key and what it must be', async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['collector:\n  tracefs:\n    clock: monoo\n', /:3: collector\.tracefs\.clock "monoo" must be one of: local,/],
    ['hub:\n  page: 127.0.0.1:99999\n', /:2: hub\.page "127\.0\.0\.1:99999" must be host:port/],
    ['hub:\n  retention: {logs: 36h}\n', /hub\.retention\.logs "36h" must be whole days/],
    ['collector:\n  system: {interval: 5}\n', /collector\.system\.interval 5 must be a duration/],
    ['collector:\n  to: hub.example:4318\n', /collector\.to .* must be an http/],
    ['collector:\n  console: {"a b": /x}\n', /collector\.console .* must be NAME=VALUE/],
    ['kernel:\n  id: -1\n', /kernel\.id -1 must be a whole number from 0/],
    ['hub: 5\n', /:1: hub must be a group/],
    ['- a\n- b\n', /:1: the file must be a group/],
  ];
  for (const [text, message] of cases) {
    const error = await refusal(text);
    assert.equal(error.code, 'E_CONFIG_VALUE', text);
    assert.match(error.message, message);
  }
});

test('config: a secret is never repeated in an error', async () => {
  const error = await refusal('hub:\n  tokens:\n    - {token: hunter2, grants: everything}\n');
  assert.match(error.message, /hub\.tokens must be one of: ingest, read \(at 0\.grants\)/);
  assert.doesNotMatch(`${error.message}${error.hint}`, /hunter2/);
});

test('config: a wrong environment variable is named', async () => {
  const error = await refusal('', { MKSCOPE_COLLECTOR_TRACEFS_CLOCK: 'sundial' });
  assert.match(error.message, /^MKSCOPE_COLLECTOR_TRACEFS_CLOCK: collector\.tracefs\.clock "sundial"/);
});

test('config: what is no YAML, and what is too large, is refused with its place', async () => {
  assert.match((await refusal('hub: [\n')).message, /:2:1: /);
  assert.equal((await refusal('hub:\n\tpage: 1\n')).code, 'E_CONFIG_SYNTAX');
  assert.equal((await refusal(Buffer.alloc(2 << 20, 'a'))).code, 'E_CONFIG_READ');
  assert.throws(
    () => loadConfig({ path: '/nonexistent/mkscope.yaml' }),
    (error) => isOperational(error) && error.code === 'E_CONFIG_READ' && error.message.includes('ENOENT'),
  );
});

test('config: alias bombs and random bytes end in a coded error, not in a crash', async () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefghi'.split('').map((name, i) => `${name}: &${name} [${`*${'abcdefgh'[i]},`.repeat(9)}]`),
  ].join('\n');
  assert.match((await refusal(bomb)).code, /^E_CONFIG_/);
  assert.match((await refusal(`collector:\n  tracefs:\n    events: &e [*e]\n`)).code, /^E_CONFIG_/);
  const random = createRandom(8);
  for (let i = 0; i < 200; i++) {
    const error: unknown = await load(randomBytes(random, 1 + Math.floor(random() * 64))).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.ok(error === undefined || (isOperational(error) && error.code.startsWith('E_CONFIG_')), String(error));
  }
});

test('config: an empty file, an empty group and comments alone mean the defaults', async () => {
  for (const text of ['', '# nothing\n', 'hub:\n', 'hub:\n  page:\n', '---\n'])
    assert.equal((await load(text)).get('hub.page').port, 4319, text);
});

test('config: addresses are read as people write them', () => {
  assert.deepEqual(parseAddress('[::1]:4318'), { host: '::1', port: 4318 });
  assert.deepEqual(parseAddress(':4318'), { host: '127.0.0.1', port: 4318 });
  assert.deepEqual(parseAddress('hub.example:0'), { host: 'hub.example', port: 0 });
  for (const wrong of ['', 'host', 'host:', 'host:1:2', '::1:4318', 'host:70000', 'http://host:1'])
    assert.equal(parseAddress(wrong), undefined, wrong);
});

test('config: docs/config.md has every key with its default, its variable and what it is for, and no other key', () => {
  const text = readFileSync(join(ROOT, 'docs/config.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `([a-z_.]+)` \| (.*?) \| `(MKSCOPE_[A-Z_]+)` \| (.*) \|$/gm)].map(
    ([, name, fallback, variable, about]) => ({ name, fallback, variable, about }),
  );
  const wanted = CONFIG_KEY_NAMES.map((name) => {
    const key = CONFIG_KEYS[name];
    const written =
      key.default === undefined
        ? 'unset' in key
          ? key.unset
          : ''
        : `\`${typeof key.default === 'string' ? key.default : JSON.stringify(key.default)}\``;
    return { name, fallback: written, variable: toEnvironmentName(name), about: key.about };
  });
  assert.deepEqual(rows, wanted);
});

test('config: the examples in docs/config.md and deploy/ are valid', async () => {
  const blocks = [...readFileSync(join(ROOT, 'docs/config.md'), 'utf8').matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(
    (match) => match[1] as string,
  );
  assert.ok(blocks.length > 0);
  for (const block of blocks) await load(block);
  loadConfig({ path: join(ROOT, 'deploy/mkscope.yaml'), env: {} });
});

test('config: a kernel that sends netconsole gets an id that nobody else was given', async () => {
  const config = await load(`collector:
  streams:
    spawn1: { from: unix:/run/a, kernel: 1 }
    any: { from: unix:/run/b, kernel: any }
  netconsole:
    listen: 127.0.0.1:6666
    kernels: { host: 10.0.0.1, a: 10.0.0.2, b: { from: 10.0.0.3, kernel: 2 }, c: 10.0.0.4 }
`);
  const kernels = toCollectorOptions(config).netconsole?.kernels ?? [];
  assert.deepEqual(
    kernels.map(({ name, kernelId }) => [name, kernelId]),
    [
      ['host', 0],
      ['a', 3],
      ['b', 2],
      ['c', 4],
    ],
  );
});

test('config: streams are an address each, or an address with the kernel that it may be', async () => {
  const config = await load(
    'collector:\n  streams:\n    a: unix:/run/a.sock\n    b: { from: "tcp-listen:10.0.0.1:5004", kernel: 4 }\n    c: { from: mktty:3, kernel: any, console: "unix:/run/c" }\n',
  );
  assert.deepEqual(config.get('collector.streams'), {
    a: { from: 'unix:/run/a.sock', kernel: undefined, console: undefined },
    b: { from: 'tcp-listen:10.0.0.1:5004', kernel: 4 },
    c: { from: 'mktty:3', kernel: 'any', console: 'unix:/run/c' },
  });
  const cases: readonly (readonly [string, RegExp])[] = [
    ['"vsock:3:5000"', /Node has no vsock/],
    ['{ from: "tcp:host" }', /is not unix:PATH.*at a\.from/],
    ['{ from: unix:/x, kernel: spawn }', /whole number|kernel id/],
    ['7', /must be an address/],
  ];
  for (const [written, message] of cases) {
    const error = await refusal(`collector:\n  streams:\n    a: ${written}\n`);
    assert.equal(error.code, 'E_CONFIG_VALUE');
    assert.match(error.message, message);
  }
});
