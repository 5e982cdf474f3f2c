/**
 * JWTs that a service account's key signed: what the token endpoint exchanges (RFC 7523), and what a client sends in place of an access
 * token (https://google.aip.dev/auth/4111). RS256 alone, and only by keys of the account that the JWT says it is from: the header's
 * `kid` chooses among those, and its `jwk`, `jku` and `x5u` are not looked at.
 */
import { compactVerify, decodeJwt, decodeProtectedHeader, errors, type JWTPayload } from 'jose';
import { type Clock, MICROS_PER_SECOND } from '../timestamp.ts';
import type { AccountKeys, PublishedKey } from './account-keys.ts';
import type { AccountStatuses } from './account-status.ts';

export interface Assertion {
  /** The account that signed, in lower case. */
  readonly email: string;
  readonly uniqueId: string;
  readonly claims: JWTPayload & { readonly exp: number; readonly iat: number };
}

/** Why not, in the words of Google's token endpoint (recorded in public issues of its client libraries). */
export interface AssertionRefusal {
  readonly refused: string;
  /** Everything but the time was right. */
  readonly expired?: true;
}

export interface Assertions {
  /** Whose audience it names is for the caller to check. */
  verify(jwt: string): Promise<Assertion | AssertionRefusal>;
}

const SIGNATURE: AssertionRefusal = { refused: 'Invalid JWT Signature.' };
const NO_ACCOUNT: AssertionRefusal = { refused: 'Invalid grant: account not found' };
const TIME: AssertionRefusal = {
  refused: 'Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.',
  expired: true,
};
const MAX_LIFETIME_SECONDS = 3600;
/** How far ahead of ours a signer's clock may be. */
const SKEW_SECONDS = 60;

export function createAssertions(deps: { readonly keys: Pick<AccountKeys, 'published'>; readonly accounts: Pick<AccountStatuses, 'get'>; readonly clock: Clock }): Assertions {
  const { keys, accounts, clock } = deps;
  return {
    async verify(jwt) {
      const read = decode(jwt);
      if (read === undefined) return SIGNATURE;
      const { kid, claims } = read;
      if (typeof claims.iss !== 'string' || claims.iss === '') return { refused: 'Invalid JWT: iss (issuer) is not set.' };
      const email = claims.iss.toLowerCase();
      const account = email.includes('@') ? await keys.published(email) : undefined;
      if (account === undefined || !(await accounts.get(email)).active) return NO_ACCOUNT;
      if (!(await isSignedBy(jwt, kid === undefined ? account.keys : account.keys.filter((key) => key.id === kid)))) return SIGNATURE;
      const { iat, exp } = claims;
      if (typeof iat !== 'number') return { refused: 'Invalid JWT: iat (issued at) is not set.' };
      if (typeof exp !== 'number') return { refused: 'Invalid JWT: exp (expiration time) is not set.' };
      const now = clock.now() / MICROS_PER_SECOND;
      const notBefore = claims.nbf === undefined || (typeof claims.nbf === 'number' && claims.nbf <= now + SKEW_SECONDS);
      if (!notBefore || exp <= now || iat > now + SKEW_SECONDS || exp <= iat || exp > iat + MAX_LIFETIME_SECONDS) return TIME;
      return { email, uniqueId: account.uniqueId, claims: { ...claims, iat, exp } };
    },
  };
}

/** What a JWT says of itself, before anything of it is believed. */
function decode(jwt: string): { kid: string | undefined; claims: JWTPayload } | undefined {
  try {
    const header = decodeProtectedHeader(jwt);
    if (header.alg !== 'RS256' || (header.kid !== undefined && typeof header.kid !== 'string')) return undefined;
    return { kid: header.kid, claims: decodeJwt(jwt) };
  } catch (error) {
    // Both throw these for what is no JWT.
    if (error instanceof errors.JOSEError || error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Libraries that name no key (google-auth-library's token requests) have them all tried: an account has few. */
async function isSignedBy(jwt: string, keys: readonly PublishedKey[]): Promise<boolean> {
  for (const { publicKey } of keys) {
    try {
      await compactVerify(jwt, publicKey, { algorithms: ['RS256'] });
      return true;
    } catch (error) {
      if (!(error instanceof errors.JOSEError) && !(error instanceof TypeError)) throw error;
    }
  }
  return false;
}
