/** How the address of a console is written: `-`, `mktty:ID[@PATH]`, `unix:PATH`, `tcp:HOST:PORT`, the path of a FIFO, a device or a file. */
import { statSync } from 'node:fs';
import { OperationalError } from '../base/errors.ts';
import type { StreamAddress } from './byte-stream.ts';
import { parseMktty, parseSocket } from './guest-address.ts';

/** A file path stays a text; everything else is a stream. Throws E_CONFIG_VALUE on one that is neither. */
export function toConsoleAddress(from: string, root: string): StreamAddress | string {
  if (from === '-') return { kind: 'stdin' };
  const mktty = parseMktty(from, root);
  if (mktty !== undefined) return mktty;
  const socket = parseSocket(from);
  if (socket !== undefined) return socket;
  // Otherwise it would be waited for as a file of that name, for ever.
  if (/^(?:unix|tcp|mktty):/.test(from)) {
    throw new OperationalError(
      'E_CONFIG_VALUE',
      `${from} is not unix:PATH, tcp:HOST:PORT or mktty:ID[@PATH]`,
      'docs/collector.md lists the addresses of a console',
    );
  }
  const stat = statSync(from, { throwIfNoEntry: false });
  // Serial lines and mktty are character devices: read like a FIFO.
  if (stat?.isFIFO() === true || stat?.isCharacterDevice() === true) return { kind: 'fifo', path: from };
  return from;
}
