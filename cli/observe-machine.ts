/** Hub and collector of this machine in one go. */
import { join, resolve } from 'node:path';
import { ensureDefined } from '../base/assert.ts';
import { COLLECTOR_NODE_FLAGS } from '../collector/options.ts';
import { OperationalError } from '../base/errors.ts';
import type { Hub, HubOptions } from '../hub/hub.ts';
import { formatSources, isStartReport } from './collector-report.ts';
import type { StartReport } from './collector-report.ts';
import { loadConfig } from './config.ts';
import type { Config } from './config.ts';
import { SOURCE_FLAGS, toArguments, toFlagValues } from './config-flags.ts';
import { toEnvironmentName } from './config-keys.ts';
import { readVersion } from './package-root.ts';
import { toHubOptions } from './settings.ts';
import { watchStopSignals } from './stop-signal.ts';
import { Supervisor } from './supervisor.ts';
import type { ChildExit } from './supervisor.ts';
import { createPaint, print } from './terminal.ts';
import type { Paint } from './terminal.ts';
import type { UpFlags } from './commands/up.ts';

/** The collector hands its last batches over within this, or is ended. */
const STOP_GRACE_MS = 10_000;

export async function observeMachine(flags: UpFlags): Promise<number> {
  const config = loadConfig({ path: flags.config, flags: toFlagValues(flags), env: process.env });
  const hubOptions = toHubOptions(config);
  const paint = createPaint(process.stdout);
  const stop = watchStopSignals();
  const { startHub } = await import('../hub/hub.ts');
  const hub = await startHub(hubOptions);
  const collector = new Supervisor({
    args: [
      ...process.execArgv,
      ...COLLECTOR_NODE_FLAGS,
      ensureDefined(process.argv[1], 'path of the program'),
      'collect',
      ...toArguments(flags, [...Object.keys(SOURCE_FLAGS), 'config']),
      `--data=${hubOptions.dataDir}`,
      `--to=${hub.addresses.otlp}`,
    ],
    env: {
      NODE_COMPILE_CACHE: join(hubOptions.dataDir, 'compile-cache'),
      ...process.env,
      ...credentialOf(config, hubOptions),
    },
    onReport: (report) => {
      if (isStartReport(report)) void print(formatStart(report, hub, hubOptions.dataDir, paint));
    },
    onExit: (exit) => {
      process.stderr.write(`mkscope: ${describeExit(exit)}\n`);
    },
  });
  stop.onForced = () => collector.kill();
  collector.start();
  const reason = await stop.asked;
  await print(`\nmkscope: ${reason}: handing over and storing what was read; once more stops at once\n`);
  const wasClean = await collector.stop(STOP_GRACE_MS);
  await hub.close();
  await print(
    wasClean
      ? 'mkscope: stopped, everything is stored\n'
      : 'mkscope: stopped; the collector had to be ended, what it had spooled is sent on the next start\n',
  );
  return 0;
}

function formatStart(report: StartReport, hub: Hub, dataDir: string, paint: Paint): string {
  const { page, otlp, clickhouse } = hub.addresses;
  return `mkscope ${readVersion()} observes
${formatSources(report, paint).join('\n')}

  page         ${paint('bold', page)}
  terminal     mkscope logs -f · mkscope top · mkscope query "SELECT …"
  OTLP         ${otlp}
  ClickHouse   ${clickhouse} (read-only; Grafana: dashboards/README.md)
  data         ${resolve(dataDir)}

Ctrl-C stops.
`;
}

/** A hub that asks senders for a token gets one of its own, unless the configuration names another. */
function credentialOf(config: Config, { tokens = [] }: HubOptions): NodeJS.ProcessEnv {
  const ingest = tokens.filter((token) => token.grants === 'ingest');
  if (ingest.length === 0 || Object.keys(config.get('collector.headers')).length > 0) return {};
  const own = ingest.find((token) => token.kernel === undefined || token.kernel.kernelId === (config.find('kernel.id') ?? 0));
  if (own === undefined) {
    throw new OperationalError(
      'E_CONFIG_VALUE',
      'no token of hub.tokens lets this kernel send',
      'add one that grants "ingest" without a kernel, or with kernel: 0',
    );
  }
  return { [toEnvironmentName('collector.headers')]: `authorization=Bearer ${own.token}` };
}

function describeExit({ code, signal, restartMs }: ChildExit): string {
  const how = signal === undefined ? `with code ${code ?? '?'}` : `by ${signal}`;
  if (restartMs === undefined) return `the collector ended ${how} and is not started again: correct what it says above`;
  return `the collector ended ${how}, it starts again in ${restartMs / 1000} s`;
}
