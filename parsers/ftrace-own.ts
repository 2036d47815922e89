/**
 * Bodies that tracers print for their own entries, and trace-cmd's plugins for some events, one rule each. None has `name: ` in
 * front, but those of trace-cmd.
 *
 *   ksys_dup3 <-__x64_sys_dup2                                    function; with (repeats: 2, last_ts:   399.795127) func_repeats
 *         407:120:R ==> [000]      23: 98:R rcuc/0                wakeup tracers: context_switch, and with + wakeup
 *   #1     inner/outer(us): 38321/8916  ts:1795652624.902697281 count:655        hwlat
 *   1006816     967587   3.89634   97571    201   0    117   0   94              osnoise
 *   #23    context thread timer_latency  10799134 ns              timerlat
 *   8,0   Q   W 3 + 8 [dd]                                        blk; with blk_cgroup `254,16  /mks  C  RM 2 + 2 [0]`
 *   R 4 42.347458 2 0xfebc100c 0x1 0x0 0                          mmiotrace (ftrace-tracers.ts)
 *   type: 372        UNKNOWN TYPE 4                               untyped: options raw, hex, bin, fields print no more
 */
import type { EventField } from '../model/event-batch.ts';
import { decodeUtf8 } from '../base/bytes.ts';
import type { FtracePrefix } from './ftrace-prefix.ts';
import { Scan } from './ftrace-own-scan.ts';
import { createShape, toVariant, type FtraceRows, type OpenTable, type Shape } from './ftrace-rows.ts';

const NEWLINE = 10;
const SPACE = 32;
const DASH = 45;
const LESS = 60;
const OPEN_PAREN = 40;

/** What a group of the rule's expression becomes: text, an integer, seconds in ns, hexadecimal. */
type Kind = 'text' | 'integer' | 'nanoseconds' | 'hex';

interface Rule {
  readonly pattern: RegExp;
  readonly event: string;
  readonly fields: readonly (readonly [name: string, kind: Kind])[];
}

/** Behind a name: its module, its address. */
const SYMBOL_TAIL = String.raw`(?: \[[^\s\]]+\])?(?: <[\da-fA-F]{8,16}>)?`;
const SYMBOL = String.raw`(?:[\w.$]+(?:\+0x[\da-f]+\/0x[\da-f]+)?|0x[\da-f]+)${SYMBOL_TAIL}`;

/** Longest body that rules are tried on. */
const MAX_RULE_BYTES = 512;

/** What the quick way takes for a name, and so must be one everywhere. */
const FUNCTION_NAME = String.raw`[^\0- (:]+`;
const CALLER_NAME = String.raw`[^\0- (]+`;

const FUNCTION: Rule = {
  pattern: new RegExp(`^(${FUNCTION_NAME}${SYMBOL_TAIL}) <-(?!-)(${CALLER_NAME}${SYMBOL_TAIL})$`),
  event: 'function',
  fields: [
    ['ip', 'text'],
    ['parent_ip', 'text'],
  ],
};

const REPEATS: Rule = {
  pattern: new RegExp(String.raw`^(${SYMBOL})(?:\(.*\))? <-(${SYMBOL}) \(repeats: (\d{1,15}), last_ts: *(\d{1,10}\.\d{1,9})\)$`),
  event: 'func_repeats',
  fields: [
    ['ip', 'text'],
    ['parent_ip', 'text'],
    ['count', 'integer'],
    ['last_ts', 'nanoseconds'],
  ],
};

/** Device, columns of blk_classic or of blkparse, cgroup (a number, a path, unknown), action, and the marks of what is done. */
const blkHead = (actions: string): string =>
  String.raw`^ *(\d{1,4},\d{1,7}) +(?:\d{1,5} +(?:\d{1,10} +)?\d{1,10}\.\d{1,9} +\d{1,10} +)?(?:([\da-f]{1,8},[\da-f]{1,8}|\/.*?|<\.\.\.>) +)?(${actions}) +([A-Z]{1,8}) `;
