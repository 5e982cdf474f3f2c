/** Keys of service accounts. An account keeps its keys while it is deleted, so that undelete gives them back; one made later under the same address has none of them. */
import type { Selectable } from 'kysely';
import type { Micros } from '../timestamp.ts';
import type { Db, Store } from './database.ts';
import type { ServiceAccountKeysTable } from './schema.ts';
import { findServiceAccount } from './service-accounts.ts';

export type ServiceAccountKeyRow = Selectable<ServiceAccountKeysTable>;

/** Oldest first. */
export async function listServiceAccountKeys(db: Db, accountUniqueId: string): Promise<ServiceAccountKeyRow[]> {
  return db.selectFrom('service_account_keys').selectAll().where('account_unique_id', '=', accountUniqueId).orderBy('create_time').orderBy('id').execute();
}

/** Of this account alone: an id by itself opens no other account's key. */
export async function findServiceAccountKey(db: Db, accountUniqueId: string, id: string): Promise<ServiceAccountKeyRow | undefined> {
  return db.selectFrom('service_account_keys').selectAll().where('id', '=', id).where('account_unique_id', '=', accountUniqueId).executeTakeFirst();
}

export async function insertServiceAccountKey(db: Db, row: ServiceAccountKeyRow): Promise<void> {
  await db.insertInto('service_account_keys').values(row).execute();
}

export async function updateServiceAccountKey(db: Db, id: string, change: Pick<ServiceAccountKeyRow, 'disabled' | 'disable_reason'>): Promise<void> {
  await db.updateTable('service_account_keys').set(change).where('id', '=', id).execute();
}

export async function deleteServiceAccountKey(db: Db, id: string): Promise<void> {
  await db.deleteFrom('service_account_keys').where('id', '=', id).execute();
}

/** The form in which `identity/account-keys.ts` takes its store. */
export function accountKeyStore(store: Store) {
  return {
    async list(email: string): Promise<{ readonly uniqueId: string; readonly keys: readonly ServiceAccountKeyRow[] } | undefined> {
      const account = await findServiceAccount(store.read, email);
      return account === undefined ? undefined : { uniqueId: account.unique_id, keys: await listServiceAccountKeys(store.read, account.unique_id) };
    },
    /** Puts a system-managed key in the place of those that ended. */
    rotate: (row: ServiceAccountKeyRow, now: Micros): Promise<void> =>
      store.write(async ({ db, touch }) => {
        await db
          .deleteFrom('service_account_keys')
          .where('account_unique_id', '=', row.account_unique_id)
          .where('type', '=', 'SYSTEM_MANAGED')
          .where('valid_before_time', '<', now)
          .execute();
        await insertServiceAccountKey(db, row);
        touch('serviceAccountKeys');
      }),
  };
}
