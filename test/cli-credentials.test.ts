/** The commands about keys, tokens and who calls, against a running server. */
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../src/cli/test-shell.ts';
import { OWNER, startTestServer, type TestServer } from './harness/server.ts';

const ROBOT = 'robot-sa@demo.iam.gserviceaccount.com';
let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  await actas('iam service-accounts create robot-sa');
  await actas('iam service-accounts create other-sa');
});
afterAll(() => server.close());

const file = (name: string) => join(server.dataDir, name);
const mode = (name: string) => statSync(file(name)).mode & 0o777;
async function actas(line: string, env: Record<string, string> = {}): Promise<{ code: number; out: string; err: string }> {
  return run(line.split(' '), { env: { ACTAS_DATA_DIR: server.dataDir, ...env } });
}

test('a key file is made for its owner alone, activates its account, and ends with its key', async () => {
  writeFileSync(file('key.json'), 'was here before', { mode: 0o644 });
  expect((await actas(`iam service-accounts keys create ${file('key.json')} --iam-account=robot-sa`)).err).toMatch(/created key \[[0-9a-f]{40}\] of type \[json\]/);
  expect(mode('key.json')).toBe(0o600);
  const { private_key_id: id = '', client_email: email } = JSON.parse(readFileSync(file('key.json'), 'utf8')) as Record<string, string>;
  expect(email).toBe(ROBOT);

  expect((await actas(`auth activate-service-account other@demo.iam.gserviceaccount.com --key-file=${file('key.json')}`)).code).toBe(2);
  expect(await actas(`auth activate-service-account --key-file=${file('key.json')}`)).toMatchObject({ code: 0, err: `Activated service account credentials for: [${ROBOT}]\n` });
  expect(mode('active-account.json')).toBe(0o600);
  expect((await actas('auth list')).out).toBe(`serviceAccount:${ROBOT}\n`);
  expect(await actas('iam service-accounts list')).toMatchObject({ code: 4, err: expect.stringContaining(`--member=serviceAccount:${ROBOT}`) });
  expect((await actas(`auth list --as=${OWNER}`)).out).toBe(`${OWNER}\n`);
  expect(decodeJwt((await actas('auth print-identity-token --audiences=https://x.example')).out.trim())).toMatchObject({ aud: 'https://x.example', email: ROBOT });

  expect((await actas(`iam service-accounts keys disable ${id} --iam-account=robot-sa --as=${OWNER}`)).code).toBe(0);
  expect(await actas('auth list')).toMatchObject({ code: 1, err: expect.stringContaining('invalid_grant: Invalid JWT Signature.') });
  expect((await actas(`iam service-accounts keys list --iam-account=robot-sa --managed-by=user --as=${OWNER}`)).out).toMatch(new RegExp(`${id}.*True`));
  expect((await actas(`iam service-accounts keys enable ${id} --iam-account=robot-sa --as=${OWNER}`)).code).toBe(0);
  expect((await actas('auth list')).code).toBe(0);
  expect((await actas('auth revoke')).err).toBe(`Revoked credentials: ${ROBOT}\n`);
  expect((await actas('auth list')).out).toBe(`${OWNER}\n`);

  const { out } = await actas(`iam service-accounts keys get-public-key ${id} --iam-account=robot-sa`);
  expect(new X509Certificate(out).subject).toMatch(/^CN=\d{21}$/);
  expect((await actas(`iam service-accounts keys delete ${id} --iam-account=robot-sa -q`)).code).toBe(0);
  expect((await actas(`iam service-accounts keys get-public-key ${id} --iam-account=robot-sa`)).code).toBe(5);
});

