/**
 * What a key in `--format` can do to its value, `name.basename()`, `createTime.date(format="%F", tz=UTC)`. Each gives what gcloud's own gives, held by
 * `npm run test:gcloud`. Source: `gcloud topic projections`.
 */
import { failure, usageFailure } from './failure.ts';
import { isList, isRecord, type Json, nestedText, plainText } from './json.ts';
import { formatTime, parseTime } from './strftime.ts';

/** The arguments of a call: by place, and by name. */
export interface Args {
  readonly list: readonly string[];
  readonly named: ReadonlyMap<string, string>;
}

type Value = Json | undefined;
type Transform = (value: Value, args: (place: number, name: string, otherwise: string) => string, all: Args, read: (item: Json, key: string) => Value) => Value;

const TRANSFORMS: Readonly<Record<string, Transform>> = {
  basename: (value, arg) => mapText(value, (text) => text.split(/[/\\]/).at(-1) || arg(0, 'undefined', '')),
  count: (value) => {
    const counts: Record<string, number> = {};
    for (const item of elements(value)) counts[plainText(item)] = (counts[plainText(item)] ?? 0) + 1;
    return counts;
  },
  date: (value, arg) => {
    const time = parseTime(plainText(value), Number(arg(1, 'unit', '1')));
    return time === undefined ? arg(2, 'undefined', '') : formatTime(time, arg(0, 'format', '%Y-%m-%dT%H:%M:%S'), arg(3, 'tz', ''));
  },
  iso: (value, arg) => {
    const time = parseTime(plainText(value), 1);
    return time === undefined ? arg(0, 'undefined', 'T') : formatTime(time, '%Y-%m-%dT%H:%M:%S.%3f%Oz', '');
  },
  decode: (value, arg) => (typeof value !== 'string' ? arg(1, 'undefined', '') : arg(0, 'encoding', '') === 'base64' ? Buffer.from(value, 'base64').toString('utf8') : value),
  encode: (value, arg) => (arg(0, 'encoding', '') === 'base64' ? Buffer.from(plainText(value)).toString('base64') : plainText(value)),
  extract: (value, _arg, { list }, read) => (value === undefined ? [] : list.map((key) => read(value, key) ?? null).filter((item) => item !== null && item !== '')),
  firstof: (value, _arg, { list }, read) => (value === undefined ? '' : (list.map((key) => read(value, key)).find((found) => found !== undefined && found !== null) ?? '')),
  format: (value, _arg, { list }, read) => {
    const [pattern = '', ...keys] = list;
    const values = keys.length === 0 ? (isList(value) ? value : [value]) : keys.map((key) => (value === undefined ? undefined : read(value, key)));
    return pattern.replaceAll(/\{(\d*)\}/g, (_, index: string) => plainText(values[Number(index)]));
  },
  join: (value, arg) =>
    isList(value) || typeof value === 'string'
      ? elements(value)
          .map(plainText)
          .join(arg(0, 'sep', '/'))
      : value === undefined
        ? undefined
        : arg(1, 'undefined', ''),
  len: (value) => (isRecord(value) ? Object.keys(value).length : elements(value).length),
  list: (value, arg) => listed(value, arg(0, 'show', ''), arg(2, 'separator', ','), false) || arg(1, 'undefined', ''),
  flatten: (value, arg) => listed(value, arg(0, 'show', ''), arg(2, 'separator', ','), true) || arg(1, 'undefined', ''),
  lower: (value) => mapText(value, (text) => text.toLowerCase()),
  upper: (value) => mapText(value, (text) => text.toUpperCase()),
  notnull: (value) => elements(value).filter((item) => item !== null),
  scope: (value, _arg, { list }) =>
    mapText(value, (text) => {
      const segment = (list.length === 0 ? ['regions', 'zones'] : list).map((name) => `/${name}/`).find((part) => text.includes(part));
      return segment === undefined ? (text.startsWith('https://') ? (text.split('/').at(-1) ?? '') : text) : (text.split(segment).at(-1) ?? '');
    }),
  segment: (value, arg) =>
    mapText(
      value,
      (text) =>
        decodeURIComponent(text)
          .split('/')
          .at(Number(arg(0, 'index', '-1'))) || arg(1, 'undefined', ''),
    ),
  size: (value, arg) => bytes(Number(plainText(value)), arg(0, 'zero', '0'), Number(arg(1, 'precision', '1'))),
  slice: (value, arg) => {
    const parts = arg(0, 'op', ':')
      .split(':')
      .map((part) => (part.trim() === '' ? undefined : Number(part)));
    if (parts.length > 2 || parts.some((part) => Number.isNaN(part)))
      throw usageFailure(`slice(${arg(0, 'op', ':')}) is not supported.`, 'Write slice(START:END) or slice(INDEX).');
    const [start, end] = parts.length === 1 ? [parts[0], (parts[0] ?? 0) + 1 || undefined] : parts;
    return elements(value).slice(start, end);
  },
  sort: (value, arg, _all, read) => {
    const key = arg(0, 'attr', '');
    const text = (item: Json): string => plainText(key === '' ? item : read(item, key));
    return elements(value).toSorted((left, right) => (text(left) < text(right) ? -1 : text(left) > text(right) ? 1 : 0));
  },
  split: (value, arg) => (typeof value === 'string' && value !== '' ? value.split(arg(0, 'sep', '/')) : arg(1, 'undefined', '')),
  sub: (value, arg) => {
    let left = Number(arg(2, 'count', '0')) || Number.POSITIVE_INFINITY;
    const pattern = regularExpression(arg(0, 'pattern', ''), /^(?:false|0)$/i.test(arg(3, 'ignorecase', 'true')) ? 'g' : 'gi');
    return mapText(value, (text) => text.replaceAll(pattern, (found) => (left-- > 0 ? arg(1, 'replacement', '') : found)));
  },
  regex: (value, arg) =>
    typeof value === 'string' && regularExpression(`^(?:${arg(0, 'expression', '')})`, '').test(value) ? arg(1, 'does_match', '') || value : arg(2, 'nomatch', ''),
  trailoff: (value, arg) =>
    mapText(value, (text) => {
      const limit = Number(arg(0, 'character_limit', '0'));
      return !(limit > 3) ? arg(1, 'undefined', '') : text.length < limit ? text : `${text.slice(0, limit - 3)}...`;
    }),
  yesno: (value, arg, { list, named }) => (isEmpty(value) ? arg(1, 'no', 'No') : list.length > 0 || named.has('yes') ? arg(0, 'yes', '') : value),
};

