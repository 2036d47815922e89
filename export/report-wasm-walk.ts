/**
 * The functions, in WebAssembly, that walk the pages of a window, merge its CPUs by time and write the lines: what page-cursor.ts and
 * report-lines.ts do record by record, for pages of little-endian kernels whose times are shown as they are. Damage ends the walk:
 * JavaScript prints such a window, and counts what is broken.
 */
import { ABSOLUTE, COMMIT_BYTES_MASK, LOST_FLAG, LOST_STORED_FLAG, PADDING } from '../parsers/page-records.ts';
import type { PageLayout } from '../parsers/page-header.ts';
import * as M from './report-wasm-memory.ts';
import { FLAG } from './report-flags.ts';
import { FAILED, loadOf } from './report-wasm-lines.ts';
import type { GraphShape } from './report-graph.ts';
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
  seq,
  set,
  tee,
  when,
  type Code,
} from '../base/wasm-assembler.ts';

const { LANE, REGISTER } = M;

/** How the records of a recording lie, and how their times are shown. */
export interface WalkShape {
  readonly layout: PageLayout;
  readonly commonPid: number;
  readonly times: 'micros' | 'nanos' | 'number';
  /** Offsets of flags and preemption depth, where they stand in front of the time. */
  readonly latency: { readonly flags: number; readonly preempt: number; readonly isRaw: boolean } | undefined;
  /** The time since the line before stands behind the time, in ns or in µs. */
  readonly timeDifference: 'nanos' | 'micros' | undefined;
  readonly filter: WalkFilter | undefined;
  /** Calls of function_graph, whose lines depend on the record behind them. */
  readonly graph: GraphShape | undefined;
}

/** Which records are lines; events that are not have the program HIDDEN. */
interface WalkFilter {
  /** Those with an entry of TAG_WANTED. */
  readonly hasPids: boolean;
  /** Both included. */
  readonly since: bigint;
  readonly until: bigint;
  /** The event of stacks, which are shown with the event before; -1 = there is none. */
  readonly stackId: number;
}

/** More lost events than this in front of one record are counted by JavaScript, whose numbers have no end at 2^32. */
const MAX_LOST = 1 << 30;
const TOP_BITS = 0xf800_0000_0000_0000n;
const TOP_STEP = 1n << 59n;

function lane(offset: number): Code {
  return i32.load('lane', offset);
}

function setLane(offset: number, value: Code | string | number): Code {
  return i32.store('lane', value, offset);
}

function register(offset: number): Code {
  return i32.load(M.REGISTERS, offset);
}

function count(offset: number): Code {
  return i32.store(M.REGISTERS, i32.add(register(offset), 1), offset);
}

const fail: Code = seq(i32.store(M.REGISTERS, 1, REGISTER.damaged), ret(0));

/** Adds what the head of a page says of losses; -1 = it does not say how many. */
function addLost({ longBytes }: PageLayout): Code {
  return when(i32.and('commit', LOST_FLAG | 0), [
    set('lost', i32.const(-1)),
    when(i32.and('commit', LOST_STORED_FLAG), [
      when(i32.geU(i32.add('at', lane(LANE.pageSize)), i32.add('end', longBytes)), [
        set('lost', i32.load('end')),
        // All ones would be taken for a count that nobody knows.
        when(i32.gtU('lost', MAX_LOST), [fail]),
        when(i32.eqz('lost'), [set('lost', i32.const(-1))]),
      ]),
    ]),
    set('sum', lane(LANE.lost)),
    when(
      i32.or(i32.eq('lost', -1), i32.eq('sum', -1)),
      [setLane(LANE.lost, -1)],
      [when(i32.gtU('sum', MAX_LOST), [fail]), setLane(LANE.lost, i32.add('sum', 'lost'))],
    ),
  ]);
}

