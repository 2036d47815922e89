/**
 * Numbered schema scripts, run once each, in order, and recorded with a checksum. A script that is recorded and has changed
 * since is refused: the tables on disk would not be what the script says.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, OperationalError } from '../base/errors.ts';
import type { Engine } from './engine.ts';
import { quoteText, splitStatements } from './sql-text.ts';

export interface Migration {
  /** File name without `.sql`. */
  readonly name: string;
  readonly sql: string;
}

const LEDGER = `CREATE TABLE IF NOT EXISTS schema_migrations
(
    Name String,
    Checksum String,
    AppliedAt DateTime DEFAULT now()
)
ENGINE = MergeTree
ORDER BY Name`;

/** Beside this file, and where `npm run build` has put it into dist/store. */
const FOLDERS = ['schema', '../../store/schema'].map((folder) => join(import.meta.dirname, folder));

/** The scripts of a folder, in order. */
export function readMigrations(folder = FOLDERS.find((one) => existsSync(one)) ?? (FOLDERS[0] as string)): Migration[] {
  return readdirSync(folder)
    .filter((file) => /^\d{3}-[a-z0-9-]+\.sql$/.test(file))
    .sort()
    .map((file) => ({ name: file.slice(0, -'.sql'.length), sql: readFileSync(join(folder, file), 'utf8') }));
}

/** Brings the schema up to date; returns the names of the scripts that were run. */
export async function migrate(engine: Engine, migrations: readonly Migration[]): Promise<string[]> {
  await engine.command(LEDGER);
  const recorded = await readRecorded(engine);
  const applied: [name: string, checksum: string][] = [];
  try {
    for (const { name, sql } of migrations) {
      const checksum = createHash('sha256').update(sql).digest('hex');
      const known = recorded.get(name);
      if (known === checksum) continue;
      if (known !== undefined) {
        throw new OperationalError(
          'E_STORE_MIGRATION',
          `schema script ${name} has changed since it was run on this store`,
          'put the change into a new script with the next number, and restore this one',
        );
      }
      await runScript(engine, name, sql);
      applied.push([name, checksum]);
    }
  } finally {
    // Together: a row each costs as much as a table does.
    if (applied.length > 0) {
      const rows = applied.map((row) => `(${row.map(quoteText).join(', ')})`);
      // Not VALUES: behind that the embedded engine reads standard input, which may be the log that is imported.
      await engine.command(
        `INSERT INTO schema_migrations (Name, Checksum) SELECT Name, Checksum FROM values('Name String, Checksum String', ${rows.join(', ')})`,
      );
    }
  }
  return applied.map(([name]) => name);
}

async function readRecorded(engine: Engine): Promise<Map<string, string>> {
  const { bytes } = await engine.read(
    'SELECT Name, any(Checksum) FROM schema_migrations GROUP BY Name',
    'TSVRaw',
    {},
    { maxSeconds: 30, maxRows: undefined },
  );
  const lines = Buffer.from(bytes).toString().split('\n');
  return new Map(lines.filter((line) => line !== '').map((line) => line.split('\t') as [string, string]));
}

async function runScript(engine: Engine, name: string, sql: string): Promise<void> {
  for (const statement of splitStatements(sql.replaceAll('{database}', engine.database))) {
    try {
      // Scripts that a crash kept from being recorded run again from the first of them.
      await engine.command(repeatable(statement));
    } catch (error) {
      throw new OperationalError(
        'E_STORE_MIGRATION',
        `schema script ${name} failed: ${messageOf(error)}`,
        'nothing was recorded for it; mend the cause and start again',
        error,
      );
    }
  }
}

/** `CREATE TABLE x` → `CREATE TABLE IF NOT EXISTS x`, comments in front included. */
function repeatable(statement: string): string {
  return statement.replace(/(^|\n)(CREATE (?:TABLE|MATERIALIZED VIEW|VIEW|DICTIONARY)) (?!IF NOT EXISTS)/, '$1$2 IF NOT EXISTS ');
}