export const TRANSFORM_NAMES: readonly string[] = [...Object.keys(TRANSFORMS), 'map', 'always'].toSorted();

/** @param read a key of an item, for the transforms that take keys */
export function transform(name: string, value: Value, all: Args, read: (item: Json, key: string) => Value): Value {
  const known = TRANSFORMS[name];
  if (known === undefined) throw failure(`There is no transform ${name}().`);
  return known(value, (place, word, otherwise) => all.list[place] ?? all.named.get(word) ?? otherwise, all, read);
}

function isEmpty(value: Value): boolean {
  return (
    value === undefined ||
    value === null ||
    value === false ||
    value === '' ||
    value === 0 ||
    (isList(value) && value.length === 0) ||
    (isRecord(value) && Object.keys(value).length === 0)
  );
}

/** A text counts as the list of its characters. */
function elements(value: Value): readonly Json[] {
  return isList(value) ? value : typeof value === 'string' ? Array.from(value) : [];
}

/** @param deep whether what is nested is written the same way */
function listed(value: Value, show: string, separator: string, deep: boolean): string {
  const inner = (item: Value): string =>
    deep && (isList(item) || isRecord(item)) ? listed(item, show, separator, deep) : isList(item) || isRecord(item) || item === null ? nestedText(item) : plainText(item);
  if (isList(value)) return value.map(inner).join(separator);
  if (!isRecord(value)) return plainText(value);
  const entries = Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1));
  return entries.map(([key, item]) => (show === 'keys' ? key : show === 'values' ? inner(item) : `${key}=${inner(item)}`)).join(separator);
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

function bytes(size: number, zero: string, precision: number): string {
  if (!(size > 0)) return zero;
  const unit = Math.min(UNITS.length - 1, Math.floor(Math.log2(size) / 10));
  const scaled = size / 1024 ** Math.max(0, unit);
  return `${Number.isInteger(scaled) ? scaled : scaled.toFixed(precision)} ${UNITS[Math.max(0, unit)] ?? ''}`;
}

function mapText(value: Value, change: (text: string) => string): Value {
  if (isList(value)) return value.map((item) => (typeof item === 'string' ? change(item) : item));
  return typeof value === 'string' || typeof value === 'number' ? change(String(value)) : value;
}

/** @throws usage */
export function regularExpression(text: string, flags = ''): RegExp {
  try {
    return new RegExp(text, flags);
  } catch (error) {
    throw usageFailure(`'${text}' is not a regular expression: ${error instanceof Error ? error.message : String(error)}`);
  }
}
