/**
 * Multikernel's messages: one ring of 64 slots for each kernel, in which all others put theirs.
 *
 *   struct mk_ipi_data, G2 and G3 (4120 bytes)         struct mk_message, in its buffer
 *   | sender_cpu u64 | type u32 | … | data_size u64 | buffer[4096]  |
 *   0                8              16              24
 *                                                   | msg_type u32 | msg_subtype u32 | msg_id u64, always 0 | payload_len u32 | …
 *                                                   24             28                32                     40
 *   G1 (4112 bytes)  | sender_cpu int | type u32 | data_size u64 | buffer[4096] |      RFC v2: the same with buffer[256]
 *                    0                4          8               16
 *
 * Generations: `g2` (tag v7.0-mk2), `g3` (head), `g1`, `rfc2` and `rfc1` (October and September 2025), `fork` (nickolaev's, ABI
 * MKIPI007: its handlers are told the sender). A function that a kernel does not have is left out when probes are made.
 * Source: kernel/multikernel/messaging.c, kernel/multikernel/ipi.c.
 */
import type { IkcEvent, IkcLine, IkcPack } from '../ikc-pack.ts';

/**
 * The first two words of a payload: which CPU, page or device a request is about, operation, result and resource of an
 * answer, ends of a vsock connection, console and length of what a console says.
 */
const PAYLOAD = ['p0', 'p1'] as const;
const PAYLOAD_ARGS = 'p0=+0($arg4):x64 p1=+8($arg4):x64';

const WITH_MESSAGES = ['g2', 'g3', 'g1', 'rfc2', 'fork'];

/** Fields of a slot by generation: where the type, size and message stand. */
function receiveOf(event: string, name: string, generations: readonly string[], layout: 'wide' | 'narrow'): IkcEvent {
  const [cpu, type, size, message] = layout === 'wide' ? (['+0($arg1):u64', 8, 16, 24] as const) : (['+0($arg1):s32', 4, 8, 16] as const);
  const at = (offset: number): string => `+${message + offset}($arg1)`;
  const head = `slot=$arg1:x64 from_cpu=${cpu} type=+${type}($arg1):x32 size=+${size}($arg1):u64`;
  const args = `${head} sub=${at(4)}:x32 msg_id=${at(8)}:u64 len=${at(16)}:u32 p0=${at(20)}:x64 p1=${at(28)}:x64`;
  return {
    event,
    role: 'receive',
    fields: { slot: 'slot', fromCpu: 'from_cpu', type: 'type', subtype: 'sub', length: 'len', payload: PAYLOAD },
    probe: { at: 'entry', function: name, args },
    generations,
  };
}

/** The console's messages are raw: no subtype, and their bytes are all there is. */
function consoleOf(event: string, name: string, generations: readonly string[], layout: 'wide' | 'narrow'): IkcEvent {
  const [cpu, type, size, message] = layout === 'wide' ? (['+0($arg1):u64', 8, 16, 24] as const) : (['+0($arg1):s32', 4, 8, 16] as const);
  const payload = `p0=+${message}($arg1):x64 p1=+${message + 8}($arg1):x64`;
  return {
    event,
    role: 'receive',
    fields: { slot: 'slot', fromCpu: 'from_cpu', type: 'type', length: 'size', payload: PAYLOAD },
    fixed: { subtype: 0 },
    probe: {
      at: 'entry',
      function: name,
      args: `slot=$arg1:x64 from_cpu=${cpu} type=+${type}($arg1):x32 size=+${size}($arg1):u64 ${payload}`,
    },
    generations,
  };
}

