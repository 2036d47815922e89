/**
 * The walk over lines of ftrace text, in WebAssembly: prefix, name of the event, its templates, a row in the lane of the one that fits
 * (ftrace-wasm-memory.ts draws the memory, ftrace-text.ts the lines). A line that is not exactly so ends the walk.
 *
 *               bash-11843   (  11843) [001] d..2.  2351.415237: sched_switch: prev_comm=bash …
 *   |           +- 16                  +-- found by its bracket where the dash is not at 16
 *         sh-28326     0d..2. 63738507142us : …            latency-format: the dash is at 8
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
  set,
  setBoth,
  tee,
  V128,
  v128,
  when,
  type Code,
} from '../base/wasm-assembler.ts';
import { TIME } from './ftrace-prefix.ts';
import * as M from './ftrace-wasm-memory.ts';
import { all16, register, setRegister } from './ftrace-wasm-lines.ts';

const { REGISTER, CPU, LANE, NAME, EVENT, REASON } = M;

const NEWLINE = 10;
const SPACE = 32;
const OPEN_PAREN = 40;
const CLOSE_PAREN = 41;
const DASH = 45;
const DOT = 46;
const COLON = 58;
const LESS = 60;
const OPEN = 91;
const CLOSE = 93;
/** `...>`, `: `, `->`, `us`. */
const UNKNOWN = 0x3e2e_2e2e;
const COLON_SPACE = 0x203a;
const ARROW = 0x3e2d;
const US = 0x7375;
const DASH_COLUMN = 16;
const SHORT_DASH_COLUMN = 8;
const MOST_DASH_COLUMN = 80;
const MOST_MICROS = 9_000_000_000_000n;
const GLUED_FLAGS = 5;
const MOST_SECONDS_DIGITS = 10;
const MOST_NAME_BYTES = 128;
const MOST_SPACES = 64;

function byteAt(at: string, offset = 0): Code {
  return i32.load8U(at, offset);
}

function isByte(at: string, byte: number, offset = 0): Code {
  return i32.eq(byteAt(at, offset), byte);
}

const fail = ret(0);

/** Behind the spaces at `p`, of which there are not many. */
function skipSpaces(p: string): Code {
  return loop('space', when(isByte(p, SPACE), [set(p, i32.add(p, 1)), br('space')]));
}

/** Digits at `p` to `value`, and `p` behind them; fails without any. */
function readDigits(p: string): Code[] {
  return [setBoth('end', 'value', call('digits', p)), when(i32.leU('end', p), [fail]), set(p, get('end'))];
}

/** `2351.415237: ` or `6114158012007: ` at `p`, of a kind that is taken; where the body begins. `us` only in latency-format. */
const readTime = defineFunction(
  'readTime',
  { p: I32, isLatency: I32 },
  [I32],
  { end: I32, value: I64, seconds: I64, from: I32, kind: I32 },
  [
    set('from', get('p')),
    ...readDigits('p'),
    set('kind', i32.const(TIME.whole)),
    when(isByte('p', DOT), [
      when(i32.gtU(i32.sub('p', 'from'), MOST_SECONDS_DIGITS), [fail]),
      // Those of a CPU's last event have 32 bits.
      when(i64.gtU('value', 0xffff_ffff), [fail]),
      set('seconds', get('value')),
      set('from', i32.add('p', 1)),
      set('p', get('from')),
      ...readDigits('p'),
      when(i32.ne(i32.sub('p', 'from'), 9), [when(i32.ne(i32.sub('p', 'from'), 6), [fail]), set('value', i64.mul('value', 1000))]),
      set('value', i64.add('value', i64.mul('seconds', 1_000_000_000))),
      set('kind', i32.const(TIME.dotted)),
    ]),
    when('isLatency', [
      when(i32.eq(i32.load16U('p'), US), [
        when(i32.or(i32.ne('kind', TIME.whole), i64.gtU('value', MOST_MICROS)), [fail]),
        set('value', i64.mul('value', 1000)),
        set('kind', i32.const(TIME.relative)),
        set('p', i32.add('p', 3)),
      ]),
    ]),
    when(i32.ne(i32.load16U('p'), COLON_SPACE), [fail]),
    when(i32.eqz(i32.and(i32.shrU(register(REGISTER.times), get('kind')), 1)), [fail]),
    i64.store(0, 'value', REGISTER.raw),
    set('p', i32.add('p', 2)),
    // A difference to the line before is left.
    when(i32.eqz('isLatency'), [when(isByte('p', OPEN_PAREN), [fail]), skipSpaces('p')]),
    get('p'),
  ],
);

