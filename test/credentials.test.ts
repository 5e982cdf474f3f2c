/** Key files, impersonation and refresh tokens with the official libraries, unmodified: what they send is what is answered. */
import { IAMCredentialsClient } from '@google-cloud/iam-credentials';
import { credentials } from '@grpc/grpc-js';
import { GoogleAuth, Impersonated, JWT, OAuth2Client, UserRefreshClient } from 'google-auth-library';
import type { CallOptions, ClientOptions } from 'google-gax';
import { createRemoteJWKSet, customFetch, decodeJwt, importX509, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OWNER, startTestServer, type TestServer } from './harness/server.ts';

const CLOUD = 'https://www.googleapis.com/auth/cloud-platform';
const IAM = '/iam.googleapis.com/v1/projects/demo/serviceAccounts';
const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
const emailOf = (id: string) => `${id}@demo.iam.gserviceaccount.com`;
const member = (id: string) => `serviceAccount:${emailOf(id)}`;

let server: TestServer;
let keyFile: Record<string, string>;
beforeAll(async () => {
  server = await startTestServer();
  for (const accountId of ['robot-sa', 'middle-sa', 'target-sa', 'bystander-sa']) await server.call('POST', IAM, { accountId });
  await grantOnProject('roles/run.viewer', member('robot-sa'), member('target-sa'));
  // robot-sa -> middle-sa -> target-sa
  await grant('middle-sa', 'roles/iam.serviceAccountTokenCreator', member('robot-sa'));
  await grant('target-sa', 'roles/iam.serviceAccountTokenCreator', member('middle-sa'));
  keyFile = await newKeyFile('robot-sa');
});
afterAll(() => server.close());

async function grantOnProject(role: string, ...members: string[]): Promise<void> {
  const path = '/cloudresourcemanager.googleapis.com/v3/projects/demo';
  const { json: policy } = await server.call('POST', `${path}:getIamPolicy`, {});
  const answer = await server.call('POST', `${path}:setIamPolicy`, { policy: { ...policy, bindings: [...(policy.bindings ?? []), { role, members }] } });
  expect(answer.status, answer.text).toBe(200);
}
async function grant(accountId: string, role: string, ...members: string[]): Promise<void> {
  const answer = await server.call('POST', `${IAM}/${emailOf(accountId)}:setIamPolicy`, { policy: { bindings: [{ role, members }] } });
  expect(answer.status, answer.text).toBe(200);
}
async function newKeyFile(accountId: string): Promise<Record<string, string>> {
  const { json } = await server.call('POST', `${IAM}/${emailOf(accountId)}/keys`, {});
  return JSON.parse(Buffer.from(json.privateKeyData, 'base64').toString());
}
/** A library that was written for Google's hosts, led here as DNS or a proxy would. */
function redirected<C extends { transporter: JWT['transporter'] }>(client: C): C {
  client.transporter.interceptors.request.add({
    resolved: async (config) => {
      const url = new URL(config.url);
      if (url.hostname.endsWith('.googleapis.com')) config.url = new URL(`${server.url}/${url.hostname}${url.pathname}${url.search}`);
      return config;
    },
  });
  return client;
}
const listAs = async (token: string) => fetch(`${server.url}${JOBS}`, { headers: { authorization: `Bearer ${token}` } });

