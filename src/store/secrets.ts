/**
 * Secrets. The row's `body` is the google.cloud.secretmanager.v1.Secret as GetSecret answers it, without its name (answers have the project's number) and
 * its etag. A secret whose time has come is not found any more, whether or not it was swept; making one of its name sweeps it.
 */
import { randomUUID } from 'node:crypto';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Selectable, sql } from 'kysely';
import { type Secret, SecretSchema } from '../gen/google/cloud/secretmanager/v1/resources_pb.js';
import { fromTimestamp, type Micros } from '../timestamp.ts';
import type { Db } from './database.ts';
import { deletePolicy } from './policies.ts';
import type { SecretsTable } from './schema.ts';

export type SecretRow = Selectable<SecretsTable>;

/** Where secrets are listed: a project's global ones, or those of one region. */
export interface SecretPlace {
  readonly projectId: string;
  /** Empty: global. */
  readonly location: string;
}

/** Full resource name, under which the policy stands. @param name with the project's id */
export function secretResource(name: string): string {
  return `//secretmanager.googleapis.com/${name}`;
}

/** The etag of a change: the time in microseconds, quoted, and never the one before it. */
export function secretEtag(now: Micros, before?: string): string {
  const etag = (time: number) => `"${time.toString(16)}"`;
  return etag(now) === before ? etag(now + 1) : etag(now);
}

export function secretFromRow({ body }: Pick<SecretRow, 'body'>): Secret {
  return fromBinary(SecretSchema, body);
}

/** @param name with the project's id */
export async function findSecret(db: Db, name: string, now: Micros): Promise<SecretRow | undefined> {
  return db
    .selectFrom('secrets')
    .selectAll()
    .where('name', '=', name)
    .where((e) => e.or([e('expire_time', 'is', null), e('expire_time', '>', now)]))
    .executeTakeFirst();
}

/** In the order of their names. @param page.after a name */
export async function listSecrets(db: Db, place: SecretPlace, page: { readonly after: string; readonly limit: number; readonly now: Micros }): Promise<SecretRow[]> {
  return db
    .selectFrom('secrets')
    .selectAll()
    .where('project_id', '=', place.projectId)
    .where('location', '=', place.location)
    .where('name', '>', page.after)
    .where((e) => e.or([e('expire_time', 'is', null), e('expire_time', '>', page.now)]))
    .orderBy('name')
    .limit(page.limit)
    .execute();
}

export async function countSecrets(db: Db, place: SecretPlace, now: Micros): Promise<number> {
  const row = await db
    .selectFrom('secrets')
    .select(sql<number>`count(*)`.as('count'))
    .where('project_id', '=', place.projectId)
    .where('location', '=', place.location)
    .where((e) => e.or([e('expire_time', 'is', null), e('expire_time', '>', now)]))
    .executeTakeFirst();
  return row?.count ?? 0;
}

/** The caller has made sure, in the same transaction, that there is none of this name. @param secret complete, with createTime */
export async function insertSecret(db: Db, name: string, place: SecretPlace, secret: Secret, now: Micros): Promise<SecretRow> {
  // One of the same name may have expired without having been swept.
  await deleteSecret(db, name);
  const row: SecretRow = {
    name,
    uid: randomUUID(),
    project_id: place.projectId,
    location: place.location,
    create_time: now,
    last_version: 0,
    ...changing(secret, secretEtag(now)),
  };
  await db.insertInto('secrets').values(row).execute();
  return row;
}

/** Under a new etag. */
export async function updateSecret(db: Db, row: SecretRow, secret: Secret, now: Micros): Promise<SecretRow> {
  const change = changing(secret, secretEtag(now, row.etag));
  await db.updateTable('secrets').set(change).where('name', '=', row.name).execute();
  return { ...row, ...change };
}

function changing(secret: Secret, etag: string): Pick<SecretRow, 'body' | 'etag' | 'expire_time'> {
  const expireTime = secret.expiration.case === 'expireTime' ? fromTimestamp(secret.expiration.value) : null;
  return { body: toBinary(SecretSchema, secret), etag, expire_time: expireTime };
}

/** With its versions, its policy and its tags. @returns whether it had a policy or a tag */
export async function deleteSecret(db: Db, name: string): Promise<boolean> {
  await db.deleteFrom('secret_versions').where('secret', '=', name).execute();
  await db.deleteFrom('secrets').where('name', '=', name).execute();
  return deletePolicy(db, secretResource(name));
}

/** @returns names */
export async function listExpiredSecrets(db: Db, now: Micros, limit: number): Promise<string[]> {
  return (await db.selectFrom('secrets').select('name').where('expire_time', '<=', now).limit(limit).execute()).map(({ name }) => name);
}