const BLK_ENDED = 'C|R|complete|requeue';
const BLK_OTHER = '[A-Z]{1,2}|queue|backmerge|frontmerge|getrq|sleeprq|issue|plug|unplug_io|unplug_timer|insert|split|bounce|remap';
const BLK_HEAD = [
  ['dev', 'text'],
  ['cgroup', 'text'],
  ['action', 'text'],
  ['rwbs', 'text'],
] as const;
const SECTOR = ['sector', 'integer'] as const;
const SECTORS = ['nr_sector', 'integer'] as const;
const COMM = ['comm', 'text'] as const;

/** `actions` with what stands behind them. */
const blk = (actions: string, rest: string, ...fields: Rule['fields']): Rule => ({
  pattern: new RegExp(`${blkHead(actions)}${rest}$`),
  event: 'blk',
  fields: [...BLK_HEAD, ...fields],
});

const BLK_RULES: readonly Rule[] = [
  blk(BLK_ENDED, String.raw`(\d{1,15})(?: \+ (\d{1,10}))? \[(\d{1,10})\]`, SECTOR, SECTORS, ['error', 'integer']),
  blk(BLK_ENDED, String.raw`(?:\(([\da-f. ]*)\) )?\[(\d{1,10})\]`, ['cmd', 'text'], ['error', 'integer']),
  blk(BLK_OTHER, String.raw`(\d{1,15}) \+ (\d{1,10}) \[(.*)\]`, SECTOR, SECTORS, COMM),
  blk(
    BLK_OTHER,
    String.raw`(\d{1,15}) \+ (\d{1,10}) <- \((\d{1,4},\d{1,7})\) (\d{1,15})(?: \[(.*)\])?`,
    SECTOR,
    SECTORS,
    ['old_dev', 'text'],
    ['old_sector', 'integer'],
    COMM,
  ),
  blk(BLK_OTHER, String.raw`(\d{1,15}) \/ (\d{1,15}) \[(.*)\]`, SECTOR, ['new_sector', 'integer'], COMM),
  blk(BLK_OTHER, String.raw`(\d{1,10}) (?:\(([\da-f. ]*)\) )?\[(.*)\]`, ['bytes', 'integer'], ['cmd', 'text'], COMM),
  blk(BLK_OTHER, String.raw`\[(.*)\](?: (\d{1,15}))?`, COMM, ['nr_rq', 'integer']),
  blk('m|message', '(.*)', ['msg', 'text']),
];

const MMIO_ADDRESS = String.raw`0x([\da-f]{1,16})`;
const MMIO_RULES: readonly Rule[] = [
  {
    pattern: new RegExp(String.raw`^([RW]) (\d{1,3}) [\d.]+ (-?\d{1,10}) ${MMIO_ADDRESS} ${MMIO_ADDRESS} ${MMIO_ADDRESS} 0$`),
    event: 'mmiotrace_rw',
    fields: [
      ['opcode', 'text'],
      ['width', 'integer'],
      ['map_id', 'integer'],
      ['phys', 'hex'],
      ['value', 'hex'],
      ['pc', 'hex'],
    ],
  },
  {
    pattern: new RegExp(String.raw`^(UNKNOWN) [\d.]+ (-?\d{1,10}) ${MMIO_ADDRESS} ([\da-f]{2},[\da-f]{2},[\da-f]{2}) ${MMIO_ADDRESS} 0$`),
    event: 'mmiotrace_rw',
    fields: [
      ['opcode', 'text'],
      ['map_id', 'integer'],
      ['phys', 'hex'],
      ['code', 'text'],
      ['pc', 'hex'],
    ],
  },
  {
    pattern: new RegExp(String.raw`^(MAP) [\d.]+ (-?\d{1,10}) ${MMIO_ADDRESS} ${MMIO_ADDRESS} ${MMIO_ADDRESS} ${MMIO_ADDRESS} 0$`),
    event: 'mmiotrace_map',
    fields: [
      ['opcode', 'text'],
      ['map_id', 'integer'],
      ['phys', 'hex'],
      ['virt', 'hex'],
      ['len', 'hex'],
      ['pc', 'hex'],
    ],
  },
  {
    pattern: new RegExp(String.raw`^(UNMAP) [\d.]+ (-?\d{1,10}) ${MMIO_ADDRESS} 0$`),
    event: 'mmiotrace_map',
    fields: [
      ['opcode', 'text'],
      ['map_id', 'integer'],
      ['pc', 'hex'],
    ],
  },
  { pattern: /^(rw|map) what\?$/, event: 'mmiotrace_rw', fields: [['opcode', 'text']] },
];

