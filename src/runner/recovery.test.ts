import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Condition_CommonReason, Condition_State } from '../gen/google/cloud/run/v2/condition_pb.js';
import { JobSchema } from '../gen/google/cloud/run/v2/job_pb.js';
import { findJobByUid, jobFromRow, jobToRow, updateJob } from '../store/jobs.ts';
import { toTimestamp } from '../timestamp.ts';
import type { Driver, DriverInfo } from './driver.ts';
import { createFakeDriver, type FakeDriver, type FakeDriverOptions } from './fake/driver.ts';
import { createWorld, type World } from './fake/world.ts';
import { createLeaseTable } from './lease-table.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());
const fake = (options: FakeDriverOptions = {}): FakeDriver => createFakeDriver({ clock: world.time, timers: world.time, ...options });

/** A driver with something changed, as a wrapper. */
function changed(driver: Driver, change: Partial<Driver>): Driver {
  return new Proxy(driver, { get: (target, key, receiver) => Reflect.get(key in change ? change : target, key, receiver) as unknown });
}

describe('after a restart', () => {
  test('running attempts are adopted, ended ones are read, none is run twice, lines come once', async () => {
    const stateDir = join(world.dir, 'fake');
    const options = {
      stateDir,
      behaviour: (spec: { readonly labels: Readonly<Record<string, string>> }, read: Parameters<NonNullable<FakeDriverOptions['behaviour']>>[1]) => ({
        ...read,
        durationMs: spec.labels['task'] === '0' ? 1000 : 60_000,
      }),
    };
    const first = fake(options);
    const before = world.runner(first);
    await before.start();
    const uid = await world.insertExecution({ taskCount: 3, env: { FAKE_LOG: 'one\ntwo' } });
    await world.live(async () => first.running().length === 3 && (await world.execution(uid)).runningCount === 3 && world.sink.lines.size === 3);
    await before.stop({ keepRunning: true });
    // Task 0 ends while nobody looks.
    world.time.advance(5000);
    const second = fake(options);
    const after = world.runner(second);
    await after.start();
    expect(await world.untilDone(uid)).toMatchObject({ succeededCount: 3, retriedCount: 0 });
    expect(second.starts.size).toBe(0);
    expect(after.status().counters).toMatchObject({ attemptsAdopted: 2, attemptsLost: 0, attemptsStarted: 0 });
    for (const lines of world.sink.lines.values()) expect(lines.map((line) => line.text)).toEqual(['one', 'two', 'Container called exit(0).']);
  });

  test('a timeout goes on from the start of the attempt', async () => {
    const stateDir = join(world.dir, 'fake');
    const options = { stateDir, durationMs: Number.POSITIVE_INFINITY };
    const before = world.runner(fake(options));
    await before.start();
    const uid = await world.insertExecution({ maxRetries: 0, timeoutMs: 60_000 });
    await world.live(async () => (await world.tasks(uid))[0]?.row.attempt_start_time !== null);
    await before.stop({ keepRunning: true });
    world.time.advance(61_000);
    const began = world.time.now();
    await world.runner(fake(options)).start();
    await world.untilDone(uid);
    expect(world.time.now() - began).toBeLessThan(20e6);
    const [entry] = await world.tasks(uid);
    expect(entry?.task.lastAttemptResult?.status?.code).toBe(4);
    expect((world.sink.lines.get(`${entry?.row.uid}-0`) ?? []).filter((line) => line.text.startsWith('Terminating task'))).toHaveLength(1);
  });

  test('an attempt that its row says was made, but that the driver never heard of, is started', async () => {
    const driver = fake({ durationMs: 100 });
    const deaf = changed(driver, { start: () => new Promise(() => undefined) });
    const before = world.runner(deaf);
    await before.start();
    const uid = await world.insertExecution();
    await world.live(async () => (await world.tasks(uid))[0]?.row.state === 'running');
    await before.stop({ keepRunning: true });
    const after = world.runner(driver);
    await after.start();
    expect(await world.untilDone(uid)).toMatchObject({ succeededCount: 1, retriedCount: 0 });
    expect([...driver.starts.values()]).toEqual([1]);
  });

  test('an attempt that is gone counts as a crash', async () => {
    const before = world.runner(fake({ durationMs: 3_600_000 }));
    await before.start();
    const uid = await world.insertExecution({ taskCount: 2, timeoutMs: 7_200_000 });
    await world.live(async () => (await world.tasks(uid)).every(({ row }) => row.attempt_start_time !== null));
    await before.stop({ keepRunning: false });
    const after = world.runner(fake({ durationMs: 100 }));
    await after.start();
    expect(await world.untilDone(uid)).toMatchObject({ succeededCount: 2, retriedCount: 2 });
    expect(after.status().counters.attemptsLost).toBe(2);
  });
});

