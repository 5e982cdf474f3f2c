/**
 * Versions of secrets, with their payloads encrypted. A destroyed version keeps its row and loses its payload; one that is to be destroyed at a time is
 * destroyed from that time on for whoever reads it, whether or not it was swept.
 */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Selectable, sql } from 'kysely';
import { type SecretVersion, SecretVersion_State, SecretVersionSchema } from '../gen/google/cloud/secretmanager/v1/resources_pb.js';
import { type Micros, toTimestamp } from '../timestamp.ts';
import type { Db } from './database.ts';
import { openPayload, PayloadCorrupt, type PayloadPlace, sealPayload } from './payload-cipher.ts';
import type { SecretVersionsTable } from './schema.ts';
import type { SecretKeyring } from './secret-keyring.ts';
import { type SecretRow, secretEtag, secretFromRow } from './secrets.ts';

/** A version as it is listed: without its payload. */
export type SecretVersionRow = Omit<Selectable<SecretVersionsTable>, 'key_id' | 'wrapped_key' | 'ciphertext'>;

const LISTED = ['secret', 'version', 'body', 'destroy_at'] as const;

/** The version at this moment. */
export function versionFromRow({ body, destroy_at }: SecretVersionRow, now: Micros): SecretVersion {
  const version = fromBinary(SecretVersionSchema, body);
  return destroy_at !== null && destroy_at <= now && version.state !== SecretVersion_State.DESTROYED ? destroyed(version, destroy_at, version.etag) : version;
}

/** @param secret its name */
export async function findSecretVersion(db: Db, secret: string, version: number): Promise<SecretVersionRow | undefined> {
  return db.selectFrom('secret_versions').select(LISTED).where('secret', '=', secret).where('version', '=', version).executeTakeFirst();
}

/** Newest first. @param page.before only older ones than this number */
export async function listSecretVersions(db: Db, secret: string, page: { readonly before?: number; readonly limit: number }): Promise<SecretVersionRow[]> {
  return db
    .selectFrom('secret_versions')
    .select(LISTED)
    .where('secret', '=', secret)
    .where('version', '<', page.before ?? Number.MAX_SAFE_INTEGER)
    .orderBy('version', 'desc')
    .limit(page.limit)
    .execute();
}

export async function countSecretVersions(db: Db, secret: string): Promise<number> {
  const row = await db.selectFrom('secret_versions').select(sql<number>`count(*)`.as('count')).where('secret', '=', secret).executeTakeFirst();
  return row?.count ?? 0;
}

/** @param version without its etag @returns the new row */
export async function addSecretVersion(db: Db, keyring: SecretKeyring, secret: SecretRow, version: SecretVersion, data: Uint8Array, now: Micros): Promise<SecretVersionRow> {
  const number = secret.last_version + 1;
  version.etag = secretEtag(now);
  const sealed = sealPayload(keyring.current(), placeOf(secret, number), data);
  const row: SecretVersionRow = { secret: secret.name, version: number, body: toBinary(SecretVersionSchema, version), destroy_at: null };
  await db
    .insertInto('secret_versions')
    .values({ ...row, key_id: sealed.keyId, wrapped_key: sealed.wrappedKey, ciphertext: sealed.ciphertext })
    .execute();
  await db.updateTable('secrets').set({ last_version: number }).where('name', '=', secret.name).execute();
  return row;
}

/** Changes the state, under a new etag. @param change.destroyAt when it is to be destroyed, null not at all; for state DESTROYED the payload goes now */
export async function updateSecretVersion(
  db: Db,
  row: SecretVersionRow,
  change: { readonly state: SecretVersion_State; readonly destroyAt: Micros | null },
  now: Micros,
): Promise<SecretVersionRow> {
  const version = versionFromRow(row, now);
  const etag = secretEtag(now, version.etag);
  if (change.state === SecretVersion_State.DESTROYED) return storeDestruction(db, row, destroyed(version, now, etag));
  version.state = change.state;
  version.etag = etag;
  if (change.destroyAt === null) delete version.scheduledDestroyTime;
  else version.scheduledDestroyTime = toTimestamp(change.destroyAt);
  const next = { body: toBinary(SecretVersionSchema, version), destroy_at: change.destroyAt };
  await db.updateTable('secret_versions').set(next).where('secret', '=', row.secret).where('version', '=', row.version).execute();
  return { ...row, ...next };
}

function destroyed(version: SecretVersion, time: Micros, etag: string): SecretVersion {
  version.state = SecretVersion_State.DESTROYED;
  version.destroyTime = toTimestamp(time);
  version.etag = etag;
  delete version.scheduledDestroyTime;
  return version;
}

async function storeDestruction(db: Db, row: SecretVersionRow, version: SecretVersion): Promise<SecretVersionRow> {
  const next = { body: toBinary(SecretVersionSchema, version), destroy_at: null };
  await db
    .updateTable('secret_versions')
    .set({ ...next, key_id: null, wrapped_key: null, ciphertext: null })
    .where('secret', '=', row.secret)
    .where('version', '=', row.version)
    .execute();
  return { ...row, ...next };
}

/** Makes of those whose time has come what they are already for their readers. @returns how many */
export async function destroyDueVersions(db: Db, now: Micros, limit: number): Promise<number> {
  const due = await db.selectFrom('secret_versions').select(LISTED).where('destroy_at', '<=', now).limit(limit).execute();
  for (const row of due) await storeDestruction(db, row, versionFromRow(row, now));
  return due.length;
}

/** Whether it can be read at this moment. */
export function isEnabled(row: SecretVersionRow, now: Micros): boolean {
  return versionFromRow(row, now).state === SecretVersion_State.ENABLED;
}

/** @param id a number, `latest`, or an alias @returns undefined where it stands for none; a number may be one that there is not */
export function versionNumber(id: string, secret: SecretRow): number | undefined {
  if (id === 'latest') return secret.last_version;
  const number = /^\d+$/.test(id) ? Number(id) : Number(secretFromRow(secret).versionAliases[id] ?? Number.NaN);
  return Number.isSafeInteger(number) ? number : undefined;
}

/** @throws PayloadCorrupt where what is stored cannot be what was written, also where it is gone or its key is */
export async function readPayload(db: Db, keyring: SecretKeyring, secret: SecretRow, version: number): Promise<Buffer> {
  const row = await db
    .selectFrom('secret_versions')
    .select(['key_id', 'wrapped_key', 'ciphertext'])
    .where('secret', '=', secret.name)
    .where('version', '=', version)
    .executeTakeFirst();
  if (row?.key_id == null || row.wrapped_key === null || row.ciphertext === null) throw new PayloadCorrupt('there is none');
  const key = keyring.find(row.key_id);
  if (key === undefined) throw new PayloadCorrupt(`it is encrypted with key ${row.key_id}, which ${keyring.source} does not have`);
  return openPayload(key, placeOf(secret, version), { keyId: row.key_id, wrappedKey: row.wrapped_key, ciphertext: row.ciphertext });
}

function placeOf({ uid, name }: Pick<SecretRow, 'uid' | 'name'>, version: number): PayloadPlace {
  return { uid, name, version };
}
