/**
 * One entry of an export of Cloud Asset Inventory. `gcloud asset list|search-all-iam-policies --format=json` print a list in camel case, `gcloud asset export` writes
 * one to a line in snake case; a resource's own data is as its API has it in both.
 * Source: google.cloud.asset.v1 Asset and IamPolicySearchResult, https://cloud.google.com/asset-inventory/docs/reference/rpc/google.cloud.asset.v1
 */
import { type JsonRecord, textOf } from '../export-read.ts';
import { isList, isRecord, type Json } from '../json.ts';

export interface Asset {
  /** `iam.googleapis.com/ServiceAccount` */
  readonly type: string;
  /** Without `//` and host: `projects/demo/serviceAccounts/1234`. Of a project, its number or its id. */
  readonly path: string;
  /** `cloudresourcemanager.googleapis.com` */
  readonly host: string;
  /** Nearest first, the resource itself included where it is one of them: `projects/NUMBER`, `folders/NUMBER`, `organizations/NUMBER`. */
  readonly ancestors: readonly string[];
  /** The resource, as its API describes it. */
  readonly data: JsonRecord | undefined;
  readonly bindings: readonly JsonRecord[] | undefined;
  /** In the form of v1, with their constraint. */
  readonly orgPolicies: readonly JsonRecord[];
}

/** Whether an object is an entry of such an export. */
export function isAsset(value: JsonRecord): boolean {
  return typeof (value['assetType'] ?? value['asset_type']) === 'string';
}

/** @throws nothing: what is malformed is as if it were not there */
export function readAsset(value: JsonRecord): Asset {
  const camel = renamed(value);
  const { resource } = camel;
  // A search says of which resource the policy is, an export what the resource is like.
  const isSearch = typeof resource === 'string';
  const [, host = '', path = ''] = /^\/\/([^/]+)\/(.*)$/.exec(textOf(isSearch ? resource : camel['name'])) ?? [];
  const policy = isSearch ? camel['policy'] : camel['iamPolicy'];
  const above = isSearch ? [camel['project'], ...listOf(camel['folders']), camel['organization']] : listOf(camel['ancestors']);
  const bindings = isRecord(policy) ? listOf(policy['bindings']).filter(isRecord) : undefined;
  return {
    type: textOf(camel['assetType']),
    host,
    path,
    ancestors: above.filter((each): each is string => typeof each === 'string' && each !== ''),
    data: isRecord(resource) && isRecord(resource['data']) ? resource['data'] : undefined,
    bindings,
    orgPolicies: listOf(camel['orgPolicy']).filter(isRecord).map(deeplyRenamed),
  };
}

export function listOf(value: Json | undefined): readonly Json[] {
  return value !== undefined && isList(value) ? value : [];
}

function renamed(record: JsonRecord): JsonRecord {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()), value]));
}

function deeplyRenamed(record: JsonRecord): JsonRecord {
  return Object.fromEntries(Object.entries(renamed(record)).map(([key, value]): [string, Json] => [key, isRecord(value) ? deeplyRenamed(value) : value]));
}

/** A policy of v1 as v2 has it. @param node `projects/demo` @returns undefined where it has no constraint */
export function orgPolicyOf(policy: JsonRecord, node: string): JsonRecord | undefined {
  const constraint = textOf(policy['constraint']).replace(/^constraints\//, '');
  if (constraint === '') return undefined;
  return { name: `${node}/policies/${constraint}`, spec: specOf(policy) };
}

function specOf({ booleanPolicy, listPolicy, restoreDefault }: JsonRecord): JsonRecord {
  if (isRecord(restoreDefault)) return { reset: true };
  if (isRecord(booleanPolicy)) return { rules: [{ enforce: booleanPolicy['enforced'] === true }] };
  const list = isRecord(listPolicy) ? listPolicy : {};
  const values = Object.fromEntries(['allowedValues', 'deniedValues'].flatMap((key): [string, Json][] => (listOf(list[key]).length > 0 ? [[key, list[key] ?? []]] : [])));
  const all: JsonRecord | undefined = list['allValues'] === 'ALLOW' ? { allowAll: true } : list['allValues'] === 'DENY' ? { denyAll: true } : undefined;
  const rules: readonly JsonRecord[] = all === undefined && Object.keys(values).length === 0 ? [] : [all ?? { values }];
  return { ...(list['inheritFromParent'] === true ? { inheritFromParent: true } : {}), ...(rules.length === 0 ? {} : { rules }) };
}
