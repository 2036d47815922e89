/** Functions of the kernel that formats call, and that do the same in each kernel: ktime.h, string_choices.h, byte orders. */
import {
  compileNumber,
  compileRegion,
  toTest,
  toWide,
  type Arithmetic,
  type EventRecord,
  type NumberCode,
  type Region,
} from './print-fmt-numbers.ts';
import type { Put } from './print-fmt-strings.ts';
import type { Expr } from './print-fmt-syntax.ts';

const NS_PER: Readonly<Record<string, bigint>> = { ktime_to_ns: 1n, ktime_to_us: 1000n, ktime_to_ms: 1_000_000n };

/** What is said of a number that is not 0, and of 0. */
const CHOICES: Readonly<Record<string, readonly [yes: string, no: string]>> = {
  str_yes_no: ['yes', 'no'],
  str_on_off: ['on', 'off'],
  str_true_false: ['true', 'false'],
  str_up_down: ['up', 'down'],
  str_high_low: ['high', 'low'],
  str_hi_lo: ['hi', 'lo'],
  str_read_write: ['read', 'write'],
  str_enable_disable: ['enable', 'disable'],
  str_enabled_disabled: ['enabled', 'disabled'],
};

/** A call that is a number; undefined for other functions. */
export function compileKernelNumber(name: string, [first]: readonly Expr[], of: Arithmetic): NumberCode | undefined {
  if (first === undefined) return undefined;
  const unit = Object.hasOwn(NS_PER, name) ? NS_PER[name] : undefined;
  if (unit !== undefined) {
    const ns: Expr = { kind: 'cast', type: 's64', of: first };
    return compileNumber(
      { kind: 'binary', operator: '/', left: ns, right: { kind: 'number', value: unit, unsigned: false, long: true } },
      of,
    );
  }
  const swapped = /^__builtin_bswap(16|32|64)$/.exec(name)?.[1];
  if (swapped !== undefined) return compileSwap(compileNumber(first, of), Number(swapped));
  const pointed = /^__([bl])e(16|32|64)_to_cpup$/.exec(name);
  return pointed === null ? undefined : compilePointed(compileRegion(first, of), pointed[1] === 'l', Number(pointed[2]) >> 3);
}

/** A call that is a text; undefined for other functions. */
export function compileKernelText(name: string, [first]: readonly Expr[], of: Arithmetic): Put | undefined {
  const choice = Object.hasOwn(CHOICES, name) ? CHOICES[name] : undefined;
  if (choice === undefined || first === undefined) return undefined;
  const test = toTest(compileNumber(first, of));
  return (record, out) => out.putText(choice[test(record) ? 0 : 1]);
}

function compileSwap(code: NumberCode, bits: number): NumberCode {
  const read = toWide(code);
  if (bits === 16) return { wide: false, signed: true, read: (record) => swap32(read(record)) >>> 16 };
  if (bits === 32) return { wide: false, signed: false, read: (record) => swap32(read(record)) };
  return {
    wide: true,
    signed: false,
    read: (record) => {
      const low = read(record);
      const { high } = record;
      record.high = swap32(low);
      return swap32(high);
    },
  };
}

function swap32(word: number): number {
  return ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}

/** A number of its own byte order behind a pointer into the record. */
function compilePointed({ locate }: Region, little: boolean, sizeBytes: number): NumberCode {
  const read = (record: EventRecord): number => {
    record.high = 0;
    if (!locate(record) || record.from + sizeBytes > record.end) return 0;
    const { view, from } = record;
    if (sizeBytes === 2) return view.getUint16(from, little);
    if (sizeBytes === 4) return view.getInt32(from, little);
    record.high = view.getInt32(little ? from + 4 : from, little);
    return view.getInt32(little ? from : from + 4, little);
  };
  return { wide: sizeBytes === 8, signed: sizeBytes === 2, read };
}
