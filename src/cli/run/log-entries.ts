/**
 * Reads a job's log entries through the Logging API, and follows them.
 * Invariants: an entry is shown once (told apart by its insertId and time); entries that arrive late, because tasks write at
 * the same time, are still shown as long as they are at most `OVERLAP_MS` older than the newest one.
 */
import type { Api } from '../api.ts';
import { type LogEntry, type LogRange, readLogEntries } from '../log-reading.ts';

export interface LogScope {
  readonly project: string;
  readonly region: string;
  readonly job: string;
  readonly execution?: string;
  /** In the Logging query language, joined by AND. */
  readonly extra?: string;
}

function logFilter(scope: LogScope, since?: string): string {
  const parts = ['resource.type="cloud_run_job"', `resource.labels.job_name=${JSON.stringify(scope.job)}`, `resource.labels.location=${JSON.stringify(scope.region)}`];
  if (scope.execution !== undefined) parts.push(`labels."run.googleapis.com/execution_name"=${JSON.stringify(scope.execution)}`);
  if (since !== undefined) parts.push(`timestamp>=${JSON.stringify(since)}`);
  if (scope.extra !== undefined) parts.push(`(${scope.extra})`);
  return parts.join(' AND ');
}

/** Entries of a scope, at most `limit`, in the order asked for. */
export function readEntries(api: Api, scope: LogScope, options: { readonly since?: string; readonly order: 'asc' | 'desc'; readonly limit?: number }): Promise<LogEntry[]> {
  return readLogEntries(api, rangeOf(scope, options.since), options);
}

export function rangeOf(scope: LogScope, since?: string): LogRange {
  return { resourceNames: [`projects/${scope.project}`], filter: logFilter(scope, since) };
}

const OVERLAP_MS = 5000;

/** Gives what is new since the last call. @param from RFC 3339; entries before it are not shown */
export function createFollower(api: Api, scope: LogScope, from: string): () => Promise<LogEntry[]> {
  const seen = new Map<string, string>();
  let newest = from;
  return async () => {
    const since = maxTime(from, new Date(Date.parse(newest) - OVERLAP_MS).toISOString());
    const fresh: LogEntry[] = [];
    for (const entry of await readEntries(api, scope, { since, order: 'asc' })) {
      const time = entry.timestamp ?? '';
      const key = `${time} ${entry.insertId ?? `${entry.logName ?? ''} ${messageOf(entry)}`}`;
      if (seen.has(key)) continue;
      seen.set(key, time);
      newest = maxTime(newest, time);
      fresh.push(entry);
    }
    // What is older than the overlap will not be asked for again.
    for (const [key, time] of seen) if (Date.parse(time) < Date.parse(newest) - 2 * OVERLAP_MS) seen.delete(key);
    return fresh;
  };
}

function maxTime(left: string, right: string): string {
  return right !== '' && Date.parse(right) > Date.parse(left) ? right : left;
}

/** The line that the container wrote. */
export function messageOf(entry: LogEntry): string {
  if (entry.textPayload !== undefined) return entry.textPayload;
  const message = entry.jsonPayload?.['message'];
  return typeof message === 'string' ? message : entry.jsonPayload === undefined ? '' : JSON.stringify(entry.jsonPayload);
}

/** `task 2` or, for a retry, `task 2 attempt 1`. */
export function sourceOf(entry: LogEntry): string {
  const index = entry.labels?.['run.googleapis.com/task_index'];
  const attempt = entry.labels?.['run.googleapis.com/task_attempt'];
  if (index === undefined) return '';
  return `task ${index}${attempt === undefined || attempt === '0' ? '' : ` attempt ${attempt}`}`;
}

/** `2026-11-23 18:51:46 [task 0] WARNING: text`, as `logs read` prints it. */
export function showEntry(entry: LogEntry): string {
  return `${(entry.timestamp ?? '').slice(0, 19).replace('T', ' ')} ${showLine(entry)}`;
}

const QUIET = new Set([undefined, '', 'DEFAULT', 'INFO', 'DEBUG', 'NOTICE']);

/** `[task 0] text`, as `execute --logs` prints it. */
export function showLine(entry: LogEntry): string {
  const source = sourceOf(entry);
  return `${source === '' ? '' : `[${source}] `}${QUIET.has(entry.severity) ? '' : `${entry.severity ?? ''}: `}${messageOf(entry)}`;
}
