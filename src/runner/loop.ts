/**
 * The reconciling loop: reads from the store what is wanted, and drives containers until it is so. It hides claims, leases, retries, timeouts and
 * what a crash leaves behind. Invariants: an execution has one writer, the holder of its lease; a row says that an attempt exists before the driver
 * is told to start it, and how it ended before the driver may forget it; no attempt that has ended is run again. So a kill at any moment loses
 * nothing: the next start compares rows and driver, and goes on. Woken by commits, the driver's events and timers; nothing is polled per task.
 *
 * Must not know: requests, principals, tokens, and which engine runs the containers.
 */
import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { Store } from '../store/database.ts';
import { listLeases } from '../store/leases.ts';
import {
  claimExecutions,
  listClaimableExecutions,
  listEndingExecutions,
  listHeldExecutions,
  listLiveAttempts,
  listReconcilingJobs,
  releaseExecution,
  renewLeases,
} from '../store/work.ts';
import { type Clock, MICROS_PER_SECOND } from '../timestamp.ts';
import { attemptId } from './attempt-id.ts';
import type { AttemptRun } from './attempt-run.ts';
import type { RunnerContext, RunnerCounters, RunnerLimits } from './context.ts';
import type { AttemptId, Driver, DriverInfo, DriverListener, TaskListeners } from './driver.ts';
import type { ExecutionRun } from './execution-run.ts';
import { createImageResolver } from './image-resolver.ts';
import type { JobReconciler } from './job-reconciler.ts';
import { createLeaseTable, type LeaseTable } from './lease-table.ts';
import type { Log } from './log.ts';
import type { LogSink } from './log-sink.ts';
import { createSlots } from './slots.ts';
import { NO_SECRETS, type SecretReader } from './task-secrets.ts';
import { createSystemTimers, type Timers } from './timers.ts';

/** More than that wait in the store until some are at rest. */
const MAX_RECONCILING_JOBS = 1000;

export interface RunnerDeps {
  readonly store: Store;
  /** Not opened yet; the loop opens and closes it. */
  readonly driver: Driver;
  readonly clock: Clock;
  /** By the same clock. Default: those of the process. */
  readonly timers?: Timers;
  readonly log: Log;
  readonly logs: LogSink;
  /** Names this data directory, the same after every restart, without a slash: its driver still has the attempts of the last time. */
  readonly instanceId: string;
  readonly limits?: Partial<RunnerLimits>;
  /** Who listens inside the tasks' network; handed to the driver. Its `isLeased` is that of `leases`. */
  readonly listeners?: TaskListeners;
  /** Filled by the loop; give one to look tasks up by their address. */
  readonly leases?: LeaseTable;
  /** Reads secrets as the jobs' accounts; without it no task can have any. */
  readonly secrets?: SecretReader;
  /** URL of the API as containers reach it; asked for at each start of an attempt. */
  readonly apiUrl?: () => string | undefined;
  /** Port of the metadata server, where tasks find it by a host name of their own. */
  readonly metadataPort?: () => number | undefined;
  /** E-mails of accounts whose tasks reach the real Google under its names, and not us. Default: none. */
  readonly realAccounts?: ReadonlySet<string>;
}

export interface RunnerStatus {
  readonly driver: string;
  readonly instanceId: string;
  /** Whether the engine can be reached; otherwise why not. */
  readonly available: boolean;
  readonly reason: string;
  /** Executions that this loop drives, and their attempts that are alive. */
  readonly executions: number;
  readonly attempts: number;
  readonly maxAttempts: number;
  readonly imageResolutions: number;
  readonly counters: Readonly<RunnerCounters>;
}

export interface Runner {
  /** Opens the driver, takes up what the last run left, and goes to work. @throws what `Driver.open` throws */
  start(): Promise<DriverInfo>;
  /** @param options.keepRunning containers run on and are found again by the next start; otherwise they are killed, and their tasks count the attempt as lost */
  stop(options: { readonly keepRunning: boolean }): Promise<void>;
  status(): RunnerStatus;
}

