import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { isGroup } from '../../cli/command.ts';
import { COMMANDS } from '../../cli/commands/index.ts';
import { parseFlags } from '../../cli/flags.ts';
import { COLLECTOR_NODE_FLAGS } from '../../collector/options.ts';
import { withFolder } from '../support/run-cli.ts';

const FOLDER = join(import.meta.dirname, '../../deploy/systemd');
const UNITS = readdirSync(FOLDER).filter((name) => name.endsWith('.service'));
const PROGRAM = '/usr/local/bin/mkscope';

/** Section → key → values in order; throws on a line that is none. */
function parseUnit(text: string): Map<string, Map<string, string[]>> {
  const sections = new Map<string, Map<string, string[]>>();
  let keys: Map<string, string[]> | undefined;
  for (const line of text.split('\n')) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const section = /^\[(\w+)\]$/.exec(line)?.[1];
    const pair = /^(\w+)=(.*)$/.exec(line);
    if (section !== undefined) {
      keys = new Map();
      sections.set(section, keys);
    } else {
      assert.ok(pair !== null && keys !== undefined, `not a line of a unit: ${line}`);
      const [, key = '', value = ''] = pair;
      keys.set(key, [...(keys.get(key) ?? []), value]);
    }
  }
  return sections;
}

function readService(name: string): (key: string) => string | undefined {
  const service = parseUnit(readFileSync(join(FOLDER, name), 'utf8')).get('Service');
  return (key) => service?.get(key)?.join(' ');
}

test('systemd: there is a unit for the collector and one for the hub', () => {
  assert.deepEqual(UNITS.sort(), ['mkscope-collector.service', 'mkscope-hub.service']);
});

test('systemd: each unit is hardened, bounded and restarted', () => {
  for (const name of UNITS) {
    const get = readService(name);
    const wanted: Readonly<Record<string, string>> = {
      NoNewPrivileges: 'yes',
      ProtectSystem: 'strict',
      ProtectHome: 'yes',
      PrivateTmp: 'yes',
      ProtectKernelModules: 'yes',
      ProtectKernelTunables: 'yes',
      RestrictNamespaces: 'yes',
      RestrictSUIDSGID: 'yes',
      LockPersonality: 'yes',
      SystemCallArchitectures: 'native',
      Restart: 'always',
    };
    for (const [key, value] of Object.entries(wanted)) assert.equal(get(key), value, `${name}: ${key}`);
    assert.match(get('SystemCallFilter') ?? '', /^@system-service /);
    assert.doesNotMatch(get('RestrictAddressFamilies') ?? 'AF_NETLINK', /NETLINK|PACKET/);
    assert.match(get('MemoryMax') ?? '', /^\d+[MG]$/);
  }
});

test('systemd: the collector keeps CAP_SYSLOG alone and can reach what it reads, the hub keeps nothing', () => {
  const collector = readService('mkscope-collector.service');
  assert.equal(collector('CapabilityBoundingSet'), 'CAP_SYSLOG');
  assert.equal(collector('AmbientCapabilities'), 'CAP_SYSLOG');
  assert.equal(collector('DeviceAllow'), '/dev/kmsg r');
  assert.match(collector('ReadWritePaths') ?? '', /\/sys\/kernel\/tracing/);
  // These would take away what it is there for.
  assert.notEqual(collector('ProtectKernelLogs'), 'yes');
  assert.notEqual(collector('PrivateDevices'), 'yes');
  assert.notEqual(collector('ProcSubset'), 'pid');
  const hub = readService('mkscope-hub.service');
  assert.equal(hub('CapabilityBoundingSet'), '');
  assert.equal(hub('DynamicUser'), 'yes');
  // V8 compiles at run time.
  assert.notEqual(hub('MemoryDenyWriteExecute'), 'yes');
});

test('systemd: the collector runs with the Node flags that `mkscope up` gives it', () => {
  const environment = readService('mkscope-collector.service')('Environment') ?? '';
  assert.ok(environment.includes(`NODE_OPTIONS=${COLLECTOR_NODE_FLAGS.join(' ')} `), environment);
});

test('systemd: the command that each unit starts is one that mkscope takes', async () => {
  for (const name of UNITS) {
    const [program, commandName = '', ...args] = (readService(name)('ExecStart') ?? '').split(' ');
    assert.equal(program, PROGRAM);
    const command = await COMMANDS[commandName]?.load();
    assert.ok(command !== undefined && !isGroup(command), `${name}: no command ${commandName}`);
    parseFlags(commandName, command.options, args);
    assert.equal(command.service, true);
  }
});

test('systemd: systemd-analyze verify has nothing to say', async (t) => {
  if (spawnSync('systemd-analyze', ['--version']).status !== 0) return t.skip('needs systemd-analyze');
  await withFolder((folder) => {
    for (const name of UNITS) {
      // It wants the program to exist.
      const path = join(folder, name);
      writeFileSync(path, readFileSync(join(FOLDER, name), 'utf8').replaceAll(PROGRAM, process.execPath));
      const { status, stderr } = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' });
      const about = stderr.split('\n').filter((line) => line.includes(name));
      assert.deepEqual(about, []);
      assert.equal(status, 0, stderr);
    }
  });
});