test('a public key is uploaded; a private key is refused before anything is kept of it', async () => {
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(file('public.pem'), pair.publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(file('private.pem'), pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  expect(await actas(`iam service-accounts keys upload ${file('public.pem')} --iam-account=robot-sa`)).toMatchObject({
    code: 0,
    out: expect.stringContaining('keyOrigin: USER_PROVIDED'),
  });
  expect(await actas(`iam service-accounts keys upload ${file('private.pem')} --iam-account=robot-sa`)).toMatchObject({
    code: 1,
    err: expect.stringContaining('which must stay with you'),
  });
  expect(await actas(`auth activate-service-account --key-file=${file('public.pem')}`)).toMatchObject({ code: 1, err: expect.stringContaining('it is not JSON') });
});

test('impersonation: a flag of every command, through delegates, and its denial names the command that grants it', async () => {
  const refused = await actas(`iam service-accounts list --impersonate-service-account=${ROBOT}`);
  expect(refused).toMatchObject({
    code: 4,
    err: expect.stringContaining(`add-iam-policy-binding ${ROBOT} --project=demo --member=${OWNER} --role=roles/iam.serviceAccountTokenCreator`),
  });
  await actas(`iam service-accounts add-iam-policy-binding ${ROBOT} --member=${OWNER} --role=roles/iam.serviceAccountTokenCreator`);
  await actas(`iam service-accounts add-iam-policy-binding other-sa --member=serviceAccount:${ROBOT} --role=roles/iam.serviceAccountTokenCreator`);
  const other = ROBOT.replace('robot', 'other');
  expect((await actas(`auth list --impersonate-service-account=${ROBOT}`)).out).toBe(`serviceAccount:${ROBOT}\n`);
  expect((await actas(`--impersonate-service-account=${ROBOT},${other} auth list`)).out).toBe(`serviceAccount:${other}\n`);
  expect((await actas(`auth list --impersonate-service-account=${other}`)).code).toBe(4);
  expect(await actas('auth list --impersonate-service-account=nonsense')).toMatchObject({ code: 2, err: expect.stringContaining("'nonsense' is not a service account") });
  const { out } = await actas(`auth print-identity-token --audiences=https://x.example --include-email --impersonate-service-account=${ROBOT},${other}`);
  expect(decodeJwt(out.trim())).toMatchObject({ aud: 'https://x.example', email: other });
  expect(await actas('auth print-identity-token --audiences=x')).toMatchObject({ code: 1, err: expect.stringContaining('--impersonate-service-account') });
  writeFileSync(file('claims.json'), '{"sub":"x"}');
  expect(decodeJwt((await actas(`iam service-accounts sign-jwt ${file('claims.json')} - --iam-account=robot-sa`)).out.trim())).toEqual({ sub: 'x' });
  expect((await actas(`iam service-accounts sign-blob ${file('claims.json')} ${file('signature')} --iam-account=robot-sa`)).code).toBe(0);
  expect(readFileSync(file('signature'))).toHaveLength(256);
});

test('application default credentials: a file for its owner alone, of a user or through one, until it is revoked', async () => {
  expect(await actas('auth application-default login --as=user:dev@example.com')).toMatchObject({
    code: 0,
    out: expect.stringContaining('export GOOGLE_APPLICATION_CREDENTIALS='),
  });
  expect(mode('application_default_credentials.json')).toBe(0o600);
  const user = JSON.parse(readFileSync(file('application_default_credentials.json'), 'utf8')) as Record<string, string>;
  expect(user).toMatchObject({ type: 'authorized_user', account: 'dev@example.com' });
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    client_id: user['client_id'] ?? '',
    client_secret: user['client_secret'] ?? '',
    refresh_token: user['refresh_token'] ?? '',
  });
  const exchange = async () => (await fetch(user['token_uri'] ?? '', { method: 'POST', body: form })).json();
  const { access_token: token } = (await exchange()) as Record<string, string>;
  expect((await actas('auth list', { ACTAS_TOKEN: token ?? '' })).out).toBe('user:dev@example.com\n');
  expect((await actas('auth application-default revoke')).code).toBe(0);
  expect(await exchange()).toEqual({ error: 'invalid_grant', error_description: 'Token has been expired or revoked.' });
  expect((await actas('auth list', { ACTAS_TOKEN: token ?? '' })).code).toBe(4);

  await actas(`auth application-default login --file=${file('adc.json')} --impersonate-service-account=${ROBOT}`);
  expect(JSON.parse(readFileSync(file('adc.json'), 'utf8'))).toMatchObject({
    type: 'impersonated_service_account',
    service_account_impersonation_url: `${server.url}/iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${ROBOT}:generateAccessToken`,
    source_credentials: { type: 'authorized_user', account: OWNER.slice('user:'.length) },
  });
});
