/**
 * Keys into an answer's JSON and what is done to the value, in gcloud's notation:
 * `name.basename():label=JOB`, `template.template.containers[0].image`, `bindings[].members.join(";")`.
 * Source: `gcloud topic projections`; only the transforms in `TRANSFORMS` are known, others are refused by name.
 */
import { usageFailure } from './failure.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export interface Column {
  readonly key: string;
  readonly label: string;
  read(item: Json): Json | undefined;
}

type Step =
  | { readonly kind: 'key'; readonly name: string }
  | { readonly kind: 'index'; readonly index: number | undefined }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly string[] };

const TRANSFORMS: Readonly<Record<string, (value: Json | undefined, args: readonly string[]) => Json | undefined>> = {
  basename: (value, [separator = '/']) => mapText(value, (text) => text.split(separator).at(-1) ?? text),
  segment: (value, [index = '-1', separator = '/']) => mapText(value, (text) => text.split(separator).at(Number(index)) ?? ''),
  scope: (value, [name = '', separator = '/']) => mapText(value, (text) => text.split(`${separator}${name}${separator}`).at(1)?.split(separator).at(0) ?? text),
  join: (value, [separator = '/']) => (isList(value) ? value.map(plainText).join(separator) : value),
  list: (value) =>
    isList(value)
      ? value.map(plainText).join(',')
      : isRecord(value)
        ? Object.entries(value)
            .map(([key, item]) => `${key}=${plainText(item)}`)
            .join(',')
        : value,
  len: (value) => (isList(value) || typeof value === 'string' ? value.length : isRecord(value) ? Object.keys(value).length : 0),
  date: (value) => mapText(value, (text) => text.replace(/\.\d+Z$/, 'Z')),
  yesno: (value, [yes = 'Yes', no = 'No']) => (value === undefined || value === null || value === false || value === '' ? no : yes),
  lower: (value) => mapText(value, (text) => text.toLowerCase()),
  upper: (value) => mapText(value, (text) => text.toUpperCase()),
};

/** `a.b, c[0].basename():label=C` as columns. @throws usage */
export function parseColumns(text: string): Column[] {
  return splitOutside(text, ',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map(parseColumn);
}

function parseColumn(text: string): Column {
  const [expression = '', ...attributes] = splitOutside(text, ':');
  const steps = parseSteps(expression.trim());
  let label: string | undefined;
  for (const attribute of attributes) {
    const [name, value = ''] = attribute.split('=', 2);
    if (name === 'label') label = value.replace(/^(['"])(.*)\1$/, '$2');
  }
  const lastKey = steps.findLast((step) => step.kind === 'key');
  return { key: expression.trim(), label: label ?? snake(lastKey?.name ?? expression).toUpperCase(), read: (item) => follow(item, steps) };
}

/** Reads one dotted key, for filters and sorting. */
export function keyReader(key: string): (item: Json) => Json | undefined {
  const steps = parseSteps(key);
  return (item) => follow(item, steps);
}

function parseSteps(expression: string): Step[] {
  const steps: Step[] = [];
  for (const part of splitOutside(expression, '.')) {
    const call = /^([A-Za-z_]\w*)\((.*)\)$/s.exec(part);
    if (call !== null) {
      const [, name = '', args = ''] = call;
      if (!Object.hasOwn(TRANSFORMS, name)) throw usageFailure(`Unknown transform '${name}()' in '${expression}'.`, `Known: ${Object.keys(TRANSFORMS).join(', ')}.`);
      steps.push({ kind: 'call', name, args: args.trim() === '' ? [] : splitOutside(args, ',').map((arg) => unquote(arg.trim())) });
      continue;
    }
    const match = /^("[^"]*"|'[^']*'|[^[\]]*)((?:\[-?\d*\])*)$/.exec(part);
    if (match === null) throw usageFailure(`'${expression}' is not a key.`, 'Write, for example, name.basename() or template.template.containers[0].image');
    const [, name = '', indexes = ''] = match;
    if (name !== '') steps.push({ kind: 'key', name: unquote(name) });
    for (const [, index = ''] of indexes.matchAll(/\[(-?\d*)\]/g)) steps.push({ kind: 'index', index: index === '' ? undefined : Number(index) });
  }
  return steps;
}

function follow(start: Json | undefined, steps: readonly Step[]): Json | undefined {
  let value = start;
  for (const [position, step] of steps.entries()) {
    if (step.kind === 'call') value = TRANSFORMS[step.name]?.(value, step.args);
    else if (step.kind === 'index' && step.index !== undefined) value = isList(value) ? value.at(step.index) : undefined;
    else if (step.kind === 'index') return isList(value) ? across(value, steps.slice(position + 1)) : undefined;
    else if (isList(value)) return across(value, steps.slice(position));
    else value = isRecord(value) ? (value[step.name] ?? value[camel(step.name)]) : undefined;
  }
  return value;
}

/** Keys go on into each item; what follows a transform is applied to the list. */
function across(values: readonly Json[], steps: readonly Step[]): Json | undefined {
  const call = steps.findIndex((step) => step.kind === 'call');
  const inside = call === -1 ? steps : steps.slice(0, call);
  const found = values.map((item) => follow(item, inside)).filter((item) => item !== undefined);
  return follow(found, call === -1 ? [] : steps.slice(call));
}

/** A value as one cell: lists joined by `;`, records as `key=value;key=value`, booleans as gcloud writes them. */
export function plainText(value: Json | undefined): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (isList(value)) return value.map(plainText).join(';');
  if (isRecord(value))
    return Object.entries(value)
      .map(([key, item]) => `${key}=${plainText(item)}`)
      .join(';');
  return String(value);
}

export function isList(value: unknown): value is readonly Json[] {
  return Array.isArray(value);
}

export function isRecord(value: unknown): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isJson(value: unknown): value is Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string') return true;
  return Array.isArray(value) ? value.every(isJson) : typeof value === 'object' && Object.values(value).every((item) => item === undefined || isJson(item));
}

/** Splits at a separator that stands outside brackets and quotes. */
export function splitOutside(text: string, separator: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let quote = '';
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charAt(at);
    if (quote !== '') quote = char === quote ? '' : quote;
    else if (char === '"' || char === "'") quote = char;
    else if ('([{'.includes(char)) depth += 1;
    else if (')]}'.includes(char)) depth -= 1;
    else if (char === separator && depth === 0) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return [...parts, text.slice(start)];
}

function mapText(value: Json | undefined, change: (text: string) => string): Json | undefined {
  if (typeof value === 'string') return change(value);
  return isList(value) ? value.map((item) => (typeof item === 'string' ? change(item) : item)) : value;
}

function unquote(text: string): string {
  return text.replace(/^(['"])(.*)\1$/s, '$2');
}

function snake(text: string): string {
  return text.replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2');
}

/** gcloud takes both spellings of a field. */
function camel(text: string): string {
  return text.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
