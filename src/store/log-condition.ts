/**
 * Makes a condition into a test of entries, and into one of streams that says what is known without looking at an entry. Regular expressions are RE2's, whose time
 * grows with the text alone.
 *
 * A field of an entry that is missing (a label, a place in a payload) satisfies no comparison; one of LogEntry itself has its default.
 * Source: https://docs.cloud.google.com/logging/docs/view/logging-query-language
 */
import { createHash } from 'node:crypto';
import { BlockList, isIP } from 'node:net';
import { RE2JS } from 're2js';
import type { CastType, Comparison, LogCondition, LogEntry, LogField, LogHead } from './log-entry.ts';
import { fromRfc3339, SEVERITIES } from './log-line.ts';
import { createTextSearch } from './log-search.ts';

export type EntryTest = (entry: LogEntry) => boolean;
/** Undefined: depends on the entry. */
export type HeadTest = (head: LogHead) => boolean | undefined;
type Values = (entry: LogEntry) => readonly unknown[];
type Compare = (value: unknown) => boolean;

/** @throws where a regular expression or a network cannot be read */
export function compileEntryTest(condition: LogCondition): EntryTest {
  // Several comparisons of one filter look at the same payload.
  let last: { entry: LogEntry; value: unknown } | undefined;
  return compile(condition, (entry) => {
    if (last?.entry !== entry) last = { entry, value: JSON.parse(entry.payload) };
    return last.value;
  });
}

/** The payload of an entry, parsed. */
type Parsed = (entry: LogEntry) => unknown;

function compile(condition: LogCondition, parsed: Parsed): EntryTest {
  switch (condition.op) {
    case 'and': {
      const all = condition.all.map((one) => compile(one, parsed));
      return (entry) => all.every((test) => test(entry));
    }
    case 'or': {
      const all = condition.all.map((one) => compile(one, parsed));
      return (entry) => all.some((test) => test(entry));
    }
    case 'not': {
      const test = compile(condition.of, parsed);
      return (entry) => !test(entry);
    }
    case 'const':
      return () => condition.value;
    case 'search': {
      const search = createTextSearch(condition.query);
      const values = valuesOf(condition.field, parsed);
      return (entry) => search(values(entry).flatMap(leaves));
    }
    case 'net':
    case 'sample':
    case 'compare': {
      const values = valuesOf(condition.field, parsed);
      const compare = condition.op === 'net' ? inNet(condition.cidr) : condition.op === 'sample' ? inSample(condition.fraction) : compareWith(condition);
      const isEvery = condition.op === 'compare' && (condition.comparison === '!=' || condition.comparison === '!~');
      if (!isEvery) return (entry) => values(entry).some(compare);
      return (entry) => {
        const found = values(entry);
        return found.length > 0 && found.every(compare);
      };
    }
  }
}

/** Three-valued: what depends on an entry is undefined, and stays so unless the rest decides. */
export function compileHeadTest(condition: LogCondition): HeadTest {
  switch (condition.op) {
    case 'and':
    case 'or': {
      const all = condition.all.map(compileHeadTest);
      const deciding = condition.op === 'or';
      return (head) => {
        let result: boolean | undefined = !deciding;
        for (const test of all) {
          const one = test(head);
          if (one === deciding) return deciding;
          if (one === undefined) result = undefined;
        }
        return result;
      };
    }
    case 'not': {
      const test = compileHeadTest(condition.of);
      return (head) => {
        const one = test(head);
        return one === undefined ? undefined : !one;
      };
    }
    case 'const':
      return () => condition.value;
    default: {
      if (!isOfHead(condition.field)) return () => undefined;
      const test = compileEntryTest(condition);
      return (head) => test({ head, id: 0, timeNs: 0n, receiveTime: 0, insertId: '', kind: 'text', payload: '', extras: {} });
    }
  }
}

function isOfHead(field: LogField): boolean {
  if (field.name === 'cast' || field.name === 'extract') return isOfHead(field.of);
  return ['parent', 'logName', 'logId', 'resourceType', 'severity', 'resourceLabel', 'resourceLabels', 'label', 'labels'].includes(field.name);
}

const MESSAGES = ['httpRequest', 'operation', 'sourceLocation'] as const;

