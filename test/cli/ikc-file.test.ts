import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseIkcFile, readIkcFiles } from '../../cli/ikc-file.ts';
import { runPackSamples } from '../../cli/ikc-samples.ts';
import { loadConfig } from '../../cli/config.ts';
import { readIkcPacks, readMessages, toCollectorOptions, toHubOptions } from '../../cli/settings.ts';
import { toProbeDefinition } from '../../correlate/ikc-pack.ts';
import { IKC_PACKS } from '../../correlate/ikc-packs/index.ts';
import { runCli } from '../support/run-cli.ts';

const DOC = readFileSync(join(import.meta.dirname, '../../docs/ikc.md'), 'utf8');
const EXAMPLES = [...DOC.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, text]) => text as string);
const MBOX = EXAMPLES[0] as string;

function inFolder<Result>(files: Readonly<Record<string, string>>, run: (dir: string) => Result): Result {
  const dir = mkdtempSync(join(tmpdir(), 'mkscope-packs-'));
  const remove = (): void => rmSync(dir, { recursive: true, force: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  try {
    const result = run(dir);
    if (result instanceof Promise) void result.finally(remove).catch(() => undefined);
    else remove();
    return result;
  } catch (error) {
    remove();
    throw error;
  }
}

test('ikc file: the examples of docs/ikc.md are packs, and their samples come out', () => {
  assert.equal(EXAMPLES.length, 2);
  const packs = EXAMPLES.flatMap((text) => parseIkcFile('docs/ikc.md', text));
  assert.deepEqual(
    packs.map(({ pack }) => pack.name),
    ['mbox', 'bridge'],
  );
  assert.deepEqual(runPackSamples(packs), []);
});

test('ikc file: an event becomes a probe with what it fetches, on any architecture', () => {
  const [mbox] = parseIkcFile('m.yaml', MBOX);
  const recv = mbox?.pack.events.find(({ event }) => event === 'ikc:mbox_recv');
  assert.ok(recv !== undefined);
  assert.deepEqual(recv.fields, { fromKernel: 'from', slot: 'slot', type: 'type', subtype: 'sub', length: 'len', keys: ['cookie'] });
  const fetched = 'type=+0($arg3):x32 sub=+4($arg3):u32 cookie=+24($arg3):x64 len=+8($arg3):u32';
  assert.equal(toProbeDefinition(recv, 'arm64'), `p:ikc/mbox_recv mbox:mbox_deliver from=$arg1:s32 slot=$arg2:u32 ${fetched}`);
  assert.match(toProbeDefinition(recv, 'amd64') ?? '', / type=\+0\(%dx\):x32 /);
  assert.deepEqual(
    mbox?.pack.lines?.map(({ event, role }) => [event, role]),
    [
      ['ikc.mbox.send', 'send'],
      ['ikc.mbox.receive', 'receive'],
      ['ikc.mbox.failed', 'failed'],
    ],
  );
});

test('ikc file: what is wrong is said with its line and the nearest right name', () => {
  const wrong: readonly (readonly [from: string, to: string, code: string, message: RegExp])[] = [
    ['packs:', 'packs: [', 'E_CONFIG_SYNTAX', /^m\.yaml:\d+:\d+: /],
    [
      '        role: send\n',
      '        rule: send\n',
      'E_CONFIG_KEY',
      /^m\.yaml:12: unknown key "rule" in packs\[1\]\.events\[1\]; did you mean "role"\?/,
    ],
    ['role: send_return', 'role: sent', 'E_CONFIG_VALUE', /^m\.yaml:18: packs\[1\]\.events\[2\]\.role must be one of: send, send_return/],
    [
      'keys: [cookie] }\n      - event: mbox_send_ret',
      'keys: [cokie] }\n      - event: mbox_send_ret',
      'E_CONFIG_VALUE',
      /^m\.yaml:16: packs\[1\]\.events\[1\]\.fields\.keys is cokie, which is not fetched there; did you mean "cookie"\?/,
    ],
    [
      'filter: "type != 0"',
      'filter: "typ != 0"',
      'E_CONFIG_VALUE',
      /^m\.yaml:15: .*filter looks at typ, which is not fetched there; did you mean "type"\?/,
    ],
    ['filter: "type != 0"', 'filter: "type =! 0"', 'E_CONFIG_VALUE', /^m\.yaml:15: .*filter is no filter: /],
    ['to=$arg1:s32', 'to=$arg1', 'E_CONFIG_VALUE', /^m\.yaml:14: .*args has «to=\$arg1», which is none/],
    ['to=$arg1:s32', 'to=$arg1:int', 'E_CONFIG_VALUE', /args has «to=\$arg1:int», which is none/],
    ['function: mbox_send_message', 'function: "a b\\np:x y"', 'E_CONFIG_VALUE', /^m\.yaml:13: .*function must be the name of a function/],
    ['      - event: mbox_send\n', '      - event: mk_send\n', 'E_CONFIG_VALUE', /is the name of a probe that mkscope brings/],
    ['      - event: mbox_send\n', '      - event: a:b\n', 'E_CONFIG_VALUE', /event must be one word where a probe is made/],
    ['        function: mbox_send_message\n', '', 'E_CONFIG_VALUE', /event needs function or return_of, or is written system:event/],
    [
      '      - event: mbox_wait\n',
      '      - event: mbox_recv\n',
      'E_CONFIG_VALUE',
      /is taken whole by line 22 already, which has no filter/,
    ],
    ['name: mbox', 'name: tcp', 'E_CONFIG_VALUE', /^m\.yaml:2: packs\[1\]\.name is the name of a pack that mkscope brings/],
    ['      any: { slots', '      ani: { slots', 'E_CONFIG_VALUE', /rings\.ani is no generation of the pack; did you mean "any"\?/],
    ['{ slots: 64 }', '{ slots: none }', 'E_CONFIG_VALUE', /rings\.any\.slots must be a number/],
    ['types: { 1: PING', 'types: { one: PING', 'E_CONFIG_VALUE', /types has the key one, which is no number/],
    [
      '{len:int} to {to:int}"]\n        fields: { peer: to',
      '{len:int} to {to:int}"]\n        fields: { peer: two',
      'E_CONFIG_VALUE',
      /lines\.send\.fields\.peer is two, which is not fetched there/,
    ],
    ['["mbox: got', '["{type:int}', 'E_CONFIG_VALUE', /lines\.receive\.patterns\[1\] is no pattern/],
    ['length: 8, slot: 6', 'length: 8, slt: 6', 'E_CONFIG_KEY', /unknown key "slt" .*; did you mean "slot"\?/],
  ];
  for (const [from, to, code, message] of wrong) {
    assert.ok(MBOX.includes(from), from);
    assert.throws(
      () =>
        parseIkcFile(
          'm.yaml',
          MBOX.replace(from, () => to),
        ),
      { code, message },
      to,
    );
  }
  assert.throws(() => parseIkcFile('m.yaml', ''), { code: 'E_CONFIG_VALUE', message: /^m\.yaml:1: the file / });
  assert.throws(() => parseIkcFile('m.yaml', MBOX + MBOX.replace('packs:\n', '')), { message: /is the name of the pack in line 2 too/ });
});

test('ikc file: samples that do not come out are told, and what has none', () => {
  const told = (from: string, to: string): string[] =>
    runPackSamples(
      parseIkcFile(
        'm.yaml',
        MBOX.replace(from, () => to),
      ),
    ).map(({ problem }) => problem);
  assert.deepEqual(told('peer: 1, type: 2, subtype: 1, length: 64 }', 'peer: 1, type: 2, subtype: 1, length: 65 }'), [
    'message 1 has length 64, not 65: { kind: send, peer: 1, type: 2, subtype: 1, length: 64, queue: 0 }',
  ]);
  assert.match(told('filter: "type != 0"', 'filter: "type == 7"')[0] ?? '', /^message 1 has kind receive, not send/);
  assert.match(told('slot: 6 }', 'slot: 6 }\n          - { kind: send, type: 1 }')[0] ?? '', /^it makes 3 messages, not 4: /);
  assert.deepEqual(told('result: 0 }]', 'result: -16 }]'), [
    'exchange 1 has result 0, not -16: { operation: 1, state: answered, result: 0 }',
  ]);
  assert.match(told('mbox: got type 1', 'mbox: has type 1')[0] ?? '', /^no pattern takes the line «mbox: has type 1/);
  const unshown = MBOX.replace(/ {6}- about: what the driver prints[\s\S]*$/, '');
  assert.deepEqual(
    runPackSamples(parseIkcFile('m.yaml', unshown)).map(({ problem }) => problem.replace(/ «.*/, '')),
    Array(3).fill('no sample has a line for the pattern'),
  );
});

test('ikc file: the configuration gives the packs to hub and collector', () =>
  inFolder({ 'mbox.yaml': MBOX, 'bridge.yaml': EXAMPLES[1] as string, 'other.yaml': MBOX }, (dir) => {
    const config = (more: string): ReturnType<typeof loadConfig> => {
      writeFileSync(join(dir, 'c.yaml'), `ikc: [${join(dir, 'mbox.yaml')}, ${join(dir, 'bridge.yaml')}]\n${more}`);
      return loadConfig({ path: join(dir, 'c.yaml'), env: {} });
    };
    const names = (packs: ReturnType<typeof readIkcPacks> | undefined): string[] => (packs ?? []).map(({ name }) => name);
    assert.deepEqual(names(readIkcPacks(config(''))), ['mbox', 'bridge', ...IKC_PACKS.map(({ name }) => name)]);
    assert.deepEqual(names([...(toHubOptions(config('')).ikcPacks ?? [])]).slice(0, 2), ['mbox', 'bridge']);
    assert.ok(readMessages(config('')).some(({ event }) => event === 'ikc.mbox.failed'));
    const probes = (more: string): string[] => (toCollectorOptions(config(more)).sources.tracefs?.probes ?? []).map(({ event }) => event);
    const all = probes('');
    for (const event of ['ikc:mk_send', 'ikc:mbox_send', 'net:net_dev_start_xmit']) assert.ok(all.includes(event), event);
    assert.deepEqual([...new Set(probes('collector: { ikc: [bridge] }'))], ['net:net_dev_start_xmit', 'net:netif_receive_skb']);
    assert.throws(() => probes('collector: { ikc: [mboks] }'), { code: 'E_CONFIG_VALUE', message: /there is no pack mboks/ });
    assert.throws(() => readIkcFiles([join(dir, 'mbox.yaml'), join(dir, 'other.yaml')]), {
      message: /other\.yaml:2: the pack mbox is in .*mbox\.yaml:2 too/,
    });
  }));

test('ikc file: mkscope test-rules runs such files with others, prints their probes, and check refuses a wrong one', () =>
  inFolder(
    {
      'mbox.yaml': MBOX,
      'failing.yaml': MBOX.replace('name: mbox', 'name: box')
        .replace('slot: 6', 'slot: 5')
        .replaceAll('event: mbox_', 'event: box_')
        .replaceAll(': mbox_', ': box_')
        .replaceAll('"mbox: ', '"box: ')
        .replaceAll('  mbox: ', '  box: '),
      'messages.yaml':
        'messages:\n  - { event: a.b, about: x, level: info, patterns: ["abc {a:int}"], samples: [{ line: abc 1, fields: { a: 1 } }] }\n',
      'none.yaml': 'pakcs: []\n',
      'mkscope.yaml': 'ikc: [wrong.yaml]\n',
      'wrong.yaml': MBOX.replace('about:', 'abuot:'),
    },
    async (dir) => {
      const run = (...args: readonly string[]): ReturnType<typeof runCli> => runCli(args, { cwd: dir });
      const [good, failing, none, probes, check] = await Promise.all([
        run('test-rules', 'mbox.yaml', 'messages.yaml'),
        run('test-rules', '--json', 'mbox.yaml', 'failing.yaml'),
        run('test-rules', 'none.yaml'),
        run('test-rules', '--probes', 'mbox.yaml'),
        run('check'),
      ]);
      assert.deepEqual([good.code, good.stdout], [0, 'ok  2 rules, 4 samples\n']);
      assert.equal(failing.code, 1);
      const { problems } = JSON.parse(failing.stdout) as { problems: Record<string, unknown>[] };
      assert.deepEqual(
        problems.map(({ file, line, event, sample }) => [file, line, event, sample]),
        [['failing.yaml', 54, 'box', 'sent, refused, and received']],
      );
      assert.equal(none.code, 2);
      assert.match(
        none.stderr,
        /none\.yaml: the file begins with "pakcs", where messages, packs or spans should be; did you mean "packs"\?/,
      );
      assert.equal(probes.code, 0);
      assert.equal(probes.stdout.split('\n').length, 7);
      assert.match(probes.stdout, /^p:ikc\/mbox_send mbox_send_message to=%di:s32 /);
      assert.equal(check.code, 2);
      assert.match(check.stderr, /wrong\.yaml:3: unknown key "abuot".*did you mean "about"/);
    },
  ));
