/**
 * Logs of tasks and audit entries: `logs.sqlite` (0600), on a thread of its own, apart from the API's thread and database. What
 * `append` has answered survives `kill -9` (not the power: WAL with synchronous NORMAL); lines and cursor are one transaction, so a
 * reader that goes on from the cursor loses no line and doubles none.
 *
 * Bounded: at most `maxQueueBytes` of lines are on their way to the thread, further appends wait; audit entries beyond a limit are
 * dropped and counted, for they must never hold up a call.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { cancelled, invalidArgument, isApiError, unavailable } from '../errors.ts';
import { decodePageToken, encodePageToken } from '../page-token.ts';
import type { AuditEntry, LogCursor, LogEntry, LogLine, LogPosition, LogQuery, LogRetention, LogSource, NewLogEntry, TailPart, TailQuery } from './log-entry.ts';
import { checkLogFile } from './log-file.ts';
import type { LogReply, LogWork, LogWorkerData } from './log-worker.ts';

export interface LogStore {
  /**
   * Resolves when the lines are committed. For one attempt: one call at a time, in order.
   * @throws UNAVAILABLE where they were not kept: ask for the cursor and send again from there. CANCELLED by the signal while waiting for room, nothing kept
   */
  append(source: LogSource, lines: readonly LogLine[], signal?: AbortSignal): Promise<void>;
  /** Resolves when all are committed. @throws UNAVAILABLE where none is, CANCELLED by the signal while waiting for room */
  write(entries: readonly NewLogEntry[], signal?: AbortSignal): Promise<void>;
  /** How far an attempt's lines are kept; `{}` where there are none. */
  cursor(attemptId: string, signal?: AbortSignal): Promise<LogCursor>;
  /**
   * One page. It may be short, even empty, and yet have a next one: a search among many lines ends after `queryTimeMs` and is continued by its token.
   * @throws INVALID_ARGUMENT for a page token of another query, CANCELLED by the signal
   */
  query(query: LogQuery & { readonly pageToken?: string }, signal?: AbortSignal): Promise<{ readonly entries: readonly LogEntry[]; readonly nextPageToken: string }>;
  /** Never waits and never throws; what cannot be kept is counted in `stats().auditDropped`. An entry that is still being made is waited for at the end. */
  audit(entry: AuditEntry | Promise<AuditEntry>): void;
  /** What arrived since, as far as the time of a query goes. */
  tail(query: TailQuery, signal?: AbortSignal): Promise<TailPart>;
  /** Names of logs that have entries, `projects/p/logs/ID` with the id encoded. */
  listLogs(parents: readonly string[], signal?: AbortSignal): Promise<readonly string[]>;
  /** Removes what a log has now. */
  deleteLog(parent: string, logId: string): Promise<void>;
  /** Called after each commit. @returns stops listening */
  onWrite(listener: () => void): () => void;
  /** Applies retention now, besides every few minutes. @returns how many entries went */
  sweep(): Promise<number>;
  stats(): { readonly queuedBytes: number; readonly auditWaiting: number; readonly auditDropped: number };
  /** Writes what waits, then closes the file. */
  close(): Promise<void>;
}

export interface LogStoreOptions {
  /** Default: 30 days, 10 GiB. */
  readonly retention?: Partial<LogRetention>;
  /** Default 16 MiB. */
  readonly maxQueueBytes?: number;
  /** Default 10,000 entries. */
  readonly maxAuditWaiting?: number;
  /** How long a query may search, 500 ms by default: lines and audit entries wait meanwhile. */
  readonly queryTimeMs?: number;
  readonly sweepEveryMs?: number;
  /** Parent of audit entries of earlier versions that belong to none. */
  readonly home?: string;
  /** What went wrong with nobody waiting for it (audit entries lost, retention, the thread itself). */
  onError?(error: Error): void;
}

const DEFAULT_RETENTION: LogRetention = { maxAgeMs: 30 * 24 * 3600 * 1000, maxBytes: 10 * 1024 ** 3 };
const MAX_MESSAGE_BYTES = 2 * 1024 * 1024;
const LINE_OVERHEAD = 64;
const AUDIT_BATCH = 256;
const AUDIT_DELAY_MS = 200;

