/**
 * The `print fmt` line of an event's format file, read into a tree: C as far as trace events use it.
 *
 *   "dev %d:%d %s", ((unsigned int) ((REC->dev) >> 20)), REC->x ? "a" "b" : __get_str(name), __print_flags(REC->f, "|", { 1, "A" })
 *   |                |                                    |                +-- call          |                          +-- list
 *   +-- template     +-- cast                             +-- conditional, strings joined    +-- call whose values are lists
 *
 * Also: `sizeof`, indexes, `&`, `*`, members, `__builtin_expect` and `__builtin_choose_expr`, and blocks `({ T a = …; T b = …; a < b ? a : b; })`
 * as the kernel's `min()` leaves them. Strings keep their escapes: who prints them decides about those.
 *
 * Not handled, and told as such: statements other than declarations, assignments, functions the formats don't define.
 * Kernel: include/trace/stages/stage3_trace_output.h; kernel/trace/trace_events.c (print fmt).
 */

import { joinConditional, joinOperator, leaf, LIBRARY_PRIORITY, singleOperator, toExpr, type LibraryTree } from './print-fmt-library.ts';

export type Expr =
  | { readonly kind: 'number'; readonly value: bigint; readonly unsigned: boolean; readonly long: boolean }
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'member'; readonly of: Expr; readonly name: string }
  | { readonly kind: 'index'; readonly of: Expr; readonly index: Expr }
  | { readonly kind: 'unary'; readonly operator: string; readonly of: Expr }
  | { readonly kind: 'binary'; readonly operator: string; readonly left: Expr; readonly right: Expr }
  | { readonly kind: 'conditional'; readonly test: Expr; readonly yes: Expr; readonly no: Expr }
  | { readonly kind: 'cast'; readonly type: string; readonly of: Expr }
  | { readonly kind: 'sizeof'; readonly type: string }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expr[] }
  | { readonly kind: 'list'; readonly items: readonly Expr[] };

export interface PrintFormat {
  /** Between the quotes, with its escapes. */
  readonly template: string;
  readonly args: readonly Expr[];
}

/** The widest print format here has 7,100 characters and 19 levels of brackets. */
const MAX_CHARS = 1 << 16;
const MAX_DEPTH = 64;
const MAX_PROBLEM_CHARS = 200;
const MAX_TOKENS = 1 << 14;

const TOKEN =
  /\s*(?:("(?:[^"\\]|\\[\s\S])*")|('(?:[^'\\]|\\.)+')|(0[xX][\da-fA-F]+|\d+)([uUlL]*)|([A-Za-z_$]\w*)|(->|<<=?|>>=?|[<>=!]=|&&|\|\||[-+*/%&|^~!<>=?:;,.(){}[\]]))/y;
const TYPE_WORD =
  /^(?:unsigned|signed|int|long|short|char|void|const|volatile|struct|union|enum|bool|_Bool|(?:__)?[us](?:8|16|32|64)|__(?:le|be)(?:16|32|64)|__sum16|uint|ulong|ushort|uchar|size_t|ssize_t|gfp_t|fmode_t|sector_t|\w+_t)$/;
const TAGGED = /^(?:struct|union|enum)$/;
const PRECEDENCE: Readonly<Record<string, number>> = {
  '||': 1,
  '&&': 2,
  '|': 3,
  '^': 4,
  '&': 5,
  '==': 6,
  '!=': 6,
  '<': 7,
  '>': 7,
  '<=': 7,
  '>=': 7,
  '<<': 8,
  '>>': 8,
  '+': 9,
  '-': 9,
  '*': 10,
  '/': 10,
  '%': 10,
};

/**
 * Who reads: `c` as a compiler would. `library` as libtraceevent does, which is another tree where brackets hold an operator that
 * binds less than the one before them, and where equals follow each other (print-fmt-library.ts).
 */
export type Grammar = 'c' | 'library';

