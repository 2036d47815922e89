/** Programs of lines as bytes, in the form that report-wasm-memory.ts draws. */
import type { Kallsyms } from './kallsyms.ts';
import { compileLine, type LineStep, type NativeStep } from './line-program.ts';
import type { Load } from './print-fmt-numbers.ts';
import type { Put } from './print-fmt-strings.ts';
import { GRAPH_INDENT, MAX_DEPTH } from './report-graph.ts';
import * as M from './report-wasm-memory.ts';
import { toBytes } from './text-out.ts';
import type { ValueOperation } from './value-operations.ts';

/** What stands in a line of function_graph (report-graph.ts). */
export type CallStep =
  | { readonly kind: 'called'; readonly depth: Load }
  | { readonly kind: 'callee'; readonly func: Load; readonly symbols: Kallsyms }
  | { readonly kind: 'returned'; readonly depth: Load; readonly calltime: Load; readonly rettime: Load }
  | { readonly kind: 'brace' };

/** A text, and what stands behind it. */
export interface ProgramPart {
  readonly text: string;
  readonly step: LineStep | CallStep | undefined;
}

/** Who is called for what the record does not say, and for what no step can do; numbers to be called by. */
export interface StepCallbacks {
  /** The tag of texts that are made of a number and kept. */
  addText(step: LineStep | CallStep): number;
  addPut(put: Put): number;
  /** A put that tells the name of the thread whose number lies there. */
  addTask(put: Put, load: Load): number;
}

/** Digits of a number, its sign and `0x`. */
const NUMBER_ROOM = 32;
/** A duration and blanks for its depth. */
const CALL_ROOM = 2 * NUMBER_ROOM + MAX_DEPTH * GRAPH_INDENT;
/** More than any line takes; a program that needs more is put by one call. */
const MAX_ROOM = 1 << 19;

/** Writes programs one behind the other, each once. */
export class ProgramWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #callbacks: StepCallbacks;
  #at = M.PROGRAMS;

  constructor(bytes: Uint8Array, callbacks: StepCallbacks) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset);
    this.#callbacks = callbacks;
  }

  /** Where the program is; 0 where there is no room left for it. `name`: stands in front of the body. */
  write(name: Uint8Array, line: readonly ProgramPart[]): number {
    const program = (this.#at + 15) & ~15;
    const steps = toSteps(name, line);
    const bytes = steps.reduce(
      (sum, { text, step }) => sum + M.STEP_BYTES + text.length + 64 + operationsOf(step).length * M.OPERATION_BYTES,
      0,
    );
    const room = M.TIME_ROOM + M.SLACK_BYTES + steps.reduce((sum, { text, step }) => sum + text.length + roomOf(step), 0);
    if (program + M.PROGRAM_HEAD_BYTES + bytes + M.OPERATION_BYTES > M.PROGRAMS_END || room > MAX_ROOM) return 0;
    this.#view.setUint32(program, room, true);
    this.#view.setUint32(program + 4, name.length, true);
    const first = program + M.PROGRAM_HEAD_BYTES;
    this.#at = first + steps.length * M.STEP_BYTES;
    for (const [i, { text, step }] of steps.entries()) {
      const at = first + i * M.STEP_BYTES;
      this.#set(at, { text: this.#at, length: text.length });
      this.#bytes.set(text, this.#at);
      this.#at = (this.#at + text.length + 15) & ~15;
      if (step !== undefined) this.#writeStep(at, step);
    }
    // A text is copied 16 bytes at a time.
    this.#at += 16;
    return program;
  }

  #set(at: number, fields: Partial<Record<keyof typeof M.STEP, number>>): void {
    for (const [name, value] of Object.entries(fields)) this.#view.setInt32(at + M.STEP[name as keyof typeof M.STEP], value, true);
  }

  #setValue(at: number, value: readonly ValueOperation[]): void {
    const [first] = value;
    if (value.length === 1 && first?.kind === 'load')
      this.#set(at, { at: first.load.at, least: first.load.least, shift: shiftOf(first.load) });
    else this.#set(at, { at: M.COMPUTED, least: this.#writeOperations(value) });
  }

  #writeStep(at: number, step: LineStep | CallStep): void {
    if (isCall(step)) {
      this.#writeCall(at, step);
      return;
    }
    if (step.kind === 'put') {
      if (step.native === undefined) this.#set(at, { kind: M.KIND.other, a: this.#callbacks.addPut(step.put) });
      else this.#writeNative(at, step, step.native);
      return;
    }
    this.#setValue(at, [{ kind: 'load', load: step.load }]);
    if (step.kind === 'kept' || step.kind === 'symbol') this.#set(at, { kind: M.KIND.kept, a: this.#callbacks.addText(step) });
    else {
      const kind = step.kind === 'hex' ? M.KIND.hex : step.signed ? M.KIND.signed : M.KIND.unsigned;
      this.#set(at, { kind, a: 64 - 8 * step.sizeBytes });
    }
  }

  #writeCall(at: number, step: CallStep): void {
    switch (step.kind) {
      case 'callee':
        this.#setValue(at, [{ kind: 'load', load: step.func }]);
        this.#set(at, { kind: M.KIND.kept, a: this.#callbacks.addText(step) });
        return;
      case 'called':
        this.#setValue(at, [{ kind: 'load', load: step.depth }]);
        this.#set(at, { kind: M.KIND.called });
        return;
      case 'returned':
        this.#setValue(at, [{ kind: 'load', load: step.depth }]);
        this.#set(at, { kind: M.KIND.returned, a: step.calltime.at, b: step.rettime.at });
        return;
      default:
        this.#set(at, { kind: M.KIND.brace });
    }
  }

  #writeNative(at: number, step: LineStep & { readonly put: Put }, native: NativeStep): void {
    if (hasValue(native)) this.#setValue(at, valueOf(native));
    switch (native.kind) {
      case 'number':
        this.#writeNumber(at, native);
        return;
      case 'pointer':
        this.#set(at, { kind: M.KIND.pointer });
        return;
      case 'kept':
        this.#set(at, { kind: M.KIND.kept, a: this.#callbacks.addText(step) });
        return;
      case 'task': {
        const { offsetBytes, sizeBytes } = native.field;
        this.#set(at, { kind: M.KIND.task, a: offsetBytes, b: sizeBytes, c: this.#callbacks.addTask(step.put, native.load) });
        return;
      }
      case 'string': {
        const { offsetBytes, sizeBytes, shape } = native.field;
        if (shape === 'data_loc' || shape === 'rel_loc') {
          this.#set(at, { kind: M.KIND.located, a: offsetBytes, b: shape === 'rel_loc' ? offsetBytes + 4 : 0 });
        } else this.#set(at, { kind: M.KIND.fixed, a: offsetBytes, b: sizeBytes });
        return;
      }
      case 'bytes':
      case 'characters': {
        const { offsetBytes, sizeBytes, shape } = native.field;
        const isLocated = shape === 'data_loc' || shape === 'rel_loc';
        const b = !isLocated ? sizeBytes : shape === 'rel_loc' ? offsetBytes + 4 : 0;
        this.#set(at, { kind: M.KIND[native.kind], a: offsetBytes, b, c: Number(isLocated) });
        return;
      }
      default:
    }
  }

  #writeNumber(at: number, { isHex, sizeBytes, signed, width, left, zero, alternate }: NativeStep & { readonly kind: 'number' }): void {
    const a = 64 - 8 * sizeBytes;
    if (width === 0 && !alternate) {
      this.#set(at, { kind: isHex ? M.KIND.hex : signed ? M.KIND.signed : M.KIND.unsigned, a });
      return;
    }
    const { PADDED } = M;
    const flags =
      (signed ? PADDED.signed : 0) |
      (isHex ? PADDED.hex : 0) |
      (zero ? PADDED.zero : 0) |
      (left ? PADDED.left : 0) |
      (alternate ? PADDED.alternate : 0);
    this.#set(at, { kind: M.KIND.padded, a, b: width, c: flags });
  }

  #writeOperations(value: readonly ValueOperation[]): number {
    const start = this.#at;
    for (const operation of value) {
      const at = this.#at;
      this.#at += M.OPERATION_BYTES;
      this.#view.setUint32(at, M.OPERATION[operation.kind], true);
      if (operation.kind === 'constant') this.#view.setBigUint64(at + 8, BigInt.asUintN(64, operation.value), true);
      else if (operation.kind === 'load') {
        this.#view.setUint32(at + 4, operation.load.at, true);
        this.#view.setUint32(at + 8, operation.load.least, true);
        this.#view.setUint32(at + 12, shiftOf(operation.load), true);
      }
    }
    this.#view.setUint32(this.#at, M.OPERATION.end, true);
    this.#at += M.OPERATION_BYTES;
    return start;
  }
}

