/**
 * Brings jobs to rest after a change: looks their images up, says Ready or why not, finishes deletions, and ends their operations. All of it is
 * written in one transaction, and only if nobody has changed the job meanwhile.
 */
import { create } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { type Condition, Condition_CommonReason, Condition_State, ConditionSchema } from '../gen/google/cloud/run/v2/condition_pb.js';
import { type Job, JobSchema } from '../gen/google/cloud/run/v2/job_pb.js';
import type { Operation } from '../gen/google/longrunning/operations_pb.js';
import { StatusSchema } from '../gen/google/rpc/status_pb.js';
import { lastId } from '../resource-name.ts';
import type { Tx } from '../store/database.ts';
import { executionFromRow, findExecutionOfJob } from '../store/executions.ts';
import { findJobByUid, type JobRow, jobFromRow, jobMetadata, jobToRow, parkedJobToRow, resourceEtag, updateJob } from '../store/jobs.ts';
import { completeOperation, listOpenOperations, updateOperation } from '../store/operations.ts';
import { taskFromRow } from '../store/tasks.ts';
import { countOpenExecutionsOfJob, listTasksInState } from '../store/work.ts';
import { fromDuration, MICROS_PER_MILLI, toTimestamp } from '../timestamp.ts';
import { findCondition } from './conditions.ts';
import type { RunnerContext } from './context.ts';
import { ImageError } from './driver.ts';
import { imageFailure, imageHints } from './preparation.ts';
import { findUnreadableSecret } from './task-secrets.ts';
import { backoffMs } from './timers.ts';

export interface JobReconciler {
  /** Looks at a job, unless it is being looked at already. */
  look(job: Pick<JobRow, 'uid' | 'name' | 'generation'>): void;
  close(): Promise<void>;
}

type Finding = { readonly kind: 'ready' } | { readonly kind: 'failed'; readonly code: number; readonly message: string; readonly reasons: Condition['reasons'] };

/** @param lookAgain asks the loop to list the jobs that wait once more */
export function createJobReconciler(context: RunnerContext, lookAgain: () => void): JobReconciler {
  const { store, clock, timers, log } = context;
  const busy = new Map<string, Promise<void>>();
  const failures = new Map<string, number>();
  /** Jobs that somebody asked for while they were being looked at. */
  const again = new Set<string>();
  const closers = new Set<() => void>();
  let isClosed = false;

  const reconcile = async (uid: string): Promise<void> => {
    const row = await findJobByUid(store.read, uid);
    if (row === undefined || row.reconciling === 0) return;
    const job = jobFromRow(row);
    if (job.deleteTime !== undefined) {
      await store.write((tx) => finishDeletion(context, tx, uid));
      return;
    }
    const images = await findImages(context, job);
    const finding = images.kind === 'ready' ? await findSecrets(context, job, row.project_id) : images;
    if (!isClosed) await store.write((tx) => settle(context, tx, row, job, finding));
  };
  const attempt = async (uid: string): Promise<void> => {
    try {
      await reconcile(uid);
      failures.delete(uid);
    } catch (error) {
      if (isClosed) return;
      const count = (failures.get(uid) ?? 0) + 1;
      failures.set(uid, count);
      log.warn({ job: uid, error }, 'A job cannot be reconciled now; trying again.');
      again.add(uid);
      await new Promise<void>((resolve) => {
        closers.add(resolve);
        timers.at(clock.now() + backoffMs(count) * MICROS_PER_MILLI, () => {
          closers.delete(resolve);
          resolve();
        });
      });
    }
  };

  return {
    look({ uid }) {
      if (isClosed) return;
      if (busy.has(uid)) {
        again.add(uid);
        return;
      }
      busy.set(
        uid,
        attempt(uid).finally(() => {
          busy.delete(uid);
          if (again.delete(uid) && !isClosed) lookAgain();
        }),
      );
    },
    async close() {
      isClosed = true;
      for (const close of closers) close();
      await Promise.all(busy.values());
    },
  };
}

/** @throws ImageError of kind `unavailable` */
async function findImages(context: RunnerContext, job: Job): Promise<Finding> {
  const containers = job.template?.template?.containers ?? [];
  const timeout = job.template?.template?.timeout;
  for (const { image } of containers) {
    if (image === '') continue;
    try {
      const resolved = await context.images.resolve(image);
      for (const { type, message } of imageHints(image, resolved, timeout === undefined ? 600_000 : fromDuration(timeout)))
        context.log.warn({ job: job.name, hint: type }, message ?? '');
    } catch (error) {
      if (!(error instanceof ImageError) || error.kind === 'unavailable') throw error;
      context.log.warn({ job: job.name, image, reason: error.message }, 'The image of a job cannot be had.');
      return { kind: 'failed', ...imageFailure(image, error) };
    }
  }
  return { kind: 'ready' };
}

