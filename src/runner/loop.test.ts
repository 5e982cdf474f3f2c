import { create } from '@bufbuild/protobuf';
import { anyIs, anyUnpack } from '@bufbuild/protobuf/wkt';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Condition_CommonReason, Condition_ExecutionReason, Condition_Severity, Condition_State } from '../gen/google/cloud/run/v2/condition_pb.js';
import { type Execution, ExecutionSchema } from '../gen/google/cloud/run/v2/execution_pb.js';
import { ExecutionReference_CompletionStatus } from '../gen/google/cloud/run/v2/job_pb.js';
import { VolumeSchema } from '../gen/google/cloud/run/v2/k8s.min_pb.js';
import { fromTimestamp } from '../timestamp.ts';
import { findCondition } from './conditions.ts';
import { createFakeDriver, type FakeDriver, type FakeDriverOptions } from './fake/driver.ts';
import { createWorld, type World } from './fake/world.ts';
import { SYSTEM_CONTAINER } from './log-sink.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

function fake(options: FakeDriverOptions = {}): FakeDriver {
  return createFakeDriver({ clock: world.time, timers: world.time, ...options });
}
async function runOperation(uid: string) {
  return world.operation((await world.row(uid)).operation);
}
const messages = (execution: Execution) => Object.fromEntries(execution.conditions.map((condition) => [condition.type, condition.message]));
const systemLines = (attempt: string) => (world.sink.lines.get(attempt) ?? []).filter((line) => line.container === SYSTEM_CONTAINER).map((line) => line.text);

