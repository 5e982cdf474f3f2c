/**
 * Waking at a point in time, by the same clock that says what time it is: a test that moves its clock moves these too.
 */
import { type Clock, MICROS_PER_MILLI, type Micros } from '../timestamp.ts';

export interface Timers {
  /** Calls `run` once when the clock has reached `when`, soon if it has already. @returns forgets it */
  at(when: Micros, run: () => void): () => void;
}

/** setTimeout counts in 32 bits, and fires at once for anything longer. */
const LONGEST_MS = 2 ** 31 - 1;

/** Timers of the process. They do not keep it alive by themselves. */
export function createSystemTimers(clock: Clock): Timers {
  return {
    at(when, run) {
      let handle: NodeJS.Timeout;
      const arm = () => {
        const ms = Math.min(LONGEST_MS, Math.max(0, Math.ceil((when - clock.now()) / MICROS_PER_MILLI)));
        // Looked at again when it fires: a longer wait than setTimeout can hold, or a clock that was set back meanwhile.
        handle = setTimeout(() => (clock.now() >= when ? run() : arm()), ms).unref();
      };
      arm();
      return () => clearTimeout(handle);
    },
  };
}

/** 1 s, 2 s, 4 s, ... up to a minute: how long to wait after the n-th failure in a row (1-based). */
export function backoffMs(failures: number): number {
  return Math.min(60_000, 1000 * 2 ** Math.min(failures - 1, 6));
}
