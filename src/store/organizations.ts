/** Organizations: the roots of the resource hierarchy. They come from the seed; no API makes or removes them. */
import type { Insertable, Selectable } from 'kysely';
import type { Db } from './database.ts';
import type { OrganizationsTable } from './schema.ts';

export type OrganizationRow = Selectable<OrganizationsTable>;

export async function findOrganization(db: Db, number: string): Promise<OrganizationRow | undefined> {
  return db.selectFrom('organizations').selectAll().where('number', '=', number).executeTakeFirst();
}

/** In the order of their numbers (as text), from the one after `after`. */
export async function listOrganizations(db: Db, page: { readonly after?: string; readonly limit: number }): Promise<OrganizationRow[]> {
  return db
    .selectFrom('organizations')
    .selectAll()
    .where('number', '>', page.after ?? '')
    .orderBy('number')
    .limit(page.limit)
    .execute();
}

export async function insertOrganization(db: Db, row: Insertable<OrganizationsTable>): Promise<void> {
  await db.insertInto('organizations').values(row).execute();
}

export async function updateOrganization(db: Db, number: string, change: Partial<Omit<OrganizationRow, 'number'>>): Promise<void> {
  await db.updateTable('organizations').set(change).where('number', '=', number).execute();
}
