/** Runs the samples of message rules: what each line is taken for, and what comes out of it, over the whole catalogue. */
import { ATTR } from '../model/attributes.ts';
import { LOG_FLAG, LogBatch } from '../model/log-batch.ts';
import { LEVEL_UNKNOWN } from '../model/severity.ts';
import { encodeUtf8 } from '../base/bytes.ts';
import { MessageMatcher } from './match-messages.ts';
import type { MessageRule, MessageSample } from './message-catalogue.ts';
import { MessageRecogniser } from './recognise-messages.ts';

export interface SampleProblem {
  readonly rule: MessageRule;
  /** The sample's line; undefined where there should be one. */
  readonly line: string | undefined;
  readonly problem: string;
}

/** `matcher` has the rules, and what is tried before them. */
export function runSamples(rules: readonly MessageRule[], matcher: MessageMatcher): SampleProblem[] {
  return rules.flatMap((rule) => {
    const problems: SampleProblem[] = [];
    for (const sample of rule.samples) {
      const problem = findProblem(rule, sample, matcher);
      if (problem !== undefined) problems.push({ rule, line: sample.line, problem });
    }
    for (const pattern of rule.patterns) {
      const alone = new MessageMatcher([{ ...rule, patterns: [pattern] }]);
      if (!rule.samples.some(({ line }) => takes(alone, rule, line)))
        problems.push({ rule, line: undefined, problem: `no sample is taken by the pattern «${pattern}»` });
    }
    return problems;
  });
}

function takes(matcher: MessageMatcher, { fromUser }: MessageRule, line: string): boolean {
  const bytes = encodeUtf8(line);
  return matcher.match(bytes, 0, bytes.length, fromUser === true) !== undefined;
}

function findProblem(rule: MessageRule, { line, fields }: MessageSample, matcher: MessageMatcher): string | undefined {
  const bytes = encodeUtf8(line);
  const taken = matcher.match(bytes, 0, bytes.length, rule.fromUser === true)?.rule;
  if (taken === undefined) return 'no pattern takes it';
  if (taken !== rule) return `${taken.event} takes it first («${taken.about}»)`;
  const found = readFields(rule, line, matcher);
  for (const [name, value] of Object.entries(fields)) {
    if (found[name] === undefined) return `the field ${name} is missing`;
    if (found[name] !== value) return `the field ${name} is «${found[name]}», not «${value}»`;
  }
  const more = Object.keys(found).find((name) => !Object.hasOwn(fields, name));
  return more === undefined ? undefined : `the field ${more} («${found[more]}») is not in the sample`;
}

function readFields({ fromUser }: MessageRule, line: string, matcher: MessageMatcher): Record<string, string> {
  const batch = new LogBatch(1);
  const row = batch.addText(line, LEVEL_UNKNOWN);
  if (fromUser === true) batch.flags[row] = LOG_FLAG.userSpace;
  new MessageRecogniser(matcher).take(batch);
  const { [ATTR.benign]: _benign, [ATTR.repeat]: _repeat, ...fields } = batch.attributes.rowOf(row);
  return fields;
}
