/**
 * `node:sqlite` behind Kysely: an adapter to the driver interface that Kysely's SQLite dialect expects, with prepared
 * statements kept by their text. `node:sqlite` is synchronous, so nothing here may wait for a lock for long: the busy
 * timeout is 50 ms, and `database.ts` retries without holding the event loop.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { Kysely, SqliteDialect } from 'kysely';
import type { Database } from './schema.ts';

const MAX_STATEMENTS = 500;

export interface SqliteConnection {
  readonly raw: DatabaseSync;
  readonly query: Kysely<Database>;
  close(): void;
}

/** @param synchronous FULL: a commit is on the disk before it is acknowledged. NORMAL: for what may be lost with the power, never with the process */
export function openSqlite(file: string, options: { readonly synchronous: 'FULL' | 'NORMAL'; readonly readOnly?: boolean }): SqliteConnection {
  const raw = new DatabaseSync(file, { readOnly: options.readOnly ?? false, timeout: 50 });
  if (!options.readOnly) raw.exec('PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON');
  raw.exec(`PRAGMA synchronous = ${options.synchronous}; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY`);
  const statements = new Map<string, { statement: StatementSync; reader: boolean }>();
  const prepare = (text: string) => {
    let entry = statements.get(text);
    if (entry === undefined) {
      const statement = raw.prepare(text);
      entry = { statement, reader: statement.columns().length > 0 };
      // The oldest goes first; lists with a varying number of placeholders would otherwise grow without bound.
      if (statements.size >= MAX_STATEMENTS) for (const oldest of statements.keys()) { statements.delete(oldest); break; }
      statements.set(text, entry);
    }
    return entry;
  };
  const query = new Kysely<Database>({
    dialect: new SqliteDialect({
      database: {
        close: () => undefined,
        prepare: (text) => {
          const { statement, reader } = prepare(text);
          // Kysely types parameters as unknown; node:sqlite throws on any value that SQLite cannot hold.
          return {
            reader,
            all: (parameters) => statement.all(...(parameters as SQLInputValue[])),
            run: (parameters) => statement.run(...(parameters as SQLInputValue[])),
            iterate: (parameters) => statement.iterate(...(parameters as SQLInputValue[])),
          };
        },
      },
    }),
  });
  return {
    raw,
    query,
    close() {
      statements.clear();
      raw.close();
    },
  };
}
