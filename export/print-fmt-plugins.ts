/**
 * Functions that the print formats of some events call and libtraceevent's plugins provide:
 *
 *   scsi_trace_parse_cdb(p, cmnd, length)   lba=2048 txlen=8 protect=0      print-fmt-scsi.ts
 *   xen_hypercall_name(op)                  (memory_op)
 *   jbd2_dev_to_name(device)                259:1
 *   __le16_to_cpup(pointer)                 two bytes as a number
 *   is_writable_pte(entry)                  its bit 1
 *   jiffies_to_msecs(jiffies)               the jiffies: the plugin takes one for a millisecond
 *
 * Source: libtraceevent 1.7, plugins/plugin_{xen,jbd2,cfg80211,kvm}.c.
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
import { compileScsiCommand } from './print-fmt-scsi.ts';
import type { Expr } from './print-fmt-syntax.ts';
import type { TextOut } from './text-out.ts';

type Put = (record: EventRecord, out: TextOut) => void;

/** Functions that print; undefined where no plugin has one of this name. */
export function compileLibraryText(name: string, args: readonly Expr[], of: Arithmetic): Put | undefined {
  switch (name) {
    case 'scsi_trace_parse_cdb':
      return compileScsiCommand(argument(name, args, 1), of, 'trace-cmd');
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
