/**
 * What is forgotten for good: deleted jobs, executions with their tasks and service accounts when their `expireTime` has come, 30 days after the
 * deletion, operations 30 days after they were made, if they have ended, deleted roles after 37 days, secrets that have
 * expired, and payloads of versions whose destruction was put off until now. In small transactions, so that no other writer waits for long.
 */
import type { Micros } from '../timestamp.ts';
import type { Db, Store, Tx } from './database.ts';
import { expireOldExecutions } from './execution-history.ts';
import { DELETED_KEPT_MICROS } from './jobs.ts';
import { deletePolicy } from './policies.ts';
import { deleteRole, listExpiredRoles } from './roles.ts';
import { destroyDueVersions } from './secret-versions.ts';
import { deleteSecret, listExpiredSecrets, secretResource } from './secrets.ts';
import { serviceAccountResource } from './service-accounts.ts';
import { deleteForgottenWorkloadIdentity } from './workload-identity.ts';

/** Rows in one transaction: a few milliseconds. */
const AT_ONCE = 500;

/** To be called now and then; an hour between two calls is plenty. @returns how many rows went */
export async function deleteExpired(store: Pick<Store, 'read' | 'write'>, now: Micros): Promise<number> {
  await expireOldExecutions(store, now);
  const before = now - DELETED_KEPT_MICROS;
  let total = 0;
  // Tasks before their executions: afterwards nothing would lead to them.
  for (const deleteSome of [deleteTasks, deleteExecutions, deleteJobs, deleteOperations, deleteServiceAccounts])
    total += await untilFew(() => store.write(({ db }) => deleteSome(db, before)));
  total += await store.write(({ db }) => deleteForgottenWorkloadIdentity(db, before));
  total += await untilFew(() => store.write((tx) => deleteSecrets(tx, now)));
  total += await untilFew(() => store.write(({ db }) => destroyDueVersions(db, now, AT_ONCE)));
  return total + (await store.write((tx) => deleteRoles(tx, now)));
}

/** @param deleteSome at most AT_ONCE rows */
async function untilFew(deleteSome: () => Promise<number>): Promise<number> {
  for (let total = 0; ; ) {
    const gone = await deleteSome();
    total += gone;
    if (gone < AT_ONCE) return total;
  }
}

async function deleteTasks(db: Db, before: Micros): Promise<number> {
  const expired = db
    .selectFrom('executions')
    .innerJoin('tasks', 'tasks.execution_uid', 'executions.uid')
    .select('tasks.uid')
    .where('executions.delete_time', '<=', before)
    .limit(AT_ONCE);
  return count(await db.deleteFrom('tasks').where('uid', 'in', expired).executeTakeFirst());
}

async function deleteExecutions(db: Db, before: Micros): Promise<number> {
  const expired = db.selectFrom('executions').select('uid').where('delete_time', '<=', before).limit(AT_ONCE);
  return count(await db.deleteFrom('executions').where('uid', 'in', expired).executeTakeFirst());
}

async function deleteJobs(db: Db, before: Micros): Promise<number> {
  const expired = db.selectFrom('jobs').select('uid').where('delete_time', '<=', before).limit(AT_ONCE);
  return count(await db.deleteFrom('jobs').where('uid', 'in', expired).executeTakeFirst());
}

async function deleteOperations(db: Db, before: Micros): Promise<number> {
  // An execution may run for seven days, so what is done and this old ended long ago.
  const expired = db.selectFrom('operations').select('name').where('done', '=', 1).where('create_time', '<=', before).limit(AT_ONCE);
  return count(await db.deleteFrom('operations').where('name', 'in', expired).executeTakeFirst());
}

async function deleteServiceAccounts(db: Db, before: Micros): Promise<number> {
  const expired = await db.selectFrom('service_accounts').selectAll().where('delete_time', '<=', before).limit(AT_ONCE).execute();
  for (const row of expired) {
    await deletePolicy(db, serviceAccountResource(row));
    await db.deleteFrom('service_accounts').where('unique_id', '=', row.unique_id).execute();
  }
  return expired.length;
}

async function deleteSecrets(tx: Tx, now: Micros): Promise<number> {
  const expired = await listExpiredSecrets(tx.db, now, AT_ONCE);
  for (const name of expired) if (await deleteSecret(tx.db, name)) tx.touch('policies', secretResource(name));
  return expired.length;
}

/** At most a few hundred in a project or organization: the rest waits for the next call. */
async function deleteRoles(tx: Tx, now: Micros): Promise<number> {
  const expired = await listExpiredRoles(tx.db, now, AT_ONCE);
  for (const name of expired) await deleteRole(tx.db, name, now);
  if (expired.length > 0) tx.touch('policies');
  return expired.length;
}

function count(result: { readonly numDeletedRows: bigint }): number {
  return Number(result.numDeletedRows);
}
