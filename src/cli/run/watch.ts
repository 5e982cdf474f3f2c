/**
 * Waits for an execution, showing its stages, its progress and, on request, its logs.
 * It only reads: Ctrl-C turns away from the execution and leaves it running. A control plane that goes away for a
 * moment (a restart) is waited for, since executions survive it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { pauses, RUN } from '../api.ts';
import { ApiFailure, CliFailure, EXIT, type ExitCode, isApiFailure } from '../failure.ts';
import type { LogEntry } from '../log-reading.ts';
import type { Session } from '../session.ts';
import { createFollower, showLine } from './log-entries.ts';
import { conditionOf, type Execution, executionState, hasEnded, progressOf, shortName, type Task, taskState } from './shapes.ts';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;
/** How long the control plane may be away before the wait is given up. */
const PATIENCE_MS = 30_000;

const STAGES = [
  { condition: 'ResourcesAvailable', title: 'Provisioning resources...' },
  { condition: 'Started', title: 'Starting execution...' },
  { condition: 'Completed', title: 'Running execution...' },
] as const;

export interface WatchOptions {
  /** `Started`: return once it runs, as gcloud does without `--wait`. */
  readonly until: 'Started' | 'Completed';
  readonly logs: boolean;
}

export interface Watched {
  /** As it was last seen. */
  readonly execution: Execution;
  /** True when Ctrl-C ended the wait. */
  readonly interrupted: boolean;
}

export async function watchExecution(session: Session, started: Execution, options: WatchOptions): Promise<Watched> {
  const { terminal } = session;
  const stop = new AbortController();
  const removeListener = session.io.onInterrupt(() => stop.abort());
  const showStages = createStageView(session, options.until);
  const logs = options.logs ? await createLogPrinter(session, started) : undefined;
  let execution = started;
  try {
    for (const pause of pauses(FIRST_PAUSE_MS, LONGEST_PAUSE_MS)) {
      execution = await patiently(session, stop.signal, () => read(session, execution, stop.signal));
      // What it wrote comes before the line that says that it ended, and after the one that says that it runs.
      const ended = hasEnded(conditionOf(execution, 'Completed'));
      if (ended) await logs?.drain();
      if (await showStages.update(execution)) return { execution, interrupted: false };
      await patiently(session, stop.signal, async () => logs?.print());
      await delay(pause, undefined, { signal: stop.signal });
    }
    throw new Error('pauses() never ends');
  } catch (error) {
    showStages.leave();
    if (!stop.signal.aborted) throw error;
    terminal.alert(`\nExecution [${shortName(execution.name)}] keeps running.`);
    return { execution, interrupted: true };
  } finally {
    removeListener();
  }
}

async function read(session: Session, execution: Execution, signal: AbortSignal): Promise<Execution> {
  return (await session.api()).get<Execution>(RUN, execution.name ?? '', {}, signal);
}

/** Repeats a read while nobody answers, for up to `PATIENCE_MS`. */
async function patiently<T>(session: Session, signal: AbortSignal, task: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + PATIENCE_MS;
  let told = false;
  for (const pause of pauses(250, 1000)) {
    try {
      return await task();
    } catch (error) {
      const away = (error instanceof CliFailure && error.exitCode === EXIT.notRunning) || (error instanceof ApiFailure && error.status === 'UNAVAILABLE');
      if (!away || signal.aborted || performance.now() > giveUpAt) throw error;
      if (!told) session.terminal.warn('The control plane does not answer; waiting for it to come back.');
      told = true;
      await delay(pause, undefined, { signal });
    }
  }
  throw new Error('pauses() never ends');
}

interface StageView {
  /** @returns whether the condition that was waited for has ended */
  update(execution: Execution): Promise<boolean>;
  leave(): void;
}

function createStageView(session: Session, until: WatchOptions['until']): StageView {
  const stages = session.terminal.stages();
  const shown = until === 'Started' ? STAGES.slice(0, 2) : STAGES;
  let current = -1;
  const advance = async (to: number): Promise<void> => {
    while (current < to) {
      current += 1;
      await stages.start(shown[current]?.title ?? '');
    }
  };
  return {
    async update(execution) {
      const completed = conditionOf(execution, 'Completed');
      const failed = completed?.state === 'CONDITION_FAILED';
      const over = hasEnded(completed) || hasEnded(conditionOf(execution, until));
      const pending = shown.findIndex(({ condition }) => conditionOf(execution, condition)?.state !== 'CONDITION_SUCCEEDED');
      await advance(pending === -1 ? shown.length - 1 : pending);
      const message = conditionOf(execution, shown[current]?.condition ?? '')?.message;
      if (shown[current]?.condition === 'Completed') stages.detail(progressOf(execution));
      else if (!over && message !== undefined && session.terminal.live) stages.detail(message);
      if (over && failed) stages.fail();
      else if (over) stages.done();
      return over;
    },
    leave: () => stages.leave(),
  };
}

