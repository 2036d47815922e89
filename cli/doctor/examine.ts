/** All that `mkscope doctor` looks at, and how it is shown. */
import { loadConfig } from '../config.ts';
import { checkHub } from './hub.ts';
import { checkDevkmsgLimit, checkKernelLog } from './kernel-log.ts';
import type { Finding, FindingStatus } from './finding.ts';
import { checkPstore } from './pstore.ts';
import { checkDisk, checkMultikernel, checkNode, checkPressure } from './system.ts';
import { checkTracing } from './tracing.ts';
import { toFlagValues } from '../config-flags.ts';
import { openHubClient } from '../hub-flags.ts';
import { createPaint, escapeLine, print, printLine } from '../terminal.ts';
import type { Paint, Style } from '../terminal.ts';
import type { DoctorFlags } from '../commands/doctor.ts';

const MARKS: Readonly<Record<FindingStatus, readonly [word: string, style: Style]>> = {
  ok: [' ok ', 'green'],
  warn: ['warn', 'yellow'],
  fail: ['FAIL', 'brightRed'],
};

export async function examine(flags: DoctorFlags): Promise<number> {
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
}

function formatFinding(finding: Finding, paint: Paint): string {
  const [word, style] = MARKS[finding.status];
  const lines = [`${paint(style, word)}  ${paint('bold', finding.title)}: ${escapeLine(finding.detail)}`];
  if (finding.effect !== '') lines.push(`      so: ${escapeLine(finding.effect)}`);
  if (finding.fix !== '') lines.push(`      ${paint('cyan', 'fix:')} ${escapeLine(finding.fix)}`);
  return `${lines.join('\n')}\n`;
}
