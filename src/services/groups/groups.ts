/**
 * actas.v1.Groups: the groups that policies name. Google keeps them in Cloud Identity, beside the hierarchy; here they are an organization's, for
 * whoever holds actas.groups.* on it (roles/actas.groupsAdmin). A policy may name a group that does not exist: it then stands for nobody but itself.
 *
 * Invariants: an address is one group's; no group is in itself, through others or not; what was granted to a deleted group is not its successor's.
 * Must not know: how memberships decide. That is policy/.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { aborted, alreadyExists, invalidArgument, notFound } from '../../errors.ts';
import { type AddMembersRequest, type Group, type GroupSchema, Groups, type RemoveMembersRequest, type UpdateGroupRequest } from '../../gen/actas/v1/groups_pb.js';
import { decodePageToken, encodePageToken, pageSize } from '../../page-token.ts';
import { normalMember } from '../../policy/member.ts';
import type { Db, Store, Tx } from '../../store/database.ts';
import { deleteGroup, deleteGroupMembers, findGroup, type GroupRow, insertGroup, insertGroupMembers, listGroupMembers, listGroups, updateGroup } from '../../store/groups.ts';
import { findOrganization } from '../../store/organizations.ts';
import { renameMember } from '../../store/policies.ts';
import { isUnknownServiceAccount } from '../../store/service-accounts.ts';
import { type Micros, toTimestamp } from '../../timestamp.ts';
import { type AnyService, type Check, defineService, type Methods } from '../service.ts';
import { checkGroupEmail, checkGroupTexts, checkMembers, parseGroupName, parseGroupParent } from './group-names.ts';
import { findNesting, listTransitiveMembers } from './nesting.ts';

type GroupMethods = Methods<typeof Groups>;

export function createGroupService({ store }: { readonly store: Store }): AnyService {
  return defineService<typeof Groups>({
    desc: Groups,
    host: 'actas.internal',
    legacyErrors: false,
    denied: (check) => `Permission '${check.permission}' denied on resource '${check.asked}' (or it may not exist).`,
    methods: { ...contentMethods(store), ...memberMethods(store) },
  });
}

function contentMethods(store: Store): Pick<GroupMethods, 'createGroup' | 'getGroup' | 'listGroups' | 'updateGroup' | 'deleteGroup'> {
  return {
    createGroup: {
      access: { checks: ({ parent }) => [groupCheck('create', `organizations/${parseGroupParent(parent)}`)] },
      handle: async ({ parent, group }, call) => toGroup(await createGroup(store, parent, group, call.now())),
    },
    getGroup: {
      access: { checks: ({ name }) => [namedCheck('get', name)] },
      handle: async ({ name }) => toGroup(await requireGroup(store.read, name)),
    },
    listGroups: {
      access: { checks: ({ parent }) => [groupCheck('list', `organizations/${parseGroupParent(parent)}`)] },
      async handle({ parent, pageSize: asked, pageToken }) {
        await requireOrganization(store.read, parent);
        const query = ['groups', parent];
        const size = pageSize(asked, 100, 1000);
        const rows = await listGroups(store.read, { parent, after: String(decodePageToken(query, pageToken)?.[0] ?? ''), limit: size + 1 });
        const page = rows.slice(0, size);
        return { groups: page.map(toGroup), nextPageToken: rows.length > size ? encodePageToken(query, [page.at(-1)?.email ?? '']) : '' };
      },
    },
    updateGroup: {
      access: { checks: ({ group }) => [namedCheck('update', group?.name ?? '', 'group.name')] },
      handle: async (request, call) => toGroup(await changeGroup(store, request, call.now())),
    },
    deleteGroup: {
      access: { checks: ({ name }) => [namedCheck('delete', name)] },
      async handle({ name, etag }, call) {
        await store.write(async (tx) => {
          const row = await requireGroup(tx.db, name);
          checkEtag(row, etag);
          await deleteGroup(tx.db, row.email);
          await renameMember(tx.db, `group:${row.email}`, `deleted:group:${row.email}?uid=${row.uid}`, call.now());
          tx.touch('groups');
          tx.touch('policies');
        });
        return {};
      },
    },
  };
}

function memberMethods(store: Store): Pick<GroupMethods, 'addMembers' | 'removeMembers' | 'listMembers'> {
  return {
    addMembers: {
      access: { checks: ({ name }) => [namedCheck('update', name)] },
      handle: async (request, call) => ({ added: await store.write((tx) => addMembers(tx, request, call.now())) }),
    },
    removeMembers: {
      access: { checks: ({ name }) => [namedCheck('update', name)] },
      handle: async (request, call) => ({ removed: await store.write((tx) => removeMembers(tx, request, call.now())) }),
    },
    listMembers: {
      access: { checks: ({ name }) => [namedCheck('get', name)] },
      async handle({ name, transitive, pageSize: asked, pageToken }) {
        const { email } = await requireGroup(store.read, name);
        const query = ['members', email, transitive];
        const size = pageSize(asked, 200, 1000);
        const after = String(decodePageToken(query, pageToken)?.[0] ?? '');
        const found = transitive
          ? (await listTransitiveMembers(store.read, email)).filter((member) => member > after)
          : await listGroupMembers(store.read, email, { after, limit: size + 1 });
        const page = found.slice(0, size);
        return { members: page, nextPageToken: found.length > size ? encodePageToken(query, [page.at(-1) ?? '']) : '' };
      },
    },
  };
}

function groupCheck(verb: string, name: string): Check {
  return { permission: `actas.groups.${verb}`, resource: `//cloudresourcemanager.googleapis.com/${name.split('/').slice(0, 2).join('/')}`, asked: name };
}

function namedCheck(verb: string, name: string, field?: string): Check {
  const { parent, email } = parseGroupName(name, field);
  return groupCheck(verb, `${parent}/groups/${email}`);
}

async function requireOrganization(db: Db, parent: string): Promise<void> {
  if ((await findOrganization(db, parseGroupParent(parent))) === undefined) throw notFound(`Resource '${parent}' was not found.`);
}

/** @throws NOT_FOUND, for a group of another organization too */
async function requireGroup(db: Db, name: string, field?: string): Promise<GroupRow> {
  const { parent, email } = parseGroupName(name, field);
  const row = await findGroup(db, email);
  if (row === undefined || row.parent !== parent) throw notFound(`Group '${parent}/groups/${email}' was not found.`);
  return row;
}

