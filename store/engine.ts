/** ClickHouse behind one small interface: embedded in this process (chDB), or a server. */
import { quoteName } from './sql-text.ts';
import type { RawResult } from './store.ts';
import type { Column } from './table-columns.ts';

export interface ServerAddress {
  /** `http://host:8123`, `https://host:8443`. */
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  readonly database?: string;
}

/** What a reading query may use. */
export interface QueryLimits {
  readonly maxSeconds: number;
  /** The result is cut there; undefined = only the store's own bound, over which the query fails. */
  readonly maxRows: number | undefined;
}

export interface Load {
  readonly table: string;
  readonly columns: readonly Column[];
  readonly file: string;
  /** Unlike that of any other load, and the same on every try of this one. */
  readonly name: string;
  /** Goes into the column StoredAt, and is no other load's; undefined for tables where rows may come twice. */
  readonly storedNs: bigint | undefined;
  /** An earlier try may have stored some of the rows, or all. */
  readonly again: boolean;
}

/** A part of a table whose files were written here (part-writer.ts). */
export interface PartLoad {
  readonly table: string;
  /** Id of its partition: `20261126`. */
  readonly partition: string;
  /** Holds its files; they stay where they are. */
  readonly folder: string;
  /** Value of StoredAt in its rows, and in no others. */
  readonly storedNs: bigint;
  /** An earlier try may have attached it. */
  readonly again: boolean;
}

/** An engine that takes parts as they are. */
export interface PartTaker {
  /** In which its days are counted, as the time zone database names it. */
  readonly timeZone: string;
  /** Takes over a part, once, however often it is tried. */
  attach(part: PartLoad): Promise<void>;
}

export interface Engine {
  /** `embedded ClickHouse 26.7.2.1`. */
  readonly title: string;
  /** Folder, or URL. */
  readonly path: string;
  readonly database: string;
  /** A statement of our own that answers nothing. */
  command(sql: string): Promise<void>;
  /** A reading query; rows and statistics come as the bytes of `format`. Read-only whatever the text says. */
  read(sql: string, format: string, params: Readonly<Record<string, unknown>>, limits: QueryLimits): Promise<RawResult>;
  /** Loads a file of Native blocks into a table, whole and once, however often it is tried. */
  load(load: Load): Promise<void>;
  /** Undefined where the engine's files are not ours. */
  readonly parts: PartTaker | undefined;
  close(): Promise<void>;
}

/** Bounds of every reading query, whoever asks. */
export const READ_SETTINGS = {
  max_result_rows: '2000000',
  max_result_bytes: String(2 ** 29),
  result_overflow_mode: 'throw',
  max_memory_usage: String(2 ** 31),
  max_threads: 2,
  // A text of a few kilobytes can nest or unfold without end.
  max_query_size: String(2 ** 20),
  max_ast_elements: '50000',
  max_ast_depth: '500',
  output_format_json_quote_64bit_integers: 1,
  output_format_json_quote_denormals: 0,
  enable_named_columns_in_function_tuple: 0,
} as const;

/** One reader thread keeps the order of blocks, which the deduplication of a repeated insert depends on. */
export const LOAD_SETTINGS = {
  max_threads: 1,
  max_insert_threads: 1,
  max_memory_usage: 3 * 2 ** 30,
  min_insert_block_size_rows: 1_048_576,
  min_insert_block_size_bytes: 2 ** 28,
  max_partitions_per_insert_block: 0,
} as const;

/** `SELECT` list and column list of a load: the file's columns, and the stamp. */
export function toLoadColumns({ columns, storedNs }: Load): {
  readonly names: string;
  readonly structure: string;
  readonly values: string;
} {
  const names = columns.map((column) => quoteName(column.name));
  const structure = columns.map((column) => `${quoteName(column.name)} ${column.type}`).join(', ');
  if (storedNs === undefined) return { names: names.join(', '), structure, values: '*' };
  return { names: [...names, 'StoredAt'].join(', '), structure, values: `*, ${stampSql(storedNs)}` };
}

export function stampSql(storedNs: bigint): string {
  return `fromUnixTimestamp64Nano(toInt64(${storedNs}))`;
}
