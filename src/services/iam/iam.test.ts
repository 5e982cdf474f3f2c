import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toJson } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ServiceAccountSchema } from '../../gen/google/iam/admin/v1/iam_pb.js';
import { PolicySchema } from '../../gen/google/iam/v1/policy_pb.js';
import { createAuthorizer } from '../../policy/authorizer.ts';
import { loadCatalogue } from '../../policy/catalogue.ts';
import { openStore, type Store } from '../../store/database.ts';
import { createPolicySource } from '../../store/hierarchy.ts';
import { insertOrganization } from '../../store/organizations.ts';
import { findPolicy, updatePolicy } from '../../store/policies.ts';
import { insertProject } from '../../store/projects.ts';
import { findServiceAccountName, isServiceAccountActive, serviceAgentEmail } from '../../store/service-accounts.ts';
import { callUnary, createFakeCall, createFakeClock, type Decide, type FakeClock } from '../fake-call.ts';
import type { AnyService } from '../service.ts';
import { createIamService } from './iam.ts';
import { createKeyFixture } from './key-fixture.ts';

const PROJECT = '//cloudresourcemanager.googleapis.com/projects/demo';
const HELLO = 'hello-sa@demo.iam.gserviceaccount.com';
const NAME = `projects/demo/serviceAccounts/${HELLO}`;

let dir: string;
let store: Store;
let clock: FakeClock;
let service: AnyService;
let decide: Decide;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'iam-'));
  store = await openStore(dir);
  clock = createFakeClock();
  service = createIamService({ store, catalogue: CATALOGUE, ...createKeyFixture(store) });
  const authorizer = createAuthorizer({ source: createPolicySource(store.read), catalogue: CATALOGUE });
  decide = async (member, { permission, resource }) => {
    authorizer.invalidate();
    return (await authorizer.decide({ member, permission, resource })).allowed;
  };
  await store.write(async ({ db }) => {
    await insertOrganization(db, { number: '111111111111', display_name: 'example.com', create_time: 1 });
    for (const [id, number] of [
      ['demo', '123456789012'],
      ['other', '123456789013'],
    ] as const)
      await insertProject(db, {
        project_id: id,
        number,
        parent: 'organizations/111111111111',
        display_name: id,
        labels: '{}',
        state: 'ACTIVE',
        create_time: 1,
        update_time: 1,
        delete_time: null,
        etag: 'x',
      });
    await grant(db, PROJECT, 'roles/owner', 'user:owner@example.com');
  });
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

const CATALOGUE = loadCatalogue();

async function grant(db: Store['read'], resource: string, role: string, member: string): Promise<void> {
  const policy = (await findPolicy(db, resource)) ?? create(PolicySchema);
  policy.bindings.push(...create(PolicySchema, { bindings: [{ role, members: [member] }] }).bindings);
  await updatePolicy(db, resource, policy, clock.now());
}

// Each method's own message type is lost behind AnyService; the tests read plain JSON-like fields.
// oxlint-disable-next-line typescript/no-explicit-any
async function run(method: string, request: Record<string, unknown>, member = 'user:owner@example.com'): Promise<any> {
  const look = { serviceAccount: (project: string, key: string) => findServiceAccountName(store.read, project, key) };
  return callUnary(service, method, request, createFakeCall({ member, clock, decide }), look);
}
const createHello = (more: object = {}) => run('createServiceAccount', { name: 'projects/demo', accountId: 'hello-sa', serviceAccount: { displayName: 'Hello', ...more } });
const json = async (method: string, request: Record<string, unknown>) => toJson(ServiceAccountSchema, await run(method, request));
const bindings = async (resource: string) => Object.fromEntries(((await findPolicy(store.read, resource))?.bindings ?? []).map(({ role, members }) => [role, members]));