describe('an execution', () => {
  test('succeeds: conditions, counts, times, digest, job and operation', async () => {
    const driver = fake({ durationMs: 12_300 });
    await world.runner(driver).start();
    const uid = await world.insertExecution({ taskCount: 3, env: { FAKE_LOG: 'hello' } });
    const execution = await world.untilDone(uid);
    expect(execution).toMatchObject({ succeededCount: 3, failedCount: 0, runningCount: 0, retriedCount: 0, reconciling: false, observedGeneration: 1n });
    expect(execution.template?.containers[0]?.image).toMatch(/^example\.com\/app@sha256:[0-9a-f]{64}$/);
    expect(execution.conditions.map((condition) => condition.type)).toEqual(['Completed', 'ResourcesAvailable', 'Started', 'ContainerReady', 'Retry']);
    expect(execution.conditions.every((condition) => condition.state === Condition_State.CONDITION_SUCCEEDED)).toBe(true);
    expect(messages(execution)).toMatchObject({
      ResourcesAvailable: 'Provisioned imported containers.',
      ContainerReady: 'Imported container image.',
      Retry: 'System will retry after 30:00 from lastTransitionTime for polling interval',
    });
    expect(messages(execution)['Completed']).toMatch(/^Execution completed successfully in 12\.3\d?s\.$/);
    expect(messages(execution)['Started']).toMatch(/^Started deployed execution in [\d.]+s\.$/);
    const row = await world.row(uid);
    expect(row).toMatchObject({ phase: 'done', lease_owner: null });
    const job = await world.job(row.job_uid);
    expect(job.latestCreatedExecution).toMatchObject({ completionStatus: ExecutionReference_CompletionStatus.EXECUTION_SUCCEEDED, completionTime: execution.completionTime });
    const operation = await runOperation(uid);
    expect(operation.done).toBe(true);
    expect(operation.result.case).toBe('response');
    if (operation.result.case === 'response') expect(anyUnpack(operation.result.value, ExecutionSchema)).toEqual(execution);
    for (const { row: task, task: message } of await world.tasks(uid)) {
      expect(task).toMatchObject({ state: 'succeeded', attempt: 0 });
      expect(message.lastAttemptResult?.status).toMatchObject({ code: 0, message: '' });
      expect(message.containers[0]?.image).toContain('@sha256:');
      expect(findCondition(message.conditions, 'Completed')?.state).toBe(Condition_State.CONDITION_SUCCEEDED);
      expect((world.sink.lines.get(`${task.uid}-0`) ?? []).map((line) => line.text)).toEqual(['hello', 'Container called exit(0).']);
      expect(world.sink.sources.get(`${task.uid}-0`)).toMatchObject({ projectId: 'demo', location: 'us-central1', labels: { team: 'blue' }, taskIndex: task.task_index });
    }
    expect(await driver.attempts()).toEqual([]);
  });

  test('the containers know who they are', async () => {
    const driver = fake({ durationMs: 1000 });
    await world.runner(driver).start();
    const uid = await world.insertExecution({ taskCount: 2, env: { MINE: 'x', CLOUD_RUN_TASK_INDEX: '99' } });
    await world.live(() => driver.running().length === 2);
    const envs = driver.running().map((id) => Object.fromEntries((driver.spec(id)?.containers[0]?.env ?? []).map(({ name, value }) => [name, value])));
    const { name, job } = await world.row(uid);
    for (const index of ['0', '1'])
      expect(envs).toContainEqual({
        MINE: 'x',
        CLOUD_RUN_JOB: job.split('/').at(-1),
        CLOUD_RUN_EXECUTION: name.split('/').at(-1),
        CLOUD_RUN_TASK_INDEX: index,
        CLOUD_RUN_TASK_ATTEMPT: '0',
        CLOUD_RUN_TASK_COUNT: '2',
      });
    await world.untilDone(uid);
  });

  test("fails when retries are used up, in Google's words", async () => {
    await world.runner(fake()).start();
    const uid = await world.insertExecution({ taskCount: 2, maxRetries: 2, env: { FAKE_EXIT_CODE: '7' } });
    const execution = await world.untilDone(uid);
    const short = execution.name.split('/').at(-1);
    const message = `Task ${short}-task0 failed with exit code: 7 and message: The container exited with an error.`;
    expect(execution).toMatchObject({ failedCount: 2, succeededCount: 0, retriedCount: 2 });
    expect(findCondition(execution.conditions, 'Completed')).toMatchObject({
      state: Condition_State.CONDITION_FAILED,
      message,
      reasons: { case: 'executionReason', value: Condition_ExecutionReason.NON_ZERO_EXIT_CODE },
    });
    expect((await runOperation(uid)).result).toMatchObject({ case: 'error', value: { code: 10, message } });
    for (const { row, task } of await world.tasks(uid)) {
      expect(row).toMatchObject({ state: 'failed', attempt: 2 });
      expect(task).toMatchObject({ retried: 2, lastAttemptResult: { exitCode: 7, termSignal: 0, status: { code: 10, message: 'The container exited with an error.' } } });
      expect(systemLines(`${row.uid}-2`)).toEqual(['Container called exit(7).']);
    }
    expect((await world.job((await world.row(uid)).job_uid)).latestCreatedExecution?.completionStatus).toBe(ExecutionReference_CompletionStatus.EXECUTION_FAILED);
  });

  test('a retry may succeed, and is counted', async () => {
    await world.runner(fake()).start();
    const uid = await world.insertExecution({ env: { FAKE_FAIL_ATTEMPTS: '2' } });
    expect(await world.untilDone(uid)).toMatchObject({ succeededCount: 1, retriedCount: 1, failedCount: 0 });
    expect((await world.tasks(uid))[0]?.row.attempt).toBe(2);
  });

  test('a signal is told as one', async () => {
    await world.runner(fake()).start();
    const uid = await world.insertExecution({ maxRetries: 0, env: { FAKE_SIGNAL: '9' } });
    await world.untilDone(uid);
    const [entry] = await world.tasks(uid);
    expect(entry?.task.lastAttemptResult).toMatchObject({ termSignal: 9, exitCode: 0, status: { code: 10 } });
    expect(systemLines(`${entry?.row.uid}-0`)).toEqual(['Container terminated on signal 9.']);
  });

  test('a timeout stops each attempt, SIGKILL after ten seconds', async () => {
    const driver = fake({ durationMs: Number.POSITIVE_INFINITY });
    const runner = world.runner(driver);
    await runner.start();
    const uid = await world.insertExecution({ maxRetries: 1, timeoutMs: 60_000, env: { FAKE_IGNORE_SIGTERM: '1' } });
    const execution = await world.untilDone(uid);
    const short = execution.name.split('/').at(-1);
    const message = `Task ${short}-task0 failed with exit code: 0 and message: The configured timeout was reached.`;
    expect((await runOperation(uid)).result).toMatchObject({ case: 'error', value: { code: 4, message } });
    const [entry] = await world.tasks(uid);
    expect(entry?.task.lastAttemptResult).toMatchObject({ exitCode: 0, termSignal: 0, status: { code: 4, message: 'The configured timeout was reached.' } });
    expect(systemLines(`${entry?.row.uid}-1`)).toEqual([
      'Terminating task because it has reached the maximum timeout of 60 seconds. To change this limit, see https://cloud.google.com/run/docs/configuring/task-timeout',
      'Container terminated on signal 9.',
    ]);
    const elapsed = fromTimestamp(execution.completionTime ?? { $typeName: 'google.protobuf.Timestamp', seconds: 0n, nanos: 0 }) - (await world.row(uid)).create_time;
    expect(elapsed).toBeGreaterThanOrEqual(2 * 70e6);
    expect(runner.status().counters.timeouts).toBe(2);
  });

  test('cancel stops what runs, and what waits never starts', async () => {
    const driver = fake({ durationMs: 3_600_000 });
    await world.runner(driver).start();
    const uid = await world.insertExecution({ taskCount: 500, parallelism: 3, timeoutMs: 7_200_000 });
    await world.live(() => driver.running().length === 3);
    const operation = await world.request(uid, 'cancel_requested');
    const execution = await world.untilDone(uid);
    expect(execution).toMatchObject({ cancelledCount: 500, succeededCount: 0, failedCount: 0, runningCount: 0 });
    expect(findCondition(execution.conditions, 'Completed')).toMatchObject({
      state: Condition_State.CONDITION_FAILED,
      message: 'Cancelled by user.',
      reasons: { case: 'executionReason', value: Condition_ExecutionReason.CANCELLED },
    });
    expect(driver.starts.size).toBe(3);
    for (const name of [operation, (await world.row(uid)).operation]) expect((await world.operation(name)).result.case).toBe('response');
    expect((await world.tasks(uid))[499]?.task.lastAttemptResult).toMatchObject({ status: { code: 1, message: 'Cancelled by user.' } });
  });

  test('delete stops it, and the row then counts as deleted', async () => {
    const driver = fake({ durationMs: 3_600_000 });
    await world.runner(driver).start();
    const uid = await world.insertExecution({ taskCount: 2, timeoutMs: 7_200_000 });
    await world.live(() => driver.running().length === 2);
    const operation = await world.request(uid, 'delete_requested');
    await world.untilDone(uid);
    expect((await world.row(uid)).delete_time).not.toBeNull();
    expect((await world.operation(operation)).done).toBe(true);
    expect(driver.running()).toEqual([]);
  });

  test("parallelism and the host's maximum hold over several executions", async () => {
    const driver = fake({ durationMs: 50 });
    const runner = world.runner(driver, { limits: { maxAttempts: 5 } });
    await runner.start();
    const uids = await Promise.all([world.insertExecution({ taskCount: 20, parallelism: 2 }), world.insertExecution({ taskCount: 20 }), world.insertExecution({ taskCount: 3 })]);
    let most = 0;
    await world.live(async () => {
      most = Math.max(most, driver.running().length);
      return (await Promise.all(uids.map((uid) => world.row(uid)))).every((row) => row.phase === 'done');
    });
    expect(most).toBeLessThanOrEqual(5);
    expect(runner.status()).toMatchObject({ attempts: 0, executions: 0 });
    expect([...driver.starts.values()].every((count) => count === 1)).toBe(true);
    for (const uid of uids) expect((await world.execution(uid)).succeededCount).toBe((await world.execution(uid)).taskCount);
  });
});

