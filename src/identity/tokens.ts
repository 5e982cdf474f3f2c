/**
 * Access tokens: opaque names for "this member, with these scopes, until then". Only the SHA-256 of a token is kept, in
 * the store as well as in the cache of verified ones; a copy of the database is worth nothing to who wants to call.
 *
 * Invariants: a token is never logged and never stored; a scope that begins with `actas:` is ours, and no caller can ask
 * for one. Whether the account behind a token may still act is asked per request by `server/dispatch`, not here.
 *
 * Must not know: HTTP, policies, what a service account is beyond its e-mail.
 */
import { hash, randomBytes } from 'node:crypto';
import { failedPrecondition, invalidArgument } from '../errors.ts';
import { type Clock, MICROS_PER_MILLI, MICROS_PER_SECOND, type Micros } from '../timestamp.ts';
import { createIssuedTokens, type Issued } from './issued-tokens.ts';

/** What of a token is kept. */
export interface TokenRow {
  /** SHA-256 of the token. */
  readonly hash: Uint8Array;
  readonly member: string;
  readonly scopes: readonly string[];
  readonly issueTime: Micros;
  /** Null: never. */
  readonly expireTime: Micros | null;
  /** Members on whose behalf it was made, who asked first. */
  readonly delegation: readonly string[];
  /** Hash of the refresh token that it was made from; the two end together. */
  readonly grant: Uint8Array | null;
}

/** Where tokens are kept; `store/access-tokens.ts` implements it. */
export interface TokenStore {
  insert(row: TokenRow): Promise<void>;
  find(hash: Uint8Array): Promise<Omit<TokenRow, 'hash'> | undefined>;
  /** And what was made from it, where it is a refresh token's. */
  delete(hash: Uint8Array): Promise<void>;
  /** @returns how many went */
  deleteExpired(before: Micros): Promise<number>;
}

export interface TokenRequest {
  /** Policy member: `user:EMAIL` or `serviceAccount:EMAIL`. */
  readonly member: string;
  /** Without it: cloud-platform. */
  readonly scopes?: readonly string[];
  /** Default one hour; null: it never ends. */
  readonly lifetimeMs?: number | null;
  /** The owner's token: it may mint tokens for anybody. */
  readonly administrator?: boolean;
  /** Numeric id of the service account, so that an account made later under the same e-mail is not served by this token. */
  readonly uniqueId?: string;
  /** Members on whose behalf it is made, who asked first: the audit trail names them whenever the token is used. */
  readonly delegation?: readonly string[];
  /** The refresh token that it is made from. */
  readonly refreshToken?: string;
  /** Of an identity from outside: who vouched for it, and the further members that name it. */
  readonly federation?: TokenFederation;
}

/** What a token keeps of an identity from outside. */
export interface TokenFederation {
  /** Name of the workload identity pool provider. */
  readonly provider: string;
  /** `principalSet://...`. */
  readonly sets: readonly string[];
}

export interface VerifiedToken {
  readonly member: string;
  /** Without our own `actas:` ones. */
  readonly scopes: readonly string[];
  readonly expireTime: Micros | null;
  /** The caller had a token of ours, but too late; answered differently from a token that never was. */
  readonly expired: boolean;
  readonly administrator: boolean;
  readonly uniqueId: string | undefined;
  readonly delegation: readonly string[];
  /** Hash of the refresh token that it was made from. */
  readonly grant: Uint8Array | null;
  readonly federation?: TokenFederation;
}

/** On whose behalf tokens of an account are made. What one may, another may not: their tokens are kept apart. */
export interface MintAuthority {
  /** Tells authorities apart. */
  readonly id: string;
  /** @throws where it may not */
  authorize(): Promise<void>;
}

