/** How many attempts the host runs at once, over all executions; who finds none free waits in line. */

export interface Slots {
  readonly max: number;
  readonly used: number;
  /** @returns how many of `wanted` were free and are now taken */
  take(wanted: number): number;
  /** Takes them beyond the maximum if need be: for attempts that run already. */
  force(count: number): void;
  release(count: number): void;
  /** Calls `wake` once when a slot may be free; the same function waits once only. @param wake returns false where it has no use for one any more: the next in line is asked */
  wait(wake: () => boolean): void;
}

export function createSlots(max: number): Slots {
  let used = 0;
  const line = new Set<() => boolean>();
  const wakeNext = () => {
    // As many as there are free slots, and the first in line first: an execution with many tasks goes to the end after each turn.
    let free = max - used;
    for (const wake of [...line]) {
      if (free <= 0) return;
      line.delete(wake);
      if (wake()) free--;
    }
  };
  return {
    max,
    get used() {
      return used;
    },
    take(wanted) {
      const taken = Math.max(0, Math.min(wanted, max - used));
      used += taken;
      return taken;
    },
    force(count) {
      used += count;
    },
    release(count) {
      used -= count;
      wakeNext();
    },
    wait(wake) {
      line.add(wake);
    },
  };
}
