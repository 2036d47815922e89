/**
 * Events of kvm and its page tables as libtraceevent's plugin prints them, not by their formats:
 *
 *   kvm_exit                   reason EXIT_IOIO rip 0x1005 info 3f80010 1006            reason UNKNOWN (77)
 *   kvm_entry                   vcpu 0 rip 0x1006
 *   kvm_emulate_insn           0:1013: a2 00 00 FAIL
 *   kvm_nested_vmexit_inject   reason EXIT_HLT info1 0 info2 0 int_info 0 int_info_err 0
 *   kvm_mmu_get_page           new sp gfn 0 1 q0 direct wux !pae nxe wp root 0 sync
 *
 * A field that the kernel's event does not have is said, `<CANT FIND FIELD rip>`; where it was needed, the format is printed
 * behind. What the role of a page means is that of kernels of 2016: the plugin reads its bits so to this day.
 *
 * Not handled: the disassembler that the plugin can be built with (Debian's is not).
 * Source: libtraceevent 1.7, plugins/plugin_kvm.c.
 */
import type { EventFormat } from '../parsers/event-format.ts';
import type { Arithmetic, EventRecord } from './print-fmt-numbers.ts';
import { fieldReader, type ReportHandler, type ReportTools } from './report-handler.ts';
import type { TextOut } from './text-out.ts';

/** Prints one thing of a record; false = it can't, and nothing that would follow is printed. */
type Step = (record: EventRecord, out: TextOut) => boolean;
type PutWide = (out: TextOut, low: number, high: number) => void;

export function exitHandler(_format: EventFormat, of: Arithmetic): ReportHandler {
  return inOrder([reasonStep('exit_reason', of), needed('guest_rip', of, labelled(' rip 0x', putHex)), infoStep(of)]);
}

export function entryHandler(_format: EventFormat, of: Arithmetic): ReportHandler {
  return inOrder([number('vcpu_id', of, labelled(' vcpu ', putUnsigned)), needed('rip', of, labelled(' rip 0x', putHex))]);
}

export function nestedExitHandler(format: EventFormat, of: Arithmetic): ReportHandler {
  return inOrder([needed('rip', of, labelled(' rip ', putHex)), ...injectSteps(format, of)]);
}

export function injectHandler(format: EventFormat, of: Arithmetic): ReportHandler {
  return inOrder(injectSteps(format, of));
}

export function roleHandler(_format: EventFormat, of: Arithmetic): ReportHandler {
  return inOrder(roleSteps(of));
}

export function pageHandler(_format: EventFormat, of: Arithmetic): ReportHandler {
  return inOrder([
    needed('created', of, (out, low, high) => out.putText((low | high) === 0 ? 'existing ' : 'new ')),
    needed('gfn', of, (out, low, high) => {
      out.putText('sp gfn ');
      putHex(out, low, high);
      out.putByte(32);
    }),
    ...roleSteps(of),
  ]);
}

export function instructionHandler(_format: EventFormat, of: Arithmetic, { notePast }: ReportTools): ReportHandler {
  const names = ['rip', 'csbase', 'len', 'flags', 'failed'] as const;
  const field = of.format.fields.find(({ name }) => name === 'insn');
  // All are looked up before the first is printed.
  const steps: Step[] = names.map((name) => needed(name, of, () => undefined));
  if (field === undefined) return inOrder([...steps, failAtOnce('<CANT FIND FIELD insn>')]);
  const read = Object.fromEntries(names.map((name) => [name, fieldReader(name, of)]));
  const { offsetBytes } = field;
  /** Of no bytes the plugin prints those of the instruction before. */
  let bytes = '';
  const put: Step = (record, out) => {
    const count = read['len']?.(record) ?? 0;
    if (count > 0) bytes = toHexBytes(record, record.start + offsetBytes, count);
    else notePast();
    putHex(out, read['csbase']?.(record) ?? 0, record.high);
    out.putByte(58);
    putHex(out, read['rip']?.(record) ?? 0, record.high);
    out.putText(`: ${bytes}`);
    if (((read['failed']?.(record) ?? 0) | record.high) !== 0) out.putText(' FAIL');
    return true;
  };
  return inOrder([...steps, put]);
}