/** What the option raw makes of hwlat, osnoise and timerlat. */
const RAW_RULES: readonly Rule[] = [
  {
    pattern: /^(\d{1,15}) (\d{1,15}) (\d{1,12}) (\d{9}) (\d{1,10})$/,
    event: 'hwlat',
    fields: [
      ['duration', 'integer'],
      ['outer_duration', 'integer'],
      ['tv_sec', 'integer'],
      ['tv_nsec', 'integer'],
      ['seqnum', 'integer'],
    ],
  },
  {
    pattern: new RegExp(`^${Array.from({ length: 8 }, () => String.raw`(\d{1,15})`).join(' ')}$`),
    event: 'osnoise',
    fields: ['runtime', 'noise', 'max_sample', 'hw_count', 'nmi_count', 'irq_count', 'softirq_count', 'thread_count'].map(
      (name) => [name, 'integer'] as const,
    ),
  },
  {
    pattern: /^(\d{1,10}) ([0-2]) (\d{1,15})$/,
    event: 'timerlat',
    fields: [
      ['seqnum', 'integer'],
      ['context_number', 'integer'],
      ['timer_latency', 'integer'],
    ],
  },
];

const UNTYPED: Rule = { pattern: /^(?:type: |UNKNOWN TYPE |Unknown type )(\d{1,10})$/, event: 'untyped', fields: [['type', 'integer']] };

const RULES: readonly Rule[] = [
  REPEATS,
  {
    pattern: new RegExp(String.raw`^(${SYMBOL})(\(.*\)) <-{1,2} ?(${SYMBOL})$`),
    event: 'function',
    fields: [
      ['ip', 'text'],
      ['args', 'text'],
      ['parent_ip', 'text'],
    ],
  },
  FUNCTION,
  { ...FUNCTION, pattern: /^([\da-f]{8,16}) ([\da-f]{8,16}) ?$/ },
  { pattern: new RegExp(`^(${SYMBOL})$`), event: 'function', fields: [['ip', 'text']] },
  ...BLK_RULES,
  ...MMIO_RULES,
  ...RAW_RULES,
  UNTYPED,
  {
    pattern: /^# ([\da-f]{1,16}) buf:((?: [\da-f]{2})*) ?$/,
    event: 'raw_data',
    fields: [
      ['id', 'hex'],
      ['buf', 'text'],
    ],
  },
];

/** What wakeup tracers, hwlat, osnoise and timerlat print. */
const TASK_STATES = (sign: string): string =>
  `{prev_pid}:{prev_prio}:{prev_state:char} ${sign} [{next_cpu}] {next_pid}:{next_prio}:{next_state:char} {next_comm:rest}`;
const SCANS: readonly (readonly [event: string, pattern: string])[] = [
  ['context_switch', TASK_STATES('==>')],
  ['wakeup', TASK_STATES('+')],
  [
    'hwlat',
    '#{seqnum} inner/outer(us): {duration}/{outer_duration} ts:{timestamp:ns}[| count:{count}|][| nmi-total:{nmi_total_ts} nmi-count:{nmi_count}|]',
  ],
  ['osnoise', '{runtime} {noise} {available_percent_e5:e5} {max_sample} {hw_count} {nmi_count} {irq_count} {softirq_count} {thread_count}'],
  ['timerlat', '#{seqnum} context {context:word} timer_latency {timer_latency} ns'],
];

