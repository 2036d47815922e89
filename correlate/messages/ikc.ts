/** Messages between kernels, as far as the kernel's log tells of them. Spec: kernel/multikernel/messaging.c, ipi.c, hotplug.c, core.c. */
import type { MessageRule } from '../message-catalogue.ts';

export const IKC_MESSAGES: readonly MessageRule[] = [
  {
    event: 'mk.ikc.send',
    about: 'A message goes to an instance (dynamic debug).',
    level: 'debug',
    side: 'both',
    prefix: 'mk.',
    patterns: ['Multikernel message sent: type={ikc.type:hex}, subtype={ikc.subtype:hex}, len={ikc.length:int} to instance {ikc.to:int}'],
    samples: [
      {
        line: 'Multikernel message sent: type=0x2000, subtype=0x2001, len=20 to instance 3',
        fields: { 'mk.ikc.type': '0x2000', 'mk.ikc.subtype': '0x2001', 'mk.ikc.length': '20', 'mk.ikc.to': '3' },
      },
      {
        line: '[1234] core:mk_send_message:212: Multikernel message sent: type=0x3000, subtype=0x3002, len=8 to instance 3',
        fields: { 'mk.ikc.type': '0x3000', 'mk.ikc.subtype': '0x3002', 'mk.ikc.length': '8', 'mk.ikc.to': '3' },
      },
    ],
  },
  {
    event: 'mk.ikc.recv',
    about: 'A message came, from the kernel that owns this physical CPU (dynamic debug).',
    level: 'debug',
    side: 'both',
    prefix: 'mk.',
    patterns: [
      '{?[EO] }Multikernel message received: type={ikc.type:hex}, subtype={ikc.subtype:hex}, len={ikc.length:int} from CPU {ikc.from_cpu:int}',
    ],
    samples: [
      {
        line: 'Multikernel message received: type=0x2000, subtype=0x2100, len=16 from CPU 8',
        fields: { 'mk.ikc.type': '0x2000', 'mk.ikc.subtype': '0x2100', 'mk.ikc.length': '16', 'mk.ikc.from_cpu': '8' },
      },
      {
        line: '[EO] Multikernel message received: type=0x3000, subtype=0x3004, len=8 from CPU 10',
        fields: { 'mk.ikc.type': '0x3000', 'mk.ikc.subtype': '0x3004', 'mk.ikc.length': '8', 'mk.ikc.from_cpu': '10' },
      },
      {
        line: '<intr> core:mk_message_type_ipi_callback:98: Multikernel message received: type=0x2000, subtype=0x2001, len=20 from CPU 0',
        fields: { 'mk.ikc.type': '0x2000', 'mk.ikc.subtype': '0x2001', 'mk.ikc.length': '20', 'mk.ikc.from_cpu': '0' },
      },
    ],
  },
  {
    event: 'mk.ikc.ack',
    about: 'An answer to a request of the host.',
    level: 'info',
    side: 'both',
    prefix: 'mk.',
    patterns: ['Multikernel hotplug: ACK op={ikc.operation:hex} resource={ikc.resource:int} result={ikc.result:int}'],
    samples: [
      {
        line: 'Multikernel hotplug: ACK op=0x2001 resource=8 result=0',
        fields: { 'mk.ikc.operation': '0x2001', 'mk.ikc.resource': '8', 'mk.ikc.result': '0' },
      },
    ],
  },
  {
    event: 'mk.ikc.timeout',
    about: 'A request got no answer in time.',
    level: 'err',
    side: 'both',
    prefix: 'mk.',
    patterns: ['Timeout waiting for operation {ikc.operation:hex} on resource {ikc.resource:int}'],
    samples: [
      {
        line: 'Timeout waiting for operation 0x2001 on resource 8',
        fields: { 'mk.ikc.operation': '0x2001', 'mk.ikc.resource': '8' },
      },
    ],
  },
  {
    event: 'mk.ikc.ring_full',
    about: 'A message could not be sent: the ring of its receiver is full.',
    level: 'warn',
    side: 'both',
    prefix: 'mk.',
    patterns: ['IPI ring{? buffer} full for instance {ikc.to:int}{? (head={ikc.head:int}, tail={ikc.tail:int})}'],
    samples: [
      {
        line: 'multikernel: IPI ring full for instance 3 (head=129, tail=66)',
        fields: { 'mk.ikc.to': '3', 'mk.ikc.head': '129', 'mk.ikc.tail': '66' },
      },
      {
        line: 'IPI ring buffer full for instance 3 (head=1, tail=2)',
        fields: { 'mk.ikc.to': '3', 'mk.ikc.head': '1', 'mk.ikc.tail': '2' },
      },
      { line: 'multikernel: IPI ring full for instance 3', fields: { 'mk.ikc.to': '3' } },
    ],
  },
  {
    event: 'mk.ikc.send.error',
    about: 'A message could not be sent.',
    level: 'err',
    side: 'both',
    prefix: 'mk.',
    patterns: [
      'Failed to send multikernel message: {errno:int}',
      'Multikernel message too large: {ikc.length:int} > {ikc.most:int} bytes',
      'multikernel: oversized IPI payload ({ikc.length:int} bytes) for instance {ikc.to:int}',
      'multikernel: IPI producer busy for instance {ikc.to:int}',
      'multikernel: IPI publish failed for instance {ikc.to:int}: {errno:int}',
    ],
    samples: [
      { line: 'Failed to send multikernel message: -28', fields: { 'mk.errno': '-28' } },
      { line: 'Multikernel message too large: 5000 > 4072 bytes', fields: { 'mk.ikc.length': '5000', 'mk.ikc.most': '4072' } },
      { line: 'multikernel: oversized IPI payload (5000 bytes) for instance 3', fields: { 'mk.ikc.length': '5000', 'mk.ikc.to': '3' } },
      { line: 'multikernel: IPI producer busy for instance 3', fields: { 'mk.ikc.to': '3' } },
      { line: 'multikernel: IPI publish failed for instance 3: -11', fields: { 'mk.ikc.to': '3', 'mk.errno': '-11' } },
    ],
  },
  {
    event: 'mk.ikc.recv.error',
    about: 'A message came that could not be read or has no taker.',
    level: 'warn',
    side: 'both',
    prefix: 'mk.',
    patterns: [
      'Multikernel message type mismatch: expected {ikc.expected:hex}, got {ikc.type:hex}',
      'Multikernel message too small',
      'Multikernel message payload length invalid: {ikc.length:int} > {ikc.most:int}',
      'Multikernel message received but no handler registered',
      'Multikernel IPI slot {ikc.slot:int} has bad size {ikc.length:int}',
    ],
    samples: [
      {
        line: 'Multikernel message type mismatch: expected 0x2000, got 0x3000',
        fields: { 'mk.ikc.expected': '0x2000', 'mk.ikc.type': '0x3000' },
      },
      { line: 'Multikernel message too small: 8 < 24', fields: {} },
      {
        line: 'Multikernel message payload length invalid: 5000 > 4072',
        fields: { 'mk.ikc.length': '5000', 'mk.ikc.most': '4072' },
      },
      { line: 'Multikernel message received but no handler registered', fields: {} },
      { line: 'Multikernel IPI slot 5 has bad size 4200', fields: { 'mk.ikc.slot': '5', 'mk.ikc.length': '4200' } },
    ],
  },
  {
    event: 'mk.ikc.handler',
    about: 'A part of the kernel begins or ceases to take messages of a type.',
    level: 'debug',
    side: 'both',
    prefix: 'mk.',
    patterns: ['{Registered|Unregistered} multikernel message handler for type {ikc.type:hex}'],
    samples: [
      { line: 'Registered multikernel message handler for type 0x5000', fields: { 'mk.ikc.type': '0x5000' } },
      { line: 'Unregistered multikernel message handler for type 0x5000', fields: { 'mk.ikc.type': '0x5000' } },
    ],
  },
  {
    event: 'mk.ikc.error',
    about: 'A message is not understood, or comes from an instance that is not known.',
    level: 'warn',
    side: 'both',
    prefix: 'mk.',
    patterns: [
      'Handler for message type {ikc.type:hex} already registered',
      'Multikernel hotplug: Unknown resource subtype: {ikc.subtype:hex}',
      'Shutdown ACK from unknown instance {instance.id:int}',
    ],
    samples: [
      { line: 'Handler for message type 0x5000 already registered', fields: { 'mk.ikc.type': '0x5000' } },
      { line: 'Multikernel hotplug: Unknown resource subtype: 0x2009', fields: { 'mk.ikc.subtype': '0x2009' } },
      { line: 'Shutdown ACK from unknown instance 9', fields: { 'mk.instance.id': '9' } },
    ],
  },
  {
    event: 'mk.ikc.error',
    about: 'A message failed to be handled, or there is nowhere to send it.',
    level: 'err',
    side: 'both',
    prefix: 'mk.',
    patterns: [
      'Multikernel hotplug: Handler failed with error: {errno:int}',
      'Multikernel hotplug: Failed to send ACK for {ikc.what:text}: {errno:int}',
      'Instance {instance.id:int} has no CPU to receive the IPI',
      'Multikernel IPI buffer not available for instance {instance.id:int}',
    ],
    samples: [
      { line: 'Multikernel hotplug: Handler failed with error: -22', fields: { 'mk.errno': '-22' } },
      { line: 'Multikernel hotplug: Failed to send ACK for CPU 8: -28', fields: { 'mk.ikc.what': 'CPU 8', 'mk.errno': '-28' } },
      { line: 'Instance 3 has no CPU to receive the IPI', fields: { 'mk.instance.id': '3' } },
      { line: 'Multikernel IPI buffer not available for instance 3', fields: { 'mk.instance.id': '3' } },
    ],
  },
  {
    event: 'mk.instance.state',
    about: 'An instance goes from one state to another (dynamic debug).',
    level: 'debug',
    side: 'host',
    prefix: 'mk.',
    patterns: ['Instance {instance.id:int} ({instance.name:text}) state: {instance.state.old:word} -> {instance.state:word}'],
    samples: [
      {
        line: 'Instance 3 (web-1) state: loaded -> active',
        fields: { 'mk.instance.id': '3', 'mk.instance.name': 'web-1', 'mk.instance.state.old': 'loaded', 'mk.instance.state': 'active' },
      },
      {
        line: '[812] core:mk_instance_set_state:77: Instance 3 (web-1) state: loading -> active',
        fields: { 'mk.instance.id': '3', 'mk.instance.name': 'web-1', 'mk.instance.state.old': 'loading', 'mk.instance.state': 'active' },
      },
    ],
  },
];
