/**
 * The Logging query language, as far as task logs need it: comparisons joined by AND (or nothing), OR, NOT and parentheses. What is
 * not understood is refused by name, never ignored: a filter that silently matched too much would mislead.
 *
 * Deviation: regular expressions (=~, !~) and functions are refused.
 * Source: https://docs.cloud.google.com/logging/docs/view/logging-query-language
 */
import type { Comparison, LogCondition, LogField } from '../../store/log-entry.ts';
import { fromRfc3339, SEVERITIES } from '../../store/log-line.ts';
import { badFilter, type Token, tokenize } from './filter-tokens.ts';

const RESOURCE_TYPE = 'cloud_run_job';
/** The streams of the store, by the id of the log that Google keeps them in. */
export const LOG_IDS = { stdout: 'run.googleapis.com%2Fstdout', stderr: 'run.googleapis.com%2Fstderr', system: 'run.googleapis.com%2Fvarlog%2Fsystem' } as const;
const MAX_DEPTH = 50;
/** What is evaluated on every row must stay small. */
const MAX_TERMS = 256;

const FIELDS: Readonly<Record<string, LogField['name']>> = {
  textPayload: 'text',
  text_payload: 'text',
  insertId: 'insertId',
  insert_id: 'insertId',
  trace: 'trace',
  spanId: 'spanId',
  span_id: 'spanId',
  severity: 'severity',
  timestamp: 'timeNs',
  receiveTimestamp: 'receiveTimeNs',
  receive_timestamp: 'receiveTimeNs',
};
const RESOURCE_LABELS: Readonly<Record<string, LogField['name']>> = { project_id: 'project', location: 'location', job_name: 'job' };
const LABELS: Readonly<Record<string, LogField['name']>> = {
  'run.googleapis.com/execution_name': 'execution',
  'run.googleapis.com/task_index': 'taskIndex',
  'run.googleapis.com/task_attempt': 'attempt',
  instanceId: 'attemptId',
  container_name: 'container',
};

/** @param projectIds whose logs are asked for: a log's name holds its project's @throws INVALID_ARGUMENT that says what is not understood */
export function parseFilter(filter: string, projectIds: readonly string[]): LogCondition | undefined {
  const reader = createReader(tokenize(filter), projectIds);
  return reader.isAtEnd() ? undefined : reader.whole();
}

function createReader(tokens: readonly Token[], projectIds: readonly string[]) {
  let at = 0;
  let depth = 0;
  let terms = 0;
  const peek = (ahead = 0): Token => tokens[Math.min(at + ahead, tokens.length - 1)] ?? { kind: 'end', value: '', at: 0 };
  const next = (): Token => {
    const token = peek();
    at++;
    return token;
  };
  const isWord = (word: string): boolean => peek().kind === 'word' && peek().value === word;
  const unexpected = (token: Token): Error =>
    badFilter(token.kind === 'end' ? 'it ends where something more is needed' : `${JSON.stringify(token.value)} at position ${token.at + 1} is not understood`);

  // "The NOT operator has the highest precedence, followed by OR and AND in that order."
  const conjunction = (): LogCondition => {
    const all = [disjunction()];
    while (peek().kind !== 'end' && peek().kind !== 'close') {
      if (isWord('AND')) next();
      all.push(disjunction());
    }
    return all.length === 1 && all[0] !== undefined ? all[0] : { op: 'and', all };
  };
  const disjunction = (): LogCondition => {
    const all = [negation()];
    while (isWord('OR')) {
      next();
      all.push(negation());
    }
    return all.length === 1 && all[0] !== undefined ? all[0] : { op: 'or', all };
  };
  const negation = (): LogCondition => {
    if (++depth > MAX_DEPTH) throw badFilter(`it is nested deeper than ${MAX_DEPTH}`);
    try {
      if (isWord('NOT') || isWord('-')) {
        next();
        return { op: 'not', of: negation() };
      }
      if (peek().kind !== 'open') return restriction();
      next();
      const inner = conjunction();
      if (next().kind !== 'close') throw badFilter('a parenthesis is not closed');
      return inner;
    } finally {
      depth--;
    }
  };
  const restriction = (): LogCondition => {
    const first = peek();
    if ((first.kind !== 'word' && first.kind !== 'text') || first.value === 'AND' || first.value === 'OR') throw unexpected(first);
    const isNegated = first.kind === 'word' && first.value.startsWith('-');
    const path = readPath(next, peek, isNegated);
    if (peek().kind === 'open') throw badFilter(`the function ${path.join('.')} is not supported`);
    if (peek().kind !== 'operator') {
      if (++terms > MAX_TERMS) throw badFilter(`it has more than ${MAX_TERMS} comparisons`);
      const bare: LogCondition = { op: 'compare', field: { name: 'any' }, comparison: ':', value: path.join('.') };
      return isNegated ? { op: 'not', of: bare } : bare;
    }
    const operator = next();
    if (operator.value === '=~' || operator.value === '!~') throw badFilter(`the operator ${operator.value} (regular expressions) is not supported; use : for a part of a text`);
    // Just left over: the tokenizer makes no other operators.
    const condition = values((value) => comparison(path, operator.value as Comparison, value, projectIds));
    return isNegated ? { op: 'not', of: condition } : condition;
  };
  /** One value, or several in parentheses: `severity = (ERROR OR CRITICAL)`. */
  const values = (compare: (value: string) => LogCondition): LogCondition => {
    const token = next();
    if (token.kind === 'word' || token.kind === 'text') {
      if (++terms > MAX_TERMS) throw badFilter(`it has more than ${MAX_TERMS} comparisons`);
      return compare(token.value);
    }
    if (token.kind !== 'open') throw unexpected(token);
    if (++depth > MAX_DEPTH) throw badFilter(`it is nested deeper than ${MAX_DEPTH}`);
    const all = [values(compare)];
    const joiner = isWord('AND') ? 'AND' : 'OR';
    while (isWord(joiner)) {
      next();
      all.push(values(compare));
    }
    const closing = next();
    if (closing.kind !== 'close') throw unexpected(closing);
    depth--;
    return { op: joiner === 'AND' ? 'and' : 'or', all };
  };
  return {
    isAtEnd: () => peek().kind === 'end',
    whole: (): LogCondition => {
      const condition = conjunction();
      if (peek().kind !== 'end') throw unexpected(peek());
      return condition;
    },
  };
}

