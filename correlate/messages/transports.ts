/** What carries data between kernels: vsock, virtio, fuse, MSI. Spec: net/vmw_vsock/mk_transport.c, drivers/virtio/, fs/fuse/multikernel.c, drivers/irqchip/irq-mk-its.c. */
import type { MessageRule } from '../message-catalogue.ts';

export const TRANSPORT_MESSAGES: readonly MessageRule[] = [
  {
    event: 'mk.transport.ready',
    about: 'A way for data between kernels is there.',
    level: 'info',
    side: 'both',
    prefix: 'mk.',
    patterns: [
      'Multikernel vsock transport registered',
      'mkfuse: DAX window at {mem.start:hex}, size {mem.bytes:int}',
      'mkfuse: connected to cid {peer.id:int} port {peer.port:int}',
    ],
    samples: [
      { line: 'Multikernel vsock transport registered', fields: {} },
      {
        line: 'mkfuse: DAX window at 0x0000000e00000000, size 1073741824',
        fields: { 'mk.mem.start': '0xe00000000', 'mk.mem.bytes': '1073741824' },
      },
      { line: 'mkfuse: connected to cid 0 port 6789', fields: { 'mk.peer.id': '0', 'mk.peer.port': '6789' } },
    ],
  },
  {
    event: 'mk.virtio.ready',
    about: 'A virtual device serves an instance.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['serving instance {instance.id:int} ({instance.name:text})'],
    samples: [
      { line: 'mk_vnet mk-web-1-0: serving instance 3 (web-1)', fields: { 'mk.instance.id': '3', 'mk.instance.name': 'web-1' } },
      { line: 'serving instance 3 (web-1)', fields: { 'mk.instance.id': '3', 'mk.instance.name': 'web-1' } },
    ],
  },
  {
    event: 'mk.virtio.error',
    about: 'A virtual device between kernels is broken, or nobody serves it.',
    level: 'err',
    side: 'both',
    prefix: 'mk.',
    patterns: [
      'multikernel: bad descriptor chain at {virtio.descriptor:int}, ring broken',
      'multikernel: {virtio.device:text}no backend answered',
    ],
    samples: [
      { line: 'multikernel: bad descriptor chain at 17, ring broken', fields: { 'mk.virtio.descriptor': '17' } },
      { line: 'multikernel: virtio1: no backend answered', fields: { 'mk.virtio.device': 'virtio1:' } },
    ],
  },
  {
    event: 'mk.vsock.error',
    about: 'A vsock connection could not be asked for.',
    level: 'err',
    side: 'both',
    prefix: 'mk.',
    patterns: ['mk_vsock: failed to send connection request: {errno:int}'],
    samples: [{ line: 'mk_vsock: failed to send connection request: -28', fields: { 'mk.errno': '-28' } }],
  },
  {
    event: 'mk.vsock.error',
    about: 'A vsock packet is too short to be one.',
    level: 'warn',
    side: 'both',
    prefix: 'mk.',
    patterns: ['mk_vsock: packet too small ({vsock.bytes:int} bytes)'],
    samples: [{ line: 'mk_vsock: packet too small (12 bytes)', fields: { 'mk.vsock.bytes': '12' } }],
  },
  {
    event: 'mk.msi.error',
    about: 'An interrupt of a device cannot be routed to an instance (arm64).',
    level: 'warn',
    side: 'both',
    prefix: 'mk.',
    patterns: ['mk_its: Instance {instance.id:int}: no MSI for {device.name:text}'],
    samples: [{ line: 'mk_its: Instance 3: no MSI for 0000:02:00.0', fields: { 'mk.instance.id': '3', 'mk.device.name': '0000:02:00.0' } }],
  },
  {
    event: 'mk.fuse.error',
    about: 'A file system of another kernel cannot be read.',
    level: 'err',
    side: 'both',
    prefix: 'mk.',
    patterns: ['mkfuse: recv error: {errno:int}'],
    samples: [{ line: 'mkfuse: recv error: -104', fields: { 'mk.errno': '-104' } }],
  },
];
