/** Query parameters of the API: what each endpoint takes, checked; an unknown or wrong one is a 400 that names it. */
import { z } from 'zod';
import { OperationalError } from '../base/errors.ts';
import { parseLogUid } from '../model/log-uid.ts';
import { parseLevel } from '../model/severity.ts';

const MAX_ROWS = 5_000;
const MAX_WIDTH = 8_192;

/** Unix ns as a decimal string, within ClickHouse's DateTime64(9). */
const timeNs = z
  .string()
  .refine((text) => /^\d{1,19}$/.test(text) && BigInt(text) < 2n ** 63n, 'must be Unix nanoseconds in decimal, before the year 2262');
const text = z.string().min(1).max(1_000);
const integer = (least: number, most: number) => z.coerce.number().int().min(least).max(most);
const level = z.string().transform((name, context) => {
  const found = parseLevel(name);
  if (found === undefined) context.addIssue({ code: 'custom', message: 'must be 0 … 7 or a level name' });
  return found ?? 7;
});
const logUid = z.string().refine((name) => parseLogUid(name) !== undefined, 'must be the uid of a log row');
const limit = integer(1, MAX_ROWS).optional();
const range = { from: timeNs.optional(), to: timeNs.optional() };
const page = { limit, cursor: z.string().max(2_000).optional() };
const logFilter = {
  kernel: text.optional(),
  boot: text.optional(),
  level: level.optional(),
  stream: text.optional(),
  event: text.optional(),
  search: text.optional(),
  regex: text.optional(),
};

export const NO_PARAMS = z.strictObject({});
export const LOG_PARAMS = z.strictObject({ ...logFilter, uid: logUid.optional(), ...range, ...page });
export const LIVE_PARAMS = z.strictObject(logFilter);
export const EVENT_PARAMS = z.strictObject({
  kernel: text.optional(),
  boot: text.optional(),
  event: text.optional(),
  cpu: integer(0, 65_535).optional(),
  pid: integer(0, 2 ** 31 - 1).optional(),
  search: text.optional(),
  ...range,
  ...page,
});
export const EVENT_NAME_PARAMS = z.strictObject({ kernel: text.optional(), boot: text.optional() });
export const TIMELINE_PARAMS = z.strictObject({ boot: text, ...range, width: integer(1, MAX_WIDTH).default(1_600) });
export const SERIES_PARAMS = z.strictObject({
  name: text,
  kernel: text.optional(),
  boot: text.optional(),
  ...range,
  step_ms: integer(100, 86_400_000).optional(),
});
export const GAP_PARAMS = z.strictObject({ kernel: text.optional(), boot: text.optional(), ...range, limit });
const ikcFilter = { kernel: text.optional(), machine: text.optional(), ...range };
export const IKC_PARAMS = z.strictObject(ikcFilter);
export const IKC_MESSAGE_PARAMS = z.strictObject({
  ...ikcFilter,
  sender: text.optional(),
  receiver: text.optional(),
  type: text.optional(),
  state: text.optional(),
  reason: text.optional(),
  trace: text.optional(),
  exchange: text.optional(),
  order: z.enum(['newest', 'slowest']).optional(),
  limit,
});
export const INCIDENT_PARAMS = z.strictObject({
  kernel: text.optional(),
  machine: text.optional(),
  state: z.enum(['open', 'resolved']).optional(),
  kind: text.optional(),
  severity: text.optional(),
  ...range,
  limit,
});
export const EXPORT_PARAMS = z.strictObject({ redact: z.enum(['0', '1']).optional() });
export const IKC_LATENCY_PARAMS = z.strictObject({
  ...ikcFilter,
  sender: text.optional(),
  receiver: text.optional(),
  columns: integer(1, 1_000).optional(),
});
export const TRACE_PARAMS = z.strictObject({
  kernel: text.optional(),
  name: text.optional(),
  min_duration_ns: integer(0, Number.MAX_SAFE_INTEGER).optional(),
  ...range,
  limit: integer(1, 1_000).optional(),
});
export const IMPORT_PARAMS = z.strictObject({
  name: text,
  kernel: z.string().min(1).max(128).optional(),
  kernel_id: integer(0, 65_535).optional(),
  format: text.optional(),
  time_zero: timeNs.optional(),
  modified: timeNs.optional(),
  modified_error: timeNs.optional(),
  machine: z.string().min(1).max(128).optional(),
});
export const RECORDER_BODY = z.strictObject({ machine: text.optional(), from: timeNs, to: timeNs });
export const SQL_BODY = z.strictObject({ sql: z.string().min(1).max(262_144) });

export type Schema<T> = { safeParse(input: unknown): { success: true; data: T } | { success: false; error: z.ZodError } };

/** The checked parameters of a request; throws E_REQUEST that names the wrong one. Keys without a value are left out. */
export function readParams<T>(url: string, schema: Schema<T>): Defined<T> {
  const given: Record<string, string> = {};
  for (const [key, value] of new URL(url).searchParams) {
    if (given[key] !== undefined) throw refuse(`parameter ${key} is given twice`);
    if (value !== '') given[key] = value;
  }
  return readInput(given, schema, 'parameter');
}

/** Input checked against `schema`; `what` names it in the error. */
export function readInput<T>(input: unknown, schema: Schema<T>, what: string): Defined<T> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data as Defined<T>;
  const [issue] = parsed.error.issues;
  // A name that is not known explains a missing one.
  const unknown = parsed.error.issues.find((found) => found.code === 'unrecognized_keys');
  if (unknown !== undefined) throw refuse(`unknown ${what} ${unknown.keys.join(', ')}`);
  throw refuse(`${what} ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is wrong'}`);
}

/** Zod leaves absent optional keys out, so `undefined` never stands as a value (exactOptionalPropertyTypes). */
export type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

function refuse(message: string): OperationalError {
  return new OperationalError('E_REQUEST', message, 'docs/api.md lists the parameters of each address');
}
