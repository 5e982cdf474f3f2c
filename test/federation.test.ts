/** Identities from outside: a pool and a provider, a token exchanged by the official library, what it may do, and when it ends. And people who sign in elsewhere. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GoogleAuth } from 'google-auth-library';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';

const IAM = '/iam.googleapis.com/v1';
const CRM = '/cloudresourcemanager.googleapis.com/v1';
const POOL = 'projects/123456789012/locations/global/workloadIdentityPools/ci-pool';
const PROVIDER = `${POOL}/providers/github`;
const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';
const SUBJECT = 'repo:octo/app:ref:refs/heads/main';

let issuer: Server;
let origin: string;
let key: Awaited<ReturnType<typeof generateKeyPair>>;
let jwks: string;
let server: TestServer;
let dir: string;
let provider: unknown;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'federation-'));
  key = await generateKeyPair('RS256', { extractable: true });
  jwks = JSON.stringify({ keys: [{ ...(await exportJWK(key.publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' }] });
  issuer = createServer((request, response) => {
    const body = request.url === '/keys' ? jwks : request.url === '/.well-known/openid-configuration' ? JSON.stringify({ issuer: origin, jwks_uri: `${origin}/keys` }) : undefined;
    response.writeHead(body === undefined ? 404 : 200).end(body);
  });
  await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));
  // A server that listens on TCP has an address of this form.
  origin = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`;
  server = await startTestServer({ trustedIssuer: [origin], oidcIssuer: origin, oidcAudience: 'actas-people', oidcGroupsClaim: 'groups' });
  await server.call('POST', `${IAM}/projects/demo/locations/global/workloadIdentityPools?workloadIdentityPoolId=ci-pool`, { displayName: 'CI' });
  const made = await server.call('POST', `${IAM}/${POOL}/providers?workloadIdentityPoolProviderId=github`, {
    attributeMapping: { 'google.subject': 'assertion.sub', 'attribute.repository': 'assertion.repository', 'google.groups': 'assertion.teams' },
    attributeCondition: "assertion.repository_owner == 'octo'",
    oidc: { issuerUri: origin },
  });
  provider = made.json;
});
afterAll(async () => {
  await server.close();
  issuer.close();
  rmSync(dir, { recursive: true, force: true });
});

function outside(claims: Record<string, unknown> = {}): Promise<string> {
  const iat = Math.floor(Date.now() / 1000);
  const all = {
    sub: SUBJECT,
    iss: origin,
    aud: `https://iam.googleapis.com/${PROVIDER}`,
    iat,
    exp: iat + 300,
    repository: 'octo/app',
    repository_owner: 'octo',
    teams: ['builders'],
    ...claims,
  };
  return new SignJWT(all).setProtectedHeader({ alg: 'RS256', kid: 'k1' }).sign(key.privateKey);
}

async function exchange(subjectToken: string, change: Record<string, string> = {}): Promise<{ status: number; json: Record<string, string> }> {
  const response = await fetch(`${server.url}/sts.googleapis.com/v1/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      audience: `//iam.googleapis.com/${PROVIDER}`,
      scope: SCOPE,
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      subject_token: subjectToken,
      ...change,
    }),
  });
  // The shape is what the tests below look at.
  return { status: response.status, json: (await response.json()) as Record<string, string> };
}

async function may(token: string, permission: string): Promise<boolean> {
  const response = await fetch(`${server.url}${CRM}/projects/demo:testIamPermissions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ permissions: [permission] }),
  });
  // Unauthenticated answers have no permissions, like those who may do nothing.
  const { permissions = [] } = (await response.json()) as { permissions?: string[] };
  return permissions.includes(permission);
}

async function grant(member: string, role: string): Promise<void> {
  const { json: policy } = await server.call('POST', `${CRM}/projects/demo:getIamPolicy`, {});
  policy.bindings.push({ role, members: [member] });
  expect((await server.call('POST', `${CRM}/projects/demo:setIamPolicy`, { policy })).status).toBe(200);
}

describe('workload identity', () => {
  test('a provider is made by an operation that is done', () => {
    expect(provider).toMatchObject({ done: true, response: { name: PROVIDER, state: 'ACTIVE', oidc: { issuerUri: origin } } });
  });

  test('a token becomes a principal, which roles are given to by subject, attribute, group or pool', async () => {
    const { status, json } = await exchange(await outside());
    expect(status, JSON.stringify(json)).toBe(200);
    expect(json).toMatchObject({ token_type: 'Bearer', issued_token_type: 'urn:ietf:params:oauth:token-type:access_token', expires_in: 3600 });
    const token = json['access_token'] ?? '';
    const members = [
      `principal://iam.googleapis.com/${POOL}/subject/${SUBJECT}`,
      ...['attribute.repository/octo/app', 'group/builders', '*'].map((set) => `principalSet://iam.googleapis.com/${POOL}/${set}`),
    ];
    const roles = ['roles/run.viewer', 'roles/logging.viewer', 'roles/secretmanager.viewer', 'roles/iam.roleViewer'];
    const permissions = ['run.jobs.get', 'logging.logEntries.list', 'secretmanager.secrets.list', 'iam.roles.get'];
    for (const [index, member] of members.entries()) {
      expect(await may(token, permissions[index] ?? '')).toBe(false);
      await grant(member, roles[index] ?? '');
      expect(await may(token, permissions[index] ?? ''), member).toBe(true);
    }
    const other = (await exchange(await outside({ sub: 'repo:octo/other', repository: 'octo/other', teams: [] }))).json['access_token'] ?? '';
    expect(await Promise.all(permissions.map((permission) => may(other, permission)))).toEqual([false, false, false, true]);
  });

  test('the official library logs in with a token from a file, and impersonates an account', async () => {
    await server.call('POST', `${IAM}/projects/demo/serviceAccounts`, { accountId: 'deployer', serviceAccount: {} });
    const account = 'deployer@demo.iam.gserviceaccount.com';
    await server.call('POST', `${IAM}/projects/demo/serviceAccounts/${account}:setIamPolicy`, {
      policy: { bindings: [{ role: 'roles/iam.workloadIdentityUser', members: [`principalSet://iam.googleapis.com/${POOL}/attribute.repository/octo/app`] }] },
    });
    const source = join(dir, 'token');
    writeFileSync(source, await outside());
    const credentials = {
      type: 'external_account',
      universe_domain: 'googleapis.com',
      audience: `//iam.googleapis.com/${PROVIDER}`,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: `${server.url}/sts.googleapis.com/v1/token`,
      credential_source: { file: source },
      service_account_impersonation_url: `${server.url}/iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${account}:generateAccessToken`,
    };
    const file = join(dir, 'credentials.json');
    writeFileSync(file, JSON.stringify(credentials));
    const client = await new GoogleAuth({ keyFilename: file, scopes: [SCOPE] }).getClient();
    const { token } = await client.getAccessToken();
    const info = await (await fetch(`${server.url}/oauth2.googleapis.com/tokeninfo?access_token=${token}`)).json();
    expect(info).toMatchObject({ email: account });
  });

  test('a token ends with its provider, its pool and its project', async () => {
    await grant(`principalSet://iam.googleapis.com/${POOL}/*`, 'roles/browser');
    const token = (await exchange(await outside())).json['access_token'] ?? '';
    for (const [name, field] of [
      [PROVIDER, 'workloadIdentityPoolProvider'],
      [POOL, 'workloadIdentityPool'],
    ] as const) {
      expect(await may(token, 'resourcemanager.projects.get'), field).toBe(true);
      expect((await server.call('PATCH', `${IAM}/${name}?updateMask=disabled`, { disabled: true })).status).toBe(200);
      expect(await may(token, 'resourcemanager.projects.get'), field).toBe(false);
      expect((await exchange(await outside())).json).toMatchObject({ error: 'invalid_target' });
      await server.call('PATCH', `${IAM}/${name}?updateMask=disabled`, { disabled: false });
    }
    expect((await server.call('DELETE', `${IAM}/${POOL}`)).json).toMatchObject({ done: true, response: { state: 'DELETED' } });
    expect(await may(token, 'resourcemanager.projects.get')).toBe(false);
    expect((await server.call('POST', `${IAM}/projects/demo/locations/global/workloadIdentityPools?workloadIdentityPoolId=ci-pool`, {})).status).toBe(409);
    expect((await server.call('POST', `${IAM}/${POOL}:undelete`, {})).status).toBe(200);
    expect(await may(token, 'resourcemanager.projects.get')).toBe(true);
  });

  test.each([
    ['a stranger', { repository_owner: 'evil' }, {}, 'unauthorized_client', /rejected by the attribute condition/],
    ['another audience', { aud: 'https://elsewhere.example' }, {}, 'invalid_grant', /audience in ID Token/],
    ['no subject', { sub: undefined }, {}, 'invalid_grant', /google.subject/],
    ['a long subject', { sub: 'x'.repeat(200) }, {}, 'invalid_grant', /127 bytes/],
    ['another provider', {}, { audience: `//iam.googleapis.com/${POOL}/providers/none` }, 'invalid_target', /audience/],
    ['another grant', {}, { grant_type: 'password' }, 'unsupported_grant_type', /grant_type must be/],
    ['no scope', {}, { scope: '' }, 'invalid_request', /scope is required/],
    ['a token of AWS', {}, { subject_token_type: 'urn:ietf:params:aws:token-type:aws4_request' }, 'invalid_request', /subject_token_type/],
  ])('refuses %s in the words of OAuth', async (_name, claims, change, error, words) => {
    const { status, json } = await exchange(await outside(claims), change);
    expect(json).toMatchObject({ error, error_description: expect.stringMatching(words) });
    expect(status).toBe(error === 'unauthorized_client' ? 401 : 400);
  });

  test.each([
    ['a mapping that is no expression', { attributeMapping: { 'google.subject': 'assertion.' }, oidc: { issuerUri: 'https://a.example' } }, 'attribute_mapping[google.subject]'],
    ['a name that is not there', { attributeMapping: { 'google.subject': 'claims.sub' }, oidc: { issuerUri: 'https://a.example' } }, 'attribute_mapping[google.subject]'],
    ['no subject', { attributeMapping: { 'attribute.a': 'assertion.a' }, oidc: { issuerUri: 'https://a.example' } }, 'must map google.subject'],
    [
      'a condition that is no answer',
      { attributeMapping: { 'google.subject': 'assertion.sub' }, attributeCondition: "'yes'", oidc: { issuerUri: 'https://a.example' } },
      'attribute_condition',
    ],
    ['no kind', { attributeMapping: { 'google.subject': 'assertion.sub' } }, 'names no kind of provider'],
    [
      'a private key',
      { attributeMapping: { 'google.subject': 'assertion.sub' }, oidc: { issuerUri: 'https://a.example', jwksJson: '{"keys":[{"kty":"RSA","d":"x"}]}' } },
      'jwks_json',
    ],
    ['a file', { attributeMapping: { 'google.subject': 'assertion.sub' }, oidc: { issuerUri: 'file:///etc/passwd' } }, 'issuer_uri: must be an https URL'],
  ])('a provider with %s is refused by field', async (_name, provider, words) => {
    const answer = await server.call('POST', `${IAM}/${POOL}/providers?workloadIdentityPoolProviderId=wrong`, provider);
    expect(answer.status, answer.text).toBe(400);
    expect(answer.json.error.message).toContain(words);
  });

  test('an issuer inside the network is not asked, unless the configuration trusts it', async () => {
    await server.call('POST', `${IAM}/${POOL}/providers?workloadIdentityPoolProviderId=inside`, {
      attributeMapping: { 'google.subject': 'assertion.sub' },
      oidc: { issuerUri: 'https://169.254.169.254', allowedAudiences: ['x'] },
    });
    const { json } = await exchange(await outside({ iss: 'https://169.254.169.254', aud: 'x' }), { audience: `//iam.googleapis.com/${POOL}/providers/inside` });
    expect(json).toMatchObject({ error: 'invalid_grant', error_description: expect.stringContaining('not a public address') });
  });
});

describe('people who sign in elsewhere', () => {
  const person = (claims: Record<string, unknown> = {}) =>
    outside({ aud: 'actas-people', email: 'Alice@Example.com', email_verified: true, groups: ['admins@example.com'], ...claims });

  test('their ID token is a bearer token, and their groups count', async () => {
    expect(await may(await person(), 'run.jobs.create')).toBe(false);
    await grant('group:admins@example.com', 'roles/run.developer');
    expect(await may(await person(), 'run.jobs.create')).toBe(true);
    expect(await may(await person({ groups: [] }), 'run.jobs.create')).toBe(false);
    await grant('user:alice@example.com', 'roles/run.developer');
    expect(await may(await person({ groups: [] }), 'run.jobs.create')).toBe(true);
  });

  test.each([
    ['of another audience', { aud: 'others' }],
    ['with an address that nobody verified', { email_verified: false }],
    ['that is late', { exp: 1_700_000_000 }],
    ['without an address', { email: undefined }],
  ])('one %s is nobody', async (_name, claims) => {
    const response = await fetch(`${server.url}${CRM}/projects/demo`, { headers: { authorization: `Bearer ${await person(claims)}` } });
    expect(response.status).toBe(401);
  });

  test('the owner can be kept from speaking for others', async () => {
    const strict = await startTestServer({ issueTokens: false });
    const answer = await strict.call('POST', '/actas/v1/tokens:issue', { principal: 'user:bob@example.com' });
    expect(answer.status).toBe(403);
    expect(answer.json.error.message).toContain('issueTokens is off');
    await strict.close();
  });
});
