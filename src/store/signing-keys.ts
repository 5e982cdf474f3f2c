/** Keys that sign ID tokens, private part included: the database is readable by its owner alone. */
import type { Micros } from '../timestamp.ts';
import type { Db, Store } from './database.ts';

export interface StoredSigningKey {
  readonly kid: string;
  /** JSON Web Key. */
  readonly privateJwk: string;
  readonly createTime: Micros;
}

/** Oldest first; the order is total, so that all processes agree on the newest. */
export async function listSigningKeys(db: Db): Promise<readonly StoredSigningKey[]> {
  const rows = await db.selectFrom('signing_keys').selectAll().orderBy('create_time').orderBy('kid').execute();
  return rows.map((row) => ({ kid: row.kid, privateJwk: row.private_jwk, createTime: row.create_time }));
}

export async function insertSigningKey(db: Db, key: StoredSigningKey): Promise<void> {
  await db.insertInto('signing_keys').values({ kid: key.kid, private_jwk: key.privateJwk, create_time: key.createTime }).execute();
}

/** The form in which `identity/signing-keys.ts` takes its store. */
export function signingKeyStore(store: Store) {
  return {
    list: (): Promise<readonly StoredSigningKey[]> => listSigningKeys(store.read),
    insert: (key: StoredSigningKey): Promise<void> => store.write(({ db }) => insertSigningKey(db, key)),
  };
}
