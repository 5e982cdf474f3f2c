/** HCL as `terraform fmt` leaves it: two spaces, the equals signs of neighbouring one-line attributes under each other. */
import { isList, isRecord, type Json } from './json.ts';

/** An expression that is written as it stands, not quoted. */
export class Raw {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type Value = string | number | boolean | Raw | readonly Value[] | ReadonlyMap<string, Value>;
export type Item = readonly ['attribute', string, Value] | readonly ['block', string, readonly Item[]];

export const attribute = (name: string, value: Value): Item => ['attribute', name, value];
export const block = (name: string, items: readonly Item[]): Item => ['block', name, items];
/** Nothing where there is no value, or an empty one. */
export const maybe = (name: string, value: Value | undefined): Item[] => (value === undefined || value === '' ? [] : [attribute(name, value)]);

/** @param header `resource "google_service_account" "hello"` */
export function hclBlock(header: string, items: readonly Item[], indent = ''): string {
  const inner = `${indent}  `;
  const attributes = items.flatMap((item) => (item[0] === 'attribute' ? [{ name: item[1], text: render(item[2], inner) }] : []));
  const blocks = items.flatMap((item) => (item[0] === 'block' ? [hclBlock(item[1], item[2], inner)] : []));
  const parts = [...(attributes.length > 0 ? [aligned(attributes, inner)] : []), ...blocks];
  return parts.length === 0 ? `${indent}${header} {}\n` : `${indent}${header} {\n${parts.join('\n')}${indent}}\n`;
}

function aligned(attributes: readonly { readonly name: string; readonly text: string }[], indent: string): string {
  const isLong = (at: number): boolean => attributes[at]?.text.includes('\n') === true;
  return attributes
    .map(({ name, text }, at) => {
      // One over several lines stands alone, and parts those before it from those after it.
      if (isLong(at)) return `${indent}${name} = ${text}\n`;
      let [first, last] = [at, at];
      while (first > 0 && !isLong(first - 1)) first -= 1;
      while (last < attributes.length - 1 && !isLong(last + 1)) last += 1;
      const width = Math.max(...attributes.slice(first, last + 1).map((each) => each.name.length));
      return `${indent}${name.padEnd(width)} = ${text}\n`;
    })
    .join('');
}

function render(value: Value, indent: string): string {
  if (value instanceof Raw) return value.text;
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (value instanceof Map) {
    if (value.size === 0) return '{}';
    const entries = [...value].map(([key, each]) => ({ name: /^[A-Za-z_][\w-]*$/.test(key) ? key : quoted(key), text: render(each, `${indent}  `) }));
    return `{\n${aligned(entries, `${indent}  `)}${indent}}`;
  }
  return Array.isArray(value) ? `[${value.map((each: Value) => render(each, indent)).join(', ')}]` : '';
}

/** https://developer.hashicorp.com/terraform/language/expressions/strings#escape-sequences */
export function quoted(text: string): string {
  const escaped = JSON.stringify(text).replaceAll(/[$%]\{/g, (opening) => `${opening[0]}${opening}`);
  // JSON has two short escapes that HCL lacks.
  return escaped.replaceAll(/(?<!\\)((?:\\\\)*)\\b/g, '$1\\u0008').replaceAll(/(?<!\\)((?:\\\\)*)\\f/g, '$1\\u000c');
}

/** Names of fields that hold a map of texts, where other objects are blocks. */
const MAPS = new Set(['labels', 'annotations', 'limits', 'parameters', 'attributeMapping', 'purposeData']);

/** An object of an API as the google provider has it: snake case, an object a block, a list of objects a block each. */
export function itemsOf(record: { readonly [key: string]: Json }): Item[] {
  return Object.entries(record).flatMap(([key, value]): Item[] => {
    const name = key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (value === null) return [];
    if (isList(value)) return value.every(isRecord) && value.length > 0 ? value.map((each) => block(name, itemsOf(each))) : [attribute(name, value.map(scalar))];
    if (isRecord(value)) return MAPS.has(key) ? [attribute(name, new Map(Object.entries(value).map(([each, text]) => [each, scalar(text)])))] : [block(name, itemsOf(value))];
    return [attribute(name, value)];
  });
}

function scalar(value: Json): Value {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : JSON.stringify(value);
}