describe('google-auth-library with a key file', () => {
  test('exchanges an assertion for an access token, which says whose it is and can be revoked', async () => {
    const client = redirected(
      new JWT({ email: keyFile['client_email'] ?? '', key: keyFile['private_key'] ?? '', scopes: [CLOUD, 'https://www.googleapis.com/auth/userinfo.email'] }),
    );
    const { token } = await client.getAccessToken();
    expect((await listAs(token ?? '')).status).toBe(200);
    const info = await client.getTokenInfo(token ?? '');
    expect(info).toMatchObject({
      email: emailOf('robot-sa'),
      scopes: [CLOUD, 'https://www.googleapis.com/auth/userinfo.email'],
      sub: keyFile['client_id'],
      aud: keyFile['client_id'],
    });
    expect(info.expiry_date).toBeGreaterThan(Date.now() + 3_500_000);
    await client.revokeToken(token ?? '');
    const answer = await listAs(token ?? '');
    expect(answer.status).toBe(401);
    await expect(client.getTokenInfo(token ?? '')).rejects.toMatchObject({ response: { status: 400, data: { error: 'invalid_token', error_description: 'Invalid Value' } } });
  });

  test('finds the file by itself, and signs JWTs that stand for the account at the API they name', async () => {
    const auth = new GoogleAuth({ credentials: { client_email: keyFile['client_email'] ?? '', private_key: keyFile['private_key'] ?? '' } });
    const client = await auth.getClient();
    const headers = await client.getRequestHeaders('https://run.googleapis.com/');
    const jwt = headers.get('authorization')?.slice('Bearer '.length) ?? '';
    expect(jwt.split('.')).toHaveLength(3);
    expect((await listAs(jwt)).status).toBe(200);
    // For Cloud Run, and for nothing else.
    const elsewhere = await fetch(`${server.url}/cloudresourcemanager.googleapis.com/v3/projects/demo`, { headers });
    expect(elsewhere.status).toBe(401);
    // By the address of this server, as a client with its own base URL signs.
    const own = await client.getRequestHeaders(`${server.url}/run.googleapis.com/v2/`);
    expect((await listAs(own.get('authorization')?.slice(7) ?? '')).status).toBe(200);
  });

  test('gets an ID token for an audience, which verifies with the published keys', async () => {
    const client = redirected(new JWT({ email: keyFile['client_email'] ?? '', key: keyFile['private_key'] ?? '' }));
    const idToken = await client.fetchIdToken('https://service.example');
    const keys = createRemoteJWKSet(new URL('https://www.googleapis.com/oauth2/v3/certs'), {
      [customFetch]: () => fetch(`${server.url}/www.googleapis.com/oauth2/v3/certs`),
    });
    const { payload } = await jwtVerify(idToken, keys, { issuer: 'https://accounts.google.com', audience: 'https://service.example' });
    expect(payload).toMatchObject({ sub: keyFile['client_id'], azp: keyFile['client_id'], email: emailOf('robot-sa'), email_verified: true });
    const info = await fetch(`${server.url}/oauth2.googleapis.com/tokeninfo?id_token=${idToken}`);
    expect(await info.json()).toMatchObject({ aud: 'https://service.example', email: emailOf('robot-sa'), email_verified: 'true', alg: 'RS256', exp: String(payload.exp) });
  });
});

describe('google-auth-library, impersonating', () => {
  const impersonate = (sourceClient: OAuth2Client, targetPrincipal: string, delegates: string[] = []) =>
    new Impersonated({
      sourceClient,
      targetPrincipal,
      delegates: delegates.map((email) => `projects/-/serviceAccounts/${email}`),
      lifetime: 600,
      targetScopes: [CLOUD],
      endpoint: `${server.url}/iamcredentials.googleapis.com`,
    });
  const asMember = async (name: string) => {
    const client = new OAuth2Client();
    client.setCredentials({ access_token: await server.tokenOf(name) });
    return client;
  };

  test('the target through a delegate, and nobody through half a chain', async () => {
    const source = await asMember(member('robot-sa'));
    const { token } = await impersonate(source, emailOf('target-sa'), [emailOf('middle-sa')]).getAccessToken();
    expect((await listAs(token ?? '')).status).toBe(200);
    await expect(impersonate(source, emailOf('target-sa')).getAccessToken()).rejects.toMatchObject({
      message: expect.stringContaining("Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."),
    });
    await expect(impersonate(source, emailOf('bystander-sa'), [emailOf('middle-sa')]).getAccessToken()).rejects.toThrow("Permission 'iam.serviceAccounts.getAccessToken' denied");
    await expect(impersonate(await asMember(member('bystander-sa')), emailOf('target-sa'), [emailOf('middle-sa')]).getAccessToken()).rejects.toThrow(
      "Permission 'iam.serviceAccounts.implicitDelegation' denied",
    );
  });

  test('ID tokens and signatures too; a signature verifies with the key that is published for it', async () => {
    const client = impersonate(await asMember(member('robot-sa')), emailOf('middle-sa'));
    const idToken = await client.fetchIdToken('https://service.example', { includeEmail: true });
    expect(decodeJwt(idToken)).toMatchObject({ aud: 'https://service.example', email: emailOf('middle-sa') });
    const { keyId, signedBlob } = await client.sign('text');
    const { json: certificates } = await server.call('GET', `/www.googleapis.com/service_accounts/v1/metadata/x509/${emailOf('middle-sa')}`, undefined, { as: null });
    const key = await importX509(certificates[keyId], 'RS256');
    expect(await crypto.subtle.verify('RSASSA-PKCS1-v1_5', key, Buffer.from(signedBlob, 'base64'), Buffer.from('text'))).toBe(true);
  });
});

