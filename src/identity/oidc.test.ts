import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it, test } from 'vitest';
import { createOidcVerifier, faultOfJwks, type OidcVerifier } from './oidc.ts';
import { createPublicFetch, createPublicLookup, isPublicAddress } from './public-fetch.ts';

let now = 1_800_000_000_000_000;
const clock = { now: () => now };
const documents = new Map<string, { status?: number; headers?: Record<string, string>; body: string }>();
const asked: string[] = [];
let server: Server;
let origin: string;
let key: Awaited<ReturnType<typeof generateKeyPair>>;
let jwks: string;
let oidc: OidcVerifier;

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(request.url ?? '');
    const document = documents.get(request.url ?? '');
    response.writeHead(document?.status ?? (document === undefined ? 404 : 200), document?.headers).end(document?.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // A server that listens on TCP has an address of this form.
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  key = await generateKeyPair('RS256', { extractable: true });
  jwks = JSON.stringify({ keys: [{ ...(await exportJWK(key.publicKey)), kid: 'one', alg: 'RS256', use: 'sig' }] });
});
afterAll(() => server.close());
beforeEach(() => {
  asked.length = 0;
  documents.clear();
  documents.set('/.well-known/openid-configuration', { body: JSON.stringify({ issuer: origin, jwks_uri: `${origin}/keys` }) });
  documents.set('/keys', { body: jwks });
  oidc = createOidcVerifier({ fetchJson: createPublicFetch((candidate) => candidate === origin), clock });
});

const AUDIENCE = 'https://actas.example/';
function token(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}): Promise<string> {
  const iat = Math.floor(now / 1e6);
  return new SignJWT({ sub: 'repo:octo/app', iss: origin, aud: AUDIENCE, iat, exp: iat + 600, ...claims })
    .setProtectedHeader({ alg: 'RS256', kid: 'one', ...header })
    .sign(key.privateKey);
}
const expected = () => ({ issuer: origin, audiences: [AUDIENCE] });

describe('ID tokens of other issuers', () => {
  it('takes one that its issuer signed, and reads the keys once', async () => {
    for (let i = 0; i < 3; i += 1) expect(await oidc.verify(await token(), expected())).toMatchObject({ claims: { sub: 'repo:octo/app' } });
    expect(asked).toEqual(['/.well-known/openid-configuration', '/keys']);
  });

  it('takes given keys, and then asks nobody', async () => {
    expect(await oidc.verify(await token(), { ...expected(), jwks })).toHaveProperty('claims');
    expect(asked).toEqual([]);
  });

  test.each([
    ['late', { exp: 1_799_999_000 }, /expired/],
    ['of another issuer', { iss: 'https://evil.example' }, /issuer in ID Token https:\/\/evil.example/],
    ['for another audience', { aud: 'https://other.example/' }, /audience/],
    ['from the future', { nbf: 1_900_000_000 }, /nbf/],
  ])('refuses what is %s', async (_name, claims, words) => {
    expect(await oidc.verify(await token(claims), expected())).toEqual({ refused: expect.stringMatching(words) });
  });

  it('refuses forgeries: no signature, the public key as a secret, another key under the same id, a key in the header', async () => {
    const iat = Math.floor(now / 1e6);
    const claims = { sub: 'x', iss: origin, aud: AUDIENCE, iat, exp: iat + 600 };
    const other = await generateKeyPair('RS256', { extractable: true });
    const forged = [
      new UnsecuredJWT(claims).encode(),
      await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'one' }).sign(new TextEncoder().encode(jwks)),
      await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'one' }).sign(other.privateKey),
      await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'one', jwk: await exportJWK(other.publicKey), jku: `${origin}/evil` }).sign(other.privateKey),
      'a.b.c',
      '',
      'x'.repeat(40_000),
    ];
    for (const bad of forged) expect(await oidc.verify(bad, expected())).toHaveProperty('refused');
    expect(asked.filter((url) => url.includes('evil'))).toEqual([]);
  });

  it('looks again for a key that it does not know, but not at every token', async () => {
    expect(await oidc.verify(await token({}, { kid: 'two' }), expected())).toHaveProperty('refused');
    expect(await oidc.verify(await token({}, { kid: 'two' }), expected())).toHaveProperty('refused');
    expect(asked.filter((url) => url === '/keys')).toHaveLength(1);
    documents.set('/keys', { body: jwks.replace('"one"', '"two"') });
    now += 31_000_000;
    expect(await oidc.verify(await token({}, { kid: 'two' }), expected())).toHaveProperty('claims');
    expect(asked.filter((url) => url === '/keys')).toHaveLength(2);
  });

  it('says what is wrong with an issuer, and does not keep the failure', async () => {
    documents.set('/.well-known/openid-configuration', { body: JSON.stringify({ issuer: 'https://other.example', jwks_uri: `${origin}/keys` }) });
    expect(await oidc.verify(await token(), expected())).toEqual({ refused: expect.stringContaining('is not the document of') });
    documents.set('/.well-known/openid-configuration', { status: 302, headers: { location: `${origin}/elsewhere` }, body: '' });
    expect(await oidc.verify(await token(), expected())).toEqual({ refused: expect.stringContaining('it answered 302') });
    documents.set('/.well-known/openid-configuration', { body: `"${'x'.repeat(600_000)}"` });
    expect(await oidc.verify(await token(), expected())).toEqual({ refused: expect.stringContaining('larger than') });
    documents.set('/.well-known/openid-configuration', { body: JSON.stringify({ issuer: origin, jwks_uri: `${origin}/keys` }) });
    expect(await oidc.verify(await token(), expected())).toHaveProperty('claims');
  });

  it('reads key sets with public keys of RSA and EC alone', async () => {
    expect(faultOfJwks(jwks)).toBeUndefined();
    expect(faultOfJwks(JSON.stringify({ keys: [await exportJWK(key.privateKey)] }))).toMatch(/private/);
    expect(faultOfJwks(JSON.stringify({ keys: [{ kty: 'oct', k: 'c2VjcmV0' }] }))).toMatch(/secret/);
    expect(faultOfJwks('{"keys":[]}')).toMatch(/must be a JSON Web Key Set/);
    expect(faultOfJwks('nonsense')).toMatch(/must be a JSON Web Key Set/);
  });
});

