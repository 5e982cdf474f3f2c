/**
 * Pages of entries in the order of time. Where the filter names few streams they are merged, each opened when its time comes; else the parent's entries are
 * read in order, and where that finds too little for what it reads, the streams are looked for after all. So a page costs little more than what is on it.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { compileEntryTest, compileHeadTest, type EntryTest, type HeadTest } from './log-condition.ts';
import type { LogEntry, LogHead, LogPosition, LogQuery, LogSplit, TailPart, TailQuery } from './log-entry.ts';
import { type LogPlan, planOf } from './log-plan.ts';
import type { StreamBounds, Streams } from './log-streams.ts';

/** A page stops here even where more rows were asked for: a line may be of 256 KiB. */
const MAX_PAGE_CHARS = 4 * 1024 * 1024;
/** So few streams are merged at once, without trying the parent's entries first. */
const FEW_STREAMS = 500;
/** More are not held in memory. */
const MANY_STREAMS = 5000;
/** So many streams are looked up together: a page needs few. */
const STREAMS_AT_ONCE = 100;
/** What reading in order may look at before the streams are looked for. */
const TRIAL_ROWS = 200;

type Row = Record<string, unknown>;
/** Rows in the order of the query, with what the indexes hold of an entry; undefined at their end. */
type Rows = () => Row | undefined;
/** Reads rows of one index; what it opened is closed with the query. */
type ReadRows = (column: 'parent' | 'stream', key: number, plan: LogPlan, after: LogPosition | undefined) => Rows;

export interface LogReader {
  /** @param stop asked after each row; true ends the search where it is */
  query(query: LogQuery, after: LogPosition | undefined, stop: () => boolean): { entries: LogEntry[]; next: LogPosition | undefined };
  tail(query: TailQuery, stop: () => boolean): TailPart;
}

export function createLogReader(raw: DatabaseSync, streams: Streams): LogReader {
  return {
    query: (query, after, stop) => runQuery(raw, streams, query, after, stop),
    tail: (query, stop) => runTail(raw, streams, query, stop),
  };
}

/** What is wanted of a row, by its stream first. */
function createSieve(raw: DatabaseSync, streams: Streams, where: LogQuery['where'], hidden: readonly string[] = []) {
  const test: EntryTest | undefined = where === undefined ? undefined : compileEntryTest(where);
  const headTest: HeadTest = where === undefined ? () => true : compileHeadTest(where);
  // The payload is read of those rows alone whose stream is wanted.
  const whole = raw.prepare('SELECT * FROM entries WHERE id = ?');
  whole.setReadBigInts(true);
  const known = new Map<number, { readonly head: LogHead; readonly verdict: boolean | undefined }>();
  const judge = (stream: number) => {
    let found = known.get(stream);
    if (found === undefined) {
      const head = streams.head(stream);
      found = { head, verdict: hidden.includes(`${head.parent}/logs/${head.logId}`) ? false : headTest(head) };
      known.set(stream, found);
    }
    return found;
  };
  return {
    mayHave: (stream: number): boolean => judge(stream).verdict !== false,
    /** The entry, where it is wanted. */
    take(id: number, stream: number): LogEntry | undefined {
      const { head, verdict } = judge(stream);
      if (verdict === false) return undefined;
      const row = whole.get(id);
      if (row === undefined) return undefined;
      const entry = toEntry(row, head);
      return verdict === true || test === undefined || test(entry) ? entry : undefined;
    },
  };
}
type Sieve = ReturnType<typeof createSieve>;

function runQuery(
  raw: DatabaseSync,
  streams: Streams,
  query: LogQuery,
  after: LogPosition | undefined,
  stop: () => boolean,
): { entries: LogEntry[]; next: LogPosition | undefined } {
  const sieve = createSieve(raw, streams, query.where, query.hidden);
  const { read, close } = createRowReader(raw, query.order);
  try {
    const heads = [...new Set(query.parents)].flatMap((parent) => {
      const id = streams.parentId(parent);
      return id === undefined ? [] : [rowsOf(read, streams, query, { parent, id }, after, sieve)];
    });
    return readPage(mergeRows(heads, query.order), query.pageSize, sieve, stop);
  } finally {
    close();
  }
}

function readPage(rows: Rows, pageSize: number, sieve: Sieve, stop: () => boolean): { entries: LogEntry[]; next: LogPosition | undefined } {
  const entries: LogEntry[] = [];
  const isRepeated = createRepetition();
  let chars = 0;
  let last: LogPosition | undefined;
  for (let row = rows(); row !== undefined; row = rows()) {
    if (entries.length >= pageSize || chars > MAX_PAGE_CHARS || (last !== undefined && stop())) return { entries, next: last };
    last = { timeNs: timeOf(row), id: Number(row['id']) };
    const entry = sieve.take(last.id, Number(row['stream']));
    if (entry === undefined || isRepeated(entry)) continue;
    entries.push(entry);
    chars += entry.payload.length;
  }
  return { entries, next: undefined };
}

