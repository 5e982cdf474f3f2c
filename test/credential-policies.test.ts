/** What organization policies say about credentials, and the documents around them. */
import { decodeJwt } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { OWNER, startTestServer, type TestServer } from './harness/server.ts';

const IAM = '/iam.googleapis.com/v1/projects/demo/serviceAccounts';
const EMAIL = 'robot-sa@demo.iam.gserviceaccount.com';
const CREDENTIALS = `/iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${EMAIL}`;
const POLICIES = '/orgpolicy.googleapis.com/v2/projects/demo/policies';
const CLOUD = 'https://www.googleapis.com/auth/cloud-platform';

let server: TestServer;
let uniqueId: string;
beforeAll(async () => {
  server = await startTestServer();
  uniqueId = (await server.call('POST', IAM, { accountId: 'robot-sa' })).json.uniqueId;
  await server.call('POST', `${IAM}/${EMAIL}:setIamPolicy`, { policy: { bindings: [{ role: 'roles/iam.serviceAccountTokenCreator', members: [OWNER] }] } });
});
afterAll(() => server.close());

const set: string[] = [];
afterEach(async () => {
  for (const id of set.splice(0)) await server.call('DELETE', `${POLICIES}/${id}`);
});
async function policy(id: string, rule: object): Promise<void> {
  const answer = await server.call('POST', POLICIES, { name: `projects/demo/policies/${id}`, spec: { rules: [rule] } });
  expect(answer.status, answer.text).toBe(200);
  set.push(id);
}
const createKey = () => server.call('POST', `${IAM}/${EMAIL}/keys`, {});
const accessToken = (lifetime: string) => server.call('POST', `${CREDENTIALS}:generateAccessToken`, { scope: [CLOUD], lifetime });

describe('organization policies', () => {
  test('the legacy constraint refuses keys in its words, the managed one in those of its engine', async () => {
    await policy('iam.disableServiceAccountKeyCreation', { enforce: true });
    expect((await createKey()).json.error).toMatchObject({
      status: 'FAILED_PRECONDITION',
      message: 'Key creation is not allowed on this service account.',
      details: [
        {
          '@type': 'type.googleapis.com/google.rpc.PreconditionFailure',
          violations: [
            {
              type: 'constraints/iam.disableServiceAccountKeyCreation',
              subject: `projects/demo/serviceAccounts/${EMAIL}?configvalue=${encodeURIComponent(EMAIL)}`,
              description: 'Key creation is not allowed on this service account.',
            },
          ],
        },
      ],
    });
    await server.call('DELETE', `${POLICIES}/${set.pop()}`);
    await policy('iam.managed.disableServiceAccountKeyCreation', { enforce: true });
    expect((await createKey()).json.error).toMatchObject({
      status: 'FAILED_PRECONDITION',
      message: expect.stringMatching(
        /^Operation denied by org policy on resource 'projects\/demo': \["constraints\/iam\.managed\.disableServiceAccountKeyCreation": "When enforced, .+"\]\.$/,
      ),
      details: [{ reason: 'CUSTOM_ORG_POLICY_VIOLATION', metadata: { customConstraints: 'constraints/iam.managed.disableServiceAccountKeyCreation', resource: 'projects/demo' } }],
    });
    expect((await server.call('GET', `${IAM}/${EMAIL}/keys`)).json.keys ?? []).toEqual([]);
  });

  test('keys expire where a policy says when', async () => {
    await policy('iam.serviceAccountKeyExpiryHours', { values: { allowedValues: ['24h'] } });
    const { json } = await createKey();
    expect(Date.parse(json.validBeforeTime) - Date.parse(json.validAfterTime)).toBe(24 * 3_600_000);
  });

  test('twelve hours for whom a policy allows them, one for all others', async () => {
    const refused = await accessToken('43200s');
    expect(refused.json.error).toMatchObject({ status: 'INVALID_ARGUMENT', message: expect.stringContaining('constraints/iam.allowServiceAccountCredentialLifetimeExtension') });
    await policy('iam.allowServiceAccountCredentialLifetimeExtension', { values: { allowedValues: [EMAIL] } });
    const { json } = await accessToken('43200s');
    expect(Date.parse(json.expireTime)).toBeGreaterThan(Date.now() + 11.9 * 3_600_000);
    expect((await accessToken('43201s')).status).toBe(400);
  });
});

