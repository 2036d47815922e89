/**
 * A file of a user's own rules (messages, packs of messages between kernels, spans): YAML, checked as a whole, and everything that is
 * wrong told with its line and the nearest right name.
 */
import { readFileSync } from 'node:fs';

import { LineCounter, parseDocument } from 'yaml';
import type { Document } from 'yaml';
import type { z } from 'zod';

import { errnoOf, messageOf, OperationalError } from '../base/errors.ts';
import { suggest } from './nearest.ts';

const MAX_FILE_BYTES = 1 << 20;

export interface RuleFileKind<Value> {
  readonly schema: z.ZodType<Value>;
  /** All keys that such a file may have, for the nearest one. */
  readonly keys: readonly string[];
  /** Page with an example of each key. */
  readonly page: string;
}

export class RuleFile<Value> {
  readonly path: string;
  readonly value: Value;
  readonly #kind: RuleFileKind<Value>;
  readonly #document: Document;
  readonly #lines: LineCounter;

  /** Throws E_CONFIG_SYNTAX, E_CONFIG_KEY or E_CONFIG_VALUE with file and line. */
  constructor(path: string, text: string, kind: RuleFileKind<Value>) {
    this.path = path;
    this.#kind = kind;
    this.#lines = new LineCounter();
    // All values as text: a sample's `0x1f` is not 31.
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, schema: 'failsafe' });
    const [problem] = this.#document.errors;
    if (problem !== undefined) {
      const { line, col } = this.#lines.linePos(problem.pos[0]);
      throw new OperationalError('E_CONFIG_SYNTAX', `${path}:${line}:${col}: ${problem.message}`, 'correct the line');
    }
    const checked = kind.schema.safeParse(this.#document.toJS());
    if (!checked.success) {
      const { issues } = checked.error;
      // A mistyped key is the reason why the right one is missing.
      const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0];
      throw this.#toError(issue as z.core.$ZodIssue);
    }
    this.value = checked.data;
  }

  /** Of the innermost part of the path that is there. */
  lineOf(path: readonly PropertyKey[]): number {
    for (let depth = path.length; depth > 0; depth--) {
      const node: unknown = this.#document.getIn(path.slice(0, depth), true);
      const range =
        typeof node === 'object' && node !== null && 'range' in node ? (node.range as readonly number[] | undefined) : undefined;
      if (range !== undefined) return this.#lines.linePos(range[0] as number).line;
    }
    return 1;
  }

  /** What the schema alone cannot see. */
  toError(path: readonly PropertyKey[], message: string): OperationalError {
    const where = nameOf(path);
    return new OperationalError(
      'E_CONFIG_VALUE',
      `${this.path}:${this.lineOf(path)}: ${where === '' ? 'the file' : where} ${message}`,
      `${this.#kind.page} has an example of each key`,
    );
  }

  #toError(issue: z.core.$ZodIssue): OperationalError {
    if (issue.code === 'unrecognized_keys') {
      const [key = ''] = issue.keys;
      const where = nameOf(issue.path);
      return new OperationalError(
        'E_CONFIG_KEY',
        `${this.path}:${this.lineOf([...issue.path, key])}: unknown key "${key}"${where === '' ? '' : ` in ${where}`}${suggest(key, this.#kind.keys)}`,
        `${this.#kind.page} has an example of each key`,
      );
    }
    const isMissing = issue.code === 'invalid_type' && 'input' in issue && issue.input === undefined;
    return this.toError(issue.path, /received undefined/.test(issue.message) || isMissing ? 'is missing' : issue.message);
  }
}

function nameOf(path: readonly PropertyKey[]): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part + 1}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
}

/** Throws E_CONFIG_READ. */
export function readRuleText(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const reason = errnoOf(error) ?? messageOf(error);
    throw new OperationalError('E_CONFIG_READ', `cannot read ${path} (${reason})`, 'check the path and its permissions', error);
  }
  if (bytes.length > MAX_FILE_BYTES)
    throw new OperationalError('E_CONFIG_READ', `${path} has ${bytes.length} bytes, more than a file of rules can have`, 'check the path');
  return bytes.toString('utf8');
}
