/**
 * The functions, in WebAssembly, that write a body of a line by the steps of its program (report-wasm-memory.ts has their form).
 * `out` is where the next byte goes, and each function returns where it goes then, or FAILED. Numbers and texts of programs have
 * their room (`limit` is that much before the end); what is as long as the record says is measured against it first.
 */
import { DURATION_WIDTH, GRAPH_INDENT, MAX_DEPTH, NO_DURATION, NO_OVERHEAD, OVERHEADS } from './report-graph.ts';
import * as M from './report-wasm-memory.ts';
import { toBytes } from './text-out.ts';
import {
  block,
  br,
  brIf,
  call,
  choose,
  defineFunction,
  get,
  I32,
  i32,
  I64,
  i64,
  loop,
  ret,
  ret64,
  set,
  switchOn,
  tee,
  V128,
  v128,
  when,
  type Code,
} from '../base/wasm-assembler.ts';

export const FAILED = -1;
const { STEP, KIND, PADDED, OPERATION, REGISTER } = M;

/** Sixteen bytes to a store: 4 ns for what takes 9 in JavaScript, where a store has eight. */
const copy = defineFunction('copy', { from: I32, bytes: I32, out: I32 }, [I32], { at: I32 }, [
  loop(
    'next',
    v128.store(i32.add('out', 'at'), v128.load(i32.add('from', 'at'))),
    brIf('next', i32.ltU(tee('at', i32.add('at', 16)), 'bytes')),
  ),
  i32.add('out', 'bytes'),
]);

/** A text of the table, where it fits. */
const copyEntry = defineFunction('copyEntry', { entry: I32, out: I32, limit: I32 }, [I32], { bytes: I32 }, [
  set('bytes', i32.load('entry', M.ENTRY.length)),
  when(i32.gtU(i32.add('out', 'bytes'), 'limit'), [ret(FAILED)]),
  call('copy', i32.load('entry', M.ENTRY.text), 'bytes', 'out'),
]);

/** Bytes from `from` on up to a NUL, and not as far as `to`. */
const putString = defineFunction(
  'putString',
  { from: I32, to: I32, out: I32, limit: I32 },
  [I32],
  { bytes: V128, zeros: I32, count: I32 },
  [
    block(
      'done',
      loop(
        'next',
        brIf('done', i32.geU('from', 'to')),
        // Only what fits is of use, and a record may end anywhere.
        when(i32.gtU(i32.add('out', 16), 'limit'), [ret(FAILED)]),
        v128.store('out', tee('bytes', v128.load('from'))),
        set('zeros', v128.bitmask8(v128.eq8('bytes', v128.splat8(0)))),
        set('count', i32.ctz(i32.or('zeros', 1 << 16))),
        when(i32.gtU('count', i32.sub('to', 'from')), [ret(i32.add('out', i32.sub('to', 'from')))]),
        set('out', i32.add('out', 'count')),
        brIf('done', i32.ltU('count', 16)),
        set('from', i32.add('from', 16)),
        br('next'),
      ),
    ),
    get('out'),
  ],
);

/** As libtraceevent has it: white space and ASCII, up to a NUL or to the end. */
const isPrintable = defineFunction('isPrintable', { from: I32, to: I32 }, [I32], { bytes: V128, others: I32 }, [
  loop(
    'next',
    when(i32.geU('from', 'to'), [ret(1)]),
    set('bytes', v128.load('from')),
    set(
      'others',
      i32.xor(
        v128.bitmask8(
          v128.or(
            v128.ltU8(v128.sub8('bytes', v128.splat8(32)), v128.splat8(127 - 32)),
            v128.ltU8(v128.sub8('bytes', v128.splat8(9)), v128.splat8(14 - 9)),
          ),
        ),
        0xffff,
      ),
    ),
    when('others', [set('from', i32.add('from', i32.ctz('others'))), ret(i32.or(i32.geU('from', 'to'), i32.eqz(i32.load8U('from'))))]),
    set('from', i32.add('from', 16)),
    br('next'),
  ),
  i32.const(0),
]);

