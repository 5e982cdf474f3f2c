/**
 * The logs database: entries of tasks, of callers and of the audit trail, in a file of its own so that they never hold up the state. Everything here is
 * synchronous and runs on the worker thread alone (`log-worker.ts`).
 *
 * Invariants: lines and the cursor that counts them are written in one transaction; a query returns within its time, with the place
 * where the next one goes on; entries leave in the order in which they came.
 *
 * An entry costs one row and two index entries: by parent and by stream, each with the time. They hold all that is needed to pass over an entry.
 */
import { DatabaseSync } from 'node:sqlite';
import type { Micros } from '../timestamp.ts';
import { createLineWriter, type EntryWriter, type LineWriter } from './log-append.ts';
import { AUDIT_VIEW, type AuditWriter, createAuditWriter } from './log-audit.ts';
import type { NewLogEntry } from './log-entry.ts';
import { checkLogFile, LOG_SCHEMA_VERSION, tooNew } from './log-file.ts';
import { migrateLogs } from './log-migration.ts';
import { createLogReader, type LogReader } from './log-query.ts';
import { createStreams, STREAM_SCHEMA, type Streams } from './log-streams.ts';

const SCHEMA = `${STREAM_SCHEMA}
  CREATE TABLE IF NOT EXISTS sources (id INTEGER PRIMARY KEY AUTOINCREMENT, attempt_id TEXT NOT NULL UNIQUE, update_time INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS cursors (source INTEGER NOT NULL, container TEXT NOT NULL, time_ns INTEGER NOT NULL, count INTEGER NOT NULL, splits TEXT, PRIMARY KEY (source, container)) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL, receive_time INTEGER NOT NULL, parent INTEGER NOT NULL, stream INTEGER NOT NULL,
    kind TEXT NOT NULL, insert_id TEXT, extras TEXT, split TEXT, payload TEXT NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS entries_parent ON entries (parent, time_ns, id, stream);
  CREATE INDEX IF NOT EXISTS entries_stream ON entries (stream, time_ns);
  ${AUDIT_VIEW}
  PRAGMA user_version = ${LOG_SCHEMA_VERSION};`;

export interface LogDatabase extends LineWriter, LogReader {
  readonly raw: DatabaseSync;
  readonly streams: Streams;
  /** Inside a transaction of the caller, as `append`. */
  write(entries: readonly NewLogEntry[], receiveTime: Micros): void;
  readonly audit: AuditWriter;
  /** To be called before the transaction ends. */
  settle(): void;
  listLogs(parents: readonly string[]): string[];
  /** Up to `most` entries of a log; 0: none is left, and it is not listed any more. @returns how many went */
  deleteFromLog(parent: string, logId: string, most: number): number;
  close(): void;
}

/** Opens (and on first use makes) the file, 0600. @param home the parent of what belongs to none @throws where a newer program wrote it */
export function openLogDatabase(file: string, home: string): LogDatabase {
  checkLogFile(file);
  const raw = new DatabaseSync(file, { timeout: 2000 });
  // Before the first table: from then on it cannot be changed.
  raw.exec(
    'PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864',
  );
  const version = Number(raw.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
  if (version > LOG_SCHEMA_VERSION) {
    raw.close();
    throw tooNew(file);
  }
  const open = (): LogDatabase => {
    raw.exec(SCHEMA);
    return createDatabase(raw);
  };
  return version === 0 || version === LOG_SCHEMA_VERSION ? open() : migrateLogs(raw, version, home, open);
}

function createDatabase(raw: DatabaseSync): LogDatabase {
  const streams = createStreams(raw);
  const entries = createEntryWriter(raw, streams);
  const ofStream = raw.prepare('DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE stream = ? LIMIT ?)');
  const write = (all: readonly NewLogEntry[], receiveTime: Micros): void => {
    for (const entry of all) entries.insert(entry, receiveTime);
  };
  return {
    raw,
    streams,
    write,
    ...createLineWriter(raw, entries),
    ...createLogReader(raw, streams),
    audit: createAuditWriter(write),
    settle: () => streams.settle(),
    listLogs(parents) {
      const names = parents.flatMap((parent) => {
        const id = streams.parentId(parent);
        return id === undefined ? [] : streams.logIds(id).map((logId) => `${parent}/logs/${encodeURIComponent(logId)}`);
      });
      return [...new Set(names)].sort();
    },
    deleteFromLog(parent, logId, most) {
      const id = streams.parentId(parent);
      const all = id === undefined ? [] : streams.ofLog(id, logId);
      let gone = 0;
      for (const stream of all) if (gone < most) gone += Number(ofStream.run(stream, most - gone).changes);
      if (gone === 0) streams.remove(all);
      return gone;
    },
    close() {
      raw.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      raw.close();
    },
  };
}

function createEntryWriter(raw: DatabaseSync, streams: Streams): EntryWriter {
  const insert = raw.prepare('INSERT INTO entries (time_ns, receive_time, parent, stream, kind, insert_id, extras, split, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const extend = raw.prepare(`UPDATE entries SET payload = payload || char(10) || ? WHERE id = ? AND kind = 'text'`);
  return {
    insert({ head, timeNs, kind, insertId, extras, split, payload }, receiveTime) {
      const stream = streams.keep(head, timeNs, receiveTime);
      streams.touch(stream, timeNs, receiveTime);
      const { lastInsertRowid } = insert.run(
        timeNs,
        receiveTime,
        stream.parentId,
        stream.id,
        kind,
        insertId ?? null,
        extras === undefined ? null : JSON.stringify(extras),
        split === undefined ? null : JSON.stringify(split),
        payload,
      );
      return Number(lastInsertRowid);
    },
    extend: (id, line) => Number(extend.run(line, id).changes) > 0,
  };
}
