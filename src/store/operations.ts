/**
 * Long-running operations. One that is not done names in `target` what it waits for: a job that is reconciling, or an execution
 * that has not ended. Whoever brings the target to its end completes all operations of it in the same transaction. A caller may
 * delete an operation at any time, so none may be relied on to be there.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { type Selectable, sql } from 'kysely';
import { type Operation, OperationSchema } from '../gen/google/longrunning/operations_pb.js';
import type { Micros } from '../timestamp.ts';
import type { Db } from './database.ts';
import type { OperationsTable } from './schema.ts';
import { prepare } from './sqlite.ts';

export type OperationRow = Selectable<OperationsTable>;

/** @param operation with its name, `projects/P/locations/L/operations/O`; @param target full name of the job or execution that it is about */
export function operationToRow(operation: Operation, target: string, createTime: Micros): OperationRow {
  const [, project = '', , location = ''] = operation.name.split('/');
  return { name: operation.name, project_id: project, location, body: toBinary(OperationSchema, operation), done: operation.done ? 1 : 0, target, create_time: createTime };
}

export function operationFromRow(row: Pick<OperationRow, 'body'>): Operation {
  return fromBinary(OperationSchema, row.body);
}

/** @param how `metadata` replaces that of the beginning; `result` is the response or the error: with the name that is all there is to an operation */
export function completeOperation(row: OperationRow, how: { readonly metadata: Any; readonly result: Operation['result'] }): OperationRow {
  const operation = create(OperationSchema, { name: row.name, done: true, metadata: how.metadata, result: how.result });
  return { ...row, done: 1, body: toBinary(OperationSchema, operation) };
}

export async function findOperation(db: Db, name: string): Promise<OperationRow | undefined> {
  return db.selectFrom('operations').selectAll().where('name', '=', name).executeTakeFirst();
}

/** Newest first. @param page.location absent: all; @param page.done absent: both */
export async function listOperations(
  db: Db,
  page: {
    readonly projectId: string;
    readonly location?: string;
    readonly done?: boolean;
    readonly after?: { readonly createTime: Micros; readonly name: string };
    readonly limit: number;
  },
): Promise<Pick<OperationRow, 'name' | 'body' | 'create_time'>[]> {
  const { after } = page;
  let query = db.selectFrom('operations').select(['name', 'body', 'create_time']).where('project_id', '=', page.projectId);
  if (page.location !== undefined) query = query.where('location', '=', page.location);
  if (page.done !== undefined) query = query.where('done', '=', page.done ? 1 : 0);
  if (after !== undefined)
    query = query.where((e) => e.or([e('create_time', '<', after.createTime), e.and([e('create_time', '=', after.createTime), e('name', '>', after.name)])]));
  return query.orderBy('create_time', 'desc').orderBy('name').limit(page.limit).execute();
}

/** Those that wait for the end of this job's reconciliation, or of this execution. */
export async function listOpenOperations(db: Db, target: string): Promise<OperationRow[]> {
  return [...(await selectOpen(db, { target }))];
}
const selectOpen = prepare<OperationRow, 'target'>(['target'], (db, { target }) =>
  db.selectFrom('operations').selectAll().where('target', '=', target).where('done', '=', sql.lit(0)).orderBy('create_time'),
);

export async function insertOperation(db: Db, row: OperationRow): Promise<void> {
  await insertRow(db, row);
}
const COLUMNS = ['name', 'project_id', 'location', 'body', 'done', 'target', 'create_time'] as const;
const insertRow = prepare(COLUMNS, (db, row) => db.insertInto('operations').values(row));

/** Replaces what can change of the row of this name; where a caller has deleted it, nothing happens. */
export async function updateOperation(db: Db, row: OperationRow): Promise<void> {
  await updateRow(db, row);
}
const updateRow = prepare(['name', 'body', 'done'], (db, { name, ...rest }) => db.updateTable('operations').set(rest).where('name', '=', name));

/** @returns whether there was one */
export async function deleteOperation(db: Db, name: string): Promise<boolean> {
  return (await db.deleteFrom('operations').where('name', '=', name).executeTakeFirst()).numDeletedRows > 0n;
}