interface LogPrinter {
  print(): Promise<number>;
  /** Prints what is still under way to the log when the execution has ended. */
  drain(): Promise<void>;
}

async function createLogPrinter(session: Session, execution: Execution): Promise<LogPrinter> {
  const [, project = '', , region = '', , job = '', , name = ''] = (execution.name ?? '').split('/');
  const next = createFollower(await session.api(), { project, region, job, execution: name }, execution.createTime ?? new Date(0).toISOString());
  // With --format, stdout belongs to the result.
  const show = (entry: LogEntry): void => (session.format === undefined ? session.terminal.print(showLine(entry)) : session.terminal.alert(showLine(entry)));
  let denied = false;
  const print = async (): Promise<number> => {
    if (denied) return 0;
    try {
      const entries = await next();
      for (const entry of entries) show(entry);
      return entries.length;
    } catch (error) {
      // The outcome matters more than the logs, and it can still be seen.
      if (!isApiFailure(error, 'PERMISSION_DENIED')) throw error;
      denied = true;
      session.terminal.warn([`The logs cannot be shown: ${error.reason}`, ...error.lines].join('\n'));
      return 0;
    }
  };
  return {
    print,
    async drain() {
      // Two empty reads in a row: what was written before the end has arrived.
      for (let empty = 0, tries = 0; empty < 2 && tries < 40; tries += 1) {
        empty = (await print()) === 0 ? empty + 1 : 0;
        await delay(100);
      }
    },
  };
}

const SHOWN_FAILURES = 5;

/** Says how an execution ended that was waited for, and what to do next. @returns the exit code */
export async function reportOutcome(session: Session, watched: Watched): Promise<ExitCode> {
  const { terminal } = session;
  const { execution } = watched;
  const [, project = '', , region = '', , job = '', , name = ''] = (execution.name ?? '').split('/');
  const where = `--region=${region} --project=${project}`;
  if (watched.interrupted) {
    terminal.note(`Look at it:  actas run jobs executions describe ${name} ${where}\nCancel it:   actas run jobs executions cancel ${name} ${where}`);
    return EXIT.interrupted;
  }
  const state = executionState(execution);
  if (state === 'Succeeded') {
    terminal.note(`Execution [${name}] has successfully completed. ${progressOf(execution)}.`);
    return EXIT.ok;
  }
  if (state === 'Cancelled') {
    terminal.alert(`ERROR: Execution [${name}] was cancelled. ${progressOf(execution)}.`);
    return EXIT.cancelled;
  }
  terminal.alert(`ERROR: Execution [${name}] has failed. ${conditionOf(execution, 'Completed')?.message ?? ''}`.trimEnd());
  await reportFailedTasks(session, execution);
  terminal.note(
    `View its logs:          actas run jobs logs read ${job} --execution=${name} ${where}\nView details about it:  actas run jobs executions describe ${name} ${where}`,
  );
  return EXIT.error;
}

async function reportFailedTasks(session: Session, execution: Execution): Promise<void> {
  const api = await session.api();
  let tasks: Task[];
  try {
    tasks = await api.list<Task>(RUN, `${execution.name ?? ''}/tasks`, 'tasks');
  } catch (error) {
    // Who may run a job need not be allowed to see its tasks; the outcome stands without them.
    if (error instanceof ApiFailure && error.exitCode === EXIT.denied) return;
    throw error;
  }
  const failed = tasks.filter((task) => taskState(task) === 'Failed').toSorted((left, right) => (left.index ?? 0) - (right.index ?? 0));
  for (const task of failed.slice(0, SHOWN_FAILURES)) session.terminal.alert(`  task ${task.index ?? 0}: ${taskFailure(task)}`);
  if (failed.length > SHOWN_FAILURES) session.terminal.alert(`  and ${failed.length - SHOWN_FAILURES} more`);
}

function taskFailure(task: Task): string {
  const result = task.lastAttemptResult;
  const how = result?.termSignal !== undefined ? `signal ${result.termSignal}` : result?.exitCode !== undefined ? `exit code ${result.exitCode}` : 'no exit code';
  const message = result?.status?.message ?? conditionOf(task, 'Completed')?.message ?? '';
  const retried = task.retried ?? 0;
  return `${how}${retried > 0 ? ` after ${retried} retr${retried === 1 ? 'y' : 'ies'}` : ''}${message === '' ? '' : `: ${message}`}`;
}
