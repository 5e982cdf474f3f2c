/** The tokens of a real account from a Google that is faked at its HTTP calls: when one is asked for, how long it is kept, and what is said where there is none. */
import { SignJWT } from 'jose';
import { beforeEach, expect, test } from 'vitest';
import type { GoogleAnswer, GoogleCaller } from './application-default.ts';
import type { GoogleAccount } from './google-account.ts';
import { createGoogleTokens, type GoogleTokens } from './google-tokens.ts';

const HERE = 'runner@demo.iam.gserviceaccount.com';
const REAL: GoogleAccount = { account: 'runner@real-project.iam.gserviceaccount.com', project: 'real-project', endpoint: 'https://iamcredentials.example' };
const OTHERWISE = ['cloud-platform'];
const MINUTE = 60_000_000;

let now: number;
let asked: { url: string; body: Record<string, unknown> }[];
let answer: (method: string, body: Record<string, unknown>) => GoogleAnswer | Promise<GoogleAnswer>;
let tokens: GoogleTokens;
beforeEach(() => {
  now = Date.UTC(2026, 0, 1) * 1000;
  asked = [];
  answer = async (method, { audience }) =>
    method === 'generateAccessToken'
      ? { status: 200, data: { accessToken: `real-${asked.length}`, expireTime: new Date(now / 1000 + 3_600_000).toISOString() } }
      : { status: 200, data: { token: await jwt(String(audience)) } };
  const caller: GoogleCaller = {
    member: 'user:dev@example.com',
    token: 'the-callers-own',
    async post(url, body) {
      asked.push({ url, body: { ...body } });
      return answer(url.split(':').at(-1) ?? '', { ...body });
    },
  };
  tokens = createGoogleTokens({ findCaller: async () => caller, clock: { now: () => now } });
});

const jwt = (audience: string) =>
  new SignJWT({ aud: audience, n: asked.length })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(now / 1_000_000 + 3600)
    .sign(new TextEncoder().encode('a key of sixteen bytes and more'));
const get = (scopes: string[] = [], real = REAL, email = HERE) => tokens.accessToken(email, real, scopes, OTHERWISE);

test('an access token is the same until five minutes before its end, then a new one', async () => {
  expect(await get()).toMatchObject({ token: 'real-1', expiresInSeconds: 3600 });
  now += 54 * MINUTE;
  expect(await get()).toMatchObject({ token: 'real-1', expiresInSeconds: 360 });
  now += MINUTE;
  expect(await get()).toMatchObject({ token: 'real-2', expiresInSeconds: 3600 });
  expect(asked[0]).toEqual({
    url: 'https://iamcredentials.example/v1/projects/-/serviceAccounts/runner%40real-project.iam.gserviceaccount.com:generateAccessToken',
    body: { scope: OTHERWISE, lifetime: '3600s' },
  });
});

test('a hundred who ask at once ask Google once, for each set of scopes; another account here has a token of its own', async () => {
  const found = await Promise.all(Array.from({ length: 100 }, () => get(['b', 'a', 'b'])));
  expect(new Set(found.map(({ token }) => token))).toEqual(new Set(['real-1']));
  expect((await get(['a', 'b'])).token).toBe('real-1');
  expect((await get(['a'])).token).toBe('real-2');
  expect((await get(['a'], REAL, 'other@demo.iam.gserviceaccount.com')).token).toBe('real-3');
  expect(asked.map(({ body }) => body['scope'])).toEqual([['a', 'b'], ['a'], ['a']]);
});

test('a hundred who are refused at once asked Google once', async () => {
  answer = () => error(403, 'PERMISSION_DENIED', 'No.');
  const found = await Promise.allSettled(Array.from({ length: 100 }, () => get()));
  expect(found.filter(({ status }) => status === 'rejected')).toHaveLength(100);
  expect(asked).toHaveLength(1);
});