describe('fetching what a caller named', () => {
  const fetchJson = createPublicFetch(() => false);

  test.each([
    '127.0.0.1',
    '10.1.2.3',
    '169.254.169.254',
    '192.168.0.1',
    '172.31.0.1',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '::1',
    'fe80::1',
    'fc00::1',
    '::ffff:127.0.0.1',
    '2002:7f00:1::',
    '64:ff9b::1',
  ])('%s is not public', (address) => expect(isPublicAddress(address)).toBe(false));
  test('a name that changes its address leads to what was looked at, or nowhere', async () => {
    const answers = [['93.184.215.14'], ['127.0.0.1'], ['93.184.215.14', '10.0.0.1'], ['::ffff:169.254.169.254']];
    const lookup = createPublicLookup((_name, _options, done) =>
      done(
        null,
        (answers.shift() ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      ),
    );
    const asked = (all: boolean) => new Promise((resolve) => lookup('rebound.example', { all }, (error, found) => resolve(error === null ? found : error.message)));
    expect(await asked(true)).toEqual([{ address: '93.184.215.14', family: 4 }]);
    expect(await asked(true)).toContain('leads to 127.0.0.1, which is not a public address');
    expect(await asked(false)).toContain('leads to 10.0.0.1');
    expect(await asked(false)).toContain('leads to ::ffff:169.254.169.254');
  });

  test.each(['8.8.8.8', '142.250.1.1', '2a00:1450:4001::1'])('%s is public', (address) => expect(isPublicAddress(address)).toBe(true));

  test.each([
    ['http://example.com/', /only https/],
    ['https://127.0.0.1/', /not a public address/],
    ['https://[::1]:8443/', /not a public address/],
    ['https://169.254.169.254/computeMetadata/v1/', /not a public address/],
    ['https://localhost/', /not a public address/],
    ['file:///etc/passwd', /only https/],
    ['nonsense', /no URL/],
  ])('refuses %s', async (url, words) => {
    await expect(fetchJson(url)).rejects.toThrow(words);
  });
});
