import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { elementSizeBytes, isSignedType, parseEventFormat, type EventFormat } from '../../parsers/event-format.ts';
import { parseHeaderPage } from '../../parsers/page-header.ts';
import { findFieldsOf, findHexFields } from '../../parsers/print-format.ts';

const COMMON = `	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;
`;

function formatOf(fields: string, print = '"x"'): string {
  return `name: sample\nID: 77\nformat:\n${COMMON}\n${fields}\nprint fmt: ${print}\n`;
}

function parse(text: string): EventFormat {
  const format = parseEventFormat(text, 'lab');
  assert.ok(typeof format !== 'string', String(format));
  return format;
}

function fieldOf(declaration: string, sizeBytes: number): EventFormat['fields'][number] {
  const [field] = parse(formatOf(`\tfield:${declaration};\toffset:8;\tsize:${sizeBytes};\tsigned:1;\n`)).fields;
  assert.ok(field !== undefined);
  return field;
}

test('event format: reads name, id, common fields and the verbatim print format', () => {
  const format = parse(formatOf('\tfield:int irq;\toffset:8;\tsize:4;\tsigned:1;\n', '"irq=%d; field:x", REC->irq'));
  assert.equal(format.event, 'sample');
  assert.equal(format.id, 77);
  assert.deepEqual(
    format.common.map((field) => field.name),
    ['common_type', 'common_flags', 'common_preempt_count', 'common_pid'],
  );
  assert.deepEqual(format.fields, [
    { name: 'irq', type: 'int', element: 'int', shape: 'scalar', offsetBytes: 8, sizeBytes: 4, signed: true },
  ]);
  assert.equal(format.printFormat, '"irq=%d; field:x", REC->irq');
});

test('event format: takes the last identifier as the name, whatever the type is made of', () => {
  const cases: readonly (readonly [string, number, string, string, string])[] = [
    ['unsigned long long len', 8, 'len', 'unsigned long long', 'scalar'],
    ['const struct iovec * vec', 8, 'vec', 'const struct iovec *', 'scalar'],
    ['const char *name', 8, 'name', 'const char *', 'scalar'],
    ['enum xfs_group_type type', 1, 'type', 'enum xfs_group_type', 'scalar'],
    ['char comm[16]', 16, 'comm', 'char[16]', 'fixed'],
    ['char comm[TASK_COMM_LEN]', 16, 'comm', 'char[TASK_COMM_LEN]', 'fixed'],
    ['unsigned long args[6]', 48, 'args', 'unsigned long[6]', 'fixed'],
    ['char buf[]', 0, 'buf', 'char[]', 'flexible'],
    ['__data_loc char[] name', 4, 'name', '__data_loc char[]', 'data_loc'],
    ['__data_loc cpumask_t mask', 4, 'mask', '__data_loc cpumask_t', 'data_loc'],
    ['__rel_loc u8[] key', 4, 'key', '__rel_loc u8[]', 'rel_loc'],
    ['void (*callback)(struct rcu_head *)', 8, 'callback', 'void (*)(struct rcu_head *)', 'scalar'],
    ['u8 matrix[2][3]', 6, 'matrix', 'u8[2][3]', 'fixed'],
  ];
  for (const [declaration, size, name, type, shape] of cases) {
    const field = fieldOf(declaration, size);
    assert.deepEqual([field.name, field.type, field.shape], [name, type, shape], declaration);
  }
});

test('event format: reads kernels that write no signedness', () => {
  const format = parse('name: old\nID: 3\nformat:\n\tfield:unsigned int a;\toffset:0;\tsize:4;\n\tfield:int b;\toffset:4;\tsize:4;\n');
  assert.deepEqual(
    format.fields.map((field) => field.signed),
    [false, true],
  );
});

test('event format: says what is wrong with a text that is none', () => {
  const refused = (text: string): string => {
    const found = parseEventFormat(text, 'lab');
    assert.equal(typeof found, 'string', text.slice(0, 80));
    return found as string;
  };
  assert.match(refused(''), /without a name/);
  assert.match(refused('name: x\nformat:\n'), /without an ID/);
  assert.match(refused('name: x\nID: 70000\n'), /without an ID/);
  assert.match(refused(formatOf('\tfield:int;\toffset:8;\tsize:4;\tsigned:1;\n')), /not understood: field:int/);
  assert.match(refused(formatOf('\tfield:int a;\toffset:99999999;\tsize:4;\tsigned:1;\n')), /not understood/);
  assert.match(refused(formatOf(`\tfield:${'a '.repeat(5000)}b;\toffset:8;\tsize:4;\tsigned:1;\n`)), /not understood/);
  const line = '\tfield:u64 a;\toffset:8;\tsize:8;\tsigned:0;\n';
  assert.match(refused(formatOf(line.repeat(20))), /fields overlap/);
  assert.match(refused(formatOf(line.repeat(600))), /more than 512 fields/);
});

