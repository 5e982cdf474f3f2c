/** What `actas import` does for a declared group, tag or workload identity pool: like import-changes.ts, through the API. */
import { ACTAS, type Api, IAM, type Operation, RESOURCE_MANAGER } from './api.ts';
import { declared as withoutServers } from './export-parts.ts';
import { type JsonRecord, nameOf, textOf, without } from './export-read.ts';
import { listMembers } from './groups.ts';
import { find, folded, type Item, isSame } from './import-changes.ts';
import { isList, isRecord, type Json } from './json.ts';

interface DeclaredGroup {
  readonly email: string;
  readonly organization?: string | undefined;
  readonly displayName?: string | undefined;
  readonly description?: string | undefined;
  readonly members?: readonly string[] | undefined;
}

/** Declared members take the place of the group's. @param organization `organizations/111111111111` */
export function groupItem({ email, displayName, description, members }: DeclaredGroup, organization: string): Item {
  const name = `${organization}/groups/${email}`;
  const texts = { ...(displayName === undefined ? {} : { displayName }), ...(description === undefined ? {} : { description }) };
  const wanted = members?.map(folded);
  return {
    title: `group ${email}`,
    async look(api) {
      const before = await find(api.get<JsonRecord>(ACTAS, name));
      const there = before === undefined ? [] : await listMembers(api, name, false);
      const added = (wanted ?? []).filter((member) => !there.includes(member));
      const removed = wanted === undefined ? [] : there.filter((member) => !wanted.includes(member));
      const changed = Object.entries(texts).filter(([key, text]) => before !== undefined && (before[key] ?? '') !== text);
      if (before !== undefined && added.length + removed.length + changed.length === 0) return undefined;
      return {
        verb: before === undefined ? 'create' : 'update',
        async apply() {
          if (before === undefined) await api.send('POST', ACTAS, `${organization}/groups`, { email, ...texts });
          if (changed.length > 0) await api.send('PATCH', ACTAS, name, texts, { updateMask: changed.map(([key]) => key).join(',') });
          if (added.length > 0) await api.send('POST', ACTAS, `${name}:addMembers`, { members: added });
          if (removed.length > 0) await api.send('POST', ACTAS, `${name}:removeMembers`, { members: removed });
        },
      };
    },
  };
}

type TagCollection = 'tagKeys' | 'tagValues';

function tagItem(collection: TagCollection, name: string, declared: JsonRecord, parentOf: (api: Api) => Promise<string>): Item {
  const { description } = declared;
  return {
    title: `${collection === 'tagKeys' ? 'tag key' : 'tag value'} ${name}`,
    async look(api) {
      const before = await findTag(api, collection, name);
      if (before === undefined)
        return {
          verb: 'create',
          apply: async () => api.finish(RESOURCE_MANAGER, await api.send<Operation>('POST', RESOURCE_MANAGER, collection, { ...declared, parent: await parentOf(api) })),
        };
      if (description === undefined || description === (before['description'] ?? '')) return undefined;
      return {
        verb: 'update',
        apply: async () => api.finish(RESOURCE_MANAGER, await api.send<Operation>('PATCH', RESOURCE_MANAGER, nameOf(before), { description }, { updateMask: 'description' })),
      };
    },
  };
}

/** By the lists: one that is not there is denied to who asks for it by name. */
async function findTag(api: Api, collection: TagCollection, name: string): Promise<JsonRecord | undefined> {
  const [owner = '', key = ''] = name.split('/');
  const parent = collection === 'tagKeys' ? tagOwner(owner) : nameOf((await findTag(api, 'tagKeys', `${owner}/${key}`)) ?? {});
  if (parent === '') return undefined;
  const found = await api.list<JsonRecord>(RESOURCE_MANAGER, collection, collection, { query: { parent } });
  return found.find((each) => each['namespacedName'] === name);
}

/** `111111111111/env` is an organization's, `demo/env` a project's. */
function tagOwner(owner: string): string {
  return /^\d+$/.test(owner) ? `organizations/${owner}` : `projects/${owner}`;
}

/** A key by its namespaced name, and its values. What cannot change of a key that is there (its purpose) stays. */
export function tagKeyItems({
  name = '',
  values = [],
  ...key
}: {
  readonly name?: string;
  readonly values?: readonly JsonRecord[];
  readonly [key: string]: Json | undefined;
}): Item[] {
  const [owner = '', shortName = ''] = name.split('/');
  const parent = tagOwner(owner);
  const body: JsonRecord = JSON.parse(JSON.stringify({ ...key, shortName }));
  return [
    tagItem('tagKeys', name, body, async () => parent),
    ...values.map((value) => tagItem('tagValues', `${name}/${textOf(value['shortName'])}`, value, async (api) => nameOf((await findTag(api, 'tagKeys', name)) ?? {}))),
  ];
}

/** @param resource `projects/demo`, or a full name */
export function tagBindingItem(resource: string, tagValue: string): Item {
  const parent = resource.startsWith('//') ? resource : `//cloudresourcemanager.googleapis.com/${resource}`;
  return {
    title: `tag ${tagValue} on ${resource}`,
    async look(api) {
      const value = await findTag(api, 'tagValues', tagValue);
      const bindings = value === undefined ? [] : await api.list<JsonRecord>(RESOURCE_MANAGER, 'tagBindings', 'tagBindings', { query: { parent } });
      if (bindings.some((binding) => binding['tagValue'] === value?.['name'])) return undefined;
      const body = { parent, tagValueNamespacedName: tagValue };
      return { verb: 'bind', apply: async () => api.finish(RESOURCE_MANAGER, await api.send<Operation>('POST', RESOURCE_MANAGER, 'tagBindings', body)) };
    },
  };
}

/** A pool, and its providers. */
export function poolItems(pool: JsonRecord): Item[] {
  const name = nameOf(pool);
  const providers = isList(pool['providers']) ? pool['providers'].filter(isRecord) : [];
  return [
    federatedItem('workload identity pool', name, without(pool, ['name', 'providers']), 'workloadIdentityPoolId'),
    ...providers.map((provider) =>
      federatedItem('workload identity pool provider', `${name}/providers/${textOf(provider['id'])}`, without(provider, ['id']), 'workloadIdentityPoolProviderId'),
    ),
  ];
}

function federatedItem(noun: string, name: string, declared: JsonRecord, idParameter: string): Item {
  const collection = name.slice(0, name.lastIndexOf('/'));
  return {
    title: `${noun} ${name}`,
    async look(api) {
      const before = await find(api.get<JsonRecord>(IAM, name));
      const create = { [idParameter]: name.slice(collection.length + 1) };
      if (before === undefined) return { verb: 'create', apply: async () => api.finish(IAM, await api.send<Operation>('POST', IAM, collection, declared, create)) };
      const there = withoutServers(before);
      // What is false or empty is not in an answer.
      const changed = Object.keys(declared).filter((key) => !isSame(declared[key] || undefined, there[key]));
      if (changed.length === 0) return undefined;
      return { verb: 'update', apply: async () => api.finish(IAM, await api.send<Operation>('PATCH', IAM, name, declared, { updateMask: changed.join(',') })) };
    },
  };
}
