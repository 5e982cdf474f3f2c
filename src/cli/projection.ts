/**
 * Keys into an answer's JSON and what is done to the value, in gcloud's notation:
 * `name.basename():label=JOB`, `template.template.containers[0].image`, `bindings[].members.join(";")`.
 * Source: `gcloud topic projections`; the transforms are in transforms.ts, others are refused by name.
 */
import { usageFailure } from './failure.ts';
import { isList, isRecord, type Json } from './json.ts';
import { type Args, TRANSFORM_NAMES, transform } from './transforms.ts';

export interface Column {
  readonly key: string;
  readonly label: string;
  /** Where this column stands among those that a table is sorted by, from 1. */
  readonly sort?: { readonly place: number; readonly reverse: boolean };
  readonly align?: 'left' | 'center' | 'right';
  /** Left out of a table where no row has a value. */
  readonly optional?: true;
  read(item: Json): Json | undefined;
  /** What of the item the column names, in the item's own shape; undefined where it has nothing there. */
  narrow(item: Json): Json | undefined;
}

type Step =
  | { readonly kind: 'key'; readonly name: string }
  | { readonly kind: 'index'; readonly index: number | undefined }
  | { readonly kind: 'call'; readonly name: string; readonly args: Args }
  /** What `.map(depth)` says of the call behind it. */
  | { readonly kind: 'map'; readonly depth: number };

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
  const lastKey = steps.findLast((step) => step.kind === 'key');
  const made = {
    key: expression.trim(),
    label: snake(lastKey?.name ?? expression).toUpperCase(),
    read: (item: Json) => follow(item, steps),
    narrow: (item: Json) => narrow(item, steps),
  };
  return attributes.reduce((column: Column, attribute) => withAttribute(column, attribute), made);
}

/** @throws usage for an attribute that is not known */
function withAttribute(column: Column, text: string): Column {
  const [name = '', given = ''] = text.trim().split('=', 2);
  const value = unquote(given);
  if (name === 'label') return { ...column, label: value };
  if (name === 'sort' && /^[1-9]\d*$/.test(value)) return { ...column, sort: { place: Number(value), reverse: false } };
  if (name === 'reverse') return { ...column, sort: { place: column.sort?.place ?? Number.MAX_SAFE_INTEGER, reverse: true } };
  if (name === 'align' && (value === 'left' || value === 'center' || value === 'right')) return { ...column, align: value };
  if (name === 'optional') return { ...column, optional: true };
  // Tables are fitted to the terminal by themselves.
  if (name === 'wrap') return column;
  throw usageFailure(`':${text}' behind ${column.key} is not supported.`, 'Known: :label=TEXT, :sort=N, :reverse, :align=left|center|right, :optional, :wrap.');
}

/** Reads one dotted key, for filters and sorting. */
export function keyReader(key: string): (item: Json) => Json | undefined {
  const steps = parseSteps(key);
  return (item) => follow(item, steps);
}

function parseSteps(expression: string): Step[] {
  const steps: Step[] = [];
  for (const part of splitOutside(expression, '.')) {
    const call = /^(\**)([A-Za-z_]\w*)\((.*)\)$/s.exec(part);
    if (call !== null) {
      const [, stars = '', name = '', args = ''] = call;
      if (!TRANSFORM_NAMES.includes(name)) throw usageFailure(`Unknown transform '${name}()' in '${expression}'.`, `Known: ${TRANSFORM_NAMES.join(', ')}.`);
      if (stars !== '') steps.push({ kind: 'map', depth: stars.length });
      if (name === 'map') steps.push({ kind: 'map', depth: Number(args.trim() || '1') });
      else if (name !== 'always') steps.push({ kind: 'call', name, args: parseArgs(args) });
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

/** `"/", undefined=none`. */
function parseArgs(text: string): Args {
  const list: string[] = [];
  const named = new Map<string, string>();
  if (text.trim() === '') return { list, named };
  for (const part of splitOutside(text, ',').map((arg) => arg.trim())) {
    const [, name = '', value = ''] = /^([a-z_]+)=(.*)$/s.exec(part) ?? [];
    if (name === '') list.push(unquote(part));
    else named.set(name, unquote(value));
  }
  return { list, named };
}

function follow(start: Json | undefined, steps: readonly Step[]): Json | undefined {
  let value = start;
  let depth = 0;
  for (const [position, step] of steps.entries()) {
    if (step.kind === 'map') depth = step.depth;
    else if (step.kind === 'call') {
      value = atDepth(value, depth, (item) => transform(step.name, item, step.args, (from, key) => follow(from, parseSteps(key))));
      depth = 0;
    } else if (step.kind === 'index' && step.index !== undefined) value = isList(value) ? value.at(step.index) : undefined;
    else if (step.kind === 'index') return isList(value) ? across(value, steps.slice(position + 1)) : undefined;
    else if (isList(value)) return across(value, steps.slice(position));
    else value = isRecord(value) ? (value[step.name] ?? value[camel(step.name)]) : undefined;
  }
  return value;
}

function atDepth(value: Json | undefined, depth: number, change: (item: Json | undefined) => Json | undefined): Json | undefined {
  if (depth === 0 || !isList(value)) return change(value);
  return value.map((item) => atDepth(item, depth - 1, change) ?? null);
}

function narrow(value: Json | undefined, steps: readonly Step[]): Json | undefined {
  const [step, ...rest] = steps;
  if (step === undefined || value === undefined) return value;
  if (step.kind === 'call' || step.kind === 'map') return follow(value, steps);
  if (step.kind === 'index') {
    if (!isList(value)) return undefined;
    const { index } = step;
    if (index === undefined) return value.flatMap((item) => narrow(item, rest) ?? []);
    const found = narrow(value.at(index), rest);
    return found === undefined ? [] : [...Array.from({ length: Math.max(0, index) }, () => null), found];
  }
  // A list needs its brackets here, as in gcloud: `containers[].image`.
  if (!isRecord(value)) return undefined;
  const name = Object.hasOwn(value, step.name) ? step.name : camel(step.name);
  const found = narrow(value[name], rest);
  return found === undefined ? undefined : { [name]: found };
}

/** Keys go on into each item; what follows a transform is applied to the list. */
function across(values: readonly Json[], steps: readonly Step[]): Json | undefined {
  const call = steps.findIndex((step) => step.kind === 'call' || step.kind === 'map');
  const inside = call === -1 ? steps : steps.slice(0, call);
  const found = values.map((item) => follow(item, inside)).filter((item) => item !== undefined);
  return follow(found, call === -1 ? [] : steps.slice(call));
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
