/** Groups, tags and workload identity pools, read as a seed declares them: by names that mean the same elsewhere, not by numbers. */
import { ACTAS, type Api, IAM, RESOURCE_MANAGER } from './api.ts';
import type { JsonRecord } from './export-read.ts';
import { isApiFailure } from './failure.ts';
import { listMembers } from './groups.ts';
import { isRecord } from './json.ts';

interface Named {
  readonly name?: string;
}
interface TagNode extends Named {
  readonly namespacedName?: string;
  readonly shortName?: string;
  readonly description?: string;
  readonly purpose?: string;
  readonly purposeData?: JsonRecord;
}

/** @param organization `organizations/111111111111` */
export async function readGroups(api: Api, organization: string, leaveOut: LeaveOut): Promise<JsonRecord[]> {
  const groups = await allowed(
    `groups of ${organization}`,
    leaveOut,
    api.list<Named & { readonly email?: string; readonly displayName?: string; readonly description?: string }>(ACTAS, `${organization}/groups`, 'groups'),
  );
  return Promise.all(
    groups.toSorted(byText('email')).map(async ({ name = '', email = '', displayName, description }) => ({
      email,
      organization: organization.slice('organizations/'.length),
      ...texts({ displayName, description }),
      members: await listMembers(api, name, false),
    })),
  );
}

/** Folders have none. */
export function hasTagKeys(node: string): boolean {
  return !node.startsWith('folders/');
}

/** @param node `organizations/111111111111` or `projects/demo` */
export async function readTagKeys(api: Api, node: string, leaveOut: LeaveOut): Promise<JsonRecord[]> {
  const keys = await allowed(`tag keys of ${node}`, leaveOut, api.list<TagNode>(RESOURCE_MANAGER, 'tagKeys', 'tagKeys', { query: { parent: node } }));
  return Promise.all(
    keys.toSorted(byText('namespacedName')).map(async ({ name = '', namespacedName = '', description, purpose, purposeData }) => {
      const values = await api.list<TagNode>(RESOURCE_MANAGER, 'tagValues', 'tagValues', { query: { parent: name } });
      return {
        name: namespacedName,
        ...texts({ description, purpose }),
        ...(purposeData === undefined ? {} : { purposeData }),
        values: values.toSorted(byText('shortName')).map((value) => ({ shortName: value.shortName ?? '', ...texts({ description: value.description }) })),
      };
    }),
  );
}

/** @param node `projects/demo`, ... */
export async function readTagBindings(api: Api, node: string, leaveOut: LeaveOut): Promise<JsonRecord[]> {
  const parent = `//cloudresourcemanager.googleapis.com/${node}`;
  const read = async () => {
    const bindings = await api.list<{ readonly tagValueNamespacedName?: string; readonly tagValue?: string }>(RESOURCE_MANAGER, 'tagBindings', 'tagBindings', {
      query: { parent },
    });
    return Promise.all(
      bindings.map(async ({ tagValueNamespacedName, tagValue = '' }) => tagValueNamespacedName ?? (await api.get<TagNode>(RESOURCE_MANAGER, tagValue)).namespacedName ?? ''),
    );
  };
  const values = await allowed(`tags of ${node}`, leaveOut, read());
  return values.toSorted().map((tagValue) => ({ resource: node, tagValue }));
}

/** Those that are not deleted, with their providers. Keys of issuers (jwksJson) are public. @param project by id */
export async function readPools(api: Api, project: string, leaveOut: LeaveOut): Promise<JsonRecord[]> {
  const parent = `projects/${project}/locations/global`;
  const pools = await allowed(`workload identity pools of ${project}`, leaveOut, api.list<JsonRecord & Named>(IAM, `${parent}/workloadIdentityPools`, 'workloadIdentityPools'));
  return Promise.all(
    pools.map(async ({ name = '', ...pool }) => {
      const own = `${parent}/workloadIdentityPools/${name.split('/').at(-1) ?? ''}`;
      const providers = await api.list<JsonRecord & Named>(IAM, `${own}/providers`, 'workloadIdentityPoolProviders');
      return { name: own, ...declared(pool), providers: providers.map(({ name: provider = '', ...rest }) => ({ id: provider.split('/').at(-1) ?? '', ...declared(rest) })) };
    }),
  );
}

/** Without what the server writes, and with the pairs of a map in one order. */
export function declared(record: JsonRecord): JsonRecord {
  const kept = Object.entries(record).filter(([key]) => !['name', 'state', 'etag', 'expireTime'].includes(key));
  const ordered = (map: JsonRecord): JsonRecord => Object.fromEntries(Object.entries(map).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return Object.fromEntries(kept.map(([key, value]) => [key, key === 'attributeMapping' && isRecord(value) ? ordered(value) : value]));
}

/** Numbers are given out at random, and differ elsewhere. */
function byText<K extends string>(key: K) {
  return (a: { readonly [key in K]?: string }, b: { readonly [key in K]?: string }): number => ((a[key] ?? '') < (b[key] ?? '') ? -1 : 1);
}

function texts(all: Readonly<Record<string, string | undefined>>): JsonRecord {
  return Object.fromEntries(Object.entries(all).flatMap(([key, text]) => (text === undefined || text === '' ? [] : [[key, text] as const])));
}

/** Hears what is left out because the caller may not read it. */
export type LeaveOut = (what: string) => void;

async function allowed<T>(what: string, leaveOut: LeaveOut, reading: Promise<T[]>): Promise<T[]> {
  try {
    return await reading;
  } catch (error) {
    if (!isApiFailure(error, 'PERMISSION_DENIED')) throw error;
    leaveOut(what);
    return [];
  }
}
