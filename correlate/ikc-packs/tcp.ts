/**
 * Packets over a network between kernels (mk_vnet, a bridge, a real card), by the events of the network core. A packet at the
 * sender still has its Ethernet header of 14 bytes, at the receiver no more:
 *
 *   net:net_dev_start_xmit   name=eth0 protocol=0x0800 len=1514
 *   net:netif_receive_skb    name=eth0 len=1500
 *
 * Nothing here names the peer: a spawned kernel's packets go to the host, and a host with one spawn talks to that one. With more
 * links write a pack of your own with a filter on `name`. Not handled: segments that are merged on the way (GSO, GRO).
 * Source: include/trace/events/net.h.
 */
import type { IkcPack } from '../ikc-pack.ts';

const ETHERNET_HEADER_BYTES = 14;

export const tcp: IkcPack = {
  name: 'tcp',
  title: 'network packets between kernels',
  events: [
    {
      event: 'net:net_dev_start_xmit',
      role: 'send',
      fields: { length: 'len' },
      fixed: { type: 0, subtype: 0 },
      lengthBias: -ETHERNET_HEADER_BYTES,
    },
    { event: 'net:netif_receive_skb', role: 'receive', fields: { length: 'len' }, fixed: { type: 0, subtype: 0 } },
  ],
  rings: { ethernet: { slots: 0, slotBytes: 0, headerBytes: 0 } },
  headerBytes: 0,
  rawTypes: [],
  typeNames: { 0: 'PACKET' },
  subtypeNames: { 0: 'PACKET' },
  answerSubtypes: [],
  samples: [
    {
      title: 'both ends count the same bytes',
      events: [
        { event: 'net:net_dev_start_xmit', atNs: 1000, pid: 5, fields: { name: 'eth0', len: 1514 } },
        { event: 'net:netif_receive_skb', atNs: 9000, fields: { name: 'eth0', len: 1500 } },
      ],
      halves: [
        { kind: 'send', atNs: 1000, type: 0, subtype: 0, length: 1500 },
        { kind: 'receive', atNs: 9000, type: 0, subtype: 0, length: 1500 },
      ],
    },
  ],
};
