/** The operators, on values: what each makes of its operands, and which types it takes. */
import { durationOf, timestampOf } from './time.ts';
import { CelDuration, CelFailure, type CelResult, CelTimestamp, type CelType, type CelValue, isAssignable, isEqual, isList, isMap, isNumber } from './value.ts';

const MIN_INT = -(2n ** 63n);
const MAX_INT = 2n ** 63n - 1n;

const COMPARABLE: ReadonlySet<CelType> = new Set<CelType>(['bool', 'int', 'double', 'string', 'timestamp', 'duration']);

/** Result types by operator. Undefined: no overload takes these operands. */
export const OPERATOR_TYPES: Readonly<Record<string, (...operands: CelType[]) => CelType | undefined>> = {
  '_==_': (a = 'dyn', b = 'dyn') => (isAssignable(a, b) || a === 'null' || b === 'null' ? 'bool' : undefined),
  '_!=_': (a = 'dyn', b = 'dyn') => (isAssignable(a, b) || a === 'null' || b === 'null' ? 'bool' : undefined),
  '_<_': ordered,
  '_<=_': ordered,
  '_>_': ordered,
  '_>=_': ordered,
  '_+_': (a = 'dyn', b = 'dyn') => sum(a, b),
  '_-_': (a = 'dyn', b = 'dyn') => difference(a, b),
  '_*_': numeric,
  '_/_': numeric,
  '_%_': (a = 'dyn', b = 'dyn') => (isAssignable(a, 'int') && isAssignable(b, 'int') ? 'int' : undefined),
  '-_': (a = 'dyn') => (a === 'int' || a === 'double' || a === 'duration' || a === 'dyn' ? a : undefined),
  '@in': (a = 'dyn', b = 'dyn') => {
    if (typeof b === 'string') return b === 'dyn' ? 'bool' : undefined;
    return isAssignable(a, 'list' in b ? b.list : 'string') ? 'bool' : undefined;
  },
  '_[_]': (a = 'dyn', b = 'dyn') => {
    if (typeof a === 'string') return a === 'dyn' ? 'dyn' : undefined;
    if ('list' in a) return isAssignable(b, 'int') ? a.list : undefined;
    return isAssignable(b, 'string') ? a.map : undefined;
  },
};

function ordered(a: CelType = 'dyn', b: CelType = 'dyn'): CelType | undefined {
  return isAssignable(a, b) && [a, b].every((type) => type === 'dyn' || COMPARABLE.has(type)) ? 'bool' : undefined;
}

function numeric(a: CelType = 'dyn', b: CelType = 'dyn'): CelType | undefined {
  if (!isAssignable(a, b)) return undefined;
  const type = a === 'dyn' ? b : a;
  return type === 'int' || type === 'double' || type === 'dyn' ? type : undefined;
}

function sum(a: CelType, b: CelType): CelType | undefined {
  if (a === 'dyn' || b === 'dyn') return 'dyn';
  if ((a === 'timestamp' && b === 'duration') || (a === 'duration' && b === 'timestamp')) return 'timestamp';
  if (!isAssignable(a, b)) return undefined;
  return a === 'int' || a === 'double' || a === 'string' || a === 'duration' || (typeof a === 'object' && 'list' in a) ? a : undefined;
}

function difference(a: CelType, b: CelType): CelType | undefined {
  if (a === 'dyn' || b === 'dyn') return 'dyn';
  if (a === 'timestamp') return b === 'timestamp' ? 'duration' : b === 'duration' ? 'timestamp' : undefined;
  return isAssignable(a, b) && (a === 'int' || a === 'double' || a === 'duration') ? a : undefined;
}

export type BinaryOperator = (a: CelValue, b: CelValue) => CelResult;

