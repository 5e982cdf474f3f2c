/** Jobs that are ready when an execution of their own has started, or has completed. */
import { join } from 'node:path';
import { clone } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Condition_CommonReason, Condition_ExecutionReason, Condition_State } from '../gen/google/cloud/run/v2/condition_pb.js';
import { JobSchema } from '../gen/google/cloud/run/v2/job_pb.js';
import { findJobByUid, jobFromRow, jobToRow, updateJob } from '../store/jobs.ts';
import { createFakeDriver, type FakeDriver } from './fake/driver.ts';
import { createWorld, type NewExecution, type World } from './fake/world.ts';

let world: World;
let driver: FakeDriver;
beforeEach(async () => {
  world = await createWorld();
  driver = fake();
});
afterEach(() => world.close());
const fake = () => createFakeDriver({ clock: world.time, timers: world.time, stateDir: join(world.dir, 'fake') });

type Kind = 'startExecutionToken' | 'runExecutionToken';

/** The job and the execution that its token names, as one create leaves them. @returns uids */
async function create(kind: Kind, wish: NewExecution = {}, image = 'example.com/app:v1'): Promise<{ job: string; execution: string; operation: string }> {
  const execution = await world.insertExecution({ ...wish, image });
  const { job_uid: job, job: name } = await world.row(execution);
  const operation = await world.insertOperation(name);
  await world.store.write(async (tx) => {
    const row = await findJobByUid(tx.db, job);
    if (row === undefined) throw new Error(job);
    const changed = clone(JobSchema, jobFromRow(row));
    changed.createExecution = { case: kind, value: 'abcde' };
    changed.reconciling = true;
    changed.template = { $typeName: 'google.cloud.run.v2.ExecutionTemplate', labels: {}, annotations: {}, parallelism: 0, taskCount: 1 };
    const { template } = await world.execution(execution);
    if (template !== undefined) changed.template.template = template;
    await updateJob(tx.db, jobToRow(changed, operation));
    tx.touch('work');
  });
  return { job, execution, operation };
}

const isDone = async (operation: string) => (await world.operation(operation)).done;
const readyOf = async (uid: string) => (await world.job(uid)).terminalCondition;

describe.each([false, true])('with a restart in between: %s', (isInterrupted) => {
  /** @returns what comes in between */
  const begin = async () => {
    const runner = world.runner(driver);
    await runner.start();
    return async () => {
      if (!isInterrupted) return;
      await runner.stop({ keepRunning: true });
      world.forget(runner);
      await world.runner(fake()).start();
    };
  };

  test('start: ready as soon as it has started', async () => {
    const restart = await begin();
    const { job, execution, operation } = await create('startExecutionToken', { env: { FAKE_DURATION_MS: '60000' } });
    await world.live(() => isDone(operation));
    expect((await world.operation(operation)).result.case).toBe('response');
    expect(await readyOf(job)).toMatchObject({ type: 'Ready', state: Condition_State.CONDITION_SUCCEEDED });
    expect((await world.row(execution)).phase).toBe('running');
    await restart();
    await world.untilDone(execution);
    expect(await world.job(job)).toMatchObject({ reconciling: false, latestCreatedExecution: { completionStatus: 1 } });
  });

  test('run: not before it has completed', async () => {
    const restart = await begin();
    const { job, execution, operation } = await create('runExecutionToken', { env: { FAKE_DURATION_MS: '60000' } });
    await world.live(async () => (await world.execution(execution)).startTime !== undefined);
    await world.live(async () => (await findJobByUid(world.store.read, job))?.reconciling === 0);
    // Nothing is left to do for the loop, and the job says that it is not ready yet.
    expect(await world.job(job)).toMatchObject({ reconciling: true });
    expect(await isDone(operation)).toBe(false);
    await restart();
    await world.untilDone(execution);
    await world.live(() => isDone(operation));
    expect((await world.operation(operation)).result.case).toBe('response');
    expect(await world.job(job)).toMatchObject({ reconciling: false, terminalCondition: { state: Condition_State.CONDITION_SUCCEEDED } });
  });
});

test.each<[Kind, string, NewExecution, number, string, object]>([
  [
    'runExecutionToken',
    'fails',
    { maxRetries: 0, env: { FAKE_EXIT_CODE: '7' } },
    10,
    'failed with exit code: 7 and message: The container exited with an error.',
    { case: 'executionReason', value: Condition_ExecutionReason.NON_ZERO_EXIT_CODE },
  ],
  [
    'startExecutionToken',
    'cannot start',
    { maxRetries: 0, env: { FAKE_START_ERROR: 'no such program' } },
    10,
    'no such program',
    { case: 'executionReason', value: Condition_ExecutionReason.NON_ZERO_EXIT_CODE },
  ],
])('%s: where it %s, the operation says why, and the job is not ready', async (kind, _, wish, code, words, reasons) => {
  await world.runner(driver).start();
  const { job, operation } = await create(kind, wish);
  await world.live(() => isDone(operation));
  expect((await world.operation(operation)).result).toMatchObject({ case: 'error', value: { code, message: expect.stringContaining(words) } });
  expect(await readyOf(job)).toMatchObject({ type: 'Ready', state: Condition_State.CONDITION_FAILED, message: expect.stringContaining(words), reasons });
});

test('a missing image is what the job says, whatever became of the execution', async () => {
  await world.runner(driver).start();
  const { job, operation } = await create('runExecutionToken', {}, 'example.com/missing:v1');
  await world.live(() => isDone(operation));
  expect((await world.operation(operation)).result).toMatchObject({ case: 'error', value: { code: 5, message: "Image 'example.com/missing:v1' not found." } });
  expect(await readyOf(job)).toMatchObject({ reasons: { case: 'reason', value: Condition_CommonReason.CONTAINER_MISSING } });
});

test('a cancelled one ends the wait', async () => {
  await world.runner(driver).start();
  const { execution, job, operation } = await create('runExecutionToken', { env: { FAKE_DURATION_MS: 'never' } });
  await world.live(async () => (await world.execution(execution)).startTime !== undefined);
  await world.request(execution, 'cancel_requested');
  await world.live(() => isDone(operation));
  expect((await world.operation(operation)).result).toMatchObject({ case: 'error', value: { code: 1, message: 'Cancelled by user.' } });
  expect(await readyOf(job)).toMatchObject({ reasons: { case: 'executionReason', value: Condition_ExecutionReason.CANCELLED } });
});
