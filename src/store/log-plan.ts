/** Finds in a condition what an index can serve: the time between which, and the terms that every wanted stream has one of. */
import type { LogCondition } from './log-entry.ts';
import { SEVERITIES } from './log-line.ts';
import { termOf } from './log-streams.ts';

export interface LogPlan {
  /** Nanoseconds, both inclusive; they are what SQLite can hold. */
  readonly fromNs: bigint;
  readonly toNs: bigint;
  /** A wanted stream has at least one term of each. */
  readonly terms: readonly (readonly number[])[];
}

const FIRST = -(2n ** 63n);
const LAST = 2n ** 63n - 1n;

/** @param parent whose entries are asked for */
export function planOf(where: LogCondition | undefined, parent: string): LogPlan {
  let [fromNs, toNs] = [FIRST, LAST];
  const terms: (readonly number[])[] = [];
  const walk = (condition: LogCondition): void => {
    if (condition.op === 'and') return condition.all.forEach(walk);
    if (condition.op === 'compare' && condition.field.name === 'timeNs') {
      const [from, to] = boundsOf(condition.comparison, condition.value);
      if (from > fromNs) fromNs = from;
      if (to < toNs) toNs = to;
      return;
    }
    const found = termsOf(condition, parent);
    if (found !== undefined) terms.push(found);
  };
  if (where !== undefined) walk(where);
  return { fromNs: clamp(fromNs), toNs: clamp(toNs), terms };
}

function boundsOf(comparison: string, value: string): readonly [bigint, bigint] {
  // What asks for more than an order has no number.
  const ns = /^-?\d+$/.test(value) ? BigInt(value) : 0n;
  switch (comparison) {
    case '=':
      return [ns, ns];
    case '>':
      return [ns + 1n, LAST];
    case '>=':
      return [ns, LAST];
    case '<':
      return [FIRST, ns - 1n];
    case '<=':
      return [FIRST, ns];
    default:
      return [FIRST, LAST];
  }
}
function clamp(ns: bigint): bigint {
  return ns < FIRST ? FIRST : ns > LAST ? LAST : ns;
}

/** Undefined: not served by terms. */
function termsOf(condition: LogCondition, parent: string): readonly number[] | undefined {
  if (condition.op === 'or') {
    const each = condition.all.map((one) => termsOf(one, parent));
    return each.every((one) => one !== undefined) ? each.flat() : undefined;
  }
  if (condition.op === 'and') return condition.all.map((one) => termsOf(one, parent)).find((one) => one !== undefined);
  if (condition.op !== 'compare') return undefined;
  const { field, comparison, value } = condition;
  if (field.name === 'severity') return severityTerms(comparison, Number(value), parent);
  if (comparison !== '=') return undefined;
  switch (field.name) {
    case 'logId':
      return [termOf(parent, 'log', '', value)];
    case 'logName': {
      const prefix = `${parent}/logs/`;
      return value.startsWith(prefix) ? [termOf(parent, 'log', '', decodeURIComponent(value.slice(prefix.length)))] : [];
    }
    case 'resourceType':
      return [termOf(parent, 'type', '', value)];
    case 'resourceLabel':
      return [termOf(parent, 'resource', field.key, value)];
    case 'label':
      return [termOf(parent, 'label', field.key, value)];
    default:
      return undefined;
  }
}

function severityTerms(comparison: string, wanted: number, parent: string): readonly number[] | undefined {
  const tests: Readonly<Record<string, (severity: number) => boolean>> = {
    '=': (severity) => severity === wanted,
    '>': (severity) => severity > wanted,
    '>=': (severity) => severity >= wanted,
    '<': (severity) => severity < wanted,
    '<=': (severity) => severity <= wanted,
  };
  const test = tests[comparison];
  if (test === undefined) return undefined;
  const found = Object.values(SEVERITIES).filter(test);
  // Everything is no narrowing.
  return found.length === Object.keys(SEVERITIES).length ? undefined : found.map((severity) => termOf(parent, 'severity', '', String(severity)));
}
