/** The functions that a dialect may offer: each with its types, so that a call can be checked before anything is evaluated. */
import { noOverload } from './operator.ts';
import { parseDuration, parseTimestamp, TIME_PARTS, UTC, type Zone, zoneOf } from './time.ts';
import { CelDuration, CelFailure, type CelResult, CelTimestamp, type CelType, type CelValue, isList, isMap } from './value.ts';

export interface CelFunction<C> {
  /** `timestamp`; `startsWith` for a method; `resource.matchTag` for a function under a name that is no value. */
  readonly name: string;
  /** Of a method: the type that it is called on. */
  readonly target?: CelType;
  readonly args: readonly CelType[];
  readonly result: CelType;
  /** Whether the answer depends on the context: such a call is never computed beforehand. */
  readonly readsContext?: boolean;
  /** @param args the target first, then the arguments; each is of its declared type */
  call(args: readonly CelValue[], context: C): CelResult;
  /** Steps of the budget that a call takes beside those for the length of its arguments and its result. */
  cost?(args: readonly CelValue[]): number;
  /**
   * Prepares the function for arguments that are literals. A failure refuses the expression.
   * @param args as in `call`, undefined where the argument is not a literal
   */
  prepare?(args: readonly (CelValue | undefined)[]): ((args: readonly CelValue[], context: C) => CelResult) | CelFailure;
}

type Pure = CelFunction<unknown>;

/** A method of strings with one string as argument. */
function onStrings(name: string, result: CelType, call: (text: string, argument: string) => CelResult): Pure {
  return {
    name,
    target: 'string',
    args: ['string'],
    result,
    call: ([text, argument]) => (typeof text === 'string' && typeof argument === 'string' ? call(text, argument) : noOverload(name)),
  };
}

export const STARTS_WITH: Pure = onStrings('startsWith', 'bool', (text, prefix) => text.startsWith(prefix));
export const ENDS_WITH: Pure = onStrings('endsWith', 'bool', (text, suffix) => text.endsWith(suffix));
export const CONTAINS: Pure = onStrings('contains', 'bool', (text, part) => text.includes(part));

/**
 * `"projects/p/buckets/b".extract("buckets/{name}")`: the text between what stands before and after the braces, to the end where nothing stands after
 * them; empty where the template does not fit. Source: https://cloud.google.com/iam/docs/conditions-attribute-reference#extract
 */
export const EXTRACT: Pure = {
  ...onStrings('extract', 'string', (text, template) => {
    const parsed = parseTemplate(template);
    return parsed instanceof CelFailure ? parsed : extract(text, parsed);
  }),
  prepare([, template]) {
    if (typeof template !== 'string') return this.call.bind(this);
    const parsed = parseTemplate(template);
    return parsed instanceof CelFailure ? parsed : ([text]) => (typeof text === 'string' ? extract(text, parsed) : noOverload('extract'));
  },
};

function parseTemplate(template: string): { before: string; after: string } | CelFailure {
  const { before, after } = /^(?<before>[^{}]*)\{[A-Za-z_][A-Za-z0-9_]*\}(?<after>[^{}]*)$/s.exec(template)?.groups ?? {};
  return before === undefined || after === undefined ? new CelFailure(`${JSON.stringify(template.slice(0, 100))} is not a template: write one {name} in it`) : { before, after };
}

function extract(text: string, { before, after }: { before: string; after: string }): string {
  const at = text.indexOf(before);
  if (at < 0) return '';
  const begin = at + before.length;
  const end = after === '' ? text.length : text.indexOf(after, begin);
  return end < 0 ? '' : text.slice(begin, end);
}

const timestampFunction: Pure = {
  name: 'timestamp',
  args: ['string'],
  result: 'timestamp',
  call: ([text]) => (typeof text === 'string' ? parseTimestamp(text) : noOverload('timestamp')),
};
/** Google's documentation writes `date("2026-12-31")` too: midnight in UTC. */
const dateFunction: Pure = {
  name: 'date',
  args: ['string'],
  result: 'timestamp',
  call: ([text]) => (typeof text === 'string' ? parseTimestamp(`${text}T00:00:00Z`) : noOverload('date')),
};
const durationFunction: Pure = {
  name: 'duration',
  args: ['string'],
  result: 'duration',
  call: ([text]) => (typeof text === 'string' ? parseDuration(text) : noOverload('duration')),
};

/** `getHours` and its like, with and without a time zone. */
function timePart(name: string, part: (local: CelTimestamp) => number): readonly Pure[] {
  const of = (time: CelValue | undefined, zone: Zone | CelFailure): CelResult => {
    if (zone instanceof CelFailure) return zone;
    if (!(time instanceof CelTimestamp)) return noOverload(name);
    const local = zone(time);
    return local instanceof CelFailure ? local : BigInt(part(local));
  };
  const zoned = ([time, zone]: readonly CelValue[]): CelResult => (typeof zone === 'string' ? of(time, zoneOf(zone)) : noOverload(name));
  return [
    { name, target: 'timestamp', args: [], result: 'int', call: ([time]) => of(time, UTC) },
    {
      name,
      target: 'timestamp',
      args: ['string'],
      result: 'int',
      call: zoned,
      prepare([, name]) {
        if (typeof name !== 'string') return zoned;
        const zone = zoneOf(name);
        return zone instanceof CelFailure ? zone : ([time]) => of(time, zone);
      },
    },
  ];
}

