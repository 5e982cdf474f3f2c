/**
 * The logs database: lines of tasks and audit entries, in a file of its own so that they never hold up the state. Everything here is
 * synchronous and runs on the worker thread alone (`log-worker.ts`).
 *
 * Invariants: lines and the cursor that counts them are written in one transaction; a query returns within its time, with the place
 * where the next one goes on; entries leave in the order in which they came.
 *
 * A line costs one row and three index entries: by project, job and execution, each with the time, so that a page of any of them
 * reads little more than the page. The key of each index is a hash of the name; what collides is told apart by the source.
 */
import { createHash } from 'node:crypto';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import type { Micros } from '../timestamp.ts';
import { matches, narrow } from './log-condition.ts';
import type { LogCursor, LogEntry, LogLine, LogPosition, LogQuery, LogSource, LogStream } from './log-entry.ts';
import { checkLogFile, LOG_SCHEMA_VERSION, tooNew } from './log-file.ts';
import { parseLine, SEVERITIES } from './log-line.ts';

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS sources (id INTEGER PRIMARY KEY AUTOINCREMENT, attempt_id TEXT NOT NULL UNIQUE, body TEXT NOT NULL, update_time INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS cursors (source INTEGER NOT NULL, container TEXT NOT NULL, time_ns INTEGER NOT NULL, count INTEGER NOT NULL, splits TEXT, PRIMARY KEY (source, container)) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL, receive_time INTEGER NOT NULL, source INTEGER NOT NULL, project INTEGER NOT NULL, job INTEGER NOT NULL,
    execution INTEGER NOT NULL, severity INTEGER NOT NULL, stream TEXT NOT NULL, container TEXT NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL, insert_id TEXT, extras TEXT, split TEXT) STRICT;
  CREATE INDEX IF NOT EXISTS entries_project ON entries (project, time_ns, id);
  CREATE INDEX IF NOT EXISTS entries_job ON entries (job, time_ns, id);
  CREATE INDEX IF NOT EXISTS entries_execution ON entries (execution, time_ns, id);
  CREATE TABLE IF NOT EXISTS audit (id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, principal TEXT NOT NULL, method TEXT NOT NULL, resource TEXT NOT NULL, permissions TEXT NOT NULL,
    status TEXT NOT NULL, latency_ms REAL NOT NULL, request_id TEXT NOT NULL, door TEXT NOT NULL, delegation TEXT NOT NULL DEFAULT '[]') STRICT;
  CREATE INDEX IF NOT EXISTS audit_principal ON audit (principal, id);
  PRAGMA user_version = ${LOG_SCHEMA_VERSION};`;

/** A page stops here even where more rows were asked for: a line may be of 256 KiB. */
const MAX_PAGE_CHARS = 4 * 1024 * 1024;
const MAX_SOURCES_IN_MEMORY = 2000;

export interface LogDatabase {
  readonly raw: DatabaseSync;
  /** Inside a transaction of the caller. */
  append(source: LogSource, lines: readonly LogLine[], receiveTime: Micros): void;
  cursor(attemptId: string): LogCursor;
  /** @param stop asked after each row; true ends the search where it is */
  query(query: LogQuery, after: LogPosition | undefined, stop: () => boolean): { entries: LogEntry[]; next: LogPosition | undefined };
  close(): void;
}

/** Opens (and on first use makes) the file, 0600. @throws where a newer program wrote it */
export function openLogDatabase(file: string): LogDatabase {
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
  if (version === 1) raw.exec(`ALTER TABLE audit ADD COLUMN delegation TEXT NOT NULL DEFAULT '[]'`);
  raw.exec(SCHEMA);
  const sources = createSources(raw);
  return {
    raw,
    append: createAppend(raw, sources),
    cursor: createCursor(raw),
    query: (query, after, stop) => runQuery(raw, sources, query, after, stop),
    close() {
      raw.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      raw.close();
    },
  };
}

interface Sources {
  /** @returns the row's id */
  keep(source: LogSource, now: Micros): number;
  get(id: number): LogSource;
}

function createSources(raw: DatabaseSync): Sources {
  const upsert = raw.prepare(
    'INSERT INTO sources (attempt_id, body, update_time) VALUES (?, ?, ?) ON CONFLICT (attempt_id) DO UPDATE SET update_time = excluded.update_time RETURNING id',
  );
  const select = raw.prepare('SELECT body FROM sources WHERE id = ?');
  const known = new Map<number, LogSource>();
  return {
    keep: (source, now) => Number(upsert.get(source.attemptId, JSON.stringify(source), now)?.['id']),
    get(id) {
      let source = known.get(id);
      if (source === undefined) {
        // Written by `keep` alone; sources outlive their entries.
        source = JSON.parse(String(select.get(id)?.['body'])) as LogSource;
        if (known.size >= MAX_SOURCES_IN_MEMORY) known.clear();
        known.set(id, source);
      }
      return source;
    },
  };
}

interface Split {
  uid: string;
  index: number;
}
interface Place {
  timeNs: bigint;
  count: number;
  splits: Record<string, Split>;
}

function createAppend(raw: DatabaseSync, sources: Sources): LogDatabase['append'] {
  const readPlaces = raw.prepare('SELECT container, time_ns, count, splits FROM cursors WHERE source = ?');
  readPlaces.setReadBigInts(true);
  const writePlace = raw.prepare(
    'INSERT INTO cursors (source, container, time_ns, count, splits) VALUES (?, ?, ?, ?, ?) ON CONFLICT (source, container) DO UPDATE SET time_ns = excluded.time_ns, count = excluded.count, splits = excluded.splits',
  );
  const insert = raw.prepare(
    'INSERT INTO entries (time_ns, receive_time, source, project, job, execution, severity, stream, container, kind, payload, insert_id, extras, split) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  return (source, lines, receiveTime) => {
    const id = sources.keep(source, receiveTime);
    const keys = [indexKey('project', source.projectId), indexKey('job', source.projectId, source.job), indexKey('execution', source.projectId, source.execution)];
    const places = new Map<string, Place>();
    // Written below alone.
    for (const row of readPlaces.all(id))
      places.set(String(row['container']), {
        timeNs: BigInt(String(row['time_ns'])),
        count: Number(row['count']),
        splits: row['splits'] === null ? {} : (JSON.parse(String(row['splits'])) as Record<string, Split>),
      });
    for (const line of lines) {
      const place = places.get(line.container) ?? { timeNs: -1n, count: 0, splits: {} };
      place.count = place.timeNs === line.timeNs ? place.count + 1 : 1;
      place.timeNs = line.timeNs;
      places.set(line.container, place);
      const split = nextSplit(place, line, source.attemptId);
      const parsed = line.container === '' ? systemLine(line) : split !== undefined ? wholeText(line) : parseLine(line.text, line.timeNs, receiveTime);
      const stream: LogStream = line.container === '' ? 'system' : line.stream;
      insert.run(
        parsed.timeNs,
        receiveTime,
        id,
        ...keys,
        parsed.severity,
        stream,
        line.container,
        parsed.kind,
        parsed.payload,
        parsed.insertId ?? null,
        parsed.extras === undefined ? null : JSON.stringify(parsed.extras),
        split === undefined ? null : JSON.stringify(split),
      );
    }
    for (const [container, place] of places) writePlace.run(id, container, place.timeNs, place.count, Object.keys(place.splits).length === 0 ? null : JSON.stringify(place.splits));
  };
}

/** Which piece of a long line this is; undefined for a line that came whole. */
function nextSplit(place: Place, line: LogLine, attemptId: string): Split | undefined {
  const open = place.splits[line.stream];
  if (open === undefined && line.partial !== true) return undefined;
  const split = open ?? { uid: createHash('sha256').update(`${attemptId} ${line.container} ${line.stream} ${line.timeNs} ${place.count}`).digest('hex').slice(0, 24), index: 0 };
  if (line.partial === true) place.splits[line.stream] = { uid: split.uid, index: split.index + 1 };
  else delete place.splits[line.stream];
  return split;
}

function systemLine(line: LogLine): ReturnType<typeof parseLine> {
  return { timeNs: line.timeNs, severity: line.stream === 'stderr' ? SEVERITIES.ERROR : SEVERITIES.INFO, kind: 'text', payload: line.text };
}
function wholeText(line: LogLine): ReturnType<typeof parseLine> {
  return { timeNs: line.timeNs, severity: SEVERITIES.DEFAULT, kind: 'text', payload: line.text };
}

function createCursor(raw: DatabaseSync): LogDatabase['cursor'] {
  const select = raw.prepare('SELECT container, time_ns, count FROM cursors JOIN sources ON sources.id = cursors.source WHERE attempt_id = ?');
  select.setReadBigInts(true);
  return (attemptId) => Object.fromEntries(select.all(attemptId).map((row) => [String(row['container']), { timeNs: BigInt(String(row['time_ns'])), count: Number(row['count']) }]));
}

/** 48 bits of a hash: exact in a JavaScript number, and short in SQLite's records. */
function indexKey(...parts: readonly string[]): number {
  return createHash('sha256').update(parts.join('\n')).digest().readUIntBE(0, 6);
}

type Row = Record<string, unknown>;

function runQuery(
  raw: DatabaseSync,
  sources: Sources,
  asked: LogQuery,
  after: LogPosition | undefined,
  stop: () => boolean,
): { entries: LogEntry[]; next: LogPosition | undefined } {
  const query = narrow(asked);
  const iterators = [...new Set(query.projectIds)].map((projectId) => rowsOf(raw, query, projectId, after));
  const heads = iterators.map((rows) => rows.next());
  const entries: LogEntry[] = [];
  let chars = 0;
  let last: LogPosition | undefined;
  try {
    for (;;) {
      const first = firstOf(heads, query.order);
      const head = heads[first];
      if (head === undefined || head.done === true) return { entries, next: undefined };
      if (entries.length >= query.pageSize || chars > MAX_PAGE_CHARS || (last !== undefined && stop())) return { entries, next: last };
      const entry = toEntry(head.value, sources);
      last = { timeNs: entry.timeNs, id: entry.id };
      if (isWanted(query, entry)) {
        entries.push(entry);
        chars += entry.payload.length;
      }
      heads[first] = iterators[first]?.next() ?? { done: true, value: undefined };
    }
  } finally {
    for (const rows of iterators) rows.return?.();
  }
}

function rowsOf(raw: DatabaseSync, query: LogQuery, projectId: string, after: LogPosition | undefined): Iterator<Row, undefined> {
  const [column, key] =
    query.execution !== undefined
      ? ['execution', indexKey('execution', projectId, query.execution)]
      : query.job !== undefined
        ? ['job', indexKey('job', projectId, query.job)]
        : ['project', indexKey('project', projectId)];
  const clauses = [`${column} = ?`];
  const values: SQLInputValue[] = [key];
  const add = (clause: string, ...more: SQLInputValue[]): void => {
    clauses.push(clause);
    values.push(...more);
  };
  if (query.fromNs !== undefined) add('time_ns >= ?', clamp(query.fromNs));
  if (query.toNs !== undefined) add('time_ns < ?', clamp(query.toNs));
  if (query.minSeverity !== undefined && query.minSeverity > 0) add('severity >= ?', query.minSeverity);
  if (after !== undefined) add(query.order === 'asc' ? '(time_ns, id) > (?, ?)' : '(time_ns, id) < (?, ?)', after.timeNs, after.id);
  const direction = query.order === 'asc' ? 'ASC' : 'DESC';
  const statement: StatementSync = raw.prepare(`SELECT * FROM entries INDEXED BY entries_${column} WHERE ${clauses.join(' AND ')} ORDER BY time_ns ${direction}, id ${direction}`);
  statement.setReadBigInts(true);
  return statement.iterate(...values)[Symbol.iterator]();
}

function clamp(ns: bigint): bigint {
  return BigInt.asIntN(64, ns) === ns ? ns : ns < 0n ? -(2n ** 63n) : 2n ** 63n - 1n;
}

function firstOf(heads: readonly IteratorResult<Row, undefined>[], order: 'asc' | 'desc'): number {
  let best = -1;
  for (const [index, head] of heads.entries()) {
    const other = heads[best];
    if (head.done === true) continue;
    if (other === undefined || other.done === true || isBefore(head.value, other.value) === (order === 'asc')) best = index;
  }
  return best;
}
function isBefore(a: Row, b: Row): boolean {
  const [timeA, timeB] = [BigInt(String(a['time_ns'])), BigInt(String(b['time_ns']))];
  return timeA === timeB ? Number(a['id']) < Number(b['id']) : timeA < timeB;
}

function isWanted(query: LogQuery, entry: LogEntry): boolean {
  const { source } = entry;
  return (
    query.projectIds.includes(source.projectId) &&
    (query.location === undefined || query.location === source.location) &&
    (query.job === undefined || query.job === source.job) &&
    (query.execution === undefined || query.execution === source.execution) &&
    (query.taskIndex === undefined || query.taskIndex === source.taskIndex) &&
    (query.textContains === undefined || entry.payload.toLowerCase().includes(query.textContains.toLowerCase())) &&
    (query.where === undefined || matches(query.where, entry))
  );
}

function toEntry(row: Row, sources: Sources): LogEntry {
  const timeNs = BigInt(String(row['time_ns']));
  const id = Number(row['id']);
  // What `append` wrote: its own JSON, and words of two closed sets.
  return {
    id,
    timeNs,
    receiveTime: Number(row['receive_time']),
    source: sources.get(Number(row['source'])),
    container: String(row['container']),
    stream: row['stream'] as LogStream,
    severity: Number(row['severity']),
    insertId: typeof row['insert_id'] === 'string' ? row['insert_id'] : insertId(timeNs, id),
    kind: row['kind'] as LogEntry['kind'],
    payload: String(row['payload']),
    extras: typeof row['extras'] === 'string' ? (JSON.parse(row['extras']) as LogEntry['extras']) : {},
    ...(typeof row['split'] === 'string' ? { split: JSON.parse(row['split']) as Split } : {}),
  };
}

/** As recorded: eight hex digits each of the seconds, the microseconds, and what tells entries of one microsecond apart. */
function insertId(timeNs: bigint, id: number): string {
  const parts = [timeNs / 1_000_000_000n, (timeNs / 1000n) % 1_000_000n, BigInt.asUintN(32, BigInt(id) * 2_654_435_761n)];
  return parts.map((part) => part.toString(16).padStart(8, '0')).join('');
}
