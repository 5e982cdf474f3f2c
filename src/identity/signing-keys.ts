/**
 * The keys that ID tokens are signed with. A key is made when one is first needed, kept in the store, and published in the
 * three forms that verifiers ask for: JWKS, a map of X.509 certificates, and the discovery document that leads to the first.
 * The newest key signs; every key is published, so that a token outlives the change of a key.
 *
 * Must not know: who asks for a token, or where the documents are served.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JSONWebKeySet, type JWK_RSA_Private } from 'jose';
import type { Clock, Micros } from '../timestamp.ts';
import { selfSignedCertificate } from './x509.ts';

export interface SigningKeyRow {
  readonly kid: string;
  /** JSON Web Key, private part included. */
  readonly privateJwk: string;
  readonly createTime: Micros;
}

/** Where keys are kept; `store/signing-keys.ts` implements it. */
export interface KeyStore {
  /** Oldest first. */
  list(): Promise<readonly SigningKeyRow[]>;
  insert(row: SigningKeyRow): Promise<void>;
}

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export interface SigningKeys {
  /** The key that signs now. */
  current(): Promise<SigningKey>;
  find(kid: string): Promise<SigningKey | undefined>;
  /** Body of `/oauth2/v3/certs`. */
  jwks(): Promise<JSONWebKeySet>;
  /** Body of `/oauth2/v1/certs`: PEM certificates by key id. */
  certificates(): Promise<Readonly<Record<string, string>>>;
}

interface Published extends SigningKey {
  readonly certificate: string;
}

export function createSigningKeys(options: { readonly store: KeyStore; readonly clock: Clock }): SigningKeys {
  const { store, clock } = options;
  let loading: Promise<readonly Published[]> | undefined;

  const load = async (): Promise<readonly Published[]> => {
    let rows = await store.list();
    if (rows.length === 0) {
      await store.insert(await generate(clock.now()));
      // Read again: where two processes made their first key at once, both now see both, in one order.
      rows = await store.list();
    }
    return rows.map(publish);
  };
  const keys = (): Promise<readonly Published[]> => {
    if (loading === undefined) {
      loading = load();
      // A failure is the caller's to see, and the next one tries again.
      loading.catch(() => {
        loading = undefined;
      });
    }
    return loading;
  };

  return {
    async current() {
      const newest = (await keys()).at(-1);
      if (newest === undefined) throw new Error('The store lost the signing key that was just inserted.');
      return newest;
    },
    find: async (kid) => (await keys()).find((key) => key.kid === kid),
    async jwks() {
      const all = await keys();
      return { keys: all.map((key) => ({ ...publicJwk(key.publicKey), kid: key.kid, alg: 'RS256', use: 'sig' })) };
    },
    certificates: async () => Object.fromEntries((await keys()).map((key) => [key.kid, key.certificate])),
  };
}

/** The part of OpenID Connect Discovery 1.0 that Google's document has and that is true here. */
export interface DiscoveryDocument {
  readonly issuer: string;
  readonly jwks_uri: string;
  readonly token_endpoint: string;
  readonly userinfo_endpoint: string;
  readonly revocation_endpoint: string;
  readonly response_types_supported: readonly string[];
  readonly subject_types_supported: readonly string[];
  readonly id_token_signing_alg_values_supported: readonly string[];
  readonly scopes_supported: readonly string[];
  readonly claims_supported: readonly string[];
  readonly grant_types_supported: readonly string[];
}

/**
 * Body of `/.well-known/openid-configuration`.
 * Deviation: no authorization_endpoint, as there is no consent page; its jwks_uri points to this server, while the issuer stays Google's
 * (clients compare it with the token's `iss`).
 * @param baseUrl where the documents are served, without a slash at the end
 */
export function discoveryDocument(baseUrl: string, issuer = 'https://accounts.google.com'): DiscoveryDocument {
  return {
    issuer,
    token_endpoint: 'https://oauth2.googleapis.com/token',
    userinfo_endpoint: 'https://openidconnect.googleapis.com/v1/userinfo',
    revocation_endpoint: 'https://oauth2.googleapis.com/revoke',
    jwks_uri: `${baseUrl}/oauth2/v3/certs`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    scopes_supported: ['openid', 'email', 'profile'],
    claims_supported: ['aud', 'azp', 'email', 'email_verified', 'exp', 'iat', 'iss', 'sub'],
    grant_types_supported: ['refresh_token', 'urn:ietf:params:oauth:grant-type:jwt-bearer'],
  };
}

async function generate(createTime: Micros): Promise<SigningKeyRow> {
  const { privateKey } = await generateKeyPair('RS256', { modulusLength: 2048, extractable: true });
  const jwk = await exportJWK(privateKey);
  // RFC 7638: the id follows from the key. Google's ids are 40 hex digits.
  const kid = Buffer.from(await calculateJwkThumbprint(jwk), 'base64url')
    .toString('hex')
    .slice(0, 40);
  return { kid, privateJwk: JSON.stringify(jwk), createTime };
}

function publish(row: SigningKeyRow): Published {
  // What we wrote ourselves; createPrivateKey throws on anything that is no key.
  const jwk = JSON.parse(row.privateJwk) as JWK_RSA_Private;
  const privateKey = createPrivateKey({ key: jwk, format: 'jwk' });
  const publicKey = createPublicKey(privateKey);
  return { kid: row.kid, privateKey, publicKey, certificate: selfSignedCertificate(privateKey, { serial: row.kid, notBefore: row.createTime }) };
}

function publicJwk(key: KeyObject): { kty: 'RSA'; n: string; e: string } {
  const { n, e } = key.export({ format: 'jwk' });
  if (typeof n !== 'string' || typeof e !== 'string') throw new Error('A signing key is not an RSA key.');
  return { kty: 'RSA', n, e };
}
