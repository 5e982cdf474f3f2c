/** Changes of a job's definition: create, update, delete. Each is one transaction that leaves the job reconciling; the loop takes it from there. */
import { randomUUIDv7 } from 'node:crypto';
import { clone, create, equals } from '@bufbuild/protobuf';
import { type ApiError, alreadyExists, failedPrecondition, resourceExhausted } from '../../errors.ts';
import { type Condition, Condition_State, ConditionSchema } from '../../gen/google/cloud/run/v2/condition_pb.js';
import {
  type CreateJobRequestSchema,
  type DeleteJobRequestSchema,
  ExecutionReferenceSchema,
  type Job,
  JobSchema,
  type UpdateJobRequestSchema,
} from '../../gen/google/cloud/run/v2/job_pb.js';
import type { Operation, OperationSchema } from '../../gen/google/longrunning/operations_pb.js';
import { lastId } from '../../resource-name.ts';
import type { Tx } from '../../store/database.ts';
import { deleteExecutionsOfJob } from '../../store/executions.ts';
import { countJobs, DELETED_KEPT_MICROS, findJob, insertJob, type JobRow, jobFromRow, jobToRow, resourceEtag, updateJob } from '../../store/jobs.ts';
import { deletePolicy } from '../../store/policies.ts';
import { defaultServiceAccountEmail } from '../../store/service-accounts.ts';
import { type Micros, toTimestamp } from '../../timestamp.ts';
import type { Call, Check, Unary } from '../service.ts';
import { beginOperation, doneOperation, newOperationName } from './begin-operation.ts';
import { checkConstraints } from './constraints.ts';
import { checkDeploy } from './deploy-checks.ts';
import { refuseStale } from './etag.ts';
import { authorizeToken, startByToken, validateToken } from './execution-token.ts';
import { missing, parseJobName, parseLocationName, requirePlace, resource, storedName } from './places.ts';
import type { RunDeps } from './run-deps.ts';
import { storeFacts } from './store-facts.ts';
import { desiredJob, validateJobId } from './validate-job.ts';

/** Fields that a caller may set; an update replaces all of them. */
const SETTABLE = [
  'labels',
  'annotations',
  'client',
  'clientVersion',
  'launchStage',
  'binaryAuthorization',
  'template',
  'createExecution',
] as const satisfies readonly (keyof Job)[];

/** Decided on the parent: what does not exist yet has no policy of its own. */
export function createCheck(parent: string, jobId: string): Check {
  return { permission: 'run.jobs.create', resource: resource(parent), asked: `${parent}/jobs/${jobId}` };
}

export function updateCheck(name: string): Check {
  return { permission: 'run.jobs.update', resource: resource(name) };
}

export function createJob(deps: RunDeps): Unary<typeof CreateJobRequestSchema, typeof OperationSchema> {
  const { store } = deps;
  return {
    access: {
      checks: ({ parent, jobId }) => {
        parseLocationName(parent, 'parent');
        validateJobId(jobId, 'CreateJobRequest');
        return [createCheck(parent, jobId)];
      },
    },
    async handle(request, call) {
      const parts = parseLocationName(request.parent, 'parent');
      await authorizeToken(request.job, request.parent, `${request.parent}/jobs/${request.jobId}`, call);
      const project = await requirePlace(store.read, parts);
      validateToken(request.job, request.jobId, 'CreateJobRequest');
      const desired = desiredJob(request.job, 'CreateJobRequest', defaultServiceAccountEmail(project.number));
      await checkDeploy(desired.task, project, storeFacts(deps, call.principal, project), call);
      const name = `projects/${project.project_id}/locations/${parts.locations}/jobs/${request.jobId}`;
      await checkConstraints(deps, { job: desired.job, name, method: 'CREATE' }, project, call.principal);
      const operation = newOperationName(name);
      const job = newJob(desired.job, name, call);
      if (!request.validateOnly) return store.write((tx) => insertNewJob(tx, job, operation, deps, call));
      if ((await findJob(store.read, name)) !== undefined) throw exists(name);
      return doneOperation(operation, job);
    },
  };
}

