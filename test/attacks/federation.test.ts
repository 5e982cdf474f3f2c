/** What somebody tries whose token an outside issuer really signed, to be more than the provider makes of it. */
import { createHmac, createPublicKey } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CompactSign, exportJWK, exportSPKI, generateKeyPair } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPublicFetch } from '../../src/identity/public-fetch.ts';
import { startTestServer, type TestServer } from '../harness/server.ts';

const CRM = '/cloudresourcemanager.googleapis.com/v1/projects/demo';
const POOLS = 'projects/123456789012/locations/global/workloadIdentityPools';
const ISSUER = 'https://issuer.example';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

type Keys = Awaited<ReturnType<typeof generateKeyPair>>;
let ours: Keys;
let theirs: Keys;
let server: TestServer;
let people: Server;
let signIn: string;

beforeAll(async () => {
  ours = await generateKeyPair('RS256', { extractable: true });
  theirs = await generateKeyPair('RS256', { extractable: true });
  const keys = JSON.stringify({ keys: [await jwk(ours)] });
  people = createServer((request, response) => response.end(request.url === '/keys' ? keys : JSON.stringify({ issuer: signIn, jwks_uri: `${signIn}/keys` })));
  await new Promise<void>((resolve) => people.listen(0, '127.0.0.1', resolve));
  // A server that listens on TCP has an address of this form.
  signIn = `http://127.0.0.1:${(people.address() as AddressInfo).port}`;
  server = await startTestServer({ trustedIssuer: [signIn], oidcIssuer: signIn, oidcAudience: 'actas-people', oidcGroupsClaim: 'groups' });
  await makePool('first-pool');
  await makePool('second-pool');
  await makeProvider('first-pool', 'good', ours);
  // The same issuer by name, with a key of somebody else's.
  await makeProvider('first-pool', 'other', theirs);
  await makeProvider('second-pool', 'good', ours);
});
afterAll(async () => {
  await server.close();
  people.close();
});

const jwk = async ({ publicKey }: Keys) => ({ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'RS256' });

async function makePool(id: string): Promise<void> {
  await server.call('POST', `/iam.googleapis.com/v1/projects/demo/locations/global/workloadIdentityPools?workloadIdentityPoolId=${id}`, {});
}
async function makeProvider(pool: string, id: string, keys: Keys): Promise<void> {
  const answer = await server.call('POST', `/iam.googleapis.com/v1/${POOLS}/${pool}/providers?workloadIdentityPoolProviderId=${id}`, {
    attributeMapping: { 'google.subject': 'assertion.sub', 'google.groups': 'assertion.groups', 'attribute.team': 'assertion.team' },
    attributeCondition: "!has(assertion.guest) || assertion.guest != 'yes'",
    oidc: { issuerUri: ISSUER, allowedAudiences: ['actas'], jwksJson: JSON.stringify({ keys: [await jwk(keys)] }) },
  });
  expect(answer.status, answer.text).toBe(200);
}

