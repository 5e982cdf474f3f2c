/**
 * Values of the Common Expression Language as this folder computes them, and what takes their place where there is none.
 * Source: https://github.com/google/cel-spec/blob/master/doc/langdef.md
 */

/** Seconds since the epoch (negative before it), and 0 to 999,999,999 nanoseconds. */
export class CelTimestamp {
  readonly seconds: number;
  readonly nanos: number;
  constructor(seconds: number, nanos: number) {
    this.seconds = seconds;
    this.nanos = nanos;
  }
}

/** Nanoseconds are 0 to 999,999,999 here too: minus half a second is -1 s and 500,000,000 ns. */
export class CelDuration {
  readonly seconds: number;
  readonly nanos: number;
  constructor(seconds: number, nanos: number) {
    this.seconds = seconds;
    this.nanos = nanos;
  }
}

/** Own enumerable properties are the entries: whatever JSON.parse makes will do. */
export interface CelMap {
  readonly [key: string]: CelValue;
}
/** `int` is bigint, `double` is number. */
export type CelValue = boolean | string | bigint | number | null | CelTimestamp | CelDuration | readonly CelValue[] | CelMap;

/** What an evaluation gives where it gives no value. It is returned, never thrown: `||` and `&&` go on past it. */
export class CelFailure {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

/**
 * An attribute that what is asked about does not have. It equals nothing, so `==` is false and `!=` is true; everything else fails on it.
 * Source: https://cloud.google.com/iam/docs/conditions-resource-attributes ("do not recognize resource attributes")
 */
export class CelAbsent extends CelFailure {}

export type CelResult = CelValue | CelFailure;

export type CelType = 'bool' | 'string' | 'int' | 'double' | 'null' | 'timestamp' | 'duration' | 'dyn' | { readonly list: CelType } | { readonly map: CelType };

/** `list(string)`, as messages show types. */
export function typeName(type: CelType): string {
  if (typeof type === 'string') return type;
  return 'list' in type ? `list(${typeName(type.list)})` : `map(string, ${typeName(type.map)})`;
}

/** Whether a value of one type may stand where the other is wanted; `dyn` is settled when it is evaluated. */
export function isAssignable(type: CelType, wanted: CelType): boolean {
  if (type === 'dyn' || wanted === 'dyn' || type === wanted) return true;
  if (typeof type === 'string' || typeof wanted === 'string') return false;
  if ('list' in type) return 'list' in wanted && isAssignable(type.list, wanted.list);
  return 'map' in wanted && isAssignable(type.map, wanted.map);
}

export function isList(value: CelResult): value is readonly CelValue[] {
  return Array.isArray(value);
}

export function isMap(value: CelResult): value is CelMap {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof CelTimestamp) && !(value instanceof CelDuration) && !(value instanceof CelFailure)
  );
}

/** Whether a value is of a type, for what could not be settled before. */
export function isOfType(value: CelValue, type: CelType): boolean {
  switch (type) {
    case 'dyn':
      return true;
    case 'bool':
      return typeof value === 'boolean';
    case 'string':
      return typeof value === 'string';
    case 'int':
      return typeof value === 'bigint';
    case 'double':
      return typeof value === 'number';
    case 'null':
      return value === null;
    case 'timestamp':
      return value instanceof CelTimestamp;
    case 'duration':
      return value instanceof CelDuration;
    default:
      return 'list' in type ? isList(value) : isMap(value);
  }
}

/** Equality of CEL: numbers by value whatever their types, lists and maps by their parts, and never across other types. */
export function isEqual(a: CelValue, b: CelValue): boolean {
  if (a === b) return true;
  if (isNumber(a) && isNumber(b)) return Number(a) === Number(b) && (typeof a === typeof b || BigInt(Math.trunc(Number(a))) === BigInt(Math.trunc(Number(b))));
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a instanceof CelTimestamp) return b instanceof CelTimestamp && a.seconds === b.seconds && a.nanos === b.nanos;
  if (a instanceof CelDuration) return b instanceof CelDuration && a.seconds === b.seconds && a.nanos === b.nanos;
  if (isList(a)) return isList(b) && a.length === b.length && a.every((value, index) => isEqual(value, b[index] ?? null));
  if (!isMap(a) || !isMap(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && isEqual(a[key] ?? null, b[key] ?? null));
}

export function isNumber(value: CelValue): value is bigint | number {
  return typeof value === 'bigint' || typeof value === 'number';
}
/** For messages: strings in quotes, nothing longer than a line. */
export function showValue(value: CelValue): string {
  if (value instanceof CelTimestamp) return new Date(value.seconds * 1000 + Math.floor(value.nanos / 1e6)).toISOString();
  if (value instanceof CelDuration) return `${value.seconds + value.nanos / 1e9}s`;
  const text = JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? part.toString() : part)) ?? 'null';
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}
