/**
 * The language of message patterns: what a kernel's format string is, with names for what it prints. No regular expressions,
 * so that no pattern, whoever wrote it, can take longer than its line is long.
 *
 *   Overlay tx{overlay.tx:int}: Instance '{instance.name:text}' created successfully
 *              +-- field         +-- up to the text that follows it here: '
 *
 *   {name:int}       decimal, signed          {name:hex}    0x1f or 1f, kept as 0x1f      {name:float}   2799.998
 *   {name:word}      no space in it           {name:list}   8,10-12                       {name:text}    up to what follows
 *   {:word}          a field that is not kept
 *   {name=on|off}    one of these words, kept
 *   {Root|Self}      one of these texts; may hold fields
 *   {?, virt={:word}}   may be missing
 *   \{ \} \|         the characters themselves
 *
 * A pattern stands for the beginning of a line; what follows it must not go on within a word. It begins with at least three
 * fixed characters, by which rows are dismissed (match-messages.ts).
 * Why it is bounded: there is one way to divide a line. Fields do not touch; a word or a text ends where what follows it first
 * stands; behind a number stands nothing that it could go on with; of the choices at a place only one fits. Options alone can be
 * taken or left, and they are few.
 */
import { messageOf } from '../base/errors.ts';

export const FIELD_TYPES = ['int', 'hex', 'float', 'word', 'list', 'text'] as const;
export type FieldType = (typeof FIELD_TYPES)[number];

export const MAX_PATTERN_CHARS = 512;
const MAX_FIELDS = 16;
const MAX_GROUPS = 8;
export const MIN_HEAD_CHARS = 3;
const MAX_HEADS = 64;

export interface PatternField {
  readonly name: string;
  readonly type: FieldType;
}

export interface MessagePattern {
  readonly source: string;
  /** What a line begins with that the pattern can take. */
  readonly heads: readonly string[];
  /** Anchored at both ends; group n is `fields[n - 1]`. */
  readonly regex: RegExp;
  readonly fields: readonly PatternField[];
}

type Node =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'field'; readonly name: string; readonly type: FieldType }
  /** `name` = which of the words it was is kept. */
  | { readonly kind: 'group'; readonly name: string; readonly choices: readonly (readonly Node[])[] };

const CLASS: Readonly<Record<FieldType, string>> = {
  int: String.raw`-?\d{1,20}`,
  hex: '(?:0x)?[0-9a-fA-F]{1,16}',
  float: String.raw`-?\d{1,20}(?:\.\d{1,20})?`,
  word: String.raw`\S{1,256}`,
  list: String.raw`\d{1,20}(?:[-,]\d{1,20}){0,511}`,
  text: String.raw`[^\n]{0,4096}`,
};

/** What must not stand behind a field of the type, since the field could as well go on with it. */
const GOES_ON: Readonly<Record<FieldType, RegExp>> = {
  int: /^\d/,
  hex: /^[\da-fA-FxX]/,
  float: /^[\d.]/,
  list: /^(?:\d|[-,]\d|[-,]$)/,
  // They end where this stands.
  word: /^$/,
  text: /^$/,
};

/** Throws an Error that says, at which character, what is wrong. */
export function compilePattern(source: string): MessagePattern {
  if (source.length > MAX_PATTERN_CHARS) throw new Error(`it has ${source.length} characters, more than ${MAX_PATTERN_CHARS}`);
  const nodes = new PatternReader(source).read();
  const heads = [...new Set(headsOf(nodes))];
  const short = heads.find((head) => head.length < MIN_HEAD_CHARS);
  if (short !== undefined)
    throw new Error(`it must begin with at least ${MIN_HEAD_CHARS} fixed characters, not with ${JSON.stringify(short)}`);
  if (heads.length > MAX_HEADS) throw new Error(`it can begin in ${heads.length} ways, more than ${MAX_HEADS}`);
  const fields: PatternField[] = [];
  const body = toRegex(nodes, [], fields);
  return { source, heads, fields, regex: new RegExp(`^${body}${/\w$/.test(lastOf(nodes)) ? String.raw`(?!\w)` : ''}`) };
}

