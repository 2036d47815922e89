/**
 * What an NVMe command says, as the formats of nvme_setup_cmd and its like have it:
 *
 *   nvme0: disk=nvme0n1, qid=1, cmdid=4097, nsid=1, flags=0x0, meta=0x0, cmd=(nvme_cmd_read slba=0, len=7, ctrl=0x0, …)
 *          |                                                                  |             +-- of the dwords 10 to 15, by its opcode
 *          +-- nvme_trace_disk_name()                                         +-- an opcode, by names that formats leave as they are
 *
 * Kernel: drivers/nvme/host/trace.c and include/linux/nvme.h as they are in 6.12. Kernels before 6.8 print reservations and zones as
 * other commands, by their bytes.
 */
import { compileNumber, compileRegion, toWide, type Arithmetic, type EventRecord } from './print-fmt-numbers.ts';
import type { Put } from './print-fmt-strings.ts';
import type { Expr } from './print-fmt-syntax.ts';
import type { TextOut } from './text-out.ts';

const IO_OPCODES = {
  flush: 0x00,
  write: 0x01,
  read: 0x02,
  write_uncor: 0x04,
  compare: 0x05,
  write_zeroes: 0x08,
  dsm: 0x09,
  verify: 0x0c,
  resv_register: 0x0d,
  resv_report: 0x0e,
  resv_acquire: 0x11,
  io_mgmt_recv: 0x12,
  resv_release: 0x15,
  cancel: 0x18,
  copy: 0x19,
  io_mgmt_send: 0x1d,
  zone_mgmt_send: 0x79,
  zone_mgmt_recv: 0x7a,
  zone_append: 0x7d,
} as const;

const ADMIN_OPCODES = {
  delete_sq: 0x00,
  create_sq: 0x01,
  get_log_page: 0x02,
  delete_cq: 0x04,
  create_cq: 0x05,
  identify: 0x06,
  abort_cmd: 0x08,
  set_features: 0x09,
  get_features: 0x0a,
  async_event: 0x0c,
  ns_mgmt: 0x0d,
  activate_fw: 0x10,
  download_fw: 0x11,
  dev_self_test: 0x14,
  ns_attach: 0x15,
  keep_alive: 0x18,
  directive_send: 0x19,
  directive_recv: 0x1a,
  virtual_mgmt: 0x1c,
  nvme_mi_send: 0x1d,
  nvme_mi_recv: 0x1e,
  dbbuf: 0x7c,
  format_nvm: 0x80,
  security_send: 0x81,
  security_recv: 0x82,
  sanitize_nvm: 0x84,
  get_lba_status: 0x86,
} as const;

const FABRICS_TYPES = { property_set: 0x00, connect: 0x01, property_get: 0x04, auth_send: 0x05, auth_receive: 0x06 } as const;

/** Values of the names in the formats. */
export const NVME_CONSTANTS: Readonly<Record<string, bigint>> = Object.fromEntries([
  ['nvme_fabrics_command', 0x7fn],
  ...prefixed('nvme_cmd_', IO_OPCODES),
  ...prefixed('nvme_admin_', ADMIN_OPCODES),
  ...prefixed('nvme_fabrics_type_', FABRICS_TYPES),
]);

function prefixed(prefix: string, values: Readonly<Record<string, number>>): [string, bigint][] {
  return Object.entries(values).map(([name, value]) => [`${prefix}${name}`, BigInt(value)]);
}

/** Numbers of a command's 24 bytes, 0 behind the record's end. */
class Dwords {
  readonly #record: EventRecord;
  readonly #from: number;

  constructor(record: EventRecord) {
    this.#record = record;
    this.#from = record.from;
  }

  byte(at: number): number {
    const { bytes, end } = this.#record;
    return this.#from + at < end ? (bytes[this.#from + at] as number) : 0;
  }

  u16(at: number): number {
    return this.byte(at) | (this.byte(at + 1) << 8);
  }

  u32(at: number): number {
    return (this.u16(at) | (this.u16(at + 2) << 16)) >>> 0;
  }

  u64(at: number): bigint {
    return (BigInt(this.u32(at + 4)) << 32n) | BigInt(this.u32(at));
  }

  hex(): string {
    return Array.from({ length: COMMAND_BYTES }, (_, i) => this.byte(i).toString(16).padStart(2, '0')).join(' ');
  }
}

type Describe = (dwords: Dwords) => string;

const COMMAND_BYTES = 24;

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

const describeRange: Describe = (d) =>
  `slba=${d.u64(0)}, len=${d.u16(8)}, ctrl=${hex(d.u16(10))}, dsmgmt=${d.u32(12)}, reftag=${d.u32(16)}`;

const ZONE_ACTIONS: readonly (string | undefined)[] = [undefined, 'close zone', 'finish zone', 'open zone', 'reset zone', 'offline zone'];
const SET_ZONE_DESCRIPTOR = 0x10;
const ZONE_REPORT_FILTERS = ['list all zones'];

function zoneAction(action: number): string {
  return action === SET_ZONE_DESCRIPTOR ? 'set zone descriptor extension' : (ZONE_ACTIONS[action] ?? 'reserved');
}

const describeReservation =
  (name: string, last: string, read: Describe): Describe =>
  (d) =>
    `${name}=${d.byte(0) & 7}, iekey=${(d.byte(0) >> 3) & 1}, ${last}=${read(d)}`;

