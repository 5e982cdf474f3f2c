/** The closures that an expression becomes: each evaluates its operands, passes on what failed of them, and pays for what it makes. */
import { negate, noOverload } from './operator.ts';
import { CelAbsent, CelFailure, type CelResult, type CelValue, isEqual, isList, isMap } from './value.ts';

/** One evaluation. */
export interface Run<C> {
  readonly context: C;
  budget: number;
  /** What the variables of macros hold, by slot. */
  readonly locals: CelResult[];
}
export type Node<C> = (run: Run<C>) => CelResult;

export const EXHAUSTED = new CelFailure('the evaluation takes too many steps');
const NOT_BOOL = noOverload('logical operator');

/** What looking through a value costs; of what is in a map or list as much as can be told without looking. */
export function lengthCost(value: CelValue): number {
  if (typeof value === 'string') return value.length >>> 6;
  if (typeof value !== 'object' || value === null) return 0;
  return isList(value) ? 1 + (value.length >>> 3) : 4;
}

export function selection<C>(of: Node<C>, field: string): Node<C> {
  return (run) => {
    const value = of(run);
    if (value instanceof CelFailure) return value;
    if (!isMap(value)) return noOverload(`.${field}`);
    return Object.hasOwn(value, field) ? (value[field] ?? null) : new CelFailure(`no such key: ${field}`);
  };
}

export function presence<C>(of: Node<C>, field: string): Node<C> {
  return (run) => {
    const value = of(run);
    if (value instanceof CelFailure) return value;
    return isMap(value) ? Object.hasOwn(value, field) : noOverload(`has(.${field})`);
  };
}

export function not<C>(a: Node<C>): Node<C> {
  return (run) => {
    const value = a(run);
    return typeof value === 'boolean' ? !value : value instanceof CelFailure ? value : NOT_BOOL;
  };
}

/** False beats a failure, whichever side it is on. */
export function and<C>(a: Node<C>, b: Node<C>): Node<C> {
  return (run) => {
    const left = a(run);
    if (left === false) return false;
    const right = b(run);
    if (right === false || (left === true && right === true)) return right;
    return left instanceof CelFailure ? left : right instanceof CelFailure ? right : NOT_BOOL;
  };
}

/** True beats a failure, whichever side it is on. */
export function or<C>(a: Node<C>, b: Node<C>): Node<C> {
  return (run) => {
    const left = a(run);
    if (left === true) return true;
    const right = b(run);
    if (right === true || (left === false && right === false)) return right;
    return left instanceof CelFailure ? left : right instanceof CelFailure ? right : NOT_BOOL;
  };
}

export function choice<C>(condition: Node<C>, yes: Node<C>, no: Node<C>): Node<C> {
  return (run) => {
    const value = condition(run);
    if (typeof value === 'boolean') return value ? yes(run) : no(run);
    return value instanceof CelFailure ? value : NOT_BOOL;
  };
}

export function equality<C>(a: Node<C>, b: Node<C>, wanted: boolean): Node<C> {
  return (run) => {
    const left = a(run);
    const right = b(run);
    if (left instanceof CelAbsent || right instanceof CelAbsent) return !wanted;
    if (left instanceof CelFailure) return left;
    if (right instanceof CelFailure) return right;
    run.budget -= lengthCost(left) + lengthCost(right);
    return run.budget < 0 ? EXHAUSTED : isEqual(left, right) === wanted;
  };
}

export function unary<C>(a: Node<C>): Node<C> {
  return (run) => {
    const value = a(run);
    return value instanceof CelFailure ? value : negate(value);
  };
}

export function binary<C>(a: Node<C>, b: Node<C>, operator: (a: CelValue, b: CelValue) => CelResult): Node<C> {
  return (run) => {
    const left = a(run);
    if (left instanceof CelFailure) return left;
    const right = b(run);
    if (right instanceof CelFailure) return right;
    run.budget -= lengthCost(left) + lengthCost(right);
    return run.budget < 0 ? EXHAUSTED : operator(left, right);
  };
}

export function all<C>(parts: readonly { readonly node: Node<C> }[], run: Run<C>): readonly CelValue[] | CelFailure {
  const values: CelValue[] = [];
  for (const { node } of parts) {
    const value = node(run);
    if (value instanceof CelFailure) return value;
    values.push(value);
  }
  return values;
}
