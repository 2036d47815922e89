/** ftrace-plugin.ts in WebAssembly: what plugins of trace-cmd print of a switch or a wakeup, read from its end. */
import {
  br,
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
  V128,
  v128,
  when,
  type Code,
} from '../base/wasm-assembler.ts';
import * as M from './ftrace-wasm-memory.ts';
import { setRegister } from './ftrace-wasm-lines.ts';

const SPACE = 32;
const DASH = 45;
const EQUALS = 61;
const CLOSE = 93;
/** ` ==>`, `CPU:`, ` [` as they are loaded. */
const ARROW = 0x3e3d_3d20;
const CPU = 0x3a55_5043;
const SPACE_OPEN = 0x5b20;
const COLON = 58;
const ARROW_BYTES = 5;
const MOST_PID_DIGITS = 10;
const MOST_CPU_DIGITS = 5;
const R = M.LANE_ROWS;
/** Of the columns in a lane: texts have four bytes, numbers eight. */
const FIELD = {
  comm: 0,
  pid: R * 4,
  priority: R * 12,
  cpu: R * 20,
  state: R * 20,
  nextComm: R * 24,
  nextPid: R * 28,
  nextPriority: R * 36,
} as const;

const fail = ret(0);

function isDigit(at: Code): Code {
  return i32.ltU(i32.sub(i32.load8U(at), 48), 10);
}

/** `p` to the first of the digits in front of it, and not before `start`. */
function backOverDigits(label: string): Code {
  return loop(label, when(i32.and(i32.gtU('p', 'start'), isDigit(i32.sub('p', 1))), [set('p', i32.sub('p', 1)), br(label)]));
}

/** ` ==> ` in `[start, end)`; 0 where it is not. */
const findArrow = defineFunction('findArrow', { start: I32, end: I32 }, [I32], { p: I32, hits: I32, at: I32, equals: V128 }, [
  set('equals', v128.splat8(EQUALS)),
  set('p', get('start')),
  loop(
    'next',
    set('hits', v128.bitmask8(v128.eq8(v128.load('p'), 'equals'))),
    loop(
      'hit',
      when('hits', [
        set('at', i32.sub(i32.add('p', i32.ctz('hits')), 1)),
        when(i32.gtU(i32.add('at', ARROW_BYTES), 'end'), [fail]),
        when(i32.eq(i32.load('at'), ARROW), [when(i32.and(i32.eq(i32.load8U('at', 4), SPACE), i32.geU('at', 'start')), [ret('at')])]),
        set('hits', i32.and('hits', i32.sub('hits', 1))),
        br('hit'),
      ]),
    ),
    set('p', i32.add('p', 16)),
    when(i32.ltU('p', 'end'), [br('next')]),
  ),
  i32.const(0),
]);

/** `name:123 [120]`, all of `[start, end)`: where the name ends, its numbers to `pidOut` and `priorityOut`. */
const readTaskBefore = defineFunction(
  'readTaskBefore',
  { start: I32, end: I32, pidOut: I32, priorityOut: I32 },
  [I32],
  { p: I32, stop: I32, numberEnd: I32, value: I64, sign: I32 },
  [
    set('stop', i32.sub('end', 1)),
    when(i32.or(i32.leU('end', 'start'), i32.ne(i32.load8U('stop'), CLOSE)), [fail]),
    set('p', get('stop')),
    backOverDigits('priority'),
    when(i32.gtU(i32.sub(i32.sub('stop', 'p'), 1), MOST_PID_DIGITS - 1), [fail]),
    setBoth('numberEnd', 'value', call('digits', 'p')),
    set('sign', i32.eq(i32.load8U(i32.sub('p', 1)), DASH)),
    when('sign', [set('value', i64.sub(0, 'value'))]),
    i64.store('priorityOut', 'value'),
    set('stop', i32.sub(i32.sub('p', 'sign'), 2)),
    when(i32.ne(i32.load16U('stop'), SPACE_OPEN), [fail]),
    set('p', get('stop')),
    backOverDigits('pid'),
    when(i32.gtU(i32.sub(i32.sub('stop', 'p'), 1), MOST_PID_DIGITS - 1), [fail]),
    when(i32.or(i32.leU('p', 'start'), i32.ne(i32.load8U(i32.sub('p', 1)), COLON)), [fail]),
    setBoth('numberEnd', 'value', call('digits', 'p')),
    i64.store('pidOut', 'value'),
    i32.sub('p', 1),
  ],
);

