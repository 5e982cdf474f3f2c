/**
 * google.cloud.resourcemanager.v3.TagBindings: which values a resource has, and which it inherits. Recorded: a binding is made and removed at
 * once, by an operation without name or metadata.
 * Deviation: a binding is the same at the global host and at every regional one.
 */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { alreadyExists, failedPrecondition, invalidRequest, notFound, resourceExhausted } from '../../errors.ts';
import { type EffectiveTagSchema, type TagBinding, TagBindingSchema, TagBindings } from '../../gen/google/cloud/resourcemanager/v3/tag_bindings_pb.js';
import type { Db, Store } from '../../store/database.ts';
import { findProject } from '../../store/projects.ts';
import { deleteTagBinding, findTagKey, findTagValue, insertTagBinding, listTagBindings, listTags, type TagBindingRow, type TagKeyRow, type TagValueRow } from '../../store/tags.ts';
import { type AnyService, type Call, type Check, defineService, type Methods } from '../service.ts';
import { nodeResource, parseNode } from './names.ts';
import type { ResourceManagerDeps } from './node-policies.ts';
import { emptyOperation, finishedOperation } from './operations.ts';
import { namespacedCheck, storedNamespacedName } from './tag-rules.ts';
import { requireTagged, resolveTagged, type TaggedResource } from './tagged-resource.ts';
import { visiblePage } from './visible-page.ts';
import { v3Denied } from './words.ts';

/** Source: https://docs.cloud.google.com/resource-manager/docs/limits */
const MAX_BINDINGS = 50;

type BindingMethods = Methods<typeof TagBindings>;

export function createTagBindingsService({ store }: ResourceManagerDeps): AnyService {
  return defineService<typeof TagBindings>({
    desc: TagBindings,
    host: 'cloudresourcemanager.googleapis.com',
    legacyErrors: false,
    denied: v3Denied,
    methods: { ...reads(store), ...changes(store) },
  });
}

function changes(store: Store): Pick<BindingMethods, 'createTagBinding' | 'deleteTagBinding'> {
  return {
    createTagBinding: {
      access: { checks: async ({ tagBinding }) => bindChecks(store.read, tagBinding ?? create(TagBindingSchema)) },
      handle: ({ tagBinding, validateOnly }, call) =>
        store.write(async (tx) => {
          const given = tagBinding ?? create(TagBindingSchema);
          const resource = await resolveTagged(tx.db, given.parent, 'tag_binding.parent');
          const { value, key } = await getBindable(tx.db, given);
          await checkBindable(tx.db, resource, value, key);
          if (!validateOnly) await insertTagBinding(tx.db, { resource: resource.stored, key_number: key.number, value_number: value.number, create_time: call.now() });
          tx.touch('policies');
          return finishedOperation(TagBindingSchema, create(TagBindingSchema, { ...toBinding(resource, value.number), tagValueNamespacedName: value.namespaced_name }));
        }),
    },
    deleteTagBinding: {
      access: {
        async checks({ name }) {
          const { parent, number } = parseBindingName(name);
          const check = (await resolveTagged(store.read, parent, 'name')).check('deleteTagBinding');
          return [namespacedCheck('resourcemanager.tagValueBindings.delete', 'tagValues', number, `tagValues/${number}`), ...(check === undefined ? [] : [check])];
        },
      },
      handle: ({ name }) =>
        store.write(async (tx) => {
          const { parent, number } = parseBindingName(name);
          const { stored } = await resolveTagged(tx.db, parent, 'name');
          if (!(await deleteTagBinding(tx.db, stored, number))) throw notFound(`TagBinding '${name}' was not found.`);
          tx.touch('policies');
          return emptyOperation();
        }),
    },
  };
}