/** Opens (and on first use makes) `<dataDir>/logs.sqlite`. @throws where it cannot be opened */
export async function openLogStore(dataDir: string, options: LogStoreOptions = {}): Promise<LogStore> {
  const { logs, open } = prepareLogStore(dataDir, options);
  await open();
  return logs;
}

/** The same without the thread, which `open` starts, or the first question. `open` rejects where the file cannot be opened. @throws where the file cannot be used */
export function prepareLogStore(dataDir: string, options: LogStoreOptions = {}): { readonly logs: LogStore; open(): Promise<void> } {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const file = join(dataDir, 'logs.sqlite');
  checkLogFile(file);
  const link = createLink(
    {
      file,
      retention: { ...DEFAULT_RETENTION, ...options.retention },
      sweepEveryMs: options.sweepEveryMs ?? 60_000,
      queryTimeMs: options.queryTimeMs ?? 500,
      home: options.home ?? 'projects/demo',
    },
    (error) => options.onError?.(error),
  );
  const room = createRoom(options.maxQueueBytes ?? 16 * 1024 * 1024);
  const listeners = new Set<() => void>();
  const written = (): void => {
    for (const listener of listeners) listener();
  };
  const audit = createAuditQueue(link, options.maxAuditWaiting ?? 10_000, written, (error) => options.onError?.(error));
  const send = async (work: LogWork, bytes: number, signal: AbortSignal | undefined): Promise<void> => {
    await room.take(bytes, signal);
    try {
      await link.ask(work);
    } finally {
      room.give(bytes);
    }
    written();
  };

  const logs: LogStore = {
    async append(source, lines, signal) {
      for (const part of parts(lines)) await send({ kind: 'append', source, lines: part.lines }, part.bytes, signal);
    },
    write: (entries, signal) =>
      send(
        { kind: 'write', entries },
        entries.reduce((sum, { payload }) => sum + payload.length + LINE_OVERHEAD, 0),
        signal,
      ),
    cursor: (attemptId, signal) => link.ask<LogCursor>({ kind: 'cursor', attemptId }, signal),
    async query({ pageToken, ...query }, signal) {
      const identity = Object.entries(query)
        .filter(([name]) => name !== 'pageSize')
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, value]) => [name, JSON.stringify(value, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v))]);
      const position = toPosition(decodePageToken(identity, pageToken ?? ''));
      await audit.sent();
      const work = (givenUp: Int32Array): LogWork => ({ kind: 'query', query, after: position, givenUp });
      const { entries, next } = await askWhileWanted<{ entries: readonly LogEntry[]; next: LogPosition | undefined }>(link, work, signal);
      return { entries, nextPageToken: next === undefined ? '' : encodePageToken(identity, [String(next.timeNs), next.id]) };
    },
    tail: (query, signal) => askWhileWanted<TailPart>(link, (givenUp) => ({ kind: 'tail', query, givenUp }), signal),
    async listLogs(parents, signal) {
      await audit.sent();
      return link.ask<readonly string[]>({ kind: 'listLogs', parents }, signal);
    },
    deleteLog: (parent, logId) => link.ask({ kind: 'deleteLog', parent, logId }),
    audit: (entry) => audit.add(entry),
    onWrite(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    sweep: () => link.ask<number>({ kind: 'sweep' }),
    stats: () => ({ queuedBytes: room.taken(), auditWaiting: audit.waiting(), auditDropped: audit.dropped() }),
    async close() {
      await audit.sent();
      await link.close();
    },
  };
  return { logs, open: () => link.open() };
}

/** Asks for what takes long; the thread stops where nobody waits for it any more. */
async function askWhileWanted<T>(link: Link, work: (givenUp: Int32Array) => LogWork, signal: AbortSignal | undefined): Promise<T> {
  const givenUp = new Int32Array(new SharedArrayBuffer(4));
  const giveUp = (): void => {
    Atomics.store(givenUp, 0, 1);
  };
  signal?.addEventListener('abort', giveUp, { once: true });
  try {
    return await link.ask<T>(work(givenUp), signal);
  } finally {
    signal?.removeEventListener('abort', giveUp);
  }
}

