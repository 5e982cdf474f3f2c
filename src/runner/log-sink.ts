/**
 * Where the loop hands the lines of attempts. The log store implements it; the loop knows neither files nor databases.
 */
import type { AttemptId, LogCursor, LogLine } from './driver.ts';

/** Which attempt lines came from: what a log entry's resource and labels are made of. */
export interface LogSource {
  readonly projectId: string;
  readonly location: string;
  /** Short names and uids: `hello`, `hello-x7k2p`, `hello-x7k2p-task0`. */
  readonly job: string;
  readonly jobUid: string;
  readonly execution: string;
  readonly executionUid: string;
  readonly task: string;
  readonly taskIndex: number;
  /** 0-based. */
  readonly attempt: number;
  readonly attemptId: AttemptId;
  /** The labels of the execution, its job's included. */
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * The `container` of a line that the platform itself writes about an attempt (`Container called exit(1).`), in a stream of its own
 * beside those of the containers. On `stderr` it is an error of the attempt, on `stdout` information. It is a name that no container can have.
 */
export const SYSTEM_CONTAINER = '';

/**
 * Keeps lines. Called for one attempt by one caller at a time and in order; for different attempts at the same time.
 *
 * Every line exactly once over crashes: the loop asks for the cursor when it begins to read an attempt and reads on from there. So an
 * implementation keeps lines and cursor together: what `cursor` counts is what a reader would find.
 */
export interface LogSink {
  /** Resolves when the lines are kept; until then the loop reads no further from this attempt. @throws when they are not: the loop asks for the cursor and tries again */
  append(source: LogSource, lines: readonly LogLine[]): Promise<void>;
  /** How far the attempt's lines are kept, system lines (`SYSTEM_CONTAINER`) included; `{}` for an attempt that has none yet. */
  cursor(attemptId: AttemptId): Promise<LogCursor>;
}
