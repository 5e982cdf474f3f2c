/** A store on a temporary directory with a project's jobs and executions in it, made as the API's handlers make them, and loops on it: for the tests of the loop. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { type Condition, Condition_State, ConditionSchema } from '../../gen/google/cloud/run/v2/condition_pb.js';
import { type Execution, ExecutionSchema } from '../../gen/google/cloud/run/v2/execution_pb.js';
import { type Job, JobSchema } from '../../gen/google/cloud/run/v2/job_pb.js';
import { ContainerSchema, EnvVarSchema, ResourceRequirementsSchema } from '../../gen/google/cloud/run/v2/k8s.min_pb.js';
import { type Task, TaskSchema } from '../../gen/google/cloud/run/v2/task_pb.js';
import { type TaskTemplate, TaskTemplateSchema } from '../../gen/google/cloud/run/v2/task_template_pb.js';
import { type Operation, OperationSchema } from '../../gen/google/longrunning/operations_pb.js';
import { openStore, type Store } from '../../store/database.ts';
import { type ExecutionRow, executionFromRow, executionToRow, findExecutionByUid, insertExecution } from '../../store/executions.ts';
import { findJobByUid, insertJob, jobFromRow, jobToRow } from '../../store/jobs.ts';
import { findOperation, insertOperation, operationFromRow, operationToRow } from '../../store/operations.ts';
import { insertTasks, listTasksOfExecution, newTaskRows, type TaskRow, taskFromRow } from '../../store/tasks.ts';
import { MICROS_PER_MILLI, toDuration, toTimestamp } from '../../timestamp.ts';
import type { RunnerLimits } from '../context.ts';
import type { Driver } from '../driver.ts';
import type { LeaseTable } from '../lease-table.ts';
import type { LogSink } from '../log-sink.ts';
import { createRunner, type Runner } from '../loop.ts';
import { until } from '../until.ts';
import { createMemoryLogSink, type MemoryLogSink } from './log-sink.ts';
import { createMovableTime, type MovableTime } from './movable-time.ts';
// What the loop loads when there is work: not in the middle of a test, whose time moves on meanwhile.
import '../execution-run.ts';
import '../job-reconciler.ts';

const PARENT = 'projects/demo/locations/us-central1';

export interface NewExecution {
  readonly env?: Readonly<Record<string, string>>;
  readonly image?: string;
  readonly taskCount?: number;
  readonly parallelism?: number;
  readonly maxRetries?: number;
  readonly timeoutMs?: number;
  readonly limits?: Readonly<Record<string, string>>;
  /** Changes the template before it is stored. */
  readonly change?: (template: TaskTemplate) => void;
}

export interface World {
  readonly store: Store;
  readonly time: MovableTime;
  readonly sink: MemoryLogSink;
  readonly dir: string;
  readonly warnings: string[];
  runner(
    driver: Driver,
    options?: { readonly instanceId?: string; readonly limits?: Partial<RunnerLimits>; readonly leases?: LeaseTable; readonly store?: Store; readonly logs?: LogSink },
  ): Runner;
  /** Leaves a loop to itself, as one whose process was killed. */
  forget(runner: Runner): void;
  insertJob(image: string, change?: (job: Job) => void): Promise<{ readonly uid: string; readonly name: string; readonly operation: string }>;
  /** One that ends when its target does. @returns its name */
  insertOperation(target: string): Promise<string>;
  /** Of a job of its own. */
  insertExecution(wish?: NewExecution): Promise<string>;
  request(uid: string, what: 'cancel_requested' | 'delete_requested'): Promise<string>;
  execution(uid: string): Promise<Execution>;
  row(uid: string): Promise<ExecutionRow>;
  job(uid: string): Promise<Job>;
  tasks(uid: string): Promise<{ readonly row: TaskRow; readonly task: Task }[]>;
  operation(name: string): Promise<Operation>;
  /** Moves the clock as far as the next timer, over and over, until the condition holds. */
  live(condition: () => boolean | Promise<boolean>, what?: string, patienceMs?: number): Promise<void>;
  untilDone(uid: string): Promise<Execution>;
  close(): Promise<void>;
}