function signed(claims: Record<string, unknown>, keys = ours, header: Record<string, unknown> = {}): Promise<string> {
  const iat = Math.floor(Date.now() / 1000);
  const payload = JSON.stringify({ iss: ISSUER, aud: 'actas', sub: 'bob', iat, exp: iat + 300, ...claims });
  return new CompactSign(new TextEncoder().encode(payload)).setProtectedHeader({ alg: 'RS256', kid: 'k1', ...header }).sign(keys.privateKey);
}
async function exchange(subjectToken: string, provider = 'first-pool/providers/good'): Promise<{ access_token: string; error?: string; error_description?: string }> {
  const response = await fetch(`${server.url}/sts.googleapis.com/v1/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      audience: `//iam.googleapis.com/${POOLS}/${provider}`,
      scope: 'https://www.googleapis.com/auth/cloud-platform',
      requested_token_type: ACCESS_TOKEN,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      subject_token: subjectToken,
    }),
  });
  expect(response.status).toBeLessThan(500);
  // The tests look at these alone.
  return (await response.json()) as { access_token: string; error?: string; error_description?: string };
}
async function may(token: string, permission: string): Promise<boolean> {
  const response = await fetch(`${server.url}${CRM}:testIamPermissions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ permissions: [permission] }),
  });
  // See above.
  return (((await response.json()) as { permissions?: string[] }).permissions ?? []).includes(permission);
}
async function grant(member: string, role: string): Promise<void> {
  const { json: policy } = await server.call('POST', `${CRM}:getIamPolicy`, {});
  const answer = await server.call('POST', `${CRM}:setIamPolicy`, { policy: { ...policy, bindings: [...policy.bindings, { role, members: [member] }] } });
  expect(answer.status, answer.text).toBe(200);
}

describe('signatures', () => {
  test('no algorithm, another family, keys in the header, and criticals that nobody knows', async () => {
    const good = await signed({});
    expect((await exchange(good)).access_token).toMatch(/^actas_at_/);
    const [, payload = '', signature = ''] = good.split('.');
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const withHeader = (header: object, end = signature) => `${part(header)}.${payload}.${end}`;
    const hmac = (header: object, secret: string) =>
      `${part(header)}.${payload}.${createHmac('sha256', secret)
        .update(`${part(header)}.${payload}`)
        .digest('base64url')}`;
    const pem = await exportSPKI(ours.publicKey);
    const hs = { alg: 'HS256', kid: 'k1' };
    for (const token of [
      withHeader({ alg: 'none', kid: 'k1' }, ''),
      withHeader({ alg: 'NONE' }),
      hmac(hs, pem),
      hmac(hs, JSON.stringify(await jwk(ours))),
      hmac(hs, createPublicKey(pem).export({ type: 'pkcs1', format: 'pem' })),
      await signed({}, theirs),
      await signed({}, theirs, { jwk: await jwk(theirs) }),
      await signed({}, theirs, { jku: 'https://evil.example/keys' }),
      await signed({}, ours, { kid: '../../k1' }),
      withHeader({ alg: 'RS256', kid: 'k1', crit: ['exp'], exp: 1 }),
      `${good}x`,
      `${good}.more`,
      '..',
      `${part({ alg: 'RS256' })}.${part(null)}.x`,
    ])
      expect(await exchange(token), token.slice(0, 60)).toMatchObject({ error: 'invalid_grant' });
  });

  test.each<[string, Record<string, unknown>]>([
    ['expired', { exp: 1 }],
    ['without an end', { exp: undefined }],
    ['not yet begun', { nbf: Math.floor(Date.now() / 1000) + 3600 }],
    ['for somebody else', { aud: 'another' }],
    ['for nobody', { aud: undefined }],
    ['of another issuer', { iss: `${ISSUER}/` }],
    ['of an issuer in capitals', { iss: ISSUER.toUpperCase() }],
    ['with a time that is a text', { exp: '9999999999' }],
    ['without a subject', { sub: '' }],
    ['with a subject that is no text', { sub: ['bob'] }],
    ['with a subject that is too long', { sub: 'x'.repeat(128) }],
    ['that the condition refuses', { guest: 'yes' }],
    ['with a condition that cannot be judged', { guest: { a: 1 }, sub: undefined }],
    ['with claims within claims within claims', { deep: JSON.parse(`${'['.repeat(5000)}${']'.repeat(5000)}`) }],
  ])('a token %s', async (_what, claims) => {
    expect((await exchange(await signed(claims))).error).toMatch(/^(invalid_grant|unauthorized_client)$/);
  });
});

describe('one provider in the place of another', () => {
  test('a key of one proves nothing at the other, though both name one issuer', async () => {
    expect(await exchange(await signed({}, ours), 'first-pool/providers/other')).toMatchObject({ error: 'invalid_grant' });
    expect(await exchange(await signed({}, theirs), 'first-pool/providers/good')).toMatchObject({ error: 'invalid_grant' });
  });

  test('what is granted to a subject of one pool is not granted to that of another', async () => {
    await grant(`principal://iam.googleapis.com/${POOLS}/first-pool/subject/carol`, 'roles/run.viewer');
    const token = await signed({ sub: 'carol' });
    expect(await may((await exchange(token)).access_token, 'run.jobs.get')).toBe(true);
    expect(await may((await exchange(token, 'second-pool/providers/good')).access_token, 'run.jobs.get')).toBe(false);
  });

  test('audiences that are nearly a provider, and providers that are not there, are answered alike', async () => {
    const token = await signed({});
    const answers = await Promise.all(
      ['first-pool/providers/none', 'no-pool/providers/good', 'first-pool/providers/good/', 'first-pool/providers/../providers/good', 'first-pool/providers/GOOD'].map((name) =>
        exchange(token, name),
      ),
    );
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(answers[0]).toMatchObject({ error: 'invalid_target' });
  });
});