/** Bodies of trace-cmd's plugins, by event. */
const PLUGIN_RULES: Readonly<Record<string, readonly Rule[]>> = {
  sched_switch: [
    {
      pattern: /^(.*):(\d{1,10}) \[(-?\d{1,10})\] (\S+) ==> (.*):(\d{1,10}) \[(-?\d{1,10})\]$/,
      event: 'sched_switch',
      fields: [
        ['prev_comm', 'text'],
        ['prev_pid', 'integer'],
        ['prev_prio', 'integer'],
        ['prev_state', 'text'],
        ['next_comm', 'text'],
        ['next_pid', 'integer'],
        ['next_prio', 'integer'],
      ],
    },
  ],
  sched_wakeup: [wakeup('sched_wakeup')],
  sched_wakeup_new: [wakeup('sched_wakeup_new')],
  func_repeats: [
    {
      pattern: /^(\S+)(?: <-- (\S+))? \(count: (\d{1,15}) +last_ts: *(\d{1,10}\.\d{1,9})\)$/,
      event: 'func_repeats',
      fields: REPEATS.fields,
    },
  ],
};

function wakeup(event: string): Rule {
  return {
    pattern: /^(.*):(\d{1,10}) \[(-?\d{1,10})\](?: (?:success=\d+ ?)?)?(?:CPU:(\d{1,5}))?$/,
    event,
    fields: [
      ['comm', 'text'],
      ['pid', 'integer'],
      ['prio', 'integer'],
      ['target_cpu', 'integer'],
    ],
  };
}

/** A body that is read by a pattern. */
export interface OwnBody {
  readonly event: string;
  readonly scan: Scan;
  readonly shape: Shape;
}

