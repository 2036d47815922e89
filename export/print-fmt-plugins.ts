/**
 * Functions that the print formats of some events call and libtraceevent's plugins provide:
 *
 *   scsi_trace_parse_cdb(p, cmnd, length)   lba=2048 txlen=8 protect=0      what a SCSI command says; of others: -
 *   xen_hypercall_name(op)                  (memory_op)
 *   jbd2_dev_to_name(device)                259:1
 *   __le16_to_cpup(pointer)                 two bytes as a number
 *   is_writable_pte(entry)                  its bit 1
 *   jiffies_to_msecs(jiffies)               the jiffies: the plugin takes one for a millisecond
 *
 * The plugin's SCSI numbers of 32 bits and less get a sign when their first byte has its highest bit: an LBA from 2³¹ on is
 * shown as one near 2⁶⁴, as trace-cmd has it.
 * Source: libtraceevent 1.7, plugins/plugin_{scsi,xen,jbd2,cfg80211,kvm}.c.
 */
import {
  compileNumber,
  compileRegion,
  NotComputable,
  toWide,
  type Arithmetic,
  type EventRecord,
  type NumberCode,
} from './print-fmt-numbers.ts';
import type { Expr } from './print-fmt-syntax.ts';
import type { TextOut } from './text-out.ts';

type Put = (record: EventRecord, out: TextOut) => void;

/** Functions that print; undefined where no plugin has one of this name. */
export function compileLibraryText(name: string, args: readonly Expr[], of: Arithmetic): Put | undefined {
  switch (name) {
    case 'scsi_trace_parse_cdb':
      return compileCommand(argument(name, args, 1), of);
    case 'xen_hypercall_name': {
      const { read } = compileNumber(argument(name, args, 0), of);
      return (record, out) => out.putText(HYPERCALLS[read(record)] ?? '');
    }
    case 'jbd2_dev_to_name': {
      const { read } = compileNumber(argument(name, args, 0), of);
      return (record, out) => {
        const device = read(record);
        out.putText(`${device >>> 20}:${device & 0xfffff}`);
      };
    }
    default:
      return undefined;
  }
}

/** Functions that are numbers. */
export function compileLibraryNumber(name: string, args: readonly Expr[], of: Arithmetic): NumberCode | undefined {
  switch (name) {
    case 'jiffies_to_msecs':
      return compileNumber(argument(name, args, 0), of);
    case 'is_writable_pte': {
      const read = toWide(compileNumber(argument(name, args, 0), of));
      return { wide: false, signed: false, read: (record) => read(record) & 2 };
    }
    case '__le16_to_cpup': {
      const { locate } = compileRegion(argument(name, args, 0), of);
      const read = (record: EventRecord): number =>
        locate(record) && record.from + 2 <= record.end ? record.view.getUint16(record.from, true) : 0;
      return { wide: false, signed: false, read };
    }
    default:
      return undefined;
  }
}

function argument(name: string, args: readonly Expr[], index: number): Expr {
  const expr = args[index];
  if (expr === undefined) throw new NotComputable(`${name}() without its arguments`);
  return expr;
}

const HYPERCALLS: readonly (string | undefined)[] = (
  'set_trap_table mmu_update set_gdt stack_switch set_callbacks fpu_taskswitch sched_op_compat dom0_op set_debugreg get_debugreg ' +
  'update_descriptor - memory_op multicall update_va_mapping set_timer_op event_channel_op_compat xen_version console_io ' +
  'physdev_op_compat grant_table_op vm_assist update_va_mapping_otherdomain iret vcpu_op set_segment_base mmuext_op acm_op nmi_op ' +
  'sched_op callback_op xenoprof_op event_channel_op physdev_op hvm_op - - - - - - - - - - - - - ' +
  'arch_0 arch_1 arch_2 arch_3 arch_4 arch_5 arch_6 arch_7'
)
  .split(' ')
  .map((name) => (name === '-' ? undefined : `(${name})`));

