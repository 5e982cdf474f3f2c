/**
 * The streams that entries belong to: all entries of one parent, log, resource, set of labels and severity. A filter on any of these finds its
 * streams through their terms, however many entries there are, and each stream is read in the order of time by an index.
 *
 * Invariants: every entry of a stream lies between its bounds; a stream without entries is removed by the retention. Synchronous, on the worker thread alone.
 */
import { createHash } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import type { Micros } from '../timestamp.ts';
import type { LogHead } from './log-entry.ts';

export const STREAM_SCHEMA = `
  CREATE TABLE IF NOT EXISTS parents (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
  CREATE TABLE IF NOT EXISTS streams (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, parent INTEGER NOT NULL, log_id TEXT NOT NULL, body TEXT NOT NULL,
    min_ns INTEGER NOT NULL, max_ns INTEGER NOT NULL, receive_time INTEGER NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS streams_log ON streams (parent, log_id);
  CREATE TABLE IF NOT EXISTS terms (term INTEGER NOT NULL, stream INTEGER NOT NULL, PRIMARY KEY (term, stream)) STRICT, WITHOUT ROWID;`;

/** What a filter may name of a stream, and find it by. */
export type TermKind = 'log' | 'type' | 'severity' | 'resource' | 'label';

export interface Stream {
  readonly id: number;
  readonly parentId: number;
}
export interface StreamBounds {
  readonly id: number;
  readonly minNs: bigint;
  readonly maxNs: bigint;
}

export interface Streams {
  /** Finds the stream, or makes it. */
  keep(head: LogHead, timeNs: bigint, now: Micros): Stream;
  /** Widens what is known of a stream by an entry. Written by `settle`. */
  touch(stream: Stream, timeNs: bigint, now: Micros): void;
  /** Writes what `touch` learned: before the end of the transaction. */
  settle(): void;
  /** What is remembered may be wrong: a transaction was taken back, or streams went. */
  forget(): void;
  head(id: number): LogHead;
  parentId(name: string): number | undefined;
  /** @returns how many streams have the term, at most `most` */
  count(term: number, most: number): number;
  /** Some of those that have any of the terms and may have entries of the time, in the order in which they begin. @param from, to nanoseconds, both inclusive */
  having(terms: readonly number[], from: bigint, to: bigint, order: 'asc' | 'desc', skipped: number, most: number): StreamBounds[];
  logIds(parentId: number): string[];
  ofLog(parentId: number, logId: string): number[];
  remove(ids: readonly number[]): void;
  /** Those without entries since a time. @returns how many went */
  removeBefore(receiveTime: Micros): number;
}

const MAX_REMEMBERED = 5000;

interface Remembered extends Stream {
  min: bigint;
  max: bigint;
  receiveTime: Micros;
}