/** Whether the job's account may read the secrets of its template. A denial has the code and reason of a failed precondition (K), what is missing was recorded. */
async function findSecrets(context: RunnerContext, job: Job, projectId: string): Promise<Finding> {
  const task = job.template?.template;
  const refused = task === undefined ? undefined : await findUnreadableSecret(context.secrets, { account: task.serviceAccount, projectId }, task);
  if (refused === undefined) return { kind: 'ready' };
  context.log.warn({ job: job.name, reason: refused.message }, 'A secret of a job cannot be read.');
  const reasons: Condition['reasons'] = { case: 'reason', value: Condition_CommonReason.SECRETS_ACCESS_CHECK_FAILED };
  return { kind: 'failed', code: refused.kind === 'missing' ? 13 : 9, message: refused.message, reasons };
}

/** @param job what `seen` holds; changed here */
async function settle(context: RunnerContext, tx: Tx, seen: JobRow, job: Job, found: Finding): Promise<void> {
  const row = await findJobByUid(tx.db, seen.uid);
  if (row === undefined || row.reconciling === 0) return;
  // Changed or deleted meanwhile: that change made its own operation, and is looked at for itself.
  if (row.generation !== seen.generation) return;
  // Written meanwhile without a change of the definition (an execution was made): decoded anew.
  if (Buffer.compare(row.body, seen.body) !== 0) return settle(context, tx, row, jobFromRow(row), found);
  const finding = found.kind === 'ready' ? await findAwaited(tx, job) : found;
  if (finding === 'open') {
    await updateJob(tx.db, parkedJobToRow(job, row.operation));
    return;
  }
  const now = toTimestamp(context.clock.now());
  job.reconciling = false;
  job.observedGeneration = job.generation;
  job.terminalCondition =
    finding.kind === 'ready'
      ? // Recorded: the time stays that of the first success through all later changes.
        create(ConditionSchema, { type: 'Ready', state: Condition_State.CONDITION_SUCCEEDED, lastTransitionTime: job.terminalCondition?.lastTransitionTime ?? now })
      : create(ConditionSchema, { type: 'Ready', state: Condition_State.CONDITION_FAILED, message: finding.message, reasons: finding.reasons, lastTransitionTime: now });
  context.counters.jobsReconciled++;
  // Terraform prints `Error code 5, message: Image '...' not found.` for a job whose image is missing, and the job is there nevertheless.
  await endOperations(tx, row, job, finding.kind === 'ready' ? undefined : { case: 'error', value: create(StatusSchema, { code: finding.code, message: finding.message }) });
}

/** A job that came with a token is ready when the token's execution is: started, or completed. Whoever takes that execution so far wakes us. */
async function findAwaited(tx: Tx, job: Job): Promise<Finding | 'open'> {
  const { case: kind, value: token } = job.createExecution;
  if (kind === undefined || token === '') return { kind: 'ready' };
  const row = await findExecutionOfJob(tx.db, job.name, `${job.name}/executions/${lastId(job.name)}-${token}`);
  // Of one that was forgotten long ago there is nothing to wait for.
  if (row === undefined) return { kind: 'ready' };
  const execution = executionFromRow(row);
  if (kind === 'startExecutionToken' && execution.startTime !== undefined) return { kind: 'ready' };
  if (row.phase !== 'done') return 'open';
  const completed = findCondition(execution.conditions, 'Completed');
  if (completed?.state !== Condition_State.CONDITION_FAILED) return { kind: 'ready' };
  const [failed] = await listTasksInState(tx.db, row.uid, 'failed', 1);
  const code = failed === undefined ? 1 : (taskFromRow(failed).lastAttemptResult?.status?.code ?? 10);
  return { kind: 'failed', code, message: completed.message, reasons: completed.reasons };
}

/** A job that is being deleted first stops its executions; when the last has ended, it is gone. */
async function finishDeletion(context: RunnerContext, tx: Tx, uid: string): Promise<void> {
  const row = await findJobByUid(tx.db, uid);
  if (row === undefined || row.reconciling === 0) return;
  const job = jobFromRow(row);
  if (job.deleteTime === undefined) return;
  const now = context.clock.now();
  // Each was asked to end when the deletion was; the last of them touches `work`, and we look again.
  if ((await countOpenExecutionsOfJob(tx.db, row)) > 0) return;
  job.reconciling = false;
  job.observedGeneration = job.generation;
  job.terminalCondition = create(ConditionSchema, {
    type: 'Ready',
    state: Condition_State.CONDITION_SUCCEEDED,
    lastTransitionTime: job.terminalCondition?.lastTransitionTime ?? toTimestamp(now),
  });
  // Recorded: at the end of a deletion, and only there, the etag moves on without a change of updateTime.
  job.etag = resourceEtag(job.name, now);
  context.counters.jobsReconciled++;
  await endOperations(tx, row, job, undefined);
}

async function endOperations(tx: Tx, row: JobRow, job: Job, error: Extract<Operation['result'], { case: 'error' }> | undefined): Promise<void> {
  const stored = jobToRow(job, null);
  await updateJob(tx.db, stored);
  // The response is the job as it is stored: packed once.
  const result = error ?? ({ case: 'response', value: create(AnySchema, { typeUrl: `type.googleapis.com/${JobSchema.typeName}`, value: stored.body }) } as const);
  for (const operation of await listOpenOperations(tx.db, row.name))
    await updateOperation(tx.db, completeOperation(operation, { metadata: jobMetadata(job, stored.body), result }));
  tx.touch('operations');
}
