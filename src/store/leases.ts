/**
 * Which attempt holds which address of the tasks' network. An address is leased in the transaction that makes the attempt, before its
 * container exists, and nobody else gets it until a while after the attempt's end. The metadata server knows a task by this alone.
 */
import type { Selectable } from 'kysely';
import type { Micros } from '../timestamp.ts';
import type { Db } from './database.ts';
import type { TaskLeasesTable } from './schema.ts';

export type LeaseRow = Selectable<TaskLeasesTable>;
/** Whom an address is leased to. */
export type LeaseHolder = Omit<LeaseRow, 'address' | 'create_time' | 'release_time'>;

/**
 * Leases one address to each holder, as long as there are any.
 * @param pool the addresses that may be leased, in the order in which they are tried
 * @param quarantine microseconds that a released address waits
 * @returns in the order of the holders; shorter than them when the pool is used up
 */
export async function insertLeases(
  db: Db,
  pool: Iterable<string>,
  holders: readonly LeaseHolder[],
  at: { readonly now: Micros; readonly quarantine: Micros },
): Promise<LeaseRow[]> {
  await db
    .deleteFrom('task_leases')
    .where('release_time', '<=', at.now - at.quarantine)
    .execute();
  const taken = new Set((await db.selectFrom('task_leases').select('address').execute()).map((row) => row.address));
  const leases: LeaseRow[] = [];
  for (const address of pool) {
    const holder = holders[leases.length];
    if (holder === undefined) break;
    if (taken.has(address)) continue;
    leases.push({ ...holder, address, create_time: at.now, release_time: null });
  }
  for (const lease of leases) await db.insertInto('task_leases').values(lease).execute();
  return leases;
}

/** From now on the address gets nothing. */
export async function releaseLease(db: Db, attemptId: string, now: Micros): Promise<void> {
  await db.updateTable('task_leases').set({ release_time: now }).where('attempt_id', '=', attemptId).where('release_time', 'is', null).execute();
}

/** What this attempt holds now. */
export async function findLeaseOfAttempt(db: Db, attemptId: string): Promise<LeaseRow | undefined> {
  return db.selectFrom('task_leases').selectAll().where('attempt_id', '=', attemptId).where('release_time', 'is', null).executeTakeFirst();
}

/** All that are held now. */
export async function listLeases(db: Db): Promise<LeaseRow[]> {
  return db.selectFrom('task_leases').selectAll().where('release_time', 'is', null).execute();
}
