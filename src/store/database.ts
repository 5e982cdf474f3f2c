/**
 * The state: one SQLite file in WAL mode. Reads see what is committed, and never an open transaction; writes are
 * serialised, and writes that wait together are committed together (one fsync for all), each in a savepoint of
 * its own so that one that throws takes nothing of the others with it. What `write` has answered survives `kill -9`.
 *
 * Must not know: what the rows mean. The nouns are in the files beside this one, as plain functions over `Db`.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { DEFAULT_MIGRATION_TABLE, type Kysely, type Migration, Migrator } from 'kysely';
import { unavailable } from '../errors.ts';
import * as initial from './migrations/0001-initial.ts';
import * as retention from './migrations/0002-retention.ts';
import * as iam from './migrations/0003-iam.ts';
import * as credentials from './migrations/0004-credentials.ts';
import * as secrets from './migrations/0005-secrets.ts';
import type { Database } from './schema.ts';
import { openSqlite, queriesOn } from './sqlite.ts';

/** What the noun files take: the reader, or the transaction that `write` hands out. */
export type Db = Kysely<Database>;

/** What a commit may have changed, for those who keep something in memory or wait for work. */
export type Topic = 'policies' | 'groups' | 'hierarchy' | 'serviceAccounts' | 'serviceAccountKeys' | 'federation' | 'work' | 'operations';

export interface Tx {
  readonly db: Db;
  /**
   * Tells listeners, after the commit, that something of this kind changed.
   * @param subject what exactly it was, so that listeners need not take all of it for changed: for `policies` the full name of the resource whose allow policy it is
   */
  touch(topic: Topic, subject?: string): void;
}

export interface Store {
  /** Committed state. Never write through it. */
  readonly read: Db;
  /**
   * Runs `work` in a transaction; when the promise resolves the changes are on the disk. `work` may await nothing but queries
   * on its own `tx.db`: all other writers wait meanwhile. Whatever it throws undoes its changes alone.
   * @throws UNAVAILABLE when another process holds the database for longer than two seconds; Error when called from inside another `work`, which would wait for itself
   */
  write<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /** Called after each commit that touched the topic, with the subjects, or undefined where one of the changes named none. @returns stops listening */
  onCommit(topic: Topic, listener: Listener): () => void;
  close(): Promise<void>;
}

type Listener = (subjects: ReadonlySet<string> | undefined) => void;

const MIGRATIONS: Record<string, Migration> = { '0001-initial': initial, '0002-retention': retention, '0003-iam': iam, '0004-credentials': credentials, '0005-secrets': secrets };
/** More would make the first writer of a batch wait for the last one. */
const MAX_BATCH = 64;
const LOCK_PATIENCE_MS = 2000;

interface Waiting {
  readonly run: (tx: Tx) => Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Opens (and on first use makes) `<dataDir>/state.sqlite`, 0600 in a directory of 0700, and brings its schema up to date. */
export async function openStore(dataDir: string): Promise<Store> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const file = join(dataDir, 'state.sqlite');
  // Made by us with the right mode first: SQLite gives its -wal and -shm files the mode of the database.
  closeSync(openSync(file, 'a', 0o600));
  chmodSync(file, 0o600);
  const writer = openSqlite(file, { synchronous: 'FULL' });
  const error = isUpToDate(writer.raw)
    ? undefined
    : (await new Migrator({ db: writer.query, provider: { getMigrations: () => Promise.resolve(MIGRATIONS) } }).migrateToLatest()).error;
  if (error !== undefined) {
    writer.close();
    throw new Error(`The database ${file} could not be brought up to date. It may have been written by a newer actas; nothing was changed.`, { cause: error });
  }
  const reader = openSqlite(file, { synchronous: 'FULL', readOnly: true });
  const listeners = new Map<Topic, Set<Listener>>();
  const queue: Waiting[] = [];
  let draining: Promise<void> | undefined;
  let closed = false;
  /** The transaction that the caller is in; what it started and left behind may go on after its end. */
  const inside = new AsyncLocalStorage<{ isOpen: boolean }>();

