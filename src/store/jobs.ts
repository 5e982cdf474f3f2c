/**
 * Jobs. The row's `body` is the google.cloud.run.v2.Job as GetJob answers it; the columns are derived from it by `jobToRow`, so the
 * two cannot drift. A job that is being deleted keeps its name (`delete_time` is null, `reconciling` 1) until the deletion is finished.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { type Any, AnySchema, TimestampSchema } from '@bufbuild/protobuf/wkt';
import { type Selectable, type SelectQueryBuilder, sql } from 'kysely';
import { type Job, JobSchema } from '../gen/google/cloud/run/v2/job_pb.js';
import { fromTimestamp, type Micros, toTimestamp } from '../timestamp.ts';
import type { Db } from './database.ts';
import type { Database, JobsTable } from './schema.ts';
import { prepare } from './sqlite.ts';

export type JobRow = Selectable<JobsTable>;

/** How long a deleted job or execution can still be listed with `show_deleted` (recorded: deleteTime + 30 days exactly). */
export const DELETED_KEPT_MICROS = 30 * 24 * 3600 * 1_000_000;

/** Where a page of a list begins: after the row of this time and uid, newest first. */
export type NewestFirstCursor = { readonly createTime: Micros; readonly uid: string };

/**
 * The etag of a job, execution or task: a quoted string of the base64url of a Timestamp and of the name (recorded). Callers compare it whole.
 * @param changeTime the resource's updateTime; at the end of a job's deletion the time of that
 */
export function resourceEtag(name: string, changeTime: Micros): string {
  return etagsAt(changeTime)(name);
}

/** `resourceEtag` for many resources that change at one time. */
export function etagsAt(changeTime: Micros): (name: string) => string {
  const stamp = Buffer.from(toBinary(TimestampSchema, toTimestamp(changeTime))).toString('base64url');
  return (name) => `"${stamp}/${Buffer.from(name).toString('base64url')}"`;
}

/** The time inside an etag of `resourceEtag`; undefined for any other text. */
export function etagTime(etag: string): Micros | undefined {
  const stamp = /^"([A-Za-z0-9_-]+)\/[A-Za-z0-9_-]+"$/.exec(etag)?.[1];
  if (stamp === undefined) return undefined;
  try {
    return fromTimestamp(fromBinary(TimestampSchema, Buffer.from(stamp, 'base64url')));
  } catch {
    // Base64 of something else: the caller made the etag up.
    return undefined;
  }
}

/**
 * @param job complete, with name, uid and createTime. `deleteTime` and not `reconciling` means that the deletion is finished
 * @param operation the full name of the operation that ends when the reconciliation does
 */
export function jobToRow(job: Job, operation: string | null): JobRow {
  const [, project = '', , location = ''] = job.name.split('/');
  return {
    uid: job.uid,
    name: job.name,
    project_id: project,
    location,
    body: toBinary(JobSchema, job),
    generation: Number(job.generation),
    reconciling: job.reconciling ? 1 : 0,
    operation,
    create_time: fromTimestamp(job.createTime ?? create(TimestampSchema)),
    delete_time: job.deleteTime !== undefined && !job.reconciling ? fromTimestamp(job.deleteTime) : null,
  };
}

/** A job that waits for an execution of its own before it is at rest: its message says reconciling, but the loop has nothing to do. Any other row of it wakes the loop. */
export function parkedJobToRow(job: Job, operation: string | null): JobRow {
  return { ...jobToRow(job, operation), reconciling: 0 };
}

export function jobFromRow(row: Pick<JobRow, 'body'>): Job {
  return fromBinary(JobSchema, row.body);
}

/**
 * A job as the metadata of its operations shows it: without the uid, which only the response has (recorded).
 * @param body the job as it is encoded (in its row), where it is at hand: the uid is cut out of it, which is quicker than another encoding
 */
export function jobMetadata(job: Job, body: Uint8Array = toBinary(JobSchema, job)): Any {
  return create(AnySchema, { typeUrl: `type.googleapis.com/${JobSchema.typeName}`, value: withoutField(body, JobSchema.field.uid.number) });
}

