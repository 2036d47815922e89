/**
 * When a kernel crashed, by where kdump put its log:
 *
 *   /var/crash/127.0.0.1-2026-11-25-21:59:03/vmcore-dmesg.txt     kexec-tools, RHEL: local time of the crash kernel, UTC as a rule
 *   /var/crash/202611252159/dmesg.202611252159                    kdump-tools, Debian: local time
 *
 * Both write the log within a minute or two of the crash, so the time of the file is the better one where nobody has touched it:
 * that is, where it is within a time zone of the folder's.
 */
import { basename, dirname } from 'node:path';

const RHEL_FOLDER = /(\d{4})-(\d\d)-(\d\d)-(\d\d):(\d\d):(\d\d)$/;
const DEBIAN_FILE = /^dmesg\.(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)$/;
const RHEL_FILE = /^vmcore-dmesg(?:-incomplete)?\.txt$/;
const NS_PER_MS = 1_000_000n;
const NS_PER_SECOND = 1_000_000_000;
/** Time zones reach from -12 to +14 hours. */
const ZONE_ERROR_NS = 14 * 3600 * NS_PER_SECOND;
/** The crash kernel boots, and may save the memory first. */
const WRITTEN_AFTER_NS = 120 * NS_PER_SECOND;

export interface CrashTime {
  readonly unixNs: bigint;
  readonly errorNs: number;
}

/** undefined where the path is none of kdump's. */
export function findCrashTime(path: string, modifiedUnixNs: bigint | undefined): CrashTime | undefined {
  const name = basename(path);
  const match = RHEL_FILE.test(name) ? RHEL_FOLDER.exec(basename(dirname(path))) : DEBIAN_FILE.exec(name);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second = 0] = match.slice(1).map(Number);
  const said = BigInt(Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), second)) * NS_PER_MS;
  const apart = modifiedUnixNs === undefined ? Infinity : Math.abs(Number(modifiedUnixNs - said));
  if (modifiedUnixNs !== undefined && apart <= ZONE_ERROR_NS + WRITTEN_AFTER_NS)
    return { unixNs: modifiedUnixNs, errorNs: WRITTEN_AFTER_NS };
  return { unixNs: said, errorNs: ZONE_ERROR_NS };
}
