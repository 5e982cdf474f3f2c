/**
 * ID tokens of other issuers (a CI system, a cluster, a company's sign-in), checked with the issuer's own published keys or with keys
 * that were given. Only asymmetric signatures count: whoever knows a public key must not be able to sign with it.
 *
 * Must not know: what the claims mean here, or who asks.
 */
import { createLocalJWKSet, decodeJwt, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose';
import type { Clock } from '../timestamp.ts';
import { FetchError, type FetchJson } from './public-fetch.ts';

export interface ExpectedToken {
  /** To the letter what `iss` must be. */
  readonly issuer: string;
  /** One of these must be among the token's audiences. */
  readonly audiences: readonly string[];
  /** A JSON Web Key Set, in place of the issuer's published one. */
  readonly jwks?: string | undefined;
}

/** The claims, or why the token is not good, in words for its bearer. */
export type OidcVerdict = { readonly claims: JWTPayload } | { readonly refused: string };

export interface OidcVerifier {
  /** Never rejects for what is wrong with the token or with its issuer. */
  verify(token: string, expected: ExpectedToken): Promise<OidcVerdict>;
}

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
const CLOCK_SKEW_SECONDS = 30;
const KEEP_KEYS_MS = 3_600_000;
/** An unknown key id makes us look again, but not at every such token. */
const LOOK_AGAIN_AFTER_MS = 30_000;
const MAX_ISSUERS = 1000;
export const MAX_TOKEN_LENGTH = 32_768;

interface KeySet {
  readonly keys: ReturnType<typeof createLocalJWKSet>;
  readonly readTime: number;
}

/** @param deps.fetchJson reads the issuer's documents */
export function createOidcVerifier({ fetchJson, clock }: { readonly fetchJson: FetchJson; readonly clock: Clock }): OidcVerifier {
  const sets = new Map<string, Promise<KeySet>>();
  const nowMs = () => Math.floor(clock.now() / 1000);

  const load = async (issuer: string): Promise<KeySet> => ({ keys: createLocalJWKSet(readJwks(await fetchJson(await jwksUri(issuer, fetchJson)))), readTime: nowMs() });
  const keysOf = async (issuer: string, newerThan: number): Promise<KeySet> => {
    const known = sets.get(issuer);
    const set = await known?.catch(() => undefined);
    if (set !== undefined && set.readTime > newerThan && nowMs() - set.readTime < KEEP_KEYS_MS) return set;
    // Somebody who waited with us may have begun to read anew.
    const current = sets.get(issuer);
    if (current !== undefined && current !== known) return current;
    const loading = load(issuer);
    if (sets.size >= MAX_ISSUERS) sets.clear();
    sets.set(issuer, loading);
    loading.catch(() => {
      if (sets.get(issuer) === loading) sets.delete(issuer);
    });
    return loading;
  };
  const check = async (token: string, expected: ExpectedToken, keys: KeySet['keys']): Promise<JWTPayload> =>
    (
      await jwtVerify(token, keys, {
        algorithms: ALGORITHMS,
        issuer: expected.issuer,
        audience: [...expected.audiences],
        clockTolerance: CLOCK_SKEW_SECONDS,
        currentDate: new Date(nowMs()),
        requiredClaims: ['exp', 'iat', 'iss', 'aud'],
      })
    ).payload;

  return {
    async verify(token, expected) {
      if (token.length > MAX_TOKEN_LENGTH) return { refused: `The token is longer than ${MAX_TOKEN_LENGTH} characters.` };
      try {
        // Before any key is fetched: a stranger's token must not make us fetch what it names.
        if (decodeJwt(token).iss !== expected.issuer)
          return { refused: `The issuer in ID Token ${String(decodeJwt(token).iss).slice(0, 300)} does not match the expected ones: ${expected.issuer}.` };
        if (expected.jwks !== undefined) return { claims: await check(token, expected, createLocalJWKSet(readJwks(JSON.parse(expected.jwks)))) };
        const set = await keysOf(expected.issuer, 0);
        try {
          return { claims: await check(token, expected, set.keys) };
        } catch (error) {
          if (!(error instanceof errors.JWKSNoMatchingKey) || nowMs() - set.readTime < LOOK_AGAIN_AFTER_MS) throw error;
          return { claims: await check(token, expected, (await keysOf(expected.issuer, set.readTime)).keys) };
        }
      } catch (error) {
        if (error instanceof errors.JOSEError) return { refused: wordsFor(error) };
        if (error instanceof FetchError) return { refused: `Error connecting to the given credential's issuer: ${error.message}.` };
        throw error;
      }
    },
  };
}

/** @throws FetchError */
async function jwksUri(issuer: string, fetchJson: FetchJson): Promise<string> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const document = await fetchJson(url);
  // OpenID Connect Discovery 1.0, section 4.3: the issuer in the document must be the one that was asked.
  if (typeof document !== 'object' || document === null || !('issuer' in document) || document.issuer !== issuer) throw new FetchError(`${url} is not the document of ${issuer}`);
  if (!('jwks_uri' in document) || typeof document.jwks_uri !== 'string') throw new FetchError(`${url} names no jwks_uri`);
  return document.jwks_uri;
}

/** @returns what is wrong with a key set that somebody gives, in words; undefined where nothing is */
export function faultOfJwks(text: string): string | undefined {
  try {
    const set = readJwks(JSON.parse(text));
    const secret = set.keys.find((key) => key.d !== undefined || key.k !== undefined);
    if (secret !== undefined) return `holds a private or secret key (${String(secret.kid)}). Give public keys alone.`;
    const odd = set.keys.find((key) => key.kty !== 'RSA' && key.kty !== 'EC');
    return odd === undefined ? undefined : `has a key of type ${JSON.stringify(odd.kty)}. RSA and EC are taken.`;
  } catch (error) {
    return error instanceof FetchError || error instanceof SyntaxError ? 'must be a JSON Web Key Set: {"keys": [{"kty": "RSA", "kid": ..., "n": ..., "e": ...}]}.' : String(error);
  }
}

function readJwks(value: unknown): JSONWebKeySet {
  if (typeof value === 'object' && value !== null && 'keys' in value && Array.isArray(value.keys) && value.keys.length > 0 && value.keys.every(isJwk)) return { keys: value.keys };
  throw new FetchError('the key set holds no keys');
}

function isJwk(value: unknown): value is JSONWebKeySet['keys'][number] {
  return typeof value === 'object' && value !== null && 'kty' in value && typeof value.kty === 'string';
}

function wordsFor(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return 'ID Token expired.';
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JWKSMultipleMatchingKeys)
    return 'Error verifying ID Token signature: no key of the issuer fits.';
  if (error instanceof errors.JWTClaimValidationFailed)
    return error.claim === 'aud'
      ? 'The audience in ID Token does not match the expected audience.'
      : `The claim ${JSON.stringify(error.claim)} of the ID Token is not as it must be (${error.reason}).`;
  if (error instanceof errors.JOSEAlgNotAllowed) return 'The ID Token is signed with an algorithm that is not taken here.';
  return 'Invalid ID Token.';
}