/** Up to eight flags at `p`, by the table of their number; where they end. */
const readFlags = defineFunction('readFlags', { p: I32, isLatency: I32 }, [I32], { end: I32, bits: I32, table: I32 }, [
  set('end', get('p')),
  loop('next', when(i32.gtU(byteAt('end'), SPACE), [set('end', i32.add('end', 1)), br('next')])),
  when(i32.and(get('isLatency'), i32.gtU(i32.sub('end', 'p'), GLUED_FLAGS)), [
    when(i32.eq(i32.load8U(i32.sub('end', 1)), COLON), [set('end', i32.add('p', GLUED_FLAGS))]),
  ]),
  when(i32.gtU(i32.sub('end', 'p'), M.MOST_FLAGS), [fail]),
  set('table', i32.add(M.FLAGS - M.MOST_FLAGS * M.FLAG_TABLE_BYTES, i32.mul(i32.sub('end', 'p'), M.MOST_FLAGS * M.FLAG_TABLE_BYTES))),
  loop(
    'flag',
    when(i32.ltU('p', 'end'), [
      set('bits', i32.or('bits', i32.load16U(i32.add('table', i32.shl(byteAt('p'), 1))))),
      set('table', i32.add('table', M.FLAG_TABLE_BYTES)),
      set('p', i32.add('p', 1)),
      br('flag'),
    ]),
  ),
  setRegister(REGISTER.bits, 'bits'),
  get('end'),
]);

/** The name that stands right-aligned in `[at, dash)`. */
const setTask = defineFunction('setTask', { at: I32, dash: I32 }, [], {}, [
  loop('space', when(i32.and(isByte('at', SPACE), i32.ltU('at', 'dash')), [set('at', i32.add('at', 1)), br('space')])),
  when(i32.and(isByte('at', LESS), i32.eq(i32.load('at', 1), UNKNOWN)), [
    when(i32.leU(i32.add('at', 5), 'dash'), [set('at', get('dash'))]),
  ]),
  setRegister(REGISTER.commAt, 'at'),
  setRegister(REGISTER.commBytes, i32.sub('dash', 'at')),
]);

/** A pid at `p` and the spaces behind it; fails without. */
const readPid: Code[] = [
  ...readDigits('p'),
  when(i64.gtU('value', 0x7fff_ffff), [fail]),
  when(i32.ne(byteAt('p'), SPACE), [fail]),
  setRegister(REGISTER.pid, i32.wrap(get('value'))),
  skipSpaces('p'),
];

/** `(  11843) ` or `(-------) ` at `p`. */
const readGroup: Code[] = [
  set('p', i32.add('p', 1)),
  skipSpaces('p'),
  setBoth('end', 'value', call('digits', 'p')),
  when(i32.or(i32.eqz('end'), i64.gtU('value', 0x7fff_ffff)), [fail]),
  setRegister(REGISTER.tgid, i32.sub(i32.wrap(get('value')), i32.eq('end', 'p'))),
  set('p', get('end')),
  loop('dash', when(isByte('p', DASH), [set('p', i32.add('p', 1)), br('dash')])),
  when(i32.ne(byteAt('p'), CLOSE_PAREN), [fail]),
  set('p', i32.add('p', 1)),
  skipSpaces('p'),
];

