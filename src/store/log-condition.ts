/** Evaluates conditions on log entries, one entry at a time, and finds what of them an index can serve. */
import type { Comparison, LogCondition, LogEntry, LogField, LogQuery } from './log-entry.ts';

export function matches(condition: LogCondition, entry: LogEntry): boolean {
  switch (condition.op) {
    case 'and':
      return condition.all.every((one) => matches(one, entry));
    case 'or':
      return condition.all.some((one) => matches(one, entry));
    case 'not':
      return !matches(condition.of, entry);
    case 'const':
      return condition.value;
    case 'compare':
      return compareField(condition.field, condition.comparison, condition.value, entry);
  }
}

function compareField(field: LogField, comparison: Comparison, value: string, entry: LogEntry): boolean {
  if (field.name === 'any')
    return [entry.payload, entry.source.job, entry.source.execution, entry.insertId, ...Object.values(entry.source.labels)].some((text) => contains(text, value));
  const actual = valueOf(field, entry);
  // A field that is not there satisfies nothing but "differs from".
  if (actual === undefined) return comparison === '!=';
  if (typeof actual === 'bigint') return compareNumbers(actual - BigInt(value), comparison);
  if (comparison === ':') return value === '*' || contains(actual, value);
  const [a, b] = [actual.toLowerCase(), value.toLowerCase()];
  if (comparison === '=' || comparison === '!=') return (a === b) === (comparison === '=');
  const numeric = actual !== '' && value !== '' ? Number(actual) - Number(value) : Number.NaN;
  return compareNumbers(Number.isNaN(numeric) ? (a < b ? -1 : a > b ? 1 : 0) : numeric, comparison);
}

function contains(text: string, part: string): boolean {
  return text.toLowerCase().includes(part.toLowerCase());
}

function compareNumbers(difference: number | bigint, comparison: Comparison): boolean {
  switch (comparison) {
    case '=':
    case ':':
      return difference == 0;
    case '!=':
      return difference != 0;
    case '<':
      return difference < 0;
    case '<=':
      return difference <= 0;
    case '>':
      return difference > 0;
    case '>=':
      return difference >= 0;
  }
}

/** Numbers that are compared as such are bigints; undefined: the entry has no such field. */
function valueOf(field: LogField, entry: LogEntry): string | bigint | undefined {
  const { source } = entry;
  switch (field.name) {
    case 'project':
      return source.projectId;
    case 'location':
      return source.location;
    case 'job':
      return source.job;
    case 'execution':
      return source.execution;
    case 'taskIndex':
      return String(source.taskIndex);
    case 'attempt':
      return String(source.attempt);
    case 'attemptId':
      return source.attemptId;
    case 'container':
      return entry.container;
    case 'stream':
      return entry.stream;
    case 'text':
      return entry.kind === 'text' ? entry.payload : undefined;
    case 'insertId':
      return entry.insertId;
    case 'trace':
      return entry.extras.trace;
    case 'spanId':
      return entry.extras.spanId;
    case 'severity':
      return BigInt(entry.severity);
    case 'timeNs':
      return entry.timeNs;
    case 'receiveTimeNs':
      return BigInt(entry.receiveTime) * 1000n;
    case 'label':
      return own(entry.extras.labels, field.key) ?? own(source.labels, field.key);
    case 'json':
      return entry.kind === 'json' ? atPath(entry.payload, field.path) : undefined;
    case 'any':
      return entry.payload;
  }
}

function own(record: Readonly<Record<string, string>> | undefined, key: string): string | undefined {
  return record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined;
}

function atPath(json: string, path: readonly string[]): string | undefined {
  let value: unknown = JSON.parse(json);
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    // Just seen to be an object that has this key.
    value = (value as Record<string, unknown>)[key];
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The query with those of its top-level conditions taken over that an index or a column can serve; the rest stays in `where`. */
export function narrow(query: LogQuery): LogQuery {
  let narrowed: LogQuery = query;
  const rest: LogCondition[] = [];
  const walk = (condition: LogCondition): void => {
    if (condition.op === 'and') return condition.all.forEach(walk);
    const taken = condition.op === 'compare' ? take(narrowed, condition.field.name, condition.comparison, condition.value) : undefined;
    if (taken === undefined) rest.push(condition);
    else narrowed = taken;
  };
  if (query.where === undefined) return query;
  walk(query.where);
  const { where: _, ...others } = narrowed;
  return rest.length === 0 ? others : { ...others, where: { op: 'and', all: rest } };
}

function take(query: LogQuery, field: LogField['name'], comparison: Comparison, value: string): LogQuery | undefined {
  if (comparison === '=' && (field === 'job' || field === 'execution' || field === 'location')) {
    const known = query[field];
    return known === undefined || known === value.toLowerCase() ? { ...query, [field]: value.toLowerCase() } : undefined;
  }
  if (field === 'severity' && comparison === '>=') return { ...query, minSeverity: Math.max(query.minSeverity ?? 0, Number(value)) };
  if (field !== 'timeNs') return undefined;
  const ns = BigInt(value);
  if (comparison === '>=' || comparison === '>') {
    const from = comparison === '>' ? ns + 1n : ns;
    return { ...query, fromNs: query.fromNs === undefined || from > query.fromNs ? from : query.fromNs };
  }
  if (comparison === '<' || comparison === '<=') {
    const to = comparison === '<=' ? ns + 1n : ns;
    return { ...query, toNs: query.toNs === undefined || to < query.toNs ? to : query.toNs };
  }
  return undefined;
}