/** @param field number of a field that stands at most once at the top of the message */
function withoutField(body: Uint8Array, field: number): Uint8Array {
  const reader = new BinaryReader(body);
  while (reader.pos < body.length) {
    const start = reader.pos;
    const [number, type] = reader.tag();
    reader.skip(type, number);
    if (number !== field) continue;
    const rest = new Uint8Array(body.length - reader.pos + start);
    rest.set(body.subarray(0, start));
    rest.set(body.subarray(reader.pos), start);
    return rest;
  }
  return body;
}

/** The job of this name that is not deleted; one whose deletion is under way is found. */
export async function findJob(db: Db, name: string): Promise<JobRow | undefined> {
  return (await selectByName(db, { name }))[0];
}
const selectByName = prepare<JobRow, 'name'>(['name'], (db, { name }) => db.selectFrom('jobs').selectAll().where('name', '=', name).where('delete_time', 'is', null));

/** A job by its uid, deleted or not. */
export async function findJobByUid(db: Db, uid: string): Promise<JobRow | undefined> {
  return (await selectByUid(db, { uid }))[0];
}
const selectByUid = prepare<JobRow, 'uid'>(['uid'], (db, { uid }) => db.selectFrom('jobs').selectAll().where('uid', '=', uid));

/** Newest first. @param page.location absent: all; @param page.deletedSince shows deleted ones too, of this time or later */
export async function listJobs(
  db: Db,
  page: { readonly projectId: string; readonly location?: string; readonly after?: NewestFirstCursor; readonly limit: number; readonly deletedSince?: Micros },
): Promise<Pick<JobRow, 'uid' | 'body' | 'create_time'>[]> {
  const { location, deletedSince } = page;
  let query = db.selectFrom('jobs').select(['uid', 'body', 'create_time']).where('project_id', '=', page.projectId);
  if (location !== undefined) query = query.where('location', '=', location);
  query = deletedSince === undefined ? query.where('delete_time', 'is', null) : query.where((e) => e.or([e('delete_time', 'is', null), e('delete_time', '>=', deletedSince)]));
  if (page.after !== undefined) query = afterCursor(query, page.after);
  return query.orderBy('create_time', 'desc').orderBy('uid').limit(page.limit).execute();
}

/** How many jobs that are not deleted a project has in one location. */
export async function countJobs(db: Db, projectId: string, location: string): Promise<number> {
  const row = await db
    .selectFrom('jobs')
    .select(sql<number>`count(*)`.as('count'))
    .where('project_id', '=', projectId)
    .where('location', '=', location)
    .where('delete_time', 'is', null)
    .executeTakeFirst();
  return row?.count ?? 0;
}

/** The caller has made sure, in the same transaction, that no job that is not deleted has the name. */
export async function insertJob(db: Db, row: JobRow): Promise<void> {
  await insertRow(db, row);
}
const COLUMNS = ['uid', 'name', 'project_id', 'location', 'body', 'generation', 'reconciling', 'operation', 'create_time', 'delete_time'] as const;
const insertRow = prepare(COLUMNS, (db, row) => db.insertInto('jobs').values(row));

/** Replaces what can change of the row of this uid: its names and its time of creation cannot, and an index is written for each column that is set. */
export async function updateJob(db: Db, row: JobRow): Promise<void> {
  await (row.delete_time === null ? updateRow : updateDeletedRow)(db, row);
}
const CHANGING = ['uid', 'body', 'generation', 'reconciling', 'operation'] as const;
const updateRow = prepare(CHANGING, (db, { uid, ...rest }) => db.updateTable('jobs').set(rest).where('uid', '=', uid));
/** A job that was deleted never comes back, so the column is only ever set once. */
const updateDeletedRow = prepare([...CHANGING, 'delete_time'], (db, { uid, ...rest }) => db.updateTable('jobs').set(rest).where('uid', '=', uid));

function afterCursor<O>(query: SelectQueryBuilder<Database, 'jobs', O>, after: NewestFirstCursor): SelectQueryBuilder<Database, 'jobs', O> {
  return query.where((e) => e.or([e('create_time', '<', after.createTime), e.and([e('create_time', '=', after.createTime), e('uid', '>', after.uid)])]));
}
