/**
 * One attempt as this process looks after it: starts and stops it at the driver, carries its log lines, and says when it has ended and its
 * lines are kept. It changes no row; the execution does, and then calls `forget`.
 */
import { MICROS_PER_MILLI, type Micros } from '../timestamp.ts';
import type { RunnerContext } from './context.ts';
import type { AttemptExit, AttemptId, AttemptSpec } from './driver.ts';
import { createLogPump } from './log-pump.ts';
import type { LogSource } from './log-sink.ts';
import { exitNote, type SystemNote, timeoutNote } from './outcome.ts';
import { SecretRefused } from './task-secrets.ts';
import { backoffMs } from './timers.ts';

/** How often the driver may refuse to start an attempt while its engine is there. */
const MAX_START_FAILURES = 3;
const NANOS_PER_MICRO = 1000n;

export interface AttemptRun {
  readonly id: AttemptId;
  /** Whether the driver has told the exit. The end follows when the lines are kept. */
  readonly hasExited: boolean;
  /** Hands it to the driver, again and again while the engine is away. @param fill makes the specification whole before each try; a secret that is refused ends the attempt */
  launch(spec: AttemptSpec, fill?: (spec: AttemptSpec) => Promise<AttemptSpec>): void;
  /** It runs: its lines are read from now on. Told by the driver, or found after a restart. */
  started(startedAtMs: number): void;
  exited(exit: AttemptExit): void;
  /** SIGTERM, then SIGKILL. @param deadline when the task's time was up, where that is why */
  stop(graceMs: number, deadline?: Micros): void;
  /** After the end is in the store: the driver may forget it. */
  forget(): void;
  /** Somebody else drives the execution now: kills it and writes nothing more. */
  abandon(): void;
  /** The process ends: stops reading, and leaves the attempt to the next start. */
  detach(): Promise<void>;
}

export interface AttemptEvents {
  started(startedAt: Micros): void;
  ended(exit: AttemptExit): void;
}

/** @param task.memoryBytes, task.timeoutMs for the lines that the platform writes */
export function createAttemptRun(
  context: RunnerContext,
  task: { readonly source: LogSource; readonly memoryBytes: number; readonly timeoutMs: number },
  events: AttemptEvents,
): AttemptRun {
  const { driver, timers, clock, log, limits } = context;
  const id = task.source.attemptId;
  const pump = createLogPump({ driver, sink: context.logs, clock, timers, log }, id, task.source);
  const wait = (ms: number) => new Promise<void>((resolve) => void timers.at(clock.now() + ms * MICROS_PER_MILLI, resolve));
  let exit: AttemptExit | undefined;
  let isDetached = false;
  let isAbandoned = false;
  let isStopping = false;
  let hasStarted = false;
  let lastNote = 0n;

  const timed = (line: SystemNote, timeNs: bigint) => {
    lastNote = timeNs > lastNote ? timeNs : lastNote + 1n;
    return { ...line, timeNs: lastNote };
  };
  const finish = async (found: AttemptExit) => {
    const line = exitNote(found, task.memoryBytes);
    // Of a lost attempt there is nothing to read.
    if (found.cause === 'lost') pump.abort();
    else pump.begin();
    // The last instant of that millisecond: what the container wrote in it came before its end.
    pump.end(line === undefined ? undefined : timed(line, BigInt(found.finishedAtMs) * 1_000_000n + 999_999n));
    let forgetPatience: () => void = () => undefined;
    const patience = new Promise<boolean>((resolve) => {
      forgetPatience = timers.at(clock.now() + limits.drainPatienceMs * MICROS_PER_MILLI, () => resolve(true));
    });
    const isLate = await Promise.race([pump.done.then(() => false), patience]);
    forgetPatience();
    if (isLate)
      log.error({ attempt: id }, 'The log lines of an ended attempt are not kept yet. Its end is recorded now; should this process be killed before they are, the rest is lost.');
    if (!isDetached) events.ended(found);
  };
  const exited = (found: AttemptExit) => {
    if (exit !== undefined) return;
    exit = found;
    context.leases.remove(id);
    if (isAbandoned) {
      context.attempts.delete(id);
      void persist(() => driver.remove(id), 'removed');
    } else if (!isDetached) void finish(found);
  };
  /** Until it succeeds, or the process ends. */
  const persist = async (call: () => Promise<void>, what: string, isMoot: () => boolean = () => false) => {
    for (let failures = 1; !isDetached && !isMoot(); failures++) {
      try {
        await call();
        return;
      } catch (error) {
        log.warn({ attempt: id, error }, `The attempt could not be ${what}; trying again.`);
        await wait(backoffMs(failures));
      }
    }
  };
  const start = async (spec: AttemptSpec, fill: (spec: AttemptSpec) => Promise<AttemptSpec>) => {
    for (let failures = 1; exit === undefined && !isDetached && !isAbandoned; ) {
      if (isStopping) {
        exited({ id, cause: 'startFailed', message: 'It was stopped before it started.', finishedAtMs: Math.floor(clock.now() / MICROS_PER_MILLI) });
        return;
      }
      try {
        await driver.start(await fill(spec));
        // Failed starts have lines too, of those containers that did run.
        if (!isDetached && !isAbandoned) pump.begin();
        return;
      } catch (error) {
        if (error instanceof SecretRefused) {
          exited({ id, cause: 'startFailed', message: error.message, finishedAtMs: Math.floor(clock.now() / MICROS_PER_MILLI) });
          return;
        }
        log.warn({ attempt: id, error }, 'The attempt could not be started.');
        if (context.isAvailable() && failures++ >= MAX_START_FAILURES) {
          const message = error instanceof Error ? error.message : String(error);
          // Whatever was made of it must not run on unseen.
          await driver.stop(id, 0).catch((cause: unknown) => log.warn({ attempt: id, error: cause }, 'What was made of the attempt could not be stopped.'));
          exited({ id, cause: 'startFailed', message, finishedAtMs: Math.floor(clock.now() / MICROS_PER_MILLI) });
          return;
        }
        await wait(backoffMs(failures));
      }
    }
  };
  let starting: Promise<void> = Promise.resolve();
  const halt = (graceMs: number) => {
    isStopping = true;
    const call = () =>
      persist(
        () => driver.stop(id, graceMs),
        'stopped',
        () => exit !== undefined,
      );
    void call();
    // Once more where the stop may have come before there was anything to stop.
    void starting.then(call);
  };

  const run: AttemptRun = {
    id,
    get hasExited() {
      return exit !== undefined;
    },
    launch(spec, fill = async (whole) => whole) {
      context.counters.attemptsStarted++;
      starting = start(spec, fill);
    },
    started(startedAtMs) {
      if (hasStarted || isDetached || isAbandoned) return;
      hasStarted = true;
      pump.begin();
      events.started(startedAtMs * MICROS_PER_MILLI);
    },
    exited,
    stop(graceMs, deadline) {
      if (deadline !== undefined) pump.note(timed(timeoutNote(task.timeoutMs), BigInt(deadline) * NANOS_PER_MICRO));
      halt(graceMs);
    },
    forget() {
      context.attempts.delete(id);
      void pump.done.then(() => persist(() => driver.remove(id), 'removed'));
    },
    abandon() {
      isAbandoned = true;
      pump.abort();
      if (exit === undefined) halt(limits.stopGraceMs);
      else {
        context.attempts.delete(id);
        void persist(() => driver.remove(id), 'removed');
      }
    },
    async detach() {
      isDetached = true;
      context.attempts.delete(id);
      pump.abort();
      await pump.done;
    },
  };
  return run;
}