/** Reads a print format; a string says what stands in its way. */
export function parsePrintFormat(text: string, grammar: Grammar = 'c'): PrintFormat | string {
  if (text.length > MAX_CHARS) return `a print format of ${text.length} characters`;
  try {
    return new Reader(text, grammar).readAll();
  } catch (error) {
    if (error instanceof SyntaxProblem) return error.message.slice(0, MAX_PROBLEM_CHARS);
    throw error;
  }
}

class SyntaxProblem extends Error {}

interface Token {
  readonly kind: 'string' | 'number' | 'name' | 'sign' | 'end';
  readonly text: string;
  readonly suffix: string;
}

const END: Token = { kind: 'end', text: '', suffix: '' };

function readTokens(text: string): Token[] {
  const tokens: Token[] = [];
  const { length } = text.trimEnd();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw new SyntaxProblem(`nothing known at ${JSON.stringify(text.slice(at, at + 20))}`);
    const [, string, character, digits, suffix = '', name, sign] = match;
    if (string !== undefined) tokens.push({ kind: 'string', text: string.slice(1, -1), suffix });
    else if (character !== undefined) tokens.push({ kind: 'number', text: String(codeOf(character.slice(1, -1))), suffix });
    else if (digits !== undefined) tokens.push({ kind: 'number', text: digits, suffix });
    else if (name !== undefined) tokens.push({ kind: 'name', text: name, suffix });
    else tokens.push({ kind: 'sign', text: sign as string, suffix });
    if (tokens.length > MAX_TOKENS) throw new SyntaxProblem(`more than ${MAX_TOKENS} words`);
  }
  return tokens;
}

function codeOf(character: string): number {
  if (character.length === 1) return character.charCodeAt(0);
  const escapes: Readonly<Record<string, number>> = { '\\n': 10, '\\t': 9, '\\r': 13, '\\0': 0 };
  return escapes[character] ?? character.charCodeAt(1);
}

/** What ends a string for libtraceevent, as no C compiler would have it. */
function hasControls(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if ((code < 32 && code !== 10) || code > 126) return true;
  }
  return false;
}

class Reader {
  readonly #grammar: Grammar;
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;
  /** Variables of the block being read. */
  readonly #variables = new Map<string, Expr>();

  constructor(text: string, grammar: Grammar) {
    this.#grammar = grammar;
    this.#tokens = readTokens(text);
  }