function valuesOf(field: LogField, parsed: Parsed): Values {
  switch (field.name) {
    case 'parent':
      return ({ head }) => [head.parent];
    case 'logName':
      return ({ head }) => [`${head.parent}/logs/${encodeURIComponent(head.logId)}`];
    case 'logId':
      return ({ head }) => [head.logId];
    case 'resourceType':
      return ({ head }) => [head.resourceType];
    case 'severity':
      return ({ head }) => [BigInt(head.severity)];
    case 'resourceLabel':
      return ({ head }) => own(head.resourceLabels, field.key);
    case 'label':
      return ({ head }) => own(head.labels, field.key);
    case 'resourceLabels':
      return ({ head }) => [head.resourceLabels];
    case 'labels':
      return ({ head }) => [head.labels];
    case 'timeNs':
      return ({ timeNs }) => [timeNs];
    case 'receiveTimeNs':
      return ({ receiveTime }) => [BigInt(receiveTime) * 1000n];
    case 'insertId':
      return ({ insertId }) => [insertId];
    case 'trace':
      return ({ extras }) => [extras.trace ?? ''];
    case 'spanId':
      return ({ extras }) => [extras.spanId ?? ''];
    case 'traceSampled':
      return ({ extras }) => [extras.traceSampled ?? false];
    case 'text':
      return ({ kind, payload }) => (kind === 'text' ? [payload] : []);
    case 'json':
    case 'proto': {
      const { name, path } = field;
      return (entry) => (entry.kind === name ? atPath([parsed(entry)], path) : []);
    }
    case 'httpRequest':
    case 'operation':
    case 'sourceLocation': {
      const { name, path } = field;
      return ({ extras }) => (extras[name] === undefined ? [] : atPath([extras[name]], path));
    }
    case 'split':
      return ({ split }) => (split === undefined ? [] : atPath([{ uid: split.uid, index: split.index, totalSplits: split.total ?? 0 }], field.path));
    case 'any':
      return (entry) => everything(entry, parsed);
    case 'cast': {
      const values = valuesOf(field.of, parsed);
      return (entry) => values(entry).flatMap((value) => cast(value, field.type));
    }
    case 'extract': {
      const values = valuesOf(field.of, parsed);
      const pattern = RE2JS.compile(field.pattern);
      return (entry) => values(entry).flatMap((value) => (isScalar(value) ? extract(pattern, textOf(value)) : []));
    }
  }
}

function own(record: Readonly<Record<string, string>>, key: string): readonly string[] {
  const value = Object.hasOwn(record, key) ? record[key] : undefined;
  return value === undefined ? [] : [value];
}

/** What stands at a path; a list on the way stands for each of its elements. */
function atPath(roots: readonly unknown[], path: readonly string[]): readonly unknown[] {
  let values: readonly unknown[] = roots.flatMap(elements);
  for (const key of path) {
    values = values.flatMap((value) => {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return [];
      // Just seen to be an object that has this key.
      return elements((value as Record<string, unknown>)[key]);
    });
  }
  return values;
}
function elements(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.flatMap(elements) : [value];
}

const SEVERITY_NAMES: ReadonlyMap<number, string> = new Map(Object.entries(SEVERITIES).map(([name, number]) => [number, name]));

/** The value of every field, for a search that names none. */
function everything(entry: LogEntry, parsed: Parsed): readonly unknown[] {
  const { head, extras, kind, payload } = entry;
  return [
    kind === 'text' ? payload : parsed(entry),
    entry.insertId,
    `${head.parent}/logs/${encodeURIComponent(head.logId)}`,
    head.resourceType,
    head.resourceLabels,
    head.labels,
    SEVERITY_NAMES.get(head.severity) ?? '',
    extras.trace ?? '',
    extras.spanId ?? '',
    ...MESSAGES.map((name) => extras[name] ?? ''),
  ].flatMap(leaves);
}

/** Every scalar in a value, as text. */
function leaves(value: unknown): readonly string[] {
  if (isScalar(value)) return [textOf(value)];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(leaves) : [];
}
type Scalar = string | number | bigint | boolean;
function isScalar(value: unknown): value is Scalar {
  return ['string', 'number', 'bigint', 'boolean'].includes(typeof value);
}
function textOf(value: Scalar): string {
  return typeof value === 'string' ? value : String(value);
}