/** Opens the next page of a CPU; 0 at the end. */
function nextPage(layout: PageLayout) {
  return defineFunction('nextPage', { lane: I32 }, [I32], { at: I32, end: I32, commit: I32, lost: I32, sum: I32 }, [
    set('at', lane(LANE.pageAt)),
    when(i32.geU('at', lane(LANE.pagesEnd)), [ret(0)]),
    setLane(LANE.pageAt, i32.add('at', lane(LANE.pageSize))),
    when(i32.gtU(lane(LANE.pageAt), lane(LANE.pagesEnd)), [fail]),
    setLane(LANE.page, i32.add(lane(LANE.page), 1)),
    i64.store('lane', i64.load('at', layout.timestampOffset), LANE.time),
    set('commit', i32.load('at', layout.commitOffset)),
    setLane(LANE.at, i32.add('at', layout.dataOffset)),
    set('end', i32.add(lane(LANE.at), i32.and('commit', COMMIT_BYTES_MASK))),
    setLane(LANE.end, 'end'),
    when(i32.gtU('end', lane(LANE.pageAt)), [fail]),
    addLost(layout),
    i32.const(1),
  ]);
}

/** A record that is no event: moves the time, and returns where the next one begins; 0 where it is broken. */
const skipSpecial = defineFunction(
  'skipSpecial',
  { lane: I32, at: I32, end: I32, type: I32, delta: I32 },
  [I32],
  { extra: I32, stamp: I64, now: I64, top: I64 },
  [
    when(i32.and(i32.eq('type', PADDING), i32.eqz('delta')), [ret('end')]),
    when(i32.gtU(i32.add('at', 8), 'end'), [fail]),
    set('extra', i32.load('at', 4)),
    set('now', i64.load('lane', LANE.time)),
    when(i32.eq('type', PADDING), [
      i64.store('lane', i64.add('now', i64.extendU('delta')), LANE.time),
      when(i32.or(i32.ltU('extra', 4), i32.gtU('extra', i32.sub(i32.sub('end', 'at'), 4))), [fail]),
      ret(i32.add(i32.add('at', 4), i32.and(i32.add('extra', 3), -4))),
    ]),
    set('stamp', i64.or(i64.shl(i64.extendU('extra'), 27), i64.extendU('delta'))),
    when(
      i32.eq('type', ABSOLUTE),
      [
        set('top', i64.and('now', TOP_BITS)),
        set('stamp', i64.or('stamp', 'top')),
        when(i32.and(i64.ne('top', 0), i64.ltU('stamp', 'now')), [set('stamp', i64.add('stamp', TOP_STEP))]),
      ],
      [set('stamp', i64.add('now', 'stamp'))],
    ),
    i64.store('lane', 'stamp', LANE.time),
    i32.add('at', 8),
  ],
);

/** Goes to the next record of a CPU; 0 at its end, where the window ends, and at damage. */
const advance = defineFunction(
  'advance',
  { lane: I32 },
  [I32],
  { pageBefore: I32, at: I32, end: I32, word: I32, type: I32, payload: I32, length: I32, time: I64 },
  [
    set('pageBefore', lane(LANE.page)),
    setLane(LANE.lost, 0),
    setLane(LANE.isFirst, 0),
    loop(
      'next',
      set('at', lane(LANE.at)),
      set('end', lane(LANE.end)),
      when(i32.gtU(i32.add('at', 4), 'end'), [when(i32.eqz(call('nextPage', 'lane')), [ret(0)]), setLane(LANE.isFirst, 1), br('next')]),
      set('word', i32.load('at')),
      set('type', i32.and('word', 31)),
      when(i32.geU('type', PADDING), [
        set('at', call('skipSpecial', 'lane', 'at', 'end', 'type', i32.shrU('word', 5))),
        when(i32.eqz('at'), [ret(0)]),
        setLane(LANE.at, 'at'),
        br('next'),
      ]),
    ),
    set('time', i64.add(i64.load('lane', LANE.time), i64.extendU(i32.shrU('word', 5)))),
    i64.store('lane', 'time', LANE.time),
    when(
      'type',
      [set('payload', i32.add('at', 4)), set('length', i32.shl('type', 2))],
      [when(i32.gtU(i32.add('at', 8), 'end'), [fail]), set('payload', i32.add('at', 8)), set('length', i32.sub(i32.load('at', 4), 4))],
    ),
    when(i32.or(i32.ltU('length', 2), i32.gtU('length', i32.sub('end', 'payload'))), [fail]),
    setLane(LANE.start, 'payload'),
    setLane(LANE.recordEnd, i32.add('payload', 'length')),
    setLane(LANE.at, i32.add('payload', i32.and(i32.add('length', 3), -4))),
    count(REGISTER.records),
    when(i32.and(register(REGISTER.hasUntil), i64.geU('time', i64.load(M.REGISTERS, REGISTER.until))), [
      setLane(LANE.stopPage, lane(LANE.page)),
      setLane(LANE.stopIsFirst, lane(LANE.isFirst)),
      setLane(LANE.stopLost, lane(LANE.lost)),
      setLane(LANE.stopSince, i32.add('pageBefore', 1)),
      ret(0),
    ]),
    i32.const(1),
  ],
);

