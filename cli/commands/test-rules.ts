import { defineCommand } from '../command.ts';
import { createPaint, escapeLine, printLine } from '../terminal.ts';

export const command = defineCommand({
  name: 'test-rules',
  usage: '[options] [FILE…]',
  about:
    'run the samples of your own files of kernel messages (docs/messages.md), packs of messages between kernels (docs/ikc.md) and span rules (docs/spans.md), or of those that mkscope brings, and say which of them is not taken as it should. Exit code 1 when one is not, 2 when a file is wrong.',
  options: {
    json: { type: 'boolean', help: '{ "rules", "samples", "problems": [{ file, line, event, sample, problem }] }' },
    probes: { type: 'boolean', help: 'print the probes of packs instead, as kprobe_events and mkfwd --probes take them (x86-64)' },
  },
  examples: [
    ['mkscope test-rules messages.yaml mbox.yaml', 'before the files are named in mkscope.yaml'],
    ['mkscope test-rules --probes mbox.yaml > guest/probes', 'for the forwarder of a guest'],
    ['mkscope test-rules', 'the messages that mkscope brings'],
  ],
  positionals: { least: 0, most: 100 },
  async run(flags, paths) {
    if (flags.probes) {
      const [{ readIkcFiles }, { toProbeDefinition }] = await Promise.all([
        import('../ikc-file.ts'),
        import('../../correlate/ikc-pack.ts'),
      ]);
      const events = readIkcFiles(paths).flatMap(({ packs }) => packs.flatMap(({ pack }) => pack.events));
      const definitions = new Set(events.flatMap((event) => toProbeDefinition(event, 'amd64') ?? []));
      for (const definition of definitions) await printLine(definition);
      return 0;
    }
    const { testRuleFiles, testShippedRules } = await import('../test-rules.ts');
    const { rules, samples, problems } = paths.length === 0 ? testShippedRules() : testRuleFiles(paths);
    if (flags.json) await printLine(JSON.stringify({ rules, samples, problems }, undefined, 2));
    else {
      const paint = createPaint(process.stdout);
      for (const { file, line, event, sample, problem } of problems) {
        const place = file === undefined ? '' : `${file}:${line}: `;
        await printLine(
          `${paint('red', 'fail')}  ${escapeLine(`${place}${event}:${sample === undefined ? '' : ` «${sample}»:`} ${problem}`)}`,
        );
      }
      const mark = problems.length === 0 ? paint('green', 'ok') : paint('red', `${problems.length} failed`);
      await printLine(`${mark}  ${rules} ${rules === 1 ? 'rule' : 'rules'}, ${samples} ${samples === 1 ? 'sample' : 'samples'}`);
    }
    return problems.length === 0 ? 0 : 1;
  },
});
