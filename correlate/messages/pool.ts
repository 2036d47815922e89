/** What the host sets aside for instances: CPUs, memory, devices. Spec: kernel/multikernel/dts.c, mem.c, hotplug.c, overlay.c. */
import type { MessageRule } from '../message-catalogue.ts';

export const POOL_MESSAGES: readonly MessageRule[] = [
  {
    event: 'mk.pool.config',
    about: 'A baseline for the pool is read.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Loading host kernel device tree configuration ({pool.dtb.bytes:int} bytes at offset {:int})'],
    samples: [{ line: 'Loading host kernel device tree configuration (310 bytes at offset 0)', fields: { 'mk.pool.dtb.bytes': '310' } }],
  },
  {
    event: 'mk.pool.cpus',
    about: 'CPUs are asked for, checked or moved into the pool.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: [
      'Baseline CPU pool: {cpu.count:int} CPUs requested: {cpu.list:list}',
      'Baseline CPUs validated: {cpu.count:int} CPUs available for multikernel pool',
      '{Moving|Moved} {cpu.count:int} CPUs into the multikernel pool',
    ],
    samples: [
      { line: 'Baseline CPU pool: 4 CPUs requested: 8,10,12,14', fields: { 'mk.cpu.count': '4', 'mk.cpu.list': '8,10,12,14' } },
      { line: 'Baseline CPUs validated: 4 CPUs available for multikernel pool', fields: { 'mk.cpu.count': '4' } },
      { line: 'Moving 4 CPUs into the multikernel pool', fields: { 'mk.cpu.count': '4' } },
      { line: 'Moved 4 CPUs into the multikernel pool', fields: { 'mk.cpu.count': '4' } },
    ],
  },
  {
    event: 'mk.pool.park',
    about: 'The page on which CPUs of the pool wait.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: [
      'mk_spawn: {?host }pool park area at {park.phys:hex} (slot {park.slot:hex})',
      'mk_spawn: released the {?host }pool park area',
    ],
    samples: [
      {
        line: 'mk_spawn: host pool park area at 0x0000000df960b000 (slot 0x0000000df960e000)',
        fields: { 'mk.park.phys': '0xdf960b000', 'mk.park.slot': '0xdf960e000' },
      },
      {
        line: 'mk_spawn: pool park area at 0x0000000840003000 (slot 0x0000000840004000)',
        fields: { 'mk.park.phys': '0x840003000', 'mk.park.slot': '0x840004000' },
      },
      { line: 'mk_spawn: released the host pool park area', fields: {} },
    ],
  },
  {
    event: 'mk.pool.mem.add',
    about: 'Memory goes into the pool.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Multikernel pool: added {mem.start:hex} ({mem.mb:int} MB) on node {mem.node:int}'],
    samples: [
      {
        line: 'Multikernel pool: added 0x0000000df9600000 (8192 MB) on node 0',
        fields: { 'mk.mem.start': '0xdf9600000', 'mk.mem.mb': '8192', 'mk.mem.node': '0' },
      },
    ],
  },
  {
    event: 'mk.pool.mem.remove',
    about: 'Memory goes from the pool back to the host.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Multikernel pool: removed {mem.start:hex}-{mem.end:hex} ({mem.mb:int} MB)'],
    samples: [
      {
        line: 'Multikernel pool: removed 0x0000000df9600000-0x0000000ff95fffff (8192 MB)',
        fields: { 'mk.mem.start': '0xdf9600000', 'mk.mem.end': '0xff95fffff', 'mk.mem.mb': '8192' },
      },
    ],
  },
  {
    event: 'mk.pool.devices',
    about: 'PCI devices are moved into the pool.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Moved {device.count:int} PCI devices into the multikernel pool'],
    samples: [{ line: 'Moved 2 PCI devices into the multikernel pool', fields: { 'mk.device.count': '2' } }],
  },
  {
    event: 'mk.pool.ready',
    about: 'The baseline is in force.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: [
      'Replacing existing DTB ({pool.dtb.bytes:int} bytes) with baseline DTB',
      'Multikernel baseline initialized successfully',
      'Successfully stored host kernel device tree configuration',
    ],
    samples: [
      { line: 'Replacing existing DTB (310 bytes) with baseline DTB', fields: { 'mk.pool.dtb.bytes': '310' } },
      { line: 'Multikernel baseline initialized successfully', fields: {} },
      { line: 'Successfully stored host kernel device tree configuration', fields: {} },
    ],
  },
  {
    event: 'mk.pool.error',
    about: 'The pool could not be made or changed.',
    level: 'err',
    side: 'host',
    prefix: 'mk.',
    patterns: [
      'Failed to move CPU {cpu.physical:int} into the pool: {errno:int}',
      'Baseline already applied; change the pool with an overlay targeting /resources',
      'Baseline validation and initialization failed: {errno:int}',
    ],
    samples: [
      { line: 'Failed to move CPU 12 into the pool: -16', fields: { 'mk.cpu.physical': '12', 'mk.errno': '-16' } },
      { line: 'Baseline already applied; change the pool with an overlay targeting /resources', fields: {} },
      { line: 'Baseline validation and initialization failed: -22', fields: { 'mk.errno': '-22' } },
    ],
  },
  {
    event: 'mk.cpu.offline',
    about: 'A CPU leaves this kernel (any Linux).',
    level: 'info',
    side: 'both',
    prefix: 'mk.',
    patterns: ['smpboot: CPU {cpu.logical:int} is now offline'],
    samples: [{ line: 'smpboot: CPU 4 is now offline', fields: { 'mk.cpu.logical': '4' } }],
  },
  {
    event: 'mk.cpu.online',
    about: 'A CPU comes up: its logical number and its APIC id (any Linux).',
    level: 'info',
    side: 'both',
    prefix: 'mk.',
    patterns: ['smpboot: Booting Node {mem.node:int} Processor {cpu.logical:int} APIC {cpu.apic:hex}'],
    samples: [
      { line: 'smpboot: Booting Node 0 Processor 5 APIC 0xa', fields: { 'mk.mem.node': '0', 'mk.cpu.logical': '5', 'mk.cpu.apic': '0xa' } },
    ],
  },
];
