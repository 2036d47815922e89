/** A kernel is loaded into an instance and started. Spec: kernel/kexec_file.c, kernel/kexec_core.c, arch/x86/multikernel/, kernel/multikernel/core.c. */
import type { MessageRule } from '../message-catalogue.ts';

export const LOAD_MESSAGES: readonly MessageRule[] = [
  {
    event: 'mk.instance.load.begin',
    about: 'A kernel is being loaded into an instance.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['kexec_file_load: multikernel load - flags={load.flags:hex}, extracted mk_id={instance.id:int}'],
    samples: [
      {
        line: 'kexec_file: kexec_file_load: multikernel load - flags=0x70, extracted mk_id=3',
        fields: { 'mk.load.flags': '0x70', 'mk.instance.id': '3' },
      },
    ],
  },
  {
    event: 'mk.instance.load',
    about: 'The image belongs to this instance.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Associated kimage with multikernel instance {instance.id:int}'],
    samples: [{ line: 'kexec_file: Associated kimage with multikernel instance 3', fields: { 'mk.instance.id': '3' } }],
  },
  {
    event: 'mk.load.detail',
    about: 'Where a part of the image lies (some thirty lines; those of segments come again at the start).',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: [
      'Allocated {load.bytes:int} bytes from multikernel pool at {load.phys:hex}',
      'kexec_add_buffer: segment[{load.segment:int}] ',
      'kexec_alloc_multikernel: called for segment size={load.bytes:hex}',
      'kexec_locate_mem_hole: called for segment size={load.bytes:hex}',
      'kexec-vmlinux: {? }{? }PT_LOAD[{load.segment:int}]: ',
      'kexec_core: Loading multikernel segment: mem={load.phys:hex}, memsz={load.bytes:hex}',
      'Loading ELF vmlinux (type={:int})',
      'kexec-vmlinux: {Multikernel|multikernel}: entry={load.entry:hex}',
      'kexec-vmlinux: Multikernel entry offset: {load.entry:hex}',
      'kexec-vmlinux: ELF kernel: entry={load.entry:hex} ',
      'kexec-vmlinux: ELF kernel loaded: kernel_load_addr={load.phys:hex}',
      'kexec-vmlinux: Loading kernel segments to {load.phys:hex}',
      'kexec-vmlinux: Skipping purgatory for multikernel',
    ],
    samples: [
      {
        line: 'kexec_file: Allocated 4096 bytes from multikernel pool at 0xdf9610000',
        fields: { 'mk.load.bytes': '4096', 'mk.load.phys': '0xdf9610000' },
      },
      {
        line: 'kexec_file: kexec_add_buffer: segment[1] kbuf=0xffff8c5e00000000 bufsz=0x1000 mem=0x840010000 memsz=0x2000',
        fields: { 'mk.load.segment': '1' },
      },
      {
        line: 'kexec_file: kexec_alloc_multikernel: called for segment size=0x1000, buf_min=0x0, buf_max=0xffffffffffffffff, align=0x10000',
        fields: { 'mk.load.bytes': '0x1000' },
      },
      {
        line: 'kexec_file: kexec_locate_mem_hole: called for segment size=0x1000, mem=0x0, image_type=2',
        fields: { 'mk.load.bytes': '0x1000' },
      },
      {
        line: 'kexec-vmlinux:   PT_LOAD[0]: paddr=0x1000000 offset=0x0 filesz=0x27cc3c8 memsz=0x27cc3c8',
        fields: { 'mk.load.segment': '0' },
      },
      { line: 'kexec-vmlinux: PT_LOAD[1]: paddr=0x3800000 offset=0x2800000', fields: { 'mk.load.segment': '1' } },
      {
        line: 'kexec_core: Loading multikernel segment: mem=0x840010000, memsz=0x1000, kbuf=0xffff8c5e00000000, buf=0x0, bufsz=0x30, file_mode=1',
        fields: { 'mk.load.phys': '0x840010000', 'mk.load.bytes': '0x1000' },
      },
      { line: 'kexec-vmlinux: Loading ELF vmlinux (type=2)', fields: {} },
      { line: 'kexec-vmlinux: multikernel: entry=0x3d5efd4', fields: { 'mk.load.entry': '0x3d5efd4' } },
      { line: 'kexec-vmlinux: Multikernel: entry=0x841000000 boot_params=0x840011000', fields: { 'mk.load.entry': '0x841000000' } },
      { line: 'kexec-vmlinux: Multikernel entry offset: 0x3d5efd4', fields: { 'mk.load.entry': '0x3d5efd4' } },
      { line: 'kexec-vmlinux: ELF kernel: entry=0x3d32600 load_addr=0x1000000 size=0x3e00000', fields: { 'mk.load.entry': '0x3d32600' } },
      {
        line: 'kexec-vmlinux: ELF kernel loaded: kernel_load_addr=0x840200000 buf=ffffd39ae1c00000',
        fields: { 'mk.load.phys': '0x840200000' },
      },
      {
        line: 'kexec-vmlinux: Loading kernel segments to 0x840200000 (buffer=ffffd39ae1c00000, size=0x3e00000)',
        fields: { 'mk.load.phys': '0x840200000' },
      },
      { line: 'kexec-vmlinux: Skipping purgatory for multikernel (direct kernel entry)', fields: {} },
    ],
  },
  {
    event: 'mk.load.cmdline',
    about: 'The command line of the new kernel. It may hold secrets, so only its length becomes a field.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['setup_cmdline: cmdline={:text} len={load.cmdline.chars:int} offset=', 'setup_cmdline: cmd_line_ptr={load.phys:hex} '],
    samples: [
      {
        line: 'kexec-bzImage64: setup_cmdline: cmdline=rdinit=/init console=mktty0 panic=-1 len=37 offset=4096',
        fields: { 'mk.load.cmdline.chars': '37' },
      },
      {
        line: 'kexec-bzImage64: setup_cmdline: cmd_line_ptr=0xf9612000 ext=0xd (phys=0xdf9612000)',
        fields: { 'mk.load.phys': '0xf9612000' },
      },
    ],
  },
  {
    event: 'mk.instance.mem',
    about: 'Memory of an instance: at load and again at the start, or when it changes.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: [
      'mk_e820: instance {instance.id:int}: {mem.mb:int} MB RAM in {mem.regions:int} regions',
      '{Added|Removed} memory region {mem.start:hex}-{mem.end:hex} ({mem.mb:int} MB) {to|from} instance {instance.id:int} ({instance.name:text})',
    ],
    samples: [
      {
        line: 'mk_e820: instance 3: 2048 MB RAM in 1 regions',
        fields: { 'mk.instance.id': '3', 'mk.mem.mb': '2048', 'mk.mem.regions': '1' },
      },
      {
        line: 'Added memory region 0xdf9600000-0xe195fffff (512 MB) to instance 3 (web-1)',
        fields: {
          'mk.mem.start': '0xdf9600000',
          'mk.mem.end': '0xe195fffff',
          'mk.mem.mb': '512',
          'mk.instance.id': '3',
          'mk.instance.name': 'web-1',
        },
      },
    ],
  },
  {
    event: 'mk.instance.unloaded',
    about: 'The image of an instance is dropped.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Unloading kernel from multikernel instance {instance.id:int}'],
    samples: [{ line: 'kexec_file: Unloading kernel from multikernel instance 3', fields: { 'mk.instance.id': '3' } }],
  },
  {
    event: 'mk.instance.start.begin',
    about: 'A CPU is handed over to a new kernel. The line does not say whose: the next one that says «active» does.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: [
      'multikernel kexec: using physical CPU {cpu.physical:int} (logical {cpu.logical:int}), {cpu.count:int} CPUs assigned',
      'multikernel kexec: using {?physical }CPU {cpu.physical:int}',
    ],
    samples: [
      {
        line: 'kexec_core: multikernel kexec: using physical CPU 8 (logical 4), 2 CPUs assigned',
        fields: { 'mk.cpu.physical': '8', 'mk.cpu.logical': '4', 'mk.cpu.count': '2' },
      },
      { line: 'kexec_core: multikernel kexec: using CPU 8', fields: { 'mk.cpu.physical': '8' } },
    ],
  },
  {
    event: 'mk.instance.start.detail',
    about: 'What a new kernel is handed.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: [
      'Preserving multikernel DTB for instance {instance.id:int}',
      'Preserved DTB for instance {instance.id:int} ({dtb.bytes:int} bytes)',
      'Preserving host IPI buffer: phys={ring.phys:hex}, pages={ring.pages:int}',
      'Added host IPI buffer to manifest',
      'multikernel: added IPI buffer to manifest: phys={ring.phys:hex}, pages={ring.pages:int}',
      'multikernel: finalized manifest for instance {instance.id:int} (size: {manifest.bytes:int} bytes)',
      'kexec_core: Manifest finalized for multikernel instance',
      'multikernel: boot tree for instance {instance.id:int} written ({dtb.bytes:int} bytes)',
    ],
    samples: [
      { line: 'Preserving multikernel DTB for instance 3', fields: { 'mk.instance.id': '3' } },
      { line: 'Preserved DTB for instance 3 (264 bytes)', fields: { 'mk.instance.id': '3', 'mk.dtb.bytes': '264' } },
      { line: 'Preserving host IPI buffer: phys=0x101180000, pages=65', fields: { 'mk.ring.phys': '0x101180000', 'mk.ring.pages': '65' } },
      { line: 'Added host IPI buffer to manifest', fields: {} },
      {
        line: 'multikernel: added IPI buffer to manifest: phys=0x10a480000, pages=65 (263696 bytes)',
        fields: { 'mk.ring.phys': '0x10a480000', 'mk.ring.pages': '65' },
      },
      {
        line: 'multikernel: finalized manifest for instance 3 (size: 580 bytes)',
        fields: { 'mk.instance.id': '3', 'mk.manifest.bytes': '580' },
      },
      { line: 'kexec_core: Manifest finalized for multikernel instance', fields: {} },
      { line: 'multikernel: boot tree for instance 3 written (912 bytes)', fields: { 'mk.instance.id': '3', 'mk.dtb.bytes': '912' } },
    ],
  },
  {
    event: 'mk.ikc.ring.reset',
    about: 'The ring of an instance is emptied: what was matched before counts no more.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Initialized IPI ring buffer for instance {instance.id:int}: phys={ring.phys:hex}'],
    samples: [
      {
        line: 'Initialized IPI ring buffer for instance 3: phys=0x10a480000',
        fields: { 'mk.instance.id': '3', 'mk.ring.phys': '0x10a480000' },
      },
    ],
  },
  {
    event: 'mk.instance.active',
    about: 'A kernel was started. It says nothing of how that kernel fares.',
    level: 'info',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Multikernel instance {instance.id:int} is now active'],
    samples: [{ line: 'Multikernel instance 3 is now active', fields: { 'mk.instance.id': '3' } }],
  },
  {
    event: 'mk.instance.start.error',
    about: 'A kernel could not be started or loaded.',
    level: 'err',
    side: 'host',
    prefix: 'mk.',
    patterns: [
      'No multikernel image found with ID {instance.id:int}',
      'Multikernel instance {instance.id:int} is still active',
      'Multikernel instance {instance.id:int} is not ready to spawn (state={instance.state.number:int})',
      'Instance {instance.id:int} still has running CPUs, refusing to reload its image',
      'mk_spawn: Spawn context layout mismatch',
    ],
    samples: [
      { line: 'No multikernel image found with ID 3', fields: { 'mk.instance.id': '3' } },
      { line: 'Multikernel instance 3 is still active', fields: { 'mk.instance.id': '3' } },
      {
        line: 'Multikernel instance 3 is not ready to spawn (state=1)',
        fields: { 'mk.instance.id': '3', 'mk.instance.state.number': '1' },
      },
      { line: 'Instance 3 still has running CPUs, refusing to reload its image', fields: { 'mk.instance.id': '3' } },
      {
        line: 'mk_spawn: Spawn context layout mismatch - host and spawn kernels must be built from the same source',
        fields: {},
      },
    ],
  },
  {
    event: 'mk.instance.lost',
    about: 'An instance stopped without saying so.',
    level: 'warn',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Multikernel instance {instance.id:int} stopped without a halt notification'],
    samples: [{ line: 'Multikernel instance 3 stopped without a halt notification; recovering it', fields: { 'mk.instance.id': '3' } }],
  },
  {
    event: 'mk.cpu.handoff.error',
    about: 'A CPU of the pool did not take its work.',
    level: 'err',
    side: 'host',
    prefix: 'mk.',
    patterns: [
      'mk_spawn: {:text}: CPU (APIC {cpu.physical:int}) did not claim wakeup on slot {park.slot:hex}',
      'mk_spawn: CPU {cpu.physical:int} is parked nowhere',
    ],
    samples: [
      {
        line: 'mk_spawn: mk_wake_cpu: CPU (APIC 10) did not claim wakeup on slot 0x0000000df960e080 - CPU is not parked there',
        fields: { 'mk.cpu.physical': '10', 'mk.park.slot': '0xdf960e080' },
      },
      { line: 'mk_spawn: CPU 10 is parked nowhere: no slot holds it', fields: { 'mk.cpu.physical': '10' } },
    ],
  },
];
