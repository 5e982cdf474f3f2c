/** Groups and their members. A group of this name may be a member elsewhere before it exists, and after it is gone: then it has no members. */
import { randomBytes } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { Db } from './database.ts';
import type { GroupsTable } from './schema.ts';

export type GroupRow = Selectable<GroupsTable>;

/** @param email lower case */
export async function findGroup(db: Db, email: string): Promise<GroupRow | undefined> {
  return db.selectFrom('groups').selectAll().where('email', '=', email).executeTakeFirst();
}

/** By address, from the one after `after`. @param page.parent `organizations/N` */
export async function listGroups(db: Db, page: { readonly parent: string; readonly after?: string; readonly limit: number }): Promise<GroupRow[]> {
  return db
    .selectFrom('groups')
    .selectAll()
    .where('parent', '=', page.parent)
    .where('email', '>', page.after ?? '')
    .orderBy('email')
    .limit(page.limit)
    .execute();
}

/** Under a new etag and uid. */
export async function insertGroup(db: Db, group: Omit<GroupRow, 'etag' | 'uid'>): Promise<GroupRow> {
  const row: GroupRow = { ...group, etag: newEtag(), uid: newUid() };
  await db.insertInto('groups').values(row).execute();
  return row;
}

/** Under a new etag. */
export async function updateGroup(db: Db, row: GroupRow): Promise<GroupRow> {
  const changed = { ...row, etag: newEtag() };
  const { email, ...rest } = changed;
  await db.updateTable('groups').set(rest).where('email', '=', email).execute();
  return changed;
}

/** The group and its list of members. Where it is named, the caller marks it as deleted. */
export async function deleteGroup(db: Db, email: string): Promise<void> {
  await db.deleteFrom('groups').where('email', '=', email).execute();
  await db.deleteFrom('group_members').where('group_email', '=', email).execute();
}

/** Direct members in order, from the one after `after`. */
export async function listGroupMembers(db: Db, email: string, page: { readonly after?: string; readonly limit?: number } = {}): Promise<string[]> {
  const query = db
    .selectFrom('group_members')
    .select('member')
    .where('group_email', '=', email)
    .where('member', '>', page.after ?? '')
    .orderBy('member');
  return (await (page.limit === undefined ? query : query.limit(page.limit)).execute()).map(({ member }) => member);
}

/** The groups that are directly members of this one, by address. */
export async function listMemberGroups(db: Db, email: string): Promise<string[]> {
  const rows = await db.selectFrom('group_members').select('member').where('group_email', '=', email).where('member', 'like', 'group:%').execute();
  return rows.map(({ member }) => member.slice('group:'.length));
}

/** @returns those that were no members before */
export async function insertGroupMembers(db: Db, email: string, members: readonly string[]): Promise<string[]> {
  const before = new Set(await listGroupMembers(db, email));
  const added = [...new Set(members)].filter((member) => !before.has(member)).sort();
  for (const member of added) await db.insertInto('group_members').values({ group_email: email, member }).execute();
  return added;
}

/** @returns those that were members */
export async function deleteGroupMembers(db: Db, email: string, members: readonly string[]): Promise<string[]> {
  const before = new Set(await listGroupMembers(db, email));
  const removed = [...new Set(members)].filter((member) => before.has(member)).sort();
  for (const member of removed) await db.deleteFrom('group_members').where('group_email', '=', email).where('member', '=', member).execute();
  return removed;
}

/** Writes `to` wherever a group has `from` as a member. @param from, to policy members */
export async function renameInGroups(db: Db, from: string, to: string): Promise<void> {
  await db.updateTable('group_members').set({ member: to }).where('member', '=', from).execute();
}

/** 21 digits, as `deleted:group:EMAIL?uid=UID` has them. */
function newUid(): string {
  return `1${(BigInt(`0x${randomBytes(16).toString('hex')}`) % 10n ** 20n).toString().padStart(20, '0')}`;
}
function newEtag(): string {
  return randomBytes(8).toString('base64');
}