const BILLION = 1_000_000_000;
/** From here on a time is rounded to the next second. */
const LAST_HALF_MICRO = 999_999_500;
const DOT = 46;

/** Writes the text of a second, right-aligned in five digits, and the dot. */
const setSecond = defineFunction('setSecond', { seconds: I64 }, [], {}, [
  i64.store(M.SECOND, i64.mul('seconds', BILLION)),
  i32.store(M.SECOND, i32.sub(call('putPadded', 'seconds', 5, 0, M.SECOND + 16), M.SECOND + 15), 8),
  i32.store8(i32.add(i32.load(M.SECOND, 8), M.SECOND + 15), DOT),
]);

const copySecond = set('out', call('copy', M.SECOND + 16, i32.load(M.SECOND, 8), 'out'));

/** Times end at 2^64 and begin again at 0, which is within a second of the last ones. */
const isNotBefore = i64.geU('time', i64.load(M.SECOND));

const TIMES: Readonly<Record<WalkShape['times'], readonly Code[]>> = {
  micros: [
    // Line after line is of the same second.
    set('within', i64.sub('time', i64.load(M.SECOND))),
    when(i32.and(i64.ltU('within', LAST_HALF_MICRO), isNotBefore), [
      copySecond,
      ret(call('putDigits', i32.divU(i32.add(i32.wrap('within'), 500), 1000), 6, 'out')),
    ]),
    set('time', i64.add(i64.divU('time', 1000), i64.extendU(i64.geU(i64.remU('time', 1000), 500)))),
    set('within', i64.divU('time', 1_000_000)),
    call('setSecond', 'within'),
    copySecond,
    call('putDigits', i32.wrap(i64.sub('time', i64.mul('within', 1_000_000))), 6, 'out'),
  ],
  nanos: [
    set('within', i64.sub('time', i64.load(M.SECOND))),
    when(i32.or(i64.geU('within', BILLION), i32.eqz(isNotBefore)), [
      call('setSecond', i64.divU('time', BILLION)),
      set('within', i64.sub('time', i64.load(M.SECOND))),
    ]),
    copySecond,
    call('putDigits', i32.wrap('within'), 9, 'out'),
  ],
  number: [call('putPadded', 'time', 12, 0, 'out')],
};

