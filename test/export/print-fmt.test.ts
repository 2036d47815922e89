import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodeUtf8 } from '../../base/bytes.ts';
import fc from 'fast-check';
import { parseEventFormat, type EventFormat } from '../../parsers/event-format.ts';
import { Kallsyms } from '../../export/kallsyms.ts';
import { compileNumber, EventRecord, NotComputable, toWide } from '../../export/print-fmt-numbers.ts';
import { parsePrintFormat, type Expr } from '../../export/print-fmt-syntax.ts';
import { compilePrintFormat, joinParts, toArithmetic, type Dialect, type PrintContext } from '../../export/print-fmt.ts';
import { TextOut } from '../../export/text-out.ts';

const SYMBOLS =
  'ffffffff81000000 T _text\nffffffff81000100 T vfs_read\nffffffff81000100 T ksys_alias\nffffffff81000400 t end\n0000000000001000 A cpu\nffffffffc0001000 t send\t[mkikc]\nffffffffc0001080 t after\t[mkikc]\n';

function contextOf(dialect: Dialect): PrintContext {
  const symbols = new Kallsyms(() => encodeUtf8(SYMBOLS), dialect === 'kernel' ? 'first' : 'bisected');
  return { dialect, longBytes: 8, symbols, strings: new Map([['ffffffff82000010', 'a string\\n']]) };
}

const COMMON =
  '\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n';

interface TestField {
  readonly declaration: string;
  readonly sizeBytes: number;
  readonly signed?: boolean;
  readonly value: bigint | Uint8Array;
}

/** An event with these fields, and a record of it. */
function makeEvent(fields: readonly TestField[], printFormat: string): { format: EventFormat; record: EventRecord } {
  let at = 8;
  let lines = '';
  const bytes = new Uint8Array(512);
  const view = new DataView(bytes.buffer);
  for (const { declaration, sizeBytes, signed = false, value } of fields) {
    lines += `\tfield:${declaration};\toffset:${at};\tsize:${sizeBytes};\tsigned:${signed ? 1 : 0};\n`;
    if (typeof value === 'bigint') for (let i = 0; i < sizeBytes; i++) view.setUint8(at + i, Number((value >> BigInt(i * 8)) & 0xffn));
    else bytes.set(value, at);
    at += Math.max(sizeBytes, typeof value === 'bigint' ? 0 : value.length);
  }
  const format = parseEventFormat(`name: e\nID: 1\nformat:\n${COMMON}${lines}\nprint fmt: ${printFormat}\n`, 'sys');
  assert.ok(typeof format !== 'string', String(format));
  const record = new EventRecord();
  record.bytes = bytes;
  record.view = view;
  record.end = at;
  return { format, record };
}

function show(fields: readonly TestField[], printFormat: string, dialect: Dialect = 'kernel'): string {
  const { format, record } = makeEvent(fields, printFormat);
  const parts = compilePrintFormat(format, contextOf(dialect));
  if (typeof parts === 'string') return `! ${parts}`;
  const out = new TextOut(1);
  joinParts(parts)(record, out);
  return Buffer.from(out.view()).toString('latin1');
}

const text = (value: string, sizeBytes = value.length + 1): Uint8Array => {
  const bytes = new Uint8Array(sizeBytes);
  bytes.set(Buffer.from(value, 'latin1').subarray(0, sizeBytes));
  return bytes;
};
const u64 = (name: string, value: bigint): TestField => ({ declaration: `u64 ${name}`, sizeBytes: 8, value });
const s32 = (name: string, value: bigint): TestField => ({ declaration: `int ${name}`, sizeBytes: 4, signed: true, value });
const u32 = (name: string, value: bigint): TestField => ({ declaration: `unsigned int ${name}`, sizeBytes: 4, value });
const fixed = (declaration: string, bytes: Uint8Array): TestField => ({ declaration, sizeBytes: bytes.length, value: bytes });

test('print fmt: numbers keep sign, width and all 64 bits', () => {
  const fields = [s32('a', -5n), u64('b', 0xffff_ffff_ffff_fff0n), u32('c', 0xffff_fff0n)];
  assert.equal(show(fields, '"%d %u %x", REC->a, REC->a, REC->a'), '-5 4294967291 fffffffb');
  assert.equal(
    show(fields, '"%llu %lld %#llx %016llx", REC->b, REC->b, REC->b, REC->b'),
    '18446744073709551600 -16 0xfffffffffffffff0 fffffffffffffff0',
  );
  assert.equal(show(fields, '"%5d|%-5d|%05d|%+d|%.3d", REC->a, REC->a, REC->a, 7, 7'), '   -5|-5   |-0005|+7|007');
  assert.equal(show(fields, '"%hhu %hd %o %c%%", REC->c, REC->c, 8, 65'), '240 -16 10 A%');
  assert.equal(show(fields, '"%#x", 0'), '0x0');
  assert.equal(show(fields, '"%#x", 0', 'trace-cmd'), '0');
});

