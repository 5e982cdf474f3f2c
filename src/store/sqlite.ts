/**
 * `node:sqlite` behind Kysely: an adapter to the driver interface that Kysely's SQLite dialect expects, with prepared
 * statements kept by their text. `node:sqlite` is synchronous, so nothing here may wait for a lock for long: the busy
 * timeout is 50 ms, and `database.ts` retries without holding the event loop.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { type Compilable, Kysely, SqliteDialect, type SqliteStatement } from 'kysely';
import type { Database } from './schema.ts';

const MAX_STATEMENTS = 500;

export interface SqliteConnection {
  readonly raw: DatabaseSync;
  readonly query: Kysely<Database>;
  /** A statement ready to run, kept by its text. */
  prepare(text: string): SqliteStatement;
  close(): void;
}

/** @param synchronous FULL: a commit is on the disk before it is acknowledged. NORMAL: for what may be lost with the power, never with the process */
export function openSqlite(file: string, options: { readonly synchronous: 'FULL' | 'NORMAL'; readonly readOnly?: boolean }): SqliteConnection {
  const raw = new DatabaseSync(file, { readOnly: options.readOnly ?? false, timeout: 50 });
  // A checkpoint after 16 MB and not after 4: under load the same pages are copied once for several changes.
  if (!options.readOnly) raw.exec('PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 4000');
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
  const prepared = (text: string): SqliteStatement => {
    const { statement, reader } = prepare(text);
    // Kysely types parameters as unknown; node:sqlite throws on any value that SQLite cannot hold.
    return {
      reader,
      all: (parameters) => statement.all(...(parameters as SQLInputValue[])),
      run: (parameters) => statement.run(...(parameters as SQLInputValue[])),
      iterate: (parameters) => statement.iterate(...(parameters as SQLInputValue[])),
    };
  };
  return {
    raw,
    query: queriesOn(prepared),
    prepare: prepared,
    close() {
      statements.clear();
      raw.close();
    },
  };
}

/** Where `prepare` below finds the way around Kysely. */
const STATEMENTS = Symbol('statements');

/** Kysely over whatever prepares its statements: one connection, or a choice among several. */
export function queriesOn(prepareStatement: (text: string) => SqliteStatement): Kysely<Database> {
  const query = new Kysely<Database>({ dialect: new SqliteDialect({ database: { close: () => undefined, prepare: prepareStatement } }) });
  return Object.assign(query, { [STATEMENTS]: prepareStatement });
}

/** A database that nobody opens, to compile queries with. */
const COMPILER = new Kysely<Database>({ dialect: new SqliteDialect({ database: () => Promise.reject(new Error('never opened')) }) });

/**
 * A query that is built by its first use and run often with other values: building and compiling it costs more than SQLite's answer.
 * @param columns the names of the values
 * @param build gets a stand-in for each value, which it must put into the query once
 */
export function prepare<Row, Column extends string>(
  columns: readonly Column[],
  build: (db: Kysely<Database>, values: Record<Column, never>) => Compilable<Row>,
): (db: Kysely<Database>, values: Readonly<Record<Column, unknown>>) => Promise<readonly Row[]> {
  const compile = () => {
    const standIns = new Map<unknown, Column>(columns.map((column) => [`stand-in ${column}`, column]));
    // Only here are the values text; the query is never run with them.
    const compiled = build(COMPILER, Object.fromEntries([...standIns].map(([standIn, column]) => [column, standIn])) as Record<Column, never>).compile();
    const order = compiled.parameters.map((parameter) => standIns.get(parameter));
    if (columns.some((column) => order.filter((known) => known === column).length !== 1)) throw new Error(`a value is not used, or used twice: ${compiled.sql}`);
    return { compiled, order };
  };
  let made: ReturnType<typeof compile> | undefined;
  return async (db, values) => {
    const { compiled, order } = (made ??= compile());
    const parameters = order.map((column, index) => (column === undefined ? compiled.parameters[index] : values[column]));
    // The driver's queue of promises costs more than the statement; all that it waits for is this one connection, which is ours already.
    const direct = STATEMENTS in db ? (db[STATEMENTS] as (text: string) => SqliteStatement)(compiled.sql) : undefined;
    if (direct === undefined) return (await db.executeQuery<Row>({ ...compiled, parameters })).rows;
    if (direct.reader) return direct.all(parameters) as Row[];
    direct.run(parameters);
    return [];
  };
}