/** Entries of one log with the same time and id are one; those of one time come together. */
function createRepetition(): (entry: LogEntry) => boolean {
  let time = -1n;
  const seen = new Set<string>();
  return ({ timeNs, insertId, head }) => {
    if (timeNs !== time) seen.clear();
    time = timeNs;
    const key = `${head.parent} ${head.logId} ${insertId}`;
    return seen.has(key) || (seen.add(key), false);
  };
}

function rowsOf(read: ReadRows, streams: Streams, query: LogQuery, parent: { parent: string; id: number }, after: LogPosition | undefined, sieve: Sieve): Rows {
  const plan = planOf(query.where, parent.parent);
  const counted = plan.terms.map((terms) => ({ terms, count: terms.reduce((sum, term) => sum + streams.count(term, MANY_STREAMS), 0) }));
  const best = counted.reduce<(typeof counted)[number] | undefined>((least, one) => (least === undefined || one.count < least.count ? one : least), undefined);
  const byStreams = (from: LogPosition | undefined): Rows =>
    mergeStreams(read, query.order, plan, from, (skipped, most) => streams.having(best?.terms ?? [], plan.fromNs, plan.toNs, query.order, skipped, most), sieve);
  if (best !== undefined && best.count <= FEW_STREAMS) return byStreams(after);
  const inOrder = read('parent', parent.id, plan, after);
  if (best === undefined || best.count >= MANY_STREAMS) return inOrder;
  return changingRows(inOrder, sieve, byStreams);
}

/** The first rows in order; where few of them are of wanted streams, the streams' own from there on. */
function changingRows(inOrder: Rows, sieve: Sieve, byStreams: (from: LogPosition | undefined) => Rows): Rows {
  let rows = inOrder;
  let read = 0;
  let wanted = 0;
  return () => {
    const row = rows();
    if (row === undefined || rows !== inOrder) return row;
    read++;
    if (sieve.mayHave(Number(row['stream']))) wanted++;
    if (read >= TRIAL_ROWS && wanted * 10 < read) rows = byStreams({ timeNs: timeOf(row), id: Number(row['id']) });
    return row;
  };
}

function createRowReader(raw: DatabaseSync, order: LogQuery['order']): { readonly read: ReadRows; close(): void } {
  // An iterator that is not at its end keeps the database from tidying up.
  const opened: Iterator<Row, unknown>[] = [];
  const [direction, beyond] = order === 'asc' ? ['ASC', '>'] : ['DESC', '<'];
  return {
    read(column, key, plan, after) {
      const clause = after === undefined ? '' : `AND (time_ns, id) ${beyond} (?, ?)`;
      const statement: StatementSync = raw.prepare(
        `SELECT id, time_ns, stream FROM entries INDEXED BY entries_${column} WHERE ${column} = ? AND time_ns >= ? AND time_ns <= ? ${clause} ORDER BY time_ns ${direction}, id ${direction}`,
      );
      statement.setReadBigInts(true);
      const rows: Iterator<Row, unknown> = statement.iterate(key, plan.fromNs, plan.toNs, ...(after === undefined ? [] : [after.timeNs, after.id]));
      opened.push(rows);
      return () => {
        const next = rows.next();
        return next.done === true ? undefined : next.value;
      };
    },
    close() {
      for (const rows of opened) rows.return?.();
    },
  };
}

/** Streams merged in the order of time. None is opened before its bounds say that it may be next. */
function mergeStreams(
  read: ReadRows,
  order: LogQuery['order'],
  plan: LogPlan,
  after: LogPosition | undefined,
  find: (skipped: number, most: number) => readonly StreamBounds[],
  sieve: Sieve,
): Rows {
  const isAscending = order === 'asc';
  const boundOf = ({ minNs, maxNs }: StreamBounds): bigint => (isAscending ? minNs : maxNs);
  let found: readonly StreamBounds[] = find(0, STREAMS_AT_ONCE);
  let skipped = 0;
  let at = 0;
  const nextClosed = (): StreamBounds | undefined => {
    if (at >= found.length && found.length === STREAMS_AT_ONCE) {
      skipped += found.length;
      found = find(skipped, STREAMS_AT_ONCE);
      at = 0;
    }
    return found[at];
  };
  const open = createHeap(order);
  const openNext = (bounds: StreamBounds): void => {
    at++;
    // Nothing of it comes after the place where the query goes on.
    if (after !== undefined && (isAscending ? bounds.maxNs < after.timeNs : bounds.minNs > after.timeNs)) return;
    if (sieve.mayHave(bounds.id)) open.add(read('stream', bounds.id, plan, after));
  };
  return () => {
    for (let next = nextClosed(); next !== undefined; next = nextClosed()) {
      const first = open.peek();
      if (first !== undefined && (isAscending ? timeOf(first) < boundOf(next) : timeOf(first) > boundOf(next))) break;
      openNext(next);
    }
    return open.take();
  };
}

