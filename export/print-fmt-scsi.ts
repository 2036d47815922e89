/**
 * What a SCSI command says, as scsi_trace_parse_cdb() prints it in the formats of scsi_dispatch_cmd_*:
 *
 *   28 00 00 00 08 00 00 00 08 00      lba=2048 txlen=8 protect=0
 *   |     |              +-- length
 *   |     +-- address, the highest byte first
 *   +-- READ_10
 *
 * Of commands that nothing is told of: -
 *
 * libtraceevent's plugin knows fewer commands, and its numbers of 32 bits and less get a sign when their first byte has its highest
 * bit: an address from 2³¹ on is one near 2⁶⁴.
 * Kernel: drivers/scsi/scsi_trace.c as it is since 5.6; libtraceevent 1.7: plugins/plugin_scsi.c.
 */
import { compileRegion, type Arithmetic } from './print-fmt-numbers.ts';
import type { Put } from './print-fmt-strings.ts';
import type { Expr } from './print-fmt-syntax.ts';
import type { TextOut } from './text-out.ts';

type Dialect = 'kernel' | 'trace-cmd';

/** Bytes of a command, 0 behind the record's end. */
type Command = (index: number) => number;

const SERVICE_ACTIONS: ReadonlyMap<number, string> = new Map([
  [0x10, 'READ_CAPACITY_16'],
  [0x12, 'GET_LBA_STATUS'],
]);
const LONG_COMMANDS: ReadonlyMap<number, string> = new Map([
  [0x09, 'READ'],
  [0x0a, 'VERIFY'],
  [0x0b, 'WRITE'],
  [0x0d, 'WRITE_SAME'],
]);
const MAINTENANCE_IN: ReadonlyMap<number, string> = new Map([
  [0x05, 'REPORT_IDENTIFYING_INFORMATION'],
  [0x0a, 'REPORT_TARGET_PORT_GROUPS'],
  [0x0b, 'REPORT_ALIASES'],
  [0x0c, 'REPORT_SUPPORTED_OPERATION_CODES'],
  [0x0d, 'REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS'],
  [0x0e, 'REPORT_PRIORITY'],
  [0x0f, 'REPORT_TIMESTAMP'],
  [0x10, 'MANAGEMENT_PROTOCOL_IN'],
]);
const MAINTENANCE_OUT: ReadonlyMap<number, string> = new Map([
  [0x06, 'SET_IDENTIFYING_INFORMATION'],
  [0x0a, 'SET_TARGET_PORT_GROUPS'],
  [0x0b, 'CHANGE_ALIASES'],
  [0x0e, 'SET_PRIORITY'],
  [0x0f, 'SET_TIMESTAMP'],
  [0x10, 'MANAGEMENT_PROTOCOL_OUT'],
]);
const ZONE_OUT: ReadonlyMap<number, string> = new Map([
  [0x01, 'CLOSE_ZONE'],
  [0x02, 'FINISH_ZONE'],
  [0x03, 'OPEN_ZONE'],
  [0x04, 'RESET_WRITE_POINTER'],
]);

export function compileScsiCommand(bytes: Expr, of: Arithmetic, dialect: Dialect): Put {
  const { locate } = compileRegion(bytes, of);
  const printer = new CommandText(dialect);
  return (record, out) => {
    if (!locate(record)) return;
    const { from, end } = record;
    printer.put((index) => (from + index < end ? (record.bytes[from + index] as number) : 0), out);
  };
}

class CommandText {
  readonly #isKernel: boolean;

  constructor(dialect: Dialect) {
    this.#isKernel = dialect === 'kernel';
  }