/** Like `compilePattern`, for the errors of a file: undefined where the pattern is right. */
export function findPatternError(source: string): string | undefined {
  try {
    compilePattern(source);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

class PatternReader {
  readonly #source: string;
  readonly #names = new Set<string>();
  #at = 0;
  #fields = 0;
  #groups = 0;

  constructor(source: string) {
    this.#source = source;
  }

  read(): Node[] {
    const nodes = this.#readNodes(0);
    if (this.#at < this.#source.length) this.#fail('"}" without a "{" (write "\\}" for the character)');
    checkNeighbours(nodes, []);
    return nodes;
  }

  #readNodes(depth: number): Node[] {
    const nodes: Node[] = [];
    let literal = '';
    const close = (): void => {
      if (literal !== '') nodes.push({ kind: 'literal', text: literal });
      literal = '';
    };
    while (this.#at < this.#source.length) {
      const character = this.#source[this.#at] as string;
      if (character === '}' || (character === '|' && depth > 0)) break;
      this.#at++;
      if (character === '{') {
        close();
        nodes.push(this.#readBraces(depth + 1));
      } else if (character === '\\') {
        const next = this.#source[this.#at++];
        if (next === undefined || !'{}|\\'.includes(next)) this.#fail('"\\" may only stand before "{", "}", "|" and "\\"');
        literal += next;
      } else literal += character;
    }
    close();
    return nodes;
  }

  #readBraces(depth: number): Node {
    const rest = this.#source.slice(this.#at);
    const field = /^([\w.]*):(\w*)\}/.exec(rest);
    if (field !== null) {
      this.#at += field[0].length;
      return this.#toField(field[1] as string, field[2] as string);
    }
    if (++this.#groups > MAX_GROUPS) this.#fail(`more than ${MAX_GROUPS} groups`);
    const isOptional = rest.startsWith('?');
    const name = isOptional ? undefined : /^([a-z][\w.]*)=/.exec(rest);
    if (isOptional) this.#at++;
    if (name !== null && name !== undefined) this.#at += name[0].length;
    const choices = this.#readChoices(depth);
    if (choices.some((choice) => choice.length === 0)) this.#fail('an empty choice; what may be missing is written {?a}');
    if (isOptional) return { kind: 'group', name: '', choices: [...choices, []] };
    if (choices.length < 2) this.#fail('"{" begins a field {name:type}, a choice {a|b} or an option {?a}');
    if (name !== null && name !== undefined) {
      this.#noteName(name[1] as string);
      if (choices.some((nodes) => nodes.length !== 1 || nodes[0]?.kind !== 'literal')) this.#fail(`${name[1]} is one of fixed words`);
    }
    return { kind: 'group', name: name?.[1] ?? '', choices };
  }

  #readChoices(depth: number): Node[][] {
    const choices = [this.#readNodes(depth)];
    while (this.#source[this.#at] === '|') {
      this.#at++;
      choices.push(this.#readNodes(depth));
    }
    if (this.#source[this.#at] !== '}') this.#fail('"{" without a "}"');
    this.#at++;
    return choices;
  }

  #toField(name: string, type: string): Node {
    if (!(FIELD_TYPES as readonly string[]).includes(type)) this.#fail(`there is no type "${type}"; types are ${FIELD_TYPES.join(', ')}`);
    if (name !== '' && !/^[a-z][\w.]*$/.test(name)) this.#fail(`"${name}" is no name of a field: small letters, digits, "_" and "."`);
    if (name !== '') this.#noteName(name);
    if (++this.#fields > MAX_FIELDS) this.#fail(`more than ${MAX_FIELDS} fields`);
    return { kind: 'field', name, type: type as FieldType };
  }

  #noteName(name: string): void {
    if (this.#names.has(name)) this.#fail(`the field ${name} stands twice`);
    this.#names.add(name);
  }

  #fail(what: string): never {
    throw new Error(`${what}, at character ${this.#at}`);
  }
}

/** Between two fields stands something fixed: else a line could be divided in many ways. */
function checkNeighbours(nodes: readonly Node[], behind: readonly Node[]): void {
  nodes.forEach((node, index) => {
    const rest = [...nodes.slice(index + 1), ...behind];
    if (node.kind === 'group') {
      checkChoices(node.choices);
      for (const choice of node.choices) checkNeighbours(choice, rest);
    }
    if (node.kind !== 'field') return;
    const follows = beginningsOf(rest);
    if (follows === undefined) throw new Error(`nothing fixed stands behind the field "${node.name}"`);
    const more = follows.find((text) => GOES_ON[node.type].test(text));
    if (more !== undefined) throw new Error(`${JSON.stringify(more)} behind the field "${node.name}" could as well be a part of it`);
  });
}

/** Of the choices at a place at most one fits a line, besides leaving an option out. */
function checkChoices(choices: readonly (readonly Node[])[]): void {
  const beginnings = choices.filter((choice) => choice.length > 0).map((choice) => (choice[0]?.kind === 'literal' ? choice[0].text : ''));
  if (beginnings.includes('')) throw new Error('a choice begins with something fixed');
  const twice = beginnings.find((one, at) => beginnings.some((other, index) => index !== at && other.startsWith(one)));
  if (twice !== undefined) throw new Error(`the choice ${JSON.stringify(twice)} is the beginning of another one`);
}

/** The fixed texts that nodes can begin with; undefined where a field may come first. */
function beginningsOf(nodes: readonly Node[]): string[] | undefined {
  const [first] = nodes;
  if (first === undefined) return [];
  if (first.kind !== 'group') return first.kind === 'literal' ? [first.text] : undefined;
  const found: string[] = [];
  for (const choice of first.choices) {
    const own = beginningsOf(choice.length === 0 ? nodes.slice(1) : choice);
    if (own === undefined) return undefined;
    found.push(...own);
  }
  return found;
}

function headsOf(nodes: readonly Node[]): string[] {
  let heads = [''];
  for (const node of nodes) {
    if (node.kind === 'field') return heads;
    if (node.kind === 'literal') {
      heads = heads.map((head) => head + node.text);
      continue;
    }
    // What stands behind a group with fields in it is no beginning any more.
    const isFixed = node.choices.every((choice) => choice.every(({ kind }) => kind === 'literal'));
    if (!isFixed && heads.every((head) => head.length >= MIN_HEAD_CHARS)) return heads;
    heads = heads.flatMap((head) => node.choices.flatMap((choice) => headsOf(choice).map((own) => head + own)));
    if (!isFixed) return heads;
  }
  return heads;
}

function toRegex(nodes: readonly Node[], behind: readonly Node[], fields: PatternField[]): string {
  return nodes
    .map((node, index) => {
      if (node.kind === 'literal') return escape(node.text);
      const rest = [...nodes.slice(index + 1), ...behind];
      if (node.kind === 'field') return fieldRegex(node, beginningsOf(rest) ?? [], fields);
      if (node.name !== '') fields.push({ name: node.name, type: 'text' });
      return `${node.name === '' ? '(?:' : '('}${node.choices.map((choice) => toRegex(choice, rest, fields)).join('|')})`;
    })
    .join('');
}

function fieldRegex({ name, type }: PatternField, follows: readonly string[], fields: PatternField[]): string {
  const open = name === '' ? '(?:' : '(';
  if (name !== '') fields.push({ name, type });
  if (follows.length === 0 || (type !== 'word' && type !== 'text')) return `${open}${CLASS[type]})`;
  const [unit, most] = type === 'word' ? [String.raw`\S`, '{1,256}'] : [String.raw`[^\n]`, '{0,4096}'];
  return `${open}(?:(?!${follows.map(escape).join('|')})${unit})${most})`;
}

/** A character that tells whether the pattern ends within a word. */
function lastOf(nodes: readonly Node[]): string {
  const last = nodes.at(-1);
  if (last === undefined) return '';
  if (last.kind === 'literal') return last.text.slice(-1);
  if (last.kind === 'field') return last.type === 'text' || last.type === 'word' ? '' : '0';
  return '';
}

function escape(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
}
