/** Timestamps and durations: their texts, their arithmetic, and the parts of a date in a time zone. */
import { CelDuration, CelFailure, CelTimestamp } from './value.ts';

const RFC3339 = /^(?<day>\d{4}-\d{2}-\d{2})[Tt](?<time>\d{2}:\d{2}:\d{2})(?:\.(?<fraction>\d{1,9}))?(?<zone>[Zz]|[+-]\d{2}:\d{2})$/;
/** Years 1 to 9999. */
const MIN_SECONDS = -62_135_596_800;
const MAX_SECONDS = 253_402_300_799;
/** 10,000 years, as google.protobuf.Duration. */
const MAX_DURATION_SECONDS = 315_576_000_000;

/** @param text RFC 3339 */
export function parseTimestamp(text: string): CelTimestamp | CelFailure {
  const { day = '', time = '', fraction = '', zone = '' } = RFC3339.exec(text)?.groups ?? {};
  const local = Date.parse(`${day}T${time}Z`);
  const offset = zone.length === 1 ? 0 : offsetSeconds(zone);
  // Date.parse takes 2026-02-31 for March.
  if (Number.isNaN(local) || offset === undefined || !new Date(local).toISOString().startsWith(`${day}T${time}`))
    return new CelFailure(`${JSON.stringify(text)} is not a timestamp`);
  return timestampOf(local / 1000 - offset, Number(fraction.padEnd(9, '0')));
}

const DURATION = /^[+-]?(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+$|^[+-]?0$/;
const NANOS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** @param text `1h30m`, `3.5s`, `-90ms` */
export function parseDuration(text: string): CelDuration | CelFailure {
  if (text.length > 100 || !DURATION.test(text)) return new CelFailure(`${JSON.stringify(text)} is not a duration`);
  let seconds = 0;
  let nanos = 0;
  for (const [, whole = '', fraction = '', unit = ''] of text.matchAll(/(\d+)(?:\.(\d*))?(ns|us|µs|ms|s|m|h)/g)) {
    const size = NANOS[unit] ?? 0;
    const perSecond = size / 1e9;
    if (perSecond >= 1) seconds += Number(whole) * perSecond;
    else {
      seconds += Math.floor(Number(whole) / (1e9 / size));
      nanos += (Number(whole) % (1e9 / size)) * size;
    }
    const part = Math.round(Number(`0.${fraction}0`) * size);
    seconds += Math.floor(part / 1e9);
    nanos += part % 1e9;
  }
  return text.startsWith('-') ? durationOf(-seconds, -nanos) : durationOf(seconds, nanos);
}

/** Carries nanoseconds into seconds. Fails outside of the years 1 to 9999. */
export function timestampOf(seconds: number, nanos: number): CelTimestamp | CelFailure {
  const whole = seconds + Math.floor(nanos / 1e9);
  if (!(whole >= MIN_SECONDS && whole <= MAX_SECONDS)) return new CelFailure('timestamp out of range');
  return new CelTimestamp(whole, nanos - Math.floor(nanos / 1e9) * 1e9);
}

export function durationOf(seconds: number, nanos: number): CelDuration | CelFailure {
  const whole = seconds + Math.floor(nanos / 1e9);
  if (!(Math.abs(whole) <= MAX_DURATION_SECONDS)) return new CelFailure('duration out of range');
  return new CelDuration(whole, nanos - Math.floor(nanos / 1e9) * 1e9);
}

/** @param micros microseconds since the epoch */
export function timestampFromMicros(micros: number): CelTimestamp {
  const seconds = Math.floor(micros / 1e6);
  return new CelTimestamp(seconds, Math.round(micros - seconds * 1e6) * 1000);
}

function offsetSeconds(text: string): number | undefined {
  const { sign, hours = '', minutes = '' } = /^(?<sign>[+-]?)(?<hours>\d{2}):(?<minutes>\d{2})$/.exec(text)?.groups ?? {};
  if (hours === '' || Number(hours) > 23 || Number(minutes) > 59) return undefined;
  return (sign === '-' ? -1 : 1) * (Number(hours) * 3600 + Number(minutes) * 60);
}

/** Turns a time into the clock of a zone, as a time in UTC whose parts are those of the zone. */
export type Zone = (time: CelTimestamp) => CelTimestamp | CelFailure;

export const UTC: Zone = (time) => time;

/** @param name `Europe/Berlin` or `+02:00`. Making one costs much more than using it. */
export function zoneOf(name: string): Zone | CelFailure {
  const fixed = offsetSeconds(name);
  if (fixed !== undefined) return (time) => timestampOf(time.seconds + fixed, time.nanos);
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  } catch {
    return new CelFailure(`${JSON.stringify(name.slice(0, 100))} is not a time zone`);
  }
  return (time) => {
    const parts: { [part: string]: number } = {};
    for (const { type, value } of format.formatToParts(time.seconds * 1000)) parts[type] = Number(value);
    const local = Date.UTC(parts['year'] ?? 0, (parts['month'] ?? 1) - 1, parts['day'] ?? 1, parts['hour'] ?? 0, parts['minute'] ?? 0, parts['second'] ?? 0);
    return new CelTimestamp(local / 1000, time.nanos);
  };
}

/** What the accessors of a timestamp give, of a time that is already in its zone. `getMonth`, `getDayOfMonth` and `getDayOfYear` count from 0, `getDate` from 1. */
export const TIME_PARTS: Readonly<Record<string, (local: CelTimestamp) => number>> = {
  getFullYear: (local) => date(local).getUTCFullYear(),
  getMonth: (local) => date(local).getUTCMonth(),
  getDate: (local) => date(local).getUTCDate(),
  getDayOfMonth: (local) => date(local).getUTCDate() - 1,
  getDayOfWeek: (local) => date(local).getUTCDay(),
  getDayOfYear: (local) => Math.floor((local.seconds - Date.UTC(date(local).getUTCFullYear(), 0, 1) / 1000) / 86_400),
  getHours: (local) => date(local).getUTCHours(),
  getMinutes: (local) => date(local).getUTCMinutes(),
  getSeconds: (local) => date(local).getUTCSeconds(),
  getMilliseconds: (local) => Math.floor(local.nanos / 1e6),
};

function date(local: CelTimestamp): Date {
  return new Date(local.seconds * 1000);
}
