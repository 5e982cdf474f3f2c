/**
 * `node:sqlite` behind Kysely: an adapter to the driver interface that Kysely's SQLite dialect expects, with prepared
 * statements kept by their text. `node:sqlite` is synchronous, so nothing here may wait for a lock for long: the busy
 * timeout is 50 ms, and `database.ts` retries without holding the event loop.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { type Compilable, Kysely, SqliteDialect } from 'kysely';
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
      if (statements.size >= MAX_STATEMENTS)
        for (const oldest of statements.keys()) {
          statements.delete(oldest);
          break;
        }
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

/** A database that nobody opens, to compile queries with. */
const COMPILER = new Kysely<Database>({ dialect: new SqliteDialect({ database: () => Promise.reject(new Error('never opened')) }) });

/**
 * A query that is built once and run often with other values: building and compiling it costs more than SQLite's answer.
 * @param columns the names of the values
 * @param build gets a stand-in for each value, which it must put into the query once
 */
export function prepare<Row, Column extends string>(
  columns: readonly Column[],
  build: (db: Kysely<Database>, values: Record<Column, never>) => Compilable<Row>,
): (db: Kysely<Database>, values: Readonly<Record<Column, unknown>>) => Promise<readonly Row[]> {
  const standIns = new Map<unknown, Column>(columns.map((column) => [`stand-in ${column}`, column]));
  // Only here are the values text; the query is never run with them.
  const compiled = build(COMPILER, Object.fromEntries([...standIns].map(([standIn, column]) => [column, standIn])) as Record<Column, never>).compile();
  const order = compiled.parameters.map((parameter) => standIns.get(parameter));
  if (columns.some((column) => order.filter((known) => known === column).length !== 1)) throw new Error(`a value is not used, or used twice: ${compiled.sql}`);
  return async (db, values) =>
    (await db.executeQuery<Row>({ ...compiled, parameters: order.map((column, index) => (column === undefined ? compiled.parameters[index] : values[column])) })).rows;
}