/** A token is what a caller sends: its digest proves nothing about the rest. */
function toPosition(after: readonly (string | number)[] | undefined): LogPosition | undefined {
  if (after === undefined) return undefined;
  const [time, id] = after;
  if (typeof time !== 'string' || !/^-?\d{1,18}$|^[1-8]\d{18}$/.test(time) || typeof id !== 'number' || !Number.isSafeInteger(id))
    throw invalidArgument('page_token', 'The page token is not valid for this request.');
  return { timeNs: BigInt(time), id };
}

/** Messages of bounded size, each kept with its cursor by itself. */
function* parts(lines: readonly LogLine[]): Generator<{ lines: readonly LogLine[]; bytes: number }> {
  let start = 0;
  let bytes = 0;
  for (const [index, line] of lines.entries()) {
    bytes += line.text.length + LINE_OVERHEAD;
    if (bytes >= MAX_MESSAGE_BYTES || index === lines.length - 1) {
      yield { lines: lines.slice(start, index + 1), bytes };
      start = index + 1;
      bytes = 0;
    }
  }
}

/** Room for bytes on their way; first come, first served. What is larger than all of it goes alone. */
function createRoom(most: number) {
  let taken = 0;
  const waiting: { bytes: number; enter: () => void }[] = [];
  const admit = (): void => {
    for (let next = waiting[0]; next !== undefined && (taken === 0 || taken + next.bytes <= most); next = waiting[0]) {
      waiting.shift();
      taken += next.bytes;
      next.enter();
    }
  };
  return {
    taken: () => taken,
    take(bytes: number, signal?: AbortSignal): Promise<void> {
      if (signal?.aborted === true) return Promise.reject(cancelled('The call was cancelled.'));
      return new Promise((resolve, reject) => {
        const leave = (): void => {
          waiting.splice(waiting.indexOf(entry), 1);
          reject(cancelled('The call was cancelled.'));
          admit();
        };
        const entry = {
          bytes,
          enter: () => {
            signal?.removeEventListener('abort', leave);
            resolve();
          },
        };
        signal?.addEventListener('abort', leave, { once: true });
        waiting.push(entry);
        admit();
      });
    },
    give(bytes: number): void {
      taken -= bytes;
      admit();
    },
  };
}

function createAuditQueue(link: Link, most: number, onWrite: () => void, onError: (error: Error) => void) {
  let pending: AuditEntry[] = [];
  let inFlight = 0;
  let dropped = 0;
  let said = 0;
  let timer: NodeJS.Timeout | undefined;
  const send = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const entries = pending;
    if (entries.length === 0) return;
    pending = [];
    const count = entries.length;
    // Said once the entry of it is kept.
    const lost = dropped - said;
    if (lost > 0) entries.push(lossOf(entries[0], lost));
    inFlight += entries.length;
    link
      .ask({ kind: 'audit', entries: JSON.stringify(entries) })
      .then(() => {
        said += lost;
        return onWrite();
      })
      .catch((error: Error) => {
        dropped += count;
        onError(error);
      })
      .finally(() => {
        inFlight -= entries.length;
      });
  };
  const making = new Set<Promise<void>>();
  const push = (entry: AuditEntry): void => {
    pending.push(entry);
    if (pending.length >= AUDIT_BATCH) send();
    else timer ??= setTimeout(send, AUDIT_DELAY_MS).unref();
  };
  return {
    /** Resolves when all that was handed in is on its way to the thread, so before any later question. */
    async sent(): Promise<void> {
      while (making.size > 0) await Promise.all(making);
      send();
    },
    waiting: () => pending.length + inFlight + making.size,
    dropped: () => dropped,
    add(entry: AuditEntry | Promise<AuditEntry>): void {
      if (pending.length + inFlight + making.size >= most) {
        dropped++;
        return;
      }
      if (!(entry instanceof Promise)) return push(entry);
      const made = entry.then(push).catch((error: Error) => {
        dropped++;
        onError(error);
      });
      making.add(made);
      void made.finally(() => making.delete(made));
    },
  };
}

