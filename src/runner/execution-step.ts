/**
 * One transaction on one execution: takes in what has happened to its attempts, and decides what happens next. It reads and writes rows
 * only; the caller carries out the result after the commit, and keeps its memory as it was if there is none.
 */
import { create } from '@bufbuild/protobuf';
import { Condition_CommonReason, Condition_ExecutionReason, Condition_Severity, Condition_State } from '../gen/google/cloud/run/v2/condition_pb.js';
import type { Execution } from '../gen/google/cloud/run/v2/execution_pb.js';
import { type Task, TaskAttemptResultSchema } from '../gen/google/cloud/run/v2/task_pb.js';
import { StatusSchema } from '../gen/google/rpc/status_pb.js';
import type { Tx } from '../store/database.ts';
import { type ExecutionRow, executionFromRow, executionToRow, findExecutionByUid, updateExecution } from '../store/executions.ts';
import { resourceEtag } from '../store/jobs.ts';
import { insertLeases, type LeaseRow, releaseLease } from '../store/leases.ts';
import { type TaskRow, taskFromRow, taskToRow } from '../store/tasks.ts';
import { executionState, findTaskByUid, leaseOwnerName, listTasksInState, type TaskCounts, taskState, updateTask } from '../store/work.ts';
import { MICROS_PER_MILLI, MICROS_PER_SECOND, type Micros, toTimestamp } from '../timestamp.ts';
import { attemptId } from './attempt-id.ts';
import { findCondition, setCondition } from './conditions.ts';
import type { RunnerContext } from './context.ts';
import type { AttemptExit } from './driver.ts';
import { endExecution, showCounts, wakeParkedJob } from './execution-end.ts';
import { goDuration } from './go-duration.ts';
import { type Outcome, readOutcome, type StopCause } from './outcome.ts';
import type { Preparation, Refusal } from './preparation.ts';

/** Tasks that never start are ended so many in one transaction, so that other writers get their turn. */
const SETTLE_AT_ONCE = 200;

export interface StepInput {
  readonly executionUid: string;
  readonly counts: TaskCounts;
  readonly started: readonly { readonly taskUid: string; readonly at: Micros }[];
  readonly ended: readonly { readonly taskUid: string; readonly exit: AttemptExit }[];
  /** Attempts that still run and were not told to stop; and those of them whose time is up. */
  readonly stoppable: readonly string[];
  readonly timedOut: ReadonlySet<string>;
  readonly preparation: Preparation | Refusal | undefined;
  /** The preparation is new: the execution is to show it. */
  readonly isPreparationNew: boolean;
  /** How many attempts the host has room for. */
  readonly room: number;
}

export interface Launch {
  readonly row: TaskRow;
  readonly lease: LeaseRow | undefined;
}

export type StepResult =
  /** Somebody else holds the lease, or the row is gone. */
  | { readonly kind: 'lost' }
  | {
      readonly kind: 'stepped';
      readonly counts: TaskCounts;
      readonly launched: readonly Launch[];
      readonly stopped: readonly { readonly taskUid: string; readonly cause: StopCause }[];
      readonly retried: number;
      readonly isDone: boolean;
      /** There is more to do at once, in another transaction. */
      readonly hasMore: boolean;
      /** Tasks wait for room on the host, or for a free address. */
      readonly wantsRoom: boolean;
    };

/** What one step works on; `counts` and the message change as it goes. */
interface Step {
  readonly tx: Tx;
  readonly now: Micros;
  readonly row: ExecutionRow;
  readonly execution: Execution;
  readonly isEnding: boolean;
  counts: { -readonly [K in keyof TaskCounts]: TaskCounts[K] };
  /** The message differs from the row's. */
  isChanged: boolean;
}

