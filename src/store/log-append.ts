/**
 * Lines of attempts on their way into the database: each becomes an entry of a Cloud Run job (recorded: resource, labels, log names), in one transaction with
 * the cursor that counts it. A stack trace that came as several lines is one entry: the lines that go on with it are added to
 * the entry of its first, so that a line is counted as soon as it is kept.
 */
import { createHash } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import type { Micros } from '../timestamp.ts';
import type { LogCursor, LogHead, LogLine, LogSource, LogSplit, NewLogEntry } from './log-entry.ts';
import { parseLine, SEVERITIES } from './log-line.ts';
import { continueTrace, startTrace, type TraceState } from './log-trace.ts';

/** By what the platform writes: the streams of containers, and its own lines. */
const LOG_IDS = { stdout: 'run.googleapis.com/stdout', stderr: 'run.googleapis.com/stderr', system: 'run.googleapis.com/varlog/system' } as const;

export interface LineWriter {
  /** Inside a transaction of the caller. */
  append(source: LogSource, lines: readonly LogLine[], receiveTime: Micros): void;
  cursor(attemptId: string): LogCursor;
}

/** What the writer needs of the table of entries. */
export interface EntryWriter {
  /** @returns the entry's id */
  insert(entry: NewLogEntry, receiveTime: Micros): number;
  /** Adds a line to a text. @returns false where the entry is gone */
  extend(id: number, line: string): boolean;
}

interface Split {
  uid: string;
  index: number;
}
interface Place {
  timeNs: bigint;
  count: number;
  splits: Record<string, Split>;
  traces: Record<string, TraceState & { entry: number }>;
}

export function createLineWriter(raw: DatabaseSync, entries: EntryWriter): LineWriter {
  const upsert = raw.prepare('INSERT INTO sources (attempt_id, update_time) VALUES (?, ?) ON CONFLICT (attempt_id) DO UPDATE SET update_time = excluded.update_time RETURNING id');
  const readPlaces = raw.prepare('SELECT container, time_ns, count, splits FROM cursors WHERE source = ?');
  readPlaces.setReadBigInts(true);
  const writePlace = raw.prepare(
    'INSERT INTO cursors (source, container, time_ns, count, splits) VALUES (?, ?, ?, ?, ?) ON CONFLICT (source, container) DO UPDATE SET time_ns = excluded.time_ns, count = excluded.count, splits = excluded.splits',
  );
  const select = raw.prepare('SELECT container, time_ns, count FROM cursors JOIN sources ON sources.id = cursors.source WHERE attempt_id = ?');
  select.setReadBigInts(true);
  return {
    append(source, lines, receiveTime) {
      const id = Number(upsert.get(source.attemptId, receiveTime)?.['id']);
      const places = new Map<string, Place>();
      for (const row of readPlaces.all(id)) {
        // Written below alone.
        const open = row['splits'] === null ? {} : (JSON.parse(String(row['splits'])) as Partial<Pick<Place, 'splits' | 'traces'>>);
        places.set(String(row['container']), { timeNs: BigInt(String(row['time_ns'])), count: Number(row['count']), splits: open.splits ?? {}, traces: open.traces ?? {} });
      }
      const headOf = createHeads(source);
      for (const line of lines) {
        const place = places.get(line.container) ?? { timeNs: -1n, count: 0, splits: {}, traces: {} };
        place.count = place.timeNs === line.timeNs ? place.count + 1 : 1;
        place.timeNs = line.timeNs;
        places.set(line.container, place);
        keepLine(line, place, source, headOf, receiveTime, entries);
      }
      for (const [container, { timeNs, count, splits, traces }] of places) {
        const isOpen = Object.keys(splits).length > 0 || Object.keys(traces).length > 0;
        writePlace.run(id, container, timeNs, count, isOpen ? JSON.stringify({ splits, traces }) : null);
      }
    },
    cursor: (attemptId) =>
      Object.fromEntries(select.all(attemptId).map((row) => [String(row['container']), { timeNs: BigInt(String(row['time_ns'])), count: Number(row['count']) }])),
  };
}

type HeadOf = (container: string, stream: LogLine['stream'], severity: number, labels: Readonly<Record<string, string>> | undefined) => LogHead;

function keepLine(line: LogLine, place: Place, source: LogSource, headOf: HeadOf, receiveTime: Micros, entries: EntryWriter): void {
  const { container, stream } = line;
  const open = place.traces[stream];
  const split = nextSplit(place, line, source.attemptId);
  if (open !== undefined) {
    const state = split === undefined ? continueTrace(open, line.text, line.timeNs) : undefined;
    if (state !== undefined && entries.extend(open.entry, line.text)) {
      place.traces[stream] = { ...state, entry: open.entry };
      return;
    }
    delete place.traces[stream];
  }
  if (container === '') {
    const severity = stream === 'stderr' ? SEVERITIES.ERROR : SEVERITIES.INFO;
    entries.insert({ head: headOf(container, stream, severity, undefined), timeNs: line.timeNs, kind: 'text', payload: line.text }, receiveTime);
    return;
  }
  if (split !== undefined) {
    entries.insert({ head: headOf(container, stream, SEVERITIES.DEFAULT, undefined), timeNs: line.timeNs, kind: 'text', payload: line.text, split }, receiveTime);
    return;
  }
  const { severity, extras, ...parsed } = parseLine(line.text, line.timeNs, receiveTime);
  const { labels, ...others } = extras ?? {};
  const entry = entries.insert({ head: headOf(container, stream, severity, labels), ...parsed, ...(Object.keys(others).length === 0 ? {} : { extras: others }) }, receiveTime);
  const begun = extras === undefined && parsed.kind === 'text' && parsed.payload === line.text ? startTrace(line.text, line.timeNs) : undefined;
  if (begun !== undefined) place.traces[stream] = { ...begun, entry };
}

/** The heads of an attempt's streams, each made once for a call. */
function createHeads(source: LogSource): HeadOf {
  const made = new Map<string, LogHead>();
  return (container, stream, severity, own) => {
    const key = own === undefined ? `${stream} ${severity} ${container}` : '';
    const known = made.get(key);
    if (known !== undefined) return known;
    const head = sourceHead(source, container, stream, severity, own);
    if (own === undefined) made.set(key, head);
    return head;
  };
}

export function sourceHead(source: LogSource, container: string, stream: LogLine['stream'], severity: number, own: Readonly<Record<string, string>> = {}): LogHead {
  return {
    parent: `projects/${source.projectId}`,
    logId: container === '' ? LOG_IDS.system : LOG_IDS[stream],
    resourceType: 'cloud_run_job',
    resourceLabels: { job_name: source.job, location: source.location, project_id: source.projectId },
    labels: {
      ...source.labels,
      ...own,
      instanceId: source.attemptId,
      'run.googleapis.com/execution_name': source.execution,
      'run.googleapis.com/task_attempt': String(source.attempt),
      'run.googleapis.com/task_index': String(source.taskIndex),
      ...(container === '' ? {} : { container_name: container }),
    },
    severity,
  };
}

/** Which piece of a long line this is; undefined for a line that came whole. */
function nextSplit(place: Place, line: LogLine, attemptId: string): LogSplit | undefined {
  const open = place.splits[line.stream];
  if (open === undefined && line.partial !== true) return undefined;
  const split = open ?? { uid: createHash('sha256').update(`${attemptId} ${line.container} ${line.stream} ${line.timeNs} ${place.count}`).digest('hex').slice(0, 24), index: 0 };
  if (line.partial === true) place.splits[line.stream] = { uid: split.uid, index: split.index + 1 };
  else delete place.splits[line.stream];
  return split;
}
