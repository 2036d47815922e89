/** A recorded session, played to a hub of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Hub } from '../hub/hub.ts';
import { loadConfig } from './config.ts';
import { toFlagValues } from './config-flags.ts';
import { findPackageRoot } from './package-root.ts';
import { openSession, replaySession, type Session } from './session.ts';
import { toHubOptions } from './settings.ts';
import { watchStopSignals } from './stop-signal.ts';
import { createPaint, escapeLine, print, printLine, type Paint } from './terminal.ts';
import type { DemoFlags } from './commands/demo.ts';

export async function playDemo(flags: DemoFlags): Promise<number> {
  const paint = createPaint(process.stdout);
  const session = openSession(flags.session ?? join(findPackageRoot(), 'test/fixtures/lab'));
  const dataDir = flags.data === undefined ? mkdtempSync(join(tmpdir(), 'mkscope-demo-')) : resolve(flags.data);
  const stop = watchStopSignals();
  try {
    // The machine's own configuration is about another machine.
    const { session: _session, fast: _fast, exit: _exit, ...settings } = flags;
    const config = loadConfig({ flags: toFlagValues({ ...settings, data: dataDir }), env: {} });
    const { startHub } = await import('../hub/hub.ts');
    const hub = await startHub(toHubOptions(config));
    try {
      await play(session, hub, { isFast: flags.fast, stays: !flags.exit, paint, asked: stop.asked });
    } finally {
      await hub.close();
    }
  } finally {
    if (flags.data === undefined) rmSync(dataDir, { recursive: true, force: true });
  }
  return 0;
}

interface Play {
  readonly isFast: boolean;
  readonly stays: boolean;
  readonly paint: Paint;
  readonly asked: Promise<string>;
}

async function play(session: Session, hub: Hub, { isFast, stays, paint, asked }: Play): Promise<void> {
  const { fromUnixNs, toUnixNs, kernels } = session.file;
  const lastedMs = Number((BigInt(toUnixNs) - BigInt(fromUnixNs)) / 1_000_000n);
  const shiftNs = BigInt(Date.now()) * 1_000_000n - BigInt(isFast ? toUnixNs : fromUnixNs);
  await print(`mkscope demo: ${kernels.length} real kernels, ${Math.round(lastedMs / 1000)} s${isFast ? '' : ', as it was'}
${kernels.map(({ id, name, release }) => `  ${paint('bold', name.padEnd(8))} kernel ${id}, Linux ${release}`).join('\n')}

  page       ${paint('bold', hub.addresses.page)}
  terminal   mkscope logs -f --hub ${hub.addresses.page}

`);
  const abort = new AbortController();
  void asked.then(() => abort.abort());
  const timers = isFast ? [] : narrate(session, shiftNs);
  try {
    await replaySession(session, { to: { endpoint: hub.addresses.otlp }, shiftNs, isPaced: !isFast, signal: abort.signal });
  } catch (error) {
    if (!abort.signal.aborted) throw error;
  } finally {
    for (const timer of timers) clearTimeout(timer);
  }
  if (abort.signal.aborted || !stays) return;
  await printLine(`\nThat was all of it; the page stays until Ctrl-C. Look at Logs around the panic, and at the Timeline.`);
  await asked;
}

/** Says what happens, when it happens. */
function narrate({ file }: Session, shiftNs: bigint): NodeJS.Timeout[] {
  return file.events.map(({ unixNs, what }) => {
    const delayMs = Number((BigInt(unixNs) + shiftNs) / 1_000_000n) - Date.now();
    return setTimeout(() => void printLine(`  ${new Date().toLocaleTimeString('en-GB')}  ${escapeLine(what)}`), Math.max(0, delayMs));
  });
}