export async function createWorld(): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), 'runner-'));
  const store = await openStore(dir);
  const time = createMovableTime();
  const sink = createMemoryLogSink();
  const warnings: string[] = [];
  const runners: Runner[] = [];
  const log = {
    debug: () => undefined,
    info: () => undefined,
    warn: (_: object, message: string) => void warnings.push(message),
    error: (_: object, message: string) => void warnings.push(message),
  };
  let serial = 0;

  const world: World = {
    store,
    time,
    sink,
    dir,
    warnings,
    runner(driver, options = {}) {
      const runner = createRunner({
        store: options.store ?? store,
        driver,
        clock: time,
        timers: time,
        log,
        logs: options.logs ?? sink,
        instanceId: options.instanceId ?? 'one',
        limits: { maxAttempts: 100, ...options.limits },
        ...(options.leases === undefined ? {} : { leases: options.leases }),
      });
      runners.push(runner);
      return runner;
    },
    forget: (runner) => void runners.splice(runners.indexOf(runner), 1),
    async insertJob(image, change) {
      const name = `${PARENT}/jobs/job-${++serial}`;
      const now = time.now();
      const operation = `${PARENT}/operations/${randomUUID()}`;
      const job = create(JobSchema, {
        name,
        uid: randomUUID(),
        generation: 1n,
        createTime: toTimestamp(now),
        updateTime: toTimestamp(now),
        reconciling: true,
        latestCreatedExecution: {},
        terminalCondition: { state: Condition_State.CONDITION_PENDING },
        template: { taskCount: 1, template: { containers: [{ image }] } },
      });
      change?.(job);
      await store.write(async (tx) => {
        await insertJob(tx.db, jobToRow(job, operation));
        await insertOperation(tx.db, operationToRow(create(OperationSchema, { name: operation, metadata: anyPack(JobSchema, job) }), name, now));
        tx.touch('work');
      });
      return { uid: job.uid, name, operation };
    },
    async insertOperation(target) {
      const operation = `${PARENT}/operations/${randomUUID()}`;
      await store.write((tx) => insertOperation(tx.db, operationToRow(create(OperationSchema, { name: operation }), target, time.now())));
      return operation;
    },
    async insertExecution(wish = {}) {
      const now = time.now();
      const short = `job-${++serial}`;
      const name = `${PARENT}/jobs/${short}/executions/${short}-abcde`;
      const taskCount = wish.taskCount ?? 1;
      const template = create(TaskTemplateSchema, {
        containers: [
          create(ContainerSchema, {
            image: wish.image ?? 'example.com/app:v1',
            env: Object.entries(wish.env ?? {}).map(([key, value]) => create(EnvVarSchema, { name: key, values: { case: 'value', value } })),
            resources: create(ResourceRequirementsSchema, { limits: { ...(wish.limits ?? { cpu: '1000m', memory: '512Mi' }) } }),
          }),
        ],
        retries: { case: 'maxRetries', value: wish.maxRetries ?? 3 },
        timeout: toDuration(wish.timeoutMs ?? 600_000),
        serviceAccount: 'runner@demo.iam.gserviceaccount.com',
      });
      wish.change?.(template);
      const job = create(JobSchema, {
        name: `${PARENT}/jobs/${short}`,
        uid: randomUUID(),
        generation: 1n,
        createTime: toTimestamp(now),
        observedGeneration: 1n,
        latestCreatedExecution: { name: `${short}-abcde`, createTime: toTimestamp(now) },
      });
      const execution = create(ExecutionSchema, {
        name,
        uid: randomUUID(),
        job: job.name,
        generation: 1n,
        createTime: toTimestamp(now),
        taskCount,
        parallelism: wish.parallelism ?? taskCount,
        template,
        reconciling: true,
        conditions: [pending('Completed')],
        labels: { team: 'blue' },
      });
      const operation = `${PARENT}/operations/${randomUUID()}`;
      const shared = create(TaskSchema, {
        job: job.name,
        execution: name,
        generation: 1n,
        createTime: toTimestamp(now),
        containers: template.containers,
        maxRetries: wish.maxRetries ?? 3,
        conditions: [pending('Completed'), pending('Started')],
      });
      const rows = newTaskRows(
        shared,
        execution.uid,
        Array.from({ length: taskCount }, (_, index) => ({ name: `${name}/tasks/${short}-abcde-task${index}`, uid: randomUUID(), etag: '' })),
      );
      await store.write(async (tx) => {
        await insertJob(tx.db, jobToRow(job, null));
        await insertExecution(
          tx.db,
          executionToRow(execution, {
            job_uid: job.uid,
            phase: 'pending',
            cancel_requested: 0,
            delete_requested: 0,
            operation,
            lease_owner: null,
            lease_expire_time: null,
            delete_time: null,
          }),
        );
        await insertTasks(tx.db, rows);
        await insertOperation(tx.db, operationToRow(create(OperationSchema, { name: operation, metadata: anyPack(ExecutionSchema, execution) }), name, now));
        tx.touch('work');
      });
      return execution.uid;
    },
    async request(uid, what) {
      const operation = `${PARENT}/operations/${randomUUID()}`;
      const row = await world.row(uid);
      await store.write(async (tx) => {
        await tx.db
          .updateTable('executions')
          .set({ [what]: 1 })
          .where('uid', '=', uid)
          .execute();
        await insertOperation(tx.db, operationToRow(create(OperationSchema, { name: operation }), row.name, time.now()));
        tx.touch('work');
      });
      return operation;
    },
    async row(uid) {
      const row = await findExecutionByUid(store.read, uid);
      if (row === undefined) throw new Error(`no execution ${uid}`);
      return row;
    },
    execution: async (uid) => executionFromRow(await world.row(uid)),
    async job(uid) {
      const row = await findJobByUid(store.read, uid);
      if (row === undefined) throw new Error(`no job ${uid}`);
      return jobFromRow(row);
    },
    tasks: async (uid) => (await listTasksOfExecution(store.read, { executionUid: uid, limit: 100_000 })).map((row) => ({ row, task: taskFromRow(row) })),
    async operation(name) {
      const row = await findOperation(store.read, name);
      if (row === undefined) throw new Error(`no operation ${name}`);
      return operationFromRow(row);
    },
    async live(condition, what, patienceMs) {
      let quiet = 0;
      let before = '';
      await until(
        async () => {
          if (await condition()) return true;
          // The clock moves only when nothing has happened for a few turns: what is under way is not overtaken.
          const next = time.next();
          const counters = JSON.stringify(runners.map((runner) => runner.status()));
          quiet = counters === before ? quiet + 1 : 0;
          before = counters;
          if (quiet > 3 && next !== undefined) {
            quiet = 0;
            time.advance(Math.max(0, Math.ceil((next - time.now()) / MICROS_PER_MILLI)));
          }
          return false;
        },
        what,
        patienceMs,
      );
    },
    async untilDone(uid) {
      await world.live(async () => (await world.row(uid)).phase === 'done', 'the end of the execution');
      return world.execution(uid);
    },
    async close() {
      for (const runner of runners) await runner.stop({ keepRunning: false });
      await store.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return world;
}

function pending(type: string): Condition {
  return create(ConditionSchema, { type, state: Condition_State.CONDITION_PENDING });
}
