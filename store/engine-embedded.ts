/**
 * chDB in this process, through its own interface: the client for servers would bring node:http, 0.15 s of processor time of each
 * command that opens a store. All sessions share one engine and one data folder; settings stick to a session, so each
 * query gets a session of its own (1.7 ms) with `readonly` set last: nothing it says can outlive or undo that.
 */
import { linkSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChdbResult, drainPending, Session } from 'chdb';
import { messageOf, OperationalError } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import {
  LOAD_SETTINGS,
  READ_SETTINGS,
  stampSql,
  toLoadColumns,
  type Engine,
  type Load,
  type PartLoad,
  type PartTaker,
  type QueryLimits,
} from './engine.ts';
import { quoteText, toParamText } from './sql-text.ts';
import type { RawResult } from './store.ts';

const log = createLogger('store');
const DATABASE = 'mkscope';
/** libuv has four threads, and a query holds one while it runs: readers must leave some for the loader and for files. */
const MAX_READERS = 2;

/** The allocator keeps what a large load or query took (0.4 GB); given back when there was this long nothing to do. */
const PURGE_AFTER_MS = 2_000;
const PURGE_ABOVE_BYTES = 400 << 20;
/** A query is asked to end at its time limit, and looks at the clock now and then. */
const DRAIN_MS = 15_000;

/**
 * The engine's allocator, unless the environment says otherwise: one arena, whose freed pages go back after a second. Blocks
 * of columns come and go by the megabyte, each load on another thread: with an arena per CPU an import had 400 MB more.
 */
const ALLOCATOR = 'narenas:1,percpu_arena:disabled,dirty_decay_ms:1000';

/** As chDB throws it; `clickhouseCode` is missing where it is not ClickHouse that refuses. */
type EngineError = Error & { readonly clickhouseCode?: number };

interface Chdb {
  readonly Session: typeof Session;
  readonly drainPending: typeof drainPending;
}

export async function openEmbedded(folder: string): Promise<Engine> {
  // CommonJS, and 0.4 s to load: only a process that opens a store pays for it.
  process.env['JE_MALLOC_CONF'] ??= ALLOCATOR;
  const chdb = createRequire(import.meta.url)('chdb') as Chdb;
  const path = `${folder}/clickhouse`;
  mkdirSync(path, { recursive: true });
  let session: Session;
  try {
    session = new chdb.Session(path);
  } catch (error) {
    throw toOpenError(path, error);
  }
  return EmbeddedEngine.open(session, path, chdb);
}

class EmbeddedEngine implements Engine {
  readonly title: string;
  readonly path: string;
  readonly database = DATABASE;
  readonly parts: PartTaker;
  readonly #session: Session;
  readonly #chdb: Chdb;
  #readers = 0;
  readonly #waiting: (() => void)[] = [];
  readonly #purge = setTimeout(() => void this.#giveMemoryBack(), PURGE_AFTER_MS).unref();