test('event format: knows sizes and signs of elements', () => {
  const sizes: readonly (readonly [string, number | undefined])[] = [
    ['char', 1],
    ['unsigned char', 1],
    ['__u16', 2],
    ['unsigned int', 4],
    ['unsigned', 4],
    ['int32_t', 4],
    ['unsigned long', 4],
    ['long long', 8],
    ['unsigned long long', 8],
    ['u64', 8],
    ['struct page *', 4],
    ['struct in6_addr', undefined],
  ];
  for (const [element, size] of sizes) assert.equal(elementSizeBytes(element, 4), size, element);
  assert.equal(elementSizeBytes('unsigned long', 8), 8);
  for (const signed of ['int', 'long', 's8', '__s64', 'int16_t', 'loff_t', 'signed char']) assert.ok(isSignedType(signed), signed);
  for (const unsigned of ['unsigned int', 'u32', 'uint64_t', 'long unsigned int', 'size_t', 'char'])
    assert.ok(!isSignedType(unsigned), unsigned);
});

test('print format: finds the fields that are shown as hexadecimal', () => {
  const hex = (text: string): string[] => [...findHexFields(text)];
  assert.deepEqual(hex('"ip=%pS flags=0x%lx n=%d", (void *)REC->ip, REC->flags, REC->n'), ['ip', 'flags']);
  assert.deepEqual(hex('"dfd: 0x%08lx", ((unsigned long)(REC->dfd))'), ['dfd']);
  assert.deepEqual(hex('"100%% %s %x", __print_flags(REC->f, "|", { 1, "a,b" }), REC->g'), ['g']);
  assert.deepEqual(hex('"%*pbl %x", 10, REC->mask, REC->g'), ['mask', 'g']);
  assert.deepEqual(hex('"NR %ld (%lx, %lx)", REC->id, REC->args[0], REC->args[1]'), ['args']);
  assert.deepEqual(hex('"%x", REC->a + REC->b'), []);
  assert.deepEqual(hex('"an \\" open %x string, REC->a'), []);
  assert.deepEqual([...findFieldsOf('"%s", __get_bitmask(mask)', '__get_bitmask')], ['mask']);
});

test('header page: reads 64-bit and 32-bit kernels and refuses what it cannot use', () => {
  const of = (commit: number, at: number, size: number): string =>
    `\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: local_t commit;\toffset:8;\tsize:${commit};\tsigned:1;\n` +
    `\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\tfield: char data;\toffset:${at};\tsize:${size};\tsigned:0;\n`;
  assert.deepEqual(parseHeaderPage(of(8, 16, 4080)), {
    timestampOffset: 0,
    commitOffset: 8,
    longBytes: 8,
    dataOffset: 16,
    pageSizeBytes: 4096,
  });
  const small = parseHeaderPage(of(4, 12, 65524));
  assert.ok(typeof small !== 'string');
  assert.deepEqual([small.longBytes, small.dataOffset, small.pageSizeBytes], [4, 12, 65536]);
  assert.match(String(parseHeaderPage('')), /lacks/);
  assert.match(String(parseHeaderPage(of(2, 16, 4080))), /commit of 2 bytes/);
  assert.match(String(parseHeaderPage(of(8, 12, 4080))), /overlaps/);
});

test('event format: reads every format file of this kernel', (t) => {
  const root = '/sys/kernel/tracing/events';
  let names: string[] = [];
  try {
    names = existsSync(root) ? readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('/format')) : [];
  } catch (error) {
    t.diagnostic(String(error));
  }
  if (names.length === 0) return t.skip('no readable tracefs');
  for (const name of names) {
    const text = readFileSync(join(root, name), 'utf8');
    const [system, event] = name.split('/') as [string, string];
    const format = parseEventFormat(text, system);
    assert.ok(typeof format !== 'string', String(format));
    assert.equal(format.event, event);
    assert.equal(format.common.length + format.fields.length, text.match(/^\tfield:/gm)?.length ?? 0, name);
    assert.ok(text.trimEnd().endsWith(format.printFormat), name);
  }
});
