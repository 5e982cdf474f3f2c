/**
 * Tasks. The row's `body` is the google.cloud.run.v2.Task as GetTask answers it; state and attempt are ours. All tasks of an
 * execution are inserted with it, in one transaction, however many they are.
 */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { CompiledQuery, type Selectable } from 'kysely';
import { type Task, TaskSchema } from '../gen/google/cloud/run/v2/task_pb.js';
import type { Micros } from '../timestamp.ts';
import type { Db } from './database.ts';
import type { TasksTable } from './schema.ts';

export type TaskRow = Selectable<TasksTable>;
/** What the loop says about a task beside its message. */
export type TaskState = Pick<TaskRow, 'execution_uid' | 'state' | 'attempt' | 'attempt_create_time' | 'attempt_start_time' | 'stop_cause'>;

/** Where a page of a list begins: after this task, by its execution (newest first) and index. */
export type TaskCursor = { readonly createTime: Micros; readonly executionUid: string; readonly index: number };

/** Ten columns each: far below SQLite's 32,766 parameters, and one text for the statement cache. */
const CHUNK = 250;

export function taskToRow(task: Task, state: TaskState): TaskRow {
  // The state first: a caller may hand a whole row, whose body is the old one.
  return { ...state, uid: task.uid, name: task.name, task_index: task.index, body: toBinary(TaskSchema, task) };
}

export function taskFromRow(row: Pick<TaskRow, 'body'>): Task {
  return fromBinary(TaskSchema, row.body);
}

/**
 * Rows of the tasks of one execution, none of which has started; each is made when it is asked for.
 * @param shared what all have in common; its name, uid and index are not read
 * @param each the names and uids, by index
 */
export function* newTaskRows(shared: Task, executionUid: string, each: Iterable<Pick<Task, 'name' | 'uid' | 'etag'>>): Generator<TaskRow> {
  // Concatenated messages merge (protobuf encoding, "Last One Wins"): what ten thousand tasks share is encoded once.
  const common = toBinary(TaskSchema, { ...shared, name: '', uid: '', etag: '', index: 0 });
  let index = 0;
  for (const { name, uid, etag } of each) {
    yield {
      uid,
      name,
      execution_uid: executionUid,
      task_index: index,
      body: Buffer.concat([common, encodeOwnFields({ name, uid, etag, index })]),
      state: 'pending',
      attempt: 0,
      attempt_create_time: null,
      attempt_start_time: null,
      stop_cause: null,
    };
    index++;
  }
}

const { name: NAME, uid: UID, etag: ETAG, index: INDEX } = TaskSchema.field;

/** As toBinary would, without its walk through forty fields. */
function encodeOwnFields(own: Pick<Task, 'name' | 'uid' | 'etag' | 'index'>): Uint8Array {
  return new BinaryWriter()
    .tag(NAME.number, WireType.LengthDelimited)
    .string(own.name)
    .tag(UID.number, WireType.LengthDelimited)
    .string(own.uid)
    .tag(INDEX.number, WireType.Varint)
    .int32(own.index)
    .tag(ETAG.number, WireType.LengthDelimited)
    .string(own.etag)
    .finish();
}

/** Whether any task, of a deleted execution too, has this name: names of tasks are never used twice. */
export async function isTaskNameTaken(db: Db, name: string): Promise<boolean> {
  return (await db.selectFrom('tasks').select('uid').where('name', '=', name).executeTakeFirst()) !== undefined;
}

/** The task of this name, unless its execution is deleted. */
export async function findTask(db: Db, name: string): Promise<TaskRow | undefined> {
  return db
    .selectFrom('tasks')
    .innerJoin('executions', 'executions.uid', 'tasks.execution_uid')
    .selectAll('tasks')
    .where('tasks.name', '=', name)
    .where('executions.delete_time', 'is', null)
    .executeTakeFirst();
}

/** The tasks of one execution, by index, from the one after `afterIndex`. */
export async function listTasksOfExecution(db: Db, page: { readonly executionUid: string; readonly afterIndex?: number; readonly limit: number }): Promise<TaskRow[]> {
  return db
    .selectFrom('tasks')
    .selectAll()
    .where('execution_uid', '=', page.executionUid)
    .where('task_index', '>', page.afterIndex ?? -1)
    .orderBy('task_index')
    .limit(page.limit)
    .execute();
}

/** By execution, the newest first, then by index. @param page.execution, page.job full names; absent: all of the next greater */
export async function listTasks(
  db: Db,
  page: {
    readonly projectId: string;
    readonly location?: string;
    readonly job?: string;
    readonly execution?: string;
    readonly after?: TaskCursor;
    readonly limit: number;
    readonly deletedSince?: Micros;
  },
): Promise<(Pick<TaskRow, 'body' | 'task_index' | 'execution_uid'> & { execution_create_time: Micros })[]> {
  const { after, deletedSince } = page;
  let query = db
    .selectFrom('executions')
    .innerJoin('tasks', 'tasks.execution_uid', 'executions.uid')
    .select(['tasks.body', 'tasks.task_index', 'tasks.execution_uid', 'executions.create_time as execution_create_time']);
  if (page.execution !== undefined) query = query.where('executions.name', '=', page.execution);
  else if (page.job !== undefined) query = query.where('executions.job', '=', page.job);
  else {
    query = query.where('executions.project_id', '=', page.projectId);
    if (page.location !== undefined) query = query.where('executions.location', '=', page.location);
  }
  query =
    deletedSince === undefined
      ? query.where('executions.delete_time', 'is', null)
      : query.where((e) => e.or([e('executions.delete_time', 'is', null), e('executions.delete_time', '>=', deletedSince)]));
  if (after !== undefined)
    query = query.where((e) =>
      e.or([
        e('executions.create_time', '<', after.createTime),
        e.and([
          e('executions.create_time', '=', after.createTime),
          e.or([e('executions.uid', '>', after.executionUid), e.and([e('executions.uid', '=', after.executionUid), e('tasks.task_index', '>', after.index)])]),
        ]),
      ]),
    );
  return query.orderBy('executions.create_time', 'desc').orderBy('executions.uid').orderBy('tasks.task_index').limit(page.limit).execute();
}

/**
 * Ten thousand rows in one transaction: the statement's text is written out here, since to have it compiled for each chunk costs more than to run it,
 * and requests that only read are served between the chunks.
 */
export async function insertTasks(db: Db, rows: Iterable<TaskRow>): Promise<void> {
  let chunk: TaskRow[] = [];
  const flush = async () => {
    if (chunk.length > 0)
      await db.executeQuery(
        CompiledQuery.raw(
          insertText(chunk.length),
          chunk.flatMap((row) => COLUMNS.map((column) => row[column])),
        ),
      );
    chunk = [];
  };
  for (const row of rows) {
    chunk.push(row);
    if (chunk.length < CHUNK) continue;
    await flush();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await flush();
}

const COLUMNS = [
  'uid',
  'name',
  'execution_uid',
  'task_index',
  'body',
  'state',
  'attempt',
  'attempt_create_time',
  'attempt_start_time',
  'stop_cause',
] as const satisfies readonly (keyof TaskRow)[];

function insertText(count: number): string {
  const row = `(${COLUMNS.map(() => '?').join(', ')})`;
  return `insert into tasks (${COLUMNS.join(', ')}) values ${Array.from({ length: count }, () => row).join(', ')}`;
}