/** What stands behind the dash, from the pid on; where the body begins. */
const readBehind = defineFunction('readBehind', { at: I32, dash: I32 }, [I32], { p: I32, end: I32, value: I64, hasTgid: I32 }, [
  set('p', i32.add('dash', 1)),
  ...readPid,
  when(isByte('p', OPEN_PAREN), [set('hasTgid', i32.const(1)), ...readGroup]),
  when(i32.ne('hasTgid', register(REGISTER.hasTgid)), [fail]),
  when(i32.ne(byteAt('p'), OPEN), [fail]),
  set('p', i32.add('p', 1)),
  ...readDigits('p'),
  when(i64.geU('value', M.MOST_CPUS), [fail]),
  when(i32.ne(byteAt('p'), CLOSE), [fail]),
  setRegister(REGISTER.cpu, i32.wrap(get('value'))),
  set('p', i32.add('p', 1)),
  skipSpaces('p'),
  setRegister(REGISTER.bits, 0),
  when(i32.geU(i32.sub(byteAt('p'), 48), 10), [set('p', call('readFlags', 'p', 0)), when(i32.eqz('p'), [fail]), skipSpaces('p')]),
  call('readTime', 'p', 0),
]);

/** A line of the kernel's own columns, or of trace-cmd's with an instance in front; where its body begins. */
const readEvent = defineFunction('readEvent', { at: I32 }, [I32], { p: I32, dash: I32, bracket: I32, bytes: V128, hits: I32 }, [
  // A name ends with its line.
  when(v128.anyTrue(v128.eq8(v128.load('at'), all16(NEWLINE))), [fail]),
  when(isByte('at', DASH, DASH_COLUMN), [
    set('p', call('readBehind', 'at', i32.add('at', DASH_COLUMN))),
    when('p', [call('setTask', 'at', i32.add('at', DASH_COLUMN)), ret('p')]),
    fail,
  ]),
  set('bracket', get('at')),
  block(
    'found',
    loop(
      'next',
      set('bytes', v128.load('bracket')),
      set(
        'hits',
        v128.bitmask8(
          v128.or(v128.or(v128.eq8('bytes', all16(OPEN)), v128.eq8('bytes', all16(OPEN_PAREN))), v128.eq8('bytes', all16(NEWLINE))),
        ),
      ),
      brIf('found', 'hits'),
      set('bracket', i32.add('bracket', 16)),
      brIf('next', i32.ltU('bracket', i32.add('at', MOST_DASH_COLUMN))),
      fail,
    ),
  ),
  set('bracket', i32.add('bracket', i32.ctz('hits'))),
  when(i32.ne(byteAt('bracket'), OPEN), [fail]),
  // What is behind the only dash that can be the one: a pid and spaces.
  set('dash', i32.sub('bracket', 1)),
  loop('space', when(i32.and(isByte('dash', SPACE), i32.gtU('dash', 'at')), [set('dash', i32.sub('dash', 1)), br('space')])),
  loop(
    'digit',
    when(i32.and(i32.ltU(i32.sub(byteAt('dash'), 48), 10), i32.gtU('dash', 'at')), [set('dash', i32.sub('dash', 1)), br('digit')]),
  ),
  when(i32.ne(byteAt('dash'), DASH), [fail]),
  when(i32.or(i32.leU('dash', 'at'), i32.geU('dash', i32.add('at', MOST_DASH_COLUMN))), [fail]),
  set('p', call('readBehind', 'at', 'dash')),
  when(i32.eqz('p'), [fail]),
  when(i32.gtU('dash', i32.add('at', DASH_COLUMN)), [set('at', call('skipInstance', 'at', 'dash'))]),
  call('setTask', 'at', 'dash'),
  get('p'),
]);

/** Behind `instance: `, where there is one in `[at, dash)`. */
const skipInstance = defineFunction('skipInstance', { at: I32, dash: I32 }, [I32], { p: I32 }, [
  set('p', get('at')),
  loop('space', when(i32.and(isByte('p', SPACE), i32.ltU('p', 'dash')), [set('p', i32.add('p', 1)), br('space')])),
  loop('name', when(i32.and(i32.ne(byteAt('p'), SPACE), i32.ltU('p', 'dash')), [set('p', i32.add('p', 1)), br('name')])),
  when(i32.eq('p', 'at'), [ret('at')]),
  when(i32.ne(i32.load8U(i32.sub('p', 1)), COLON), [ret('at')]),
  get('p'),
]);

