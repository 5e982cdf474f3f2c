/** One more execution of a job, in a transaction of the caller's: its rows and those of its tasks, and what the job shows of it. */
import { clone, create } from '@bufbuild/protobuf';
import { resourceExhausted } from '../../errors.ts';
import type { Execution } from '../../gen/google/cloud/run/v2/execution_pb.js';
import { ExecutionReference_CompletionStatus, ExecutionReferenceSchema, type Job, JobSchema } from '../../gen/google/cloud/run/v2/job_pb.js';
import type { Tx } from '../../store/database.ts';
import { countOpenExecutions, executionToRow, insertExecution } from '../../store/executions.ts';
import { insertTasks } from '../../store/tasks.ts';
import { type Micros, toTimestamp } from '../../timestamp.ts';
import { newTasks } from './new-execution.ts';
import type { RunDeps } from './run-deps.ts';

/**
 * @param operation the full name of the one that ends as the execution does; empty where none does
 * @returns the job as the caller is to store it. Neither generation nor etag move: the definition is what it was
 */
export async function addExecution(tx: Tx, job: Job, execution: Execution, operation: string, now: Micros): Promise<Job> {
  await insertExecution(
    tx.db,
    executionToRow(execution, {
      job_uid: job.uid,
      phase: 'pending',
      cancel_requested: 0,
      delete_requested: 0,
      operation,
      lease_owner: null,
      lease_expire_time: null,
      delete_time: null,
    }),
  );
  await insertTasks(tx.db, newTasks(execution, now));
  const next = clone(JobSchema, job);
  next.executionCount += 1;
  next.latestCreatedExecution = create(ExecutionReferenceSchema, {
    name: execution.name,
    createTime: toTimestamp(now),
    completionStatus: ExecutionReference_CompletionStatus.EXECUTION_RUNNING,
  });
  tx.touch('work');
  return next;
}

/** @throws RESOURCE_EXHAUSTED */
export async function refuseTooMany(tx: Tx, job: { readonly project_id: string; readonly location: string }, deps: RunDeps): Promise<void> {
  // Deviation: the real quota of 1000 running executions per project and region holds only where it is configured, by `maxRunningExecutions`: Google raises it on request, and here what cannot run at once waits in line.
  const most = deps.limits?.runningExecutionsPerRegion;
  if (most !== undefined && (await countOpenExecutions(tx.db, job.project_id, job.location)) >= most)
    throw resourceExhausted(`Quota exceeded for running executions in project '${job.project_id}' and region '${job.location}': the limit is ${most}.`);
}
