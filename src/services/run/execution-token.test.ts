/** Executions that a create or update starts by a token. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Executions } from '../../gen/google/cloud/run/v2/execution_pb.js';
import { Jobs } from '../../gen/google/cloud/run/v2/job_pb.js';
import { Tasks } from '../../gen/google/cloud/run/v2/task_pb.js';
import { createFixture, type Fixture, HELLO, PARENT, unpackJob } from './run-fixture.ts';

const name = `${PARENT}/jobs/j`;
let f: Fixture;
beforeEach(async () => {
  f = await createFixture({ limits: { runningExecutionsPerRegion: 3 } });
});
afterEach(() => f.close());

type Kind = 'startExecutionToken' | 'runExecutionToken';
const withToken = (value: string, kind: Kind = 'startExecutionToken') => ({ ...HELLO, createExecution: { case: kind, value } });
const create = (job: object, jobId = 'j') => f.call(Jobs, 'createJob', { parent: PARENT, jobId, job });
const update = (job: object) => f.call(Jobs, 'updateJob', { job: { name, ...job } });
const executions = async () => (await f.call(Executions, 'listExecutions', { parent: name })).executions.map((execution) => execution.name.split('/').at(-1));

describe('a token', () => {
  it('makes the execution of that suffix with the job, its tasks too', async () => {
    const operation = await create(withToken('v1'));
    expect(operation.done).toBe(false);
    expect(unpackJob(operation.metadata)).toMatchObject({ executionCount: 1, latestCreatedExecution: { name: `${name}/executions/j-v1`, completionStatus: 3 } });
    expect(await f.call(Executions, 'getExecution', { name: `${name}/executions/j-v1` })).toMatchObject({ job: name, taskCount: 1, reconciling: true });
    expect((await f.call(Tasks, 'listTasks', { parent: `${name}/executions/j-v1` })).tasks).toHaveLength(1);
    expect((await f.call(Jobs, 'getJob', { name })).createExecution).toEqual({ case: 'startExecutionToken', value: 'v1' });
  });

  it('asks for the permission to run the job, on the parent where there is no job yet', async () => {
    f.denied.add('run.jobs.run');
    await expect(create(withToken('v1'))).rejects.toMatchObject({
      status: 'PERMISSION_DENIED',
      message: `Permission 'run.jobs.run' denied on resource '${name}' (or resource may not exist).`,
    });
    expect(f.checked).toContain(`run.jobs.run //run.googleapis.com/${PARENT}`);
    await create(HELLO);
    await f.settle(name);
    await expect(update(withToken('v1', 'runExecutionToken'))).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
    await update({ ...HELLO, labels: { a: 'b' } });
  });

  it('that an update repeats starts nothing; another one does; one that an execution has is refused, and nothing is changed', async () => {
    await create(withToken('v1'));
    await f.settle(name);
    expect((await update(withToken('v1'))).done).toBe(true);
    await update({ ...withToken('v1'), labels: { a: 'b' } });
    expect(await executions()).toEqual(['j-v1']);
    await update(withToken('v2', 'runExecutionToken'));
    expect(await executions()).toEqual(['j-v2', 'j-v1']);
    const before = await f.call(Jobs, 'getJob', { name });
    await expect(update({ ...withToken('v1'), labels: { c: 'd' } })).rejects.toMatchObject({
      status: 'ALREADY_EXISTS',
      message: expect.stringContaining("'j-v1' already exists."),
    });
    expect(await f.call(Jobs, 'getJob', { name })).toEqual(before);
  });

  it('in a rehearsal starts nothing', async () => {
    await f.call(Jobs, 'createJob', { parent: PARENT, jobId: 'j', job: withToken('v1'), validateOnly: true });
    await create(HELLO);
    expect(await executions()).toEqual([]);
  });

  it('counts towards the quota of running executions', async () => {
    for (const id of ['a', 'b', 'c']) await create(withToken('x'), id);
    await expect(create(withToken('x'))).rejects.toMatchObject({ status: 'RESOURCE_EXHAUSTED' });
    await expect(f.call(Jobs, 'getJob', { name })).rejects.toMatchObject({ status: 'NOT_FOUND' });
  });

  it.each([
    ['Upper', 'start_execution_token: only lowercase, digits, and hyphens'],
    ['-x', 'start_execution_token: only lowercase, digits, and hyphens'],
    ['a/b', 'start_execution_token: only lowercase, digits, and hyphens'],
    ['x'.repeat(62), 'start_execution_token: the sum of job name and token length must be fewer than 63 characters, but is 63.'],
  ])('%s is refused', async (token, words) => {
    await expect(create(withToken(token))).rejects.toMatchObject({ status: 'INVALID_ARGUMENT', message: expect.stringContaining(`Violation in CreateJobRequest.job.${words}`) });
  });

  it('of the greatest length is taken, and an empty one is none', async () => {
    await create(withToken('x'.repeat(61)));
    expect(await executions()).toEqual([`j-${'x'.repeat(61)}`]);
    expect(unpackJob((await create(withToken(''), 'k')).metadata).executionCount).toBe(0);
  });
});
