/**
 * What Cloud Logging makes of a line that a container wrote.
 * Sources: https://docs.cloud.google.com/run/docs/logging (a line of plain text has no severity, on stdout as on stderr; recorded
 * entries of jobs show the same), https://docs.cloud.google.com/logging/docs/structured-logging (the special fields of a JSON line).
 */
import type { Micros } from '../timestamp.ts';

/** google.logging.type.LogSeverity */
export const SEVERITIES = { DEFAULT: 0, DEBUG: 100, INFO: 200, NOTICE: 300, WARNING: 400, ERROR: 500, CRITICAL: 600, ALERT: 700, EMERGENCY: 800 } as const;

/** What is neither payload nor severity; absent where the line said nothing of it. */
export interface LogExtras {
  readonly labels?: Readonly<Record<string, string>>;
  readonly trace?: string;
  readonly spanId?: string;
  readonly traceSampled?: boolean;
  readonly httpRequest?: unknown;
  readonly sourceLocation?: unknown;
  readonly operation?: unknown;
}

export interface ParsedLine {
  readonly timeNs: bigint;
  readonly severity: number;
  readonly kind: 'text' | 'json';
  /** The text, or a JSON object less its special fields. */
  readonly payload: string;
  readonly insertId?: string;
  readonly extras?: LogExtras;
}

/** Spellings that the logging agent takes beside the names themselves. */
const SEVERITY_ALIASES: Readonly<Record<string, number>> = {
  ...SEVERITIES,
  TRACE: 100,
  FINE: 100,
  FINER: 100,
  FINEST: 100,
  CONFIG: 100,
  INFORMATION: 200,
  WARN: 400,
  ERR: 500,
  SEVERE: 500,
  FATAL: 600,
  CRIT: 600,
  PANIC: 800,
  EMERG: 800,
};
/** Far deeper than any log, far shallower than what makes recursion overflow. */
const MAX_DEPTH = 100;
const DAY_NS = 86_400_000_000_000n;
const SPECIAL = new Set(['severity', 'time', 'timestamp', 'timestampSeconds', 'timestampNanos', 'httpRequest']);
const PREFIX = 'logging.googleapis.com/';

/** @param timeNs when the engine saw the line @param receiveTime when we did */
export function parseLine(text: string, timeNs: bigint, receiveTime: Micros): ParsedLine {
  const fields = parseObject(text);
  if (fields === undefined) return { timeNs, severity: SEVERITIES.DEFAULT, kind: 'text', payload: text };
  const extras = extrasOf(fields);
  const insertId = fields[`${PREFIX}insertId`];
  const rest = Object.entries(fields).filter(([name]) => !SPECIAL.has(name) && !name.startsWith(PREFIX));
  const only = rest.length === 1 ? rest[0] : undefined;
  const message = only?.[0] === 'message' && typeof only[1] === 'string' ? only[1] : undefined;
  return {
    timeNs: timeOf(fields, receiveTime) ?? timeNs,
    severity: severityOf(fields['severity']),
    // "message is saved as textPayload if it is the only field remaining"
    kind: message === undefined ? 'json' : 'text',
    payload: message ?? JSON.stringify(Object.fromEntries(rest)),
    ...(typeof insertId === 'string' && insertId !== '' && insertId.length <= 512 ? { insertId } : {}),
    ...(Object.keys(extras).length === 0 ? {} : { extras }),
  };
}

type Fields = Record<string, unknown>;

function parseObject(text: string): Fields | undefined {
  const trimmed = text.trim();
  if (!trimmed.startsWith('{') || !trimmed.endsWith('}')) return undefined;
  try {
    const value: unknown = JSON.parse(trimmed);
    return isObject(value) && isShallow(value, MAX_DEPTH) ? value : undefined;
  } catch {
    // Not JSON, or nested beyond what the parser takes: then it is text, and nothing of it is lost.
    return undefined;
  }
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isShallow(value: unknown, left: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return left > 0 && Object.values(value).every((child) => isShallow(child, left - 1));
}

function severityOf(value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value)) return Math.min(800, Math.max(0, Math.floor(value / 100) * 100));
  if (typeof value !== 'string') return SEVERITIES.DEFAULT;
  const name = value.trim().toUpperCase();
  return Object.hasOwn(SEVERITY_ALIASES, name) ? (SEVERITY_ALIASES[name] ?? 0) : SEVERITIES.DEFAULT;
}

/** Undefined where the line names no time, or one that Cloud Logging would refuse (a day ahead, thirty back). */
function timeOf(fields: Fields, receiveTime: Micros): bigint | undefined {
  const { time, timestamp } = fields;
  let ns: bigint | undefined;
  if (isObject(timestamp)) ns = fromParts(timestamp['seconds'], timestamp['nanos']);
  else if (typeof time === 'string' || typeof timestamp === 'string') ns = fromRfc3339(String(time ?? timestamp));
  else if (fields['timestampSeconds'] !== undefined) ns = fromParts(fields['timestampSeconds'], fields['timestampNanos']);
  if (ns === undefined) return undefined;
  const received = BigInt(receiveTime) * 1000n;
  return ns > received + DAY_NS || ns < received - 30n * DAY_NS ? undefined : ns;
}

function fromParts(seconds: unknown, nanos: unknown): bigint | undefined {
  const [s, n] = [Number(seconds), Number(nanos ?? 0)];
  return Number.isSafeInteger(s) && Number.isSafeInteger(n) && n >= 0 && n < 1e9 ? BigInt(s) * 1_000_000_000n + BigInt(n) : undefined;
}

/** @returns nanoseconds since the epoch, or undefined for what is no RFC 3339 time */
export function fromRfc3339(text: string): bigint | undefined {
  const match = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|z|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null) return undefined;
  const ms = Date.parse(`${match[1]}T${match[2]}${(match[4] ?? 'Z').toUpperCase()}`);
  return Number.isNaN(ms) ? undefined : BigInt(ms) * 1_000_000n + BigInt((match[3] ?? '').padEnd(9, '0'));
}

function extrasOf(fields: Fields): LogExtras {
  const labels = fields[`${PREFIX}labels`];
  const text = (name: string): string | undefined => {
    const value = fields[PREFIX + name];
    return typeof value === 'string' ? value : undefined;
  };
  const sampled = fields[`${PREFIX}trace_sampled`];
  const all: LogExtras = {
    ...(isObject(labels) ? { labels: Object.fromEntries(Object.entries(labels).filter((pair): pair is [string, string] => typeof pair[1] === 'string')) } : {}),
    ...optional('trace', text('trace')),
    ...optional('spanId', text('spanId')),
    ...optional('traceSampled', typeof sampled === 'boolean' ? sampled : undefined),
    ...optional('httpRequest', objectOrNothing(fields['httpRequest'])),
    ...optional('sourceLocation', objectOrNothing(fields[`${PREFIX}sourceLocation`])),
    ...optional('operation', objectOrNothing(fields[`${PREFIX}operation`])),
  };
  return all;
}

function objectOrNothing(value: unknown): Fields | undefined {
  return isObject(value) ? value : undefined;
}
function optional<K extends string, V>(name: K, value: V | undefined): { readonly [P in K]?: V } {
  // A computed key widens to string; the one property has exactly this name.
  return value === undefined ? {} : ({ [name]: value } as { readonly [P in K]?: V });
}
