/** What the parts of one loop share: built once by `createRunner`, and never by anything else. */
import type { Store } from '../store/database.ts';
import type { LeaseOwner } from '../store/work.ts';
import type { Clock } from '../timestamp.ts';
import type { AttemptRun } from './attempt-run.ts';
import type { AttemptId, Driver, DriverInfo } from './driver.ts';
import type { ImageResolver } from './image-resolver.ts';
import type { LeaseTable } from './lease-table.ts';
import type { Log } from './log.ts';
import type { LogSink } from './log-sink.ts';
import type { Slots } from './slots.ts';
import type { SecretReader } from './task-secrets.ts';
import type { Timers } from './timers.ts';

export interface RunnerLimits {
  /** Attempts alive at once on this host, over all executions. Default: four for each CPU, at least eight. */
  readonly maxAttempts: number;
  /** Executions held at once; the others wait in the store. Default 200. */
  readonly maxExecutions: number;
  /** How long a claim lasts; it is renewed three times in that. Default 30. */
  readonly leaseSeconds: number;
  /** How long the address of an ended attempt is not leased again. Default 30. */
  readonly quarantineSeconds: number;
  /** From SIGTERM to SIGKILL. Default 10,000, as on Cloud Run. */
  readonly stopGraceMs: number;
  /** Images looked up at once (default 4), and how long one may take, its pull included (default 15 minutes). */
  readonly imageConcurrency: number;
  readonly imageTimeoutMs: number;
  /** How long the end of an attempt waits for its last log lines to be kept. Default one minute. */
  readonly drainPatienceMs: number;
  /** Refuse to run tasks that declare more CPU or memory than the host has, in place of giving them less. Default false. */
  readonly strictResources: boolean;
}

/** Sums since the start, for metrics. */
export interface RunnerCounters {
  attemptsStarted: number;
  attemptsAdopted: number;
  attemptsLost: number;
  exits: number;
  timeouts: number;
  retries: number;
  executionsClaimed: number;
  executionsDone: number;
  jobsReconciled: number;
  /** Looks at the store for work. */
  iterations: number;
  /** Transactions on executions. */
  steps: number;
}

export interface RunnerContext {
  readonly store: Store;
  readonly driver: Driver;
  /** What the driver said when it was opened. */
  readonly info: DriverInfo;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  readonly logs: LogSink;
  readonly owner: LeaseOwner;
  readonly limits: RunnerLimits;
  readonly slots: Slots;
  readonly leases: LeaseTable;
  readonly images: ImageResolver;
  readonly secrets: SecretReader;
  readonly counters: RunnerCounters;
  /** Attempts that this loop looks after, for the driver's events. */
  readonly attempts: Map<AttemptId, AttemptRun>;
  /** Whether the engine can be reached. */
  isAvailable(): boolean;
  apiUrl(): string | undefined;
  metadataPort(): number | undefined;
  /** E-mails of accounts whose tasks reach the real Google. */
  readonly realAccounts: ReadonlySet<string>;
}