/** All but `==`, `!=`, `&&`, `||`, `!` and `?:`, which have rules of their own for what failed. */
export const OPERATORS: Readonly<Record<string, BinaryOperator>> = {
  '_<_': (a, b) => compared(a, b, (order) => order < 0),
  '_<=_': (a, b) => compared(a, b, (order) => order <= 0),
  '_>_': (a, b) => compared(a, b, (order) => order > 0),
  '_>=_': (a, b) => compared(a, b, (order) => order >= 0),
  '_+_': add,
  '_-_': subtract,
  '_*_': (a, b) => arithmetic(a, b, '*'),
  '_/_': (a, b) => arithmetic(a, b, '/'),
  '_%_': (a, b) => arithmetic(a, b, '%'),
  '@in': (a, b) => {
    if (isList(b)) return b.some((one) => isEqual(a, one));
    return isMap(b) && typeof a === 'string' ? Object.hasOwn(b, a) : noOverload('in');
  },
  '_[_]': (a, b) => {
    if (isList(a)) return isNumber(b) && Number.isInteger(Number(b)) ? (a[Number(b)] ?? new CelFailure(`index ${b} is out of range`)) : noOverload('[]');
    if (!isMap(a) || typeof b !== 'string') return noOverload('[]');
    return Object.hasOwn(a, b) ? (a[b] ?? null) : new CelFailure(`no such key: ${b.slice(0, 100)}`);
  },
};

export function negate(value: CelValue): CelResult {
  if (typeof value === 'bigint') return int(-value);
  if (typeof value === 'number') return -value;
  return value instanceof CelDuration ? durationOf(-value.seconds, -value.nanos) : noOverload('-');
}

/** Less than 0, 0 or more, or undefined where the two cannot be ordered. */
function order(a: CelValue, b: CelValue): number | undefined {
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0;
  if (isNumber(a) && isNumber(b)) return a < b ? -1 : a > b ? 1 : a === b || isEqual(a, b) ? 0 : Number.NaN;
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b);
  if ((a instanceof CelTimestamp && b instanceof CelTimestamp) || (a instanceof CelDuration && b instanceof CelDuration)) return a.seconds - b.seconds || a.nanos - b.nanos;
  return undefined;
}

function compared(a: CelValue, b: CelValue, holds: (order: number) => boolean): CelResult {
  const found = order(a, b);
  return found === undefined ? noOverload('comparison') : holds(found);
}

function add(a: CelValue, b: CelValue): CelResult {
  if (typeof a === 'string' && typeof b === 'string') return a + b;
  if (isList(a) && isList(b)) return [...a, ...b];
  if (a instanceof CelTimestamp && b instanceof CelDuration) return timestampOf(a.seconds + b.seconds, a.nanos + b.nanos);
  if (a instanceof CelDuration && b instanceof CelTimestamp) return timestampOf(a.seconds + b.seconds, a.nanos + b.nanos);
  if (a instanceof CelDuration && b instanceof CelDuration) return durationOf(a.seconds + b.seconds, a.nanos + b.nanos);
  return arithmetic(a, b, '+');
}

function subtract(a: CelValue, b: CelValue): CelResult {
  if (a instanceof CelTimestamp && b instanceof CelTimestamp) return durationOf(a.seconds - b.seconds, a.nanos - b.nanos);
  if (a instanceof CelTimestamp && b instanceof CelDuration) return timestampOf(a.seconds - b.seconds, a.nanos - b.nanos);
  if (a instanceof CelDuration && b instanceof CelDuration) return durationOf(a.seconds - b.seconds, a.nanos - b.nanos);
  return arithmetic(a, b, '-');
}

function arithmetic(a: CelValue, b: CelValue, operator: '+' | '-' | '*' | '/' | '%'): CelResult {
  if (typeof a === 'number' && typeof b === 'number' && operator !== '%') {
    if (operator === '+') return a + b;
    if (operator === '-') return a - b;
    return operator === '*' ? a * b : a / b;
  }
  if (typeof a !== 'bigint' || typeof b !== 'bigint') return noOverload(operator);
  if (operator === '+') return int(a + b);
  if (operator === '-') return int(a - b);
  if (operator === '*') return int(a * b);
  if (b === 0n) return new CelFailure('division by zero');
  return operator === '/' ? int(a / b) : a % b;
}

/** Integers are of 64 bits. */
function int(value: bigint): bigint | CelFailure {
  return value >= MIN_INT && value <= MAX_INT ? value : new CelFailure('integer overflow');
}

export function noOverload(name: string): CelFailure {
  return new CelFailure(`no such overload: ${name}`);
}
