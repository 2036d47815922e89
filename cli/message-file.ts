/**
 * A user's own kernel messages, from a file:
 *
 *   messages:
 *     - event: storage.path.down
 *       about: A path to a disk is gone.
 *       level: err
 *       patterns:
 *         - "device-mapper: multipath: {path.map:word}: Failing path {path.device:word}."
 *       samples:
 *         - line: "device-mapper: multipath: 253:0: Failing path 8:16."
 *           fields: { path.map: "253:0", path.device: "8:16" }
 *
 * Every key that is not known is refused, and every pattern that is not bounded (correlate/message-pattern.ts). docs/messages.md.
 */
import { z } from 'zod';

import type { MessageRule } from '../correlate/message-catalogue.ts';
import { compilePattern, findPatternError } from '../correlate/message-pattern.ts';
import { ATTR } from '../model/attributes.ts';
import { LEVEL_NAMES } from '../model/severity.ts';
import { readRuleText, RuleFile } from './rule-file.ts';
import { parseDurationMs } from './units.ts';

const MAX_RULES = 1_000;
const MAX_PATTERNS = 32;
/** What mkscope itself calls events and attributes. */
const OURS = /^(?:mk|kernel|exception|service|host|os|log|process|thread|code)\./;
const KEYS = ['event', 'about', 'level', 'from', 'patterns', 'benign', 'repeats_within', 'samples', 'line', 'fields', 'messages'];

const event = z
  .string()
  .regex(/^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$/, 'must be words of small letters with dots between them: storage.path.down')
  .max(128)
  .refine((name) => !OURS.test(name), 'must not begin with what mkscope itself uses (mk., kernel., …)');

/** Of a message, in any file of rules. */
export const pattern = z.string().superRefine((source, check) => {
  const problem = findPatternError(source) ?? findReserved(source);
  if (problem !== undefined) check.addIssue({ code: 'custom', message: `is no pattern: ${problem}` });
});

const rule = z.strictObject({
  event,
  about: z.string().min(1, 'must say what happened').max(500),
  level: z.enum(LEVEL_NAMES, `must be one of: ${LEVEL_NAMES.join(', ')}`),
  from: z.enum(['kernel', 'user'], 'must be kernel or user').default('kernel'),
  patterns: z.array(pattern).min(1, 'must have a pattern').max(MAX_PATTERNS, `must have no more than ${MAX_PATTERNS} patterns`),
  benign: z.string().min(1, 'must say why').optional(),
  repeats_within: z
    .string()
    .transform(parseDurationMs)
    .refine((ms) => ms !== undefined && ms > 0 && ms <= 3_600_000, 'must be a duration up to 1h: 500ms, 10s')
    .optional(),
  samples: z
    .array(z.strictObject({ line: z.string().min(1, 'must be a line of a log'), fields: z.record(z.string(), z.string()).default({}) }))
    .min(1, 'must have a sample'),
});

const file = z.strictObject({
  messages: z.array(rule, 'must be a list of messages').max(MAX_RULES, `must have no more than ${MAX_RULES} messages`),
});

/** A rule and where it stands. */
export interface FileRule {
  readonly rule: MessageRule;
  readonly line: number;
}

/** Throws E_CONFIG_READ, E_CONFIG_SYNTAX, E_CONFIG_KEY or E_CONFIG_VALUE with file and line. Samples are not run. */
export function readMessageFile(path: string): FileRule[] {
  return parseMessageFile(path, readRuleText(path));
}

export function parseMessageFile(path: string, text: string): FileRule[] {
  const read = new RuleFile(path, text, { schema: file, keys: KEYS, page: 'docs/messages.md' });
  return read.value.messages.map((one, index) => ({ rule: toRule(one), line: read.lineOf(['messages', index]) }));
}

function toRule({
  event: name,
  about,
  level,
  from,
  patterns,
  benign,
  repeats_within: repeatsWithinMs,
  samples,
}: z.infer<typeof rule>): MessageRule {
  return {
    event: name,
    about,
    level,
    side: 'both',
    prefix: '',
    patterns,
    samples,
    ...(from === 'user' ? { fromUser: true } : {}),
    ...(benign === undefined ? {} : { benign: { why: benign } }),
    ...(repeatsWithinMs === undefined ? {} : { repeatsWithinMs }),
  };
}

function findReserved(source: string): string | undefined {
  const names: readonly string[] = Object.values(ATTR);
  const taken = compilePattern(source).fields.find(({ name }) => OURS.test(name) || names.includes(name));
  return taken === undefined ? undefined : `the field name ${taken.name} is one of mkscope’s own`;
}