describe('what cannot run', () => {
  test('a missing image fails the execution and its operation at once, without retries', async () => {
    const driver = fake();
    await world.runner(driver).start();
    const uid = await world.insertExecution({ image: 'example.com/missing:v2', taskCount: 450 });
    const execution = await world.untilDone(uid);
    const message = "Image 'example.com/missing:v2' not found.";
    expect(execution).toMatchObject({ failedCount: 450, retriedCount: 0 });
    for (const type of ['Completed', 'ContainerReady'])
      expect(findCondition(execution.conditions, type)).toMatchObject({
        state: Condition_State.CONDITION_FAILED,
        message,
        reasons: { case: 'reason', value: Condition_CommonReason.CONTAINER_MISSING },
      });
    expect((await runOperation(uid)).result).toMatchObject({ case: 'error', value: { code: 5, message } });
    expect(driver.starts.size).toBe(0);
  });

  test.each([
    [
      'a bucket',
      'Volume data is a Cloud Storage bucket, and volumes of that kind are not served yet.',
      {
        change: (template: Parameters<NonNullable<Parameters<World['insertExecution']>[0]>['change'] & object>[0]) =>
          void template.volumes.push(create(VolumeSchema, { name: 'data', volumeType: { case: 'gcs', value: { bucket: 'b' } } })),
      },
    ],
  ])('%s is said, never ignored', async (_, message, wish) => {
    await world.runner(fake()).start();
    const uid = await world.insertExecution(wish);
    await world.untilDone(uid);
    const [entry] = await world.tasks(uid);
    expect(findCondition(entry?.task.conditions ?? [], 'Completed')).toMatchObject({ state: Condition_State.CONDITION_FAILED, message });
    expect((await runOperation(uid)).result).toMatchObject({ case: 'error', value: { code: 12, message } });
  });

  test('more CPU than the host has is clamped with a warning, or refused where that is strict', async () => {
    const driver = fake({ cpuMillis: 2000, durationMs: 1000 });
    const loose = world.runner(driver);
    await loose.start();
    const uid = await world.insertExecution({ limits: { cpu: '8', memory: '1Gi' } });
    await world.live(() => driver.running().length === 1);
    expect(driver.spec(driver.running()[0] ?? '')?.containers[0]).toMatchObject({ cpuMillis: 2000, memoryBytes: 2 ** 30 });
    const execution = await world.untilDone(uid);
    expect(execution.template?.containers[0]?.resources?.limits['cpu']).toBe('8');
    expect(findCondition(execution.conditions, 'ResourcesClamped')).toMatchObject({ severity: Condition_Severity.WARNING });
    await loose.stop({ keepRunning: false });
    await world.runner(fake({ cpuMillis: 2000 }), { limits: { strictResources: true } }).start();
    const refused = await world.insertExecution({ limits: { cpu: '8', memory: '1Gi' } });
    expect(await world.untilDone(refused)).toMatchObject({ failedCount: 1 });
    expect((await runOperation(refused)).result).toMatchObject({ case: 'error', value: { code: 9 } });
  });

  test('an image of another architecture runs, with a warning', async () => {
    await world.runner(fake({ image: (_, image) => ({ ...image, architecture: 'arm64', exposedPorts: ['8080/tcp'] }) })).start();
    const execution = await world.untilDone(await world.insertExecution());
    expect(findCondition(execution.conditions, 'ImageArchitecture')?.message).toContain('Cloud Run will refuse it');
    expect(findCondition(execution.conditions, 'ImageListens')?.severity).toBe(Condition_Severity.INFO);
    expect(execution.succeededCount).toBe(1);
  });
});

