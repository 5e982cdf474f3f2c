/**
 * Custom roles of projects and organizations, and roles that were imported because the catalogue lacks them (their parent is empty).
 * A deleted role keeps its row, and its id, for as long as Google keeps them; whether it may still be undeleted is for the service to say.
 */
import { randomBytes } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { Micros } from '../timestamp.ts';
import type { Db } from './database.ts';
import { deleteRoleBindings } from './policies.ts';
import type { RolesTable } from './schema.ts';

export type RoleRow = Selectable<RolesTable>;

/**
 * Seven days in which a role can be undeleted, then thirty in which its id is taken.
 * Source: https://docs.cloud.google.com/iam/docs/creating-custom-roles ("Deleting a custom role")
 */
export const ROLE_KEPT_MICROS = 37 * 24 * 3600 * 1_000_000;

/** @param name `projects/ID/roles/R`, `organizations/N/roles/R`, `roles/R` */
export async function findRole(db: Db, name: string): Promise<RoleRow | undefined> {
  return db.selectFrom('roles').selectAll().where('name', '=', name).executeTakeFirst();
}

/** By name, from the one after `after`. @param page.parent `projects/ID`, `organizations/N`, or empty for imported ones @param page.deletedSince of the deleted ones, those deleted after this; absent: none */
export async function listRoles(db: Db, page: { readonly parent: string; readonly after?: string; readonly limit?: number; readonly deletedSince?: Micros }): Promise<RoleRow[]> {
  const { deletedSince } = page;
  let query = db
    .selectFrom('roles')
    .selectAll()
    .where('parent', '=', page.parent)
    .where('name', '>', page.after ?? '')
    .orderBy('name');
  query = deletedSince === undefined ? query.where('delete_time', 'is', null) : query.where((e) => e.or([e('delete_time', 'is', null), e('delete_time', '>', deletedSince)]));
  return (page.limit === undefined ? query : query.limit(page.limit)).execute();
}

/** Deleted ones count for as long as they are kept, as with Google. */
export async function countRoles(db: Db, parent: string): Promise<number> {
  const { count } = await db
    .selectFrom('roles')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where('parent', '=', parent)
    .executeTakeFirstOrThrow();
  return count;
}

export async function insertRole(db: Db, row: RoleRow): Promise<void> {
  await db.insertInto('roles').values(row).execute();
}

export async function updateRole(db: Db, row: RoleRow): Promise<void> {
  const { name, ...rest } = row;
  await db.updateTable('roles').set(rest).where('name', '=', name).execute();
}

/** Forgets a role for good, and with it every binding of it: a later role of the same name must not find grants of its predecessor. */
export async function deleteRole(db: Db, name: string, now: Micros): Promise<void> {
  await db.deleteFrom('roles').where('name', '=', name).execute();
  await deleteRoleBindings(db, name, now);
}

/** Takes an imported role out. Bindings of it stay: the catalogue may know it, and it may be imported again. */
export async function removeImportedRole(db: Db, name: string): Promise<void> {
  await db.deleteFrom('roles').where('name', '=', name).where('parent', '=', '').execute();
}

/** Deleted roles whose time is over. */
export async function listExpiredRoles(db: Db, now: Micros, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('roles')
    .select('name')
    .where('delete_time', '<=', now - ROLE_KEPT_MICROS)
    .limit(limit)
    .execute();
  return rows.map(({ name }) => name);
}

/** Base64 of eight bytes: gcloud reads it as such. */
export function newRoleEtag(): string {
  return randomBytes(8).toString('base64');
}