function reads(store: Store): Pick<BindingMethods, 'listTagBindings' | 'listEffectiveTags'> {
  const checks = (verb: 'listTagBindings' | 'listEffectiveTags') => async (request: { readonly parent: string }) => {
    const check = (await resolveTagged(store.read, request.parent, 'parent')).check(verb);
    return check === undefined ? [] : [check];
  };
  return {
    listTagBindings: {
      access: { checks: checks('listTagBindings') },
      async handle(request, call) {
        const resource = await resolveTagged(store.read, request.parent, 'parent');
        requireTagged(resource);
        const page = await visiblePage<TagBindingRow>({
          query: ['tagBindings', resource.stored],
          request,
          read: (after, limit) => listTagBindings(store.read, { resource: resource.stored, after, limit }),
          keyOf: ({ value_number }) => value_number,
          isVisible: ({ value_number }) => mayShow(resource, `tagValues/${value_number}`, call),
        });
        return { tagBindings: page.rows.map((row) => toBinding(resource, row.value_number)), nextPageToken: page.nextPageToken };
      },
    },
    listEffectiveTags: {
      access: { checks: checks('listEffectiveTags') },
      async handle(request, call) {
        const resource = await resolveTagged(store.read, request.parent, 'parent');
        requireTagged(resource);
        const all = await effectiveTags(store.read, resource);
        const page = await visiblePage<EffectiveTag>({
          query: ['effectiveTags', resource.stored],
          request,
          read: async (after, limit) => all.filter(({ tagKey }) => tagKey > (after ?? '')).slice(0, limit),
          keyOf: ({ tagKey }) => tagKey,
          isVisible: ({ tagValue }) => mayShow(resource, tagValue, call),
        });
        return { effectiveTags: page.rows, nextPageToken: page.nextPageToken };
      },
    },
  };
}

/** Where no permission on the resource could be asked for, the one on the value decides whether the caller sees that it is bound. */
function mayShow(resource: TaggedResource, value: string, call: Call): boolean | Promise<boolean> {
  if (resource.check('listTagBindings') !== undefined) return true;
  return call.isAllowed({ permission: 'resourcemanager.tagValues.get', resource: nodeResource(parseNode(value, ['tagValues'])) });
}

type EffectiveTag = MessageInitShape<typeof EffectiveTagSchema> & { readonly tagKey: string; readonly tagValue: string };

/** The resource's own tags, and for every other key the value of the nearest ancestor that has one. In the order of the keys. */
async function effectiveTags(db: Db, resource: TaggedResource): Promise<EffectiveTag[]> {
  const byKey = new Map<string, EffectiveTag>();
  for (const name of [resource.stored, ...(await storedAncestors(db, resource))]) {
    for (const { keyId, key, valueId, value } of await listTags(db, name)) {
      if (byKey.has(keyId)) continue;
      const { parent } = (await findTagKey(db, keyId.slice('tagKeys/'.length))) ?? { parent: '' };
      byKey.set(keyId, {
        tagValue: valueId,
        namespacedTagValue: `${key}/${value}`,
        tagKey: keyId,
        namespacedTagKey: key,
        tagKeyParentName: parent,
        inherited: name !== resource.stored,
      });
    }
  }
  return [...byKey.values()].toSorted((a, b) => (a.tagKey < b.tagKey ? -1 : 1));
}

async function storedAncestors(db: Db, resource: TaggedResource): Promise<string[]> {
  const names: string[] = [];
  for (const above of resource.above ?? []) {
    const node = parseNode(above, ['projects', 'folders', 'organizations']);
    const stored = nodeResource(node.kind === 'projects' ? { ...node, id: (await findProject(db, node.id))?.project_id ?? node.id } : node);
    if (stored !== resource.stored) names.push(stored);
  }
  return names;
}

/** The value may be bound by whoever may use it, and the resource tagged by whoever may do that. @throws INVALID_ARGUMENT */
async function bindChecks(db: Db, { parent, tagValue, tagValueNamespacedName }: TagBinding): Promise<Check[]> {
  if ((tagValue === '') === (tagValueNamespacedName === ''))
    throw invalidRequest('tag_binding: Give the tag value either by tag_value or by tag_value_namespaced_name.', [
      { field: 'tag_binding.tag_value', description: 'exactly one of tag_value and tag_value_namespaced_name' },
    ]);
  const resource = (await resolveTagged(db, parent, 'tag_binding.parent')).check('createTagBinding');
  const permission = 'resourcemanager.tagValueBindings.create';
  const value =
    tagValue === ''
      ? namespacedCheck(permission, 'tagValues', (await findNamespaced(db, tagValueNamespacedName))?.number, tagValueNamespacedName)
      : { permission, resource: nodeResource(parseNode(tagValue, ['tagValues'], 'tag_binding.tag_value')) };
  return [value, ...(resource === undefined ? [] : [resource])];
}

