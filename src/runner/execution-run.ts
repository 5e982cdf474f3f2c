/**
 * One execution in this process's memory: what has happened to its attempts since the last transaction, and which of them are alive. Steps run one
 * after the other; memory changes only after their commit, so a failed step is simply made again.
 */
import { lastId } from '../resource-name.ts';
import { type ExecutionRow, executionFromRow } from '../store/executions.ts';
import { findLeaseOfAttempt, type LeaseRow } from '../store/leases.ts';
import type { TaskRow } from '../store/tasks.ts';
import { countTasks, leaseInstance, listTasksInState, type TaskCounts } from '../store/work.ts';
import { fromDuration, MICROS_PER_MILLI, type Micros } from '../timestamp.ts';
import { attemptId } from './attempt-id.ts';
import { type AttemptRun, createAttemptRun } from './attempt-run.ts';
import { buildAttemptSpec } from './attempt-spec.ts';
import type { RunnerContext } from './context.ts';
import type { AttemptExit, AttemptState } from './driver.ts';
import { parallelismOf, type StepInput, type StepResult, stepExecution } from './execution-step.ts';
import type { StopCause } from './outcome.ts';
import { type Preparation, prepareExecution, type Refusal } from './preparation.ts';
import { fitResources } from './resources.ts';
import { secretFiller } from './task-secrets.ts';
import { backoffMs } from './timers.ts';

/** Cloud Run's default (600 s), for a template that says nothing. */
const DEFAULT_TIMEOUT_MS = 600_000;

export interface ExecutionRun {
  readonly uid: string;
  /** Something may have changed: look again. @returns false where it is over */
  poke(): boolean;
  /** Stops looking, lets a transaction under way finish, and leaves the attempts to the next start. */
  close(): Promise<void>;
}

interface Live {
  readonly row: TaskRow;
  readonly address: string | undefined;
  readonly attempt: AttemptRun;
  startTime: Micros | undefined;
  stopCause: StopCause | null;
  forgetTimeout: () => void;
}

/**
 * Takes a claimed execution up where the store and the driver say it is.
 * @param row as it was before the claim, so that `lease_owner` tells who had it
 * @param onEnd called once, when it is done or somebody else has it
 * @throws what the store or the driver throws; nothing is held then
 */
