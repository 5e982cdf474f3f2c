/** A clock for tests and simulations that stands still until it is moved, and the timers that belong to it. */
import { type Clock, MICROS_PER_MILLI, type Micros } from '../../timestamp.ts';
import type { Timers } from '../timers.ts';

export interface MovableTime extends Clock, Timers {
  /** Moves the clock and calls what has become due, in the order of its time. @param ms milliseconds, not negative */
  advance(ms: number): void;
  /** When the next timer is due; undefined when none is set. */
  next(): Micros | undefined;
}

/** @param start microseconds since the epoch; each `now()` is at least one microsecond after the one before, as the system's clock has it */
export function createMovableTime(start: Micros = Date.UTC(2026, 0, 1) * MICROS_PER_MILLI): MovableTime {
  let now = start;
  const timers = new Set<{ when: Micros; run: () => void }>();
  const earliest = () =>
    [...timers].reduce<{ when: Micros; run: () => void } | undefined>((least, timer) => (least === undefined || timer.when < least.when ? timer : least), undefined);
  return {
    now: () => ++now,
    at(when, run) {
      const timer = { when, run };
      timers.add(timer);
      // Already due: in a turn of its own, as setTimeout(0) would.
      if (when <= now) setImmediate(() => timers.delete(timer) && run());
      return () => timers.delete(timer);
    },
    advance(ms) {
      const target = now + ms * MICROS_PER_MILLI;
      for (let timer = earliest(); timer !== undefined && timer.when <= target; timer = earliest()) {
        timers.delete(timer);
        now = Math.max(now, timer.when);
        timer.run();
      }
      now = Math.max(now, target);
    },
    next: () => earliest()?.when,
  };
}
