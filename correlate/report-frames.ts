/**
 * Stack frames and code bytes, in the forms of the architectures:
 *
 *    ? do_fault+0x1a4/0x410 [mod]                       x86, arm64, loongarch; `?` = not by unwinding
 *    fault_bug+0x5/0x10 [mkfault] (P)                   arm64 since 6.13: how the frame was found
 *   [<ffffffff80001234>] do_fault+0x10/0x20             riscv, mips, s390, older x86 and arm64
 *   ([<000000000010abcd>] do_fault+0x1c/0x2c)           s390: found on the stack
 *   [c0000000074d7a10] [c000000000123456] f+0x10/0x20 (unreliable)      powerpc: stack pointer, then address
 *   [<c010e5b0>] (dump_stack) from [<c010a5c4>] (f+0x10/0x14)           arm; newer ` dump_stack from f+0x10/0x14`
 *   Code: 89 ea 48 c7 c7 <0f> 0b 83                     x86 bytes; arm64, riscv: words, `(b9000001)`
 */
import type { KernelReport, StackFrame } from '../model/kernel-report.ts';

const SYMBOL = String.raw`(?<symbol>[A-Za-z_.$][\w.$]*)\+0x(?<offset>[0-9a-f]+)(?:\/0x(?<size>[0-9a-f]+))?(?: \[(?<module>[\w-]+)(?: [0-9a-f]{8,40})?\])?`;
const ADDRESS = String.raw`\[<?(?:0x)?([0-9a-fA-F]{8,16})>?\] *`;
const FRAME = new RegExp(
  String.raw`^\s*(?<paren>\()?(?:${ADDRESS})?(?:${ADDRESS})?(?<doubt>\? )?\(?${SYMBOL}\)?(?<flags>(?: \([\w ]+\))*)`,
);
const CALLED_FROM = /^\s*(?:\[<([0-9a-f]+)>\] )?\(?([A-Za-z_.$][\w.$]*)\)? (?:\[([\w-]+)\]\)? )?from /;
const DECODED = /^\s*(\? )?([A-Za-z_.$][\w.$]*) (?:\(?[\w./-]+\.[chS]:\d+|\?\?:\?).*?(?: \[([\w-]+)\])?$/;
const BARE = new RegExp(String.raw`^\s*(?:${ADDRESS})+|^ (\? )?(?:0x)?([0-9a-f]{8,16})$`);
const LOCATION = new RegExp(SYMBOL);
/** What scripts/decode_stacktrace.sh makes of it: the line of the source instead of the offset. */
const DECODED_LOCATION = /(?<symbol>[A-Za-z_.$][\w.$]*) \((?:[\w./-]+\.[chS]:\d+|\?\?:\?)/;

/** The frame that a line is, if it is one. */
export function parseFrame(line: string): StackFrame | undefined {
  const from = CALLED_FROM.exec(line);
  if (from !== null) {
    return { symbol: from[2] as string, ...optional('module', from[3]), ...optional('address', from[1]), certain: true };
  }
  const match = FRAME.exec(line);
  if (match !== null) {
    const groups = match.groups as Record<string, string | undefined>;
    const certain = groups['doubt'] === undefined && groups['paren'] === undefined && !(groups['flags'] ?? '').includes('unreliable');
    return { ...toLocation(groups), ...optional('address', match[3] ?? match[2]), certain };
  }
  const decoded = DECODED.exec(line);
  if (decoded !== null) {
    const [, doubt, symbol, module] = decoded;
    return { symbol: symbol as string, ...optional('module', module === 'inline' ? undefined : module), certain: doubt === undefined };
  }
  const bare = BARE.exec(line);
  if (bare === null) return undefined;
  const address = bare[3] ?? bare[1];
  return address === undefined ? undefined : { symbol: '', address, certain: bare[2] === undefined };
}

/** `func+0x12/0x40 [module]` or `func (mm/memory.c:2856)` anywhere in a text. */
export function findLocation(text: string): StackFrame | undefined {
  const groups = (LOCATION.exec(text) ?? DECODED_LOCATION.exec(text))?.groups;
  return groups === undefined ? undefined : { ...toLocation(groups), certain: true };
}

function toLocation(groups: Readonly<Record<string, string | undefined>>): Omit<StackFrame, 'certain'> {
  return {
    symbol: groups['symbol'] ?? '',
    ...(groups['offset'] === undefined ? {} : { offset: Number.parseInt(groups['offset'], 16) }),
    ...(groups['size'] === undefined ? {} : { size: Number.parseInt(groups['size'], 16) }),
    ...optional('module', groups['module']),
  };
}

function optional<Key extends string>(key: Key, value: string | undefined): { [K in Key]?: string } {
  return (value === undefined ? {} : { [key]: value }) as { [K in Key]?: string };
}

const HEX_TOKEN = /^[<(]?((?:[0-9a-f]{2}){1,4}|X{8}|\?\?)[>)]?$/;

/** Of `Code: …` or the lines of `Instruction dump:`; undefined where the kernel could not read them. */
export function parseCode(text: string): KernelReport['code'] | undefined {
  const bytes: string[] = [];
  let faultAt = -1;
  for (const token of text.trim().split(/\s+/)) {
    const match = HEX_TOKEN.exec(token);
    if (match === null) break;
    if (token.startsWith('<') || token.startsWith('(')) faultAt = bytes.length;
    bytes.push(match[1] as string);
  }
  return bytes.length === 0 ? undefined : { bytes, faultAt };
}

/** `func+0x12/0x40 [module]`, as the kernel writes it. */
export function formatFrame({ symbol, offset, size, module, address }: StackFrame): string {
  if (symbol === '') return address === undefined ? '' : `0x${address}`;
  const place = offset === undefined ? '' : `+0x${offset.toString(16)}${size === undefined ? '' : `/0x${size.toString(16)}`}`;
  return `${symbol}${place}${module === undefined ? '' : ` [${module}]`}`;
}