describe('names that imitate others', () => {
  test('subjects and groups with slashes, line ends and prefixes are nobody else', async () => {
    const set = (name: string) => `principalSet://iam.googleapis.com/${POOLS}/first-pool/${name}`;
    await grant(set('group/admins'), 'roles/logging.viewer');
    await grant(set('attribute.team/core'), 'roles/secretmanager.viewer');
    // An administrator whose decisions are kept from now on.
    const admin = (await exchange(await signed({ sub: 'dora', groups: ['admins'], team: 'core' }))).access_token;
    expect(await may(admin, 'logging.logEntries.list')).toBe(true);
    for (const claims of [
      { sub: `dora\n${set('group/admins')}\n${set('attribute.team/core')}` },
      { sub: 'dora', groups: [`x\n${set('group/admins')}`] },
      { sub: `dora\n${set('group/admins')}`, team: 'core' },
      { sub: 'dora","admins' },
      { sub: 'group/admins' },
      { sub: 'dora/../../group/admins' },
      { sub: 'dora', team: 'x/attribute.team/core' },
      { sub: 'dora', groups: ['/admins', 'admins/', 'ADMINS', ' admins', 'admins\u0000'] },
      { sub: 'dora', team: 'cor\u200be' },
      { sub: 'dora', groups: 'admins' },
      { sub: 'actas:administrator', groups: ['*'], team: 'x actas:administrator' },
    ]) {
      const { access_token: token } = await exchange(await signed(claims));
      expect(await may(token, 'logging.logEntries.list'), JSON.stringify(claims)).toBe(false);
      expect(await may(token, 'secretmanager.secrets.list'), JSON.stringify(claims)).toBe('team' in claims && claims.team === 'core');
      const issue = await server.call('POST', '/actas/v1/tokens:issue', { principal: 'user:owner@example.com' }, { as: null, headers: { authorization: `Bearer ${token}` } });
      expect([401, 403]).toContain(issue.status);
    }
  });

  test('a set that a deny rule names cannot be left by another spelling of oneself', async () => {
    const rule = { deniedPermissions: ['run.googleapis.com/jobs.get'], deniedPrincipals: [`principalSet://iam.googleapis.com/${POOLS}/first-pool/*`] };
    await grant(`principalSet://iam.googleapis.com/${POOLS}/first-pool/attribute.team/denied`, 'roles/run.viewer');
    const denyUrl = '/iam.googleapis.com/v2/policies/cloudresourcemanager.googleapis.com%2Fprojects%2Fdemo/denypolicies';
    const token = (await exchange(await signed({ sub: 'eve', team: 'denied' }))).access_token;
    expect(await may(token, 'run.jobs.get')).toBe(true);
    expect((await server.call('POST', `${denyUrl}?policyId=nobody-outside`, { rules: [{ denyRule: rule }] })).status).toBe(200);
    expect(await may(token, 'run.jobs.get')).toBe(false);
    for (const sub of ['eve\n', 'EVE', '../eve']) expect(await may((await exchange(await signed({ sub, team: 'denied' }))).access_token, 'run.jobs.get')).toBe(false);
    await server.call('DELETE', `${denyUrl}/nobody-outside`);
  });
});