async function createGroup(store: Store, parent: string, group: Group | undefined, now: Micros): Promise<GroupRow> {
  if (group === undefined) throw invalidArgument('group', 'required field not present.');
  const email = checkGroupEmail(group.email);
  checkGroupTexts(group);
  return store.write(async (tx) => {
    await requireOrganization(tx.db, parent);
    if ((await findGroup(tx.db, email)) !== undefined) throw alreadyExists(`Group ${email} already exists.`);
    tx.touch('groups');
    return insertGroup(tx.db, { email, parent, display_name: group.displayName, description: group.description, create_time: now, update_time: now });
  });
}

async function changeGroup(store: Store, { group, updateMask }: UpdateGroupRequest, now: Micros): Promise<GroupRow> {
  if (group === undefined) throw invalidArgument('group', 'required field not present.');
  checkGroupTexts(group);
  const paths = updateMask?.paths ?? [];
  const known = new Set(['display_name', 'displayName', 'description', '*']);
  for (const path of paths)
    if (!known.has(path)) throw invalidArgument('update_mask', `${JSON.stringify(path)} is not a field of a group that can be changed. Use display_name and description.`);
  const isAsked = (field: string, json: string, value: string) => (paths.length === 0 ? value !== '' : paths.includes(field) || paths.includes(json) || paths.includes('*'));
  return store.write(async (tx) => {
    const before = await requireGroup(tx.db, group.name, 'group.name');
    checkEtag(before, group.etag);
    return updateGroup(tx.db, {
      ...before,
      display_name: isAsked('display_name', 'displayName', group.displayName) ? group.displayName : before.display_name,
      description: isAsked('description', 'description', group.description) ? group.description : before.description,
      update_time: now,
    });
  });
}

async function addMembers(tx: Tx, request: AddMembersRequest, now: Micros): Promise<string[]> {
  const members = checkMembers(request.members);
  const row = await requireGroup(tx.db, request.name);
  for (const member of members) await requireFitting(tx.db, row.email, member);
  const added = await insertGroupMembers(tx.db, row.email, members);
  await changed(tx, row, added, now);
  return added;
}

/** @throws INVALID_ARGUMENT for an account that does not exist, and for a group that would come to be in itself, with the way around */
async function requireFitting(db: Db, group: string, member: string): Promise<void> {
  const [type = '', email = ''] = member.split(':');
  if (type === 'serviceAccount' && (await isUnknownServiceAccount(db, email))) throw invalidArgument('members', `Service account ${email} does not exist.`);
  if (type !== 'group') return;
  const way = await findNesting(db, email, group);
  if (way !== undefined) throw invalidArgument('members', `${email} cannot be a member of ${group}, which would come to be in itself: ${[group, ...way].join(' > ')}.`);
}

async function removeMembers(tx: Tx, request: RemoveMembersRequest, now: Micros): Promise<string[]> {
  const row = await requireGroup(tx.db, request.name);
  if (request.members.length === 0) throw invalidArgument('members', 'names nobody.');
  // Whatever stands there can be taken out, a deleted account too.
  const removed = await deleteGroupMembers(tx.db, row.email, request.members.map(normalMember));
  await changed(tx, row, removed, now);
  return removed;
}

async function changed(tx: Tx, row: GroupRow, members: readonly string[], now: Micros): Promise<void> {
  if (members.length === 0) return;
  await updateGroup(tx.db, { ...row, update_time: now });
  tx.touch('groups');
}

function checkEtag(row: GroupRow, etag: string): void {
  if (etag !== '' && etag !== row.etag) throw aborted(`Group ${row.email} was changed meanwhile. Read it again, and retry.`);
}

function toGroup(row: GroupRow): MessageInitShape<typeof GroupSchema> {
  return {
    name: `${row.parent}/groups/${row.email}`,
    email: row.email,
    displayName: row.display_name,
    description: row.description,
    etag: row.etag,
    createTime: toTimestamp(row.create_time),
    updateTime: toTimestamp(row.update_time),
    uid: row.uid,
  };
}