test('killed at any moment: nothing is lost, and nothing that ended runs again', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 25 }), { minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 1e9 }), async (kills, serial) => {
      const stateDir = join(world.dir, `fake-${serial}`);
      const starts = new Map<string, number>();
      const boot = async () => {
        const driver = fake({ stateDir, durationMs: 1000 });
        let calls = 0;
        let limit = Number.POSITIVE_INFINITY;
        // After its last call the process is as good as dead: the store does not hear it, nor does the driver.
        const isDead = () => ++calls > limit;
        const dying = changed(driver, {
          start: (spec) => (isDead() ? new Promise(() => undefined) : driver.start(spec)),
          remove: (id) => (isDead() ? new Promise(() => undefined) : driver.remove(id)),
          stop: (id, grace) => (isDead() ? new Promise(() => undefined) : driver.stop(id, grace)),
        });
        const store: World['store'] = { ...world.store, write: (work) => (isDead() ? new Promise(() => undefined) : world.store.write(work)) };
        const logs = {
          cursor: world.sink.cursor,
          append: (...given: Parameters<typeof world.sink.append>) => (isDead() ? new Promise<void>(() => undefined) : world.sink.append(...given)),
        };
        const runner = world.runner(dying, { store, logs });
        await runner.start();
        return {
          driver,
          runner,
          isOver: () => calls > limit,
          dieAfter: (count: number) => {
            limit = calls + count;
          },
        };
      };
      const uid = await world.insertExecution({ taskCount: 8, parallelism: 3, maxRetries: 0, env: { FAKE_LOG: 'x' } });
      let current = await boot();
      for (const kill of kills) {
        current.dieAfter(kill);
        await world.live(async () => current.isOver() || (await world.row(uid)).phase === 'done');
        // What was asked of the driver before the last call still reaches the engine.
        for (let turn = 0; turn < 5; turn++) await nextTurn();
        for (const [id, count] of current.driver.starts) starts.set(id, (starts.get(id) ?? 0) + count);
        await current.driver.close({ keepRunning: true });
        world.forget(current.runner);
        current = await boot();
      }
      expect(await world.untilDone(uid)).toMatchObject({ succeededCount: 8, failedCount: 0 });
      for (const [id, count] of current.driver.starts) starts.set(id, (starts.get(id) ?? 0) + count);
      expect([...starts.values()].every((count) => count === 1)).toBe(true);
      expect(starts.size).toBe(8);
      for (const { row } of await world.tasks(uid)) expect((world.sink.lines.get(`${row.uid}-0`) ?? []).map((line) => line.text)).toEqual(['x', 'Container called exit(0).']);
      expect((await world.operation((await world.row(uid)).operation)).done).toBe(true);
      await current.runner.stop({ keepRunning: false });
    }),
    { numRuns: 12, endOnFailure: true },
  );
}, 120_000);

