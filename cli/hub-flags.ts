/** Which hub a command talks to: --hub, MKSCOPE_HUB, the configuration file's `hub.page`, else the page's usual address. */
import { existsSync, readFileSync } from 'node:fs';

import { OperationalError } from '../base/errors.ts';
import type { OptionTable } from './flags.ts';
import { HubClient } from './hub-client.ts';

export const DEFAULT_HUB_URL = 'http://127.0.0.1:4319';

export const HUB_FLAGS = {
  hub: { type: 'string', value: 'URL', help: `page address of the hub (MKSCOPE_HUB; default ${DEFAULT_HUB_URL})` },
  'token-file': { type: 'string', value: 'PATH', help: 'bearer token for a hub that asks for one (MKSCOPE_TOKEN holds it otherwise)' },
} as const satisfies OptionTable;

interface HubFlagValues {
  readonly hub: string | undefined;
  readonly 'token-file': string | undefined;
}

export async function openHubClient(flags: HubFlagValues): Promise<HubClient> {
  return new HubClient(await findHubUrl(flags.hub), readToken(flags['token-file']));
}

async function findHubUrl(flag: string | undefined): Promise<string> {
  const written = flag ?? process.env['MKSCOPE_HUB'];
  if (written !== undefined && written !== '') return toUrl(written);
  // The configuration costs the YAML parser and the validator, some 60 ms: only where there is one.
  const hasConfig =
    existsSync('./mkscope.yaml') || existsSync('/etc/mkscope/mkscope.yaml') || process.env['MKSCOPE_HUB_PAGE'] !== undefined;
  if (!hasConfig) return DEFAULT_HUB_URL;
  const { loadConfig } = await import('./config.ts');
  const { formatAddress } = await import('./config-kinds.ts');
  const page = loadConfig({ env: process.env }).get('hub.page');
  return `http://${formatAddress(page.host === '0.0.0.0' || page.host === '::' ? { host: '127.0.0.1', port: page.port } : page)}`;
}

/** `host:port` is taken as http. */
function toUrl(written: string): string {
  const url = /^https?:\/\//.test(written) ? written : `http://${written}`;
  if (URL.canParse(url)) return url;
  throw new OperationalError('E_ARGS', `--hub ${written} is not an address`, `for example --hub ${DEFAULT_HUB_URL}`);
}

export function readToken(path: string | undefined): string | undefined {
  if (path === undefined) return process.env['MKSCOPE_TOKEN'];
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new OperationalError('E_ARGS', `--token-file ${path} cannot be read`, 'check the path and its permissions', error);
  }
}
