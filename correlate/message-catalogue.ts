/**
 * The messages by which a kernel tells what it does, as data: the table of all entries. An entry is one kind of event, with the
 * patterns of all generations of Multikernel that print it, what the kernel's level of it is, and samples that are run by the
 * tests. A section is one file below `messages/`. Patterns: message-pattern.ts. docs/messages.md is checked against the table.
 */
import type { LevelName } from '../model/severity.ts';
import { BOOT_MESSAGES } from './messages/boot.ts';
import { HALT_MESSAGES } from './messages/halt.ts';
import { HOTPLUG_MESSAGES } from './messages/hotplug.ts';
import { IKC_MESSAGES } from './messages/ikc.ts';
import { INIT_MESSAGES } from './messages/init.ts';
import { INSTANCE_MESSAGES } from './messages/instances.ts';
import { LOAD_MESSAGES } from './messages/load.ts';
import { MARKER_MESSAGES } from './messages/markers.ts';
import { POOL_MESSAGES } from './messages/pool.ts';
import { TRANSPORT_MESSAGES } from './messages/transports.ts';

export interface MessageSample {
  readonly line: string;
  /** Attributes that come out, all of them, as text. */
  readonly fields: Readonly<Record<string, string>>;
}

export interface MessageRule {
  /** EventName of the row. */
  readonly event: string;
  /** One sentence for a person. */
  readonly about: string;
  /** As the kernel prints it; what a row has that came without a level. */
  readonly level: LevelName;
  /** Which kernel prints it. */
  readonly side: 'host' | 'spawn' | 'both';
  /** User space prints it: rows of the kernel are not taken, and only here rows of user space are. `either`: both are. */
  readonly fromUser?: true | 'either';
  /** Put in front of a field's name: the attribute. */
  readonly prefix: string;
  readonly patterns: readonly string[];
  /** A field that holds a JSON object: attributes are its members (marker-fields.ts). */
  readonly json?: string;
  /** Looks like a fault and is none (attribute `mk.benign`). */
  readonly benign?: BenignCase;
  /** Rows that follow another one within this time, with nothing but these between them, are one event (attribute `mk.repeat`). */
  readonly repeatsWithinMs?: number;
  readonly samples: readonly MessageSample[];
}

export interface BenignCase {
  readonly why: string;
  /** Only where this event came before it with the same value of this field; without it, always. */
  readonly after?: { readonly event: string; readonly field: string };
}

/** Rules in table order: of several that take a line the first one wins. */
export const MESSAGE_SECTIONS: readonly { readonly title: string; readonly rules: readonly MessageRule[] }[] = [
  { title: 'Initialisation', rules: INIT_MESSAGES },
  { title: 'Pool', rules: POOL_MESSAGES },
  { title: 'Creating and removing instances', rules: INSTANCE_MESSAGES },
  { title: 'Loading and starting', rules: LOAD_MESSAGES },
  { title: 'Boot of a spawned kernel', rules: BOOT_MESSAGES },
  { title: 'Hot-plug', rules: HOTPLUG_MESSAGES },
  { title: 'Halt and crash', rules: HALT_MESSAGES },
  { title: 'Messages between kernels', rules: IKC_MESSAGES },
  { title: 'Transports and devices', rules: TRANSPORT_MESSAGES },
  { title: 'Markers on the console', rules: MARKER_MESSAGES },
];

export const MESSAGE_RULES: readonly MessageRule[] = MESSAGE_SECTIONS.flatMap(({ rules }) => rules);
