/**
 * Register lines of the architectures as name → value, as printed: `RAX: … RBX: …` (x86), `x29: … x28: …` and `pc : f+0x…`
 * (arm64), `r10: …  r9 : …` (arm), ` gp : … tp : …` (riscv), `NIP:  … LR: …`, `GPR00: …` (powerpc), `Krnl PSW : …` (s390),
 * `$ 4   : …` (mips), `pc 9000… ra 9000…` (loongarch).
 */
const PAIRS =
  /(?:^|\s)([A-Za-z][A-Za-z_]{0,7}\d{0,2}|\$ ?\d+)\s?:\s{0,2}(?:\[<)?((?:0x)?[0-9a-f]{2,16}(?:\([0-9a-f]+\))?|[0-9a-f]{4}:[0-9a-f]+)(?:>\])?(?=\s|$)/g;
const LOCATED =
  /^\s*(RIP|EIP|NIP|LR|pc|lr|epc|ra|PC is at|LR is at)\s?:?\s*(?:[0-9a-f]{2,4}:|\[[0-9a-f]+\] )?([A-Za-z_.$][\w.$]*(?:\+0x[0-9a-f]+(?:\/0x[0-9a-f]+)?| \((?:[\w./-]+\.[chS]:\d+|\?\?:\?)).*)$/;
const MANY = /^(GPR\d\d|Krnl GPRS ?|\$ ?\d+ +): ((?:[0-9a-f]{8,16} )*[0-9a-f]{8,16} ?)$/;
/** s390: the rest of the registers, four to a line. */
const CONTINUED = /^\s{8,}((?:[0-9a-f]{16} ?){2,4})$/;
const PLAIN_PAIRS = /(\b(?:pc|ra|tp|sp|[atsu]\d|fp|u0)) ([0-9a-f]{16})\b/g;

/** Adds what the line says to `registers`; a name that is there keeps its value. */
export function readRegisters(line: string, registers: Record<string, string>): void {
  const located = LOCATED.exec(line);
  if (located !== null) {
    put(registers, (located[1] as string).replace(' is at', '').toUpperCase(), (located[2] as string).trim());
    return;
  }
  const many = MANY.exec(line);
  if (many !== null) {
    readMany(many[1] as string, many[2] as string, registers);
    return;
  }
  const continued = CONTINUED.exec(line);
  if (continued !== null) {
    const known = Object.keys(registers).filter((name) => /^R\d+$/.test(name)).length;
    readMany(`R${known}`, continued[1] as string, registers);
    return;
  }
  for (const [, name, value] of line.matchAll(PAIRS)) put(registers, name as string, value as string);
  if (!line.includes(':')) for (const [, name, value] of line.matchAll(PLAIN_PAIRS)) put(registers, name as string, value as string);
  const flags = /^pstate: ([0-9a-f]+ \(.*\))/.exec(line) ?? /^Krnl PSW : (.*)$/.exec(line);
  if (flags !== null) registers[line.startsWith('Krnl') ? 'PSW' : 'pstate'] = flags[1] as string;
}

/** `GPR04: a b c d` are four registers in a row. */
function readMany(name: string, values: string, registers: Record<string, string>): void {
  const first = Number(/\d+/.exec(name)?.[0] ?? 0);
  const prefix = name.startsWith('$') ? '$' : 'R';
  values
    .trim()
    .split(' ')
    .forEach((value, index) => put(registers, `${prefix}${first + index}`, value));
}

function put(registers: Record<string, string>, name: string, value: string): void {
  if (!Object.hasOwn(registers, name)) registers[name] = value;
}
