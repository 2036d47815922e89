/**
 * The lab's module (deploy/lab/mkikc): Multikernel's functions and layouts of tag v7.0-mk2, so the pack is that one's, without the
 * console and the functions that the module lacks. deploy/lab/guest/probes is this pack as the lab's forwarders get it.
 */
import type { IkcEvent, IkcPack, IkcSample } from '../ikc-pack.ts';
import { multikernel } from './multikernel.ts';

const EVENTS = [
  'mk_send',
  'mk_send_ret',
  'ipi_send',
  'ipi_send_ret',
  'ipi_irq',
  'mk_recv',
  'pend_add',
  'pend_done',
  'pend_wait_ret',
  'state',
];

/** Without the payload: in the lab it holds the number by which the truth is told, and no message must be matched by that. */
function withoutPayload({ fields: { payload: _payload, ...fields }, probe, ...rest }: IkcEvent): IkcEvent {
  if (probe === undefined) return { ...rest, fields };
  return { ...rest, fields, probe: { ...probe, args: probe.args.replaceAll(/ p\d=\S+/g, '') } };
}

function withoutPayloadFields(sample: IkcSample): IkcSample {
  const events = sample.events.map((one) => ({
    ...one,
    fields: Object.fromEntries(Object.entries(one.fields).filter(([name]) => !/^p\d$/.test(name))),
  }));
  return { ...sample, events };
}

export const lab: IkcPack = {
  ...multikernel,
  name: 'lab',
  title: 'messages between the kernels of the lab',
  events: EVENTS.flatMap((name) => multikernel.events.filter(({ event }) => event === `ikc:${name}`).map(withoutPayload)),
  rings: { g2: { slots: 64, slotBytes: 4120, headerBytes: 8 } },
  samples: multikernel.samples
    .filter(({ events }) => events.every(({ event }) => EVENTS.includes(event.slice('ikc:'.length))))
    .map(withoutPayloadFields),
};
