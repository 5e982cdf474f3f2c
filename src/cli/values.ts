/** The values of flags, in gcloud's notation. Each parser throws commander's InvalidArgumentError, which names the flag. */
import { InvalidArgumentError } from 'commander';

/** `a,b,c`; `^:^a:b,c` chooses another separator; an empty string is the empty list. */
export function parseList(text: string): string[] {
  if (text === '') return [];
  const escape = /^\^([^^]*)\^/.exec(text);
  const separator = escape?.[1] || ',';
  return text.slice(escape?.[0].length ?? 0).split(separator);
}

/** `--flag a,b --flag c` adds up; the empty string alone empties. */
export function collectList(text: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), ...parseList(text)];
}

/** `K=V,K2=V2`; a later key wins. The value may hold `=`. */
export function collectPairs(text: string, previous: ReadonlyMap<string, string> | undefined): ReadonlyMap<string, string> {
  const pairs = new Map(previous);
  for (const part of parseList(text)) {
    const at = part.indexOf('=');
    if (at <= 0) throw new InvalidArgumentError(`'${part}' is not KEY=VALUE. A value that holds a comma needs another separator: ^;^KEY=a,b;KEY2=c`);
    pairs.set(part.slice(0, at).trim(), part.slice(at + 1));
  }
  return pairs;
}

/** A whole number within bounds. */
export function integerBetween(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) throw new InvalidArgumentError(`'${text}' is not a whole number from ${least} to ${most}.`);
    return value;
  };
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86400 };

/** `90`, `90s`, `10m`, `1h30m`, `2d` in seconds. */
export function parseDuration(text: string): number {
  if (/^\d+$/.test(text)) return positive(Number(text), text);
  const parts = [...text.matchAll(/(\d+)([smhd])/g)];
  if (parts.length === 0 || parts.map((part) => part[0]).join('') !== text)
    throw new InvalidArgumentError(`'${text}' is not a duration. Write seconds, or for example 10m, 1h30m.`);
  return positive(
    parts.reduce((sum, [, count, unit = 's']) => sum + Number(count) * (UNIT_SECONDS[unit] ?? 1), 0),
    text,
  );
}

function positive(seconds: number, text: string): number {
  if (seconds < 1) throw new InvalidArgumentError(`'${text}' is shorter than one second.`);
  return seconds;
}

/** `600s` as `10m`, as gcloud shows a task's timeout. */
export function showDuration(text: string | undefined): string | undefined {
  const match = /^(\d+)(?:\.\d+)?s$/.exec(text ?? '');
  if (match === null) return text;
  let seconds = Number(match[1]);
  const parts: string[] = [];
  for (const [unit, size] of [
    ['d', 86400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.length === 0 ? '0s' : parts.join('');
}
