/**
 * Logs that a machine has rotated are one log of one kernel, in the order of their time:
 *
 *   kern.log.3.gz kern.log.2.gz kern.log.1 kern.log          logrotate: the highest number is the oldest
 *   messages-20261115.xz messages-20261122 messages          with dateext
 */
import { basename, dirname } from 'node:path';

/** What syslog daemons and dmesg call them; any other files are those of several kernels. */
const NAME =
  /^(kern|kern\.log|kernel\.log|syslog|syslog\.log|messages|debug|dmesg)(?:\.(\d{1,4})|-(\d{8}(?:\d{2,6})?))?(?:\.(?:gz|xz|zst|bz2|lz4))?$/;
const PACKED = /\.(?:gz|xz|zst|zstd|bz2|lz4)$/;

export interface LogParts {
  /** The newest, whose name and time stand for all. */
  readonly path: string;
  /** Oldest first. */
  readonly parts: readonly string[];
}

/** Divides paths into those that are parts of one log; each other one is a log of its own. In the order of their first. */
export function groupRotated(paths: readonly string[]): LogParts[] {
  const groups = Map.groupBy(paths, (path) => {
    const name = NAME.exec(basename(path))?.[1];
    return name === undefined ? path : `${dirname(path)}\n${name}`;
  });
  return [...groups.values()].map((group) => {
    const parts = group.toSorted(compareAge);
    return { path: parts.at(-1) as string, parts };
  });
}

/** The name without what packs it: `kern.log.2.gz` is kern.log.2. */
export function unpackedName(path: string): string {
  return path.replace(PACKED, '');
}

function compareAge(a: string, b: string): number {
  const [, , numberA = '', dateA = ''] = NAME.exec(basename(a)) ?? [];
  const [, , numberB = '', dateB = ''] = NAME.exec(basename(b)) ?? [];
  // Without either it is the one that is still written.
  if ((numberA || dateA) === '') return 1;
  if ((numberB || dateB) === '') return -1;
  if (numberA !== '' && numberB !== '') return Number(numberB) - Number(numberA);
  return dateA < dateB ? -1 : dateA > dateB ? 1 : 0;
}