export class FtraceOwn {
  readonly #rows: FtraceRows;
  readonly #shapes = new Map<Rule, Shape>();
  /** The one that was found last is the first. */
  readonly #scans: OwnBody[] = SCANS.map(([event, pattern]) => {
    const scan = new Scan(pattern);
    return { event, scan, shape: createShape('ftrace', event, scan.fields, toVariant(scan.fields)) };
  });
  readonly functions = createShape('ftrace', 'function', FUNCTION.fields.map(toField));

  constructor(rows: FtraceRows) {
    this.#rows = rows;
  }

  /** Rows of an event that a plugin of trace-cmd prints in a way of its own. */
  pluginShape(event: string): Shape | undefined {
    const rule = Object.hasOwn(PLUGIN_RULES, event) ? PLUGIN_RULES[event]?.[0] : undefined;
    return rule === undefined ? undefined : this.#shapeOf(rule);
  }

  /** Rows of events of which the line has the type alone. */
  get untyped(): Shape {
    return this.#shapeOf(UNTYPED);
  }

  /** Rows of a call that came several times. */
  get repeats(): Shape {
    return this.#shapeOf(REPEATS);
  }

  /** `callee <-caller` to the end of the line, whose name ends at `p`; returns that end, or -1 when it is not that plain. */
  addFunction(bytes: Uint8Array, prefix: FtracePrefix, p: number, end: number): number {
    const at = prefix.bodyStart;
    if (bytes[p] !== SPACE || bytes[p + 1] !== LESS || bytes[p + 2] !== DASH) return -1;
    const callerAt = p + 3;
    let q = callerAt;
    while (q < end && (bytes[q] as number) > SPACE && bytes[q] !== OPEN_PAREN) q++;
    if (bytes[q] !== NEWLINE || q === callerAt || bytes[callerAt] === DASH) return -1;
    const shape = this.functions;
    const row = this.#rows.add(shape, prefix, bytes);
    this.#rows.setText(shape, row, 0, bytes, at, p);
    this.#rows.setText(shape, row, 1, bytes, callerAt, q);
    this.#rows.setBody(shape, row, at, q);
    return q;
  }

  addAddresses(bytes: Uint8Array, prefix: FtracePrefix, addresses: readonly string[]): void {
    const row = this.#rows.add(this.functions, prefix, bytes);
    addresses.forEach((address, field) => this.#rows.setString(this.functions, row, field, address));
  }

  /** The pattern that takes a body, and has read it. */
  scan(bytes: Uint8Array, at: number, end: number): OwnBody | undefined {
    const scans = this.#scans;
    for (let i = 0; i < scans.length; i++) {
      const body = scans[i] as OwnBody;
      if (!body.scan.read(bytes, at, end)) continue;
      scans[i] = scans[0] as OwnBody;
      return (scans[0] = body);
    }
    return undefined;
  }

  /** A body without a name in front: the name of its event, or undefined when no rule takes it. */
  add(bytes: Uint8Array, prefix: FtracePrefix, at: number, end: number): string | undefined {
    if (end - at > MAX_RULE_BYTES) return undefined;
    const body = this.scan(bytes, at, end);
    if (body === undefined) return this.#addFirst(RULES, bytes, prefix, at, end);
    const row = this.#rows.add(body.shape, prefix, bytes);
    this.#rows.setBody(body.shape, row, at, end);
    body.scan.write((body.shape.open as OpenTable).columns, row, bytes, this.#rows.batch.strings);
    return body.event;
  }

  /** The body of an event that trace-cmd prints in a way of its own, at `textAt`; false when it does not. */
  addPlugin(event: string, bytes: Uint8Array, prefix: FtracePrefix, textAt: number, end: number): boolean {
    const rules = Object.hasOwn(PLUGIN_RULES, event) ? PLUGIN_RULES[event] : undefined;
    return rules !== undefined && end - textAt <= MAX_RULE_BYTES && this.#addFirst(rules, bytes, prefix, textAt, end) !== undefined;
  }

  #addFirst(rules: readonly Rule[], bytes: Uint8Array, prefix: FtracePrefix, at: number, end: number): string | undefined {
    const text = decodeUtf8(bytes, at, end);
    for (const rule of rules) {
      const match = rule.pattern.exec(text);
      if (match === null) continue;
      this.#addRow(rule, match, bytes, prefix, at, end);
      return rule.event;
    }
    return undefined;
  }

  #addRow(rule: Rule, match: RegExpExecArray, bytes: Uint8Array, prefix: FtracePrefix, bodyAt: number, end: number): void {
    const shape = this.#shapeOf(rule);
    const rows = this.#rows;
    const row = rows.add(shape, prefix, bytes);
    rows.setBody(shape, row, bodyAt, end);
    rule.fields.forEach(([, kind], field) => {
      const text = match[field + 1] ?? '';
      switch (kind) {
        case 'text':
          rows.setString(shape, row, field, text);
          break;
        case 'integer':
          rows.setNumber(shape, row, field, Number(text));
          break;
        case 'nanoseconds': {
          const [whole = '0', fraction = ''] = text.split('.');
          const value = BigInt(whole) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
          rows.setWords(shape, row, field, Number(value & 0xffff_ffffn), Number(value >> 32n));
          break;
        }
        case 'hex': {
          const value = BigInt(`0x${text}`);
          rows.setWords(shape, row, field, Number(value & 0xffff_ffffn), Number(value >> 32n));
          break;
        }
      }
    });
  }

  #shapeOf(rule: Rule): Shape {
    if (rule.fields === FUNCTION.fields) return this.functions;
    const known = this.#shapes.get(rule);
    if (known !== undefined) return known;
    const isOwn = RULES.includes(rule);
    const fields = rule.fields.map(toField);
    const shape = createShape(isOwn ? 'ftrace' : '', rule.event, fields, isOwn ? toVariant(fields) : 'plugin');
    this.#shapes.set(rule, shape);
    return shape;
  }
}

function toField([name, kind]: readonly [string, Kind]): EventField {
  if (kind === 'text') return { name, kind: 'string', type: '', hex: false };
  return { name, kind: kind === 'hex' ? 'uint64' : 'int64', type: '', hex: kind === 'hex' };
}
