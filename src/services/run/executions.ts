/** google.cloud.run.v2.Executions: read, and asked to end. The loop ends them, and completes the operations that wait for it. */
import { clone } from '@bufbuild/protobuf';
import { failedPrecondition } from '../../errors.ts';
import {
  type CancelExecutionRequestSchema,
  type DeleteExecutionRequestSchema,
  type Execution,
  ExecutionSchema,
  type Executions,
  type GetExecutionRequestSchema,
  type ListExecutionsRequestSchema,
  type ListExecutionsResponseSchema,
} from '../../gen/google/cloud/run/v2/execution_pb.js';
import type { OperationSchema } from '../../gen/google/longrunning/operations_pb.js';
import { lastId } from '../../resource-name.ts';
import type { Db, Tx } from '../../store/database.ts';
import { type ExecutionRow, executionFromRow, executionToRow, findExecution, listExecutions, updateExecution } from '../../store/executions.ts';
import { DELETED_KEPT_MICROS, findJob, resourceEtag } from '../../store/jobs.ts';
import { type Micros, toTimestamp } from '../../timestamp.ts';
import type { Methods, Unary } from '../service.ts';
import { beginOperation, doneOperation, newOperationName } from './begin-operation.ts';
import { refuseStale } from './etag.ts';
import { listPage } from './list-page.ts';
import { ANY, missing, parseExecutionName, parseJobName, projectId, requireLocation, resource, storedName } from './places.ts';
import type { RunDeps } from './run-deps.ts';

export function executionMethods(deps: RunDeps): Methods<typeof Executions> {
  return { getExecution: getExecution(deps), listExecutions: list(deps), cancelExecution: cancelExecution(deps), deleteExecution: deleteExecution(deps) };
}

function named(permission: string) {
  return {
    checks: ({ name }: { readonly name: string }) => {
      parseExecutionName(name, 'name');
      return [{ permission, resource: resource(name) }];
    },
  };
}

async function requireExecution(db: Db, name: string): Promise<ExecutionRow> {
  const row = await findExecution(db, name);
  if (row === undefined) throw missing(name);
  return row;
}

/** As stored; `-` for the job is filled in, for an execution is called after its job. */
async function executionName(db: Db, name: string): Promise<string> {
  const { locations, jobs, executions, projects } = parseExecutionName(name, 'name');
  const job = jobs === ANY ? executions.slice(0, Math.max(0, executions.lastIndexOf('-'))) : jobs;
  return `projects/${await projectId(db, projects)}/locations/${locations}/jobs/${job}/executions/${executions}`;
}

function getExecution({ store }: RunDeps): Unary<typeof GetExecutionRequestSchema, typeof ExecutionSchema> {
  return {
    access: named('run.executions.get'),
    async handle({ name }) {
      return executionFromRow(await requireExecution(store.read, await executionName(store.read, name)));
    },
  };
}

function list({ store }: RunDeps): Unary<typeof ListExecutionsRequestSchema, typeof ListExecutionsResponseSchema> {
  return {
    access: {
      checks: ({ parent }) => {
        parseJobName(parent, 'parent');
        return [{ permission: 'run.executions.list', resource: resource(parent) }];
      },
    },
    async handle(request, call) {
      const { projects, locations, jobs } = parseJobName(request.parent, 'parent');
      if (locations !== ANY) requireLocation(locations);
      const where = {
        projectId: await projectId(store.read, projects),
        ...(locations === ANY ? {} : { location: locations }),
        ...(jobs === ANY ? {} : { job: await storedName(store.read, request.parent) }),
      };
      const page = await listPage('executions', request, call.now(), (window) => listExecutions(store.read, { ...where, ...window }));
      // An empty list of a job that there is not would hide a slip of the pen.
      if (page.rows.length === 0 && where.job !== undefined && !request.showDeleted && (await findJob(store.read, where.job)) === undefined) throw missing(where.job);
      return { executions: page.rows.map(executionFromRow), nextPageToken: page.nextPageToken };
    },
  };
}

function cancelExecution({ store }: RunDeps): Unary<typeof CancelExecutionRequestSchema, typeof OperationSchema> {
  const cancelled = (row: ExecutionRow, etag: string, now: Micros): Execution => {
    const execution = executionFromRow(row);
    refuseStale(execution, etag);
    if (row.phase === 'done' || row.delete_requested === 1) throw failedPrecondition(`Execution '${lastId(row.name)}' cannot be cancelled because it is not running.`);
    return row.cancel_requested === 1 ? execution : asked(execution, now);
  };
  return {
    access: named('run.executions.cancel'),
    async handle(request, call) {
      const name = await executionName(store.read, request.name);
      const operation = newOperationName(name);
      const now = call.now();
      if (request.validateOnly) return doneOperation(operation, cancelled(await requireExecution(store.read, name), request.etag, now));
      return store.write(async (tx) => {
        const row = await requireExecution(tx.db, name);
        const execution = cancelled(row, request.etag, now);
        await updateExecution(tx.db, executionToRow(execution, { ...row, cancel_requested: 1 }));
        tx.touch('work');
        return beginOperation(tx, operation, execution, now);
      });
    },
  };
}

function deleteExecution({ store }: RunDeps): Unary<typeof DeleteExecutionRequestSchema, typeof OperationSchema> {
  const deleted = (row: ExecutionRow, etag: string, now: Micros): Execution => {
    const execution = executionFromRow(row);
    refuseStale(execution, etag);
    if (execution.deleteTime !== undefined) return execution;
    const next = asked(execution, now);
    next.deleteTime = toTimestamp(now);
    next.expireTime = toTimestamp(now + DELETED_KEPT_MICROS);
    // One that has ended needs nobody to end it.
    if (row.phase === 'done') {
      next.reconciling = false;
      next.observedGeneration = next.generation;
    }
    return next;
  };
  return {
    access: named('run.executions.delete'),
    async handle(request, call) {
      const name = await executionName(store.read, request.name);
      const operation = newOperationName(name);
      const now = call.now();
      if (request.validateOnly) return doneOperation(operation, deleted(await requireExecution(store.read, name), request.etag, now));
      return store.write((tx) => storeDeletion(tx, name, (row) => deleted(row, request.etag, now), operation, now));
    },
  };
}

async function storeDeletion(tx: Tx, name: string, deleted: (row: ExecutionRow) => Execution, operation: string, now: Micros) {
  const row = await requireExecution(tx.db, name);
  const execution = deleted(row);
  const isDone = row.phase === 'done';
  await updateExecution(tx.db, executionToRow(execution, { ...row, delete_requested: 1, delete_time: isDone ? now : null }));
  if (!isDone) tx.touch('work');
  return beginOperation(tx, operation, execution, now, { isDone });
}

/** A change that the loop has yet to act upon. */
function asked(execution: Execution, now: Micros): Execution {
  const next = clone(ExecutionSchema, execution);
  next.generation += 1n;
  next.updateTime = toTimestamp(now);
  next.reconciling = true;
  next.etag = resourceEtag(next.name, now);
  return next;
}
