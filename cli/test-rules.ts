/** Runs the samples of files of rules, of whichever kind a file is, all together: a rule of one may take what another's is for. */
import { OperationalError } from '../base/errors.ts';
import { createMatcher } from '../correlate/match-messages.ts';
import { MESSAGE_RULES } from '../correlate/message-catalogue.ts';
import { runSamples } from '../correlate/run-samples.ts';
import { parseIkcFile, type OwnPack } from './ikc-file.ts';
import { runPackSamples } from './ikc-samples.ts';
import { parseMessageFile, type FileRule } from './message-file.ts';
import { suggest } from './nearest.ts';
import { readRuleText } from './rule-file.ts';
import { parseSpanFile, type OwnSpanRule } from './span-file.ts';
import { runSpanSamples } from './span-samples.ts';

export interface RuleProblem {
  /** Undefined = of what mkscope brings. */
  readonly file: string | undefined;
  readonly line: number | undefined;
  /** Event of a message, name of a pack or span rule. */
  readonly event: string;
  /** The sample, in short. */
  readonly sample: string | undefined;
  readonly problem: string;
}

export interface RuleReport {
  readonly rules: number;
  readonly samples: number;
  readonly problems: readonly RuleProblem[];
}

/** Rules of a file by kind. */
interface Files {
  readonly messages: { readonly path: string; readonly rules: readonly FileRule[] }[];
  readonly packs: { readonly path: string; readonly packs: readonly OwnPack[] }[];
  readonly spans: { readonly path: string; readonly rules: readonly OwnSpanRule[] }[];
}

/** Throws E_CONFIG_* with file and line where a file is wrong. */
export function testRuleFiles(paths: readonly string[]): RuleReport {
  const files: Files = { messages: [], packs: [], spans: [] };
  for (const path of paths) readInto(files, path, readRuleText(path));
  return joinReports([testMessages(files.messages), testPacks(files.packs), testSpans(files.spans)]);
}

export function testShippedRules(): RuleReport {
  const problems = runSamples(MESSAGE_RULES, createMatcher());
  return {
    rules: MESSAGE_RULES.length,
    samples: MESSAGE_RULES.reduce((sum, { samples }) => sum + samples.length, 0),
    problems: problems.map(({ rule, line, problem }) => ({ file: undefined, line: undefined, event: rule.event, sample: line, problem })),
  };
}

const KINDS = ['messages', 'packs', 'spans'];

function readInto(files: Files, path: string, text: string): void {
  const [, key = ''] = /^["']?([\w-]+)["']?[ \t]*:/m.exec(text) ?? [];
  if (key === 'messages') files.messages.push({ path, rules: parseMessageFile(path, text) });
  else if (key === 'packs') files.packs.push({ path, packs: parseIkcFile(path, text) });
  else if (key === 'spans') files.spans.push({ path, rules: parseSpanFile(path, text) });
  else
    throw new OperationalError(
      'E_CONFIG_KEY',
      `${path}: the file begins with "${key}", where ${KINDS.slice(0, -1).join(', ')} or ${KINDS.at(-1)} should be${suggest(key, KINDS)}`,
      'see docs/messages.md, docs/ikc.md, docs/spans.md for what is in such a file',
    );
}

function testMessages(files: Files['messages']): RuleReport {
  const all = files.flatMap(({ path, rules }) => rules.map(({ rule, line }) => ({ path, rule, line })));
  const rules = all.map(({ rule }) => rule);
  const problems = runSamples(rules, createMatcher(rules)).map(({ rule, line: sample, problem }) => {
    const of = all.find((one) => one.rule === rule);
    return { file: of?.path, line: of?.line, event: rule.event, sample, problem };
  });
  return { rules: rules.length, samples: rules.reduce((sum, { samples }) => sum + samples.length, 0), problems };
}

function testPacks(files: Files['packs']): RuleReport {
  const all = files.flatMap(({ packs }) => packs);
  const problems = runPackSamples(all).map(({ pack, line, about, problem }) => ({
    file: files.find(({ packs }) => packs.includes(pack))?.path,
    line: line ?? pack.line,
    event: pack.pack.name,
    sample: about,
    problem,
  }));
  return { rules: all.length, samples: all.reduce((sum, { samples }) => sum + samples.length, 0), problems };
}

function testSpans(files: Files['spans']): RuleReport {
  const all = files.flatMap(({ rules }) => rules);
  const problems = runSpanSamples(all).map(({ own, line, about, problem }) => ({
    file: files.find(({ rules }) => rules.includes(own))?.path,
    line,
    event: own.rule.name,
    sample: about,
    problem,
  }));
  return { rules: all.length, samples: all.reduce((sum, { samples }) => sum + samples.length, 0), problems };
}

function joinReports(reports: readonly RuleReport[]): RuleReport {
  return {
    rules: reports.reduce((sum, { rules }) => sum + rules, 0),
    samples: reports.reduce((sum, { samples }) => sum + samples, 0),
    problems: reports.flatMap(({ problems }) => problems),
  };
}
