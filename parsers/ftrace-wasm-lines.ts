/**
 * The functions, in WebAssembly, that read a line's parts: numbers, labels, repeated texts, the body by its template
 * (ftrace-wasm-memory.ts has their form). What does not fit is 0: no address is.
 */
import {
  block,
  br,
  brIf,
  call,
  defineFunction,
  get,
  I32,
  i32,
  I64,
  i64,
  loop,
  ret,
  retBoth,
  set,
  setBoth,
  switchOn,
  tee,
  V128,
  v128,
  when,
  type Code,
} from '../base/wasm-assembler.ts';
import * as M from './ftrace-wasm-memory.ts';

const { REGISTER, SLOT, STEP, LANE } = M;

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
const SPACE_OPEN = 0x2820;
const CLOSE_PAREN = 41;
const DASH = 45;
const HEX_PREFIX = 0x7830;
const POINTER_DIGITS = 16;
const MOST_DECIMAL_DIGITS = 15;
const ZEROS = 0x3030_3030_3030_3030n;
/** Carries into the top bit of a byte above 9. */
const ABOVE_NINE = 0x7676_7676_7676_7676n;
const TOP_BITS = 0x8080_8080_8080_8080n;

export function register(at: number): Code {
  return i32.load(0, at);
}

export function setRegister(at: number, value: Code | string | number): Code {
  return i32.store(0, value, at);
}

/** The byte sixteen times. */
export function all16(byte: number): Code {
  return v128.const(Array.from({ length: 16 }, () => byte));
}

/** Top bits of the bytes that are no digits, from the first of these on; `word` has zeros taken off. */
function marksOf(word: string): Code {
  return i64.and(i64.or(i64.add(word, ABOVE_NINE), word), TOP_BITS);
}

/** Eight digits, the first one in the low byte, each as its value: pairs, fours, all. */
function toValue(word: Code): Code {
  const pairs = i64.shrU(i64.mul(i64.and(word, 0x0f0f_0f0f_0f0f_0f0fn), 2561), 8);
  const fours = i64.shrU(i64.mul(i64.and(pairs, 0x00ff_00ff_00ff_00ffn), 6_553_601), 16);
  return i64.shrU(i64.mul(i64.and(fours, 0x0000_ffff_0000_ffffn), 42_949_672_960_001n), 32);
}

/** The first `count` of eight digits, which are 1 to 7. */
function toPart(word: string, count: string): Code {
  return toValue(i64.shl(word, i64.sub(64, i64.shl(i64.extendU(get(count)), 3))));
}

/** Where a number of up to 16 digits ends, and its value; `at` where there is none, 0 where it is longer. */
const digits = defineFunction('digits', { at: I32 }, [I32, I64], { word: I64, marks: I64, second: I64, count: I32 }, [
  set('word', i64.xor(i64.load('at'), ZEROS)),
  set('marks', marksOf('word')),
  when(i64.ne('marks', 0), [
    set('count', i32.wrap(i64.shrU(i64.ctz('marks'), 3))),
    when(i32.eqz('count'), [retBoth('at', 0)]),
    retBoth(i32.add('at', 'count'), toPart('word', 'count')),
  ]),
  set('second', i64.xor(i64.load('at', 8), ZEROS)),
  set('marks', marksOf('second')),
  when(i64.eqz('marks'), [
    when(i32.ltU(i32.sub(i32.load8U('at', 16), 48), 10), [retBoth(0, 0)]),
    retBoth(i32.add('at', 16), i64.add(i64.mul(toValue(get('word')), 100_000_000), toValue(get('second')))),
  ]),
  set('count', i32.wrap(i64.shrU(i64.ctz('marks'), 3))),
  set('word', toValue(get('word'))),
  when('count', [set('word', i64.add(i64.mul('word', i64.load(i32.shl('count', 3), M.POWERS)), toPart('second', 'count')))]),
  retBoth(i32.add(i32.add('at', 8), 'count'), 'word'),
]);

/** A decimal of up to 15 digits to `out`; its end. */
const decimal = defineFunction('decimal', { at: I32, out: I32 }, [I32], { from: I32, end: I32, value: I64 }, [
  set('from', i32.add('at', i32.eq(i32.load8U('at'), DASH))),
  setBoth('end', 'value', call('digits', 'from')),
  // Of 0, which stands for too many, as well.
  when(i32.gtU(i32.sub(i32.sub('end', 'from'), 1), MOST_DECIMAL_DIGITS - 1), [ret(0)]),
  when(i32.ne('from', 'at'), [set('value', i64.sub(0, 'value'))]),
  i64.store('out', 'value'),
  get('end'),
]);