export function createRunner(deps: RunnerDeps): Runner {
  const { store, driver, clock, log } = deps;
  const timers = deps.timers ?? createSystemTimers(clock);
  const limits = withDefaults(deps.limits);
  const owner = { instance: deps.instanceId, boot: randomUUID() };
  const leases = deps.leases ?? createLeaseTable();
  const slots = createSlots(limits.maxAttempts);
  const images = createImageResolver(driver, { concurrency: limits.imageConcurrency, timeoutMs: limits.imageTimeoutMs });
  const counters: RunnerCounters = {
    attemptsStarted: 0,
    attemptsAdopted: 0,
    attemptsLost: 0,
    exits: 0,
    timeouts: 0,
    retries: 0,
    executionsClaimed: 0,
    executionsDone: 0,
    jobsReconciled: 0,
    iterations: 0,
    steps: 0,
  };
  const attempts = new Map<AttemptId, AttemptRun>();
  const runs = new Map<string, ExecutionRun>();
  /** Claimed, but not taken up and not given back yet. */
  const unreleased = new Set<string>();
  let ignoreCommits: () => void = () => undefined;
  let cancelRenewal: () => void = () => undefined;
  let jobs: JobReconciler | undefined;
  let context: RunnerContext | undefined;
  let engine = { available: true, reason: '' };
  let isStopping = false;
  let isWanted = false;
  let scanning: Promise<void> | undefined;

  const listener: DriverListener = {
    exited(exit) {
      counters.exits++;
      // One that is not looked after yet is asked about when its execution is claimed.
      attempts.get(exit.id)?.exited(exit);
    },
    started: (id, startedAtMs) => attempts.get(id)?.started(startedAtMs),
    available(available, reason) {
      engine = { available, reason };
      log.warn({ driver: driver.name, reason }, available ? 'The container engine is back.' : 'The container engine is away; nothing is started until it is back.');
      if (!available) return;
      for (const run of runs.values()) run.poke();
      scan();
    },
  };

  const claim = async (current: RunnerContext) => {
    for (const uid of unreleased) {
      await store.write((tx) => releaseExecution(tx.db, owner, uid));
      unreleased.delete(uid);
    }
    const room = limits.maxExecutions - runs.size;
    const wish = { owner, now: clock.now(), leaseSeconds: limits.leaseSeconds, limit: room };
    // Looked at first: a claim of nothing would still be a transaction.
    if (!engine.available || (await listClaimableExecutions(store.read, wish)).length === 0) return;
    // Loaded when there is something to run: a start need not wait for it.
    const { createExecutionRun } = await import('./execution-run.ts');
    const rows = await store.write((tx) => claimExecutions(tx.db, { ...wish, now: clock.now() }));
    for (const row of rows) {
      if (runs.has(row.uid)) continue;
      try {
        const run = await createExecutionRun(current, row, () => {
          runs.delete(row.uid);
          scan();
        });
        runs.set(row.uid, run);
        counters.executionsClaimed++;
      } catch (error) {
        log.warn({ execution: row.name, error }, 'An execution could not be taken up; trying again.');
        unreleased.add(row.uid);
        timers.at(clock.now() + MICROS_PER_SECOND, scan);
      }
    }
  };
  const look = async (current: RunnerContext) => {
    counters.iterations++;
    for (const job of await listReconcilingJobs(store.read, MAX_RECONCILING_JOBS)) {
      jobs ??= (await import('./job-reconciler.ts')).createJobReconciler(current, scan);
      jobs.look(job);
    }
    await claim(current);
    for (const uid of await listEndingExecutions(store.read, owner)) runs.get(uid)?.poke();
  };
  const scanAll = async () => {
    while (isWanted && !isStopping && context !== undefined) {
      isWanted = false;
      try {
        await look(context);
      } catch (error) {
        log.error({ error }, 'The store could not be looked at for work; trying again.');
        timers.at(clock.now() + MICROS_PER_SECOND, scan);
      }
    }
    scanning = undefined;
  };
  const scan = () => {
    isWanted = true;
    if (!isStopping && context !== undefined) scanning ??= scanAll();
  };
  const renew = async () => {
    if (isStopping) return;
    // Also the time to look for what another process has put into the store, whose commits we do not hear of.
    cancelRenewal = timers.at(clock.now() + (limits.leaseSeconds * MICROS_PER_SECOND) / 3, () => void renew());
    try {
      if (runs.size > 0) await store.write((tx) => renewLeases(tx.db, owner, clock.now() + limits.leaseSeconds * MICROS_PER_SECOND));
      const held = new Set(await listHeldExecutions(store.read, owner));
      // Taken over while we slept: its next step finds that out, and stops what still runs here.
      for (const run of runs.values()) if (!held.has(run.uid)) run.poke();
    } catch (error) {
      log.error({ error }, 'Leases could not be renewed.');
    }
    scan();
  };

  return {
    async start() {
      for (const lease of await listLeases(store.read)) leases.add(lease);
      const keep = new Set((await listLiveAttempts(store.read)).map((task) => attemptId(task.uid, task.attempt)));
      const info = await driver.open({ keep, listener, ...(deps.listeners === undefined ? {} : { listeners: deps.listeners }) });
      for (const warning of info.warnings) log.warn({ driver: driver.name }, warning);
      context = {
        store,
        driver,
        info,
        clock,
        timers,
        log,
        logs: deps.logs,
        owner,
        limits,
        slots,
        leases,
        images,
        secrets: deps.secrets ?? NO_SECRETS,
        counters,
        attempts,
        isAvailable: () => engine.available,
        apiUrl: deps.apiUrl ?? (() => undefined),
        metadataPort: deps.metadataPort ?? (() => undefined),
        realAccounts: deps.realAccounts ?? new Set(),
      };
      ignoreCommits = store.onCommit('work', scan);
      void renew();
      return info;
    },
    async stop({ keepRunning }) {
      isStopping = true;
      ignoreCommits();
      cancelRenewal();
      images.close();
      await scanning;
      await jobs?.close();
      for (const run of [...runs.values()]) await run.close();
      for (const attempt of [...attempts.values()]) await attempt.detach();
      runs.clear();
      await driver.close({ keepRunning });
    },
    status: () => ({
      driver: driver.name,
      instanceId: deps.instanceId,
      ...engine,
      executions: runs.size,
      attempts: slots.used,
      maxAttempts: slots.max,
      imageResolutions: images.resolutions,
      counters: { ...counters },
    }),
  };
}

function withDefaults(given: Partial<RunnerLimits> = {}): RunnerLimits {
  return {
    maxAttempts: Math.max(8, 4 * availableParallelism()),
    maxExecutions: 200,
    leaseSeconds: 30,
    quarantineSeconds: 30,
    stopGraceMs: 10_000,
    imageConcurrency: 4,
    imageTimeoutMs: 15 * 60_000,
    drainPatienceMs: 60_000,
    strictResources: false,
    ...given,
  };
}
