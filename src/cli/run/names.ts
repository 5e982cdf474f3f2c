/**
 * Short names into resource names. A job, an execution and a task may be given by its short name or by its whole one.
 * An execution's short name is `JOB-XXXXX`, so its job is known from it, unless the token has hyphens of its own; then all jobs are searched.
 */
import { type Api, RUN } from '../api.ts';
import { isApiFailure, usageFailure } from '../failure.ts';
import type { Location, Session } from '../session.ts';
import { type Execution, shortName, type Task } from './shapes.ts';

const JOB = /^projects\/([^/]+)\/locations\/([^/]+)\/jobs\/([^/]+)$/;
const EXECUTION = /^projects\/([^/]+)\/locations\/([^/]+)\/jobs\/([^/]+)\/executions\/([^/]+)$/;
const TASK = /^projects\/([^/]+)\/locations\/([^/]+)\/jobs\/([^/]+)\/executions\/([^/]+)\/tasks\/([^/]+)$/;

export interface JobName extends Location {
  readonly name: string;
  readonly job: string;
}

/** @throws usage for something that is neither a job's short nor its whole name */
export async function jobName(session: Session, given: string): Promise<JobName> {
  const whole = JOB.exec(given);
  if (whole !== null) {
    const [, project = '', region = '', job = ''] = whole;
    await session.location();
    return { name: given, project, region, job, parent: `projects/${project}/locations/${region}` };
  }
  if (given === '' || given.includes('/'))
    throw usageFailure(`'${given}' is not the name of a job.`, 'Write its short name, hello, or projects/PROJECT/locations/REGION/jobs/hello');
  const location = await session.location();
  return { ...location, name: `${location.parent}/jobs/${given}`, job: given };
}

/** Reads an execution by its short or whole name. */
export async function getExecution(session: Session, given: string, job?: string): Promise<Execution> {
  const api = await session.api();
  if (EXECUTION.test(given)) {
    await session.location();
    return api.get<Execution>(RUN, given);
  }
  if (given === '' || given.includes('/'))
    throw usageFailure(`'${given}' is not the name of an execution.`, 'Write its short name, hello-x7k2p, or projects/PROJECT/locations/REGION/jobs/hello/executions/hello-x7k2p');
  const { parent } = await session.location();
  const likely = job ?? given.replace(/-[^-]*$/, '');
  try {
    return await api.get<Execution>(RUN, `${parent}/jobs/${likely}/executions/${given}`);
  } catch (error) {
    if (job !== undefined || !isApiFailure(error, 'NOT_FOUND')) throw error;
    const found = await search(api, parent, given);
    if (found === undefined) throw error;
    return found;
  }
}

async function search(api: Api, parent: string, given: string): Promise<Execution | undefined> {
  const all = await api.list<Execution>(RUN, `${parent}/jobs/-/executions`, 'executions');
  return all.find((execution) => shortName(execution.name) === given);
}

/** Reads a task, `hello-x7k2p-task0`, or by its whole name. */
export async function getTask(session: Session, given: string): Promise<Task> {
  const api = await session.api();
  if (TASK.test(given)) {
    await session.location();
    return api.get<Task>(RUN, given);
  }
  const match = /^(.+)-task\d+$/.exec(given);
  if (match === null) throw usageFailure(`'${given}' is not the name of a task.`, 'Write, for example, hello-x7k2p-task0');
  const execution = await getExecution(session, match[1] ?? '');
  return api.get<Task>(RUN, `${execution.name ?? ''}/tasks/${given}`);
}
