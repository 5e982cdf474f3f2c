/**
 * Results on stdout: what `--format` asks for, or the command's own view for people.
 * Formats: json, yaml, table(...), value(...), csv(...), list, none; a command without its own view falls back on YAML, as gcloud's do.
 */
import { usageFailure } from './failure.ts';
import { type Column, isJson, isRecord, type Json, parseColumns, plainText } from './projection.ts';
import type { Terminal } from './terminal.ts';

export interface Format {
  readonly kind: 'json' | 'yaml' | 'table' | 'value' | 'csv' | 'list' | 'none' | 'export' | 'terraform' | 'gcloud';
  readonly columns: readonly Column[];
  /** Attributes in brackets: `csv[no-heading]`, `value[separator=","]`. */
  readonly attributes: ReadonlyMap<string, string>;
}

const KINDS = ['json', 'yaml', 'table', 'value', 'csv', 'list', 'none', 'export', 'terraform', 'gcloud'] as const;
const NEEDS_COLUMNS = new Set<Format['kind']>(['table', 'value', 'csv']);

/** @throws usage */
export function parseFormat(text: string): Format {
  const match = /^\s*([a-z]+)\s*(?:\[([^\]]*)\])?\s*(?:\((.*)\))?\s*$/s.exec(text);
  const kind = KINDS.find((known) => known === (match?.[1] === 'get' ? 'value' : match?.[1]));
  if (match === null || kind === undefined)
    throw usageFailure(`Unknown format '${text}'.`, 'Known: json, yaml, table(...), value(...), csv(...), list, none. For example --format="value(name.basename())"');
  const columns = parseColumns(match[3] ?? '');
  if (NEEDS_COLUMNS.has(kind) && columns.length === 0 && kind !== 'table')
    throw usageFailure(`The format ${kind} needs the fields to print.`, `For example --format="${kind}(name.basename(),createTime)"`);
  const attributes = new Map(
    (match[2] ?? '')
      .split(/[,\s]+/)
      .filter((part) => part !== '')
      .map((part): [string, string] => {
        const [name = '', value = ''] = part.split('=', 2);
        return [name, value.replace(/^(['"])(.*)\1$/, '$2')];
      }),
  );
  return { kind, columns, attributes };
}

/** Prints one resource. */
export async function printResource(terminal: Terminal, format: Format, resource: object): Promise<void> {
  const json = asJson(resource);
  if (format.kind === 'json') return terminal.print(JSON.stringify(narrowed(json, format), undefined, 2));
  if (format.kind === 'yaml' || format.kind === 'list') return terminal.printRaw(await toYaml(narrowed(json, format)));
  await printItems(terminal, format, [json]);
}

/** Prints a list of resources. */
export async function printList(terminal: Terminal, format: Format, resources: readonly object[]): Promise<void> {
  const items = resources.map(asJson);
  if (format.kind === 'json')
    return terminal.print(
      JSON.stringify(
        items.map((item) => narrowed(item, format)),
        undefined,
        2,
      ),
    );
  if (format.kind === 'yaml' || format.kind === 'list') {
    for (const [index, item] of items.entries()) terminal.printRaw(`${index > 0 || items.length > 1 ? '---\n' : ''}${await toYaml(narrowed(item, format))}`);
    return;
  }
  await printItems(terminal, format, items);
}

async function printItems(terminal: Terminal, format: Format, items: readonly Json[]): Promise<void> {
  const { columns, attributes } = format;
  if (format.kind === 'export') throw usageFailure('The format export is for jobs.', 'actas run jobs describe JOB --format=export');
  if (format.kind === 'terraform' || format.kind === 'gcloud') throw usageFailure(`The format ${format.kind} is for a whole project.`, `actas export --format=${format.kind}`);
  const heading = !attributes.has('no-heading');
  if (format.kind === 'none') return;
  if (format.kind === 'table') {
    if (columns.length === 0) throw usageFailure('The format table needs the columns to print.', 'For example --format="table(name.basename(),createTime)"');
    return terminal.table(
      heading ? columns.map((column) => column.label) : undefined,
      items.map((item) => columns.map((column) => plainText(column.read(item)))),
    );
  }
  const separator = attributes.get('separator') ?? (format.kind === 'csv' ? ',' : '\t');
  const cell = format.kind === 'csv' ? quoteCsv : (text: string): string => text;
  if (format.kind === 'csv' && heading) terminal.print(columns.map((column) => quoteCsv(column.label.toLowerCase())).join(separator));
  for (const item of items) terminal.print(columns.map((column) => cell(plainText(column.read(item)))).join(separator));
}

function narrowed(item: Json, format: Format): Json {
  if (format.columns.length === 0) return item;
  return Object.fromEntries(format.columns.map((column): [string, Json] => [column.key.replace(/\..*\(.*$/s, ''), column.read(item) ?? null]));
}

export async function toYaml(value: Json): Promise<string> {
  const { stringify } = await import('yaml');
  // gcloud reads YAML 1.1, where the plain texts yes, on and 12:30 are no texts (core/yaml.py of gcloud 528).
  return stringify(isRecord(value) ? sortKeys(value) : value, { lineWidth: 0, compat: 'yaml-1.1' });
}

/** gcloud prints YAML with sorted keys; only the top level is sorted here, so that containers keep the API's order. */
function sortKeys(value: { readonly [key: string]: Json }): Json {
  return Object.fromEntries(Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1)));
}

export function asJson(value: object): Json {
  // What the API answered was parsed from JSON; anything else is a bug of a command.
  if (!isJson(value)) throw new TypeError('Only JSON can be printed.');
  return value;
}

function quoteCsv(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