const ARRAY = 'ARRAY[';
const SEPARATOR = ', ';

/** `ARRAY[01, 00]`. */
const putBytes = defineFunction('putBytes', { from: I32, to: I32, out: I32, limit: I32 }, [I32], {}, [
  when(i32.gtU(i32.add('out', i32.add(ARRAY.length + 1, i32.shl(i32.sub('to', 'from'), 2))), 'limit'), [ret(FAILED)]),
  i64.store('out', littleEndian(ARRAY)),
  set('out', i32.add('out', ARRAY.length)),
  when(i32.ltU('from', 'to'), [
    loop(
      'next',
      i32.store('out', i32.or(i32.load16U(i32.shl(i32.load8U('from'), 1), M.HEX_PAIRS), Number(littleEndian(SEPARATOR)) << 16)),
      set('out', i32.add('out', 4)),
      brIf('next', i32.ltU(tee('from', i32.add('from', 1)), 'to')),
    ),
    set('out', i32.sub('out', SEPARATOR.length)),
  ]),
  i32.store8('out', 93),
  i32.add('out', 1),
]);

function putPair(at: Code, pair: Code): Code {
  return i32.store16(at, i32.load16U(i32.shl(pair, 1), M.DIGIT_PAIRS));
}

/** Exactly so many digits, zeros in front; of a number below 2^32. */
const putDigits = defineFunction('putDigits', { value: I32, digits: I32, out: I32 }, [I32], { at: I32, rest: I32 }, [
  set('at', i32.add('out', 'digits')),
  block(
    'last',
    loop(
      'next',
      brIf('last', i32.ltU(i32.sub('at', 'out'), 2)),
      set('rest', i32.divU('value', 100)),
      set('at', i32.sub('at', 2)),
      putPair(get('at'), i32.sub('value', i32.mul('rest', 100))),
      set('value', get('rest')),
      br('next'),
    ),
  ),
  when(i32.gtU('at', 'out'), [i32.store8('out', i32.add('value', 48))]),
  i32.add('out', 'digits'),
]);

function countDigits(value: string): Code {
  const bounds = [10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];
  return bounds.reduce<Code>((sum, bound) => i32.add(sum, i32.geU(value, bound)), i32.const(1));
}

const putNarrow = defineFunction('putNarrow', { value: I32, out: I32 }, [I32], {}, [
  when(i32.ltU('value', 10), [i32.store8('out', i32.add('value', 48)), ret(i32.add('out', 1))]),
  when(i32.ltU('value', 100), [putPair(get('out'), get('value')), ret(i32.add('out', 2))]),
  call('putDigits', 'value', countDigits('value'), 'out'),
]);

const BILLION = 1_000_000_000;

const putUnsigned = defineFunction('putUnsigned', { value: I64, out: I32 }, [I32], { upper: I64 }, [
  when(i64.leU('value', 0xffff_ffff), [ret(call('putNarrow', i32.wrap('value'), 'out'))]),
  set('upper', i64.divU('value', BILLION)),
  // Once more above 2^32 × 10^9.
  set('out', call('putUnsigned', 'upper', 'out')),
  call('putDigits', i32.wrap(i64.sub('value', i64.mul('upper', BILLION))), 9, 'out'),
]);

const putSigned = defineFunction('putSigned', { value: I64, out: I32 }, [I32], {}, [
  when(i64.ltS('value', 0), [i32.store8('out', 45), ret(call('putUnsigned', i64.sub(0, 'value'), i32.add('out', 1)))]),
  call('putUnsigned', 'value', 'out'),
]);

const HEX_DIGITS = [...toBytes('0123456789abcdef')];
const EACH_TWICE = Array.from({ length: 16 }, (_, i) => 7 - (i >> 1));
const EVEN_BYTES = Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? 255 : 0));
const LOW_HALVES = Array.from({ length: 16 }, () => 15);