const SENDS: readonly IkcEvent[] = [
  {
    event: 'ikc:mk_send',
    role: 'send',
    fields: { peer: 'inst', type: 'type', subtype: 'sub', length: 'len', payload: PAYLOAD },
    probe: { at: 'entry', function: 'mk_send_message', args: `inst=$arg1:s32 type=$arg2:x32 sub=$arg3:x32 len=$arg5:u32 ${PAYLOAD_ARGS}` },
    generations: WITH_MESSAGES,
  },
  {
    event: 'ikc:mk_send_ret',
    role: 'send_return',
    fields: { error: 'ret' },
    probe: { at: 'return', function: 'mk_send_message', args: 'ret=$retval:s32' },
    generations: WITH_MESSAGES,
  },
  {
    event: 'ikc:mk_send_to',
    role: 'send',
    fields: { peer: 'inst', type: 'type', subtype: 'sub', length: 'len', payload: PAYLOAD },
    probe: {
      at: 'entry',
      function: 'mk_send_message_to',
      args: `inst=+0($arg1):s32 type=$arg2:x32 sub=$arg3:x32 len=$arg5:u32 ${PAYLOAD_ARGS}`,
    },
    generations: ['g3'],
  },
  {
    event: 'ikc:mk_send_to_ret',
    role: 'send_return',
    fields: { error: 'ret' },
    probe: { at: 'return', function: 'mk_send_message_to', args: 'ret=$retval:s32' },
    generations: ['g3'],
  },
  {
    event: 'ikc:ipi_send',
    role: 'inner_send',
    fields: { peer: 'inst', type: 'type', size: 'size', payload: PAYLOAD },
    probe: {
      at: 'entry',
      function: 'multikernel_send_ipi_data',
      args: 'inst=$arg1:s32 size=$arg3:u64 type=$arg4:x64 p0=+0($arg2):x64 p1=+8($arg2):x64',
    },
  },
  {
    event: 'ikc:ipi_send_ret',
    role: 'inner_return',
    fields: { error: 'ret' },
    probe: { at: 'return', function: 'multikernel_send_ipi_data', args: 'ret=$retval:s32' },
  },
  {
    event: 'ikc:ipi_send_to',
    role: 'inner_send',
    fields: { peer: 'inst', type: 'type', size: 'size', payload: PAYLOAD },
    probe: {
      at: 'entry',
      function: 'multikernel_send_ipi_data_to',
      args: 'inst=+0($arg1):s32 size=$arg3:u64 type=$arg4:x64 p0=+0($arg2):x64 p1=+8($arg2):x64',
    },
    generations: ['g3'],
  },
  {
    event: 'ikc:ipi_send_to_ret',
    role: 'inner_return',
    fields: { error: 'ret' },
    probe: { at: 'return', function: 'multikernel_send_ipi_data_to', args: 'ret=$retval:s32' },
    generations: ['g3'],
  },
  {
    event: 'ikc:ipi_irq',
    role: 'interrupt',
    fields: {},
    probe: { at: 'entry', function: 'generic_multikernel_interrupt', args: '' },
  },
];

const RECEIVES: readonly IkcEvent[] = [
  receiveOf('ikc:mk_recv', 'mk_message_type_ipi_callback', ['g2', 'g3'], 'wide'),
  receiveOf('ikc:mk_recv_g1', 'mk_message_type_ipi_callback', ['g1', 'rfc2'], 'narrow'),
  consoleOf('ikc:tty_host_recv', 'mktty_host_ipi_handler', ['g2', 'g3'], 'wide'),
  consoleOf('ikc:tty_spawn_recv', 'mktty_spawn_ipi_handler', ['g2', 'g3'], 'wide'),
  consoleOf('ikc:tty_host_recv_g1', 'mktty_host_ipi_handler', ['g1', 'rfc2'], 'narrow'),
  consoleOf('ikc:tty_spawn_recv_g1', 'mktty_spawn_ipi_handler', ['g1', 'rfc2'], 'narrow'),
  ...['system', 'resource', 'pci'].map((handler): IkcEvent => ({
    event: `ikc:fork_${handler}_recv`,
    role: 'receive',
    fields: { fromKernel: 'from', type: 'type', subtype: 'sub', length: 'len', payload: PAYLOAD },
    probe: {
      at: 'entry',
      function: `mk_${handler}_msg_handler`,
      args: 'type=$arg1:x32 sub=$arg2:x32 len=$arg4:u32 from=$arg5:s32 p0=+0($arg3):x64 p1=+8($arg3):x64',
    },
    generations: ['fork'],
  })),
];

const REQUESTS: readonly IkcEvent[] = [
  {
    event: 'ikc:pend_add',
    role: 'request',
    fields: { type: 'type', operation: 'op', resource: 'res' },
    probe: { at: 'entry', function: 'mk_msg_pending_add', args: 'type=$arg1:x32 op=$arg2:x32 res=$arg3:u64' },
    generations: WITH_MESSAGES,
  },
  {
    event: 'ikc:pend_done',
    role: 'answer',
    fields: { type: 'type', operation: 'op', resource: 'res', result: 'result' },
    probe: { at: 'entry', function: 'mk_msg_pending_complete', args: 'type=$arg1:x32 op=$arg2:x32 res=$arg3:u64 result=$arg4:s32' },
    generations: WITH_MESSAGES,
  },
  {
    event: 'ikc:pend_wait_ret',
    role: 'request_end',
    fields: { result: 'ret' },
    probe: { at: 'return', function: 'mk_msg_pending_wait', args: 'ret=$retval:s32' },
    generations: WITH_MESSAGES,
  },
  {
    event: 'ikc:state',
    role: 'state',
    fields: { peer: 'id' },
    probe: {
      at: 'entry',
      function: 'mk_instance_set_state',
      args: 'id=+0($arg1):s32 name=+0(+8($arg1)):string old=+16($arg1):s32 new=$arg2:s32',
    },
  },
];

