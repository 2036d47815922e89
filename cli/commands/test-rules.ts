import { defineCommand } from '../command.ts';
import { createMatcher } from '../../correlate/match-messages.ts';
import { MESSAGE_RULES, type MessageRule } from '../../correlate/message-catalogue.ts';
import { runSamples } from '../../correlate/run-samples.ts';
import { readMessageFile } from '../message-file.ts';
import { createPaint, escapeLine, printLine } from '../terminal.ts';

interface Tested {
  readonly file: string | undefined;
  readonly rules: readonly MessageRule[];
  readonly lineOf: (rule: MessageRule) => number | undefined;
}

export const command = defineCommand({
  name: 'test-rules',
  usage: '[options] [FILE…]',
  about:
    'run the samples of files of kernel messages (docs/messages.md), or of those that mkscope brings, and say which of them is not taken as it should. Exit code 1 when one is not, 2 when a file is wrong.',
  options: {
    json: { type: 'boolean', help: '{ "rules", "samples", "problems": [{ file, line, event, sample, problem }] }' },
  },
  examples: [
    ['mkscope test-rules messages.yaml', 'before the file is named in mkscope.yaml'],
    ['mkscope test-rules', 'the messages that mkscope brings'],
  ],
  positionals: { least: 0, most: 100 },
  async run(flags, paths) {
    const tested = paths.length === 0 ? [SHIPPED] : paths.map(readTested);
    // Together, as they will be: a rule may take what the one of another file is for.
    const matcher = createMatcher(tested.flatMap(({ file, rules }) => (file === undefined ? [] : rules)));
    const problems = tested.flatMap(({ file, rules, lineOf }) =>
      runSamples(rules, matcher).map(({ rule, line: sample, problem }) => ({
        file,
        line: lineOf(rule),
        event: rule.event,
        sample,
        problem,
      })),
    );
    const all = tested.flatMap(({ rules }) => rules);
    const samples = all.reduce((sum, { samples: own }) => sum + own.length, 0);
    if (flags.json) await printLine(JSON.stringify({ rules: all.length, samples, problems }, undefined, 2));
    else {
      const paint = createPaint(process.stdout);
      for (const { file, line, event, sample, problem } of problems) {
        const place = file === undefined ? '' : `${file}:${line}: `;
        await printLine(
          `${paint('red', 'fail')}  ${escapeLine(`${place}${event}:${sample === undefined ? '' : ` «${sample}»:`} ${problem}`)}`,
        );
      }
      const mark = problems.length === 0 ? paint('green', 'ok') : paint('red', `${problems.length} failed`);
      await printLine(`${mark}  ${all.length} ${all.length === 1 ? 'rule' : 'rules'}, ${samples} ${samples === 1 ? 'sample' : 'samples'}`);
    }
    return problems.length === 0 ? 0 : 1;
  },
});

const SHIPPED: Tested = { file: undefined, rules: MESSAGE_RULES, lineOf: () => undefined };

function readTested(path: string): Tested {
  const read = readMessageFile(path);
  return { file: path, rules: read.map(({ rule }) => rule), lineOf: (rule) => read.find((one) => one.rule === rule)?.line };
}