describe('an engine that is away', () => {
  test('nothing is started or called lost until it is back', async () => {
    const driver = fake({ durationMs: 100 });
    const runner = world.runner(driver);
    await runner.start();
    driver.setAvailable(false);
    const uid = await world.insertExecution({ taskCount: 2 });
    const began = runner.status().counters.iterations;
    await world.live(() => runner.status().counters.iterations > began + 2);
    expect(driver.starts.size).toBe(0);
    driver.setAvailable(true);
    expect(await world.untilDone(uid)).toMatchObject({ succeededCount: 2, retriedCount: 0 });
  });

  test('lines that the sink refuses are carried on later, each once', async () => {
    await world.runner(fake({ durationMs: 100 })).start();
    world.sink.failNext(2);
    const uid = await world.insertExecution({ env: { FAKE_LOG: 'a\nb\nc' } });
    await world.untilDone(uid);
    const [entry] = await world.tasks(uid);
    expect((world.sink.lines.get(`${entry?.row.uid}-0`) ?? []).map((line) => line.text)).toEqual(['a', 'b', 'c', 'Container called exit(0).']);
  });
});

test("anyIs: the operation's metadata is an Execution", async () => {
  await world.runner(fake()).start();
  const uid = await world.insertExecution();
  await world.untilDone(uid);
  const { metadata } = await runOperation(uid);
  expect(metadata !== undefined && anyIs(metadata, ExecutionSchema)).toBe(true);
});
