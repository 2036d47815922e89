/**
 * Popcorn Linux: kernels on machines of their own, over a message layer. A header is packed bit fields, in one of two layouts:
 *
 *   newer   from_nid:6 prio:2 | type:8 | size_t size        10 bytes      generation `hdr10`
 *   older   from_nid:8 | type:8 | prio:7 is_rdma:1 | u32 size   8 bytes   generation `hdr8`
 *
 * A request's wait station (`origin_ws`) comes back in its response, at an offset that differs from message to message: not read
 * here. Numbers of the types are those of the newer order (include/popcorn/pcn_kmsg.h); branches differ.
 */
import type { IkcEvent, IkcPack } from '../ikc-pack.ts';

const TYPES = [
  'NODE_INFO',
  'STAT_START',
  'TASK_MIGRATE',
  'TASK_MIGRATE_BACK',
  'TASK_PAIRING',
  'TASK_EXIT_ORIGIN',
  'TASK_EXIT_REMOTE',
  'VMA_INFO_REQUEST',
  'VMA_INFO_RESPONSE',
  'VMA_OP_REQUEST',
  'VMA_OP_RESPONSE',
  'REMOTE_PAGE_REQUEST',
  'REMOTE_PAGE_RESPONSE',
  'REMOTE_PAGE_RESPONSE_SHORT',
  'PAGE_INVALIDATE_REQUEST',
  'PAGE_INVALIDATE_RESPONSE',
  'REMOTE_PAGE_FLUSH',
  'REMOTE_PAGE_RELEASE',
  'REMOTE_PAGE_FLUSH_ACK',
  'FUTEX_REQUEST',
  'FUTEX_RESPONSE',
  'STAT_END',
] as const;

function sendOf(name: 'send' | 'post'): IkcEvent[] {
  return [
    {
      event: `ikc:pcn_${name}`,
      role: 'send',
      fields: { peer: 'dest', type: 'type', length: 'size' },
      fixed: { subtype: 0 },
      probe: { at: 'entry', function: `pcn_kmsg_${name}`, args: 'type=$arg1:s32 dest=$arg2:s32 size=$arg4:u64' },
    },
    {
      event: `ikc:pcn_${name}_ret`,
      role: 'send_return',
      fields: { error: 'ret' },
      probe: { at: 'return', function: `pcn_kmsg_${name}`, args: 'ret=$retval:s32' },
    },
  ];
}

export const popcorn: IkcPack = {
  name: 'popcorn',
  title: 'Popcorn Linux messages between nodes',
  events: [
    ...sendOf('send'),
    ...sendOf('post'),
    {
      event: 'ikc:pcn_recv',
      role: 'receive',
      fields: { fromKernel: 'from', type: 'type', length: 'size' },
      fixed: { subtype: 0 },
      probe: { at: 'entry', function: 'pcn_kmsg_process', args: 'from=+0($arg1):b6@0/8 type=+1($arg1):u8 size=+2($arg1):u64' },
      generations: ['hdr10'],
    },
    {
      event: 'ikc:pcn_recv_old',
      role: 'receive',
      fields: { fromKernel: 'from', type: 'type', length: 'size' },
      fixed: { subtype: 0 },
      probe: { at: 'entry', function: 'pcn_kmsg_process', args: 'from=+0($arg1):u8 type=+1($arg1):u8 size=+4($arg1):u32' },
      generations: ['hdr8'],
    },
  ],
  rings: { hdr10: { slots: 0, slotBytes: 0, headerBytes: 0 }, hdr8: { slots: 0, slotBytes: 0, headerBytes: 0 } },
  headerBytes: 0,
  rawTypes: [],
  typeNames: Object.fromEntries(TYPES.map((name, type) => [type, name])),
  subtypeNames: {},
  answerSubtypes: [],
  samples: [
    {
      title: 'a page request, posted and taken',
      events: [
        { event: 'ikc:pcn_post', atNs: 1000, pid: 5, fields: { type: 11, dest: 1, size: 58n } },
        { event: 'ikc:pcn_post_ret', atNs: 1400, pid: 5, fields: { ret: 0 } },
        { event: 'ikc:pcn_recv', atNs: 9000, fields: { from: 0, type: 11, size: 58n } },
      ],
      halves: [
        { kind: 'send', atNs: 1000, peer: 1, type: 11, subtype: 0, length: 58 },
        { kind: 'receive', atNs: 9000, peer: 0, type: 11, subtype: 0, length: 58 },
      ],
    },
  ],
};
