/** The store: journaled appends in front of ClickHouse, and queries that see everything acknowledged. */
import { join } from 'node:path';
import { messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { BatchEncoder, type EventParts } from './batch-encoder.ts';
import { daysOf } from './day-of.ts';
import { openEmbedded } from './engine-embedded.ts';
import type { Engine, QueryLimits, ServerAddress } from './engine.ts';
import { EventViews } from './event-views.ts';
import { lockFolder, type FolderLock } from './folder-lock.ts';
import { migrate, readMigrations } from './migrations.ts';
import { toQueryError } from './query-errors.ts';
import { applyRetention, type Retention } from './retention.ts';
import { Spool, type SpoolLoad } from './spool.ts';
import { renameBoot } from './rename-boot.ts';
import { refuseUnsafe } from './sql-guard.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { BatchOrigin, QueryOptions, RawResult, Store, StoreBatch, StoreHealth } from './store.ts';
import { readTables, type TableColumns } from './table-columns.ts';

export interface StoreOptions {
  /** Folder of the spool, and of the embedded engine; created when missing. One process at a time. */
  readonly dataDir: string;
  /** A ClickHouse server in place of the embedded engine; the spool stays in `dataDir`. */
  readonly clickhouse?: ServerAddress;
  readonly retention?: Retention;
  /** Bound of what waits to be loaded; beyond it appends fail with E_STORE_BUSY. Default 1 GiB. */
  readonly maxSpoolBytes?: number;
  /** Age at which an idle store loads what was appended. Default 1000. */
  readonly loadAfterMs?: number;
  /** Whether the embedded engine merges parts of `events`. Default true; a process that ends with its work leaves it to the next one. */
  readonly mergesEvents?: boolean;
  /** Bound of a user's query. Default 30. */
  readonly maxQuerySeconds?: number;
}

const log = createLogger('store');

/** Opens the store, brings its schema up to date and loads what an earlier process left in the spool. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const lock = lockFolder(options.dataDir);
  let engine: Engine | undefined;
  try {
    engine = options.clickhouse === undefined ? await openEmbedded(options.dataDir) : await connectServer(options.clickhouse);
    const applied = await migrate(engine, readMigrations());
    if (applied.length > 0) log.debug('schema brought up to date', { scripts: applied.join(' ') });
    if (options.mergesEvents === false && engine.parts !== undefined) await engine.command(`SYSTEM STOP MERGES ${engine.database}.events`);
    if (options.retention !== undefined) await applyRetention(engine, options.retention);
    return await ClickHouseStore.open(options, engine, lock);
  } catch (error) {
    await engine?.close();
    lock.release();
    throw error;
  }
}

/** The client and its node:http take a tenth of a second to load: only who has a server pays for them. */
async function connectServer(address: ServerAddress): Promise<Engine> {
  const { openServer } = await import('./engine-server.ts');
  return openServer(address);
}

class ClickHouseStore implements Store {
  readonly #engine: Engine;
  readonly #lock: FolderLock;
  readonly #tables: TableColumns;
  readonly #views: EventViews;
  readonly #encoder: BatchEncoder;
  readonly #spool: Spool;
  readonly #maxSeconds: number;
  #closing: Promise<void> | undefined;

  private constructor(options: StoreOptions, engine: Engine, lock: FolderLock, tables: TableColumns, views: EventViews) {
    this.#engine = engine;
    this.#lock = lock;
    this.#tables = tables;
    this.#views = views;
    this.#encoder = new BatchEncoder(views.formatIds, toEventParts(engine, tables));
    this.#maxSeconds = options.maxQuerySeconds ?? 30;
    this.#spool = new Spool(
      {
        folder: join(options.dataDir, 'spool'),
        maxBytes: options.maxSpoolBytes ?? 2 ** 30,
        sealAfterMs: options.loadAfterMs ?? 1000,
        sealAtBytes: 32 << 20,
      },
      (file) => this.#load(file),
    );
  }

  static async open(options: StoreOptions, engine: Engine, lock: FolderLock): Promise<Store> {
    const tables = await readTables(engine);
    const store = new ClickHouseStore(options, engine, lock, tables, await EventViews.open(engine, [...tables.structures.keys()]));
    return store;
  }

  async append(batch: StoreBatch): Promise<'stored' | 'duplicate'> {
    const { origin } = batch;
    if (origin !== undefined && this.#spool.has(origin)) return 'duplicate';
    const encoded = this.#encoder.encode(batch);
    const isEmpty = encoded.blocks.size === 0 && encoded.parts.length === 0;
    if (!isEmpty || origin !== undefined) this.#spool.append(encoded.blocks, origin, encoded.parts);
    encoded.commit();
    return 'stored';
  }

  holds(origin: BatchOrigin): boolean {
    return this.#spool.has(origin);
  }

  async flush(): Promise<void> {
    await this.#spool.flush().catch((error: unknown) => {
      throw toQueryError(error);
    });
  }

  async query<Row>(sql: string, options: QueryOptions = {}): Promise<Row[]> {
    const { bytes } = await this.#read(sql, 'JSONEachRow', options);
    const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8').split('\n');
    if (lines.at(-1) === '') lines.pop();
    return lines.map((line) => JSON.parse(line) as Row);
  }

  async queryRaw(sql: string, format: string, options: QueryOptions = {}): Promise<RawResult> {
    const canonical = await this.#canonicalize(sql);
    refuseUnsafe(canonical, this.#tables.functions);
    return this.#read(canonical, format, options);
  }

  async renameBoot(from: string, to: KernelIdentity): Promise<void> {
    await this.flush();
    try {
      await renameBoot(this.#engine, from, to);
    } catch (error) {
      throw toQueryError(error);
    }
  }

  async health(): Promise<StoreHealth> {
    const [size] = await this.query<{ rows: number; bytes: number }>(
      `SELECT toFloat64(sum(rows)) AS rows, toFloat64(sum(bytes_on_disk)) AS bytes FROM system.parts
       WHERE database = {database:String} AND active`,
      { params: { database: this.#engine.database }, stale: true },
    );
    return {
      engine: this.#engine.title,
      path: this.#engine.path,
      rows: size?.rows ?? 0,
      bytesOnDisk: size?.bytes ?? 0,
      pendingBytes: this.#spool.pendingBytes,
      pendingFiles: this.#spool.pendingFiles,
      oldestPendingMs: this.#spool.oldestPendingMs,
      lastError: this.#spool.lastError,
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#spool.close();
    await this.#views.close();
    await this.#engine.close();
    this.#lock.release();
  }

  /** A user's text as ClickHouse itself would write it: one statement, no comments. */
  async #canonicalize(sql: string): Promise<string> {
    const { bytes } = await this.#run('SELECT formatQuery({sql:String})', 'RawBLOB', { params: { sql } });
    return Buffer.from(bytes).toString('utf8');
  }

  async #read(sql: string, format: string, options: QueryOptions): Promise<RawResult> {
    const letGo = await this.#loadFirst(options);
    try {
      if (options.stale !== true) await this.#makeViews(sql);
      return await this.#run(sql, format, options);
    } finally {
      letGo?.();
    }
  }

  async #makeViews(sql: string): Promise<void> {
    try {
      await this.#views.makeFor(sql);
    } catch (error) {
      throw toQueryError(error);
    }
  }

  /** While loads fail (a server that is away) what is loaded can still be read; health() tells why the rest is missing. */
  async #loadFirst({ stale, exact }: QueryOptions): Promise<(() => void) | undefined> {
    if (stale === true || this.#spool.isFailing) return undefined;
    try {
      if (exact === true) return await this.#spool.flushAndHold();
      await this.#spool.flush();
    } catch (error) {
      log.warn('answering without the newest rows', { error: messageOf(error) });
    }
    return undefined;
  }

  async #run(sql: string, format: string, options: QueryOptions): Promise<RawResult> {
    const limits: QueryLimits = {
      maxSeconds: Math.min(options.maxSeconds ?? this.#maxSeconds, this.#maxSeconds),
      maxRows: options.maxResultRows,
    };
    try {
      return await this.#engine.read(sql, format, options.params ?? {}, limits);
    } catch (error) {
      throw toQueryError(error);
    }
  }

  async #load({ partition, ...file }: SpoolLoad): Promise<void> {
    if (partition !== undefined) {
      await this.#engine.parts?.attach({ ...file, folder: file.file, partition });
      return;
    }
    const { structures, stamped } = this.#tables;
    const columns = structures.get(file.table) ?? [];
    await this.#engine.load({ ...file, columns, storedNs: stamped.has(file.table) ? file.storedNs : undefined });
    if (file.table === 'event_formats') await this.#views.learn();
  }
}

/** How many events become a part; undefined where the engine takes none. */
function toEventParts({ parts }: Engine, { structures }: TableColumns): EventParts | undefined {
  const columns = structures.get('events');
  return parts === undefined || columns === undefined ? undefined : { columns, dayOf: daysOf(parts.timeZone) };
}
