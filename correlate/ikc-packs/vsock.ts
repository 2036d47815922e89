/**
 * Vsock and virtio between kernels. The packets of Multikernel's own transport are messages of its rings already (type NETWORK);
 * this pack is for guests of a hypervisor, whose kernels have trace events for it, and adds who talks to whom as keys:
 *
 *   vsock:virtio_transport_alloc_pkt  src_cid src_port dst_cid dst_port len type op flags     a packet is made to be sent
 *   vsock:virtio_transport_recv_pkt   the same, as the receiver sees it
 *
 * A context id is the number of a kernel here: `peer` is `dst_cid`, the sender `src_cid` (hypervisors call themselves 2).
 * Source: net/vmw_vsock/virtio_transport_common.c, include/trace/events/vsock_virtio_transport_common.h.
 */
import type { IkcPack } from '../ikc-pack.ts';

const OPERATIONS = ['INVALID', 'REQUEST', 'RESPONSE', 'RST', 'SHUTDOWN', 'RW', 'CREDIT_UPDATE', 'CREDIT_REQUEST'];
const KEYS = ['src_port', 'dst_port'];

export const vsock: IkcPack = {
  name: 'vsock',
  title: 'virtio vsock packets',
  events: [
    {
      event: 'vsock:virtio_transport_alloc_pkt',
      role: 'send',
      fields: { peer: 'dst_cid', type: 'type', subtype: 'op', length: 'len', keys: KEYS },
    },
    {
      event: 'vsock:virtio_transport_recv_pkt',
      role: 'receive',
      fields: { fromKernel: 'src_cid', type: 'type', subtype: 'op', length: 'len', keys: KEYS },
    },
  ],
  rings: { virtio: { slots: 0, slotBytes: 0, headerBytes: 0 } },
  headerBytes: 0,
  rawTypes: [],
  typeNames: { 1: 'STREAM', 2: 'SEQPACKET' },
  subtypeNames: Object.fromEntries(OPERATIONS.map((name, operation) => [operation, name])),
  answerSubtypes: [],
  samples: [
    {
      title: 'data of a stream',
      events: [
        {
          event: 'vsock:virtio_transport_alloc_pkt',
          atNs: 1000,
          pid: 5,
          fields: { src_cid: 3, src_port: 1024, dst_cid: 2, dst_port: 6789, len: 512, type: 1, op: 5, flags: 0 },
        },
        {
          event: 'vsock:virtio_transport_recv_pkt',
          atNs: 9000,
          fields: { src_cid: 3, src_port: 1024, dst_cid: 2, dst_port: 6789, len: 512, type: 1, op: 5, flags: 0 },
        },
      ],
      halves: [
        { kind: 'send', atNs: 1000, peer: 2, type: 1, subtype: 5, length: 512 },
        { kind: 'receive', atNs: 9000, peer: 3, type: 1, subtype: 5, length: 512 },
      ],
    },
  ],
};
