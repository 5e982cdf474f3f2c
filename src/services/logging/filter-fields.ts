/** What the fields of LogEntry are called in a filter, and what the values are that they may be compared with. */
import { RE2JS } from 're2js';
import type { CastType, Comparison, LogCondition, LogField } from '../../store/log-entry.ts';
import { fromRfc3339, SEVERITIES } from '../../store/log-line.ts';
import { badFilter } from './filter-tokens.ts';

/** Ids of projects by their numbers: a log may be named by either. */
export type ProjectIds = ReadonlyMap<string, string>;

const PLAIN = {
  logName: 'logName',
  insertId: 'insertId',
  trace: 'trace',
  spanId: 'spanId',
  traceSampled: 'traceSampled',
  severity: 'severity',
  timestamp: 'timeNs',
  receiveTimestamp: 'receiveTimeNs',
  textPayload: 'text',
} as const;
const PAYLOADS = { jsonPayload: 'json', protoPayload: 'proto' } as const;
/** The fields of the messages in LogEntry, with what their values in JSON are to be compared as. */
const MESSAGES: Readonly<Record<'httpRequest' | 'operation' | 'sourceLocation' | 'split', Readonly<Record<string, CastType>>>> = {
  httpRequest: {
    requestMethod: 'STRING',
    requestUrl: 'STRING',
    requestSize: 'INT64',
    status: 'INT64',
    responseSize: 'INT64',
    userAgent: 'STRING',
    remoteIp: 'STRING',
    serverIp: 'STRING',
    referer: 'STRING',
    latency: 'SECONDS',
    cacheLookup: 'BOOL',
    cacheHit: 'BOOL',
    cacheValidatedWithOriginServer: 'BOOL',
    cacheFillBytes: 'INT64',
    protocol: 'STRING',
  },
  operation: { id: 'STRING', producer: 'STRING', first: 'BOOL', last: 'BOOL' },
  sourceLocation: { file: 'STRING', line: 'INT64', function: 'STRING' },
  split: { uid: 'STRING', index: 'INT64', totalSplits: 'INT64' },
};
const MAX_PROGRAM = 20_000;

/** @throws INVALID_ARGUMENT for what is no field of a LogEntry */
export function fieldOf(path: readonly string[]): LogField {
  const name = path.join('.');
  const [first = '', ...rest] = path;
  const head = camel(first);
  if (Object.hasOwn(PLAIN, head) && rest.length === 0) return { name: PLAIN[within(PLAIN, head)] };
  if (Object.hasOwn(PAYLOADS, head)) return { name: PAYLOADS[within(PAYLOADS, head)], path: head === 'protoPayload' ? rest.map((key, at) => (at === 0 ? camel(key) : key)) : rest };
  if (head === 'labels') return rest.length === 0 ? { name: 'labels', path: [] } : { name: 'label', key: rest.join('.') };
  if (head === 'resource' && rest[0] === 'type' && rest.length === 1) return { name: 'resourceType' };
  if (head === 'resource' && rest[0] === 'labels') return rest.length === 1 ? { name: 'resourceLabels', path: [] } : { name: 'resourceLabel', key: rest.slice(1).join('.') };
  if (Object.hasOwn(MESSAGES, head)) return messageField(within(MESSAGES, head), rest, name);
  throw badFilter(`Field not found: '${name}'`);
}

function messageField(message: keyof typeof MESSAGES, path: readonly string[], name: string): LogField {
  if (path.length === 0) return { name: message, path: [] };
  const key = camel(path[0] ?? '');
  const fields = MESSAGES[message];
  const type = Object.hasOwn(fields, key) ? fields[key] : undefined;
  if (type === undefined || path.length > 1) throw badFilter(`Field not found: '${name}'`);
  const field: LogField = { name: message, path: [key] };
  return type === 'STRING' ? field : { name: 'cast', of: field, type };
}

function camel(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
function within<T extends object>(_table: T, key: string): keyof T & string {
  // Asked with a key that was just seen to be the table's own.
  return key as keyof T & string;
}

/** @param name as the filter has it, for the error @throws INVALID_ARGUMENT */
export function comparison(field: LogField, operator: Comparison, value: string, name: string, projects: ProjectIds): LogCondition {
  const isTime = field.name === 'timeNs' || field.name === 'receiveTimeNs';
  if (isTime && (operator === '=~' || operator === '!~')) throw badFilter(`the operator ${operator} is not supported on ${name}`);
  if (operator === '=~' || operator === '!~') return { op: 'compare', field, comparison: operator, value: checkedPattern(value) };
  return { op: 'compare', field, comparison: operator, value: literal(field, operator, value, name, projects) };
}

/** @throws INVALID_ARGUMENT where RE2 cannot read it */
export function checkedPattern(pattern: string): string {
  let size: number;
  try {
    size = RE2JS.compile(pattern).programSize();
  } catch (error) {
    throw badFilter(`${JSON.stringify(pattern)} is no regular expression of RE2: ${error instanceof Error ? error.message : ''}`);
  }
  if (size > MAX_PROGRAM) throw badFilter(`the regular expression ${JSON.stringify(pattern.slice(0, 100))} is too large`);
  return pattern;
}

function literal(field: LogField, operator: Comparison, value: string, name: string, projects: ProjectIds): string {
  switch (field.name) {
    case 'severity':
      return value === '*' && operator === ':' ? value : severity(value);
    case 'timeNs':
    case 'receiveTimeNs':
      if (operator === ':' && value === '*') return value;
      return String(time(value, operator, name));
    case 'logName':
      return operator === ':' ? value : logName(value, projects);
    case 'cast':
      return field.type === 'SECONDS' ? seconds(value, name) : value;
    default:
      return value;
  }
}

function severity(value: string): string {
  const upper = value.toUpperCase();
  const known = Object.entries(SEVERITIES).find(([one]) => one === upper)?.[1];
  if (known === undefined && !/^\d{1,3}$/.test(value)) throw badFilter(`${JSON.stringify(value)} is not a severity`);
  return String(known ?? Number(value));
}

function time(value: string, operator: Comparison, name: string): bigint {
  if (operator === ':') throw badFilter(`the operator : is not supported on ${name}`);
  const ns = fromRfc3339(/^\d{4}-\d\d-\d\d$/.test(value) ? `${value}T00:00:00Z` : value);
  if (ns === undefined) throw badFilter(`${JSON.stringify(value)} is not an RFC 3339 time`);
  return ns;
}

function seconds(value: string, name: string): string {
  if (value === '*') return value;
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(value);
  if (match === null) throw badFilter(`${JSON.stringify(value)} is not a duration, as ${name} is compared with, for example "1.5s"`);
  const units: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 };
  return String(Number(match[1]) * (units[match[2] ?? 's'] ?? 1));
}

/** As entries are named: the project by its id, the log's id encoded. */
function logName(value: string, projects: ProjectIds): string {
  const match = /^(projects|folders|organizations|billingAccounts)\/([^/]+)\/logs\/(.+)$/.exec(value);
  if (match === null) return value;
  const [, kind = '', owner = '', id = ''] = match;
  return `${kind}/${kind === 'projects' ? (projects.get(owner) ?? owner) : owner}/logs/${encodeURIComponent(decodeLogId(id))}`;
}

/** Both forms of a log's id are in use. */
export function decodeLogId(id: string): string {
  try {
    return decodeURIComponent(id);
  } catch {
    // Not encoded, with a percent sign of its own.
    return id;
  }
}