/** In the trail itself: what is not in it. */
function lossOf(beside: AuditEntry | undefined, count: number): AuditEntry {
  const { parent = 'projects/-', timeMicros = 0 } = beside ?? {};
  return {
    parent,
    log: 'calls',
    timeMicros,
    principal: '',
    delegation: [],
    service: 'actas.internal',
    method: 'actas.audit.lost',
    resource: `//actas.internal/${parent}`,
    permissions: [],
    status: 'DATA_LOSS',
    code: 15,
    message: `${count} audit entries were lost before this: more calls arrived than could be written.`,
    latencyMs: 0,
    requestId: randomUUID(),
    door: 'internal',
    peer: '',
    userAgent: '',
  };
}

interface Link {
  open(): Promise<void>;
  /** @throws UNAVAILABLE, or CANCELLED by the signal: the answer is then not waited for */
  ask<T>(work: LogWork, signal?: AbortSignal): Promise<T>;
  close(): Promise<void>;
}

/** The thread, started again by the next question should it ever end by itself. */
function createLink(workerData: LogWorkerData, onError: (error: Error) => void): Link {
  const script = new URL(import.meta.url.endsWith('.ts') ? './log-worker.ts' : './log-worker.js', import.meta.url);
  const pending = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  let worker: Worker | undefined;
  let lastId = 0;
  let isClosed = false;

  const fail = (error: Error): void => {
    const all = [...pending.values()];
    pending.clear();
    for (const { reject } of all) reject(isApiError(error) ? error : unavailable('The database of logs failed. Retry.', error));
  };
  const start = (): Worker => {
    const threads = process.getBuiltinModule('node:worker_threads');
    const started = new threads.Worker(script, { workerData, name: 'logs', env: {}, execArgv: [] });
    started.on('message', (reply: LogReply) => {
      const waiting = pending.get(reply.id);
      pending.delete(reply.id);
      if (!('error' in reply)) waiting?.resolve(reply.value);
      else if (waiting === undefined) onError(new Error(reply.error));
      else waiting.reject(unavailable('The database of logs failed. Retry.', new Error(reply.error)));
    });
    const ended = (error: Error): void => {
      if (worker !== started) return;
      worker = undefined;
      fail(error);
      if (!isClosed) onError(error);
    };
    started.on('error', (error) => ended(error instanceof Error ? error : new Error(String(error))));
    started.on('exit', (code) => ended(new Error(`The thread of the logs ended with code ${code}.`)));
    return started;
  };
  const post = <T>(id: number, work: LogWork | undefined, signal?: AbortSignal): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (signal?.aborted === true) return reject(cancelled('The call was cancelled.'));
      const abort = (): void => {
        pending.delete(id);
        // Answers that nobody waits for are not errors.
        pending.set(id, { resolve: () => undefined, reject: () => undefined });
        reject(cancelled('The call was cancelled.'));
      };
      const done = (): void => signal?.removeEventListener('abort', abort);
      signal?.addEventListener('abort', abort, { once: true });
      // The caller of `ask` knows what the thread answers to its kind of work.
      pending.set(id, {
        resolve: (value) => {
          done();
          resolve(value as T);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      });
      worker ??= start();
      if (work !== undefined) worker.postMessage({ id, work });
    });

  return {
    // The thread says `0` when the file is open.
    open: () =>
      post<void>(0, undefined).catch((error: Error) => {
        throw error.cause instanceof Error ? error.cause : error;
      }),
    ask: (work, signal) => (isClosed ? Promise.reject(unavailable('The server is shutting down.')) : post(++lastId, work, signal)),
    async close() {
      if (isClosed) return;
      isClosed = true;
      if (worker === undefined) return;
      await post(++lastId, { kind: 'close' });
      await worker?.terminate();
    },
  };
}
