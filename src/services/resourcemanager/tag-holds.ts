/** google.cloud.resourcemanager.v3.TagHolds: uses of a tag value that are no bindings, such as a condition that names it, and that keep it from being deleted. */
import { randomUUID } from 'node:crypto';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { EmptySchema } from '@bufbuild/protobuf/wkt';
import { alreadyExists, invalidRequest, notFound } from '../../errors.ts';
import { CreateTagHoldMetadataSchema, DeleteTagHoldMetadataSchema, type TagHold, TagHoldSchema, TagHolds } from '../../gen/google/cloud/resourcemanager/v3/tag_holds_pb.js';
import type { Db } from '../../store/database.ts';
import { deleteTagHold, findTagHold, findTagHoldOf, insertTagHold, listTagHolds, type TagHoldRow } from '../../store/tags.ts';
import { type Micros, toTimestamp } from '../../timestamp.ts';
import { parseFilter } from '../list-filter.ts';
import { type AnyService, type Check, defineService } from '../service.ts';
import { nodeResource, parseNode } from './names.ts';
import { nodeCheck, type ResourceManagerDeps } from './node-policies.ts';
import { emptyOperation, finishedOperation, recordOperation } from './operations.ts';
import { getTagValue } from './tag-values.ts';
import { visiblePage } from './visible-page.ts';
import { v3Denied } from './words.ts';

/** Source: the comments on TagHold in google/cloud/resourcemanager/v3/tag_holds.proto ("must be less than 200 characters"). */
const MAX_TEXT = 199;
const NAME = /^(?<value>tagValues\/\d{1,20})\/tagHolds\/[^/\s]{1,63}$/;

export function createTagHoldsService({ store }: ResourceManagerDeps): AnyService {
  return defineService<typeof TagHolds>({
    desc: TagHolds,
    host: 'cloudresourcemanager.googleapis.com',
    legacyErrors: false,
    denied: v3Denied,
    methods: {
      createTagHold: {
        access: { checks: ({ parent }) => [holdCheck('create', parent, 'parent')] },
        handle: ({ parent, tagHold, validateOnly }, call) =>
          store.write(async (tx) => {
            const row = await newTagHold(tx.db, parent, tagHold ?? create(TagHoldSchema), call.now());
            const response = create(TagHoldSchema, toTagHold(row));
            if (validateOnly) return finishedOperation(TagHoldSchema, response);
            await insertTagHold(tx.db, row);
            const target = nodeResource({ kind: 'tagValues', id: row.value_number });
            const metadata = create(CreateTagHoldMetadataSchema);
            return recordOperation(tx.db, { kind: 'ch', target, metadata: [CreateTagHoldMetadataSchema, metadata], response: [TagHoldSchema, response] }, call.now());
          }),
      },
      deleteTagHold: {
        access: { checks: ({ name }) => [holdCheck('delete', valueOf(name), 'name')] },
        handle: ({ name, validateOnly }, call) =>
          store.write(async (tx) => {
            const row = await findTagHold(tx.db, name);
            if (row === undefined) throw notFound(`TagHold '${name}' was not found.`);
            if (validateOnly) return emptyOperation();
            await deleteTagHold(tx.db, name);
            const target = nodeResource({ kind: 'tagValues', id: row.value_number });
            const metadata = create(DeleteTagHoldMetadataSchema);
            return recordOperation(tx.db, { kind: 'dh', target, metadata: [DeleteTagHoldMetadataSchema, metadata], response: [EmptySchema, create(EmptySchema)] }, call.now());
          }),
      },
      listTagHolds: {
        access: { checks: ({ parent }) => [holdCheck('list', parent, 'parent')] },
        async handle(request) {
          const { number: valueNumber } = await getTagValue(store.read, request.parent);
          const filter = parseFilter(request.filter, ['holder', 'origin'], 'filter');
          const page = await visiblePage<TagHoldRow>({
            query: ['tagHolds', valueNumber, request.filter],
            request,
            read: (after, limit) => listTagHolds(store.read, { valueNumber, after, limit }),
            keyOf: ({ name }) => name,
            isVisible: (row) => filter((field) => (field === 'holder' ? row.holder : row.origin)),
          });
          return { tagHolds: page.rows.map(toTagHold), nextPageToken: page.nextPageToken };
        },
      },
    },
  });
}

/** @param verb of `resourcemanager.tagHolds`, which are held on the value */
function holdCheck(verb: string, value: string, field: string): Check {
  return nodeCheck(`resourcemanager.tagHolds.${verb}`, parseNode(value, ['tagValues'], field));
}

function valueOf(name: string): string {
  const value = NAME.exec(name)?.groups?.['value'];
  if (value === undefined)
    throw invalidRequest(`name: ${JSON.stringify(name)} is not the name of a tag hold. Write tagValues/NUMBER/tagHolds/ID, as listing the holds shows it.`, [
      { field: 'name', description: 'must be tagValues/NUMBER/tagHolds/ID' },
    ]);
  return value;
}

async function newTagHold(db: Db, parent: string, given: TagHold, now: Micros): Promise<TagHoldRow> {
  const { holder, origin, helpLink } = given;
  if (holder === '') throw invalidRequest('tag_hold.holder: required field not present.', [{ field: 'tag_hold.holder', description: 'required' }]);
  for (const [field, text] of Object.entries({ holder, origin, help_link: helpLink }))
    if (text.length > MAX_TEXT)
      throw invalidRequest(`tag_hold.${field}: must have less than 200 characters, but has ${text.length}.`, [
        { field: `tag_hold.${field}`, description: 'less than 200 characters' },
      ]);
  const { number } = await getTagValue(db, parent);
  const row: TagHoldRow = { name: `tagValues/${number}/tagHolds/${randomUUID()}`, value_number: number, holder, origin, help_link: helpLink, create_time: now };
  const there = await findTagHoldOf(db, row);
  if (there !== undefined) throw alreadyExists(`A TagHold of holder '${holder}' and origin '${origin}' already exists under '${parent}': ${there.name}`);
  return row;
}

function toTagHold(row: TagHoldRow): MessageInitShape<typeof TagHoldSchema> {
  return { name: row.name, holder: row.holder, origin: row.origin, helpLink: row.help_link, createTime: toTimestamp(row.create_time) };
}