  const begin = async (): Promise<void> => {
    const until = performance.now() + LOCK_PATIENCE_MS;
    for (;;) {
      try {
        writer.raw.exec('BEGIN IMMEDIATE');
        return;
      } catch (cause) {
        if (!isBusy(cause) || performance.now() > until)
          throw unavailable('The database is locked by another process. Retry; if it stays so, look for a second actas on the same data directory.', cause);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  };

  const savepoint = writer.raw.prepare('SAVEPOINT one');
  const release = writer.raw.prepare('RELEASE one');

  const runBatch = async (batch: readonly Waiting[]): Promise<void> => {
    const touched = new Map<Topic, Set<string> | undefined>();
    const outcomes: (() => void)[] = [];
    try {
      await begin();
      for (const waiting of batch) {
        const own: { readonly topic: Topic; readonly subject: string | undefined }[] = [];
        const scope = { isOpen: true };
        savepoint.run();
        try {
          const value = await inside.run(scope, () => waiting.run({ db: writer.query, touch: (topic, subject) => own.push({ topic, subject }) }));
          release.run();
          for (const { topic, subject } of own) {
            const subjects = touched.has(topic) ? touched.get(topic) : new Set<string>();
            touched.set(topic, subject === undefined ? undefined : subjects?.add(subject));
          }
          outcomes.push(() => waiting.resolve(value));
        } catch (error) {
          // A full disk ends the whole transaction by itself: then nothing of this batch is kept.
          if (!writer.raw.isTransaction) throw error;
          writer.raw.exec('ROLLBACK TO one; RELEASE one');
          outcomes.push(() => waiting.reject(error));
        } finally {
          scope.isOpen = false;
        }
      }
      writer.raw.exec('COMMIT');
    } catch (error) {
      if (writer.raw.isTransaction) writer.raw.exec('ROLLBACK');
      for (const waiting of batch) waiting.reject(error);
      return;
    }
    for (const outcome of outcomes) outcome();
    for (const [topic, subjects] of touched) for (const listener of listeners.get(topic) ?? []) tell(listener, subjects);
  };

  const drain = async (): Promise<void> => {
    while (queue.length > 0) await runBatch(queue.splice(0, MAX_BATCH));
    draining = undefined;
  };

  return {
    // A commit on one connection empties another's cache of pages. So reads go to the writer's own while it is between two transactions,
    // which is nearly always, and to the reader while a transaction of the writer's is open, for they must not see it.
    read: queriesOn((text) => {
      if (writer.raw.isTransaction) return reader.prepare(text);
      const statement = writer.prepare(text);
      if (!statement.reader) throw new Error(`Nothing is written outside a transaction: ${text}`);
      return statement;
    }),
    write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
      if (inside.getStore()?.isOpen === true)
        return Promise.reject(new Error('A transaction was begun inside another: it would wait for itself. Use the db of the one that is open.'));
      if (closed) return Promise.reject(unavailable('The server is shutting down.'));
      return new Promise<T>((resolve, reject) => {
        // The queue forgets T: each entry resolves its own promise.
        queue.push({ run: work, resolve: resolve as (value: unknown) => void, reject });
        // A turn of the event loop later, so that the requests read in this turn share the commit.
        draining ??= new Promise<void>((next) => setImmediate(next)).then(drain);
      });
    },
    onCommit(topic, listener) {
      const set = listeners.get(topic) ?? new Set();
      listeners.set(topic, set.add(listener));
      return () => set.delete(listener);
    },
    async close() {
      closed = true;
      await draining;
      reader.close();
      writer.raw.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      writer.close();
    },
  };
}

/** Whether exactly our migrations have run: the migrator needs a dozen queries to find that out, at every start. It judges every other case. */
function isUpToDate(raw: DatabaseSync): boolean {
  if (raw.prepare(`SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '${DEFAULT_MIGRATION_TABLE}'`).get() === undefined) return false;
  const done = raw.prepare(`SELECT name FROM ${DEFAULT_MIGRATION_TABLE} ORDER BY name`).all();
  const known = Object.keys(MIGRATIONS).toSorted();
  return done.length === known.length && done.every(({ name }, index) => name === known[index]);
}

/** A listener that throws is a bug, which ends the process; but it must not end in the writers' queue, where all others would wait for ever. */
function tell(listener: Listener, subjects: ReadonlySet<string> | undefined): void {
  try {
    listener(subjects);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && (error.errcode === 5 || error.errcode === 6);
}