function numberAt(field: number): Code {
  return i32.add('row', field + M.LANE.fields);
}

/** A text of the line, as ftrace-wasm-lines.ts puts it down. */
function putSpan(place: number, start: Code | string, end: Code | string, field: number): Code[] {
  const at = M.SPANS + place * M.SPAN_BYTES;
  return [i32.store(0, start, at), i32.store(0, end, at + 4), i32.store(0, i32.add('lane', field + M.LANE.fields), at + 8)];
}

/** The text at `start` into row and spans of `lane`; where its line ends. */
const readPlugin = defineFunction(
  'readPlugin',
  { lane: I32, isSwitch: I32, start: I32, limit: I32 },
  [I32],
  { end: I32, p: I32, row: I32, arrow: I32, state: I32, nameEnd: I32, numberEnd: I32, value: I64 },
  [
    set('end', call('findLineEnd', 'start', 'limit')),
    when(i32.eqz('end'), [fail]),
    set('row', i32.add('lane', i32.shl(i32.load('lane', M.LANE.rows), 3))),
    when('isSwitch', [
      set('arrow', call('findArrow', 'start', 'end')),
      when(i32.eqz('arrow'), [fail]),
      when(call('findArrow', i32.add('arrow', 1), 'end'), [fail]),
      set('state', get('arrow')),
      loop(
        'back',
        when(i32.and(i32.gtU('state', 'start'), i32.gtU(i32.load8U(i32.sub('state', 1)), SPACE)), [
          set('state', i32.sub('state', 1)),
          br('back'),
        ]),
      ),
      when(i32.or(i32.eq('state', 'arrow'), i32.ne(i32.load8U(i32.sub('state', 1)), SPACE)), [fail]),
      set('nameEnd', call('readTaskBefore', 'start', i32.sub('state', 1), numberAt(FIELD.pid), numberAt(FIELD.priority))),
      when(i32.eqz('nameEnd'), [fail]),
      ...putSpan(0, 'start', 'nameEnd', FIELD.comm),
      ...putSpan(1, 'state', 'arrow', FIELD.state),
      set('arrow', i32.add('arrow', ARROW_BYTES)),
      set('nameEnd', call('readTaskBefore', 'arrow', 'end', numberAt(FIELD.nextPid), numberAt(FIELD.nextPriority))),
      when(i32.eqz('nameEnd'), [fail]),
      ...putSpan(2, 'arrow', 'nameEnd', FIELD.nextComm),
      setRegister(M.REGISTER.spansEnd, M.SPANS + 3 * M.SPAN_BYTES),
      ret('end'),
    ]),
    set('p', get('end')),
    backOverDigits('cpu'),
    when(i32.gtU(i32.sub(i32.sub('end', 'p'), 1), MOST_CPU_DIGITS - 1), [fail]),
    when(i32.ltU('p', i32.add('start', 5)), [fail]),
    when(i32.or(i32.ne(i32.load(i32.sub('p', 4)), CPU), i32.ne(i32.load8U(i32.sub('p', 5)), SPACE)), [fail]),
    setBoth('numberEnd', 'value', call('digits', 'p')),
    i64.store(numberAt(FIELD.cpu), 'value'),
    set('nameEnd', call('readTaskBefore', 'start', i32.sub('p', 5), numberAt(FIELD.pid), numberAt(FIELD.priority))),
    when(i32.eqz('nameEnd'), [fail]),
    ...putSpan(0, 'start', 'nameEnd', FIELD.comm),
    setRegister(M.REGISTER.spansEnd, M.SPANS + M.SPAN_BYTES),
    get('end'),
  ],
);

export const PLUGIN_FUNCTIONS = [findArrow, readTaskBefore, readPlugin];
