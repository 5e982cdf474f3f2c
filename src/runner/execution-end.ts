/** The end of an execution, in the transaction in which its last task ends: its Completed condition, its job's reference, its operations. */
import { create } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { Condition_ExecutionReason, Condition_State } from '../gen/google/cloud/run/v2/condition_pb.js';
import { type Execution, ExecutionSchema } from '../gen/google/cloud/run/v2/execution_pb.js';
import { ExecutionReference_CompletionStatus } from '../gen/google/cloud/run/v2/job_pb.js';
import { type Status, StatusSchema } from '../gen/google/rpc/status_pb.js';
import { lastId } from '../resource-name.ts';
import type { Tx } from '../store/database.ts';
import { type ExecutionRow, executionToRow, updateExecution } from '../store/executions.ts';
import { DELETED_KEPT_MICROS, findJobByUid, jobFromRow, jobToRow, resourceEtag, updateJob } from '../store/jobs.ts';
import { completeOperation, listOpenOperations, updateOperation } from '../store/operations.ts';
import { taskFromRow } from '../store/tasks.ts';
import { executionState, listTasksInState, type TaskCounts } from '../store/work.ts';
import { type Micros, toTimestamp } from '../timestamp.ts';
import { type ConditionChange, setCondition } from './conditions.ts';
import { goDuration } from './go-duration.ts';
import type { Refusal } from './preparation.ts';

interface Verdict {
  readonly status: ExecutionReference_CompletionStatus;
  readonly completed: ConditionChange;
  /** What the operation of RunJob ends with; undefined: the execution itself, as after success and cancellation. */
  readonly error: Status | undefined;
}

/** @param end.execution is changed in place; all its tasks have ended */
export async function endExecution(
  tx: Tx,
  end: { readonly row: ExecutionRow; readonly execution: Execution; readonly counts: TaskCounts; readonly now: Micros },
  refusal: Refusal | undefined,
): Promise<void> {
  const { row, execution, counts, now } = end;
  const verdict = await judge(tx, end, refusal);
  showCounts(execution, counts, now);
  execution.completionTime = toTimestamp(now);
  execution.reconciling = false;
  execution.observedGeneration = execution.generation;
  setCondition(execution.conditions, verdict.completed, now);
  const isDeleted = row.delete_requested === 1;
  if (isDeleted) {
    execution.deleteTime ??= toTimestamp(now);
    execution.expireTime ??= toTimestamp(now + DELETED_KEPT_MICROS);
  }
  await updateExecution(
    tx.db,
    executionToRow(execution, {
      ...executionState(row),
      phase: 'done',
      lease_owner: null,
      lease_expire_time: null,
      delete_time: isDeleted ? (row.delete_time ?? now) : row.delete_time,
    }),
  );
  await tellJob(tx, row, execution, verdict.status);
  await completeOperations(tx, row, execution, verdict.error);
  tx.touch('operations');
}

async function judge(
  tx: Tx,
  end: { readonly row: ExecutionRow; readonly execution: Execution; readonly counts: TaskCounts; readonly now: Micros },
  refusal: Refusal | undefined,
): Promise<Verdict> {
  const { row, execution, counts, now } = end;
  const failed = { type: 'Completed', state: Condition_State.CONDITION_FAILED } as const;
  if (counts.failed === 0 && counts.cancelled === 0)
    return {
      status: ExecutionReference_CompletionStatus.EXECUTION_SUCCEEDED,
      error: undefined,
      completed: { type: 'Completed', state: Condition_State.CONDITION_SUCCEEDED, message: `Execution completed successfully in ${goDuration(now - row.create_time)}.` },
    };
  if (row.delete_requested === 1 || row.cancel_requested === 1) {
    const value = row.delete_requested === 1 ? Condition_ExecutionReason.DELETED : Condition_ExecutionReason.CANCELLED;
    return {
      status: ExecutionReference_CompletionStatus.EXECUTION_CANCELLED,
      error: undefined,
      completed: { ...failed, message: 'Cancelled by user.', reasons: { case: 'executionReason', value } },
    };
  }
  if (refusal !== undefined)
    return {
      status: ExecutionReference_CompletionStatus.EXECUTION_FAILED,
      error: create(StatusSchema, { code: refusal.code, message: refusal.message }),
      completed: { ...failed, message: refusal.message, reasons: refusal.reasons },
    };
  const [first] = await listTasksInState(tx.db, row.uid, 'failed', 1);
  const result = first === undefined ? undefined : taskFromRow(first).lastAttemptResult;
  const message = `Task ${lastId(execution.name)}-task${first?.task_index ?? 0} failed with exit code: ${result?.exitCode ?? 0} and message: ${result?.status?.message ?? ''}`;
  return {
    status: ExecutionReference_CompletionStatus.EXECUTION_FAILED,
    error: create(StatusSchema, { code: result?.status?.code ?? 10, message }),
    completed: { ...failed, message, reasons: { case: 'executionReason', value: Condition_ExecutionReason.NON_ZERO_EXIT_CODE } },
  };
}

async function tellJob(tx: Tx, row: ExecutionRow, execution: Execution, status: ExecutionReference_CompletionStatus): Promise<void> {
  const jobRow = await findJobByUid(tx.db, row.job_uid);
  if (jobRow === undefined) return;
  const job = jobFromRow(jobRow);
  // A deletion may have waited for this end, or the change that started this execution.
  if (job.reconciling) tx.touch('work');
  const latest = job.latestCreatedExecution;
  const isLatest = latest !== undefined && lastId(latest.name) === lastId(execution.name);
  if (isLatest) {
    latest.completionStatus = status;
    if (execution.completionTime !== undefined) latest.completionTime = execution.completionTime;
    if (execution.deleteTime !== undefined) latest.deleteTime = execution.deleteTime;
  }
  if (isLatest || job.reconciling) await updateJob(tx.db, jobToRow(job, jobRow.operation));
}

/** Wakes the loop for a job that waits for an execution of its own (`parkedJobToRow`). */
export async function wakeParkedJob(tx: Tx, uid: string): Promise<void> {
  const row = await findJobByUid(tx.db, uid);
  if (row === undefined || row.reconciling === 1) return;
  const job = jobFromRow(row);
  if (!job.reconciling) return;
  await updateJob(tx.db, jobToRow(job, row.operation));
  tx.touch('work');
}

/** Every operation that waits for this execution: RunJob's ends as the execution did, those of cancel and delete have done their work. */
async function completeOperations(tx: Tx, row: ExecutionRow, execution: Execution, error: Status | undefined): Promise<void> {
  const packed = anyPack(ExecutionSchema, execution);
  for (const operation of await listOpenOperations(tx.db, execution.name)) {
    const isRun = operation.name === row.operation;
    const result = isRun && error !== undefined ? ({ case: 'error', value: error } as const) : ({ case: 'response', value: packed } as const);
    await updateOperation(tx.db, completeOperation(operation, { metadata: packed, result }));
  }
}

/** Writes the numbers of tasks into the message, and that it has changed. */
export function showCounts(execution: Execution, counts: TaskCounts, now: Micros): void {
  execution.runningCount = counts.running;
  execution.succeededCount = counts.succeeded;
  execution.failedCount = counts.failed;
  execution.cancelledCount = counts.cancelled;
  execution.retriedCount = counts.retried;
  execution.updateTime = toTimestamp(now);
  execution.etag = resourceEtag(execution.name, now);
}