/** One line, from the head of its thread to its end. */
function putLine({ commonPid, latency, timeDifference, filter }: WalkShape) {
  const isCut = i32.gtU('out', 'limit');
  return defineFunction(
    'putLine',
    { lane: I32, out: I32, outEnd: I32 },
    [I32],
    { start: I32, end: I32, id: I32, program: I32, limit: I32, pid: I32, entry: I32, body: I32, wanted: I32 },
    [
      i32.store(M.REGISTERS, 'lane', REGISTER.lane),
      set('start', lane(LANE.start)),
      set('end', lane(LANE.recordEnd)),
      set('id', i32.shl(i32.load16U('start'), 2)),
      when(i32.eqz(tee('program', i32.load('id', M.FORMATS))), [
        set('program', call('compileEvent', i32.shrU('id', 2))),
        when(i32.eqz('program'), [ret(FAILED)]),
      ]),
      when(i32.geU('end', i32.add('start', commonPid + 4)), [set('pid', i32.load('start', commonPid))]),
      ...(filter === undefined ? [] : leaveOut(filter)),
      set('limit', i32.sub('outEnd', i32.load('program'))),
      when(isCut, [ret(FAILED)]),
      when(
        lane(LANE.lost),
        [set('out', call('putLostHead', lane(LANE.source), 'pid', lane(LANE.lost), 'out', 'limit'))],
        [
          ...findHead,
          set('out', call('copyEntry', 'entry', 'out', 'limit')),
          ...(latency === undefined ? [] : [when(i32.ne('out', FAILED), [set('out', call('putFlags', 'start', 'end', 'out'))])]),
        ],
      ),
      when(i32.eq('out', FAILED), [ret(FAILED)]),
      set('out', call('putTime', i64.load('lane', LANE.time), 'out')),
      ...(timeDifference !== undefined ? [set('out', call('putDifference', i64.load('lane', LANE.time), 'out'))] : []),
      set('body', i32.add('out', i32.load('program', 4))),
      set('out', call('putBody', i32.add('program', M.PROGRAM_HEAD_BYTES), 'start', 'end', 'out', 'limit')),
      when(i32.eq('out', FAILED), [ret(FAILED)]),
      when(i32.gtU('out', 'body'), [set('out', i32.sub('out', i32.eq(i32.load8U(i32.sub('out', 1)), 10)))]),
      i32.store8('out', 10),
      i32.add('out', 1),
    ],
  );
}

/** Ends the line before it begins, where a filter leaves the record out. */
function leaveOut({ hasPids, since, until, stackId }: WalkFilter): readonly Code[] {
  const time = i64.load('lane', LANE.time);
  const conditions = [
    ...(hasPids ? [i32.ne(call('find', M.TAG_WANTED, i64.extendU('pid')), 0)] : []),
    i64.geU(time, since),
    i64.leU(time, until),
  ];
  return [
    when(
      i32.eq(i32.shrU('id', 2), stackId),
      [set('wanted', lane(LANE.wasShown))],
      [
        set(
          'wanted',
          conditions.reduce((all, one) => i32.and(all, one), i32.ne('program', M.HIDDEN)),
        ),
        setLane(LANE.wasShown, 'wanted'),
      ],
    ),
    when(i32.eqz('wanted'), [ret('out')]),
  ];
}

function character(text: string): number {
  return text.charCodeAt(0);
}

/** `d.h2.`: interrupts off, need-resched, context, preemption and migration depth; raw: `-0x1`. */
function putFlags({ flags, preempt, isRaw }: NonNullable<WalkShape['latency']>, isSpaced: boolean) {
  const has = (flag: number): Code => i32.ne(i32.and('flags', flag), 0);
  const either = (test: Code, yes: string, no: Code): Code => choose(test, i32.const(character(yes)), no);
  const dot = i32.const(character('.'));
  const digit = (value: Code): Code => i32.add(value, choose(i32.gtU(value, 9), i32.const(character('a') - 10), i32.const(character('0'))));
  const depth = (value: Code): Code => choose(value, digit(value), dot);
  const inSoftirq = has(FLAG.softirq);
  if (isRaw) {
    return defineFunction('putFlags', { start: I32, end: I32, out: I32 }, [I32], { flags: I32 }, [
      when(i32.ltU(i32.add('start', flags), 'end'), [set('flags', i32.load8U('start', flags))]),
      i32.store8('out', character('-')),
      i32.store8('out', character('0'), 1),
      i32.store8('out', character('x'), 2),
      set('out', call('putHex', i64.extendU('flags'), i32.add('out', 3))),
      i32.store8('out', character(' ')),
      i32.add('out', isSpaced ? 1 : 0),
    ]);
  }
  return defineFunction('putFlags', { start: I32, end: I32, out: I32 }, [I32], { flags: I32, preempt: I32 }, [
    when(i32.ltU(i32.add('start', flags), 'end'), [set('flags', i32.load8U('start', flags))]),
    when(i32.ltU(i32.add('start', preempt), 'end'), [set('preempt', i32.load8U('start', preempt))]),
    i32.store8('out', either(has(FLAG.irqsOff), 'd', either(has(FLAG.irqsUnknown), 'X', dot))),
    i32.store8('out', either(has(FLAG.needResched), 'N', dot), 1),
    i32.store8('out', choose(has(FLAG.hardirq), either(inSoftirq, 'H', i32.const(character('h'))), either(inSoftirq, 's', dot)), 2),
    i32.store8('out', depth(i32.and('preempt', 15)), 3),
    i32.store8('out', depth(i32.shrU('preempt', 4)), 4),
    i32.store8('out', character(' '), 5),
    i32.add('out', isSpaced ? 6 : 5),
  ]);
}