export function createStreams(raw: DatabaseSync): Streams {
  const find = raw.prepare('SELECT id, parent, min_ns, max_ns, receive_time FROM streams WHERE key = ?');
  find.setReadBigInts(true);
  const insert = raw.prepare('INSERT INTO streams (key, parent, log_id, body, min_ns, max_ns, receive_time) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id');
  const insertTerm = raw.prepare('INSERT OR IGNORE INTO terms (term, stream) VALUES (?, ?)');
  const widen = raw.prepare('UPDATE streams SET min_ns = ?, max_ns = ?, receive_time = ? WHERE id = ?');
  const body = raw.prepare('SELECT body FROM streams WHERE id = ?');
  const findParent = raw.prepare('SELECT id FROM parents WHERE name = ?');
  const insertParent = raw.prepare('INSERT INTO parents (name) VALUES (?) RETURNING id');
  const countTerm = raw.prepare('SELECT count(*) AS n FROM (SELECT 1 FROM terms WHERE term = ? LIMIT ?)');
  const removals = ['DELETE FROM terms WHERE stream = ?', 'DELETE FROM streams WHERE id = ?'].map((sql) => raw.prepare(sql));
  const byKey = new Map<string, Remembered>();
  /** Whoever hands in the same head again is spared its key. */
  let byHead = new WeakMap<LogHead, Remembered>();
  const heads = new Map<number, LogHead>();
  const dirty = new Set<Remembered>();

  const remember = (key: string, stream: Remembered): Remembered => {
    // What is not written yet must not be read anew.
    if (byKey.size >= MAX_REMEMBERED) for (const [old, known] of byKey) if (!dirty.has(known)) byKey.delete(old);
    byKey.set(key, stream);
    return stream;
  };
  const parentId = (name: string): number | undefined => {
    const id = findParent.get(name)?.['id'];
    return typeof id === 'number' ? id : undefined;
  };
  const make = (head: LogHead, key: string, timeNs: bigint, now: Micros): Remembered => {
    const parent = parentId(head.parent) ?? Number(insertParent.get(head.parent)?.['id']);
    const id = Number(insert.get(key, parent, head.logId, JSON.stringify(head), timeNs, timeNs, now)?.['id']);
    for (const term of termsOf(head)) insertTerm.run(term, id);
    return { id, parentId: parent, min: timeNs, max: timeNs, receiveTime: now };
  };
  const look = (head: LogHead, timeNs: bigint, now: Micros): Remembered => {
    const key = keyOf(head);
    const known = byKey.get(key);
    if (known !== undefined) return known;
    const row = find.get(key);
    if (row === undefined) return remember(key, make(head, key, timeNs, now));
    return remember(key, {
      id: Number(row['id']),
      parentId: Number(row['parent']),
      min: bigint(row['min_ns']),
      max: bigint(row['max_ns']),
      receiveTime: Number(row['receive_time']),
    });
  };
  const remove = (ids: readonly number[]): void => {
    for (const id of ids) for (const removal of removals) removal.run(id);
    byKey.clear();
    byHead = new WeakMap();
    heads.clear();
  };
  return {
    parentId,
    remove,
    keep(head, timeNs, now) {
      const seen = byHead.get(head);
      if (seen !== undefined) return seen;
      const stream = look(head, timeNs, now);
      byHead.set(head, stream);
      return stream;
    },
    touch(stream, timeNs, now) {
      // `keep` alone makes streams.
      const known = stream as Remembered;
      if (timeNs >= known.min && timeNs <= known.max && known.receiveTime === now) return;
      if (timeNs < known.min) known.min = timeNs;
      if (timeNs > known.max) known.max = timeNs;
      known.receiveTime = now;
      dirty.add(known);
    },
    settle() {
      for (const { id, min, max, receiveTime } of dirty) widen.run(min, max, receiveTime, id);
      dirty.clear();
    },
    forget() {
      byKey.clear();
      byHead = new WeakMap();
      heads.clear();
      dirty.clear();
    },
    head(id) {
      let head = heads.get(id);
      if (head === undefined) {
        // Written by `keep` alone; streams outlive their entries.
        head = JSON.parse(String(body.get(id)?.['body'])) as LogHead;
        if (heads.size >= MAX_REMEMBERED) heads.clear();
        heads.set(id, head);
      }
      return head;
    },
    count: (term, most) => Number(countTerm.get(term, most)?.['n']),
    having(terms, from, to, order, skipped, most) {
      // The bound that comes first in the order.
      const bound = order === 'asc' ? 'min_ns ASC' : 'max_ns DESC';
      const statement = raw.prepare(
        `SELECT id, min_ns, max_ns FROM streams WHERE id IN (SELECT stream FROM terms WHERE term IN (${terms.map(() => '?').join(', ')})) AND max_ns >= ? AND min_ns <= ? ORDER BY ${bound}, id LIMIT ? OFFSET ?`,
      );
      statement.setReadBigInts(true);
      return statement.all(...terms, from, to, most, skipped).map((row) => ({ id: Number(row['id']), minNs: bigint(row['min_ns']), maxNs: bigint(row['max_ns']) }));
    },
    logIds: (parent) =>
      raw
        .prepare('SELECT DISTINCT log_id FROM streams WHERE parent = ? ORDER BY log_id')
        .all(parent)
        .map((row) => String(row['log_id'])),
    ofLog: (parent, logId) =>
      raw
        .prepare('SELECT id FROM streams WHERE parent = ? AND log_id = ?')
        .all(parent, logId)
        .map((row) => Number(row['id'])),
    removeBefore(receiveTime) {
      const ids = raw
        .prepare('SELECT id FROM streams WHERE receive_time < ? LIMIT 1000')
        .all(receiveTime)
        .map((row) => Number(row['id']));
      if (ids.length > 0) remove(ids);
      return ids.length;
    },
  };
}

function bigint(value: unknown): bigint {
  return typeof value === 'bigint' ? value : BigInt(String(value));
}

/** 48 bits of a hash: exact in a JavaScript number, and short in SQLite's records. What collides is told apart when the stream is looked at. */
export function termOf(parent: string, kind: TermKind, name: string, value: string): number {
  return createHash('sha256')
    .update(JSON.stringify([parent, kind, name, value.toLowerCase()]))
    .digest()
    .readUIntBE(0, 6);
}

function termsOf(head: LogHead): number[] {
  const { parent } = head;
  return [
    termOf(parent, 'log', '', head.logId),
    termOf(parent, 'type', '', head.resourceType),
    termOf(parent, 'severity', '', String(head.severity)),
    ...Object.entries(head.resourceLabels).map(([name, value]) => termOf(parent, 'resource', name, value)),
    ...Object.entries(head.labels).map(([name, value]) => termOf(parent, 'label', name, value)),
  ];
}

function keyOf({ parent, logId, resourceType, resourceLabels, labels, severity }: LogHead): string {
  const sorted = (record: Readonly<Record<string, string>>): string[][] => Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([parent, logId, resourceType, sorted(resourceLabels), sorted(labels), severity]))
    .digest('base64');
}