describe('people who sign in elsewhere', () => {
  const person = (claims: Record<string, unknown>, header = {}) => signed({ iss: signIn, aud: 'actas-people', email: 'dev@example.com', ...claims }, ours, header);
  const status = async (token: string) =>
    (await server.call('GET', '/actas/v1/status', undefined, { as: null, headers: { authorization: `Bearer ${token}` } })).json as {
      principal?: string;
      error?: { status: string };
    };

  test('are who the provider says, if it says that it knows', async () => {
    expect((await status(await person({}))).principal).toBe('user:dev@example.com');
    expect((await status(await person({ email_verified: 'true' }))).principal).toBe('user:dev@example.com');
    for (const email_verified of [false, 'false', 'no', 0, null, []])
      expect((await status(await person({ email_verified }))).error?.status, String(email_verified)).toBe('UNAUTHENTICATED');
    for (const email of ['', 'dev', 'a b@example.com', 'dev@example.com\n', 'x:dev@example.com', 'dev@example.com@evil.example', ['dev@example.com'], { a: 1 }])
      expect((await status(await person({ email }))).error?.status, JSON.stringify(email)).toBe('UNAUTHENTICATED');
  });

  test('are no service accounts, whatever their address, and have not the token of the owner', async () => {
    const answer = await status(await person({ email: 'hello-sa@demo.iam.gserviceaccount.com' }));
    expect(answer.principal).toBe('user:hello-sa@demo.iam.gserviceaccount.com');
    const owner = await person({ email: 'owner@example.com', scope: 'actas:administrator', groups: ['actas:administrator'] });
    const issue = await server.call('POST', '/actas/v1/tokens:issue', { principal: 'user:x@example.com' }, { as: null, headers: { authorization: `Bearer ${owner}` } });
    expect(issue.status).toBe(403);
  });

  test('a token for something else, of somebody else, or of an account that calls itself the issuer', async () => {
    for (const token of [
      await person({ aud: 'another' }),
      await person({ iss: ISSUER, aud: 'actas' }),
      await person({ exp: 1 }),
      await person({}, { kid: 'unknown' }),
      await signed({ iss: signIn, aud: 'actas-people', email: 'dev@example.com' }, theirs),
      await signed({ iss: 'hello-sa@demo.iam.gserviceaccount.com', sub: 'hello-sa@demo.iam.gserviceaccount.com', aud: 'https://run.googleapis.com/' }),
    ])
      expect((await status(token)).error?.status).toBe('UNAUTHENTICATED');
  });
});

describe('what an issuer makes us fetch', () => {
  test.each([
    'http://169.254.169.254/computeMetadata/v1/',
    'https://127.0.0.1/',
    'https://[::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:a9fe:a9fe]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[2002:7f00:1::]/',
    'https://[fd00::1]/',
    'https://[fe80::1]/',
    'https://0/',
    'https://0x7f000001/',
    'https://2130706433/',
    'https://127.1/',
    'https://017700000001/',
    'https://10.0.0.1/',
    'https://100.64.0.1/',
    'https://192.168.1.1/',
    'https://localhost/',
    'https://localhost./',
    'file:///etc/passwd',
    'ftp://example.com/',
    'data:application/json,{}',
    'gopher://127.0.0.1:6379/_',
    'http://example.com/',
    'https://user:pass@127.0.0.1/',
    'https://127.0.0.1#@example.com/',
    '//127.0.0.1/',
  ])('%s is not fetched', async (url) => {
    await expect(createPublicFetch(() => false)(url)).rejects.toThrow('cannot be read');
  });

  test('nothing is fetched for who names no provider, or a token of another issuer', async () => {
    expect(await exchange(await signed({ iss: 'https://127.0.0.1:1' }))).toMatchObject({ error: 'invalid_grant', error_description: expect.stringContaining('does not match') });
  });
});
