/**
 * A user's own packs of messages between kernels, from a file:
 *
 *   packs:
 *     - name: mbox
 *       about: Messages over the mailbox of our board.
 *       events:
 *         - event: mbox_send
 *           role: send
 *           function: mbox_send_message
 *           args: "to=$arg1:s32 type=$arg2:x32 len=$arg4:u32"
 *           fields: { peer: to, type: type, length: len }
 *         - event: mbox_recv
 *           …
 *       samples:
 *         - about: sent
 *           trace: "mbox-77 [001] ..... 100.000001: mbox_send: (mbox_send_message+0x0/0x40) to=1 type=0x2 len=64"
 *           messages: [{ kind: send, peer: 1, type: 2, length: 64 }]
 *
 * Every key that is not known is refused, and every field that its event does not have. docs/ikc.md.
 */
import { z } from 'zod';

import { messageOf, OperationalError } from '../base/errors.ts';
import { fieldsOfFilter, parseEventFilter } from '../correlate/event-filter.ts';
import type { IkcEvent, IkcFields, IkcLine, IkcPack, IkcRing, IkcRole } from '../correlate/ikc-pack.ts';
import { IKC_PACKS } from '../correlate/ikc-packs/index.ts';
import type { MessageRule } from '../correlate/message-catalogue.ts';
import { compilePattern } from '../correlate/message-pattern.ts';
import { pattern } from './message-file.ts';
import { suggest } from './nearest.ts';
import { readRuleText, RuleFile } from './rule-file.ts';

const MAX_PACKS = 32;
const MAX_EVENTS = 128;
const MAX_SAMPLES = 256;
const MAX_LINES = 64;
const MAX_NAMES = 1024;
const MAX_U32 = 0xffff_ffff;
/** Group of all probes: what a killed collector left is known by it. */
const GROUP = 'ikc';
const DEFAULT_GENERATION = 'any';
const ROLES = [
  'send',
  'send_return',
  'inner_send',
  'inner_return',
  'receive',
  'failed',
  'interrupt',
  'request',
  'answer',
  'request_end',
  'state',
] as const satisfies readonly IkcRole[];
/** Key in the file → field. */
const FIELDS = {
  peer: 'peer',
  from_cpu: 'fromCpu',
  from_kernel: 'fromKernel',
  type: 'type',
  subtype: 'subtype',
  length: 'length',
  size: 'size',
  slot: 'slot',
  queue: 'queue',
  error: 'error',
  operation: 'operation',
  resource: 'resource',
  result: 'result',
} as const satisfies Readonly<Record<string, keyof IkcFields>>;
const KEYS = `packs name about generations types subtypes answers header raw_types rings events lines samples
  slots slot_bytes header_bytes event role function return_of module args filter fields fixed length_bias keys payload
  send receive failed patterns trace log messages exchanges kind state ${Object.keys(FIELDS).join(' ')}`.split(/\s+/);
