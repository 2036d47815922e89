/**
 * mkscope.yaml → values by key path, each with the line it stands on:
 *
 *   collector:
 *     tracefs:
 *       clock: mono        →  'collector.tracefs.clock' = 'mono', line 3
 *       evnts: […]         →  E_CONFIG_KEY, line 4: did you mean "events"?
 *
 * Every key that mkscope does not know is refused. Anchors and merge keys work; several documents in one file do not.
 */
import { readFileSync } from 'node:fs';

import { isAlias, isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import type { Document, Pair } from 'yaml';

import { errnoOf, messageOf, OperationalError } from '../base/errors.ts';
import { suggest } from './nearest.ts';

export interface FileValue {
  readonly value: unknown;
  readonly line: number;
}

const MAX_FILE_BYTES = 1 << 20;

/** Reads the file; `keys` are all known paths. */
export function readConfigFile(path: string, keys: readonly string[]): Map<string, FileValue> {
  return parseConfig(path, readText(path), keys);
}

export function parseConfig(path: string, text: string, keys: readonly string[]): Map<string, FileValue> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true });
  const [problem] = document.errors;
  if (problem !== undefined) {
    const { line, col } = lines.linePos(problem.pos[0]);
    throw new OperationalError(
      'E_CONFIG_SYNTAX',
      `${path}:${line}:${col}: ${problem.message}`,
      'correct the line; `mkscope check` tells when the file is right',
    );
  }
  const found = new Map<string, FileValue>();
  // An empty file, or one of comments only, is a configuration of defaults.
  if (document.contents !== null) walk({ path, document, lines, keys, found }, document.contents, '', 1);
  return found;
}

interface Walk {
  readonly path: string;
  readonly document: Document;
  readonly lines: LineCounter;
  readonly keys: readonly string[];
  readonly found: Map<string, FileValue>;
}

function walk(at: Walk, node: unknown, prefix: string, line: number): void {
  const map = isAlias(node) ? node.resolve(at.document) : node;
  if (!isMap(map)) {
    // `collector:` with nothing under it is the same as leaving it out.
    if (isScalar(map) && map.value === null) return;
    const where = prefix === '' ? 'the file' : prefix;
    throw new OperationalError(
      'E_CONFIG_VALUE',
      `${at.path}:${line}: ${where} must be a group of "key: value" lines`,
      'docs/config.md has an example of each key',
    );
  }
  for (const pair of map.items) {
    const name = String(isScalar(pair.key) ? pair.key.value : pair.key);
    const key = prefix === '' ? name : `${prefix}.${name}`;
    const keyLine = lineOf(at, pair) ?? line;
    if (at.keys.includes(key)) at.found.set(key, { value: readValue(at, pair.value), line: keyLine });
    else if (at.keys.some((known) => known.startsWith(`${key}.`))) walk(at, pair.value, key, keyLine);
    else throw unknownKey(at, key, prefix, keyLine);
  }
}

function readValue(at: Walk, node: unknown): unknown {
  const value: unknown =
    node !== null && typeof node === 'object' && 'toJS' in node ? (node as { toJS(document: Document): unknown }).toJS(at.document) : node;
  return value === null ? undefined : value;
}

function lineOf(at: Walk, pair: Pair): number | undefined {
  const range = isScalar(pair.key) ? pair.key.range : undefined;
  return range === undefined || range === null ? undefined : at.lines.linePos(range[0]).line;
}

function unknownKey(at: Walk, key: string, prefix: string, line: number): OperationalError {
  const depth = prefix === '' ? 0 : prefix.split('.').length;
  const siblings = new Set(
    at.keys.filter((known) => prefix === '' || known.startsWith(`${prefix}.`)).map((known) => known.split('.')[depth] as string),
  );
  const name = key.slice(prefix === '' ? 0 : prefix.length + 1);
  // A right name in the wrong group is as common as a wrong name.
  const elsewhere = at.keys.find((known) => known === name || known.endsWith(`.${name}`));
  const nearest = suggest(name, siblings);
  const advice = nearest === '' && elsewhere !== undefined ? `; did you mean "${elsewhere}"?` : nearest;
  const group = prefix === '' ? 'the top level knows' : `${prefix} knows`;
  return new OperationalError('E_CONFIG_KEY', `${at.path}:${line}: unknown key "${key}"${advice}`, `${group}: ${[...siblings].join(', ')}`);
}

function readText(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const reason = errnoOf(error) ?? messageOf(error);
    throw new OperationalError(
      'E_CONFIG_READ',
      `cannot read ${path} (${reason})`,
      'check the path and its permissions, or leave --config out',
      error,
    );
  }
  if (bytes.length > MAX_FILE_BYTES) {
    throw new OperationalError(
      'E_CONFIG_READ',
      `${path} has ${bytes.length} bytes, more than a configuration can have`,
      'check that --config names the right file',
    );
  }
  return bytes.toString('utf8');
}
