/** Initialisation of the subsystem, host and spawn. Spec: kernel/multikernel/core.c, ipi.c, messaging.c, hotplug.c, overlay.c, kernfs.c. */
import type { MessageRule } from '../message-catalogue.ts';

export const INIT_MESSAGES: readonly MessageRule[] = [
  {
    event: 'mk.kernel.boot',
    about: 'First line of a kernel that knows Multikernel: subarchitecture 5 is a spawned kernel, 0 a host.',
    level: 'info',
    side: 'both',
    prefix: 'mk.',
    patterns: ['platform-quirks: hardware_subarch={boot.subarch:int} (MULTIKERNEL={:int})'],
    samples: [
      { line: 'platform-quirks: hardware_subarch=5 (MULTIKERNEL=5)', fields: { 'mk.boot.subarch': '5' } },
      { line: 'platform-quirks: hardware_subarch=0 (MULTIKERNEL=5)', fields: { 'mk.boot.subarch': '0' } },
    ],
  },
  {
    event: 'mk.kernel.version',
    about: 'A kernel says which it is.',
    level: 'notice',
    side: 'both',
    prefix: 'mk.',
    patterns: ['Linux version {kernel.release:word} ({kernel.builder:word}) '],
    samples: [
      {
        line: 'Linux version 7.0.0-lab (user@build) (gcc (Debian 14.2.0) 14.2.0, GNU ld 2.44) #1 SMP PREEMPT Mon Aug  3 10:00:00 UTC 2026',
        fields: { 'mk.kernel.release': '7.0.0-lab', 'mk.kernel.builder': 'user@build' },
      },
    ],
  },
  {
    event: 'mk.init',
    about: 'A part of Multikernel comes up.',
    level: 'info',
    side: 'both',
    prefix: 'mk.',
    patterns: [
      'Multikernel NMI stop handler registered',
      'Multikernel messaging system initialized',
      'Initializing multikernel {init.part=hotplug|overlay} subsystem',
      'Multikernel {init.part=hotplug|overlay} subsystem initialized',
      'Multikernel filesystem initialized.',
      'multikernel heap: registered {init.path:word}',
    ],
    samples: [
      { line: 'Multikernel NMI stop handler registered', fields: {} },
      { line: 'Multikernel messaging system initialized', fields: {} },
      { line: 'Initializing multikernel hotplug subsystem', fields: { 'mk.init.part': 'hotplug' } },
      { line: 'Multikernel overlay subsystem initialized', fields: { 'mk.init.part': 'overlay' } },
      { line: 'Multikernel filesystem initialized. Mount with: mount -t multikernel none /sys/fs/multikernel', fields: {} },
      { line: 'multikernel heap: registered /dev/dma_heap/multikernel', fields: { 'mk.init.path': '/dev/dma_heap/multikernel' } },
    ],
  },
  {
    event: 'mk.ready',
    about: 'All of Multikernel is up in this kernel.',
    level: 'info',
    side: 'both',
    prefix: 'mk.',
    patterns: ['Multikernel support initialized'],
    samples: [{ line: 'Multikernel support initialized', fields: {} }],
  },
  {
    event: 'mk.role',
    about: 'This kernel was not spawned: it is the host.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['No manifest available for multikernel DTB restoration'],
    samples: [{ line: 'No manifest available for multikernel DTB restoration', fields: {} }],
  },
  {
    event: 'mk.ikc.ring',
    about: 'Memory for the ring of messages to an instance is there.',
    level: 'info',
    side: 'both',
    prefix: 'mk.',
    patterns: [
      'Allocated IPI buffer for instance {instance.id:int}: phys={ring.phys:hex}{?, virt={:word}}, pages={ring.pages:int}',
      'kexec_file: Allocated IPI ring buffer: phys={ring.phys:hex}, size={ring.bytes:int} bytes',
      'Restored IPI buffer for {root instance|the self instance|self instance}: phys={ring.phys:hex}{?, virt={:word}}, pages={ring.pages:int}',
      'Restored host IPI buffer: phys={ring.phys:hex}{?, virt={:word}}{?, pages={ring.pages:int}}',
    ],
    samples: [
      {
        line: 'Allocated IPI buffer for instance 0: phys=0x101180000, virt=ffff8c5e01180000, pages=65',
        fields: { 'mk.instance.id': '0', 'mk.ring.phys': '0x101180000', 'mk.ring.pages': '65' },
      },
      {
        line: 'Allocated IPI buffer for instance 4: phys=0x10a200000, pages=65',
        fields: { 'mk.instance.id': '4', 'mk.ring.phys': '0x10a200000', 'mk.ring.pages': '65' },
      },
      {
        line: 'kexec_file: Allocated IPI ring buffer: phys=0x10e480000, size=263696 bytes (order 7)',
        fields: { 'mk.ring.phys': '0x10e480000', 'mk.ring.bytes': '263696' },
      },
      {
        line: 'Restored IPI buffer for root instance: phys=0x10e480000, virt=ffffc90000100000, pages=65, size=266240',
        fields: { 'mk.ring.phys': '0x10e480000', 'mk.ring.pages': '65' },
      },
      {
        line: 'Restored IPI buffer for the self instance: phys=0x10e480000, pages=65, size=266240',
        fields: { 'mk.ring.phys': '0x10e480000', 'mk.ring.pages': '65' },
      },
      {
        line: 'Restored host IPI buffer: phys=0x101180000, virt=ffffc90000180000, pages=65',
        fields: { 'mk.ring.phys': '0x101180000', 'mk.ring.pages': '65' },
      },
    ],
  },
  {
    event: 'mk.instance.cpus',
    about: 'The CPUs of the kernel’s own instance, by physical id.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['{Root|Self} instance initialized with CPUs (physical): {cpu.list:list}'],
    samples: [
      { line: 'Root instance initialized with CPUs (physical): 0', fields: { 'mk.cpu.list': '0' } },
      { line: 'Self instance initialized with CPUs (physical): 0,2,4-7', fields: { 'mk.cpu.list': '0,2,4-7' } },
    ],
  },
  {
    event: 'mk.instance.self',
    about: 'The kernel has its own instance.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ["Initialized {root|self|host} instance (id={instance.id:int}, name='{instance.name:text}')"],
    samples: [
      { line: "Initialized root instance (id=0, name='/')", fields: { 'mk.instance.id': '0', 'mk.instance.name': '/' } },
      { line: "Initialized self instance (id=0, name='')", fields: { 'mk.instance.id': '0', 'mk.instance.name': '' } },
    ],
  },
];
