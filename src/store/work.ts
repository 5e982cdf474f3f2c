/**
 * What there is to do, as the reconciling loop asks for it: jobs to look at, executions to claim, tasks to start. An execution is
 * claimed with a lease; whoever holds it is its only writer, and checks in every transaction that it still does.
 */
import { sql } from 'kysely';
import { MICROS_PER_SECOND, type Micros } from '../timestamp.ts';
import type { Db } from './database.ts';
import type { ExecutionRow, ExecutionState } from './executions.ts';
import type { JobRow } from './jobs.ts';
import { prepare } from './sqlite.ts';
import type { TaskRow, TaskState } from './tasks.ts';

/**
 * Who claims: `INSTANCE/BOOT`. The instance is stable for a data directory, whose driver keeps its containers over a restart; the boot
 * tells one process from the next, so that a restarted loop takes its own work back at once and a forgotten twin cannot write on.
 */
export interface LeaseOwner {
  readonly instance: string;
  readonly boot: string;
}

/** @returns the value of `lease_owner`; the instance has no slash in it */
export function leaseOwnerName(owner: LeaseOwner): string {
  return `${owner.instance}/${owner.boot}`;
}

/** The instance part of a `lease_owner`. */
export function leaseInstance(leaseOwner: string): string {
  return leaseOwner.slice(0, leaseOwner.lastIndexOf('/'));
}

// Conditions of partial indexes are written out (`sql.lit`): SQLite cannot use such an index for a bound value, and would read the whole table.

/** Jobs that wait for the loop, the oldest first. */
export async function listReconcilingJobs(db: Db, limit: number): Promise<Pick<JobRow, 'uid' | 'name' | 'generation'>[]> {
  return [...(await selectReconciling(db, { limit }))];
}
const selectReconciling = prepare<Pick<JobRow, 'uid' | 'name' | 'generation'>, 'limit'>(['limit'], (db, { limit }) =>
  db.selectFrom('jobs').select(['uid', 'name', 'generation']).where('reconciling', '=', sql.lit(1)).orderBy('create_time').limit(limit),
);

/** How many executions of a job have not ended. */
export async function countOpenExecutionsOfJob(db: Db, job: { readonly name: string; readonly uid: string }): Promise<number> {
  const row = await db
    .selectFrom('executions')
    .select(sql<number>`count(*)`.as('count'))
    .where('phase', '<>', sql.lit('done'))
    .where('job', '=', job.name)
    .where('job_uid', '=', job.uid)
    .executeTakeFirst();
  return row?.count ?? 0;
}

export interface Claim {
  readonly owner: LeaseOwner;
  readonly now: Micros;
  readonly leaseSeconds: number;
  /** How many at most; those that a caller has asked to end are taken beyond it. */
  readonly limit: number;
}

/**
 * Open executions that nobody holds: never claimed, of a lease that has run out, or of an earlier boot of our own instance. Those that are to end
 * come first, then the oldest.
 */
export async function listClaimableExecutions(db: Db, { owner, now, limit }: Claim): Promise<ExecutionRow[]> {
  // `0` follows `/` in byte order: between them lies exactly what begins with `INSTANCE/`.
  const wish = { holder: leaseOwnerName(owner), now, from: `${owner.instance}/`, to: `${owner.instance}0` };
  const ending = await selectEndingFree(db, { ...wish, limit: MAX_ENDING });
  return limit <= ending.length ? [...ending] : [...ending, ...(await selectOtherFree(db, { ...wish, limit: limit - ending.length }))];
}
const FREE = ['holder', 'now', 'from', 'to'] as const;
const selectFree = (db: Db, { holder, now, from, to }: Record<(typeof FREE)[number], never>) =>
  db
    .selectFrom('executions')
    .selectAll()
    .where('phase', '<>', sql.lit('done'))
    .where((e) =>
      e.or([
        e('lease_owner', 'is', null),
        e.and([e('lease_owner', '<>', holder), e.or([e('lease_expire_time', '<=', now), e.and([e('lease_owner', '>=', from), e('lease_owner', '<', to)])])]),
      ]),
    )
    .orderBy('create_time');
const selectEndingFree = prepare<ExecutionRow, (typeof FREE)[number] | 'limit'>([...FREE, 'limit'], (db, values) =>
  selectFree(db, values)
    .where((e) => e.or([e('cancel_requested', '=', 1), e('delete_requested', '=', 1)]))
    .limit(values.limit),
);
const selectOtherFree = prepare<ExecutionRow, (typeof FREE)[number] | 'limit'>([...FREE, 'limit'], (db, values) =>
  selectFree(db, values).where('cancel_requested', '=', 0).where('delete_requested', '=', 0).limit(values.limit),
);
const MAX_ENDING = 100;