/** A line of latency-format; where its body begins. */
const readLatency = defineFunction('readLatency', { at: I32 }, [I32], { p: I32, end: I32, value: I64 }, [
  when(i32.ne(byteAt('at', SHORT_DASH_COLUMN), DASH), [fail]),
  when(i32.and(v128.bitmask8(v128.eq8(v128.load('at'), all16(NEWLINE))), 0xff), [fail]),
  when(register(REGISTER.hasTgid), [fail]),
  set('p', i32.add('at', SHORT_DASH_COLUMN + 1)),
  ...readPid,
  ...readDigits('p'),
  when(i64.geU('value', M.MOST_CPUS), [fail]),
  when(i32.leU(byteAt('p'), SPACE), [fail]),
  setRegister(REGISTER.cpu, i32.wrap(get('value'))),
  set('p', call('readFlags', 'p', 1)),
  when(i32.eqz('p'), [fail]),
  skipSpaces('p'),
  set('p', call('readTime', 'p', 1)),
  when('p', [call('setTask', 'at', i32.add('at', SHORT_DASH_COLUMN))]),
  get('p'),
]);

/** The event of this name and kind; 0 where it is not known. */
const findEvent = defineFunction('findEvent', { at: I32, bytes: I32, kind: I32 }, [I32], { slot: I32, name: I32 }, [
  set('slot', i32.and(i32.wrap(call('hashText', 'at', 'bytes', i32.add('kind', 1))), M.NAME_SLOTS - 1)),
  loop(
    'next',
    when(tee('name', i32.load(i32.shl('slot', 2), M.NAMES)), [
      when(i32.and(i32.eq(i32.load('name', NAME.bytes), 'bytes'), i32.eq(i32.load('name', NAME.kind), 'kind')), [
        when(call('hasChunks', 'at', i32.add('name', M.NAME_HEAD_BYTES), i32.load('name', NAME.chunks)), [
          ret(i32.load('name', NAME.event)),
        ]),
      ]),
      set('slot', i32.and(i32.add('slot', 1), M.NAME_SLOTS - 1)),
      br('next'),
    ]),
  ),
  i32.const(0),
]);

/** Where the name at `at` ends: at a colon, a parenthesis, or what is below them. */
const endOfName = defineFunction('endOfName', { at: I32 }, [I32], { p: I32, bytes: V128, hits: I32 }, [
  set('p', get('at')),
  loop(
    'next',
    set('bytes', v128.load('p')),
    set(
      'hits',
      v128.bitmask8(
        v128.or(v128.ltU8('bytes', all16(SPACE + 1)), v128.or(v128.eq8('bytes', all16(COLON)), v128.eq8('bytes', all16(OPEN_PAREN)))),
      ),
    ),
    when('hits', [ret(i32.add('p', i32.ctz('hits')))]),
    set('p', i32.add('p', 16)),
    brIf('next', i32.ltU(i32.sub('p', 'at'), MOST_NAME_BYTES)),
  ),
  fail,
]);

