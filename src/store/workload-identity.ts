/**
 * Pools of workload identity federation and their providers, by name with the project's number. A deleted one keeps its row: for thirty
 * days it can come back, and its id is not given again meanwhile.
 */
import type { Selectable } from 'kysely';
import type { Micros } from '../timestamp.ts';
import type { Db } from './database.ts';
import type { WorkloadIdentityTable } from './schema.ts';

export type WorkloadIdentityRow = Selectable<WorkloadIdentityTable>;
/** Which of the two. */
export type WorkloadIdentityNoun = 'workload_identity_pools' | 'workload_identity_providers';

export async function findWorkloadIdentity(db: Db, noun: WorkloadIdentityNoun, name: string): Promise<WorkloadIdentityRow | undefined> {
  return db.selectFrom(noun).selectAll().where('name', '=', name).executeTakeFirst();
}

/** By name, from the one after `after`. */
export async function listWorkloadIdentity(
  db: Db,
  noun: WorkloadIdentityNoun,
  page: { readonly parent: string; readonly after: string; readonly limit: number; readonly showDeleted: boolean },
): Promise<WorkloadIdentityRow[]> {
  let query = db.selectFrom(noun).selectAll().where('parent', '=', page.parent).where('name', '>', page.after);
  if (!page.showDeleted) query = query.where('delete_time', 'is', null);
  return query.orderBy('name').limit(page.limit).execute();
}

/** Replaces a row that is to be forgotten (deleted more than thirty days ago). */
export async function insertWorkloadIdentity(db: Db, noun: WorkloadIdentityNoun, row: WorkloadIdentityRow): Promise<void> {
  await db
    .insertInto(noun)
    .values(row)
    .onConflict((c) => c.column('name').doUpdateSet(row))
    .execute();
}

export async function updateWorkloadIdentity(db: Db, noun: WorkloadIdentityNoun, name: string, change: Partial<Omit<WorkloadIdentityRow, 'name' | 'parent'>>): Promise<void> {
  await db.updateTable(noun).set(change).where('name', '=', name).execute();
}

/** What was deleted before that is gone for good. @returns how many went */
export async function deleteForgottenWorkloadIdentity(db: Db, before: Micros): Promise<number> {
  let gone = 0n;
  for (const noun of ['workload_identity_pools', 'workload_identity_providers'] as const)
    gone += (await db.deleteFrom(noun).where('delete_time', '<', before).executeTakeFirst()).numDeletedRows;
  return Number(gone);
}