/** Takes what `listClaimableExecutions` finds. @returns the rows as they were before, so that the caller sees who held them */
export async function claimExecutions(db: Db, claim: Claim): Promise<ExecutionRow[]> {
  const rows = await listClaimableExecutions(db, claim);
  for (const { uid } of rows)
    await db
      .updateTable('executions')
      .set({ lease_owner: leaseOwnerName(claim.owner), lease_expire_time: claim.now + claim.leaseSeconds * MICROS_PER_SECOND })
      .where('uid', '=', uid)
      .execute();
  return rows;
}

/** Prolongs all leases that the owner still holds on open executions. */
export async function renewLeases(db: Db, owner: LeaseOwner, until: Micros): Promise<void> {
  await db.updateTable('executions').set({ lease_expire_time: until }).where('lease_owner', '=', leaseOwnerName(owner)).where('phase', '<>', sql.lit('done')).execute();
}

/** The open executions that the owner holds. */
export async function listHeldExecutions(db: Db, owner: LeaseOwner): Promise<string[]> {
  return (await db.selectFrom('executions').select('uid').where('phase', '<>', sql.lit('done')).where('lease_owner', '=', leaseOwnerName(owner)).execute()).map((row) => row.uid);
}

/** Gives an execution back, for anybody to claim at once. */
export async function releaseExecution(db: Db, owner: LeaseOwner, uid: string): Promise<void> {
  await db.updateTable('executions').set({ lease_owner: null, lease_expire_time: null }).where('uid', '=', uid).where('lease_owner', '=', leaseOwnerName(owner)).execute();
}

/** Of the open executions that the owner holds, those that a caller has asked to end. */
export async function listEndingExecutions(db: Db, owner: LeaseOwner): Promise<string[]> {
  return (await selectEnding(db, { owner: leaseOwnerName(owner) })).map((row) => row.uid);
}
const selectEnding = prepare<{ uid: string }, 'owner'>(['owner'], (db, { owner }) =>
  db
    .selectFrom('executions')
    .select('uid')
    .where('phase', '<>', sql.lit('done'))
    .where('lease_owner', '=', owner)
    .where((e) => e.or([e('cancel_requested', '=', 1), e('delete_requested', '=', 1)])),
);

export interface TaskCounts {
  readonly pending: number;
  readonly running: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Tasks that were tried more than once, whatever their state. */
  readonly retried: number;
}

export async function countTasks(db: Db, executionUid: string): Promise<TaskCounts> {
  const rows = await db
    .selectFrom('tasks')
    .select(['state', sql<number>`count(*)`.as('count'), sql<number>`sum(attempt > 0)`.as('retried')])
    .where('execution_uid', '=', executionUid)
    .groupBy('state')
    .execute();
  const of = (state: TaskRow['state']) => rows.find((row) => row.state === state)?.count ?? 0;
  return {
    pending: of('pending'),
    running: of('running'),
    succeeded: of('succeeded'),
    failed: of('failed'),
    cancelled: of('cancelled'),
    retried: rows.reduce((sum, row) => sum + row.retried, 0),
  };
}

/** Tasks of an execution in one state, by index. */
export async function listTasksInState(db: Db, executionUid: string, state: TaskRow['state'], limit: number): Promise<TaskRow[]> {
  return db.selectFrom('tasks').selectAll().where('execution_uid', '=', executionUid).where('state', '=', state).orderBy('task_index').limit(limit).execute();
}

/** Names of the attempts that the store believes alive, in all open executions. */
export async function listLiveAttempts(db: Db): Promise<Pick<TaskRow, 'uid' | 'attempt'>[]> {
  return db
    .selectFrom('executions')
    .innerJoin('tasks', 'tasks.execution_uid', 'executions.uid')
    .select(['tasks.uid', 'tasks.attempt'])
    .where('executions.phase', '<>', 'done')
    .where('tasks.state', '=', 'running')
    .execute();
}

export async function findTaskByUid(db: Db, uid: string): Promise<TaskRow | undefined> {
  return db.selectFrom('tasks').selectAll().where('uid', '=', uid).executeTakeFirst();
}

/** Replaces the whole row of this uid. The caller holds the lease of its execution and has read the row in the same transaction. */
export async function updateTask(db: Db, row: TaskRow): Promise<void> {
  const { uid, ...rest } = row;
  await db.updateTable('tasks').set(rest).where('uid', '=', uid).execute();
}

/** What a row says beside its message, alone: the rest of a row must not be written beside a message that has changed. */
export function executionState({ job_uid, phase, cancel_requested, delete_requested, operation, lease_owner, lease_expire_time, delete_time }: ExecutionRow): ExecutionState {
  return { job_uid, phase, cancel_requested, delete_requested, operation, lease_owner, lease_expire_time, delete_time };
}

/** As `executionState`, of a task. */
export function taskState({ execution_uid, state, attempt, attempt_create_time, attempt_start_time, stop_cause }: TaskRow): TaskState {
  return { execution_uid, state, attempt, attempt_create_time, attempt_start_time, stop_cause };
}
