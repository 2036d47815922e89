/**
 * A user's own span rules, from a file:
 *
 *   spans:
 *     - name: disk-queue
 *       about: A block request that waited to be issued.
 *       begin: [block:block_rq_insert]
 *       end: [block:block_rq_issue]
 *       key: [dev, sector]
 *       span: "queued {rwbs}"
 *       min: 10ms
 *       samples: […]
 *
 * Every key that is not known is refused. docs/spans.md.
 */
import { z } from 'zod';

import { messageOf, OperationalError } from '../base/errors.ts';
import { parseEventFilter } from '../correlate/event-filter.ts';
import { SPAN_RULES, type SpanRule } from '../correlate/span-rules.ts';
import { readRuleText, RuleFile } from './rule-file.ts';
import { parseDurationNs } from './units.ts';

const MAX_RULES = 256;
const MAX_LINES = 64;
const MAX_SAMPLE_ONE_IN = 1_000_000_000;
const KEYS = `spans name about begin end begin_filter end_filter key across on_repeat ends_alone min sample span label tells
  attributes end_attributes samples trace traces took start unmatched counted`.split(/\s+/);
/** What mkscope itself says of a span. */
const OURS = /^(?:mk|kernel|service|host|os|thread|process|cpu)\./;

const eventName = z.string().regex(/^[A-Za-z_][\w-]{0,62}:[A-Za-z_][\w-]{0,62}$/, 'must be an event of the kernel: system:event');
const fieldName = z.string().regex(/^[A-Za-z_]\w{0,63}$/, 'must be the name of a field');
const events = z.union(
  [eventName.transform((one) => [one]), z.array(eventName).min(1, 'must name an event').max(16)],
  'must be an event, or a list of events',
);
const durationNs = z
  .string()
  .transform((text) => parseDurationNs(text))
  .refine((ns) => ns !== undefined, 'must be a duration: 250us, 10ms, 1.5s')
  .transform((ns) => ns ?? 0);
const count = z
  .string()
  .regex(/^\d{1,10}$/, 'must be a whole number')
  .transform(Number);
const flag = z.enum(['true', 'false'], 'must be true or false').transform((word) => word === 'true');
const filter = z.string().superRefine((source, check) => {
  try {
    parseEventFilter(source);
  } catch (error) {
    check.addIssue({ code: 'custom', message: `is no filter: ${messageOf(error)}` });
  }
});
const attributes = z
  .record(z.string(), fieldName)
  .refine((all) => !Object.keys(all).some((name) => OURS.test(name)), 'must not have attributes that mkscope itself uses (mk., cpu., …)');
const lines = z.string().transform((text) => text.split('\n').filter((line) => line.trim() !== ''));

const sample = z
  .strictObject({
    about: z.string().min(1, 'must say what it shows').max(200),
    trace: lines.refine((all) => all.length <= MAX_LINES, `must have no more than ${MAX_LINES} lines`).optional(),
    traces: z.record(z.string(), lines).optional(),
    spans: z.array(z.strictObject({ name: z.string(), took: durationNs })).default([]),
    unmatched: count.default(0),
    counted: count.optional(),
  })
  .refine((one) => (one.trace === undefined) !== (one.traces === undefined), 'must have either trace or traces');
export type SpanFileSample = z.infer<typeof sample>;

const rule = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9_-]{0,63}$/, 'must be a word of small letters, digits, "-" and "_"')
    .refine((name) => !SPAN_RULES.some((one) => one.name === name), 'is the name of a rule that mkscope brings'),
  about: z.string().min(1, 'must say what it is').max(200),
  begin: events,
  end: events,
  begin_filter: filter.optional(),
  end_filter: filter.optional(),
  key: z
    .array(z.union([fieldName, z.array(fieldName).length(2, 'must be a pair: of the begin, of the end')]), 'must be a list of fields')
    .min(1, 'must name a field')
    .max(8),
  across: flag.default(false),
  on_repeat: z.enum(['replace', 'keep'], 'must be replace or keep').default('replace'),
  ends_alone: flag.default(false),
  min: durationNs.default(0),
  sample: count.refine((one) => one <= MAX_SAMPLE_ONE_IN, `must be no more than ${MAX_SAMPLE_ONE_IN}`).default(0),
  span: z.string().min(1, 'must not be empty').max(200),
  label: fieldName.optional(),
  tells: z.enum(['spans', 'histogram', 'both'], 'must be spans, histogram or both').default('both'),
  attributes: attributes.default({}),
  end_attributes: attributes.default({}),
  samples: z.array(sample, 'must be a list of samples').min(1, 'must have a sample').max(64),
});