test('print fmt: computes as C does, and as libtraceevent does', () => {
  const fields = [s32('ret', -5n), u32('dev', (254n << 20n) | 1n), u32('flags', 1n)];
  const both = (expression: string): readonly string[] => [
    show(fields, `"%d", ${expression}`),
    show(fields, `"%d", ${expression}`, 'trace-cmd'),
  ];
  assert.deepEqual(both('((unsigned int) ((REC->dev) >> 20))'), ['254', '254']);
  assert.deepEqual(both('((unsigned int) ((REC->dev) & ((1U << 20) - 1)))'), ['1', '1']);
  assert.deepEqual(both('REC->ret < 0'), ['1', '0']);
  assert.deepEqual(both('10 - 3 - 2'), ['5', '9']);
  assert.deepEqual(both('REC->flags & (2 | 4)'), ['0', '4']);
  assert.deepEqual(both('REC->flags ? 10 : 20 + 1'), ['10', '11']);
  assert.deepEqual(both('-REC->ret * 2'), ['10', '10']);
  assert.deepEqual(both('(char)300 + sizeof(u64)'), ['52', '52']);
  assert.deepEqual(both('~0 == -1 && !REC->flags'), ['0', '0']);
  assert.deepEqual(both('__builtin_expect(!!(REC->flags), 0) ? 3 : 4'), ['3', '3']);
  assert.equal(show(fields, '"%d", ({ int __x = (REC->ret); int __y = (3); ((__x) < (__y) ? (__x) : (__y)); })'), '-5');
});

test('print fmt: the helpers of trace events', () => {
  const fields = [
    u32('v', 0x45n),
    fixed('u8 bytes[4]', Uint8Array.of(1, 0xab, 0, 255)),
    fixed('u16 words[2]', Uint8Array.of(1, 0, 0xff, 0xff)),
  ];
  const flags = '__print_flags(REC->v, "|", { 1, "A" }, { 4, "B" }, { 0x10, "C" })';
  assert.equal(show(fields, `"%s", ${flags}`), 'A|B|0x40');
  assert.equal(show(fields, `"%s", ${flags}`, 'trace-cmd'), 'A|B|0x40');
  assert.equal(
    show(fields, '"%s %s", __print_symbolic(REC->v, { 1, "A" }, { 0x45, "E" }), __print_symbolic(REC->v, { 2, "x" })'),
    'E 0x45',
  );
  assert.equal(show(fields, '"%s %s", __print_hex(REC->bytes, 4), __print_hex_str(REC->bytes, 2)'), '01 ab 00 ff 01ab');
  assert.equal(show(fields, '"%s", __print_array(REC->words, 2, 2)'), '{0x1,0xffff}');
  assert.equal(show(fields, '"%02x:%d", REC->bytes[1], REC->words[1]'), 'ab:65535');
  assert.equal(show(fields, '"%s", (REC->v) ? __print_flags(REC->v, "|", { 1, "A" }, { 0, ((void *)0) }) : "none"'), 'A|0x44');
});

test('print fmt: strings in the record, behind a location, and by their address', () => {
  const fields = [
    fixed('char comm[16]', text('bash', 16)),
    { declaration: '__data_loc char[] name', sizeBytes: 4, value: (9n << 16n) | 36n },
    u64('where', 0xffff_ffff_8200_0010n),
  ];
  const withText = [...fields, fixed('char pad[9]', text('virtio:a'))];
  assert.equal(show(withText, '"[%s] %s %s", REC->comm, __get_str(name), REC->where'), '[bash] virtio:a a string\\n');
  assert.equal(show(withText, '"%8s|%-8s|%.2s", REC->comm, REC->comm, REC->comm'), '    bash|bash    |ba');
  assert.equal(show(fields, '"<%s>", __get_str(name)'), '<>');
});