const DURATION_PARTS: Readonly<Record<string, (duration: CelDuration) => number>> = {
  getHours: (d) => Math.trunc(whole(d) / 3600),
  getMinutes: (d) => Math.trunc(whole(d) / 60),
  getSeconds: whole,
  getMilliseconds: (d) => Math.trunc(((d.seconds < 0 && d.nanos > 0 ? d.nanos - 1e9 : d.nanos) / 1e6) % 1000),
};

/** Seconds, cut towards zero. */
function whole(duration: CelDuration): number {
  return duration.seconds < 0 && duration.nanos > 0 ? duration.seconds + 1 : duration.seconds;
}

/** `timestamp`, `duration`, `date`, and what can be asked of a time: what IAM conditions offer of it. */
export const TIME_FUNCTIONS: readonly Pure[] = [
  timestampFunction,
  dateFunction,
  durationFunction,
  ...Object.entries(TIME_PARTS).flatMap(([name, part]) => timePart(name, part)),
  ...Object.entries(DURATION_PARTS).map(
    ([name, part]): Pure => ({
      name,
      target: 'duration',
      args: [],
      result: 'int',
      call: ([duration]) => (duration instanceof CelDuration ? BigInt(part(duration)) : noOverload(name)),
    }),
  ),
];

function sizeOf(value: CelValue | undefined): CelResult {
  if (typeof value === 'string') return BigInt(Array.from(value).length);
  if (value !== undefined && isList(value)) return BigInt(value.length);
  return value !== undefined && isMap(value) ? BigInt(Object.keys(value).length) : noOverload('size');
}

/** What the language itself has beside strings and times: sizes, and conversions between strings and numbers. */
export const STANDARD_FUNCTIONS: readonly Pure[] = [
  { name: 'size', args: ['dyn'], result: 'int', call: ([value]) => sizeOf(value) },
  { name: 'size', target: 'dyn', args: [], result: 'int', call: ([value]) => sizeOf(value) },
  {
    name: 'string',
    args: ['dyn'],
    result: 'string',
    call: ([value]) => (typeof value === 'string' || typeof value === 'bigint' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : noOverload('string')),
  },
  {
    name: 'int',
    args: ['dyn'],
    result: 'int',
    call([value]) {
      if (typeof value === 'bigint') return value;
      if (typeof value === 'number') return Number.isFinite(value) && Math.abs(value) < 2 ** 63 ? BigInt(Math.trunc(value)) : new CelFailure('integer overflow');
      if (typeof value !== 'string') return noOverload('int');
      return /^-?\d{1,18}$/.test(value) ? BigInt(value) : new CelFailure('not an integer');
    },
  },
  {
    name: 'double',
    args: ['dyn'],
    result: 'double',
    call: ([value]) =>
      typeof value === 'number' || typeof value === 'bigint' || (typeof value === 'string' && /^-?\d+(?:\.\d+)?$/.test(value)) ? Number(value) : noOverload('double'),
  },
];

/** What strings offer in attribute mappings of identity providers. Source: https://cloud.google.com/iam/docs/workload-identity-federation#mapping */
export const STRING_FUNCTIONS: readonly Pure[] = [
  STARTS_WITH,
  ENDS_WITH,
  CONTAINS,
  EXTRACT,
  {
    name: 'lowerAscii',
    target: 'string',
    args: [],
    result: 'string',
    call: ([text]) => (typeof text === 'string' ? text.replace(/[A-Z]+/g, (upper) => upper.toLowerCase()) : noOverload('lowerAscii')),
  },
  {
    name: 'upperAscii',
    target: 'string',
    args: [],
    result: 'string',
    call: ([text]) => (typeof text === 'string' ? text.replace(/[a-z]+/g, (lower) => lower.toUpperCase()) : noOverload('upperAscii')),
  },
  { name: 'trim', target: 'string', args: [], result: 'string', call: ([text]) => (typeof text === 'string' ? text.trim() : noOverload('trim')) },
  onStrings('split', { list: 'string' }, (text, separator) => text.split(separator)),
  {
    name: 'replace',
    target: 'string',
    args: ['string', 'string'],
    result: 'string',
    call([text, from, to]) {
      if (typeof text !== 'string' || typeof from !== 'string' || typeof to !== 'string') return noOverload('replace');
      if (text.length * (to.length + 1) > MAX_TEXT) return new CelFailure('the result would be too long');
      return text.replaceAll(from, () => to);
    },
  },
  {
    name: 'join',
    target: { list: 'string' },
    args: ['string'],
    result: 'string',
    call([list, separator]) {
      if (list === undefined || !isList(list) || typeof separator !== 'string') return noOverload('join');
      const texts = list.filter((one) => typeof one === 'string');
      if (texts.length < list.length) return noOverload('join');
      return list.length * (separator.length + 1) > MAX_TEXT ? new CelFailure('the result would be too long') : texts.join(separator);
    },
  },
];

/** No text that is computed is longer. */
export const MAX_TEXT = 1_000_000;
