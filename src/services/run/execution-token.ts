/**
 * `start_execution_token` and `run_execution_token` of a Job: a create or update that brings one also makes the execution JOB-TOKEN, and the
 * job becomes ready when that has started, or has completed (proto, Job.create_execution). The loop sees to the second half.
 */
import { alreadyExists } from '../../errors.ts';
import type { Job } from '../../gen/google/cloud/run/v2/job_pb.js';
import { lastId } from '../../resource-name.ts';
import type { Tx } from '../../store/database.ts';
import { isTaskNameTaken } from '../../store/tasks.ts';
import type { Call } from '../service.ts';
import { addExecution, refuseTooMany } from './add-execution.ts';
import { newExecution, taskName } from './new-execution.ts';
import { resource } from './places.ts';
import type { RunDeps } from './run-deps.ts';
import { violationIn } from './violations.ts';

/** As the end of an execution's id. */
const TOKEN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/;
const MAX_TOGETHER = 62;

/**
 * Beside the effect and not in a method's `access`: v1 creates and replaces jobs through the same handlers.
 * Deviation: which permission the real service wants for the execution that a create or update starts is not documented; here it is run.jobs.run.
 * @param on the job, or what a job that is not there yet is decided on
 * @throws PERMISSION_DENIED
 */
export async function authorizeToken(job: Job | undefined, on: string, asked: string, call: Pick<Call, 'authorize'>): Promise<void> {
  if (job !== undefined && tokenOf(job) !== undefined) await call.authorize({ permission: 'run.jobs.run', resource: resource(on), asked });
}

/** @throws INVALID_ARGUMENT */
export function validateToken(job: Job | undefined, jobId: string, request: 'CreateJobRequest' | 'UpdateJobRequest'): void {
  const given = job?.createExecution;
  if (given?.case === undefined || given.value === '') return;
  const refuse = violationIn(`${request}.job`);
  const field = given.case === 'startExecutionToken' ? 'start_execution_token' : 'run_execution_token';
  if (!TOKEN.test(given.value)) throw refuse(field, 'only lowercase, digits, and hyphens; cannot begin or end with hyphen.');
  if (jobId.length + given.value.length > MAX_TOGETHER)
    throw refuse(field, `the sum of job name and token length must be fewer than 63 characters, but is ${jobId.length + given.value.length}.`);
}

/**
 * Makes the execution that the job's token asks for. A token that the job had before asks for nothing: its execution was made then.
 * @returns the job as the caller is to store it
 * @throws ALREADY_EXISTS where an execution has, or had, the name; RESOURCE_EXHAUSTED
 */
export async function startByToken(tx: Tx, job: Job, before: Job | undefined, deps: RunDeps, call: Call): Promise<Job> {
  const token = tokenOf(job);
  if (token === undefined || (before !== undefined && tokenOf(before) === token)) return job;
  const id = `${lastId(job.name)}-${token}`;
  const name = `${job.name}/executions/${id}`;
  if (await isTaskNameTaken(tx.db, taskName(name, 0)))
    throw alreadyExists(`Resource '${id}' already exists. An execution keeps its name, also for 30 days after its deletion: give another token.`);
  const [, projectId = '', , location = ''] = job.name.split('/');
  await refuseTooMany(tx, { project_id: projectId, location }, deps);
  const now = call.now();
  return addExecution(tx, job, newExecution(job, undefined, { name, creator: call.principal.email, now }), '', now);
}

function tokenOf({ createExecution }: Job): string | undefined {
  return createExecution.case === undefined || createExecution.value === '' ? undefined : createExecution.value;
}