test('print fmt: pointers, addresses and identifiers', () => {
  const address = (bytes: readonly number[]): Uint8Array => Uint8Array.from(bytes);
  const fields = [
    u64('ip', 0xffff_ffff_8100_0120n),
    u64('in_module', 0xffff_ffff_c000_1010n),
    fixed('u8 mac[6]', address([0, 0x11, 0x22, 0xaa, 0xbb, 0xcc])),
    fixed('u8 four[4]', address([192, 0, 2, 1])),
    fixed('u8 six[16]', address([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])),
    fixed('u8 peer[16]', address([2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])),
    fixed('u8 uuid[16]', address(Array.from({ length: 16 }, (_, i) => i))),
  ];
  assert.equal(
    show(fields, '"%pS %ps %pS", (void *)REC->ip, REC->ip, REC->in_module'),
    'vfs_read+0x20/0x300 vfs_read send+0x10/0x80 [mkikc]',
  );
  assert.equal(show(fields, '"%pS %ps", REC->in_module, REC->in_module', 'trace-cmd'), 'send+0x10 send');
  assert.equal(show(fields, '"%p %px", REC->ip, 0'), 'ffffffff81000120 0000000000000000');
  assert.equal(show(fields, '"%p %p", REC->ip, 0', 'trace-cmd'), '0xffffffff81000120 (nil)');
  assert.equal(
    show(fields, '"%pM %pI4 %pI6c %pI6", REC->mac, REC->four, REC->six, REC->six'),
    '00:11:22:aa:bb:cc 192.0.2.1 2001:db8::1 2001:0db8:0000:0000:0000:0000:0000:0001',
  );
  assert.equal(
    show(fields, '"%pISpc %pU %*phC", REC->peer, REC->uuid, 3, REC->mac'),
    '127.0.0.1:8080 00010203-0405-0607-0809-0a0b0c0d0e0f 00:11:22',
  );
});

test('print fmt: what cannot be computed says why', () => {
  for (const [format, why] of [
    ['"%d", foo(REC->a)', /nothing says what foo\(\) does/],
    ['"%d", REC->nothing', /no field nothing/],
    ['"%d"', /no argument/],
    ['nonsense', /does not begin with a string/],
    ['"%d", REC->a +', /value expected/],
    [`"%d", ${'('.repeat(500)}1${')'.repeat(500)}`, /brackets/],
    [`"%d", ${'1+'.repeat(20_000)}1`, /words/],
    ['"%y", 1', /not known|none/],
  ] as const) {
    assert.match(show([s32('a', 1n)], format), why);
  }
});

test('print fmt: any text is refused or compiled, in bounded time', () => {
  const words = fc.constantFrom(
    'REC->a',
    '(',
    ')',
    '"x%d"',
    '"%s"',
    ',',
    '+',
    '-',
    '?',
    ':',
    '[',
    ']',
    '{',
    '}',
    'u8',
    '(int)',
    '1',
    '0x',
    '&',
    '__get_str(',
    'sizeof(',
    '({',
    ';',
    '=',
  );
  fc.assert(
    fc.property(fc.array(words, { maxLength: 60 }), (parts) => {
      const { format, record } = makeEvent([s32('a', 1n)], `"%d%s%pI4", ${parts.join(' ')}`);
      for (const dialect of ['kernel', 'trace-cmd'] as const) {
        const compiled = compilePrintFormat(format, contextOf(dialect));
        if (typeof compiled !== 'string') joinParts(compiled)(record, new TextOut(16));
      }
    }),
    { numRuns: 500 },
  );
});

/** C's arithmetic on 64-bit numbers, as bigints. */
function computeBig(operator: string, a: bigint, b: bigint): bigint | undefined {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return b === 0n ? undefined : a / b;
    case '%':
      return b === 0n ? undefined : a % b;
    case '&':
      return a & b;
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '<<':
      return a << (b & 63n);
    default:
      return a >> (b & 63n);
  }
}