/** A row in the lane for the line, whose body is `[bodyAt, end)`. */
const closeRow = defineFunction(
  'closeRow',
  { lane: I32, event: I32, bodyAt: I32, end: I32 },
  [],
  { row: I32, span: I32, spansEnd: I32, id: I32, cpu: I32, bits: I32, at: I32 },
  [
    set('row', i32.load('lane', LANE.rows)),
    set('at', i32.add('lane', i32.shl('row', 2))),
    i32.store('at', call('intern', register(REGISTER.commAt), register(REGISTER.commBytes)), LANE.comm),
    set('span', i32.const(M.SPANS)),
    set('spansEnd', register(REGISTER.spansEnd)),
    loop(
      'texts',
      when(i32.ltU('span', 'spansEnd'), [
        set('id', call('intern', i32.load('span'), i32.sub(i32.load('span', 4), i32.load('span')))),
        i32.store(i32.add(i32.load('span', 8), i32.shl('row', 2)), 'id'),
        set('span', i32.add('span', M.SPAN_BYTES)),
        br('texts'),
      ]),
    ),
    // An empty text is none.
    set('id', i32.const(0)),
    when(i32.gtU('end', 'bodyAt'), [
      set('id', register(REGISTER.nextId)),
      setRegister(REGISTER.nextId, i32.add('id', 1)),
      set('span', i32.shl(i32.sub('id', register(REGISTER.firstId)), 2)),
      i32.store('span', i32.add('bodyAt', register(REGISTER.sliceBase)), M.SLICES),
      i32.store('span', i32.add('end', register(REGISTER.sliceBase)), M.SLICES + M.MOST_SLICES * 4),
    ]),
    i32.store('at', 'id', LANE.body),
    i64.store(i32.add('lane', i32.shl('row', 3)), i64.load(0, REGISTER.raw), LANE.rawTime),
    i32.store('at', register(REGISTER.pid), LANE.pid),
    i32.store('at', register(REGISTER.tgid), LANE.tgid),
    set('cpu', register(REGISTER.cpu)),
    setRegister(REGISTER.lastCpu, 'cpu'),
    i32.store16(i32.add('lane', i32.shl('row', 1)), 'cpu', LANE.cpu),
    set('bits', register(REGISTER.bits)),
    i32.store8(i32.add('lane', 'row'), 'bits', LANE.flags),
    i32.store8(i32.add('lane', 'row'), i32.shrU('bits', 8), LANE.preempt),
    set('cpu', i32.mul('cpu', M.CPU_BYTES)),
    i64.store('cpu', i64.load(0, REGISTER.raw), M.CPUS + CPU.time),
    i32.store('cpu', i32.load('event', EVENT.number), M.CPUS + CPU.event),
    when(i32.eqz(i32.load('cpu', M.CPUS + CPU.isTouched)), [
      i32.store('cpu', 1, M.CPUS + CPU.isTouched),
      set('at', register(REGISTER.touched)),
      i32.store(i32.shl('at', 2), register(REGISTER.cpu), M.TOUCHED),
      setRegister(REGISTER.touched, i32.add('at', 1)),
    ]),
    set('row', i32.add('row', 1)),
    i32.store('lane', 'row', LANE.rows),
    when(i32.eq('row', M.LANE_ROWS), [call('flush', 'lane')]),
  ],
);

/** Ends the walk in front of the line at hand. */
function stop(reason: number, about: string | number, ...more: readonly Code[]): Code[] {
  return [setRegister(REGISTER.reason, reason), setRegister(REGISTER.stop, about), ...more, br('stopped')];
}

/** What stands between name and text; sets `textAt`, `bodyAt` and `kind`. */
const findText: Code[] = [
  set('nameEnd', call('endOfName', 'bodyAt')),
  when(i32.eqz('nameEnd'), stop(REASON.name, 0)),
  set('name', get('bodyAt')),
  set('byte', byteAt('nameEnd')),
  block(
    'known',
    when(i32.eq('byte', COLON), [
      when(i32.ne(byteAt('nameEnd', 1), SPACE), stop(REASON.name, 0)),
      set('textAt', i32.add('nameEnd', 2)),
      // trace-cmd pads the name.
      skipSpaces('textAt'),
      when(i32.gtU(i32.sub('textAt', 'nameEnd'), MOST_SPACES), stop(REASON.name, 0)),
      set('bodyAt', get('textAt')),
      set('kind', i32.const(0)),
      br('known'),
    ]),
    when(i32.eq('byte', OPEN_PAREN), [set('textAt', i32.add('nameEnd', 1)), set('kind', i32.const(1)), br('known')]),
    when(i32.ne('byte', SPACE), stop(REASON.name, 0)),
    when(i32.ne(i32.load16U('nameEnd', 1), ARROW), stop(REASON.name, 0)),
    when(i32.ne(byteAt('nameEnd', 3), SPACE), stop(REASON.name, 0)),
    set('textAt', i32.add('nameEnd', 4)),
    set('kind', i32.const(2)),
  ),
  set('event', call('findEvent', 'name', i32.sub('nameEnd', 'name'), 'kind')),
  when(
    i32.eqz('event'),
    stop(REASON.name, 'name', setRegister(REGISTER.stopBytes, i32.sub('nameEnd', 'name')), setRegister(REGISTER.stopKind, 'kind')),
  ),
];