export function updateJobMethod(deps: RunDeps): Unary<typeof UpdateJobRequestSchema, typeof OperationSchema> {
  const { store } = deps;
  return {
    access: {
      checks: ({ job, allowMissing }) => {
        const name = job?.name ?? '';
        validateJobId(parseJobName(name, 'job.name').jobs, 'UpdateJobRequest');
        return allowMissing ? [{ permission: 'run.jobs.create', resource: resource(name) }, updateCheck(name)] : [updateCheck(name)];
      },
    },
    async handle(request, call) {
      const parts = parseJobName(request.job?.name ?? '', 'job.name');
      await authorizeToken(request.job, request.job?.name ?? '', request.job?.name ?? '', call);
      const project = await requirePlace(store.read, parts);
      validateToken(request.job, parts.jobs, 'UpdateJobRequest');
      const desired = desiredJob(request.job, 'UpdateJobRequest', defaultServiceAccountEmail(project.number));
      await checkDeploy(desired.task, project, storeFacts(deps, call.principal, project), call);
      const name = `projects/${project.project_id}/locations/${parts.locations}/jobs/${parts.jobs}`;
      if (deps.constraints !== undefined) {
        const method = request.allowMissing && (await findJob(store.read, name)) === undefined ? 'CREATE' : 'UPDATE';
        await checkConstraints(deps, { job: desired.job, name, method }, project, call.principal);
      }
      const etag = request.job?.etag ?? '';
      const operation = newOperationName(name);
      if (request.validateOnly) {
        const row = await findJob(store.read, name);
        if (row === undefined && !request.allowMissing) throw missing(name);
        return doneOperation(operation, row === undefined ? newJob(desired.job, name, call) : changedJob(checkedJob(row, etag), desired.job, call).job);
      }
      return store.write(async (tx) => {
        const row = await findJob(tx.db, name);
        if (row !== undefined) return replaceJob(tx, checkedJob(row, etag), desired.job, operation, deps, call);
        if (!request.allowMissing) throw missing(name);
        return insertNewJob(tx, newJob(desired.job, name, call), operation, deps, call);
      });
    },
  };
}

export function deleteJob({ store }: RunDeps): Unary<typeof DeleteJobRequestSchema, typeof OperationSchema> {
  return {
    access: {
      checks: ({ name }) => {
        parseJobName(name, 'name');
        return [{ permission: 'run.jobs.delete', resource: resource(name) }];
      },
    },
    async handle(request, call) {
      const name = await storedName(store.read, request.name);
      const operation = newOperationName(name);
      const now = call.now();
      const deleted = (row: JobRow | undefined): Job => {
        if (row === undefined) throw missing(name);
        const stored = jobFromRow(row);
        refuseStale(stored, request.etag);
        // A second delete waits for the end of the first.
        return stored.deleteTime === undefined ? deletedJob(stored, call, now) : stored;
      };
      if (request.validateOnly) return doneOperation(operation, deleted(await findJob(store.read, name)));
      return store.write((tx) => storeDeletion(tx, name, deleted, operation, now));
    },
  };
}

async function storeDeletion(tx: Tx, name: string, deleted: (row: JobRow | undefined) => Job, operation: string, now: Micros): Promise<Operation> {
  const job = deleted(await findJob(tx.db, name));
  await updateJob(tx.db, jobToRow(job, operation));
  await deleteExecutionsOfJob(tx.db, job, now);
  // Gone at once, so that nobody is let in by the policy of a job that is no more.
  if (await deletePolicy(tx.db, resource(name))) tx.touch('policies', resource(name));
  tx.touch('work');
  return beginOperation(tx, operation, job, now);
}

function exists(name: string): ApiError {
  return alreadyExists(`Resource '${lastId(name)}' already exists.`);
}

/** Throws unless the stored job can be changed by who knows it under this etag. */
function checkedJob(row: JobRow, etag: string): Job {
  const job = jobFromRow(row);
  refuseStale(job, etag);
  if (job.deleteTime !== undefined) throw failedPrecondition(`Resource '${lastId(job.name)}' is being deleted.`);
  return job;
}

