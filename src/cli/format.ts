/**
 * Results on stdout: what `--format` asks for, or the command's own view for people. A command without its own view falls back on YAML, as gcloud's do.
 * Every format prints what gcloud's prints for the same values, held by `npm run test:gcloud`.
 */
import { usageFailure } from './failure.ts';
import { flattened } from './flatten.ts';
import { isJson, isList, isRecord, type Json, nestedText, plainText } from './json.ts';
import { type Column, parseColumns, splitOutside } from './projection.ts';
import type { Terminal } from './terminal.ts';

export interface Format {
  readonly kind: (typeof KINDS)[number];
  readonly columns: readonly Column[];
  /** Attributes in brackets: `csv[no-heading]`, `value[separator=","]`. */
  readonly attributes: ReadonlyMap<string, string>;
  /** Keys whose lists are taken apart: `--flatten`. */
  readonly flatten: readonly string[];
}

const KINDS = ['json', 'yaml', 'table', 'value', 'csv', 'list', 'flattened', 'none', 'export', 'terraform', 'gcloud'] as const;
const OTHER_NAMES: Readonly<Record<string, (typeof KINDS)[number]>> = { get: 'value', text: 'flattened', disable: 'none' };

/** What each format can have in brackets. */
const ATTRIBUTES: Readonly<Partial<Record<Format['kind'], readonly string[]>>> = {
  csv: ['no-heading', 'separator', 'delimiter', 'terminator', 'no-quote'],
  value: ['separator', 'delimiter', 'terminator', 'quote'],
  table: ['no-heading', 'box'],
  list: ['title', 'compact'],
  flattened: ['no-pad', 'separator'],
};