test('print fmt: words compute what 64-bit integers do', () => {
  const value = fc.oneof(
    fc.bigInt(0n, 0xffff_ffff_ffff_ffffn),
    fc.bigInt(0n, 300n),
    fc.constantFrom(0xffff_ffffn, 0x1_0000_0000n, 0x8000_0000_0000_0000n),
  );
  fc.assert(
    fc.property(
      value,
      value,
      fc.constantFrom('+', '-', '*', '/', '%', '&', '|', '^', '<<', '>>'),
      fc.boolean(),
      (a, b, operator, signed) => {
        const wrap = (n: bigint): bigint => (signed ? BigInt.asIntN(64, n) : BigInt.asUintN(64, n));
        // As processors do, a count from 64 on is taken modulo 64.
        const expected = computeBig(operator, wrap(a), wrap(b));
        if (expected === undefined) return;
        const type = signed ? 's64' : 'u64';
        const { format, record } = makeEvent(
          [
            { declaration: `${type} a`, sizeBytes: 8, signed, value: a },
            { declaration: `${type} b`, sizeBytes: 8, signed, value: b },
          ],
          '"x"',
        );
        const field = (name: string): Expr => ({ kind: 'field', name });
        const code = compileNumber(
          { kind: 'binary', operator, left: field('a'), right: field('b') },
          toArithmetic(format, contextOf('kernel')),
        );
        const low = toWide(code)(record);
        const got = (BigInt(record.high) << 32n) | BigInt(low >>> 0);
        assert.equal(BigInt.asUintN(64, got), BigInt.asUintN(64, expected), `${a} ${operator} ${b} ${type}`);
      },
    ),
    { numRuns: 3000 },
  );
});

test('print fmt: shifts by the width and more are as processors do them, in the width of each dialect', () => {
  const fields = [u32('a', 0xdead_beefn), s32('s', -256n), u32('by', 36n), u32('far', 68n)];
  const both = (expression: string): string[] =>
    (['kernel', 'trace-cmd'] as const).map((dialect) => show(fields, `"%llx", (u64)(${expression})`, dialect));
  // The kernel shifts numbers of 32 bits, trace-cmd numbers of 64.
  assert.deepEqual(both('REC->a >> REC->by'), ['deadbee', '0']);
  assert.deepEqual(both('REC->a >> REC->far'), ['deadbee', 'deadbee']);
  assert.deepEqual(both('REC->a << REC->far'), ['eadbeef0', 'deadbeef0']);
  assert.deepEqual(both('((u64)REC->a) << REC->far'), ['deadbeef0', 'deadbeef0']);
  assert.equal(both('REC->s >> REC->by')[0], 'fffffffffffffff0');
});

/** Names that no format defines: they print as fields. */
const UNKNOWN_TO_FORMATS = /jiffies|vmemmap_base|mc_event_error_type|"const" instead|control characters|a block|no pair of value|HZ/;

test('print fmt: the formats of this kernel compile, but for those that lean on what no format says', (t) => {
  const root = '/sys/kernel/tracing/events';
  if (!existsSync(join(root, 'header_page'))) return t.skip('no tracefs that can be read');
  const refused: string[] = [];
  let formats = 0;
  for (const system of readdirSync(root, { withFileTypes: true })) {
    if (!system.isDirectory()) continue;
    for (const event of readdirSync(join(root, system.name), { withFileTypes: true })) {
      if (!event.isDirectory()) continue;
      const format = parseEventFormat(readFileSync(join(root, system.name, event.name, 'format'), 'utf8'), system.name);
      assert.ok(typeof format !== 'string', String(format));
      formats++;
      for (const dialect of ['kernel', 'trace-cmd'] as const) {
        const parts = compilePrintFormat(format, contextOf(dialect));
        if (typeof parts === 'string' && !UNKNOWN_TO_FORMATS.test(parts)) refused.push(`${system.name}:${event.name}: ${parts}`);
      }
    }
  }
  t.diagnostic(`${formats} formats`);
  assert.deepEqual(refused, []);
});

test('print fmt: the syntax tree says what the text says', () => {
  const parsed = parsePrintFormat('"a" "b%d\\n", (u8)REC->x[1] + sizeof(int)');
  assert.ok(typeof parsed !== 'string');
  assert.equal(parsed.template, 'ab%d\\n');
  assert.equal(parsed.args.length, 1);
  assert.throws(() => compileNumber(parsed.args[0] as Expr, toArithmetic(makeEvent([], '"x"').format, contextOf('kernel'))), NotComputable);
});

