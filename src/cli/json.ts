/** JSON as a type, and as text in the two ways in which gcloud writes a value into a cell. */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A value as one text: lists joined by `;`, records as `key=value;key=value`, booleans as gcloud writes them. */
export function plainText(value: Json | undefined): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (isList(value)) return value.map(plainText).join(';');
  if (isRecord(value))
    return Object.entries(value)
      .toSorted(([left], [right]) => (left < right ? -1 : 1))
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

/** A value as Python shows it, which is what gcloud writes for what is nested: `['a', {'b': 1}]`. */
export function nestedText(value: Json | undefined): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'string') return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  if (isList(value)) return `[${value.map(nestedText).join(', ')}]`;
  if (!isRecord(value)) return plainText(value);
  return `{${Object.entries(value)
    .map(([key, item]) => `'${key}': ${nestedText(item)}`)
    .join(', ')}}`;
}