export interface Tokens {
  /** The token is in the answer, and nowhere else. @throws INVALID_ARGUMENT for a scope that is no scope, FAILED_PRECONDITION where its refresh token has been revoked */
  mint(request: TokenRequest): Promise<{ token: string; expireTime: Micros | null }>;
  /** The hot path of every request: a cached answer is not a promise. Undefined: no token of ours. */
  verify(token: string): Promise<VerifiedToken | undefined> | VerifiedToken | undefined;
  /**
   * For the metadata server: the same token again until five minutes before it ends. Tokens go by account, its unique id and the
   * set of scopes: tasks of one account share them as they do at Google, and no other account's task can ever be handed one.
   * They live in memory in plain form, so a restart makes new ones; those handed out before stay good until they end.
   * @param mint asked before each new token, and never for one that is there already
   * @throws INVALID_ARGUMENT for a scope that is no scope, RESOURCE_EXHAUSTED for more than 64 sets of scopes in an hour, and what `mint.authorize` throws
   */
  forServiceAccount(email: string, scopes: readonly string[], uniqueId?: string, mint?: MintAuthority): Promise<{ token: string; expiresInSeconds: number }>;
  /** A name that makes access tokens for a member until it is revoked. No API takes it as an access token. */
  mintRefreshToken(member: string, scopes: readonly string[]): Promise<string>;
  /** Who a refresh token stands for; undefined: nobody (any more). */
  verifyRefreshToken(token: string): Promise<Pick<VerifiedToken, 'member' | 'scopes'> | undefined>;
  /** Ends a token of either kind; with a refresh token end those that were made from it. @returns whether it was one of ours */
  revoke(token: string): Promise<boolean>;
  /** Accounts changed, and their tokens may have gone with them: every token is looked up anew. */
  invalidate(): void;
  /** Forgets tokens that ended more than a day ago; until then they are answered as expired. To be called now and then. @returns how many went */
  deleteExpired(): Promise<number>;
}

export const CLOUD_PLATFORM_SCOPE = 'https://www.googleapis.com/auth/cloud-platform';