describe('create, get, list', () => {
  test('answers as recorded: no empty texts, no disabled, the project id in the name', async () => {
    const account = await json('createServiceAccount', { name: 'projects/123456789012', accountId: 'hello-sa', serviceAccount: {} });
    expect(account).toEqual({
      name: NAME,
      projectId: 'demo',
      email: HELLO,
      uniqueId: expect.stringMatching(/^1\d{20}$/),
      oauth2ClientId: expect.stringMatching(/^\d{21}$/),
      etag: expect.any(String),
    });
    const { uniqueId } = await run('getServiceAccount', { name: NAME });
    for (const name of [NAME, `projects/-/serviceAccounts/${HELLO}`, `projects/-/serviceAccounts/${uniqueId}`, `projects/123456789012/serviceAccounts/${HELLO}`])
      expect(await json('getServiceAccount', { name })).toEqual(account);
  });

  test('an id that is taken is refused as recorded', async () => {
    await createHello();
    await expect(createHello()).rejects.toMatchObject({ status: 'ALREADY_EXISTS', message: 'Service account hello-sa already exists within project projects/demo.', details: [] });
  });

  test.each([
    ['abcde', 'The account ID "abcde" does not have a length between 6 and 30.'],
    ['a'.repeat(31), `The account ID "${'a'.repeat(31)}" does not have a length between 6 and 30.`],
    ['Hello-sa', 'Hello-sa does not match [a-z][a-z\\d\\-]*[a-z\\d].'],
    ['hello-sa-', 'hello-sa- does not match [a-z][a-z\\d\\-]*[a-z\\d].'],
  ])('account id %s', async (accountId, message) => {
    await expect(run('createServiceAccount', { name: 'projects/demo', accountId })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT', message });
  });

  test('texts are limited in bytes, not characters', async () => {
    await createHello({ displayName: 'é'.repeat(50) });
    await expect(run('updateServiceAccount', { name: NAME, displayName: 'é'.repeat(51) })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    await expect(run('patchServiceAccount', { serviceAccount: { name: NAME, description: 'x'.repeat(257) }, updateMask: { paths: ['description'] } })).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
    });
  });

  test('an absent account: two wordings, and an account of another project is not found', async () => {
    await expect(run('getServiceAccount', { name: NAME })).rejects.toMatchObject({ status: 'NOT_FOUND', message: 'Unknown service account' });
    await createHello();
    await run('deleteServiceAccount', { name: NAME });
    await expect(run('getServiceAccount', { name: NAME })).rejects.toMatchObject({ status: 'NOT_FOUND', message: `Service account ${NAME} does not exist.` });
    await createHello();
    await store.write(({ db }) => grant(db, '//cloudresourcemanager.googleapis.com/projects/other', 'roles/owner', 'user:other@example.com'));
    // Whatever project the name claims, an account is its own project's.
    await expect(run('getServiceAccount', { name: `projects/other/serviceAccounts/${HELLO}` }, 'user:other@example.com')).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
    await expect(run('getServiceAccount', { name: `projects/other/serviceAccounts/${HELLO}` })).rejects.toMatchObject({ status: 'NOT_FOUND' });
    await expect(run('getServiceAccount', { name: NAME }, 'user:other@example.com')).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
  });

  test('a stranger is denied alike, whether the account exists or not, and under a wildcard an unknown account is denied to all', async () => {
    const denied = async () =>
      run('getServiceAccount', { name: NAME }, 'user:stranger@example.com').then(String, (error: { message: string; details: unknown }) =>
        JSON.stringify([error.message, error.details]),
      );
    const before = await denied();
    await createHello();
    expect(await denied()).toBe(before);
    await expect(run('getServiceAccount', { name: 'projects/-/serviceAccounts/1234567' })).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
    expect(service.denied({ permission: 'iam.serviceAccounts.get', resource: '', asked: NAME })).toBe(
      "Permission 'iam.serviceAccounts.get' denied on resource (or it may not exist).",
    );
  });

  test('pages hold every account once, and a token of another list is refused', async () => {
    const ids = Array.from({ length: 23 }, (_, i) => `acct-${String(i).padStart(3, '0')}`);
    for (const accountId of ids) await run('createServiceAccount', { name: 'projects/demo', accountId });
    const seen: string[] = [];
    let pageToken = '';
    const sizes: number[] = [];
    do {
      const page = await run('listServiceAccounts', { name: 'projects/demo', pageToken });
      sizes.push(page.accounts.length);
      seen.push(...page.accounts.map((account: { email: string }) => account.email.split('@')[0] ?? ''));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    expect(sizes).toEqual([20, 3]);
    expect(seen).toEqual(ids);
    const { nextPageToken } = await run('listServiceAccounts', { name: 'projects/demo', pageSize: 5 });
    await store.write(({ db }) => grant(db, '//cloudresourcemanager.googleapis.com/projects/other', 'roles/owner', 'user:owner@example.com'));
    await expect(run('listServiceAccounts', { name: 'projects/other', pageToken: nextPageToken })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });
});

describe('patch, update, enable, disable', () => {
  test.each(['display_name', 'displayName'])('patch with %s answers the name and the masked field alone', async (path) => {
    await createHello({ description: 'before' });
    const answer = await json('patchServiceAccount', { serviceAccount: { name: NAME, displayName: 'New', description: 'ignored' }, updateMask: { paths: [path] } });
    expect(answer).toEqual({ name: NAME, displayName: 'New' });
    expect(await run('getServiceAccount', { name: NAME })).toMatchObject({ displayName: 'New', description: 'before' });
  });

  test('patch wants a mask, and of two fields alone', async () => {
    await createHello();
    await expect(run('patchServiceAccount', { serviceAccount: { name: NAME, displayName: 'x' } })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    await expect(run('patchServiceAccount', { serviceAccount: { name: NAME }, updateMask: { paths: ['email'] } })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });

  test('PUT replaces both texts and answers the whole account', async () => {
    await createHello({ description: 'before' });
    expect(await run('updateServiceAccount', { name: NAME, displayName: 'Put' })).toMatchObject({ email: HELLO, displayName: 'Put', description: '' });
  });

  test('a disabled account is not active until it is enabled; an agent is while its project is', async () => {
    await createHello();
    expect(await isServiceAccountActive(store.read, HELLO)).toBe(true);
    await run('disableServiceAccount', { name: NAME });
    expect(await isServiceAccountActive(store.read, HELLO)).toBe(false);
    expect(await run('getServiceAccount', { name: NAME })).toMatchObject({ disabled: true });
    await run('enableServiceAccount', { name: NAME });
    expect(await isServiceAccountActive(store.read, HELLO)).toBe(true);
    expect(await isServiceAccountActive(store.read, serviceAgentEmail('123456789012'))).toBe(true);
    expect(await isServiceAccountActive(store.read, serviceAgentEmail('999999999999'))).toBe(false);
  });
});

describe('deletion', () => {
  const bind = (role: string, member: string) => store.write(({ db }) => grant(db, PROJECT, role, member));

  test('a recreated account has none of the old grants, and undelete gives them back', async () => {
    const { uniqueId } = await createHello();
    await bind('roles/run.developer', `serviceAccount:${HELLO}`);
    const mayList = () => decide(`serviceAccount:${HELLO}`, { permission: 'run.jobs.list', resource: PROJECT });
    expect(await mayList()).toBe(true);

    await run('deleteServiceAccount', { name: NAME });
    expect((await bindings(PROJECT))['roles/run.developer']).toEqual([`deleted:serviceAccount:${HELLO}?uid=${uniqueId}`]);
    expect(await isServiceAccountActive(store.read, HELLO)).toBe(false);

    const second = await createHello();
    expect(second.uniqueId).not.toBe(uniqueId);
    expect(await mayList()).toBe(false);
    const undelete = () => run('undeleteServiceAccount', { name: `projects/-/serviceAccounts/${uniqueId}` });
    await expect(undelete()).rejects.toMatchObject({ status: 'ALREADY_EXISTS', message: 'Service account hello-sa already exists within project projects/demo.' });

    await run('deleteServiceAccount', { name: NAME });
    const { restoredAccount } = await undelete();
    expect(restoredAccount).toMatchObject({ uniqueId, email: HELLO, displayName: 'Hello' });
    expect(await mayList()).toBe(true);
    await expect(undelete()).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
  });

  test('the policy of the account itself is kept aside for undelete, and never becomes its successor’s', async () => {
    const { uniqueId } = await createHello();
    await run('setIamPolicy', { resource: NAME, policy: { bindings: [{ role: 'roles/iam.serviceAccountUser', members: ['user:dev@example.com'] }] } });
    await run('deleteServiceAccount', { name: NAME });
    await createHello();
    expect((await run('getIamPolicy', { resource: NAME })).bindings).toEqual([]);
    await run('deleteServiceAccount', { name: NAME });
    await run('undeleteServiceAccount', { name: `projects/demo/serviceAccounts/${uniqueId}` });
    expect((await run('getIamPolicy', { resource: NAME })).bindings).toMatchObject([{ members: ['user:dev@example.com'] }]);
  });

  test('a policy read before the deletion cannot be written back', async () => {
    await createHello();
    await createHelper();
    const helper = 'projects/demo/serviceAccounts/helper@demo.iam.gserviceaccount.com';
    await run('setIamPolicy', { resource: helper, policy: { bindings: [{ role: 'roles/iam.serviceAccountUser', members: [`serviceAccount:${HELLO}`] }] } });
    const stale = await run('getIamPolicy', { resource: helper });
    await run('deleteServiceAccount', { name: NAME });
    await createHello();
    await expect(run('setIamPolicy', { resource: helper, policy: stale })).rejects.toMatchObject({ status: 'ABORTED' });
  });

  test('after 30 days it is gone for good, and only a unique id is undeleted', async () => {
    const { uniqueId } = await createHello();
    await expect(run('undeleteServiceAccount', { name: NAME })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    await run('deleteServiceAccount', { name: NAME });
    clock.advance(30 * 24 * 3600 * 1_000_000 + 1);
    await expect(run('undeleteServiceAccount', { name: `projects/demo/serviceAccounts/${uniqueId}` })).rejects.toMatchObject({ status: 'NOT_FOUND' });
  });

  test('deleting twice is not found', async () => {
    await createHello();
    await run('deleteServiceAccount', { name: NAME });
    await expect(run('deleteServiceAccount', { name: NAME })).rejects.toMatchObject({ status: 'NOT_FOUND' });
  });

  const createHelper = () => run('createServiceAccount', { name: 'projects/demo', accountId: 'helper' });
});

describe('policies', () => {
  test('never set, set, emptied: as recorded', async () => {
    await createHello();
    const get = async () => toJson(PolicySchema, await run('getIamPolicy', { resource: NAME, options: { requestedPolicyVersion: 3 } }));
    expect(await get()).toEqual({ etag: 'ACAB' });
    const set = await run('setIamPolicy', {
      resource: NAME,
      policy: { version: 3, etag: new Uint8Array([0x00, 0x20, 0x01]), bindings: [{ role: 'roles/iam.serviceAccountUser', members: ['user:b@example.com', 'user:a@example.com'] }] },
    });
    expect(toJson(PolicySchema, set)).toEqual({
      version: 1,
      etag: expect.any(String),
      bindings: [{ role: 'roles/iam.serviceAccountUser', members: ['user:a@example.com', 'user:b@example.com'] }],
    });
    expect(await get()).toEqual(toJson(PolicySchema, set));
    await run('setIamPolicy', { resource: NAME, policy: { version: 1, etag: set.etag } });
    expect(await get()).toEqual({ version: 1, etag: expect.any(String) });
    await expect(run('setIamPolicy', { resource: NAME, policy: { etag: set.etag } })).rejects.toMatchObject({ status: 'ABORTED' });
  });

  test('an account that does not exist in a project that we know cannot be a member; others can', async () => {
    await createHello();
    const set = (member: string) => run('setIamPolicy', { resource: NAME, policy: { bindings: [{ role: 'roles/iam.serviceAccountUser', members: [member] }] } });
    await expect(set('serviceAccount:ghost-sa@demo.iam.gserviceaccount.com')).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
      message: 'Service account ghost-sa@demo.iam.gserviceaccount.com does not exist.',
    });
    await expect(set('serviceAccount:123456789012-compute@developer.gserviceaccount.com')).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    await set(`serviceAccount:${serviceAgentEmail('123456789012')}`);
    await set('serviceAccount:x@elsewhere.iam.gserviceaccount.com');
    await set('serviceAccount:demo.svc.id.goog[ns/ksa]');
    await set(`serviceAccount:${HELLO.toUpperCase()}`);
    expect((await run('getIamPolicy', { resource: NAME })).bindings[0].members).toEqual([`serviceAccount:${HELLO}`]);
  });

  test('testIamPermissions answers what the caller has, in the order asked, and nothing on an account that is not there', async () => {
    await createHello();
    const permissions = ['iam.serviceAccounts.getAccessToken', 'iam.serviceAccounts.actAs', 'iam.serviceAccounts.get'];
    expect((await run('testIamPermissions', { resource: NAME, permissions })).permissions).toEqual(permissions.slice(1));
    expect((await run('testIamPermissions', { resource: NAME, permissions }, 'user:stranger@example.com')).permissions).toEqual([]);
    expect((await run('testIamPermissions', { resource: 'projects/demo/serviceAccounts/nobody@demo.iam.gserviceaccount.com', permissions })).permissions).toEqual([]);
    await expect(run('testIamPermissions', { resource: NAME, permissions: ['iam.serviceAccounts.*'] })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });
});
