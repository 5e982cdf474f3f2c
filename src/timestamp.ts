/**
 * Points in time as we keep them: whole microseconds since the epoch, in a JavaScript number (exact until the year 2255).
 * Google's answers carry microseconds; a `Date` would lose three digits of them. Every room imports this, so the messages are made without their descriptors.
 */
import type { Duration, Timestamp } from '@bufbuild/protobuf/wkt';

/** Microseconds since 1970-01-01T00:00:00Z. */
export type Micros = number;

/** Where the time comes from. Tests inject one that they can move. */
export interface Clock {
  now(): Micros;
}

let last = 0;
/** The machine's wall clock, made strictly increasing within this process so that "newest first" has one order. */
export const systemClock: Clock = {
  now() {
    // The monotonic clock does not follow clock steps; Date.now() does, so it gives the milliseconds.
    const micros = Date.now() * 1000 + (Math.floor(process.hrtime()[1] / 1000) % 1000);
    last = micros > last ? micros : last + 1;
    return last;
  },
};

export const MICROS_PER_SECOND = 1_000_000;
export const MICROS_PER_MILLI = 1000;

export function toTimestamp(micros: Micros): Timestamp {
  const seconds = Math.floor(micros / MICROS_PER_SECOND);
  return { $typeName: 'google.protobuf.Timestamp', seconds: BigInt(seconds), nanos: (micros - seconds * MICROS_PER_SECOND) * 1000 };
}

export function fromTimestamp(timestamp: Timestamp): Micros {
  return Number(timestamp.seconds) * MICROS_PER_SECOND + Math.floor(timestamp.nanos / 1000);
}

/** @param ms whole or fractional milliseconds */
export function toDuration(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  return { $typeName: 'google.protobuf.Duration', seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) };
}

/** Milliseconds, fractional where the duration is finer. */
export function fromDuration(duration: Duration): number {
  return Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}
