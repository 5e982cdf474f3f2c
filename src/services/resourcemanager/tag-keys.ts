/** google.cloud.resourcemanager.v3.TagKeys: keys of an organization or a project, under which values are made. */
import { create, type DescMessage, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { alreadyExists, failedPrecondition, invalidRequest, notFound, resourceExhausted } from '../../errors.ts';
import {
  CreateTagKeyMetadataSchema,
  DeleteTagKeyMetadataSchema,
  Purpose,
  type TagKey,
  TagKeySchema,
  TagKeys,
  UpdateTagKeyMetadataSchema,
} from '../../gen/google/cloud/resourcemanager/v3/tag_keys_pb.js';
import type { Operation } from '../../gen/google/longrunning/operations_pb.js';
import type { Db, Tx } from '../../store/database.ts';
import { findOrganization } from '../../store/organizations.ts';
import { deletePolicy } from '../../store/policies.ts';
import { claimTagNumber, deleteTagKey, findTagKey, insertTagKey, listTagKeys, listTagValues, type TagKeyRow, updateTagKey } from '../../store/tags.ts';
import { type Micros, toTimestamp } from '../../timestamp.ts';
import { type AnyService, type Call, type Check, defineService, type Methods } from '../service.ts';
import { nodeResource, parseNode } from './names.ts';
import { nodeCheck, nodePolicyMethods, type ResourceManagerDeps } from './node-policies.ts';
import { finishedOperation, recordOperation } from './operations.ts';
import { getProject } from './project-changes.ts';
import { changedDescription, checkTagTexts, namespacedCheck, newTagEtag, refuseStaleTag, storedNamespacedName } from './tag-rules.ts';
import { visiblePage } from './visible-page.ts';
import { v3Denied } from './words.ts';

/** Source: the comment on CreateTagKey in google/cloud/resourcemanager/v3/tag_keys.proto. */
const MAX_KEYS = 1000;

type KeyMethods = Methods<typeof TagKeys>;

export function createTagKeysService(deps: ResourceManagerDeps): AnyService {
  return defineService<typeof TagKeys>({
    desc: TagKeys,
    host: 'cloudresourcemanager.googleapis.com',
    legacyErrors: false,
    denied: v3Denied,
    methods: { ...nodePolicyMethods(deps, 'tagKeys'), ...reads(deps), ...changes(deps) },
  });
}

/** @param verb of `resourcemanager.tagKeys` */
function keyCheck(verb: string, name: string, field = 'name'): Check {
  return nodeCheck(`resourcemanager.tagKeys.${verb}`, parseNode(name, ['tagKeys'], field));
}
function parentCheck(verb: string, parent: string): Check {
  return nodeCheck(`resourcemanager.tagKeys.${verb}`, parseNode(parent, ['organizations', 'projects'], 'parent'));
}

function reads({ store }: ResourceManagerDeps): Pick<KeyMethods, 'getTagKey' | 'getNamespacedTagKey' | 'listTagKeys'> {
  const named = async (name: string) => findTagKey(store.read, await storedNamespacedName(store.read, name, 2, 'name'));
  return {
    getTagKey: {
      access: { checks: ({ name }) => [keyCheck('get', name)] },
      handle: async ({ name }) => toTagKey(await getTagKey(store.read, name)),
    },
    getNamespacedTagKey: {
      access: { checks: async ({ name }) => [namespacedCheck('resourcemanager.tagKeys.get', 'tagKeys', (await named(name))?.number, name)] },
      async handle({ name }) {
        const row = await named(name);
        if (row === undefined) throw notFound(`TagKey '${name}' was not found.`);
        return toTagKey(row);
      },
    },
    listTagKeys: {
      access: { checks: ({ parent }) => [parentCheck('list', parent)] },
      async handle(request) {
        const { parent } = await storedParent(store.read, request.parent);
        const page = await visiblePage<TagKeyRow>({
          query: ['tagKeys', parent],
          request,
          read: (after, limit) => listTagKeys(store.read, { parent, after, limit }),
          keyOf: ({ number }) => number,
          isVisible: () => true,
        });
        return { tagKeys: page.rows.map(toTagKey), nextPageToken: page.nextPageToken };
      },
    },
  };
}

function changes({ store }: ResourceManagerDeps): Pick<KeyMethods, 'createTagKey' | 'updateTagKey' | 'deleteTagKey'> {
  return {
    createTagKey: {
      access: { checks: ({ tagKey }) => [parentCheck('create', tagKey?.parent ?? '')] },
      handle: ({ tagKey, validateOnly }, call) =>
        store.write(async (tx) => {
          const row = await newTagKey(tx.db, tagKey ?? create(TagKeySchema), call.now());
          if (validateOnly) return finishedOperation(TagKeySchema, create(TagKeySchema, toTagKey(row)));
          await insertTagKey(tx.db, row);
          return record(tx, 'ck', row, CreateTagKeyMetadataSchema, create(CreateTagKeyMetadataSchema), call);
        }),
    },
    updateTagKey: {
      access: { checks: ({ tagKey }) => [keyCheck('get', tagKey?.name ?? '', 'tag_key.name'), keyCheck('update', tagKey?.name ?? '', 'tag_key.name')] },
      handle: ({ tagKey, updateMask, validateOnly }, call) =>
        store.write(async (tx) => {
          const given = tagKey ?? create(TagKeySchema);
          const row = await getTagKey(tx.db, given.name);
          const change = { description: changedDescription(row, given, updateMask?.paths ?? [], 'tag_key'), etag: newTagEtag(), update_time: call.now() };
          const next = { ...row, ...change };
          if (validateOnly) return finishedOperation(TagKeySchema, create(TagKeySchema, toTagKey(next)));
          await updateTagKey(tx.db, row.number, change);
          return record(tx, 'uk', next, UpdateTagKeyMetadataSchema, create(UpdateTagKeyMetadataSchema), call);
        }),
    },
    deleteTagKey: {
      access: { checks: ({ name }) => [keyCheck('delete', name)] },
      handle: ({ name, etag, validateOnly }, call) =>
        store.write(async (tx) => {
          const row = await getTagKey(tx.db, name);
          refuseStaleTag(row.etag, etag);
          await refuseInUse(tx.db, row);
          if (validateOnly) return finishedOperation(TagKeySchema, create(TagKeySchema, toTagKey(row)));
          await deleteTagKey(tx.db, row.number);
          await deletePolicy(tx.db, nodeResource({ kind: 'tagKeys', id: row.number }));
          return record(tx, 'dk', row, DeleteTagKeyMetadataSchema, create(DeleteTagKeyMetadataSchema), call);
        }),
    },
  };
}

/** @throws NOT_FOUND, which only a caller who may see what the key is below can meet */
export async function getTagKey(db: Db, name: string): Promise<TagKeyRow> {
  const row = await findTagKey(db, parseNode(name, ['tagKeys']).id);
  if (row === undefined) throw notFound(`TagKey '${name}' was not found.`);
  return row;
}

/** @returns the parent as keys keep it, and what begins their namespaced names */
async function storedParent(db: Db, name: string): Promise<{ parent: string; namespace: string }> {
  const { kind, id } = parseNode(name, ['organizations', 'projects'], 'parent');
  if (kind === 'projects') {
    const project = await getProject(db, id);
    return { parent: `projects/${project.number}`, namespace: project.project_id };
  }
  if ((await findOrganization(db, id)) === undefined) throw notFound(`Organization '${name}' was not found.`);
  return { parent: name, namespace: id };
}

async function newTagKey(db: Db, given: TagKey, now: Micros): Promise<TagKeyRow> {
  checkTagTexts(given, 'tag_key');
  const { parent, namespace } = await storedParent(db, given.parent);
  const namespacedName = `${namespace}/${given.shortName}`;
  // In Google's words. Source: https://github.com/GoogleCloudPlatform/k8s-config-connector/pull/6890
  if ((await findTagKey(db, namespacedName)) !== undefined) throw alreadyExists(`A TagKey with short name '${given.shortName}' already exists under parent '${given.parent}'`);
  if ((await listTagKeys(db, { parent, limit: MAX_KEYS })).length >= MAX_KEYS) throw resourceExhausted(`${given.parent} has ${MAX_KEYS} tag keys, which is the limit.`);
  return {
    number: await claimTagNumber(db),
    parent,
    short_name: given.shortName,
    namespaced_name: namespacedName,
    description: given.description,
    purpose: purposeOf(given),
    etag: newTagEtag(),
    create_time: now,
    update_time: now,
  };
}

/** Tags of a purpose are kept like others; nothing here acts on a purpose. @throws INVALID_ARGUMENT */
function purposeOf({ purpose, purposeData }: TagKey): string {
  const data = Object.entries(purposeData);
  if (purpose === Purpose.PURPOSE_UNSPECIFIED && data.length === 0) return '';
  if (purpose !== Purpose.GCE_FIREWALL || data.length !== 1 || (purposeData['network'] ?? '') === '')
    throw invalidRequest('tag_key.purpose: The only purpose is GCE_FIREWALL, and its purpose_data names one network.', [
      { field: 'tag_key.purpose', description: 'must be GCE_FIREWALL with purpose_data.network' },
    ]);
  return JSON.stringify({ purpose: Purpose[purpose], data: purposeData });
}

async function refuseInUse(db: Db, row: TagKeyRow): Promise<void> {
  const [value] = await listTagValues(db, { keyNumber: row.number, limit: 1 });
  if (value !== undefined)
    throw failedPrecondition(`Cannot delete tag key, tagKeys/${row.number}, because it still has tag values, such as tagValues/${value.number}. Delete them first.`, {
      type: 'TAG_VALUE',
      subject: `tagValues/${value.number}`,
      description: 'is below the key',
    });
}

function record<M extends DescMessage>(tx: Tx, kind: 'ck' | 'uk' | 'dk', row: TagKeyRow, schema: M, metadata: MessageShape<M>, call: Call): Promise<Operation> {
  tx.touch('policies');
  // A key that is gone grants nothing any more: reading its deletion takes the permission on what it was below.
  const target = `//cloudresourcemanager.googleapis.com/${kind === 'dk' ? row.parent : `tagKeys/${row.number}`}`;
  return recordOperation(tx.db, { kind, target, metadata: [schema, metadata], response: [TagKeySchema, create(TagKeySchema, toTagKey(row))] }, call.now());
}

function toTagKey(row: TagKeyRow): MessageInitShape<typeof TagKeySchema> {
  return {
    name: `tagKeys/${row.number}`,
    parent: row.parent,
    shortName: row.short_name,
    namespacedName: row.namespaced_name,
    description: row.description,
    createTime: toTimestamp(row.create_time),
    updateTime: toTimestamp(row.update_time),
    etag: row.etag,
    // The only one that purposeOf lets through.
    ...(row.purpose === '' ? {} : { purpose: Purpose.GCE_FIREWALL, purposeData: JSON.parse(row.purpose).data }),
  };
}
