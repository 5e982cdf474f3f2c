/** `--flatten=bindings[].members`: an item for each value of a list, with the value in the place of the list, as gcloud does it. */
import { isList, isRecord, type Json } from './json.ts';

/** @param keys dotted paths; each list on the way is taken apart @returns without the items that have nothing there */
export function flattened(items: readonly Json[], keys: readonly string[]): Json[] {
  return keys.reduce<Json[]>((found, key) => prefixesOf(key).reduce((all, path) => all.flatMap((item) => taken(item, path)), found), [...items]);
}

/** `bindings[].members` names two lists: `bindings`, and `bindings.members` in each of its values. */
function prefixesOf(key: string): string[][] {
  const parts = key.split('.').map((part) => part.trim());
  return parts.flatMap((part, index) => (part.endsWith('[]') || index === parts.length - 1 ? [parts.slice(0, index + 1).map((name) => name.replace(/\[\]$/, ''))] : []));
}

function taken(item: Json, path: readonly string[]): Json[] {
  const [name = '', ...rest] = path;
  if (!isRecord(item)) return [];
  const value = item[name];
  if (value === undefined) return [];
  const parts = rest.length > 0 ? taken(value, rest) : isList(value) ? value : [value];
  return parts.map((part) => ({ ...item, [name]: part }));
}
