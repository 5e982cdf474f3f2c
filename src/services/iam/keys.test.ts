/** Keys of service accounts: what is handed out, what is kept, and what refuses. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { selfSignedCertificate } from '../../identity/x509.ts';
import { loadCatalogue } from '../../policy/catalogue.ts';
import { openStore, type Store } from '../../store/database.ts';
import { insertProject } from '../../store/projects.ts';
import { findServiceAccountName } from '../../store/service-accounts.ts';
import { MICROS_PER_SECOND } from '../../timestamp.ts';
import { callUnary, createFakeCall, createFakeClock, type FakeClock } from '../fake-call.ts';
import type { AnyService } from '../service.ts';
import { createIamService } from './iam.ts';
import { createKeyFixture, type KeyFixture } from './key-fixture.ts';

const EMAIL = 'robot-sa@demo.iam.gserviceaccount.com';
const ACCOUNT = `projects/demo/serviceAccounts/${EMAIL}`;
const CATALOGUE = loadCatalogue();
const HOUR = 3600 * MICROS_PER_SECOND;
const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
const publicPem = pair.publicKey.export({ type: 'spki', format: 'pem' });

let dir: string;
let store: Store;
let clock: FakeClock;
let fixture: KeyFixture;
let service: AnyService;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'keys-'));
  store = await openStore(dir);
  clock = createFakeClock();
  fixture = createKeyFixture(store, clock);
  service = createIamService({ store, catalogue: CATALOGUE, ...fixture });
  await store.write(({ db }) =>
    insertProject(db, {
      project_id: 'demo',
      number: '123456789012',
      parent: null,
      display_name: 'demo',
      labels: '{}',
      state: 'ACTIVE',
      create_time: 1,
      update_time: 1,
      delete_time: null,
      etag: 'x',
    }),
  );
  for (const accountId of ['robot-sa', 'other-sa']) await run('createServiceAccount', { name: 'projects/demo', accountId });
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

// Each method's own message type is lost behind AnyService; the tests read plain JSON-like fields.
// oxlint-disable-next-line typescript/no-explicit-any
async function run(method: string, request: Record<string, unknown>): Promise<any> {
  const look = { serviceAccount: (project: string, key: string) => findServiceAccountName(store.read, project, key) };
  return callUnary(service, method, request, createFakeCall({ clock }), look);
}
const createKey = (more: object = {}) => run('createServiceAccountKey', { name: ACCOUNT, ...more });
const fileOf = (key: { privateKeyData: Uint8Array }): Record<string, string> => JSON.parse(new TextDecoder().decode(key.privateKeyData));
const list = async (keyTypes: number[] = []) => (await run('listServiceAccountKeys', { name: ACCOUNT, keyTypes })).keys;
const upload = (text: string, name = ACCOUNT) => run('uploadServiceAccountKey', { name, publicKeyData: new TextEncoder().encode(text) });
const certificate = (notBefore: number, notAfter: number) => selfSignedCertificate(pair.privateKey, { serial: 'ab', subject: 'unused', notBefore, notAfter });

describe('create', () => {
  test("answers Google's key file, and keeps nothing of the private key", async () => {
    const key = await createKey();
    const file = fileOf(key);
    expect(Object.keys(file)).toEqual([
      'type',
      'project_id',
      'private_key_id',
      'private_key',
      'client_email',
      'client_id',
      'auth_uri',
      'token_uri',
      'auth_provider_x509_cert_url',
      'client_x509_cert_url',
      'universe_domain',
    ]);
    expect(file).toMatchObject({ type: 'service_account', project_id: 'demo', client_email: EMAIL, client_id: expect.stringMatching(/^\d{21}$/) });
    expect(file['token_uri']).toBe('http://127.0.0.1:8787/oauth2.googleapis.com/token');
    expect(file['private_key']).toMatch(/^-----BEGIN PRIVATE KEY-----\n[A-Za-z0-9+/=\n]+-----END PRIVATE KEY-----\n$/);
    const privateKey = createPrivateKey(file['private_key'] ?? '');
    expect(privateKey.asymmetricKeyDetails?.modulusLength).toBe(2048);
    expect(key).toMatchObject({ name: `${ACCOUNT}/keys/${file['private_key_id']}`, keyAlgorithm: 2, keyOrigin: 2, keyType: 1, privateKeyType: 2 });
    expect(file['private_key_id']).toMatch(/^[0-9a-f]{40}$/);
    const kept = Buffer.concat(['state.sqlite', 'state.sqlite-wal'].map((name) => readFileSync(join(dir, name)))).toString('latin1');
    const { d = '' } = privateKey.export({ format: 'jwk' });
    expect(kept).not.toContain(d);
    expect(kept).not.toContain((file['private_key'] ?? '').split('\n')[1]);

    const [listed] = await list();
    expect(listed).toMatchObject({ name: key.name, publicKeyData: new Uint8Array(), privateKeyData: new Uint8Array(), privateKeyType: 0, disabled: false });
    const { publicKeyData } = await run('getServiceAccountKey', { name: key.name, publicKeyType: 1 });
    const x509 = new X509Certificate(Buffer.from(publicKeyData));
    expect(x509.checkPrivateKey(privateKey)).toBe(true);
    const raw = (await run('getServiceAccountKey', { name: key.name, publicKeyType: 2 })).publicKeyData;
    expect(createPublicKey(Buffer.from(raw).toString()).equals(x509.publicKey)).toBe(true);
    expect((await run('getServiceAccountKey', { name: key.name })).publicKeyData).toEqual(new Uint8Array());
  });

  test('ten keys of users and no more, while other accounts and system-managed keys do not count', { timeout: 30_000 }, async () => {
    await run('signBlob', { name: ACCOUNT, bytesToSign: new Uint8Array([1]) });
    await upload(publicPem);
    for (let made = 1; made < 10; made += 1) await upload(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'pem' }));
    await expect(createKey()).rejects.toMatchObject({ status: 'RESOURCE_EXHAUSTED', message: 'Maximum number of keys on account reached.' });
    await expect(upload(certificate(clock.now(), clock.now() + HOUR))).rejects.toMatchObject({ status: 'RESOURCE_EXHAUSTED' });
    expect(await list()).toHaveLength(11);
    expect(await list([2])).toHaveLength(1);
    expect(await list([1])).toHaveLength(10);
  });

  test('the legacy constraint and the managed one refuse in their own words', async () => {
    fixture.enforced.add('iam.disableServiceAccountKeyCreation');
    await expect(createKey()).rejects.toMatchObject({ status: 'FAILED_PRECONDITION', message: 'Key creation is not allowed on this service account.' });
    fixture.enforced.clear();
    fixture.enforced.add('iam.managed.disableServiceAccountKeyCreation');
    await expect(createKey()).rejects.toMatchObject({
      status: 'FAILED_PRECONDITION',
      message: expect.stringMatching(/^Operation denied by org policy on resource 'projects\/demo': \["constraints\/iam\.managed\.disableServiceAccountKeyCreation": ".+"\]\.$/),
    });
    await expect(upload(publicPem)).resolves.toMatchObject({ keyOrigin: 1 });
    fixture.enforced.add('iam.disableServiceAccountKeyUpload');
    await expect(upload(certificate(clock.now(), clock.now() + HOUR))).rejects.toMatchObject({ message: 'Key upload is not allowed on this service account.' });
    expect(await list()).toHaveLength(1);
  });

  test('an expiry that a policy demands is in the key, and its word is worth nothing afterwards', async () => {
    fixture.allowed.set('iam.serviceAccountKeyExpiryHours', ['24h', '8h']);
    const key = await createKey();
    expect(key.validBeforeTime.seconds - key.validAfterTime.seconds).toBe(8n * 3600n);
    expect((await fixture.accountKeys.published(EMAIL))?.keys).toHaveLength(1);
    clock.advance(8 * HOUR);
    expect((await fixture.accountKeys.published(EMAIL))?.keys).toHaveLength(0);
    expect(await list()).toHaveLength(1);
  });

  test.each([
    [{ privateKeyType: 1 }, 'private_key_type'],
    [{ keyAlgorithm: 1 }, 'key_algorithm'],
    [{ keyAlgorithm: 99 }, 'key_algorithm'],
  ])('%o is refused by name', async (more, field) => {
    await expect(createKey(more)).rejects.toMatchObject({ status: 'INVALID_ARGUMENT', message: expect.stringContaining(field) });
  });
});

describe('upload', () => {
  test('takes the time from the certificate, and the same key only once', async () => {
    const start = 1_699_999_000 * MICROS_PER_SECOND;
    const key = await upload(certificate(start, start + 100 * HOUR));
    expect(key).toMatchObject({ keyOrigin: 1, keyType: 1, validAfterTime: { seconds: 1_699_999_000n }, validBeforeTime: { seconds: 1_699_999_000n + 360_000n } });
    await expect(upload(publicPem)).rejects.toMatchObject({ status: 'ALREADY_EXISTS' });
    // Another account may have it: ids are each account's own.
    await expect(upload(publicPem, ACCOUNT.replace('robot', 'other'))).resolves.toMatchObject({ keyOrigin: 1 });
    await expect(
      run('getServiceAccountKey', { name: (await upload(publicPem, ACCOUNT.replace('robot', 'other')).catch(() => ({ name: `${ACCOUNT}/keys/none` }))).name }),
    ).rejects.toMatchObject({
      status: 'NOT_FOUND',
    });
  });

  test.each([
    ['nothing', ''],
    ['no PEM', 'MIIB'],
    ['a private key', pair.privateKey.export({ type: 'pkcs8', format: 'pem' })],
    ['two keys', publicPem + publicPem],
    ['a short key', generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ type: 'spki', format: 'pem' })],
    ['another kind of key', generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'pem' })],
    ['a broken certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'],
    ['an expired certificate', certificate(1_600_000_000 * MICROS_PER_SECOND, 1_600_000_001 * MICROS_PER_SECOND)],
  ])('%s is refused', async (_name, text) => {
    await expect(upload(text)).rejects.toMatchObject({ status: 'INVALID_ARGUMENT', message: expect.stringContaining('public_key_data') });
    expect(await list()).toEqual([]);
  });
});

describe('get, list, disable, enable, delete', () => {
  test('a disabled key is listed as such, and proves nothing until it is enabled', async () => {
    const { name } = await createKey();
    await run('disableServiceAccountKey', { name });
    expect(await list()).toMatchObject([{ name, disabled: true }]);
    expect((await fixture.accountKeys.published(EMAIL))?.keys).toEqual([]);
    await run('enableServiceAccountKey', { name });
    expect((await fixture.accountKeys.published(EMAIL))?.keys).toHaveLength(1);
    await run('deleteServiceAccountKey', { name });
    for (const method of ['getServiceAccountKey', 'deleteServiceAccountKey', 'disableServiceAccountKey'])
      await expect(run(method, { name })).rejects.toMatchObject({ status: 'NOT_FOUND', message: expect.stringMatching(/^Service account key [0-9a-f]{40} does not exist\.$/) });
  });

  test('a key is reached through its own account alone', async () => {
    const { name } = await createKey();
    await expect(run('deleteServiceAccountKey', { name: name.replace('robot', 'other') })).rejects.toMatchObject({ status: 'NOT_FOUND' });
    expect(await run('getServiceAccountKey', { name: name.replace('projects/demo', 'projects/-') })).toMatchObject({ name });
    for (const wrong of [`${ACCOUNT}/keys/../keys/x`, `${ACCOUNT}/keys/`, ACCOUNT, 'keys/x'])
      await expect(run('getServiceAccountKey', { name: wrong })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });

  test('a list of no type, or of one twice, is refused', async () => {
    await expect(list([0])).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    await expect(list([1, 1])).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });

  test('keys come back with their account, and its successor has none of them', async () => {
    const { name } = await createKey();
    const { uniqueId } = await run('getServiceAccount', { name: ACCOUNT });
    await run('deleteServiceAccount', { name: ACCOUNT });
    await run('createServiceAccount', { name: 'projects/demo', accountId: 'robot-sa' });
    expect(await list()).toEqual([]);
    await expect(run('getServiceAccountKey', { name })).rejects.toMatchObject({ status: 'NOT_FOUND' });
    await run('deleteServiceAccount', { name: ACCOUNT });
    await run('undeleteServiceAccount', { name: `projects/demo/serviceAccounts/${uniqueId}` });
    expect(await list()).toMatchObject([{ name }]);
  });
});

describe('the older signing methods', () => {
  const keyOf = async (id: string) => (await fixture.accountKeys.published(EMAIL))?.keys.find((key) => key.id === id)?.publicKey;

  test('sign with a system-managed key, which nobody may touch and which gives way after two weeks', async () => {
    const first = await run('signBlob', { name: ACCOUNT, bytesToSign: new TextEncoder().encode('text') });
    const [key] = await list([2]);
    expect(key).toMatchObject({ name: `${ACCOUNT}/keys/${first.keyId}`, keyType: 2, keyOrigin: 2 });
    for (const method of ['deleteServiceAccountKey', 'disableServiceAccountKey'])
      await expect(run(method, { name: key.name })).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
    expect((await run('signBlob', { name: ACCOUNT, bytesToSign: new Uint8Array([1]) })).keyId).toBe(first.keyId);
    clock.advance(14 * 24 * HOUR);
    expect((await run('signBlob', { name: ACCOUNT, bytesToSign: new Uint8Array([1]) })).keyId).not.toBe(first.keyId);
    expect(await keyOf(first.keyId)).toBeDefined();
    clock.advance(14 * 24 * HOUR);
    await run('signBlob', { name: ACCOUNT, bytesToSign: new Uint8Array([1]) });
    expect(await keyOf(first.keyId)).toBeUndefined();
  });

  test('signJwt adds an expiry where there is none, and refuses one that is past, far or no integer', async () => {
    const seconds = () => Math.floor(clock.now() / MICROS_PER_SECOND);
    const { keyId, signedJwt } = await run('signJwt', { name: ACCOUNT, payload: '{"sub":"x"}' });
    const publicKey = await keyOf(keyId);
    if (publicKey === undefined) throw new Error('the key is not published');
    const { payload, protectedHeader } = await jwtVerify(signedJwt, publicKey, { algorithms: ['RS256'], currentDate: new Date(clock.now() / 1000) });
    expect(protectedHeader).toEqual({ alg: 'RS256', kid: keyId, typ: 'JWT' });
    expect(payload.exp).toBeGreaterThan(seconds() + 3590);
    for (const exp of [seconds() - 10, seconds() + 13 * 3600, 1.5, '"x"', null])
      await expect(run('signJwt', { name: ACCOUNT, payload: `{"exp":${exp}}` }), String(exp)).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    for (const payload of ['', '[]', 'null', '{', '"x"']) await expect(run('signJwt', { name: ACCOUNT, payload })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });

  test('nothing is signed for a disabled account', async () => {
    await run('disableServiceAccount', { name: ACCOUNT });
    await expect(run('signBlob', { name: ACCOUNT, bytesToSign: new Uint8Array([1]) })).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
    await expect(run('signJwt', { name: ACCOUNT, payload: '{}' })).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
  });
});
