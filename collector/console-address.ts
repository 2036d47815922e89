/** How the address of a console is written: `-`, `mktty:ID[@PATH]`, `unix:PATH`, `tcp:HOST:PORT`, the path of a FIFO, a device or a file. */
import { statSync } from 'node:fs';
import type { StreamAddress } from './byte-stream.ts';
import { parseMktty } from './guest-address.ts';

/** A file path stays a text; everything else is a stream. */
export function toConsoleAddress(from: string, root: string): StreamAddress | string {
  if (from === '-') return { kind: 'stdin' };
  const mktty = parseMktty(from, root);
  if (mktty !== undefined) return mktty;
  if (from.startsWith('unix:')) return { kind: 'unix', path: from.slice(5) };
  const tcp = /^tcp:(.+):(\d+)$/.exec(from);
  if (tcp !== null) return { kind: 'tcp', host: (tcp[1] as string).replaceAll(/[[\]]/g, ''), port: Number(tcp[2]) };
  const stat = statSync(from, { throwIfNoEntry: false });
  // Serial lines and mktty are character devices: read like a FIFO.
  if (stat?.isFIFO() === true || stat?.isCharacterDevice() === true) return { kind: 'fifo', path: from };
  return from;
}