const DIFFERENCE_WIDTH = 8;

/** `: (+12)   `; nothing in the brackets' place on the first line. */
function putDifference(isNanos: boolean) {
  const micros = i64.add(i64.divU('time', 1000), i64.extendU(i64.geU(i64.remU('time', 1000), 500)));
  return defineFunction('putDifference', { time: I64, out: I32 }, [I32], { last: I64, end: I32 }, [
    ...(isNanos ? [] : [set('time', micros)]),
    set('last', i64.load(M.REGISTERS, REGISTER.lastShown)),
    i64.store(M.REGISTERS, 'time', REGISTER.lastShown),
    i32.store8('out', character(':')),
    i32.store8('out', character(' '), 1),
    set('out', i32.add('out', 2)),
    set('end', i32.add('out', DIFFERENCE_WIDTH)),
    when(i64.ne('last', 0), [
      i32.store8('out', character('(')),
      i32.store8('out', character('+'), 1),
      set('out', call('putSigned', i64.sub('time', 'last'), i32.add('out', 2))),
      i32.store8('out', character(')')),
      set('out', i32.add('out', 1)),
    ]),
    when(i32.ltU('out', 'end'), [set('out', call('fill', character(' '), i32.sub('end', 'out'), 'out'))]),
    get('out'),
  ]);
}

const noteAt = i32.add(M.NOTES, i32.mul(register(REGISTER.notes), M.NOTE_BYTES));

/** The head of the thread's lines on this CPU; where lines before may have told another name, a note says where it stands. */
const findHead: readonly Code[] = [
  set('entry', call('find', i32.add(lane(LANE.source), 1), i64.extendU('pid'))),
  when(i32.eqz('entry'), [set('entry', call('makeHead', lane(LANE.source), 'pid')), when(i32.eqz('entry'), [ret(FAILED)])]),
  when(i32.load('entry', M.ENTRY.noteLength), [
    when(i32.geU(register(REGISTER.notes), M.MAX_NOTES), [ret(FAILED)]),
    i32.store(noteAt, i32.add('out', i32.load('entry', M.ENTRY.noteAt))),
    i32.store(noteAt, i32.load('entry', M.ENTRY.noteLength), 4),
    i32.store(noteAt, 'pid', 8),
    count(REGISTER.notes),
  ]),
];

/** Goes to the first record of a CPU that is not before the window; 0 where there is none. */
const seek = defineFunction('seek', { lane: I32 }, [I32], {}, [
  loop(
    'next',
    when(i32.eqz(call('advance', 'lane')), [ret(0)]),
    brIf('next', i32.and(register(REGISTER.hasSince), i64.ltU(i64.load('lane', LANE.time), i64.load(M.REGISTERS, REGISTER.since)))),
  ),
  i32.const(1),
]);

function laneAt(index: Code | string): Code {
  return i32.load(i32.shl(index, 2), M.ORDER);
}

function timeOf(at: string): Code {
  return i64.load(laneAt(at), LANE.time);
}

