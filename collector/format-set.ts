/** Reads the kernel's `format` files: what the pages of an instance are decoded with, here and in the hub. */
import { readdirSync, readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { errnoOf } from '../base/errors.ts';
import { hashFormatSet, type FormatSet } from '../model/segment.ts';

export interface NamedFormatSet {
  readonly hash: string;
  readonly set: FormatSet;
}

/** The formats of the enabled events, and of the tracer's own (`ftrace:print`, stacks …), which are never enabled yet occur. */
export function readFormatSet(tracefs: string, events: readonly string[]): NamedFormatSet {
  const internal = readdirSync(join(tracefs, 'events/ftrace'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `ftrace:${entry.name}`);
  const formats: { system: string; format: string }[] = [];
  for (const name of [...new Set([...events, ...internal])].sort()) {
    const system = name.slice(0, name.indexOf(':'));
    const format = readIfThere(join(tracefs, 'events', name.replace(':', '/'), 'format'));
    if (format !== undefined) formats.push({ system, format });
  }
  const set: FormatSet = {
    headerPage: readFileSync(join(tracefs, 'events/header_page'), 'utf8'),
    endian: endianness() === 'LE' ? 'little' : 'big',
    events: formats,
    printkFormats: readIfThere(join(tracefs, 'printk_formats')) ?? '',
  };
  return { hash: hashFormatSet(set), set };
}

/** A module may unload between the listing and the reading. */
function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENODEV') return undefined;
    throw error;
  }
}