/** What dynamic debug prints (correlate/messages/ikc.ts). */
const LINES: readonly IkcLine[] = [
  {
    event: 'mk.ikc.send',
    role: 'send',
    fields: { peer: 'mk.ikc.to', type: 'mk.ikc.type', subtype: 'mk.ikc.subtype', length: 'mk.ikc.length' },
  },
  {
    event: 'mk.ikc.recv',
    role: 'receive',
    fields: { fromCpu: 'mk.ikc.from_cpu', type: 'mk.ikc.type', subtype: 'mk.ikc.subtype', length: 'mk.ikc.length' },
  },
];

/** The first slot's address in a ring at a page's beginning, and the one after it. */
const SLOT_0 = 0xffff_c900_0020_0008n;
const HARDIRQ = 8;

export const multikernel: IkcPack = {
  name: 'multikernel',
  title: 'Multikernel messages over shared rings',
  events: [...SENDS, ...RECEIVES, ...REQUESTS],
  lines: LINES,
  rings: {
    g2: { slots: 64, slotBytes: 4120, headerBytes: 8 },
    g3: { slots: 64, slotBytes: 4120, headerBytes: 8 },
    g1: { slots: 64, slotBytes: 4112, headerBytes: 8 },
    rfc2: { slots: 64, slotBytes: 272, headerBytes: 8 },
    rfc1: { slots: 0, slotBytes: 0, headerBytes: 0 },
    fork: { slots: 0, slotBytes: 0, headerBytes: 0 },
  },
  headerBytes: 24,
  rawTypes: [0x4d4b_5459],
  typeNames: {
    0x1000: 'IO',
    0x2000: 'RESOURCE',
    0x3000: 'SYSTEM',
    0x4000: 'USER',
    0x5000: 'NETWORK',
    0x6000: 'PCI',
    0x4d4b_5459: 'CONSOLE',
  },
  subtypeNames: {
    0x1001: 'IRQ_FORWARD',
    0x1002: 'IRQ_BALANCE',
    0x1003: 'IRQ_MASK',
    0x1004: 'IRQ_UNMASK',
    0x2001: 'CPU_ADD',
    0x2002: 'CPU_REMOVE',
    0x2003: 'MEM_ADD',
    0x2004: 'MEM_REMOVE',
    0x2005: 'QUERY',
    0x2006: 'DEVICE_ADD',
    0x2007: 'DEVICE_REMOVE',
    0x2100: 'ACK',
    0x3001: 'HEARTBEAT',
    0x3002: 'SHUTDOWN',
    0x3003: 'SHUTDOWN_ACK',
    0x3004: 'HALTED',
    0x5001: 'VSOCK_PKT',
    0x5002: 'DATA_READY',
    0x6001: 'PCI_CFG_REQUEST',
    0x6002: 'PCI_CFG_RESPONSE',
    0x6003: 'PCI_IRQ_REQUEST',
    0x6004: 'PCI_IRQ_RESPONSE',
    0x6005: 'PCI_RESET_REQUEST',
    0x6006: 'PCI_RESET_RESPONSE',
  },
  answerSubtypes: [0x2100, 0x3003, 0x3004],
  samples: [
    {
      title: 'a message that was sent: the claim lies in the inner call',
      events: [
        { event: 'ikc:mk_send', atNs: 1000, pid: 77, fields: { inst: 1, type: 0x4000, sub: 1, len: 64, p0: 5n, p1: 0n } },
        { event: 'ikc:ipi_send', atNs: 1200, pid: 77, fields: { inst: 1, size: 88n, type: 0x4000n, p0: 5n, p1: 0n } },
        { event: 'ikc:ipi_send_ret', atNs: 1900, pid: 77, fields: { ret: 0 } },
        { event: 'ikc:mk_send_ret', atNs: 2000, pid: 77, fields: { ret: 0 } },
      ],
      halves: [{ kind: 'send', atNs: 1000, peer: 1, type: 0x4000, subtype: 1, length: 64 }],
    },
    {
      title: 'a full ring',
      events: [
        { event: 'ikc:mk_send', atNs: 1000, pid: 77, fields: { inst: 1, type: 0x4000, sub: 1, len: 64, p0: 5n, p1: 0n } },
        { event: 'ikc:ipi_send', atNs: 1200, pid: 77, fields: { inst: 1, size: 88n, type: 0x4000n, p0: 5n, p1: 0n } },
        { event: 'ikc:ipi_send_ret', atNs: 1900, pid: 77, fields: { ret: -28 } },
        { event: 'ikc:mk_send_ret', atNs: 2000, pid: 77, fields: { ret: -28 } },
      ],
      halves: [{ kind: 'failed', atNs: 1000, peer: 1, type: 0x4000, subtype: 1, length: 64, error: -28 }],
    },
    {
      title: 'an interrupt of the idle task sends while the task of the same CPU does',
      events: [
        { event: 'ikc:mk_send', atNs: 1000, pid: 77, fields: { inst: 1, type: 0x2000, sub: 0x2001, len: 20, p0: 5n, p1: 0n } },
        {
          event: 'ikc:mk_send',
          atNs: 1100,
          pid: 77,
          flags: HARDIRQ,
          fields: { inst: 0, type: 0x2000, sub: 0x2100, len: 16, p0: 5n, p1: 0n },
        },
        { event: 'ikc:mk_send_ret', atNs: 1200, pid: 77, flags: HARDIRQ, fields: { ret: 0 } },
        { event: 'ikc:mk_send_ret', atNs: 1300, pid: 77, fields: { ret: -19 } },
      ],
      halves: [
        { kind: 'send', atNs: 1100, peer: 0, type: 0x2000, subtype: 0x2100, length: 16 },
        { kind: 'failed', atNs: 1000, peer: 1, type: 0x2000, subtype: 0x2001, length: 20, error: -19 },
      ],
    },
    {
      title: 'a message of which only the inner call was recorded, and one of the console',
      events: [
        { event: 'ikc:ipi_send', atNs: 1200, pid: 77, fields: { inst: 1, size: 88n, type: 0x4000n, p0: 5n, p1: 0n } },
        { event: 'ikc:ipi_send_ret', atNs: 1900, pid: 77, fields: { ret: 0 } },
        { event: 'ikc:ipi_send', atNs: 2200, pid: 77, fields: { inst: 1, size: 40n, type: 0x4d4b_5459n, p0: 5n, p1: 0n } },
        { event: 'ikc:ipi_send_ret', atNs: 2900, pid: 77, fields: { ret: 0 } },
      ],
      halves: [
        { kind: 'send', atNs: 1200, peer: 1, type: 0x4000, length: 64 },
        { kind: 'send', atNs: 2200, peer: 1, type: 0x4d4b_5459, subtype: 0, length: 40 },
      ],
    },
    {
      title: 'received, in the slot that its address tells',
      events: [
        {
          event: 'ikc:mk_recv',
          atNs: 5000,
          fields: { slot: SLOT_0 + 5n * 4120n, from_cpu: 8n, type: 0x4000, size: 88n, sub: 1, msg_id: 0n, len: 64, p0: 5n, p1: 0n },
        },
        {
          event: 'ikc:tty_host_recv',
          atNs: 6000,
          fields: { slot: SLOT_0 + 63n * 4120n, from_cpu: 10n, type: 0x4d4b_5459, size: 40n, p0: 5n, p1: 0n },
        },
      ],
      halves: [
        { kind: 'receive', atNs: 5000, fromCpu: 8, type: 0x4000, subtype: 1, length: 64, slot: 5 },
        { kind: 'receive', atNs: 6000, fromCpu: 10, type: 0x4d4b_5459, subtype: 0, length: 40, slot: 63 },
      ],
    },
    {
      title: 'of the first generation',
      events: [
        {
          event: 'ikc:mk_recv_g1',
          atNs: 5000,
          fields: { slot: SLOT_0 + 7n * 4112n, from_cpu: 8, type: 0x3000, size: 32n, sub: 0x3004, msg_id: 0n, len: 8, p0: 5n, p1: 0n },
        },
      ],
      halves: [{ kind: 'receive', atNs: 5000, fromCpu: 8, type: 0x3000, subtype: 0x3004, length: 8, slot: 7 }],
    },
    {
      title: 'the fork’s handlers are told who sent',
      events: [{ event: 'ikc:fork_pci_recv', atNs: 5000, fields: { type: 0x6000, sub: 0x6001, len: 24, from: 2, p0: 5n, p1: 0n } }],
      halves: [{ kind: 'receive', atNs: 5000, peer: 2, type: 0x6000, subtype: 0x6001, length: 24 }],
    },
  ],
};