export async function createExecutionRun(context: RunnerContext, row: ExecutionRow, onEnd: () => void): Promise<ExecutionRun> {
  const { store, clock, timers, limits, slots, counters, log } = context;
  const execution = executionFromRow(row);
  const timeoutMs = execution.template?.timeout === undefined ? DEFAULT_TIMEOUT_MS : fromDuration(execution.template.timeout);
  const memoryBytes = fitResources(execution.template?.containers ?? [], context.info).given.reduce((sum, each) => sum + each.memoryBytes, 0);
  const live = new Map<string, Live>();
  let counts: TaskCounts = await countTasks(store.read, row.uid);
  let started: { taskUid: string; at: Micros }[] = [];
  let ended: { taskUid: string; exit: AttemptExit }[] = [];
  let timedOut = new Set<string>();
  let preparation: Preparation | Refusal | undefined;
  let isPreparationNew = false;
  /** Attempts that are in their row, but wait for the preparation to be handed to the driver. */
  let unlaunched: Live[] = [];
  let isClosed = false;
  let isDirty = false;
  let failures = 0;
  let working: Promise<void> | undefined;

  const track = (task: TaskRow, address: string | undefined): Live => {
    const source = {
      projectId: row.project_id,
      location: row.location,
      job: lastId(row.job),
      jobUid: row.job_uid,
      execution: lastId(row.name),
      executionUid: row.uid,
      task: lastId(task.name),
      taskIndex: task.task_index,
      attempt: task.attempt,
      attemptId: attemptId(task.uid, task.attempt),
      labels: execution.labels,
    };
    const attempt = createAttemptRun(
      context,
      { source, memoryBytes, timeoutMs },
      {
        started(at) {
          entry.startTime ??= at;
          armTimeout(entry);
          started.push({ taskUid: task.uid, at });
          poke();
        },
        ended(exit) {
          entry.forgetTimeout();
          ended.push({ taskUid: task.uid, exit });
          poke();
        },
      },
    );
    const entry: Live = { row: task, address, attempt, startTime: task.attempt_start_time ?? undefined, stopCause: task.stop_cause, forgetTimeout: () => undefined };
    live.set(task.uid, entry);
    context.attempts.set(attempt.id, attempt);
    return entry;
  };
  const armTimeout = (entry: Live) => {
    if (entry.startTime === undefined) return;
    entry.forgetTimeout();
    entry.forgetTimeout = timers.at(entry.startTime + timeoutMs * MICROS_PER_MILLI, () => {
      timedOut.add(entry.row.uid);
      poke();
    });
  };
  const halt = (entry: Live, cause: StopCause) => {
    entry.stopCause = cause;
    entry.forgetTimeout();
    if (cause === 'timeout') counters.timeouts++;
    if (unlaunched.includes(entry)) {
      // The driver never heard of it, so no exit will come from there.
      unlaunched = unlaunched.filter((other) => other !== entry);
      entry.attempt.exited({ id: entry.attempt.id, cause: 'lost', message: 'It was stopped before it started.', finishedAtMs: Math.floor(clock.now() / MICROS_PER_MILLI) });
      return;
    }
    entry.attempt.stop(limits.stopGraceMs, cause === 'timeout' && entry.startTime !== undefined ? entry.startTime + timeoutMs * MICROS_PER_MILLI : undefined);
  };
  const launchAll = () => {
    if (preparation === undefined) return;
    for (const { row: task, address, attempt } of unlaunched.splice(0)) {
      if (preparation.kind === 'refused')
        attempt.exited({ id: attempt.id, cause: 'startFailed', message: preparation.message, finishedAtMs: Math.floor(clock.now() / MICROS_PER_MILLI) });
      else
        attempt.launch(
          buildAttemptSpec(
            preparation.blueprint,
            { uid: task.uid, index: task.task_index, attempt: task.attempt, ...(address === undefined ? {} : { address }) },
            { network: context.info.network, apiUrl: context.apiUrl(), metadataPort: context.metadataPort(), realAccounts: context.realAccounts },
          ),
          secretFiller(context.secrets, { account: preparation.blueprint.template.serviceAccount, projectId: row.project_id }, preparation.blueprint.template),
        );
    }
  };

  const end = (isOurs: boolean) => {
    if (isClosed) return;
    isClosed = true;
    for (const entry of live.values()) {
      entry.forgetTimeout();
      context.leases.remove(entry.attempt.id);
      if (!isOurs) entry.attempt.abandon();
    }
    slots.release(live.size);
    live.clear();
    onEnd();
  };

  const apply = (result: StepResult, input: StepInput) => {
    if (result.kind === 'lost') {
      log.warn({ execution: row.name }, 'Another control plane drives this execution now; its attempts here are stopped.');
      slots.release(input.room);
      end(false);
      return;
    }
    counts = result.counts;
    counters.retries += result.retried;
    if (input.isPreparationNew) isPreparationNew = false;
    for (const { taskUid } of input.ended) {
      const entry = live.get(taskUid);
      live.delete(taskUid);
      entry?.attempt.forget();
    }
    for (const { row: task, lease } of result.launched) {
      if (lease !== undefined) context.leases.add(lease);
      unlaunched.push(track(task, lease?.address));
    }
    for (const { taskUid, cause } of result.stopped) {
      const entry = live.get(taskUid);
      if (entry !== undefined) halt(entry, cause);
    }
    launchAll();
    // What was taken for launches that did not come about, and what the ended ones held.
    slots.release(input.room - result.launched.length + input.ended.length);
    if (result.isDone) {
      counters.executionsDone++;
      log.info({ execution: row.name, succeeded: counts.succeeded, failed: counts.failed, cancelled: counts.cancelled }, 'An execution has ended.');
      end(true);
    } else if (result.hasMore) poke();
    else if (result.wantsRoom && preparation?.kind === 'prepared' && context.isAvailable()) awaitRoom(input.room > result.launched.length);
  };
  /** @param isAddressWanted there was room on the host, so it was addresses that ran out: the next ones come out of quarantine by themselves */
  const awaitRoom = (isAddressWanted: boolean) => {
    if (isAddressWanted) timers.at(clock.now() + Math.min(1000, limits.quarantineSeconds * 1000) * MICROS_PER_MILLI, poke);
    else slots.wait(poke);
  };

  const step = async () => {
    const wants = preparation?.kind === 'prepared' && context.isAvailable() ? Math.min(counts.pending + ended.length, parallelismOf(execution) - counts.running + ended.length) : 0;
    const input: StepInput = {
      executionUid: row.uid,
      counts,
      started,
      ended,
      stoppable: [...live.values()].filter((entry) => entry.stopCause === null && !entry.attempt.hasExited).map((entry) => entry.row.uid),
      timedOut,
      preparation,
      isPreparationNew,
      room: slots.take(wants),
    };
    [started, ended, timedOut] = [[], [], new Set()];
    counters.steps++;
    try {
      apply(await store.write((tx) => stepExecution(context, tx, input)), input);
      failures = 0;
    } catch (error) {
      slots.release(input.room);
      started = [...input.started, ...started];
      ended = [...input.ended, ...ended];
      timedOut = new Set([...input.timedOut, ...timedOut]);
      failures++;
      log.error({ execution: row.name, error }, 'The state of an execution could not be written; trying again.');
      timers.at(clock.now() + backoffMs(failures) * MICROS_PER_MILLI, poke);
    }
  };
  const work = async () => {
    while (isDirty && !isClosed) {
      isDirty = false;
      await step();
    }
    working = undefined;
  };
  const poke = () => {
    isDirty = true;
    if (!isClosed) working ??= work();
    return !isClosed;
  };

  const prepare = async (attempt = 1): Promise<void> => {
    if (isClosed || preparation !== undefined) return;
    try {
      preparation = await prepareExecution(context, execution);
      isPreparationNew = true;
      launchAll();
      poke();
    } catch (error) {
      if (isClosed) return;
      log.warn({ execution: row.name, error }, 'The images of an execution cannot be looked up now; trying again.');
      timers.at(clock.now() + backoffMs(attempt) * MICROS_PER_MILLI, () => void prepare(attempt + 1));
    }
  };

  const run: ExecutionRun = {
    uid: row.uid,
    poke,
    async close() {
      isClosed = true;
      await working;
      for (const entry of live.values()) {
        entry.forgetTimeout();
        await entry.attempt.detach();
      }
    },
  };
  await adopt(context, row, { track, armTimeout, halt, unlaunch: (entry) => unlaunched.push(entry) });
  // Theirs are to be ended, not to be prepared for.
  if (row.cancel_requested === 0 && row.delete_requested === 0) void prepare();
  poke();
  return run;
}

