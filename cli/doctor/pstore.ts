/** Does this kernel keep its last words, and are there some of earlier boots? */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { errnoOf, messageOf } from '../../base/errors.ts';
import { parsePstoreName } from '../../parsers/pstore-record.ts';
import { ok, warn } from './finding.ts';
import type { Finding } from './finding.ts';

const ID = 'pstore';
const TITLE = 'crash records (pstore)';
const EFFECT = 'the last words of a panic die with it, unless a console or netconsole carries them';

/** `root` stands for `/`. */
export function checkPstore(root = '/'): Finding {
  const folder = join(root, 'sys/fs/pstore');
  const filesystems = readText(join(root, 'proc/filesystems'));
  if (!filesystems.includes('pstore')) return warn(ID, TITLE, 'not in this kernel', EFFECT, 'needs a kernel with CONFIG_PSTORE=y');
  const backend = readText(join(root, 'sys/module/pstore/parameters/backend')).trim();
  if (backend === '' || backend === '(null)') {
    return warn(
      ID,
      TITLE,
      'no backend keeps them',
      EFFECT,
      existsSync(join(root, 'sys/firmware/efi'))
        ? 'sudo modprobe efi_pstore'
        : 'on a machine with EFI: sudo modprobe efi_pstore; else reserve memory for ramoops: memmap=1M$ADDRESS ramoops.mem_address=ADDRESS ramoops.mem_size=0x100000 on the kernel command line',
    );
  }
  if (!/^\S+ \/sys\/fs\/pstore pstore /m.test(readText(join(root, 'proc/mounts')))) {
    return warn(
      ID,
      TITLE,
      `kept by ${backend}, and not mounted`,
      'crash records of earlier boots cannot be read',
      'sudo mount -t pstore pstore /sys/fs/pstore',
    );
  }
  try {
    const records = readdirSync(folder).filter((name) => parsePstoreName(name) !== undefined).length;
    const found = records === 0 ? 'none of earlier boots' : `${records} files of earlier boots: mkscope import ${folder}`;
    return ok(ID, TITLE, `kept by ${backend}; ${found}`);
  } catch (error) {
    const detail = `${folder} cannot be read (${errnoOf(error) ?? messageOf(error)})`;
    return warn(ID, TITLE, detail, 'crash records of earlier boots cannot be read', 'run as root');
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
