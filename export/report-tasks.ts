/**
 * The names of threads as lines of a report show them: those that the recording lists, and those that scheduler events have told
 * in lines before (the first name of a thread stays).
 *
 * Who prints a part of a recording does not know yet what the lines before it tell. It prints what it has, notes where, and the
 * names that its own lines tell; `rename` puts the parts right, in their order.
 */
import { toPiece, type Piece, type TextOut } from './text-out.ts';

const WIDTH = 16;
const SHORT_WIDTH = 8;
const UNKNOWN = '<...>';

/** A thread and its name, as latin1. */
export type TaskName = readonly [pid: number, name: string];

/** Where a name stands that lines before may have told, and its bytes. */
export type TaskNote = readonly [at: number, bytes: number, pid: number];

export class TaskNames {
  readonly #isShort: boolean;
  readonly #names: Map<number, string>;
  readonly #pieces = new Map<number, Piece>();
  /** Told by the part that is being printed; undefined where what is printed is the whole. */
  #told: Map<number, string> | undefined;
  readonly #toldPieces = new Map<number, Piece>();
  readonly #unknown: Piece;
  /** Of each name in that part which lines before may have told: offset, bytes, thread. */
  #notes: TaskNote[] = [];
  /** How many names have been told so far: one more, and what was unknown may be known. */
  toldCount = 0;

  constructor(comms: Readonly<Record<string, string>>, isShort: boolean) {
    this.#isShort = isShort;
    this.#unknown = toPiece(this.#show(UNKNOWN));
    this.#names = new Map(Object.entries(comms).map(([pid, comm]) => [Number(pid), comm]));
    // Scheduler events name it swapper; it is <idle> all the same.
    this.#names.set(0, '<idle>');
  }

  has(pid: number): boolean {
    return this.#names.has(pid) || this.#told?.has(pid) === true;
  }

  /** What a scheduler event tells of a thread without a name. */
  tell(pid: number, name: string): void {
    this.toldCount++;
    (this.#told ?? this.#names).set(pid, name);
    if (this.#told !== undefined) this.#toldPieces.set(pid, toPiece(this.#show(name)));
  }

  /** Will no other line of this recording show another name of the thread? */
  isFinal(pid: number): boolean {
    return this.#names.has(pid);
  }

  put(pid: number, out: TextOut): void {
    const piece = this.pieceOf(pid);
    if (this.#told !== undefined && !this.#names.has(pid)) this.#notes.push([out.length, piece.length, pid]);
    out.putPiece(piece);
  }

  /** The name as lines show it: for good if it is final, else until the next one is told. */
  pieceOf(pid: number): Piece {
    const known = this.#pieces.get(pid);
    if (known !== undefined) return known;
    const name = this.#names.get(pid);
    if (name === undefined) return this.#toldPieces.get(pid) ?? this.#unknown;
    const piece = toPiece(this.#show(name));
    this.#pieces.set(pid, piece);
    return piece;
  }

  /** From here on a part is printed, behind lines that told these names. */
  startPart(names: readonly TaskName[]): void {
    this.#told = new Map();
    this.#toldPieces.clear();
    this.#notes = [];
    this.add(names);
  }

  /** Names that lines before have told. */
  add(names: readonly TaskName[]): void {
    for (const [pid, name] of names) if (!this.#names.has(pid)) this.#names.set(pid, name);
  }

  /** What the part has told, and where it may be wrong: also at `others`; its text begins at `start`. */
  endPart(others: readonly TaskNote[] = [], start = 0): { readonly told: readonly TaskName[]; readonly notes: Int32Array<ArrayBuffer> } {
    const notes = others.length === 0 ? this.#notes : [...this.#notes, ...others].sort((a, b) => a[0] - b[0]);
    return { told: [...(this.#told ?? [])], notes: Int32Array.from(notes.flatMap(([at, bytes, pid]) => [at - start, bytes, pid])) };
  }

  /** The part that is next, with the names that lines before it have told; adds what it tells itself. */
  rename(text: Uint8Array, notes: Int32Array, told: readonly TaskName[]): Uint8Array[] {
    const pieces: Uint8Array[] = [];
    let from = 0;
    for (let i = 0; i < notes.length; i += 3) {
      const [at, bytes, pid] = [notes[i] as number, notes[i + 1] as number, notes[i + 2] as number];
      const name = this.#names.get(pid);
      if (name === undefined) continue;
      const piece = this.#pieces.get(pid) ?? toPiece(this.#show(name));
      this.#pieces.set(pid, piece);
      if (piece.length === bytes) {
        text.set(piece.bytes, at);
        continue;
      }
      pieces.push(text.subarray(from, at), piece.bytes);
      from = at + bytes;
    }
    pieces.push(text.subarray(from));
    this.add(told);
    return pieces;
  }

  #show(name: string): string {
    return this.#isShort ? name.padStart(SHORT_WIDTH).slice(0, SHORT_WIDTH) : name.padStart(WIDTH);
  }
}