describe('google-auth-library with a user’s refresh token', () => {
  test('makes access tokens until it is revoked, and those end with it', async () => {
    const { json } = await server.call('POST', '/actas/v1/tokens:issue', { principal: OWNER, withRefreshToken: true });
    const client = new UserRefreshClient({
      clientId: 'actas',
      clientSecret: 'notasecret',
      refreshToken: json.refreshToken,
      endpoints: { oauth2TokenUrl: `${server.url}/oauth2.googleapis.com/token`, oauth2RevokeUrl: `${server.url}/oauth2.googleapis.com/revoke` },
    });
    const { token } = await client.getAccessToken();
    expect((await listAs(token ?? '')).status).toBe(200);
    expect((await listAs(json.refreshToken)).status).toBe(401);
    await client.revokeToken(json.refreshToken);
    expect((await listAs(token ?? '')).status).toBe(401);
    expect((await listAs(json.accessToken)).status).toBe(401);
    await expect(client.refreshAccessToken()).rejects.toMatchObject({ response: { data: { error: 'invalid_grant', error_description: 'Token has been expired or revoked.' } } });
  });
});

describe('@google-cloud/iam-credentials', () => {
  test.each(['gRPC', 'REST'] as const)('over %s', async (transport) => {
    const { hostname, port } = new URL(server.url);
    const auth = new OAuth2Client();
    auth.setCredentials({ access_token: await server.tokenOf(member('robot-sa')) });
    const shared = { apiEndpoint: hostname, port: Number(port), authClient: auth as unknown as NonNullable<ClientOptions['authClient']> };
    // gax adds the caller's token over TLS alone; over plain HTTP/2 the header is given with each call. Without TLS a path cannot name the host either: REST has it in the header.
    const client = new IAMCredentialsClient(transport === 'REST' ? { ...shared, protocol: 'http', fallback: true } : { ...shared, sslCreds: credentials.createInsecure() });
    const call: CallOptions = { otherArgs: { headers: { authorization: `Bearer ${await server.tokenOf(member('robot-sa'))}` } } };
    const name = `projects/-/serviceAccounts/${emailOf('target-sa')}`;
    const delegates = [`projects/-/serviceAccounts/${emailOf('middle-sa')}`];
    const [made] = await client.generateAccessToken({ name, delegates, scope: [CLOUD], lifetime: { seconds: 300 } }, call);
    expect((await listAs(made.accessToken ?? '')).status).toBe(200);
    const [identity] = await client.generateIdToken({ name, delegates, audience: 'https://service.example', includeEmail: true }, call);
    expect(decodeJwt(identity.token ?? '')).toMatchObject({ email: emailOf('target-sa') });
    await expect(client.generateAccessToken({ name, scope: [CLOUD] }, call)).rejects.toMatchObject({ message: expect.stringContaining('iam.serviceAccounts.getAccessToken') });
    if (transport === 'gRPC') {
      // Over REST their paths are those of IAM v1 as well, and without a host of its own the request could mean either.
      const [signed] = await client.signJwt({ name, delegates, payload: JSON.stringify({ sub: 'x' }) }, call);
      expect(decodeJwt(signed.signedJwt ?? '')).toEqual({ sub: 'x' });
      const [blob] = await client.signBlob({ name, delegates, payload: Buffer.from('text') }, call);
      expect(blob.keyId).toBe(signed.keyId);
    }
    await client.close();
  });
});