const file = z.strictObject({ spans: z.array(rule, 'must be a list of span rules').min(1, 'must have a rule').max(MAX_RULES) });

export interface OwnSpanRule {
  readonly rule: SpanRule;
  readonly samples: readonly { readonly sample: SpanFileSample; readonly line: number }[];
  readonly line: number;
}

/** Several files, whose rules must have different names. Throws E_CONFIG_* with file and line. Samples are not run. */
export function readSpanFiles(paths: readonly string[]): OwnSpanRule[] {
  const seen = new Map<string, string>();
  return paths.flatMap((path) => {
    const rules = parseSpanFile(path, readRuleText(path));
    for (const { rule: one, line } of rules) {
      const other = seen.get(one.name);
      if (other !== undefined)
        throw new OperationalError(
          'E_CONFIG_VALUE',
          `${path}:${line}: the rule ${one.name} is in ${other} too`,
          'give each rule a name of its own',
        );
      seen.set(one.name, `${path}:${line}`);
    }
    return rules;
  });
}

export function parseSpanFile(path: string, text: string): OwnSpanRule[] {
  const read = new RuleFile(path, text, { schema: file, keys: KEYS, page: 'docs/spans.md' });
  return read.value.spans.map((one, index) => {
    const at = ['spans', index];
    const twin = read.value.spans.findIndex(({ name }) => name === one.name);
    if (twin < index) throw read.toError([...at, 'name'], `is the name of the rule in line ${read.lineOf(['spans', twin])} too`);
    if (!one.across && one.begin.some((name) => one.end.includes(name)) && one.begin_filter === undefined && one.end_filter === undefined)
      throw read.toError([...at, 'end'], 'has an event that is a begin too: tell them apart with begin_filter and end_filter');
    for (const [sampleAt, { traces }] of one.samples.entries())
      if ((traces !== undefined) !== one.across)
        throw read.toError(
          [...at, 'samples', sampleAt],
          one.across ? 'needs traces, by kernel' : 'needs trace: the rule does not go over kernels',
        );
    const samples = one.samples.map((own, sampleAt) => ({ sample: own, line: read.lineOf([...at, 'samples', sampleAt]) }));
    return { rule: toRule(one), samples, line: read.lineOf(at) };
  });
}

function toRule(one: z.infer<typeof rule>): SpanRule {
  return {
    name: one.name,
    title: one.about,
    begin: one.begin,
    end: one.end,
    ...(one.begin_filter === undefined ? {} : { beginFilter: one.begin_filter }),
    ...(one.end_filter === undefined ? {} : { endFilter: one.end_filter }),
    ...(one.across ? { across: true } : {}),
    ...(one.tells === 'both' ? {} : { tells: one.tells }),
    key: one.key.map((part) => (typeof part === 'string' ? part : ([part[0] as string, part[1] as string] as const))),
    // Several parts, which may be texts or wide numbers, are a text together.
    ...(one.key.length > 1 ? { wideKey: true } : {}),
    onRepeat: one.on_repeat,
    ...(one.ends_alone ? { endsAlone: true } : {}),
    minDurationNs: one.min,
    sampleOneIn: one.sample,
    spanName: one.span,
    ...(one.label === undefined ? {} : { label: one.label }),
    attributes: one.attributes,
    endAttributes: one.end_attributes,
    samples: [],
  };
}