interface ProgramStep {
  readonly text: Uint8Array;
  /** undefined = the end. */
  readonly step: LineStep | CallStep | undefined;
}

/** Texts without a step go in front of the next one; the last step is the end. */
function toSteps(name: Uint8Array, line: readonly ProgramPart[]): ProgramStep[] {
  const steps: ProgramStep[] = [];
  let text = name;
  for (const part of line) {
    text = Uint8Array.from([...text, ...toBytes(part.text)]);
    if (part.step === undefined) continue;
    const { step } = part;
    steps.push({ text, step: isCall(step) || hasKind(step) ? step : { kind: 'put', put: compileLine([{ text: '', step }]) } });
    text = new Uint8Array(0);
  }
  return [...steps, { text, step: undefined }];
}

function isCall(step: LineStep | CallStep): step is CallStep {
  return step.kind === 'called' || step.kind === 'callee' || step.kind === 'returned' || step.kind === 'brace';
}

/** Capitals and numbers that are loaded with their sign are rare or none where lines are those of libtraceevent. */
function hasKind(step: LineStep): boolean {
  if (step.kind === 'put') return step.native?.kind !== 'task' || !step.native.field.shape.endsWith('loc');
  return !step.load.signed && !(step.kind === 'hex' && step.upper);
}

function shiftOf({ sizeBytes }: Load): number {
  return 64 - 8 * sizeBytes;
}

type NativeValue = Exclude<NativeStep, { readonly kind: 'string' | 'bytes' | 'characters' }>;

function hasValue(native: NativeStep): native is NativeValue {
  return native.kind !== 'string' && native.kind !== 'bytes' && native.kind !== 'characters';
}

function valueOf(native: NativeValue): readonly ValueOperation[] {
  return native.kind === 'task' ? [{ kind: 'load', load: native.load }] : native.value;
}

function operationsOf(step: LineStep | CallStep | undefined): readonly ValueOperation[] {
  return step?.kind === 'put' && step.native !== undefined && hasValue(step.native) ? valueOf(step.native) : [];
}

function roomOf(step: LineStep | CallStep | undefined): number {
  if (step?.kind === 'called' || step?.kind === 'returned') return CALL_ROOM;
  const width = step?.kind === 'put' && step.native?.kind === 'number' ? step.native.width : 0;
  return NUMBER_ROOM + width;
}