export async function stepExecution(context: RunnerContext, tx: Tx, input: StepInput): Promise<StepResult> {
  const row = await findExecutionByUid(tx.db, input.executionUid);
  if (row === undefined || row.lease_owner !== leaseOwnerName(context.owner)) return { kind: 'lost' };
  const step: Step = {
    tx,
    row,
    now: context.clock.now(),
    execution: executionFromRow(row),
    isEnding: row.cancel_requested === 1 || row.delete_requested === 1,
    counts: { ...input.counts },
    isChanged: false,
  };
  if (input.isPreparationNew && input.preparation !== undefined) showPreparation(step, input.preparation);
  for (const { taskUid, at } of input.started) await markStarted(step, taskUid, at);
  let retried = 0;
  for (const { taskUid, exit } of input.ended) {
    // An attempt that began and ended while we were away.
    if (exit.startedAtMs !== undefined) await markStarted(step, taskUid, exit.startedAtMs * MICROS_PER_MILLI);
    if (await markEnded(step, taskUid, exit)) retried++;
  }
  const stopped = await markStopped(step, input);
  let launched: readonly Launch[] = [];
  if (step.isEnding)
    await settlePending(
      step,
      { kind: 'cancelled', code: 1, message: 'Cancelled by user.', exitCode: 0, termSignal: 0 },
      { case: 'executionReason', value: Condition_ExecutionReason.CANCELLED },
    );
  else if (input.preparation?.kind === 'refused')
    await settlePending(step, { kind: 'failed', code: input.preparation.code, message: input.preparation.message, exitCode: 0, termSignal: 0 }, input.preparation.reasons);
  else if (input.preparation?.kind === 'prepared') launched = await launch(context, step, input);
  const { counts } = step;
  const isDone = counts.pending === 0 && counts.running === 0;
  const isSettling = step.isEnding || input.preparation?.kind === 'refused';
  if (isDone) await endExecution(tx, step, input.preparation?.kind === 'refused' ? input.preparation : undefined);
  else if (step.isChanged) await writeExecution(step);
  return {
    kind: 'stepped',
    counts,
    launched,
    stopped,
    retried,
    isDone,
    hasMore: isSettling && counts.pending > 0,
    wantsRoom: !isSettling && counts.pending > 0 && counts.running < parallelismOf(step.execution),
  };
}

export function parallelismOf(execution: Execution): number {
  return execution.parallelism > 0 ? execution.parallelism : Math.max(1, execution.taskCount);
}

function showPreparation(step: Step, preparation: Preparation | Refusal): void {
  const { execution, now } = step;
  step.isChanged = true;
  if (preparation.kind === 'refused') {
    if (preparation.isImage)
      setCondition(execution.conditions, { type: 'ContainerReady', state: Condition_State.CONDITION_FAILED, message: preparation.message, reasons: preparation.reasons }, now);
    return;
  }
  execution.template = preparation.blueprint.template;
  const message = preparation.importMicros === undefined ? 'Imported container image.' : `Imported container image in ${goDuration(preparation.importMicros)}.`;
  // After a restart the images are looked up again; the execution keeps what it said first.
  if (findCondition(execution.conditions, 'ContainerReady')?.state !== Condition_State.CONDITION_SUCCEEDED)
    setCondition(execution.conditions, { type: 'ContainerReady', state: Condition_State.CONDITION_SUCCEEDED, message }, now);
  for (const hint of preparation.hints) setCondition(execution.conditions, hint, now);
}

async function markStarted(step: Step, taskUid: string, at: Micros): Promise<void> {
  const { execution, now } = step;
  const row = await findTaskByUid(step.tx.db, taskUid);
  if (row === undefined || row.state !== 'running' || row.attempt_start_time !== null) return;
  const task = taskFromRow(row);
  task.startTime ??= toTimestamp(at);
  setCondition(task.conditions, { type: 'Started', state: Condition_State.CONDITION_SUCCEEDED }, at);
  await writeTask(step, { ...row, attempt_start_time: at }, task);
  if (execution.startTime !== undefined) return;
  step.isChanged = true;
  execution.startTime = toTimestamp(at);
  await wakeParkedJob(step.tx, step.row.job_uid);
  setCondition(
    execution.conditions,
    { type: 'Started', state: Condition_State.CONDITION_SUCCEEDED, message: `Started deployed execution in ${goDuration(at - step.row.create_time)}.` },
    at,
  );
  // Recorded on every execution that has started; it tells of Cloud Run's own polling, and clients show it.
  setCondition(
    execution.conditions,
    {
      type: 'Retry',
      state: Condition_State.CONDITION_SUCCEEDED,
      severity: Condition_Severity.INFO,
      message: 'System will retry after 30:00 from lastTransitionTime for polling interval',
      reasons: { case: 'reason', value: Condition_CommonReason.WAITING_FOR_OPERATION },
    },
    now,
  );
}