test('an ID token goes by its audience, and is renewed as well', async () => {
  const id = (audience: string) => tokens.idToken(HERE, REAL, audience);
  const [first, again] = await Promise.all([id('https://a.example'), id('https://a.example')]);
  expect(again).toBe(first);
  expect(await id('https://b.example')).not.toBe(first);
  now += 56 * MINUTE;
  expect(await id('https://a.example')).not.toBe(first);
  expect(asked.map(({ body }) => body)).toEqual(['a', 'b', 'a'].map((name) => ({ audience: `https://${name}.example`, includeEmail: true })));
});

test('configured scopes are what a token has, and all that it may have', async () => {
  const real = { ...REAL, scopes: ['x', 'y'] };
  await get([], real);
  await get(['y'], real);
  await expect(get(['y', 'z'], real)).rejects.toMatchObject({
    status: 'PERMISSION_DENIED',
    message: expect.stringContaining(`Scope z is not among those that tokens of ${HERE} may have`),
  });
  expect(asked.map(({ body }) => body['scope'])).toEqual([['x', 'y'], ['y']]);
});

const error = (code: number, status: string, message: string, details: object[] = []) => ({ status: code, data: { error: { code, status, message, details } } });
test.each([
  [
    error(403, 'PERMISSION_DENIED', "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."),
    'PERMISSION_DENIED',
    `Google gives no token of ${REAL.account}. It said: PERMISSION_DENIED: Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist). ` +
      `Ask someone who may set the policy of that account to run: gcloud iam service-accounts add-iam-policy-binding ${REAL.account} --project=real-project --member=user:dev@example.com --role=roles/iam.serviceAccountTokenCreator`,
  ],
  [
    error(403, 'PERMISSION_DENIED', 'IAM Service Account Credentials API has not been used', [{ reason: 'SERVICE_DISABLED' }]),
    'PERMISSION_DENIED',
    'gcloud services enable iamcredentials.googleapis.com',
  ],
  [error(401, 'UNAUTHENTICATED', 'Request had invalid authentication credentials.'), 'FAILED_PRECONDITION', 'gcloud auth application-default login'],
  [error(404, 'NOT_FOUND', 'Not found; Gaia id not found for email'), 'NOT_FOUND', `gcloud iam service-accounts describe ${REAL.account}`],
  [error(429, 'RESOURCE_EXHAUSTED', 'Quota exceeded'), 'RESOURCE_EXHAUSTED', 'It said: RESOURCE_EXHAUSTED: Quota exceeded.'],
  [{ status: 502, data: '<html>Bad gateway</html>' }, 'UNAVAILABLE', 'It said: HTTP 502.'],
  [error(400, 'INVALID_ARGUMENT', 'Scope has an invalid value.'), 'FAILED_PRECONDITION', 'It said: INVALID_ARGUMENT: Scope has an invalid value.'],
  [{ status: 200, data: {} }, 'UNAVAILABLE', 'answers without a token'],
  [{ status: 200, data: { accessToken: 'x', expireTime: 'soon' } }, 'UNAVAILABLE', 'answers without a token'],
  // An endpoint that hands back what it was sent.
  [{ status: 200, data: { accessToken: 'the-callers-own', expireTime: '2027-01-01T00:00:00Z' } }, 'UNAVAILABLE', "the caller's own token, which is handed to nobody"],
] as const)('what Google says instead of a token is said, with what mends it; the next who asks tries again: %j', async (given, status, message) => {
  const before = answer;
  answer = () => given;
  await expect(get()).rejects.toMatchObject({ status, message: expect.stringContaining(message) });
  answer = before;
  expect((await get()).token).toBe('real-2');
});

test('what is no JWT is no ID token', async () => {
  answer = () => ({ status: 200, data: { token: 'not a token' } });
  await expect(tokens.idToken(HERE, REAL, 'x')).rejects.toMatchObject({ status: 'UNAVAILABLE', message: expect.stringContaining('without a token') });
});
