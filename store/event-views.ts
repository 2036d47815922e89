/**
 * A view for each kind of event, named like the event, with its fields as columns: `SELECT prev_comm FROM sched_switch`.
 * Where kernels differ in an event's format, the view has the fields of all of them and picks each by the row's format.
 *
 * A view costs 3 ms of CPU time, and a kernel has hundreds of events: they are made when a query names one or looks at what
 * there is, and else once no new formats came for a while, so that nobody waits for them to see rows.
 */
import { messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import type { FieldKind } from '../model/event-batch.ts';
import type { Engine } from './engine.ts';
import { slotExpression } from './event-formats.ts';
import { quoteName, quoteText } from './sql-text.ts';

/** A row of `event_formats`. */
interface FormatRow {
  readonly FormatId: string;
  readonly Name: string;
  readonly Event: string;
  readonly FieldNames: readonly string[];
  readonly FieldKinds: readonly FieldKind[];
  readonly FieldSlots: readonly string[];
}

/** What every view starts with. */
const SHARED_COLUMNS = `Timestamp, RawTime, MachineId, MachineName, KernelId, KernelName, BootId, Stream, ClockDomain, ClockErrorNs, Cpu, Pid,
  Comm, Flags, PreemptCount`;
const SHARED_NAMES = new Set(SHARED_COLUMNS.split(/[\s,]+/));
/** A kernel chooses these names: only what reads as a plain name gets a view, and no kernel gets more than this many. */
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,99}$/;
const MAX_VIEWS = 4000;
/** New formats come one after the other when a kernel begins to trace. */
const QUIET_MS = 3000;
/** A query of what views there are. */
const CATALOGUE = /\bsystem\b|\binformation_schema\b|\bshow\b|\bdescribe\b|\bexists\b|\bmerge\b/i;

const log = createLogger('store');

export class EventViews {
  readonly #engine: Engine;
  /** View name → the event it shows. */
  readonly #owners = new Map<string, string>();
  /** Event → its formats that its view knows. */
  readonly #formats = new Map<string, readonly FormatRow[]>();
  /** Tables of the store itself: an event of that name gets no view of that name. */
  readonly #taken: Set<string>;
  /** View name → the event whose formats it does not know all. */
  readonly #pending = new Map<string, string>();
  #making: Promise<void> = Promise.resolve();
  readonly #timer: NodeJS.Timeout;

