/** Access tokens, and the refresh tokens that some are made from, by the SHA-256 of the token; the token itself never comes here. */
import type { Micros } from '../timestamp.ts';
import type { Db, Store } from './database.ts';

/** One row, times in microseconds. */
export interface AccessToken {
  readonly hash: Uint8Array;
  readonly member: string;
  readonly scopes: readonly string[];
  readonly issueTime: Micros;
  readonly expireTime: Micros | null;
  /** Members on whose behalf it was made, who asked first. */
  readonly delegation: readonly string[];
  /** Hash of the refresh token that it was made from. */
  readonly grant: Uint8Array | null;
}

export async function insertAccessToken(db: Db, token: AccessToken): Promise<void> {
  await db
    .insertInto('access_tokens')
    .values({
      hash: token.hash,
      member: token.member,
      scopes: JSON.stringify(token.scopes),
      issue_time: token.issueTime,
      expire_time: token.expireTime,
      delegation: JSON.stringify(token.delegation),
      grant_hash: token.grant,
    })
    .execute();
}

export async function findAccessToken(db: Db, hash: Uint8Array): Promise<Omit<AccessToken, 'hash'> | undefined> {
  const row = await db.selectFrom('access_tokens').selectAll().where('hash', '=', hash).executeTakeFirst();
  if (row === undefined) return undefined;
  return {
    member: row.member,
    // Both were written by insertAccessToken alone.
    scopes: JSON.parse(row.scopes) as string[],
    issueTime: row.issue_time,
    expireTime: row.expire_time,
    // See above.
    delegation: JSON.parse(row.delegation) as string[],
    grant: row.grant_hash,
  };
}

/** With a refresh token go the tokens that were made from it. */
export async function deleteAccessToken(db: Db, hash: Uint8Array): Promise<void> {
  await db
    .deleteFrom('access_tokens')
    .where((or) => or.or([or('hash', '=', hash), or('grant_hash', '=', hash)]))
    .execute();
}

/** @returns how many went */
export async function deleteExpiredAccessTokens(db: Db, before: Micros): Promise<number> {
  const result = await db.deleteFrom('access_tokens').where('expire_time', 'is not', null).where('expire_time', '<', before).executeTakeFirst();
  return Number(result.numDeletedRows);
}

/** The form in which `identity/tokens.ts` takes its store. */
export function accessTokenStore(store: Store) {
  return {
    insert: (token: AccessToken): Promise<void> => store.write(({ db }) => insertAccessToken(db, token)),
    find: (hash: Uint8Array) => findAccessToken(store.read, hash),
    delete: (hash: Uint8Array): Promise<void> => store.write(({ db }) => deleteAccessToken(db, hash)),
    deleteExpired: (before: Micros): Promise<number> => store.write(({ db }) => deleteExpiredAccessTokens(db, before)),
  };
}