  readAll(): PrintFormat {
    if (this.#peek().kind !== 'string') throw new SyntaxProblem('it does not begin with a string');
    if (this.#grammar === 'library' && this.#tokens.some(({ kind, text }) => kind === 'string' && hasControls(text))) {
      throw new SyntaxProblem('a string with control characters');
    }
    const template = this.#readStrings();
    const args: Expr[] = [];
    while (this.#take(',')) args.push(this.#readExpr());
    if (this.#peek() !== END) throw new SyntaxProblem(`${JSON.stringify(this.#peek().text)} behind its end`);
    return { template, args };
  }

  #peek(ahead = 0): Token {
    return this.#tokens[this.#at + ahead] ?? END;
  }

  #take(sign: string): boolean {
    const token = this.#peek();
    if (token.kind !== 'sign' || token.text !== sign) return false;
    this.#at++;
    return true;
  }

  #expect(sign: string): void {
    if (!this.#take(sign)) throw new SyntaxProblem(`${JSON.stringify(this.#peek().text)} instead of ${JSON.stringify(sign)}`);
  }

  #readStrings(): string {
    let text = '';
    while (this.#peek().kind === 'string') text += this.#tokens[this.#at++]?.text ?? '';
    return text;
  }

  #readExpr(): Expr {
    if (++this.#depth > MAX_DEPTH) throw new SyntaxProblem(`more than ${MAX_DEPTH} brackets in each other`);
    if (this.#grammar === 'library') {
      const tree = this.#readTree();
      this.#depth--;
      return toExpr(tree);
    }
    const test = this.#readBinary(1);
    let expr = test;
    if (this.#take('?')) {
      const yes = this.#peek().text === ':' && this.#peek().kind === 'sign' ? test : this.#readExpr();
      this.#expect(':');
      expr = { kind: 'conditional', test, yes, no: this.#readExpr() };
    }
    this.#depth--;
    return expr;
  }

  /** As libtraceevent: an operand, then operators as long as there are some. */
  #readTree(): LibraryTree {
    const tree = this.#readOperand();
    while (this.#isOperator()) this.#applyOperator(tree);
    return tree;
  }

  #isOperator(): boolean {
    const { kind, text } = this.#peek();
    return kind === 'sign' && (text === '?' || text in LIBRARY_PRIORITY);
  }

  #applyOperator(tree: LibraryTree): void {
    const operator = this.#tokens[this.#at++]?.text as string;
    if (++this.#depth > MAX_DEPTH * 4) throw new SyntaxProblem('too many operators behind each other');
    let right: LibraryTree | undefined;
    if (operator === '?') {
      const yes = this.#readTree();
      this.#expect(':');
      joinConditional(tree, yes, this.#readOperand());
    } else right = joinOperator(tree, operator, this.#readOperand());
    if (this.#isOperator()) {
      const isLooser = right === undefined || (LIBRARY_PRIORITY[this.#peek().text] as number) > tree.priority;
      this.#applyOperator(isLooser ? tree : (right as LibraryTree));
    }
    this.#depth--;
  }

  #readOperand(): LibraryTree {
    const token = this.#peek();
    if (token.kind === 'sign' && /^[-+!~]$/.test(token.text)) {
      this.#at++;
      const tree = singleOperator(token.text, this.#readOperand());
      if (this.#isOperator()) this.#applyOperator(tree);
      return tree;
    }
    if (token.kind === 'sign' && token.text === '(' && !this.#isTypeAt(1) && this.#peek(1).text !== '{') {
      this.#at++;
      const tree = this.#readTree();
      this.#expect(')');
      if (this.#peek().text === '[' || this.#peek().text === '->') return leaf(this.#readPostfix(toExpr(tree)));
      return tree;
    }
    return leaf(this.#readPrefixed());
  }

  #readBinary(least: number): Expr {
    let left = this.#readUnary();
    for (;;) {
      const token = this.#peek();
      const precedence = token.kind === 'sign' ? PRECEDENCE[token.text] : undefined;
      if (precedence === undefined || precedence < least) return left;
      this.#at++;
      left = { kind: 'binary', operator: token.text, left, right: this.#readBinary(precedence + 1) };
    }
  }

  #readUnary(): Expr {
    if (++this.#depth > MAX_DEPTH * 2) throw new SyntaxProblem(`more than ${MAX_DEPTH} signs before a value`);
    const expr = this.#readPrefixed();
    this.#depth--;
    return expr;
  }

  #readPrefixed(): Expr {
    const token = this.#peek();
    if (token.kind === 'sign' && /^[-+!~*&]$/.test(token.text)) {
      if (this.#grammar === 'library') throw new SyntaxProblem(`${token.text} in front of a value`);
      this.#at++;
      return { kind: 'unary', operator: token.text, of: this.#readUnary() };
    }
    if (token.text === '(' && token.kind === 'sign' && this.#isTypeAt(1)) {
      this.#at++;
      const type = this.#readType();
      this.#expect(')');
      if (this.#grammar === 'c') return { kind: 'cast', type, of: this.#readUnary() };
      const { kind, text } = this.#peek();
      // In front of an operator the library takes the type for a name.
      if (kind === 'sign' && text !== '(') return { kind: 'name', name: type };
      return { kind: 'cast', type, of: toExpr(this.#readOperand()) };
    }
    return this.#readPostfix(this.#readPrimary());
  }

  #isTypeAt(ahead: number): boolean {
    const token = this.#peek(ahead);
    return token.kind === 'name' && (TYPE_WORD.test(token.text) || token.text === 'typeof' || token.text === '__typeof__');
  }

  /** `unsigned long`, `const struct x *`. */
  #readType(): string {
    const words: string[] = [];
    while (this.#isTypeAt(0)) {
      const word = this.#tokens[this.#at++]?.text as string;
      words.push(word);
      if (word.endsWith('typeof') || word.endsWith('typeof__')) {
        this.#expect('(');
        this.#readExpr();
        this.#expect(')');
      }
      if (TAGGED.test(word) && this.#peek().kind === 'name') words.push(this.#tokens[this.#at++]?.text as string);
    }
    while (this.#take('*')) words.push('*');
    while (this.#peek().text === 'const') this.#at++;
    return words.join(' ');
  }

  #readPrimary(): Expr {
    const token = this.#peek();
    if (token.kind === 'string') return { kind: 'string', text: this.#readStrings() };
    this.#at++;
    if (token.kind === 'number') {
      // 08 is no number in C; it is read as one all the same.
      const octal = /^0[0-7]+$/.test(token.text);
      const value = BigInt(octal ? `0o${token.text.slice(1)}` : token.text);
      return { kind: 'number', value, unsigned: /u/i.test(token.suffix), long: /l/i.test(token.suffix) };
    }
    if (token.kind === 'name') return this.#readNamed(token.text);
    if (token.text === '{' && token.kind === 'sign') return this.#readList();
    if (token.text !== '(' || token.kind !== 'sign') throw new SyntaxProblem(`a value expected at ${JSON.stringify(token.text)}`);
    if (this.#take('{')) {
      if (this.#grammar === 'library') throw new SyntaxProblem('a block');
      return this.#readBlock();
    }
    const inner = this.#readExpr();
    this.#expect(')');
    return inner;
  }

  #readNamed(name: string): Expr {
    if (name === 'sizeof') return this.#readSizeof();
    if (!this.#take('(')) return this.#variables.get(name) ?? { kind: 'name', name };
    const args: Expr[] = [];
    if (!this.#take(')')) {
      do args.push(this.#isTypeAt(0) ? { kind: 'sizeof', type: this.#readType() } : this.#readExpr());
      while (this.#take(','));
      this.#expect(')');
    }
    const [first, second, third] = args;
    if (name === '__builtin_expect' && first !== undefined) return first;
    if (name === '__builtin_choose_expr' && first !== undefined && second !== undefined && third !== undefined) {
      return { kind: 'conditional', test: first, yes: second, no: third };
    }
    return { kind: 'call', name, args };
  }

  #readSizeof(): Expr {
    this.#expect('(');
    const isType = this.#isTypeAt(0);
    const of = isType ? undefined : this.#readExpr();
    const type = isType ? this.#readType() : '';
    this.#expect(')');
    return of === undefined ? { kind: 'sizeof', type } : { kind: 'call', name: 'sizeof', args: [of] };
  }

  #readList(): Expr {
    const items: Expr[] = [];
    while (!this.#take('}')) {
      items.push(this.#readExpr());
      if (!this.#take(',')) {
        this.#expect('}');
        break;
      }
    }
    return { kind: 'list', items };
  }

  /** Behind `({`: declarations, then the value. */
  #readBlock(): Expr {
    while (this.#isTypeAt(0)) {
      const type = this.#readType();
      const name = this.#tokens[this.#at++]?.text ?? '';
      this.#expect('=');
      const value = this.#readExpr();
      this.#expect(';');
      this.#variables.set(name, type.includes('typeof') ? value : { kind: 'cast', type, of: value });
    }
    const result = this.#readExpr();
    this.#take(';');
    this.#expect('}');
    this.#expect(')');
    return result;
  }

  #readPostfix(primary: Expr): Expr {
    let expr = primary;
    for (;;) {
      if (this.#take('->') || this.#take('.')) {
        const name = this.#tokens[this.#at++]?.text ?? '';
        expr = expr.kind === 'name' && expr.name === 'REC' ? { kind: 'field', name } : { kind: 'member', of: expr, name };
      } else if (this.#take('[')) {
        expr = { kind: 'index', of: expr, index: this.#readExpr() };
        this.#expect(']');
      } else return expr;
    }
  }
}
