import { defineCommand } from '../command.ts';
import { loadConfig } from '../config.ts';
import { checkHub } from '../doctor/hub.ts';
import { checkDevkmsgLimit, checkKernelLog } from '../doctor/kernel-log.ts';
import type { Finding, FindingStatus } from '../doctor/finding.ts';
import { checkPstore } from '../doctor/pstore.ts';
import { checkDisk, checkMultikernel, checkNode, checkPressure } from '../doctor/system.ts';
import { checkTracing } from '../doctor/tracing.ts';
import { CONFIG_FLAG, LISTEN_FLAGS, SOURCE_FLAGS, toFlagValues } from '../config-flags.ts';
import { HUB_FLAGS, openHubClient } from '../hub-flags.ts';
import { createPaint, escapeLine, print, printLine } from '../terminal.ts';
import type { Paint, Style } from '../terminal.ts';

const MARKS: Readonly<Record<FindingStatus, readonly [word: string, style: Style]>> = {
  ok: [' ok ', 'green'],
  warn: ['warn', 'yellow'],
  fail: ['FAIL', 'brightRed'],
};

export const command = defineCommand({
  name: 'doctor',
  usage: '[options]',
  about:
    'what this machine lets mkscope observe, what it does not, and the command that fixes it. Changes nothing: a trial trace instance is removed at once. Exit code 1 when something fails.',
  options: {
    json: { type: 'boolean', help: '{ "healthy", "findings": [{ id, title, status, detail, effect, fix }] }' },
    events: SOURCE_FLAGS.events,
    clock: SOURCE_FLAGS.clock,
    ...LISTEN_FLAGS,
    ...CONFIG_FLAG,
    ...HUB_FLAGS,
  },
  examples: [
    ['mkscope doctor', 'look at this machine'],
    ['mkscope doctor --json | jq -r \'.findings[] | select(.status != "ok") | .fix\'', 'the commands that fix what is wrong'],
  ],
  async run(flags) {
    const config = loadConfig({ path: flags.config, flags: toFlagValues(flags), env: process.env });
    const client = await openHubClient(flags);
    const addresses = { page: config.get('hub.page'), otlp: config.get('hub.otlp'), clickhouse: config.get('hub.clickhouse') };
    const findings: Finding[] = [
      checkNode(),
      checkKernelLog(),
      checkDevkmsgLimit(),
      ...checkTracing(config.get('collector.tracefs.clock'), config.get('collector.tracefs.events')),
      checkPressure(),
      checkMultikernel(),
      checkPstore(),
      checkDisk(config.get('data')),
      ...(await checkHub(client, addresses)),
    ];
    const healthy = findings.every((finding) => finding.status !== 'fail');
    if (flags.json) await printLine(JSON.stringify({ healthy, findings }, undefined, 2));
    else await print(findings.map((finding) => formatFinding(finding, createPaint(process.stdout))).join(''));
    return healthy ? 0 : 1;
  },
});

function formatFinding(finding: Finding, paint: Paint): string {
  const [word, style] = MARKS[finding.status];
  const lines = [`${paint(style, word)}  ${paint('bold', finding.title)}: ${escapeLine(finding.detail)}`];
  if (finding.effect !== '') lines.push(`      so: ${escapeLine(finding.effect)}`);
  if (finding.fix !== '') lines.push(`      ${paint('cyan', 'fix:')} ${escapeLine(finding.fix)}`);
  return `${lines.join('\n')}\n`;
}