const LOW_BYTES = Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? 255 : 0));
const REVERSED = Array.from({ length: 16 }, (_, i) => 7 - (i & 7));

/** `0x1f`, 16 bare digits, or a lone digit below ten, to `out`; its end. */
const hex = defineFunction('hex', { at: I32, out: I32 }, [I32], { from: I32, count: I32, bytes: V128, letters: V128, isDigit: V128 }, [
  set('from', i32.add('at', i32.shl(i32.eq(i32.load16U('at'), HEX_PREFIX), 1))),
  set('bytes', v128.load('from')),
  set('letters', v128.ltU8(v128.sub8(v128.or('bytes', all16(0x20)), all16(97)), all16(6))),
  set('isDigit', v128.ltU8(v128.sub8('bytes', all16(48)), all16(10))),
  set('count', i32.ctz(i32.xor(v128.bitmask8(v128.or('letters', 'isDigit')), -1))),
  when(i32.eqz('count'), [ret(0)]),
  when(i32.eq('from', 'at'), [
    when(i32.ne('count', POINTER_DIGITS), [when(i32.gtU('count', 1), [ret(0)]), when(i32.gtU(i32.load8U('at'), 57), [ret(0)])]),
  ]),
  when(i32.eq('count', 16), [when(call('isHexDigit', i32.load8U('from', 16)), [ret(0)])]),
  set('bytes', v128.add8(v128.and('bytes', all16(15)), v128.and('letters', all16(9)))),
  set('bytes', v128.swizzle('bytes', v128.load(i32.shl('count', 4), M.ALIGNMENTS))),
  set('bytes', v128.and(v128.or(v128.shl16('bytes', 4), v128.shr16U('bytes', 8)), v128.const(LOW_BYTES))),
  set('bytes', v128.narrow16U('bytes', 'bytes')),
  i64.store('out', v128.low64(v128.shuffle('bytes', REVERSED))),
  i32.add('from', 'count'),
]);

const isHexDigit = defineFunction('isHexDigit', { byte: I32 }, [I32], {}, [
  i32.or(i32.ltU(i32.sub('byte', 48), 10), i32.ltU(i32.sub(i32.or('byte', 0x20), 97), 6)),
]);

/** `0x7a54 (31316)`, of which the hexadecimal or (`isDecimal`) the decimal counts. */
const twice = defineFunction('twice', { at: I32, out: I32, isDecimal: I32 }, [I32], { p: I32, value: I64 }, [
  set('p', call('hex', 'at', 'out')),
  when(i32.eqz('p'), [ret(0)]),
  when(i32.ne(i32.load16U('p'), SPACE_OPEN), [ret(0)]),
  set('p', i32.add('p', 2)),
  when(
    'isDecimal',
    [set('p', call('decimal', 'p', 'out')), when(i32.eqz('p'), [ret(0)])],
    [
      set('value', i64.load('out')),
      // Its own decimal may be longer than a number that is read.
      loop(
        'next',
        when(i32.or(i32.eq(i32.load8U('p'), DASH), i32.ltU(i32.sub(i32.load8U('p'), 48), 10)), [set('p', i32.add('p', 1)), br('next')]),
      ),
    ],
  ),
  when(i32.ne(i32.load8U('p'), CLOSE_PAREN), [ret(0)]),
  i32.add('p', 1),
]);

/** Do the chunks of mask and bytes stand at `at`? */
const hasChunks = defineFunction('hasChunks', { at: I32, chunk: I32, count: I32 }, [I32], { end: I32 }, [
  set('end', i32.add('chunk', i32.mul('count', M.CHUNK_BYTES))),
  loop(
    'next',
    when(i32.ltU('chunk', 'end'), [
      when(v128.anyTrue(v128.xor(v128.and(v128.load('at'), v128.load('chunk')), v128.load('chunk', 16))), [ret(0)]),
      set('at', i32.add('at', 16)),
      set('chunk', i32.add('chunk', M.CHUNK_BYTES)),
      br('next'),
    ]),
  ),
  i32.const(1),
]);

function hasLabel(at: string | Code, step: string): Code {
  return call('hasChunks', at, i32.add(step, M.STEP_HEAD_BYTES), i32.load(step, STEP.chunks));
}

