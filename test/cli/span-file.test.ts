import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../cli/config.ts';
import { readSpanRules, toCollectorOptions, toHubOptions } from '../../cli/settings.ts';
import { parseSpanFile, readSpanFiles } from '../../cli/span-file.ts';
import { runSpanSamples } from '../../cli/span-samples.ts';
import { testRuleFiles } from '../../cli/test-rules.ts';

const DOC = readFileSync(join(import.meta.dirname, '../../docs/spans.md'), 'utf8');
const EXAMPLE = /^```yaml\n([\s\S]*?)^```/m.exec(DOC)?.[1] ?? '';

test('span file: the example of docs/spans.md is rules, and its samples come out', () => {
  const rules = parseSpanFile('s.yaml', EXAMPLE);
  assert.deepEqual(
    rules.map(({ rule, line }) => [rule.name, rule.begin, rule.minDurationNs, rule.sampleOneIn, rule.across, rule.wideKey, line]),
    [
      ['disk-queue', ['block:block_rq_insert'], 1_000_000, 1000, undefined, true, 2],
      ['order', ['app:order'], 0, 0, true, undefined, 27],
    ],
  );
  assert.deepEqual(runSpanSamples(rules), []);
});

test('span file: what is wrong is said with its line and the nearest right name', () => {
  const wrong: readonly (readonly [from: string, to: string, code: string, message: RegExp])[] = [
    ['ends_alone', 'end_alone', 'E_CONFIG_KEY', /^s\.yaml:9: unknown key "end_alone" in spans\[1\]; did you mean "ends_alone"\?/],
    ['block:block_rq_insert', 'block_rq_insert', 'E_CONFIG_VALUE', /^s\.yaml:4: spans\[1\]\.begin must be an event/],
    ['min: 1ms', 'min: soon', 'E_CONFIG_VALUE', /spans\[1\]\.min must be a duration/],
    ['sample: 1000', 'sample: -1', 'E_CONFIG_VALUE', /spans\[1\]\.sample must be a whole number/],
    ['rwbs ~ "R*"', 'rwbs ~ ', 'E_CONFIG_VALUE', /spans\[1\]\.begin_filter is no filter: its end where a value should be/],
    ['tells: both', 'tells: all', 'E_CONFIG_VALUE', /spans\[1\]\.tells must be spans, histogram or both/],
    ['disk.sectors', 'mk.sectors', 'E_CONFIG_VALUE', /spans\[1\]\.attributes must not have attributes that mkscope itself uses/],
    ['name: disk-queue', 'name: block', 'E_CONFIG_VALUE', /spans\[1\]\.name is the name of a rule that mkscope brings/],
    ['name: order', 'name: disk-queue', 'E_CONFIG_VALUE', /^s\.yaml:27: spans\[2\]\.name is the name of the rule in line 2 too/],
    ['across: true', 'across: false', 'E_CONFIG_VALUE', /spans\[2\]\.samples\[1\] needs trace: the rule does not go over kernels/],
    ['[block:block_rq_issue]', '[block:block_rq_insert]', 'E_CONFIG_VALUE', /^SAME/],
    ['key: [id]', 'key: [[id]]', 'E_CONFIG_VALUE', /spans\[2\]\.key\[1\]/],
  ];
  for (const [from, to, code, message] of wrong) {
    assert.ok(EXAMPLE.includes(from), from);
    const text = EXAMPLE.replace(from, () => to);
    // A filter tells begin and end of one event apart.
    if (message.source === '^SAME') assert.equal(parseSpanFile('s.yaml', text).length, 2);
    else assert.throws(() => parseSpanFile('s.yaml', text), { code, message }, to);
  }
  const same = EXAMPLE.replace('[block:block_rq_issue]', '[block:block_rq_insert]').replace(/ {4}begin_filter.*\n/, '');
  assert.throws(() => parseSpanFile('s.yaml', same), { message: /end has an event that is a begin too/ });
});

test('span file: samples that do not come out are told', () => {
  const told = (from: string, to: string): string[] =>
    runSpanSamples(
      parseSpanFile(
        's.yaml',
        EXAMPLE.replace(from, () => to),
      ),
    ).map(({ problem }) => problem);
  assert.deepEqual(told('took: 2ms', 'took: 3ms'), ['it makes «queued R» of 2.0 ms, not «queued R» of 3.0 ms']);
  assert.deepEqual(told('counted: 1', 'counted: 2'), ['1 durations are counted, not 2']);
  assert.deepEqual(told('unmatched: 2', 'unmatched: 1'), ['2 begins and ends are without their other end, not 1']);
  assert.deepEqual(told('min: 1ms', 'min: 10ms'), ['it makes no span, not «queued R» of 2.0 ms']);
  assert.deepEqual(told('tells: both', 'tells: histogram'), ['it makes no span, not «queued R» of 2.0 ms']);
  assert.deepEqual(told('db-4   [000] ..... 100.000250: deliver: id=7', 'db-4   [000] ..... nonsense').length, 1);
});

test('span file: rules within a kernel are the collector’s with their events, those over kernels the hub’s', () => {
  const dir = mkdtempSync(join(tmpdir(), 'mkscope-spans-'));
  try {
    const path = join(dir, 'spans.yaml');
    writeFileSync(path, EXAMPLE);
    writeFileSync(join(dir, 'other.yaml'), EXAMPLE);
    writeFileSync(join(dir, 'c.yaml'), `spans: [${path}]\ncollector: { tracefs: { events: [sched] } }\n`);
    const config = loadConfig({ path: join(dir, 'c.yaml'), env: {} });
    assert.deepEqual(
      readSpanRules(config).map(({ name }) => name),
      ['disk-queue', 'order'],
    );
    const { sources, spanRules } = toCollectorOptions(config);
    assert.deepEqual(sources.tracefs?.events, ['sched', 'block:block_rq_insert', 'block:block_rq_issue', 'app:order', 'app:deliver']);
    assert.equal(spanRules?.length, 2);
    assert.equal(toHubOptions(config).spanRules?.length, 2);
    assert.throws(() => readSpanFiles([path, join(dir, 'other.yaml')]), {
      message: /other\.yaml:2: the rule disk-queue is in .*spans\.yaml:2 too/,
    });
    writeFileSync(path, EXAMPLE.replace('took: 250us', 'took: 251us'));
    assert.deepEqual(
      testRuleFiles([path]).problems.map(({ file, line, event }) => [file, line, event]),
      [[path, 35, 'order']],
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