const PREFIX = 'actas_at_';
const TOKEN = /^actas_at_[A-Za-z0-9_-]{43}$/;
const REFRESH_PREFIX = 'actas_rt_';
const REFRESH_TOKEN = /^actas_rt_[A-Za-z0-9_-]{43}$/;
/** RFC 6749 section 3.3, less what would need quoting in a list with commas. */
const SCOPE = /^[!#-+\--[\]-~]{1,256}$/;
const OWN_SCOPE = 'actas:';
const ADMINISTRATOR = `${OWN_SCOPE}administrator`;
const UNIQUE_ID = `${OWN_SCOPE}unique-id:`;
const PROVIDER = `${OWN_SCOPE}provider:`;
const SET = `${OWN_SCOPE}set:`;
const MAX_SCOPES = 32;
const MAX_SCOPE_SETS = 64;
const LIFETIME_MS = 3_600_000;
/** How long a verified token may be answered from memory, so that another process on the same store can revoke. */
const RECHECK_AFTER = 60 * MICROS_PER_SECOND;
const KEEP_EXPIRED = 24 * 3600 * MICROS_PER_SECOND;

interface Cached {
  readonly verified: VerifiedToken;
  readonly readTime: Micros;
}

/** @param options.cacheSize verified tokens kept in memory, 10,000 by default; the least recently used go first */
export function createTokens(options: { readonly store: TokenStore; readonly clock: Clock; readonly cacheSize?: number }): Tokens {
  const { store, clock } = options;
  const cacheSize = options.cacheSize ?? 10_000;
  const cache = new Map<string, Cached>();
  const issued = createIssuedTokens(clock, MAX_SCOPE_SETS);

  const remember = (key: string, row: Omit<TokenRow, 'hash'>): VerifiedToken => {
    const verified = toVerified(row);
    cache.delete(key);
    cache.set(key, { verified, readTime: clock.now() });
    if (cache.size > cacheSize)
      for (const oldest of cache.keys()) {
        cache.delete(oldest);
        break;
      }
    return verified;
  };
  const atNow = (verified: VerifiedToken): VerifiedToken => (verified.expireTime !== null && verified.expireTime <= clock.now() ? { ...verified, expired: true } : verified);

  const mint = async (request: TokenRequest): Promise<{ token: string; expireTime: Micros | null }> => {
    const own = ownScopes(request);
    const scopes = [...checkScopes(request.scopes ?? [CLOUD_PLATFORM_SCOPE]), ...own];
    const token = PREFIX + randomBytes(32).toString('base64url');
    const issueTime = clock.now();
    const lifetimeMs = request.lifetimeMs === undefined ? LIFETIME_MS : request.lifetimeMs;
    const expireTime = lifetimeMs === null ? null : issueTime + lifetimeMs * MICROS_PER_MILLI;
    const grant = request.refreshToken === undefined ? null : hashToken(request.refreshToken);
    const hash = hashToken(token);
    await store.insert({ hash, member: request.member, scopes, issueTime, expireTime, delegation: request.delegation ?? [], grant });
    // A revocation that came in between has not seen this one; one that comes after does.
    if (grant !== null && (await store.find(grant)) === undefined) {
      await store.delete(hash);
      throw failedPrecondition('The refresh token was revoked meanwhile.');
    }
    return { token, expireTime };
  };

  const read = async (hash: Buffer, key: string): Promise<VerifiedToken | undefined> => {
    const row = await store.find(hash);
    if (row !== undefined) return atNow(remember(key, row));
    cache.delete(key);
    return undefined;
  };

  const issue = async (email: string, scopes: readonly string[], uniqueId: string | undefined, authority: MintAuthority | undefined): Promise<Issued> => {
    await authority?.authorize();
    const { token, expireTime } = await mint({ member: `serviceAccount:${email}`, scopes, ...(uniqueId === undefined ? {} : { uniqueId }) });
    return { token, expireTime: expireTime ?? Number.MAX_SAFE_INTEGER };
  };

  return {
    mint,
    verify(token) {
      if (!TOKEN.test(token)) return undefined;
      const hash = hashToken(token);
      const key = hash.toString('base64');
      const hit = cache.get(key);
      if (hit === undefined || clock.now() - hit.readTime >= RECHECK_AFTER) return read(hash, key);
      cache.delete(key);
      cache.set(key, hit);
      return atNow(hit.verified);
    },
    async forServiceAccount(email, scopes, uniqueId, authority) {
      const wanted = [...new Set(checkScopes(scopes))].sort();
      const account = `${email} ${uniqueId ?? ''} ${authority?.id ?? ''}`;
      return issued.get(account, wanted.join(' '), () => issue(email, wanted, uniqueId, authority), `sets of scopes are in use for ${email}`);
    },
    async mintRefreshToken(member, scopes) {
      const token = REFRESH_PREFIX + randomBytes(32).toString('base64url');
      await store.insert({ hash: hashToken(token), member, scopes: checkScopes(scopes), issueTime: clock.now(), expireTime: null, delegation: [], grant: null });
      return token;
    },
    async verifyRefreshToken(token) {
      return REFRESH_TOKEN.test(token) ? store.find(hashToken(token)) : undefined;
    },
    async revoke(token) {
      if (!TOKEN.test(token) && !REFRESH_TOKEN.test(token)) return false;
      const hash = hashToken(token);
      const isKnown = (await store.find(hash)) !== undefined;
      await store.delete(hash);
      cache.delete(hash.toString('base64'));
      for (const [key, { verified }] of cache) if (verified.grant !== null && hash.equals(verified.grant)) cache.delete(key);
      await issued.drop(token);
      return isKnown;
    },
    invalidate() {
      cache.clear();
    },
    async deleteExpired() {
      await issued.dropEnded();
      return store.deleteExpired(clock.now() - KEEP_EXPIRED);
    },
  };
}

/** Refuses what is no scope. @throws INVALID_ARGUMENT */
export function checkScopes(scopes: readonly string[]): readonly string[] {
  if (scopes.length === 0 || scopes.length > MAX_SCOPES) throw invalidArgument('scope', `between 1 and ${MAX_SCOPES} scopes are needed, but there are ${scopes.length}.`);
  for (const scope of scopes) if (!SCOPE.test(scope) || scope.startsWith(OWN_SCOPE)) throw invalidArgument('scope', `${JSON.stringify(scope.slice(0, 300))} is not a scope.`);
  return scopes;
}

/** What a token keeps beside what it is for. */
function ownScopes({ administrator, uniqueId, federation }: TokenRequest): string[] {
  return [
    ...(administrator === true ? [ADMINISTRATOR] : []),
    ...(uniqueId === undefined ? [] : [UNIQUE_ID + uniqueId]),
    ...(federation === undefined ? [] : [PROVIDER + federation.provider, ...federation.sets.map((set) => SET + set)]),
  ];
}

function federationOf(scopes: readonly string[]): { readonly federation?: TokenFederation } {
  const provider = scopes.find((scope) => scope.startsWith(PROVIDER))?.slice(PROVIDER.length);
  if (provider === undefined) return {};
  return { federation: { provider, sets: scopes.flatMap((scope) => (scope.startsWith(SET) ? [scope.slice(SET.length)] : [])) } };
}

function toVerified(row: Omit<TokenRow, 'hash'>): VerifiedToken {
  return {
    member: row.member,
    scopes: row.scopes.filter((scope) => !scope.startsWith(OWN_SCOPE)),
    expireTime: row.expireTime,
    expired: false,
    administrator: row.scopes.includes(ADMINISTRATOR),
    uniqueId: row.scopes.find((scope) => scope.startsWith(UNIQUE_ID))?.slice(UNIQUE_ID.length),
    ...federationOf(row.scopes),
    delegation: row.delegation,
    grant: row.grant,
  };
}

/** The form in which a token is kept. */
export function hashToken(token: string): Buffer {
  return hash('sha256', token, 'buffer');
}
