/** Times as text, in strftime's notation with what gcloud adds to it: `%3f` for milliseconds, `%Oz` and `%Ez` for offsets. */
import { usageFailure } from './failure.ts';

/** An instant, and the offset from UTC that its text had, in minutes. */
export interface Time {
  readonly instant: Date;
  readonly offset: number;
  /** Digits behind the second's point, as many as there were. */
  readonly fraction: string;
}

/** @param text RFC 3339, or a number of `unit`s of a second since 1970 @returns undefined for anything else */
export function parseTime(text: string, unit: number): Time | undefined {
  if (/^-?\d+(?:\.\d+)?$/.test(text)) return { instant: new Date((Number(text) / unit) * 1000), offset: 0, fraction: '' };
  const match = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.(?<fraction>\d+))?(?<zone>[Zz]|[+-]\d\d:?\d\d)$/.exec(text);
  const instant = new Date(text);
  if (match === null || Number.isNaN(instant.getTime())) return undefined;
  const [, sign = '+', hours = '0', minutes = '0'] = /^([+-])(\d\d):?(\d\d)$/.exec(match.groups?.['zone'] ?? '') ?? [];
  return { instant, offset: (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)), fraction: match.groups?.['fraction'] ?? '' };
}

/** @param zone a name, `Europe/Paris`, UTC, LOCAL; empty: the time's own @throws usage for a directive or a zone that is not known */
export function formatTime(time: Time, pattern: string, zone: string): string {
  const offset = zone === '' ? time.offset : offsetAt(time.instant, zone);
  // A date that says in UTC what the clock says there.
  const clock = new Date(time.instant.getTime() + offset * 60_000);
  const pad = (value: number, width = 2): string => String(value).padStart(width, '0');
  const text = (options: Intl.DateTimeFormatOptions): string => new Intl.DateTimeFormat('en-US', { ...options, timeZone: 'UTC' }).format(clock);
  const sign = `${offset < 0 ? '-' : '+'}${pad(Math.floor(Math.abs(offset) / 60))}`;
  const day = `${clock.getUTCFullYear()}-${pad(clock.getUTCMonth() + 1)}-${pad(clock.getUTCDate())}`;
  const hour = `${pad(clock.getUTCHours())}:${pad(clock.getUTCMinutes())}:${pad(clock.getUTCSeconds())}`;
  const directives: Readonly<Record<string, () => string>> = {
    Y: () => String(clock.getUTCFullYear()),
    y: () => pad(clock.getUTCFullYear() % 100),
    m: () => pad(clock.getUTCMonth() + 1),
    d: () => pad(clock.getUTCDate()),
    e: () => String(clock.getUTCDate()).padStart(2),
    H: () => pad(clock.getUTCHours()),
    I: () => pad(clock.getUTCHours() % 12 || 12),
    M: () => pad(clock.getUTCMinutes()),
    S: () => pad(clock.getUTCSeconds()),
    p: () => (clock.getUTCHours() < 12 ? 'AM' : 'PM'),
    a: () => text({ weekday: 'short' }),
    A: () => text({ weekday: 'long' }),
    b: () => text({ month: 'short' }),
    B: () => text({ month: 'long' }),
    j: () => pad(Math.floor((Date.UTC(clock.getUTCFullYear(), clock.getUTCMonth(), clock.getUTCDate()) - Date.UTC(clock.getUTCFullYear(), 0, 0)) / 86_400_000), 3),
    F: () => day,
    T: () => hour,
    s: () => String(Math.floor(time.instant.getTime() / 1000)),
    f: () => time.fraction.slice(0, 6).padEnd(6, '0'),
    z: () => `${sign}${pad(Math.abs(offset) % 60)}`,
    Ez: () => `${sign}:${pad(Math.abs(offset) % 60)}`,
    Oz: () => (offset === 0 ? 'Z' : `${sign}:${pad(Math.abs(offset) % 60)}`),
    Z: () => (offset === 0 ? 'UTC' : zone || `${sign}:${pad(Math.abs(offset) % 60)}`),
    '%': () => '%',
  };
  return pattern.replaceAll(/%(?<digits>\d?)(?<name>[EO]?[a-zA-Z%])/g, (whole, digits: string, name: string) => {
    if (digits !== '' && name === 'f') return time.fraction.slice(0, Number(digits)).padEnd(Number(digits), '0');
    const directive = directives[name];
    if (directive === undefined || digits !== '')
      throw usageFailure(
        `'${whole}' in the format of a time is not supported.`,
        `Known: ${Object.keys(directives)
          .map((known) => `%${known}`)
          .join(' ')} %3f`,
      );
    return directive();
  });
}

/** In minutes, at that instant. */
function offsetAt(instant: Date, zone: string): number {
  if (/^local$/i.test(zone)) return -instant.getTimezoneOffset();
  let name: string;
  try {
    name = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' }).formatToParts(instant).find(({ type }) => type === 'timeZoneName')?.value ?? '';
  } catch {
    throw usageFailure(`'${zone}' is not a time zone.`, 'Write, for example, UTC, LOCAL or Europe/Paris.');
  }
  const [, sign = '+', hours = '0', minutes = '0'] = /([+-])(\d\d):(\d\d)/.exec(name) ?? [];
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes));
}