/** Name, an expression of registers, arguments, memory or symbols without spaces, and what the kernel can fetch. */
const FETCH_ARG =
  /^([A-Za-z_]\w{0,31})=([$%+@\\-][\w$%+@()\\"-]*):((?:[sux](?:8|16|32|64)|b\d{1,2}@\d{1,2}\/(?:8|16|32|64)|string|ustring|symbol|char)(?:\[\d{1,2}\])?)$/;

const word = (what: RegExp, message: string): z.ZodString => z.string().regex(what, message);
const number = (least: number, most: number): z.ZodType<number> =>
  z
    .string()
    .regex(/^-?(?:0x[0-9a-fA-F]{1,8}|\d{1,10})$/, 'must be a number: 5, 0x1f')
    .transform((text) => (text.startsWith('-') ? -Number(text.slice(1)) : Number(text)))
    .refine((value) => value >= least && value <= most, `must be from ${least} to ${most}`);
const u32 = number(0, MAX_U32);
const kernelId = number(0, 65_535);
const symbol = word(/^[A-Za-z_][\w.]{0,127}$/, 'must be the name of a function');
const field = word(/^[A-Za-z_][\w.]{0,63}$/, 'must be the name of a field');
const generation = word(/^[a-z0-9][a-z0-9_.-]{0,31}$/, 'must be a word of small letters and digits');
const texts = (message: string): z.ZodType<string[]> =>
  z.union(
    [
      z.string().transform((text) => text.split('\n').filter((line) => line.trim() !== '')),
      z.array(z.string()).max(MAX_LINES, `must have no more than ${MAX_LINES} lines`),
    ],
    message,
  );

const numberNames = z
  .record(z.string(), word(/^[A-Za-z0-9_.-]{1,64}$/, 'must be a name of letters, digits, "_", "-" and "."'))
  .transform((names, context) => {
    const entries = Object.entries(names).map(([key, name]) => [u32.safeParse(key), name, key] as const);
    const wrong = entries.find(([key]) => !key.success);
    if (wrong !== undefined) context.addIssue({ code: 'custom', message: `has the key ${wrong[2]}, which is no number` });
    if (entries.length > MAX_NAMES) context.addIssue({ code: 'custom', message: `must have no more than ${MAX_NAMES} names` });
    return Object.fromEntries(entries.flatMap(([key, name]) => (key.success ? [[key.data, name] as const] : [])));
  });

const fields = z.strictObject({
  ...(Object.fromEntries(Object.keys(FIELDS).map((key) => [key, field.optional()])) as Record<
    keyof typeof FIELDS,
    z.ZodOptional<typeof field>
  >),
  keys: z.array(field).max(8, 'must have no more than 8 fields').optional(),
  payload: z.array(field).max(8, 'must have no more than 8 fields').optional(),
});
type FileFields = z.infer<typeof fields>;

const fixed = z.strictObject({ peer: kernelId.optional(), type: u32.optional(), subtype: u32.optional(), queue: u32.optional() });

const event = z.strictObject({
  event: word(
    /^(?:[A-Za-z_]\w{0,62}|[A-Za-z_][\w-]{0,62}:[A-Za-z_][\w-]{0,62})$/,
    'must be a word (a probe that is made) or system:event (one that the kernel has)',
  ),
  role: z.enum(ROLES, `must be one of: ${ROLES.join(', ')}`),
  function: symbol.optional(),
  return_of: symbol.optional(),
  module: word(/^[\w-]{1,64}$/, 'must be the name of a module').optional(),
  args: z.string().max(1024, 'must have no more than 1024 characters').optional(),
  filter: z.string().min(1, 'must not be empty').optional(),
  fields: fields.default({}),
  fixed: fixed.optional(),
  length_bias: number(-MAX_U32, MAX_U32).optional(),
  generations: z.array(generation).min(1, 'must name one').optional(),
});
type FileEvent = z.infer<typeof event>;

const line = z.strictObject({
  patterns: z.array(pattern).min(1, 'must have a pattern').max(32, 'must have no more than 32 patterns'),
  fields,
  fixed: fixed.optional(),
});
const lines = z.strictObject({ send: line.optional(), receive: line.optional(), failed: line.optional() });

const ring = z.strictObject({ slots: number(1, 32_767), slot_bytes: u32.optional(), header_bytes: u32.optional() });

const wantedMessage = z.strictObject({
  kind: z.enum(['send', 'receive', 'failed'], 'must be send, receive or failed'),
  peer: kernelId.optional(),
  from_cpu: kernelId.optional(),
  type: u32,
  subtype: u32.optional(),
  length: u32.optional(),
  slot: number(0, 32_767).optional(),
  queue: u32.optional(),
  error: number(-4095, -1).optional(),
});
const wantedExchange = z.strictObject({
  operation: u32,
  state: z.enum(['answered', 'timeout', 'open'], 'must be answered, timeout or open'),
  result: number(-MAX_U32, MAX_U32).optional(),
});

const sample = z
  .strictObject({
    about: z.string().min(1, 'must say what it shows').max(200),
    trace: texts('must be lines as in trace_pipe').default([]),
    log: texts('must be lines of a log').default([]),
    messages: z.array(wantedMessage),
    exchanges: z.array(wantedExchange).default([]),
  })
  .refine((one) => one.trace.length + one.log.length > 0, 'must have lines, in trace or log');
export type PackSample = z.infer<typeof sample>;

const pack = z.strictObject({
  name: word(/^[a-z][a-z0-9_]{0,31}$/, 'must be a word of small letters, digits and "_"').refine(
    (name) => !IKC_PACKS.some((one) => one.name === name),
    'is the name of a pack that mkscope brings',
  ),
  about: z.string().min(1, 'must say what it is').max(200),
  generations: z.array(generation).min(1, 'must name one').max(16, 'must have no more than 16').optional(),
  types: numberNames.default({}),
  subtypes: numberNames.default({}),
  answers: z.array(u32).max(64).default([]),
  header: number(0, 65_536).default(0),
  raw_types: z.array(u32).max(64).default([]),
  rings: z.record(z.string(), ring).default({}),
  events: z.array(event, 'must be a list of events').max(MAX_EVENTS, `must have no more than ${MAX_EVENTS} events`).default([]),
  lines: lines.default({}),
  samples: z.array(sample, 'must be a list of samples').min(1, 'must have a sample').max(MAX_SAMPLES),
});
type FilePack = z.infer<typeof pack>;

const file = z.strictObject({ packs: z.array(pack, 'must be a list of packs').min(1, 'must have a pack').max(MAX_PACKS) });
type PackFile = RuleFile<z.infer<typeof file>>;

/** A pack, what tries it, and where it stands. */
export interface OwnPack {
  readonly pack: IkcPack;
  /** The messages that its lines are. */
  readonly rules: readonly MessageRule[];
  readonly samples: readonly { readonly sample: PackSample; readonly line: number }[];
  readonly line: number;
}

/** Throws E_CONFIG_READ, E_CONFIG_SYNTAX, E_CONFIG_KEY or E_CONFIG_VALUE with file and line. Samples are not run. */
function readIkcFile(path: string): OwnPack[] {
  return parseIkcFile(path, readRuleText(path));
}

/** Several files, whose packs must have different names. */
export function readIkcFiles(paths: readonly string[]): { readonly path: string; readonly packs: readonly OwnPack[] }[] {
  const files = paths.map((path) => ({ path, packs: readIkcFile(path) }));
  const seen = new Map<string, string>();
  for (const { path, packs } of files) {
    for (const { pack: one, line: at } of packs) {
      const other = seen.get(one.name);
      if (other !== undefined)
        throw new OperationalError(
          'E_CONFIG_VALUE',
          `${path}:${at}: the pack ${one.name} is in ${other} too`,
          'give each pack a name of its own',
        );
      seen.set(one.name, `${path}:${at}`);
    }
  }
  return files;
}

export function parseIkcFile(path: string, text: string): OwnPack[] {
  const read = new RuleFile(path, text, { schema: file, keys: KEYS, page: 'docs/ikc.md' });
  return read.value.packs.map((one, index) => {
    checkPack(read, one, index);
    const twin = read.value.packs.findIndex(({ name }) => name === one.name);
    if (twin < index) throw read.toError(['packs', index, 'name'], `is the name of the pack in line ${read.lineOf(['packs', twin])} too`);
    const samples = one.samples.map((own, at) => ({ sample: own, line: read.lineOf(['packs', index, 'samples', at]) }));
    const { pack: made, rules } = toPack(one);
    return { pack: made, rules, samples, line: read.lineOf(['packs', index]) };
  });
}

function checkPack(read: PackFile, one: FilePack, index: number): void {
  const { events, lines: printed } = one;
  const ends = (role: 'send' | 'receive'): boolean => events.some((of) => of.role === role) || printed[role] !== undefined;
  if (!ends('send') && !ends('receive')) throw read.toError(['packs', index], 'has neither an event nor a line that is sent or received');
  for (const key of Object.keys(one.rings)) {
    if (generationsOf(one).includes(key)) continue;
    throw read.toError(['packs', index, 'rings', key], `is no generation of the pack${suggest(key, generationsOf(one))}`);
  }
  for (const [at, of] of events.entries()) checkEvent(read, one, of, ['packs', index, 'events', at]);
  for (const role of ['send', 'receive', 'failed'] as const) {
    const of = printed[role];
    if (of === undefined) continue;
    const known = of.patterns.flatMap((source) => compilePattern(source).fields.map(({ name }) => name));
    checkFields(read, of.fields, known, ['packs', index, 'lines', role]);
    if (of.fields.payload !== undefined)
      throw read.toError(['packs', index, 'lines', role, 'fields', 'payload'], 'is nothing that a line has');
  }
}

function checkEvent(read: PackFile, one: FilePack, of: FileEvent, path: readonly PropertyKey[]): void {
  const isProbe = of.function !== undefined || of.return_of !== undefined;
  if (of.function !== undefined && of.return_of !== undefined) throw read.toError([...path, 'return_of'], 'cannot stand beside function');
  if (isProbe === of.event.includes(':')) {
    const why = isProbe ? 'must be one word where a probe is made' : 'needs function or return_of, or is written system:event';
    throw read.toError([...path, 'event'], why);
  }
  if (isProbe && IKC_PACKS.some(({ events }) => events.some(({ event: name }) => name === `${GROUP}:${of.event}`)))
    throw read.toError([...path, 'event'], 'is the name of a probe that mkscope brings');
  for (const key of ['args', 'module'] as const)
    if (!isProbe && of[key] !== undefined) throw read.toError([...path, key], 'is of a probe, which this is not');
  for (const name of of.generations ?? [])
    if (!generationsOf(one).includes(name))
      throw read.toError([...path, 'generations'], `has ${name}, which is no generation of the pack${suggest(name, generationsOf(one))}`);
  const known = isProbe ? argNamesOf(read, of.args ?? '', [...path, 'args']) : undefined;
  checkFields(read, of.fields, known, path);
  if (of.filter !== undefined) checkFilter(read, of.filter, known, [...path, 'filter']);
  for (const [at, other] of one.events.slice(0, path.at(-1) as number).entries()) {
    if (other.event !== of.event) continue;
    const place = `line ${read.lineOf([...path.slice(0, -1), at])}`;
    // The hub knows events by their names alone, whatever generation they are of.
    if (other.filter === undefined) throw read.toError([...path, 'event'], `is taken whole by ${place} already, which has no filter`);
    const same = ['function', 'return_of', 'module', 'args'] as const;
    if (isProbe && same.some((key) => other[key] !== of[key]))
      throw read.toError([...path, 'event'], `is another probe than in ${place}: give it a name of its own`);
  }
}

/** Names of what a probe fetches. */
function argNamesOf(read: PackFile, args: string, path: readonly PropertyKey[]): string[] {
  return args
    .split(' ')
    .filter(Boolean)
    .map((arg) => {
      const name = FETCH_ARG.exec(arg)?.[1];
      if (name === undefined)
        throw read.toError(path, `has «${arg}», which is none: write name=$arg1:u32, name=+8($arg2):x64, ret=$retval:s32`);
      return name;
    });
}

function checkFields(read: PackFile, of: FileFields, known: readonly string[] | undefined, path: readonly PropertyKey[]): void {
  if (known === undefined) return;
  for (const [key, value] of Object.entries(of)) {
    for (const name of [value ?? []].flat())
      if (!known.includes(name))
        throw read.toError([...path, 'fields', key], `is ${name}, which is not fetched there${suggest(name, known)}`);
  }
}

function checkFilter(read: PackFile, source: string, known: readonly string[] | undefined, path: readonly PropertyKey[]): void {
  let names: readonly string[];
  try {
    names = fieldsOfFilter(parseEventFilter(source));
  } catch (error) {
    throw read.toError(path, `is no filter: ${messageOf(error)}`);
  }
  const missing = known === undefined ? undefined : names.find((name) => !known.includes(name));
  if (missing !== undefined) throw read.toError(path, `looks at ${missing}, which is not fetched there${suggest(missing, known ?? [])}`);
}

function generationsOf({ generations }: FilePack): readonly string[] {
  return generations ?? [DEFAULT_GENERATION];
}

function toPack(one: FilePack): Pick<OwnPack, 'pack' | 'rules'> {
  const hasSubtypes = one.events.some((of) => of.fields.subtype !== undefined || of.fixed?.subtype !== undefined);
  const printed = (['send', 'receive', 'failed'] as const).flatMap((role) => {
    const of = one.lines[role];
    return of === undefined ? [] : [{ role, of }];
  });
  const prefix = `${GROUP}.${one.name}.`;
  return {
    pack: {
      name: one.name,
      title: one.about,
      events: one.events.map((of) => toEvent(of, hasSubtypes)),
      lines: printed.map(({ role, of }): IkcLine => ({
        event: prefix + role,
        role,
        fields: toFields(of.fields, prefix),
        fixed: toFixed(of.fixed, of.fields.subtype === undefined),
      })),
      rings: Object.fromEntries(generationsOf(one).map((name) => [name, toRing(one.rings[name])])),
      headerBytes: one.header,
      rawTypes: one.raw_types,
      typeNames: one.types,
      subtypeNames: one.subtypes,
      answerSubtypes: one.answers,
      samples: [],
    },
    rules: printed.map(({ role, of }): MessageRule => ({
      event: prefix + role,
      about: `${one.about} (${role})`,
      level: 'debug',
      side: 'both',
      prefix,
      patterns: of.patterns,
      samples: [],
    })),
  };
}

function toEvent(of: FileEvent, hasSubtypes: boolean): IkcEvent {
  const target = of.function ?? of.return_of;
  // Below a call that has one, the subtype is not known; elsewhere a protocol without any has the same one always.
  const withoutSubtype = of.fields.subtype === undefined && !(hasSubtypes && of.role === 'inner_send');
  return {
    event: target === undefined ? of.event : `${GROUP}:${of.event}`,
    role: of.role,
    fields: toFields(of.fields, ''),
    fixed: toFixed(of.fixed, withoutSubtype),
    ...(of.length_bias === undefined ? {} : { lengthBias: of.length_bias }),
    ...(target === undefined
      ? {}
      : {
          probe: {
            at: of.function === undefined ? 'return' : 'entry',
            function: target,
            ...(of.module === undefined ? {} : { module: of.module }),
            args: (of.args ?? '').split(' ').filter(Boolean).join(' '),
          },
        }),
    ...(of.filter === undefined ? {} : { filter: of.filter }),
    ...(of.generations === undefined ? {} : { generations: of.generations }),
  };
}

function toFixed(of: FileEvent['fixed'], withoutSubtype: boolean): NonNullable<IkcEvent['fixed']> {
  const given = Object.fromEntries(Object.entries(of ?? {}).filter(([, value]) => value !== undefined));
  return { ...(withoutSubtype ? { subtype: 0 } : {}), ...given };
}

function toFields({ keys, payload, ...single }: FileFields, prefix: string): IkcFields {
  const named = Object.entries(single).flatMap(([key, name]) =>
    name === undefined ? [] : [[FIELDS[key as keyof typeof FIELDS], prefix + name] as const],
  );
  return {
    ...Object.fromEntries(named),
    ...(keys === undefined ? {} : { keys: keys.map((name) => prefix + name) }),
    ...(payload === undefined ? {} : { payload }),
  };
}

function toRing(of: FilePack['rings'][string] | undefined): IkcRing {
  return { slots: of?.slots ?? 0, slotBytes: of?.slot_bytes ?? 0, headerBytes: of?.header_bytes ?? 0 };
}