async function findNamespaced(db: Db, name: string): Promise<TagValueRow | undefined> {
  return findTagValue(db, await storedNamespacedName(db, name, 3, 'tag_binding.tag_value_namespaced_name'));
}

async function getBindable(db: Db, { tagValue, tagValueNamespacedName }: TagBinding): Promise<{ value: TagValueRow; key: TagKeyRow }> {
  const value = tagValue === '' ? await findNamespaced(db, tagValueNamespacedName) : await findTagValue(db, parseNode(tagValue, ['tagValues']).id);
  const key = value === undefined ? undefined : await findTagKey(db, value.key_number);
  if (value === undefined || key === undefined) throw notFound(`TagValue '${tagValue === '' ? tagValueNamespacedName : tagValue}' was not found.`);
  return { value, key };
}

/** @throws NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION, RESOURCE_EXHAUSTED */
async function checkBindable(db: Db, resource: TaggedResource, value: TagValueRow, key: TagKeyRow): Promise<void> {
  requireTagged(resource);
  if (resource.above !== undefined && !resource.above.includes(key.parent) && resource.stored !== `//cloudresourcemanager.googleapis.com/${key.parent}`)
    throw failedPrecondition(
      `The tag value tagValues/${value.number} is one of ${key.parent}, and '${resource.shown}' is not in it: tags are bound to what is in the organization or project of their key.`,
      {
        type: 'TAG_NAMESPACE',
        subject: resource.shown,
        description: `is not in ${key.parent}`,
      },
    );
  const bound = await listTagBindings(db, { resource: resource.stored, limit: MAX_BINDINGS });
  const same = bound.find(({ key_number }) => key_number === key.number);
  if (same?.value_number === value.number) throw alreadyExists(`The tag value tagValues/${value.number} is bound to '${resource.shown}' already.`);
  // Google's words, as https://github.com/hashicorp/terraform-provider-google/issues/29346 has them.
  if (same !== undefined)
    throw failedPrecondition('A binding already exists between the given resource and a TagValue parented by the same TagKey as the given TagValue.', {
      type: 'TAG_BINDING',
      subject: resource.shown,
      description: `tagValues/${same.value_number} of tagKeys/${key.number} is bound to it`,
    });
  if (bound.length >= MAX_BINDINGS) throw resourceExhausted(`'${resource.shown}' has ${MAX_BINDINGS} tags, which is the limit.`);
}

/** `tagBindings/FULL_RESOURCE_NAME/tagValues/N`, the full name percent-encoded or, as the REST door leaves it, not. @throws INVALID_ARGUMENT */
function parseBindingName(name: string): { parent: string; number: string } {
  const found = /^tagBindings\/(?<parent>.+)\/tagValues\/(?<number>\d{1,20})$/.exec(name)?.groups;
  const parent = decoded(found?.['parent'] ?? '');
  if (found?.['number'] === undefined || parent === undefined || parent === '')
    throw invalidRequest(
      `name: ${JSON.stringify(name)} is not the name of a tag binding. Write tagBindings/FULL_RESOURCE_NAME/tagValues/NUMBER, with the full name percent-encoded.`,
      [{ field: 'name', description: 'must be tagBindings/FULL_RESOURCE_NAME/tagValues/NUMBER' }],
    );
  return { parent, number: found['number'] };
}

function decoded(text: string): string | undefined {
  try {
    return text.includes('%') ? decodeURIComponent(text) : text;
  } catch {
    return undefined;
  }
}

function toBinding({ shown }: TaggedResource, valueNumber: string): MessageInitShape<typeof TagBindingSchema> {
  return { name: `tagBindings/${encodeURIComponent(shown)}/tagValues/${valueNumber}`, parent: shown, tagValue: `tagValues/${valueNumber}` };
}
