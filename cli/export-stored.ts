/** `mkscope export` of what is stored: from the hub that runs, or from a folder that none holds. */
import { resolve } from 'node:path';

import { OperationalError } from '../base/errors.ts';
import { writeStoredEvents, type Ask } from '../hub/export-events.ts';
import type { Health } from '../model/api.ts';
import type { DatCompression } from '../export/trace-dat-writer.ts';
import { loadConfig } from './config.ts';
import { toFlagValues } from './config-flags.ts';
import type { ExportFlags } from './export-formats.ts';
import type { ExportOutput } from './export-output.ts';
import { HubClient } from './hub-client.ts';
import { openHubClient, readToken } from './hub-flags.ts';
import { parseMoment } from './moment.ts';
import { toStoreOptions } from './settings.ts';
import { formatCount } from './units.ts';

/** Writes the events of a kernel and a window; returns what to say about it. */
export async function writeStored(
  kernel: string,
  flags: ExportFlags,
  { cpus, compression }: { cpus: ReadonlySet<number> | undefined; compression: DatCompression },
  output: ExportOutput,
): Promise<string> {
  const selection = {
    kernel,
    cpus,
    fromUnixNs: flags.since === undefined ? undefined : parseMoment('since', flags.since),
    toUnixNs: flags.until === undefined ? undefined : parseMoment('until', flags.until),
  };
  const source = flags.data === undefined ? await openHub(flags) : await openFolder(flags);
  try {
    const { bootId, events, left } = await writeStoredEvents(source.ask, output, { compression, selection });
    const said = [...left].map(([reason, count]) => `  ${formatCount(count)} events left out: ${reason}\n`).join('');
    return `${formatCount(events)} events of boot ${bootId}, in pages made anew\n${said}`;
  } finally {
    await source.close();
  }
}

interface Source {
  readonly ask: Ask;
  close(): Promise<void>;
}

async function openHub(flags: ExportFlags): Promise<Source> {
  const client = await openHubClient(flags);
  const { listening } = await client.getJson<Health>('/api/health');
  const clickhouse = new HubClient(listening.clickhouse, readToken(flags['token-file']));
  return {
    ask: async (sql, params) => {
      const named = Object.fromEntries(Object.entries(params).map(([name, value]) => [`param_${name}`, value]));
      const query = { default_format: 'JSONCompactEachRow', ...named };
      return parseLines(await clickhouse.requestText('/', query, { method: 'POST', body: sql }));
    },
    close: () => Promise.resolve(),
  };
}

async function openFolder(flags: ExportFlags): Promise<Source> {
  const { openStore } = await import('../store/open.ts');
  const config = loadConfig({ path: flags.config, flags: toFlagValues({ data: flags.data }), env: process.env });
  const store = await openStore({ ...toStoreOptions(config), dataDir: resolve(config.get('data')) });
  return {
    ask: async (sql, params) => parseLines(Buffer.from((await store.queryRaw(sql, 'JSONCompactEachRow', { params })).bytes).toString()),
    close: () => store.close(),
  };
}

function parseLines(text: string): unknown[][] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line) => {
    const row = JSON.parse(line) as unknown;
    // A query that fails behind its first rows says so in their place.
    if (!Array.isArray(row))
      throw new OperationalError('E_STORE_QUERY', `the store broke off: ${line.slice(0, 300)}`, 'try a shorter window');
    return row;
  });
}