/** Bytes of a command, 0 behind the record's end. */
type Command = (index: number) => number;

function compileCommand(bytes: Expr, of: Arithmetic): Put {
  const { locate } = compileRegion(bytes, of);
  return (record, out) => {
    if (!locate(record)) return;
    const { from, end } = record;
    putCommand((index) => (from + index < end ? (record.bytes[from + index] as number) : 0), out);
  };
}

function putCommand(command: Command, out: TextOut): void {
  const code = command(0);
  switch (code) {
    case 0x08: // READ_6
    case 0x0a: // WRITE_6
      out.putText(`lba=${((command(1) & 0x1f) << 16) | (command(2) << 8) | command(3)} txlen=${command(4)}`);
      return;
    case 0x28: // READ_10
    case 0x2a: // WRITE_10
    case 0x2f: // VERIFY
    case 0x41: // WRITE_SAME
      putRange(command, bigEndian(command, 2, 4), bigEndian(command, 7, 2), code === 0x41, out);
      return;
    case 0xa8: // READ_12
    case 0xaa: // WRITE_12
    case 0xaf: // VERIFY_12
      putRange(command, bigEndian(command, 2, 4), bigEndian(command, 6, 4), false, out);
      return;
    case 0x88: // READ_16
    case 0x8a: // WRITE_16
    case 0x8f: // VERIFY_16
    case 0x93: // WRITE_SAME_16
      putRange(command, bigEndian(command, 2, 8), bigEndian(command, 10, 4), code === 0x93, out);
      return;
    case 0x42: // UNMAP
      out.putText(`regions=${((((command(7) << 8) | command(8)) - 8) >>> 0) >>> 4}`);
      return;
    case 0x9e: // SERVICE_ACTION_IN_16
      putServiceAction(command, out);
      return;
    case 0x7f: // VARIABLE_LENGTH
      putVariableLength(command, out);
      return;
    default:
      out.putByte(45);
  }
}

/** Bytes as one number; the lower four are one with a sign, which reaches up to bit 63. */
function bigEndian(command: Command, from: number, bytes: number): bigint {
  const low = Math.max(0, bytes - 4);
  let word = 0;
  for (let i = from + low; i < from + bytes; i++) word = (word << 8) | command(i);
  let high = 0n;
  for (let i = from; i < from + low; i++) high = (high << 8n) | BigInt(command(i));
  return BigInt.asUintN(64, (high << 32n) | BigInt(word));
}

function putRange(command: Command, address: bigint, length: bigint, canUnmap: boolean, out: TextOut): void {
  out.putText(`lba=${address} txlen=${length} protect=${command(1) >> 5}`);
  if (canUnmap) out.putText(` unmap=${(command(1) >> 3) & 1}`);
}

function putServiceAction(command: Command, out: TextOut): void {
  const name = new Map([
    [0x10, 'READ_CAPACITY_16'],
    [0x12, 'GET_LBA_STATUS'],
  ]).get(command(1) & 0x1f);
  if (name === undefined) out.putText('UNKNOWN');
  else out.putText(`${name} lba=${bigEndian(command, 2, 8)} alloc_len=${BigInt.asUintN(32, bigEndian(command, 10, 4))}`);
}

function putVariableLength(command: Command, out: TextOut): void {
  const name = new Map([
    [0x09, 'READ'],
    [0x0a, 'VERIFY'],
    [0x0b, 'WRITE'],
    [0x0d, 'WRITE_SAME'],
  ]).get((command(8) << 8) | command(9));
  if (name === undefined) {
    out.putByte(45);
    return;
  }
  const [address, length, reference] = [bigEndian(command, 12, 8), bigEndian(command, 28, 4), bigEndian(command, 20, 4)];
  out.putText(`${name}_32 lba=${address} txlen=${length} protect=${command(10) >> 5} ei_lbrt=${BigInt.asUintN(32, reference)}`);
  if (name === 'WRITE_SAME') out.putText(` unmap=${(command(10) >> 3) & 1}`);
}
