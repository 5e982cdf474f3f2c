/** Jobs.RunJob: from a job to an execution with its tasks and the operation that waits for its end, in one transaction. */
import { failedPrecondition } from '../../errors.ts';
import { Condition_State } from '../../gen/google/cloud/run/v2/condition_pb.js';
import type { Job, RunJobRequest, RunJobRequestSchema } from '../../gen/google/cloud/run/v2/job_pb.js';
import type { Operation, OperationSchema } from '../../gen/google/longrunning/operations_pb.js';
import { lastId } from '../../resource-name.ts';
import type { Tx } from '../../store/database.ts';
import { findJob, jobFromRow, jobToRow, updateJob } from '../../store/jobs.ts';
import { isTaskNameTaken } from '../../store/tasks.ts';
import type { Call, Check, Unary } from '../service.ts';
import { runAccountQuestions } from './account-checks.ts';
import { addExecution, refuseTooMany } from './add-execution.ts';
import { beginOperation, doneOperation, newOperationName } from './begin-operation.ts';
import { refuseStale } from './etag.ts';
import { hasOverrides, newExecution, randomSuffix, taskName, validateOverrides } from './new-execution.ts';
import { missing, parseJobName, requirePlace, resource, storedName } from './places.ts';
import { askInOrder } from './question.ts';
import type { RunDeps } from './run-deps.ts';
import { storeFacts } from './store-facts.ts';

/** With overrides the real service asks for, and names, that one alone. @param name of the job */
export function runCheck(name: string, hasOverrides: boolean): Check {
  return { permission: hasOverrides ? 'run.jobs.runWithOverrides' : 'run.jobs.run', resource: resource(name) };
}

export function runJob(deps: RunDeps): Unary<typeof RunJobRequestSchema, typeof OperationSchema> {
  const { store } = deps;
  return {
    access: {
      checks: ({ name, overrides }) => {
        parseJobName(name, 'name');
        return [runCheck(name, hasOverrides(overrides))];
      },
    },
    async handle(request, call) {
      const name = await storedName(store.read, request.name);
      if (request.overrides !== undefined) validateOverrides(request.overrides);
      const row = await findJob(store.read, name);
      if (row === undefined) throw missing(name);
      const job = jobFromRow(row);
      refuseUnrunnable(job, request.etag);
      // Whoever changes the account meanwhile is asked the same.
      const project = await requirePlace(store.read, parseJobName(name, 'name'));
      await askInOrder(runAccountQuestions(job.template?.template?.serviceAccount ?? '', project, storeFacts(deps, call.principal, project)), call);
      if (!request.validateOnly) return store.write((tx) => start(tx, name, request, deps, call));
      return doneOperation(
        newOperationName(name),
        newExecution(job, request.overrides, { name: `${name}/executions/${lastId(name)}-${nextSuffix(deps)}`, creator: call.principal.email, now: call.now() }),
      );
    },
  };
}

async function start(tx: Tx, name: string, request: RunJobRequest, deps: RunDeps, call: Call): Promise<Operation> {
  const now = call.now();
  const row = await findJob(tx.db, name);
  if (row === undefined) throw missing(name);
  await requirePlace(tx.db, { projects: row.project_id, locations: row.location });
  const job = jobFromRow(row);
  refuseUnrunnable(job, request.etag);
  await refuseTooMany(tx, row, deps);
  const execution = newExecution(job, request.overrides, { name: await freeName(tx, name, deps), creator: call.principal.email, now });
  const operation = newOperationName(name);
  await updateJob(tx.db, jobToRow(await addExecution(tx, job, execution, operation, now), row.operation));
  return beginOperation(tx, operation, execution, now);
}

/** @throws ABORTED, FAILED_PRECONDITION */
export function refuseUnrunnable(job: Job, etag: string): void {
  refuseStale(job, etag);
  const id = lastId(job.name);
  if (job.deleteTime !== undefined) throw failedPrecondition(`Resource '${id}' is being deleted.`);
  const ready = job.terminalCondition;
  // A job that is still being looked at may run: its image is resolved again for the execution. So may one that only its token's execution failed.
  if (!job.reconciling && ready?.state === Condition_State.CONDITION_FAILED && ready.reasons.case !== 'executionReason')
    throw failedPrecondition(`Job '${id}' is not ready and cannot be run: ${ready.message}`);
}

/**
 * No name is used twice, not even after a deletion: containers and logs are known by it.
 * Deviation: an execution is called after its whole job, also where that makes a name of more than 63 characters; how the real service shortens it is not documented.
 */
async function freeName(tx: Tx, job: string, deps: RunDeps): Promise<string> {
  for (;;) {
    const name = `${job}/executions/${lastId(job)}-${nextSuffix(deps)}`;
    if (!(await isTaskNameTaken(tx.db, taskName(name, 0)))) return name;
  }
}

function nextSuffix(deps: RunDeps): string {
  return (deps.executionSuffix ?? randomSuffix)();
}