/** The lanes with the earliest record and the second one; of equal times, the one that stands first. */
const select: readonly Code[] = [
  set('first', i32.const(0)),
  set('second', i32.const(-1)),
  set('i', i32.const(1)),
  block(
    'selected',
    loop(
      'next',
      brIf('selected', i32.geU('i', 'count')),
      when(
        i64.ltU(timeOf('i'), timeOf('first')),
        [set('second', get('first')), set('first', get('i'))],
        [when(i32.ltS('second', 0), [set('second', get('i'))], [when(i64.ltU(timeOf('i'), timeOf('second')), [set('second', get('i'))])])],
      ),
      set('i', i32.add('i', 1)),
      br('next'),
    ),
  ),
];

/** Takes a lane that has ended out of the order; how many are left. */
const remove = defineFunction('remove', { at: I32, count: I32 }, [I32], {}, [
  set('count', i32.sub('count', 1)),
  block(
    'removed',
    loop(
      'next',
      brIf('removed', i32.geU('at', 'count')),
      i32.store(i32.shl('at', 2), laneAt(i32.add('at', 1)), M.ORDER),
      set('at', i32.add('at', 1)),
      br('next'),
    ),
  ),
  get('count'),
]);

/** The lane with the earliest record behind the window; 0 where there is none. */
const firstBehind = defineFunction('firstBehind', { lanes: I32 }, [I32], { i: I32, lane: I32, first: I32 }, [
  block(
    'found',
    loop(
      'next',
      brIf('found', i32.geU('i', 'lanes')),
      set('lane', i32.add(M.LANES, i32.mul('i', M.LANE_BYTES))),
      when(i32.geS(lane(LANE.stopPage), 0), [
        when(i32.eqz('first'), [set('first', get('lane'))]),
        when(i64.ltU(i64.load('lane', LANE.time), i64.load('first', LANE.time)), [set('first', get('lane'))]),
      ]),
      set('i', i32.add('i', 1)),
      br('next'),
    ),
  ),
  get('first'),
]);

/** Is the record of one lane the end of the call that the other one has? Then its duration is noted. */
function isEndOf({ exitId, entry, exit }: GraphShape, commonPid: number) {
  const pidOf = (start: string, end: string): Code =>
    choose(i32.geU(end, i32.add(start, commonPid + 4)), i32.load(start, commonPid), i32.const(0));
  return defineFunction('isEndOf', { next: I32, lane: I32 }, [I32], { start: I32, end: I32, callStart: I32, callEnd: I32, duration: I64 }, [
    set('start', i32.load('next', LANE.start)),
    set('end', i32.load('next', LANE.recordEnd)),
    set('callStart', lane(LANE.start)),
    set('callEnd', lane(LANE.recordEnd)),
    when(i32.ne(i32.load16U('start'), exitId), [ret(0)]),
    when(i32.ne(pidOf('start', 'end'), pidOf('callStart', 'callEnd')), [ret(0)]),
    when(i64.ne(loadOf('start', 'end', exit.func.at), loadOf('callStart', 'callEnd', entry.func.at)), [ret(0)]),
    set('duration', call('durationOf', loadOf('start', 'end', exit.calltime.at), loadOf('start', 'end', exit.rettime.at))),
    i64.store(M.REGISTERS, 'duration', REGISTER.duration),
    i32.const(1),
  ]);
}

/** A call: with its end, if that is the next record of all CPUs, be it the first one behind the window. */
function putCall({ entryId }: GraphShape): Code {
  return when(i32.eq(i32.load16U(lane(LANE.start)), entryId), [
    set('next', call('copy', 'lane', M.LANE_BYTES, M.HELD)),
    set('hasMore', call('advance', 'lane')),
    set('next', choose('hasMore', get('lane'), i32.const(0))),
    when(i32.geS('second', 0), [
      when(i32.or(i32.eqz('hasMore'), i64.gtU(i64.load('lane', LANE.time), 'bound')), [set('next', laneAt('second'))]),
    ]),
    set('isBehind', i32.eqz('next')),
    when('isBehind', [set('next', call('firstBehind', 'lanes'))]),
    set('isLeaf', i32.const(0)),
    when('next', [set('isLeaf', call('isEndOf', 'next', M.HELD))]),
    i32.store(M.REGISTERS, 'isLeaf', REGISTER.isLeaf),
    set('before', get('out')),
    set('out', call('putLine', M.HELD, 'out', 'outEnd')),
    when(i32.eq('out', FAILED), [ret(FAILED)]),
    setLane(LANE.wasShown, i32.load(M.HELD, LANE.wasShown)),
    when(i32.eqz('hasMore'), [
      set('count', call('remove', 'first', 'count')),
      set('second', i32.sub('second', i32.gtS('second', 'first'))),
    ]),
    // A call that is left out leaves its end where it is.
    when(i32.and('isLeaf', i32.ne('out', 'before')), [
      when(
        'isBehind',
        [i32.store(M.REGISTERS, i32.load('next', LANE.source), REGISTER.taken)],
        [
          when(i32.eqz(call('advance', 'next')), [
            set('count', call('remove', choose(i32.eq('next', 'lane'), get('first'), get('second')), 'count')),
          ]),
        ],
      ),
    ]),
    br('merge'),
  ]);
}