/** The newline from `at`; 0 where there is none below `limit`, or a carriage return in front of it. */
const findLineEnd = defineFunction('findLineEnd', { at: I32, limit: I32 }, [I32], { p: I32, hits: I32 }, [
  set('p', get('at')),
  loop(
    'next',
    when(i32.eqz(tee('hits', v128.bitmask8(v128.eq8(v128.load('p'), all16(NEWLINE))))), [
      set('p', i32.add('p', 16)),
      brIf('next', i32.ltU('p', 'limit')),
      ret(0),
    ]),
  ),
  set('p', i32.add('p', i32.ctz('hits'))),
  when(i32.geU('p', 'limit'), [ret(0)]),
  when(i32.gtU('p', 'at'), [when(i32.eq(i32.load8U(i32.sub('p', 1)), CARRIAGE_RETURN), [ret(0)])]),
  get('p'),
]);

/** Where the label of `step` stands from `at` on in the line. */
const findLabel = defineFunction(
  'findLabel',
  { at: I32, limit: I32, step: I32 },
  [I32],
  { p: I32, hits: I32, first: I32, found: I32, bytes: V128, firsts: V128 },
  [
    set('p', get('at')),
    set('first', i32.load('step', STEP.first)),
    set('firsts', v128.splat8('first')),
    loop(
      'next',
      set('bytes', v128.load('p')),
      set('hits', v128.bitmask8(v128.or(v128.eq8('bytes', 'firsts'), v128.eq8('bytes', all16(NEWLINE))))),
      loop(
        'hit',
        when('hits', [
          set('found', i32.add('p', i32.ctz('hits'))),
          when(i32.geU('found', 'limit'), [ret(0)]),
          when(i32.eq(i32.load8U('found'), 'first'), [when(hasLabel('found', 'step'), [ret('found')])]),
          when(i32.eq(i32.load8U('found'), NEWLINE), [ret(0)]),
          set('hits', i32.and('hits', i32.sub('hits', 1))),
          br('hit'),
        ]),
      ),
      set('p', i32.add('p', 16)),
      brIf('next', i32.ltU('p', 'limit')),
    ),
    i32.const(0),
  ],
);

/** By its length and its ends; `seed` tells apart what must not be found as another. */
const hashText = defineFunction('hashText', { at: I32, bytes: I32, seed: I32 }, [I64], { first: I64, last: I64 }, [
  set('first', i64.load('at')),
  when(
    i32.ltU('bytes', 8),
    [set('first', i64.and('first', i64.sub(i64.shl(1, i64.shl(i64.extendU(get('bytes')), 3)), 1)))],
    [set('last', i64.load(i32.sub(i32.add('at', 'bytes'), 8)))],
  ),
  set(
    'first',
    i64.add(
      i64.xor('first', i64.mul('last', 0x9e37_79b9_7f4a_7c15n)),
      i64.mul(i64.extendU(i32.add('bytes', i32.shl('seed', 16))), 0x2545_f491_4f6c_dd1dn),
    ),
  ),
  set('first', i64.mul(i64.xor('first', i64.shrU('first', 32)), 0xd6e8_feb8_6659_fd93n)),
  i64.xor('first', i64.shrU('first', 29)),
]);

/** Are `bytes` bytes at `left` and `right` the same? */
const isSame = defineFunction('isSame', { left: I32, right: I32, bytes: I32 }, [I32], {}, [
  loop(
    'next',
    when(i32.gtU('bytes', 16), [
      when(v128.anyTrue(v128.xor(v128.load('left'), v128.load('right'))), [ret(0)]),
      set('left', i32.add('left', 16)),
      set('right', i32.add('right', 16)),
      set('bytes', i32.sub('bytes', 16)),
      br('next'),
    ]),
  ),
  i32.eqz(v128.anyTrue(v128.and(v128.xor(v128.load('left'), v128.load('right')), v128.load(i32.shl('bytes', 4), M.FIRST_MASKS)))),
]);

