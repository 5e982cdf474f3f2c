/** google.cloud.resourcemanager.v3.TagValues: what resources are tagged with. A value that is bound or held cannot be deleted. */
import { create, type DescMessage, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { alreadyExists, failedPrecondition, notFound, resourceExhausted } from '../../errors.ts';
import {
  CreateTagValueMetadataSchema,
  DeleteTagValueMetadataSchema,
  type TagValue,
  TagValueSchema,
  TagValues,
  UpdateTagValueMetadataSchema,
} from '../../gen/google/cloud/resourcemanager/v3/tag_values_pb.js';
import type { Operation } from '../../gen/google/longrunning/operations_pb.js';
import type { Db, Tx } from '../../store/database.ts';
import { deletePolicy } from '../../store/policies.ts';
import { claimTagNumber, deleteTagValue, findTagBindingOf, findTagValue, insertTagValue, listTagHolds, listTagValues, type TagValueRow, updateTagValue } from '../../store/tags.ts';
import { type Micros, toTimestamp } from '../../timestamp.ts';
import { type AnyService, type Call, type Check, defineService, type Methods } from '../service.ts';
import { nodeResource, parseNode } from './names.ts';
import { nodeCheck, nodePolicyMethods, type ResourceManagerDeps } from './node-policies.ts';
import { finishedOperation, recordOperation } from './operations.ts';
import { getTagKey } from './tag-keys.ts';
import { changedDescription, checkTagTexts, namespacedCheck, newTagEtag, refuseStaleTag, storedNamespacedName } from './tag-rules.ts';
import { visiblePage } from './visible-page.ts';
import { v3Denied } from './words.ts';

/** Source: https://docs.cloud.google.com/resource-manager/docs/limits */
const MAX_VALUES = 1000;

type ValueMethods = Methods<typeof TagValues>;

export function createTagValuesService(deps: ResourceManagerDeps): AnyService {
  return defineService<typeof TagValues>({
    desc: TagValues,
    host: 'cloudresourcemanager.googleapis.com',
    legacyErrors: false,
    denied: v3Denied,
    methods: { ...nodePolicyMethods(deps, 'tagValues'), ...reads(deps), ...changes(deps) },
  });
}

/** @param verb of `resourcemanager.tagValues` */
function valueCheck(verb: string, name: string, field = 'name'): Check {
  return nodeCheck(`resourcemanager.tagValues.${verb}`, parseNode(name, ['tagValues'], field));
}
function keyCheck(verb: string, parent: string): Check {
  return nodeCheck(`resourcemanager.tagValues.${verb}`, parseNode(parent, ['tagKeys'], 'parent'));
}

function reads({ store }: ResourceManagerDeps): Pick<ValueMethods, 'getTagValue' | 'getNamespacedTagValue' | 'listTagValues'> {
  const named = async (name: string) => findTagValue(store.read, await storedNamespacedName(store.read, name, 3, 'name'));
  return {
    getTagValue: {
      access: { checks: ({ name }) => [valueCheck('get', name)] },
      handle: async ({ name }) => toTagValue(await getTagValue(store.read, name)),
    },
    getNamespacedTagValue: {
      access: { checks: async ({ name }) => [namespacedCheck('resourcemanager.tagValues.get', 'tagValues', (await named(name))?.number, name)] },
      async handle({ name }) {
        const row = await named(name);
        if (row === undefined) throw notFound(`TagValue '${name}' was not found.`);
        return toTagValue(row);
      },
    },
    listTagValues: {
      access: { checks: ({ parent }) => [keyCheck('list', parent)] },
      async handle(request) {
        const { number: keyNumber } = await getTagKey(store.read, request.parent);
        const page = await visiblePage<TagValueRow>({
          query: ['tagValues', keyNumber],
          request,
          read: (after, limit) => listTagValues(store.read, { keyNumber, after, limit }),
          keyOf: ({ number }) => number,
          isVisible: () => true,
        });
        return { tagValues: page.rows.map(toTagValue), nextPageToken: page.nextPageToken };
      },
    },
  };
}

function changes({ store }: ResourceManagerDeps): Pick<ValueMethods, 'createTagValue' | 'updateTagValue' | 'deleteTagValue'> {
  return {
    createTagValue: {
      access: { checks: ({ tagValue }) => [keyCheck('create', tagValue?.parent ?? '')] },
      handle: ({ tagValue, validateOnly }, call) =>
        store.write(async (tx) => {
          const row = await newTagValue(tx.db, tagValue ?? create(TagValueSchema), call.now());
          if (validateOnly) return finishedOperation(TagValueSchema, create(TagValueSchema, toTagValue(row)));
          await insertTagValue(tx.db, row);
          return record(tx, 'cv', row, CreateTagValueMetadataSchema, create(CreateTagValueMetadataSchema), call);
        }),
    },
    updateTagValue: {
      access: { checks: ({ tagValue }) => [valueCheck('get', tagValue?.name ?? '', 'tag_value.name'), valueCheck('update', tagValue?.name ?? '', 'tag_value.name')] },
      handle: ({ tagValue, updateMask, validateOnly }, call) =>
        store.write(async (tx) => {
          const given = tagValue ?? create(TagValueSchema);
          const row = await getTagValue(tx.db, given.name);
          const change = { description: changedDescription(row, given, updateMask?.paths ?? [], 'tag_value'), etag: newTagEtag(), update_time: call.now() };
          const next = { ...row, ...change };
          if (validateOnly) return finishedOperation(TagValueSchema, create(TagValueSchema, toTagValue(next)));
          await updateTagValue(tx.db, row.number, change);
          return record(tx, 'uv', next, UpdateTagValueMetadataSchema, create(UpdateTagValueMetadataSchema), call);
        }),
    },
    deleteTagValue: {
      access: { checks: ({ name }) => [valueCheck('delete', name)] },
      handle: ({ name, etag, validateOnly }, call) =>
        store.write(async (tx) => {
          const row = await getTagValue(tx.db, name);
          refuseStaleTag(row.etag, etag);
          await refuseInUse(tx.db, row);
          if (validateOnly) return finishedOperation(TagValueSchema, create(TagValueSchema, toTagValue(row)));
          await deleteTagValue(tx.db, row.number);
          await deletePolicy(tx.db, nodeResource({ kind: 'tagValues', id: row.number }));
          return record(tx, 'dv', row, DeleteTagValueMetadataSchema, create(DeleteTagValueMetadataSchema), call);
        }),
    },
  };
}

/** @throws NOT_FOUND, which only a caller who may see what the value is below can meet */
export async function getTagValue(db: Db, name: string): Promise<TagValueRow> {
  const row = await findTagValue(db, parseNode(name, ['tagValues']).id);
  if (row === undefined) throw notFound(`TagValue '${name}' was not found.`);
  return row;
}

async function newTagValue(db: Db, given: TagValue, now: Micros): Promise<TagValueRow> {
  checkTagTexts(given, 'tag_value');
  const key = await getTagKey(db, given.parent);
  const namespacedName = `${key.namespaced_name}/${given.shortName}`;
  if ((await findTagValue(db, namespacedName)) !== undefined) throw alreadyExists(`A TagValue with short name '${given.shortName}' already exists under parent '${given.parent}'`);
  if ((await listTagValues(db, { keyNumber: key.number, limit: MAX_VALUES })).length >= MAX_VALUES)
    throw resourceExhausted(`${given.parent} has ${MAX_VALUES} tag values, which is the limit.`);
  return {
    number: await claimTagNumber(db),
    key_number: key.number,
    short_name: given.shortName,
    namespaced_name: namespacedName,
    description: given.description,
    etag: newTagEtag(),
    create_time: now,
    update_time: now,
  };
}

/**
 * In Google's words. Source: https://github.com/hashicorp/terraform-provider-google/issues/16685
 * Deviation: that a tag value is in use is answered at once, where Google reports it in the finished operation.
 */
async function refuseInUse(db: Db, row: TagValueRow): Promise<void> {
  const name = `tagValues/${row.number}`;
  const binding = await findTagBindingOf(db, row.number);
  if (binding !== undefined)
    throw failedPrecondition(
      `Cannot delete tag value, ${name}, because it is still attached to resources in 'global' region. To delete this tag value, remove all holds and then remove it from all resources. At least one binding was found to an active or deleted resource in the 'global' region.`,
      { type: 'TAG_BINDING', subject: name, description: 'The tag value is bound to a resource.' },
    );
  const [hold] = await listTagHolds(db, { valueNumber: row.number, limit: 1 });
  if (hold !== undefined)
    throw failedPrecondition(`Cannot delete tag value, ${name}, because it has tag holds, such as ${hold.name} of ${hold.holder}. To delete this tag value, remove all holds.`, {
      type: 'TAG_HOLD',
      subject: hold.name,
      description: 'The tag value is held.',
    });
}

function record<M extends DescMessage>(tx: Tx, kind: 'cv' | 'uv' | 'dv', row: TagValueRow, schema: M, metadata: MessageShape<M>, call: Call): Promise<Operation> {
  tx.touch('policies');
  // A value that is gone grants nothing any more: reading its deletion takes the permission on its key.
  const target = nodeResource(kind === 'dv' ? { kind: 'tagKeys', id: row.key_number } : { kind: 'tagValues', id: row.number });
  return recordOperation(tx.db, { kind, target, metadata: [schema, metadata], response: [TagValueSchema, create(TagValueSchema, toTagValue(row))] }, call.now());
}

function toTagValue(row: TagValueRow): MessageInitShape<typeof TagValueSchema> {
  return {
    name: `tagValues/${row.number}`,
    parent: `tagKeys/${row.key_number}`,
    shortName: row.short_name,
    namespacedName: row.namespaced_name,
    description: row.description,
    createTime: toTimestamp(row.create_time),
    updateTime: toTimestamp(row.update_time),
    etag: row.etag,
  };
}