  put(command: Command, out: TextOut): void {
    const code = command(0);
    switch (code) {
      case 0x08: // READ_6
      case 0x0a: // WRITE_6
        this.#putShort(command, out);
        return;
      case 0x28: // READ_10
      case 0x2a: // WRITE_10
      case 0x2f: // VERIFY
      case 0x41: // WRITE_SAME
        putRange(command, this.#number(command, 2, 4), this.#number(command, 7, 2), code === 0x41, out);
        return;
      case 0xa8: // READ_12
      case 0xaa: // WRITE_12
      case 0xaf: // VERIFY_12
        putRange(command, this.#number(command, 2, 4), this.#number(command, 6, 4), false, out);
        return;
      case 0x88: // READ_16
      case 0x8a: // WRITE_16
      case 0x8f: // VERIFY_16
      case 0x93: // WRITE_SAME_16
        putRange(command, this.#number(command, 2, 8), this.#number(command, 10, 4), code === 0x93, out);
        return;
      case 0x42: // UNMAP
        out.putText(`regions=${((((command(7) << 8) | command(8)) - 8) >>> 0) >>> 4}`);
        return;
      case 0x9e: // SERVICE_ACTION_IN_16
        this.#putServiceAction(command, out);
        return;
      case 0x7f: // VARIABLE_LENGTH
        this.#putVariableLength(command, out);
        return;
      default:
        if (!this.#isKernel || !putMore(command, out)) out.putByte(45);
    }
  }

  /** Of no blocks it means 256, says the kernel. */
  #putShort(command: Command, out: TextOut): void {
    const length = command(4) === 0 && this.#isKernel ? 256 : command(4);
    out.putText(`lba=${((command(1) & 0x1f) << 16) | (command(2) << 8) | command(3)} txlen=${length}`);
  }

  #putServiceAction(command: Command, out: TextOut): void {
    const name = SERVICE_ACTIONS.get(command(1) & 0x1f);
    if (name === undefined) out.putText('UNKNOWN');
    else out.putText(`${name} lba=${this.#number(command, 2, 8)} alloc_len=${bigEndian(command, 10, 4)}`);
  }

  #putVariableLength(command: Command, out: TextOut): void {
    const name = LONG_COMMANDS.get((command(8) << 8) | command(9));
    if (name === undefined) {
      out.putByte(45);
      return;
    }
    out.putText(`${name}_32 lba=${this.#number(command, 12, 8)} txlen=${this.#number(command, 28, 4)}`);
    out.putText(` protect=${command(10) >> 5} ei_lbrt=${bigEndian(command, 20, 4)}`);
    if (name === 'WRITE_SAME') out.putText(` unmap=${(command(10) >> 3) & 1}`);
  }

  /** To libtraceevent the lower four bytes are a number with a sign, which reaches up to bit 63. */
  #number(command: Command, from: number, bytes: number): bigint {
    if (this.#isKernel) return bigEndian(command, from, bytes);
    const low = Math.max(0, bytes - 4);
    const word = BigInt.asIntN(32, bigEndian(command, from + low, bytes - low));
    return BigInt.asUintN(64, (bigEndian(command, from, low) << 32n) | word);
  }
}

/** What only the kernel knows; false for other commands. */
function putMore(command: Command, out: TextOut): boolean {
  const action = command(1) & 0x1f;
  switch (command(0)) {
    case 0xa3: // MAINTENANCE_IN
      putNamed(MAINTENANCE_IN.get(action), () => `alloc_len=${bigEndian(command, 6, 4)}`, out);
      return true;
    case 0xa4: // MAINTENANCE_OUT
      putNamed(MAINTENANCE_OUT.get(action), () => `alloc_len=${bigEndian(command, 6, 4)}`, out);
      return true;
    case 0x95: // ZBC_IN
      putNamed(action === 0 ? 'REPORT_ZONES' : undefined, () => describeReport(command), out);
      return true;
    case 0x94: // ZBC_OUT
      putNamed(ZONE_OUT.get(action), () => `zone=${bigEndian(command, 2, 8)} all=${command(14) & 1}`, out);
      return true;
    case 0x9c: // WRITE_ATOMIC_16, since 6.11
      out.putText(`lba=${bigEndian(command, 2, 8)} txlen=${bigEndian(command, 12, 2)} boundary_size=${bigEndian(command, 10, 2)}`);
      return true;
    default:
      return false;
  }
}

function describeReport(command: Command): string {
  const options = command(14);
  return `zone=${bigEndian(command, 2, 8)} alloc_len=${bigEndian(command, 10, 4)} options=${options & 0x3f} partial=${options >> 7}`;
}

function putNamed(name: string | undefined, describe: () => string, out: TextOut): void {
  out.putText(name === undefined ? 'UNKNOWN' : `${name} ${describe()}`);
}

function putRange(command: Command, address: bigint, length: bigint, canUnmap: boolean, out: TextOut): void {
  out.putText(`lba=${address} txlen=${length} protect=${command(1) >> 5}`);
  if (canUnmap) out.putText(` unmap=${(command(1) >> 3) & 1}`);
}

function bigEndian(command: Command, from: number, bytes: number): bigint {
  let value = 0n;
  for (let i = from; i < from + bytes; i++) value = (value << 8n) | BigInt(command(i));
  return value;
}