function compareWith({ field, comparison, value: wanted }: Extract<LogCondition, { op: 'compare' }>): Compare {
  if (comparison === '=~' || comparison === '!~') {
    const pattern = RE2JS.compile(wanted);
    const isNegated = comparison === '!~';
    const text = (value: unknown): string | undefined => (field.name === 'severity' ? SEVERITY_NAMES.get(Number(value)) : isScalar(value) ? textOf(value) : undefined);
    return (value) => {
      const found = text(value);
      return found !== undefined && pattern.test(found) !== isNegated;
    };
  }
  const lower = wanted.toLowerCase();
  if (comparison === ':') {
    if (field.name === 'logName') return (value) => contains(String(value), lower) || contains(decodeURIComponent(String(value)), lower);
    return (value) => has(value, lower);
  }
  return (value) => compare(value, comparison, lower, wanted);
}

/** `:` on one value: a part of a text, an equal number, anything below a structure; `*` for any value. */
function has(value: unknown, lower: string): boolean {
  if (lower === '*') return value !== null && value !== '';
  if (typeof value === 'string') return contains(value, lower);
  if (isScalar(value)) return compare(value, '=', lower, lower);
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, child]) => key.toLowerCase() === lower || has(child, lower));
}
function contains(text: string, lower: string): boolean {
  return text.toLowerCase().includes(lower);
}

/** By the type of what is there: texts as texts, numbers as numbers. What is no number satisfies no comparison with one. */
function compare(value: unknown, comparison: Comparison, lower: string, wanted: string): boolean {
  if (typeof value === 'bigint') return order(value - BigInt(wanted), comparison);
  if (typeof value === 'number') {
    const number = wanted.trim() === '' ? Number.NaN : Number(wanted);
    return Number.isNaN(number) ? comparison === '!=' : order(value - number, comparison);
  }
  if (typeof value === 'boolean') return order(Number(value) - (lower === 'true' ? 1 : lower === 'false' ? 0 : Number.NaN), comparison);
  if (value === null) return (lower === 'null_value' || lower === 'null') === (comparison === '=');
  if (typeof value !== 'string') return false;
  const actual = value.toLowerCase();
  if (comparison === '=' || comparison === '!=') return (actual === lower) === (comparison === '=');
  // A time that is text in a payload is compared as a time where both are one.
  const [a, b] = [fromRfc3339(value), fromRfc3339(wanted)];
  if (a !== undefined && b !== undefined) return order(a - b, comparison);
  return order(actual < lower ? -1 : actual > lower ? 1 : 0, comparison);
}

function order(difference: number | bigint, comparison: Comparison): boolean {
  switch (comparison) {
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
    default:
      return difference == 0;
  }
}

function cast(value: unknown, type: CastType): readonly unknown[] {
  if (!isScalar(value)) return [];
  const text = textOf(value).trim();
  switch (type) {
    case 'STRING':
      return [textOf(value)];
    case 'INT64':
      return /^[+-]?\d+$/.test(text) ? [Number(text)] : [];
    case 'FLOAT64':
      return text !== '' && !Number.isNaN(Number(text)) ? [Number(text)] : [];
    case 'SECONDS': {
      const seconds = /^(\d+(?:\.\d+)?)s$/.exec(text)?.[1];
      return seconds === undefined ? [] : [Number(seconds)];
    }
    case 'BOOL':
      return /^(?:true|false)$/i.test(text) ? [text.toLowerCase() === 'true'] : [];
  }
}

function extract(pattern: RE2JS, text: string): readonly string[] {
  const matcher = pattern.matcher(text);
  if (!matcher.find()) return [];
  const group = matcher.group(pattern.groupCount() > 0 ? 1 : 0);
  return group === null ? [] : [group];
}

/** @throws where it is no network or address */
export function inNet(cidr: string): Compare {
  const [address = '', bits] = cidr.split('/');
  const version = isIP(address);
  const most = version === 4 ? 32 : 128;
  const prefix = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
  if (version === 0 || prefix < 0 || prefix > most) throw new Error(`${JSON.stringify(cidr)} is no network`);
  const nets = new BlockList();
  nets.addSubnet(address, prefix, version === 4 ? 'ipv4' : 'ipv6');
  return (value) => typeof value === 'string' && isIP(value) !== 0 && nets.check(value, isIP(value) === 4 ? 'ipv4' : 'ipv6');
}

function inSample(fraction: number): Compare {
  const limit = fraction * 2 ** 32;
  return (value) => isScalar(value) && createHash('sha256').update(textOf(value)).digest().readUInt32BE() < limit;
}