/** @returns whether the task will be tried again */
async function markEnded(step: Step, taskUid: string, exit: AttemptExit): Promise<boolean> {
  const { counts, now } = step;
  const row = await findTaskByUid(step.tx.db, taskUid);
  // An end that is in the row already is not counted again.
  if (row === undefined || row.state !== 'running' || attemptId(row.uid, row.attempt) !== exit.id) return false;
  await releaseLease(step.tx.db, exit.id, now);
  const task = taskFromRow(row);
  // Of one that was lost while its execution is being ended, the end is what matters.
  const outcome = readOutcome(exit, row.stop_cause ?? (step.isEnding && exit.cause === 'lost' ? 'cancel' : null));
  recordAttempt(task, outcome);
  counts.running--;
  step.isChanged = true;
  if (outcome.kind === 'failed' && row.attempt < task.maxRetries && !step.isEnding) {
    if (row.attempt === 0) counts.retried++;
    counts.pending++;
    const attempt = row.attempt + 1;
    task.retried = attempt;
    setCondition(
      task.conditions,
      {
        type: 'Retry',
        state: Condition_State.CONDITION_SUCCEEDED,
        severity: Condition_Severity.INFO,
        message: `System will retry after 0:00:00 from lastTransitionTime for attempt ${attempt}.`,
        reasons: { case: 'reason', value: Condition_CommonReason.IMMEDIATE_RETRY },
      },
      now,
    );
    await writeTask(step, { ...row, state: 'pending', attempt, attempt_create_time: null, attempt_start_time: null, stop_cause: null }, task);
    return true;
  }
  counts[outcome.kind]++;
  completeTask(
    task,
    outcome,
    { case: 'executionReason', value: outcome.kind === 'cancelled' ? Condition_ExecutionReason.CANCELLED : Condition_ExecutionReason.NON_ZERO_EXIT_CODE },
    now,
  );
  await writeTask(step, { ...row, state: outcome.kind }, task);
  return false;
}

function recordAttempt(task: Task, outcome: Outcome): void {
  const { exitCode, termSignal, code, message } = outcome;
  task.lastAttemptResult = create(TaskAttemptResultSchema, { exitCode, termSignal, status: create(StatusSchema, { code, message }) });
}

function completeTask(task: Task, outcome: Outcome, reasons: Refusal['reasons'], now: Micros): void {
  task.completionTime = toTimestamp(now);
  task.reconciling = false;
  task.observedGeneration = task.generation;
  task.conditions = task.conditions.filter((condition) => condition.type !== 'Retry');
  const succeeded = outcome.kind === 'succeeded';
  setCondition(
    task.conditions,
    { type: 'Completed', state: succeeded ? Condition_State.CONDITION_SUCCEEDED : Condition_State.CONDITION_FAILED, message: outcome.message, ...(succeeded ? {} : { reasons }) },
    now,
  );
}

/** Writes down why attempts are about to be stopped, before they are. */
async function markStopped(step: Step, input: StepInput): Promise<{ readonly taskUid: string; readonly cause: StopCause }[]> {
  const endedNow = new Set(input.ended.map((end) => end.taskUid));
  const stopped: { taskUid: string; cause: StopCause }[] = [];
  for (const taskUid of input.stoppable) {
    const cause: StopCause | undefined =
      step.row.delete_requested === 1 ? 'delete' : step.row.cancel_requested === 1 ? 'cancel' : input.timedOut.has(taskUid) ? 'timeout' : undefined;
    if (cause === undefined || endedNow.has(taskUid)) continue;
    const row = await findTaskByUid(step.tx.db, taskUid);
    if (row === undefined || row.state !== 'running' || row.stop_cause !== null) continue;
    await updateTask(step.tx.db, { ...row, stop_cause: cause });
    stopped.push({ taskUid, cause });
  }
  return stopped;
}

