/**
 * Where the fields of an event lie in the table `events`: integers in the columns I0 … I11, texts in S0 … S3, in the order of
 * the event's own format, and what goes beyond that in the arrays IX and SX. The layout follows from the format alone, so
 * every hub comes to the same one without asking, and a row needs only the format's id to be read
 * (docs/decisions/001-event-fields.md).
 *
 *   sched_switch:  prev_comm  prev_pid  prev_prio  prev_state  next_comm  next_pid  next_prio
 *                  S0         I0        I1         I2          S1         I3        I4
 *   slots          -1         1         2          3           -2         4         5
 */
import { createHash } from 'node:crypto';
import type { EventSchema, FieldKind } from '../model/event-batch.ts';

export const INTEGER_SLOTS = 12;
export const TEXT_SLOTS = 4;

export interface EventLayout {
  /** 63-bit hash of the event's name and of its fields' names and kinds. */
  readonly formatId: bigint;
  /** By field: k > 0 = the k-th integer of the event, k < 0 = its -k-th text. */
  readonly slots: readonly number[];
  readonly integers: number;
  readonly texts: number;
}

const layouts = new WeakMap<EventSchema, EventLayout>();

export function layoutOf(schema: EventSchema): EventLayout {
  const known = layouts.get(schema);
  if (known !== undefined) return known;
  let integers = 0;
  let texts = 0;
  const slots = schema.fields.map((field) => (field.kind === 'string' ? -++texts : ++integers));
  const layout = { formatId: hashFormat(schema), slots, integers, texts };
  layouts.set(schema, layout);
  return layout;
}

function hashFormat(schema: EventSchema): bigint {
  const hash = createHash('sha256').update(schema.name);
  for (const field of schema.fields) hash.update(`\n${field.kind} ${field.hex ? 'hex ' : ''}${field.name}`);
  // 63 bits: the id also fits where only signed integers do.
  return hash.digest().readBigUInt64LE(0) >> 1n;
}

/** The column, or array element, of a slot, as SQL over `events`. */
export function slotExpression(slot: number, kind: FieldKind): string {
  if (slot < 0) return -slot <= TEXT_SLOTS ? `S${-slot - 1}` : `SX[${-slot - TEXT_SLOTS}]`;
  const integer = slot <= INTEGER_SLOTS ? `I${slot - 1}` : `IX[${slot - INTEGER_SLOTS}]`;
  return kind === 'uint64' ? `reinterpretAsUInt64(${integer})` : integer;
}