/** Takes the first template that fits; sets `lane` and `end`. */
const matchText: Code[] = [
  block(
    'matched',
    set('i', i32.const(0)),
    loop(
      'next',
      when(i32.ltU('i', i32.load('event', EVENT.templates)), [
        set('template', i32.load(i32.add('event', i32.shl('i', 2)), M.EVENT_HEAD_BYTES)),
        set('end', call('readBody', 'template', 'textAt', 'limit')),
        set('lane', i32.load('template', M.TEMPLATE.lane)),
        brIf('matched', 'end'),
        set('i', i32.add('i', 1)),
        br('next'),
      ]),
    ),
    set('lane', i32.load('event', EVENT.plugin)),
    when('lane', [
      set('end', call('readPlugin', 'lane', i32.load('event', EVENT.isSwitch), 'textAt', 'limit')),
      brIf('matched', 'end'),
      ...stop(REASON.shape, 'event'),
    ]),
    set('lane', i32.load('event', EVENT.text)),
    when(i32.eqz('lane'), stop(REASON.shape, 'event')),
    setRegister(REGISTER.spansEnd, M.SPANS),
    set('end', call('findLineEnd', 'textAt', 'limit')),
    when(i32.eqz('end'), stop(REASON.shape, 'event')),
  ),
  when(i32.eqz(i32.load('lane', LANE.isOpen)), stop(REASON.closed, 'lane')),
];

/** Rows for lines from `at` on; where the first one is that is left. Registers tell the rest. */
const walk = defineFunction(
  'walk',
  { at: I32, limit: I32, isLatency: I32 },
  [I32],
  {
    bodyAt: I32,
    textAt: I32,
    name: I32,
    nameEnd: I32,
    kind: I32,
    byte: I32,
    event: I32,
    template: I32,
    lane: I32,
    i: I32,
    end: I32,
    rows: I32,
  },
  [
    setRegister(REGISTER.reason, REASON.end),
    block(
      'stopped',
      loop(
        'line',
        when(i32.ltU('at', 'limit'), [
          when(i32.geU(register(REGISTER.nextId), register(REGISTER.endId)), stop(REASON.room, 0)),
          when('isLatency', [set('bodyAt', call('readLatency', 'at'))], [set('bodyAt', call('readEvent', 'at'))]),
          when(i32.eqz('bodyAt'), stop(REASON.prefix, 0)),
          // A loss ends with the next event of its CPU, which JavaScript notes.
          when(i32.load(i32.mul(register(REGISTER.cpu), M.CPU_BYTES), M.CPUS + CPU.waits), stop(REASON.prefix, 0)),
          ...findText,
          ...matchText,
          call('closeRow', 'lane', 'event', 'bodyAt', 'end'),
          setRegister(REGISTER.lastAt, 'at'),
          setRegister(REGISTER.lastEnd, 'end'),
          setRegister(REGISTER.lastLane, 'lane'),
          set('rows', i32.add('rows', 1)),
          set('at', i32.add('end', 1)),
          br('line'),
        ]),
      ),
    ),
    setRegister(REGISTER.rows, 'rows'),
    call('splitTimes'),
    get('at'),
  ],
);

/** Last times of CPUs as seconds and ns. */
const splitTimes = defineFunction('splitTimes', {}, [], { i: I32, cpu: I32 }, [
  loop(
    'next',
    when(i32.ltU('i', register(REGISTER.touched)), [
      set('cpu', i32.mul(i32.load(i32.shl('i', 2), M.TOUCHED), M.CPU_BYTES)),
      i32.store('cpu', i32.wrap(i64.divU(i64.load('cpu', M.CPUS), 1_000_000_000)), M.CPUS + CPU.seconds),
      i32.store('cpu', i32.wrap(i64.remU(i64.load('cpu', M.CPUS), 1_000_000_000)), M.CPUS + CPU.nanos),
      set('i', i32.add('i', 1)),
      br('next'),
    ]),
  ),
]);

export const WALK_FUNCTIONS = [
  readTime,
  readFlags,
  setTask,
  readBehind,
  skipInstance,
  readEvent,
  readLatency,
  findEvent,
  endOfName,
  closeRow,
  splitTimes,
  walk,
];