const IO_COMMANDS: ReadonlyMap<number, Describe> = new Map<number, Describe>([
  [IO_OPCODES.read, describeRange],
  [IO_OPCODES.write, describeRange],
  [IO_OPCODES.write_zeroes, describeRange],
  [IO_OPCODES.zone_append, describeRange],
  [IO_OPCODES.dsm, (d) => `nr=${d.u32(0)}, attributes=${d.u32(4)}`],
  [IO_OPCODES.zone_mgmt_send, (d) => `slba=${d.u64(0)}, zsa=${d.byte(12)}:${zoneAction(d.byte(12))}, all=${d.byte(13)}`],
  [
    IO_OPCODES.zone_mgmt_recv,
    (d) => {
      const filter = ZONE_REPORT_FILTERS[d.byte(13)] ?? 'reserved';
      return `slba=${d.u64(0)}, numd=${d.u32(8)}, zra=${d.byte(12)}, zrasf=${d.byte(13)}:${filter}, pr=${d.byte(14)}`;
    },
  ],
  [IO_OPCODES.resv_register, describeReservation('rrega', 'ptpl', (d) => String(d.byte(3) >> 6))],
  [IO_OPCODES.resv_acquire, describeReservation('racqa', 'rtype', (d) => String(d.byte(1)))],
  [IO_OPCODES.resv_release, describeReservation('rrela', 'rtype', (d) => String(d.byte(1)))],
  [IO_OPCODES.resv_report, (d) => `numd=${d.u32(0)}, eds=${d.byte(4) & 1}`],
]);

const describeFormat: Describe = (d) => {
  const [low, high] = [d.byte(0), d.byte(1)];
  return `lbaf=${(high & 0x30) | (low & 15)}, mset=${(low >> 4) & 1}, pi=${low >> 5}, pil=${high & 1}, ses=${(high >> 1) & 7}`;
};

const ADMIN_COMMANDS: ReadonlyMap<number, Describe> = new Map<number, Describe>([
  [ADMIN_OPCODES.delete_sq, (d) => `sqid=${d.u16(0)}`],
  [ADMIN_OPCODES.create_sq, (d) => `sqid=${d.u16(0)}, qsize=${d.u16(2)}, sq_flags=${hex(d.u16(4))}, cqid=${d.u16(6)}`],
  [ADMIN_OPCODES.delete_cq, (d) => `cqid=${d.u16(0)}`],
  [ADMIN_OPCODES.create_cq, (d) => `cqid=${d.u16(0)}, qsize=${d.u16(2)}, cq_flags=${hex(d.u16(4))}, irq_vector=${d.u16(6)}`],
  [ADMIN_OPCODES.identify, (d) => `cns=${d.byte(0)}, ctrlid=${d.u16(2)}`],
  [ADMIN_OPCODES.set_features, (d) => `fid=${hex(d.byte(0))}, sv=${hex(d.byte(3) & 8)}, cdw11=${hex(d.u32(4))}`],
  [ADMIN_OPCODES.get_features, (d) => `fid=${hex(d.byte(0))}, sel=${hex(d.byte(1) & 7)}, cdw11=${hex(d.u32(4))}`],
  [ADMIN_OPCODES.format_nvm, describeFormat],
  [ADMIN_OPCODES.get_lba_status, (d) => `slba=${hex(d.u64(0))}, mndw=${hex(d.u32(8))}, rl=${hex(d.u16(12))}, atype=${d.byte(15)}`],
]);

const FABRICS_COMMANDS: ReadonlyMap<number, Describe> = new Map<number, Describe>([
  [FABRICS_TYPES.property_set, (d) => `attrib=${d.byte(0)}, ofst=${hex(d.u32(4))}, value=${hex(d.u64(8))}`],
  [FABRICS_TYPES.connect, (d) => `recfmt=${d.u16(0)}, qid=${d.u16(2)}, sqsize=${d.u16(4)}, cattr=${d.byte(6)}, kato=${d.u32(8)}`],
  [FABRICS_TYPES.property_get, (d) => `attrib=${d.byte(0)}, ofst=${hex(d.u32(4))}`],
]);

/** Functions of the formats of nvme; undefined for others. */
export function compileNvmeText(name: string, args: readonly Expr[], of: Arithmetic): Put | undefined {
  switch (name) {
    case 'nvme_trace_disk_name':
      return compileDiskName(args, of);
    case 'nvme_trace_parse_nvm_cmd':
      return compileCommand(args, IO_COMMANDS, 'cdw10', of);
    case 'nvme_trace_parse_admin_cmd':
      return compileCommand(args, ADMIN_COMMANDS, 'cdw10', of);
    case 'nvme_trace_parse_fabrics_cmd':
      return compileCommand(args, FABRICS_COMMANDS, 'specific', of);
    default:
      return undefined;
  }
}

function compileDiskName([, name]: readonly Expr[], of: Arithmetic): Put | undefined {
  if (name === undefined) return undefined;
  const { locate } = compileRegion(name, of);
  return (record, out) => {
    if (!locate(record) || record.bytes[record.from] === 0) return;
    out.putText('disk=');
    out.putString(record.bytes, record.from, record.to);
    out.putText(', ');
  };
}

function compileCommand(
  [, opcode, dwords]: readonly Expr[],
  commands: ReadonlyMap<number, Describe>,
  label: string,
  of: Arithmetic,
): Put | undefined {
  if (opcode === undefined || dwords === undefined) return undefined;
  const readOpcode = toWide(compileNumber(opcode, of));
  const { locate } = compileRegion(dwords, of);
  return (record: EventRecord, out: TextOut) => {
    const describe = commands.get(readOpcode(record) & 0xff);
    if (!locate(record)) return;
    const command = new Dwords(record);
    out.putText(describe === undefined ? `${label}=${command.hex()}` : describe(command));
  };
}