function toHexBytes({ bytes, end }: EventRecord, from: number, count: number): string {
  const shown = bytes.subarray(from, Math.min(end, from + count));
  return Array.from(shown, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

function inOrder(steps: readonly Step[]): ReportHandler {
  return ({ record }, out) => {
    for (const step of steps) if (!step(record, out)) return true;
    return false;
  };
}

function failAtOnce(text: string): Step {
  return (_record, out) => {
    out.putText(text);
    return false;
  };
}

/** A field without which nothing more is printed. */
function needed(name: string, of: Arithmetic, put: PutWide): Step {
  const read = fieldReader(name, of);
  if (read === undefined) return failAtOnce(`<CANT FIND FIELD ${name}>`);
  return (record, out) => {
    const low = read(record);
    put(out, low, record.high);
    return true;
  };
}

/** A field whose lack is told in its place. */
function number(name: string, of: Arithmetic, put: PutWide): Step {
  const read = fieldReader(name, of);
  if (read === undefined) {
    return (_record, out) => {
      out.putText(`CAN'T FIND FIELD "${name}"`);
      return true;
    };
  }
  return (record, out) => {
    const low = read(record);
    put(out, low, record.high);
    return true;
  };
}

function labelled(label: string, put: PutWide): PutWide {
  return (out, low, high) => {
    out.putText(label);
    put(out, low, high);
  };
}

const putHex: PutWide = (out, low, high) => out.putHexWords(low, high);
const putUnsigned: PutWide = (out, low) => out.putDecimalWords(low, 0, false);

function infoStep(of: Arithmetic): Step {
  const [first, second] = [fieldReader('info1', of), fieldReader('info2', of)];
  return (record, out) => {
    if (first === undefined || second === undefined) return true;
    out.putText(' info ');
    putHex(out, first(record), record.high);
    out.putByte(32);
    putHex(out, second(record), record.high);
    return true;
  };
}

function injectSteps(_format: EventFormat, of: Arithmetic): Step[] {
  const info = (name: string, label: string): Step => number(name, of, labelled(label, putHex));
  return [
    reasonStep('exit_code', of),
    info('exit_info1', ' info1 '),
    info('exit_info2', ' info2 '),
    info('exit_int_info', ' int_info '),
    info('exit_int_info_err', ' int_info_err '),
  ];
}

/** Names of consecutive numbers, from each first one on. */
function nameReasons(prefix: string, runs: readonly (readonly [number, string])[]): ReadonlyMap<number, string> {
  return new Map(runs.flatMap(([first, names]) => names.split(' ').map((name, i) => [(first + i) | 0, prefix + name] as const)));
}

/** As the plugin has them: what processors learnt since is a number. */
const VMX_REASONS = nameReasons('', [
  [0x0, 'EXCEPTION_NMI EXTERNAL_INTERRUPT TRIPLE_FAULT'],
  [0x7, 'PENDING_INTERRUPT NMI_WINDOW TASK_SWITCH CPUID'],
  [0xc, 'HLT INVD INVLPG RDPMC RDTSC'],
  [
    0x12,
    'VMCALL VMCLEAR VMLAUNCH VMPTRLD VMPTRST VMREAD VMRESUME VMWRITE VMOFF VMON CR_ACCESS DR_ACCESS IO_INSTRUCTION MSR_READ MSR_WRITE',
  ],
  [0x24, 'MWAIT_INSTRUCTION'],
  [0x27, 'MONITOR_INSTRUCTION PAUSE_INSTRUCTION MCE_DURING_VMENTRY'],
  [0x2b, 'TPR_BELOW_THRESHOLD APIC_ACCESS EOI_INDUCED'],
  [0x30, 'EPT_VIOLATION EPT_MISCONFIG INVEPT'],
  [0x34, 'PREEMPTION_TIMER'],
  [0x36, 'WBINVD XSETBV APIC_WRITE'],
  [0x3a, 'INVPCID'],
  [0x3e, 'PML_FULL XSAVES XRSTORS'],
]);
const SVM_REASONS = nameReasons('EXIT_', [
  [0x0, 'READ_CR0'],
  [0x3, 'READ_CR3 READ_CR4'],
  [0x8, 'READ_CR8'],
  [0x10, 'WRITE_CR0'],
  [0x13, 'WRITE_CR3 WRITE_CR4'],
  [0x18, 'WRITE_CR8'],
  [0x20, 'READ_DR0 READ_DR1 READ_DR2 READ_DR3 READ_DR4 READ_DR5 READ_DR6 READ_DR7'],
  [0x30, 'WRITE_DR0 WRITE_DR1 WRITE_DR2 WRITE_DR3 WRITE_DR4 WRITE_DR5 WRITE_DR6 WRITE_DR7'],
  [0x40, 'EXCP_DE EXCP_DB'],
  [0x43, 'EXCP_BP EXCP_OF EXCP_BR EXCP_UD EXCP_NM EXCP_DF'],
  [0x4a, 'EXCP_TS EXCP_NP EXCP_SS EXCP_GP EXCP_PF'],
  [0x50, 'EXCP_MF EXCP_AC EXCP_MC EXCP_XF'],
  [
    0x60,
    'INTR NMI SMI INIT VINTR CR0_SEL_WRITE IDTR_READ GDTR_READ LDTR_READ TR_READ IDTR_WRITE GDTR_WRITE LDTR_WRITE TR_WRITE RDTSC RDPMC PUSHF POPF CPUID RSM IRET SWINT INVD PAUSE HLT INVLPG INVLPGA IOIO MSR TASK_SWITCH FERR_FREEZE SHUTDOWN VMRUN VMMCALL VMLOAD VMSAVE STGI CLGI SKINIT RDTSCP ICEBP WBINVD MONITOR MWAIT MWAIT_COND XSETBV',
  ],
  [0x400, 'NPF AVIC_INCOMPLETE_IPI AVIC_UNACCELERATED_ACCESS'],
  [0xffffffff, 'ERR'],
]);
/** By `isa`: Intel's, AMD's. */
const REASONS: ReadonlyMap<number, ReadonlyMap<number, string>> = new Map([
  [1, VMX_REASONS],
  [2, SVM_REASONS],
]);
const ISA_BEFORE_3_0 = 1;

function reasonStep(name: string, of: Arithmetic): Step {
  const readIsa = fieldReader('isa', of) ?? (() => ISA_BEFORE_3_0);
  const read = fieldReader(name, of);
  if (read === undefined) return failAtOnce(`<CANT FIND FIELD ${name}>`);
  return (record, out) => {
    const reasons = REASONS.get(readIsa(record));
    const low = read(record);
    const reason = reasons === undefined ? 'UNKNOWN-ISA' : reasons.get(low);
    if (reason !== undefined) out.putText(`reason ${reason}`);
    else {
      out.putText('reason UNKNOWN (');
      out.putDecimalWords(low, record.high, false);
      out.putByte(41);
    }
    return true;
  };
}

const ACCESS = ['---', '--x', 'w--', 'w-x', '-u-', '-ux', 'wu-', 'wux'] as const;

function roleSteps(of: Arithmetic): Step[] {
  const read = fieldReader('role', of);
  const role: Step = (record, out) => {
    putRole(read?.(record) ?? 0, record.little, out);
    return true;
  };
  const root = labelled(' root ', putUnsigned);
  return [
    needed('role', of, () => undefined),
    role,
    number('root_count', of, (out, low, high) => {
      root(out, low, high);
      out.putByte(32);
    }),
    needed('unsync', of, (out, low, high) => out.putText((low | high) === 0 ? 'sync' : 'unsync')),
  ];
}

/** Bits as a little-endian compiler lays them out; trace-cmd on such a machine does not take them apart in a big-endian file. */
function putRole(role: number, little: boolean, out: TextOut): void {
  if (!little) {
    out.putText(`WORD: ${(role >>> 0).toString(16).padStart(8, '0')}`);
    return;
  }
  const isSet = (bit: number): boolean => (role & (1 << bit)) !== 0;
  const when = (bit: number, text: string): string => (isSet(bit) ? text : '');
  const unless = (bit: number): string => (isSet(bit) ? '' : '!');
  out.putText(`${role & 15} q${(role >> 5) & 3}${when(7, ' direct')} ${ACCESS[(role >> 8) & 7]}${when(11, ' invalid')}`);
  out.putText(` ${unless(4)}pae ${unless(12)}nxe ${unless(13)}wp`);
  out.putText(`${when(14, ' smep')}${when(15, ' smap')}${role >>> 24 === 0 ? '' : ' smm'}`);
}
