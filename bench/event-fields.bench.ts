/**
 * The ways to store the fields of trace events, side by side on the same recorded events: bytes on disk after merging, time to
 * read one field of one event, CPU of an insert from memory. The figures and the choice: docs/decisions/001-event-fields.md.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEmbedded } from '../store/engine-embedded.ts';
import type { Engine } from '../store/engine.ts';
import { openStore } from '../store/open.ts';
import type { Bench, BenchResult } from './bench.ts';
import { feed, MIXES, record, type Mix } from './event-recording.ts';

interface Form {
  readonly name: string;
  /** Columns of the fields. */
  readonly columns: string;
  /** Their values, from a row of `events`. */
  readonly select: string;
  /** A field of sched_switch: its fields are prev_comm prev_pid prev_prio prev_state next_comm next_pid next_prio. */
  readonly nextComm: string;
}

const INTEGERS = Array.from({ length: 12 }, (_, at) => `I${at}`);
const TEXTS = Array.from({ length: 4 }, (_, at) => `S${at}`);
const of = (column: string): string => `joinGet('mkscope.event_formats', '${column}', FormatId)`;
const values = (slots: readonly string[], sign: string): string =>
  `arrayMap(slot -> [${slots.join(', ')}][${sign}slot], arrayFilter(slot -> ${sign}slot > 0, ${of('FieldSlots')}))`;
const names = (sign: string): string => `arrayFilter((name, slot) -> ${sign}slot > 0, ${of('FieldNames')}, ${of('FieldSlots')})`;
const typed = (columns: readonly string[], type: string): string => columns.map((name) => `${name} ${type} CODEC(ZSTD(1))`).join(', ');

const FORMS: readonly Form[] = [
  {
    name: 'slots: I0…I11 Int64, S0…S3 LowCardinality',
    columns: `${typed(INTEGERS, 'Int64')}, ${typed(TEXTS, 'LowCardinality(String)')}`,
    select: [...INTEGERS, ...TEXTS].join(', '),
    nextComm: 'S1',
  },
  {
    name: 'slots with S0…S3 String',
    columns: `${typed(INTEGERS, 'Int64')}, ${typed(TEXTS, 'String')}`,
    select: [...INTEGERS, ...TEXTS].join(', '),
    nextComm: 'S1',
  },
  {
    name: 'Array(Int64) + Array(LowCardinality)',
    columns: typed(['Ints'], 'Array(Int64)') + ', ' + typed(['Texts'], 'Array(LowCardinality(String))'),
    select: `${values(INTEGERS, '')}, ${values(TEXTS, '-')}`,
    nextComm: 'Texts[2]',
  },
  {
    name: 'Map(LowCardinality, Int64) + Map(…, String)',
    columns: typed(['Ints'], 'Map(LowCardinality(String), Int64)') + ', ' + typed(['Texts'], 'Map(LowCardinality(String), String)'),
    select: `mapFromArrays(${names('')}, ${values(INTEGERS, '')}), mapFromArrays(${names('-')}, ${values(TEXTS, '-')})`,
    nextComm: `Texts['next_comm']`,
  },
  {
    name: 'JSON',
    columns: typed(['Json'], 'JSON'),
    select: `CAST(toJSONString(mapFromArrays(arrayConcat(${names('')}, ${names('-')}),
      arrayConcat(arrayMap(value -> toString(value), ${values(INTEGERS, '')}), ${values(TEXTS, '-')}))), 'JSON')`,
    nextComm: 'Json.next_comm.:String',
  },
];

const SHARED = `Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)), RawOffset Int64 CODEC(Delta(8), ZSTD(1)), BootId LowCardinality(String),
  Event LowCardinality(String), FormatId UInt64 CODEC(Delta(8), ZSTD(1)), Cpu UInt16 CODEC(ZSTD(1)), Pid Int32 CODEC(ZSTD(1)),
  Flags UInt8 CODEC(ZSTD(1)), PreemptCount UInt8 CODEC(ZSTD(1))`;
const SHARED_NAMES = 'Timestamp, RawOffset, BootId, Event, FormatId, Cpu, Pid, Flags, PreemptCount';

async function ask(engine: Engine, sql: string): Promise<string> {
  const { bytes } = await engine.read(sql, 'TSVRaw', {}, { maxSeconds: 60, maxRows: undefined });
  return Buffer.from(bytes).toString().trim();
}

async function bestMs(engine: Engine, sql: string): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    await ask(engine, sql);
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

async function measure(engine: Engine, form: Form): Promise<BenchResult> {
  await engine.command('DROP TABLE IF EXISTS form');
  await engine.command(`CREATE TABLE form (${SHARED}, ${form.columns}) ENGINE = MergeTree
    ORDER BY (BootId, toStartOfMinute(Timestamp), Event, Timestamp)`);
  const before = process.cpuUsage();
  await engine.command(`INSERT INTO form SETTINGS max_threads = 1 SELECT ${SHARED_NAMES}, ${form.select} FROM events`);
  const { user, system } = process.cpuUsage(before);
  await engine.command('OPTIMIZE TABLE form FINAL');
  const size = await ask(
    engine,
    `SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE table = 'form' AND database = 'mkscope' AND active`,
  );
  const group = await bestMs(
    engine,
    `SELECT ${form.nextComm} AS c, count() FROM form WHERE Event = 'sched:sched_switch' GROUP BY c FORMAT Null`,
  );
  const detail = `group by next_comm ${group.toFixed(1)} ms; insert from memory ${((user + system) / 1e6).toFixed(2)} CPU-s`;
  return { value: Number(size), unit: 'bytes/event', detail };
}

async function run(mix: Mix, form: Form): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-bench-'));
  const store = await openStore({ dataDir: folder });
  await feed(store, record(mix), 0);
  await store.close();
  const engine = await openEmbedded(folder);
  try {
    return await measure(engine, form);
  } finally {
    await engine.close();
    rmSync(folder, { recursive: true });
  }
}

export const benches: Bench[] = MIXES.flatMap((mix) =>
  FORMS.map((form): Bench => ({
    name: `event fields: ${form.name} (${mix.events.length === 3 ? 'sched' : 'syscalls'})`,
    run: () => run(mix, form),
  })),
);
