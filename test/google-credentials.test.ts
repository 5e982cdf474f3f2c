/**
 * `identity: google` at Google's own names, over TLS, by each kind of Application Default Credentials: a second control plane stands for Google behind a
 * proxy, as it does for any unmodified client (`actas env`). Nothing here names an endpoint.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createFindGoogleCaller } from '../src/identity/application-default.ts';
import { type GoogleAccount, readGoogleAccount } from '../src/identity/google-account.ts';
import { createGoogleTokens } from '../src/identity/google-tokens.ts';
import { systemClock } from '../src/timestamp.ts';
import { type Answer, startTestServer, type TestServer } from './harness/server.ts';

const IAM = '/iam.googleapis.com/v1';
const POOL = 'projects/123456789012/locations/global/workloadIdentityPools/ci-pool';
const PROVIDER = `${POOL}/providers/github`;
const REAL = 'runner@demo.iam.gserviceaccount.com';
const ROBOT = 'robot-sa@demo.iam.gserviceaccount.com';
const SCOPES = ['https://www.googleapis.com/auth/userinfo.email'];
const DEV = 'user:dev@example.com';

let directory: string;
let google: TestServer;
let refreshToken: string;
let key: object;
let subjectToken: string;

async function ok(answer: Promise<Answer>): Promise<Answer['json']> {
  const { status, text, json } = await answer;
  expect(status, text).toBe(200);
  return json;
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'google-credentials-'));
  google = await startTestServer();
  for (const accountId of ['runner', 'robot-sa']) await ok(google.call('POST', `${IAM}/projects/demo/serviceAccounts`, { accountId }));
  ({ refreshToken } = await ok(google.call('POST', '/actas/v1/tokens:issue', { principal: DEV, withRefreshToken: true })));
  const { privateKeyData } = await ok(google.call('POST', `${IAM}/projects/demo/serviceAccounts/${ROBOT}/keys`, {}));
  key = JSON.parse(Buffer.from(privateKeyData, 'base64').toString());
  subjectToken = await outsider();
  const authority = await (await fetch(`${google.url}/ca.pem`)).text();
  setDefaultCACertificates([...getCACertificates('default'), authority]);
  for (const name of ['HTTPS_PROXY', 'https_proxy']) vi.stubEnv(name, google.url);
  for (const name of ['NO_PROXY', 'no_proxy']) vi.stubEnv(name, '');
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await google.close();
  rmSync(directory, { recursive: true, force: true });
});

/** A token of an issuer that the stand-in trusts by its keys alone. */
async function outsider(): Promise<string> {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const jwksJson = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' }] });
  await ok(google.call('POST', `${IAM}/projects/demo/locations/global/workloadIdentityPools?workloadIdentityPoolId=ci-pool`, { displayName: 'CI' }));
  await ok(
    google.call('POST', `${IAM}/${POOL}/providers?workloadIdentityPoolProviderId=github`, {
      attributeMapping: { 'google.subject': 'assertion.sub' },
      oidc: { issuerUri: 'https://issuer.example', jwksJson },
    }),
  );
  return new SignJWT({ sub: 'octo', iss: 'https://issuer.example', aud: `https://iam.googleapis.com/${PROVIDER}` })
    .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(privateKey);
}

const user = () => ({ type: 'authorized_user', client_id: 'actas', client_secret: 'notasecret', refresh_token: refreshToken, account: 'dev@example.com' });
const KINDS: readonly (readonly [kind: string, member: string, credentials: () => object])[] = [
  ["a user's, as gcloud keeps them", DEV, user],
  ["a service account's key", `serviceAccount:${ROBOT}`, () => key],
  [
    'an impersonated account',
    `serviceAccount:${ROBOT}`,
    () => ({
      type: 'impersonated_service_account',
      service_account_impersonation_url: `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${ROBOT}:generateAccessToken`,
      source_credentials: user(),
    }),
  ],
  [
    'a federated identity',
    `principal://iam.googleapis.com/${POOL}/subject/octo`,
    () => {
      const file = join(directory, 'subject-token');
      writeFileSync(file, subjectToken);
      return {
        type: 'external_account',
        audience: `//iam.googleapis.com/${PROVIDER}`,
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        token_url: 'https://sts.googleapis.com/v1/token',
        credential_source: { file },
      };
    },
  ],
];