/** The dictionary's id of a text: from the slots, or from JavaScript, which has the dictionary. */
const intern = defineFunction(
  'intern',
  { at: I32, bytes: I32 },
  [I32],
  { hash: I64, slot: I32, tries: I32, free: I32, id: I32, text: I32 },
  [
    when(i32.eqz('bytes'), [ret(0)]),
    when(i32.gtU('bytes', M.MOST_TEXT_BYTES), [ret(call('internNew', 'at', 'bytes'))]),
    set('hash', call('hashText', 'at', 'bytes', 0)),
    set('slot', i32.add(M.SLOTS, i32.mul(i32.and(i32.wrap(get('hash')), M.SLOT_COUNT - 1), M.SLOT_BYTES))),
    set('free', get('slot')),
    block(
      'missing',
      loop(
        'next',
        when(i32.ne(i32.load('slot', SLOT.epoch), register(REGISTER.epoch)), [set('free', get('slot')), br('missing')]),
        when(i64.eq(i64.load('slot', SLOT.hash), 'hash'), [
          when(i32.eq(i32.load('slot', SLOT.bytes), 'bytes'), [
            when(call('isSame', 'at', i32.load('slot', SLOT.text), 'bytes'), [ret(i32.load('slot', SLOT.id))]),
          ]),
        ]),
        set('slot', i32.add('slot', M.SLOT_BYTES)),
        brIf('next', i32.ltU(tee('tries', i32.add('tries', 1)), M.SLOT_TRIES)),
      ),
    ),
    set('id', call('internNew', 'at', 'bytes')),
    set('text', register(REGISTER.textsEnd)),
    when(i32.gtU(i32.add('text', i32.add('bytes', 32)), M.TEXTS_END), [
      setRegister(REGISTER.epoch, i32.add(register(REGISTER.epoch), 1)),
      set('text', i32.const(M.TEXTS)),
    ]),
    setRegister(REGISTER.textsEnd, i32.add('text', 'bytes')),
    i64.store('free', 'hash', SLOT.hash),
    i32.store('free', 'bytes', SLOT.bytes),
    i32.store('free', 'id', SLOT.id),
    i32.store('free', 'text', SLOT.text),
    i32.store('free', register(REGISTER.epoch), SLOT.epoch),
    set('slot', i32.const(0)),
    loop(
      'copy',
      v128.store(i32.add('text', 'slot'), v128.load(i32.add('at', 'slot'))),
      brIf('copy', i32.ltU(tee('slot', i32.add('slot', 16)), 'bytes')),
    ),
    get('id'),
  ],
);

/** Puts down a text of the line: its id is asked for once all of the line fits. */
function putSpan(start: string, end: string): Code[] {
  return [
    i32.store('span', start),
    i32.store('span', end, 4),
    i32.store('span', i32.load('step', STEP.column), 8),
    set('span', i32.add('span', M.SPAN_BYTES)),
  ];
}

/** A number to its column. */
function number(reader: string, ...more: number[]): Code[] {
  return [set('p', call(reader, 'p', i32.add(i32.load('step', STEP.column), i32.shl('row', 3)), ...more)), when(i32.eqz('p'), [ret(0)])];
}

/** Splits the text at `at` as `runProgram` of ftrace-program.ts does: numbers go to row `row` of their columns, places of texts to SPANS. */
const readBody = defineFunction(
  'readBody',
  { template: I32, at: I32, limit: I32 },
  [I32],
  { p: I32, step: I32, next: I32, row: I32, span: I32, end: I32 },
  [
    set('p', get('at')),
    set('row', i32.load(i32.load('template', M.TEMPLATE.lane), LANE.rows)),
    set('span', i32.const(M.SPANS)),
    set('step', i32.add('template', M.TEMPLATE_HEAD_BYTES)),
    block(
      'done',
      loop(
        'label',
        when(i32.gtU('p', 'limit'), [ret(0)]),
        when(i32.eqz(hasLabel('p', 'step')), [ret(0)]),
        loop(
          'value',
          set('p', i32.add('p', i32.load('step', STEP.bytes))),
          set('next', i32.load('step', STEP.next)),
          switchOn(i32.load('step', STEP.form), [
            [
              when(i32.eq(i32.load('next', STEP.form), M.FORM_END), [
                set('end', call('findLineEnd', 'p', 'limit')),
                when(i32.eqz('end'), [ret(0)]),
                set('row', i32.sub('end', i32.load('next', STEP.bytes))),
                when(i32.ltU('row', 'p'), [ret(0)]),
                when(i32.eqz(hasLabel('row', 'next')), [ret(0)]),
                ...putSpan('p', 'row'),
                br('done'),
              ]),
              set('end', call('findLabel', 'p', 'limit', 'next')),
              when(i32.eqz('end'), [ret(0)]),
              ...putSpan('p', 'end'),
              set('p', get('end')),
              set('step', get('next')),
              br('value'),
            ],
            number('decimal'),
            number('hex'),
            number('twice', 0),
            number('twice', 1),
            [when(i32.ne(i32.load8U('p'), NEWLINE), [ret(0)]), set('end', get('p')), br('done')],
          ]),
        ),
        set('step', get('next')),
        br('label'),
      ),
    ),
    setRegister(REGISTER.spansEnd, 'span'),
    get('end'),
  ],
);

export const LINE_FUNCTIONS = [
  digits,
  isHexDigit,
  decimal,
  hex,
  twice,
  hasChunks,
  findLineEnd,
  findLabel,
  hashText,
  isSame,
  intern,
  readBody,
];
