/** Liens: marks on a project, each of which keeps it from being deleted until the lien is removed. */
import { randomBytes } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { Micros } from '../timestamp.ts';
import type { Db } from './database.ts';
import type { LiensTable } from './schema.ts';

export type LienRow = Selectable<LiensTable>;

/** The permission that every lien takes away for as long as it is there. */
export const PROJECT_DELETE = 'resourcemanager.projects.delete';
/** Who placed the lien of a project whose service accounts may be used in other projects. Source: https://docs.cloud.google.com/iam/docs/attach-service-accounts */
export const CROSS_PROJECT_ORIGIN = 'iam.googleapis.com/cross-project-service-accounts';

export async function findLien(db: Db, name: string): Promise<LienRow | undefined> {
  return db.selectFrom('liens').selectAll().where('name', '=', name).executeTakeFirst();
}

/** In the order of their names, from the one after `after`. @param page.parent `projects/NUMBER` */
export async function listLiens(db: Db, page: { readonly parent: string; readonly after?: string | undefined; readonly limit: number }): Promise<LienRow[]> {
  return db
    .selectFrom('liens')
    .selectAll()
    .where('parent', '=', page.parent)
    .where('name', '>', page.after ?? '')
    .orderBy('name')
    .limit(page.limit)
    .execute();
}

/** @param lien `parent` is `projects/NUMBER` @returns the lien under a name of its own */
export async function insertLien(
  db: Db,
  lien: { readonly parent: string; readonly restrictions: readonly string[]; readonly reason: string; readonly origin: string; readonly createTime: Micros },
): Promise<LienRow> {
  const row: LienRow = {
    name: `liens/p${lien.parent.slice('projects/'.length)}-l${randomBytes(16).toString('hex')}`,
    parent: lien.parent,
    restrictions: JSON.stringify(lien.restrictions),
    reason: lien.reason,
    origin: lien.origin,
    create_time: lien.createTime,
  };
  await db.insertInto('liens').values(row).execute();
  return row;
}

export async function deleteLien(db: Db, name: string): Promise<void> {
  await db.deleteFrom('liens').where('name', '=', name).execute();
}

/**
 * To be called when `iam.disableCrossProjectServiceAccountUsage` is turned off for a project: its accounts may now be attached to other projects' resources,
 * which would break with it. Where the lien is there already, nothing happens.
 * @param projectNumber whose accounts these are
 */
export async function insertCrossProjectLien(db: Db, projectNumber: string, now: Micros): Promise<void> {
  const parent = `projects/${projectNumber}`;
  const there = await db.selectFrom('liens').select('name').where('parent', '=', parent).where('origin', '=', CROSS_PROJECT_ORIGIN).executeTakeFirst();
  if (there !== undefined) return;
  const reason = 'Service accounts of this project may be attached to resources of other projects.';
  await insertLien(db, { parent, restrictions: [PROJECT_DELETE], reason, origin: CROSS_PROJECT_ORIGIN, createTime: now });
}
