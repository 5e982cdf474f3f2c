import { createVerify, X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OAuth2Client } from 'google-auth-library';
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openStore, type Store } from '../store/database.ts';
import { signingKeyStore } from '../store/signing-keys.ts';
import { createIdTokens, type IdTokens } from './id-tokens.ts';
import { createSigningKeys, discoveryDocument, type SigningKeys } from './signing-keys.ts';

let dir: string;
let store: Store;
let keys: SigningKeys;
let idTokens: IdTokens;
let now = Date.now() * 1000;
const clock = { now: () => now };
const REQUEST = { audience: 'https://service.example/', email: 'sa@demo.iam.gserviceaccount.com', uniqueId: '123456789012345678901', includeEmail: true };

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'id-tokens-'));
  store = await openStore(dir);
  keys = createSigningKeys({ store: signingKeyStore(store), clock });
  idTokens = createIdTokens({ keys, clock });
});
afterAll(async () => {
  await store.close();
  await rm(dir, { recursive: true });
});

it('carries the claims of a service account and verifies with the JWKS', async () => {
  const token = await idTokens.mint(REQUEST);
  expect(decodeProtectedHeader(token)).toEqual({ alg: 'RS256', kid: (await keys.current()).kid, typ: 'JWT' });
  const { payload } = await jwtVerify(token, createLocalJWKSet(await keys.jwks()));
  const iat = Math.floor(now / 1e6);
  expect(payload).toEqual({
    iss: 'https://accounts.google.com',
    aud: REQUEST.audience,
    azp: REQUEST.uniqueId,
    sub: REQUEST.uniqueId,
    email: REQUEST.email,
    email_verified: true,
    iat,
    exp: iat + 3600,
  });
  expect(await idTokens.verify(await idTokens.mint({ ...REQUEST, includeEmail: false }))).not.toHaveProperty('email');
});

it('publishes no private part', async () => {
  for (const key of (await keys.jwks()).keys) expect(Object.keys(key).sort()).toEqual(['alg', 'e', 'kid', 'kty', 'n', 'use']);
});

it('publishes real certificates, with which the official library verifies', async () => {
  const certificates = await keys.certificates();
  const { kid } = await keys.current();
  const certificate = new X509Certificate(certificates[kid] ?? '');
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(certificate.subject).toBe('CN=federated-signon.system.gserviceaccount.com');
  expect(certificate.validToDate.getTime()).toBeGreaterThan(Date.now() + 20 * 365 * 86_400_000);
  const token = await idTokens.mint(REQUEST);
  const [head, body, signature] = token.split('.');
  expect(
    createVerify('RSA-SHA256')
      .update(`${head}.${body}`)
      .verify(certificates[kid] ?? '', signature ?? '', 'base64url'),
  ).toBe(true);
  const ticket = await new OAuth2Client().verifySignedJwtWithCertsAsync(token, { ...certificates }, REQUEST.audience, ['https://accounts.google.com']);
  expect(ticket.getPayload()).toMatchObject({ email: REQUEST.email });
});

it('keeps its key over a restart, and two processes agree on one', async () => {
  const [one, two] = [0, 1].map(() => createSigningKeys({ store: signingKeyStore(store), clock }));
  expect((await one?.current())?.kid).toBe((await two?.current())?.kid);
  expect(await one?.certificates()).toEqual(await keys.certificates());
  const fresh = await mkdtemp(join(tmpdir(), 'id-tokens-'));
  const other = await openStore(fresh);
  const [left, right] = await Promise.all(
    [0, 1].map(async () => {
      const racing = createSigningKeys({ store: signingKeyStore(other), clock });
      const key = await racing.current();
      return { racing, kid: key.kid };
    }),
  );
  expect((await createSigningKeys({ store: signingKeyStore(other), clock }).jwks()).keys.map((key) => key.kid)).toEqual(expect.arrayContaining([left?.kid, right?.kid]));
  await other.close();
  await rm(fresh, { recursive: true });
});

it('refuses what is late, of another audience or issuer, forged, or no token', async () => {
  const token = await idTokens.mint(REQUEST);
  expect(await idTokens.verify(token, { audience: REQUEST.audience })).toBeDefined();
  expect(await idTokens.verify(token, { audience: 'https://other.example/' })).toBeUndefined();
  expect(await idTokens.verify(token, { issuer: 'https://other.example/' })).toBeUndefined();
  const [head, body, signature] = token.split('.');
  const forged = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(body ?? '', 'base64url').toString()), email: 'root@example.com' })).toString('base64url');
  const none = Buffer.from(JSON.stringify({ alg: 'none', kid: (await keys.current()).kid })).toString('base64url');
  for (const wrong of ['', 'x', 'a.b.c', `${head}.${forged}.${signature}`, `${none}.${body}.`, `${head}.${body}.`]) expect(await idTokens.verify(wrong)).toBeUndefined();
  now += 3_601_000_000;
  expect(await idTokens.verify(token)).toBeUndefined();
});

it('points from the discovery document to the keys', () => {
  expect(discoveryDocument('http://localhost:8787')).toMatchObject({
    issuer: 'https://accounts.google.com',
    jwks_uri: 'http://localhost:8787/oauth2/v3/certs',
    id_token_signing_alg_values_supported: ['RS256'],
  });
});
