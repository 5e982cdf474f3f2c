/**
 * What the end of an attempt means for its task, in Cloud Run's words: lastAttemptResult, the task's Completed condition, and the line that
 * the platform writes into the task's log. Codes and texts of exits, timeouts and cancellations are recorded ones.
 */
import type { AttemptExit } from './driver.ts';

export type StopCause = 'timeout' | 'cancel' | 'delete';

export interface Outcome {
  readonly kind: 'succeeded' | 'failed' | 'cancelled';
  /** google.rpc.Code: 0, 1 CANCELLED, 4 DEADLINE_EXCEEDED, 10 ABORTED. */
  readonly code: number;
  readonly message: string;
  /** 0 where a signal or nothing ended it. */
  readonly exitCode: number;
  readonly termSignal: number;
}

const CONTAINER_FAILED = 'The container exited with an error.';

/** @param stopCause why we sent SIGTERM, if we did: then that is what the exit means, whatever it was */
export function readOutcome(exit: AttemptExit, stopCause: StopCause | null): Outcome {
  const nothing = { exitCode: 0, termSignal: 0 };
  if (stopCause === 'timeout') return { kind: 'failed', code: 4, message: 'The configured timeout was reached.', ...nothing };
  if (stopCause !== null) return { kind: 'cancelled', code: 1, message: 'Cancelled by user.', ...nothing };
  const failed = { kind: 'failed', code: 10 } as const;
  switch (exit.cause) {
    case 'exited':
    case 'outOfMemory':
      if (exit.cause === 'exited' && exit.exitCode === 0) return { kind: 'succeeded', code: 0, message: '', ...nothing };
      // Never both (proto: TaskAttemptResult).
      return { ...failed, message: CONTAINER_FAILED, exitCode: exit.signal === undefined ? (exit.exitCode ?? 0) : 0, termSignal: exit.signal ?? 0 };
    case 'startFailed':
      return { ...failed, message: withReason('The container could not be started', exit), ...nothing };
    case 'probeFailed':
      return { ...failed, message: withReason('The startup probe of the container failed', exit), ...nothing };
    case 'lost':
      // Deviation: an attempt whose container is gone without a trace (removed by hand, lost with the engine) counts as a crash. On Cloud Run no container can go like that.
      return { ...failed, message: withReason('The attempt was lost', exit), ...nothing };
  }
}

function withReason(what: string, exit: AttemptExit): string {
  return exit.message === undefined || exit.message === '' ? `${what}.` : `${what}: ${exit.message}`;
}

export interface SystemNote {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
}

/** The line in the task's log about how the attempt ended; undefined where there is nothing that the container did. */
export function exitNote(exit: AttemptExit, memoryBytes: number): SystemNote | undefined {
  if (exit.cause === 'outOfMemory')
    return {
      stream: 'stderr',
      text: `Memory limit of ${Math.round(memoryBytes / 2 ** 20)} MiB exceeded. Consider increasing the memory limit, see https://cloud.google.com/run/docs/configuring/memory-limits`,
    };
  if (exit.cause === 'startFailed' || exit.cause === 'probeFailed') return { stream: 'stderr', text: readOutcome(exit, null).message };
  if (exit.cause === 'lost') return undefined;
  if (exit.signal !== undefined) return { stream: 'stderr', text: `Container terminated on signal ${exit.signal}.` };
  return { stream: exit.exitCode === 0 ? 'stdout' : 'stderr', text: `Container called exit(${exit.exitCode ?? 0}).` };
}

/** @param timeoutMs the task's timeout */
export function timeoutNote(timeoutMs: number): SystemNote {
  return {
    stream: 'stderr',
    text: `Terminating task because it has reached the maximum timeout of ${Math.round(timeoutMs / 1000)} seconds. To change this limit, see https://cloud.google.com/run/docs/configuring/task-timeout`,
  };
}
