/** Where the fields of sched_switch lie in the table `events`, for every format of it that is stored. */
import type { FieldKind } from '../../model/event-batch.ts';
import { slotExpression } from '../event-formats.ts';
import type { Store } from '../store.ts';

/** SQL expressions over `events`. */
export interface SwitchColumns {
  readonly prevPid: string;
  readonly prevComm: string;
  readonly nextPid: string;
  readonly nextComm: string;
}

export interface FormatSlots {
  readonly formatId: string;
  readonly names: readonly string[];
  readonly kinds: readonly FieldKind[];
  readonly slots: readonly number[];
}

export async function parseSlots(store: Store): Promise<FormatSlots[]> {
  return store.query<FormatSlots>(
    `SELECT toString(FormatId) AS formatId, FieldNames AS names, FieldKinds AS kinds,
       arrayMap(slot -> toInt32(slot), FieldSlots) AS slots
     FROM event_formats WHERE Event = 'sched_switch' ORDER BY formatId`,
  );
}

/** undefined where no kernel has sent sched_switch. */
export function switchColumns(formats: readonly FormatSlots[]): SwitchColumns | undefined {
  if (formats.length === 0) return undefined;
  return {
    prevPid: pick(formats, 'prev_pid', '0', toNumber),
    prevComm: pick(formats, 'prev_comm', "''", toText),
    nextPid: pick(formats, 'next_pid', '0', toNumber),
    nextComm: pick(formats, 'next_comm', "''", toText),
  };
}

/** One expression where all formats agree (the usual case), else a choice by format. */
function pick(
  formats: readonly FormatSlots[],
  field: string,
  missing: string,
  convert: (expression: string, kind: FieldKind) => string,
): string {
  const byFormat = formats.map((format) => {
    const at = format.names.indexOf(field);
    const kind = format.kinds[at];
    const slot = format.slots[at];
    return {
      formatId: format.formatId,
      sql: kind === undefined || slot === undefined ? missing : convert(slotExpression(slot, kind), kind),
    };
  });
  const [first] = byFormat;
  if (first === undefined) return missing;
  if (byFormat.every(({ sql }) => sql === first.sql)) return first.sql;
  const branches = byFormat.map(({ formatId, sql }) => `FormatId = ${formatId}, ${sql}`);
  return `multiIf(${branches.join(', ')}, ${missing})`;
}

/** Text traces may hold numbers as text. */
function toNumber(expression: string, kind: FieldKind): string {
  return kind === 'string' ? `toInt64OrZero(toString(${expression}))` : `toInt64(${expression})`;
}

function toText(expression: string): string {
  return `toString(${expression})`;
}