interface Adoption {
  track(task: TaskRow, address: string | undefined): Live;
  armTimeout(entry: Live): void;
  halt(entry: Live, cause: StopCause): void;
  unlaunch(entry: Live): void;
}

/** Brings the attempts that the rows believe alive together with what the driver has. */
async function adopt(context: RunnerContext, row: ExecutionRow, adoption: Adoption): Promise<void> {
  const { store, driver, slots, clock, counters } = context;
  const tasks = await listTasksInState(store.read, row.uid, 'running', Number.MAX_SAFE_INTEGER);
  if (tasks.length === 0) return;
  const leases = new Map<string, LeaseRow | undefined>();
  for (const task of tasks) leases.set(task.uid, await findLeaseOfAttempt(store.read, attemptId(task.uid, task.attempt)));
  // Registered first: an exit that comes while the driver is asked must find its attempt.
  const entries = tasks.map((task) => adoption.track(task, leases.get(task.uid)?.address));
  let states: ReadonlyMap<string, AttemptState>;
  try {
    states = new Map((await driver.attempts()).map((state) => [state.id, state]));
  } catch (error) {
    for (const entry of entries) await entry.attempt.detach();
    throw error;
  }
  slots.force(entries.length);
  const wasOurs = row.lease_owner !== null && leaseInstance(row.lease_owner) === context.owner.instance;
  for (const entry of entries) {
    const { attempt, row: task } = entry;
    const state = states.get(attempt.id);
    const lease = leases.get(task.uid);
    if (lease !== undefined && state?.state !== 'exited') context.leases.add(lease);
    if (state?.exit !== undefined) attempt.exited(state.exit);
    else if (state?.state === 'running') {
      counters.attemptsAdopted++;
      attempt.started(state.startedAtMs ?? Math.floor(clock.now() / MICROS_PER_MILLI));
      adoption.armTimeout(entry);
      if (task.stop_cause !== null) adoption.halt(entry, task.stop_cause);
    } else if (wasOurs && task.attempt_start_time === null && task.stop_cause === null) adoption.unlaunch(entry);
    else {
      // It ran here and is gone, or it ran where we cannot look: either way nobody knows how it ended. It counts as a crash.
      counters.attemptsLost++;
      attempt.exited({
        id: attempt.id,
        cause: 'lost',
        message: wasOurs ? 'the engine does not know it any more' : 'another control plane had started it',
        finishedAtMs: Math.floor(clock.now() / MICROS_PER_MILLI),
      });
    }
  }
}