/** @throws usage */
export function parseFormat(text: string, flatten: readonly string[] = []): Format {
  const match = /^\s*([a-z]+)\s*(?:\[((?:"[^"]*"|'[^']*'|[^\]"'])*)\])?\s*(?:\((.*)\))?\s*$/s.exec(text);
  const word = match?.[1] ?? '';
  const kind = OTHER_NAMES[word] ?? KINDS.find((known) => known === word);
  if (match === null || kind === undefined)
    throw usageFailure(`Unknown format '${text}'.`, `Known: ${KINDS.slice(0, 8).join(', ')}; export for jobs. For example --format="value(name.basename())"`);
  const columns = parseColumns(match[3] ?? '');
  if ((kind === 'value' || kind === 'csv') && columns.length === 0)
    throw usageFailure(`The format ${kind} needs the fields to print.`, `For example --format="${kind}(name.basename(),createTime)"`);
  return { kind, columns, attributes: parseAttributes(kind, match[2] ?? ''), flatten };
}

function parseAttributes(kind: Format['kind'], text: string): ReadonlyMap<string, string> {
  const attributes = new Map<string, string>();
  for (const part of splitOutside(text, ',').map((each) => each.trim())) {
    if (part === '') continue;
    const at = part.indexOf('=');
    const [name, value] = at === -1 ? [part, ''] : [part.slice(0, at), part.slice(at + 1)];
    const known = ATTRIBUTES[kind] ?? [];
    if (!known.includes(name))
      throw usageFailure(`'${name}' in the brackets of ${kind} is not supported.`, known.length === 0 ? `${kind} takes none.` : `Known: ${known.join(', ')}.`);
    const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };
    attributes.set(
      name,
      value.replace(/^(['"])(.*)\1$/s, '$2').replaceAll(/\\{1,2}([ntr])/g, (_, letter: string) => escapes[letter] ?? letter),
    );
  }
  return attributes;
}

/** Prints one resource. */
export async function printResource(terminal: Terminal, format: Format, resource: object): Promise<void> {
  const json = asJson(resource);
  if (format.flatten.length > 0) return printList(terminal, format, [json].filter(isRecord));
  if (format.kind === 'json') return terminal.print(JSON.stringify(narrowed(json, format), undefined, 2));
  if (format.kind === 'yaml') return terminal.printRaw(await toYaml(narrowed(json, format)));
  await printItems(terminal, format, [json], true);
}

/** Prints a list of resources. */
export async function printList(terminal: Terminal, format: Format, resources: readonly object[]): Promise<void> {
  const items = flattened(resources.map(asJson), format.flatten);
  const shown = (): Json[] => items.map((item) => narrowed(item, format));
  if (format.kind === 'json') return terminal.print(JSON.stringify(shown(), undefined, 2));
  if (format.kind === 'yaml') {
    for (const item of shown()) terminal.printRaw(`---\n${await toYaml(item)}`);
    return;
  }
  await printItems(terminal, format, items, false);
}

async function printItems(terminal: Terminal, format: Format, items: readonly Json[], isOne: boolean): Promise<void> {
  switch (format.kind) {
    case 'export':
      throw usageFailure('The format export is for jobs.', 'actas run jobs describe JOB --format=export');
    case 'terraform':
    case 'gcloud':
      throw usageFailure(`The format ${format.kind} is for a whole project.`, `actas export --format=${format.kind}`);
    case 'table':
      return printTable(terminal, format, items);
    case 'value':
    case 'csv':
      return printValues(terminal, format, items);
    case 'list':
      return printBullets(terminal, format, items);
    case 'flattened':
      return printFlattened(terminal, format, items, isOne);
    default:
  }
}

async function printTable(terminal: Terminal, { columns, attributes }: Format, items: readonly Json[]): Promise<void> {
  if (columns.length === 0) throw usageFailure('The format table needs the columns to print.', 'For example --format="table(name.basename(),createTime)"');
  const orders = columns.flatMap((column) => (column.sort === undefined ? [] : [{ column, ...column.sort }])).toSorted((left, right) => left.place - right.place);
  const sorted = items.toSorted((left, right) => {
    for (const { column, reverse } of orders) {
      const [a, b] = [sortKey(column.read(left)), sortKey(column.read(right))];
      if (a !== b) return (a < b ? -1 : 1) * (reverse ? -1 : 1);
    }
    return 0;
  });
  const shown = columns.filter((column) => column.optional !== true || items.some((item) => tableCell(column.read(item)) !== ''));
  await terminal.table(
    attributes.has('no-heading') ? undefined : shown.map((column) => column.label),
    sorted.map((item) => shown.map((column) => tableCell(column.read(item)))),
    { align: shown.map((column) => column.align ?? 'left'), box: attributes.has('box') },
  );
}

/** Numbers before text, and in their own order. */
function sortKey(value: Json | undefined): string | number {
  return typeof value === 'number' ? value : tableCell(value);
}

function tableCell(value: Json | undefined): string {
  return isList(value) || isRecord(value) ? nestedText(value) : plainText(value);
}

function printValues(terminal: Terminal, { kind, columns, attributes }: Format, items: readonly Json[]): void {
  const separator = attributes.get('separator') ?? (kind === 'csv' ? ',' : '\t');
  const delimiter = attributes.get('delimiter') ?? ';';
  const terminator = attributes.get('terminator') ?? '\n';
  const isQuoted = kind === 'csv' ? !attributes.has('no-quote') : attributes.has('quote');
  const quote = (text: string): string =>
    isQuoted && text !== '' && ([delimiter, '"', separator, terminator].some((mark) => text.includes(mark)) || text !== text.trim()) ? `"${text.replaceAll('"', '""')}"` : text;
  const cell = (value: Json | undefined): string => {
    if (isList(value)) return value.map((item) => (item === null || item === '' || item === 0 || item === false ? '' : quote(tableCell(item)))).join(delimiter);
    if (!isRecord(value)) return quote(plainText(value));
    return Object.entries(value)
      .toSorted(([left], [right]) => (left < right ? -1 : 1))
      .map(([key, item]) => quote(`${key}=${item === null ? 'None' : tableCell(item)}`))
      .join(delimiter);
  };
  const lines = items.map((item) => columns.map((column) => cell(column.read(item))).join(separator) + terminator);
  if (kind === 'csv' && !attributes.has('no-heading')) lines.unshift(columns.map((column) => quote(column.label.toLowerCase())).join(separator) + terminator);
  terminal.printText(lines.join(''));
}

function printBullets(terminal: Terminal, { columns, attributes }: Format, items: readonly Json[]): void {
  const title = attributes.get('title');
  if (title !== undefined) terminal.print(title);
  for (const item of items) {
    const own = (): string[] => (isRecord(item) ? sortedEntries(item).map(([key, value]) => `${key}: ${tableCell(value)}`) : [tableCell(item)]);
    const parts = columns.length === 0 ? own() : columns.flatMap((column) => column.read(item) ?? []).map(tableCell);
    terminal.print(` - ${parts.join(attributes.has('compact') ? ' ' : '\n   ')}`);
  }
}

function printFlattened(terminal: Terminal, format: Format, items: readonly Json[], isOne: boolean): void {
  const separator = format.attributes.get('separator');
  for (const item of items) {
    if (!isOne) terminal.print('---');
    const labels = new Map(format.columns.map(({ key, label }) => [key, label.toLowerCase()]));
    const lines = leavesOf(narrowed(item, format), '').map(([path, text]) => [labels.get(path) ?? path, text] as const);
    const width = format.attributes.has('no-pad') || separator !== undefined ? 0 : Math.max(0, ...lines.map(([path]) => path.length)) + 2;
    for (const [path, text] of lines) terminal.print(`${`${path}${separator ?? ': '}`.padEnd(width)}${text}`);
  }
}

function leavesOf(value: Json, path: string): [path: string, text: string][] {
  if (isList(value) && value.length > 0) return value.flatMap((item, index) => leavesOf(item, `${path}[${index}]`));
  if (isRecord(value) && Object.keys(value).length > 0) return sortedEntries(value).flatMap(([key, item]) => leavesOf(item, path === '' ? key : `${path}.${key}`));
  return [[path, value === null ? 'None' : tableCell(value)]];
}

function sortedEntries(value: { readonly [key: string]: Json }): [string, Json][] {
  return Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1));
}

/** The parts of the item that the columns name, in the item's own shape; null where it has none of them. */
function narrowed(item: Json, format: Format): Json {
  if (format.columns.length === 0) return item;
  return format.columns.reduce<Json>((found, column) => merged(found, column.narrow(item)), null);
}

function merged(left: Json, right: Json | undefined): Json {
  if (right === undefined) return left;
  if (isRecord(left) && isRecord(right))
    return Object.fromEntries([...Object.entries(left), ...Object.entries(right).map(([key, item]): [string, Json] => [key, merged(left[key] ?? null, item)])]);
  if (isList(left) && isList(right)) return Array.from({ length: Math.max(left.length, right.length) }, (_, index) => merged(left[index] ?? null, right[index]));
  return right ?? left;
}

export async function toYaml(value: Json): Promise<string> {
  const { stringify } = await import('yaml');
  // gcloud reads YAML 1.1, where the plain texts yes, on and 12:30 are no texts (core/yaml.py of gcloud 528).
  return stringify(isRecord(value) ? sortKeys(value) : value, { lineWidth: 0, compat: 'yaml-1.1' });
}

/** gcloud prints YAML with sorted keys; only the top level is sorted here, so that containers keep the API's order. */
function sortKeys(value: { readonly [key: string]: Json }): Json {
  return Object.fromEntries(sortedEntries(value));
}

export function asJson(value: object): Json {
  // What the API answered was parsed from JSON; anything else is a bug of a command.
  if (!isJson(value)) throw new TypeError('Only JSON can be printed.');
  return value;
}
