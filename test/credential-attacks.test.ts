/** What somebody tries who has something that is not quite a credential: nothing of it opens anything, and the refusals tell nothing new. */
import { createHmac, createPrivateKey, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

const IAM = '/iam.googleapis.com/v1/projects/demo/serviceAccounts';
const CREDENTIALS = '/iamcredentials.googleapis.com/v1/projects/-/serviceAccounts';
const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
const CLOUD = 'https://www.googleapis.com/auth/cloud-platform';
const TOKEN_URL = 'https://oauth2.googleapis.com/token';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const emailOf = (id: string) => `${id}@demo.iam.gserviceaccount.com`;
const member = (id: string) => `serviceAccount:${emailOf(id)}`;

interface Key {
  readonly id: string;
  readonly name: string;
  readonly privateKey: KeyObject;
}
let server: TestServer;
let robot: Key;
let other: Key;
beforeAll(async () => {
  server = await startTestServer();
  for (const accountId of ['robot-sa', 'other-sa', 'middle-sa', 'target-sa']) await server.call('POST', IAM, { accountId });
  robot = await newKey('robot-sa');
  other = await newKey('other-sa');
  await grant('middle-sa', member('robot-sa'));
  await grant('target-sa', member('middle-sa'));
  const project = '/cloudresourcemanager.googleapis.com/v3/projects/demo';
  const { json: policy } = await server.call('POST', `${project}:getIamPolicy`, {});
  const bindings = [...policy.bindings, { role: 'roles/run.viewer', members: ['robot-sa', 'target-sa'].map(member) }];
  await server.call('POST', `${project}:setIamPolicy`, { policy: { ...policy, bindings } });
});
afterAll(() => server.close());

async function newKey(accountId: string): Promise<Key> {
  const { json } = await server.call('POST', `${IAM}/${emailOf(accountId)}/keys`, {});
  const file = JSON.parse(Buffer.from(json.privateKeyData, 'base64').toString());
  return { id: file.private_key_id, name: json.name, privateKey: createPrivateKey(file.private_key) };
}
async function grant(accountId: string, ...members: string[]): Promise<void> {
  await server.call('POST', `${IAM}/${emailOf(accountId)}:setIamPolicy`, { policy: { bindings: [{ role: 'roles/iam.serviceAccountTokenCreator', members }] } });
}
const now = () => Math.floor(Date.now() / 1000);
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const claims = (more: object = {}) => ({ iss: emailOf('robot-sa'), sub: emailOf('robot-sa'), aud: TOKEN_URL, scope: CLOUD, iat: now(), exp: now() + 600, ...more });
/** A JWT with exactly this header and these claims. */
function jwt(header: object, body: object, key: KeyObject, algorithm = 'RSA-SHA256'): string {
  const text = `${part(header)}.${part(body)}`;
  return `${text}.${createSign(algorithm).update(text).sign(key).toString('base64url')}`;
}
const good = (more: object = {}, key = robot) => jwt({ alg: 'RS256', kid: key.id, typ: 'JWT' }, claims(more), key.privateKey);
async function token(form: Record<string, string>): Promise<{ status: number; json: Record<string, string> }> {
  const response = await fetch(`${server.url}/oauth2.googleapis.com/token`, { method: 'POST', body: new URLSearchParams(form) });
  return { status: response.status, json: (await response.json()) as Record<string, string> };
}
const exchange = (assertion: string) => token({ grant_type: JWT_BEARER, assertion });
const jobsWith = async (bearer: string) => (await fetch(`${server.url}${JOBS}`, { headers: { authorization: `Bearer ${bearer}` } })).status;
const forRun = (more: object = {}) => ({ ...claims({ aud: 'https://run.googleapis.com/', ...more }), scope: undefined });

test('what all of this is a variation of works', async () => {
  const { status, json } = await exchange(good());
  expect({ status, json }).toEqual({ status: 200, json: { access_token: expect.stringMatching(/^actas_at_/), expires_in: 3599, token_type: 'Bearer' } });
  expect(await jobsWith(json['access_token'] ?? '')).toBe(200);
  expect(await jobsWith(jwt({ alg: 'RS256', kid: robot.id }, forRun(), robot.privateKey))).toBe(200);
  expect((await exchange(jwt({ alg: 'RS256' }, claims(), robot.privateKey))).status).toBe(200);
});

describe('a signature that is none', () => {
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const forge = (body: object): readonly (readonly [string, () => string | Promise<string>])[] => [
    ['alg none', () => `${part({ alg: 'none' })}.${part(body)}.`],
    ['alg NONE with a signature', () => `${part({ alg: 'NONE', kid: robot.id })}.${part(body)}.AAAA`],
    ['no alg', () => jwt({ kid: robot.id }, body, robot.privateKey)],
    [
      'HS256 with the public certificate as its secret',
      async () => {
        const { json } = await server.call('GET', `/www.googleapis.com/service_accounts/v1/metadata/x509/${emailOf('robot-sa')}`, undefined, { as: null });
        const text = `${part({ alg: 'HS256', kid: robot.id })}.${part(body)}`;
        return `${text}.${createHmac('sha256', json[robot.id]).update(text).digest('base64url')}`;
      },
    ],
    [
      'HS256 with the bare public key as its secret',
      async () => {
        const { json } = await server.call('GET', `/www.googleapis.com/service_accounts/v1/metadata/raw/${emailOf('robot-sa')}`, undefined, { as: null });
        const text = `${part({ alg: 'HS256', kid: robot.id })}.${part(body)}`;
        return `${text}.${createHmac('sha256', json[robot.id]).update(text).digest('base64url')}`;
      },
    ],
    ['RS512 with the right key', () => jwt({ alg: 'RS512', kid: robot.id }, body, robot.privateKey, 'RSA-SHA512')],
    ['a header that says RS256 over an RS512 signature', () => jwt({ alg: 'RS256', kid: robot.id }, body, robot.privateKey, 'RSA-SHA512')],
    ['a key of another account, under its own id', () => jwt({ alg: 'RS256', kid: other.id }, body, other.privateKey)],
    ['a key of another account, under the id of ours', () => jwt({ alg: 'RS256', kid: robot.id }, body, other.privateKey)],
    ['a key of another account, under no id', () => jwt({ alg: 'RS256' }, body, other.privateKey)],
    ['a key that the header brings along', () => jwt({ alg: 'RS256', jwk: stranger.publicKey.export({ format: 'jwk' }) }, body, stranger.privateKey)],
    ['a key that the header links to', () => jwt({ alg: 'RS256', kid: robot.id, jku: 'http://127.0.0.1:9/keys', x5u: 'http://127.0.0.1:9/' }, body, stranger.privateKey)],
    ['an extension that must be understood', () => jwt({ alg: 'RS256', kid: robot.id, crit: ['exp2'], exp2: 1 }, body, robot.privateKey)],
    ...['', '../robot-sa', `../../other-sa/keys/${'0'.repeat(40)}`, `${emailOf('robot-sa')}/keys/x`, "' OR 1=1 --", '\u0000', 'constructor', '__proto__'].map(
      (kid): readonly [string, () => string] => [`kid ${JSON.stringify(kid)}`, () => jwt({ alg: 'RS256', kid }, body, robot.privateKey)],
    ),
    ...[7, null, [robot.id], { id: robot.id }, true].map((kid): readonly [string, () => string] => [
      `kid ${JSON.stringify(kid)}`,
      () => jwt({ alg: 'RS256', kid }, body, robot.privateKey),
    ]),
    ['claims changed after the signature', () => jwt({ alg: 'RS256', kid: robot.id }, body, robot.privateKey).replace(part(body), part({ ...body, exp: now() + 3000 }))],
    ['no JWT at all', () => 'a.b.c'],
    ['four parts', () => `${jwt({ alg: 'RS256', kid: robot.id }, body, robot.privateKey)}.x`],
  ];

  test('is no assertion', async () => {
    for (const [name, make] of forge(claims()))
      expect(await exchange(await make()), name).toEqual({ status: 400, json: { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' } });
  });

  test('is no access token', async () => {
    for (const [name, make] of forge(forRun())) expect(await jobsWith(await make()), name).toBe(401);
  });
});

describe('claims that do not hold', () => {
  const TIME = 'Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.';
  const AUDIENCE = 'Invalid JWT: Failed audience check. The right audience is https://oauth2.googleapis.com/token';
  const cases: readonly (readonly [string, () => object, string, string?])[] = [
    ['expired', () => ({ iat: now() - 3700, exp: now() - 100 }), TIME],
    ['just expired', () => ({ iat: now() - 100, exp: now() }), TIME],
    ['issued in the future', () => ({ iat: now() + 300, exp: now() + 600 }), TIME],
    ['not before a time to come', () => ({ nbf: now() + 300 }), TIME],
    ['good for longer than an hour', () => ({ exp: now() + 7300 }), TIME],
    ['ends before it begins', () => ({ iat: now() + 30, exp: now() + 20 }), TIME],
    ['no iat', () => ({ iat: undefined }), 'Invalid JWT: iat (issued at) is not set.'],
    ['no exp', () => ({ exp: undefined }), 'Invalid JWT: exp (expiration time) is not set.'],
    ['exp as text', () => ({ exp: '9999999999' }), 'Invalid JWT: exp (expiration time) is not set.'],
    ['for another API', () => ({ aud: 'https://run.googleapis.com/' }), AUDIENCE],
    ['for no one', () => ({ aud: undefined }), AUDIENCE],
    ['for several', () => ({ aud: [TOKEN_URL] }), AUDIENCE],
    ['for a host that begins alike', () => ({ aud: 'https://oauth2.googleapis.com.evil.example/token' }), AUDIENCE],
    ['for another path of this server', () => ({ aud: `${server.url}/actas/v1/token` }), AUDIENCE],
    ['for an account as host', () => ({ aud: 'https://localhost@evil.example/token' }), AUDIENCE],
    ['of an account that is not there', () => ({ iss: emailOf('nobody-sa') }), 'Invalid grant: account not found'],
    ['of a user', () => ({ iss: 'owner@example.com' }), 'Invalid grant: account not found'],
    ['of a service agent, which has no keys', () => ({ iss: 'service-123456789012@serverless-robot-prod.iam.gserviceaccount.com' }), 'Invalid grant: account not found'],
    ['of another account', () => ({ iss: emailOf('other-sa') }), 'Invalid JWT Signature.'],
    ['of nobody', () => ({ iss: undefined }), 'Invalid JWT: iss (issuer) is not set.'],
    ['scopes of our own making', () => ({ scope: 'actas:administrator' }), 'Invalid OAuth scope or ID token audience provided.', 'invalid_scope'],
    ['no scope', () => ({ scope: '' }), 'Invalid OAuth scope or ID token audience provided.', 'invalid_scope'],
  ];
  test.each(cases.map(([name, more, description, error = 'invalid_grant']) => ({ name, more, description, error })))('$name', async ({ more, description, error }) => {
    expect(await exchange(good(more()))).toEqual({ status: 400, json: { error, error_description: description } });
  });

  test('speaking for a user takes a delegation that nobody can give here', async () => {
    for (const sub of ['owner@example.com', emailOf('target-sa'), 7]) expect(await exchange(good({ sub }))).toMatchObject({ status: 401, json: { error: 'unauthorized_client' } });
    expect(await jobsWith(jwt({ alg: 'RS256', kid: robot.id }, forRun({ sub: emailOf('target-sa') }), robot.privateKey))).toBe(401);
  });

  test('a JWT for one API opens no other, and one for the token endpoint none at all', async () => {
    const bearer = (body: object) => jwt({ alg: 'RS256', kid: robot.id }, body, robot.privateKey);
    for (const aud of [
      'https://iam.googleapis.com/',
      'https://evil-run.googleapis.com/',
      'https://run.googleapis.com.evil.example/',
      TOKEN_URL,
      '',
      'run.googleapis.com',
      ['https://run.googleapis.com/'],
    ])
      expect(await jobsWith(bearer(forRun({ aud }))), String(aud)).toBe(401);
    expect(await jobsWith(good())).toBe(401);
    expect(await jobsWith(bearer(forRun({ aud: undefined })))).toBe(401);
    expect(await jobsWith(bearer(forRun({ aud: 'https://us-central1-run.googleapis.com/' })))).toBe(200);
    expect(await jobsWith(bearer({ ...claims(), aud: undefined }))).toBe(200);
    expect(await jobsWith(bearer({ ...claims(), aud: undefined, scope: 'openid email' }))).toBe(403);
  });
});

describe('one kind of credential in the place of another', () => {
  test('an ID token is no access token and no assertion; a refresh token is no access token, nor the reverse', async () => {
    const { json } = await exchange(good({ target_audience: 'https://run.googleapis.com/' }));
    const idToken = json['id_token'] ?? '';
    expect(await jobsWith(idToken)).toBe(401);
    expect(await exchange(idToken)).toMatchObject({ status: 400, json: { error: 'invalid_grant' } });
    const issued = await server.call('POST', '/actas/v1/tokens:issue', { principal: 'user:dev@example.com', withRefreshToken: true });
    expect(await jobsWith(issued.json.refreshToken)).toBe(401);
    const refresh = (refresh_token: string, more: Record<string, string> = {}) =>
      token({ grant_type: 'refresh_token', client_id: 'actas', client_secret: 'notasecret', refresh_token, ...more });
    expect(await refresh(issued.json.accessToken)).toMatchObject({ status: 400, json: { error: 'invalid_grant' } });
    expect(await refresh(server.ownerToken)).toMatchObject({ status: 400, json: { error: 'invalid_grant' } });
    expect(await refresh(issued.json.refreshToken, { client_id: 'other' })).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
    expect(await refresh(issued.json.refreshToken, { scope: 'https://www.googleapis.com/auth/drive' })).toMatchObject({ status: 400, json: { error: 'invalid_scope' } });
    // Only the holder of the owner's token may make one.
    expect((await server.call('POST', '/actas/v1/tokens:issue', { principal: 'user:dev@example.com', withRefreshToken: true }, { as: member('robot-sa') })).status).toBe(403);
  });

  test('a token of few scopes opens nothing else, and gets no wider one', async () => {
    const narrow = (await exchange(good({ scope: 'openid email' }))).json['access_token'] ?? '';
    const call = async (path: string, body?: object) =>
      fetch(`${server.url}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: { authorization: `Bearer ${narrow}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    for (const answer of [
      await call(JOBS),
      await call(`${IAM}/${emailOf('robot-sa')}`),
      await call(`${CREDENTIALS}/${emailOf('middle-sa')}:generateAccessToken`, { scope: [CLOUD] }),
    ]) {
      expect(answer.status).toBe(403);
      expect(answer.headers.get('www-authenticate')).toContain('error="insufficient_scope"');
      expect(await answer.json()).toMatchObject({
        error: { message: 'Request had insufficient authentication scopes.', details: [{ reason: 'ACCESS_TOKEN_SCOPE_INSUFFICIENT' }] },
      });
    }
    const forIam = (await exchange(good({ scope: 'https://www.googleapis.com/auth/iam' }))).json['access_token'] ?? '';
    expect(await jobsWith(forIam)).toBe(403);
    const made = await fetch(`${server.url}${CREDENTIALS}/${emailOf('middle-sa')}:generateAccessToken`, {
      method: 'POST',
      headers: { authorization: `Bearer ${forIam}`, 'content-type': 'application/json' },
      body: JSON.stringify({ scope: [CLOUD] }),
    });
    expect(made.status).toBe(200);
    const user = await call('/openidconnect.googleapis.com/v1/userinfo');
    expect(await user.json()).toMatchObject({ email: emailOf('robot-sa'), email_verified: true });
  });
});

describe('after the end', () => {
  test('a key that is disabled or deleted proves nothing at once; what it was exchanged for lives on', async () => {
    const key = await newKey('robot-sa');
    const assertion = good({}, key);
    const bearer = jwt({ alg: 'RS256', kid: key.id }, forRun(), key.privateKey);
    const accessToken = (await exchange(assertion)).json['access_token'] ?? '';
    expect(await jobsWith(bearer)).toBe(200);
    await server.call('POST', `/iam.googleapis.com/v1/${key.name}:disable`, {});
    expect(await exchange(assertion)).toMatchObject({ status: 400, json: { error_description: 'Invalid JWT Signature.' } });
    expect(await jobsWith(bearer)).toBe(401);
    await server.call('POST', `/iam.googleapis.com/v1/${key.name}:enable`, {});
    expect((await exchange(assertion)).status).toBe(200);
    expect(await jobsWith(bearer)).toBe(200);
    await server.call('DELETE', `/iam.googleapis.com/v1/${key.name}`);
    expect((await exchange(assertion)).status).toBe(400);
    expect(await jobsWith(bearer)).toBe(401);
    expect(await jobsWith(accessToken)).toBe(200);
    await fetch(`${server.url}/oauth2.googleapis.com/revoke`, { method: 'POST', body: new URLSearchParams({ token: accessToken }) });
    expect(await jobsWith(accessToken)).toBe(401);
  });

  test('a disabled account is nobody, and a later one of the same name is somebody else', async () => {
    await server.call('POST', IAM, { accountId: 'mortal-sa' });
    await grant('mortal-sa', member('robot-sa'));
    const key = await newKey('mortal-sa');
    const iss = emailOf('mortal-sa');
    const assertion = good({ iss, sub: iss }, key);
    const { accessToken } = (await server.call('POST', `${CREDENTIALS}/${iss}:generateAccessToken`, { scope: [CLOUD] }, { as: member('robot-sa') })).json;
    const isKnown = async () => (await fetch(`${server.url}${JOBS}`, { headers: { authorization: `Bearer ${accessToken}` } })).status !== 401;
    expect(await isKnown()).toBe(true);
    await server.call('POST', `${IAM}/${iss}:disable`, {});
    expect(await exchange(assertion)).toMatchObject({ status: 400, json: { error_description: 'Invalid grant: account not found' } });
    expect(await isKnown()).toBe(false);
    for (const method of ['generateAccessToken', 'generateIdToken', 'signBlob', 'signJwt']) {
      const answer = await server.call('POST', `${CREDENTIALS}/${iss}:${method}`, {}, { as: member('robot-sa') });
      expect(answer.json.error, method).toMatchObject({ status: 'FAILED_PRECONDITION', message: `Service account ${iss} is disabled.` });
    }
    await server.call('POST', `${IAM}/${iss}:enable`, {});
    expect(await isKnown()).toBe(true);
    await server.call('DELETE', `${IAM}/${iss}`);
    await server.call('POST', IAM, { accountId: 'mortal-sa' });
    expect(await exchange(assertion)).toMatchObject({ status: 400, json: { error_description: 'Invalid JWT Signature.' } });
    expect(await isKnown()).toBe(false);
  });
});

describe('delegation', () => {
  const ask = (target: string, delegates: readonly string[], as = member('robot-sa'), more: object = {}) =>
    server.call(
      'POST',
      `${CREDENTIALS}/${target}:generateAccessToken`,
      { delegates: delegates.map((one) => `projects/-/serviceAccounts/${one}`), scope: [CLOUD], ...more },
      { as },
    );

  test('loops, long chains and names without the wildcard are refused', async () => {
    const [middle, target] = [emailOf('middle-sa'), emailOf('target-sa')];
    const { uniqueId } = (await server.call('GET', `${IAM}/${middle}`)).json;
    await grant('middle-sa', member('robot-sa'), member('middle-sa'));
    for (const delegates of [[middle, middle], [middle, target], [target], [middle, uniqueId], Array.from({ length: 11 }, (_, index) => `a${index}@x.iam.gserviceaccount.com`)]) {
      const answer = await ask(target, delegates);
      expect(answer.json.error, delegates.join()).toMatchObject({ status: 'INVALID_ARGUMENT' });
    }
    await grant('middle-sa', member('robot-sa'));
    const named = await server.call(
      'POST',
      `/iamcredentials.googleapis.com/v1/projects/demo/serviceAccounts/${middle}:generateAccessToken`,
      { scope: [CLOUD] },
      { as: member('robot-sa') },
    );
    expect(named.json.error).toMatchObject({ status: 'INVALID_ARGUMENT', message: expect.stringContaining('The - is required') });
  });

  test('nobody gets through on the grant of another, and a denial does not tell what exists', async () => {
    // target-sa lets middle-sa through; whoever is not let through by middle-sa gains nothing from that.
    expect((await ask(emailOf('target-sa'), [emailOf('middle-sa')], member('other-sa'))).json.error).toMatchObject({
      message: "Permission 'iam.serviceAccounts.implicitDelegation' denied on resource (or it may not exist).",
    });
    const halfway = await ask(emailOf('other-sa'), [emailOf('middle-sa')]);
    const missing = await ask(emailOf('none-such'), [emailOf('middle-sa')]);
    expect(halfway.status).toBe(403);
    expect(missing.text.replaceAll('none-such', 'other-sa')).toBe(halfway.text);
    // The remedy is for the link that is missing, not for the caller.
    expect(halfway.text).toContain(`--member=${member('middle-sa')} --role=roles/iam.serviceAccountTokenCreator`);
    expect((await ask(emailOf('target-sa'), [])).status).toBe(403);
  });

  test('lifetimes, scopes and names beyond what is allowed', async () => {
    for (const [more, field] of [
      [{ lifetime: '3601s' }, 'lifetime'],
      [{ lifetime: '0s' }, 'lifetime'],
      [{ lifetime: '-5s' }, 'lifetime'],
      [{ scope: [] }, 'scope'],
      [{ scope: ['actas:administrator'] }, 'scope'],
      [{ scope: ['a b'] }, 'scope'],
    ] as const)
      expect((await ask(emailOf('middle-sa'), [], member('robot-sa'), more)).json.error, JSON.stringify(more)).toMatchObject({
        status: 'INVALID_ARGUMENT',
        message: expect.stringContaining(field),
      });
  });

  test('whoever a token was made for is named wherever it is used', async () => {
    const { accessToken } = (await ask(emailOf('target-sa'), [emailOf('middle-sa')])).json;
    expect(await jobsWith(accessToken)).toBe(200);
    const chain = [member('robot-sa'), member('middle-sa')];
    const audit = await until('the audit entries', () => {
      const logs = new DatabaseSync(join(server.dataDir, 'logs.sqlite'), { readOnly: true });
      const rows = logs
        .prepare('SELECT method, principal, permissions, delegation FROM audit WHERE principal = ? OR method LIKE ? ORDER BY id DESC LIMIT 2')
        .all(member('target-sa'), '%GenerateAccessToken');
      logs.close();
      return rows.some(({ principal }) => principal === member('target-sa')) ? rows : undefined;
    });
    const [used, made] = audit.map((row) => ({ ...row, permissions: JSON.parse(String(row['permissions'])), delegation: JSON.parse(String(row['delegation'])) }));
    expect(used).toMatchObject({ principal: member('target-sa'), delegation: chain });
    expect(made).toMatchObject({
      principal: member('robot-sa'),
      delegation: [],
      permissions: [
        { permission: 'iam.serviceAccounts.implicitDelegation', granted: true },
        { permission: 'iam.serviceAccounts.getAccessToken', granted: true, member: member('middle-sa') },
      ],
    });
  });
});

test('forms: parameters that are there twice, grants that are unknown, and forms where JSON is wanted', async () => {
  const send = async (body: string) => {
    const response = await fetch(`${server.url}/oauth2.googleapis.com/token`, { method: 'POST', body, headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    return { status: response.status, json: await response.json() };
  };
  expect(await send(`grant_type=${JWT_BEARER}&assertion=a&assertion=b`)).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
  expect(await send('grant_type=password')).toEqual({ status: 400, json: { error: 'unsupported_grant_type', error_description: 'Invalid grant_type: password' } });
  expect(await send('')).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
  expect(await send(`grant_type=${JWT_BEARER}`)).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
  const json = await server.call('POST', '/oauth2.googleapis.com/token', { grant_type: JWT_BEARER, assertion: good() }, { as: null });
  expect(json.status).toBe(200);
  const wrong = await server.call('POST', '/oauth2.googleapis.com/token', { grant_type: JWT_BEARER, surprise: 1 }, { as: null });
  expect(wrong.json).toMatchObject({ error: 'invalid_request' });
  const foreign = await server.call('POST', '/oauth2.googleapis.com/token', 'x=1', {
    as: null,
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin: 'https://evil.example' },
  });
  expect(foreign.status).toBe(403);
  const form = await server.call('POST', `${IAM}/${emailOf('robot-sa')}:disable`, 'a=b', { headers: { 'content-type': 'application/x-www-form-urlencoded' } });
  expect(form.status).toBe(400);
});
