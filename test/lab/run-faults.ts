/**
 * `npm run test:faults [-- NAME …]`: every fault of the lab's menu on three real kernels, each held against the incident that it must
 * be (fault-menu.ts); some six minutes. `-- --quiet 10m`: the same kernels send messages for that long, nothing is done to them, and
 * there is no incident. Prints a table; exit code 1 where something is not as it must be.
 */
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';

import { FAULT_MENU, MENU_HEAD, MenuRun, sendTraffic, toLine } from './fault-menu.ts';
import { RunningLab, whyNoLab } from './running-lab.ts';

/** Boot, probes, and what they wrote before anybody read. */
const SETTLE_MS = 10_000;
const KERNELS = ['host', 'spawn1', 'spawn2'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quiet: { type: 'string' } },
});
const why = await whyNoLab();
if (why !== undefined) {
  console.error(`the lab cannot run here: ${why}`);
  process.exit(2);
}
const lab = new RunningLab(`menu-${process.pid}`, ['--kernels', '3', '--cpus', '2']);
try {
  await lab.waitUp();
  await sleep(SETTLE_MS);
  const run = new MenuRun(lab);
  process.exitCode = (await (values.quiet === undefined ? runMenu(run) : runQuiet(run, toMs(values.quiet)))) ? 0 : 1;
} finally {
  await lab.stop();
}

async function runMenu(run: MenuRun): Promise<boolean> {
  const entries = FAULT_MENU.filter(({ fault }) => positionals.length === 0 || positionals.includes(fault));
  let wrong = 0;
  console.log(MENU_HEAD);
  for (const entry of entries) {
    const result = await run.run(entry);
    console.log(toLine(result));
    if (result.wrong !== '') wrong++;
  }
  const late = await run.fresh();
  for (const { kind, title } of late) console.log(`came late: ${kind} «${title}»`);
  console.log(`${entries.length} faults, ${wrong} not as they must be`);
  return wrong === 0 && late.length === 0;
}

/** Every kernel sends to every neighbour that the lab connects: the host to each spawn, and back. */
async function runQuiet(run: MenuRun, forMs: number): Promise<boolean> {
  const plan = { count: 0, rate: 20 };
  for (const spawn of KERNELS.slice(1)) {
    await sendTraffic(lab, spawn, 'host', plan);
  }
  await sendTraffic(lab, 'host', 'spawn1', plan);
  await sleep(forMs);
  const found = await run.fresh();
  const [[messages] = []] = await lab.sql(`SELECT count() FROM ikc_messages FINAL WHERE State = 'matched'`);
  for (const { kind, title, reason } of found) console.log(`${kind} «${title}» (${reason})`);
  console.log(`${forMs / 1000} s, ${KERNELS.length} kernels, ${String(messages)} messages matched: ${found.length} incidents`);
  return found.length === 0;
}

function toMs(text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,4})(s|m)$/.exec(text) ?? [];
  if (count !== '') return Number(count) * (unit === 'm' ? 60_000 : 1000);
  console.error(`--quiet takes a time such as 90s or 10m, not ${text}`);
  process.exit(2);
}
