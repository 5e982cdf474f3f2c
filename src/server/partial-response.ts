/**
 * The `fields` parameter: `items(id,name),nextPageToken`, `a/b`, `*`. Source: https://cloud.google.com/apis/docs/system-parameters
 * and the partial-response syntax that Google's JSON APIs share.
 */
import { invalidRequest } from '../errors.ts';

/** Deeper than any message of ours; protects the stack. */
const MAX_DEPTH = 20;

type Mask = Map<string, Mask | true>;

/** @throws INVALID_ARGUMENT where the expression cannot be read */
export function parseFields(expression: string): Mask {
  const wordAt = /[A-Za-z0-9_$@*-]+/y;
  let at = 0;
  const fail = () =>
    invalidRequest(`Request contains an invalid argument: the fields expression ${JSON.stringify(expression.slice(0, 200))} cannot be read at position ${at + 1}.`, [
      { field: 'fields', description: 'not a field selection' },
    ]);
  const list = (closing: boolean, depth: number): Mask => {
    const mask: Mask = new Map();
    for (;;) {
      item(mask, depth);
      if (expression[at] === ',') at++;
      else break;
    }
    if (closing ? expression[at] !== ')' : at !== expression.length) throw fail();
    if (closing) at++;
    return mask;
  };
  const item = (mask: Mask, depth: number): void => {
    if (depth > MAX_DEPTH) throw fail();
    wordAt.lastIndex = at;
    const name = wordAt.exec(expression)?.[0];
    if (name === undefined) throw fail();
    at += name.length;
    if (expression[at] === '/' || expression[at] === '.') {
      at++;
      const inner: Mask = new Map();
      item(inner, depth + 1);
      merge(mask, name, inner);
    } else if (expression[at] === '(') {
      at++;
      merge(mask, name, list(true, depth + 1));
    } else mask.set(name, true);
  };
  return list(false, 0);
}

function merge(mask: Mask, name: string, inner: Mask): void {
  const have = mask.get(name);
  if (have === true) return;
  if (have === undefined) return void mask.set(name, inner);
  for (const [key, value] of inner)
    if (value === true) have.set(key, true);
    else merge(have, key, value);
}

/** Keeps what the mask names. Lists are masked element by element. */
export function applyFields(mask: Mask, json: unknown): unknown {
  if (Array.isArray(json)) return json.map((item) => applyFields(mask, item));
  if (typeof json !== 'object' || json === null) return json;
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(json)) {
    const inner = mask.get(key) ?? mask.get(key.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)) ?? mask.get('*');
    if (inner === true) out[key] = value;
    else if (inner !== undefined) out[key] = applyFields(inner, value);
  }
  return out;
}