const addToOrder: readonly Code[] = [i32.store(i32.shl('count', 2), 'lane', M.ORDER), set('count', i32.add('count', 1))];

/** The CPUs that have a record in the window, one behind the other. */
function collect(hasGraph: boolean): Code {
  const add = hasGraph
    ? [
        when(
          i32.eq(lane(LANE.source), register(REGISTER.taken)),
          [i32.store(M.REGISTERS, -1, REGISTER.taken), when(call('advance', 'lane'), addToOrder)],
          addToOrder,
        ),
      ]
    : addToOrder;
  return block(
    'collected',
    loop(
      'next',
      brIf('collected', i32.geU('i', 'lanes')),
      set('lane', i32.add(M.LANES, i32.mul('i', M.LANE_BYTES))),
      when(call('seek', 'lane'), add),
      set('i', i32.add('i', 1)),
      br('next'),
    ),
  );
}

/** Prints a window from `out` on; FAILED where JavaScript has to. */
function printWindow({ graph }: WalkShape) {
  return defineFunction(
    'printWindow',
    { lanes: I32, out: I32, outEnd: I32 },
    [I32],
    {
      lane: I32,
      i: I32,
      count: I32,
      first: I32,
      second: I32,
      next: I32,
      hasMore: I32,
      isBehind: I32,
      isLeaf: I32,
      before: I32,
      time: I64,
      bound: I64,
    },
    [
      collect(graph !== undefined),
      block(
        'printed',
        loop(
          'merge',
          brIf('printed', i32.eqz('count')),
          ...select,
          set('lane', laneAt('first')),
          // Up to the next one's time; with it where this one stands before it, and otherwise its time is later, so not 0.
          set('bound', i64.const(-1)),
          when(i32.geS('second', 0), [set('bound', i64.sub(timeOf('second'), i64.extendU(i32.gtS('first', 'second'))))]),
          loop(
            'same lane',
            ...(graph === undefined ? [] : [putCall(graph)]),
            set('out', call('putLine', 'lane', 'out', 'outEnd')),
            when(i32.eq('out', FAILED), [ret(FAILED)]),
            when(i32.eqz(call('advance', 'lane')), [set('count', call('remove', 'first', 'count')), br('merge')]),
            brIf('same lane', i64.leU(i64.load('lane', LANE.time), 'bound')),
          ),
          br('merge'),
        ),
      ),
      choose(register(REGISTER.damaged), i32.const(FAILED), get('out')),
    ],
  );
}

export function walkFunctions(shape: WalkShape) {
  const putTime = defineFunction('putTime', { time: I64, out: I32 }, [I32], { within: I64 }, TIMES[shape.times]);
  const { latency, times, timeDifference } = shape;
  return [
    nextPage(shape.layout),
    skipSpecial,
    advance,
    setSecond,
    putTime,
    ...(latency === undefined ? [] : [putFlags(latency, times !== 'number')]),
    ...(timeDifference === undefined ? [] : [putDifference(timeDifference === 'nanos')]),
    putLine(shape),
    seek,
    remove,
    ...(shape.graph === undefined ? [] : [firstBehind, isEndOf(shape.graph, shape.commonPid)]),
    printWindow(shape),
  ];
}
