/**
 * An IKC pack as data: which functions of a kernel send and receive messages between kernels, how to probe them, and what the
 * fields of such an event mean. A protocol is a file in `ikc-packs/`; its samples are part of it and are run by the tests.
 *
 *   mk_send_message(int instance, u32 type, u32 subtype, void *payload, u32 length)
 *   p:ikc/mk_send mk_send_message inst=$arg1:s32 type=$arg2:x32 sub=$arg3:x32 len=$arg5:u32     one `IkcProbe`
 *     ikc:mk_send inst=1 type=0x4000 sub=0x1 len=64    ──┐ role send: peer, type, subtype, length
 *     ikc:mk_send_ret ret=0                            ──┘ role send_return: error
 *
 * Arguments are written in the portable form `$argN`; on x86-64 they become registers, which kernels before 4.20 know too.
 */

export type IkcRole =
  /** A message is about to be sent; `send_return` of the same task says whether it was. */
  | 'send'
  | 'send_return'
  /** The layer below: within a `send` it narrows the moment of the claim, alone it is a message without a subtype. */
  | 'inner_send'
  | 'inner_return'
  | 'receive'
  /** A sending that was refused, where the kernel has an event for it. */
  | 'failed'
  /** The receiver's interrupt, once for any number of messages: not matched. */
  | 'interrupt'
  /** A request that waits for an answer, the answer, and the end of the wait. */
  | 'request'
  | 'answer'
  | 'request_end'
  /** A change of an instance's state: not matched. */
  | 'state';

/** What a field of an event stands for. */
export interface IkcFields {
  /** Kernel that the message goes to. */
  readonly peer?: string;
  /** Physical CPU that the message comes from; its owner is the sender. */
  readonly fromCpu?: string;
  /** Kernel that the message comes from, where the receiver is told. */
  readonly fromKernel?: string;
  readonly type?: string;
  readonly subtype?: string;
  /** Bytes of payload. */
  readonly length?: string;
  /** Bytes with the header, where there is no `length`. */
  readonly size?: string;
  /** Address of the ring's slot. */
  readonly slot?: string;
  /** Return value: below 0 is an errno. */
  readonly error?: string;
  readonly operation?: string;
  readonly resource?: string;
  readonly result?: string;
  /** Further fields that a send and its receive have in common. */
  readonly keys?: readonly string[];
  /** Words of eight bytes from the beginning of the payload, which both ends have; those beyond the length count as nothing. */
  readonly payload?: readonly string[];
  /** Which of several rings or links of two kernels: order is kept within one only. */
  readonly queue?: string;
}

export interface IkcProbe {
  /** `return` = a kretprobe. */
  readonly at: 'entry' | 'return';
  readonly function: string;
  /** Where the function is in a module that may be loaded later. */
  readonly module?: string;
  /** As in kprobe_events, with `$argN`. */
  readonly args: string;
}

export interface IkcEvent {
  /** `ikc:mk_send`. */
  readonly event: string;
  readonly role: IkcRole;
  readonly fields: IkcFields;
  /** What the event does not say because it is always the same. */
  readonly fixed?: { readonly peer?: number; readonly type?: number; readonly subtype?: number; readonly queue?: number };
  /** Added to a length so that both ends count the same bytes. */
  readonly lengthBias?: number;
  /** Not there = an event that the kernel has anyhow. */
  readonly probe?: IkcProbe;
  /** Which events of this name it is (event-filter.ts); of several entries the first one takes an event. Not there = all. */
  readonly filter?: string;
  /** Layouts and signatures differ: generations of the tree in which this one stands; not there = all. */
  readonly generations?: readonly string[];
}

/** A line that a kernel without probes prints: an event of the message catalogue, or of a user's own. */
export interface IkcLine {
  /** EventName of the row. */
  readonly event: string;
  readonly role: 'send' | 'receive' | 'failed';
  /** Attribute of each field. */
  readonly fields: IkcFields;
  readonly fixed?: IkcEvent['fixed'];
}

export interface IkcRing {
  readonly slots: number;
  /** Bytes of a slot, and of what stands in front of the first one; 0 = the field is no address but the position itself. */
  readonly slotBytes: number;
  readonly headerBytes: number;
}

export interface IkcPack {
  /** How a configuration and `messaging.system` name it. */
  readonly name: string;
  readonly title: string;
  readonly events: readonly IkcEvent[];
  readonly lines?: readonly IkcLine[];
  /** By generation; the first is the default. */
  readonly rings: Readonly<Record<string, IkcRing>>;
  /** Bytes of a message's header: what `size` has beyond `length`. */
  readonly headerBytes: number;
  /** Types whose messages have no header. */
  readonly rawTypes: readonly number[];
  readonly typeNames: Readonly<Record<number, string>>;
  readonly subtypeNames: Readonly<Record<number, string>>;
  /** Subtypes that answer others. */
  readonly answerSubtypes: readonly number[];
  readonly samples: readonly IkcSample[];
}

/** An event as the kernel's text has it, and the message half that it makes. */
export interface IkcSample {
  readonly title: string;
  readonly events: readonly {
    readonly event: string;
    readonly atNs: number;
    readonly cpu?: number;
    readonly pid?: number;
    readonly flags?: number;
    readonly fields: Readonly<Record<string, number | bigint | string>>;
  }[];
  readonly halves: readonly {
    readonly kind: 'send' | 'receive' | 'failed';
    readonly atNs: number;
    readonly peer?: number;
    readonly fromCpu?: number;
    readonly type: number;
    readonly subtype?: number;
    readonly length: number;
    readonly slot?: number;
    readonly error?: number;
  }[];
}

/** Of a message whose record does not tell it. */
export const NO_SUBTYPE = 0xffff_ffff;

const X86_ARGUMENTS = ['%di', '%si', '%dx', '%cx', '%r8', '%r9'];

/** The line for kprobe_events. `arch` as OTLP names it (`amd64`, `arm64`). */
export function toProbeDefinition({ event, probe }: IkcEvent, arch: string): string | undefined {
  if (probe === undefined) return undefined;
  const target = probe.module === undefined ? probe.function : `${probe.module}:${probe.function}`;
  const args =
    arch === 'amd64' ? probe.args.replaceAll(/\$arg([1-6])\b/g, (_, n: string) => X86_ARGUMENTS[Number(n) - 1] as string) : probe.args;
  return `${probe.at === 'entry' ? 'p' : 'r'}:${event.replace(':', '/')} ${target}${args === '' ? '' : ` ${args}`}`;
}

/** Events of a pack that stand in a generation; without one, those of the default. */
export function eventsOf(pack: IkcPack, generation = Object.keys(pack.rings)[0] ?? ''): readonly IkcEvent[] {
  return pack.events.filter(({ generations }) => generations === undefined || generations.includes(generation));
}

/** `RESOURCE`, or the number in hexadecimal where it has no name. */
export function nameOfType(pack: IkcPack | undefined, type: number): string {
  return pack?.typeNames[type] ?? `0x${type.toString(16)}`;
}

/** `CPU_ADD`; empty where the record does not say. */
export function nameOfSubtype(pack: IkcPack | undefined, subtype: number): string {
  if (subtype === NO_SUBTYPE) return '';
  return pack?.subtypeNames[subtype] ?? `0x${subtype.toString(16)}`;
}
