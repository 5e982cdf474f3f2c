/**
 * Executions. The row's `body` is the google.cloud.run.v2.Execution as GetExecution answers it; phase, requests and lease are ours.
 * The handlers insert executions and ask for their end (`cancel_requested`, `delete_requested`); from then on only the holder of the
 * lease changes phase and body, in transactions that read the row first.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { TimestampSchema } from '@bufbuild/protobuf/wkt';
import { type Selectable, sql } from 'kysely';
import { type Execution, ExecutionSchema } from '../gen/google/cloud/run/v2/execution_pb.js';
import { fromTimestamp, type Micros, toTimestamp } from '../timestamp.ts';
import type { Db } from './database.ts';
import { DELETED_KEPT_MICROS, type NewestFirstCursor } from './jobs.ts';
import type { ExecutionsTable } from './schema.ts';

export type ExecutionRow = Selectable<ExecutionsTable>;
/** What the loop says about an execution beside its message. */
export type ExecutionState = Pick<ExecutionRow, 'job_uid' | 'phase' | 'cancel_requested' | 'delete_requested' | 'operation' | 'lease_owner' | 'lease_expire_time' | 'delete_time'>;

/** @param execution complete, with name, uid, job and createTime */
export function executionToRow(execution: Execution, state: ExecutionState): ExecutionRow {
  const [, project = '', , location = ''] = execution.name.split('/');
  return {
    // First: a caller may hand a whole row for its state, whose body is the old one.
    ...state,
    uid: execution.uid,
    name: execution.name,
    job: execution.job,
    project_id: project,
    location,
    body: toBinary(ExecutionSchema, execution),
    create_time: fromTimestamp(execution.createTime ?? create(TimestampSchema)),
    completion_time: execution.completionTime === undefined ? null : fromTimestamp(execution.completionTime),
  };
}

/** The message, with the deletion of its row written into it where a whole job was deleted at once. */
export function executionFromRow(row: Pick<ExecutionRow, 'body' | 'delete_time'>): Execution {
  const execution = fromBinary(ExecutionSchema, row.body);
  if (row.delete_time !== null) {
    execution.deleteTime ??= toTimestamp(row.delete_time);
    execution.expireTime ??= toTimestamp(row.delete_time + DELETED_KEPT_MICROS);
  }
  return execution;
}

/** The execution of this name that is not deleted. */
export async function findExecution(db: Db, name: string): Promise<ExecutionRow | undefined> {
  return db.selectFrom('executions').selectAll().where('name', '=', name).where('delete_time', 'is', null).executeTakeFirst();
}

/** The one of this job and name, deleted or not: no name is given twice. */
export async function findExecutionOfJob(db: Db, job: string, name: string): Promise<ExecutionRow | undefined> {
  return (await findExecution(db, name)) ?? db.selectFrom('executions').selectAll().where('job', '=', job).where('name', '=', name).executeTakeFirst();
}

export async function findExecutionByUid(db: Db, uid: string): Promise<ExecutionRow | undefined> {
  return db.selectFrom('executions').selectAll().where('uid', '=', uid).executeTakeFirst();
}

/** Asks for the end of all that runs in a project. */
export async function updateExecutionsToEnd(db: Db, projectId: string): Promise<void> {
  await db.updateTable('executions').set({ cancel_requested: 1 }).where('project_id', '=', projectId).where('phase', '<>', 'done').where('delete_time', 'is', null).execute();
}

/** Newest first. @param page.job full name; absent: of all jobs of the location; @param page.location absent: all; @param page.deletedSince shows deleted ones too, of this time or later */
export async function listExecutions(
  db: Db,
  page: {
    readonly projectId: string;
    readonly location?: string;
    readonly job?: string;
    readonly after?: NewestFirstCursor;
    readonly limit: number;
    readonly deletedSince?: Micros;
  },
): Promise<Pick<ExecutionRow, 'uid' | 'body' | 'create_time' | 'delete_time'>[]> {
  const { after, deletedSince } = page;
  let query = db.selectFrom('executions').select(['uid', 'body', 'create_time', 'delete_time']);
  if (page.job !== undefined) query = query.where('job', '=', page.job);
  else {
    query = query.where('project_id', '=', page.projectId);
    if (page.location !== undefined) query = query.where('location', '=', page.location);
  }
  query = deletedSince === undefined ? query.where('delete_time', 'is', null) : query.where((e) => e.or([e('delete_time', 'is', null), e('delete_time', '>=', deletedSince)]));
  if (after !== undefined) query = query.where((e) => e.or([e('create_time', '<', after.createTime), e.and([e('create_time', '=', after.createTime), e('uid', '>', after.uid)])]));
  return query.orderBy('create_time', 'desc').orderBy('uid').limit(page.limit).execute();
}

/** How many executions of a project and location have not ended. */
export async function countOpenExecutions(db: Db, projectId: string, location: string): Promise<number> {
  const row = await db
    .selectFrom('executions')
    .select(sql<number>`count(*)`.as('count'))
    .where('phase', '<>', sql.lit('done'))
    .where('project_id', '=', projectId)
    .where('location', '=', location)
    .executeTakeFirst();
  return row?.count ?? 0;
}

export async function insertExecution(db: Db, row: ExecutionRow): Promise<void> {
  await db.insertInto('executions').values(row).execute();
}

/** Replaces the whole row of this uid. The caller has read it in the same transaction. */
export async function updateExecution(db: Db, row: ExecutionRow): Promise<void> {
  const { uid, ...rest } = row;
  await db.updateTable('executions').set(rest).where('uid', '=', uid).execute();
}

/** With a job go its executions: those that ended are deleted now, those that run are asked to stop and are deleted when they have. */
export async function deleteExecutionsOfJob(db: Db, job: { readonly name: string; readonly uid: string }, now: Micros): Promise<void> {
  const ofJob = db.updateTable('executions').where('job', '=', job.name).where('job_uid', '=', job.uid).where('delete_time', 'is', null);
  await ofJob.set({ delete_requested: 1, delete_time: now }).where('phase', '=', 'done').execute();
  await ofJob.set({ delete_requested: 1 }).where('phase', '<>', sql.lit('done')).execute();
}