function mergeRows(all: readonly Rows[], order: LogQuery['order']): Rows {
  const [only] = all;
  if (all.length === 1 && only !== undefined) return only;
  const heap = createHeap(order);
  for (const rows of all) heap.add(rows);
  return () => heap.take();
}

/** Sequences of rows by their first one, in a binary heap. */
function createHeap(order: LogQuery['order']) {
  const items: { row: Row; rows: Rows }[] = [];
  const isBefore = (a: Row, b: Row): boolean => {
    const [timeA, timeB] = [timeOf(a), timeOf(b)];
    return (timeA === timeB ? Number(a['id']) < Number(b['id']) : timeA < timeB) === (order === 'asc');
  };
  const before = (a: number, b: number): boolean => {
    const [left, right] = [items[a], items[b]];
    return left !== undefined && (right === undefined || isBefore(left.row, right.row));
  };
  const swap = (a: number, b: number): void => {
    const [left, right] = [items[a], items[b]];
    if (left === undefined || right === undefined) return;
    items[a] = right;
    items[b] = left;
  };
  const sink = (): void => {
    for (let at = 0; ; ) {
      const left = 2 * at + 1;
      if (left >= items.length) return;
      const child = left + 1 < items.length && before(left + 1, left) ? left + 1 : left;
      if (!before(child, at)) return;
      swap(child, at);
      at = child;
    }
  };
  return {
    add(rows: Rows): void {
      const row = rows();
      if (row === undefined) return;
      items.push({ row, rows });
      for (let at = items.length - 1, up = (at - 1) >> 1; at > 0 && before(at, up); at = up, up = (at - 1) >> 1) swap(at, up);
    },
    peek: (): Row | undefined => items[0]?.row,
    take(): Row | undefined {
      const [top] = items;
      if (top === undefined) return undefined;
      const taken = top.row;
      const next = top.rows();
      if (next !== undefined) top.row = next;
      else {
        const last = items.pop();
        if (last !== undefined && last !== top) items[0] = last;
      }
      sink();
      return taken;
    },
  };
}

function runTail(raw: DatabaseSync, streams: Streams, query: TailQuery, stop: () => boolean): TailPart {
  const newest = Number(raw.prepare('SELECT max(id) AS id FROM entries').get()?.['id'] ?? 0);
  if (query.afterId === undefined) return { entries: [], suppressed: 0, lastId: newest, more: false, later: false };
  const parents = new Set(query.parents.map((parent) => streams.parentId(parent)));
  const sieve = createSieve(raw, streams, query.where, query.hidden);
  const entries: LogEntry[] = [];
  let [suppressed, lastId, chars, more] = [0, query.afterId, 0, false];
  for (const row of raw.prepare('SELECT id, parent, stream, receive_time FROM entries WHERE id > ? ORDER BY id').iterate(query.afterId)) {
    // Whatever is behind it, though it came earlier, is for the next time: an entry that is passed over is never looked at again.
    if (Number(row['receive_time']) > query.untilMicros) break;
    if (stop() || chars > MAX_PAGE_CHARS) {
      more = true;
      break;
    }
    lastId = Number(row['id']);
    if (!parents.has(Number(row['parent']))) continue;
    const entry = sieve.take(lastId, Number(row['stream']));
    if (entry === undefined) continue;
    if (entries.length >= query.most) suppressed++;
    else {
      entries.push(entry);
      chars += entry.payload.length;
    }
  }
  entries.sort((a, b) => (a.timeNs === b.timeNs ? a.id - b.id : a.timeNs < b.timeNs ? -1 : 1));
  return { entries, suppressed, lastId, more, later: newest > lastId };
}

function timeOf(row: Row): bigint {
  const time = row['time_ns'];
  return typeof time === 'bigint' ? time : BigInt(String(time));
}

function toEntry(row: Row, head: LogHead): LogEntry {
  const timeNs = timeOf(row);
  const id = Number(row['id']);
  // What `insert` wrote: its own JSON, and a word of a closed set.
  return {
    id,
    timeNs,
    receiveTime: Number(row['receive_time']),
    head,
    insertId: typeof row['insert_id'] === 'string' ? row['insert_id'] : insertId(timeNs, id),
    kind: row['kind'] as LogEntry['kind'],
    payload: String(row['payload']),
    extras: typeof row['extras'] === 'string' ? (JSON.parse(row['extras']) as LogEntry['extras']) : {},
    ...(typeof row['split'] === 'string' ? { split: JSON.parse(row['split']) as LogSplit } : {}),
  };
}

/** As recorded: eight hex digits each of the seconds, the microseconds, and what tells entries of one microsecond apart. */
function insertId(timeNs: bigint, id: number): string {
  const parts = [timeNs / 1_000_000_000n, (timeNs / 1000n) % 1_000_000n, BigInt.asUintN(32, BigInt(id) * 2_654_435_761n)];
  return parts.map((part) => part.toString(16).padStart(8, '0')).join('');
}