/** `labels."run.googleapis.com/execution_name"`: words end in a dot where a quoted key follows. */
function readPath(next: () => Token, peek: () => Token, isNegated: boolean): readonly string[] {
  const path: string[] = [];
  let token = next();
  let text = isNegated ? token.value.slice(1) : token.value;
  let wasDot = true;
  for (;;) {
    if (token.kind === 'text') path.push(text);
    else path.push(...text.split('.').filter((part) => part !== ''));
    wasDot = token.kind === 'word' && text.endsWith('.');
    const following = peek();
    const continues = (wasDot && following.kind === 'text') || (token.kind === 'text' && path.length > 1 && following.kind === 'word' && following.value.startsWith('.'));
    if (!continues) return path;
    token = next();
    text = token.value;
  }
}

function comparison(path: readonly string[], operator: Comparison, value: string, projectIds: readonly string[]): LogCondition {
  const name = path.join('.');
  const field = fieldOf(path);
  if (field !== undefined) return { op: 'compare', field, comparison: operator, value: literal(field, operator, value, name) };
  const [head, key] = [path[0], path[1]];
  if (name === 'resource.type') return constant(compareText(RESOURCE_TYPE, operator, value, name));
  if (head === 'resource' && key === 'labels' && path.length === 3) return constant(operator === '!=');
  if (name === 'logName' || name === 'log_name') {
    const streams = projectIds.flatMap((projectId) =>
      typedEntries(LOG_IDS)
        .filter(([, id]) => compareText(`projects/${projectId}/logs/${id}`, operator, value, name))
        .map(([stream]) => ofStream(projectId, stream)),
    );
    return { op: 'or', all: streams };
  }
  throw badFilter(`the field ${name} is not supported`);
}

function fieldOf(path: readonly string[]): LogField | undefined {
  const [head, key, third] = path;
  if (head === undefined) return undefined;
  if (path.length === 1) return named(FIELDS, head);
  if (head === 'labels' && key !== undefined && path.length === 2) return named(LABELS, key) ?? { name: 'label', key };
  if (head === 'resource' && key === 'labels' && third !== undefined && path.length === 3) return named(RESOURCE_LABELS, third);
  if (head === 'jsonPayload' || head === 'json_payload') return { name: 'json', path: path.slice(1) };
  return undefined;
}

function named(table: Readonly<Record<string, LogField['name']>>, key: string): LogField | undefined {
  const name = Object.hasOwn(table, key) ? table[key] : undefined;
  // The tables name no field that needs a key or a path.
  return name === undefined ? undefined : ({ name } as LogField);
}

function literal(field: LogField, operator: Comparison, value: string, name: string): string {
  if (field.name === 'severity') {
    const upper = value.toUpperCase();
    const known = typedEntries(SEVERITIES).find(([severity]) => severity === upper)?.[1];
    if (known === undefined && !/^\d{1,3}$/.test(value)) throw badFilter(`${JSON.stringify(value)} is not a severity`);
    return String(known ?? Number(value));
  }
  if (field.name !== 'timeNs' && field.name !== 'receiveTimeNs') return value;
  if (operator === ':') throw badFilter(`the operator : is not supported on ${name}`);
  const ns = fromRfc3339(/^\d{4}-\d\d-\d\d$/.test(value) ? `${value}T00:00:00Z` : value);
  if (ns === undefined) throw badFilter(`${JSON.stringify(value)} is not an RFC 3339 time`);
  return String(ns);
}

function compareText(actual: string, operator: Comparison, value: string, name: string): boolean {
  const [a, b] = [actual.toLowerCase(), value.toLowerCase()];
  // Both forms of a log's name are in use.
  const decoded = b.includes('%2f') ? b : b.replace('run.googleapis.com/', 'run.googleapis.com%2f');
  if (operator === '=' || operator === '!=') return (a === b || a === decoded) === (operator === '=');
  if (operator === ':') return value === '*' || a.includes(b) || a.includes(decoded);
  throw badFilter(`the operator ${operator} is not supported on ${name}`);
}

function ofStream(projectId: string, stream: string): LogCondition {
  return {
    op: 'and',
    all: [
      { op: 'compare', field: { name: 'project' }, comparison: '=', value: projectId },
      { op: 'compare', field: { name: 'stream' }, comparison: '=', value: stream },
    ],
  };
}
function constant(value: boolean): LogCondition {
  return { op: 'const', value };
}
function typedEntries<T extends object>(record: T): [keyof T & string, T[keyof T]][] {
  // Only for the constant tables above, which have no other keys than their type says.
  return Object.entries(record) as [keyof T & string, T[keyof T]][];
}
