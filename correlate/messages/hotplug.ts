/** CPUs, memory and devices come to a running kernel and go. Spec: kernel/multikernel/hotplug.c. */
import type { MessageRule } from '../message-catalogue.ts';

export const HOTPLUG_MESSAGES: readonly MessageRule[] = [
  {
    event: 'mk.cpu.add.begin',
    about: 'A CPU is being added to this kernel.',
    level: 'info',
    side: 'both',
    prefix: 'mk.',
    patterns: ['Multikernel hotplug: Adding CPU {cpu.physical:int} (numa={mem.node:int}, flags={cpu.flags:hex})'],
    samples: [
      {
        line: 'Multikernel hotplug: Adding CPU 8 (numa=-1, flags=0x0)',
        fields: { 'mk.cpu.physical': '8', 'mk.mem.node': '-1', 'mk.cpu.flags': '0x0' },
      },
    ],
  },
  {
    event: 'mk.cpu.added',
    about: 'A CPU was added to this kernel.',
    level: 'info',
    side: 'both',
    prefix: 'mk.',
    patterns: ['Multikernel hotplug: Successfully added CPU {cpu.logical:int} (phys {cpu.physical:int})'],
    samples: [
      { line: 'Multikernel hotplug: Successfully added CPU 4 (phys 8)', fields: { 'mk.cpu.logical': '4', 'mk.cpu.physical': '8' } },
    ],
  },
  {
    event: 'mk.cpu.removed',
    about: 'A CPU was taken from this kernel.',
    level: 'info',
    side: 'both',
    prefix: 'mk.',
    patterns: ['Multikernel hotplug: Successfully removed CPU {cpu.logical:int} (phys {cpu.physical:int})'],
    samples: [
      { line: 'Multikernel hotplug: Successfully removed CPU 4 (phys 8)', fields: { 'mk.cpu.logical': '4', 'mk.cpu.physical': '8' } },
    ],
  },
  {
    event: 'mk.cpu.absent',
    about: 'A CPU is not present yet.',
    level: 'err',
    side: 'both',
    prefix: 'mk.',
    patterns: ['Multikernel hotplug: Physical CPU {cpu.physical:int} not found in present CPUs'],
    benign: { why: 'every CPU that is added is looked for first', after: { event: 'mk.cpu.add.begin', field: 'mk.cpu.physical' } },
    samples: [{ line: 'Multikernel hotplug: Physical CPU 8 not found in present CPUs', fields: { 'mk.cpu.physical': '8' } }],
  },
  {
    event: 'mk.cpu.error',
    about: 'A CPU could not be added or removed.',
    level: 'err',
    side: 'both',
    prefix: 'mk.',
    patterns: ['Multikernel hotplug: Failed to {hotplug.verb=add|remove} CPU {cpu.logical:int} (phys {cpu.physical:int}): {errno:int}'],
    samples: [
      {
        line: 'Multikernel hotplug: Failed to remove CPU 4 (phys 8): -16',
        fields: { 'mk.hotplug.verb': 'remove', 'mk.cpu.logical': '4', 'mk.cpu.physical': '8', 'mk.errno': '-16' },
      },
    ],
  },
  {
    event: 'mk.mem.add',
    about: 'Memory is added to this kernel.',
    level: 'info',
    side: 'both',
    prefix: 'mk.',
    patterns: [
      'Multikernel hotplug: Adding memory {mem.start:hex}-{mem.end:hex} ({mem.mb:int} MB) numa={mem.node:int} type={mem.type:hex}',
      'Multikernel hotplug: Successfully added and onlined memory at {mem.start:hex}',
    ],
    samples: [
      {
        line: 'Multikernel hotplug: Adding memory 0xdf9600000-0xe195fffff (512 MB) numa=0 type=0x1',
        fields: {
          'mk.mem.start': '0xdf9600000',
          'mk.mem.end': '0xe195fffff',
          'mk.mem.mb': '512',
          'mk.mem.node': '0',
          'mk.mem.type': '0x1',
        },
      },
      { line: 'Multikernel hotplug: Successfully added and onlined memory at 0xdf9600000', fields: { 'mk.mem.start': '0xdf9600000' } },
    ],
  },
  {
    event: 'mk.mem.remove',
    about: 'Memory is taken from this kernel.',
    level: 'info',
    side: 'both',
    prefix: 'mk.',
    patterns: [
      'Multikernel hotplug: Removing memory {mem.start:hex}-{mem.end:hex} ({mem.mb:int} MB)',
      'Multikernel hotplug: Successfully removed memory at {mem.start:hex}',
    ],
    samples: [
      {
        line: 'Multikernel hotplug: Removing memory 0xdf9600000-0xe195fffff (512 MB)',
        fields: { 'mk.mem.start': '0xdf9600000', 'mk.mem.end': '0xe195fffff', 'mk.mem.mb': '512' },
      },
      { line: 'Multikernel hotplug: Successfully removed memory at 0xdf9600000', fields: { 'mk.mem.start': '0xdf9600000' } },
    ],
  },
  {
    event: 'mk.mem.error',
    about: 'Memory could not be added, onlined or removed.',
    level: 'err',
    side: 'both',
    prefix: 'mk.',
    patterns: ['Multikernel hotplug: Failed to {hotplug.verb=add|online|remove} memory at {mem.start:hex}: {errno:int}'],
    samples: [
      {
        line: 'Multikernel hotplug: Failed to online memory at 0xdf9600000: -12',
        fields: { 'mk.hotplug.verb': 'online', 'mk.mem.start': '0xdf9600000', 'mk.errno': '-12' },
      },
    ],
  },
  {
    event: 'mk.dev.add',
    about: 'A device is added to this kernel.',
    level: 'info',
    side: 'both',
    prefix: 'mk.',
    patterns: [
      'Multikernel hotplug: Adding device {device.bdf:word} driver={device.driver:text} flags={device.flags:hex}',
      'Multikernel hotplug: Successfully configured device {device.bdf:word}',
      'Multikernel hotplug: Device {device.bdf:word} successfully added to instance {instance.id:int}',
    ],
    samples: [
      {
        line: 'Multikernel hotplug: Adding device 0000:02:00.0 driver=vfio-pci flags=0x1',
        fields: { 'mk.device.bdf': '0000:02:00.0', 'mk.device.driver': 'vfio-pci', 'mk.device.flags': '0x1' },
      },
      { line: 'Multikernel hotplug: Successfully configured device 0000:02:00.0', fields: { 'mk.device.bdf': '0000:02:00.0' } },
      {
        line: 'Multikernel hotplug: Device 0000:02:00.0 successfully added to instance 3',
        fields: { 'mk.device.bdf': '0000:02:00.0', 'mk.instance.id': '3' },
      },
    ],
  },
  {
    event: 'mk.dev.remove',
    about: 'A device is taken from this kernel.',
    level: 'info',
    side: 'both',
    prefix: 'mk.',
    patterns: ['Multikernel hotplug: {Removing|Successfully removed} device {device.bdf:word}'],
    samples: [
      { line: 'Multikernel hotplug: Removing device 0000:02:00.0', fields: { 'mk.device.bdf': '0000:02:00.0' } },
      { line: 'Multikernel hotplug: Successfully removed device 0000:02:00.0', fields: { 'mk.device.bdf': '0000:02:00.0' } },
    ],
  },
];