function signIn(credentials: object): void {
  const file = join(directory, 'adc.json');
  writeFileSync(file, JSON.stringify(credentials));
  vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', file);
}
const setPolicy = (email: string, members: string[]) =>
  ok(google.call('POST', `${IAM}/projects/demo/serviceAccounts/${email}:setIamPolicy`, { policy: { bindings: [{ role: 'roles/iam.serviceAccountTokenCreator', members }] } }));

test.each(KINDS)('%s: no token before the grant of the remedy, and then that of the real account', async (kind, member, credentials) => {
  signIn(credentials());
  await setPolicy(ROBOT, [DEV]);
  await setPolicy(REAL, ['user:somebody@example.com']);
  const tokens = createGoogleTokens({ findCaller: createFindGoogleCaller(() => false), clock: systemClock });
  const get = () => tokens.accessToken('runner@here.iam.gserviceaccount.com', realAccount(), SCOPES, []);
  await expect(get()).rejects.toMatchObject({
    status: 'PERMISSION_DENIED',
    message: expect.stringContaining(
      `add-iam-policy-binding ${REAL} --project=demo --member=${kind === 'a federated identity' ? 'MEMBER' : member} --role=roles/iam.serviceAccountTokenCreator`,
    ),
  });
  await setPolicy(REAL, [member]);
  const { token, expiresInSeconds } = await get();
  expect(expiresInSeconds).toBeGreaterThan(3500);
  const info = await fetch(`${google.url}/oauth2.googleapis.com/tokeninfo?access_token=${token}`);
  expect(await info.json()).toMatchObject({ email: REAL, scope: SCOPES[0] });
});

test('an authority of its own is all that is trusted at an endpoint', async () => {
  signIn(user());
  await setPolicy(REAL, [DEV]);
  const file = join(directory, 'other.pem');
  writeFileSync(file, getCACertificates('bundled')[0] ?? '');
  const tokens = createGoogleTokens({ findCaller: createFindGoogleCaller(() => false), clock: systemClock });
  const endpoint = `https://localhost:${new URL(google.url).port}/iamcredentials.googleapis.com`;
  const get = (ca: string) => tokens.accessToken('runner@here.iam.gserviceaccount.com', realAccount({ endpoint, ca }), SCOPES, []);
  await expect(get(file)).rejects.toMatchObject({ status: 'UNAVAILABLE', message: expect.stringContaining('does not answer') });
  expect((await get(join(google.dataDir, 'ca.pem'))).expiresInSeconds).toBeGreaterThan(3500);
});

test('an endpoint that says nothing, and a token endpoint that says nothing, end with words', async () => {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1');
  try {
    await once(silent, 'listening');
    // A listening TCP server's address is an object.
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    signIn(user());
    vi.stubEnv('NO_PROXY', '127.0.0.1');
    const tokens = createGoogleTokens({ findCaller: createFindGoogleCaller(() => false, 4000), clock: systemClock });
    const get = () => tokens.accessToken('runner@here.iam.gserviceaccount.com', realAccount({ endpoint: url }), SCOPES, []);
    await expect(get()).rejects.toMatchObject({ status: 'UNAVAILABLE', message: expect.stringContaining('does not answer') });
    signIn({ ...user(), token_uri: url });
    await expect(get()).rejects.toMatchObject({ status: 'UNAVAILABLE', message: expect.stringMatching(/give no token within 4 s|Nothing answers/) });
  } finally {
    silent.closeAllConnections();
    silent.close();
  }
});

function realAccount(more: object = {}): GoogleAccount {
  const refuse = (what: string): never => {
    throw new Error(what);
  };
  return readGoogleAccount('runner@here.iam.gserviceaccount.com', { identity: 'google', account: REAL, ...more }, refuse) ?? refuse('it is local');
}
