/** Instances come and go through overlays. Spec: kernel/multikernel/overlay.c, dts.c, mem.c, core.c. */
import type { MessageRule } from '../message-catalogue.ts';

export const INSTANCE_MESSAGES: readonly MessageRule[] = [
  {
    event: 'mk.overlay.begin',
    about: 'A change of resources begins.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Applying overlay transaction {overlay.tx:int} (target={overlay.target:text}, resources={overlay.resources:text})'],
    samples: [
      {
        line: 'Applying overlay transaction 2 (target=/instances, resources=unknown)',
        fields: { 'mk.overlay.tx': '2', 'mk.overlay.target': '/instances', 'mk.overlay.resources': 'unknown' },
      },
    ],
  },
  {
    event: 'mk.instance.create.begin',
    about: 'An instance is being made.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ["Overlay tx{overlay.tx:int}: Creating instance '{instance.name:text}'"],
    samples: [{ line: "Overlay tx2: Creating instance 'web-1'", fields: { 'mk.overlay.tx': '2', 'mk.instance.name': 'web-1' } }],
  },
  {
    event: 'mk.instance.resources',
    about: 'What an instance is to get, as read from its description.',
    level: 'info',
    side: 'both',
    prefix: 'mk.',
    patterns: [
      'Successfully parsed memory size: {mem.bytes:int} bytes',
      'Successfully parsed {cpu.count:int} physical CPUs: {cpu.list:list}',
      "Successfully parsed instance '{instance.name:text}': {mem.bytes:int} bytes memory, {cpu.count:int} CPUs{?, {device.pci:int} PCI devices}{?, {device.platform:int} platform devices}",
      'Successfully parsed multikernel device tree with {mem.bytes:int} bytes memory, {cpu.count:int} CPUs{?, {device.pci:int} PCI devices}{?, and {device.platform:int} platform devices}',
    ],
    samples: [
      { line: 'Successfully parsed memory size: 2147483648 bytes (2048 MB)', fields: { 'mk.mem.bytes': '2147483648' } },
      { line: 'Successfully parsed 2 physical CPUs: 8,10', fields: { 'mk.cpu.count': '2', 'mk.cpu.list': '8,10' } },
      {
        line: "Successfully parsed instance 'web-1': 2147483648 bytes memory, 2 CPUs, 1 PCI devices, 0 platform devices",
        fields: {
          'mk.instance.name': 'web-1',
          'mk.mem.bytes': '2147483648',
          'mk.cpu.count': '2',
          'mk.device.pci': '1',
          'mk.device.platform': '0',
        },
      },
      {
        line: 'Successfully parsed multikernel device tree with 2147483648 bytes memory, 2 CPUs, 0 PCI devices, and 0 platform devices',
        fields: { 'mk.mem.bytes': '2147483648', 'mk.cpu.count': '2', 'mk.device.pci': '0', 'mk.device.platform': '0' },
      },
    ],
  },
  {
    event: 'mk.instance.pool',
    about: 'An instance has its own pool of memory (the kernel says so twice).',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Created instance pool {instance.id:int}: {mem.chunks:int} chunks, total size={mem.bytes:int} bytes'],
    samples: [
      {
        line: 'Created instance pool 3: 1 chunks, total size=2147483648 bytes',
        fields: { 'mk.instance.id': '3', 'mk.mem.chunks': '1', 'mk.mem.bytes': '2147483648' },
      },
    ],
  },
  {
    event: 'mk.instance.mem.assign',
    about: 'Memory goes to an instance.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Transferred {mem.bytes:hex} bytes from {root|self|host|pool} to instance {instance.id:int} ({instance.name:text})'],
    samples: [
      {
        line: 'Transferred 0x80000000 bytes from root to instance 3 (web-1)',
        fields: { 'mk.mem.bytes': '0x80000000', 'mk.instance.id': '3', 'mk.instance.name': 'web-1' },
      },
    ],
  },
  {
    event: 'mk.instance.cpu.assign',
    about: 'CPUs go to an instance.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Transferred {cpu.count:int} CPUs from pool to instance {instance.id:int} ({instance.name:text}): {cpu.list:list}'],
    samples: [
      {
        line: 'Transferred 2 CPUs from pool to instance 3 (web-1): 8,10',
        fields: { 'mk.cpu.count': '2', 'mk.instance.id': '3', 'mk.instance.name': 'web-1', 'mk.cpu.list': '8,10' },
      },
    ],
  },
  {
    event: 'mk.instance.dev.assign',
    about: 'A device goes to an instance.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Transferred PCI device {device.pci_id:word} to instance {instance.id:int}'],
    samples: [
      {
        line: 'Transferred PCI device 8086:10d3@0000:02:00.0 to instance 3',
        fields: { 'mk.device.pci_id': '8086:10d3@0000:02:00.0', 'mk.instance.id': '3' },
      },
    ],
  },
  {
    event: 'mk.instance.created',
    about: 'An instance is there, without a kernel yet.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ["Overlay tx{overlay.tx:int}: Instance '{instance.name:text}' created successfully"],
    samples: [
      { line: "Overlay tx2: Instance 'web-1' created successfully", fields: { 'mk.overlay.tx': '2', 'mk.instance.name': 'web-1' } },
    ],
  },
  {
    event: 'mk.overlay.end',
    about: 'A change of resources is in force.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Overlay transaction {overlay.tx:int} applied successfully'],
    samples: [{ line: 'Overlay transaction 2 applied successfully', fields: { 'mk.overlay.tx': '2' } }],
  },
  {
    event: 'mk.overlay.error',
    about: 'A change of resources failed.',
    level: 'err',
    side: 'host',
    prefix: 'mk.',
    patterns: [
      'Failed to {apply|rollback} overlay transaction {overlay.tx:int}: {errno:int}',
      "Overlay tx{overlay.tx:int}: instance '{instance.name:text}' not found",
    ],
    samples: [
      { line: 'Failed to apply overlay transaction 9: -17', fields: { 'mk.overlay.tx': '9', 'mk.errno': '-17' } },
      { line: 'Failed to rollback overlay transaction 9: -2', fields: { 'mk.overlay.tx': '9', 'mk.errno': '-2' } },
      { line: "Overlay tx9: instance 'web-9' not found", fields: { 'mk.overlay.tx': '9', 'mk.instance.name': 'web-9' } },
    ],
  },
  {
    event: 'mk.instance.remove.begin',
    about: 'An instance is being removed.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ["Overlay tx{overlay.tx:int}: Removing instance '{instance.name:text}' (ID: {instance.id:int})"],
    samples: [
      {
        line: "Overlay tx3: Removing instance 'web-1' (ID: 3)",
        fields: { 'mk.overlay.tx': '3', 'mk.instance.name': 'web-1', 'mk.instance.id': '3' },
      },
    ],
  },
  {
    event: 'mk.instance.release',
    about: 'An instance gives its resources back.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: [
      'Releasing multikernel instance {instance.id:int} ({instance.name:text}), returning resources to {root|self|host}',
      'Returned {cpu.count:int} CPUs from instance {instance.id:int} ({instance.name:text}) to the pool: {cpu.list:list}',
      'Returning {mem.bytes:hex} bytes from instance {instance.id:int} ({instance.name:text}) back to multikernel pool',
      'Returned {device.count:int} PCI devices from instance {instance.id:int} ({instance.name:text}) to {root|self|host} instance',
    ],
    samples: [
      {
        line: 'Releasing multikernel instance 3 (web-1), returning resources to root',
        fields: { 'mk.instance.id': '3', 'mk.instance.name': 'web-1' },
      },
      {
        line: 'Returned 2 CPUs from instance 3 (web-1) to the pool: 8,10',
        fields: { 'mk.cpu.count': '2', 'mk.instance.id': '3', 'mk.instance.name': 'web-1', 'mk.cpu.list': '8,10' },
      },
      {
        line: 'Returning 0x80000000 bytes from instance 3 (web-1) back to multikernel pool',
        fields: { 'mk.mem.bytes': '0x80000000', 'mk.instance.id': '3', 'mk.instance.name': 'web-1' },
      },
      {
        line: 'Returned 1 PCI devices from instance 3 (web-1) to self instance',
        fields: { 'mk.device.count': '1', 'mk.instance.id': '3', 'mk.instance.name': 'web-1' },
      },
    ],
  },
  {
    event: 'mk.instance.removed',
    about: 'An instance is gone; its id may come again.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ["Overlay tx{overlay.tx:int}: Instance '{instance.name:text}' removed successfully"],
    samples: [
      { line: "Overlay tx3: Instance 'web-1' removed successfully", fields: { 'mk.overlay.tx': '3', 'mk.instance.name': 'web-1' } },
    ],
  },
  {
    event: 'mk.overlay.resource',
    about: 'One CPU or one range of memory of a change.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: [
      'Overlay tx{overlay.tx:int}: {overlay.sign=+|-}cpu {cpu.physical:int} numa={mem.node:int} {from|to} {overlay.target:word}',
      'Overlay tx{overlay.tx:int}: {overlay.sign=+|-}memory {mem.start:hex}-{mem.end:hex} ({mem.mb:int} MB) {from|to} {overlay.target:word}',
    ],
    samples: [
      {
        line: 'Overlay tx4: -cpu 8 numa=-1 from /resources',
        fields: {
          'mk.overlay.tx': '4',
          'mk.overlay.sign': '-',
          'mk.cpu.physical': '8',
          'mk.mem.node': '-1',
          'mk.overlay.target': '/resources',
        },
      },
      {
        line: 'Overlay tx6: +memory 0xdf9600000-0xe195fffff (512 MB) to web-1',
        fields: {
          'mk.overlay.tx': '6',
          'mk.overlay.sign': '+',
          'mk.mem.start': '0xdf9600000',
          'mk.mem.end': '0xe195fffff',
          'mk.mem.mb': '512',
          'mk.overlay.target': 'web-1',
        },
      },
    ],
  },
  {
    event: 'mk.overlay.rollback',
    about: 'A change of resources is taken back.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Removing overlay transaction {overlay.tx:int}', 'Overlay transaction {overlay.tx:int} rolled back successfully'],
    samples: [
      { line: 'Removing overlay transaction 9', fields: { 'mk.overlay.tx': '9' } },
      { line: 'Overlay transaction 9 rolled back successfully', fields: { 'mk.overlay.tx': '9' } },
    ],
  },
  {
    event: 'mk.instance.dtb',
    about: 'Somebody read a device tree under /sys/fs/multikernel.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ["Generated instance DTB for '{instance.name:text}' (ID {instance.id:int}): {dtb.bytes:int} bytes"],
    benign: { why: 'each reader of the file causes one' },
    samples: [
      {
        line: "Generated instance DTB for '' (ID 0): 183 bytes",
        fields: { 'mk.instance.name': '', 'mk.instance.id': '0', 'mk.dtb.bytes': '183' },
      },
      {
        line: "Generated instance DTB for 'web-1' (ID 3): 264 bytes",
        fields: { 'mk.instance.name': 'web-1', 'mk.instance.id': '3', 'mk.dtb.bytes': '264' },
      },
    ],
  },
];