  private constructor(engine: Engine, taken: Set<string>) {
    this.#engine = engine;
    this.#taken = taken;
    this.#timer = setTimeout(() => {
      this.#make().catch((error: unknown) => log.warn('views of events are not made yet', { error: messageOf(error) }));
    }, QUIET_MS).unref();
  }

  /** `tables`: names that are not to be used. Views that a crash kept from being made are made now. */
  static async open(engine: Engine, tables: readonly string[]): Promise<EventViews> {
    const views = new EventViews(engine, new Set(tables));
    const rows = await views.#readFormats();
    for (const { name, comment } of await views.#readViews()) {
      // A view's comment says what it was made from: `sched:sched_switch 1549775236390504095 82…`.
      const [event = '', ...formatIds] = comment.split(' ');
      views.#owners.set(name, event);
      for (const row of rows) if (row.Name === event && formatIds.includes(row.FormatId)) views.#add(row);
    }
    await views.learn();
    return views;
  }

  /** Ids of all formats that are stored. */
  get formatIds(): bigint[] {
    return [...this.#formats.values()].flat().map((row) => BigInt(row.FormatId));
  }

  /** Notes the formats that came since; their views are made later. */
  async learn(): Promise<void> {
    const changed = new Set<string>();
    for (const row of await this.#readFormats()) if (this.#add(row)) changed.add(row.Name);
    for (const name of changed) {
      const view = this.#nameOf(name, this.#formatsOf(name)[0] as FormatRow);
      if (view !== undefined) this.#pending.set(view, name);
    }
    if (changed.size > 0) this.#timer.refresh();
  }

  /** Makes what a query of this text may read and is not there yet. */
  async makeFor(sql: string): Promise<void> {
    if (this.#pending.size === 0) return;
    if (CATALOGUE.test(sql) || this.#pending.keys().some((view) => sql.includes(view))) await this.#make();
  }

  /** Ends what runs; views that are not made yet are made by the next one who opens the store. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#pending.clear();
    await this.#making.catch(() => undefined);
  }

  /** One at a time, each once, whoever asks; what fails stays pending. */
  async #make(): Promise<void> {
    const run = this.#making.catch(() => undefined).then(() => this.#makePending());
    this.#making = run;
    await run;
  }

  async #makePending(): Promise<void> {
    for (let next = this.#pending.entries().next().value; next !== undefined; next = this.#pending.entries().next().value) {
      const [view, name] = next;
      const formats = this.#formatsOf(name);
      await this.#engine.command(toViewSql(view, name, formats));
      // Formats that came meanwhile want it made again.
      if (this.#formatsOf(name) === formats) this.#pending.delete(view);
    }
  }

  #formatsOf(name: string): readonly FormatRow[] {
    return this.#formats.get(name) ?? [];
  }

  async #readViews(): Promise<{ name: string; comment: string }[]> {
    return this.#readRows(`SELECT name, comment FROM system.tables WHERE database = {database:String} AND engine = 'View'`);
  }

  #readFormats(): Promise<FormatRow[]> {
    return this.#readRows('SELECT FormatId, Name, Event, FieldNames, FieldKinds, FieldSlots FROM event_formats ORDER BY Name, FormatId');
  }

  async #readRows<Row>(sql: string): Promise<Row[]> {
    const limits = { maxSeconds: 30, maxRows: undefined };
    const { bytes } = await this.#engine.read(sql, 'JSONEachRow', { database: this.#engine.database }, limits);
    const lines = Buffer.from(bytes).toString().split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Row);
  }

  #add(row: FormatRow): boolean {
    const formats = this.#formatsOf(row.Name);
    if (formats.some((known) => known.FormatId === row.FormatId)) return false;
    this.#formats.set(row.Name, [...formats, row]);
    return true;
  }

  /** The bare event name, else with its system in front; undefined where both are taken or no name. */
  #nameOf(name: string, row: FormatRow): string | undefined {
    for (const view of [row.Event, name.replace(':', '__')]) {
      if (!NAME.test(view) || this.#taken.has(view)) continue;
      const owner = this.#owners.get(view);
      if (owner === name) return view;
      if (owner !== undefined || this.#owners.size >= MAX_VIEWS) continue;
      this.#owners.set(view, name);
      return view;
    }
    return undefined;
  }
}

function toViewSql(view: string, name: string, formats: readonly FormatRow[]): string {
  const columns = new Map<string, { readonly formatId: string; readonly kind: FieldKind; readonly expression: string }[]>();
  for (const { FormatId, FieldNames, FieldKinds, FieldSlots } of formats) {
    for (const [at, field] of FieldNames.entries()) {
      const kind = FieldKinds[at] as FieldKind;
      const places = columns.get(field) ?? [];
      columns.set(field, [...places, { formatId: FormatId, kind, expression: slotExpression(Number(FieldSlots[at]), kind) }]);
    }
  }
  const fields = [...columns]
    .filter(([field]) => NAME.test(field))
    .map(
      ([field, places]) => `, ${toExpression(places, formats.length)} AS ${quoteName(SHARED_NAMES.has(field) ? `field_${field}` : field)}`,
    );
  // The name is a kernel's: as a literal it can only be compared.
  const comment = [name, ...formats.map((format) => format.FormatId)].join(' ');
  return `CREATE OR REPLACE VIEW ${quoteName(view)} AS SELECT ${SHARED_COLUMNS}${fields.join('')}, Body FROM events
    WHERE Event = ${quoteText(name)} COMMENT ${quoteText(comment)}`;
}

/** One place in all formats: that column. Else by the row's format; as text where formats differ in kind. */
function toExpression(
  places: readonly { readonly formatId: string; readonly kind: FieldKind; readonly expression: string }[],
  formats: number,
): string {
  const [first] = places;
  if (first !== undefined && places.length === formats && places.every((place) => place.expression === first.expression)) {
    return first.expression;
  }
  const asText = places.some((place) => (place.kind === 'string') !== (first?.kind === 'string')) || first?.kind === 'string';
  const wide = places.some((place) => place.kind === 'uint64');
  const cast = (text: string): string => (asText ? `toString(${text})` : wide ? `toUInt64(${text})` : text);
  const cases = places.map(({ formatId, expression }) => `FormatId = ${formatId}, ${cast(expression)}`);
  return `multiIf(${cases.join(', ')}, ${asText ? `''` : cast('0')})`;
}
