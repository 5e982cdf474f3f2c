/**
 * Wrapping data keys anew after the key-encryption key was changed, in small transactions. What it has done is done: cut off anywhere, it goes on from there.
 * A start asks here, before anything is served, whether the keys are there that the stored payloads need. Loads no descriptor.
 */
import type { Db, Store } from './database.ts';
import { PayloadCorrupt, type PayloadPlace, rewrapKey, type WrappingKey } from './payload-cipher.ts';
import { KeyringError, type SecretKeyring } from './secret-keyring.ts';

const AT_ONCE = 200;

/** The keys that payloads are under, each with how many. */
async function keysInUse(db: Db): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .selectFrom('secret_versions')
    .select((e) => ['key_id', e.fn.countAll<number>().as('count')])
    .where('key_id', 'is not', null)
    .groupBy('key_id')
    .execute();
  return new Map(rows.map(({ key_id, count }) => [key_id ?? '', count]));
}

/** @throws KeyringError that says which keys are missing */
export async function requireKeys(db: Db, keyring: SecretKeyring): Promise<void> {
  const missing = [...(await keysInUse(db))].filter(([id]) => keyring.find(id) === undefined);
  if (missing.length === 0) return;
  const count = missing.reduce((sum, [, number]) => sum + number, 0);
  throw new KeyringError(
    `${count} ${count === 1 ? 'version' : 'versions'} of secrets cannot be decrypted: ${keyring.source} ${keyring.ids().length === 0 ? 'does not exist' : `has other keys (${keyring.ids().join(', ')})`}, and ` +
      `${missing.map(([id]) => id).join(', ')} ${missing.length === 1 ? 'is' : 'are'} needed. Put the key file back from your copy, or name it: --secrets-key-file. Nothing was changed.`,
  );
}

/** A rotation that ended. */
export interface Rewrapped {
  /** The key that everything is under now. */
  readonly keyId: string;
  readonly rewrapped: number;
  /** What could not be unwrapped, `SECRET/versions/N`: it was changed outside of this program. Its old key is kept. */
  readonly damaged: readonly string[];
}

/** Brings every payload under the current key, then forgets the keys that nothing needs. @throws KeyringError where the key file cannot be written */
export async function rewrapAll(store: Pick<Store, 'write'>, keyring: SecretKeyring): Promise<Rewrapped> {
  const damaged: string[] = [];
  let rewrapped = 0;
  let after: Cursor | undefined = { secret: '', version: 0 };
  while (after !== undefined) {
    const from: Cursor = after;
    const batch: Batch = await store.write(({ db }) => rewrapSome(db, keyring, from));
    rewrapped += batch.rewrapped;
    damaged.push(...batch.damaged);
    after = batch.next;
  }
  // In a transaction, so that nobody writes with an older key while it is forgotten.
  await store.write(async ({ db }) => keyring.retain(new Set((await keysInUse(db)).keys())));
  return { keyId: keyring.current().id, rewrapped, damaged };
}

interface Cursor {
  readonly secret: string;
  readonly version: number;
}
interface Batch {
  readonly rewrapped: number;
  readonly damaged: readonly string[];
  readonly next: Cursor | undefined;
}

async function rewrapSome(db: Db, keyring: SecretKeyring, after: Cursor): Promise<Batch> {
  // Asked each time: where a second rotation began meanwhile, both go on with its key.
  const to = keyring.current();
  const rows = await db
    .selectFrom('secret_versions')
    .innerJoin('secrets', 'secrets.name', 'secret_versions.secret')
    .select(['secret_versions.secret', 'secret_versions.version', 'secret_versions.key_id', 'secret_versions.wrapped_key', 'secrets.uid'])
    .where('secret_versions.key_id', 'is not', null)
    .where('secret_versions.key_id', '!=', to.id)
    .where((e) => e.or([e('secret_versions.secret', '>', after.secret), e.and([e('secret_versions.secret', '=', after.secret), e('secret_versions.version', '>', after.version)])]))
    .orderBy('secret_versions.secret')
    .orderBy('secret_versions.version')
    .limit(AT_ONCE)
    .execute();
  const damaged: string[] = [];
  for (const { secret, version, key_id, wrapped_key, uid } of rows) {
    const wrapped = rewrapped(keyring.find(key_id ?? ''), to, { uid, name: secret, version }, wrapped_key);
    // It stays as it is, and is named to whoever asked: reading it says why.
    if (wrapped === undefined) damaged.push(`${secret}/versions/${version}`);
    else await db.updateTable('secret_versions').set({ key_id: to.id, wrapped_key: wrapped }).where('secret', '=', secret).where('version', '=', version).execute();
  }
  const last = rows.at(-1);
  return { rewrapped: rows.length - damaged.length, damaged, next: rows.length < AT_ONCE || last === undefined ? undefined : last };
}

/** @returns undefined where the data key cannot be unwrapped */
function rewrapped(from: WrappingKey | undefined, to: WrappingKey, place: PayloadPlace, wrappedKey: Uint8Array | null): Uint8Array | undefined {
  if (from === undefined || wrappedKey === null) return undefined;
  try {
    return rewrapKey(from, to, place, wrappedKey);
  } catch (error) {
    if (error instanceof PayloadCorrupt) return undefined;
    throw error;
  }
}