/** The value is moved to the upper end, so that what is behind its digits is stored and not counted. */
const putHex = defineFunction('putHex', { value: I64, out: I32 }, [I32], { zeros: I64, bytes: V128 }, [
  set('zeros', i64.and(i64.clz('value'), 0x3c)),
  when(i64.eqz('value'), [set('zeros', i64.const(60))]),
  set('bytes', v128.splat64(i64.shl('value', 'zeros'))),
  set('bytes', v128.shuffle('bytes', EACH_TWICE)),
  set('bytes', v128.and(v128.select(v128.shr16U('bytes', 4), 'bytes', v128.const(EVEN_BYTES)), v128.const(LOW_HALVES))),
  v128.store('out', v128.swizzle(v128.const(HEX_DIGITS), 'bytes')),
  i32.sub(i32.add('out', 16), i32.wrap(i64.shrU('zeros', 2))),
]);

const putPointer = defineFunction('putPointer', { value: I64, out: I32 }, [I32], {}, [
  when(i64.eqz('value'), [i64.store('out', littleEndian('(nil)')), ret(i32.add('out', 5))]),
  i32.store16('out', Number(littleEndian('0x'))),
  call('putHex', 'value', i32.add('out', 2)),
]);

function littleEndian(text: string): bigint {
  return toBytes(text).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

function word(text: string): Code {
  return i32.const(Number(littleEndian(text)));
}

const fill = defineFunction('fill', { byte: I32, count: I32, out: I32 }, [I32], { end: I32 }, [
  set('end', i32.add('out', 'count')),
  block('done', loop('next', brIf('done', i32.geU('out', 'end')), i32.store8('out', 'byte'), set('out', i32.add('out', 1)), br('next'))),
  get('out'),
]);

function has(flag: number): Code {
  return i32.and('flags', flag);
}

/** With a width: sign or `0x`, zeros, digits; blanks in front of all or behind. */
const putPadded = defineFunction(
  'putPadded',
  { value: I64, width: I32, flags: I32, out: I32 },
  [I32],
  { isNegative: I32, prefix: I32, digits: I32, zeros: I32, blanks: I32 },
  [
    when(i32.and(has(PADDED.signed), i64.ltS('value', 0)), [set('isNegative', i32.const(1)), set('value', i64.sub(0, 'value'))]),
    when(i32.and(i32.ne(has(PADDED.alternate), 0), i64.ne('value', 0)), [set('prefix', i32.const(2))]),
    when(
      has(PADDED.hex),
      [set('digits', i32.sub(call('putHex', 'value', M.DIGITS), M.DIGITS))],
      [set('digits', i32.sub(call('putUnsigned', 'value', M.DIGITS), M.DIGITS))],
    ),
    set('blanks', i32.sub('width', i32.add('isNegative', i32.add('prefix', 'digits')))),
    when(i32.ltS('blanks', 0), [set('blanks', i32.const(0))]),
    when(i32.eq(has(PADDED.zero | PADDED.left), PADDED.zero), [set('zeros', get('blanks')), set('blanks', i32.const(0))]),
    when(i32.eqz(has(PADDED.left)), [set('out', call('fill', 32, 'blanks', 'out'))]),
    when('isNegative', [i32.store8('out', 45), set('out', i32.add('out', 1))]),
    when('prefix', [i32.store16('out', Number(littleEndian('0x'))), set('out', i32.add('out', 2))]),
    set('out', call('fill', 48, 'zeros', 'out')),
    set('out', call('copy', M.DIGITS, 'digits', 'out')),
    when(has(PADDED.left), [set('out', call('fill', 32, 'blanks', 'out'))]),
    get('out'),
  ],
);

const MAX_DURATION = 2n ** 53n;

/** 64 bits of a record; 0 where it is too short. */
export function loadOf(start: Code | string, end: Code | string, offset: Code | number): Code {
  const value = typeof offset === 'number' ? i64.load(start, offset) : i64.load(i32.add(start, offset));
  return choose(i32.geU(end, i32.add(start, i32.add(offset, 8))), value, i64.const(0));
}

/** Nanoseconds from one time to the other; 2^53 where JavaScript has to count them. */
const durationOf = defineFunction('durationOf', { from: I64, to: I64 }, [I64], {}, [
  choose(i32.and(i64.geU('to', 'from'), i64.ltU(i64.sub('to', 'from'), MAX_DURATION)), i64.sub('to', 'from'), i64.const(MAX_DURATION)),
]);

/** `+ 12.345 us   |  ` */
const putDuration = defineFunction('putDuration', { ns: I64, out: I32 }, [I32], { micros: I64, mark: I32 }, [
  when(i64.geU('ns', MAX_DURATION), [ret(FAILED)]),
  i32.store16('out', Number(littleEndian(NO_OVERHEAD))),
  ...OVERHEADS.toReversed().map(([least, text]) => when(i64.gtU('ns', least), [i32.store16('out', Number(littleEndian(text)))])),
  set('mark', i32.add('out', 2)),
  set('micros', i64.divU('ns', 1000)),
  set('out', call('putUnsigned', 'micros', 'mark')),
  when(i32.ltU(i32.sub('out', 'mark'), DURATION_WIDTH), [
    i32.store8('out', 46),
    set('out', call('putDigits', i32.wrap(i64.sub('ns', i64.mul('micros', 1000))), 3, i32.add('out', 1))),
  ]),
  set('mark', i32.sub('out', 'mark')),
  i32.store('out', Number(littleEndian(' us '))),
  set('out', i32.add('out', 4)),
  when(i32.ltU('mark', DURATION_WIDTH), [set('out', call('fill', 32, i32.sub(DURATION_WIDTH, 'mark'), 'out'))]),
  i32.store('out', Number(littleEndian('|  '))),
  i32.add('out', 3),
]);

/** Blanks for the depth of a call. */
const putIndent = defineFunction('putIndent', { depth: I32, out: I32 }, [I32], {}, [
  when(i32.ltS('depth', 1), [ret('out')]),
  call('fill', 32, i32.mul(choose(i32.gtS('depth', MAX_DEPTH), i32.const(MAX_DEPTH), get('depth')), GRAPH_INDENT), 'out'),
]);

/** Bytes of a number to the lower end, and zeros above them. */
function cut(value: Code, shift: Code): Code {
  return i64.shrU(i64.shl(value, i64.extendU(shift)), i64.extendU(shift));
}

function flag(test: Code): Code {
  return i64.extendU(test);
}

/** What the two numbers on top become. By 0 the kernel would trap, so it never happens there: 0. */
const COMBINATIONS: readonly (readonly [number, Code])[] = [
  [OPERATION['+'], i64.add('x', 'y')],
  [OPERATION['-'], i64.sub('x', 'y')],
  [OPERATION['*'], i64.mul('x', 'y')],
  [OPERATION['/'], choose(i64.eqz('y'), i64.const(0), i64.divU('x', i64.or('y', flag(i64.eqz('y')))))],
  [OPERATION['%'], choose(i64.eqz('y'), i64.const(0), i64.remU('x', i64.or('y', flag(i64.eqz('y')))))],
  [OPERATION['<<'], i64.shl('x', 'y')],
  [OPERATION['>>'], i64.shrU('x', 'y')],
  [OPERATION['&'], i64.and('x', 'y')],
  [OPERATION['|'], i64.or('x', 'y')],
  [OPERATION['^'], i64.xor('x', 'y')],
  [OPERATION['=='], flag(i64.eq('x', 'y'))],
  [OPERATION['!='], flag(i64.ne('x', 'y'))],
  [OPERATION['<'], flag(i64.ltU('x', 'y'))],
  [OPERATION['>'], flag(i64.gtU('x', 'y'))],
  [OPERATION['<='], flag(i64.leU('x', 'y'))],
  [OPERATION['>='], flag(i64.geU('x', 'y'))],
  [OPERATION['&&'], flag(i32.and(i64.ne('x', 0), i64.ne('y', 0)))],
  [OPERATION['||'], flag(i32.or(i64.ne('x', 0), i64.ne('y', 0)))],
];

/** A number by operations that take others from a stack; 64 bits without a sign, as libtraceevent computes. */
const compute = defineFunction('compute', { operation: I32, start: I32, end: I32 }, [I64], { top: I32, kind: I32, x: I64, y: I64 }, [
  set('top', i32.const(M.STACK)),
  loop(
    'next',
    set('kind', i32.load('operation')),
    set('y', i64.load('operation', 8)),
    when(i32.eq('kind', OPERATION.constant), [i64.store('top', 'y'), set('top', i32.add('top', 8))]),
    when(i32.eq('kind', OPERATION.load), [
      when(
        i32.gtU(i32.add('start', i32.wrap('y')), 'end'),
        [i64.store('top', 0)],
        [i64.store('top', cut(i64.load(i32.add('start', i32.load('operation', 4))), i32.wrap(i64.shrU('y', 32))))],
      ),
      set('top', i32.add('top', 8)),
    ]),
    when(i32.geU('kind', OPERATION['0-']), [
      set('top', i32.sub('top', 8)),
      set('y', i64.load('top')),
      when(
        i32.ltU('kind', OPERATION.select),
        [
          when(i32.eq('kind', OPERATION['0-']), [set('y', i64.sub(0, 'y'))]),
          when(i32.eq('kind', OPERATION['~']), [set('y', i64.xor('y', -1))]),
          when(i32.eq('kind', OPERATION['!']), [set('y', flag(i64.eqz('y')))]),
        ],
        [
          set('top', i32.sub('top', 8)),
          set('x', i64.load('top')),
          switchOn(i32.sub('kind', OPERATION.select), [
            // Test, yes, no.
            [set('top', i32.sub('top', 8)), set('y', choose(i64.ne(i64.load('top'), 0), get('x'), get('y')))],
            ...COMBINATIONS.map(([, combine]) => [set('y', combine)]),
          ]),
        ],
      ),
      i64.store('top', 'y'),
      set('top', i32.add('top', 8)),
    ]),
    set('operation', i32.add('operation', M.OPERATION_BYTES)),
    brIf('next', i32.ne('kind', OPERATION.end)),
  ),
  i64.load(i32.sub('top', 8)),
]);

const valueOf = defineFunction('valueOf', { step: I32, start: I32, end: I32 }, [I64], { at: I32, least: I32 }, [
  set('at', i32.load('step', STEP.at)),
  set('least', i32.load('step', STEP.least)),
  when(i32.eq('at', M.COMPUTED), [ret64(call('compute', 'least', 'start', 'end'))]),
  when(i32.gtU(i32.add('start', 'least'), 'end'), [ret64(0)]),
  cut(i64.load(i32.add('start', 'at')), i32.load('step', STEP.shift)),
]);

/** Texts by tag and value, with open addressing: where it is, or the free entry that it would be in. */
const placeOf = defineFunction('placeOf', { tag: I32, value: I64 }, [I32], { entry: I32, number: I32 }, [
  set(
    'number',
    i32.wrap(i64.shrU(i64.mul(i64.add('value', i64.mul(i64.extendU('tag'), 0x9e37_79b9_7f4a_7c15n)), 0xd6e8_feb8_6659_fd93n), 48)),
  ),
  loop(
    'next',
    set('entry', i32.add(M.TABLE, i32.mul('number', M.ENTRY_BYTES))),
    when(i32.eqz(i32.load('entry', M.ENTRY.tag)), [ret('entry')]),
    when(i32.and(i32.eq(i32.load('entry', M.ENTRY.tag), 'tag'), i64.eq(i64.load('entry', M.ENTRY.value), 'value')), [ret('entry')]),
    set('number', i32.and(i32.add('number', 1), M.ENTRIES - 1)),
    br('next'),
  ),
  i32.const(0),
]);

/** The entry of a text; 0 where there is none, or none that holds for this window. */
const find = defineFunction('find', { tag: I32, value: I64 }, [I32], { entry: I32, epoch: I32 }, [
  set('entry', call('placeOf', 'tag', 'value')),
  when(i32.eqz(i32.load('entry', M.ENTRY.tag)), [ret(0)]),
  set('epoch', i32.load('entry', M.ENTRY.epoch)),
  choose(i32.and(i32.ne('epoch', 0), i32.ne('epoch', i32.load(M.REGISTERS, M.REGISTER.epoch))), i32.const(0), get('entry')),
]);

const placeOfWords = defineFunction('placeOfWords', { tag: I32, low: I32, high: I32 }, [I32], {}, [
  call('placeOf', 'tag', i64.or(i64.extendU('low'), i64.shl(i64.extendU('high'), 32))),
]);

function at(offset: Code): Code {
  return i32.add('start', offset);
}

function field(offset: number): Code {
  return i32.load('step', offset);
}

const value = call('valueOf', 'step', 'start', 'end');
const shown = cut(value, field(STEP.a));
const signedShown = i64.shrS(i64.shl(value, i64.extendU(field(STEP.a))), i64.extendU(field(STEP.a)));

/** `comm[16]`: from and to, or 0 for both where it is not inside of the record. */
const locateFixed: readonly Code[] = [
  set('from', at(field(STEP.a))),
  set('to', choose(field(STEP.b), i32.add('from', field(STEP.b)), get('end'))),
  when(i32.gtU('to', 'end'), [set('from', i32.const(0)), set('to', i32.const(0))]),
];

const locateDynamic: readonly Code[] = [
  set('from', i32.const(0)),
  set('to', i32.const(0)),
  when(i32.geU('end', i32.add(at(field(STEP.a)), 4)), [
    set('place', i32.load(at(field(STEP.a)))),
    set('from', at(i32.add(field(STEP.b), i32.and('place', 0xffff)))),
    set('to', i32.add('from', i32.shrU('place', 16))),
    when(i32.gtU('to', 'end'), [set('from', i32.const(0)), set('to', i32.const(0))]),
  ]),
];

/** A field of `-R`: what of it is in the record; nothing, where nothing is. */
const locateField: readonly Code[] = [
  set('from', get('start')),
  set('to', get('start')),
  when(
    field(STEP.c),
    [...locateDynamic, when(i32.eqz('from'), [set('from', get('start')), set('to', get('start'))])],
    [
      when(i32.or(i32.eqz(field(STEP.b)), i32.ltU(at(field(STEP.a)), 'end')), [
        set('from', at(field(STEP.a))),
        set('to', i32.add('from', field(STEP.b))),
        when(i32.and(i32.gtU('to', 'end'), i32.ne(field(STEP.b), 0)), [set('to', get('end'))]),
      ]),
    ],
  ),
];

const charactersArm: readonly Code[] = [
  ...locateField,
  // From then on the field is no text: a window in which that happens is left to JavaScript.
  when(i32.eqz(call('isPrintable', 'from', 'to')), [ret(FAILED)]),
  // Up to a NUL, which may lie behind the field.
  set('out', call('putString', 'from', 'end', 'out', 'limit')),
];

const string = set('out', call('putString', 'from', 'to', 'out', 'limit'));

const keptArm: readonly Code[] = [
  set('number', value),
  when(i32.eqz(tee('entry', call('find', field(STEP.a), 'number'))), [
    set('entry', call('makeText', field(STEP.a), i32.wrap('number'), i32.wrap(i64.shrU('number', 32)), 'start', 'end')),
    when(i32.eqz('entry'), [ret(FAILED)]),
  ]),
  set('out', call('copyEntry', 'entry', 'out', 'limit')),
];

const taskArm: readonly Code[] = [
  set('number', value),
  ...locateFixed,
  when(
    i32.and(i32.ne('from', 0), i32.eqz(call('find', M.TAG_KNOWN, i64.and('number', 0xffff_ffff)))),
    // A name that may have to be told.
    [set('out', call('putOther', field(STEP.c), 'start', 'end', 'out', 'limit'))],
    [
      when('from', [string, when(i32.eq('out', FAILED), [ret(FAILED)]), i32.store8('out', 58), set('out', i32.add('out', 1))]),
      set('out', call('putSigned', 'number', 'out')),
    ],
  ),
];

const indent = [when(i32.ne('out', FAILED), [set('out', call('putIndent', i32.wrap(value), 'out'))])];

const calledArm: readonly Code[] = [
  when(
    i32.load(M.REGISTERS, REGISTER.isLeaf),
    [set('out', call('putDuration', i64.load(M.REGISTERS, REGISTER.duration), 'out'))],
    [
      i64.store('out', littleEndian(NO_DURATION.slice(0, 8))),
      i64.store('out', littleEndian(NO_DURATION.slice(8)), 8),
      set('out', i32.add('out', NO_DURATION.length)),
    ],
  ),
  ...indent,
];

const returnedArm: readonly Code[] = [
  set('number', call('durationOf', loadOf('start', 'end', field(STEP.a)), loadOf('start', 'end', field(STEP.b)))),
  set('out', call('putDuration', 'number', 'out')),
  ...indent,
];

const braceArm: readonly Code[] = [
  i32.store('out', choose(i32.load(M.REGISTERS, REGISTER.isLeaf), word('();'), word('() {'))),
  set('out', i32.sub(i32.add('out', 4), i32.load(M.REGISTERS, REGISTER.isLeaf))),
];

/** By the numbers of KIND. */
const ARMS: readonly (readonly [number, readonly Code[]])[] = [
  [KIND.end, [ret('out')]],
  [KIND.unsigned, [set('out', call('putUnsigned', shown, 'out'))]],
  [KIND.signed, [set('out', call('putSigned', signedShown, 'out'))]],
  [KIND.hex, [set('out', call('putHex', shown, 'out'))]],
  [KIND.pointer, [set('out', call('putPointer', value, 'out'))]],
  [KIND.kept, keptArm],
  [KIND.fixed, [...locateFixed, string]],
  [KIND.located, [...locateDynamic, string]],
  [KIND.task, taskArm],
  [
    KIND.padded,
    [
      set('number', choose(i32.and(field(STEP.c), PADDED.signed), signedShown, shown)),
      set('out', call('putPadded', 'number', field(STEP.b), field(STEP.c), 'out')),
    ],
  ],
  [KIND.bytes, [...locateField, set('out', call('putBytes', 'from', 'to', 'out', 'limit'))]],
  [KIND.characters, charactersArm],
  [KIND.other, [set('out', call('putOther', field(STEP.a), 'start', 'end', 'out', 'limit'))]],
  [KIND.called, calledArm],
  [KIND.returned, returnedArm],
  [KIND.brace, braceArm],
];

const putBody = defineFunction(
  'putBody',
  { step: I32, start: I32, end: I32, out: I32, limit: I32 },
  [I32],
  { from: I32, to: I32, place: I32, entry: I32, number: I64 },
  [
    loop(
      'next',
      when(field(STEP.length), [set('out', call('copy', field(STEP.text), field(STEP.length), 'out'))]),
      switchOn(
        field(STEP.kind),
        ARMS.map(([, arm]) => arm),
      ),
      when(i32.eq('out', FAILED), [ret(FAILED)]),
      set('step', i32.add('step', M.STEP_BYTES)),
      br('next'),
    ),
    i32.const(FAILED),
  ],
);

export const LINE_FUNCTIONS = [
  copy,
  copyEntry,
  putString,
  isPrintable,
  putBytes,
  putDigits,
  putNarrow,
  putUnsigned,
  putSigned,
  putHex,
  putPointer,
  fill,
  putPadded,
  durationOf,
  putDuration,
  putIndent,
  compute,
  valueOf,
  placeOf,
  find,
  placeOfWords,
  putBody,
];
