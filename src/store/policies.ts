/**
 * Allow policies, by the full name of the resource that carries them: projects by id, service accounts by e-mail while they
 * live and by unique id once deleted. A resource that never had a policy has no row.
 *
 * A member that names a deleted service account is stored as `deleted:serviceAccount:EMAIL?uid=UNIQUE_ID` from the moment of the
 * deletion on, in every policy. So what is stored is what is shown, an account made again under the same address finds no
 * binding of its predecessor, and undelete turns the marks back. The etag changes with it: whoever read the policy before must read again.
 * For that, `serviceAccount:` members are stored in lower case, as their addresses are.
 */
import { randomBytes } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { sql } from 'kysely';
import { type Policy, PolicySchema } from '../gen/google/iam/v1/policy_pb.js';
import type { Micros } from '../timestamp.ts';
import type { Db } from './database.ts';
import { renamePrincipal } from './deny-policies.ts';
import { renameInGroups } from './groups.ts';
import { deleteTagBindingsOf, moveTagBindings } from './tags.ts';

/** @param resource full resource name @returns the policy with its etag, or undefined where none was ever set */
export async function findPolicy(db: Db, resource: string): Promise<Policy | undefined> {
  const row = await db.selectFrom('policies').select(['body', 'etag']).where('resource', '=', resource).executeTakeFirst();
  if (row === undefined) return undefined;
  const policy = fromBinary(PolicySchema, row.body);
  policy.etag = new Uint8Array(Buffer.from(row.etag, 'base64'));
  return policy;
}

/** Sets the policy, whether or not there was one, under a new etag unless it brings one that differs from the stored. @returns what is now stored */
export async function updatePolicy(db: Db, resource: string, policy: Policy, now: Micros): Promise<Policy> {
  const before = await db.selectFrom('policies').select('etag').where('resource', '=', resource).executeTakeFirst();
  const given = Buffer.from(policy.etag).toString('base64');
  const etag = given === '' || given === before?.etag ? newEtag() : given;
  const stored = create(PolicySchema, { version: policy.version, bindings: policy.bindings, auditConfigs: policy.auditConfigs });
  rewriteMembers(stored, (member) => (member.startsWith('serviceAccount:') ? `serviceAccount:${member.slice('serviceAccount:'.length).toLowerCase()}` : member));
  const body = toBinary(PolicySchema, stored);
  const row = { body, etag, update_time: now };
  await db
    .insertInto('policies')
    .values({ resource, ...row })
    .onConflict((c) => c.column('resource').doUpdateSet(row))
    .execute();
  stored.etag = new Uint8Array(Buffer.from(etag, 'base64'));
  return stored;
}

/** To be called with every deletion of a resource that has a policy, so that a later one of the same name inherits neither it nor the tags. @returns whether there was a policy or a tag */
export async function deletePolicy(db: Db, resource: string): Promise<boolean> {
  const { numDeletedRows } = await db.deleteFrom('policies').where('resource', '=', resource).executeTakeFirst();
  return (await deleteTagBindingsOf(db, resource)) || numDeletedRows > 0n;
}

/** Gives the policy and the tags of one name to another (a service account that is deleted or restored). What the new name had is replaced. */
export async function movePolicy(db: Db, from: string, to: string): Promise<void> {
  await deletePolicy(db, to);
  await db.updateTable('policies').set({ resource: to }).where('resource', '=', from).execute();
  await moveTagBindings(db, from, to);
}

/** Writes `to` wherever a policy or a group names `from`. @param from, to policy members */
export async function renameMember(db: Db, from: string, to: string, now: Micros): Promise<void> {
  await renameInGroups(db, from, to);
  await renamePrincipal(db, from, to, now);
  for (const resource of await listResourcesNaming(db, from)) {
    const policy = await findPolicy(db, resource);
    if (policy === undefined || !rewriteMembers(policy, (member) => (member === from ? to : member))) continue;
    policy.etag = new Uint8Array();
    await updatePolicy(db, resource, policy, now);
  }
}

/** Removes the bindings of a role that is forgotten for good, wherever they stand. */
export async function deleteRoleBindings(db: Db, role: string, now: Micros): Promise<void> {
  for (const resource of await listResourcesNaming(db, role)) {
    const policy = await findPolicy(db, resource);
    if (policy === undefined || !policy.bindings.some((binding) => binding.role === role)) continue;
    policy.bindings = policy.bindings.filter((binding) => binding.role !== role);
    policy.etag = new Uint8Array();
    await updatePolicy(db, resource, policy, now);
  }
}

/** Members and roles stand in the protobuf as plain text, so the database can leave out most rows unread. */
async function listResourcesNaming(db: Db, text: string): Promise<string[]> {
  const rows = await db
    .selectFrom('policies')
    .select('resource')
    .where(sql<boolean>`instr(body, ${Buffer.from(text)}) > 0`)
    .execute();
  return rows.map(({ resource }) => resource);
}

/** Applies `rewrite` to every member of the policy, in place. @returns whether any changed */
function rewriteMembers(policy: Policy, rewrite: (member: string) => string): boolean {
  let changed = false;
  const rewritten = (members: readonly string[]): string[] => {
    const next = members.map(rewrite);
    if (next.every((member, i) => member === members[i])) return [...members];
    changed = true;
    return [...new Set(next)].sort();
  };
  for (const binding of policy.bindings) binding.members = rewritten(binding.members);
  for (const config of policy.auditConfigs) for (const log of config.auditLogConfigs) log.exemptedMembers = rewritten(log.exemptedMembers);
  return changed;
}

/** Eight bytes, as Google's are of about that length; callers may only compare them. */
function newEtag(): string {
  return randomBytes(8).toString('base64');
}
