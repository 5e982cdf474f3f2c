import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Executions } from '../../gen/google/cloud/run/v2/execution_pb.js';
import { Jobs } from '../../gen/google/cloud/run/v2/job_pb.js';
import { Tasks } from '../../gen/google/cloud/run/v2/task_pb.js';
import { Operations } from '../../gen/google/longrunning/operations_pb.js';
import { lastId } from '../../resource-name.ts';
import { findExecution } from '../../store/executions.ts';
import { createFixture, type Fixture, HELLO, PARENT, unpackExecution } from './run-fixture.ts';

let f: Fixture;
beforeAll(async () => {
  f = await createFixture();
});
afterAll(() => f.close());
let count = 0;
let name = '';
beforeEach(async () => {
  f.checked.length = 0;
  f.denied.clear();
  name = `${PARENT}/jobs/run-${count++}`;
});
const value = (text: string) => ({ case: 'value' as const, value: text });
async function createReady(template: object = HELLO.template): Promise<void> {
  await f.call(Jobs, 'createJob', { parent: PARENT, jobId: lastId(name), job: { template } });
  await f.settle(name);
}
const run = (overrides?: object) => f.call(Jobs, 'runJob', { name, ...(overrides === undefined ? {} : { overrides }) });

describe('RunJob', () => {
  it('makes an execution, its tasks and an operation, and tells the job', async () => {
    await createReady({ labels: { a: 'b' }, taskCount: 3, parallelism: 2, template: HELLO.template.template });
    const operation = await run();
    expect(operation.done).toBe(false);
    const execution = unpackExecution(operation.metadata);
    expect(execution.name).toMatch(new RegExp(`^${name}/executions/${lastId(name)}-[a-z0-9]{5}$`));
    expect(execution).toMatchObject({ job: name, generation: 1n, creator: 'dev@example.com', taskCount: 3, parallelism: 2, reconciling: true, labels: { a: 'b' } });
    expect(execution.conditions[0]).toMatchObject({ type: 'Completed', state: 1, message: 'Waiting for execution to complete.' });
    expect(await f.call(Executions, 'getExecution', { name: execution.name })).toEqual(execution);
    expect(await f.call(Executions, 'getExecution', { name: execution.name.replace(/jobs\/[^/]+/, 'jobs/-') })).toEqual(execution);

    const { tasks } = await f.call(Tasks, 'listTasks', { parent: execution.name });
    expect(tasks.map((task) => task.name)).toEqual([0, 1, 2].map((index) => `${execution.name}/tasks/${lastId(execution.name)}-task${index}`));
    expect(tasks.map((task) => task.index)).toEqual([0, 1, 2]);
    expect(new Set(tasks.map((task) => task.uid)).size).toBe(3);
    expect(tasks[1]).toMatchObject({
      job: name,
      execution: execution.name,
      maxRetries: 3,
      serviceAccount: execution.template?.serviceAccount,
      containers: execution.template?.containers,
      timeout: { seconds: 600n },
    });
    expect(await f.call(Tasks, 'getTask', { name: tasks[1]?.name ?? '' })).toEqual(tasks[1]);
    expect(await f.call(Tasks, 'getTask', { name: (tasks[1]?.name ?? '').replace(/jobs\/[^/]+\/executions\/[^/]+/, 'jobs/-/executions/-') })).toEqual(tasks[1]);

    const job = await f.call(Jobs, 'getJob', { name });
    expect(job).toMatchObject({ executionCount: 1, generation: 1n, latestCreatedExecution: { name: execution.name, completionStatus: 3 } });
    const row = await findExecution(f.store.read, execution.name);
    expect(row).toMatchObject({ phase: 'pending', operation: operation.name, job_uid: job.uid, lease_owner: null });
  });

  it('takes ten thousand tasks, and pages them', async () => {
    await createReady({ taskCount: 10_000, template: HELLO.template.template });
    const { name: execution } = unpackExecution((await run()).metadata);
    let seen = 0;
    let pageToken = '';
    do {
      const page = await f.call(Tasks, 'listTasks', { parent: execution, pageSize: 1000, pageToken });
      for (const task of page.tasks) expect(task.index).toBe(seen++);
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    expect(seen).toBe(10_000);
  });

  it('applies overrides, for which it asks one permission alone', async () => {
    await createReady({
      taskCount: 4,
      parallelism: 3,
      template: {
        containers: [
          {
            image: 'a',
            args: ['x'],
            env: [
              { name: 'A', values: value('1') },
              { name: 'B', values: value('2') },
            ],
          },
        ],
      },
    });
    f.checked.length = 0;
    const operation = await run({
      taskCount: 2,
      timeout: { seconds: 30n },
      containerOverrides: [
        {
          args: ['y', 'z'],
          env: [
            { name: 'C', values: value('3') },
            { name: 'A', values: value('0') },
          ],
        },
      ],
    });
    expect(f.checked.filter((check) => check.startsWith('run.'))).toEqual([`run.jobs.runWithOverrides //run.googleapis.com/${name}`]);
    const execution = unpackExecution(operation.metadata);
    expect(execution).toMatchObject({ taskCount: 2, parallelism: 2, template: { timeout: { seconds: 30n } } });
    expect(execution.template?.containers[0]).toMatchObject({
      args: ['y', 'z'],
      env: [
        { name: 'A', values: value('0') },
        { name: 'B', values: value('2') },
        { name: 'C', values: value('3') },
      ],
    });
    expect((await f.call(Jobs, 'getJob', { name })).template?.taskCount).toBe(4);
    expect(unpackExecution((await run({ containerOverrides: [{ clearArgs: true }] })).metadata).template?.containers[0]?.args).toEqual([]);
    f.checked.length = 0;
    await run({});
    expect(f.checked.filter((check) => check.startsWith('run.'))).toEqual([`run.jobs.run //run.googleapis.com/${name}`]);
  });

  it.each([
    [{ containerOverrides: [{ name: 'no-such' }] }, "overrides.container_overrides[0].name: The job has no container 'no-such'."],
    [{ containerOverrides: [{ args: ['a'], clearArgs: true }] }, 'Violation in RunJobRequest.overrides.container_overrides[0].args: must be empty if clear_args is set.'],
    [{ taskCount: 10_001 }, 'Violation in RunJobRequest.overrides.task_count: must be between 0 and 10000, but is 10001.'],
    [{ timeout: { seconds: 0n } }, 'Violation in RunJobRequest.overrides.timeout: must be between 1s and 604800s, but is 0s.'],
    [
      { containerOverrides: [{ env: [{ name: 'CLOUD_RUN_JOB', values: value('x') }] }] },
      'container_overrides[0].env: The following reserved env names were provided: CLOUD_RUN_JOB. These values are automatically set by the system.',
    ],
  ])('refuses overrides, case %#', async (overrides, message) => {
    await createReady();
    await expect(run(overrides)).rejects.toMatchObject({ status: 'INVALID_ARGUMENT', message });
  });

  it('refuses a job that is not ready, missing or being deleted', async () => {
    await expect(run()).rejects.toMatchObject({ status: 'NOT_FOUND' });
    await createReady();
    await f.call(Jobs, 'updateJob', { job: { name, ...HELLO, labels: { a: 'b' } } });
    await f.settle(name, "Image 'a' not found.");
    await expect(run()).rejects.toMatchObject({ status: 'FAILED_PRECONDITION', message: expect.stringContaining("Image 'a' not found.") });
    await f.call(Jobs, 'deleteJob', { name });
    await expect(run()).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
  });

  it('never gives a name twice', async () => {
    const suffixes = ['aaaaa', 'aaaaa', 'bbbbb'];
    const other = await createFixture({ executionSuffix: () => suffixes.shift() ?? 'zzzzz' });
    await other.call(Jobs, 'createJob', { parent: PARENT, jobId: 'j', job: HELLO });
    await other.settle(`${PARENT}/jobs/j`);
    const first = unpackExecution((await other.call(Jobs, 'runJob', { name: `${PARENT}/jobs/j` })).metadata).name;
    await other.end(first);
    await other.call(Executions, 'deleteExecution', { name: first });
    expect(lastId(unpackExecution((await other.call(Jobs, 'runJob', { name: `${PARENT}/jobs/j` })).metadata).name)).toBe('j-bbbbb');
    await other.close();
  });
});

describe('Executions', () => {
  it('are listed newest first, of one job or of all', async () => {
    await createReady();
    const names: string[] = [];
    for (let i = 0; i < 3; i++) names.unshift(unpackExecution((await run()).metadata).name);
    const one = await f.call(Executions, 'listExecutions', { parent: name, pageSize: 2 });
    const two = await f.call(Executions, 'listExecutions', { parent: name, pageSize: 2, pageToken: one.nextPageToken });
    expect([...one.executions, ...two.executions].map((execution) => execution.name)).toEqual(names);
    const all = await f.call(Executions, 'listExecutions', { parent: `${PARENT}/jobs/-` });
    expect(all.executions.slice(0, 3).map((execution) => execution.name)).toEqual(names);
    const { tasks } = await f.call(Tasks, 'listTasks', { parent: `${name}/executions/-`, pageSize: 2 });
    expect(tasks.map((task) => task.execution)).toEqual(names.slice(0, 2));
    await expect(f.call(Executions, 'listExecutions', { parent: `${PARENT}/jobs/nowhere` })).rejects.toMatchObject({ status: 'NOT_FOUND' });
    await expect(f.call(Tasks, 'listTasks', { parent: `${name}/executions/nowhere` })).rejects.toMatchObject({
      status: 'NOT_FOUND',
      message: expect.stringContaining("of kind 'EXECUTION'"),
    });
  });

  it('are cancelled once they run, by a second operation', async () => {
    await createReady();
    const execution = unpackExecution((await run()).metadata);
    const cancel = await f.call(Executions, 'cancelExecution', { name: execution.name });
    // What the caller was told is what the next reader sees, before the loop has done anything.
    expect(await f.call(Executions, 'getExecution', { name: execution.name })).toMatchObject({ generation: 2n, reconciling: true });
    expect(unpackExecution(cancel.metadata)).toMatchObject({ generation: 2n, reconciling: true });
    expect(await findExecution(f.store.read, execution.name)).toMatchObject({ cancel_requested: 1, phase: 'pending' });
    await f.end(execution.name);
    expect((await f.call(Operations, 'getOperation', { name: cancel.name })).done).toBe(true);
    await expect(f.call(Executions, 'cancelExecution', { name: execution.name })).rejects.toMatchObject({
      status: 'FAILED_PRECONDITION',
      message: `Execution '${lastId(execution.name)}' cannot be cancelled because it is not running.`,
    });
  });

  it('that have ended are deleted at once, those that run by the loop', async () => {
    await createReady();
    const ended = unpackExecution((await run()).metadata).name;
    await f.end(ended);
    expect((await f.call(Executions, 'deleteExecution', { name: ended })).done).toBe(true);
    await expect(f.call(Executions, 'getExecution', { name: ended })).rejects.toMatchObject({ status: 'NOT_FOUND', message: expect.stringContaining("of kind 'EXECUTION'") });
    const running = unpackExecution((await run()).metadata).name;
    const operation = await f.call(Executions, 'deleteExecution', { name: running });
    expect(operation.done).toBe(false);
    expect(await findExecution(f.store.read, running)).toMatchObject({ delete_requested: 1, delete_time: null });
    await f.end(running);
    expect((await f.call(Executions, 'listExecutions', { parent: name })).executions).toEqual([]);
    const { executions } = await f.call(Executions, 'listExecutions', { parent: name, showDeleted: true });
    expect(executions.map((execution) => execution.name)).toEqual([running, ended]);
    expect((await f.call(Tasks, 'listTasks', { parent: ended, showDeleted: true })).tasks).toHaveLength(1);
  });

  it('go with their job', async () => {
    await createReady();
    const ended = unpackExecution((await run()).metadata).name;
    await f.end(ended);
    const running = unpackExecution((await run()).metadata).name;
    await f.call(Jobs, 'deleteJob', { name });
    expect(await findExecution(f.store.read, running)).toMatchObject({ delete_requested: 1, delete_time: null });
    await expect(f.call(Executions, 'getExecution', { name: ended })).rejects.toMatchObject({ status: 'NOT_FOUND' });
    const { executions } = await f.call(Executions, 'listExecutions', { parent: name, showDeleted: true });
    expect(executions.find((execution) => execution.name === ended)?.deleteTime).toBeDefined();
  });
});

describe('Operations', () => {
  it('are listed by their state, and deleted', async () => {
    await createReady();
    const operation = await run();
    const open = await f.call(Operations, 'listOperations', { name: PARENT, filter: 'done:false' });
    expect(open.operations.map((one) => one.name)).toContain(operation.name);
    expect((await f.call(Operations, 'listOperations', { name: PARENT, filter: 'done=true', pageSize: 1 })).operations).toHaveLength(1);
    await expect(f.call(Operations, 'listOperations', { name: PARENT, filter: 'metadata.x=1' })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    await f.call(Operations, 'deleteOperation', { name: operation.name });
    await expect(f.call(Operations, 'deleteOperation', { name: operation.name })).rejects.toMatchObject({ status: 'NOT_FOUND' });
    expect(f.checked).toContain(`run.operations.delete //run.googleapis.com/${operation.name}`);
  });

  it('are waited for until they are done, the time is up, or the caller is gone', async () => {
    await createReady();
    const operation = await run();
    expect((await f.call(Operations, 'waitOperation', { name: operation.name, timeout: { nanos: 1e6 } })).done).toBe(false);
    const gone = new AbortController();
    const abandoned = f.call(Operations, 'waitOperation', { name: operation.name }, { signal: gone.signal });
    gone.abort();
    await expect(abandoned).rejects.toMatchObject({ status: 'CANCELLED' });
    const waiting = f.call(Operations, 'waitOperation', { name: operation.name, timeout: { seconds: 20n } });
    await f.end(unpackExecution(operation.metadata).name);
    expect((await waiting).done).toBe(true);
  });
});
