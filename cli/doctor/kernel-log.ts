/** Can the kernel log be read? */
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs';

import { errnoOf, messageOf } from '../../base/errors.ts';
import { fail, ok, warn } from './finding.ts';
import type { Finding } from './finding.ts';

const ID = 'kmsg';
const TITLE = 'kernel log (/dev/kmsg)';
const EFFECT = 'no printk records of this kernel';

export function checkKernelLog(): Finding {
  let fd: number;
  try {
    fd = openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return explainOpen(errnoOf(error) ?? messageOf(error));
  }
  try {
    readSync(fd, Buffer.alloc(8192));
    return ok(ID, TITLE, 'readable');
  } catch (error) {
    const errno = errnoOf(error);
    // EAGAIN: nothing to read. EPIPE: the ring was overwritten under us. Both mean that reading is allowed.
    if (errno === 'EAGAIN' || errno === 'EPIPE') return ok(ID, TITLE, 'readable');
    return explainOpen(errno ?? messageOf(error));
  } finally {
    closeSync(fd);
  }
}

function explainOpen(reason: string): Finding {
  if (reason === 'ENOENT') {
    return fail(ID, TITLE, '/dev/kmsg is not there (a container without it?)', EFFECT, 'docker run --device /dev/kmsg --cap-add SYSLOG …');
  }
  const restricted = readNumber('/proc/sys/kernel/dmesg_restrict') === 1;
  const detail = `${reason}${restricted ? ', and kernel.dmesg_restrict is 1' : ''}`;
  const fix = restricted
    ? 'run as root, give the process CAP_SYSLOG (deploy/systemd does), or open the log to everybody: sudo sysctl kernel.dmesg_restrict=0'
    : 'run as root, or give the process CAP_SYSLOG and read access: deploy/systemd does';
  return fail(ID, TITLE, detail, EFFECT, fix);
}

/** `/dev/kmsg` writers (systemd, init scripts) are limited by default, and what is over the limit is gone before we see it. */
export function checkDevkmsgLimit(): Finding {
  const id = 'kmsg.ratelimit';
  const title = 'writes of user space to the kernel log';
  let mode: string;
  try {
    mode = readFileSync('/proc/sys/kernel/printk_devkmsg', 'utf8').trim();
  } catch {
    return ok(id, title, 'no limit known to this kernel');
  }
  if (mode !== 'ratelimit') return ok(id, title, mode === 'on' ? 'not limited' : 'switched off');
  return warn(
    id,
    title,
    'limited (printk_devkmsg=ratelimit)',
    'bursts that programs write to /dev/kmsg are cut by the kernel before anybody sees them',
    'sudo sysctl kernel.printk_devkmsg=on',
  );
}

function readNumber(path: string): number | undefined {
  try {
    const value = Number.parseInt(readFileSync(path, 'utf8'), 10);
    return Number.isNaN(value) ? undefined : value;
  } catch {
    return undefined;
  }
}