  private constructor(session: Session, path: string, about: readonly string[], chdb: Chdb) {
    const [version = '', timeZone = ''] = about;
    this.#session = session;
    this.#chdb = chdb;
    this.path = path;
    this.title = `embedded ClickHouse ${version}`;
    this.parts = { timeZone, attach: (part) => this.#attach(part) };
  }

  static async open(session: Session, path: string, chdb: Chdb): Promise<Engine> {
    const about = (await readText(session, 'SELECT version(), timezone()')).split('\t');
    await run(session, `CREATE DATABASE IF NOT EXISTS ${DATABASE} ENGINE = Atomic; USE ${DATABASE}`);
    return new EmbeddedEngine(session, path, about, chdb);
  }

  async command(sql: string): Promise<void> {
    await run(this.#session, sql);
  }

  async read(sql: string, format: string, params: Readonly<Record<string, unknown>>, limits: QueryLimits): Promise<RawResult> {
    await this.#acquire();
    let session: Session | undefined;
    try {
      session = new this.#chdb.Session(this.path);
      const startMs = performance.now();
      const settings = toSettings({
        ...READ_SETTINGS,
        ...toParamSettings(params),
        ...(limits.maxRows === undefined ? {} : { limit: String(limits.maxRows) }),
        max_execution_time: limits.maxSeconds,
        readonly: 1,
      });
      const result = await run(session, `USE ${DATABASE}; SET ${settings}; ${sql}`, format);
      const { rowsRead, bytesRead } = result;
      return { bytes: result.bytes(), rowsRead, bytesRead, elapsedSeconds: (performance.now() - startMs) / 1000 };
    } finally {
      session?.close();
      this.#release();
      this.#purge.refresh();
    }
  }

  /**
   * The deduplication token is of no use over a killed process: ClickHouse logs it before the part is there, and would leave
   * out on the second try what the first one never stored. So what an earlier try left goes first, by its stamp.
   */
  async load(load: Load): Promise<void> {
    if (load.again && load.storedNs !== undefined) await this.#undo(load.table, load.storedNs);
    const { names, structure, values } = toLoadColumns(load);
    await run(
      this.#session,
      `INSERT INTO ${DATABASE}.${load.table} (${names}) SETTINGS insert_deduplicate = 0, ${toSettings(LOAD_SETTINGS)}
        SELECT ${values} FROM file(${quoteText(load.file)}, 'Native', ${quoteText(structure)})`,
    );
    this.#purge.refresh();
  }

  /**
   * ClickHouse moves what it attaches, so it gets links: the part is still in the spool when the process is killed in between, and what
   * was attached then goes first on the next try.
   */
  async #attach({ table, partition, folder, storedNs, again }: PartLoad): Promise<void> {
    if (again) await this.#undo(table, storedNs);
    const name = `${partition}_1_1_0`;
    const path = await readText(
      this.#session,
      `SELECT data_paths[1] FROM system.tables WHERE database = '${DATABASE}' AND name = ${quoteText(table)}`,
    );
    const detached = join(path, 'detached', name);
    rmSync(detached, { recursive: true, force: true });
    mkdirSync(detached, { recursive: true });
    for (const file of readdirSync(folder)) linkSync(join(folder, file), join(detached, file));
    await run(this.#session, `ALTER TABLE ${DATABASE}.${table} ATTACH PART ${quoteText(name)}`);
  }

  async #undo(table: string, storedNs: bigint): Promise<void> {
    const where = `StoredAt = ${stampSql(storedNs)}`;
    if ((await readText(this.#session, `SELECT count() FROM ${DATABASE}.${table} WHERE ${where}`)) === '0') return;
    // It is the merges' threads that delete.
    await run(this.#session, `SYSTEM START MERGES ${DATABASE}.${table}`);
    await run(this.#session, `ALTER TABLE ${DATABASE}.${table} DELETE WHERE ${where} SETTINGS mutations_sync = 1`);
  }

  /**
   * A query that was given up runs on in the engine. Whoever opens another folder, or ends the process, while one does meets a
   * refusal or a crash of the engine: so its end is waited for, within bounds.
   */
  async close(): Promise<void> {
    clearTimeout(this.#purge);
    this.#session.close();
    const patience = new AbortController();
    const isDrained = await Promise.race([
      this.#chdb.drainPending().then(() => true),
      sleep(DRAIN_MS, false, { signal: patience.signal }).catch(() => false),
    ]);
    patience.abort();
    if (!isDrained) log.warn('a query still runs in the engine while the store is closed', { path: this.path });
  }

  async #giveMemoryBack(): Promise<void> {
    if (process.memoryUsage.rss() < PURGE_ABOVE_BYTES) return;
    try {
      await run(this.#session, 'SYSTEM JEMALLOC PURGE');
    } catch (error) {
      log.debug('memory is not given back', { error: messageOf(error) });
    }
  }

  async #acquire(): Promise<void> {
    if (this.#readers >= MAX_READERS) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#readers++;
  }

  /** Hands the place on to the next in line, or frees it. */
  #release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#readers--;
    else next();
  }
}

async function run(session: Session, sql: string, format = 'TSVRaw'): Promise<ChdbResult> {
  try {
    return await session.queryAsync(sql, { format });
  } catch (error) {
    throw toEngineError(error as EngineError);
  }
}

async function readText(session: Session, sql: string): Promise<string> {
  return (await run(session, sql)).text().trim();
}

/** `Code: 60. DB::Exception: Unknown table …. (UNKNOWN_TABLE)` → what happened, with the code where errors have theirs. */
function toEngineError(error: EngineError): Error {
  const { clickhouseCode: code, message } = error;
  if (code === undefined) return error;
  const [, text] = /^[^]*?Exception: ([^]*?)(?:\([A-Z][A-Z0-9_]{2,}\)|$)/.exec(message) ?? [];
  return Object.assign(new Error(text ?? message, { cause: error }), { code: String(code) });
}

/** `a = 1, b = 'x'` */
function toSettings(settings: Readonly<Record<string, string | number>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} = ${typeof value === 'number' ? value : quoteText(value)}`)
    .join(', ');
}

function toParamSettings(params: Readonly<Record<string, unknown>>): Record<string, string> {
  const settings: Record<string, string> = {};
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined) settings[`param_${name}`] = toParamText(value);
  }
  return settings;
}

function toOpenError(path: string, error: unknown): OperationalError {
  return new OperationalError(
    'E_STORE_OPEN',
    `the embedded store in ${path} cannot be opened: ${messageOf(error).trim()}`,
    'if another program has it open, stop that; else move the folder away and start anew',
    error,
  );
}
