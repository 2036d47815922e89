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
import { readFileSync } from 'node:fs';

import { LineCounter, parseDocument } from 'yaml';
import type { Document } from 'yaml';
import { z } from 'zod';

import { errnoOf, messageOf, OperationalError } from '../base/errors.ts';
import type { MessageRule } from '../correlate/message-catalogue.ts';
import { compilePattern, findPatternError } from '../correlate/message-pattern.ts';
import { ATTR } from '../model/attributes.ts';
import { LEVEL_NAMES } from '../model/severity.ts';
import { suggest } from './nearest.ts';
import { parseDurationMs } from './units.ts';

const MAX_FILE_BYTES = 1 << 20;
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

const pattern = z.string().superRefine((source, check) => {
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
  return parseMessageFile(path, readText(path));
}

export function parseMessageFile(path: string, text: string): FileRule[] {
  const lines = new LineCounter();
  // All values as text: a sample's `0x1f` is not 31.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, schema: 'failsafe' });
  const [problem] = document.errors;
  if (problem !== undefined) {
    const { line, col } = lines.linePos(problem.pos[0]);
    throw new OperationalError('E_CONFIG_SYNTAX', `${path}:${line}:${col}: ${problem.message}`, 'correct the line');
  }
  const checked = file.safeParse(document.toJS());
  if (!checked.success) {
    const { issues } = checked.error;
    // A mistyped key is the reason why the right one is missing.
    const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0];
    throw toError(path, issue as z.core.$ZodIssue, document, lines);
  }
  return checked.data.messages.map((one, index) => ({ rule: toRule(one), line: lineOf(['messages', index], document, lines) }));
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

function toError(path: string, issue: z.core.$ZodIssue, document: Document, lines: LineCounter): OperationalError {
  const where = issue.path
    .map((part) => (typeof part === 'number' ? `[${part + 1}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys;
    const line = lineOf([...issue.path, key], document, lines);
    return new OperationalError(
      'E_CONFIG_KEY',
      `${path}:${line}: unknown key "${key}"${where === '' ? '' : ` in ${where}`}${suggest(key, KEYS)}`,
      'docs/messages.md has an example of each key',
    );
  }
  const isMissing = issue.code === 'invalid_type' && 'input' in issue && issue.input === undefined;
  const message = /received undefined/.test(issue.message) || isMissing ? 'is missing' : issue.message;
  return new OperationalError(
    'E_CONFIG_VALUE',
    `${path}:${lineOf(issue.path, document, lines)}: ${where === '' ? 'the file' : where} ${message}`,
    'docs/messages.md has an example of each key',
  );
}

/** Of the innermost part of the path that is there. */
function lineOf(path: readonly PropertyKey[], document: Document, lines: LineCounter): number {
  for (let depth = path.length; depth > 0; depth--) {
    const node: unknown = document.getIn(path.slice(0, depth), true);
    const range = typeof node === 'object' && node !== null && 'range' in node ? (node.range as readonly number[] | undefined) : undefined;
    if (range !== undefined) return lines.linePos(range[0] as number).line;
  }
  return 1;
}

function readText(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const reason = errnoOf(error) ?? messageOf(error);
    throw new OperationalError('E_CONFIG_READ', `cannot read ${path} (${reason})`, 'check the path and its permissions', error);
  }
  if (bytes.length > MAX_FILE_BYTES)
    throw new OperationalError(
      'E_CONFIG_READ',
      `${path} has ${bytes.length} bytes, more than a file of messages can have`,
      'check the path',
    );
  return bytes.toString('utf8');
}
