/**
 * The thread that owns the logs database. It answers one message with one message; appends that wait together are committed together,
 * each in a savepoint of its own. A query looks at every row whether it was given up, through memory that both threads share.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../timestamp.ts';
import { openLogDatabase } from './log-database.ts';
import type { AuditEntry, LogLine, LogPosition, LogQuery, LogRetention, LogSource, NewLogEntry, TailQuery } from './log-entry.ts';
import { createSweep } from './log-retention.ts';

export interface LogWorkerData {
  readonly file: string;
  readonly retention: LogRetention;
  readonly sweepEveryMs: number;
  readonly queryTimeMs: number;
  /** Parent of what belongs to none. */
  readonly home: string;
}

export type LogWork =
  | { readonly kind: 'append'; readonly source: LogSource; readonly lines: readonly LogLine[] }
  | { readonly kind: 'write'; readonly entries: readonly NewLogEntry[] }
  | { readonly kind: 'cursor'; readonly attemptId: string }
  /** `givenUp` is one 32-bit word; not 0: nobody waits for the answer any more. */
  | { readonly kind: 'query'; readonly query: LogQuery; readonly after: LogPosition | undefined; readonly givenUp: Int32Array }
  | { readonly kind: 'tail'; readonly query: TailQuery; readonly givenUp: Int32Array }
  /** AuditEntry, several, as JSON: far quicker to hand over than objects. */
  | { readonly kind: 'audit'; readonly entries: string }
  | { readonly kind: 'listLogs'; readonly parents: readonly string[] }
  | { readonly kind: 'deleteLog'; readonly parent: string; readonly logId: string }
  | { readonly kind: 'sweep' }
  | { readonly kind: 'close' };
export interface LogRequest {
  readonly id: number;
  readonly work: LogWork;
}
export type LogReply = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string };

const port = parentPort;
if (port === null) throw new Error('log-worker.ts runs as a worker thread only.');
// openLogStore starts this thread, with exactly this.
const data = workerData as LogWorkerData;
const database = openLogDatabase(data.file, data.home);
const sweep = createSweep(database.raw, database.streams, data.retention);

type Writing = LogRequest & { readonly work: Extract<LogWork, { kind: 'append' | 'write' | 'audit' }> };
/** So that lines which arrive meanwhile hardly wait. */
const DELETED_AT_ONCE = 2000;
let writes: Writing[] = [];
let scheduled: NodeJS.Immediate | undefined;

const reply = (message: LogReply): void => port.postMessage(message);
const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Commits all writes that wait, then answers them. */
function flush(): void {
  clearImmediate(scheduled);
  scheduled = undefined;
  const batch = writes;
  writes = [];
  if (batch.length === 0) return;
  const replies: LogReply[] = [];
  try {
    database.raw.exec('BEGIN IMMEDIATE');
    for (const { id, work } of batch) {
      database.raw.exec('SAVEPOINT one');
      try {
        keep(work);
        database.settle();
        database.raw.exec('RELEASE one');
        replies.push({ id, value: undefined });
      } catch (error) {
        database.streams.forget();
        // A full disk may have taken back the whole transaction already.
        if (!database.raw.isTransaction) throw error;
        database.raw.exec('ROLLBACK TO one; RELEASE one');
        replies.push({ id, error: words(error) });
      }
    }
    database.raw.exec('COMMIT');
  } catch (error) {
    database.streams.forget();
    if (database.raw.isTransaction) database.raw.exec('ROLLBACK');
    for (const { id } of batch) reply({ id, error: words(error) });
    return;
  }
  for (const message of replies) reply(message);
}

function keep(work: Writing['work']): void {
  // What the log store writes.
  if (work.kind === 'append') database.append(work.source, work.lines, systemClock.now());
  else if (work.kind === 'write') database.write(work.entries, systemClock.now());
  else database.audit.insert(JSON.parse(work.entries) as AuditEntry[], systemClock.now());
}

/** Step by step, so that other messages are served in between. @param gone how many entries went so far */
function sweepOn(done: (gone: number) => void, failed: (error: unknown) => void, gone = 0): void {
  try {
    flush();
    const step = sweep.step(systemClock.now());
    if (step === 0) done(gone);
    else setImmediate(sweepOn, done, failed, gone + step);
  } catch (error) {
    failed(error);
  }
}

/** Step by step as well. */
function deleteOn(parent: string, logId: string, done: (value: undefined) => void, failed: (error: unknown) => void): void {
  try {
    flush();
    database.raw.exec('BEGIN IMMEDIATE');
    const gone = database.deleteFromLog(parent, logId, DELETED_AT_ONCE);
    database.raw.exec('COMMIT');
    if (gone === 0) done(undefined);
    else setImmediate(deleteOn, parent, logId, done, failed);
  } catch (error) {
    if (database.raw.isTransaction) database.raw.exec('ROLLBACK');
    database.streams.forget();
    failed(error);
  }
}

function answer(id: number, work: Exclude<LogWork, Writing['work'] | { kind: 'sweep' | 'deleteLog' }>): unknown {
  switch (work.kind) {
    case 'cursor':
      return database.cursor(work.attemptId);
    case 'query':
      return database.query(work.query, work.after, createStop(work.givenUp));
    case 'tail':
      return database.tail(work.query, createStop(work.givenUp));
    case 'listLogs':
      return database.listLogs(work.parents);
    case 'close':
      clearInterval(timer);
      database.close();
      reply({ id, value: undefined });
      port?.close();
      return undefined;
  }
}

/** Whether the time of a query is up, or nobody waits for it. */
function createStop(givenUp: Int32Array): () => boolean {
  const until = performance.now() + data.queryTimeMs;
  return () => performance.now() > until || Atomics.load(givenUp, 0) !== 0;
}

port.on('message', ({ id, work }: LogRequest) => {
  if (work.kind === 'append' || work.kind === 'write' || work.kind === 'audit') {
    writes.push({ id, work });
    // A turn of the event loop later: what arrived in this one shares the commit.
    scheduled ??= setImmediate(flush);
    return;
  }
  const done = (value: unknown): void => reply({ id, value });
  const failed = (error: unknown): void => reply({ id, error: words(error) });
  if (work.kind === 'sweep') return sweepOn(done, failed);
  if (work.kind === 'deleteLog') return deleteOn(work.parent, work.logId, done, failed);
  try {
    // So that everybody reads what was written before.
    flush();
    const value = answer(id, work);
    if (work.kind !== 'close') reply({ id, value });
  } catch (error) {
    failed(error);
  }
});

const complain = (error: unknown): void => reply({ id: -1, error: `The retention of logs failed: ${words(error)}` });
const timer = setInterval(() => sweepOn(() => undefined, complain), data.sweepEveryMs);
reply({ id: 0, value: 'open' });
