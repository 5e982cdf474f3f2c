/**
 * Carries the lines of one attempt from the driver to the sink: in order, at the sink's pace, each exactly once. After any failure, and after a
 * restart, it asks the sink how far it has come and reads on from there. Lines of the platform itself (notes) are
 * told from each other by their times, which follow from the attempt's row and exit alone and grow from note to note: a note that is not later than the last one kept is kept.
 */
import { type Clock, MICROS_PER_MILLI } from '../timestamp.ts';
import type { AttemptId, Driver, LogLine } from './driver.ts';
import type { Log } from './log.ts';
import { type LogSink, type LogSource, SYSTEM_CONTAINER } from './log-sink.ts';
import { backoffMs, type Timers } from './timers.ts';

/** Beyond it the reader waits for the sink. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
const MAX_BATCH_LINES = 1000;
/** How often an ended attempt is tried again before its remaining lines are given up. */
const MAX_FAILURES = 6;

export interface Note {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
  /** Nanoseconds since the epoch. */
  readonly timeNs: bigint;
}

export interface LogPump {
  /** Starts to read, once. */
  begin(): void;
  /** Adds a line of the platform now. Times of one attempt's notes must grow. */
  note(line: Note): void;
  /** The attempt has ended; `line` comes after all others. `done` follows when all is kept. */
  end(line: Note | undefined): void;
  readonly done: Promise<void>;
  /** Stops reading now; the rest is read after the restart. */
  abort(): void;
}

export interface LogPumpDeps {
  readonly driver: Pick<Driver, 'logs'>;
  readonly sink: LogSink;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
}

export function createLogPump(deps: LogPumpDeps, id: AttemptId, source: LogSource): LogPump {
  const { driver, sink, clock, timers, log } = deps;
  const stop = new AbortController();
  const notes: LogLine[] = [];
  let keptNote = -1n;
  let begun = false;
  let ended: () => void = () => undefined;
  const end = new Promise<void>((resolve) => {
    ended = resolve;
  });
  let hasEnded = false;
  let last: LogLine | undefined;
  let isReading = false;
  let settle: () => void = () => undefined;
  const done = new Promise<void>((resolve) => {
    settle = resolve;
  });
  const outlet = createOutlet(async (lines) => {
    await sink.append(source, lines);
    for (const line of lines) if (line.container === SYSTEM_CONTAINER) keptNote = line.timeNs;
  });
  const push = (line: LogLine) => (line.container === SYSTEM_CONTAINER && line.timeNs <= keptNote ? undefined : outlet.push(line));

  const readOnce = async () => {
    await outlet.reset();
    const cursor = await sink.cursor(id);
    keptNote = cursor[SYSTEM_CONTAINER]?.timeNs ?? -1n;
    const missed = [...notes];
    isReading = true;
    for (const line of missed) await push(line);
    for await (const line of driver.logs(id, cursor, stop.signal)) await push(line);
    await Promise.race([end, aborted(stop.signal)]);
    // After all that the containers wrote, though the exit is often known before that.
    if (last !== undefined) await push(last);
    await outlet.drain();
  };

  const run = async () => {
    for (let failures = 1; !stop.signal.aborted; failures++) {
      try {
        await readOnce();
        break;
      } catch (error) {
        if (stop.signal.aborted) break;
        isReading = false;
        if (hasEnded && failures >= MAX_FAILURES) {
          log.error({ attempt: id, error }, 'The remaining log lines of an ended attempt could not be kept; they are lost.');
          break;
        }
        log.warn({ attempt: id, error }, 'Log lines could not be carried on; trying again.');
        await new Promise<void>((resolve) => {
          const forget = timers.at(clock.now() + backoffMs(failures) * MICROS_PER_MILLI, resolve);
          void aborted(stop.signal).then(() => (forget(), resolve()));
        });
      }
    }
    settle();
  };

  return {
    done,
    begin() {
      if (begun) return;
      begun = true;
      void run();
    },
    note(given) {
      const line: LogLine = { ...given, container: SYSTEM_CONTAINER };
      notes.push(line);
      // Otherwise the next reading begins with it. A failure shows when that reading goes on or ends.
      if (isReading) void push(line)?.catch(() => undefined);
    },
    end(given) {
      hasEnded = true;
      last = given === undefined ? undefined : { ...given, container: SYSTEM_CONTAINER };
      ended();
    },
    abort() {
      stop.abort();
      if (!begun) settle();
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true })));
}

interface Outlet {
  /** Resolves when there is room for more. @throws what the sink threw */
  push(line: LogLine): Promise<void>;
  /** Resolves when all that was pushed is kept. @throws what the sink threw */
  drain(): Promise<void>;
  /** Waits for what is under way, then forgets what was not kept, and the failure. */
  reset(): Promise<void>;
}

/** Gathers lines while the sink is busy, so that a fast writer costs few calls. */
function createOutlet(append: (lines: readonly LogLine[]) => Promise<void>): Outlet {
  let buffer: LogLine[] = [];
  let bytes = 0;
  let flushing: Promise<void> | undefined;
  let failure: { readonly error: unknown } | undefined;
  const flush = async () => {
    // A turn later, so that the lines of one chunk go together.
    await Promise.resolve();
    while (buffer.length > 0 && failure === undefined) {
      const batch = buffer.splice(0, MAX_BATCH_LINES);
      bytes -= batch.reduce((sum, line) => sum + line.text.length, 0);
      try {
        await append(batch);
      } catch (error) {
        failure = { error };
      }
    }
    flushing = undefined;
  };
  const check = () => {
    if (failure !== undefined) throw failure.error;
  };
  return {
    async push(line) {
      check();
      buffer.push(line);
      bytes += line.text.length;
      flushing ??= flush();
      while (bytes > MAX_BUFFERED_BYTES && flushing !== undefined) await flushing;
      check();
    },
    async drain() {
      while (flushing !== undefined) await flushing;
      check();
    },
    async reset() {
      while (flushing !== undefined) await flushing;
      buffer = [];
      bytes = 0;
      failure = undefined;
    },
  };
}