test('print fmt: numbers below 0 are what each reader makes of them, as names of a value', () => {
  const format =
    '"%s", __print_symbolic(REC->root, { 1, "ROOT" }, { -6ULL, "LOG" }, { (-9), "RELOC" }, { 0xfffffffffffffff8ULL, "PLAIN" })';
  const shown = (root: bigint): string[] => (['kernel', 'trace-cmd'] as const).map((dialect) => show([u64('root', root)], format, dialect));
  assert.deepEqual(shown(1n), ['ROOT', 'ROOT']);
  // libtraceevent takes what it has computed for -1 where its text begins with a sign: -6 is no name, and -1 the first one.
  assert.deepEqual(shown(2n ** 64n - 6n), ['LOG', '0xfffffffffffffffa']);
  assert.deepEqual(shown(2n ** 64n - 9n), ['RELOC', '0xfffffffffffffff7']);
  assert.deepEqual(shown(2n ** 64n - 1n), ['0xffffffffffffffff', 'LOG']);
  assert.deepEqual(shown(2n ** 64n - 8n), ['PLAIN', 'PLAIN']);
});

test('print fmt: what does the same in each kernel is computed', () => {
  const fields = [u64('t', 2n ** 64n - 1500n), u64('v', 0x1122_3344_5566_7788n), u32('w', 0x1122_3344n), u32('on', 1n), u32('off', 0n)];
  assert.equal(show(fields, '"%lld %lld", ktime_to_us(REC->t), ktime_to_ns(REC->t)'), '-1 -1500');
  assert.equal(show(fields, '"%x %x", __builtin_bswap16(REC->w), __builtin_bswap32(REC->w)'), '4433 44332211');
  assert.equal(show(fields, '"%llx", __builtin_bswap64(REC->v)'), '8877665544332211');
  assert.equal(show(fields, '"%s %s", str_yes_no(REC->on), str_enabled_disabled(REC->off)'), 'yes disabled');
  const raw = [fixed('u8 raw[8]', Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))];
  const pointed =
    '"%x %x %llx", __le16_to_cpup((__le16 *)REC->raw), __be32_to_cpup((__be32 *)REC->raw), __le64_to_cpup((__le64 *)REC->raw)';
  assert.equal(show(raw, pointed), '201 1020304 807060504030201');
  assert.match(show(fields, '"%s", str_yes_no(REC->on)', 'trace-cmd'), /^! /);
});

test('print fmt: socket addresses of another family, and inside of an rxrpc one', () => {
  const address = Uint8Array.of(2, 0, 0x1b, 0xba, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);
  assert.equal(show([fixed('u8 addr[16]', address)], '"%pISp", REC->addr'), '127.0.0.1:7098');
  assert.equal(show([fixed('u8 addr[16]', new Uint8Array(16))], '"%pISp", REC->addr'), '(einval)');
  assert.equal(show([fixed('u8 addr[16]', new Uint8Array(16))], '"%pISp", REC->addr', 'trace-cmd'), '');
  const srx = Uint8Array.of(33, 0, 0, 0, 2, 0, 16, 0, ...address);
  assert.equal(show([fixed('struct sockaddr_rxrpc srx', srx)], '"%pISp", &REC->srx.transport'), '127.0.0.1:7098');
});

test('print fmt: a number for which nothing knows the name is told, once it is printed', () => {
  const format =
    '"%s %s", __print_flags(REC->v, "|", { 1, "A" }, { WHO_KNOWS, "B" }), __print_symbolic(REC->v, { 2, "C" }, { NOBODY, "D" })';
  const told = (v: bigint): string[] => {
    const notes: string[] = [];
    const { format: event, record } = makeEvent([u32('v', v)], format);
    const parts = compilePrintFormat(event, { ...contextOf('kernel'), noteNumber: (name, names) => notes.push(`${name}: ${names}`) });
    assert.ok(typeof parts !== 'string');
    const out = new TextOut(1);
    joinParts(parts)(record, out);
    return [Buffer.from(out.view()).toString('latin1'), ...notes];
  };
  assert.deepEqual(told(1n), ['A 0x1', 'e: D']);
  assert.deepEqual(told(2n), ['0x2 C', 'e: B']);
  assert.deepEqual(told(4n), ['0x4 0x4', 'e: B', 'e: D']);
});

test('print fmt: members of structures are shown where it is known where they lie', () => {
  const address = Uint8Array.of(0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
  const one = (declaration: string, expression: string): string => show([fixed(declaration, address)], `"%pI6c", ${expression}`);
  assert.equal(one('struct in6_addr a', '&REC->a.in6_u'), '2001:db8::1');
  assert.equal(one('struct in6_addr a', 'REC->a.in6_u.u6_addr8'), '2001:db8::1');
  assert.equal(one('union any a', '&REC->a.second'), '2001:db8::1');
  assert.match(one('struct other a', '&REC->a.second'), /^! nothing says where second lies in struct other/);
});