/** As recorded in the first answer: `latestCreatedExecution` is there and empty, the condition has a state and no type yet. */
function newJob(desired: Job, name: string, call: Call): Job {
  const now = call.now();
  return create(JobSchema, {
    ...desired,
    name,
    uid: randomUUIDv7(),
    generation: 1n,
    createTime: toTimestamp(now),
    updateTime: toTimestamp(now),
    creator: call.principal.email,
    lastModifier: call.principal.email,
    latestCreatedExecution: create(ExecutionReferenceSchema),
    terminalCondition: create(ConditionSchema, { state: Condition_State.CONDITION_PENDING }),
    reconciling: true,
    etag: resourceEtag(name, now),
  });
}

/** The stored job with what the caller may set replaced as a whole. An update that changes nothing keeps generation, times and etag. */
function changedJob(stored: Job, desired: Job, call: Call): { readonly job: Job; readonly isSettled: boolean } {
  const job = clone(JobSchema, stored);
  for (const field of SETTABLE) setField(job, field, desired);
  const isSame = equals(JobSchema, job, stored);
  if (isSame && !stored.reconciling && stored.terminalCondition?.state === Condition_State.CONDITION_SUCCEEDED) return { job: stored, isSettled: true };
  if (!isSame) {
    const now = call.now();
    job.generation += 1n;
    job.updateTime = toTimestamp(now);
    job.lastModifier = call.principal.email;
    job.etag = resourceEtag(job.name, now);
  }
  job.reconciling = true;
  job.terminalCondition = pending(stored.terminalCondition);
  return { job, isSettled: false };
}

function setField<K extends keyof Job>(job: Job, field: K, from: Pick<Job, K>): void {
  if (from[field] === undefined) delete job[field];
  else job[field] = from[field];
}

function deletedJob(stored: Job, call: Call, now: Micros): Job {
  return create(JobSchema, {
    ...stored,
    generation: stored.generation + 1n,
    updateTime: toTimestamp(now),
    deleteTime: toTimestamp(now),
    expireTime: toTimestamp(now + DELETED_KEPT_MICROS),
    lastModifier: call.principal.email,
    reconciling: true,
    terminalCondition: pending(stored.terminalCondition),
    etag: resourceEtag(stored.name, now),
  });
}

/** The state goes back to pending; type and time of the last transition stay (recorded), message and reason of a failure go. */
function pending(before: Condition | undefined): Condition {
  const condition = create(ConditionSchema, { type: before?.type ?? '', state: Condition_State.CONDITION_PENDING });
  if (before?.lastTransitionTime !== undefined) condition.lastTransitionTime = before.lastTransitionTime;
  return condition;
}

async function insertNewJob(tx: Tx, desired: Job, operation: string, deps: RunDeps, call: Call): Promise<Operation> {
  if ((await findJob(tx.db, desired.name)) !== undefined) throw exists(desired.name);
  // Deviation: the real quota of 1000 jobs per project and region holds only where it is configured, by `maxJobs`: Google raises it on request, and here the machine is the caller's own.
  const most = deps.limits?.jobsPerRegion;
  const [, project = '', , location = ''] = desired.name.split('/');
  if (most !== undefined && (await countJobs(tx.db, project, location)) >= most)
    throw resourceExhausted(`Quota exceeded for jobs in project '${project}' and region '${location}': the limit is ${most}.`);
  const job = await startByToken(tx, desired, undefined, deps, call);
  const row = jobToRow(job, operation);
  await insertJob(tx.db, row);
  tx.touch('work');
  return beginOperation(tx, operation, job, call.now(), row);
}

async function replaceJob(tx: Tx, stored: Job, desired: Job, operation: string, deps: RunDeps, call: Call): Promise<Operation> {
  const change = changedJob(stored, desired, call);
  if (change.isSettled) return beginOperation(tx, operation, change.job, call.now(), { isDone: true });
  const job = await startByToken(tx, change.job, stored, deps, call);
  const row = jobToRow(job, operation);
  await updateJob(tx.db, row);
  tx.touch('work');
  return beginOperation(tx, operation, job, call.now(), row);
}