/** Ends tasks that will never start. */
async function settlePending(step: Step, outcome: Outcome, reasons: Refusal['reasons']): Promise<void> {
  for (const row of await listTasksInState(step.tx.db, step.row.uid, 'pending', SETTLE_AT_ONCE)) {
    const task = taskFromRow(row);
    recordAttempt(task, outcome);
    completeTask(task, outcome, reasons, step.now);
    await writeTask(step, { ...row, state: outcome.kind === 'cancelled' ? 'cancelled' : 'failed' }, task);
    step.counts.pending--;
    step.counts[outcome.kind === 'cancelled' ? 'cancelled' : 'failed']++;
    step.isChanged = true;
  }
}

/** Makes attempts of the tasks next in line: the row says so, and their address is theirs, before the driver hears of them. */
async function launch(context: RunnerContext, step: Step, input: StepInput): Promise<readonly Launch[]> {
  const { counts, execution, now, tx } = step;
  const wanted = Math.min(counts.pending, parallelismOf(execution) - counts.running, input.room);
  if (wanted <= 0 || input.preparation?.kind !== 'prepared') return [];
  const rows = await listTasksInState(tx.db, step.row.uid, 'pending', wanted);
  const leases = await leaseAddresses(context, step, rows);
  // Without addresses for all, the others wait until some are free again.
  const chosen = leases === undefined ? rows : rows.slice(0, leases.length);
  const launched: Launch[] = [];
  for (const [index, row] of chosen.entries()) {
    const task = taskFromRow(row);
    task.scheduledTime ??= toTimestamp(now);
    task.containers = input.preparation.blueprint.template.containers;
    task.reconciling = true;
    const next: TaskRow = { ...row, state: 'running', attempt_create_time: now, attempt_start_time: null, stop_cause: null };
    await writeTask(step, next, task);
    launched.push({ row: next, lease: leases?.[index] });
  }
  if (launched.length === 0) return [];
  counts.pending -= launched.length;
  counts.running += launched.length;
  step.isChanged = true;
  setCondition(execution.conditions, { type: 'ResourcesAvailable', state: Condition_State.CONDITION_SUCCEEDED, message: 'Provisioned imported containers.' }, now);
  return launched;
}

/** @returns undefined where the driver has no network to lease from */
async function leaseAddresses(context: RunnerContext, step: Step, rows: readonly TaskRow[]): Promise<readonly LeaseRow[] | undefined> {
  const { network } = context.info;
  if (network === undefined) return undefined;
  const holders = rows.map((row) => ({
    attempt_id: attemptId(row.uid, row.attempt),
    task_uid: row.uid,
    execution_uid: row.execution_uid,
    service_account: step.execution.template?.serviceAccount ?? '',
    project_id: step.row.project_id,
    location: step.row.location,
  }));
  const pool = network.kind === 'address' ? network.pool() : rows.map(() => randomHostName());
  return insertLeases(step.tx.db, pool, holders, { now: step.now, quarantine: context.limits.quarantineSeconds * MICROS_PER_SECOND });
}

/** 128 bits, as a DNS label that begins with a letter. */
function randomHostName(): string {
  return `m${crypto.getRandomValues(Buffer.alloc(16)).toString('hex')}`;
}

async function writeTask(step: Step, row: TaskRow, task: Task): Promise<void> {
  task.updateTime = toTimestamp(step.now);
  task.etag = resourceEtag(task.name, step.now);
  await updateTask(step.tx.db, taskToRow(task, taskState(row)));
}

async function writeExecution(step: Step): Promise<void> {
  const { execution, counts, now, row } = step;
  showCounts(execution, counts, now);
  await updateExecution(step.tx.db, executionToRow(execution, { ...executionState(row), phase: counts.running > 0 || row.phase === 'running' ? 'running' : row.phase }));
}