test('two loops on one store: each execution has one writer, and a lease that ran out is taken over', async () => {
  const one = fake({ durationMs: 500_000 });
  const two = fake({ durationMs: 100 });
  const first = world.runner(one, { instanceId: 'one' });
  await first.start();
  const uid = await world.insertExecution({ timeoutMs: 3_600_000 });
  await world.live(() => one.running().length === 1);
  const second = world.runner(two, { instanceId: 'two' });
  await second.start();
  world.time.advance(5000);
  expect((await world.row(uid)).lease_owner).toMatch(/^one\//);
  // The first one hangs: it renews nothing, though its timers come.
  await world.store.write(async ({ db, touch }) => {
    await db.updateTable('executions').set({ lease_expire_time: 0 }).where('uid', '=', uid).execute();
    touch('work');
  });
  expect(await world.untilDone(uid)).toMatchObject({ succeededCount: 1, retriedCount: 1 });
  expect(second.status().counters).toMatchObject({ executionsDone: 1, attemptsLost: 1 });
  // When the first one hears of it, it kills what it still has, and writes nothing.
  await world.live(() => one.running().length === 0 && first.status().executions === 0);
  expect(first.status().counters.executionsDone).toBe(0);
});

test('addresses: leased before the start, looked up while it runs, quarantined afterwards', async () => {
  const inner = fake({ durationMs: 1000 });
  const pool = ['10.0.0.2', '10.0.0.3'];
  const driver = changed(inner, {
    open: async (options): Promise<DriverInfo> => ({ ...(await inner.open(options)), network: { kind: 'address', gateway: '10.0.0.1', pool: () => pool } }),
  });
  const leases = createLeaseTable();
  const runner = world.runner(driver, { leases, limits: { quarantineSeconds: 30 } });
  await runner.start();
  const uid = await world.insertExecution({ taskCount: 3 });
  await world.live(() => inner.running().length === 2);
  const specs = inner.running().map((id) => inner.spec(id));
  expect(specs.map((spec) => spec?.address)).toEqual(pool);
  expect(specs[0]?.hosts).toContainEqual({ name: 'metadata.google.internal', address: '169.254.169.254' });
  for (const spec of specs)
    expect(leases.lookup(spec?.address ?? '')).toMatchObject({
      attemptId: spec?.id,
      executionUid: uid,
      serviceAccount: 'runner@demo.iam.gserviceaccount.com',
      projectId: 'demo',
      location: 'us-central1',
    });
  const began = world.time.now();
  await world.untilDone(uid);
  // The third task had to wait until an address came out of quarantine.
  expect(world.time.now() - began).toBeGreaterThan(30e6);
  expect(pool.some((address) => leases.isLeased(address))).toBe(false);
});

describe('jobs', () => {
  test('become ready; the operation has the uid in its response only', async () => {
    await world.runner(fake()).start();
    const { uid, operation } = await world.insertJob('example.com/app:v1');
    await world.live(async () => (await world.operation(operation)).done);
    const job = await world.job(uid);
    expect(job).toMatchObject({ reconciling: false, observedGeneration: 1n, terminalCondition: { type: 'Ready', state: Condition_State.CONDITION_SUCCEEDED } });
    const { metadata, result } = await world.operation(operation);
    expect(metadata && anyUnpack(metadata, JobSchema)).toMatchObject({ uid: '', observedGeneration: 1n });
    expect(result.case === 'response' && anyUnpack(result.value, JobSchema)).toMatchObject({ uid });
  });

  test('a missing image: Ready is false, and the operation ends with NOT_FOUND', async () => {
    await world.runner(fake()).start();
    const { uid, operation } = await world.insertJob('example.com/missing:v2');
    await world.live(async () => (await world.operation(operation)).done);
    const message = "Image 'example.com/missing:v2' not found.";
    expect((await world.job(uid)).terminalCondition).toMatchObject({
      type: 'Ready',
      state: Condition_State.CONDITION_FAILED,
      message,
      reasons: { case: 'reason', value: Condition_CommonReason.CONTAINER_MISSING },
    });
    expect((await world.operation(operation)).result).toMatchObject({ case: 'error', value: { code: 5, message } });
  });

  test('an engine that is away keeps the job reconciling', async () => {
    const driver = fake();
    const runner = world.runner(driver);
    await runner.start();
    driver.setAvailable(false);
    const { uid, operation } = await world.insertJob('example.com/app:v1');
    await world.live(() => runner.status().imageResolutions > 2);
    expect((await world.job(uid)).reconciling).toBe(true);
    driver.setAvailable(true);
    await world.live(async () => (await world.operation(operation)).done);
    expect((await world.job(uid)).terminalCondition?.state).toBe(Condition_State.CONDITION_SUCCEEDED);
  });

  test('a deletion waits for the executions, and moves the etag on', async () => {
    const driver = fake({ durationMs: 3_600_000 });
    await world.runner(driver).start();
    const execution = await world.insertExecution({ timeoutMs: 7_200_000 });
    await world.live(() => driver.running().length === 1);
    const { job_uid } = await world.row(execution);
    await world.store.write(async ({ db, touch }) => {
      const row = await findJobByUid(db, job_uid);
      if (row === undefined) throw new Error('no job');
      const job = jobFromRow(row);
      job.reconciling = true;
      job.deleteTime = toTimestamp(world.time.now());
      job.etag = 'before';
      await updateJob(db, jobToRow(job, null));
      touch('work');
    });
    await world.request(execution, 'delete_requested');
    await world.live(async () => (await findJobByUid(world.store.read, job_uid))?.delete_time !== null);
    expect(driver.running()).toEqual([]);
    expect((await world.job(job_uid)).etag).not.toBe('before');
    expect((await world.row(execution)).delete_time).not.toBeNull();
  });
});

test('whatever the tasks do, counters add up, attempts stay within bounds, and the operation ends', async () => {
  const outcome = fc.constantFrom('ok', 'fail', 'signal', 'startError', 'hang');
  const scenario = fc.record({
    tasks: fc.array(fc.array(outcome, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 8 }),
    parallelism: fc.integer({ min: 1, max: 4 }),
    maxRetries: fc.integer({ min: 0, max: 2 }),
    cancelAfter: fc.option(fc.integer({ min: 0, max: 6 }), { nil: undefined }),
  });
  await fc.assert(
    fc.asyncProperty(scenario, async ({ tasks, parallelism, maxRetries, cancelAfter }) => {
      let most = 0;
      const driver: FakeDriver = fake({
        behaviour(spec, read) {
          most = Math.max(most, driver.running().length + 1);
          const plan = tasks[Number(spec.labels['task'])] ?? [];
          const what = plan[Math.min(Number(spec.labels['attempt']), plan.length - 1)];
          if (what === 'startError') return { ...read, startError: 'no such file' };
          return { ...read, durationMs: what === 'hang' ? Number.POSITIVE_INFINITY : 100, exitCode: what === 'fail' ? 3 : 0, ...(what === 'signal' ? { signal: 11 } : {}) };
        },
      });
      const runner = world.runner(driver);
      await runner.start();
      const uid = await world.insertExecution({ taskCount: tasks.length, parallelism, maxRetries, timeoutMs: 5000 });
      if (cancelAfter !== undefined) {
        await world.live(async () => runner.status().counters.attemptsStarted >= cancelAfter || (await world.row(uid)).phase === 'done');
        if ((await world.row(uid)).phase !== 'done') await world.request(uid, 'cancel_requested');
      }
      const execution = await world.untilDone(uid);
      const rows = await world.tasks(uid);
      expect(most).toBeLessThanOrEqual(parallelism);
      expect(execution.succeededCount + execution.failedCount + execution.cancelledCount).toBe(tasks.length);
      expect(execution.runningCount).toBe(0);
      expect(execution.retriedCount).toBe(rows.filter(({ row }) => row.attempt > 0).length);
      for (const { row } of rows) {
        expect(row.attempt).toBeLessThanOrEqual(maxRetries);
        expect(['succeeded', 'failed', 'cancelled']).toContain(row.state);
      }
      for (const state of ['succeeded', 'failed', 'cancelled'] as const) expect(execution[`${state}Count`]).toBe(rows.filter(({ row }) => row.state === state).length);
      if (cancelAfter === undefined) {
        const wins = (plan: readonly string[]) => Array.from({ length: maxRetries + 1 }, (_, attempt) => plan[Math.min(attempt, plan.length - 1)]).includes('ok');
        expect(execution.succeededCount).toBe(tasks.filter((plan) => wins(plan)).length);
      }
      expect([...driver.starts.values()].every((count) => count === 1)).toBe(true);
      expect((await world.operation((await world.row(uid)).operation)).done).toBe(true);
      expect(runner.status()).toMatchObject({ attempts: 0, executions: 0 });
      await runner.stop({ keepRunning: false });
    }),
    { numRuns: 15 },
  );
}, 120_000);
