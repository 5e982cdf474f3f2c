/**
 * Query parameters of a REST call: the system parameters (`alt`, `fields`, `prettyPrint`, ...), and everything else as fields of
 * the request by dotted path in either spelling. Keys that no field answers to are tolerated, as at Google.
 * Source: google/api/http.proto; https://cloud.google.com/apis/docs/system-parameters
 */
import type { DescField, DescMessage } from '@bufbuild/protobuf';
import { ScalarType } from '@bufbuild/protobuf';
import { invalidRequest } from '../errors.ts';

export interface SystemParameters {
  readonly prettyPrint: boolean;
  readonly enumsAsNumbers: boolean;
  /** A partial response mask, or undefined for everything. */
  readonly fields: string | undefined;
}

/** @throws INVALID_ARGUMENT for a representation that we cannot give */
export function systemParameters(query: URLSearchParams): SystemParameters {
  const alt = query.get('$alt') ?? query.get('alt') ?? 'json';
  const [kind, ...options] = alt.split(';');
  if (kind !== 'json') throw invalidRequest(`alt: ${JSON.stringify(alt)} is not served. Use alt=json.`, [{ field: 'alt', description: 'only json is served' }]);
  return {
    prettyPrint: !['false', '0'].includes(query.get('$prettyPrint') ?? query.get('prettyPrint') ?? query.get('pp') ?? 'true'),
    enumsAsNumbers: options.includes('enum-encoding=int'),
    fields: query.get('$fields') ?? query.get('fields') ?? undefined,
  };
}

/** A JSON object as a client would have written it in a body. */
export type JsonObject = { [key: string]: unknown };

/** Merges the query into `json`; fields that the path or body already gave are left alone. @param skip top-level field that the body holds */
export function mergeQuery(desc: DescMessage, query: URLSearchParams, json: JsonObject, skip: string | undefined): void {
  for (const key of new Set(query.keys())) {
    const path = resolve(desc, key.split('.'));
    if (path === undefined || path[0]?.name === skip) continue;
    assign(json, path, query.getAll(key));
  }
}

/** Sets a value that came in the path. */
export function assignPath(desc: DescMessage, json: JsonObject, fieldPath: string, value: string): void {
  const path = resolve(desc, fieldPath.split('.'));
  if (path === undefined) throw new Error(`the path variable ${fieldPath} is no field of ${desc.typeName}`);
  assign(json, path, [value], true);
}

function resolve(desc: DescMessage, names: readonly string[]): readonly DescField[] | undefined {
  const path: DescField[] = [];
  let at: DescMessage | undefined = desc;
  for (const name of names) {
    const field: DescField | undefined = at?.fields.find((f) => f.name === name || f.jsonName === name);
    if (field === undefined) return undefined;
    path.push(field);
    at = field.fieldKind === 'message' ? field.message : undefined;
  }
  return path;
}

function assign(json: JsonObject, path: readonly DescField[], values: readonly string[], overwrite = false): void {
  const leaf = path.at(-1);
  if (leaf === undefined) return;
  let at = json;
  for (const field of path.slice(0, -1)) {
    // A client may have used either spelling in the body; one object must hold both.
    const key = field.name in at ? field.name : field.jsonName;
    const next = at[key];
    const inner: JsonObject = typeof next === 'object' && next !== null && !Array.isArray(next) ? (next as JsonObject) : {};
    at[key] = inner;
    at = inner;
  }
  if (!overwrite && (leaf.jsonName in at || leaf.name in at)) return;
  if (leaf.name !== leaf.jsonName) delete at[leaf.name];
  at[leaf.jsonName] = leaf.fieldKind === 'list' ? values.map((value) => coerce(leaf, value)) : coerce(leaf, values.at(-1) ?? '');
}

/** Text to what JSON would have held; what does not fit is left as text, and `checkJson` names it. */
function coerce(field: DescField, value: string): unknown {
  const scalar = field.fieldKind === 'scalar' || (field.fieldKind === 'list' && field.listKind === 'scalar') ? field.scalar : undefined;
  // gcloud writes False as Python does: `iam roles list` sends showDeleted=False.
  if (scalar === ScalarType.BOOL) return /^(?:true|True|1|)$/.test(value) ? true : /^(?:false|False|0)$/.test(value) ? false : value;
  const isEnum = field.fieldKind === 'enum' || (field.fieldKind === 'list' && field.listKind === 'enum');
  return isEnum && /^-?\d+$/.test(value) ? Number(value) : value;
}