describe('documents', () => {
  test('an ID token says as much as it is asked to', async () => {
    const claims = async (body: object) => decodeJwt((await server.call('POST', `${CREDENTIALS}:generateIdToken`, { audience: 'https://x.example', ...body })).json.token);
    expect(await claims({})).toEqual({
      iss: 'https://accounts.google.com',
      aud: 'https://x.example',
      azp: uniqueId,
      sub: uniqueId,
      iat: expect.any(Number),
      exp: expect.any(Number),
    });
    expect(await claims({ includeEmail: true, organizationNumberIncluded: true, useEmailAzp: true, delegates: null })).toMatchObject({
      azp: EMAIL,
      email: EMAIL,
      email_verified: true,
      google: { organization_number: 111111111111 },
    });
    expect((await server.call('POST', `${CREDENTIALS}:generateIdToken`, {})).json.error).toMatchObject({
      status: 'INVALID_ARGUMENT',
      message: expect.stringContaining('audience'),
    });
    expect((await server.call('GET', `${CREDENTIALS}/allowedLocations`)).json).toEqual({ encodedLocations: '0x0' });
  });

  test('tokeninfo in both shapes, by parameter, form or header; userinfo; revocation by GET', async () => {
    const { accessToken: token } = (await accessToken('600s')).json;
    const get = async (path: string) => (await server.call('GET', path, undefined, { as: null })).json;
    const info = await get(`/oauth2.googleapis.com/tokeninfo?access_token=${token}`);
    expect(info).toMatchObject({ azp: uniqueId, aud: uniqueId, sub: uniqueId, scope: CLOUD, email: EMAIL, email_verified: 'true', access_type: 'online' });
    expect(Number(info.expires_in)).toBeLessThanOrEqual(600);
    expect(await get(`/www.googleapis.com/oauth2/v2/tokeninfo?access_token=${token}`)).toMatchObject({
      issued_to: uniqueId,
      audience: uniqueId,
      user_id: uniqueId,
      scope: CLOUD,
      email: EMAIL,
      verified_email: true,
      expires_in: expect.any(Number),
    });
    const headers = { authorization: `Bearer ${token}` };
    expect(
      (await server.call('POST', '/oauth2.googleapis.com/tokeninfo', '', { as: null, headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' } })).json,
    ).toMatchObject({ sub: uniqueId });
    for (const [path, expected] of [
      ['/www.googleapis.com/oauth2/v2/userinfo', { id: uniqueId, email: EMAIL, verified_email: true }],
      ['/www.googleapis.com/oauth2/v3/userinfo', { sub: uniqueId, email: EMAIL, email_verified: true }],
      ['/openidconnect.googleapis.com/v1/userinfo', { sub: uniqueId, email: EMAIL, email_verified: true }],
    ] as const)
      expect((await server.call('GET', path, undefined, { as: null, headers })).json).toEqual(expected);
    expect(await get(`/oauth2.googleapis.com/revoke?token=${token}`)).toEqual({});
    expect(await get(`/oauth2.googleapis.com/revoke?token=${token}`)).toEqual({ error: 'invalid_token', error_description: 'Token expired or revoked' });
    expect(await get(`/oauth2.googleapis.com/tokeninfo?access_token=${token}`)).toEqual({ error: 'invalid_token', error_description: 'Invalid Value' });
    // A user's number is known to Google alone: digits that stay the same.
    const owner = await server.call('GET', '/openidconnect.googleapis.com/v1/userinfo');
    expect(owner.json).toEqual({ sub: expect.stringMatching(/^1\d{20}$/), email: OWNER.slice('user:'.length), email_verified: true });
  });

  test("an account's keys in three forms, of an account that is there", async () => {
    const { keyId } = (await server.call('POST', `${CREDENTIALS}:signBlob`, { payload: Buffer.from('x').toString('base64') })).json;
    const base = '/www.googleapis.com/service_accounts/v1/metadata';
    const get = async (form: string, account = EMAIL) => server.call('GET', `${base}/${form}/${encodeURIComponent(account)}`, undefined, { as: null });
    expect((await get('x509')).json[keyId]).toMatch(/^-----BEGIN CERTIFICATE-----/);
    expect((await get('raw', uniqueId)).json[keyId]).toMatch(/^-----BEGIN PUBLIC KEY-----/);
    expect((await get('jwk')).json.keys).toContainEqual({ kty: 'RSA', alg: 'RS256', use: 'sig', kid: keyId, n: expect.any(String), e: 'AQAB' });
    expect((await get('x509', 'nobody@demo.iam.gserviceaccount.com')).status).toBe(404);
  });
});
